package sqlite

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/entente-hub/entente/crypto/shroud"
	"github.com/entente-hub/entente/hub/store"
	"github.com/entente-hub/entente/hub/store/internal/plan"
)

// erase puts another token in the place of one, under a key that overwrites its key. What
// was stored in the clear by an earlier version of the program gets one.
func (t *tx) erase(a *plan.AlertRow, token []byte) error {
	key, sealed := shroud.Seal(token)
	res, err := t.any(setKey, key, a.Row)
	if err != nil {
		return err
	}
	n, err := res.RowsAffected()
	if err == nil && n == 0 {
		err = t.one(addKey, a.Row, key)
	}
	if err != nil {
		return err
	}
	return t.one(eraseAlert, a.EraseAt, a.Over, sealed, a.Row, a.Stored())
}

// Used implements store.Store.
func (s *Store) Used(ctx context.Context, member memberID) (u store.Used, err error) {
	rows, err := list(ctx, s, "what is used", func(r *sql.Rows) (u store.Used, err error) {
		return u, r.Scan(&u.Alerts, &u.Bytes, &u.Statements)
	}, opSQL[readUsed], string(member))
	if err != nil || len(rows) == 0 {
		return u, err
	}
	return rows[0], nil
}

// uncleanSQL asks whether all that was stored in the clear, and is to be erased, has its key
// by now; no row: nothing was.
const uncleanSQL = "SELECT NOT EXISTS (SELECT 1 FROM alerts a WHERE a.erase_at > 0" +
	" AND NOT EXISTS (SELECT 1 FROM erasable_keys k WHERE k.n = a.id)) FROM shrouded WHERE clear = 1"

// Scrub implements store.Store: what its commit could not do, since a read was under way,
// and rewriting the file once nothing is left in it that an earlier version of the program
// had stored in the clear.
func (s *Store) Scrub(ctx context.Context) (clean bool, err error) {
	leave, err := s.gate.Enter()
	if err != nil {
		return false, err
	}
	defer leave()
	rewritten, err := s.rewrite(ctx)
	if err != nil {
		return false, fmt.Errorf("sqlite: scrubbing: %w", err)
	}
	if err := s.scrub(ctx); err != nil {
		return false, fmt.Errorf("sqlite: scrubbing: %w", err)
	}
	return rewritten && !s.unscrubbed.Load(), nil
}

// rewrite rewrites the file where that is due, and reports whether it is not any more.
func (s *Store) rewrite(ctx context.Context) (done bool, err error) {
	var ready bool
	err = s.read.QueryRowContext(ctx, uncleanSQL).Scan(&ready)
	if errors.Is(err, sql.ErrNoRows) {
		return true, nil
	}
	if err != nil || !ready {
		return false, err
	}
	s.unscrubbed.Store(true)
	if _, err := s.write.ExecContext(ctx, "VACUUM"); err != nil {
		return false, err
	}
	_, err = s.write.ExecContext(ctx, "UPDATE shrouded SET clear = 0")
	return err == nil, err
}

// scrubAfter scrubs after a commit that has erased something. What does not work now is
// tried again after the next commit, and by Scrub: the commit stands either way.
func (s *Store) scrubAfter(ctx context.Context, c *plan.Changes) {
	if len(c.Trimmed) > 0 || slices.ContainsFunc(c.Altered, func(a *plan.AlertRow) bool { return a.Token() != nil }) {
		s.unscrubbed.Store(true)
	}
	_ = s.scrub(ctx)
}

// scrub writes what the write-ahead log holds back to the file, and empties it, after
// an erasure: else pages with keys stay in it as they were until it happens to be used
// again so far. It waits for no reader: where there is one, what was erased stays unscrubbed.
func (s *Store) scrub(ctx context.Context) error {
	if !s.unscrubbed.Load() {
		return nil
	}
	conn, err := s.write.Conn(ctx)
	if err != nil {
		return err
	}
	defer conn.Close()
	var wait, busy, pages, moved int
	if err := conn.QueryRowContext(ctx, "PRAGMA busy_timeout").Scan(&wait); err != nil {
		return err
	}
	if _, err := conn.ExecContext(ctx, "PRAGMA busy_timeout = 0"); err != nil {
		return err
	}
	err = conn.QueryRowContext(ctx, "PRAGMA wal_checkpoint(TRUNCATE)").Scan(&busy, &pages, &moved)
	if err == nil && busy == 0 {
		s.unscrubbed.Store(false)
	}
	_, back := conn.ExecContext(context.WithoutCancel(ctx), fmt.Sprintf("PRAGMA busy_timeout = %d", wait))
	if back != nil { // a connection that does not wait must not be used again
		_ = conn.Raw(func(any) error { return driver.ErrBadConn })
	}
	return errors.Join(err, back)
}

// Clock implements store.Store.
func (s *Store) Clock(ctx context.Context) (at time.Time, server bool, err error) {
	var seen int64
	err = s.one(ctx, "the last moment", func(r *sql.Row) error { return r.Scan(&seen) }, "SELECT seen FROM shrouded")
	return time.Unix(seen, 0), false, err
}

// Remember implements store.Store.
func (s *Store) Remember(ctx context.Context, at time.Time) error {
	leave, err := s.gate.Enter()
	if err != nil {
		return err
	}
	defer leave()
	if _, err := s.write.ExecContext(ctx, "UPDATE shrouded SET seen = ?", at.Unix()); err != nil {
		return fmt.Errorf("sqlite: remembering the moment: %w", err)
	}
	return nil
}
