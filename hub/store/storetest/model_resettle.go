package storetest

import (
	"bytes"
	"slices"

	"github.com/entente-hub/entente/api/alert"
	"github.com/entente-hub/entente/hub/store"
)

// intern returns the row of a portion's label.
func (m *model) intern(o alert.MemberID, p store.Portion) int64 {
	for _, l := range m.labels {
		if l.Originator == o && l.Key == p.LabelKey {
			return l.Row
		}
	}
	row := int64(len(m.labels) + 1)
	m.labels = append(m.labels, store.Label{Row: row, Originator: o, Key: p.LabelKey, Audience: p.Audience})
	return row
}

// deliver makes a pending delivery of the alert at a row.
func (m *model) deliver(row int64, r alert.MemberID) *modelDelivery {
	d := &modelDelivery{recipient: r, state: store.Pending}
	d.AlertRow = row
	m.deliveries = append(m.deliveries, d)
	return d
}

func (m *model) resettle(r *store.Resettle, seen int64) {
	for _, c := range r.Renew {
		if c.AlertRow < 1 || c.AlertRow > int64(len(m.alerts)) || m.superseded(c.AlertRow) {
			continue
		}
		var pending, withheld *modelDelivery
		for _, d := range m.deliveries {
			switch {
			case d.AlertRow != c.AlertRow || d.recipient != c.Recipient:
			case d.state == store.Pending:
				pending = d
			case d.state == store.Withheld:
				withheld = d
			}
		}
		if pending != nil {
			continue
		}
		if withheld == nil {
			withheld = m.deliver(c.AlertRow, c.Recipient)
		}
		withheld.state, withheld.seen, withheld.Renewed = store.Pending, seen, true
	}
	for _, id := range r.Lost {
		for _, d := range m.deliveries {
			if d.ID == id && id != 0 && d.state == store.Handed {
				d.Lost = true
			}
		}
	}
	for _, l := range r.Labels {
		if l.Row >= 1 && l.Row <= int64(len(m.labels)) {
			m.labels[l.Row-1].Audience = l.Audience
		}
	}
	if s := r.Settled; s != nil {
		if was := m.settled; s.Position > was.Position || s.Position == was.Position && s.At > was.At {
			m.settled = *s
		}
	}
}

func (m *model) proposal(p store.Proposal) store.Outcome {
	at := slices.IndexFunc(m.proposals, func(have store.Proposal) bool { return have.Digest == p.Digest })
	edition := int64(0)
	if at >= 0 {
		edition = m.proposals[at].Edition
	}
	switch {
	case p.Edition != edition+1:
		return store.Stale
	case len(p.Raw) > 0 && at < 0:
		m.proposals = append(m.proposals, p)
	case len(p.Raw) > 0:
		m.proposals[at] = p
	case at >= 0:
		m.proposals = slices.Delete(m.proposals, at, at+1)
	}
	return store.Done
}

func (m *model) bundle(b store.Bundle) store.Outcome {
	for i, have := range m.bundles {
		switch {
		case have.Digest != b.Digest:
			continue
		case have.Revision == b.Revision && bytes.Equal(have.Raw, b.Raw):
			return store.Replay
		case have.Revision >= b.Revision:
			return store.Conflict
		}
		m.bundles = slices.Delete(m.bundles, i, i+1)
		break
	}
	m.bundles = append(m.bundles, b)
	return store.Done
}

// stands reports whether the alert at a row stands at a moment.
func (m *model) stands(row, at int64) bool {
	return !m.superseded(row) && m.alerts[row-1].Expires > at
}

func (m *model) standing(row int64) store.Standing {
	a := m.alerts[row-1]
	labels := slices.Clone(m.portions[row-1])
	slices.Sort(labels)
	return store.Standing{Row: row, Originator: a.Originator, ID: a.ID, Version: a.Version, Digest: a.Digest,
		IssuedAt: a.IssuedAt, Expires: a.Expires, Refers: a.Refers, Labels: slices.Compact(labels)}
}

// standingUnder returns the alerts that stand at a moment and have a label.
func (m *model) standingUnder(label, at int64) (out []store.Standing) {
	for row := int64(1); row <= int64(len(m.alerts)); row++ {
		if m.stands(row, at) && slices.Contains(m.portions[row-1], label) {
			out = append(out, m.standing(row))
		}
	}
	return out
}

func (m *model) unsettled(at, since int64) (out []store.Unsettled) {
	for _, d := range m.deliveries {
		of := d.state == store.Pending || d.state == store.Withheld || d.state == store.Handed && d.seen > since
		if of && m.stands(d.AlertRow, at) {
			out = append(out, store.Unsettled{ID: d.ID, Recipient: d.recipient, State: d.state, Seen: d.seen,
				Alert: m.standing(d.AlertRow)})
		}
	}
	return out
}
