// Package plan decides what becomes of a group of writes, as pure functions:
// what must be read first (NeedsOf), and what each write does to what was read
// (Decide). Both databases share it, so they can differ only in how rows are
// read and written.
//
// The caller holds the lock on the head from before it reads until it has
// committed: all commits on one database, of all processes, come one after the
// other, and what was read stays true.
package plan

import (
	"bytes"
	"slices"

	"github.com/entente-hub/entente/api/alert"
	"github.com/entente-hub/entente/hub/store"
)

// planner applies writes to a State and notes what changed.
type planner struct {
	*State
	out       *Changes
	seen      int64               // store.Write.Seen of the write that is applied
	feeds     set[alert.MemberID] // changed, as are the others
	moved     set[*Delivery]
	altered   set[*AlertRow]
	audiences audiences
	proposals proposals
	used      used
}

// Decide applies the writes to the state in order. The writes must be those
// that the state was read for.
func Decide(writes []store.Write, s *State) *Changes {
	p := &planner{State: s, out: &Changes{
		Results: make([]store.Result, len(writes)),
		Replays: make(map[AlertKey][]Replay),
		Old:     s.Head,
	}}
	for i := range writes {
		p.out.Results[i] = p.apply(i, &writes[i])
	}
	for _, r := range p.feeds.list {
		p.out.Feeds = append(p.out.Feeds, FeedRow{r, s.Feeds[r]})
	}
	p.out.Moved = p.moved.list
	p.out.Altered = p.altered.list
	p.out.Audiences = p.audiences.labels
	p.proposals.changes(p.out)
	p.out.Used = p.used.changes()
	p.out.New = s.Head
	return p.out
}

func (p *planner) apply(i int, w *store.Write) store.Result {
	outcome := store.Done
	p.seen = w.Seen
	switch {
	case w.Seen != 0 && p.Head.Statements > w.Seen:
		outcome = store.Stale
	case w.Accept != nil:
		return p.accept(i, w)
	case w.Refuse != nil:
		return p.refuse(i, w)
	case w.HandOver != nil:
		outcome = p.handOver(w.HandOver)
	case w.Ack != nil:
		outcome = p.ack(w.Ack)
	case w.Statement != nil:
		outcome = p.statement(w.Statement)
	case w.Resettle != nil:
		p.resettle(w.Resettle)
	case w.Proposal != nil:
		outcome = p.proposal(w.Proposal)
	case w.Bundle != nil:
		outcome = p.bundle(w.Bundle)
	case w.Erase != nil:
		outcome = p.erase(w.Erase)
	case w.Purge != nil:
		outcome = p.purge(w.Purge)
	case w.Trim != nil:
		outcome = p.trim(w.Trim)
	}
	if outcome != store.Done {
		return store.Result{Outcome: outcome, Index: -1}
	}
	return p.done(w)
}

// done appends the entries of a write that took effect.
func (p *planner) done(w *store.Write) store.Result {
	r := store.Result{Outcome: store.Done, Index: -1}
	if len(w.Entries) > 0 {
		r.Index = p.Head.Size
	}
	p.out.Leaves = append(p.out.Leaves, w.Entries...)
	p.Head.Size += int64(len(w.Entries))
	return r
}

func (p *planner) accept(i int, w *store.Write) store.Result {
	a := w.Accept
	key := AlertKey{a.Originator, a.ID, a.Version}
	if row, ok := p.Alerts[key]; ok {
		if row.Digest != a.Digest {
			return store.Result{Outcome: store.Conflict, Index: -1}
		}
		return p.replay(i, row)
	}
	if reason, ok := p.State.Refused[RefusedKey{a.Originator, a.Digest}]; ok {
		return store.Result{Outcome: store.Refused, Index: -1, Reason: reason}
	}
	var before *AlertRow
	if a.Version > 1 {
		before = p.Alerts[AlertKey{a.Originator, a.ID, a.Version - 1}]
		if before == nil || before.SignedDigest != a.Previous || before.Recall && !a.Recall {
			return store.Result{Outcome: store.Gap, Index: -1}
		}
	} else if a.Previous != "" {
		return store.Result{Outcome: store.Gap, Index: -1}
	}
	if !p.fits(a) {
		return store.Result{Outcome: store.Full, Index: -1}
	}
	r := p.done(w)
	p.Head.Alerts++
	added := &NewAlert{Row: p.Head.Alerts, Alert: a.Alert}
	added.LogIndex = r.Index
	row := &AlertRow{AlertKey: key, Row: added.Row, Digest: a.Digest, SignedDigest: a.SignedDigest,
		EraseAt: a.EraseAt, Recall: a.Recall, Size: int64(len(a.Token)), added: added}
	p.live(row, +1)
	p.Alerts[key], p.Rows[row.Row] = row, row
	p.out.Alerts = append(p.out.Alerts, added)
	p.portions(a)
	var holders set[alert.MemberID]
	if before != nil {
		holders = p.end(a, before)
	}
	r.Woken = p.deliver(a.Recipients, holders)
	return r
}

// replay is the result of a write that brings the bytes of an alert which is stored.
func (p *planner) replay(i int, row *AlertRow) store.Result {
	if row.added != nil {
		prior := row.added.Alert
		return store.Result{Outcome: store.Replay, Index: prior.LogIndex, Prior: &prior}
	}
	p.out.Replays[row.AlertKey] = append(p.out.Replays[row.AlertKey], Replay{i, row.EraseAt, row.token})
	return store.Result{Outcome: store.Replay, Index: -1}
}

