package hub

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"time"

	"github.com/entente-hub/entente/api/audit"
	"github.com/entente-hub/entente/api/problem"
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
	cursor  int64                 // the label row after which an interrupted pass goes on
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
		switch err := h.Resettle(ctx); {
		case ctx.Err() != nil:
			return
		case errors.Is(err, errStale):
			continue
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

// Resettle makes one pass, unless standing alerts are settled as of now. It must
// not be called while Run is at work, which calls it. An error that wraps errStale
// means that the rules have changed meanwhile.
func (h *Hub) Resettle(ctx context.Context) error {
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
	at := s.world.At.Unix()
	if done.Position > s.position || done.Position == s.position && done.At >= at {
		h.resettler.settled.Store(s)
		return nil
	}
	before, err := h.settledBefore(ctx, done)
	if err != nil {
		return err
	}
	p := &pass{Hub: h, state: s, at: h.Now().Unix(), seen: done.Position, labels: make(map[int64]*label), claimed: make(map[store.Claim]bool)}
	p.change(before)
	if !p.nothing {
		if err := p.run(ctx); err != nil {
			return err
		}
	}
	if p.count != (audit.Resettled{}) {
		p.entries = append(p.entries, p.summary())
	}
	p.next.Settled = &store.Settled{Position: s.position, At: at}
	if err := p.flush(ctx); err != nil {
		return err
	}
	h.resettler.last, h.resettler.cursor = s, 0
	h.resettler.settled.Store(s)
	h.Metrics.settled(s.position)
	if !p.nothing {
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
	if l := h.resettler.last; l != nil && l.position == done.Position && l.world.At.Unix() == done.At {
		return l, nil
	}
	if done.Position == 0 {
		return nil, nil
	}
	s := &state{dir: trust.New(h.Authority)}
	for s.position < done.Position {
		list, err := h.Store.Statements(ctx, s.position, statementPage)
		if err != nil {
			return nil, unavailable(err)
		}
		var raws [][]byte
		for _, st := range list {
			if st.Position > done.Position {
				break
			}
			raws, s.position = append(raws, st.Raw), st.Position
		}
		if len(raws) == 0 {
			break
		}
		if s.dir, err = s.dir.With(h.Now(), raws...); err != nil {
			return nil, problem.Wrap(problem.Unavailable, fmt.Errorf("%w: %w", errUnverified, err), errUnverified.Error())
		}
	}
	s.world = s.dir.World(time.Unix(done.At, 0))
	return s, nil
}
