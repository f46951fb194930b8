package storetest

import (
	"fmt"
	"sync"
	"testing"

	"github.com/entente-hub/entente/api/alert"
	"github.com/entente-hub/entente/crypto/tlog"
	"github.com/entente-hub/entente/hub/store"
)

const goroutines = 16

// both runs f in many goroutines, on two handles on one database.
func both(t *testing.T, open opener, f func(n int, s store.Store) error) []store.Store {
	t.Helper()
	handles := []store.Store{open(), open()}
	var wg sync.WaitGroup
	for n := range goroutines {
		wg.Go(func() {
			if err := f(n, handles[n%2]); err != nil {
				t.Errorf("goroutine %d: %v", n, err)
			}
		})
	}
	wg.Wait()
	return handles
}

// leavesOf reads the whole log.
func leavesOf(t testing.TB, s store.Store) [][]byte {
	t.Helper()
	leaves, err := s.Entries(t.Context(), 0, 1<<30)
	if err != nil {
		t.Fatal(err)
	}
	return leaves
}

// testConcurrent: concurrent commits all take effect, each entry is where its
// result says, and the log is one tree.
func testConcurrent(t *testing.T, open opener) {
	const each = 20
	var mu sync.Mutex
	at := make(map[int64]string)
	handles := both(t, open, func(n int, s store.Store) error {
		for i := range each {
			w := accept(alert.MemberID(fmt.Sprint("M", n)), id(i), 1, fmt.Sprintf("%d/%d", n, i), "", "XB", "XC")
			results, err := s.Commit(t.Context(), []store.Write{w, {Entries: [][]byte{[]byte("with " + w.Accept.Token)}}})
			if err != nil {
				return err
			}
			if results[0].Outcome != store.Done || results[1].Index != results[0].Index+1 {
				return fmt.Errorf("results %v", results)
			}
			mu.Lock()
			at[results[0].Index] = "accepted " + w.Accept.Token
			at[results[1].Index] = "with " + w.Accept.Token
			mu.Unlock()
			if _, err := s.Pending(t.Context(), "XB", 10); err != nil {
				return err
			}
		}
		return nil
	})
	leaves := leavesOf(t, handles[0])
	if len(leaves) != 2*each*goroutines || len(at) != len(leaves) {
		t.Fatalf("%d leaves, %d indexes", len(leaves), len(at))
	}
	for i, leaf := range leaves {
		if at[int64(i)] != string(leaf) {
			t.Errorf("leaf %d is %q, want %q", i, leaf, at[int64(i)])
		}
	}
	checkLog(t, handles[1], leaves)
	// A recipient's deliveries come in the order in which the log has the alerts.
	p, err := handles[1].Pending(t.Context(), "XC", 1<<20)
	if err != nil || len(p) != each*goroutines {
		t.Fatalf("%d pending: %v", len(p), err)
	}
	for i := 1; i < len(p); i++ {
		if p[i-1].Alert.LogIndex >= p[i].Alert.LogIndex {
			t.Errorf("delivery %d: log index %d after %d", i, p[i].Alert.LogIndex, p[i-1].Alert.LogIndex)
		}
	}
}

