package node

import (
	"context"
	"errors"
	"time"

	"github.com/entente-hub/entente/api/alert"
	"github.com/entente-hub/entente/api/federation"
	"github.com/entente-hub/entente/api/problem"
	"github.com/entente-hub/entente/trust"
)

// Negotiation is what a node asks of a hub about statements that several sign, one
// after the other. As in Hub, nothing that it returns is verified.
type Negotiation interface {
	// Propose hands over a statement with the signatures that it has. The hub adds
	// them to those that it has, and brings it into force with the last.
	Propose(ctx context.Context, raw []byte) (ProposalState, error)
	// Proposals returns the statements that wait for signatures, oldest first.
	Proposals(ctx context.Context) ([]OpenProposal, error)
	// Decline ends a proposal, by the digest of its payload.
	Decline(ctx context.Context, digest string) error
	// SubmitBundle hands over a signed policy bundle; it decides nothing yet.
	SubmitBundle(ctx context.Context, bundle []byte) error
	// Bundles returns which policy bundles the hub has, oldest first.
	Bundles(ctx context.Context) ([]StoredBundle, error)
	// Bundle returns a policy bundle by the digest of its rules.
	Bundle(ctx context.Context, digest string) ([]byte, error)
}

// ProposalState is what became of a statement that was handed over.
type ProposalState struct {
	Digest  string   // of the payload
	InForce bool     // else it waits
	Missing []string // whose signatures are still needed, in words
}

// OpenProposal is a statement that waits for signatures.
type OpenProposal struct {
	Digest string         // of the payload
	By     alert.MemberID // who made it
	At     time.Time
	Raw    []byte // the general JWS with the signatures that are there
}

// StoredBundle is a policy bundle at the hub.
type StoredBundle struct {
	Digest   string // of the rules
	Revision int64
	By       alert.MemberID // who brought it
	At       time.Time
	InForce  bool
}

// Proposed is an open proposal as far as the node has verified it.
type Proposed struct {
	OpenProposal
	// Fault says why it does not verify: then nothing but OpenProposal is set, and
	// nobody should sign it.
	Fault     error
	Statement trust.Statement
	Signers   []string // ids of the keys that have signed, in ascending order
	Missing   []string // whose signatures are still needed, in words
}

// Proposals returns the statements that wait for signatures, oldest first, each
// verified as far as it is signed. One that does not verify is verified again on
// the newest statements. Errors are the hub's.
func (n *Node) Proposals(ctx context.Context) ([]Proposed, error) {
	open, err := n.Hub.Proposals(ctx)
	if err != nil {
		return nil, err
	}
	fresh := false
	list := make([]Proposed, 0, len(open))
	for _, o := range open {
		p := n.known.Load().proposed(n.Now(), o)
		if p.Fault != nil && !fresh {
			if err := n.fetchStatements(ctx); err != nil {
				return nil, err
			}
			fresh = true
			p = n.known.Load().proposed(n.Now(), o)
		}
		list = append(list, p)
	}
	return list, nil
}

// proposed verifies what the hub says is open.
func (k *known) proposed(now time.Time, o OpenProposal) Proposed {
	s, missing, err := k.dir.Propose(now, o.Raw)
	if err == nil && s.Digest != o.Digest {
		err = errors.New("it is not the statement of that digest")
	}
	var signers []string
	if err == nil {
		signers, err = trust.Signers(o.Raw)
	}
	if err != nil {
		return Proposed{OpenProposal: o, Fault: err}
	}
	return Proposed{OpenProposal: o, Statement: s, Signers: signers, Missing: missing}
}

// Propose verifies a statement as far as it is signed and hands it to the hub,
// which brings it into force when all have signed. Then the node has verified it and
// taken it in when Propose returns. Errors are those of trust.Directory.Propose, the
// hub's, or of kind Unavailable where the hub says that it is in force and the node can
// not see it.
func (n *Node) Propose(ctx context.Context, raw []byte) (ProposalState, error) {
	since := n.known.Load()
	s, _, err := since.dir.Propose(n.Now(), raw)
	if err != nil { // it may rest on what the node does not know yet
		more, fetchErr := n.learnMore(ctx, since)
		if fetchErr != nil || !more {
			return ProposalState{}, err // what is wrong here, not that the hub is away
		}
		if s, _, err = n.known.Load().dir.Propose(n.Now(), raw); err != nil {
			return ProposalState{}, err
		}
	}
	state, err := n.Hub.Propose(ctx, raw)
	if err != nil {
		return ProposalState{}, err
	}
	if err := n.checkBrought(ctx, raw, s, state); err != nil {
		return ProposalState{}, err
	}
	return state, nil
}

// takeInNow fetches what the hub has just brought into force, so that the caller
// sees it; where that fails, the loop that does it anyway is woken.
func (n *Node) takeInNow(ctx context.Context) {
	if err := n.fetchStatements(ctx); err != nil {
		wake(n.woken.statements)
	}
}

// asOfNow is what is known once the hub was asked for new statements. Where it is
// away, or has no time for this member, what was known before will do: it was verified.
func (n *Node) asOfNow(ctx context.Context) (*known, error) {
	err := n.fetchStatements(ctx)
	switch kind := problem.KindOf(err); {
	case err == nil, kind == problem.Unavailable, kind == problem.RateLimited:
		return n.registered()
	}
	return nil, err
}

// Chain returns the revision and digest of the statement in force in a chain; 0
// and "" where there is none, so that revision 1 comes next. As everything that
// tells how statements stand, it asks the hub for new ones first, and goes without
// where the hub is away.
func (n *Node) Chain(ctx context.Context, t federation.StatementType, subject string) (revision int64, digest string, err error) {
	k, err := n.asOfNow(ctx)
	if err != nil {
		return 0, "", err
	}
	s, _ := k.dir.Head(t, subject)
	return s.Revision, s.Digest, nil
}

// Decline ends a proposal. Errors are the hub's.
func (n *Node) Decline(ctx context.Context, digest string) error { return n.Hub.Decline(ctx, digest) }

// history returns all statements of one type that k holds, in the order
// in which they came. The directory holds each by its digest: what the database
// says besides is passed over.
func (n *Node) history(ctx context.Context, k *known, t federation.StatementType) ([]trust.Statement, error) {
	stored, err := n.Store.Statements(ctx)
	if err != nil {
		return nil, problem.Wrap(problem.Unavailable, err, "the statements can not be read")
	}
	var list []trust.Statement
	for _, s := range stored {
		payload, err := payloadOf(s.Raw)
		if err != nil || !k.dir.Holds(federation.Digest(payload)) {
			continue
		}
		st, body, err := federation.ParseStatement(payload)
		if err == nil && st.Type == t {
			list = append(list, trust.Statement{Statement: st, Body: body, Digest: federation.Digest(payload), Raw: s.Raw})
		}
	}
	return list, nil
}
