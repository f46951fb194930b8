package node

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/entente-hub/entente/api/alert"
	"github.com/entente-hub/entente/api/feed"
	"github.com/entente-hub/entente/api/problem"
	"github.com/entente-hub/entente/crypto/keys"
	"github.com/entente-hub/entente/node/store"
)

// ErrPage is wrapped by every refusal of what the hub has answered to a poll.
var ErrPage = errors.New("the hub's page is refused")

func refusePage(format string, args ...any) error {
	return fmt.Errorf("%w: "+format, append([]any{ErrPage}, args...)...)
}

// feedStep asks for one page, verifies all of it, and only then stores it:
// items, acknowledgements and the new position in one transaction. The position
// is read anew each time, so that a commit whose fate was unknown is seen.
func (n *Node) feedStep(ctx context.Context) (more bool, err error) { return n.follow(ctx, n.Hub.Poll) }

// following is feedStep for a loop that fetches ahead.
func (n *Node) following() func(context.Context) (more bool, err error) {
	ahead := &prefetcher{poll: n.Hub.Poll}
	return func(ctx context.Context) (bool, error) { return n.follow(ctx, ahead.Poll) }
}

func (n *Node) follow(ctx context.Context, ask poll) (more bool, err error) {
	before, err := n.Store.Position(ctx)
	if err != nil {
		return false, err
	}
	asked, wait := time.Now(), pollWait
	if !n.health.follows() {
		wait = 0 // whether the hub answers at all is to be known now
	}
	page, err := ask(ctx, before.Seq, feed.MaxPage, wait)
	if problem.KindOf(err) == problem.CursorUnknown && before.Seq > 0 {
		return false, n.forgotten(ctx, before, err)
	} else if err != nil {
		return false, err
	}
	n.contact(ctx)
	v, err := n.verifyPage(ctx, before, page)
	if err != nil {
		if errors.Is(err, ErrPage) {
			n.health.refusedPages.Add(1)
		}
		return false, err
	}
	if v.After.Chain != before.Chain || !bytes.Equal(v.After.Checkpoint, before.Checkpoint) {
		if err := n.take(ctx, v); err != nil {
			return false, err
		}
	}
	// A hub that answers at once with nothing is not asked again at once.
	return wait == 0 || len(page.Items) > 0 || time.Since(asked) >= firstBackoff, nil
}

// verified is a page that was verified and is to be stored.
type verified struct {
	store.Reception
	acks []feed.Ack
	at   int64 // by which what has ended is judged, seconds since 1970-01-01 UTC
}

// take stores a verified page, and erases what it ends in the same transaction. What the
// key store can not sign now keeps nothing from being erased: it is signed later.
func (n *Node) take(ctx context.Context, v verified) error {
	n.ending.Lock()
	defer n.ending.Unlock()
	r := v.Reception
	if err := n.settle(ctx, &r, v.at); err != nil {
		return err
	}
	var err error
	if r.Acks, err = n.signAcks(ctx, v.acks); err == nil {
		r.Purges, err = n.signPurges(ctx, r.Purges)
	} else if len(r.Purges) == 0 || ctx.Err() != nil {
		return err
	} else {
		for _, a := range v.acks {
			r.Acks = append(r.Acks, store.Ack{Seq: a.Seq, Chain: a.Chain})
		}
	}
	if err != nil {
		n.Log.WarnContext(ctx, "what has ended is erased, and the receipts are signed later", "error", err.Error())
	}
	if len(r.Purges)+len(r.Erasures) > 0 {
		n.erased()
	} else if len(r.Items) > 0 {
		defer wake(n.woken.sweep) // something may be due earlier than it knew
	}
	if err := n.Store.Receive(ctx, r); err != nil {
		return err
	}
	if len(r.Acks)+len(r.Purges) > 0 {
		wake(n.woken.acks)
	}
	return nil
}

// verifyPage checks a page with what is known. If that fails, or the hub has
// decided upon statements that are not known here, it looks for new
// statements once.
func (n *Node) verifyPage(ctx context.Context, before store.Position, page feed.Page) (verified, error) {
	if !n.known.Load().dir.Ready() || n.newRevision(page) {
		if err := n.fetchStatements(ctx); err != nil {
			return verified{}, err
		}
	}
	since := n.known.Load()
	r, err := n.checkPage(ctx, before, page)
	if !errors.Is(err, ErrPage) {
		return r, err
	}
	more, fetchErr := n.learnMore(ctx, since)
	if fetchErr != nil || !more {
		return verified{}, errors.Join(err, fetchErr)
	}
	return n.checkPage(ctx, before, page)
}

// newRevision reports whether the latest delivery of a page was decided upon a
// revision that was not met before and is not the node's own. That is no fault:
// either may be ahead, and a node that is not shown others' consents may never
// have the hub's.
func (n *Node) newRevision(page feed.Page) bool {
	for i := len(page.Items) - 1; i >= 0; i-- {
		d := page.Items[i].Delivery
		if d == nil {
			continue
		}
		if d.Revision == n.known.Load().revision {
			return false
		}
		last := n.revision.Swap(&d.Revision)
		return last == nil || *last != d.Revision
	}
	return false
}

