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

// signPurges signs a receipt for each, dated iat, in one call of the key store. With an
// error they are returned as they are, to be signed later.
func (n *Node) signPurges(ctx context.Context, list []store.Purge, iat int64) ([]store.Purge, error) {
	if len(list) == 0 {
		return nil, nil
	}
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
	acks, purges, err := n.Store.Unsigned(ctx, ackPage)
	if err != nil || len(acks)+len(purges) == 0 {
		return false, err
	}
	now := n.Now().Unix()
	list := make([]feed.Ack, len(acks))
	for i, a := range acks {
		list[i] = feed.Ack{Issuer: n.Member, Hub: n.HubID, Seq: a.Seq, Chain: a.Chain, IssuedAt: now}
	}
	if acks, err = n.signAcks(ctx, list); err != nil {
		return false, err
	}
	if purges, err = n.signPurges(ctx, purges, now); err != nil {
		return false, err
	}
	if err := n.Store.Signed(ctx, acks, purges); err != nil {
		return false, err
	}
	wake(n.woken.acks)
	return true, nil
}

// purgesStep sends a batch of purge receipts.
func (n *Node) purgesStep(ctx context.Context) (more bool, err error) {
	purges, err := n.Store.Purges(ctx, ackPage)
	if err != nil || len(purges) == 0 {
		return false, err
	}
	err = n.sendPurges(ctx, purges)
	if slices.Contains(ackRefusals, problem.KindOf(err)) && ctx.Err() == nil {
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
	n.health.contact(n.Now())
	return n.Store.PurgesTaken(ctx, ns)
}

// purgeOneByOne finds those that the hub refuses and keeps them back with an alarm, as
// ackOneByOne does.
func (n *Node) purgeOneByOne(ctx context.Context, purges []store.Purge) error {
	for _, p := range purges {
		err := n.sendPurges(ctx, []store.Purge{p})
		if err == nil {
			continue
		}
		if !slices.Contains(ackRefusals, problem.KindOf(err)) || ctx.Err() != nil {
			return err
		}
		if err := n.raise(ctx, store.AlarmAck, []byte(p.Token), "the hub refuses the purge receipt of version %d of %s's alert %s: %w",
			p.Version, p.Originator, p.ID, err); err != nil {
			return err
		}
		if err := n.Store.PurgeRefused(ctx, p.N, err.Error()); err != nil {
			return err
		}
	}
	return nil
}
