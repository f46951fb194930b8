package hub

import (
	"context"
	"errors"
	"time"

	"github.com/entente-hub/entente/api/alert"
	"github.com/entente-hub/entente/api/audit"
	"github.com/entente-hub/entente/api/feed"
	"github.com/entente-hub/entente/hub/store"
	"github.com/entente-hub/entente/trust"
)

// An alert ends by a later version, by a recall, or by its time (DESIGN section 6, step
// 10). What the hub stores of its content is erased then; the signed text stays, and
// with it everything that verifies.

// eraser wakes the loop that erases.
type eraser struct{ wake chan struct{} }

func (e eraser) changed() {
	select {
	case e.wake <- struct{}{}:
	default:
	}
}

const (
	erasePage = 50               // alerts erased in one transaction
	eraseNap  = 10 * time.Second // between looks at what time has ended
)

// eraseAlways erases what is due until ctx ends, and sees to it that nothing is left of
// that in files and in memory.
func (h *Hub) eraseAlways(ctx context.Context) {
	for {
		if err := h.eraseDue(ctx); err != nil && ctx.Err() == nil {
			h.Log.Error("what has ended could not be erased; it is tried again", "error", err.Error())
		}
		if clean, err := h.Store.Scrub(ctx); ctx.Err() == nil {
			if err != nil {
				h.Log.Warn("what was erased can still be read from the database's files; it is tried again", "error", err.Error())
			}
			h.Metrics.scrubbed(clean && err == nil)
		}
		h.views.age(h.Now())
		timer := time.NewTimer(eraseNap)
		select {
		case <-h.eraser.wake:
		case <-timer.C:
		case <-ctx.Done():
		}
		timer.Stop()
		if ctx.Err() != nil {
			return
		}
	}
}

// eraseDue erases all that is due now. An alert that can not be read keeps no other
// from being erased.
func (h *Hub) eraseDue(ctx context.Context) error {
	var faults []error
	until, err := h.believed(ctx)
	if err != nil {
		return err
	}
	now := until.Unix()
	for after := (store.Place{}); ; {
		due, err := h.Store.Due(ctx, now, after, erasePage)
		if err != nil {
			return errors.Join(append(faults, unavailable(err))...)
		}
		if len(due) == 0 {
			return errors.Join(faults...)
		}
		var writes []store.Write
		for _, d := range due {
			after = store.Place{EraseAt: d.EraseAt, Row: d.Row}
			w, err := h.erasure(ctx, d, now)
			if err != nil {
				faults = append(faults, err)
				continue
			}
			writes = append(writes, w)
		}
		if len(writes) == 0 {
			continue
		}
		if _, err := h.ledger.commitAll(ctx, writes); err != nil { // one that another hub was faster with is stale
			return errors.Join(append(faults, err)...)
		}
		for _, d := range due {
			h.views.forget(d.Alert)
		}
	}
}

// remains reduces an alert to what has not ended, and says what is gone and when
// something ends next; 0: nothing is left.
func remains(d store.Due, now int64) (token string, gone []alert.PortionID, next int64, err error) {
	a, err := trust.ReadAlert(d.Token)
	if err != nil {
		return "", nil, 0, err
	}
	keep := make(map[alert.PortionID]feed.Kind)
	for _, p := range a.Portions {
		until := endOf(d.Alert, p.Label)
		if d.Over || until <= now {
			gone = append(gone, p.ID)
			continue
		}
		keep[p.ID] = feed.Content
		if next == 0 || until < next {
			next = until
		}
	}
	token, err = trust.ReduceAlert(d.Token, keep)
	return token, gone, next, err
}

// erasure is the write that leaves of an alert what has not ended.
func (h *Hub) erasure(ctx context.Context, d store.Due, now int64) (store.Write, error) {
	token, gone, next, err := remains(d, now)
	if err != nil {
		return store.Write{}, err
	}
	w := store.Write{Erase: &store.Erase{Row: d.Row, Before: d.EraseAt, Token: token, EraseAt: next}}
	if len(gone) == 0 {
		return w, nil
	}
	cause, err := h.causeOf(ctx, d)
	w.Entries = [][]byte{h.entry(audit.Entry{Kind: audit.Erased, Actor: string(h.ID), Alert: named(d.Alert),
		Cause: string(cause), Erased: gone})}
	return w, err
}

// causeOf tells whether an alert has ended by its time, by a later version, or by one
// that is a recall.
func (h *Hub) causeOf(ctx context.Context, d store.Due) (feed.Cause, error) {
	if !d.Over {
		return feed.Ended, nil
	}
	later, err := h.Store.Alert(ctx, d.Originator, d.ID, d.Version+1)
	switch {
	case err != nil:
		return "", unavailable(err)
	case later.Recall:
		return feed.Recalled, nil
	}
	return feed.Superseded, nil
}

// endOf is when holding of a portion ends, in seconds since 1970-01-01 UTC: with its
// alert, or with its label's retention.
func endOf(row store.Alert, l *alert.Label) int64 {
	if l != nil && l.Retention != "" {
		if end, err := l.Retention.Time(); err == nil {
			return min(row.Expires, end.Unix())
		}
	}
	return row.Expires
}

// firstEnd is the earliest end of any portion; 0: there is none.
func firstEnd(row store.Alert, portions []alert.Portion) int64 {
	first := int64(0)
	for _, p := range portions {
		if end := endOf(row, p.Label); first == 0 || end < first {
			first = end
		}
	}
	return first
}