// checkPage verifies a page from its head down and returns what is to be stored.
func (n *Node) checkPage(ctx context.Context, before store.Position, page feed.Page) (verified, error) {
	k, err := n.registered()
	if err != nil {
		return verified{}, err
	}
	now := n.Now()
	head, err := k.checkHead(n.Config, now, before, page.Head)
	if head.IssuedAt != 0 && !carried(ctx) && n.health.heard(head.IssuedAt) { // the hub has signed it, just now
		wake(n.woken.sweep) // which may have waited for it
	}
	if err != nil {
		return verified{}, refusePage("head: %w", err)
	}
	n.headAt.Store(max(before.HeadAt, head.IssuedAt))
	if carried(ctx) {
		n.health.contactedBy(min(now.Unix(), head.IssuedAt))
	}
	if err := n.told(ctx, head, page.Head, before); err != nil {
		return verified{}, err
	}
	// The hub has signed what its clock shows: by one here that is further ahead than
	// may be, nothing has ended.
	r := verified{store.Reception{Before: before, After: before}, nil, min(now.Unix(), head.IssuedAt+int64(alert.MaxSkew/time.Second))}
	r.acks, err = n.checkChain(&r.Reception, min(now.Unix(), head.IssuedAt), page.Items)
	if err != nil {
		return verified{}, err
	}
	if err := checkLead(r.Reception, head); err != nil {
		return verified{}, n.rewritten(ctx, k, before, head, page.Head, err)
	}
	if r.Items, err = n.checkItems(ctx, k, now, page.Items); err != nil {
		return verified{}, err
	}
	r.After.HeadAt, r.After.Head = max(before.HeadAt, head.IssuedAt), page.Head
	if r.After.Checkpoint, err = n.checkLog(ctx, k, before.Checkpoint, []byte(head.Checkpoint)); err != nil {
		return verified{}, err
	}
	return r, nil
}

// checkHead verifies that a head is the hub's, for this member, and not older
// than one seen before. With an error it returns the head only where that is
// genuine, but dated in the future.
func (k *known) checkHead(c Config, now time.Time, before store.Position, jws string) (feed.Head, error) {
	payload, _, err := keys.Verify(jws, feed.HeadType, k.dir.HubKey)
	if err != nil {
		return feed.Head{}, err
	}
	h, err := feed.Parse[feed.Head](payload)
	issued := time.Unix(h.IssuedAt, 0)
	switch {
	case err != nil:
		return feed.Head{}, err
	case h.Issuer != c.HubID:
		return feed.Head{}, fmt.Errorf("it is by %s, not %s", h.Issuer, c.HubID)
	case h.Recipient != c.Member:
		return feed.Head{}, fmt.Errorf("it is the head of the feed of %s", h.Recipient)
	case issued.After(now.Add(alert.MaxSkew)):
		return h, errors.New("it is dated in the future") // or the clock here is behind
	case issued.Before(time.Unix(before.HeadAt, 0).Add(-alert.MaxSkew)):
		return feed.Head{}, errors.New("it is older than one seen before")
	}
	return h, nil
}

// checkChain verifies that the items follow the position without a gap, moves
// r.After to the last of them, and returns what there is to acknowledge, dated iat:
// not after the head, lest the hub finds it dated in the future.
func (n *Node) checkChain(r *store.Reception, iat int64, items []feed.Item) ([]feed.Ack, error) {
	if len(items) > feed.MaxPage {
		return nil, refusePage("%d items, where %d were asked for", len(items), feed.MaxPage)
	}
	if r.After.Chain == "" {
		r.After.Chain = feed.ChainStart(n.Member)
	}
	var acks []feed.Ack
	for _, item := range items {
		if item.Seq != r.After.Seq+1 {
			return nil, refusePage("item %d stands in the place of item %d", item.Seq, r.After.Seq+1)
		}
		if item.Delivery != nil && item.Delivery.Digest() != item.Digest {
			return nil, refusePage("item %d: the delivery has another digest than the item", item.Seq)
		}
		r.After.Seq, r.After.Chain = item.Seq, feed.Next(r.After.Chain, item.Seq, item.Digest)
		if item.Delivery != nil {
			acks = append(acks, feed.Ack{Issuer: n.Member, Hub: n.HubID, Seq: item.Seq, Chain: r.After.Chain, IssuedAt: iat})
		}
	}
	return acks, nil
}

// checkLead verifies that the items have led to where the head stands.
func checkLead(r store.Reception, head feed.Head) error {
	switch {
	case head.Seq != r.After.Seq:
		return refusePage("the head stands at item %d, the page ends at %d", head.Seq, r.After.Seq)
	case head.Chain != r.After.Chain:
		return refusePage("the items after %d do not lead to the head's chain value at %d", r.Before.Seq, head.Seq)
	}
	return nil
}
