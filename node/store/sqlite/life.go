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

// Due implements store.Store.
func (s *Store) Due(ctx context.Context, by int64, limit int) ([]store.Due, error) {
	return collect(ctx, s.read, func(row scanner) (d store.Due, err error) {
		err = row.Scan(&d.Seq, &d.Originator, &d.ID, &d.Due)
		return d, err
	}, "SELECT seq, originator, id, due FROM inbox WHERE due > 0 AND due <= ? ORDER BY due, seq LIMIT ?", by, max(limit, 0))
}

// DueOutgoing implements store.Store.
func (s *Store) DueOutgoing(ctx context.Context, by int64, limit int) ([]store.Outgoing, error) {
	return collect(ctx, s.read, scanOutgoing, selectOutgoing+" FROM outbox"+
		" WHERE due > 0 AND due <= ? AND state <> 'queued' ORDER BY due, n LIMIT ?", by, max(limit, 0))
}

// NextDue implements store.Store.
func (s *Store) NextDue(ctx context.Context) (int64, error) {
	var in, out int64
	err := s.read.QueryRowContext(ctx, "SELECT coalesce((SELECT min(due) FROM inbox WHERE due > 0), 0),"+
		" coalesce((SELECT min(due) FROM outbox WHERE due > 0 AND state <> 'queued'), 0)").Scan(&in, &out)
	switch {
	case err != nil:
		return 0, fmt.Errorf("sqlite: %w", err)
	case in == 0 || out == 0:
		return max(in, out), nil
	}
	return min(in, out), nil
}

// Erase implements store.Store.
func (s *Store) Erase(ctx context.Context, e store.Erase) error {
	return s.inTx(ctx, func(tx *sql.Tx) error { return erase(ctx, tx, e) })
}

func erase(ctx context.Context, tx *sql.Tx, e store.Erase) error {
	for _, x := range e.Erasures {
		i, err := scanItem(tx.QueryRowContext(ctx, selectItems+" WHERE i.seq = ? AND i.delivery IS NOT NULL", x.Seq))
		if errors.Is(err, sql.ErrNoRows) {
			return store.ErrStale
		} else if err != nil {
			return fmt.Errorf("sqlite: %w", err)
		}
		if i, err = x.Left(i); err != nil {
			return err
		}
		var key int64
		if err := tx.QueryRowContext(ctx, "SELECT key FROM inbox WHERE seq = ?", x.Seq).Scan(&key); err != nil {
			return fmt.Errorf("sqlite: %w", err)
		}
		key, sealed, err := enshroud(ctx, tx, key, i.Delivery)
		if err != nil {
			return err
		}
		if err := changeOne(ctx, tx, "UPDATE inbox SET delivery = ?, key = ?, kept = ?, due = ? WHERE seq = ?", sealed, key, i.Kept, i.Due, x.Seq); err != nil {
			return err
		}
	}
	for _, o := range e.Outgoing {
		const place = " WHERE id = ? AND version = ? AND digest = ? AND state <> 'queued'"
		if err := retoken(ctx, tx, o.Token, place, string(o.ID), o.Version, o.Digest); err != nil {
			return err
		}
		// A recall that was accepted since this was read makes due what was to end later.
		if err := changeOne(ctx, tx, "UPDATE outbox SET due = CASE WHEN ?1 > 0 AND "+purgedOutgoing+" THEN 1 ELSE ?1 END"+
			" WHERE id = ?2 AND version = ?3 AND digest = ?4 AND state <> 'queued'", o.Due, string(o.ID), o.Version, o.Digest); err != nil {
			return err
		}
		if err := relabel(ctx, tx, o); err != nil {
			return err
		}
	}
	for _, p := range e.Purges {
		portions, err := json.Marshal(p.Portions)
		if err != nil {
			return err
		}
		if err := changeOne(ctx, tx, "INSERT INTO purges (originator, id, version, digest, cause, portions, at, token) VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
			string(p.Originator), string(p.ID), p.Version, p.Digest, string(p.Cause), string(portions), p.At, p.Token); err != nil {
			return err
		}
	}
	return nil
}

// relabel keeps the labels of an alert in the outbox of which something is erased.
func relabel(ctx context.Context, tx *sql.Tx, o store.OutgoingErasure) error {
	if len(o.Labels) == 0 {
		return nil
	}
	labels, err := draftPortionsText(o.Labels)
	if err != nil {
		return err
	}
	return changeOne(ctx, tx, "UPDATE outbox SET labels = ?, labels_until = ? WHERE id = ? AND version = ? AND digest = ? AND state <> 'queued'",
		labels, o.Expires, string(o.ID), o.Version, o.Digest)
}

