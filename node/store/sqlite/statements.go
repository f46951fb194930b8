package sqlite

import (
	"context"
	"crypto/sha256"
	"database/sql"
	"errors"
	"fmt"

	"github.com/entente-hub/entente/node/store"
)

// Statements implements store.Store.
func (s *Store) Statements(ctx context.Context) ([]store.Statement, error) {
	return collect(ctx, s.read, func(row scanner) (st store.Statement, err error) {
		err = row.Scan(&st.Position, &st.Raw)
		return st, err
	}, "SELECT position, raw FROM statements ORDER BY n")
}

// AddStatements implements store.Store.
func (s *Store) AddStatements(ctx context.Context, list []store.Statement) error {
	return s.inTx(ctx, func(tx *sql.Tx) error {
		for _, st := range list {
			digest := sha256.Sum256(st.Raw)
			if err := changeOne(ctx, tx, "INSERT INTO statements (position, digest, raw) VALUES (?, ?, ?)"+
				" ON CONFLICT (digest) DO NOTHING", st.Position, digest[:], st.Raw); err != nil {
				return err
			}
		}
		return nil
	})
}

// KeepOwn implements store.Store.
func (s *Store) KeepOwn(ctx context.Context, raw []byte) error {
	return s.inTx(ctx, func(tx *sql.Tx) error {
		digest := sha256.Sum256(raw)
		err := changeOne(ctx, tx, "INSERT INTO own (digest, raw) VALUES (?, ?) ON CONFLICT (digest) DO NOTHING", digest[:], raw)
		if errors.Is(err, store.ErrStale) {
			return store.ErrExists
		}
		return err
	})
}

// Own implements store.Store.
func (s *Store) Own(ctx context.Context) ([][]byte, error) {
	return collect(ctx, s.read, func(row scanner) (raw []byte, err error) {
		err = row.Scan(&raw)
		return raw, err
	}, "SELECT raw FROM own ORDER BY n")
}

// ForgetOwn implements store.Store.
func (s *Store) ForgetOwn(ctx context.Context, raw []byte) error {
	return s.inTx(ctx, func(tx *sql.Tx) error {
		digest := sha256.Sum256(raw)
		if _, err := tx.ExecContext(ctx, "DELETE FROM own WHERE digest = ?", digest[:]); err != nil {
			return fmt.Errorf("sqlite: %w", err)
		}
		return nil
	})
}

// Raise implements store.Store.
func (s *Store) Raise(ctx context.Context, a store.Alarm) error {
	bound := store.MaxAlarms
	if a.Kind == store.AlarmStatement {
		bound = store.MaxStatementAlarms
	}
	return s.inTx(ctx, func(tx *sql.Tx) error {
		_, err := tx.ExecContext(ctx, "INSERT INTO alarms (kind, at, detail, evidence) SELECT ?1, ?2, ?3, ?4"+
			" WHERE (SELECT count(*) FROM alarms WHERE kind = ?1) < ?5 ON CONFLICT (kind, detail) DO NOTHING",
			a.Kind, micros(a.At), a.Detail, blob(a.Evidence), bound)
		if err != nil {
			return fmt.Errorf("sqlite: %w", err)
		}
		return nil
	})
}

// Alarms implements store.Store.
func (s *Store) Alarms(ctx context.Context, limit int) ([]store.Alarm, error) {
	return collect(ctx, s.read, func(row scanner) (a store.Alarm, err error) {
		var at int64
		err = row.Scan(&a.Kind, &at, &a.Detail, &a.Evidence)
		a.At = fromMicros(at)
		return a, err
	}, "SELECT kind, at, detail, evidence FROM alarms ORDER BY kind = ?, n DESC LIMIT ?", store.AlarmStatement, max(limit, 0))
}

// Counts implements store.Store.
func (s *Store) Counts(ctx context.Context) (store.Counts, error) {
	var c store.Counts
	err := s.read.QueryRowContext(ctx, `SELECT
		(SELECT count(*) FROM inbox WHERE delivery IS NOT NULL), (SELECT count(*) FROM inbox WHERE delivery IS NULL),
		(SELECT count(*) FROM outbox WHERE state = 'queued'), (SELECT count(*) FROM outbox WHERE state = 'accepted'),
		(SELECT count(*) FROM outbox WHERE state = 'refused'), (SELECT count(*) FROM acks WHERE refused = ''),
		(SELECT count(*) FROM purges WHERE taken = 0 AND refused = ''), (SELECT count(*) FROM alarms)`).
		Scan(&c.Inbox, &c.Withheld, &c.Queued, &c.Accepted, &c.Refused, &c.Acks, &c.Purges, &c.Alarms)
	if err != nil {
		return store.Counts{}, fmt.Errorf("sqlite: %w", err)
	}
	return c, nil
}
