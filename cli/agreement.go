package cli

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/entente-hub/entente/api/alert"
	"github.com/entente-hub/entente/api/federation"
	"github.com/entente-hub/entente/api/nodeapi"
	"github.com/entente-hub/entente/api/problem"
)

func agreementCommand() *cobra.Command {
	return group(&cobra.Command{
		Use:   "agreement",
		Short: "Propose, countersign, amend, suspend and resume agreements",
		Long: `An agreement says what its parties may give one another. It is a statement that
every party signs with its root key: one proposes it, the others sign, and with the last
signature it is in force, as a version of that agreement. To amend it is to propose the
next version, which all sign again, those too who leave it.

Any one party suspends it, alone and at once; then nothing rests on it. Each party
that has suspended it resumes for itself, with its root key; it is in force again
when none suspends it. At the end of its validity it ends by itself.

The hub can neither invent nor alter one: every node verifies the signatures itself.`,
		Example: `  entente agreement propose --terms terms.yaml --config nodes/XA/node.yaml --keys nodes/XA/root
  entente agreement list --config nodes/XB/node.yaml
  entente agreement sign 3q2-7wEjRWeJqrvM3e7_ABEiM0RVZneImaq7zN3u_xE --config nodes/XB/node.yaml --keys nodes/XB/root
  entente agreement suspend xa-xb-smuggling --reason "under review" --config nodes/XB/node.yaml`,
	}, agreementProposeCommand(), agreementShowCommand(), agreementSignCommand(), agreementDeclineCommand(),
		agreementSuspendCommand(), agreementResumeCommand(), agreementListCommand())
}

func agreementProposeCommand() *cobra.Command {
	var f nodeFlags
	var k keyFlags
	var file string
	c := &cobra.Command{
		Use:   "propose --terms terms.yaml --keys DIR",
		Short: "Propose an agreement, or an amendment of one, to its parties",
		Long: `Reads terms from a file, signs them with the member's root key and brings them to
the hub, where the other parties see them. Where an agreement of that id has been in
force before, it is the next version: an amendment, or a renewal.

The file is YAML; an unknown field is an error:

` + termsExample,
		Example: "  entente agreement propose --terms terms.yaml --config nodes/XA/node.yaml --keys nodes/XA/root",
		Args:    noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if file == "" {
				return usage("--terms is needed")
			}
			a, err := loadTerms(file)
			if err != nil {
				return err
			}
			if a.ValidUntil <= time.Now().Unix() {
				return usage("%s: valid_until, %s, has passed: nothing could rest on such an agreement", file, day(a.ValidUntil))
			}
			return f.with(func(node *asked) error {
				signer, err := k.root(node.member)
				if err != nil {
					return err
				}
				was, err := node.inForce(cmd.Context(), a.ID)
				if err != nil {
					return err
				}
				last, _, err := node.Chain(cmd.Context(), federation.TypeAgreement, a.Subject())
				if err != nil {
					return err
				}
				what := fmt.Sprintf("agreement %s, version 1", a.ID)
				if was != nil {
					if sameTerms(a, &was.Terms) {
						return usage("%s: these are the terms of version %d already", file, was.Version)
					}
					what = fmt.Sprintf("agreement %s, version %d, after version %d", a.ID, last+1, last)
				}
				state, err := node.propose(cmd.Context(), federation.TypeAgreement, a, signer)
				if err != nil {
					return err
				}
				return node.printAgreed(cmd, what, a, state, f.asJSON)
			})
		},
	}
	f.add(c)
	k.add(c, "the member's root")
	c.Flags().StringVar(&file, "terms", "", "file of the terms, YAML")
	return c
}

// inForce finds an agreement by its id, nil if there is none.
func (n *asked) inForce(ctx context.Context, id federation.AgreementID) (*nodeapi.Agreement, error) {
	all, err := n.Agreements(ctx)
	if err != nil {
		return nil, err
	}
	at := slices.IndexFunc(all, func(a nodeapi.Agreement) bool { return a.Id == string(id) })
	if at < 0 {
		return nil, nil
	}
	return &all[at], nil
}

