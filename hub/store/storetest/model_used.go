package storetest

import (
	"github.com/entente-hub/entente/api/alert"
	"github.com/entente-hub/entente/hub/store"
)

// used counts what a member takes up.
func (m *model) used(member alert.MemberID) (u store.Used) {
	for i, a := range m.alerts {
		if a.Originator == member && a.EraseAt != 0 && !m.over[i] {
			u.Alerts++
			u.Bytes += int64(len(a.Token))
		}
	}
	for _, of := range m.firsts {
		if of == member {
			u.Statements++
		}
	}
	return u
}

// fits compares what the originator would take up with what it does.
func (m *model) fits(a *store.Accept) bool {
	now := m.used(a.Originator)
	then := now
	if a.EraseAt != 0 {
		then.Alerts++
		then.Bytes += int64(len(a.Token))
	}
	for _, row := range m.before(a.Originator, a.ID, a.Version) {
		if before := m.alerts[row-1]; !a.Keep && before.EraseAt != 0 && !m.over[row-1] {
			then.Alerts--
			then.Bytes -= int64(len(before.Token))
		}
	}
	return (a.Quota.Alerts == 0 || then.Alerts <= max(now.Alerts, a.Quota.Alerts)) &&
		(a.Quota.Bytes == 0 || then.Bytes <= max(now.Bytes, a.Quota.Bytes))
}
