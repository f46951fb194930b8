package cli

import (
	"fmt"
	"io"
	"time"

	"github.com/spf13/cobra"

	"github.com/entente-hub/entente/api/alert"
	"github.com/entente-hub/entente/api/nodeapi"
	"github.com/entente-hub/entente/api/problem"
)

// delegationNotes says what a delegation hides, and what it can not hide.
const delegationNotes = `Your member, the one that publishes and the hub know the source; nobody else is told.
Your node refuses objects that have created_by_ref, that stand for your member, or that
stand for an alert, and labels for the publication go without marked_as. Free text, file
names and the ids of objects that you have published elsewhere are yours to look at: where
your member's code or name stands in a text as a word, or its code in a technical name
(x_xa_case, police.xa), the node wants --checked.`

func delegationCommand() *cobra.Command {
	return group(&cobra.Command{
		Use:   "delegation",
		Short: "Have another member publish an alert, so that its source stays unknown",
		Long: `A delegation asks one other member to publish what it says as an alert of its own. That
member's people decide: they publish it, under labels at least as strict as you ask for,
or refuse. Your node is told which alert it became, and nobody else is.

` + delegationNotes,
		Example: `  entente delegation send --to XB --objects crossing.json --labels crossing.yaml --config nodes/XA/node.yaml
  entente delegation list --config nodes/XB/node.yaml
  entente delegation publish XA/01954c7e-8f5e-7d3a-9c1b-2f4a6b8c0d1e --config nodes/XB/node.yaml`,
	}, delegationSendCommand(), delegationListCommand(), delegationShowCommand(), delegationPublishCommand(), delegationRefuseCommand())
}

// delegateFlags say to whom something is delegated.
type delegateFlags struct {
	to, precedence, due string
	checked             bool
}

// body reads them.
func (f *delegateFlags) body(now time.Time) (*nodeapi.DelegateTo, error) {
	if _, err := alert.ParseMemberID(f.to); err != nil {
		return nil, usage("--to: %v", err)
	}
	d := &nodeapi.DelegateTo{To: f.to}
	var err error
	if d.Precedence, d.Due, err = urgency(f.precedence, f.due, now); err != nil {
		return nil, err
	}
	if f.checked {
		d.Checked = &f.checked
	}
	return d, nil
}

func delegationSendCommand() *cobra.Command {
	var f draftFlags
	var to delegateFlags
	var wait time.Duration
	c := &cobra.Command{
		Use:   "send --to MEMBER --objects bundle.json --labels labels.yaml",
		Short: "Ask another member to publish an alert as its own",
		Long: `Sends an alert to one other member alone, with the request to publish it as its own. The
label file is that of the publication: its lists say to whom the other member may give it,
its levels and codes how strictly it is to be marked at least, expires_in how long it may
live. The delegation ends that long after its deadline. To take it back there is entente recall: what
has been published by then only the other member can recall, and its node tells it so.

Where your member's rule takes two persons: entente draft add --delegate-to.

` + delegationNotes,
		Example: "  entente delegation send --to XB --precedence priority --objects crossing.json --labels crossing.yaml --config nodes/XA/node.yaml",
		Args:    noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			delegate, err := to.body(time.Now())
			if err != nil {
				return err
			}
			client, draft, err := f.load()
			if err != nil {
				return err
			}
			defer client.Close()
			draft.Delegate = delegate
			return publish(cmd, client, draft, "", wait, f.asJSON)
		},
	}
	f.add(c)
	c.Flags().StringVar(&to.to, "to", "", "the member that is to publish it")
	c.Flags().StringVar(&to.precedence, "precedence", string(alert.Routine), "flash, immediate, priority or routine")
	c.Flags().StringVar(&to.due, "due", "", "when it is to be published or refused: as 2027-03-01T12:00:00Z, or from now, as 36h")
	c.Flags().BoolVar(&to.checked, "checked", false, "you have looked at every place in which your member is named")
	c.Flags().DurationVar(&wait, "wait", receiptWait, "how long to wait for the hub's receipt; 0: not at all")
	return c
}

