package sqlite

import (
	"context"
	"database/sql"
	"errors"
	"fmt"

	"github.com/entente-hub/entente/api/problem"
	"github.com/entente-hub/entente/node/store"
)

// Regain implements store.Store.
func (s *Store) Regain(ctx context.Context, o store.Outgoing) (news bool, err error) {
	err = s.inTx(ctx, func(tx *sql.Tx) error {
		news = false
		const place = " WHERE id = ? AND version = ? AND state = 'queued'"
		var state store.State
		var digest string
		err := tx.QueryRowContext(ctx, "SELECT state, digest FROM outbox WHERE id = ? AND version = ? AND state <> 'refused'",
			string(o.ID), o.Version).Scan(&state, &digest)
		switch {
		case errors.Is(err, sql.ErrNoRows):
		case err != nil:
			return fmt.Errorf("sqlite: %w", err)
		case state == store.Accepted:
			return nil
		case digest != o.Digest:
			err := changeOne(ctx, tx, "UPDATE outbox SET state = 'refused', problem = ?, last_error = ?"+place,
				string(problem.Conflict), "the hub has accepted another under this version, before this node was restored", string(o.ID), o.Version)
			if err != nil {
				return err
			}
		default:
			return changeOne(ctx, tx, "UPDATE outbox SET state = 'accepted', receipt = ?, last_error = ''"+place, o.Receipt, string(o.ID), o.Version)
		}
		news = true
		if err := enqueue(ctx, tx, o); err != nil {
			return err
		}
		return changeOne(ctx, tx, "UPDATE outbox SET state = 'accepted', receipt = ?"+place, o.Receipt, string(o.ID), o.Version)
	})
	return news, err
}

// LastReceipt implements store.Store.
func (s *Store) LastReceipt(ctx context.Context) (receipt string, err error) {
	err = s.read.QueryRowContext(ctx, "SELECT receipt FROM outbox WHERE state = 'accepted' ORDER BY n DESC LIMIT 1").Scan(&receipt)
	if err != nil {
		return "", notFound(err)
	}
	return receipt, nil
}
