package node

import (
	"context"
	"encoding/json"
	"slices"

	"github.com/entente-hub/entente/api/feed"
	"github.com/entente-hub/entente/api/problem"
	"github.com/entente-hub/entente/crypto/keys"
	"github.com/entente-hub/entente/node/store"
)

// ackPage is how many acknowledgements the hub takes at once.
const ackPage = 100

// ackRefusals are the kinds of problem with which the hub refuses an
// acknowledgement for good.
var ackRefusals = []problem.Kind{
	problem.NotFound, problem.Malformed, problem.TooLarge, problem.BadSignature, problem.WrongMember, problem.Forbidden, problem.Conflict,
}

// signAcks signs one acknowledgement for each delivery, in one call of the key store.
func (n *Node) signAcks(ctx context.Context, list []feed.Ack) ([]store.Ack, error) {
	if len(list) == 0 {
		return nil, nil
	}
	payloads := make([][]byte, len(list))
	for i, a := range list {
		var err error
		if payloads[i], err = json.Marshal(a); err != nil {
			return nil, err
		}
	}
	tokens, err := keys.SignBatch(ctx, n.Signer, feed.AckType, payloads)
	if err != nil {
		return nil, problem.Wrap(problem.Unavailable, err, "acknowledgements can not be signed now")
	}
	out := make([]store.Ack, len(tokens))
	for i, t := range tokens {
		out[i] = store.Ack{Seq: list[i].Seq, Token: t}
	}
	return out, nil
}

// acksStep sends a batch of acknowledgements or, when there are none, of purge receipts.
func (n *Node) acksStep(ctx context.Context) (more bool, err error) {
	acks, err := n.Store.AcksAfter(ctx, 0, ackPage)
	if err != nil {
		return false, err
	}
	if len(acks) == 0 {
		return n.purgesStep(ctx)
	}
	err = n.sendAcks(ctx, acks)
	if refusedForGood(ctx, err) {
		return true, n.ackOneByOne(ctx, acks) // which of them is it?
	}
	return err == nil, err
}

func (n *Node) sendAcks(ctx context.Context, acks []store.Ack) error {
	tokens, seqs := make([]string, len(acks)), make([]int64, len(acks))
	for i, a := range acks {
		tokens[i], seqs[i] = a.Token, a.Seq
	}
	if err := n.Hub.Acknowledge(ctx, tokens); err != nil {
		return err
	}
	n.contact(ctx)
	return n.Store.AcksTaken(ctx, seqs)
}

// ackOneByOne finds those that the hub refuses and keeps them back with an alarm:
// a hub that does not know what it has delivered has lost or changed its records.
func (n *Node) ackOneByOne(ctx context.Context, acks []store.Ack) error {
	return oneByOne(ctx, acks, n.sendAcks, func(a store.Ack, why error) error {
		if err := n.raise(ctx, store.AlarmAck, []byte(a.Token), "the hub refuses the acknowledgement of item %d: %w", a.Seq, why); err != nil {
			return err
		}
		return n.Store.AckRefused(ctx, a.Seq, why.Error())
	})
}

// oneByOne sends each message alone and has those that the hub refuses for good kept back.
// Any other error ends it.
func oneByOne[T any](ctx context.Context, list []T, send func(context.Context, []T) error, keepBack func(T, error) error) error {
	for _, m := range list {
		err := send(ctx, []T{m})
		if refusedForGood(ctx, err) {
			err = keepBack(m, err)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// ackRefused reports whether an acknowledgement, or a purge receipt, has been refused for good.
func ackRefused(err error) bool {
	return slices.Contains(ackRefusals, problem.KindOf(err))
}

// refusedForGood reports whether the hub has refused messages, and will again.
func refusedForGood(ctx context.Context, err error) bool {
	return ackRefused(err) && ctx.Err() == nil
}
