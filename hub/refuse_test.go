package hub_test

import (
	"context"
	"errors"
	"strings"
	"sync"
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
		if entries := w.entries(); count(entries, audit.Admission) != 0 || count(entries, audit.Refusal) != 2 {
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
		for _, h := range []*hub.Hub{w.Hub, other} {
			err := w.refused(problem.NotAdmitted, "XA", func() error { return publish(h, token) })
			var p *problem.Error
			if !errors.As(err, &p) || len(p.Codes) == 0 {
				w.Errorf("without its codes: %v", err)
			}
		}
		anew := w.sign(a) // other salts
		list, err := other.PublishAll(w.Context(), "XA", []string{token, anew, token})
		if err != nil || len(list) != 3 || problem.KindOf(list[0].Refusal) != problem.NotAdmitted || list[1].Refusal != nil {
			w.Fatalf("%+v, %v", list, err)
		}
		// Other bytes stand there now.
		if k := problem.KindOf(list[2].Refusal); k != problem.Conflict {
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
	w.refused(problem.NotYetValid, "XA", func() error { return publish(w.sign(early)) })
}
