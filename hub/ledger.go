package hub

import (
	"context"
	"errors"
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
}

type job struct {
	write  store.Write
	result chan<- outcome
}

type outcome struct {
	store.Result
	err error
}

func newLedger(s store.Store, m *Metrics, wake func([]alert.MemberID)) *ledger {
	return &ledger{store: s, jobs: make(chan job), stopped: make(chan struct{}), metrics: m, wake: wake}
}

var errStopping = errors.New("the hub is stopping")

// commit returns when the write is on stable storage, or has had no effect. If
// ctx ends first the write may still take effect: the caller finds out by the
// same write again.
func (l *ledger) commit(ctx context.Context, w store.Write) (store.Result, error) {
	result := make(chan outcome, 1)
	select {
	case l.jobs <- job{w, result}:
	case <-l.stopped:
		return store.Result{}, unavailable(errStopping)
	case <-ctx.Done():
		return store.Result{}, unavailable(ctx.Err())
	}
	select {
	case o := <-result:
		if o.err != nil {
			return store.Result{}, unavailable(o.err)
		}
		return o.Result, nil
	case <-ctx.Done():
		return store.Result{}, unavailable(ctx.Err())
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
	for len(group) < maxGroup {
		select {
		case j := <-l.jobs:
			group = append(group, j)
		default:
			return group
		}
	}
	return group
}

func (l *ledger) commitGroup(ctx context.Context, group []job) {
	writes := make([]store.Write, len(group))
	for i, j := range group {
		writes[i] = j.write
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
	for i, j := range group {
		o := outcome{err: err}
		if err == nil {
			o.Result = results[i]
		}
		// Here and not where the caller waits: it may have left, or be told of a
		// failure of what was stored all the same.
		if a := j.write.Accept; a != nil && (err != nil || o.Outcome == store.Done) {
			l.wake(a.Recipients)
		}
		j.result <- o
	}
}
