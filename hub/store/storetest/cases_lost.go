package storetest

import (
	"errors"
	"testing"

	"github.com/entente-hub/entente/hub/store"
)

// lose makes a write that marks deliveries as lost, without an entry.
func lose(deliveries ...int64) store.Write {
	return store.Write{Resettle: &store.Resettle{Lost: deliveries}}
}

// testLost: only what was handed over can be lost, is so for good and once, and
// keeps its place, its receipt and its claim to a receipt.
func testLost(t *testing.T, open opener) {
	s, m := open(), &model{}
	for _, token := range []string{"one", "two", "three", "four"} {
		outcomes(t, s, m, []store.Write{accept("XA", id(len(m.alerts)+1), 1, token, "", "XB", "XC")}, store.Done)
	}
	b, c := m.pending("XB"), m.pending("XC")
	h := handOver("XB", store.Feed{}, b[0].ID, b[1].ID)
	h.HandOver.Withheld, h.HandOver.Dropped = []int64{b[2].ID}, []int64{b[3].ID}
	other := handOver("XC", store.Feed{}, c[0].ID)
	outcomes(t, s, m, []store.Write{h, other, ack("XB", 1, h.HandOver.Items[0].Chain)}, store.Done, store.Done, store.Done)

	none := lose(b[2].ID, b[3].ID, c[1].ID)         // withheld, dropped, pending
	all := lose(b[0].ID, b[2].ID, b[1].ID, c[0].ID) // one with a receipt, of several recipients
	outcomes(t, s, m, []store.Write{none}, store.Done)
	if b[2].Lost || b[3].Lost || c[1].Lost {
		t.Error("lost before the hand-over")
	}
	outcomes(t, s, m, []store.Write{all, all}, store.Done, store.Done)
	outcomes(t, s, m, []store.Write{all}, store.Done)
	if !b[0].Lost || !b[0].Acked || !b[1].Lost || !c[0].Lost || m.feed("XB").Pending != 0 {
		t.Errorf("%+v", m.deliveries)
	}
	outcomes(t, s, m, []store.Write{ack("XB", 2, b[1].Chain), ack("XB", 1, b[0].Chain)}, store.Done, store.Replay)
	s.Close()
	compare(t, open(), m)
}

// testLostThenRenewed: a later delivery of the version is not lost with the
// earlier one, and the earlier one stays so.
func testLostThenRenewed(t *testing.T, open opener) {
	s, m := open(), &model{}
	outcomes(t, s, m, []store.Write{accept("XA", id(1), 1, "one", "", "XB")}, store.Done)
	first := m.pending("XB")[0]
	held := func(id int64, lost bool) {
		t.Helper()
		byRow, err := s.Held(t.Context(), "XB", 1)
		if lost != errors.Is(err, store.ErrNotFound) || !lost && (err != nil || byRow.ID != id) {
			t.Errorf("held: %+v, %v", byRow, err)
		}
		byName, err := s.DeliveryOf(t.Context(), "XB", "XA", m.alerts[0].ID, 1)
		if err != nil || byName.ID != id || byName.Lost != lost {
			t.Errorf("delivery: %+v, %v", byName, err)
		}
	}
	outcomes(t, s, m, []store.Write{handOver("XB", store.Feed{}, first.ID)}, store.Done)
	again := renew(1, "XB")
	again.Resettle.Lost = []int64{first.ID} // as the hub does: lost, and claimed again, by one write
	outcomes(t, s, m, []store.Write{again}, store.Done)
	held(first.ID, true)
	second := m.pending("XB")[0]
	if second.Lost {
		t.Errorf("pending %+v", second)
	}
	// In one group with the hand-over, before it nothing is marked.
	outcomes(t, s, m, []store.Write{lose(second.ID), handOver("XB", m.feed("XB"), second.ID)}, store.Done, store.Done)
	held(second.ID, false)
	outcomes(t, s, m, []store.Write{renew(1, "XB")}, store.Done)
	third := m.pending("XB")[0]
	h := handOver("XB", m.feed("XB"), third.ID)
	outcomes(t, s, m, []store.Write{h, ack("XB", 3, h.HandOver.Chain), lose(third.ID, second.ID), lose(third.ID)},
		store.Done, store.Done, store.Done, store.Done)
	held(third.ID, true)
	if !first.Lost || !second.Lost || !third.Acked {
		t.Errorf("%+v", m.deliveries)
	}
	stale := lose(first.ID)
	outcomes(t, s, m, []store.Write{statement("roster", "a", 1, "a", "")}, store.Done)
	outcomes(t, s, m, []store.Write{renew(1, "XB"), statement("roster", "b", 1, "b", "")}, store.Done, store.Done)
	fourth := m.pending("XB")[0]
	outcomes(t, s, m, []store.Write{handOver("XB", m.feed("XB"), fourth.ID)}, store.Done)
	stale.Resettle.Lost, stale.Seen = []int64{fourth.ID}, m.statements[0].Position
	outcomes(t, s, m, []store.Write{stale}, store.Stale)
	held(fourth.ID, false)
	s.Close()
	s = open()
	compare(t, s, m)
}
