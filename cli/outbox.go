package cli

import (
	"io"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"github.com/entente-hub/entente/api/nodeapi"
)

func outboxCommand() *cobra.Command {
	var f nodeFlags
	var limit int
	c := &cobra.Command{
		Use:   "outbox --config node.yaml",
		Short: "List what was published here: versions, recalls, and what became of them",
		Long: `Lists the alerts of your member's own that this node has published, newest first, a line
for each version: a recall is the last one of an alert, and its reason stands below. One that
is queued is sent as soon as the hub takes it; one that was refused, and why, is there too.`,
		Example: "  entente outbox --config nodes/XA/node.yaml",
		RunE: func(cmd *cobra.Command, _ []string) error {
			if limit < 1 || limit > 500 {
				return usage("--limit lies between 1 and 500")
			}
			return f.with(func(node *asked) error {
				list, err := node.Outbox(cmd.Context(), limit)
				if err != nil {
					return err
				}
				if f.asJSON {
					return printJSON(cmd.OutOrStdout(), list)
				}
				return printOutbox(cmd.OutOrStdout(), list)
			})
		},
	}
	f.add(c)
	c.Flags().IntVar(&limit, "limit", 100, "how many at most, up to 500")
	return c
}

func printOutbox(w io.Writer, list []nodeapi.Outgoing) error {
	var rows [][]string
	for _, o := range list {
		what := "alert"
		if o.Recall != nil {
			what = "recall"
		} else if o.Version > 1 {
			what = "next version"
		}
		rows = append(rows, []string{o.Id, strconv.Itoa(int(o.Version)), moment(o.QueuedAt), string(o.State), what})
		if o.Recall != nil {
			rows = append(rows, []string{"", "", "", "", indent + string(recalled(*o.Recall))})
		}
		if o.State != nodeapi.Accepted && (o.Problem != nil || o.LastError != nil) {
			said := strings.TrimSpace(given(o.Problem) + " " + strings.Join(value(o.Codes), " ") + " " + given(o.LastError))
			rows = append(rows, []string{"", "", "", "", indent + said})
		}
	}
	return table(w, []string{"ALERT", "VERSION", "QUEUED", "STATE", "WHAT"}, rows)
}
