package sqlite

import (
	"context"
	"database/sql"
	"errors"
	"fmt"

	"github.com/entente-hub/entente/api/alert"
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
			if err := changeOne(ctx, tx, "UPDATE outbox SET state = 'accepted', receipt = ?, last_error = ''"+place, o.Receipt, string(o.ID), o.Version); err != nil {
				return err
			}
			if err := endPurged(ctx, tx, o.ID, o.Version); err != nil {
				return err
			}
			return answered(ctx, tx, o.ID, o.Version, store.Accepted)
		}
		news = true
		if err := enqueue(ctx, tx, o); err != nil {
			return err
		}
		if err := changeOne(ctx, tx, "UPDATE outbox SET state = 'accepted', receipt = ?"+place, o.Receipt, string(o.ID), o.Version); err != nil {
			return err
		}
		if err := endPurged(ctx, tx, o.ID, o.Version); err != nil {
			return err
		}
		return giveWay(ctx, tx, o.Referring)
	})
	return news, err
}

// giveWay refuses what was queued as made of a delegation, where an answer to that says that
// it has been published already.
func giveWay(ctx context.Context, tx *sql.Tx, r *store.Referring) error {
	if r == nil || r.Re.Published == "" {
		return nil
	}
	var queued alert.ID
	err := tx.QueryRowContext(ctx, "SELECT o.id FROM delegations d JOIN outbox o ON o.id = d.published AND o.version = 1 AND o.state = 'queued'"+
		" WHERE d.own = 0 AND d.originator = ? AND d.id = ? AND d.published <> ?", string(r.Re.Originator), string(r.Re.Alert), string(r.Re.Published)).Scan((*string)(&queued))
	if errors.Is(err, sql.ErrNoRows) {
		return nil
	} else if err != nil {
		return fmt.Errorf("sqlite: %w", err)
	}
	if err := changeOne(ctx, tx, "UPDATE outbox SET state = 'refused', problem = ?, last_error = ? WHERE id = ? AND version = 1 AND state = 'queued'",
		string(problem.Conflict), fmt.Sprintf("the delegation was published as %s, before this node was restored", r.Re.Published), string(queued)); err != nil {
		return err
	}
	return answered(ctx, tx, queued, 1, store.Refused)
}

// LastReceipt implements store.Store.
func (s *Store) LastReceipt(ctx context.Context) (receipt string, err error) {
	err = s.read.QueryRowContext(ctx, "SELECT receipt FROM outbox WHERE state = 'accepted' ORDER BY n DESC LIMIT 1").Scan(&receipt)
	if err != nil {
		return "", notFound(err)
	}
	return receipt, nil
}
