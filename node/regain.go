package node

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/entente-hub/entente/api/feed"
	"github.com/entente-hub/entente/api/problem"
	"github.com/entente-hub/entente/crypto/keys"
	"github.com/entente-hub/entente/node/store"
)

// A node that was restored from an older backup has forgotten what it published since.
// It could neither supersede nor recall that, and would give its numbers to other
// versions. So before it sends anything after a start it asks the hub what it has
// accepted from this member beyond what the outbox knows. The feed needs nothing of the
// kind: it is followed from where the backup stands.

// regain takes up what the hub has accepted of the member's own and the outbox does not
// have. It does so once after each start; without a registry there is nothing yet.
func (n *Node) regain(ctx context.Context) error {
	if n.regained.Load() {
		return nil
	}
	k, err := n.registered()
	if err != nil {
		return err
	}
	after, err := n.lastIndex(ctx)
	if err != nil {
		return err
	}
	for {
		list, err := n.Hub.Published(ctx, after, feed.MaxPage)
		if err != nil {
			return err
		}
		if len(list) == 0 {
			n.regained.Store(true)
			return nil
		}
		for _, p := range list {
			o, index, err := n.readOwn(k, p)
			if err != nil {
				return fmt.Errorf("what the hub says that this member has published: %w", err)
			}
			if index <= after {
				return fmt.Errorf("the hub lists what this member has published out of order: entry %d after %d", index, after)
			}
			after = index
			if err := n.takeBack(ctx, o); err != nil {
				return err
			}
		}
	}
}

// takeBack stores one of them, and raises an alarm where it was not known.
func (n *Node) takeBack(ctx context.Context, o store.Outgoing) error {
	news, err := n.Store.Regain(ctx, o)
	if o.Recall != nil {
		wake(n.woken.sweep) // as when one is sent
	}
	if err != nil || !news {
		return err
	}
	return n.raise(ctx, store.AlarmRestored, []byte(o.Receipt),
		"version %d of alert %s was published by this member, and not by this node as it is: it was restored from a backup, or another has its keys", o.Version, o.ID)
}

// lastIndex is the log's index of the last alert that the outbox knows to be accepted;
// -1: none.
func (n *Node) lastIndex(ctx context.Context) (int64, error) {
	jws, err := n.Store.LastReceipt(ctx)
	if errors.Is(err, store.ErrNotFound) {
		return -1, nil
	} else if err != nil {
		return 0, problem.Wrap(problem.Unavailable, err, "the outbox can not be read")
	}
	r, err := n.known.Load().receipt(jws)
	if err != nil { // under a key that the hub has no more: from the first, then
		return -1, nil
	}
	return r.LogIndex, nil
}

func (k *known) receipt(jws string) (feed.Receipt, error) {
	payload, _, err := keys.Verify(jws, feed.ReceiptType, k.dir.HubKey)
	if err != nil {
		return feed.Receipt{}, err
	}
	return feed.Parse[feed.Receipt](payload)
}

// readOwn verifies one of the member's own alerts as the hub gives it back: signed by a
// key of the member's, with a receipt of the hub's for it. The hub may have erased some
// of it.
func (n *Node) readOwn(k *known, p PublishedAlert) (store.Outgoing, int64, error) {
	a, err := k.dir.VerifyAlert(p.Token)
	if err != nil {
		return store.Outgoing{}, 0, err
	}
	if a.Issuer != n.Member {
		return store.Outgoing{}, 0, fmt.Errorf("an alert of %s", a.Issuer)
	}
	r, err := k.receipt(p.Receipt)
	if err != nil {
		return store.Outgoing{}, 0, err
	}
	o := store.Outgoing{ID: a.Subject, Version: a.Version, Token: p.Token, Digest: r.Digest, Receipt: p.Receipt,
		QueuedAt: time.Unix(a.IssuedAt, 0).UTC(), Due: ownEnd(a.Alert), Recall: a.Recall, Referring: referringOwn(a.Alert, ""), Delegating: delegatingOf(a.Alert, "")}
	switch whole := digestOf(p.Token) == r.Digest; {
	case r.Issuer != n.HubID || r.Originator != n.Member || r.Alert != a.Subject || r.Version != a.Version:
		return store.Outgoing{}, 0, fmt.Errorf("the receipt is for version %d of alert %s of %s", r.Version, r.Alert, r.Originator)
	case !whole && a.Hidden == 0 && len(a.Portions) > 0:
		return store.Outgoing{}, 0, errors.New("the receipt is for other bytes")
	}
	return o, r.LogIndex, nil
}

// told compares how far the member has acknowledged, by the hub's signed word, with how
// far this node has followed its feed.
func (n *Node) told(ctx context.Context, head feed.Head, jws string, before store.Position) error {
	if head.Acked <= before.Seq {
		return nil
	}
	return n.raise(ctx, store.AlarmRestored, []byte(jws),
		"item %d of the feed was acknowledged by this member, and this node stands before it: it was restored from a backup, or another has its keys", head.Acked)
}
