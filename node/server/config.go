// Package server runs a national node: it reads the operator's configuration,
// opens store, keys and the way to the hub, and serves the local interface for
// the member's own people and tools.
package server

import (
	"errors"
	"fmt"
	"net"
	"path/filepath"

	"github.com/entente-hub/entente/api/alert"
	"github.com/entente-hub/entente/api/federation"
	"github.com/entente-hub/entente/crypto/keys"
	"github.com/entente-hub/entente/crypto/pki"
	"github.com/entente-hub/entente/node"
	"github.com/entente-hub/entente/node/hubclient"
)

// Config is a node's configuration file, YAML. An unknown field is an error.
// Relative paths are taken from the file's own folder.
type Config struct {
	// Member is the member's id as the registry lists it, e.g. "XA".
	Member alert.MemberID `yaml:"member"`

	// DataDir holds the database and the token of the local interface. It must
	// exist and should be readable by the node's user alone.
	DataDir string `yaml:"data_dir"`

	// Listen is the loopback address of the local interface, e.g. "127.0.0.1:9443".
	Listen string `yaml:"listen"`

	// OpsListen is the loopback address of /healthz, /readyz and /metrics. Empty:
	// they are not served.
	OpsListen string `yaml:"ops_listen,omitempty"`

	// Hub says which hub the node belongs to and where it is reached.
	Hub Hub `yaml:"hub"`

	// TLS names the PEM files of the member's certificate and key, and of the
	// authorities of the federation's certificates. The certificate serves both
	// ends: towards the hub, and, with its loopback address as a name, for
	// the local interface.
	TLS TLS `yaml:"tls"`

	// Keys says where the node's signing key lies.
	Keys Keys `yaml:"keys"`

	// AuthorityKey is a file with the federation authority's public key, a JWK. It
	// is the one thing that the node believes without proof.
	AuthorityKey string `yaml:"authority_key"`

	// Egress is the member's own policy on what may leave it. Left out: the
	// embedded rules without any limit.
	Egress Egress `yaml:"egress,omitempty"`

	// Ingress is the member's own policy on which of its users may read what it
	// holds. Left out: whoever may use the local interface reads everything.
	Ingress Ingress `yaml:"ingress,omitempty"`

	// Publishing is the member's own rule on how many persons it takes to publish.
	// Left out: one.
	Publishing Publishing `yaml:"publishing,omitempty"`
}

// Hub names a hub.
type Hub struct {
	ID   federation.HubID `yaml:"id"`   // as the registry lists it
	URLs []string         `yaml:"urls"` // "https://host:port" of each replica, tried in turn

	// Offline says that there is no network to the hub: what the node has for it is
	// exported, carried and played to it, and its answers are imported. Then urls is
	// left out.
	Offline bool `yaml:"offline,omitempty"`
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
	SigningKID string `yaml:"signing_kid"` // certified by a node-key statement of the member's
}

// Egress names the member's own rules.
type Egress struct {
	// Module is a file with a Rego module of package entente.egress. Empty: the
	// embedded one, whose limits Data sets.
	Module string `yaml:"module,omitempty"`

	// Data is what the rules find as data.egress; for the embedded rules the
	// fields of policies.EgressLimits, e.g. max_classification: restricted.
	Data map[string]any `yaml:"data,omitempty"`
}

// Ingress names the member's users and its own rules for them.
type Ingress struct {
	// Directory is a YAML file of agencies and users, of the form of
	// policies.National, read at the start. With one, every read of the inbox
	// names a user and a purpose, and gets what that user may have.
	Directory string `yaml:"directory,omitempty"`

	// Module is a file with a Rego module of package entente.ingress. Empty: the
	// embedded one.
	Module string `yaml:"module,omitempty"`
}

// Publishing is the member's own rule on how it publishes.
type Publishing struct {
	// FourEyes says which alerts take two persons of the directory, one who writes a
	// draft and another who releases it: all, classified (those with a portion above
	// unclassified) or none. Left out: none. All but none need ingress.directory, with
	// an author and another who is a releaser.
	FourEyes node.FourEyes `yaml:"four_eyes,omitempty"`
}

