package storetest

import (
	"bytes"
	"slices"

	"github.com/entente-hub/entente/api/alert"
	"github.com/entente-hub/entente/hub/store"
)

// model is what a store should be, in slices that are searched from end to end.
// It applies one write at a time and shares no code with the stores.
type model struct {
	alerts     []store.Alert
	deliveries []*modelDelivery
	statements []store.Statement
	labels     []store.Label // with Row their place, from 1
	portions   [][]int64     // rows of labels, by place of the alert
	settled    store.Settled
	proposals  []store.Proposal
	bundles    []store.Bundle
	over       []bool // by place of the alert
	purges     []store.Purge
	firsts     []alert.MemberID // whose first revisions of statements are stored
	refusals   []store.Refuse
	leaves     [][]byte
	trimmed    map[int64]bool // by index
	atFirst    int64          // how many leaves there were before the group
}

type modelDelivery struct {
	store.Delivery
	recipient alert.MemberID
	state     store.State
	seen      int64
	receipt   string
}

func (m *model) commit(writes []store.Write) []store.Result {
	out := []store.Result{}
	m.atFirst = int64(len(m.leaves))
	for _, w := range writes {
		r := m.apply(w)
		if r.Outcome == store.Done {
			r.Index = -1
			if len(w.Entries) > 0 {
				r.Index = int64(len(m.leaves))
			}
			m.leaves = append(m.leaves, w.Entries...)
		}
		out = append(out, r)
	}
	return out
}

func (m *model) apply(w store.Write) store.Result {
	failed := func(o store.Outcome) store.Result { return store.Result{Outcome: o, Index: -1} }
	done := store.Result{Outcome: store.Done}
	if w.Seen != 0 && len(m.statements) > 0 && m.statements[len(m.statements)-1].Position > w.Seen {
		return failed(store.Stale)
	}
	var o store.Outcome
	switch {
	case w.Accept != nil:
		a := w.Accept
		if reason := m.refused(a.Originator, a.Digest); reason != nil && m.alert(a.Originator, a.ID, a.Version) == nil {
			return store.Result{Outcome: store.Refused, Index: -1, Reason: reason}
		}
		prior, woken, o := m.accept(w.Accept, w.Seen)
		if o == store.Replay {
			return store.Result{Outcome: o, Index: prior.LogIndex, Prior: prior}
		}
		if o != store.Done {
			return failed(o)
		}
		done.Woken = woken
		return done
	case w.Refuse != nil:
		return m.refuse(w.Refuse)
	case w.HandOver != nil:
		o = m.handOver(w.HandOver, w.Seen)
	case w.Ack != nil:
		o = m.ack(w.Ack)
	case w.Statement != nil:
		o = m.statement(*w.Statement)
	case w.Resettle != nil:
		m.resettle(w.Resettle, w.Seen)
		return done
	case w.Proposal != nil:
		o = m.proposal(*w.Proposal)
	case w.Bundle != nil:
		o = m.bundle(*w.Bundle)
	case w.Erase != nil:
		o = m.erase(w.Erase)
	case w.Purge != nil:
		o = m.purge(*w.Purge)
	case w.Trim != nil:
		o = m.trim(w.Trim)
	default:
		return done
	}
	if o != store.Done {
		return failed(o)
	}
	return done
}

func (m *model) alert(originator alert.MemberID, id alert.ID, version int) *store.Alert {
	for _, a := range m.alerts {
		if a.Originator == originator && a.ID == id && a.Version == version {
			return &a
		}
	}
	return nil
}

