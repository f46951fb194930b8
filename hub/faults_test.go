package hub_test

import (
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/entente-hub/entente/api/alert"
	"github.com/entente-hub/entente/api/audit"
	"github.com/entente-hub/entente/api/feed"
	"github.com/entente-hub/entente/api/problem"
	"github.com/entente-hub/entente/hub/server"
	"github.com/entente-hub/entente/hub/store/storetest"
)

// faultyWorld has a store whose next commit fails as armed.
func faultyWorld(t *testing.T) (w *world, arm func(storetest.Fault)) {
	t.Helper()
	var next atomic.Int64
	st := storetest.Faulty(openSQLite(t), func(int64) storetest.Fault { return storetest.Fault(next.Swap(int64(storetest.None))) })
	w = bareWorld(t, st)
	if err := server.TakeStatements(t.Context(), w.Hub, w.Statements()); err != nil {
		t.Fatal(err)
	}
	w.settle() // nothing but what the test does is to meet the fault
	return w, func(f storetest.Fault) { next.Store(int64(f)) }
}

var faults = map[string]storetest.Fault{"failed": storetest.Failed, "failed but persisted": storetest.Persisted}

func unavailable(t *testing.T, err error) {
	t.Helper()
	if problem.KindOf(err) != problem.Unavailable {
		t.Fatalf("got %v, want %s", err, problem.Unavailable)
	}
}

func TestPublishSurvivesFaults(t *testing.T) {
	for name, fault := range faults {
		t.Run(name, func(t *testing.T) {
			w, arm := faultyWorld(t)
			_, token := w.issue("XA", label("XB"))
			arm(fault)
			_, err := w.Publish(t.Context(), "XA", token)
			unavailable(t, err)
			receipt := w.publish("XA", token)
			if w.publish("XA", token) != receipt {
				t.Error("the receipt changes")
			}
			if page := w.poll("XB", 0); len(page.Items) != 1 {
				t.Errorf("XB has %d items", len(page.Items))
			}
			if n := count(w.entries(), audit.Admission); n != 1 {
				t.Errorf("%d admissions in the log", n)
			}
			w.verifyLog()
		})
	}
}

// A recipient who waits is woken although the publisher was told of a failure.
func TestPersistedFaultWakesRecipients(t *testing.T) {
	w, arm := faultyWorld(t)
	got := make(chan int, 1)
	go func() {
		page, err := w.Poll(t.Context(), "XB", 0, 10, time.Hour)
		if err != nil {
			t.Error(err)
		}
		got <- len(page.Items)
	}()
	_, token := w.issue("XA", label("XB"))
	arm(storetest.Persisted)
	_, err := w.Publish(t.Context(), "XA", token)
	unavailable(t, err)
	if n := <-got; n != 1 {
		t.Errorf("%d items", n)
	}
}

func TestHandOverSurvivesFaults(t *testing.T) {
	for name, fault := range faults {
		t.Run(name, func(t *testing.T) {
			w, arm := faultyWorld(t)
			_, token := w.issue("XA", label("XB"))
			w.publish("XA", token)
			arm(fault)
			page, err := w.Poll(t.Context(), "XB", 0, 10, 0)
			unavailable(t, err)
			if len(page.Items) != 0 {
				t.Error("something was released without its entry")
			}
			page = w.poll("XB", 0)
			if len(page.Items) != 1 || page.Items[0].Delivery == nil {
				t.Fatalf("XB gets %+v", page.Items)
			}
			w.checkPage("XB", 0, feed.ChainStart("XB"), page)
			if n := count(w.entries(), audit.Release); n != 1 {
				t.Errorf("%d releases in the log", n)
			}
			w.verifyLog()
		})
	}
}

