package hub_test

import (
	"context"
	"errors"
	"math/rand/v2"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/entente-hub/entente/api/alert"
	"github.com/entente-hub/entente/api/audit"
	"github.com/entente-hub/entente/api/federation"
	"github.com/entente-hub/entente/api/feed"
	"github.com/entente-hub/entente/api/problem"
	"github.com/entente-hub/entente/hub"
	"github.com/entente-hub/entente/hub/server"
	"github.com/entente-hub/entente/hub/store"
	"github.com/entente-hub/entente/trust"
)

// overtaken is a store into which, when a hub first erases entries, somebody else has put
// a statement a moment before.
type overtaken struct {
	store.Store
	by atomic.Pointer[func()]
}

func (o *overtaken) Commit(ctx context.Context, writes []store.Write) ([]store.Result, error) {
	if slices.ContainsFunc(writes, func(w store.Write) bool { return w.Trim != nil }) {
		if by := o.by.Swap(nil); by != nil {
			(*by)()
		}
	}
	return o.Store.Commit(ctx, writes)
}

// TestHoldDuringAPass: a hold that is stored while a pass is under way is obeyed by it.
func TestHoldDuringAPass(t *testing.T) {
	st := openSQLite(t)
	var came atomic.Bool
	o := &overtaken{Store: st}
	w := bareWorld(t, o)
	if err := server.TakeStatements(t.Context(), w.Hub, w.Statements()); err != nil {
		t.Fatal(err)
	}
	w.noon()
	by := func() {
		came.Store(true)
		raw := w.hold(holdOn("case", federation.HoldScope{All: true}))
		s, err := trust.Parse(raw)
		if err == nil {
			_, err = st.Commit(context.WithoutCancel(t.Context()), []store.Write{{Statement: &store.Statement{Type: "legal-hold", Subject: "case",
				Revision: 1, Digest: s.Digest, Raw: raw}}})
		}
		if err != nil {
			t.Error(err)
		}
	}
	o.by.Store(&by)
	w.submitTo(w.Hub, w.forgetful())
	w.clock.advance((trailDays + 2) * day)
	w.trim(w.Hub)
	if n := count(w.entries(), audit.Trimmed); n != 0 || !came.Load() {
		t.Errorf("%d records of erasure, a hold came %t", n, came.Load())
	}
	w.verifyLog()
}

