package sqlite

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"math"

	"github.com/entente-hub/entente/api/alert"
	"github.com/entente-hub/entente/crypto/shroud"
	"github.com/entente-hub/entente/node/store"
)

// Enqueue implements store.Store.
func (s *Store) Enqueue(ctx context.Context, o store.Outgoing) error {
	return s.inTx(ctx, func(tx *sql.Tx) error { return enqueue(ctx, tx, o) })
}

func enqueue(ctx context.Context, tx *sql.Tx, o store.Outgoing) error {
	key, sealed, err := enshroud(ctx, tx, 0, []byte(o.Token))
	if err != nil {
		return err
	}
	recall, err := recallText(o.Recall)
	if err != nil {
		return err
	}
	err = changeOne(ctx, tx, "INSERT INTO outbox (id, version, token, key, digest, state, queued_at, due, recall, urgent) VALUES (?, ?, ?, ?, ?, 'queued', ?, ?, ?, ?)"+
		" ON CONFLICT (id, version) WHERE state <> 'refused' DO NOTHING",
		string(o.ID), o.Version, sealed, key, o.Digest, micros(o.QueuedAt), o.Due, recall, o.Urgent)
	if errors.Is(err, store.ErrStale) {
		return store.ErrExists
	} else if err != nil {
		return err
	}
	if err := referOwn(ctx, tx, o); err != nil {
		return err
	}
	if err := delegate(ctx, tx, true, o.ID, o.Digest, o.Delegating); err != nil {
		return err
	}
	return publish(ctx, tx, o)
}

const outgoingColumns = "id, version, digest, state, queued_at, attempts, last_error, problem, codes, receipt, due, author, released_by, coalesce(recall, ''), labels, " + purgedOutgoing

const selectOutgoing = "SELECT token, (SELECT k.key FROM erasable_keys k WHERE k.n = outbox.key), " + outgoingColumns

// Sendable implements store.Store.
func (s *Store) Sendable(ctx context.Context, limit int) (list []store.Outgoing, err error) {
	rows, err := s.read.QueryContext(ctx, selectSendable, max(limit, 0))
	if err != nil {
		return nil, fmt.Errorf("sqlite: %w", err)
	}
	defer func() { err = errors.Join(err, rows.Close()) }()
	for size := 0; rows.Next(); {
		o, err := scanOutgoing(rows)
		if err != nil {
			return nil, fmt.Errorf("sqlite: %w", err)
		}
		if size += len(o.Token); size > alert.MaxBytes && len(list) > 0 {
			return list, nil
		}
		list = append(list, o)
	}
	if err := rows.Err(); err != nil {
		return nil, fmt.Errorf("sqlite: %w", err)
	}
	return list, nil
}

const selectSendable = selectOutgoing + " FROM outbox INDEXED BY outbox_queue WHERE state = 'queued' ORDER BY urgent DESC, n LIMIT ?"

// Outgoing implements store.Store.
func (s *Store) Outgoing(ctx context.Context, id alert.ID, version int) (*store.Outgoing, error) {
	return s.oneOutgoing(ctx, "WHERE id = ? AND version = ? ORDER BY state = 'refused', n DESC LIMIT 1", string(id), version)
}

// Current implements store.Store.
func (s *Store) Current(ctx context.Context, id alert.ID, below int) (*store.Outgoing, error) {
	if below == 0 {
		below = math.MaxInt32
	}
	return s.oneOutgoing(ctx, "WHERE id = ? AND version < ? AND state <> 'refused' ORDER BY version DESC LIMIT 1", string(id), below)
}

// Renumber implements store.Store.
func (s *Store) Renumber(ctx context.Context, id alert.ID, version int, o store.Outgoing) error {
	return s.inTx(ctx, func(tx *sql.Tx) error {
		if o.ID != id || o.Version != version {
			var taken bool
			err := tx.QueryRowContext(ctx, "SELECT count(*) FROM outbox WHERE id = ? AND version = ? AND state <> 'refused'",
				string(o.ID), o.Version).Scan(&taken)
			if err != nil {
				return fmt.Errorf("sqlite: %w", err)
			}
			if taken {
				return store.ErrExists
			}
		}
		const place = " WHERE id = ? AND version = ? AND state = 'queued'"
		if err := retoken(ctx, tx, o.Token, place, string(id), version); err != nil {
			return err
		}
		recall, err := recallText(o.Recall)
		if err != nil {
			return err
		}
		return changeOne(ctx, tx, "UPDATE outbox SET id = ?, version = ?, digest = ?, queued_at = ?, due = ?, recall = ?, urgent = ?"+place,
			string(o.ID), o.Version, o.Digest, micros(o.QueuedAt), o.Due, recall, o.Urgent, string(id), version)
	})
}

