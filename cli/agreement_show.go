package cli

import (
	"context"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"github.com/entente-hub/entente/api/federation"
	"github.com/entente-hub/entente/api/hubapi"
	"github.com/entente-hub/entente/api/nodeapi"
	"github.com/entente-hub/entente/api/problem"
)

func agreementListCommand() *cobra.Command {
	var f nodeFlags
	c := &cobra.Command{
		Use:   "list",
		Short: "List agreements, and proposals that wait for signatures",
		Long: `Lists the agreements as the node itself has verified them, and how each stands:
in-force, suspended and by whom, not-yet-valid, expired, or ended where a party has left
the federation; and which version follows on which date. Then the proposals that wait
for signatures, as far as they are this member's affair. Where the hub is away these are
left out, and that is said.`,
		Example: "  entente agreement list --config nodes/XA/node.yaml",
		Args:    noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return f.with(func(node *asked) error {
				all, err := node.Agreements(cmd.Context())
				if err != nil {
					return err
				}
				waiting, err := node.waiting(cmd, federation.TypeAgreement)
				if err != nil {
					return err
				}
				if f.asJSON {
					return printJSON(cmd.OutOrStdout(), agreementsJSON{all, waiting})
				}
				return printAgreements(cmd.OutOrStdout(), all, waiting)
			})
		},
	}
	f.add(c)
	return c
}

// agreementsJSON is what list and show print for programs.
type agreementsJSON struct {
	Agreements []nodeapi.Agreement `json:"agreements"`
	Proposals  []nodeapi.Proposed  `json:"proposals"` // null: the hub could not be asked
}

// proposed returns the open proposals of a type, and those that can not be told from
// one because they do not verify.
func (n *asked) proposed(ctx context.Context, t federation.StatementType) ([]nodeapi.Proposed, error) {
	all, err := n.Proposals(ctx)
	if err != nil {
		return nil, err
	}
	return slices.DeleteFunc(all, func(p nodeapi.Proposed) bool { return p.Fault == nil && *p.Type != string(t) }), nil
}

// waiting is proposed for a command that also shows what the node itself has verified,
// which stands when the hub is away: then it says so, and returns nil.
func (n *asked) waiting(cmd *cobra.Command, t federation.StatementType) ([]nodeapi.Proposed, error) {
	list, err := n.proposed(cmd.Context(), t)
	return list, excuse(cmd, err)
}

// excuse says of an error that the hub could not be asked for proposals, and passes
// every other on.
func excuse(cmd *cobra.Command, err error) error {
	if problem.KindOf(err) != problem.Unavailable && problem.KindOf(err) != problem.RateLimited {
		return err
	}
	return printf(cmd.ErrOrStderr(), "entente: this is what the node has verified; proposals are left out, for the hub could not be asked: %s\n", err)
}

func printAgreements(w io.Writer, all []nodeapi.Agreement, waiting []nodeapi.Proposed) error {
	var rows [][]string
	for _, a := range all {
		rows = append(rows, []string{a.Id, strconv.FormatInt(a.Version, 10), standing(a), list(a.Terms.Parties), day(a.Terms.ValidUntil), a.Digest})
	}
	for _, p := range waiting {
		s, err := readProposal(p)
		if err != nil {
			rows = append(rows, []string{"?", "?", "NOT VERIFIED: " + err.Error(), p.By, "", p.Digest})
			continue
		}
		if a, ok := s.Body.(*federation.Agreement); ok {
			rows = append(rows, []string{string(a.ID), strconv.FormatInt(s.Statement.Revision, 10), "proposed, waits for " + strings.Join(value(p.Missing), ", "),
				list(a.Parties), day(a.ValidUntil), p.Digest})
		}
	}
	return table(w, []string{"AGREEMENT", "VERSION", "STATE", "PARTIES", "UNTIL", "DIGEST"}, rows)
}

func agreementShowCommand() *cobra.Command {
	var f nodeFlags
	c := &cobra.Command{
		Use:   "show ID|DIGEST",
		Short: "Show an agreement's terms in words, and what a proposal would change",
		Long: `Shows an agreement by its id, with what is proposed for it, or one version or
proposal by its digest: the terms in words, who has signed and who is missing. An
amendment is shown beside the version in force: what was (-), and what would be (+).`,
		Example: "  entente agreement show xa-xb-smuggling --config nodes/XA/node.yaml",
		Args:    oneArg("the id or the digest of an agreement"),
		RunE: func(cmd *cobra.Command, args []string) error {
			return f.with(func(node *asked) error { return node.show(cmd, args[0], f.asJSON) })
		},
	}
	f.add(c)
	return c
}

