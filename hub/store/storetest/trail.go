package storetest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"testing"

	"github.com/entente-hub/entente/api/alert"
	"github.com/entente-hub/entente/hub/store"
)

// trim makes a write that erases runs of leaves, each given by its first and last.
func trim(edges ...int64) store.Write {
	t := &store.Trim{}
	for i := 0; i+1 < len(edges); i += 2 {
		t.Runs = append(t.Runs, store.Run{First: edges[i], Last: edges[i+1]})
	}
	return store.Write{Trim: t, Entries: [][]byte{fmt.Appendf(nil, "trimmed %d", edges)}}
}

// trim of the model looks at each leaf.
func (m *model) trim(t *store.Trim) store.Outcome {
	for _, r := range t.Runs {
		for i := r.First; i <= r.Last; i++ {
			if i >= m.atFirst || m.trimmed[i] {
				return store.Stale
			}
		}
	}
	if m.trimmed == nil {
		m.trimmed = make(map[int64]bool)
	}
	for _, r := range t.Runs {
		for i := r.First; i <= r.Last; i++ {
			m.trimmed[i] = true
		}
	}
	return store.Done
}

// trim picks runs, of which some are not there, or not any more.
func (g *generator) trim() store.Write {
	var edges []int64
	for at, n := g.Int64N(int64(len(g.m.leaves))+3), 1+g.IntN(3); n > 0; n-- {
		if g.IntN(4) > 0 { // an attempt to hit what is there
			for g.m.trimmed[at] {
				at++
			}
		}
		last := at
		for extra := g.IntN(4); extra > 0 && !g.m.trimmed[last+1]; extra-- {
			last++
		}
		edges = append(edges, at, last)
		at = last + 2 + g.Int64N(4)
	}
	return trim(edges...)
}

// checkTrail holds what can be read of a log to its leaves, of which some are trimmed.
func checkTrail(t testing.TB, s store.Store, leaves [][]byte, trimmed map[int64]bool) {
	t.Helper()
	var want []store.Kept
	for i, leaf := range leaves {
		if !trimmed[int64(i)] {
			want = append(want, store.Kept{Index: int64(i), Leaf: leaf})
		}
	}
	var got []store.Kept
	for after := int64(-1); ; after = got[len(got)-1].Index {
		page, err := s.Trail(t.Context(), after, 40)
		if err != nil {
			t.Fatal(err)
		}
		if got = append(got, page...); len(page) < 40 {
			break
		}
	}
	same(t, "Trail", got, want, nil)
	for from := int64(0); from < int64(len(leaves)); {
		page, err := s.Entries(t.Context(), from, 50)
		if err != nil || len(page) == 0 {
			t.Fatalf("entries from %d: %d, %v", from, len(page), err)
		}
		for i, leaf := range page {
			at := from + int64(i)
			if trimmed[at] != (leaf == nil) || leaf != nil && !bytes.Equal(leaf, leaves[at]) {
				t.Fatalf("entry %d, trimmed %t: %q", at, trimmed[at], leaf)
			}
		}
		from += int64(len(page))
	}
}

// testTrim: what is there is erased once, with a record; the tree stays as it was.
func testTrim(t *testing.T, open opener) {
	s, m := open(), &model{}
	outcomes(t, s, m, []store.Write{trim(0, 0)}, store.Stale)
	var fill store.Write
	for i := range 12 {
		fill.Entries = append(fill.Entries, fmt.Appendf(nil, "entry %d", i))
	}
	outcomes(t, s, m, []store.Write{fill, trim(0, 1)}, store.Done, store.Stale) // not there before the group
	outcomes(t, s, m, []store.Write{
		trim(0, 2, 5, 5), trim(2, 3), trim(5, 5), trim(3, 12), trim(3, 4, 6, 7), trim(10, 12), trim(1<<47, 1<<47),
	}, store.Done, store.Stale, store.Stale, store.Stale, store.Done, store.Stale, store.Stale)
	outcomes(t, s, m, []store.Write{trim(0, 2, 5, 5), trim(7, 8), trim(8, 8, 10, 13)}, store.Stale, store.Stale, store.Done)
	outcomes(t, s, m, []store.Write{statement("roster", "a", 1, "a", ""), statement("roster", "b", 1, "b", "")}, store.Done, store.Done)
	late := trim(9, 9)
	late.Seen = m.statements[0].Position
	outcomes(t, s, m, []store.Write{late}, store.Stale)
	late.Seen = m.statements[1].Position
	outcomes(t, s, m, []store.Write{late}, store.Done)
	s.Close()
	compare(t, open(), m)
}

