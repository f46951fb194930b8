package node

import (
	"context"

	"github.com/entente-hub/entente/api/problem"
	"github.com/entente-hub/entente/node/store"
	"github.com/entente-hub/entente/parcel"
)

// Where there is no network to the hub, what would go over the wire is carried: the node
// packs what waits (Pack), somebody plays it to the hub and writes down the answers
// (Courier), and the node takes these (Import) by the steps that it takes over the wire.

// How much of a queue is packed into one part.
const (
	packedAlerts = 16 // each has at most keys.MaxJWS bytes
	packedOthers = ackPage
)

// Source is what a parcel is packed from: a node, or the way to one. Errors are
// *problem.Error.
type Source interface {
	// Standing tells where the node stands.
	Standing(ctx context.Context) (parcel.Standing, error)
	// Waiting returns some of what waits for the hub after a place in order, 0: from the
	// first; none: that was all. Kinds are those of a parcel that goes to a hub.
	Waiting(ctx context.Context, kind parcel.Kind, after int64) ([]store.Waiting, error)
}

var _ Source = (*Node)(nil)

// Standing implements Source.
func (n *Node) Standing(ctx context.Context) (parcel.Standing, error) {
	pos, err := n.Store.Position(ctx)
	if err != nil {
		return parcel.Standing{}, problem.Wrap(problem.Unavailable, err, "the position can not be read")
	}
	size, err := logSize(pos)
	if err != nil {
		return parcel.Standing{}, err
	}
	s := parcel.Standing{Cursor: pos.Seq, LogSize: size}
	s.PublishedAfter, err = n.lastIndex(ctx)
	return s, err
}

// Waiting implements Source.
func (n *Node) Waiting(ctx context.Context, kind parcel.Kind, after int64) (list []store.Waiting, err error) {
	switch kind {
	case parcel.Alerts:
		list, err = n.Store.QueuedAfter(ctx, after, packedAlerts)
	case parcel.Acks:
		var acks []store.Ack
		acks, err = n.Store.AcksAfter(ctx, after, packedOthers)
		for _, a := range acks {
			list = append(list, store.Waiting{Place: a.Seq, Token: a.Token})
		}
	case parcel.Purges:
		var purges []store.Purge
		purges, err = n.Store.PurgesAfter(ctx, after, packedOthers)
		for _, p := range purges {
			list = append(list, store.Waiting{Place: p.N, Token: p.Token})
		}
	case parcel.Submissions:
		list, err = n.ownAfter(ctx, after)
	default:
		return nil, problem.New(problem.Malformed, "nothing of the kind %.20q waits for a hub", string(kind))
	}
	if err != nil {
		return nil, problem.Wrap(problem.Unavailable, err, "what waits can not be read")
	}
	return list, nil
}

// ownAfter returns the statements that the node has signed and does not know the fate of.
// There are few of them: nothing else is signed in a chain in which one waits.
func (n *Node) ownAfter(ctx context.Context, after int64) (list []store.Waiting, err error) {
	own, err := n.Store.Own(ctx)
	for i := int(after); i < min(len(own), int(after)+packedOthers); i++ {
		list = append(list, store.Waiting{Place: int64(i) + 1, Token: string(own[i])})
	}
	return list, err
}

// Packed counts what a parcel to a hub has.
type Packed struct{ Alerts, Acks, Purges, Submissions int }

// Pack writes all that waits for the hub into a parcel, which was begun with the node's
// standing. Nothing of it is changed at the node: it waits until an answer is imported.
func Pack(ctx context.Context, from Source, w *parcel.Writer) (Packed, error) {
	var p Packed
	for _, q := range []struct {
		kind parcel.Kind
		n    *int
	}{{parcel.Submissions, &p.Submissions}, {parcel.Alerts, &p.Alerts}, {parcel.Acks, &p.Acks}, {parcel.Purges, &p.Purges}} {
		for after := int64(0); ; {
			list, err := from.Waiting(ctx, q.kind, after)
			if err != nil {
				return p, err
			}
			if len(list) == 0 {
				break
			}
			texts := make([]string, len(list))
			for i, x := range list {
				if x.Place <= after {
					return p, problem.New(problem.Internal, "%s are not in order: %d after %d", q.kind, x.Place, after)
				}
				after, texts[i] = x.Place, x.Token
			}
			if err := w.Add(q.kind, texts); err != nil {
				return p, err
			}
			*q.n += len(texts)
		}
	}
	return p, nil
}
