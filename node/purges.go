package node

import (
	"cmp"
	"context"
	"encoding/json"
	"slices"

	"github.com/entente-hub/entente/api/alert"
	"github.com/entente-hub/entente/api/feed"
	"github.com/entente-hub/entente/api/problem"
	"github.com/entente-hub/entente/crypto/keys"
	"github.com/entente-hub/entente/node/store"
)

// errAcksFirst: a receipt is dated after the acknowledgements of what it names, so that
// their originator can tell what was handed over again after it was erased.
var errAcksFirst = problem.New(problem.Unavailable, "acknowledgements wait to be signed, and go first")

// dated is the date of a receipt, in seconds since 1970-01-01 UTC: not after the hub's
// clock, by which acknowledgements are dated, nor before the last head.
func (n *Node) dated() int64 {
	now := n.Now()
	return max(now.Add(-max(n.health.ahead(now), 0)).Unix(), n.headAt.Load())
}

// signPurges signs a receipt for each in one call of the key store. With an error they are
// returned as they are, to be signed later.
func (n *Node) signPurges(ctx context.Context, list []store.Purge) ([]store.Purge, error) {
	if len(list) == 0 {
		return nil, nil
	}
	if acks, _, err := n.Store.Unsigned(ctx, 1); err != nil || len(acks) > 0 {
		return list, cmp.Or(err, error(errAcksFirst))
	}
	iat := n.dated()
	payloads := make([][]byte, len(list))
	for i, p := range list {
		var err error
		payloads[i], err = json.Marshal(feed.Purge{Issuer: n.Member, Hub: n.HubID, Originator: p.Originator, Alert: p.ID, Version: p.Version,
			Digest: p.Digest, Cause: p.Cause, Portions: p.Portions, IssuedAt: iat})
		if err != nil {
			return list, err
		}
	}
	tokens, err := keys.SignBatch(ctx, n.Signer, feed.PurgeType, payloads)
	if err != nil {
		return list, problem.Wrap(problem.Unavailable, err, "purge receipts can not be signed now")
	}
	signed := slices.Clone(list)
	for i, token := range tokens {
		signed[i].Token = token
	}
	return signed, nil
}

// signLate signs what could not be signed when it was stored, dated now: the key that
// signs it may not have been certified then.
func (n *Node) signLate(ctx context.Context) (more bool, err error) {
	n.ending.Lock() // nothing is handed over again meanwhile
	defer n.ending.Unlock()
	acks, purges, err := n.Store.Unsigned(ctx, ackPage)
	if err != nil || len(acks)+len(purges) == 0 {
		return false, err
	}
	if len(acks) > 0 {
		now := n.dated()
		list := make([]feed.Ack, len(acks))
		for i, a := range acks {
			list[i] = feed.Ack{Issuer: n.Member, Hub: n.HubID, Seq: a.Seq, Chain: a.Chain, IssuedAt: now}
		}
		acks, err = n.signAcks(ctx, list)
		purges = nil // they go by the next turn
	} else if purges, err = n.stillTrue(ctx, purges); err == nil {
		purges, err = n.signPurges(ctx, purges)
	}
	if err != nil {
		return false, err
	}
	if err := n.Store.Signed(ctx, acks, purges); err != nil {
		return false, err
	}
	wake(n.woken.acks)
	return true, nil
}

// stillTrue takes out of receipts what was handed over again since they were made. One of
// which nothing is left is never signed.
func (n *Node) stillTrue(ctx context.Context, list []store.Purge) (still []store.Purge, err error) {
	for _, p := range list {
		h, err := n.historyOf(ctx, alertKey{p.Originator, p.ID})
		if err != nil {
			return nil, err
		}
		p.Portions = slices.DeleteFunc(p.Portions, func(id alert.PortionID) bool { return h.holds(p.Version, id) })
		if len(p.Portions) > 0 {
			still = append(still, p)
		} else if err := n.Store.PurgeRefused(ctx, p.N, "what it names was handed over again before it was signed"); err != nil {
			return nil, err
		}
	}
	return still, nil
}

// purgesStep sends a batch of purge receipts.
func (n *Node) purgesStep(ctx context.Context) (more bool, err error) {
	purges, err := n.Store.PurgesAfter(ctx, 0, ackPage)
	if err != nil || len(purges) == 0 {
		return false, err
	}
	err = n.sendPurges(ctx, purges)
	if refusedForGood(ctx, err) {
		return true, n.purgeOneByOne(ctx, purges) // which of them is it?
	}
	return err == nil && len(purges) == ackPage, err
}

func (n *Node) sendPurges(ctx context.Context, purges []store.Purge) error {
	tokens, ns := make([]string, len(purges)), make([]int64, len(purges))
	for i, p := range purges {
		tokens[i], ns[i] = p.Token, p.N
	}
	if err := n.Hub.Purged(ctx, tokens); err != nil {
		return err
	}
	n.contact(ctx)
	return n.Store.PurgesTaken(ctx, ns)
}

// purgeOneByOne finds those that the hub refuses and keeps them back with an alarm, as
// ackOneByOne does.
func (n *Node) purgeOneByOne(ctx context.Context, purges []store.Purge) error {
	return oneByOne(ctx, purges, n.sendPurges, func(p store.Purge, why error) error {
		if err := n.raise(ctx, store.AlarmAck, []byte(p.Token), "the hub refuses the purge receipt of version %d of %s's alert %s: %w",
			p.Version, p.Originator, p.ID, why); err != nil {
			return err
		}
		return n.Store.PurgeRefused(ctx, p.N, why.Error())
	})
}
