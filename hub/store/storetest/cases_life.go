package storetest

import (
	"fmt"
	"math"
	"testing"

	"github.com/entente-hub/entente/api/alert"
	"github.com/entente-hub/entente/hub/store"
)

// version makes a write of the n-th version of XA's first alert.
func version(n int, to ...alert.MemberID) store.Write {
	previous := ""
	if n > 1 {
		previous = digest(fmt.Sprint("version ", n-1))
	}
	w := accept("XA", id(1), n, fmt.Sprint("version ", n), previous, to...)
	w.Accept.AcceptedAt = int64(1_790_000_000 + n)
	return w
}

// woken commits one write, and holds those whom it woke to what is wanted.
func woken(t *testing.T, s store.Store, m *model, w store.Write, want ...alert.MemberID) {
	t.Helper()
	got := commit(t, s, w)
	same(t, "results", got, m.commit([]store.Write{w}), nil)
	same(t, "woken", got[0].Woken, want, nil)
	compare(t, s, m)
}

// testEnds: a version drops what waits of those before it, and goes to all who hold
// one of them, named or not, whatever became of it there.
func testEnds(t *testing.T, open opener) {
	s, m := open(), &model{}
	woken(t, s, m, version(1, "XB", "XC", "XD"))
	b, c, d := m.pending("XB")[0], m.pending("XC")[0], m.pending("XD")[0]
	late := handOver("XD", store.Feed{}, d.ID)
	outcomes(t, s, m, []store.Write{handOver("XB", store.Feed{}, b.ID), setAside("XC", store.Feed{}, []int64{c.ID}, nil)}, store.Done, store.Done)
	woken(t, s, m, version(2, "XC", "XE"), "XB")
	if c.state != store.Dropped || d.state != store.Dropped || b.state != store.Handed || m.feed("XD").Pending != 0 {
		t.Errorf("%+v", m.deliveries)
	}
	outcomes(t, s, m, []store.Write{late, renew(1, "XB", "XC", "XD", "XE")}, store.Stale, store.Done) // there is nothing to be had of it any more
	for _, r := range members[1:] {
		if n := m.feed(r).Pending; n != map[alert.MemberID]int64{"XB": 1, "XC": 1, "XE": 1}[r] {
			t.Errorf("%s: %d pending", r, n)
		}
	}
	if got, err := s.Held(t.Context(), "XB", 1); err != nil || !got.Superseded || got.Follows {
		t.Errorf("held: %+v, %v", got, err)
	}
	// Handed over and lost, named: it is not woken besides. XC holds nothing.
	outcomes(t, s, m, []store.Write{handOver("XB", m.feed("XB"), m.pending("XB")[0].ID)}, store.Done)
	outcomes(t, s, m, []store.Write{lose(m.item("XB", 2).ID, m.item("XB", 1).ID)}, store.Done)
	woken(t, s, m, version(3, "XB"))
	// Of the third nothing was handed over: its holders are those of the first.
	outcomes(t, s, m, []store.Write{setAside("XB", m.feed("XB"), nil, []int64{m.pending("XB")[0].ID})}, store.Done)
	woken(t, s, m, version(4), "XB")
	woken(t, s, m, version(5, "XC"), "XB")
	p, err := s.Pending(t.Context(), "XB", 10)
	if err != nil || len(p) != 1 || p[0].Superseded || !p[0].Follows || p[0].Renewed || p[0].Alert.Version != 5 {
		t.Errorf("pending %+v, %v", p, err)
	}
	s.Close()
	compare(t, open(), m)
}

