package hub

import (
	"context"
	"time"

	"github.com/entente-hub/entente/api/alert"
)

// A clock that jumps ahead would have everything erased as ended, for good. So what time
// ends is erased only as far as it has ended by two clocks: the hub's, and that of the
// database server. An embedded database has none: there a moment that was believed is
// remembered again and again, and a clock that is further from it than it should be gets
// time in which somebody can set it right. One that is as far behind is believed after the
// same time, lest a moment that was wrong hide all leaps up to it. Handing over asks none of
// this: what has expired by the hub's own clock is not handed over.

const (
	clockGap   = time.Hour   // from one moment that is believed to the next, without a server's clock
	clockGrace = time.Hour   // for which a clock that is further ahead is not believed
	clockTick  = time.Minute // between moments that are remembered
)

// doubt is what the eraser thinks of the clock. It belongs to the one goroutine that
// erases.
type doubt struct {
	since  time.Time // zero: none
	behind time.Time // since when the clock is behind what was believed; zero: it is not
}

// believed returns the moment up to which what has ended by time may be erased.
func (h *Hub) believed(ctx context.Context) (time.Time, error) {
	now := h.Now()
	at, server, err := h.Store.Clock(ctx)
	if err != nil {
		return time.Time{}, unavailable(err)
	}
	ahead := now.Round(0).Sub(at) // by what it shows, not by the monotonic reading
	if server {
		if h.doubting(now, ahead > alert.MaxSkew, at) {
			return at, nil
		}
		return now, nil
	}
	first := at.Unix() == 0 // a new database, or one from before this was remembered
	if h.doubting(now, ahead > clockGap && !first, at) && now.Sub(h.doubt.since) < clockGrace {
		return at, nil
	}
	h.doubting(now, false, at)
	if ahead >= clockTick || h.stoodBehind(now, -ahead > clockGap) {
		if err := h.Store.Remember(ctx, now); err != nil {
			return time.Time{}, unavailable(err)
		}
	}
	return now, nil
}

// stoodBehind notes whether the clock is behind what was believed, and reports whether it
// has been for so long that it is what was believed that was wrong: one that was set back
// for a moment must not look ahead afterwards.
func (h *Hub) stoodBehind(now time.Time, is bool) bool {
	switch {
	case !is:
		h.doubt.behind = time.Time{}
	case h.doubt.behind.IsZero():
		h.doubt.behind = now
	}
	return is && now.Sub(h.doubt.behind) >= clockGrace
}

// doubting notes whether the clock is doubted, and says so when that changes.
func (h *Hub) doubting(now time.Time, is bool, at time.Time) bool {
	switch {
	case is == !h.doubt.since.IsZero():
		return is
	case !is:
		h.doubt.since = time.Time{}
		h.Metrics.doubts(0)
		h.Log.Info("the clock is believed again", "clock", now.UTC())
		return false
	}
	h.doubt.since = now
	h.Metrics.doubts(1)
	h.Log.Error("the clock is ahead; nothing that only time has ended since then is erased", "clock", now.UTC(), "since", at.UTC())
	return true
}
