package trust

import (
	"cmp"
	"slices"
	"time"

	"github.com/entente-hub/entente/api/federation"
)

// Heads returns the statements in force of one type, sorted by subject.
func (d *Directory) Heads(t federation.StatementType) []Statement {
	var list []Statement
	for k, s := range d.heads {
		if k.Type == t {
			list = append(list, s)
		}
	}
	slices.SortFunc(list, func(a, b Statement) int { return cmp.Compare(a.Subject, b.Subject) })
	return list
}

// Standing is how an agreement stands at a moment.
type Standing string

// How an agreement can stand. Only one in force is enforced; one that a party
// has suspended rests, whatever its dates. One is ended when a party of it leaves
// the federation, until a new version is signed.
const (
	InForce     Standing = "in-force"
	Suspended   Standing = "suspended"
	NotYetValid Standing = "not-yet-valid"
	Expired     Standing = "expired"
	Ended       Standing = "ended"
)

// Stands returns how the agreement under an id stands at a moment, which is how its
// Current version does, and the statements of that version's parties that suspend
// it, sorted by party. World counts exactly those that are InForce. One that there
// is not has expired.
func (d *Directory) Stands(id federation.AgreementID, at time.Time) (Standing, []Statement) {
	s, _, _ := d.Current(id, at)
	a, ok := s.Body.(*federation.Agreement)
	if !ok {
		return Expired, nil
	}
	by := d.suspensions(a)
	switch {
	case d.Ended(s):
		return Ended, by
	case len(by) > 0:
		return Suspended, by
	case a.InForce(at):
		return InForce, nil
	case at.Unix() < a.ValidFrom:
		return NotYetValid, nil
	}
	return Expired, nil
}

// suspensions returns the statements by which parties suspend a version of an
// agreement.
func (d *Directory) suspensions(a *federation.Agreement) []Statement {
	var by []Statement
	for _, m := range a.Parties {
		s := d.heads[key{federation.TypeSuspension, string(a.ID) + "/" + string(m)}]
		if b, ok := s.Body.(*federation.Suspension); ok && b.Suspended && !d.Ended(s) {
			by = append(by, s)
		}
	}
	slices.SortFunc(by, func(a, b Statement) int { return cmp.Compare(a.Subject, b.Subject) })
	return by
}
