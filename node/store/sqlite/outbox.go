package sqlite

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"

	"github.com/entente-hub/entente/api/alert"
	"github.com/entente-hub/entente/node/store"
)

// Enqueue implements store.Store.
func (s *Store) Enqueue(ctx context.Context, o store.Outgoing) error {
	return s.inTx(ctx, func(tx *sql.Tx) error {
		err := changeOne(ctx, tx, "INSERT INTO outbox (id, version, token, digest, state, queued_at) VALUES (?, ?, ?, ?, 'queued', ?)"+
			" ON CONFLICT (id, version) DO NOTHING", string(o.ID), o.Version, o.Token, o.Digest, micros(o.QueuedAt))
		if errors.Is(err, store.ErrStale) {
			return store.ErrExists
		}
		return err
	})
}

const outgoingColumns = "id, version, digest, state, queued_at, attempts, last_error, problem, codes, receipt"

// Next implements store.Store.
func (s *Store) Next(ctx context.Context) (*store.Outgoing, error) {
	return s.oneOutgoing(ctx, "WHERE state = 'queued' ORDER BY n LIMIT 1")
}

// Outgoing implements store.Store.
func (s *Store) Outgoing(ctx context.Context, id alert.ID, version int) (*store.Outgoing, error) {
	return s.oneOutgoing(ctx, "WHERE id = ? AND version = ?", string(id), version)
}

func (s *Store) oneOutgoing(ctx context.Context, where string, args ...any) (*store.Outgoing, error) {
	o, err := scanOutgoing(s.read.QueryRowContext(ctx, "SELECT token, "+outgoingColumns+" FROM outbox "+where, args...))
	if err != nil {
		return nil, notFound(err)
	}
	return &o, nil
}

// Outbox implements store.Store.
func (s *Store) Outbox(ctx context.Context, limit int) ([]store.Outgoing, error) {
	return collect(ctx, s.read, scanOutgoing, "SELECT '', "+outgoingColumns+" FROM outbox ORDER BY n DESC LIMIT ?", max(limit, 0))
}

func scanOutgoing(row scanner) (store.Outgoing, error) {
	var o store.Outgoing
	var queued int64
	var codes string
	if err := row.Scan(&o.Token, &o.ID, &o.Version, &o.Digest, &o.State, &queued, &o.Attempts, &o.LastError,
		&o.Problem, &codes, &o.Receipt); err != nil {
		return store.Outgoing{}, err
	}
	o.QueuedAt = fromMicros(queued)
	if err := json.Unmarshal([]byte(codes), &o.Codes); err != nil {
		return store.Outgoing{}, fmt.Errorf("codes of %s: %w", o.ID, err)
	}
	if len(o.Codes) == 0 {
		o.Codes = nil
	}
	return o, nil
}

// Attempted implements store.Store.
func (s *Store) Attempted(ctx context.Context, id alert.ID, version int, lastError string) error {
	return s.inTx(ctx, func(tx *sql.Tx) error {
		return changeOne(ctx, tx, "UPDATE outbox SET attempts = attempts + 1, last_error = ?"+
			" WHERE id = ? AND version = ? AND state = 'queued'", lastError, string(id), version)
	})
}

// Settle implements store.Store.
func (s *Store) Settle(ctx context.Context, id alert.ID, version int, how store.Settlement) error {
	codes, err := json.Marshal(how.Codes)
	if err != nil {
		return err
	}
	return s.inTx(ctx, func(tx *sql.Tx) error {
		return changeOne(ctx, tx, "UPDATE outbox SET state = ?, attempts = attempts + 1, last_error = ?, problem = ?, codes = ?, receipt = ?"+
			" WHERE id = ? AND version = ? AND state = 'queued'",
			string(how.State), how.Error, string(how.Problem), string(codes), how.Receipt, string(id), version)
	})
}
