package storetest

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"fmt"
	"math"
	"strings"
	"testing"

	"github.com/entente-hub/entente/api/alert"
	"github.com/entente-hub/entente/hub/store"
)

// testLimits: a limit bounds, 0 and less return nothing.
func testLimits(t *testing.T, open opener) {
	s := open()
	ctx := t.Context()
	for i := 1; i <= 4; i++ {
		commit(t, s, accept("XA", id(i), 1, fmt.Sprint(i), "", "XB"), statement("roster", fmt.Sprint(i), 1, "raw", ""))
	}
	p, err := s.Pending(ctx, "XB", 2)
	if err != nil || len(p) != 2 {
		t.Fatal(p, err)
	}
	commit(t, s, handOver("XB", store.Feed{}, p[0].ID, p[1].ID))
	for _, limit := range []int{math.MinInt, -1, 0, 1, 2, math.MaxInt32, math.MaxInt} {
		pending, err1 := s.Pending(ctx, "XB", limit)
		delivered, err2 := s.Delivered(ctx, "XB", 0, limit)
		statements, err3 := s.Statements(ctx, 2, limit)
		entries, err4 := s.Entries(ctx, 7, limit)
		due, err5 := s.Due(ctx, 1_800_000_000, store.Place{EraseAt: 1_800_000_000, Row: 2}, limit)
		if err := errors.Join(err1, err2, err3, err4, err5); err != nil {
			t.Fatal(err)
		}
		want := max(0, min(2, limit))
		if len(pending) != want || len(delivered) != want || len(statements) != want || len(entries) != want || len(due) != want {
			t.Errorf("limit %d: %d, %d, %d, %d, %d", limit, len(pending), len(delivered), len(statements), len(entries), len(due))
		}
	}
	if got, err := s.Delivered(ctx, "XB", math.MaxInt64, 1); err != nil || len(got) != 0 {
		t.Errorf("after the end: %v, %v", got, err)
	}
	if got, err := s.Delivered(ctx, "XB", -5, 1); err != nil || len(got) != 1 {
		t.Errorf("before the start: %v, %v", got, err)
	}
	if got, err := s.Entries(ctx, math.MaxInt64, 1); err != nil || len(got) != 0 {
		t.Errorf("beyond the log: %v, %v", got, err)
	}
}

// testBytes: contents are any bytes, empty is not NULL, numbers and times keep
// all their digits.
func testBytes(t *testing.T, open opener) {
	s, m := open(), &model{}
	all := make([]byte, 256)
	for i := range all {
		all[i] = byte(i)
	}
	var writes []store.Write
	var want []store.Outcome
	for i, b := range [][]byte{nil, {0}, {0xff, 0xfe}, all, []byte("Ω ё 語 𝄞 e\u0301"), []byte("'; DROP TABLE alerts; --")} {
		w := accept("XA", id(i+1), 1, string(b), "", "XB")
		w.Accept.Portions = []store.Portion{{ID: "p", LabelKey: string(b)}, {ID: "p", LabelKey: string(b) + "\x00"}}
		w.Accept.IssuedAt, w.Accept.Expires, w.Accept.AcceptedAt = math.MinInt64, math.MaxInt64, 1<<53+1
		w.Entries = [][]byte{append([]byte{1}, b...)}
		st := statement("type", fmt.Sprint(i), 1, string(b), "")
		st.Entries = nil
		writes, want = append(writes, w, st), append(want, store.Done, store.Done)
	}
	outcomes(t, s, m, writes, want...)
	for i, b := range [][]byte{nil, {}, {0}, all} {
		w := handOver("XB", m.feed("XB"), m.pending("XB")[0].ID)
		w.HandOver.Items[0].Facts = b
		a := ack("XB", int64(i+1), w.HandOver.Chain)
		a.Ack.Receipt = string(b)
		outcomes(t, s, m, []store.Write{w, a, a}, store.Done, store.Done, store.Replay)
	}
	for i := range writes {
		if a := writes[i].Accept; a != nil {
			got, err := s.Alert(t.Context(), a.Originator, a.ID, 1)
			if err != nil || got.Token != a.Token || got.Digest != sha256.Sum256([]byte(a.Token)) || got.AcceptedAt != 1<<53+1 {
				t.Errorf("%q: %+v, %v", a.Token, got, err)
			}
		}
	}
}

