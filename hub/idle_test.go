package hub_test

import (
	"context"
	"maps"
	"sync"
	"testing"
	"time"

	"github.com/entente-hub/entente/api/alert"
	"github.com/entente-hub/entente/api/feed"
	"github.com/entente-hub/entente/hub"
	"github.com/entente-hub/entente/hub/server"
	"github.com/entente-hub/entente/hub/store"
)

// tallied counts what is asked of a store for one member, and the writes.
type tallied struct {
	store.Store
	member alert.MemberID

	mu    sync.Mutex
	calls map[string]int
	rows  int // that reading a feed has returned
}

func (s *tallied) note(what string, rows int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.calls[what]++
	s.rows += rows
}

// ownKey marks the context of a poll whose reading of statements is counted: hubs look for
// new ones of their own accord too.
type ownKey struct{}

// taken returns what was counted, and begins anew.
func (s *tallied) taken() (calls map[string]int, rows int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	calls, rows = s.calls, s.rows
	s.calls, s.rows = make(map[string]int), 0
	return calls, rows
}

func (s *tallied) Feed(ctx context.Context, m alert.MemberID) (store.Feed, error) {
	if m == s.member {
		s.note("feed", 0)
	}
	return s.Store.Feed(ctx, m)
}

func (s *tallied) Pending(ctx context.Context, m alert.MemberID, limit int) ([]store.Delivery, error) {
	list, err := s.Store.Pending(ctx, m, limit)
	if m == s.member {
		s.note("pending", len(list))
	}
	return list, err
}

func (s *tallied) Delivered(ctx context.Context, m alert.MemberID, after int64, limit int) ([]store.Delivery, error) {
	list, err := s.Store.Delivered(ctx, m, after, limit)
	if m == s.member {
		s.note("delivered", len(list))
	}
	return list, err
}

func (s *tallied) Commit(ctx context.Context, writes []store.Write) ([]store.Result, error) {
	s.note("commit", 0)
	return s.Store.Commit(ctx, writes)
}

func (s *tallied) Entries(ctx context.Context, from int64, limit int) ([][]byte, error) {
	list, err := s.Store.Entries(ctx, from, limit)
	s.note("entries", len(list))
	return list, err
}

func (s *tallied) Statements(ctx context.Context, after int64, limit int) ([]store.Statement, error) {
	list, err := s.Store.Statements(ctx, after, limit)
	if ctx.Value(ownKey{}) != nil {
		s.note("statements", len(list))
	}
	return list, err
}

func talliedWorld(t *testing.T, m alert.MemberID) (*world, *tallied) {
	t.Helper()
	st := &tallied{Store: openSQLite(t), member: m, calls: make(map[string]int)}
	w := bareWorld(t, st)
	if err := server.TakeStatements(t.Context(), w.Hub, w.Statements()); err != nil {
		t.Fatal(err)
	}
	w.settle()
	return w, st
}

// publishTo publishes n alerts of XA's to one member.
func (w *world) publishTo(m alert.Audience, n int) {
	w.Helper()
	for n > 0 {
		var tokens []string
		for range min(n, hub.MaxBatch) {
			_, token := w.issue("XA", label(m))
			tokens = append(tokens, token)
		}
		list, err := w.PublishAll(w.Context(), "XA", tokens)
		if err != nil || len(list) != len(tokens) {
			w.Fatal(list, err)
		}
		n -= len(tokens)
	}
}

// TestIdlePoll: a poll of a member that has everything costs the same, however much it
// has and however much waits for others.
func TestIdlePoll(t *testing.T) {
	w, st := talliedWorld(t, "XB")
	var before map[string]int
	for _, n := range []int{0, 30, 300} {
		w.publishTo("XB", n)
		w.publishTo("XC", n)
		after := int64(0)
		for {
			page := w.poll("XB", after)
			if len(page.Items) == 0 {
				break
			}
			after = page.Items[len(page.Items)-1].Seq
		}
		st.taken()
		if _, err := w.Poll(context.WithValue(t.Context(), ownKey{}, true), "XB", after, 100, 0); err != nil {
			t.Fatal(err)
		}
		calls, rows := st.taken()
		if rows > 0 || calls["commit"] > 0 || len(calls) == 0 {
			t.Errorf("with %d items an idle poll reads %d rows: %v", after, rows, calls)
		}
		if before != nil && !maps.Equal(before, calls) {
			t.Errorf("with %d items an idle poll asks %v, before that %v", after, calls, before)
		}
		before = calls
	}
}

// TestIdlePollsSleep: who waits is not woken by what is not for it.
func TestIdlePollsSleep(t *testing.T) {
	w, st := talliedWorld(t, "XB")
	st.taken()
	w.poll("XB", 0)
	once, _ := st.taken()
	got := make(chan feed.Page, 1)
	go func() {
		page, err := w.Poll(t.Context(), "XB", 0, feed.MaxPage, time.Hour)
		if err != nil {
			t.Error(err)
		}
		got <- page
	}()
	until(t, "the poll to have looked", func() bool {
		st.mu.Lock()
		defer st.mu.Unlock()
		return st.calls["pending"] == 1 && st.calls["feed"] == 2
	})
	for range 5 {
		w.publishTo("XC", 3)
	}
	w.publishTo("XB", 1)
	if page := <-got; len(page.Items) != 1 {
		t.Fatalf("%d items", len(page.Items))
	}
	calls, _ := st.taken()
	if calls["pending"] != 2 || calls["feed"] != 4 || once["pending"] != 1 || once["feed"] != 3 {
		t.Errorf("%v, and for a poll that does not wait %v", calls, once)
	}
}

// until waits for a condition.
func until(t *testing.T, what string, done func() bool) {
	t.Helper()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	late := time.After(2 * time.Minute)
	for !done() {
		select {
		case <-tick.C:
		case <-late:
			t.Fatalf("in vain: %s", what)
		}
	}
}
