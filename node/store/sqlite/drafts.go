package sqlite

import (
	"bytes"
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/entente-hub/entente/node/store"
)

// AddDraft implements store.Store.
func (s *Store) AddDraft(ctx context.Context, d store.Draft, most int) error {
	portions, err := draftPortionsText(d.Portions)
	if err != nil {
		return err
	}
	return s.inTx(ctx, func(tx *sql.Tx) error {
		var pending int
		if err := tx.QueryRowContext(ctx, "SELECT count(*) FROM drafts WHERE author = ? AND state = 'pending' AND expires_at > ?",
			d.Author, micros(d.CreatedAt)).Scan(&pending); err != nil {
			return fmt.Errorf("sqlite: %w", err)
		}
		if pending >= most {
			return store.ErrStale
		}
		err := changeOne(ctx, tx, "INSERT INTO drafts (id, author, digest, body, portions, created_at, expires_at, state)"+
			" VALUES (?, ?, ?, ?, ?, ?, ?, 'pending') ON CONFLICT (id) DO NOTHING",
			string(d.ID), d.Author, d.Digest, d.Body, portions, micros(d.CreatedAt), micros(d.ExpiresAt))
		if errors.Is(err, store.ErrStale) {
			return store.ErrExists
		}
		return err
	})
}

func draftPortionsText(list []store.DraftPortion) (string, error) {
	var text bytes.Buffer
	enc := json.NewEncoder(&text)
	enc.SetEscapeHTML(false) // labels come back as they are
	err := enc.Encode(list)
	return text.String(), err
}

const (
	draftColumns = "id, author, digest, portions, created_at, expires_at, state, ended_by, ended_at, reason, coalesce(alert, '')," +
		" coalesce((SELECT o.version FROM outbox o WHERE o.draft <> '' AND o.draft = drafts.id), version, 0)"
	draftStands = "(state = 'released' OR expires_at > ?)"
)

// Draft implements store.Store.
func (s *Store) Draft(ctx context.Context, id store.DraftID, at time.Time) (*store.Draft, error) {
	d, err := scanDraft(s.read.QueryRowContext(ctx, "SELECT body, "+draftColumns+" FROM drafts WHERE id = ? AND "+draftStands,
		string(id), micros(at)))
	if err != nil {
		return nil, notFound(err)
	}
	return &d, nil
}

// Drafts implements store.Store.
func (s *Store) Drafts(ctx context.Context, state store.DraftState, before store.DraftID, at time.Time, limit int) ([]store.Draft, error) {
	query, args := "SELECT NULL, "+draftColumns+" FROM drafts WHERE "+draftStands, []any{micros(at)}
	if state != "" {
		query, args = query+" AND state = ?", append(args, string(state))
	}
	if before != "" {
		query, args = query+" AND id < ?", append(args, string(before))
	}
	return collect(ctx, s.read, scanDraft, query+" ORDER BY id DESC LIMIT ?", append(args, max(limit, 0))...)
}

func scanDraft(row scanner) (store.Draft, error) {
	var d store.Draft
	var portions string
	var created, expires, ended int64
	if err := row.Scan(&d.Body, &d.ID, &d.Author, &d.Digest, &portions, &created, &expires, &d.State,
		&d.End.By, &ended, &d.End.Reason, &d.Alert, &d.Version); err != nil {
		return store.Draft{}, err
	}
	d.CreatedAt, d.ExpiresAt = fromMicros(created), fromMicros(expires)
	if d.State != store.Pending {
		d.End.At = fromMicros(ended)
	}
	if err := json.Unmarshal([]byte(portions), &d.Portions); err != nil {
		return store.Draft{}, fmt.Errorf("portions of %s: %w", d.ID, err)
	}
	return d, nil
}

// ReleaseDraft implements store.Store.
func (s *Store) ReleaseDraft(ctx context.Context, id store.DraftID, digest string, e store.DraftEnd, o store.Outgoing) error {
	return s.inTx(ctx, func(tx *sql.Tx) error {
		if err := changeOne(ctx, tx, "UPDATE drafts SET state = 'released', body = NULL, ended_by = ?, ended_at = ?, alert = ?, version = ?"+
			" WHERE id = ? AND digest = ? AND state = 'pending' AND expires_at > ?",
			e.By, micros(e.At), string(o.ID), o.Version, string(id), digest, micros(e.At)); err != nil {
			return err
		}
		if err := enqueue(ctx, tx, o); err != nil {
			return err
		}
		return changeOne(ctx, tx, "UPDATE outbox SET draft = ?1, author = (SELECT author FROM drafts WHERE drafts.id = ?1), released_by = ?2"+
			" WHERE id = ?3 AND version = ?4 AND state = 'queued'", string(id), e.By, string(o.ID), o.Version)
	})
}

// ReleasedAs implements store.Store.
func (s *Store) ReleasedAs(ctx context.Context, id store.DraftID) (*store.Outgoing, error) {
	return s.oneOutgoing(ctx, "WHERE draft <> '' AND draft = ?", string(id))
}

// EndDraft implements store.Store.
func (s *Store) EndDraft(ctx context.Context, id store.DraftID, state store.DraftState, e store.DraftEnd) error {
	return s.inTx(ctx, func(tx *sql.Tx) error {
		return changeOne(ctx, tx, "UPDATE drafts SET state = ?, body = NULL, ended_by = ?, ended_at = ?, reason = ?"+
			" WHERE id = ? AND state = 'pending' AND expires_at > ?",
			string(state), e.By, micros(e.At), e.Reason, string(id), micros(e.At))
	})
}

// restsOnWhatIsOver holds for a draft that would publish a delegation which was recalled, has
// ended or of which something was erased: what it says is a copy of that.
var restsOnWhatIsOver = "EXISTS (SELECT 1 FROM delegations d WHERE d.own = 0" +
	" AND d.originator = json_extract(CAST(drafts.body AS TEXT), '$.draft.made_of.originator')" +
	" AND d.id = json_extract(CAST(drafts.body AS TEXT), '$.draft.made_of.id') AND (d.expires <= ?2 OR " + recalledDelegation +
	" OR EXISTS (SELECT 1 FROM purges p WHERE p.originator = d.originator AND p.id = d.id)))"

// EraseDrafts implements store.Store.
func (s *Store) EraseDrafts(ctx context.Context, at time.Time, limit int) (erased int, err error) {
	err = s.inTx(ctx, func(tx *sql.Tx) error {
		res, err := tx.ExecContext(ctx, "DELETE FROM drafts WHERE id IN (SELECT id FROM drafts WHERE state <> 'released' AND (expires_at <= ?1 OR "+
			restsOnWhatIsOver+") LIMIT ?3)", micros(at), at.Unix(), max(limit, 0))
		if err != nil {
			return fmt.Errorf("sqlite: %w", err)
		}
		n, err := res.RowsAffected()
		if erased = int(n); err != nil {
			return err
		}
		res, err = tx.ExecContext(ctx, "UPDATE outbox SET labels = 'null', labels_until = 0 WHERE labels_until > 0 AND labels_until <= ?", at.Unix())
		if err != nil {
			return fmt.Errorf("sqlite: %w", err)
		}
		n, err = res.RowsAffected()
		erased += int(n)
		return err
	})
	return erased, err
}
