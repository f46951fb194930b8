package hub_test

import (
	"context"
	"errors"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/entente-hub/entente/api/alert"
	"github.com/entente-hub/entente/api/audit"
	"github.com/entente-hub/entente/api/federation"
	"github.com/entente-hub/entente/api/problem"
	"github.com/entente-hub/entente/hub"
	"github.com/entente-hub/entente/hub/store"
)

// later runs another hub on a store, for which it is later.
func (w *world) later(st store.Store, by time.Duration) *hub.Hub {
	w.Helper()
	ahead := &clock{}
	ahead.advance(by)
	d := w.deps(st)
	d.Now, d.Store = ahead.now, clocked{st, ahead}
	h, stop := w.run(d)
	w.Cleanup(stop)
	return h
}

// holding is a store of which a commit that matches waits, once, until it is let go.
func holding(st store.Store, match func(store.Write) bool) (held *hooked, reached, letGo chan struct{}) {
	held, reached, letGo = &hooked{Store: st}, make(chan struct{}), make(chan struct{})
	var once sync.Once
	hook := func(writes []store.Write) {
		for _, x := range writes {
			if match(x) {
				once.Do(func() { close(reached); <-letGo })
			}
		}
	}
	held.before.Store(&hook)
	return held, reached, letGo
}

const newScheme = "urn:entente:policy:new:1"

// issueUnderNewScheme makes an alert that is admitted once newScheme is in force.
func (w *world) issueUnderNewScheme() (alert.Alert, string) {
	w.Helper()
	l := label("XB")
	l.Policy = newScheme
	return w.issue("XA", l)
}

func (w *world) newScheme() []byte {
	w.Helper()
	return w.registry(func(r *federation.Registry) {
		r.Schemes = append(r.Schemes, federation.PlainScheme(newScheme, "new"))
	})
}

// TestOvertakenByItsRepetition: a request is under way at one hub while the same bytes are
// refused at another. They stay refused: the sender is done with them.
func TestOvertakenByItsRepetition(t *testing.T) {
	onBoth(t, func(w *world) {
		held, reached, letGo := holding(w.store, func(x store.Write) bool { return x.Accept != nil })
		slow, other := w.start(held), w.later(w.store, 2*time.Hour)
		_, token := w.issue("XA", label("XB"))
		got := make(chan error, 1)
		go func() {
			_, err := slow.Publish(context.WithoutCancel(w.Context()), "XA", token)
			got <- err
		}()
		<-reached
		if _, err := other.Publish(w.Context(), "XA", token); problem.KindOf(err) != problem.Expired {
			w.Errorf("got %v", err)
		}
		close(letGo)
		if err := <-got; problem.KindOf(err) != problem.Expired || !strings.Contains(err.Error(), "refused before") {
			w.Errorf("got %v", err)
		}
		if items := w.poll("XB", 0).Items; len(items) != 0 {
			w.Errorf("XB has %d items", len(items))
		}
		if entries := w.entries(); count(entries, audit.Admission) != 0 || count(entries, audit.Refusal) != 1 {
			w.Errorf("%d admissions, %d refusals", count(entries, audit.Admission), count(entries, audit.Refusal))
		}
	})
}

// TestOvertakesItsRefusal: what is taken in while the same bytes are about to be refused
// elsewhere is not refused.
func TestOvertakesItsRefusal(t *testing.T) {
	onBoth(t, func(w *world) {
		held, reached, letGo := holding(w.store, func(x store.Write) bool { return x.Refuse != nil })
		slow := w.later(held, 2*time.Hour)
		_, token := w.issue("XA", label("XB"))
		type answer struct {
			receipt string
			err     error
		}
		got := make(chan answer, 1)
		go func() {
			receipt, err := slow.Publish(context.WithoutCancel(w.Context()), "XA", token)
			got <- answer{receipt, err}
		}()
		<-reached
		receipt := w.publish("XA", token)
		close(letGo)
		if a := <-got; a.err != nil || a.receipt != receipt {
			w.Errorf("%q, %v, want %q", a.receipt, a.err, receipt)
		}
		if n := count(w.entries(), audit.Refusal); n != 0 {
			w.Errorf("%d refusals", n)
		}
	})
}

// TestRefusalWaitsForStatements: one that another hub's statement has overtaken is judged
// again, and not refused by what held before.
func TestRefusalWaitsForStatements(t *testing.T) {
	onBoth(t, func(w *world) {
		held, reached, letGo := holding(w.store, func(x store.Write) bool { return x.Refuse != nil })
		slow := w.start(held)
		got := make(chan error, 1)
		_, token := w.issueUnderNewScheme()
		go func() {
			_, err := slow.Publish(context.WithoutCancel(w.Context()), "XA", token)
			got <- err
		}()
		<-reached
		w.submitTo(w.Hub, w.newScheme())
		close(letGo)
		if err := <-got; err != nil {
			w.Error(err)
		}
		if n := count(w.entries(), audit.Refusal); n != 0 {
			w.Errorf("%d refusals", n)
		}
	})
}

