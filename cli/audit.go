package cli

import (
	"context"
	"errors"
	"fmt"
	"os"

	"github.com/spf13/cobra"

	"github.com/entente-hub/entente/hub"
	hubserver "github.com/entente-hub/entente/hub/server"
)

func auditCommand() *cobra.Command {
	c := &cobra.Command{
		Use:   "audit",
		Short: "Verify the hub's audit log",
		Long: `The hub writes every admission, release and refusal into a log that can only
grow: a Merkle tree whose root it signs in checkpoints. Each node keeps the
checkpoints that it is given and checks that each continues the one before, so
that an entry changed or taken away later does not stay hidden.`,
		Example: "  entente audit verify --config hub/hub.yaml --node nodes/XB/node.yaml",
		RunE: func(cmd *cobra.Command, args []string) error {
			if len(args) > 0 {
				return usage("unknown command %q; see entente audit --help", args[0])
			}
			return cmd.Help()
		},
		Args: cobra.ArbitraryArgs,
	}
	c.AddCommand(auditVerifyCommand(), auditCheckpointCommand())
	return c
}

func auditVerifyCommand() *cobra.Command {
	var config, node, checkpoint string
	var asJSON bool
	c := &cobra.Command{
		Use:   "verify --config hub.yaml (--node node.yaml | --checkpoint FILE)",
		Short: "Recompute the log's root from its entries and hold it against a signed checkpoint",
		Long: `Reads every entry of the hub's audit log from its database, recomputes the root
of the Merkle tree and compares it with a checkpoint that the hub has signed: one
that was kept (--checkpoint), or the one that a node is given now (--node). The
checkpoint's key is taken from the registry that the authority signed.

It ends with exit code 5 if the log does not hold.`,
		Example: "  entente audit verify --config hub/hub.yaml --node nodes/XB/node.yaml",
		Args:    noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if (node == "") == (checkpoint == "") {
				return usage("one of --node and --checkpoint is needed")
			}
			var cfg hubserver.Config
			if err := loadConfig(config, &cfg); err != nil {
				return err
			}
			note, err := readCheckpoint(cmd.Context(), node, checkpoint)
			if err != nil {
				return err
			}
			report, err := verifyLog(cmd.Context(), cfg, note)
			if err != nil {
				return err
			}
			if asJSON {
				return printJSON(cmd.OutOrStdout(), report)
			}
			_, err = fmt.Fprintf(cmd.OutOrStdout(), "The log holds: %d entries, root %s, as the checkpoint says.\n%s", report.Size, report.Root, report)
			return err
		},
	}
	c.Flags().StringVar(&config, "config", "hub.yaml", "the hub's configuration file")
	c.Flags().StringVar(&node, "node", "", "configuration file of a node to fetch the checkpoint with")
	c.Flags().StringVar(&checkpoint, "checkpoint", "", "file with a signed checkpoint")
	c.Flags().BoolVar(&asJSON, "json", false, "print JSON")
	return c
}

func readCheckpoint(ctx context.Context, node, file string) ([]byte, error) {
	if file != "" {
		note, err := os.ReadFile(file)
		if err != nil {
			return nil, usage("%v", err)
		}
		return note, nil
	}
	cfg, err := loadNodeConfig(node)
	if err != nil {
		return nil, err
	}
	client, err := hubClient(cfg)
	if err != nil {
		return nil, err
	}
	defer client.Close()
	return client.Checkpoint(ctx)
}

// verifyLog verifies the log in a hub's database against a signed checkpoint.
func verifyLog(ctx context.Context, cfg hubserver.Config, note []byte) (report hub.LogReport, err error) {
	authority, err := hubserver.ReadPublicKey(cfg.AuthorityKey)
	if err != nil {
		return report, err
	}
	st, err := hubserver.OpenStore(ctx, cfg)
	if err != nil {
		return report, err
	}
	defer func() { err = errors.Join(err, st.Close()) }()
	report, err = hub.VerifyLog(ctx, st, cfg.ID, authority, note)
	if errors.Is(err, hub.ErrLog) {
		err = fmt.Errorf("%w: %w", errNotVerified, err)
	}
	return report, err
}