// Without its entry a refusal is no answer, and a preview neither.
func TestNothingIsAnsweredThatIsNotRecorded(t *testing.T) {
	for name, fault := range faults {
		t.Run(name, func(t *testing.T) {
			w, arm := faultyWorld(t)
			_, token := w.issue("XA", label("XB"))
			arm(fault)
			_, err := w.Publish(t.Context(), "XB", token)
			unavailable(t, err)
			arm(fault)
			unavailable(t, w.SubmitStatement(t.Context(), "XA", []byte("hello")))
			arm(fault)
			_, forecasts, err := w.Preview(t.Context(), "XA", "", 0, nil)
			unavailable(t, err)
			if forecasts != nil {
				t.Error("a preview was answered unrecorded")
			}
			arm(fault)
			unavailable(t, w.Acknowledge(t.Context(), "XB", []string{"a.b.c"}))
			if f := w.feeds(); f[1].Pending != 0 || f[1].Seq != 0 {
				t.Errorf("XB's feed: %+v", f[1])
			}
		})
	}
}

func TestStatementsSurviveFaults(t *testing.T) {
	for name, fault := range faults {
		t.Run(name, func(t *testing.T) {
			w, arm := faultyWorld(t)
			_, token := w.issue("XA", bilateral())
			w.publish("XA", token)
			raw := w.suspension(true)
			arm(fault)
			unavailable(t, w.SubmitStatement(t.Context(), "XB", raw))
			if fault == storetest.Persisted { // it holds from the moment it is stored
				if page := w.poll("XB", 0); len(page.Items) != 0 {
					t.Error("a stored suspension was not obeyed")
				}
			}
			w.submitTo(w.Hub, raw)
			if page := w.poll("XB", 0); len(page.Items) != 0 {
				t.Error("released under a suspended agreement")
			}
			w.verifyLog()
		})
	}
}

// Publishers who repeat what failed, at random: each alert arrives once.
func TestRandomFaults(t *testing.T) {
	var armed atomic.Bool
	st := storetest.Faulty(openSQLite(t), func(int64) storetest.Fault {
		if !armed.Load() || rand.IntN(3) > 0 {
			return storetest.None
		}
		return storetest.Failed + storetest.Fault(rand.IntN(2))
	})
	w := bareWorld(t, st)
	if err := server.TakeStatements(t.Context(), w.Hub, w.Statements()); err != nil {
		t.Fatal(err)
	}
	armed.Store(true)
	const publishers, alerts = 4, 25
	sent := make([][]alert.ID, publishers)
	var wg sync.WaitGroup
	for i := range sent {
		tokens := make([]string, alerts)
		for j := range tokens {
			a, token := w.issue("XA", label("XB"))
			sent[i], tokens[j] = append(sent[i], a.Subject), token
		}
		wg.Go(func() {
			for _, token := range tokens {
				_, err := w.Publish(t.Context(), "XA", token)
				for problem.KindOf(err) == problem.Unavailable && err != nil {
					_, err = w.Publish(t.Context(), "XA", token)
				}
				if err != nil {
					t.Error(err)
				}
			}
		})
	}
	var items []feed.Item
	chain := feed.ChainStart("XB")
	for len(items) < publishers*alerts {
		page, err := w.Poll(t.Context(), "XB", int64(len(items)), 7, time.Minute)
		if problem.KindOf(err) == problem.Unavailable && err != nil {
			continue
		}
		if err != nil {
			t.Fatal(err)
		}
		chain = w.checkPage("XB", int64(len(items)), chain, page)
		items = append(items, page.Items...)
	}
	wg.Wait()
	armed.Store(false)
	if page := w.poll("XB", int64(len(items))); len(page.Items) != 0 {
		t.Errorf("%d items too many", len(page.Items))
	}
	arrived := make(map[alert.ID]int)
	for _, item := range items {
		v, err := w.Directory().VerifyAlert(item.Delivery.Alert)
		if err != nil {
			t.Fatal(err)
		}
		arrived[v.Subject]++
	}
	for _, ids := range sent {
		for _, id := range ids {
			if arrived[id] != 1 {
				t.Errorf("alert %s arrived %d times", id, arrived[id])
			}
		}
	}
	if n := count(w.entries(), audit.Release); n != len(items) {
		t.Errorf("%d releases in the log of %d items", n, len(items))
	}
	w.verifyLog()
}