// testFollows: a delivery that a later decision makes says too whether its recipient
// holds an earlier version.
func testFollows(t *testing.T, open opener) {
	s, m := open(), &model{}
	outcomes(t, s, m, []store.Write{version(1, "XB")}, store.Done)
	outcomes(t, s, m, []store.Write{handOver("XB", store.Feed{}, m.pending("XB")[0].ID)}, store.Done)
	woken(t, s, m, version(2), "XB")
	outcomes(t, s, m, []store.Write{setAside("XB", m.feed("XB"), nil, []int64{m.pending("XB")[0].ID})}, store.Done)
	outcomes(t, s, m, []store.Write{renew(2, "XB", "XC")}, store.Done)
	b, c := m.view(m.pending("XB")[0]), m.view(m.pending("XC")[0])
	if !b.Follows || !b.Renewed || c.Follows || !c.Renewed {
		t.Errorf("%+v, %+v", b, c)
	}
	outcomes(t, s, m, []store.Write{ // in one group, twice over
		setAside("XB", m.feed("XB"), nil, []int64{b.ID}), renew(2, "XB"), setAside("XC", m.feed("XC"), []int64{c.ID}, nil), renew(2, "XC"),
	}, store.Done, store.Done, store.Done, store.Done)
	woken(t, s, m, version(3, "XC"), "XB")
}

// testErasable: of what a version ends the time of erasure is now, unless it is kept,
// or nothing is left, or it was over before.
func testErasable(t *testing.T, open opener) {
	s, m := open(), &model{}
	at := func(want ...int64) {
		t.Helper()
		for i, at := range want {
			if a := m.alerts[i]; a.EraseAt != at || m.over[i] != (at > 0 && at < 1_800_000_000) {
				t.Errorf("version %d is to be erased at %d, over %t: want %d", i+1, a.EraseAt, m.over[i], at)
			}
		}
	}
	with := func(w store.Write, eraseAt int64, keep bool) store.Write {
		w.Accept.EraseAt, w.Accept.Keep = eraseAt, keep
		return w
	}
	outcomes(t, s, m, []store.Write{with(version(1), 1_800_000_001, true)}, store.Done) // it keeps nobody
	outcomes(t, s, m, []store.Write{with(version(2), 0, true)}, store.Done)
	at(1_800_000_001, 0)
	outcomes(t, s, m, []store.Write{with(version(3), 1_800_000_003, false)}, store.Done)
	at(1_790_000_003, 0, 1_800_000_003)
	outcomes(t, s, m, []store.Write{with(version(4), 1_800_000_000, true)}, store.Done)
	at(1_790_000_003, 0, 1_800_000_003, 1_800_000_000)
	outcomes(t, s, m, []store.Write{with(version(5), 1_800_000_005, false), with(version(6), 1_800_000_006, false)}, store.Done, store.Done)
	at(1_790_000_003, 0, 1_790_000_005, 1_790_000_005, 1_790_000_006, 1_800_000_006)
	d, err := s.Due(t.Context(), 1_790_000_005, store.Place{EraseAt: 1_790_000_003, Row: 1}, 9)
	if err != nil || len(d) != 2 || d[0].Row != 3 || d[1].Row != 4 || !d[0].Over || d[1].Token != "version 4" {
		t.Errorf("due %+v, %v", d, err)
	}
	s.Close()
	compare(t, open(), m)
}

// testRecall: a recall goes where any version went, and has no successor, in its own
// group either.
func testRecall(t *testing.T, open opener) {
	s, m := open(), &model{}
	outcomes(t, s, m, []store.Write{version(1, "XB", "XC")}, store.Done)
	outcomes(t, s, m, []store.Write{handOver("XB", store.Feed{}, m.pending("XB")[0].ID)}, store.Done)
	end := recall(version(2))
	end.Accept.Keep = true
	after := accept("XA", id(1), 3, "after", digest("version 2"), "XB")
	got := commit(t, s, end, after, end)
	same(t, "results", got, m.commit([]store.Write{end, after, end}), nil)
	if got[0].Outcome != store.Done || got[1].Outcome != store.Gap || got[2].Outcome != store.Replay {
		t.Errorf("results %+v", got)
	}
	same(t, "woken", got[0].Woken, []alert.MemberID{"XB"}, nil)
	outcomes(t, s, m, []store.Write{after, recall(accept("XA", id(2), 2, "of nothing", ""))}, store.Gap, store.Gap)
	if m.alerts[0].EraseAt != 1_800_000_000 || m.over[0] || m.feed("XC").Pending != 0 {
		t.Errorf("%+v", m)
	}
	p, err := s.Pending(t.Context(), "XB", 2)
	if err != nil || len(p) != 1 || !p[0].Alert.Recall || !p[0].Follows {
		t.Errorf("pending %+v, %v", p, err)
	}
	s.Close()
	outcomes(t, open(), m, []store.Write{after, end}, store.Gap, store.Replay)
	outcomes(t, open(), m, []store.Write{recall(after)}, store.Done) // what is not to be used any more can still be purged
	if !m.over[0] {
		t.Errorf("%+v", m)
	}
}