// Resolve makes relative paths relative to dir, the configuration file's folder.
func (c *Config) Resolve(dir string) {
	for _, p := range []*string{&c.DataDir, &c.TLS.Cert, &c.TLS.Key, &c.TLS.CA,
		&c.Keys.Dir, &c.Keys.SecretFile, &c.AuthorityKey, &c.Egress.Module,
		&c.Ingress.Directory, &c.Ingress.Module} {
		if *p != "" && !filepath.IsAbs(*p) {
			*p = filepath.Join(dir, *p)
		}
	}
}

// Validate checks what can be checked without touching anything.
func (c *Config) Validate() error {
	if err := c.validate(); err != nil {
		return fmt.Errorf("node configuration: %w", err)
	}
	return nil
}

func (c *Config) validate() error {
	for _, f := range []struct{ name, value string }{
		{"member", string(c.Member)}, {"data_dir", c.DataDir}, {"listen", c.Listen}, {"hub.id", string(c.Hub.ID)},
		{"tls.cert", c.TLS.Cert}, {"tls.key", c.TLS.Key}, {"tls.ca", c.TLS.CA},
		{"keys.dir", c.Keys.Dir}, {"keys.secret_file", c.Keys.SecretFile}, {"keys.signing_kid", c.Keys.SigningKID},
		{"authority_key", c.AuthorityKey},
	} {
		if f.value == "" {
			return fmt.Errorf("%s is missing", f.name)
		}
	}
	if _, err := alert.ParseMemberID(string(c.Member)); err != nil {
		return fmt.Errorf("member: %w", err)
	}
	if err := (pki.Identity{Kind: pki.Hub, ID: string(c.Hub.ID)}).Validate(); err != nil {
		return fmt.Errorf("hub.id: %w", err)
	}
	if owner, _, err := keys.SplitKeyID(c.Keys.SigningKID); err != nil || owner != string(c.Member) {
		return errors.New("keys.signing_kid is not the id of a key of the member's")
	}
	switch {
	case len(c.Hub.URLs) == 0 && !c.Hub.Offline:
		return errors.New("hub.urls is missing; a node without a network says hub.offline: true")
	case len(c.Hub.URLs) > 0 && c.Hub.Offline:
		return errors.New("hub.urls stands beside hub.offline: a node without a network has no addresses")
	}
	for _, u := range c.Hub.URLs {
		if err := hubclient.CheckURL(u); err != nil {
			return fmt.Errorf("hub.urls: %w", err)
		}
	}
	if err := checkLoopback(c.Listen); err != nil {
		return fmt.Errorf("listen: %w", err)
	}
	if c.Ingress.Module != "" && c.Ingress.Directory == "" {
		return errors.New("ingress.module needs ingress.directory: without users there is nothing to decide")
	}
	if err := c.Publishing.validate(c.Ingress.Directory != ""); err != nil {
		return fmt.Errorf("publishing: %w", err)
	}
	if c.OpsListen == "" {
		return nil
	}
	if err := checkLoopback(c.OpsListen); err != nil {
		return fmt.Errorf("ops_listen: %w", err)
	}
	return nil
}

// notes is what /readyz tells of the configuration.
func (c *Config) notes() []string {
	if c.Hub.Offline {
		return []string{"no network to the hub: entente export and entente import carry what there is"}
	}
	return nil
}

func (p Publishing) validate(users bool) error {
	if err := p.FourEyes.Validate(); err != nil {
		return err
	}
	if p.FourEyes != "" && p.FourEyes != node.NoFourEyes && !users {
		return fmt.Errorf("four_eyes: %s needs ingress.directory: without users there is nobody to tell apart", p.FourEyes)
	}
	return nil
}

// checkLoopback refuses an address that other machines could reach.
func checkLoopback(address string) error {
	host, _, err := net.SplitHostPort(address)
	if err != nil {
		return err
	}
	if ip := net.ParseIP(host); ip == nil || !ip.IsLoopback() {
		return fmt.Errorf("%q is not a loopback address, such as 127.0.0.1", host)
	}
	return nil
}