func (n *asked) show(cmd *cobra.Command, name string, asJSON bool) error {
	all, err := n.Agreements(cmd.Context())
	if err != nil {
		return err
	}
	all = slices.DeleteFunc(all, func(a nodeapi.Agreement) bool { return a.Id != name && a.Digest != name })
	waiting, err := n.proposed(cmd.Context(), federation.TypeAgreement)
	if len(all) > 0 {
		err = excuse(cmd, err)
	}
	if err != nil {
		return err
	}
	waiting = slices.DeleteFunc(waiting, func(p nodeapi.Proposed) bool {
		return p.Digest != name && (p.Subject == nil || *p.Subject != name)
	})
	if len(all)+len(waiting) == 0 {
		return problem.New(problem.NotFound, "no agreement or proposal has the id or digest %s", name)
	}
	if asJSON {
		return printJSON(cmd.OutOrStdout(), agreementsJSON{all, waiting})
	}
	for _, a := range all {
		printf(cmd.OutOrStdout(), "agreement %s, version %d: %s\ndigest %s\n", a.Id, a.Version, standing(a), a.Digest)
		if err := printTerms(cmd.OutOrStdout(), &a.Terms, nil); err != nil {
			return err
		}
	}
	for _, w := range waiting {
		p, err := readProposal(w)
		if err != nil {
			return err
		}
		if err := n.printProposed(cmd.Context(), cmd.OutOrStdout(), p); err != nil {
			return err
		}
	}
	return nil
}

// printProposed writes a proposed agreement, and what it changes.
func (n *asked) printProposed(ctx context.Context, w io.Writer, p *opened) error {
	a, err := bodyOf[*federation.Agreement](p)
	if err != nil {
		return err
	}
	was, err := n.inForce(ctx, a.ID)
	if err != nil {
		return err
	}
	what, before := "a new agreement", (*federation.Agreement)(nil)
	if was != nil {
		what, before = fmt.Sprintf("after version %d, which is %s", was.Version, was.State), &was.Terms
	}
	printf(w, "proposal for agreement %s, version %d: %s\ndigest %s\nby %s on %s\n", a.ID, p.Statement.Revision, what, p.Proposed.Digest,
		p.By, moment(p.At))
	if err := printTerms(w, a, before); err != nil {
		return err
	}
	return printSigners(w, p)
}

// agreedJSON is what is said for programs of an agreement that was signed.
type agreedJSON struct {
	*hubapi.ProposalState
	// Terms are what was signed.
	Terms *federation.Agreement `json:"terms"`
	// State is how the agreement stands, left out as long as signatures are missing
	// or the node has not taken it in.
	State nodeapi.AgreementState `json:"state,omitempty"`
}

// printAgreed says what became of an agreement that was signed: for with the last
// signature its time may not have come, or be over, or a party may suspend it.
func (n *asked) printAgreed(cmd *cobra.Command, what string, terms *federation.Agreement, s *hubapi.ProposalState, asJSON bool) error {
	state, words := nodeapi.AgreementState(""), notTakenIn
	if s.InForce {
		a, err := n.inForce(cmd.Context(), terms.ID)
		if err != nil {
			return err
		}
		if a != nil && a.Digest == s.Digest {
			state, words = a.State, agreed(*a)
		} else if a != nil && a.Follows != nil { // the node shows its chain, and an earlier version counts until then
			state, words = nodeapi.NotYetValid, fmt.Sprintf("all have signed; in force from %s, in the place of version %d", day(terms.ValidFrom), a.Version)
		}
	}
	switch w := cmd.OutOrStdout(); {
	case asJSON:
		return printJSON(w, agreedJSON{s, terms, state})
	case !s.InForce:
		return printState(w, what, s, false)
	default:
		return printf(w, "%s\ndigest   %s\nstate    %s\n", what, s.Digest, words)
	}
}

// agreed is how an agreement stands that all have signed, in words.
func agreed(a nodeapi.Agreement) string {
	switch a.State {
	case nodeapi.InForce:
		return "in force"
	case nodeapi.NotYetValid:
		return "all have signed; not yet valid: in force from " + day(a.Terms.ValidFrom)
	case nodeapi.Expired:
		return "all have signed, but it has expired: it ended " + day(a.Terms.ValidUntil)
	}
	return "all have signed, but it is " + standing(a)
}

// printSigners says who has signed a proposal and whose signature it waits for.
func printSigners(w io.Writer, p *opened) error {
	printf(w, "signed by %s\n", strings.Join(value(p.Signers), ", "))
	return printf(w, "waits for %s\n", strings.Join(value(p.Missing), ", "))
}
