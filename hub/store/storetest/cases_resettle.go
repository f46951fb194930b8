package storetest

import (
	"errors"
	"fmt"
	"math"
	"testing"

	"github.com/entente-hub/entente/api/alert"
	"github.com/entente-hub/entente/hub/store"
)

// setAside makes a write that withholds and drops pending deliveries.
func setAside(r alert.MemberID, at store.Feed, withheld, dropped []int64) store.Write {
	return store.Write{HandOver: &store.HandOver{Recipient: r, After: at.Seq, Withheld: withheld, Dropped: dropped},
		Entries: [][]byte{[]byte("set aside for " + r)}}
}

func testDropped(t *testing.T, open opener) {
	s, m := open(), &model{}
	for i := 1; i <= 3; i++ {
		outcomes(t, s, m, []store.Write{accept("XA", id(i), 1, fmt.Sprint("token ", i), "", "XB", "XC")}, store.Done)
	}
	b, c := m.pending("XB"), m.pending("XC")[0].ID
	both := setAside("XB", store.Feed{}, nil, []int64{b[0].ID, c})
	outcomes(t, s, m, []store.Write{both}, store.Stale) // another's
	mixed := handOver("XB", store.Feed{}, b[1].ID)
	mixed.HandOver.Withheld, mixed.HandOver.Dropped = []int64{b[2].ID}, []int64{b[0].ID}
	outcomes(t, s, m, []store.Write{mixed}, store.Done)
	at := m.feed("XB")
	outcomes(t, s, m, []store.Write{
		setAside("XB", at, nil, []int64{b[0].ID}), // dropped already
		setAside("XB", at, nil, []int64{b[1].ID}), // handed over
		setAside("XB", at, nil, []int64{b[2].ID}), // withheld
		handOver("XB", at, b[0].ID),
		setAside("XB", at, []int64{b[0].ID}, nil),
	}, store.Stale, store.Stale, store.Stale, store.Stale, store.Stale)
	outcomes(t, s, m, []store.Write{renew(1, "XB")}, store.Done) // another one: what was dropped stays so
	if p := m.pending("XB"); len(p) != 1 || p[0].ID == b[0].ID || !p[0].Renewed {
		t.Errorf("pending %+v", p)
	}
	s.Close()
	compare(t, open(), m)
}

// testRenew: a claim gets one pending delivery, whatever became of those before,
// and any number of one alert may be handed over.
func testRenew(t *testing.T, open opener) {
	s, m := open(), &model{}
	outcomes(t, s, m, []store.Write{accept("XA", id(1), 1, "one", "", "XB"), accept("XA", id(2), 1, "two", "", "XB")}, store.Done, store.Done)
	first := m.pending("XB")[0].ID
	outcomes(t, s, m, []store.Write{renew(1, "XB")}, store.Done) // pending already
	if p := m.pending("XB"); len(p) != 2 || p[0].Renewed {
		t.Fatalf("pending %+v", p)
	}
	outcomes(t, s, m, []store.Write{setAside("XB", store.Feed{}, []int64{first}, nil)}, store.Done)
	outcomes(t, s, m, []store.Write{renew(1, "XB", "XC")}, store.Done) // taken back; XC had none
	if p := m.pending("XB"); len(p) != 2 || p[0].ID != first || !p[0].Renewed || p[1].Renewed {
		t.Fatalf("pending %+v", p)
	}
	if f := m.feed("XC"); f.Pending != 1 {
		t.Fatalf("feed %+v", f)
	}
	for range 3 {
		p := m.pending("XB")
		h := handOver("XB", m.feed("XB"), p[0].ID)
		outcomes(t, s, m, []store.Write{h, ack("XB", h.HandOver.Items[0].Seq, h.HandOver.Chain)}, store.Done, store.Done)
		outcomes(t, s, m, []store.Write{renew(1, "XB")}, store.Done)
	}
	got, err := s.Held(t.Context(), "XB", 1)
	if err != nil || got.Seq != 3 || !got.Renewed || !got.Acked {
		t.Errorf("held: %+v, %v", got, err)
	}
	s.Close()
	compare(t, open(), m)
}

// testRenewInGroup: a write sees what those before it in its group made of a
// delivery.
func testRenewInGroup(t *testing.T, open opener) {
	s, m := open(), &model{}
	outcomes(t, s, m, []store.Write{accept("XA", id(1), 1, "one", "", "XB")}, store.Done)
	first := m.pending("XB")[0].ID
	hold := setAside("XB", store.Feed{}, []int64{first}, nil)
	outcomes(t, s, m, []store.Write{hold, renew(1, "XB"), hold, hold, renew(1, "XB"), renew(1, "XB")},
		store.Done, store.Done, store.Done, store.Stale, store.Done, store.Done)
	outcomes(t, s, m, []store.Write{hold, renew(1, "XB"), hold}, store.Done, store.Done, store.Done)
	outcomes(t, s, m, []store.Write{renew(1, "XB"), handOver("XB", store.Feed{}, first), renew(1, "XB")},
		store.Done, store.Done, store.Done)
	second := m.pending("XB")[0].ID
	outcomes(t, s, m, []store.Write{ // dropped and made anew, twice over
		setAside("XB", m.feed("XB"), nil, []int64{second}), renew(1, "XB"),
		accept("XA", id(2), 1, "two", "", "XC"), renew(2, "XB", "XC"), renew(3, "XB"),
	}, store.Done, store.Done, store.Done, store.Done, store.Done)
	next := m.pending("XB")
	if len(next) != 2 || m.feed("XC").Pending != 1 {
		t.Fatalf("pending %+v", next)
	}
}

