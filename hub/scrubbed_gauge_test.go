package hub_test

import (
	"context"
	"errors"
	"sync/atomic"
	"testing"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/entente-hub/entente/hub"
	"github.com/entente-hub/entente/hub/store"
)

// unscrubbed is a store in which what was erased can still be read while it says so.
type unscrubbed struct {
	store.Store
	fails atomic.Bool
}

func (s *unscrubbed) Scrub(ctx context.Context) (bool, error) {
	if s.fails.Load() {
		return false, errors.New("not the owner of the table")
	}
	return s.Store.Scrub(ctx)
}

// TestUnfinishedErasureIsShown: also where the database refuses to give up what was erased.
func TestUnfinishedErasureIsShown(t *testing.T) {
	w := newWorld(t)
	st := &unscrubbed{Store: w.store}
	st.fails.Store(true)
	d := w.deps(st)
	registry := prometheus.NewRegistry()
	d.Metrics = hub.NewMetrics(registry)
	h, stop := w.run(d)
	defer stop()
	unfinished := func(want float64) func() bool {
		return func() bool {
			h.LookForEnded()
			return gauge(t, registry, "entente_hub_erasure_unfinished") == want
		}
	}
	w.await("the figure is 1", unfinished(1))
	st.fails.Store(false)
	w.await("the figure is 0", unfinished(0))
}
