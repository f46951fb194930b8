package storetest

import (
	"math"
	"slices"
	"testing"

	"github.com/entente-hub/entente/api/alert"
	"github.com/entente-hub/entente/hub/store"
)

// compareDue reads all that is due at once, and page by page.
func compareDue(t testing.TB, s store.Store, m *model) {
	t.Helper()
	for i, at := range append([]int64{math.MaxInt64, 1_790_000_001, 0}, moments...) {
		want := m.due(at)
		got, err := s.Due(t.Context(), at, store.Place{}, math.MaxInt32)
		same(t, "Due", got, want, err)
		for i == 0 && len(want) > 0 {
			n := min(len(want), 1+len(want)/3)
			got, err := s.Due(t.Context(), at, place(want[0], -1), n)
			same(t, "Due", got, want[:n], err)
			got, err = s.Due(t.Context(), at, place(want[0], 0), n)
			same(t, "Due", got, want[1:min(len(want), 1+n)], err)
			want = want[n:]
		}
	}
}

// place returns the place of what is due, or the one just before it.
func place(d store.Due, by int64) store.Place {
	return store.Place{EraseAt: d.EraseAt, Row: d.Row + by}
}

func comparePublished(t testing.TB, s store.Store, m *model) {
	t.Helper()
	for _, o := range members {
		all := m.published(o, -1)
		for _, limit := range []int{0, 1, len(all), len(all) + 1} {
			got, err := s.Published(t.Context(), o, -1, limit)
			same(t, "Published", got, append([]store.Alert(nil), all[:min(limit, len(all))]...), err)
		}
		if len(all) > 0 {
			got, err := s.Published(t.Context(), o, all[0].LogIndex, len(all))
			same(t, "Published after the first", got, m.published(o, all[0].LogIndex), err)
		}
	}
}

func compareHolders(t testing.TB, s store.Store, m *model) {
	t.Helper()
	type name struct {
		by alert.MemberID
		id alert.ID
	}
	names := map[name]bool{{"XA", ids[len(ids)-1]}: true} // the one that is not there
	for _, a := range m.alerts {
		names[name{a.Originator, a.ID}] = true
	}
	for n := range names {
		holders, err := s.Holders(t.Context(), n.by, n.id)
		same(t, "Holders", holders, m.holders(n.by, n.id), err)
		for _, r := range members {
			has, err := s.Handed(t.Context(), r, n.by, n.id)
			same(t, "Handed", has, slices.ContainsFunc(m.holders(n.by, n.id), func(h store.Holder) bool { return h.Recipient == r }), err)
		}
		purges, err := s.Purges(t.Context(), n.by, n.id)
		same(t, "Purges", purges, m.purgesOf(n.by, n.id), err)
	}
}
