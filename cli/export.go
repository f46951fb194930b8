package cli

import (
	"bufio"
	"context"
	"io"
	"os"
	"strconv"
	"time"

	"github.com/spf13/cobra"

	"github.com/entente-hub/entente/api/problem"
	"github.com/entente-hub/entente/crypto/pki"
	"github.com/entente-hub/entente/node"
	nodeserver "github.com/entente-hub/entente/node/server"
	"github.com/entente-hub/entente/parcel"
)

func exportCommand() *cobra.Command {
	var config, out string
	var asJSON bool
	c := &cobra.Command{
		Use:   "export --config node.yaml --out FILE",
		Short: "Write what a node has for its hub into a file, to be carried there",
		Long: `For a node without a network to its hub. Writes a parcel: the alerts that wait in the
outbox, acknowledgements, purge receipts and statements that the node has signed, and where it
stands in its feed. Somebody takes it to a machine with a network ("entente courier") and
brings back a file with the hub's answers ("entente import").

Nothing changes at the node: what is in the parcel goes on waiting until its answer is
imported. So a parcel may be lost, carried twice, or made anew at any time.

The parcel is signed with the key of the member's TLS certificate. It holds the alerts in the
clear: it is made with mode 0600, never in the place of another file, and is there only when
it is whole. Where the medium has FAT or exFAT the mode protects nothing. Carry it as what it
holds is to be carried, and destroy it afterwards: no recall erases what is in it. For encryption docs/operations.md has
a recipe.`,
		Example: "  entente export --config nodes/XB/node.yaml --out /media/stick/XB.parcel",
		RunE: func(cmd *cobra.Command, _ []string) error {
			if out == "" {
				return usage("--out is needed")
			}
			cfg, err := loadNodeConfig(config)
			if err != nil {
				return err
			}
			client, err := nodeserver.NewClient(cfg)
			if err != nil {
				return err
			}
			defer client.Close()
			done, err := export(cmd.Context(), cfg, client, out)
			if err != nil {
				return gone(cmd.Context(), err)
			}
			if asJSON {
				return printJSON(cmd.OutOrStdout(), done)
			}
			return done.print(cmd.OutOrStdout())
		},
	}
	c.Flags().StringVar(&config, "config", "node.yaml", "the node's configuration file")
	c.Flags().StringVar(&out, "out", "", "file to make")
	c.Flags().BoolVar(&asJSON, "json", false, "print JSON")
	return c
}

// exported is what export answers.
type exported struct {
	File        string `json:"file"`
	Size        int64  `json:"size"` // in bytes
	ID          string `json:"id"`   // of the parcel
	Member      string `json:"member"`
	Hub         string `json:"hub"`
	Alerts      int    `json:"alerts"`
	Acks        int    `json:"acks"`
	Purges      int    `json:"purges"`
	Submissions int    `json:"submissions"`
	Cursor      int64  `json:"cursor"` // of the feed, after which the hub is asked
}

func (e exported) print(w io.Writer) error {
	printf(w, "Parcel %s of %s for %s: %s, %s\n", plain(e.ID), plain(e.Member), plain(e.Hub), e.File, megabytes(e.Size))
	return table(w, nil, [][]string{
		{indent + "alerts", strconv.Itoa(e.Alerts)}, {indent + "acknowledgements", strconv.Itoa(e.Acks)},
		{indent + "purge receipts", strconv.Itoa(e.Purges)}, {indent + "statements", strconv.Itoa(e.Submissions)},
		{indent + "asks for the feed after item", strconv.FormatInt(e.Cursor, 10)},
	})
}

// export packs what waits at a node.
func export(ctx context.Context, cfg nodeserver.Config, client *nodeserver.Client, out string) (exported, error) {
	cert, err := pki.LoadPair(cfg.TLS.Cert, cfg.TLS.Key)
	if err != nil {
		return exported{}, err
	}
	standing, err := client.Stands(ctx)
	if err != nil {
		return exported{}, err
	}
	if standing.Member != string(cfg.Member) || standing.Hub != string(cfg.Hub.ID) {
		return exported{}, problem.New(problem.Conflict, "the node is one of %s at %s, the configuration of %s at %s", standing.Member, standing.Hub, cfg.Member, cfg.Hub.ID)
	}
	done := exported{File: out, Member: standing.Member, Hub: standing.Hub, Cursor: standing.Cursor}
	err = writeWhole(out, func(f *os.File) error {
		to := bufio.NewWriterSize(f, 1<<20)
		w, err := parcel.NewWriter(to, parcel.Manifest{Bound: parcel.ToHub, Member: cfg.Member, Hub: cfg.Hub.ID,
			Standing: parcel.Standing{Cursor: standing.Cursor, LogSize: standing.LogSize, PublishedAfter: standing.PublishedAfter}}, time.Now())
		if err != nil {
			return err
		}
		packed, err := node.Pack(ctx, client, w)
		if err != nil {
			return err
		}
		if err := w.Close(cert, false); err != nil {
			return err
		}
		if err := to.Flush(); err != nil {
			return err
		}
		done.ID, done.Alerts, done.Acks, done.Purges, done.Submissions = w.Manifest().ID, packed.Alerts, packed.Acks, packed.Purges, packed.Submissions
		done.Size, err = sizeOf(f)
		return err
	})
	return done, err
}
