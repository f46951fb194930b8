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
	tx, err := s.pool.Begin(ctx)
	if err != nil {
		return nil, err
	}
	defer func() {
		rollback := tx.Rollback(context.WithoutCancel(ctx))
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
		return c, nil
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
	return c, tx.Commit(ctx)
}

// readState locks the head and then, in the same round trip, reads what the
// writes depend on. Each statement sees what was committed before it began, and
// so all that was committed before the lock was given.
func readState(ctx context.Context, tx pgx.Tx, n plan.Needs) (*plan.State, error) {
	s := plan.NewState()
	b := &pgx.Batch{}
	b.Queue("SELECT size, root, alerts, labels, deliveries, statements FROM log_head WHERE single = 1 FOR UPDATE").
		QueryRow(func(row pgx.Row) error {
			var root []byte
			err := row.Scan(&s.Head.Size, &root, &s.Head.Alerts, &s.Head.Labels, &s.Head.Deliveries, &s.Head.Statements)
			copy(s.Head.Root[:], root)
			return err
		})
	queueAlerts(b, n.Alerts, s)
	queueLabels(b, n.Labels, s)
	queueFeeds(b, n.Feeds, s)
	queueDeliveries(b, n, s)
	queueStatements(b, n.Statements, s)
	if err := tx.SendBatch(ctx, b).Close(); err != nil {
		return nil, fmt.Errorf("reading: %w", err)
	}
	return s, nil
}

func queueAlerts(b *pgx.Batch, keys []plan.AlertKey, s *plan.State) {
	if len(keys) == 0 {
		return
	}
	b.Queue("SELECT a.originator, a.alert, a.version, a.digest, a.signed_digest"+
		" FROM unnest($1::text[], $2::text[], $3::int[]) k (originator, alert, version) JOIN alerts a"+
		" ON a.originator = k.originator COLLATE \"C\" AND a.alert = k.alert COLLATE \"C\" AND a.version = k.version",
		column(keys, func(k plan.AlertKey) string { return string(k.Originator) }),
		column(keys, func(k plan.AlertKey) string { return string(k.ID) }),
		column(keys, func(k plan.AlertKey) int32 { return int32(k.Version) }),
	).Query(func(rows pgx.Rows) error {
		var k plan.AlertKey
		var row plan.AlertRow
		var digest []byte
		_, err := pgx.ForEachRow(rows, []any{&k.Originator, &k.ID, &k.Version, &digest, &row.SignedDigest}, func() error {
			copy(row.Digest[:], digest)
			s.Alerts[k] = row
			return nil
		})
		return err
	})
}

func queueLabels(b *pgx.Batch, keys []plan.LabelKey, s *plan.State) {
	if len(keys) == 0 {
		return
	}
	b.Queue("SELECT k.n, l.id FROM unnest($1::text[], $2::bytea[]) WITH ORDINALITY k (originator, digest, n)"+
		" JOIN labels l ON l.originator = k.originator COLLATE \"C\" AND l.key_digest = k.digest",
		column(keys, func(k plan.LabelKey) string { return string(k.Originator) }),
		column(keys, func(k plan.LabelKey) []byte { return sum(k.Key) }),
	).Query(func(rows pgx.Rows) error {
		var n, id int64
		_, err := pgx.ForEachRow(rows, []any{&n, &id}, func() error {
			s.Labels[keys[n-1]] = id
			return nil
		})
		return err
	})
}

func queueFeeds(b *pgx.Batch, recipients []memberID, s *plan.State) {
	if len(recipients) == 0 {
		return
	}
	b.Queue("SELECT recipient, seq, chain, acked, pending FROM feeds WHERE recipient = ANY ($1::text[])",
		column(recipients, func(r memberID) string { return string(r) }),
	).Query(func(rows pgx.Rows) error {
		var r memberID
		var f store.Feed
		_, err := pgx.ForEachRow(rows, []any{&r, &f.Seq, &f.Chain, &f.Acked, &f.Pending}, func() error {
			s.Feeds[r] = f
			return nil
		})
		return err
	})
}

func queueDeliveries(b *pgx.Batch, n plan.Needs, s *plan.State) {
	const columns = "SELECT d.id, d.recipient, d.state, coalesce(d.seq, 0), coalesce(d.chain, ''), d.receipt IS NOT NULL"
	read := func(put func(*plan.Delivery)) func(pgx.Rows) error {
		return func(rows pgx.Rows) error {
			var d plan.Delivery
			_, err := pgx.ForEachRow(rows, []any{&d.ID, &d.Recipient, &d.State, &d.Seq, &d.Chain, &d.Acked}, func() error {
				row := d
				put(&row)
				return nil
			})
			return err
		}
	}
	if len(n.Deliveries) > 0 {
		b.Queue(columns+" FROM deliveries d WHERE d.id = ANY ($1::bigint[])", n.Deliveries).
			Query(read(func(d *plan.Delivery) { s.Deliveries[d.ID] = d }))
	}
	if len(n.Items) > 0 {
		b.Queue(columns+" FROM unnest($1::text[], $2::bigint[]) k (recipient, seq)"+
			" JOIN deliveries d ON d.recipient = k.recipient COLLATE \"C\" AND d.seq = k.seq",
			column(n.Items, func(k plan.ItemKey) string { return string(k.Recipient) }),
			column(n.Items, func(k plan.ItemKey) int64 { return k.Seq }),
		).Query(read(func(d *plan.Delivery) { s.Items[plan.ItemKey{Recipient: d.Recipient, Seq: d.Seq}] = d }))
	}
}

func queueStatements(b *pgx.Batch, keys []plan.StatementKey, s *plan.State) {
	if len(keys) == 0 {
		return
	}
	b.Queue("SELECT s.type, s.subject, s.revision, s.digest, s.raw"+
		" FROM unnest($1::text[], $2::text[], $3::bigint[]) k (type, subject, revision) JOIN statements s"+
		" ON s.type = k.type COLLATE \"C\" AND s.subject = k.subject COLLATE \"C\" AND s.revision = k.revision",
		column(keys, func(k plan.StatementKey) string { return k.Type }),
		column(keys, func(k plan.StatementKey) string { return k.Subject }),
		column(keys, func(k plan.StatementKey) int64 { return k.Revision }),
	).Query(func(rows pgx.Rows) error {
		for rows.Next() {
			var k plan.StatementKey
			var row plan.StatementRow
			if err := rows.Scan(&k.Type, &k.Subject, &k.Revision, &row.Digest, &row.Raw); err != nil {
				return err
			}
			s.Statements[k] = row
		}
		return rows.Err()
	})
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
