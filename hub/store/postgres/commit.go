package postgres

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"time"

	"github.com/entente-hub/entente/crypto/tlog"
	"github.com/entente-hub/entente/hub/store"
	"github.com/entente-hub/entente/hub/store/internal/plan"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
)

// maxAttempts bounds how often one Commit is tried if the server took it back.
const maxAttempts = 5

// Commit implements store.Store.
func (s *Store) Commit(ctx context.Context, writes []store.Write) ([]store.Result, error) {
	needs, err := plan.NeedsOf(writes)
	if err != nil {
		return nil, err
	}
	leave, err := s.gate.Enter()
	if err != nil {
		return nil, err
	}
	defer leave()
	if len(writes) == 0 {
		return []store.Result{}, nil
	}
	// One commit works and the next one waits at the lock. More would only take
	// connections away from readers.
	select {
	case s.turns <- struct{}{}:
		defer func() { <-s.turns }()
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	ctx, done := s.reign.within(ctx)
	defer done()
	for attempt := 1; ; attempt++ {
		c, err := s.commit(ctx, writes, needs)
		if err == nil {
			if w, ok := c.Wake(); ok {
				s.outbox.put(w)
			}
			return c.Results, nil
		}
		if attempt == maxAttempts || !takenBack(err) || pause(ctx, time.Duration(rand.IntN(attempt*10))*time.Millisecond) != nil {
			return nil, fmt.Errorf("postgres: commit: %w", err)
		}
	}
}

// takenBack reports errors after which nothing of the transaction is left, and
// which another attempt may not meet: serialization_failure, deadlock_detected,
// and a connection that was dead before it was used.
func takenBack(err error) bool {
	var e *pgconn.PgError
	if errors.As(err, &e) {
		return e.Code == "40001" || e.Code == "40P01"
	}
	return pgconn.SafeToRetry(err)
}

// pause waits, or returns the context's error.
func pause(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (s *Store) commit(ctx context.Context, writes []store.Write, needs plan.Needs) (_ *plan.Changes, err error) {
	conn, err := s.pool.Acquire(ctx)
	if err != nil {
		return nil, err
	}
	tx, err := conn.Begin(ctx)
	if err != nil {
		conn.Release()
		return nil, err
	}
	finishing := false
	defer func() {
		if finishing { // transaction and connection are finish's
			return
		}
		rollback := tx.Rollback(context.WithoutCancel(ctx))
		conn.Release()
		if err == nil && !errors.Is(rollback, pgx.ErrTxClosed) {
			err = rollback
		}
	}()
	state, err := readState(ctx, tx, needs)
	if err != nil {
		return nil, err
	}
	c := plan.Decide(writes, state)
	if err := readPriors(ctx, tx, c); err != nil {
		return nil, err
	}
	if c.Empty() {
		// What was found is answered for like what is written. The lock on the head
		// makes this a commit that waits for stable storage.
		finishing = true
		return c, s.finish(ctx, conn, tx)
	}
	hashes, err := s.edge.Append(c, tlog.HashReaderFunc(func(indexes []int64) ([]tlog.Hash, error) {
		return readHashes(ctx, tx, indexes)
	}))
	if err != nil {
		return nil, err
	}
	if err := write(ctx, tx, c, hashes); err != nil {
		return nil, err
	}
	finishing = true
	return c, s.finish(ctx, conn, tx)
}

// readState locks the head and then, in the same round trip, reads what the
// writes depend on. Each statement sees what was committed before it began, and
// so all that was committed before the lock was given.
func readState(ctx context.Context, tx pgx.Tx, n plan.Needs) (*plan.State, error) {
	s := plan.NewState()
	b := &pgx.Batch{}
	b.Queue("SELECT size, root, alerts, labels, deliveries, statements, proposals, bundles" +
		" FROM log_head WHERE single = 1 FOR UPDATE").
		QueryRow(func(row pgx.Row) error {
			var root []byte
			err := row.Scan(&s.Head.Size, &root, &s.Head.Alerts, &s.Head.Labels, &s.Head.Deliveries, &s.Head.Statements,
				&s.Head.Proposals, &s.Head.Bundles)
			copy(s.Head.Root[:], root)
			return err
		})
	queueAlerts(b, n, s)
	queueLabels(b, n.Labels, s)
	queueFeeds(b, n.Feeds, s)
	queueDeliveries(b, n, s)
	queueEnds(b, n.Ends, s)
	queuePurges(b, n.Purges, s)
	queueStatements(b, n.Statements, s)
	queueKept(b, n.Runs, s)
	queueDocuments(b, n, s)
	queueUsed(b, n.Used, s)
	queueRefused(b, n.Refused, s)
	if err := tx.SendBatch(ctx, b).Close(); err != nil {
		return nil, fmt.Errorf("reading: %w", err)
	}
	return s, nil
}

// readPriors reads the alerts that were sent again.
func readPriors(ctx context.Context, tx pgx.Tx, c *plan.Changes) error {
	for key := range c.Replays {
		a, err := readAlert(ctx, tx, key)
		if err != nil {
			return fmt.Errorf("reading prior alert: %w", err)
		}
		c.SetPrior(key, a)
	}
	return nil
}