// testMalformedTrim: what no caller means is refused, and nothing done.
func testMalformedTrim(t *testing.T, open opener) {
	s, m := open(), &model{}
	outcomes(t, s, m, []store.Write{{Entries: [][]byte{{1}, {2}, {3}, {4}}}}, store.Done)
	silent, both := trim(0, 0), trim(0, 0)
	silent.Entries = nil
	both.Erase = erase(1, 1, "", 0).Erase
	for name, bad := range map[string]store.Write{
		"nothing": trim(), "no record": silent, "two changes": both, "negative": trim(-1, 0), "backwards": trim(2, 1),
		"twice": trim(0, 1, 1, 2), "descending": trim(2, 2, 0, 0), "touching": trim(0, 0, 1, 1),
		"too many": trim(0, store.MaxTrim), "too many in all": trim(0, store.MaxTrim-1, store.MaxTrim+1, store.MaxTrim+1),
		"overflow": trim(0, 1<<63-1), "empty entry": {Entries: [][]byte{{1}, {}}},
	} {
		results, err := s.Commit(t.Context(), []store.Write{{Entries: [][]byte{{5}}}, bad})
		if !errors.Is(err, store.ErrInvalid) || results != nil {
			t.Errorf("%s: %v, %v", name, results, err)
		}
	}
	compare(t, s, m)
}

// testRacingTrims: of all who erase a leaf, from whichever handle, one does.
func testRacingTrims(t *testing.T, open opener) {
	const leaves, rounds = 60, 30
	first := open()
	for i := range leaves {
		commit(t, first, store.Write{Entries: [][]byte{fmt.Appendf(nil, "entry %d", i)}})
	}
	done := make([]map[int64]bool, 64)
	handles := both(t, open, func(n int, s store.Store) error {
		done[n] = make(map[int64]bool)
		for round := range int64(rounds) {
			at := (round*7 + int64(n)) % (leaves - 1)
			w := trim(at, at+round%2)
			results, err := s.Commit(context.WithoutCancel(t.Context()), []store.Write{w})
			if err != nil {
				return err
			}
			if results[0].Outcome != store.Done {
				continue
			}
			for _, r := range w.Trim.Runs {
				for i := r.First; i <= r.Last; i++ {
					done[n][i] = true
				}
			}
		}
		return nil
	})
	trimmed := make(map[int64]bool)
	for _, mine := range done {
		for i := range mine {
			if trimmed[i] {
				t.Errorf("entry %d was erased twice", i)
			}
			trimmed[i] = true
		}
	}
	if len(trimmed) < leaves/2 {
		t.Errorf("%d entries were erased: the test has no bite", len(trimmed))
	}
	left := leavesOf(t, handles[0])
	checkTrail(t, handles[1], left, trimmed)
	var records int
	for _, leaf := range left {
		if bytes.HasPrefix(leaf, []byte("trimmed ")) {
			records++
		}
	}
	head, err := handles[1].LogHead(t.Context())
	if err != nil || head.Size != int64(leaves+records) || records == 0 {
		t.Errorf("%d entries, %d of them records: %v", head.Size, records, err)
	}
}

// testTrimmedAdmission: that an alert's admission is erased from the log changes nothing
// of the alert.
func testTrimmedAdmission(t *testing.T, open opener) {
	s, m := open(), &model{}
	one := accept("XA", id(1), 1, "token", "", "XB")
	outcomes(t, s, m, []store.Write{one}, store.Done)
	outcomes(t, s, m, []store.Write{trim(0, 0), one, handOver("XB", store.Feed{}, m.pending("XB")[0].ID)}, store.Done, store.Replay, store.Done)
	d, err := s.Delivered(t.Context(), "XB", 0, 1)
	if err != nil || len(d) != 1 || d[0].Alert.Originator != alert.MemberID("XA") || d[0].Alert.LogIndex != 0 {
		t.Errorf("delivered %+v, %v", d, err)
	}
}