// errRead says why the log could not be given up yet.
var errRead = errors.New("sqlite: the write-ahead log is still read")

// Scrub implements store.Store: all of the write-ahead log goes into the file, and
// nothing is left of the log.
func (s *Store) Scrub(ctx context.Context) error {
	if err := s.vacuum(ctx); err != nil {
		return fmt.Errorf("sqlite: %w", err)
	}
	var busy, pages, moved int
	if err := s.write.QueryRowContext(ctx, "PRAGMA wal_checkpoint(TRUNCATE)").Scan(&busy, &pages, &moved); err != nil {
		return fmt.Errorf("sqlite: %w", err)
	}
	if busy != 0 {
		return errRead
	}
	return nil
}

const selectPurges = "SELECT n, originator, id, version, digest, cause, portions, at, token FROM purges"

func scanPurge(row scanner) (p store.Purge, err error) {
	var portions string
	if err := row.Scan(&p.N, &p.Originator, &p.ID, &p.Version, &p.Digest, &p.Cause, &portions, &p.At, &p.Token); err != nil {
		return store.Purge{}, err
	}
	return p, json.Unmarshal([]byte(portions), &p.Portions)
}

// PurgesOf implements store.Store.
func (s *Store) PurgesOf(ctx context.Context, originator alert.MemberID, id alert.ID, version int) ([]store.Purge, error) {
	return collect(ctx, s.read, scanPurge, selectPurges+" WHERE originator = ? AND id = ? AND version = ? ORDER BY n",
		string(originator), string(id), version)
}

// Unsigned implements store.Store.
func (s *Store) Unsigned(ctx context.Context, limit int) ([]store.Ack, []store.Purge, error) {
	acks, err := collect(ctx, s.read, scanAck, "SELECT seq, token, chain FROM acks WHERE token = '' ORDER BY seq LIMIT ?", max(limit, 0))
	if err != nil {
		return nil, nil, err
	}
	purges, err := collect(ctx, s.read, scanPurge, selectPurges+" WHERE taken = 0 AND refused = '' AND (token = '') = 1 ORDER BY n LIMIT ?", max(limit, 0))
	return acks, purges, err
}

// Signed implements store.Store.
func (s *Store) Signed(ctx context.Context, acks []store.Ack, purges []store.Purge) error {
	return s.inTx(ctx, func(tx *sql.Tx) error {
		for _, a := range acks {
			if _, err := tx.ExecContext(ctx, "UPDATE acks SET token = ? WHERE seq = ? AND token = ''", a.Token, a.Seq); err != nil {
				return fmt.Errorf("sqlite: %w", err)
			}
		}
		for _, p := range purges {
			if _, err := tx.ExecContext(ctx, "UPDATE purges SET token = ? WHERE n = ? AND token = ''", p.Token, p.N); err != nil {
				return fmt.Errorf("sqlite: %w", err)
			}
		}
		return nil
	})
}

// PurgesTaken implements store.Store.
func (s *Store) PurgesTaken(ctx context.Context, ns []int64) error {
	return s.inTx(ctx, func(tx *sql.Tx) error {
		for _, n := range ns {
			if _, err := tx.ExecContext(ctx, "UPDATE purges SET taken = 1 WHERE n = ?", n); err != nil {
				return fmt.Errorf("sqlite: %w", err)
			}
		}
		return nil
	})
}

// PurgeRefused implements store.Store.
func (s *Store) PurgeRefused(ctx context.Context, n int64, reason string) error {
	if reason == "" {
		reason = "refused"
	}
	return s.inTx(ctx, func(tx *sql.Tx) error {
		return changeOne(ctx, tx, "UPDATE purges SET refused = ? WHERE n = ?", reason, n)
	})
}

// Versions implements store.Store.
func (s *Store) Versions(ctx context.Context, originator alert.MemberID, id alert.ID) ([]int, error) {
	return collect(ctx, s.read, func(row scanner) (v int, err error) {
		err = row.Scan(&v)
		return v, err
	}, "SELECT DISTINCT version FROM inbox WHERE originator = ? AND id = ? ORDER BY version", string(originator), string(id))
}
