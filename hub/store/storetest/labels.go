package storetest

import (
	"testing"

	"github.com/entente-hub/entente/hub/store"
)

// What CommitLabels comes to.
const (
	Labels   = 5
	Portions = 8
)

// CommitLabels stores alerts whose portions share labels, within a group and
// across commits. How they are interned the contract does not show: each
// database's own test looks.
func CommitLabels(t testing.TB, s store.Store) {
	t.Helper()
	a := accept("XA", id(1), 1, "a", "") // labels 1 and a
	b := accept("XA", id(2), 1, "b", "") // labels 1 and b
	c := accept("XB", id(1), 1, "a", "") // the same two, of another originator
	d := accept("XA", id(3), 1, "d", "")
	d.Accept.Portions[1].LabelKey = a.Accept.Portions[1].LabelKey // labels 1 and a
	commit(t, s, a, b)
	commit(t, s, c, d)
}
