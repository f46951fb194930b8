package cli

import (
	"context"
	"errors"
	"io"
	"strconv"

	"github.com/spf13/cobra"

	"github.com/entente-hub/entente/api/nodeapi"
	nodeserver "github.com/entente-hub/entente/node/server"
)

func importCommand() *cobra.Command {
	var config string
	var asJSON bool
	c := &cobra.Command{
		Use:   "import FILE --config node.yaml",
		Short: "Have a node take the hub's answers out of a file that was carried to it",
		Long: `Hands the answers that "entente courier" has written down to the node, which takes them by
the steps that it takes over the wire, with the same checks: statements, receipts, the feed, the
growth of the audit log. What the file has no answer for goes on waiting.

The node verifies every byte of the file before it takes anything: it must be signed with a TLS
certificate of this member. A file may be imported twice, or late: what was taken is passed
over. One that does not fit where the node stands is refused and says so; then export again.
Of more than 8 GiB none is taken: entente courier --limit makes smaller ones.

The file holds content in the clear, which no recall erases: destroy it afterwards.`,
		Example: "  entente import /media/stick/XB.answer --config nodes/XB/node.yaml",
		Args:    cobra.ArbitraryArgs,
		RunE: func(cmd *cobra.Command, args []string) error {
			if len(args) != 1 {
				return usage("one file is needed, which entente courier has made")
			}
			client, err := nodeClient(config)
			if err != nil {
				return err
			}
			defer client.Close()
			got, err := takeIn(cmd.Context(), client, args[0])
			if err != nil {
				return gone(cmd.Context(), err)
			}
			if asJSON {
				return printJSON(cmd.OutOrStdout(), got)
			}
			return printImported(cmd.OutOrStdout(), got)
		},
	}
	c.Flags().StringVar(&config, "config", "node.yaml", "the node's configuration file")
	c.Flags().BoolVar(&asJSON, "json", false, "print JSON")
	return c
}

// takeIn hands a file to the node.
func takeIn(ctx context.Context, client *nodeserver.Client, file string) (got nodeapi.Imported, err error) {
	f, err := openRegular(file)
	if err != nil {
		return got, err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	size, err := sizeOf(f)
	if err != nil {
		return got, err
	}
	return client.Import(ctx, f, size)
}

func printImported(w io.Writer, i nodeapi.Imported) error {
	if i.Items+i.Accepted+i.Refused+i.Acks+i.Purges+i.Submissions+i.Statements == 0 {
		printf(w, "Nothing in it was new to this node.\n")
	}
	n := func(v int64) string { return strconv.FormatInt(v, 10) }
	err := table(w, nil, [][]string{
		{"feed", n(i.Items) + " items, up to item " + n(i.Cursor)},
		{"outbox", n(i.Accepted) + " accepted, " + n(i.Refused) + " refused"},
		{"acknowledgements", n(i.Acks)}, {"purge receipts", n(i.Purges)},
		{"statements", n(i.Statements) + " new, " + n(i.Submissions) + " of this node's own settled"},
	})
	if err == nil && i.Left {
		err = printf(w, "The hub has more for this node than was carried: export again.\n")
	}
	return err
}
