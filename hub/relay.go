package hub

import (
	"context"
	"encoding/json"
	"errors"
	"time"

	"github.com/entente-hub/entente/api/alert"
	"github.com/entente-hub/entente/api/audit"
	"github.com/entente-hub/entente/api/feed"
	"github.com/entente-hub/entente/api/problem"
	"github.com/entente-hub/entente/crypto/keys"
	"github.com/entente-hub/entente/hub/store"
)

// Bounds on one page, so that a poll's memory does not grow with the backlog.
const (
	maxPageItems = feed.MaxPage
	maxPageBytes = 4 << 20
)

// Poll returns the items of a member's feed after a cursor, waiting up to wait
// for the first. What is pending gets its place in the feed here, in one
// transaction with its audit entries, and is decided again just before. Errors
// are *problem.Error; CursorUnknown if the feed does not reach to after.
func (h *Hub) Poll(ctx context.Context, member alert.MemberID, after int64, limit int, wait time.Duration) (feed.Page, error) {
	if !h.polls.enter(member) {
		return feed.Page{}, problem.New(problem.RateLimited, "%d polls of %s are under way", maxPolls, member)
	}
	defer h.polls.leave(member)
	deadline := time.NewTimer(wait)
	defer deadline.Stop()
	limit = min(max(limit, 1), maxPageItems)
	for overtaken := 0; ; {
		woken := h.waiters.wait(member)
		items, chain, err := h.itemsInTime(ctx, member, after, limit, overtaken >= patience)
		switch {
		case errors.Is(err, errStale) && ctx.Err() == nil: // somebody got further meanwhile: look again at once
			overtaken++
			continue
		case err != nil:
			return feed.Page{}, h.refuse(ctx, string(member), nil, err)
		}
		if len(items) > 0 || wait == 0 {
			return h.page(ctx, member, after, items, chain)
		}
		select {
		case <-woken:
		case <-deadline.C:
			wait = 0
		case <-h.drain:
			wait = 0
		case <-ctx.Done():
			wait = 0
			ctx = context.WithoutCancel(ctx)
		}
	}
}

// patience is how often a poll may be overtaken by statements or other polls before it
// has those who bring statements here wait for it.
const patience = 2

func (h *Hub) itemsInTime(ctx context.Context, member alert.MemberID, after int64, limit int, calm bool) ([]feed.Item, string, error) {
	if calm {
		h.calm.Lock()
		defer h.calm.Unlock()
	}
	return h.items(ctx, member, after, limit)
}

// items returns what stands after the cursor and the chain value there: first
// what was handed over before, else what can be handed over now.
func (h *Hub) items(ctx context.Context, member alert.MemberID, after int64, limit int) ([]feed.Item, string, error) {
	s, err := h.current(ctx)
	if err != nil {
		return nil, "", err
	}
	f, err := h.Store.Feed(ctx, member)
	if err != nil {
		return nil, "", unavailable(err)
	}
	if f.Chain == "" {
		f.Chain = feed.ChainStart(member)
	}
	switch {
	case after > f.Seq:
		return nil, "", problem.New(problem.CursorUnknown, "the feed ends at %d", f.Seq)
	case after < f.Seq:
		return h.replay(ctx, member, after, limit)
	}
	items, err := h.handOver(ctx, s, member, f, limit)
	if len(items) > 0 {
		return items, nextChain(f.Chain, items), err
	}
	return nil, f.Chain, err
}

func nextChain(chain string, items []feed.Item) string {
	for _, i := range items {
		chain = feed.Next(chain, i.Seq, i.Digest)
	}
	return chain
}

// handOver gives pending deliveries their place in the feed. It returns no items
// where there are none, and errStale where somebody else was faster or the rules
// have changed.
func (h *Hub) handOver(ctx context.Context, s *state, member alert.MemberID, f store.Feed, limit int) ([]feed.Item, error) {
	for {
		pending, err := h.Store.Pending(ctx, member, limit)
		if err != nil {
			return nil, unavailable(err)
		}
		if len(pending) == 0 {
			return nil, h.unmoved(ctx, member, f)
		}
		w := store.Write{Seen: s.position, HandOver: &store.HandOver{Recipient: member, After: f.Seq, Chain: f.Chain}}
		items, decided, err := h.prepare(ctx, s, member, pending, &w)
		if err != nil {
			return nil, err
		}
		res, err := h.ledger.commit(ctx, w)
		if err != nil {
			return nil, err
		}
		if res.Outcome != store.Done {
			if err := h.refresh(ctx); err != nil {
				return nil, err
			}
			return nil, errStale
		}
		decided.recorded()
		if s.lapsed(h.Now()) { // while it was being stored: it has its place, but is decided once more
			return nil, errStale
		}
		h.Metrics.released(len(items), len(w.HandOver.Withheld))
		if len(items) > 0 {
			return items, nil
		}
		// All of them fell to a later revision; nothing of that shows.
	}
}

