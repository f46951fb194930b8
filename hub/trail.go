package hub

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/entente-hub/entente/api/alert"
	"github.com/entente-hub/entente/api/audit"
	"github.com/entente-hub/entente/api/federation"
	"github.com/entente-hub/entente/api/problem"
	"github.com/entente-hub/entente/hub/store"
)

// The audit log says who gave what to whom, which data-protection law does not let anybody
// keep for ever. After as many days as the registry says the hub erases what the entries
// say; their hashes stay, so that checkpoints, proofs and the rest of the log hold as
// before. An auditor's legal hold stops that, and nothing else.

const (
	trimPage = 1000        // entries erased by one record; at most store.MaxTrim
	trimNap  = time.Minute // between looks at whether a new day has begun
	day      = 24 * time.Hour
)

// trimmer is the memory of the loop that erases the trail.
type trimmer struct {
	wake  chan struct{}
	mu    sync.Mutex // held for a pass over the trail, and guards the rest
	rule  string     // under which the trail was last gone through
	after int64      // where that need not begin anew, for as long as the rule stands
	done  int64      // the cutoff up to which it was gone through, microseconds
}

func (t *trimmer) changed() {
	select {
	case t.wake <- struct{}{}:
	default:
	}
}

// trimAlways erases what is due until ctx ends.
func (h *Hub) trimAlways(ctx context.Context) {
	for {
		if err := h.trimDue(ctx); err != nil && ctx.Err() == nil {
			h.Log.Error("the audit trail could not be erased as far as is due; it is tried again", "error", err.Error())
		}
		timer := time.NewTimer(trimNap)
		select {
		case <-h.trimmer.wake:
		case <-timer.C:
		case <-ctx.Done():
		}
		timer.Stop()
		if ctx.Err() != nil {
			return
		}
	}
}

// retention is what decides on erasure: the registry's rule and the holds that stand.
type retention struct {
	days  int64
	holds []*federation.LegalHold
	all   bool                    // a hold is on everything
	names map[alert.MemberID]bool // on which there are holds
	ids   map[alert.ID]bool
}

// retention reads the rule of a state. A hold counts as soon and as long as it stands by
// any clock: by those of hubs, which differ by up to skew, or by the one that is believed.
func (s *state) retention(believed, now time.Time) retention {
	r := retention{days: int64(s.dir.Registry().Rules.TrailRetentionDays), holds: s.dir.LegalHolds(believed.Add(-skew), now.Add(skew)),
		names: make(map[alert.MemberID]bool), ids: make(map[alert.ID]bool)}
	for _, hold := range r.holds {
		r.all = r.all || hold.Scope.All
		for _, m := range hold.Scope.Members {
			r.names[m] = true
		}
		for _, id := range hold.Scope.Alerts {
			r.ids[id] = true
		}
	}
	return r
}

// rule names what decides, but for the time.
func (r retention) rule() string {
	parts := []string{fmt.Sprint(r.days)}
	for _, hold := range r.holds {
		parts = append(parts, fmt.Sprintf("%s %+v", hold.ID, hold.Scope))
	}
	return strings.Join(parts, "\n")
}

// cutoff is the moment, in microseconds, before which an entry is due: entries become so
// by whole days (UTC), lest the records of erasure be as many as what they record.
func (r retention) cutoff(now time.Time) int64 {
	return now.UTC().Truncate(day).Add(-time.Duration(r.days) * day).UnixMicro()
}

// due reports whether an entry is due. A decision stands in the log up to a day before the
// admissions that rest on it: see rulings.
func (r retention) due(e audit.Entry, cutoff int64) bool {
	if e.Kind == audit.Decided {
		cutoff -= day.Microseconds()
	}
	return e.At < cutoff
}

// keeps reports whether an entry is not to be erased though it is due. Records of erasure
// never are: they tell what is missing from what was removed. A decision says what a label
// meant for everybody: any hold is on it.
func (r retention) keeps(e audit.Entry) bool {
	return r.all || e.Kind == audit.Trimmed || e.Kind == audit.Decided && len(r.holds) > 0 ||
		len(r.names) > 0 && slices.ContainsFunc(e.Members(), func(m alert.MemberID) bool { return r.names[m] }) ||
		len(r.ids) > 0 && slices.ContainsFunc(e.Alerts(), func(id alert.ID) bool { return r.ids[id] })
}

// trimDue erases all that is due now. An entry that can not be read keeps no other from
// being erased, and is not itself.
func (h *Hub) trimDue(ctx context.Context) error {
	h.trimmer.mu.Lock()
	defer h.trimmer.mu.Unlock()
	for {
		s := h.state.Load()
		if s.world == nil || s.dir.Registry().Rules.TrailRetentionDays == 0 {
			return nil
		}
		believed, err := h.trailClock(ctx)
		if err != nil || h.trimmed(s, believed) {
			return err
		}
		if s, err = h.newer(ctx); err != nil { // a hold may have come elsewhere
			return err
		}
		again, err := h.trim(ctx, s, believed)
		if err != nil || !again {
			return err
		}
	}
}