func delegationListCommand() *cobra.Command {
	var f nodeFlags
	var state string
	var limit int
	c := &cobra.Command{
		Use:   "list --config node.yaml",
		Short: "List delegations, sent and received: what waits, what became of it",
		Long: `Lists the delegations that your member has sent and received until they expire: first
those of which your member has published something that rests on nothing any more, since
the source has recalled the delegation or it has ended, with the command by which your
member can recall that; then the late ones; then by deadline. Nothing is ever recalled by
itself.

Where the node has a directory of users, name one with --user and --purpose: it finds what
it may read.`,
		Example: "  entente delegation list --state waiting --config nodes/XB/node.yaml",
		Args:    noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if limit < 1 || limit > 500 {
				return usage("--limit lies between 1 and 500")
			}
			if s := nodeapi.DelegationState(state); state != "" && !s.Valid() {
				return usage("--state %q: waiting, late, published, refused or recalled", state)
			}
			return f.with(func(node *asked) error {
				list, err := node.Delegations(cmd.Context(), nodeapi.DelegationState(state), limit)
				if err != nil {
					return err
				}
				if f.asJSON {
					return printJSON(cmd.OutOrStdout(), list)
				}
				return printDelegations(cmd.OutOrStdout(), list)
			})
		},
	}
	f.addAs(c)
	c.Flags().StringVar(&state, "state", "", "only those in a state: waiting, late, published, refused or recalled")
	c.Flags().IntVar(&limit, "limit", 100, "how many at most, up to 500")
	return c
}

func delegationShowCommand() *cobra.Command {
	var f nodeFlags
	c := &cobra.Command{
		Use:   "show ORIGINATOR/ID --config node.yaml",
		Short: "Show how a delegation stands, and how its source asks for the publication",
		Long: `Shows how a delegation stands. Of one received that can be published it prints the label
file by which it would be: as your member marks it, with the labels that the source asks
for. Changed to something as strict it can be given to entente delegation publish with
--labels. What it says entente show ORIGINATOR/ID/1 prints.`,
		Example: "  entente delegation show XA/01954c7e-8f5e-7d3a-9c1b-2f4a6b8c0d1e --config nodes/XB/node.yaml",
		Args:    oneArg("a delegation, ORIGINATOR/ID"),
		RunE: func(cmd *cobra.Command, args []string) error {
			originator, id, err := parseAlert(args[0])
			if err != nil {
				return err
			}
			return f.with(func(node *asked) error {
				d, err := node.Delegation(cmd.Context(), originator, id)
				if err != nil {
					return err
				}
				if f.asJSON {
					return printJSON(cmd.OutOrStdout(), d)
				}
				return printDelegation(cmd.OutOrStdout(), d)
			})
		},
	}
	f.addAs(c)
	return c
}

func delegationPublishCommand() *cobra.Command {
	var f feedbackFlags
	var labels string
	var checked bool
	c := &cobra.Command{
		Use:   "publish ORIGINATOR/ID --config node.yaml",
		Short: "Publish what a delegation says as an alert of your member's own",
		Long: `Publishes the content of a received delegation as an alert of your member's own: with an
id, portions and times of its own, and without anything that names the source. Without
--labels it is labelled as the source asks, in your member's scheme; a label file of your
own must be as strict for every object. Your egress policy is asked as with any alert. Once
the hub has the alert your node tells the source which it is, and nobody else.

Given again it publishes nothing more, and prints the alert that was published. What others
say to that alert reaches your member: pass on by hand what the source should know.

Where your member's rule takes two persons: entente draft add --publish.`,
		Example: "  entente delegation publish XA/01954c7e-8f5e-7d3a-9c1b-2f4a6b8c0d1e --config nodes/XB/node.yaml",
		Args:    oneArg("a delegation, ORIGINATOR/ID"),
		RunE: func(cmd *cobra.Command, args []string) error {
			originator, id, err := parseAlert(args[0])
			if err != nil {
				return err
			}
			var p nodeapi.Publication
			if labels != "" {
				plan, err := loadPlan(labels)
				if err != nil {
					return err
				}
				p.Plan = &plan
			}
			if checked {
				p.Checked = &checked
			}
			return f.with(func(node *asked) error {
				out, err := node.PublishDelegation(cmd.Context(), originator, id, p)
				if err != nil {
					return misdrafted(err)
				}
				return f.receipt(cmd.Context(), cmd, node, out)
			})
		},
	}
	f.addAs(c)
	c.Flags().StringVar(&labels, "labels", "", "label file, YAML or JSON (default: as the source asks)")
	c.Flags().BoolVar(&checked, "checked", false, "you have looked at every place in which the source is named")
	c.Flags().DurationVar(&f.wait, "wait", receiptWait, "how long to wait for the hub's receipt; 0: not at all")
	return c
}