// testErase: a token is replaced by who knows what is to be erased, and by nobody else.
func testErase(t *testing.T, open opener) {
	s, m := open(), &model{}
	one := version(1, "XB")
	outcomes(t, s, m, []store.Write{one}, store.Done)
	outcomes(t, s, m, []store.Write{handOver("XB", store.Feed{}, m.pending("XB")[0].ID)}, store.Done)
	const at = 1_800_000_000
	outcomes(t, s, m, []store.Write{
		erase(1, at-1, "too early", 0), erase(1, at+1, "too late", 0), erase(0, at, "none", 0), erase(2, at, "none", 0), erase(math.MaxInt64, at, "none", 0),
	}, store.Stale, store.Stale, store.Stale, store.Stale, store.Stale)
	outcomes(t, s, m, []store.Write{erase(1, at, "less", at+5), erase(1, at, "again", 0)}, store.Done, store.Stale)
	if again := commit(t, s, one)[0]; again.Outcome != store.Replay || again.Prior.Token != "less" || again.Prior.EraseAt != at+5 || again.Prior.Digest != one.Accept.Digest {
		t.Errorf("again: %+v", again)
	}
	m.commit([]store.Write{one})
	// What is over is erased whole, even where the moment is the same.
	two := version(2)
	two.Accept.AcceptedAt = at + 5
	outcomes(t, s, m, []store.Write{two, erase(1, at+5, "some of it", at+9), one, erase(1, at+5, "", 0), one},
		store.Done, store.Stale, store.Replay, store.Done, store.Replay)
	outcomes(t, s, m, []store.Write{erase(1, at+5, "again", 0), one}, store.Stale, store.Replay)
	if d, err := s.Delivered(t.Context(), "XB", 0, 1); err != nil || d[0].Alert.Token != "" || !d[0].Superseded || d[0].Alert.EraseAt != 0 {
		t.Errorf("delivered %+v, %v", d, err)
	}
	outcomes(t, s, m, []store.Write{statement("roster", "a", 1, "a", ""), statement("roster", "b", 1, "b", "")}, store.Done, store.Done)
	late := erase(2, at, "", 0)
	late.Seen = m.statements[0].Position
	outcomes(t, s, m, []store.Write{late}, store.Stale)
	portions, err := s.Portions(t.Context(), "XA", id(1), 1)
	same(t, "Portions of what is erased", portions, one.Accept.Portions, err)
	s.Close()
	compare(t, open(), m)
}

