package storetest

import (
	"crypto/sha256"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/entente-hub/entente/api/alert"
	"github.com/entente-hub/entente/hub/store"
)

// within gives a write of an alert version a quota and a size.
func within(w store.Write, q store.Quota, size int) store.Write {
	w.Accept.Quota = q
	w.Accept.Token += strings.Repeat("x", size-len(w.Accept.Token))
	w.Accept.Digest = sha256.Sum256([]byte(w.Accept.Token))
	return w
}

// testQuota: a member that has as much as it may have brings no more, until something has
// ended; but it can always take back, and put in the place of something what is no larger.
// Others do not notice.
func testQuota(t *testing.T, open opener) {
	s, m := open(), &model{}
	few, small := store.Quota{Alerts: 3}, store.Quota{Bytes: 300}
	of := func(by alert.MemberID, n int, q store.Quota, size int) store.Write {
		return within(accept(by, id(n), 1, fmt.Sprint("alert ", n), "", "XB"), q, size)
	}
	used := func(want store.Used) {
		t.Helper()
		if got, err := s.Used(t.Context(), "XA"); err != nil || got != want {
			t.Errorf("used: %+v, want %+v: %v", got, want, err)
		}
	}
	outcomes(t, s, m, []store.Write{of("XA", 1, few, 100), of("XA", 2, few, 100), of("XA", 3, few, 99), of("XA", 4, few, 40)},
		store.Done, store.Done, store.Done, store.Full)
	used(store.Used{Alerts: 3, Bytes: 299})
	outcomes(t, s, m, []store.Write{of("XB", 4, few, 40), of("XA", 4, small, 40), of("XA", 4, store.Quota{}, 40), of("XA", 4, few, 40)},
		store.Done, store.Full, store.Done, store.Replay)
	next := func(n, version int, q store.Quota, size int) store.Write {
		last := m.alert("XA", id(n), version-1)
		w := within(accept("XA", id(n), version, fmt.Sprint("alert ", n, " version ", version), last.SignedDigest, "XB"), q, size)
		w.Accept.AcceptedAt = 1_790_000_009
		return w
	}
	outcomes(t, s, m, []store.Write{next(1, 2, few, 100), next(2, 2, small, 101), next(2, 2, small, 100), next(3, 2, few, 500)},
		store.Done, store.Full, store.Done, store.Done)
	used(store.Used{Alerts: 4, Bytes: 740})
	keep := next(1, 3, few, 60)
	keep.Accept.Keep = true // what was before stays, and counts
	back := recall(next(1, 3, store.Quota{Alerts: 1, Bytes: 1}, 60))
	back.Accept.EraseAt = 0 // as of every recall: it has nothing that could be erased
	outcomes(t, s, m, []store.Write{keep, back, of("XA", 5, few, 40)}, store.Full, store.Done, store.Full)
	used(store.Used{Alerts: 3, Bytes: 640})
	const at = 1_800_000_000 // erasing gives room again
	for i, a := range m.alerts {
		if a.Originator == "XA" && a.EraseAt == at {
			before := m.used("XA")
			outcomes(t, s, m, []store.Write{erase(int64(i+1), at, "less", at+1)}, store.Done)
			used(store.Used{Alerts: before.Alerts, Bytes: before.Bytes - int64(len(a.Token)) + 4})
			outcomes(t, s, m, []store.Write{erase(int64(i+1), at+1, "none", 0)}, store.Done)
		}
	}
	used(store.Used{})
	outcomes(t, s, m, []store.Write{of("XA", 5, few, 300), of("XA", 6, small, 40)}, store.Done, store.Full)
	s.Close()
	compare(t, open(), m)
}

// testQuotaOfStatements: first revisions count for whom they are said to be.
func testQuotaOfStatements(t *testing.T, open opener) {
	s, m := open(), &model{}
	of := func(by alert.MemberID, subject string, revision, quota int64, previous string) store.Write {
		w := statement("consent", subject, revision, fmt.Sprint(subject, revision), previous)
		w.Statement.Of, w.Statement.Quota = by, quota
		return w
	}
	outcomes(t, s, m, []store.Write{of("XA", "a", 1, 2, ""), of("XA", "a", 1, 2, ""), of("XA", "b", 1, 2, ""), of("XA", "c", 1, 2, ""),
		of("XA", "a", 2, 2, digest("a1")), of("XB", "c", 1, 2, ""), of("XA", "d", 1, 0, ""), of("", "e", 1, 1, "")},
		store.Done, store.Replay, store.Done, store.Full, store.Done, store.Done, store.Done, store.Done)
	s.Close()
	outcomes(t, open(), m, []store.Write{of("XA", "f", 1, 3, ""), of("XA", "f", 1, 4, "")}, store.Full, store.Done)
}

// testClock: a database has a server's clock, or remembers what it is told.
func testClock(t *testing.T, open opener) {
	s := open()
	at, server, err := s.Clock(t.Context())
	if d := time.Since(at).Abs(); err != nil || server && d > time.Hour || !server && at.Unix() != 0 {
		t.Fatal(at, server, err)
	}
	told := time.Unix(1_790_000_000, 5)
	if err := s.Remember(t.Context(), told); err != nil {
		t.Fatal(err)
	}
	s.Close()
	again, still, err := open().Clock(t.Context())
	if err != nil || still != server || !server && again.Unix() != told.Unix() || server && again.Before(at) {
		t.Error(again, still, err)
	}
}

// testRacingQuota: of what two handles bring at once exactly as much is stored as the
// quota allows.
func testRacingQuota(t *testing.T, open opener) {
	handles := []store.Store{open(), open()}
	const each, quota = 20, 13
	var wg sync.WaitGroup
	var mu sync.Mutex
	count := make(map[store.Outcome]int)
	for h, s := range handles {
		wg.Go(func() {
			for i := range each {
				w := accept("XA", id(h*each+i), 1, fmt.Sprint(h, i), "", "XB")
				w.Accept.Quota.Alerts = quota
				results, err := s.Commit(t.Context(), []store.Write{w})
				if err != nil {
					t.Error(err)
					return
				}
				mu.Lock()
				count[results[0].Outcome]++
				mu.Unlock()
			}
		})
	}
	wg.Wait()
	if count[store.Done] != quota || count[store.Full] != 2*each-quota {
		t.Errorf("%v", count)
	}
	if u, err := handles[0].Used(t.Context(), "XA"); err != nil || u.Alerts != quota {
		t.Errorf("used: %+v, %v", u, err)
	}
}