// prepare decides pending deliveries again and fills in the write.
// With what is handed over or withheld goes why: the decisions at this revision,
// where they do not stand in the log.
func (h *Hub) prepare(ctx context.Context, s *state, member alert.MemberID, pending []store.Delivery, w *store.Write) ([]feed.Item, *rulings, error) {
	var items []feed.Item
	decided := h.rulings(s)
	var entries [][]byte
	size := 0
	for _, d := range pending {
		if size += len(d.Alert.Token); size > maxPageBytes && len(items) > 0 {
			break
		}
		if d.Superseded { // as if it had never waited: the version that ended it is decided by itself
			w.HandOver.Dropped = append(w.HandOver.Dropped, d.ID)
			continue
		}
		v, err := h.views.of(d.Alert)
		if err != nil {
			return nil, nil, problem.Wrap(problem.Internal, err, "")
		}
		p, err := h.permit(ctx, s, v, member, d.Follows)
		if err != nil {
			return nil, nil, err
		}
		if err := h.explain(ctx, v, decided); err != nil {
			return nil, nil, err
		}
		e := audit.Entry{Actor: string(h.ID), Alert: named(d.Alert), Recipient: member,
			Revision: s.world.Revision, Policy: s.engine.Digest()}
		if p == nil {
			if h.expired(d.Alert) { // no statement can bring it back
				w.HandOver.Dropped = append(w.HandOver.Dropped, d.ID)
			} else {
				w.HandOver.Withheld = append(w.HandOver.Withheld, d.ID)
			}
			e.Kind = audit.Withheld
			entries = append(entries, h.entry(e))
			continue
		}
		var before []feed.Release
		if d.Renewed { // it may be known already
			if before, err = h.held(ctx, member, d.AlertRow); err != nil {
				return nil, nil, err
			}
		}
		if before != nil && covers(before, p.releases) {
			if h.resettler.settled.Load() == s {
				w.HandOver.Dropped = append(w.HandOver.Dropped, d.ID)
			} else { // no pass has seen these rules: the next is to look at it again
				w.HandOver.Withheld = append(w.HandOver.Withheld, d.ID)
			}
			continue
		}
		item, err := h.place(p, v, d.ID, before, w.HandOver)
		if err != nil {
			return nil, nil, err
		}
		items = append(items, item)
		e.Kind, e.Seq, e.Releases = audit.Release, item.Seq, item.Delivery.Releases
		entries = append(entries, h.entry(e))
	}
	w.Entries = append(decided.entries, entries...)
	return items, decided, nil
}

// held returns the best that a recipient was handed of each portion of an alert
// version; nil: nothing, or nothing that it still holds.
func (h *Hub) held(ctx context.Context, recipient alert.MemberID, alertRow int64) ([]feed.Release, error) {
	d, err := h.Store.Held(ctx, recipient, alertRow)
	if errors.Is(err, store.ErrNotFound) {
		return nil, nil
	} else if err != nil {
		return nil, unavailable(err)
	}
	var f facts
	if err := json.Unmarshal(d.Facts, &f); err != nil {
		return nil, problem.Wrap(problem.Internal, err, "")
	}
	return f.holds(), nil
}

// explain adds the decisions on an alert's labels to those that go into the log.
func (h *Hub) explain(ctx context.Context, v *view, decided *rulings) error {
	for _, portion := range v.portions {
		q, err := h.query(ctx, v.row.Originator, v.row.ID, *portion.Label)
		if err != nil {
			return err
		}
		if _, _, err := decided.rule(ctx, q); err != nil {
			return err
		}
	}
	return nil
}

// place redeems a permit and gives the delivery the next place in the feed.
func (h *Hub) place(p *permit, v *view, id int64, before []feed.Release, w *store.HandOver) (feed.Item, error) {
	delivery, err := h.release(p, v, w.Recipient)
	if err != nil {
		return feed.Item{}, err
	}
	facts, err := factsOf(delivery, before)
	if err != nil {
		return feed.Item{}, problem.Wrap(problem.Internal, err, "")
	}
	item := feed.Item{Seq: w.After + int64(len(w.Items)) + 1, Digest: delivery.Digest(), Delivery: &delivery}
	w.Chain = feed.Next(w.Chain, item.Seq, item.Digest)
	w.Items = append(w.Items, store.HandedOver{ID: id, Seq: item.Seq, Chain: w.Chain, Digest: item.Digest, Facts: facts})
	return item, nil
}

// page signs the head that the items lead to.
func (h *Hub) page(ctx context.Context, member alert.MemberID, after int64, items []feed.Item, chain string) (feed.Page, error) {
	seq := after
	if len(items) > 0 {
		seq = items[len(items)-1].Seq
	}
	f, err := h.Store.Feed(ctx, member) // after the items: what was acknowledged meanwhile counts
	if err != nil {
		return feed.Page{}, unavailable(err)
	}
	note, err := h.Checkpoint(ctx)
	if err != nil {
		return feed.Page{}, err
	}
	payload, err := json.Marshal(feed.Head{Issuer: h.ID, Recipient: member, Seq: seq, Chain: chain,
		IssuedAt: h.Now().Unix(), Checkpoint: string(note), Acked: f.Acked})
	if err != nil {
		return feed.Page{}, problem.Wrap(problem.Internal, err, "")
	}
	head, err := keys.Sign(ctx, h.Signer, feed.HeadType, payload)
	if err != nil {
		return feed.Page{}, problem.Wrap(problem.Unavailable, err, "the feed's head can not be signed now")
	}
	if items == nil {
		items = []feed.Item{}
	}
	return feed.Page{Items: items, Head: head}, nil
}