// retoken puts another token in the place of one, whose key is overwritten.
func retoken(ctx context.Context, tx *sql.Tx, token, where string, args ...any) error {
	var n, key int64
	err := tx.QueryRowContext(ctx, "SELECT n, key FROM outbox"+where, args...).Scan(&n, &key)
	if errors.Is(err, sql.ErrNoRows) {
		return store.ErrStale
	} else if err != nil {
		return fmt.Errorf("sqlite: %w", err)
	}
	key, sealed, err := enshroud(ctx, tx, key, []byte(token))
	if err != nil {
		return err
	}
	return changeOne(ctx, tx, "UPDATE outbox SET token = ?, key = ? WHERE n = ?", sealed, key, n)
}

func (s *Store) oneOutgoing(ctx context.Context, where string, args ...any) (*store.Outgoing, error) {
	o, err := scanOutgoing(s.read.QueryRowContext(ctx, selectOutgoing+" FROM outbox "+where, args...))
	if err != nil {
		return nil, notFound(err)
	}
	return &o, nil
}

// Outbox implements store.Store.
func (s *Store) Outbox(ctx context.Context, limit int) ([]store.Outgoing, error) {
	return collect(ctx, s.read, scanOutgoing, "SELECT x'', x'', "+outgoingColumns+" FROM outbox ORDER BY n DESC LIMIT ?", max(limit, 0))
}

func scanOutgoing(row scanner) (store.Outgoing, error) {
	var o store.Outgoing
	var queued int64
	var codes, recall, labels string
	var key, sealed []byte
	err := row.Scan(&sealed, &key, &o.ID, &o.Version, &o.Digest, &o.State, &queued, &o.Attempts, &o.LastError,
		&o.Problem, &codes, &o.Receipt, &o.Due, &o.Author, &o.ReleasedBy, &recall, &labels, &o.Purged)
	if err != nil {
		return store.Outgoing{}, err
	}
	o.QueuedAt, o.Token = fromMicros(queued), string(shroud.Open(key, sealed))
	if err := json.Unmarshal([]byte(codes), &o.Codes); err != nil {
		return store.Outgoing{}, fmt.Errorf("codes of %s: %w", o.ID, err)
	}
	if len(o.Codes) == 0 {
		o.Codes = nil
	}
	if err := json.Unmarshal([]byte(labels), &o.Labels); err != nil {
		return store.Outgoing{}, fmt.Errorf("labels of %s: %w", o.ID, err)
	}
	if recall == "" {
		return o, nil
	}
	if err := json.Unmarshal([]byte(recall), &o.Recall); err != nil {
		return store.Outgoing{}, fmt.Errorf("recall of %s: %w", o.ID, err)
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

// SettleAll implements store.Store.
func (s *Store) SettleAll(ctx context.Context, list []store.Settled) error {
	return s.inTx(ctx, func(tx *sql.Tx) error {
		for _, how := range list {
			codes, err := json.Marshal(how.Codes)
			if err != nil {
				return err
			}
			if err := changeOne(ctx, tx, "UPDATE outbox SET state = ?, attempts = attempts + 1, last_error = ?, problem = ?, codes = ?, receipt = ?"+
				" WHERE id = ? AND version = ? AND state = 'queued'",
				string(how.State), how.Error, string(how.Problem), string(codes), how.Receipt, string(how.ID), how.Version); err != nil {
				return err
			}
			if how.State == store.Accepted {
				if _, err := tx.ExecContext(ctx, "UPDATE outbox SET urgent = 1 WHERE id = ? AND version = ? AND state = 'queued' AND recall <> ''",
					string(how.ID), how.Version+1); err != nil {
					return err
				}
				if err := endPurged(ctx, tx, how.ID, how.Version); err != nil {
					return err
				}
			}
			if err := answered(ctx, tx, how.ID, how.Version, how.State); err != nil {
				return err
			}
		}
		return nil
	})
}
