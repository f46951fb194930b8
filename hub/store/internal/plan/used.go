package plan

import (
	"github.com/entente-hub/entente/api/alert"
	"github.com/entente-hub/entente/hub/store"
)

// used keeps by how much what members take up has changed.
type used struct {
	by      map[alert.MemberID]store.Used
	members set[alert.MemberID]
}

func (u *used) changes() (rows []UsedRow) {
	for _, m := range u.members.list {
		if by := u.by[m]; by != (store.Used{}) {
			rows = append(rows, UsedRow{m, by})
		}
	}
	return rows
}

// use changes what a member takes up. In the State that is right only for those whom Needs
// names.
func (p *planner) use(m alert.MemberID, by store.Used) {
	if p.used.by == nil {
		p.used.by = make(map[alert.MemberID]store.Used)
	}
	p.used.by[m] = sum(p.used.by[m], by)
	p.State.Used[m] = sum(p.State.Used[m], by)
	p.used.members.add(m)
}

func sum(a, b store.Used) store.Used {
	return store.Used{Alerts: a.Alerts + b.Alerts, Bytes: a.Bytes + b.Bytes, Statements: a.Statements + b.Statements}
}

// live reports whether an alert version counts among what its originator takes up.
func (a *AlertRow) live() bool { return a.EraseAt != 0 && !a.Over }

// live counts an alert version, or no more, if it is live.
func (p *planner) live(row *AlertRow, sign int64) {
	if row.live() {
		p.use(row.Originator, store.Used{Alerts: sign, Bytes: sign * row.Size})
	}
}

// fits reports whether an accepted version stays within the quota, or adds nothing.
func (p *planner) fits(a *store.Accept) bool {
	var more store.Used
	if a.EraseAt != 0 {
		more = store.Used{Alerts: 1, Bytes: int64(len(a.Token))}
	}
	for _, row := range p.endedBy(a) {
		more.Alerts--
		more.Bytes -= row.Size
	}
	now := p.State.Used[a.Originator]
	within := func(have, more, bound int64) bool { return bound == 0 || more <= 0 || have+more <= bound }
	return within(now.Alerts, more.Alerts, a.Quota.Alerts) && within(now.Bytes, more.Bytes, a.Quota.Bytes)
}