func delegationRefuseCommand() *cobra.Command {
	var f feedbackFlags
	var reason string
	c := &cobra.Command{
		Use:   "refuse ORIGINATOR/ID --reason TEXT --config node.yaml",
		Short: "Tell the source of a delegation that it will not be published, and why",
		Long: `Tells the source, and nobody else, that your member will not publish what it delegates,
and why. You may publish it all the same later.

` + feedbackNotes,
		Example: `  entente delegation refuse XA/01954c7e-8f5e-7d3a-9c1b-2f4a6b8c0d1e --reason "Our inquiry would suffer." --config nodes/XB/node.yaml`,
		Args:    oneArg("a delegation, ORIGINATOR/ID"),
		RunE: func(cmd *cobra.Command, args []string) error {
			if reason == "" {
				return usage("--reason is needed")
			}
			d, err := f.draft(args[0], alert.Declined, reason)
			if err != nil {
				return err
			}
			return f.with(func(node *asked) error {
				if _, err := node.Delegation(cmd.Context(), alert.MemberID(d.Originator), alert.ID(d.Alert)); err != nil {
					return err // a request is refused with entente refuse
				}
				out, err := node.Feedback(cmd.Context(), d)
				if err != nil {
					return misdrafted(err)
				}
				return f.receipt(cmd.Context(), cmd, node, out)
			})
		},
	}
	f.addAs(c)
	c.Flags().StringVar(&f.label, "label", "", "file with the label, YAML or JSON (default: the strictest of what is held)")
	c.Flags().DurationVar(&f.wait, "wait", receiptWait, "how long to wait for the hub's receipt; 0: not at all")
	c.Flags().StringVar(&reason, "reason", "", "why it is not published")
	return c
}

// publication reads what is to be published of a delegation.
func (f *newDraft) publication() (*nodeapi.PublicationDraft, error) {
	originator, id, err := parseAlert(f.publish)
	if err != nil {
		return nil, err
	}
	p := &nodeapi.PublicationDraft{Originator: string(originator), Id: string(id)}
	if f.delegate.checked {
		p.Checked = &f.delegate.checked
	}
	if f.labels != "" {
		plan, err := loadPlan(f.labels)
		if err != nil {
			return nil, err
		}
		p.Plan = &plan
	}
	return p, nil
}

// printDelegations writes a delegation a row, and below what is to be done about it.
func printDelegations(w io.Writer, list []nodeapi.Delegation) error {
	var rows [][]string
	for _, d := range list {
		state, with := string(d.State), "from "+d.Party
		if d.State == nodeapi.DelegationLate {
			state = "LATE"
		}
		if d.Own {
			with = "to " + d.Party
		}
		rows = append(rows, []string{state, d.Due.UTC().Format(time.RFC3339), string(d.Precedence), d.Originator + "/" + d.Id, with, publishedAs(d)})
		for _, line := range delegationAdvice(d) {
			rows = append(rows, []string{"", "", "", "", "", indent + line})
		}
	}
	return table(w, []string{"STATE", "DUE", "PRECEDENCE", "DELEGATION", "WITH", "PUBLISHED AS"}, rows)
}

// publishedAs names the alert that a delegation became, "" while there is none.
func publishedAs(d nodeapi.Delegation) string {
	if d.Published == nil {
		return ""
	}
	if given(d.Publication) == string(nodeapi.Queued) {
		return *d.Published + " (queued)"
	}
	return *d.Published
}

// delegationAdvice says what is to be done about what rests on a delegation that is over.
func delegationAdvice(d nodeapi.Delegation) []string {
	over := "has ended"
	if d.Recalled {
		over = "was recalled"
	}
	switch {
	case d.Rests:
		return []string{"The delegation " + over + ". To recall what rests on it:",
			fmt.Sprintf(`entente recall %s --mode purge --reason "…"`, given(d.Published))}
	case d.Recalled && d.Own && d.Published != nil:
		return []string{"The delegation was recalled; " + d.Party + " alone can recall what it has published."}
	}
	return nil
}

func printDelegation(w io.Writer, d *nodeapi.Delegation) error {
	printf(w, "delegation  %s/%s\n", d.Originator, d.Id)
	if d.Own {
		printf(w, "to          %s\n", d.Party)
	}
	printf(w, "state       %s\ndue         %s (%s)\nexpires     %s\n", d.State, d.Due.UTC().Format(time.RFC3339), d.Precedence, d.Expires.UTC().Format(time.RFC3339))
	if as := publishedAs(*d); as != "" {
		printf(w, "published   %s\n", as)
	}
	for _, line := range delegationAdvice(*d) {
		printf(w, "            %s\n", line)
	}
	for _, r := range d.Replies {
		printf(w, "reply       %s %s/%s/%d\n", r.Act, r.Originator, r.Id, r.Version)
	}
	if d.Plan == nil {
		return nil
	}
	if err := printf(w, "\n"); err != nil {
		return problem.Wrap(problem.Internal, err, "")
	}
	return printJSON(w, d.Plan)
}

// delegationOf says in one line what a received delegation asks for, "" if the alert is none.
func delegationOf(d *nodeapi.AlertDelegation) string {
	if d == nil {
		return ""
	}
	return fmt.Sprintf("to be published by %s as its own, %s, due %s", d.To, d.Precedence, d.Due.UTC().Format(time.RFC3339))
}