func (m *model) accept(a *store.Accept, seen int64) (prior *store.Alert, woken []alert.MemberID, o store.Outcome) {
	if prior = m.alert(a.Originator, a.ID, a.Version); prior != nil {
		if prior.Digest == a.Digest {
			return prior, nil, store.Replay
		}
		return nil, nil, store.Conflict
	}
	previous := ""
	if a.Version > 1 {
		before := m.alert(a.Originator, a.ID, a.Version-1)
		if before == nil || before.Recall && !a.Recall {
			return nil, nil, store.Gap
		}
		previous = before.SignedDigest
	}
	if a.Previous != previous {
		return nil, nil, store.Gap
	}
	if !m.fits(a) {
		return nil, nil, store.Full
	}
	woken = m.end(a, seen)
	row := a.Alert
	row.LogIndex = int64(len(m.leaves))
	m.alerts = append(m.alerts, row)
	m.portions = append(m.portions, nil)
	m.over = append(m.over, false)
	for _, p := range a.Portions {
		n := len(m.alerts) - 1
		m.portions[n] = append(m.portions[n], m.intern(a.Originator, p))
	}
	for _, r := range slices.Concat(a.Recipients, woken) {
		m.deliver(int64(len(m.alerts)), r)
	}
	return nil, woken, store.Done
}

func (m *model) feed(r alert.MemberID) store.Feed {
	var f store.Feed
	for _, d := range m.deliveries {
		switch {
		case d.recipient != r:
		case d.state == store.Pending:
			f.Pending++
		case d.state == store.Handed:
			if d.Seq > f.Seq {
				f.Seq, f.Chain = d.Seq, d.Chain
			}
			if d.Acked && d.Seq > f.Acked {
				f.Acked = d.Seq
			}
		}
	}
	return f
}

func (m *model) pending(r alert.MemberID) (out []*modelDelivery) {
	for _, d := range m.deliveries {
		if d.recipient == r && d.state == store.Pending {
			out = append(out, d)
		}
	}
	return out
}

func (m *model) item(r alert.MemberID, seq int64) *modelDelivery {
	for _, d := range m.deliveries {
		if d.recipient == r && d.state == store.Handed && d.Seq == seq {
			return d
		}
	}
	return nil
}

func (m *model) handOver(h *store.HandOver, seen int64) store.Outcome {
	if m.feed(h.Recipient).Seq != h.After {
		return store.Stale
	}
	find := func(id int64) *modelDelivery {
		for _, d := range m.pending(h.Recipient) {
			if d.ID == id {
				return d
			}
		}
		return nil
	}
	for _, it := range h.Items {
		if find(it.ID) == nil {
			return store.Stale
		}
	}
	for _, id := range append(append([]int64(nil), h.Withheld...), h.Dropped...) {
		if find(id) == nil {
			return store.Stale
		}
	}
	for _, it := range h.Items {
		d := find(it.ID)
		d.state, d.seen, d.HandedOver = store.Handed, seen, it
	}
	for _, id := range h.Withheld {
		d := find(id)
		d.state, d.seen = store.Withheld, seen
	}
	for _, id := range h.Dropped {
		d := find(id)
		d.state, d.seen = store.Dropped, seen
	}
	return store.Done
}

func (m *model) ack(a *store.Ack) store.Outcome {
	d := m.item(a.Recipient, a.Seq)
	switch {
	case d == nil || d.Chain != a.Chain:
		return store.Unknown
	case d.Acked:
		return store.Replay
	}
	d.Acked, d.receipt = true, a.Receipt
	return store.Done
}

func (m *model) statement(st store.Statement) store.Outcome {
	last := store.Statement{}
	for _, have := range m.statements {
		if have.Type != st.Type || have.Subject != st.Subject {
			continue
		}
		if have.Revision == st.Revision {
			if bytes.Equal(have.Raw, st.Raw) {
				return store.Replay
			}
			return store.Conflict
		}
		last = have
	}
	if st.Revision != last.Revision+1 || st.Previous != last.Digest {
		return store.Gap
	}
	if st.Of != "" && st.Revision == 1 {
		if st.Quota > 0 && m.used(st.Of).Statements >= st.Quota {
			return store.Full
		}
		m.firsts = append(m.firsts, st.Of)
	}
	st.Of, st.Quota = "", 0
	st.Position = 1
	if n := len(m.statements); n > 0 {
		st.Position = m.statements[n-1].Position + 1
	}
	m.statements = append(m.statements, st)
	m.proposals = slices.DeleteFunc(m.proposals, func(p store.Proposal) bool {
		return p.Type == st.Type && p.Subject == st.Subject && p.Revision <= st.Revision
	})
	return store.Done
}
