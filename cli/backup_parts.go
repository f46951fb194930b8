package cli

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"

	"github.com/entente-hub/entente/api/feed"
	"github.com/entente-hub/entente/crypto/keys"
	"github.com/entente-hub/entente/crypto/tlog"
	"github.com/entente-hub/entente/hub"
	hubserver "github.com/entente-hub/entente/hub/server"
	hubsqlite "github.com/entente-hub/entente/hub/store/sqlite"
	nodeserver "github.com/entente-hub/entente/node/server"
	nodesqlite "github.com/entente-hub/entente/node/store/sqlite"
)

// kind is what can be backed up.
type kind string

const (
	hubKind  kind = "hub"
	nodeKind kind = "node"
)

// database is the file's name, in data_dir and in a backup.
func (k kind) database() string { return string(k) + ".db" }

// config is the configuration file's name, by custom and in a backup.
func (k kind) config() string { return string(k) + ".yaml" }

// schema is the version that this program gives to a database of the kind.
func (k kind) schema() (int64, error) {
	if k == hubKind {
		return hubsqlite.Schema()
	}
	return nodesqlite.Schema()
}

// configured is a file or a folder that a configuration names.
type configured struct {
	Field string `json:"field"` // of the configuration, e.g. tls.cert
	Path  string `json:"path"`  // absolute
	name  string // in a backup; "" for what is kept apart
}

// configuredAs are the fields of both configurations that name files which belong
// into a backup, and the names that they have in it.
var configuredAs = map[kind]map[string]string{
	hubKind: {"tls.cert": "tls.crt", "tls.ca": "ca.crt", "authority_key": "authority.jwk"},
	nodeKind: {"tls.cert": "tls.crt", "tls.ca": "ca.crt", "authority_key": "authority.jwk",
		"egress.module": "egress.rego", "ingress.module": "ingress.rego", "ingress.directory": "directory.yaml"},
}

// installation is a hub or a node as backup and restore see it.
type installation struct {
	kind    kind
	id      string // of the hub, or of the member
	dir     string // of the configuration file
	dataDir string
	files   []configured // go into a backup, beside database and configuration
	apart   []configured // are backed up apart, for whoever has them is the hub or the member
	hub     hubserver.Config
	node    nodeserver.Config
}

// parseInstallation reads the bytes of a configuration file in the folder dir.
func parseInstallation(k kind, raw []byte, dir string) (installation, error) {
	in := installation{kind: k, dir: dir}
	var paths map[string]string
	if k == hubKind {
		c := &in.hub
		if err := parseConfig(raw, dir, c); err != nil {
			return in, err
		}
		if c.Postgres != "" || c.PostgresFile != "" {
			return in, errors.New("this hub's database is PostgreSQL, which is backed up by its own means: see docs/operations.md")
		}
		in.id, in.dataDir = string(c.ID), c.DataDir
		paths = map[string]string{"tls.cert": c.TLS.Cert, "tls.ca": c.TLS.CA, "authority_key": c.AuthorityKey}
		in.apart = []configured{{Field: "tls.key", Path: c.TLS.Key}, {Field: "keys.dir", Path: c.Keys.Dir}, {Field: "keys.secret_file", Path: c.Keys.SecretFile}}
	} else {
		c := &in.node
		if err := parseConfig(raw, dir, c); err != nil {
			return in, err
		}
		in.id, in.dataDir = string(c.Member), c.DataDir
		paths = map[string]string{"tls.cert": c.TLS.Cert, "tls.ca": c.TLS.CA, "authority_key": c.AuthorityKey,
			"egress.module": c.Egress.Module, "ingress.module": c.Ingress.Module, "ingress.directory": c.Ingress.Directory}
		in.apart = []configured{{Field: "tls.key", Path: c.TLS.Key}, {Field: "keys.dir", Path: c.Keys.Dir}, {Field: "keys.secret_file", Path: c.Keys.SecretFile}}
	}
	for _, field := range slices.Sorted(maps.Keys(configuredAs[k])) {
		if paths[field] != "" {
			in.files = append(in.files, configured{Field: field, Path: paths[field], name: configuredAs[k][field]})
		}
	}
	return in, nil
}

