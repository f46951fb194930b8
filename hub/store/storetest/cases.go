package storetest

import (
	"context"
	"errors"
	"fmt"
	"testing"

	"github.com/entente-hub/entente/api/alert"
	"github.com/entente-hub/entente/hub/store"
)

// commit commits and fails the test on an error.
func commit(t testing.TB, s store.Store, writes ...store.Write) []store.Result {
	t.Helper()
	results, err := s.Commit(t.Context(), writes)
	if err != nil {
		t.Fatalf("Commit: %v", err)
	}
	if len(results) != len(writes) {
		t.Fatalf("%d results for %d writes", len(results), len(writes))
	}
	return results
}

// outcomes commits to store and model, and holds both to what is wanted.
func outcomes(t testing.TB, s store.Store, m *model, writes []store.Write, want ...store.Outcome) {
	t.Helper()
	got := commit(t, s, writes...)
	same(t, "results", got, m.commit(writes), nil)
	for i := range got {
		if got[i].Outcome != want[i] {
			t.Errorf("write %d: outcome %d, want %d", i, got[i].Outcome, want[i])
		}
	}
	compare(t, s, m)
}

func testEmpty(t *testing.T, open opener) {
	s, m := open(), &model{}
	compare(t, s, m)
	outcomes(t, s, m, nil)
	outcomes(t, s, m, []store.Write{{}, {Entries: [][]byte{}}}, store.Done, store.Done)
	if err := s.Ping(t.Context()); err != nil {
		t.Error(err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	compare(t, open(), m)
}

func testAccept(t *testing.T, open opener) {
	s, m := open(), &model{}
	first := accept("XA", id(1), 1, "token", "", "XB", "XC")
	first.Entries = append(first.Entries, []byte("second entry"))
	outcomes(t, s, m, []store.Write{first}, store.Done)
	outcomes(t, s, m, []store.Write{first}, store.Replay)
	late := accept("XA", id(1), 1, "token", "", "XD") // the same bytes: nobody else gets them now
	outcomes(t, s, m, []store.Write{late}, store.Replay)
	other := accept("XA", id(1), 1, "other token", "", "XB")
	outcomes(t, s, m, []store.Write{other}, store.Conflict)
	// Another originator's alert of the same id and bytes is another alert.
	outcomes(t, s, m, []store.Write{accept("XB", id(1), 1, "token", "", "XA")}, store.Done)
	outcomes(t, s, m, []store.Write{accept("XA", id(2), 1, "for nobody", "")}, store.Done)
	s.Close()
	outcomes(t, open(), m, []store.Write{first, other}, store.Replay, store.Conflict)
}

func testVersions(t *testing.T, open opener) {
	s, m := open(), &model{}
	one := accept("XA", id(1), 1, "one", "", "XB")
	two := accept("XA", id(1), 2, "two", digest("one"), "XB")
	three := accept("XA", id(1), 3, "three", digest("two"), "XB")
	outcomes(t, s, m, []store.Write{two}, store.Gap)
	outcomes(t, s, m, []store.Write{accept("XA", id(1), 1, "one", "something", "XB")}, store.Gap)
	outcomes(t, s, m, []store.Write{one}, store.Done)
	outcomes(t, s, m, []store.Write{
		accept("XA", id(1), 2, "two", "", "XB"),
		accept("XA", id(1), 2, "two", digest("another"), "XB"),
		accept("XB", id(1), 2, "two", digest("one"), "XB"), // not its originator
		three,
	}, store.Gap, store.Gap, store.Gap, store.Gap)
	outcomes(t, s, m, []store.Write{two, three, two, one}, store.Done, store.Done, store.Replay, store.Replay)
}

func testHandOver(t *testing.T, open opener) {
	s, m := open(), &model{}
	for i := 1; i <= 4; i++ {
		outcomes(t, s, m, []store.Write{accept("XA", id(i), 1, fmt.Sprint("token ", i), "", "XB", "XC")}, store.Done)
	}
	var b, c []int64
	for i := range 4 {
		b, c = append(b, m.pending("XB")[i].ID), append(c, m.pending("XC")[i].ID)
	}
	start := store.Feed{}
	outcomes(t, s, m, []store.Write{
		handOver("XB", store.Feed{Seq: 1}, b[0]), // the feed stands at 0
		handOver("XB", start, b[0], 1<<40),       // no such delivery
		handOver("XB", start, b[0], c[0]),        // another recipient's
		{HandOver: &store.HandOver{Recipient: "XB", Withheld: []int64{b[0], c[0]}}},
	}, store.Stale, store.Stale, store.Stale, store.Stale)
	mixed := handOver("XB", start, b[1], b[0]) // not the oldest first: the caller's choice
	mixed.HandOver.Withheld = []int64{b[2]}
	outcomes(t, s, m, []store.Write{mixed}, store.Done)
	at := m.feed("XB")
	outcomes(t, s, m, []store.Write{
		mixed,                          // again
		handOver("XB", at, b[0]),       // handed over already
		handOver("XB", at, b[3], b[2]), // withheld already
		handOver("XB", start, b[3]),    // the feed has moved on
		handOver("XC", start, c[3]),    // undisturbed
		handOver("XB", at),             // nothing, but the feed stands where it should
	}, store.Stale, store.Stale, store.Stale, store.Stale, store.Done, store.Done)
	outcomes(t, s, m, []store.Write{{HandOver: &store.HandOver{Recipient: "XB", After: at.Seq, Withheld: []int64{b[3]}}}}, store.Done)
	outcomes(t, s, m, []store.Write{{HandOver: &store.HandOver{Recipient: "XD"}}}, store.Done)
	s.Close()
	compare(t, open(), m)
}

func testAck(t *testing.T, open opener) {
	s, m := open(), &model{}
	for i := 1; i <= 3; i++ {
		outcomes(t, s, m, []store.Write{accept("XA", id(i), 1, fmt.Sprint("token ", i), "", "XB")}, store.Done)
	}
	outcomes(t, s, m, []store.Write{ack("XB", 1, "chain"), ack("XC", 1, "chain")}, store.Unknown, store.Unknown)
	p := m.pending("XB")
	h := handOver("XB", store.Feed{}, p[0].ID, p[1].ID)
	outcomes(t, s, m, []store.Write{h}, store.Done)
	one, two := h.HandOver.Items[0].Chain, h.HandOver.Items[1].Chain
	outcomes(t, s, m, []store.Write{ack("XB", 2, two)}, store.Done) // not in order
	again := ack("XB", 2, two)
	again.Ack.Receipt = "a later receipt"
	outcomes(t, s, m, []store.Write{
		again,
		ack("XB", 2, one), ack("XB", 2, ""), ack("XB", 2, "\x00\xff"), ack("XB", 3, two), ack("XB", 0, ""), ack("XB", -1, two), ack("XC", 2, two),
	}, store.Replay, store.Unknown, store.Unknown, store.Unknown, store.Unknown, store.Unknown, store.Unknown, store.Unknown)
	outcomes(t, s, m, []store.Write{ack("XB", 1, one)}, store.Done) // acked stays 2
	empty := handOver("XB", m.feed("XB"), p[2].ID)
	last := ack("XB", 3, empty.HandOver.Chain)
	last.Ack.Receipt = ""
	outcomes(t, s, m, []store.Write{empty, last, last}, store.Done, store.Done, store.Replay)
}

func testStatement(t *testing.T, open opener) {
	s, m := open(), &model{}
	one := statement("agreement", "a/b", 1, "one", "")
	two := statement("agreement", "a/b", 2, "two", digest("one"))
	three := statement("agreement", "a/b", 3, "three", digest("two"))
	outcomes(t, s, m, []store.Write{two, statement("agreement", "a/b", 1, "one", "something")}, store.Gap, store.Gap)
	outcomes(t, s, m, []store.Write{one, three}, store.Done, store.Gap)
	outcomes(t, s, m, []store.Write{
		one, statement("agreement", "a/b", 1, "other", ""), statement("agreement", "a/b", 2, "two", ""),
		statement("roster", "a/b", 2, "two", digest("one")), // of another type
		statement("agreement", "a", 2, "two", digest("one")),
		statement("roster", "a/b", 1, "roster", ""),
	}, store.Replay, store.Conflict, store.Gap, store.Gap, store.Gap, store.Done)
	outcomes(t, s, m, []store.Write{two, three, two}, store.Done, store.Done, store.Replay)
	s.Close()
	outcomes(t, open(), m, []store.Write{one, three}, store.Replay, store.Replay)
}

func testSeen(t *testing.T, open opener) {
	s, m := open(), &model{}
	outcomes(t, s, m, []store.Write{statement("roster", "a", 1, "one", "")}, store.Done)
	seen := m.statements[0].Position
	with := func(w store.Write, seen int64) store.Write { w.Seen = seen; return w }
	a := accept("XA", id(1), 1, "token", "", "XB")
	outcomes(t, s, m, []store.Write{
		with(a, seen),
		with(store.Write{Entries: [][]byte{{1}}}, seen),
		with(statement("roster", "b", 1, "b", ""), seen),
		with(statement("roster", "c", 1, "c", ""), seen), // another one came between
		with(store.Write{Entries: [][]byte{{2}}}, seen),
		with(accept("XA", id(2), 1, "token 2", "", "XB"), seen),
		accept("XA", id(3), 1, "token 3", "", "XB"),
	}, store.Done, store.Done, store.Done, store.Stale, store.Stale, store.Stale, store.Done)
	outcomes(t, s, m, []store.Write{
		with(handOver("XB", store.Feed{}, m.pending("XB")[0].ID), seen),
		with(handOver("XB", store.Feed{}, m.pending("XB")[0].ID), m.statements[1].Position),
	}, store.Stale, store.Done)
	outcomes(t, s, m, []store.Write{with(ack("XB", 1, m.feed("XB").Chain), seen), ack("XB", 1, m.feed("XB").Chain)}, store.Stale, store.Done)
}

// testGroup holds a group to "in order", and a failing write to "no effect".
func testGroup(t *testing.T, open opener) {
	s, m := open(), &model{}
	a := accept("XA", id(1), 1, "token", "", "XB", "XC")
	b := accept("XA", id(1), 2, "two", digest("token"), "XB")
	outcomes(t, s, m, []store.Write{
		b, a, a, accept("XA", id(1), 1, "other", "", "XD"), b, accept("XA", id(2), 1, "another", "", "XB"),
		{Entries: [][]byte{[]byte("between"), []byte("and more")}},
		statement("roster", "r", 1, "r1", ""), statement("roster", "r", 3, "r3", ""),
		statement("roster", "r", 2, "r2", digest("r1")), statement("roster", "r", 3, "r3", digest("r2")),
	}, store.Gap, store.Done, store.Replay, store.Conflict, store.Done, store.Done, store.Done,
		store.Done, store.Gap, store.Done, store.Done)
	p := m.pending("XB")
	first := handOver("XB", store.Feed{}, p[0].ID)
	next := handOver("XB", store.Feed{Seq: 1}, p[1].ID)
	outcomes(t, s, m, []store.Write{
		next, ack("XB", 1, first.HandOver.Chain), first, first, ack("XB", 1, first.HandOver.Chain), next,
		ack("XB", 2, next.HandOver.Chain), ack("XB", 1, first.HandOver.Chain),
	}, store.Stale, store.Unknown, store.Done, store.Stale, store.Done, store.Done, store.Done, store.Replay)
}

func testMalformed(t *testing.T, open opener) {
	s, m := open(), &model{}
	good := accept("XA", id(1), 1, "token", "", "XB")
	change := func(f func(*store.Write)) store.Write {
		w := accept("XA", id(2), 1, "other", "", "XB")
		f(&w)
		return w
	}
	gap := handOver("XB", store.Feed{}, 1, 2)
	gap.HandOver.Items[1].Seq = 3
	chain := handOver("XB", store.Feed{}, 1, 2)
	chain.HandOver.Chain = "another"
	twice := handOver("XB", store.Feed{}, 1)
	twice.HandOver.Withheld = []int64{1}
	negative := handOver("XB", store.Feed{Seq: -5}, 1)
	for name, bad := range map[string]store.Write{
		"two changes":         {Ack: ack("XB", 1, "c").Ack, HandOver: gap.HandOver},
		"version 0":           change(func(w *store.Write) { w.Accept.Version = 0 }),
		"version of 2^31":     change(func(w *store.Write) { w.Accept.Version = 1 << 31 }),
		"no entry":            change(func(w *store.Write) { w.Entries = nil }),
		"no originator":       change(func(w *store.Write) { w.Accept.Originator = "" }),
		"NUL":                 change(func(w *store.Write) { w.Accept.ID = "a\x00b" }),
		"not UTF-8":           change(func(w *store.Write) { w.Accept.Recipients = []alert.MemberID{"\xff"} }),
		"long name":           change(func(w *store.Write) { w.Accept.ID = alert.ID(make([]byte, 600)) }),
		"recipient twice":     change(func(w *store.Write) { w.Accept.Recipients = []alert.MemberID{"XB", "XC", "XB"} }),
		"portion without id":  change(func(w *store.Write) { w.Accept.Portions[0].ID = "" }),
		"gap in items":        gap,
		"another chain":       chain,
		"delivery twice":      twice,
		"negative position":   negative,
		"revision 0":          statement("roster", "r", 0, "r", ""),
		"statement of nobody": statement("roster", "", 1, "r", ""),
	} {
		results, err := s.Commit(t.Context(), []store.Write{good, bad})
		if !errors.Is(err, store.ErrInvalid) || results != nil {
			t.Errorf("%s: %v, %v", name, results, err)
		}
	}
	if _, err := s.Entries(t.Context(), -1, 1); !errors.Is(err, store.ErrInvalid) {
		t.Errorf("entries from -1: %v", err)
	}
	compare(t, s, m)
}

func testClosed(t *testing.T, open opener) {
	s := open()
	wakes, err := s.Subscribe(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	for range wakes { // ends: the channel closes with the store
	}
	if _, err := s.Commit(t.Context(), []store.Write{{Entries: [][]byte{{1}}}}); err == nil {
		t.Error("a closed store commits")
	}
	if _, err := s.LogHead(t.Context()); err == nil {
		t.Error("a closed store reads")
	}
	if err := s.Ping(t.Context()); err == nil {
		t.Error("a closed store is well")
	}
	if _, err := s.Subscribe(t.Context()); err == nil {
		t.Error("a closed store is subscribed to")
	}
}

func testCancelled(t *testing.T, open opener) {
	s, m := open(), &model{}
	ctx, cancel := context.WithCancel(t.Context())
	wakes, err := s.Subscribe(ctx)
	if err != nil {
		t.Fatal(err)
	}
	cancel()
	for range wakes {
	}
	if _, err := s.Commit(ctx, []store.Write{{Entries: [][]byte{{1}}}}); !errors.Is(err, context.Canceled) {
		t.Errorf("Commit: %v", err)
	}
	if _, err := s.LogHead(ctx); !errors.Is(err, context.Canceled) {
		t.Errorf("LogHead: %v", err)
	}
	outcomes(t, s, m, []store.Write{accept("XA", id(1), 1, "token", "", "XB")}, store.Done)
}
