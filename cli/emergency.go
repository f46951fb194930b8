package cli

import (
	"context"
	"fmt"
	"io"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/entente-hub/entente/api/alert"
	"github.com/entente-hub/entente/api/federation"
	"github.com/entente-hub/entente/api/nodeapi"
	"github.com/entente-hub/entente/api/problem"
)

func emergencyCommand() *cobra.Command {
	return group(&cobra.Command{
		Use:   "emergency",
		Short: "Release an own alert beyond its compartments where a life is threatened",
		Long: `Where a life is threatened, two duty officers of the originator may together have an
alert released to members that are not in its compartments, for up to 72 hours. They
name the threat and the duty to act. Nothing else is widened: not the release list, no
agreement's bar on personal data, no ceiling. Whatever is released so is flagged to
the auditors and held no longer than the emergency lasts. It ends by itself, or before
its time by one duty officer or the node.

Where the node has a directory of users, --user and --purpose say who asks: what is
declared is for the focal point.`,
		Example: `  entente emergency declare 01954c7e-8f5e-7d3a-9c1b-2f4a6b8c0d1e --to XD --compartment tf-river --threat "Boat adrift with 40 on board" \
    --duty "SAR convention, article 2" --for 12h --config nodes/XA/node.yaml --keys nodes/XA/duty-1
  entente emergency sign 3q2-7wEjRWeJqrvM3e7_ABEiM0RVZneImaq7zN3u_xE --config nodes/XA/node.yaml --keys nodes/XA/duty-2`,
	}, emergencyDeclareCommand(), emergencySignCommand(), emergencyEndCommand(), emergencyListCommand())
}

// declaration is what the first officer says.
type declaration struct {
	to, compartments []string
	threat, duty     string
	lasts            time.Duration
}

func (d *declaration) add(c *cobra.Command) {
	c.Flags().StringSliceVar(&d.to, "to", nil, "members that get it, separated by commas")
	c.Flags().StringSliceVar(&d.compartments, "compartment", nil, "task forces whose membership is not asked for, separated by commas")
	c.Flags().StringVar(&d.threat, "threat", "", "to whose life, and how it is known")
	c.Flags().StringVar(&d.duty, "duty", "", "the law or order that obliges to act")
	c.Flags().DurationVar(&d.lasts, "for", 12*time.Hour, "how long it lasts, up to 72h")
}

// body reads the declaration of an emergency from now on.
func (d *declaration) body(originator alert.MemberID, id alert.ID, now time.Time) (*federation.Emergency, error) {
	if len(d.to) == 0 || len(d.compartments) == 0 || d.threat == "" || d.duty == "" {
		return nil, usage("--to, --compartment, --threat and --duty are needed")
	}
	if d.lasts < time.Minute || d.lasts > federation.MaxEmergency {
		return nil, usage("--for lies between 1m and %.0fh", federation.MaxEmergency.Hours())
	}
	e := &federation.Emergency{Originator: originator, Alert: id, Threat: d.threat, Duty: d.duty,
		ValidFrom: now.Unix(), ValidUntil: now.Add(d.lasts).Unix()}
	for _, name := range d.to {
		m, err := alert.ParseMemberID(name)
		if err != nil {
			return nil, usage("--to: %v", err)
		}
		e.Members = append(e.Members, m)
	}
	for _, name := range d.compartments {
		tf, err := alert.ParseTaskForceID(name)
		if err != nil {
			return nil, usage("--compartment: %v", err)
		}
		e.Compartments = append(e.Compartments, tf)
	}
	return e, nil
}