// TestReplicasEraseOnce: of several hubs on a database each entry is erased by one.
func TestReplicasEraseOnce(t *testing.T) {
	w := trailWorld(t)
	w.append(oldEntries(rand.New(rand.NewPCG(1, 1)), w.clock.now(), 2500)...)
	hubs := []*hub.Hub{w.Hub, w.start(w.store), w.start(w.store)}
	w.clock.advance(10 * day)
	var wg sync.WaitGroup
	for _, h := range hubs {
		wg.Go(func() {
			if err := h.TrimNow(t.Context()); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	covered := make(map[int64]int)
	for _, leaf := range w.log() {
		if e, err := audit.Parse(leaf); leaf != nil && err == nil && e.Trim != nil {
			for _, r := range e.Trim.Runs {
				for i := r.First; i <= r.Last; i++ {
					covered[i]++
				}
			}
		}
	}
	for i, n := range covered {
		if n != 1 {
			t.Errorf("entry %d is recorded as erased %d times", i, n)
		}
	}
	if r := w.verifyLog(); r.Erased != int64(len(covered)) || r.Erased < 1000 {
		t.Errorf("%d erased, %d recorded", r.Erased, len(covered))
	}
}

// TestHoldNeverExtendsRelease: with all of the trail held, content ends as ever.
func TestHoldNeverExtendsRelease(t *testing.T) {
	w := trailWorld(t)
	w.submitTo(w.Hub, w.hold(holdOn("case", federation.HoldScope{All: true})))
	ends, token := w.issue("XA", label("XB"))
	recalled, token2 := w.issue("XA", label("XB"))
	w.publish("XA", token)
	w.publish("XA", token2)
	first := w.poll("XB", 0)
	if len(first.Items) != 2 {
		t.Fatalf("%d items", len(first.Items))
	}
	w.publish("XA", w.sign(w.recall(recalled, alert.Purge)))
	w.erased(recalled)
	w.notice(w.poll("XB", 2).Items, 2)
	_, waiting := w.issue("XA", label("XC"))
	w.publish("XA", waiting)
	w.clock.advance(2 * time.Hour)
	w.erased(ends)
	if page := w.poll("XC", 0); len(page.Items) != 0 {
		t.Errorf("what has expired was handed over: %s", encode(t, page.Items))
	}
	for _, item := range w.poll("XB", 0).Items[:2] {
		if item.Delivery != nil && slices.ContainsFunc(item.Delivery.Releases, func(r feed.Release) bool { return r.Kind == feed.Content }) {
			t.Errorf("read again: %s", encode(t, item))
		}
	}
	w.clock.advance(100 * day)
	w.trim(w.Hub)
	if n := count(w.entries(), audit.Trimmed); n != 0 {
		t.Errorf("%d records of erasure under a hold on everything", n)
	}
	w.submitTo(w.Hub, w.hold(&federation.LegalHold{ID: "case", Reason: "closed", Scope: federation.HoldScope{All: true}, Lifted: true}))
	w.trim(w.Hub)
	if r := w.verifyLog(); r.Erased == 0 {
		t.Error("nothing was erased when the hold was lifted")
	}
}

// TestHoldsAreShownToNoMember: nor does a refusal tell of one.
func TestHoldsAreShownToNoMember(t *testing.T) {
	w := trailWorld(t)
	forged := func() error {
		raw := w.stateAs(federation.TypeLegalHold, holdOn("case", federation.HoldScope{All: true}), 1, "", w.root("XA"))
		return w.refused(problem.BadSignature, "XA", func() error { return w.SubmitStatement(t.Context(), "XA", raw) })
	}
	before, said := w.listed("XA", 100), forged().Error()
	w.submitTo(w.Hub, w.hold(holdOn("case", federation.HoldScope{Members: []alert.MemberID{"XA"}})))
	if after := w.listed("XA", 100); len(after) != len(before) {
		t.Errorf("%d statements are listed, %d before", len(after), len(before))
	}
	if again := forged().Error(); again != said {
		t.Errorf("refused with %q, before with %q", again, said)
	}
	list, err := w.Proposals(t.Context(), "XB")
	if err != nil || len(list) != 0 {
		t.Errorf("proposals %v, %v", list, err)
	}
}

// TestDecisionsOutlastWhatRestsOnThem: where the trail is erased a decision stands in the
// log again each day, so that no admission is left without.
func TestDecisionsOutlastWhatRestsOnThem(t *testing.T) {
	w := trailWorld(t)
	for range 3 {
		_, token := w.issue("XA", label("XB"))
		w.publish("XA", token)
		_, token = w.issue("XA", label("XB"))
		w.publish("XA", token)
		w.clock.advance(20 * day)
	}
	w.trim(w.Hub)
	decided := make(map[string]bool)
	var admissions []audit.Entry
	for _, leaf := range w.log() {
		if leaf == nil {
			continue
		}
		switch e, err := audit.Parse(leaf); {
		case err != nil:
			t.Fatal(err)
		case e.Kind == audit.Decided:
			decided[e.Decision.Label+e.Revision] = true
		case e.Kind == audit.Admission:
			admissions = append(admissions, e)
		}
	}
	for _, e := range admissions {
		for _, p := range e.Portions {
			if !decided[p.Label+e.Revision] {
				t.Errorf("admission of %s rests on a decision that is erased", e.Alert.ID)
			}
		}
	}
	if r := w.verifyLog(); r.Erased == 0 || len(admissions) == 0 {
		t.Errorf("%d erased, %d admissions left", r.Erased, len(admissions))
	}
}

// TestSimulationOfATrimmedLog: what is erased is not replayed, and that is said; what was
// removed by hand is no basis for anything.
func TestSimulationOfATrimmedLog(t *testing.T) {
	w := trailWorld(t)
	_, token := w.issue("XA", label("XB"))
	w.publish("XA", token)
	start := w.clock.now().Add(-365 * day)
	c := hub.Candidate{Bodies: []federation.Body{w.changedRegistry(func(r *federation.Registry) { r.Rules.MaxRetentionDays = 7 })}}
	simulate := func(st store.Store, since time.Time) (hub.Simulation, error) {
		return hub.Simulate(t.Context(), w.deps(st), c, since, nil)
	}
	if s, err := simulate(w.store, start); err != nil || s.Alerts != 1 || s.Erased != 0 {
		t.Fatalf("%+v, %v", s, err)
	}
	w.clock.advance((trailDays - 1) * day)
	_, token = w.issue("XA", label("XB"))
	w.publish("XA", token)
	w.clock.advance(3 * day)
	w.trim(w.Hub)
	if s, err := simulate(w.store, start); err != nil || s.Alerts != 1 || s.Erased == 0 {
		t.Errorf("%+v, %v", s, err)
	}
	if s, err := simulate(w.store, w.clock.now().Add(-time.Hour)); err != nil || s.Alerts != 0 || s.Erased != 0 {
		t.Errorf("%+v, %v", s, err)
	}
	kept := slices.IndexFunc(w.log(), func(l []byte) bool { return l != nil })
	if s, err := simulate(doctored{w.store, map[int64][]byte{int64(kept): nil}}, start); !errors.Is(err, hub.ErrLog) {
		t.Errorf("%+v, %v", s, err)
	}
}

// TestTrailAndClock: a clock that has jumped ahead of the database's erases nothing of the
// trail.
func TestTrailAndClock(t *testing.T) {
	w := trailWorld(t)
	w.clock.lag.Store(int64(300 * day))
	w.clock.advance(300 * day)
	w.trim(w.Hub)
	if n := count(w.entries(), audit.Trimmed); n != 0 {
		t.Errorf("%d records of erasure", n)
	}
	w.clock.lag.Store(0)
	w.trim(w.Hub)
	if r := w.verifyLog(); r.Erased == 0 {
		t.Error("nothing was erased when the time had come")
	}
}
