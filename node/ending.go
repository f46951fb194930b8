package node

import (
	"cmp"
	"context"
	"errors"
	"maps"
	"slices"
	"time"

	"github.com/entente-hub/entente/api/alert"
	"github.com/entente-hub/entente/api/feed"
	"github.com/entente-hub/entente/api/problem"
	"github.com/entente-hub/entente/node/store"
)

// What is held of an alert ends by a recall, by a later version that does not release
// it any more, or by time: its own or, where that is earlier, the end of what a later
// version has in its place. What has ended is erased: in the transaction that stores what
// ended it, or by the sweep when the time has come, with a receipt in that transaction.

// end is one reason for which portions of a version are erased.
type end struct {
	alertKey
	version int
	digest  string
	cause   feed.Cause
}

// ends collects what is to be erased in one transaction.
type ends struct {
	at     int64 // the moment, seconds since 1970-01-01 UTC
	purges map[end]map[alert.PortionID]bool
}

func endsAt(at int64) *ends { return &ends{at, make(map[end]map[alert.PortionID]bool)} }

// standing is until when what later versions have released as content stands, in seconds
// since 1970-01-01 UTC; nil: there are none.
type standing map[alert.PortionID]int64

// bound returns when a portion ends that ends at a moment by itself: at the latest with what
// the later versions have of it. 0: one of them does not release it any more.
func (s standing) bound(p alert.PortionID, end int64) int64 {
	if s == nil {
		return end
	}
	return min(end, s[p])
}

// judge marks in a history what has ended by now, and says when the rest ends next. A
// receipt names a portion of a version once no delivery of that has anything of it any
// more: none, where one of them can not be read. Such a version does not tell either what
// it had released.
func (x *ends) judge(key alertKey, h history) {
	var recalled bool
	var later standing
	for _, v := range slices.Backward(slices.Sorted(maps.Keys(h))) {
		ended := make(map[alert.PortionID]feed.Cause)
		for _, e := range h[v] {
			e.next = 0
			for p, end := range e.held {
				until := later.bound(p, end)
				switch {
				case recalled:
					ended[p] = feed.Recalled
				case until == 0:
					ended[p] = feed.Superseded
				case until <= x.at:
					if ended[p] == "" {
						ended[p] = feed.Ended
					}
				default:
					e.next = earlier(e.next, until)
					continue
				}
				e.gone[p] = true
				delete(e.held, p)
			}
		}
		for p, cause := range ended {
			if !h.holds(v, p) {
				x.receipt(end{key, v, h[v][0].digest, cause}, p)
			}
		}
		recalled = recalled || h[v][0].recall == alert.Purge
		later = h.content(v, later)
	}
}

// content returns what a version lets stand of those before it, as the later ones let it:
// of what it has released several times the last counts that ends. A recall ends everything
// or, for alert.CeaseUse, leaves it to its time, for nobody to read.
func (h history) content(v int, later standing) standing {
	if h[v][0].recall != "" || len(h.damaged(v)) > 0 {
		return later
	}
	all := make(standing)
	for _, e := range h[v] {
		for p, end := range e.released {
			if until := later.bound(p, end); until > 0 {
				all[p] = max(all[p], until)
			}
		}
	}
	return all
}

// laterThan returns until when the versions after an item's let stand what it has.
func (n *Node) laterThan(ctx context.Context, i store.Item) (later standing, err error) {
	h, err := n.historyAfter(ctx, alertKey{i.Originator, i.ID}, i.Version)
	for _, v := range slices.Backward(slices.Sorted(maps.Keys(h))) {
		later = h.content(v, later)
	}
	return later, err
}

func (x *ends) receipt(e end, p alert.PortionID) {
	if x.purges[e] == nil {
		x.purges[e] = make(map[alert.PortionID]bool)
	}
	x.purges[e][p] = true
}

// keepTrue takes out of the receipts what was handed over again since it was erased: it
// is named once that has ended too.
func (x *ends) keepTrue(now func(alertKey) history) {
	for e, portions := range x.purges {
		maps.DeleteFunc(portions, func(p alert.PortionID, _ bool) bool { return now(e.alertKey).holds(e.version, p) })
		if len(portions) == 0 {
			delete(x.purges, e)
		}
	}
}

// receipts returns what there is to sign, in a fixed order.
func (x *ends) receipts() []store.Purge {
	var list []store.Purge
	for e, portions := range x.purges {
		list = append(list, store.Purge{Originator: e.originator, ID: e.id, Version: e.version, Digest: e.digest, Cause: e.cause,
			Portions: slices.Sorted(maps.Keys(portions)), At: x.at})
	}
	slices.SortFunc(list, func(a, b store.Purge) int {
		return cmp.Or(cmp.Compare(a.Originator, b.Originator), cmp.Compare(a.ID, b.ID), a.Version-b.Version, cmp.Compare(a.Cause, b.Cause))
	})
	return list
}

// Bounds of one turn of the sweep.
const (
	sweepBatch = 64               // deliveries, and alerts of the outbox, looked at in one transaction
	sweepNap   = time.Minute      // the longest time after which the clock is looked at again
	sweepSoon  = time.Millisecond // the shortest
	damagedNap = 24 * 60 * 60     // seconds after which what can not be read is tried again
	unheard    = 24 * time.Hour   // for how long after a start the hub's clock is waited for
)

// ended is the moment by which what has ended is told: the clock's, but as late as the last
// head that was taken, give or take alert.MaxSkew. A clock that is set back brings nothing
// back, and the hub can not set this ahead: a head of the future is not taken.
func (n *Node) ended() time.Time {
	now, head := n.Now(), time.Unix(n.headAt.Load(), 0).Add(-alert.MaxSkew)
	if head.After(now) {
		return head
	}
	return now
}

