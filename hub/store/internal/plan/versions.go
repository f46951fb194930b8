package plan

import (
	"cmp"
	"fmt"
	"math"
	"slices"

	"github.com/entente-hub/entente/api/alert"
	"github.com/entente-hub/entente/hub/store"
)

// version names what an alert version depends on. From the second on that is what it
// ends: of the version before all deliveries, and all versions that may be erased.
func (s *sets) version(a *store.Accept) error {
	if a.Version < 1 || a.Version > math.MaxInt32 {
		return fmt.Errorf("version %d", a.Version)
	}
	if a.EraseAt < 0 {
		return fmt.Errorf("to be erased at %d", a.EraseAt)
	}
	if a.Recall && (a.Version == 1 || len(a.Portions) > 0) {
		return fmt.Errorf("recall as version %d with %d portions", a.Version, len(a.Portions))
	}
	s.alerts.add(AlertKey{a.Originator, a.ID, a.Version})
	if a.Version == 1 {
		return nil
	}
	if a.AcceptedAt < 1 {
		return fmt.Errorf("version %d accepted at %d", a.Version, a.AcceptedAt)
	}
	before := AlertKey{a.Originator, a.ID, a.Version - 1}
	s.alerts.add(before)
	s.ends.add(before)
	return nil
}

func (s *sets) erase(e *store.Erase) error {
	switch {
	case e.Row < 0:
		return fmt.Errorf("erasure of alert %d", e.Row)
	case e.Before < 1 || e.EraseAt < 0 || e.EraseAt > 0 && e.EraseAt <= e.Before:
		return fmt.Errorf("erasure at %d and then at %d", e.Before, e.EraseAt)
	}
	s.rows.add(e.Row)
	return nil
}

// purge asks for nothing under names that nothing can be stored under: they are the
// recipient's own words, and no form of theirs may spoil the group.
func (s *sets) purge(p *store.Purge) error {
	if err := names(string(p.Recipient), p.Cause); err != nil {
		return err
	}
	key := purgeKey(p)
	if names(string(p.Originator), string(p.ID)) == nil && p.Version >= 1 && p.Version <= math.MaxInt32 {
		s.alerts.add(key.AlertKey)
		s.purges.add(key)
	}
	return nil
}

func purgeKey(p *store.Purge) PurgeKey {
	return PurgeKey{AlertKey{p.Originator, p.ID, p.Version}, p.Recipient, p.Cause, p.Portions, p.At}
}

// end ends the versions before an accepted one, and returns who holds any of them.
//
// The version before the last one ended those before itself: what waits is its own,
// and whoever holds an earlier one has a delivery of it, in whatever state, that says
// so. However many versions an alert has, ending them takes the deliveries of one.
func (p *planner) end(a *store.Accept, before *AlertRow) (holders set[alert.MemberID]) {
	before.Ended = true
	for _, d := range p.ofAlert[before.Row] {
		if d.Follows || d.State == store.Handed {
			holders.add(d.Recipient)
		}
		if d.State == store.Pending || d.State == store.Withheld {
			p.move(d, store.Dropped)
		}
	}
	for _, row := range p.endedBy(a) {
		p.live(row, -1)
		row.EraseAt, row.Over = min(row.EraseAt, cmp.Or(a.EndsAt, a.AcceptedAt)), true
		p.alter(row)
	}
	return holders
}

// endedBy returns the versions whose content an accepted one ends.
func (p *planner) endedBy(a *store.Accept) (rows []*AlertRow) {
	if a.Keep {
		return nil
	}
	for v := a.Version - 1; v >= 1; v-- {
		row := p.Alerts[AlertKey{a.Originator, a.ID, v}]
		if row != nil && row.live() { // nil: not read, since it is not so
			rows = append(rows, row)
		}
	}
	return rows
}

// alter notes that an alert's row has changed.
func (p *planner) alter(row *AlertRow) {
	if row.added == nil {
		p.altered.add(row)
		return
	}
	row.added.EraseAt, row.added.Over = row.EraseAt, row.Over
	if row.token != nil {
		row.added.Token = *row.token
	}
}

// erase leaves nothing of what is over: whoever wants to keep some of it did not know.
func (p *planner) erase(e *store.Erase) store.Outcome {
	row := p.Rows[e.Row]
	if row == nil || row.EraseAt != e.Before || row.Over && e.EraseAt != 0 {
		return store.Stale
	}
	token := e.Token
	p.live(row, -1)
	row.EraseAt, row.token, row.Size = e.EraseAt, &token, int64(len(token))
	p.live(row, +1)
	p.alter(row)
	return store.Done
}

func (p *planner) purge(r *store.Purge) store.Outcome {
	key := purgeKey(r)
	row := p.Alerts[key.AlertKey]
	if row == nil || !slices.ContainsFunc(p.ofAlert[row.Row], func(d *Delivery) bool {
		return d.Recipient == r.Recipient && d.State == store.Handed
	}) {
		return store.Unknown
	}
	if p.Purges[key] {
		return store.Replay
	}
	stored := *r
	p.Purges[key] = true
	p.out.Purges = append(p.out.Purges, NewPurge{row.Row, &stored})
	return store.Done
}
