package node

import (
	"context"
	"time"

	"github.com/entente-hub/entente/api/alert"
	"github.com/entente-hub/entente/api/federation"
	"github.com/entente-hub/entente/api/problem"
	"github.com/entente-hub/entente/trust"
)

// Agreement is the version of an agreement that is in force under its id, or would
// be if it were not suspended, too early or over.
type Agreement struct {
	Statement trust.Statement // its revision is the agreement's version
	Terms     *federation.Agreement
	Standing  trust.Standing
	Suspended []Suspension // by whom, sorted by party
	Follows   *Following   // nil: no later version is signed
}

// Following is the next version of an agreement, signed by all, before its time.
type Following struct {
	Version int64     // revision of its statement
	From    time.Time // when its validity begins
}

// Suspension is a party's word that an agreement rests.
type Suspension struct {
	Party  alert.MemberID
	Reason string
	At     time.Time // when it was signed
}

// Agreements returns the agreements that the node has verified, as they stand now,
// sorted by id. The error is of kind Unavailable, or the hub's.
func (n *Node) Agreements(ctx context.Context) ([]Agreement, error) {
	k, err := n.asOfNow(ctx)
	if err != nil {
		return nil, err
	}
	var list []Agreement
	for _, s := range k.dir.Heads(federation.TypeAgreement) {
		s, later, _ := k.dir.Current(federation.AgreementID(s.Subject), n.Now())
		terms, ok := s.Body.(*federation.Agreement)
		if !ok {
			return nil, problem.New(problem.Internal, "statement %s is no agreement", s.Digest)
		}
		a := Agreement{Statement: s, Terms: terms}
		if len(later) > 0 {
			if next, ok := later[0].Body.(*federation.Agreement); ok {
				a.Follows = &Following{Version: later[0].Revision, From: time.Unix(next.ValidFrom, 0).UTC()}
			}
		}
		var by []trust.Statement
		a.Standing, by = k.dir.Stands(terms.ID, n.Now())
		for _, w := range by {
			if b, ok := w.Body.(*federation.Suspension); ok {
				a.Suspended = append(a.Suspended, Suspension{Party: b.Party, Reason: b.Reason, At: time.Unix(w.IssuedAt, 0).UTC()})
			}
		}
		list = append(list, a)
	}
	return list, nil
}

// Suspend suspends an agreement in this member's name, signed with the node's own
// key; it rests at once. One that this member suspends already stays as it is; a word that
// a registry has ended counts no more. Only the member's root key resumes it. Errors are of kind NotFound (no such agreement),
// Malformed (this member is no party), BadSignature, Unavailable, or the hub's.
func (n *Node) Suspend(ctx context.Context, id federation.AgreementID, reason string) error {
	done, err := n.beforeSigning(ctx)
	if err != nil {
		return err
	}
	defer done()
	k, err := n.asOfNow(ctx)
	if err != nil {
		return err
	}
	if _, ok := k.dir.Head(federation.TypeAgreement, string(id)); !ok {
		return problem.New(problem.NotFound, "no such agreement")
	}
	body := &federation.Suspension{Agreement: id, Party: n.Member, Suspended: true, Reason: reason}
	if head, ok := k.dir.Head(federation.TypeSuspension, body.Subject()); ok && !k.dir.Ended(head) {
		if b, ok := head.Body.(*federation.Suspension); ok && b.Suspended {
			return nil
		}
	}
	_, err = n.sign(ctx, federation.TypeSuspension, body)
	return err
}

// PolicyChange is one statement that brought a policy bundle into force.
type PolicyChange struct {
	Statement trust.Statement
	Policy    *federation.Policy
	Signers   []string // ids of the keys that have signed, in ascending order
	InForce   bool
}

// PolicyHistory returns all that the node has verified about which policy bundles
// were brought into force, oldest first. The error is of kind Unavailable.
func (n *Node) PolicyHistory(ctx context.Context) ([]PolicyChange, error) {
	k, err := n.asOfNow(ctx)
	if err != nil {
		return nil, err
	}
	statements, err := n.history(ctx, k, federation.TypePolicy)
	if err != nil {
		return nil, err
	}
	var list []PolicyChange
	for _, s := range statements {
		p, ok := s.Body.(*federation.Policy)
		if !ok {
			continue
		}
		signers, err := trust.Signers(s.Raw)
		if err != nil {
			return nil, problem.Wrap(problem.Internal, err, "")
		}
		head, _ := k.dir.Head(federation.TypePolicy, s.Subject)
		list = append(list, PolicyChange{Statement: s, Policy: p, Signers: signers, InForce: head.Digest == s.Digest})
	}
	return list, nil
}
