package hub_test

import (
	"slices"
	"testing"
	"time"

	"github.com/entente-hub/entente/api/audit"
	"github.com/entente-hub/entente/api/feed"
	"github.com/entente-hub/entente/hub/store"
)

// TestPurgedAgain: a portion that was erased and handed over again is held until its member
// has signed once more to have erased it, for the same cause or not. That receipt is kept,
// and one that says no more than those that are kept is not.
func TestPurgedAgain(t *testing.T) {
	onBoth(t, func(w *world) {
		guarded := label("XB")
		guarded.OriginatorControl = true
		a := w.compose("XA", label("XB"), guarded)
		w.publish("XA", w.sign(a))
		items := w.newer("XB", 0)
		w.acknowledge("XB", items)
		var want []string
		purged := func(kept bool, ago time.Duration) {
			w.Helper()
			jws := w.purgeOf("XB", a, func(p *feed.Purge) {
				p.Cause, p.IssuedAt = feed.Ended, w.clock.now().Add(-ago).Unix()
			})
			if kept {
				want = append(want, jws)
			}
			for range 2 {
				if err := w.Purged(w.Context(), "XB", []string{jws}); err != nil {
					w.Fatal(err)
				}
			}
			_, stored, err := w.Holders(w.Context(), "XA", a.Subject)
			if err != nil {
				w.Fatal(err)
			}
			if got := receiptsOf(stored); !slices.Equal(got, want) {
				w.Fatalf("%d receipts are kept, want %d:\n%v", len(got), len(want), got)
			}
		}
		w.clock.advance(time.Minute)
		purged(true, 0)
		w.clock.advance(time.Minute)
		purged(false, 0) // nothing was handed over since
		w.clock.advance(10 * time.Minute)
		w.consent("XA", a.Subject, "XB")
		w.settle()
		w.acknowledge("XB", append(items, w.newer("XB", 1)...))
		w.clock.advance(time.Minute)
		purged(false, 9*time.Minute) // after the receipt, and before it was handed over again
		purged(true, 0)
		w.clock.advance(time.Minute)
		purged(false, 0)
		said := 0
		for _, e := range w.entries() {
			if e.Kind == audit.Purged {
				said++
			}
		}
		if said != len(want) {
			w.Errorf("%d receipts are in the log, want %d", said, len(want))
		}
	})
}

func receiptsOf(list []store.Purge) (out []string) {
	for _, p := range list {
		out = append(out, p.Receipt)
	}
	return out
}