// trailClock returns the moment up to which the trail may be erased: by the hub's own
// clock and by that which ending rests on, for one that jumps ahead would erase it for good
// (see believed). Which is earlier by minutes does not matter to whole days.
func (h *Hub) trailClock(ctx context.Context) (time.Time, error) {
	at, _, err := h.Store.Clock(ctx)
	if err != nil {
		return time.Time{}, unavailable(err)
	}
	if now := h.Now(); now.Before(at) {
		return now, nil
	}
	return at, nil
}

// trimmed reports whether nothing can be due: without a rule, with all of it held, or
// since the trail was gone through under these rules for this day.
func (h *Hub) trimmed(s *state, believed time.Time) bool {
	r := s.retention(believed, h.Now())
	return r.days == 0 || r.all || h.trimmer.rule == r.rule() && h.trimmer.done == r.cutoff(believed)
}

// trim goes through the trail under the rules of a state, and says whether other rules
// have come meanwhile.
func (h *Hub) trim(ctx context.Context, s *state, believed time.Time) (again bool, err error) {
	if h.trimmed(s, believed) {
		return false, nil
	}
	var faults []error
	r := s.retention(believed, h.Now())
	cutoff, rule := r.cutoff(believed), r.rule()
	if h.trimmer.rule != rule {
		h.trimmer.rule, h.trimmer.after = rule, -1
	}
	for after, young := h.trimmer.after, false; ; {
		page, err := h.Store.Trail(ctx, after, trimPage)
		if err != nil {
			return false, errors.Join(append(faults, unavailable(err))...)
		}
		p := r.sort(page, cutoff)
		faults = append(faults, p.faults...)
		if len(p.gone.Runs) > 0 {
			stale, err := h.eraseTrail(ctx, s, r, cutoff, p.gone)
			if err != nil || stale {
				return stale, errors.Join(append(faults, err)...)
			}
		}
		if young = young || p.young; !young && len(page) > 0 {
			h.trimmer.after = page[len(page)-1].Index
		}
		if len(page) < trimPage || p.none {
			break
		}
		after = page[len(page)-1].Index
	}
	if len(faults) == 0 {
		h.trimmer.done = cutoff
	}
	return false, errors.Join(faults...)
}

// sorted is what is to become of a page of the trail.
type sorted struct {
	gone   store.Trim // what is to be erased
	young  bool       // there is something that will be due later
	none   bool       // there is nothing that is due
	faults []error    // of entries that can not be read
}

// sort looks at each entry of a page. Clocks of hubs differ, so that entries are a little
// out of order: only a page without any that is due ends the search.
func (r retention) sort(page []store.Kept, cutoff int64) sorted {
	out := sorted{none: true}
	for _, k := range page {
		e, err := audit.Parse(k.Leaf)
		switch {
		case err != nil:
			out.faults = append(out.faults, fmt.Errorf("%w: entry %d: %w", ErrLog, k.Index, err))
			continue
		case !r.due(e, cutoff):
			out.young = true
			continue
		}
		out.none = false
		if r.keeps(e) {
			continue
		}
		if n := len(out.gone.Runs); n > 0 && out.gone.Runs[n-1].Last == k.Index-1 {
			out.gone.Runs[n-1].Last = k.Index
		} else {
			out.gone.Runs = append(out.gone.Runs, store.Run{First: k.Index, Last: k.Index})
		}
	}
	return out
}

// eraseTrail erases runs of entries, with the record of it in one transaction. It is stale
// where a statement has come that the state does not know, which may be a hold, or where
// another hub was faster.
func (h *Hub) eraseTrail(ctx context.Context, s *state, r retention, cutoff int64, gone store.Trim) (stale bool, err error) {
	record := audit.Trim{Before: cutoff, Days: r.days}
	for _, run := range gone.Runs {
		record.Runs = append(record.Runs, audit.Run(run))
		record.Count += audit.Run(run).Len()
	}
	res, err := h.ledger.commit(ctx, store.Write{Seen: s.position, Trim: &gone,
		Entries: [][]byte{h.entry(audit.Entry{Kind: audit.Trimmed, Actor: string(h.ID), Revision: s.world.Revision, Trim: &record})}})
	if err != nil {
		return false, err
	}
	if res.Outcome != store.Done && res.Outcome != store.Stale {
		return false, problem.New(problem.Internal, "erasure of the trail came to %d", res.Outcome)
	}
	return res.Outcome == store.Stale, nil
}
