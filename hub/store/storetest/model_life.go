package storetest

import (
	"cmp"
	"slices"

	"github.com/entente-hub/entente/api/alert"
	"github.com/entente-hub/entente/hub/store"
)

// before returns the rows of an alert's versions before one.
func (m *model) before(o alert.MemberID, id alert.ID, version int) (rows []int64) {
	for i, a := range m.alerts {
		if a.Originator == o && a.ID == id && a.Version < version {
			rows = append(rows, int64(i+1))
		}
	}
	return rows
}

// superseded reports whether a later version of the alert at a row is stored.
func (m *model) superseded(row int64) bool {
	a := m.alerts[row-1]
	return slices.ContainsFunc(m.alerts, func(other store.Alert) bool {
		return other.Originator == a.Originator && other.ID == a.ID && other.Version > a.Version
	})
}

// handed reports whether any of some rows was handed over to a recipient.
func (m *model) handed(r alert.MemberID, rows ...int64) bool {
	return slices.ContainsFunc(m.deliveries, func(d *modelDelivery) bool {
		return d.recipient == r && d.state == store.Handed && slices.Contains(rows, d.AlertRow)
	})
}

// view returns a delivery as it is to be read.
func (m *model) view(d *modelDelivery) store.Delivery {
	out, a := d.Delivery, m.alerts[d.AlertRow-1]
	out.Alert, out.Superseded = a, m.superseded(d.AlertRow)
	out.Follows = m.handed(d.recipient, m.before(a.Originator, a.ID, a.Version)...)
	return out
}

// end ends the versions before an accepted one, and returns who holds one of them
// and is not named.
func (m *model) end(a *store.Accept, seen int64) (woken []alert.MemberID) {
	rows := m.before(a.Originator, a.ID, a.Version)
	for _, d := range m.deliveries {
		if !slices.Contains(rows, d.AlertRow) {
			continue
		}
		if d.state == store.Pending || d.state == store.Withheld {
			d.state, d.seen = store.Dropped, seen
		}
		if d.state == store.Handed && !slices.Contains(a.Recipients, d.recipient) && !slices.Contains(woken, d.recipient) {
			woken = append(woken, d.recipient)
		}
	}
	for _, row := range rows {
		if before := &m.alerts[row-1]; !a.Keep && !m.over[row-1] && before.EraseAt != 0 {
			before.EraseAt, m.over[row-1] = min(before.EraseAt, cmp.Or(a.EndsAt, a.AcceptedAt)), true
		}
	}
	slices.Sort(woken)
	return woken
}

func (m *model) erase(e *store.Erase) store.Outcome {
	if e.Row < 1 || e.Row > int64(len(m.alerts)) {
		return store.Stale
	}
	a := &m.alerts[e.Row-1]
	if a.EraseAt != e.Before || m.over[e.Row-1] && e.EraseAt != 0 {
		return store.Stale
	}
	a.Token, a.EraseAt = e.Token, e.EraseAt
	return store.Done
}

func (m *model) purge(p store.Purge) store.Outcome {
	for i, a := range m.alerts {
		if a.Originator != p.Originator || a.ID != p.ID || a.Version != p.Version || !m.handed(p.Recipient, int64(i+1)) {
			continue
		}
		for _, have := range m.purges {
			if have.Receipt = p.Receipt; have == p {
				return store.Replay
			}
		}
		m.purges = append(m.purges, p)
		return store.Done
	}
	return store.Unknown
}

// due returns what is to be erased by a moment.
func (m *model) due(at int64) (out []store.Due) {
	for i, a := range m.alerts {
		if a.EraseAt != 0 && a.EraseAt <= at {
			out = append(out, store.Due{Row: int64(i + 1), Alert: a, Over: m.over[i]})
		}
	}
	slices.SortStableFunc(out, func(a, b store.Due) int { return int(a.EraseAt - b.EraseAt) })
	return out
}

// published returns an originator's versions after an index of the log.
func (m *model) published(o alert.MemberID, after int64) (out []store.Alert) {
	for _, a := range m.alerts {
		if a.Originator == o && a.LogIndex > after {
			out = append(out, a)
		}
	}
	return out
}

// holders returns all hand-overs of an alert.
func (m *model) holders(o alert.MemberID, id alert.ID) (out []store.Holder) {
	for _, r := range members {
		for seq := int64(1); seq <= m.feed(r).Seq; seq++ {
			d := m.item(r, seq)
			if a := m.alerts[d.AlertRow-1]; a.Originator == o && a.ID == id {
				out = append(out, store.Holder{Recipient: r, Version: a.Version, Seq: seq, Chain: d.Chain, Facts: d.Facts, Receipt: d.receipt, Lost: d.Lost})
			}
		}
	}
	return out
}

// purgesOf returns an alert's purge receipts in their order.
func (m *model) purgesOf(o alert.MemberID, id alert.ID) (out []store.Purge) {
	for _, p := range m.purges {
		if p.Originator == o && p.ID == id {
			out = append(out, p)
		}
	}
	slices.SortFunc(out, func(a, b store.Purge) int {
		return cmp.Or(cmp.Compare(a.Recipient, b.Recipient), cmp.Compare(a.Version, b.Version),
			cmp.Compare(a.Cause, b.Cause), cmp.Compare(a.Portions, b.Portions), cmp.Compare(a.At, b.At))
	})
	return out
}
