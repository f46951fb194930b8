package hub

import (
	"context"
	"errors"
	"slices"
	"time"

	"github.com/entente-hub/entente/api/alert"
	"github.com/entente-hub/entente/hub/store"
)

const (
	maxGroup      = 256              // writes of one transaction
	commitTimeout = 30 * time.Second // after which a database that hangs counts as failed
)

// ledger is the one writer of a hub: writes that arrive while a transaction is
// under way share the next, so that concurrent publishers share one flush to
// stable storage. It adds no delay of its own.
type ledger struct {
	store   store.Store
	jobs    chan job
	stopped chan struct{} // closed once nothing is committed any more
	metrics *Metrics
	wake    func([]alert.MemberID) // told who may have something to fetch
	wakeAll func()                 // told that anybody may
}

// job is one caller's writes, which go into one transaction in their order.
type job struct {
	writes []store.Write
	result chan<- outcome
}

type outcome struct {
	results []store.Result // one a write
	err     error
}

func newLedger(s store.Store, m *Metrics, wake func([]alert.MemberID), wakeAll func()) *ledger {
	return &ledger{store: s, jobs: make(chan job), stopped: make(chan struct{}), metrics: m, wake: wake, wakeAll: wakeAll}
}

var errStopping = errors.New("the hub is stopping")

// commit is commitAll for one write.
func (l *ledger) commit(ctx context.Context, w store.Write) (store.Result, error) {
	results, err := l.commitAll(ctx, []store.Write{w})
	if err != nil {
		return store.Result{}, err
	}
	return results[0], nil
}

// commitAll returns when the writes, at most maxGroup, are on stable storage, or
// have had no effect. If ctx ends first they may still take effect: the caller
// finds out by the same writes again.
func (l *ledger) commitAll(ctx context.Context, writes []store.Write) ([]store.Result, error) {
	result := make(chan outcome, 1)
	select {
	case l.jobs <- job{writes, result}:
	case <-l.stopped:
		return nil, unavailable(errStopping)
	case <-ctx.Done():
		return nil, unavailable(ctx.Err())
	}
	select {
	case o := <-result:
		if o.err != nil {
			return nil, unavailable(o.err)
		}
		return o.results, nil
	case <-ctx.Done():
		return nil, unavailable(ctx.Err())
	}
}

// stop makes those who come from now on turn away instead of waiting for ever.
func (l *ledger) stop() { close(l.stopped) }

// run commits group after group until ctx ends. A transaction that has begun
// is finished: its callers are waiting for the truth.
func (l *ledger) run(ctx context.Context) {
	for {
		var group []job
		select {
		case j := <-l.jobs:
			group = append(group, j)
		case <-ctx.Done():
			return
		}
		group = l.gather(group)
		l.commitGroup(context.WithoutCancel(ctx), group)
	}
}

// gather takes whatever waits already.
func (l *ledger) gather(group []job) []job {
	for size := len(group[0].writes); size < maxGroup; {
		select {
		case j := <-l.jobs:
			group = append(group, j)
			size += len(j.writes)
		default:
			return group
		}
	}
	return group
}

// fetchable returns those for whom a write makes something pending.
func fetchable(w store.Write) []alert.MemberID {
	var out []alert.MemberID
	if w.Accept != nil {
		out = w.Accept.Recipients
	}
	if w.Resettle != nil {
		for _, c := range w.Resettle.Renew {
			out = append(out, c.Recipient)
		}
		slices.Sort(out)
		out = slices.Compact(out)
	}
	return out
}

func (l *ledger) commitGroup(ctx context.Context, group []job) {
	var writes []store.Write
	for _, j := range group {
		writes = append(writes, j.writes...)
	}
	within, cancel := context.WithTimeout(ctx, commitTimeout)
	results, err := l.store.Commit(within, writes)
	cancel()
	l.metrics.commit(len(writes), err)
	if len(group) > 1 && errors.Is(err, store.ErrInvalid) {
		for _, j := range group { // one caller's mistake is not the others'
			l.commitGroup(ctx, []job{j})
		}
		return
	}
	for _, j := range group {
		o := outcome{err: err}
		if err == nil {
			o.results, results = results[:len(j.writes)], results[len(j.writes):]
		}
		for i, w := range j.writes {
			// Here and not where the caller waits: it may have left, or be told of a
			// failure of what was stored all the same.
			if err != nil || o.results[i].Outcome == store.Done {
				l.wake(fetchable(w))
			}
			switch {
			case err == nil:
				l.wake(o.results[i].Woken)
			case w.Accept != nil && w.Accept.Version > 1: // it goes to more than it names, if it was stored
				l.wakeAll()
			}
		}
		j.result <- o
	}
}