func emergencyDeclareCommand() *cobra.Command {
	var f nodeFlags
	var k keyFlags
	var d declaration
	c := &cobra.Command{
		Use:   "declare ALERT --to XD --compartment TF --threat TEXT --duty TEXT --for 12h --keys DIR",
		Short: "Declare an emergency, as the first of two duty officers",
		Long: `Signs the declaration with a duty officer's key and brings it to the hub, where it
waits for a second duty officer of the same member: nothing is released before. A later
declaration for the same alert takes the place of an earlier one.`,
		Example: `  entente emergency declare 01954c7e-8f5e-7d3a-9c1b-2f4a6b8c0d1e --to XD --compartment tf-river --threat "Boat adrift" --duty "SAR convention" --keys nodes/XA/duty-1`,
		Args:    oneArg("the id of an alert"),
		RunE: func(cmd *cobra.Command, args []string) error {
			id, err := alert.ParseID(args[0])
			if err != nil {
				return usage("%v", err)
			}
			return f.with(func(node *asked) error {
				e, err := d.body(node.member, id, time.Now())
				if err != nil {
					return err
				}
				signer, err := k.duty(node.member)
				if err != nil {
					return err
				}
				if e.Number, err = node.NextEmergency(cmd.Context(), id); err != nil {
					return err
				}
				all, err := node.Emergencies(cmd.Context())
				if err != nil {
					return err
				}
				state, err := node.propose(cmd.Context(), federation.TypeEmergency, e, signer)
				if err != nil {
					return err
				}
				if f.asJSON {
					return printJSON(cmd.OutOrStdout(), newDeclaredJSON(state, e, all))
				}
				if err := printReplaced(cmd.OutOrStdout(), e, all); err != nil {
					return err
				}
				return printState(cmd.OutOrStdout(), fmt.Sprintf("emergency number %d for alert %s", e.Number, id), state, false)
			})
		},
	}
	f.addAs(c)
	k.add(c, "a duty officer")
	d.add(c)
	return c
}

func emergencySignCommand() *cobra.Command {
	var f nodeFlags
	var k keyFlags
	c := &cobra.Command{
		Use:   "sign DIGEST --keys DIR",
		Short: "Declare an emergency, as the second of two duty officers",
		Long: `Shows what the first duty officer has declared, and signs it with another's key. With
that it is in force, and takes the place of an earlier emergency of that alert: whom that
one names is shown too. The whole digest names what is signed.`,
		Example: "  entente emergency sign 3q2-7wEjRWeJqrvM3e7_ABEiM0RVZneImaq7zN3u_xE --config nodes/XA/node.yaml --keys nodes/XA/duty-2",
		Args:    oneArg("the digest of a proposal"),
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := wholeDigest(args[0]); err != nil {
				return err
			}
			return f.with(func(node *asked) error { return node.signEmergency(cmd, args[0], &k, f.asJSON) })
		},
	}
	f.addAs(c)
	k.add(c, "a duty officer")
	return c
}

func emergencyEndCommand() *cobra.Command {
	var f nodeFlags
	var k keyFlags
	c := &cobra.Command{
		Use:   "end ALERT",
		Short: "End the emergency of an alert before its time",
		Long: `Ends the last emergency that was declared for an alert of the member's own, and with
it all of them. The node's own key signs, or with --keys that of one duty officer.`,
		Example: "  entente emergency end 01954c7e-8f5e-7d3a-9c1b-2f4a6b8c0d1e --config nodes/XA/node.yaml",
		Args:    oneArg("the id of an alert"),
		RunE: func(cmd *cobra.Command, args []string) error {
			id, err := alert.ParseID(args[0])
			if err != nil {
				return usage("%v", err)
			}
			return f.with(func(node *asked) error {
				if k.dir == "" {
					err = node.EndEmergency(cmd.Context(), id)
				} else {
					err = node.endAs(cmd, &k, id)
				}
				if err != nil {
					return err
				}
				if err := node.isOver(cmd.Context(), id); err != nil {
					return err
				}
				if f.asJSON {
					return printJSON(cmd.OutOrStdout(), map[string]string{"ended": string(id)})
				}
				return printf(cmd.OutOrStdout(), "the emergency for alert %s is over\n", id)
			})
		},
	}
	f.addAs(c)
	k.add(c, "a duty officer; left out, the node's own key signs")
	return c
}