// TestRefusedForGood: what was refused stays so when the rules would let it pass, at any
// hub on the store, and in a batch; made anew, it passes.
func TestRefusedForGood(t *testing.T) {
	onBoth(t, func(w *world) {
		a, token := w.issueUnderNewScheme()
		publish := func(h *hub.Hub, token string) error {
			_, err := h.Publish(w.Context(), "XA", token)
			return err
		}
		w.refused(problem.NotAdmitted, "XA", func() error { return publish(w.Hub, token) })
		w.submitTo(w.Hub, w.newScheme())
		other := w.start(w.store)
		before := len(w.acted())
		for _, h := range []*hub.Hub{w.Hub, other} {
			var p *problem.Error
			if err := publish(h, token); !errors.As(err, &p) || p.Kind != problem.NotAdmitted || len(p.Codes) == 0 || !strings.Contains(p.Detail, "not in use") || !strings.Contains(p.Detail, "publish it anew") {
				w.Errorf("got %v", err)
			}
		}
		if n := len(w.acted()); n != before {
			w.Errorf("%d entries for what is refused already", n-before)
		}
		anew := w.sign(a) // other salts
		list, err := other.PublishAll(w.Context(), "XA", []string{token, anew, token})
		if err != nil || len(list) != 3 || problem.KindOf(list[0].Refusal) != problem.NotAdmitted || list[1].Refusal != nil {
			w.Fatalf("%+v, %v", list, err)
		}
		if k := problem.KindOf(list[2].Refusal); k != problem.NotAdmitted { // though other bytes stand there now
			w.Errorf("got %v", list[2].Refusal)
		}
	})
}

// TestRefusedToAnother: that a member was refused what is another's is nothing to that one.
func TestRefusedToAnother(t *testing.T) {
	w := newWorld(t)
	_, token := w.issue("XA", label("XB"))
	w.refused(problem.WrongMember, "XB", func() error {
		_, err := w.Publish(t.Context(), "XB", token)
		return err
	})
	w.publish("XA", token)
}

// TestWrongClockRefusesNothing: what time is said to have ended is not refused by a hub whose
// clock is not its database's.
func TestWrongClockRefusesNothing(t *testing.T) {
	w := newWorld(t)
	_, token := w.issue("XA", label("XB"))
	early := w.compose("XA", label("XB"))
	early.IssuedAt += 3600
	early.Expires += 3600
	publish := func(token string) error {
		_, err := w.Publish(t.Context(), "XA", token)
		return err
	}
	w.clock.advance(2 * time.Hour)
	w.clock.lag.Store(int64(2 * time.Hour))
	before := len(w.acted())
	if err := publish(token); problem.KindOf(err) != problem.Unavailable {
		t.Errorf("got %v", err)
	}
	if n := len(w.acted()); n != before {
		t.Errorf("%d entries", n-before)
	}
	w.clock.lag.Store(0)
	w.refused(problem.Expired, "XA", func() error { return publish(token) })
	w.clock.advance(-2 * time.Hour)
	w.clock.lag.Store(int64(-2 * time.Hour)) // the server's is ahead
	early = w.compose("XA", label("XB"))
	early.IssuedAt += 7200
	early.Expires += 7200
	token = w.sign(early)
	if err := publish(token); problem.KindOf(err) != problem.Unavailable {
		t.Errorf("got %v", err)
	}
	w.clock.lag.Store(0)
	w.refused(problem.NotYetValid, "XA", func() error { return publish(token) })
}

// TestBothClocksSaySo: what is over by both clocks is refused however far they are apart, and
// holds up nothing behind it; what was taken in before has its receipt.
func TestBothClocksSaySo(t *testing.T) {
	w := newWorld(t)
	_, old := w.issue("XA", label("XB"))
	_, taken := w.issue("XA", label("XB"))
	receipt := w.publish("XA", taken)
	w.clock.advance(48 * time.Hour)
	w.clock.lag.Store(int64(6 * time.Minute))
	_, good := w.issue("XA", label("XB"))
	list, err := w.PublishAll(t.Context(), "XA", []string{old, good, taken})
	if err != nil || len(list) != 3 || problem.KindOf(list[0].Refusal) != problem.Expired || list[1].Refusal != nil || list[2].Receipt != receipt {
		t.Errorf("%+v, %v", list, err)
	}
}

// TestRevokedByOneClock: a revocation that is still to come is none for a hub whose clock
// is ahead of its database's.
func TestRevokedByOneClock(t *testing.T) {
	w := newWorld(t)
	k := w.certify("XA", w.clock.now().Add(2000*time.Hour))
	w.revoke(k, w.clock.now().Add(24*time.Hour).Unix())
	a := w.compose("XA", label("XB"))
	a.Expires = w.clock.now().Add(1000 * time.Hour).Unix()
	token := w.signAs(k, a)
	w.clock.advance(48 * time.Hour)
	w.clock.lag.Store(int64(48 * time.Hour))
	if _, err := w.Publish(t.Context(), "XA", token); problem.KindOf(err) != problem.Unavailable {
		t.Errorf("got %v", err)
	}
	w.clock.advance(-48 * time.Hour)
	w.clock.lag.Store(0)
	w.publish("XA", token)
}

// silent is a store that does not show the newest statements.
type silent struct {
	store.Store
	after atomic.Int64
}

func (s *silent) Statements(ctx context.Context, after int64, limit int) ([]store.Statement, error) {
	list, err := s.Store.Statements(ctx, after, limit)
	return slices.DeleteFunc(list, func(x store.Statement) bool { return x.Position > s.after.Load() }), err
}

// TestHiddenStatement: where the store knows of a statement that it does not show, publishing
// is unavailable, and does not try for ever.
func TestHiddenStatement(t *testing.T) {
	w := newWorld(t)
	st := &silent{Store: w.store}
	st.after.Store(1 << 40)
	h := w.start(st)
	list, err := w.store.Statements(t.Context(), 0, 1000)
	if err != nil {
		t.Fatal(err)
	}
	st.after.Store(list[len(list)-1].Position)
	w.submitTo(w.Hub, w.newScheme())
	_, good := w.issue("XA", label("XB"))
	_, bad := w.issueUnderNewScheme()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	for _, token := range []string{good, bad} {
		if _, err := h.Publish(ctx, "XA", token); problem.KindOf(err) != problem.Unavailable || ctx.Err() != nil {
			t.Errorf("got %v", err)
		}
	}
}
