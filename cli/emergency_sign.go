package cli

import (
	"context"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/entente-hub/entente/api/alert"
	"github.com/entente-hub/entente/api/federation"
	"github.com/entente-hub/entente/api/hubapi"
	"github.com/entente-hub/entente/api/nodeapi"
	"github.com/entente-hub/entente/api/problem"
	"github.com/entente-hub/entente/trust"
)

// signEmergency signs a declared emergency as the second duty officer.
func (n *asked) signEmergency(cmd *cobra.Command, digest string, k *keyFlags, asJSON bool) error {
	all, err := n.Emergencies(cmd.Context())
	if err != nil {
		return err
	}
	if err := n.numberTaken(cmd.Context(), digest, all); err != nil {
		return err
	}
	p, err := n.proposal(cmd.Context(), federation.TypeEmergency, digest)
	if err != nil {
		return err
	}
	e, err := bodyOf[*federation.Emergency](p)
	if err != nil {
		return err
	}
	signer, err := k.duty(n.member)
	if err != nil {
		return err
	}
	w := cmd.OutOrStdout()
	if !asJSON {
		if err := printDeclared(w, p, e, all); err != nil {
			return err
		}
	}
	state, err := n.countersign(cmd.Context(), p, signer)
	if err != nil {
		return err
	}
	if asJSON {
		return printJSON(w, newDeclaredJSON(state, e, all))
	}
	return printState(w, "signed by "+signer.Public().KeyID(), state, false)
}

// numberTaken refuses a declaration whose number another emergency of that alert has,
// or that would not count because of one with a higher number. It looks before the
// proposal is verified, for then it no longer is one, and only says why.
func (n *asked) numberTaken(ctx context.Context, digest string, all []nodeapi.Emergency) error {
	found, err := n.find(ctx, digest)
	if err != nil {
		return err
	}
	s, err := trust.Parse(found.Statement)
	if err != nil {
		return err
	}
	e, ok := s.Body.(*federation.Emergency)
	if !ok || e.Over {
		return nil // for others to say
	}
	return taken(e, digest, all)
}

// taken says which emergency has the number of e, or a higher one.
func taken(e *federation.Emergency, digest string, all []nodeapi.Emergency) error {
	for _, other := range all {
		if !sameAlert(other, e.Originator, e.Alert) || other.Digest == digest {
			continue
		}
		if other.Number == e.Number {
			return problem.New(problem.Conflict, "emergency number %d of alert %s is another one, %s, to %s, which is %s: declare it anew", e.Number, e.Alert,
				other.Digest, strings.Join(other.Members, ", "), emergencyState(other))
		}
		if other.Number > e.Number {
			return problem.New(problem.Conflict, "emergency number %d of alert %s would not count: there is number %d, %s, to %s, which is %s; declare it anew", e.Number,
				e.Alert, other.Number, other.Digest, strings.Join(other.Members, ", "), emergencyState(other))
		}
	}
	return nil
}

// declaredJSON is what is said for programs of an emergency that was signed.
type declaredJSON struct {
	*hubapi.ProposalState
	Emergency *federation.Emergency `json:"emergency"` // what was signed
	Replaces  *nodeapi.Emergency    `json:"replaces"`  // the one whose place it takes, null: none
}

func newDeclaredJSON(s *hubapi.ProposalState, e *federation.Emergency, before []nodeapi.Emergency) declaredJSON {
	return declaredJSON{s, e, inForceOf(before, e.Originator, e.Alert)}
}

// printDeclared writes an emergency that waits for the second officer.
func printDeclared(w io.Writer, p *opened, e *federation.Emergency, before []nodeapi.Emergency) error {
	if err := table(w, nil, [][]string{{"alert", fmt.Sprintf("%s/%s", e.Originator, e.Alert)}, {"number", strconv.Itoa(e.Number)},
		{"threat", e.Threat}, {"duty", e.Duty}, {"goes to", list(e.Members)}, {"without membership of", list(e.Compartments)},
		{"lasts", "from " + day(e.ValidFrom) + " until " + day(e.ValidUntil)}}); err != nil {
		return err
	}
	if err := printReplaced(w, e, before); err != nil {
		return err
	}
	return printSigners(w, p)
}

// printReplaced says which emergency e takes the place of, and whom that one names: who
// is not named again gets nothing further.
func printReplaced(w io.Writer, e *federation.Emergency, before []nodeapi.Emergency) error {
	was := inForceOf(before, e.Originator, e.Alert)
	if was == nil {
		return printf(w, "takes the place of none: no emergency of this alert is in force\n")
	}
	var dropped []string
	for _, m := range was.Members {
		if !slices.Contains(e.Members, alert.MemberID(m)) {
			dropped = append(dropped, m)
		}
	}
	if err := printf(w, "TAKES THE PLACE of number %d, in force until %s, which names %s\n", was.Number, moment(was.Until),
		strings.Join(was.Members, ", ")); err != nil || len(dropped) == 0 {
		return err
	}
	return printf(w, "NAMED NO LONGER: %s, for whom the emergency ends with this one\n", strings.Join(dropped, ", "))
}

func sameAlert(e nodeapi.Emergency, originator alert.MemberID, id alert.ID) bool {
	return e.Originator == string(originator) && e.Alert == string(id)
}

// inForceOf returns the emergency of an alert that is in force, nil if there is none.
func inForceOf(all []nodeapi.Emergency, originator alert.MemberID, id alert.ID) *nodeapi.Emergency {
	for i, e := range all {
		if e.InForce && sameAlert(e, originator, id) {
			return &all[i]
		}
	}
	return nil
}

// lastOf returns the emergency of an alert with the highest number, nil if there is none.
func lastOf(all []nodeapi.Emergency, originator alert.MemberID, id alert.ID) *nodeapi.Emergency {
	var last *nodeapi.Emergency
	for i, e := range all {
		if sameAlert(e, originator, id) && (last == nil || e.Number > last.Number) {
			last = &all[i]
		}
	}
	return last
}

// emergencyState is how an emergency stands, in words.
func emergencyState(e nodeapi.Emergency) string {
	switch {
	case e.InForce:
		return "in force"
	case e.Over:
		return "ended"
	case !time.Now().Before(e.Until):
		return "expired"
	}
	return "not in force"
}
