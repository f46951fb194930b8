package plan

import (
	"fmt"
	"slices"

	"github.com/entente-hub/entente/hub/store"
)

// resettle refuses what no caller means: negative numbers, and one thing twice.
func (s *sets) resettle(r *store.Resettle) error {
	var claims set[Claim]
	for _, c := range r.Renew {
		if err := names(string(c.Recipient)); err != nil {
			return err
		}
		if c.AlertRow < 0 {
			return fmt.Errorf("claim to alert %d", c.AlertRow)
		}
		claim := Claim{c.AlertRow, c.Recipient}
		if !claims.add(claim) {
			return fmt.Errorf("claim of %q to alert %d named twice", c.Recipient, c.AlertRow)
		}
		s.claims.add(claim)
		s.rows.add(c.AlertRow)
		s.feeds.add(c.Recipient)
	}
	var deliveries, labels set[int64]
	for _, id := range r.Lost {
		if id < 0 || !deliveries.add(id) {
			return fmt.Errorf("delivery %d is negative or named twice", id)
		}
		s.deliveries.add(id)
	}
	for _, l := range r.Labels {
		if l.Row < 0 || !labels.add(l.Row) {
			return fmt.Errorf("label %d is negative or named twice", l.Row)
		}
	}
	if r.Settled != nil {
		if r.Settled.Position < 0 || r.Settled.At < 0 {
			return fmt.Errorf("settled at position %d and moment %d", r.Settled.Position, r.Settled.At)
		}
		s.settled = true
	}
	return nil
}

// resettle passes over what is no longer so, or never was. Rows are numbered
// from 1 on without gaps and never deleted: the head tells which there are.
func (p *planner) resettle(r *store.Resettle) {
	for _, c := range r.Renew {
		if row := p.Rows[c.AlertRow]; row != nil && !row.Ended {
			p.renew(Claim{c.AlertRow, c.Recipient})
		}
	}
	for _, id := range r.Lost {
		if d, ok := p.State.Deliveries[id]; ok && d.State == store.Handed && !d.Lost {
			d.Lost = true
			p.out.Lost = append(p.out.Lost, d)
		}
	}
	for _, l := range r.Labels {
		if l.Row >= 1 && l.Row <= p.Head.Labels {
			p.audiences.set(l)
		}
	}
	if r.Settled != nil && after(*r.Settled, p.State.Settled) {
		settled := *r.Settled
		p.State.Settled, p.out.Settled = settled, &settled
	}
}

func (p *planner) renew(c Claim) {
	d, ok := p.Unsent[c]
	switch {
	case ok && d.State == store.Pending:
	case ok && d.State == store.Withheld:
		p.move(d, store.Pending)
		d.Renewed = true
	default:
		follows := slices.ContainsFunc(p.ofAlert[c.Alert], func(d *Delivery) bool { return d.Recipient == c.Recipient && d.Follows })
		d = p.add(c)
		d.Seen, d.Renewed, d.Follows = p.seen, true, follows
	}
}

// after reports whether a is a later place than b.
func after(a, b store.Settled) bool {
	return a.Position > b.Position || a.Position == b.Position && a.At > b.At
}

// audiences keeps the last audience of each label.
type audiences struct {
	at     map[int64]int // by row
	labels []store.Label
}

func (a *audiences) set(l store.Label) {
	if a.at == nil {
		a.at = make(map[int64]int)
	}
	i, ok := a.at[l.Row]
	if !ok {
		i = len(a.labels)
		a.at[l.Row] = i
		a.labels = append(a.labels, store.Label{})
	}
	a.labels[i] = store.Label{Row: l.Row, Audience: l.Audience}
}
