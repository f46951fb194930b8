package hub

import (
	"context"
	"sync/atomic"
	"time"

	"github.com/entente-hub/entente/api/audit"
	"github.com/entente-hub/entente/hub/store"
	"github.com/entente-hub/entente/trust"
)

// When the rules change, what stands is decided again in the background (DESIGN
// section 6, step 9). A pass only makes deliveries pending, or withholds pending
// ones: whether anything is released is decided at hand-over, as always, so that
// a pass can be late but can not leak. Its memory is bounded by pages; after a
// crash it is done over, and what it had done already changes nothing.

// resettler is what a hub remembers of its passes. Its fields belong to the one
// goroutine that makes them, but for wake and settled.
type resettler struct {
	settled atomic.Pointer[state] // the last under which everything is known to be settled; read by anybody
	wake    chan struct{}         // holds one call to look
	last    *state                // under which the last pass of this process was completed
}

// changed tells the loop that there is another state.
func (r *resettler) changed() {
	select {
	case r.wake <- struct{}{}:
	default:
	}
}

// Waits between passes that failed, and the longest that a hub goes without a
// look at what time has changed.
const (
	firstRetry = time.Second
	lastRetry  = 30 * time.Second
	longestNap = time.Minute
)

// resettleAlways makes passes until ctx ends.
func (h *Hub) resettleAlways(ctx context.Context) {
	retry := firstRetry
	for {
		wait := longestNap
		switch err := h.resettle(ctx); {
		case ctx.Err() != nil:
			return
		case err != nil:
			h.Log.Warn("standing alerts could not be decided again; it is tried once more", "error", err.Error())
			wait = retry
			retry = min(2*retry, lastRetry)
		default:
			retry = firstRetry
			if s := h.state.Load(); s.world != nil && !s.world.Lapses.IsZero() {
				wait = min(wait, max(s.world.Lapses.Sub(h.Now()), time.Millisecond))
			}
		}
		timer := time.NewTimer(wait)
		select {
		case <-h.resettler.wake:
		case <-timer.C:
		case <-ctx.Done():
		}
		timer.Stop()
	}
}

// resettle makes one pass, unless standing alerts are settled as of now.
func (h *Hub) resettle(ctx context.Context) error {
	if err := h.refresh(ctx); err != nil {
		return err
	}
	s := h.state.Load()
	if h.usable(s, h.Now()) != nil {
		return nil // Ready tells why; there is another look when that changes
	}
	done, err := h.Store.Settled(ctx)
	if err != nil {
		return unavailable(err)
	}
	if done.Position >= s.position {
		if done.Position == s.position { // by another hub
			h.resettler.last = s
		}
		h.resettler.settled.Store(s)
		h.Metrics.settled(done.Position)
		return nil
	}
	before, err := h.settledBefore(ctx, done)
	if err != nil {
		return err
	}
	p := &pass{Hub: h, state: s, at: h.Now().Unix(), seen: done.Position, before: before, labels: make(map[int64]*label),
		claimed: make(map[store.Claim]bool), decided: h.rulings(s)}
	p.change()
	if err := p.run(ctx); err != nil {
		return err
	}
	h.resettler.last = s
	h.resettler.settled.Store(s)
	h.Metrics.settled(s.position)
	if p.count != (audit.Resettled{}) {
		h.Log.Info("standing alerts are decided again", "revision", s.world.Revision, "labels", p.count.Labels,
			"renewed", p.count.Renewed, "withheld", p.count.Withheld)
	}
	return nil
}

// Settled reports whether standing alerts have been decided again since what they
// rest on changed last.
func (h *Hub) Settled() bool {
	s := h.state.Load()
	return s.world != nil && h.resettler.settled.Load() == s
}

// settledBefore is the state up to which everything is settled: of this process, or
// made again from the statements. nil: nothing was ever settled.
func (h *Hub) settledBefore(ctx context.Context, done store.Settled) (*state, error) {
	if l := h.resettler.last; l != nil && l.position == done.Position {
		return l, nil
	}
	if done.Position == 0 {
		return nil, nil
	}
	l, err := readOn(ctx, h.Store, list{dir: trust.New(h.Authority)}, h.Now(), done.Position)
	if err != nil {
		return nil, err
	}
	s := &state{list: l, world: l.dir.World(l.moment.time())}
	if s.world == nil {
		return s, nil
	}
	return s, h.index(ctx, s)
}