func agreementSignCommand() *cobra.Command {
	var f nodeFlags
	var k keyFlags
	c := &cobra.Command{
		Use:   "sign DIGEST --keys DIR",
		Short: "Countersign a proposed agreement",
		Long: `Shows the terms that a proposal has, and signs them with the member's root key.
The whole digest names what is signed: read it first with entente agreement show,
and compare the digest with the other parties by another way than this one. With the last
signature the agreement is in force, as far as its dates go and no party suspends it:
how it stands then is said.`,
		Example: "  entente agreement sign 3q2-7wEjRWeJqrvM3e7_ABEiM0RVZneImaq7zN3u_xE --config nodes/XB/node.yaml --keys nodes/XB/root",
		Args:    oneArg("the digest of a proposal"),
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := wholeDigest(args[0]); err != nil {
				return err
			}
			return f.with(func(node *asked) error {
				p, err := node.proposal(cmd.Context(), federation.TypeAgreement, args[0])
				if err != nil {
					return err
				}
				terms, err := bodyOf[*federation.Agreement](p)
				if err != nil {
					return err
				}
				signer, err := k.root(node.member)
				if err != nil {
					return err
				}
				if !f.asJSON {
					if err := node.printProposed(cmd.Context(), cmd.OutOrStdout(), p); err != nil {
						return err
					}
				}
				state, err := node.countersign(cmd.Context(), p, signer)
				if err != nil {
					return err
				}
				return node.printAgreed(cmd, "signed by "+signer.Public().KeyID(), terms, state, f.asJSON)
			})
		},
	}
	f.add(c)
	k.add(c, "the member's root")
	return c
}

func agreementDeclineCommand() *cobra.Command {
	var f nodeFlags
	c := &cobra.Command{
		Use:     "decline DIGEST",
		Short:   "Decline a proposed agreement, or withdraw one's own proposal",
		Long:    "Takes a proposal away from the hub. Any party whose signature it needs can, and the member that made it.",
		Example: "  entente agreement decline 3q2-7wEjRWeJqrvM3e7_ABEiM0RVZneImaq7zN3u_xE --config nodes/XB/node.yaml",
		Args:    oneArg("the digest of a proposal"),
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := wholeDigest(args[0]); err != nil {
				return err
			}
			return f.with(func(node *asked) error {
				p, err := node.proposal(cmd.Context(), federation.TypeAgreement, args[0])
				if err != nil {
					return err
				}
				if err := node.Decline(cmd.Context(), p.Proposed.Digest); err != nil {
					return err
				}
				if f.asJSON {
					return printJSON(cmd.OutOrStdout(), map[string]string{"declined": args[0]})
				}
				err = printf(cmd.OutOrStdout(), "declined %s\n", args[0])
				return err
			})
		},
	}
	f.add(c)
	return c
}

func agreementSuspendCommand() *cobra.Command {
	var f nodeFlags
	var k keyFlags
	var reason string
	c := &cobra.Command{
		Use:   "suspend ID --reason TEXT",
		Short: "Suspend an agreement, alone and at once",
		Long: `Suspends an agreement of the member's: from then on nothing rests on it, and what
is not yet handed over stays. The node's own key signs, so that there is no key to
be fetched first; with --keys the root key does. To resume it takes the root key.`,
		Example: `  entente agreement suspend xa-xb-smuggling --reason "under review" --config nodes/XB/node.yaml`,
		Args:    oneArg("the id of an agreement"),
		RunE: func(cmd *cobra.Command, args []string) error {
			return f.with(func(node *asked) error {
				if k.dir != "" {
					return node.rest(cmd, &k, args[0], true, reason, f.asJSON)
				}
				id, err := agreementID(args[0])
				if err != nil {
					return err
				}
				if err := node.Suspend(cmd.Context(), id, reason); err != nil {
					return err
				}
				return node.printStanding(cmd, id, true, f.asJSON)
			})
		},
	}
	f.add(c)
	k.add(c, "the member's root; left out, the node's own key signs")
	c.Flags().StringVar(&reason, "reason", "", "why, for the other parties to read")
	return c
}

