package storetest

import (
	"errors"
	"testing"

	"github.com/entente-hub/entente/hub/store"
)

// testMalformedLife: what no caller means is refused, and nothing done.
func testMalformedLife(t *testing.T, open opener) {
	s, m := open(), &model{}
	good := version(1, "XB")
	change := func(f func(*store.Accept)) store.Write {
		w := version(2, "XB")
		f(w.Accept)
		return w
	}
	for name, bad := range map[string]store.Write{
		"two changes":            {Erase: erase(1, 1, "", 0).Erase, Purge: purge("XB", "XA", id(1), 1, "ended", "").Purge},
		"negative time to erase": change(func(a *store.Accept) { a.EraseAt = -1 }),
		"ends at no time":        change(func(a *store.Accept) { a.AcceptedAt = 0 }),
		"ends before all time":   change(func(a *store.Accept) { a.AcceptedAt, a.Keep = -5, true }),
		"recall with portions":   change(func(a *store.Accept) { a.Recall = true }),
		"recall of nothing":      recall(version(1)),
		"erasure before none":    erase(1, 0, "", 0),
		"erasure before all":     erase(1, -1, "", 0),
		"erasure of a negative":  erase(-1, 1, "", 0),
		"erased for ever":        erase(1, 5, "", 5),
		"erased backwards":       erase(1, 5, "", 4),
		"erased at a negative":   erase(1, 5, "", -1),
		"purged by nobody":       purge("", "XA", id(1), 1, "ended", ""),
		"purged by NUL":          purge("X\x00", "XA", id(1), 1, "ended", ""),
		"purged for no cause":    purge("XB", "XA", id(1), 1, "", ""),
		"purged for any cause":   purge("XB", "XA", id(1), 1, "\xff", ""),
	} {
		results, err := s.Commit(t.Context(), []store.Write{good, bad})
		if !errors.Is(err, store.ErrInvalid) || results != nil {
			t.Errorf("%s: %v, %v", name, results, err)
		}
	}
	compare(t, s, m)
}