// portions ties the portions of the alert stored last to their labels.
func (p *planner) portions(a *store.Accept) {
	for pos, portion := range a.Portions {
		key := LabelKey{a.Originator, portion.LabelKey}
		label, ok := p.Labels[key]
		if !ok {
			p.Head.Labels++
			label = p.Head.Labels
			p.Labels[key] = label
			p.out.Labels = append(p.out.Labels, NewLabel{label, key, portion.Audience})
		}
		p.out.Portions = append(p.out.Portions, NewPortion{p.Head.Alerts, pos, portion.ID, label})
	}
}

// deliver makes pending deliveries of the alert stored last, for those who hold an
// earlier version too, and returns those of them who are not named.
func (p *planner) deliver(recipients []alert.MemberID, holders set[alert.MemberID]) (others []alert.MemberID) {
	var named set[alert.MemberID]
	for _, r := range recipients {
		p.add(Claim{p.Head.Alerts, r}).Follows = holders.has[r]
		if len(holders.list) > 0 {
			named.add(r)
		}
	}
	for _, r := range holders.list {
		if !named.has[r] {
			others = append(others, r)
		}
	}
	slices.Sort(others)
	for _, r := range others {
		p.add(Claim{p.Head.Alerts, r}).Follows = true
	}
	return others
}

// add makes a pending delivery.
func (p *planner) add(c Claim) *Delivery {
	p.Head.Deliveries++
	d := &Delivery{Recipient: c.Recipient, Alert: c.Alert, State: store.Pending, fresh: true}
	d.ID = p.Head.Deliveries
	p.put(d)
	p.Unsent[c] = d
	p.out.Deliveries = append(p.out.Deliveries, d)
	p.count(d, +1)
	return d
}

// move brings a delivery from or to pending, and counts it.
func (p *planner) move(d *Delivery, to store.State) {
	switch store.Pending {
	case d.State:
		p.count(d, -1)
	case to:
		p.count(d, +1)
	}
	d.State, d.Seen = to, p.seen
	if !d.fresh {
		p.moved.add(d)
	}
}

// count changes how many deliveries wait for hand-over in a feed.
func (p *planner) count(d *Delivery, by int64) {
	f := p.State.Feeds[d.Recipient]
	f.Pending += by
	p.setFeed(d.Recipient, f)
}

func (p *planner) setFeed(r alert.MemberID, f store.Feed) {
	p.State.Feeds[r] = f
	p.feeds.add(r)
}

func (p *planner) handOver(h *store.HandOver) store.Outcome {
	f := p.State.Feeds[h.Recipient]
	pending := func(id int64) bool {
		d, ok := p.State.Deliveries[id]
		return ok && d.Recipient == h.Recipient && d.State == store.Pending
	}
	stale := func(id int64) bool { return !pending(id) }
	if f.Seq != h.After || slices.ContainsFunc(h.Withheld, stale) || slices.ContainsFunc(h.Dropped, stale) ||
		slices.ContainsFunc(h.Items, func(it store.HandedOver) bool { return stale(it.ID) }) {
		return store.Stale
	}
	for _, it := range h.Items {
		d := p.State.Deliveries[it.ID]
		p.move(d, store.Handed)
		d.HandedOver = it
		p.Items[ItemKey{h.Recipient, it.Seq}] = d
		f = p.State.Feeds[h.Recipient]
		f.Seq, f.Chain = it.Seq, it.Chain
		p.setFeed(h.Recipient, f)
	}
	for _, id := range h.Withheld {
		p.move(p.State.Deliveries[id], store.Withheld)
	}
	for _, id := range h.Dropped {
		p.move(p.State.Deliveries[id], store.Dropped)
	}
	return store.Done
}

func (p *planner) ack(a *store.Ack) store.Outcome {
	d, ok := p.Items[ItemKey{a.Recipient, a.Seq}]
	switch {
	case !ok || d.Chain != a.Chain:
		return store.Unknown
	case d.Acked:
		return store.Replay
	}
	d.Acked, d.Receipt = true, a.Receipt
	p.out.Acked = append(p.out.Acked, d)
	f := p.State.Feeds[a.Recipient]
	f.Acked = max(f.Acked, a.Seq)
	p.setFeed(a.Recipient, f)
	return store.Done
}

func (p *planner) statement(st *store.Statement) store.Outcome {
	key := StatementKey{st.Type, st.Subject, st.Revision}
	if row, ok := p.State.Statements[key]; ok {
		if bytes.Equal(row.Raw, st.Raw) {
			return store.Replay
		}
		return store.Conflict
	}
	// Revisions are stored without gaps: if the one before is there and this one
	// is not, the one before is the last.
	previous := ""
	if st.Revision > 1 {
		before, ok := p.State.Statements[StatementKey{st.Type, st.Subject, st.Revision - 1}]
		if !ok {
			return store.Gap
		}
		previous = before.Digest
	}
	if st.Previous != previous {
		return store.Gap
	}
	if st.Of != "" && st.Revision == 1 {
		if st.Quota != 0 && p.State.Used[st.Of].Statements >= st.Quota {
			return store.Full
		}
		p.use(st.Of, store.Used{Statements: 1})
	}
	stored := *st
	p.Head.Statements++
	stored.Position = p.Head.Statements
	p.State.Statements[key] = StatementRow{st.Digest, st.Raw}
	p.out.Statements = append(p.out.Statements, &stored)
	p.outdate(key)
	return store.Done
}
