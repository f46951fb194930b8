package policies

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/entente-hub/entente/api/alert"
	"github.com/entente-hub/entente/api/feed"
)

func TestAudience(t *testing.T) {
	w := mustWorld(t, mustLoad(t), fixedWorld())
	q := fixedQuery()
	q.Label.Compartments = []alert.TaskForceID{"tf-one"}
	q.Label.DiscoverableTo = []alert.Audience{"federation"}
	a, err := w.Decide(t.Context(), q)
	if err != nil {
		t.Fatal(err)
	}
	for m, want := range map[alert.MemberID]struct {
		kind   feed.Kind
		reason string
	}{
		"XA": {feed.None, ""}, "XB": {feed.Content, ""}, "XC": {feed.Existence, "need-to-know"},
		"XD": {feed.None, "suspended"}, "ZZ": {feed.None, ""},
	} {
		if a.Of(m) != want.kind || a.Reason(m) != want.reason {
			t.Errorf("%s: %s %q, want %s %q", m, a.Of(m), a.Reason(m), want.kind, want.reason)
		}
	}
	if diff := cmp.Diff(map[string][]alert.MemberID{"suspended": {"XD"}, "need-to-know": {"XC", "XD"},
		"release-list": {"XD"}, "agreement": {"XD"}}, a.Refused()); diff != "" {
		t.Error(diff)
	}
	if !slices.Equal(a.Content(), []alert.MemberID{"XB"}) || !slices.Equal(a.Existence(), []alert.MemberID{"XC"}) {
		t.Errorf("content %v, existence %v", a.Content(), a.Existence())
	}
	if n := testing.AllocsPerRun(100, func() { a.Of("XB") }); n != 0 {
		t.Errorf("Of allocates %v times", n)
	}
}

// TestConcurrentCallersEvaluateOnce: whoever asks at the same time gets the one answer.
func TestConcurrentCallersEvaluateOnce(t *testing.T) {
	w := mustWorld(t, mustLoad(t), fixedWorld())
	answers := make([]*Audience, 32)
	var wg sync.WaitGroup
	for i := range answers {
		wg.Go(func() {
			q := fixedQuery()
			q.Alert = alertID(i)                                                // does not count here
			q.Label.Retention = alert.Date(fmt.Sprintf("2027-03-%02d", 1+i%28)) // nor does this
			a, err := w.Decide(t.Context(), q)
			if err != nil {
				t.Error(err)
			}
			answers[i] = a
		})
	}
	wg.Wait()
	for _, a := range answers {
		if a != answers[0] {
			t.Fatal("decided more than once")
		}
	}
	other := fixedQuery()
	other.Originator = "XB"
	if a, err := w.Decide(t.Context(), other); err != nil || a == answers[0] {
		t.Errorf("another originator's answer is shared: %v", err)
	}
}

// TestConcurrentDecisions asks many questions of one fresh world at once, for
// the race detector and against the answers given one by one.
func TestConcurrentDecisions(t *testing.T) {
	r, e := newRand(t), mustLoad(t)
	g, fw := newWorld(r)
	w, calm := mustWorld(t, e, fw), mustWorld(t, e, fw)
	queries := make([]Query, 200)
	for i := range queries {
		queries[i] = g.query(t)
	}
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			for _, q := range queries {
				a, err := w.Decide(t.Context(), q)
				if err != nil {
					t.Error(err)
					return
				}
				b, err := calm.Decide(t.Context(), q)
				if err != nil || !cmp.Equal(a.Refused(), b.Refused()) || !slices.Equal(a.Existence(), b.Existence()) {
					t.Errorf("answers differ: %v", err)
				}
			}
		})
	}
	wg.Wait()
}

func TestMemoIsBounded(t *testing.T) {
	var m memo
	m.init()
	key := func(i int) memoKey { return memoKey{"XA", sha256.Sum256([]byte(fmt.Sprint(i)))} }
	for i := range MaxRemembered {
		d, first := m.get(key(i))
		if !first {
			t.Fatal("known before it was asked")
		}
		m.finish(d)
	}
	if _, first := m.get(key(0)); first {
		t.Error("forgotten below the bound")
	}
	m.get(key(MaxRemembered))
	if len(m.at) != MaxRemembered || m.order.Len() != MaxRemembered {
		t.Errorf("%d and %d remembered", len(m.at), m.order.Len())
	}
	if _, first := m.get(key(0)); first {
		t.Error("what was used last is forgotten")
	}
	if _, first := m.get(key(1)); !first {
		t.Error("what was longest unused is remembered")
	}
}

func TestFailuresAreNotRemembered(t *testing.T) {
	modules, err := embedded("release", "admission")
	if err != nil {
		t.Fatal(err)
	}
	const file = "release/decision/decision.rego"
	modules[file] = strings.Replace(modules[file], `"existence": existence`, `"existence": existence | {"ZZ"}`, 1)
	e, err := load(modules)
	if err != nil {
		t.Fatal(err)
	}
	w := mustWorld(t, e, fixedWorld())
	for range 2 {
		if _, err := w.Decide(t.Context(), fixedQuery()); !errors.Is(err, ErrPolicy) {
			t.Errorf("error %v", err)
		}
		if len(w.memo.at) != 0 || w.memo.order.Len() != 0 {
			t.Error("a failure is remembered")
		}
	}
}

// TestWaitingEnds: a caller whose context ends stops waiting; the decision in
// the making is left alone.
func TestWaitingEnds(t *testing.T) {
	w := mustWorld(t, mustLoad(t), fixedWorld())
	q := fixedQuery()
	pending, first := w.memo.get(memoKey{q.Originator, sha256.Sum256([]byte(q.Key()))})
	if !first {
		t.Fatal("decided before")
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := w.Decide(ctx, q); !errors.Is(err, context.Canceled) {
		t.Errorf("error %v", err)
	}
	pending.audience = &Audience{world: w}
	w.memo.finish(pending)
	if a, err := w.Decide(ctx, q); err != nil || a != pending.audience {
		t.Errorf("a known answer needs no waiting: %v", err)
	}
}