func agreementResumeCommand() *cobra.Command {
	var f nodeFlags
	var k keyFlags
	c := &cobra.Command{
		Use:   "resume ID --keys DIR",
		Short: "Take back the member's suspension of an agreement",
		Long: `Signs with the member's root key that it no longer suspends an agreement. It is in
force again when no party suspends it; who still does is said.`,
		Example: "  entente agreement resume xa-xb-smuggling --config nodes/XB/node.yaml --keys nodes/XB/root",
		Args:    oneArg("the id of an agreement"),
		RunE: func(cmd *cobra.Command, args []string) error {
			return f.with(func(node *asked) error { return node.rest(cmd, &k, args[0], false, "", f.asJSON) })
		},
	}
	f.add(c)
	k.add(c, "the member's root")
	return c
}

// rest signs, with the root key, whether the member suspends an agreement.
func (n *asked) rest(cmd *cobra.Command, k *keyFlags, name string, suspended bool, reason string, asJSON bool) error {
	id, err := agreementID(name)
	if err != nil {
		return err
	}
	signer, err := k.root(n.member)
	if err != nil {
		return err
	}
	a, err := n.inForce(cmd.Context(), id)
	if err != nil {
		return err
	}
	if a == nil {
		return problem.New(problem.NotFound, "no agreement %s is in force", id)
	}
	does := suspends(*a, n.member)
	if !does && !suspended {
		return problem.New(problem.Conflict, "%s does not suspend agreement %s", n.member, id)
	}
	if does != suspended {
		body := &federation.Suspension{Agreement: id, Party: n.member, Suspended: suspended, Reason: reason}
		if _, err := n.propose(cmd.Context(), federation.TypeSuspension, body, signer); err != nil {
			return err
		}
	}
	return n.printStanding(cmd, id, suspended, asJSON)
}

// suspends reports whether an agreement rests by a party's word.
func suspends(a nodeapi.Agreement, m alert.MemberID) bool {
	return slices.ContainsFunc(value(a.SuspendedBy), func(s nodeapi.SuspendedBy) bool { return s.Party == string(m) })
}

func agreementID(name string) (federation.AgreementID, error) {
	var id federation.AgreementID
	if err := id.UnmarshalText([]byte(name)); err != nil {
		return "", usage("%v", err)
	}
	return id, nil
}

// printStanding says how an agreement stands now. It is an error that the member does
// not suspend it, or still does, against its word.
func (n *asked) printStanding(cmd *cobra.Command, id federation.AgreementID, suspended, asJSON bool) error {
	a, err := n.inForce(cmd.Context(), id)
	if err != nil {
		return err
	}
	if a == nil {
		return problem.New(problem.NotFound, "no agreement %s is in force", id)
	}
	if err := n.restsAs(*a, suspended); err != nil {
		return err
	}
	if asJSON {
		return printJSON(cmd.OutOrStdout(), a)
	}
	err = printf(cmd.OutOrStdout(), "agreement %s, version %d: %s\n", a.Id, a.Version, standing(*a))
	return err
}

// restsAs refuses an agreement that the node does not show as the member has just
// signed that it stands.
func (n *asked) restsAs(a nodeapi.Agreement, suspended bool) error {
	switch {
	case suspends(a, n.member) == suspended:
		return nil
	case suspended:
		return problem.New(problem.Unavailable, "agreement %s is NOT suspended as far as the node has verified: the hub has taken the statement and does not show it", a.Id)
	}
	return problem.New(problem.Unavailable, "%s still suspends agreement %s as far as the node has verified: the hub has taken the statement and does not show it",
		n.member, a.Id)
}

// standing is how an agreement stands, in words.
func standing(a nodeapi.Agreement) string {
	var by []string
	for _, s := range value(a.SuspendedBy) {
		words := s.Party
		if s.Reason != nil {
			words += " (" + quoted(*s.Reason) + ")"
		}
		by = append(by, words)
	}
	words := string(a.State)
	switch {
	case a.State == nodeapi.Ended:
		words = "ended: a party has left; sign a new version"
	case len(by) > 0:
		words += " by " + strings.Join(by, ", ")
	}
	if f := a.Follows; f != nil {
		words += fmt.Sprintf("; version %d follows on %s", f.Version, moment(f.From))
	}
	return words
}
