package cli

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"

	"github.com/spf13/cobra"

	"github.com/entente-hub/entente/api/problem"
	"github.com/entente-hub/entente/crypto/keys"
	nodesqlite "github.com/entente-hub/entente/node/store/sqlite"
	"github.com/entente-hub/entente/sqlitefile"
)

func auditCheckpointCommand() *cobra.Command {
	var config, out string
	c := &cobra.Command{
		Use:   "checkpoint --config node.yaml",
		Short: "Print the last checkpoint of the hub's log that a node has verified",
		Long: `Prints the signed checkpoint of the hub's audit log that a node has verified and
kept last. It is read from the node's database, beside the running node or without
it, and the hub is not asked: a hub that has been restored from a backup is held to
it with "entente restore --checkpoint", or with "entente audit verify --checkpoint".`,
		Example: "  entente audit checkpoint --config nodes/XB/node.yaml --out XB.checkpoint",
		Args:    noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			note, err := keptCheckpoint(cmd.Context(), config)
			if err != nil {
				return err
			}
			if out == "" {
				_, err = cmd.OutOrStdout().Write(note) // a signed note as it is; it was verified when it was stored
				return err
			}
			if err = keys.WriteNewFile(out, note, 0o600); errors.Is(err, keys.ErrExists) {
				return usage("%s exists already; nothing is overwritten", out)
			}
			return err
		},
	}
	c.Flags().StringVar(&config, "config", "node.yaml", "the node's configuration file")
	c.Flags().StringVar(&out, "out", "", "file to make (default: standard output)")
	return c
}

// keptCheckpoint reads the last checkpoint from a node's database.
func keptCheckpoint(ctx context.Context, config string) (note []byte, err error) {
	cfg, err := loadNodeConfig(config)
	if err != nil {
		return nil, err
	}
	file := filepath.Join(cfg.DataDir, nodeKind.database())
	if err := checkSchema(ctx, nodeKind, file); err != nil {
		return nil, err
	}
	st, err := nodesqlite.Open(ctx, file)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, st.Close()) }()
	p, err := st.Position(ctx)
	if err == nil && len(p.Checkpoint) == 0 {
		err = problem.New(problem.Unavailable, "the node has not verified a checkpoint yet")
	}
	return p.Checkpoint, err
}

// checkSchema refuses a database of another schema than this program's, which opening
// it would change under the process that runs on it.
func checkSchema(ctx context.Context, k kind, file string) error {
	known, err := k.schema()
	if err != nil {
		return err
	}
	version, err := sqlitefile.Version(ctx, file)
	if err != nil {
		return fmt.Errorf("%s: %w", file, err)
	}
	if version != known {
		return fmt.Errorf("%s has schema version %d, this program's is %d: use the version of entente that runs it", file, version, known)
	}
	return nil
}