// testPassedOver: what is not there is passed over, and does not disturb the rest.
func testPassedOver(t *testing.T, open opener) {
	s, m := open(), &model{}
	nothing := resettle(store.Resettle{})
	absent := resettle(store.Resettle{
		Renew:  []store.Claim{{AlertRow: 0, Recipient: "XB"}, {AlertRow: 1, Recipient: "XB"}, {AlertRow: math.MaxInt64, Recipient: "XB"}},
		Lost:   []int64{0, 1 << 40, math.MaxInt64},
		Labels: []store.Label{{Row: 0, Audience: []byte("a")}, {Row: 1, Audience: []byte("a")}, {Row: math.MaxInt64}},
	})
	outcomes(t, s, m, []store.Write{nothing, absent}, store.Done, store.Done)
	absent.Entries = nil
	outcomes(t, s, m, []store.Write{absent, accept("XA", id(1), 1, "one", "", "XC"), absent}, store.Done, store.Done, store.Done)
	if m.feed("XB").Pending != 1 || string(m.labels[0].Audience) != "a" {
		t.Errorf("%+v, %+v", m.feed("XB"), m.labels)
	}
	for _, row := range []int64{-1, 0, 2, math.MaxInt64, math.MinInt64} {
		if d, err := s.Held(t.Context(), "XB", row); !errors.Is(err, store.ErrNotFound) {
			t.Errorf("held of row %d: %v, %v", row, d, err)
		}
	}
	for _, row := range []int64{-1, 0, 3, math.MaxInt64, math.MinInt64} {
		if a, err := s.Standing(t.Context(), 0, row, 0, 10); err != nil || len(a) != 0 {
			t.Errorf("standing under label %d: %v, %v", row, a, err)
		}
	}
}

func testAudiences(t *testing.T, open opener) {
	s, m := open(), &model{}
	a := accept("XA", id(1), 1, "one", "")
	a.Accept.Portions = []store.Portion{{ID: "1", LabelKey: "k", Audience: []byte{0, 0xff}}, {ID: "2", LabelKey: "k", Audience: []byte("late")}, {ID: "3", LabelKey: "l"}}
	b := accept("XA", id(2), 1, "two", "")
	b.Accept.Portions = []store.Portion{{ID: "1", LabelKey: "k", Audience: []byte("later")}, {ID: "2", LabelKey: "l", Audience: []byte("later")}}
	set := func(row int64, audience string) store.Write {
		return resettle(store.Resettle{Labels: []store.Label{{Row: row, Originator: "XZ", Key: "not looked at", Audience: []byte(audience)}}})
	}
	outcomes(t, s, m, []store.Write{a, b}, store.Done, store.Done)
	outcomes(t, s, m, []store.Write{set(1, "one"), set(2, "two"), set(1, "three")}, store.Done, store.Done, store.Done)
	outcomes(t, s, m, []store.Write{set(2, "")}, store.Done)
	if string(m.labels[0].Audience) != "three" || m.labels[0].Key != "k" || len(m.labels) != 2 {
		t.Errorf("labels %+v", m.labels)
	}
	portions, err := s.Portions(t.Context(), "XA", id(1), 1)
	same(t, "Portions", portions, []store.Portion{{ID: "1", LabelKey: "k"}, {ID: "2", LabelKey: "k"}, {ID: "3", LabelKey: "l"}}, err)
	s.Close()
	compare(t, open(), m)
}

func testSettled(t *testing.T, open opener) {
	s, m := open(), &model{}
	for _, c := range []struct{ to, want store.Settled }{
		{store.Settled{}, store.Settled{}},
		{store.Settled{Position: 0, At: 5}, store.Settled{Position: 0, At: 5}},
		{store.Settled{Position: 2, At: 3}, store.Settled{Position: 2, At: 3}}, // a later position, whatever the moment
		{store.Settled{Position: 1, At: 9}, store.Settled{Position: 2, At: 3}},
		{store.Settled{Position: 2, At: 2}, store.Settled{Position: 2, At: 3}},
		{store.Settled{Position: 2, At: math.MaxInt64}, store.Settled{Position: 2, At: math.MaxInt64}},
		{store.Settled{Position: math.MaxInt64}, store.Settled{Position: math.MaxInt64}},
	} {
		w := store.Write{Resettle: &store.Resettle{Settled: &c.to}}
		outcomes(t, s, m, []store.Write{w, w}, store.Done, store.Done)
		if m.settled != c.want {
			t.Errorf("settled %+v, want %+v", m.settled, c.want)
		}
	}
	back := store.Write{Resettle: &store.Resettle{Settled: &store.Settled{Position: 3}}}
	s.Close()
	outcomes(t, open(), m, []store.Write{back}, store.Done)
}
