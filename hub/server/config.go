// Package server runs a hub: it reads the operator's configuration, opens
// store and keys, and serves the hub's interface over mutually authenticated
// TLS.
package server

import (
	"errors"
	"fmt"
	"net"
	"path/filepath"

	"github.com/entente-hub/entente/api/federation"
)

// Config is a hub's configuration file, YAML. An unknown field is an error.
// Relative paths are taken from the file's own folder.
type Config struct {
	// ID is the hub's id as the registry lists it, e.g. "hub".
	ID federation.HubID `yaml:"id"`

	// DataDir holds the embedded database. It must exist.
	DataDir string `yaml:"data_dir"`

	// Postgres is the connection string of a PostgreSQL database, which any number
	// of hubs may share. Empty: the embedded SQLite database in DataDir. A
	// connection string with a password belongs in PostgresFile.
	Postgres string `yaml:"postgres,omitempty"`

	// PostgresFile is a file, readable by its owner alone, with the connection string.
	PostgresFile string `yaml:"postgres_file,omitempty"`

	// Listen is the address for members' nodes, e.g. "0.0.0.0:8443".
	Listen string `yaml:"listen"`

	// OpsListen is the loopback address of /healthz, /readyz and /metrics. Empty:
	// they are not served.
	OpsListen string `yaml:"ops_listen,omitempty"`

	// TLS names the PEM files of the hub's certificate and key, and of the
	// authorities that members' certificates come from.
	TLS TLS `yaml:"tls"`

	// Keys says where the hub's signing key lies.
	Keys Keys `yaml:"keys"`

	// AuthorityKey is a file with the federation authority's public key, a JWK. It
	// is the one thing that the hub believes without proof.
	AuthorityKey string `yaml:"authority_key"`

	// Statements is a folder of signed statements (*.json). The hub takes them in at
	// start and on SIGHUP. Empty: they come over the interface alone.
	Statements string `yaml:"statements,omitempty"`
	// Limits says how much each member may do, and how long anybody may take. Left
	// out: the defaults.
	Limits Limits `yaml:"limits,omitempty"`
}

// TLS names PEM files.
type TLS struct {
	Cert string `yaml:"cert"`
	Key  string `yaml:"key"` // readable by its owner alone
	CA   string `yaml:"ca"`
}

// Keys names a key store and a key in it.
type Keys struct {
	Dir        string `yaml:"dir"`
	SecretFile string `yaml:"secret_file"` // opens the store; readable by its owner alone
	SigningKID string `yaml:"signing_kid"` // an Ed25519 key
}

// Resolve makes relative paths relative to dir, the configuration file's folder.
func (c *Config) Resolve(dir string) {
	for _, p := range []*string{&c.DataDir, &c.PostgresFile, &c.TLS.Cert, &c.TLS.Key, &c.TLS.CA,
		&c.Keys.Dir, &c.Keys.SecretFile, &c.AuthorityKey, &c.Statements} {
		if *p != "" && !filepath.IsAbs(*p) {
			*p = filepath.Join(dir, *p)
		}
	}
}

// Validate checks what can be checked without touching anything.
func (c *Config) Validate() error {
	for _, f := range []struct{ name, value string }{
		{"id", string(c.ID)}, {"data_dir", c.DataDir}, {"listen", c.Listen},
		{"tls.cert", c.TLS.Cert}, {"tls.key", c.TLS.Key}, {"tls.ca", c.TLS.CA},
		{"keys.dir", c.Keys.Dir}, {"keys.secret_file", c.Keys.SecretFile}, {"keys.signing_kid", c.Keys.SigningKID},
		{"authority_key", c.AuthorityKey},
	} {
		if f.value == "" {
			return fmt.Errorf("hub configuration: %s is missing", f.name)
		}
	}
	if c.Postgres != "" && c.PostgresFile != "" {
		return errors.New("hub configuration: postgres and postgres_file exclude one another")
	}
	if err := c.Limits.validate(); err != nil {
		return err
	}
	if c.OpsListen != "" {
		host, _, err := net.SplitHostPort(c.OpsListen)
		if err != nil {
			return fmt.Errorf("hub configuration: ops_listen: %w", err)
		}
		if ip := net.ParseIP(host); ip == nil || !ip.IsLoopback() {
			return errors.New("hub configuration: ops_listen is not a loopback address; its figures tell of all members")
		}
	}
	return nil
}