// testPurge: only who was handed a version over can have purged it, once for each
// cause, set of portions and moment.
func testPurge(t *testing.T, open opener) {
	s, m := open(), &model{}
	outcomes(t, s, m, []store.Write{version(1, "XB", "XC"), accept("XB", id(1), 1, "of another", "", "XB")}, store.Done, store.Done)
	all := `["p1","p2"]`
	word := purge("XB", "XA", id(1), 1, "ended", all)
	outcomes(t, s, m, []store.Write{word}, store.Unknown) // pending
	outcomes(t, s, m, []store.Write{handOver("XB", store.Feed{}, m.pending("XB")[0].ID)}, store.Done)
	again := purge("XB", "XA", id(1), 1, "ended", all)
	again.Purge.Receipt = "another"
	later := purge("XB", "XA", id(1), 1, "ended", all)
	later.Purge.At++ // it was handed over again, and erased again
	outcomes(t, s, m, []store.Write{
		word, again, later, purge("XB", "XA", id(1), 1, "ended", `["p1"]`), purge("XB", "XA", id(1), 1, "recalled", all),
		purge("XC", "XA", id(1), 1, "ended", all), purge("XB", "XB", id(1), 1, "ended", all), purge("XB", "XA", id(2), 1, "ended", all),
		purge("XB", "XA", id(1), 2, "ended", all), purge("XB", "XA", id(1), 0, "ended", all), purge("XB", "XA", id(1), math.MaxInt, "ended", all),
		purge("XB", "", id(1), 1, "ended", all), purge("XB", "XA", "a\x00", 1, "ended", all), purge("XB", "\xff", alert.ID(make([]byte, 600)), 1, "ended", all),
	}, store.Done, store.Replay, store.Done, store.Done, store.Done,
		store.Unknown, store.Unknown, store.Unknown, store.Unknown, store.Unknown, store.Unknown, store.Unknown, store.Unknown, store.Unknown)
	outcomes(t, s, m, []store.Write{again, later, lose(m.item("XB", 1).ID)}, store.Replay, store.Replay, store.Done)
	long := purge("XB", "XA", id(1), 1, "superseded", string(make([]byte, 100_000))) // any bytes, and no key of an index
	empty := purge("XB", "XA", id(1), 1, "superseded", "")
	empty.Purge.Receipt, empty.Purge.At = "", math.MinInt64
	outcomes(t, s, m, []store.Write{version(2), long, empty, long, empty}, store.Done, store.Done, store.Done, store.Replay, store.Replay)
	outcomes(t, s, m, []store.Write{purge("XB", "XA", id(1), 2, "recalled", all)}, store.Unknown)
	s.Close()
	compare(t, open(), m)
}

// testLifeInGroup: a whole life within one group. The model does not know the numbers
// that the store gives: each step is held to what it must say.
func testLifeInGroup(t *testing.T, open opener) {
	s := open()
	one, two, three := version(1, "XB", "XC"), version(2, "XD"), recall(version(3))
	got := commit(t, s,
		one, handOver("XB", store.Feed{}, 1), purge("XB", "XA", id(1), 1, "ended", ""), purge("XC", "XA", id(1), 1, "ended", ""),
		two, handOver("XC", store.Feed{}, 2), renew(1, "XB", "XC"), erase(1, two.Accept.AcceptedAt, "less", 0), one,
		three, erase(2, three.Accept.AcceptedAt, "", 0), two, version(4), handOver("XB", store.Feed{Seq: 1}, 5),
		purge("XB", "XA", id(1), 1, "ended", ""), purge("XB", "XA", id(1), 3, "recalled", ""))
	for i, want := range []store.Outcome{store.Done, store.Done, store.Done, store.Unknown,
		store.Done, store.Stale, store.Done, store.Done, store.Replay,
		store.Done, store.Done, store.Replay, store.Gap, store.Done, store.Replay, store.Done} {
		if got[i].Outcome != want {
			t.Errorf("write %d: outcome %d, want %d", i, got[i].Outcome, want)
		}
	}
	if p := got[8].Prior; p.Token != "less" || p.EraseAt != 0 || p.LogIndex != 0 {
		t.Errorf("prior %+v", p)
	}
	if p := got[11].Prior; p.Token != "" || p.EraseAt != 0 {
		t.Errorf("prior %+v", p)
	}
	same(t, "woken", got[4].Woken, []alert.MemberID{"XB"}, nil)
	same(t, "woken", got[9].Woken, []alert.MemberID{"XB"}, nil)
	d, err := s.Delivered(t.Context(), "XB", 0, 9)
	if err != nil || len(d) != 2 || d[0].Alert.Token != "less" || !d[0].Superseded || !d[1].Follows || d[1].Alert.Version != 3 || d[1].Superseded {
		t.Errorf("delivered %+v, %v", d, err)
	}
	for r, want := range map[alert.MemberID]store.Feed{"XB": {Seq: 2, Chain: d[1].Chain}, "XC": {}, "XD": {}} {
		f, err := s.Feed(t.Context(), r)
		same(t, "Feed", f, want, err)
	}
	due, err := s.Due(t.Context(), math.MaxInt64, store.Place{}, 9)
	if err != nil || len(due) != 1 || due[0].Row != 3 || due[0].Over {
		t.Errorf("due %+v, %v", due, err)
	}
}
