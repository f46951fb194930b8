package storetest

import (
	"fmt"
	"sync"
	"testing"

	"github.com/entente-hub/entente/hub/store"
)

// racingAlerts is how many alerts those who race are at.
const racingAlerts = 8

// testRacingResettles: whoever renews, withholds, drops, hands over and marks as
// lost, from whichever handle, a claim never has two deliveries on their way, what
// waits is counted, the feed is whole, and what was marked is lost, and nothing else.
func testRacingResettles(t *testing.T, open opener) {
	const rounds = 12
	var group []store.Write
	for i := range racingAlerts {
		group = append(group, accept("XA", id(i), 1, fmt.Sprint(i), "", "XB"))
	}
	commit(t, open(), group...)
	var lost sync.Map // Delivery.ID
	handles := both(t, open, func(n int, s store.Store) error {
		for i := range rounds {
			writes, err := racingWrites(t, s, n, i)
			if err != nil {
				return err
			}
			if _, err := s.Commit(t.Context(), writes); err != nil {
				return err
			}
			for _, w := range writes {
				if w.Resettle == nil {
					continue
				}
				for _, id := range w.Resettle.Lost {
					lost.Store(id, nil)
				}
			}
		}
		return nil
	})
	checkWaiting(t, handles)
	f, err := handles[1].Feed(t.Context(), "XB")
	if err != nil {
		t.Fatal(err)
	}
	d, err := handles[1].Delivered(t.Context(), "XB", 0, 1<<20)
	if err != nil || int64(len(d)) != f.Seq || f.Seq < 2 {
		t.Errorf("%d items, feed %+v: %v", len(d), f, err)
	}
	marked := 0
	for _, it := range d {
		if _, ok := lost.Load(it.ID); ok != it.Lost {
			t.Errorf("item %d lost: %t, want %t", it.Seq, it.Lost, ok)
		}
		if it.Lost {
			marked++
		}
	}
	if marked == 0 {
		t.Error("nothing was marked as lost")
	}
	checkLog(t, handles[1], leavesOf(t, handles[0]))
}

// racingWrites renews, marks as lost what was handed over last, which others do
// too, and does with what is pending one thing or the other.
func racingWrites(t *testing.T, s store.Store, n, round int) ([]store.Write, error) {
	f, err := s.Feed(t.Context(), "XB")
	if err != nil {
		return nil, err
	}
	p, err := s.Pending(t.Context(), "XB", 3)
	if err != nil {
		return nil, err
	}
	last, err := s.Delivered(t.Context(), "XB", f.Seq-2, 1)
	if err != nil {
		return nil, err
	}
	w := resettle(store.Resettle{})
	for k := range 3 {
		w.Resettle.Renew = append(w.Resettle.Renew, store.Claim{AlertRow: int64(1 + (n+round+k)%racingAlerts), Recipient: "XB"})
	}
	for _, d := range last {
		w.Resettle.Lost = append(w.Resettle.Lost, d.ID)
	}
	switch len(p) {
	case 0:
		return []store.Write{w}, nil
	case 1:
		return []store.Write{w, setAside("XB", f, []int64{p[0].ID}, nil)}, nil
	}
	h := handOver("XB", f, p[1].ID)
	if n%2 == 0 {
		h.HandOver.Dropped = []int64{p[0].ID}
	} else {
		h.HandOver.Withheld = []int64{p[0].ID}
	}
	return []store.Write{h, w}, nil
}

// checkWaiting: no alert is on its way twice, and what is pending is counted.
func checkWaiting(t *testing.T, handles []store.Store) {
	t.Helper()
	waiting, pending := make(map[int64]bool), int64(0)
	u, err := handles[0].Unsettled(t.Context(), 0, 1<<40, 0, 1<<20)
	if err != nil {
		t.Fatal(err)
	}
	for _, d := range u {
		if waiting[d.Alert.Row] {
			t.Errorf("alert %d is on its way twice", d.Alert.Row)
		}
		waiting[d.Alert.Row] = true
		if d.State == store.Pending {
			pending++
		}
	}
	f, err := handles[1].Feed(t.Context(), "XB")
	if err != nil || f.Pending != pending || pending == 0 {
		t.Errorf("feed %+v with %d pending: %v", f, pending, err)
	}
}
