package node

import (
	"context"

	"github.com/entente-hub/entente/api/alert"
	"github.com/entente-hub/entente/api/federation"
	"github.com/entente-hub/entente/api/problem"
	"github.com/entente-hub/entente/trust"
)

// Emergency is a declared emergency that the node has verified.
type Emergency struct {
	Statement trust.Statement
	Declared  *federation.Emergency
	InForce   bool // now; else it is over, expired or still to come
}

// Emergencies returns those that this member declared or is named in, sorted by
// subject: others are not for it to know. Where the member has a directory of users they
// are the focal point's affair: for any other reader there are none. Errors are of kind
// Malformed (nobody is named) or Unavailable.
func (n *Node) Emergencies(ctx context.Context, reader *Reader) ([]Emergency, error) {
	if focal, err := n.focal(ctx, reader); err != nil || !focal {
		return nil, err
	}
	return n.emergencies(ctx)
}

func (n *Node) emergencies(ctx context.Context) ([]Emergency, error) {
	k, err := n.asOfNow(ctx)
	if err != nil {
		return nil, err
	}
	world := k.dir.World(n.Now())
	var list []Emergency
	for _, s := range k.dir.Heads(federation.TypeEmergency) {
		b, ok := s.Body.(*federation.Emergency)
		if !ok {
			continue
		}
		counts, ok := world.Emergencies[federation.ConsentKey{Originator: b.Originator, Alert: b.Alert}]
		list = append(list, Emergency{Statement: s, Declared: b, InForce: ok && counts.Digest == s.Digest})
	}
	return list, nil
}

// NextEmergency returns the number that the next emergency of an alert of this
// member's own has. Errors are of kind NotFound (no such alert was published here)
// or Unavailable.
func (n *Node) NextEmergency(ctx context.Context, id alert.ID) (int, error) {
	if err := n.own(ctx, id); err != nil {
		return 0, err
	}
	last, err := n.lastEmergency(ctx, id)
	if err != nil || last == nil {
		return 1, err
	}
	return last.Declared.Number + 1, nil
}

// lastEmergency returns the one that counts of an alert of this member's own, nil if
// there is none.
func (n *Node) lastEmergency(ctx context.Context, id alert.ID) (*Emergency, error) {
	list, err := n.emergencies(ctx)
	if err != nil {
		return nil, err
	}
	var last *Emergency
	for i, e := range list {
		if e.Declared.Originator == n.Member && e.Declared.Alert == id && (last == nil || e.Declared.Number > last.Declared.Number) {
			last = &list[i]
		}
	}
	return last, nil
}

// EndEmergency ends the last emergency of an alert of this member's own, and so all
// of them, signed with the node's key. Errors are of kind NotFound (there is none, or
// it is over), BadSignature, Unavailable, or the hub's.
func (n *Node) EndEmergency(ctx context.Context, id alert.ID) error {
	done, err := n.beforeSigning(ctx)
	if err != nil {
		return err
	}
	defer done()
	last, err := n.lastEmergency(ctx, id)
	if err != nil {
		return err
	}
	if last == nil || last.Declared.Over || n.Now().Unix() >= last.Declared.ValidUntil {
		return problem.New(problem.NotFound, "no such emergency")
	}
	over := *last.Declared
	over.Over = true
	_, err = n.sign(ctx, federation.TypeEmergency, &over)
	return err
}