// endAs ends the last emergency of an alert with a duty officer's key.
func (n *asked) endAs(cmd *cobra.Command, k *keyFlags, id alert.ID) error {
	signer, err := k.duty(n.member)
	if err != nil {
		return err
	}
	all, err := n.Emergencies(cmd.Context())
	if err != nil {
		return err
	}
	last := lastOf(all, n.member, id)
	if last == nil || last.Over || !time.Now().Before(last.Until) {
		return problem.New(problem.NotFound, "no emergency of alert %s can be ended", id)
	}
	e := &federation.Emergency{Originator: n.member, Alert: id, Number: last.Number, Threat: last.Threat, Duty: last.Duty,
		ValidFrom: last.From.Unix(), ValidUntil: last.Until.Unix(), Over: true}
	for _, m := range last.Members {
		e.Members = append(e.Members, alert.MemberID(m))
	}
	for _, tf := range last.Compartments {
		e.Compartments = append(e.Compartments, alert.TaskForceID(tf))
	}
	_, err = n.propose(cmd.Context(), federation.TypeEmergency, e, signer)
	return err
}

// isOver refuses that an emergency is ended which the node still shows.
func (n *asked) isOver(ctx context.Context, id alert.ID) error {
	all, err := n.Emergencies(ctx)
	if err != nil {
		return err
	}
	if last := lastOf(all, n.member, id); last == nil || !last.Over || inForceOf(all, n.member, id) != nil {
		return problem.New(problem.Unavailable, "the emergency of alert %s is NOT over as far as the node has verified: the hub has taken the statement and does not show it", id)
	}
	return nil
}

func emergencyListCommand() *cobra.Command {
	var f nodeFlags
	c := &cobra.Command{
		Use:   "list",
		Short: "List emergencies that the member declared or is named in",
		Long: `Lists emergencies as the node itself has verified them, those over too, and the
declarations that wait for a second duty officer; where the hub is away these are left
out, and that is said.`,
		Example: "  entente emergency list --config nodes/XA/node.yaml",
		Args:    noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return f.with(func(node *asked) error {
				all, err := node.Emergencies(cmd.Context())
				if err != nil {
					return err
				}
				waiting, err := node.waiting(cmd, federation.TypeEmergency)
				if err != nil {
					return err
				}
				if f.asJSON {
					return printJSON(cmd.OutOrStdout(), struct {
						Emergencies []nodeapi.Emergency `json:"emergencies"`
						Proposals   []nodeapi.Proposed  `json:"proposals"`
					}{all, waiting})
				}
				return printEmergencies(cmd.OutOrStdout(), all, waiting)
			})
		},
	}
	f.addAs(c)
	return c
}

func printEmergencies(w io.Writer, all []nodeapi.Emergency, waiting []nodeapi.Proposed) error {
	var rows [][]string
	for _, e := range all {
		rows = append(rows, []string{e.Originator + "/" + e.Alert, strconv.Itoa(e.Number), emergencyState(e), strings.Join(e.Members, ", "),
			moment(e.Until), e.Threat, e.Digest})
	}
	for _, p := range waiting {
		s, err := readProposal(p)
		if err != nil {
			rows = append(rows, []string{"?", "?", "NOT VERIFIED: " + err.Error(), "", "", "", p.Digest})
			continue
		}
		if e, ok := s.Body.(*federation.Emergency); ok {
			rows = append(rows, []string{fmt.Sprintf("%s/%s", e.Originator, e.Alert), strconv.Itoa(e.Number),
				"waits for " + strings.Join(value(p.Missing), ", "), list(e.Members), day(e.ValidUntil), e.Threat, p.Digest})
		}
	}
	return table(w, []string{"ALERT", "NUMBER", "STATE", "TO", "UNTIL", "THREAT", "DIGEST"}, rows)
}
