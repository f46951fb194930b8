package cli

import (
	"fmt"
	"io"
	"strings"

	"github.com/spf13/cobra"

	"github.com/entente-hub/entente/api/alert"
	"github.com/entente-hub/entente/api/feed"
	"github.com/entente-hub/entente/api/hubapi"
	"github.com/entente-hub/entente/api/nodeapi"
)

func explainCommand() *cobra.Command {
	var f nodeFlags
	var as reader
	var from string
	var version int32
	c := &cobra.Command{
		Use:   "explain ALERT",
		Short: "Say in plain words why an alert goes, or has come, as it does",
		Long: `Of an alert that was published here: who gets which portion, decided now, what was
handed over, and why: the rule that decides against it, or the agreement that permits
it with its title and version. Of an alert that was received: what this member got,
and why, from what its node has itself verified; nothing of what others got. Of one
that waits in the outbox, or that the hub has refused: that, and the reason.

An alert that is not this member's to know is answered like one that there is not.
Where the node has a directory of users, --user and --purpose say who asks, and
--version which version is meant.`,
		Example: `  entente explain 01954c7e-8f5e-7d3a-9c1b-2f4a6b8c0d1e --config nodes/XA/node.yaml
  entente explain 01954c7e-8f5e-7d3a-9c1b-2f4a6b8c0d1e --from XA --version 1 --config nodes/XB/node.yaml`,
		Args: oneArg("the id of an alert"),
		RunE: func(cmd *cobra.Command, args []string) error {
			id, err := alert.ParseID(args[0])
			if err != nil {
				return usage("%v", err)
			}
			var originator alert.MemberID
			if from != "" {
				if originator, err = alert.ParseMemberID(from); err != nil {
					return usage("--from: %v", err)
				}
			}
			if version < 0 {
				return usage("--version counts from 1")
			}
			client, err := as.client(f.config)
			if err != nil {
				return err
			}
			defer client.Close()
			e, err := client.Explain(cmd.Context(), originator, id, int(version))
			if err != nil {
				return err
			}
			if f.asJSON {
				return printJSON(cmd.OutOrStdout(), e)
			}
			return printExplanation(cmd.OutOrStdout(), e)
		},
	}
	f.add(c)
	as.flags(c)
	c.Flags().StringVar(&from, "from", "", "the originator (default: whoever's it is)")
	c.Flags().Int32Var(&version, "version", 0, "the version (default: the latest that is here)")
	return c
}

func printExplanation(w io.Writer, e *nodeapi.Explanation) error {
	printf(w, "alert %s/%s/%d\n", e.Originator, e.Id, e.Version)
	if e.Audience != nil {
		for _, p := range e.Audience.Portions {
			printf(w, "\nportion %s\n", p.Portion)
			var rows [][]string
			for _, m := range p.Members {
				held := "nothing"
				if m.Held != nil {
					held = string(*m.Held)
				}
				rows = append(rows, []string{m.Member, string(m.Release), held, inPlainWords(m)})
			}
			if err := table(w, []string{"MEMBER", "GETS NOW", "HANDED OVER", "WHY"}, rows); err != nil {
				return err
			}
		}
		return nil
	}
	if e.Outgoing != nil {
		return printSending(w, e.Outgoing)
	}
	for _, p := range value(e.Received) {
		printf(w, "\nportion %s: %s\n", p.Portion, p.Release)
		for _, sentence := range p.Why {
			printf(w, "  %s\n", sentence)
		}
	}
	return nil
}

// printSending says how far the sending of an alert has come of which the hub has not
// answered: nothing of it was decided then.
func printSending(w io.Writer, o *nodeapi.Outgoing) error {
	words := map[nodeapi.OutgoingState]string{
		nodeapi.Queued:   fmt.Sprintf("queued since %s, not accepted by the hub after %d attempts", moment(o.QueuedAt), o.Attempts),
		nodeapi.Accepted: "accepted by the hub, which does not say now who gets it",
		nodeapi.Refused:  "refused by the hub: nobody gets it",
	}
	state, ok := words[o.State]
	if !ok {
		state = string(o.State)
	}
	rows := [][]string{{"sending", state}}
	if o.Problem != nil {
		rows = append(rows, []string{"problem", *o.Problem})
	}
	if codes := value(o.Codes); len(codes) > 0 {
		rows = append(rows, []string{"rules", strings.Join(codes, " ")})
	}
	if o.LastError != nil {
		rows = append(rows, []string{"reason", *o.LastError})
	}
	return table(w, nil, rows)
}

// inPlainWords says why a member gets of a portion what it gets.
func inPlainWords(m hubapi.MemberDecision) string {
	var out []string
	for _, a := range value(m.Agreements) {
		out = append(out, fmt.Sprintf("under %q (%s, version %d)", a.Title, a.Id, a.Version))
	}
	if m.Emergency != nil {
		out = append(out, "only because of a declared emergency")
	}
	if len(out) == 0 && string(m.Release) == string(feed.Content) {
		out = append(out, "membership is enough: it is not protected further")
	}
	if m.Message != nil {
		out = append(out, strings.TrimSuffix(*m.Message, "."))
	}
	words := strings.Join(out, "; ")
	if codes := value(m.Codes); len(codes) > 0 {
		words += " [" + strings.Join(codes, " ") + "]"
	}
	return words
}
