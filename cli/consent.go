package cli

import (
	"context"
	"io"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/entente-hub/entente/api/alert"
	"github.com/entente-hub/entente/api/nodeapi"
)

func consentCommand() *cobra.Command {
	return group(&cobra.Command{
		Use:   "consent",
		Short: "Give and withdraw consent to the release of the member's own alerts",
		Long: `Two rules ask for the originator's consent: originator control, and the third-party
rule for what is derived from an alert, by which leave is also given for what handling
code H2 forbids. A consent names one alert of the member's own and those to whom it, or
what is derived from it, may go. It is a
statement that the node signs; it can be given after publishing, and withdrawn: what was
handed over by then is not called back.

Consent widens nothing else: release list, compartments and agreements still count.`,
		Example: `  entente consent give 01954c7e-8f5e-7d3a-9c1b-2f4a6b8c0d1e --to XB,XC --config nodes/XA/node.yaml
  entente consent withdraw 01954c7e-8f5e-7d3a-9c1b-2f4a6b8c0d1e --to XC --config nodes/XA/node.yaml`,
	}, consentChangeCommand(nodeapi.Give), consentChangeCommand(nodeapi.Withdraw), consentListCommand())
}

func consentChangeCommand(change nodeapi.ConsentChangeChange) *cobra.Command {
	var f nodeFlags
	var to []string
	c := &cobra.Command{
		Use:   "give ALERT --to XB,XC",
		Short: "Consent to the release of an own alert to further members or communities",
		Long: `Adds members or communities to those to whom an alert of the member's own may go.
Where rules asked for that consent alone, the hub releases to them at once.`,
		Example: "  entente consent give 01954c7e-8f5e-7d3a-9c1b-2f4a6b8c0d1e --to XB,XC --config nodes/XA/node.yaml",
		Args:    oneArg("the id of an alert"),
		RunE: func(cmd *cobra.Command, args []string) error {
			if change == nodeapi.Give && len(to) == 0 {
				return usage("--to is needed: members or communities")
			}
			id, err := alert.ParseID(args[0])
			if err != nil {
				return usage("%v", err)
			}
			for _, name := range to {
				if _, err := alert.ParseAudience(name); err != nil {
					return usage("--to: %v", err)
				}
			}
			return f.with(func(node *asked) error {
				wanted := nodeapi.ConsentChange{Alert: string(id), Change: change}
				if len(to) > 0 {
					wanted.Recipients = &to
				}
				return node.changeConsent(cmd.Context(), cmd.OutOrStdout(), wanted, f.asJSON)
			})
		},
	}
	if change == nodeapi.Withdraw {
		c.Use, c.Short = "withdraw ALERT", "Withdraw consent, from all or from some"
		c.Long = `Takes members or communities off again, or all of them where --to is left out. What
they hold already is not called back; nothing further is handed over.`
		c.Example = "  entente consent withdraw 01954c7e-8f5e-7d3a-9c1b-2f4a6b8c0d1e --config nodes/XA/node.yaml"
	}
	f.add(c)
	c.Flags().StringSliceVar(&to, "to", nil, "members or communities, separated by commas")
	return c
}

func (n *asked) changeConsent(ctx context.Context, w io.Writer, change nodeapi.ConsentChange, asJSON bool) error {
	now, err := n.ChangeConsent(ctx, change)
	if err != nil {
		return err
	}
	if asJSON {
		return printJSON(w, now)
	}
	err = printf(w, "alert    %s\nconsent  %s\n", now.Alert, consentedTo(*now))
	return err
}

func consentedTo(c nodeapi.Consent) string {
	if len(c.Recipients) == 0 {
		return "withdrawn"
	}
	return strings.Join(c.Recipients, ", ")
}

func consentListCommand() *cobra.Command {
	var f nodeFlags
	c := &cobra.Command{
		Use:     "list",
		Short:   "List the consents that the member has given",
		Long:    "Lists for each alert to whom the member consents now. Others' consents are not shown to it.",
		Example: "  entente consent list --config nodes/XA/node.yaml",
		Args:    noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return f.with(func(node *asked) error {
				all, err := node.Consents(cmd.Context())
				if err != nil {
					return err
				}
				if f.asJSON {
					return printJSON(cmd.OutOrStdout(), all)
				}
				var rows [][]string
				for _, c := range all {
					rows = append(rows, []string{c.Alert, consentedTo(c), c.At.Format(time.RFC3339), strconv.FormatInt(c.Revision, 10)})
				}
				return table(cmd.OutOrStdout(), []string{"ALERT", "CONSENT TO", "SINCE", "REVISION"}, rows)
			})
		},
	}
	f.add(c)
	return c
}