// testNames: any text may be a name, and names that differ in a byte differ.
func testNames(t *testing.T, open opener) {
	s := open()
	ctx := t.Context()
	names := []string{"a", "A", "á", "a\u0301", "a ", " a", "a\n", "ß", "ss", "ı", "i", "%", "_", `"`, "'", `\`, "1", "01",
		strings.Repeat("é", 256)}
	for _, n := range names {
		o := alert.MemberID(n)
		r := commit(t, s, accept(o, alert.ID(n), 1, "token of "+n, "", o), statement("type", n, 1, n, ""))
		if r[0].Outcome != store.Done || r[1].Outcome != store.Done {
			t.Errorf("%q: %v", n, r)
		}
	}
	for _, n := range names {
		o := alert.MemberID(n)
		p, err := s.Pending(ctx, o, 10)
		if err != nil || len(p) != 1 || p[0].Alert.Token != "token of "+n {
			t.Errorf("pending of %q: %v, %v", n, p, err)
			continue
		}
		if r := commit(t, s, handOver(o, store.Feed{}, p[0].ID)); r[0].Outcome != store.Done {
			t.Errorf("%q: %v", n, r)
		}
		owners, err := s.Originators(ctx, []alert.ID{alert.ID(n), alert.ID(n), "absent"})
		if err != nil || len(owners) != 1 || owners[alert.ID(n)] != o {
			t.Errorf("originators of %q: %v, %v", n, owners, err)
		}
	}
	// Under what can't be a name nothing is stored, and asking for it is no error.
	for _, n := range []string{"", "\x00", "a\x00", "\xff", strings.Repeat("x", 10_000)} {
		o := alert.MemberID(n)
		_, err1 := s.Alert(ctx, o, alert.ID(n), 1)
		_, err2 := s.DeliveryOf(ctx, o, o, alert.ID(n), 1)
		for _, err := range []error{err1, err2} {
			if !errors.Is(err, store.ErrNotFound) {
				t.Errorf("%.10q: %v", n, err)
			}
		}
		f, err1 := s.Feed(ctx, o)
		p, err2 := s.Pending(ctx, o, 1)
		d, err3 := s.Delivered(ctx, o, 0, 1)
		owners, err4 := s.Originators(ctx, []alert.ID{alert.ID(n)})
		holders, err5 := s.Holders(ctx, o, alert.ID(n))
		purges, err6 := s.Purges(ctx, o, alert.ID(n))
		if err := errors.Join(err1, err2, err3, err4, err5, err6); err != nil || f != (store.Feed{}) ||
			len(p)+len(d)+len(owners)+len(holders)+len(purges) != 0 {
			t.Errorf("%.10q: %v %v %v %v %v", n, f, p, d, owners, err)
		}
	}
}

// testCollation: order is that of commits, never that of names.
func testCollation(t *testing.T, open opener) {
	s := open()
	tokens := []string{"b", "B", "a", "Z", "ä", "10", "9", "_"}
	for i, token := range tokens {
		commit(t, s, accept(alert.MemberID(token), id(9-i), 1, token, "", "XB"), statement(token, token, 1, token, ""))
	}
	p, err := s.Pending(t.Context(), "XB", 100)
	if err != nil {
		t.Fatal(err)
	}
	st, err := s.Statements(t.Context(), 0, 100)
	if err != nil {
		t.Fatal(err)
	}
	for i, token := range tokens {
		if p[i].Alert.Token != token || string(st[i].Raw) != token {
			t.Errorf("place %d: %s, %s, want %s", i, p[i].Alert.Token, st[i].Raw, token)
		}
	}
}

func testLargeToken(t *testing.T, open opener) {
	s, m := open(), &model{}
	random := make([]byte, alert.MaxBytes)
	sum := sha256.Sum256([]byte("seed"))
	for i := range random {
		if i%32 == 0 {
			sum = sha256.Sum256(sum[:])
		}
		random[i] = sum[i%32]
	}
	big := accept("XA", id(1), 1, string(random), "", "XB")
	big.Accept.Portions[0].LabelKey = string(random[:100_000])
	big.Entries = [][]byte{random, bytes.Repeat([]byte{0}, alert.MaxBytes)}
	outcomes(t, s, m, []store.Write{big, statement("type", "big", 1, string(random), "")}, store.Done, store.Done)
	var group []store.Write // together more than one message should carry
	for i := range 40 {
		group = append(group, accept("XA", id(10+i), 1, string(random)+fmt.Sprint(i), ""))
	}
	for i, r := range commit(t, s, group...) {
		if r.Outcome != store.Done {
			t.Errorf("write %d: %v", i, r)
		}
	}
	a, err := s.Alert(t.Context(), "XA", id(49), 1)
	if err != nil || a.Token != string(random)+"39" {
		t.Errorf("last of the group: %v", err)
	}
}

func testLargeGroup(t *testing.T, open opener) {
	s := open()
	var group []store.Write
	var leaves [][]byte
	for i := range 1000 {
		w := accept("XA", id(i), 1, fmt.Sprint("token ", i), "", "XB", "XC", "XD", "XE")
		group, leaves = append(group, w), append(leaves, w.Entries...)
	}
	for i, r := range commit(t, s, group...) {
		if r.Outcome != store.Done || r.Index != int64(i) {
			t.Fatalf("write %d: %v", i, r)
		}
	}
	for i, r := range commit(t, s, group...) {
		if r.Outcome != store.Replay || r.Index != int64(i) || r.Prior == nil || r.Prior.Token != fmt.Sprint("token ", i) {
			t.Fatalf("write %d again: %v", i, r)
		}
	}
	checkLog(t, s, leaves)
	p, err := s.Pending(t.Context(), "XD", 2000)
	if err != nil || len(p) != 1000 {
		t.Fatalf("%d pending, %v", len(p), err)
	}
	var all []int64
	for i, d := range p {
		if d.Alert.ID != id(i) {
			t.Fatalf("place %d: %s", i, d.Alert.ID)
		}
		all = append(all, d.ID)
	}
	h := handOver("XD", store.Feed{}, all...)
	acks := []store.Write{h}
	for _, it := range h.HandOver.Items {
		acks = append(acks, ack("XD", it.Seq, it.Chain))
	}
	for i, r := range commit(t, s, acks...) {
		if r.Outcome != store.Done {
			t.Fatalf("hand-over or acknowledgement %d: %v", i, r)
		}
	}
	f, err := s.Feed(t.Context(), "XD")
	same(t, "Feed", f, store.Feed{Seq: 1000, Chain: h.HandOver.Chain, Acked: 1000}, err)
}

// testLookups: what is there for one is not there for another, and where it
// isn't the answer is the same.
func testLookups(t *testing.T, open opener) {
	s, m := open(), &model{}
	outcomes(t, s, m, []store.Write{
		accept("XA", id(1), 1, "one", "", "XB", "XC"), accept("XA", id(4), 1, "four", "", "XB"),
		accept("XB", id(1), 1, "same id", "", "XA"), accept("XC", id(2), 1, "three", "", "XB"),
	}, store.Done, store.Done, store.Done, store.Done)
	p := m.pending("XB")
	h := handOver("XB", store.Feed{}, p[1].ID)
	h.HandOver.Withheld = []int64{p[0].ID}
	outcomes(t, s, m, []store.Write{h}, store.Done) // compares DeliveryOf and Originators too
	absent := []error{}
	for _, q := range []struct {
		r, o    alert.MemberID
		id      alert.ID
		version int
	}{
		{"XB", "XA", id(1), 1}, // withheld
		{"XB", "XC", id(2), 1}, // pending
		{"XC", "XA", id(4), 1}, // another's
		{"XB", "XA", id(3), 1}, // no such alert
		{"XB", "XA", id(1), 0}, {"XB", "XA", id(1), math.MaxInt}, {"XB", "XA", id(1), math.MinInt},
	} {
		_, err := s.DeliveryOf(t.Context(), q.r, q.o, q.id, q.version)
		absent = append(absent, err)
		if _, err := s.Alert(t.Context(), q.o, q.id, math.MaxInt); !errors.Is(err, store.ErrNotFound) {
			t.Errorf("%v: %v", q, err)
		}
	}
	for i, err := range absent {
		if err != store.ErrNotFound {
			t.Errorf("absent %d: %v", i, err)
		}
	}
	if got, err := s.Originators(t.Context(), nil); err != nil || len(got) != 0 {
		t.Errorf("originators of nothing: %v, %v", got, err)
	}
}

// testLog appends entries in groups of all sizes.
func testLog(t *testing.T, open opener) {
	s, m := open(), &model{}
	for n := range 35 {
		var w store.Write
		for i := range n {
			w.Entries = append(w.Entries, fmt.Appendf(nil, "%d of %d", i, n))
		}
		got := commit(t, s, w, store.Write{Entries: [][]byte{{0}}})
		same(t, "results", got, m.commit([]store.Write{w, {Entries: [][]byte{{0}}}}), nil)
		checkLog(t, s, m.leaves)
		if n%10 == 9 {
			s.Close()
			s = open()
		}
	}
	if _, err := s.Hashes(t.Context(), []int64{0, 1 << 40}); err == nil {
		t.Error("a missing hash is no error")
	}
	h, err := s.Hashes(t.Context(), []int64{1, 0, 1})
	if err != nil || len(h) != 3 || h[0] != h[2] || h[0] == h[1] {
		t.Errorf("hashes: %v, %v", h, err)
	}
	if h, err := s.Hashes(t.Context(), nil); err != nil || len(h) != 0 {
		t.Errorf("no hashes: %v, %v", h, err)
	}
}
