package hub_test

import (
	"testing"
	"time"

	"github.com/entente-hub/entente/api/alert"
	"github.com/entente-hub/entente/api/feed"
)

// looked waits until the eraser has looked from beginning to end.
func (w *world) looked() {
	w.Helper()
	before := w.clock.looks.Load()
	w.await("the eraser looks", func() bool {
		w.LookForEnded()
		return w.clock.looks.Load() >= before+3 // the second began after the call, and has ended
	})
}

// TestClockAhead: a hub whose clock is ahead of the database server's erases nothing that
// has not ended by both. It does not hand over what has expired by its own; and when the
// clock is right again, all is as if nothing had been.
func TestClockAhead(t *testing.T) {
	onBoth(t, func(w *world) {
		a, token := w.issue("XA", label("XB"))
		w.publish("XA", token)
		w.clock.lag.Store(int64(1000 * time.Hour))
		w.clock.advance(1000 * time.Hour)
		w.looked()
		w.erased(a, "p1")
		if items := w.poll("XB", 0).Items; len(items) != 0 {
			w.Errorf("XB gets %s", encode(w, items))
		}
		w.clock.lag.Store(0)
		w.erased(a) // it has ended by both now
	})
	w := newWorld(t)
	a, token := w.issue("XA", label("XB"))
	w.publish("XA", token)
	w.clock.lag.Store(int64(1000 * time.Hour))
	w.clock.advance(1000 * time.Hour)
	w.looked()
	w.clock.lag.Store(0)
	w.clock.advance(-1000 * time.Hour)
	w.looked()
	w.erased(a, "p1")
	w.has(w.poll("XB", 0).Items, map[alert.PortionID]feed.Kind{"p1": feed.Content})
}

// TestClockAheadAlone: without a server's clock, one that leaps has to stand for a while
// before anything is erased by it; and one that goes on as it should is believed.
func TestClockAheadAlone(t *testing.T) {
	w := newWorld(t)
	w.clock.alone.Store(true)
	w.looked()
	a, token := w.issue("XA", label("XB"))
	w.publish("XA", token)
	b := w.compose("XA", label("XB"))
	b.Expires = w.clock.now().Add(1000 * time.Hour).Unix()
	w.publish("XA", w.sign(b))
	for range 3 {
		w.clock.advance(30 * time.Minute)
		w.looked()
	}
	w.erased(a)
	w.clock.advance(2000 * time.Hour)
	w.looked()
	w.clock.advance(50 * time.Minute)
	w.looked()
	w.erased(b, "p1")
	w.clock.advance(20 * time.Minute)
	w.erased(b)

	c, token := w.issue("XA", label("XB"))
	w.publish("XA", token)
	w.looked()
	w.clock.advance(2000 * time.Hour)
	w.looked()
	w.clock.advance(-2000 * time.Hour) // it was a mistake, and is mended in time
	w.looked()
	w.clock.advance(2 * time.Minute)
	w.looked()
	w.erased(c, "p1")
}

// TestClockBehindAlone: a clock that was behind for a while does not look as if it were
// ahead once it is right again.
func TestClockBehindAlone(t *testing.T) {
	w := newWorld(t)
	w.clock.alone.Store(true)
	w.looked()
	a := w.compose("XA", label("XB"))
	a.Expires = w.clock.now().Add(10 * time.Minute).Unix()
	w.publish("XA", w.sign(a))
	w.clock.advance(-24 * time.Hour)
	w.looked()
	w.clock.advance(24*time.Hour + 20*time.Minute)
	w.erased(a)
}

// TestClockBelievedWrongly: once a clock that was ahead for long is right again, it is
// noticed anew when it leaps.
func TestClockBelievedWrongly(t *testing.T) {
	w := newWorld(t)
	w.clock.alone.Store(true)
	w.looked()
	w.clock.advance(2000 * time.Hour)
	for range 3 {
		w.looked()
		w.clock.advance(50 * time.Minute)
	}
	w.looked() // it is believed by now
	w.clock.advance(-2000 * time.Hour)
	for range 3 {
		w.looked()
		w.clock.advance(50 * time.Minute)
	}
	w.looked()
	a, token := w.issue("XA", label("XB"))
	w.publish("XA", token)
	w.clock.advance(1000 * time.Hour)
	w.looked()
	w.clock.advance(-1000 * time.Hour)
	w.looked()
	w.erased(a, "p1")
}

// TestEndedWhileAhead: what a later version ends while the hub's clock is ahead is erased
// at once all the same, and not once that time has come.
func TestEndedWhileAhead(t *testing.T) {
	onBoth(t, func(w *world) {
		first := w.compose("XA", label("XB"))
		first.Expires = w.clock.now().Add(3000 * time.Hour).Unix()
		w.publish("XA", w.sign(first))
		w.clock.lag.Store(int64(1000 * time.Hour))
		w.clock.advance(1000 * time.Hour)
		w.publish("XA", w.sign(w.next(first, label("XB"))))
		w.clock.lag.Store(0)
		w.clock.advance(-1000 * time.Hour)
		w.erased(first)
	})
}