// testRacingHandOvers: whoever hands over, from whichever handle, the feed has
// every delivery once, without a gap, and chained.
func testRacingHandOvers(t *testing.T, open opener) {
	const alerts = 60
	s := open()
	var group []store.Write
	for i := range alerts {
		group = append(group, accept("XA", id(i), 1, fmt.Sprint(i), "", "XB"))
	}
	commit(t, s, group...)
	handles := both(t, open, func(n int, s store.Store) error {
		for {
			f, err := s.Feed(t.Context(), "XB")
			if err != nil {
				return err
			}
			p, err := s.Pending(t.Context(), "XB", 1+n%3)
			if err != nil || len(p) == 0 {
				return err
			}
			w := store.HandOver{Recipient: "XB", After: f.Seq, Chain: f.Chain}
			for i, d := range p {
				w.Chain = digest(fmt.Sprint(w.Chain, f.Seq+1+int64(i), d.ID))
				w.Items = append(w.Items, store.HandedOver{ID: d.ID, Seq: f.Seq + 1 + int64(i), Chain: w.Chain})
			}
			results, err := s.Commit(t.Context(), []store.Write{{HandOver: &w, Entries: [][]byte{[]byte(w.Chain)}}})
			if err != nil {
				return err
			}
			if o := results[0].Outcome; o != store.Done && o != store.Stale {
				return fmt.Errorf("outcome %d", o)
			}
		}
	})
	d, err := handles[0].Delivered(t.Context(), "XB", 0, 1000)
	if err != nil || len(d) != alerts {
		t.Fatalf("%d handed over: %v", len(d), err)
	}
	chain, seen := "", make(map[int64]bool)
	for i, it := range d {
		chain = digest(fmt.Sprint(chain, i+1, it.ID))
		if it.Seq != int64(i+1) || it.Chain != chain || seen[it.ID] {
			t.Errorf("item %d: %+v, want chain %s", i+1, it.HandedOver, chain)
		}
		seen[it.ID] = true
	}
	f, err := handles[1].Feed(t.Context(), "XB")
	same(t, "Feed", f, store.Feed{Seq: alerts, Chain: chain}, err)
	checkLog(t, handles[1], leavesOf(t, handles[0]))
}

// testRacingAccepts: of many who store under one name one succeeds, and all
// others learn what is stored.
func testRacingAccepts(t *testing.T, open opener) {
	const rounds = 10
	var mu sync.Mutex
	done := make(map[int]int)
	handles := both(t, open, func(n int, s store.Store) error {
		for i := range rounds {
			token := fmt.Sprintf("%d, kind %d", i, n%4)
			results, err := s.Commit(t.Context(), []store.Write{
				accept("XA", id(i), 1, token, "", "XB"), statement("roster", fmt.Sprint(i), 1, token, "")})
			if err != nil {
				return err
			}
			if results[0].Outcome != results[1].Outcome {
				return fmt.Errorf("one group, two outcomes: %v", results)
			}
			switch r := results[0]; r.Outcome {
			case store.Done:
				mu.Lock()
				done[i]++
				mu.Unlock()
			case store.Replay:
				if r.Prior.Token != token || r.Prior.LogIndex != r.Index {
					return fmt.Errorf("prior %v", r.Prior)
				}
			case store.Conflict:
			default:
				return fmt.Errorf("outcome %d", r.Outcome)
			}
		}
		return nil
	})
	for i := range rounds {
		if done[i] != 1 {
			t.Errorf("alert %d was stored %d times", i, done[i])
		}
	}
	head, err := handles[0].LogHead(t.Context())
	if err != nil || head.Size != 2*rounds {
		t.Errorf("log of %d entries: %v", head.Size, err)
	}
	read := tlog.HashReaderFunc(func(i []int64) ([]tlog.Hash, error) { return handles[1].Hashes(t.Context(), i) })
	if root, err := tlog.Root(head.Size, read); err != nil || root != head.Root {
		t.Errorf("root %v, want %v: %v", root, head.Root, err)
	}
}

// testRacingOpens: processes that start at once on an empty database do not
// clash over its schema.
func testRacingOpens(t *testing.T, open opener) {
	var wg sync.WaitGroup
	for n := range 6 {
		wg.Go(func() {
			s := open()
			w := store.Write{Entries: [][]byte{fmt.Append(nil, n)}}
			if _, err := s.Commit(t.Context(), []store.Write{w}); err != nil {
				t.Errorf("start %d: %v", n, err)
			}
		})
	}
	wg.Wait()
	s := open()
	leaves := leavesOf(t, s)
	if len(leaves) != 6 {
		t.Errorf("%d entries", len(leaves))
	}
	checkLog(t, s, leaves)
}