// database is where the installation has its database.
func (in installation) database() string { return filepath.Join(in.dataDir, in.kind.database()) }

// findInstallation reads the configuration in a folder, hub.yaml or node.yaml, and
// returns its bytes too.
func findInstallation(dir string) (installation, []byte, error) {
	dir, err := filepath.Abs(dir)
	if err != nil {
		return installation{}, nil, err
	}
	var found []kind
	for _, k := range []kind{hubKind, nodeKind} {
		if _, err := os.Stat(filepath.Join(dir, k.config())); err == nil {
			found = append(found, k)
		} else if !errors.Is(err, fs.ErrNotExist) {
			return installation{}, nil, usage("%v", err)
		}
	}
	switch len(found) {
	case 0:
		return installation{}, nil, usage("%s has neither %s nor %s", dir, hubKind.config(), nodeKind.config())
	case 2:
		return installation{}, nil, usage("%s has both %s and %s: keep hub and node in a folder each", dir, hubKind.config(), nodeKind.config())
	}
	file := filepath.Join(dir, found[0].config())
	raw, err := readBounded(file, maxConfigPart)
	if err != nil {
		return installation{}, nil, usage("%v", err)
	}
	in, err := parseInstallation(found[0], raw, dir)
	if err != nil {
		return installation{}, nil, usage("%s: %v", file, err)
	}
	return in, raw, nil
}

// logState is what a hub's backup has of the audit log.
type logState struct {
	Entries    int64  `json:"entries"`
	Root       string `json:"root"`                 // base64
	Checkpoint string `json:"checkpoint,omitempty"` // signed note of both, where the hub's key could be opened
}

// feedState is how far a node's backup has followed its feed.
type feedState struct {
	Hub        string `json:"hub"`
	Seq        int64  `json:"seq"`                  // of the last item stored
	Chain      string `json:"chain,omitempty"`      // the chain value there
	Checkpoint string `json:"checkpoint,omitempty"` // of the hub's audit log, the last verified: a signed note
}

// describeHub opens a hub's database in the folder dir with the hub's own code, and
// recomputes the audit log's root from its entries.
func describeHub(ctx context.Context, dir string) (s *logState, err error) {
	st, err := hubsqlite.Open(ctx, filepath.Join(dir, hubKind.database()))
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, st.Close()) }()
	r, err := hub.ReadLog(ctx, st)
	if errors.Is(err, hub.ErrLog) {
		err = fmt.Errorf("%w: %w", errNotVerified, err)
	}
	return &logState{Entries: r.Size, Root: r.Root}, err
}

// describeNode opens a node's database in the folder dir with the node's own code.
func describeNode(ctx context.Context, dir, hub string) (s *feedState, err error) {
	st, err := nodesqlite.Open(ctx, filepath.Join(dir, nodeKind.database()))
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, st.Close()) }()
	p, err := st.Position(ctx)
	return &feedState{Hub: hub, Seq: p.Seq, Chain: p.Chain, Checkpoint: string(p.Checkpoint)}, err
}

// sign makes the checkpoint of the log's state with the hub's key.
func (s *logState) sign(ctx context.Context, cfg hubserver.Config) error {
	secret, err := keys.SecretFromFile(cfg.Keys.SecretFile)
	if err != nil {
		return fmt.Errorf("keys.secret_file: %w", err)
	}
	store, err := keys.OpenStore(cfg.Keys.Dir, secret)
	if err != nil {
		return fmt.Errorf("keys.dir: %w", err)
	}
	key, err := store.Load(cfg.Keys.SigningKID)
	if err != nil {
		return err
	}
	root, err := decodeRoot(s.Root)
	if err != nil {
		return err
	}
	note, err := tlog.SignCheckpoint(ctx, key, feed.Origin(cfg.ID), s.Entries, root)
	s.Checkpoint = string(note)
	return err
}
