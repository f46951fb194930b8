package policies

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"reflect"
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

// TestOnlyRecipientsAreInAnAudience: sets of the rules may name the originator,
// strangers and what is no member at all; nothing comes of it.
func TestOnlyRecipientsAreInAnAudience(t *testing.T) {
	modules := Embedded()
	const file = "release/decision/decision.rego"
	for _, set := range []string{"audience.discoverers", "active.permits", "originator_control.permits", "third_party.permits"} {
		modules[file] = strings.ReplaceAll(modules[file], " "+set, " "+set+` | {input.originator, "XB", "XC", "ZZ", "", 1, ["XD"]}`)
	}
	e, err := Compile(modules)
	if err != nil {
		t.Fatal(err)
	}
	q := fixedQuery()
	q.Label.ReleasableTo = []alert.Audience{"XA", "XB"}
	a := decided(t, mustWorld(t, e, fixedWorld()), q)
	if !slices.Equal(a.Content(), []alert.MemberID{"XB"}) || !slices.Equal(a.Existence(), []alert.MemberID{"XC"}) {
		t.Errorf("content %v, existence %v", a.Content(), a.Existence())
	}
	var all []alert.MemberID
	for m, kind := range a.All() {
		if all = append(all, m); kind != a.Of(m) {
			t.Errorf("%s: %s, and %s", m, kind, a.Of(m))
		}
	}
	if !slices.Equal(all, []alert.MemberID{"XA", "XB", "XC", "XD"}) {
		t.Errorf("all: %v", all)
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
	key := func(i int) memoKey { return sha256.Sum256([]byte(fmt.Sprint(i))) }
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
	modules := Embedded()
	const file = "release/decision/decision.rego"
	modules[file] = strings.Replace(modules[file], "audience.discoverers", "[audience.discoverers]", 1)
	e, err := newEngine(modules)
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
	pending, first := w.memo.get(w.memoKey(&q))
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

// TestMemoKeyNamesWhatKeyNames: two questions are remembered as one where Key and
// the originator are the same, and only there; a field that is added to labels may
// not be forgotten.
func TestMemoKeyNamesWhatKeyNames(t *testing.T) {
	r, e := newRand(t), mustLoad(t)
	g, fw := newWorld(r)
	w := mustWorld(t, e, fw)
	keys, memo := make(map[string]memoKey), make(map[memoKey]string)
	note := func(q Query) {
		key, short := string(q.Originator)+"\n"+w.Key(q), w.memoKey(&q)
		if other, known := keys[key]; known && other != short {
			t.Fatalf("two names for one question: %+v", q)
		}
		if other, known := memo[short]; known && other != key {
			t.Fatalf("one name for two questions:\n%s\n%s", key, other)
		}
		keys[key], memo[short] = short, key
	}
	asked := 0
	for range 300 {
		q := g.query(t)
		note(q)
		for i := range reflect.TypeFor[alert.Label]().NumField() {
			changed := q
			switch f := reflect.ValueOf(&changed.Label).Elem().Field(i); f.Kind() {
			case reflect.String:
				f.SetString(f.String() + "x")
			case reflect.Int:
				f.SetInt(f.Int()%3 + 1)
			case reflect.Bool:
				f.SetBool(!f.Bool())
			case reflect.Slice:
				more := reflect.New(f.Type().Elem()).Elem()
				more.SetString("x")
				f.Set(reflect.Append(f.Slice3(0, f.Len(), f.Len()), more))
			default:
				t.Fatalf("a field of kind %s", f.Kind())
			}
			note(changed)
			asked++
		}
		other := q
		other.Sources = nil
		note(other)
		other = q
		other.Alert = pick(r, g.sources...)
		note(other)
	}
	if len(keys) < asked/2 {
		t.Errorf("%d questions in %d: the test has no bite", len(keys), asked)
	}
}