// sweepStep erases a batch of what has ended by time, signs what could not be signed
// before, and has the database give up what was erased. It erases and signs nothing by a
// clock that is not trusted.
func (n *Node) sweepStep(ctx context.Context) (more bool, err error) {
	now := n.ended()
	if err := n.trustsClock(ctx, now); err != nil {
		return false, errors.Join(err, n.scrub(ctx))
	}
	more, err = n.sweepInbox(ctx, now.Unix())
	if err == nil && !more {
		more, err = n.sweepOutbox(ctx, now.Unix())
	}
	if err != nil || more {
		return more, err
	}
	scrubbed := n.scrub(ctx)
	more, err = n.signLate(ctx)
	return more, errors.Join(scrubbed, err)
}

// trustsClock refuses to erase by a clock that is ahead of the hub's by more than
// alert.MaxSkew, and, where something is due, by one that was not compared with the hub's
// since the start, for as long as unheard: nothing would bring back what is erased, and
// nobody is given what has ended meanwhile. Where there is no network to the hub it is never
// compared.
func (n *Node) trustsClock(ctx context.Context, now time.Time) error {
	if by := n.health.ahead(now); by > alert.MaxSkew {
		return problem.New(problem.Unavailable, "the node's clock is ahead of the hub's by %s, where %s is allowed: nothing is erased by it",
			by.Round(time.Second), alert.MaxSkew)
	}
	if n.comparedClock() {
		return nil
	}
	due, err := n.Store.NextDue(ctx)
	if err == nil && due != 0 && due <= now.Unix() {
		err = problem.New(problem.Unavailable, "the hub has not been heard since the start: what has ended by the node's clock alone is erased once it is, or after %s", unheard)
	}
	return err
}

// comparedClock reports whether the clock has been compared with the hub's since the start,
// or that was waited for long enough.
func (n *Node) comparedClock() bool {
	return n.offline || n.health.knowsTime() || time.Since(n.started) >= unheard
}

// scrub has the database give up what was erased. Nothing is erased meanwhile, so that
// what is noted is seen.
func (n *Node) scrub(ctx context.Context) error {
	n.ending.Lock()
	defer n.ending.Unlock()
	if !n.unscrubbed.Load() {
		return nil
	}
	err := n.Store.Scrub(ctx)
	n.unscrubbed.Store(err != nil)
	return err
}

// untilDue is how long the sweep may rest.
func (n *Node) untilDue(ctx context.Context) time.Duration {
	due, err := n.Store.NextDue(ctx)
	if err != nil || due == 0 {
		return sweepNap
	}
	return min(max(time.Unix(due, 0).Sub(n.ended()), sweepSoon), sweepNap)
}

func (n *Node) sweepInbox(ctx context.Context, at int64) (more bool, err error) {
	n.ending.Lock()
	defer n.ending.Unlock()
	due, err := n.Store.Due(ctx, at, sweepBatch)
	if err != nil || len(due) == 0 {
		return false, err
	}
	x := endsAt(at)
	e := store.Erase{}
	seen := make(map[alertKey]bool)
	for _, d := range due {
		key := alertKey{d.Originator, d.ID}
		if seen[key] {
			continue
		}
		seen[key] = true
		h, err := n.historyOf(ctx, key)
		if err == nil {
			err = n.sayDamaged(ctx, key, h)
		}
		if err != nil {
			return false, err
		}
		x.judge(key, h)
		e.Erasures = append(e.Erasures, h.erasures(at)...)
	}
	if e.Purges, err = n.signPurges(ctx, x.receipts()); err != nil {
		n.Log.WarnContext(ctx, "what has ended is erased, and the receipts are signed later", "error", err.Error())
	}
	n.unscrubbed.Store(true)
	if err := n.Store.Erase(ctx, e); err != nil {
		return false, err
	}
	if len(e.Purges) > 0 {
		wake(n.woken.acks)
	}
	return true, nil
}

// sayDamaged raises an alarm for what can not be read of an alert. It keeps nothing else
// from being erased, nor the feed from being followed, and is not served: see stored.
func (n *Node) sayDamaged(ctx context.Context, key alertKey, h history) error {
	for _, v := range slices.Sorted(maps.Keys(h)) {
		for _, e := range h.damaged(v) {
			if err := n.raise(ctx, store.AlarmFeed, nil, "of %s's alert %s what ends can not be erased: %w", key.originator, key.id, e.damaged); err != nil {
				return err
			}
		}
	}
	return nil
}

// erasures returns what erases all that is marked of what is stored. What was due by a
// moment is looked at too, to say when it is due next, and what ends earlier than was known;
// what can not be read is put off.
func (h history) erasures(at int64) []store.Erasure {
	var list []store.Erasure
	for _, v := range slices.Sorted(maps.Keys(h)) {
		for _, e := range h[v] {
			due, sooner := e.due != 0 && e.due <= at, e.next != 0 && e.next < e.due
			if e.page != nil || len(e.gone) == 0 && !due && !sooner {
				continue
			}
			left := func(i store.Item) (store.Item, error) { return without(i, e.gone, e.next) }
			if e.damaged != nil {
				left = func(i store.Item) (store.Item, error) { i.Due = at + damagedNap; return i, nil }
			}
			list = append(list, store.Erasure{Seq: e.seq, Left: left})
		}
	}
	return list
}

// erased notes, before that is tried, that something is erased, which the database is to
// give up: it may be written where the answer is an error. The sweep notes it for itself: who
// wakes itself tries again without a pause when it fails.
func (n *Node) erased() {
	n.unscrubbed.Store(true)
	wake(n.woken.sweep)
}
