package postgres

import (
	"context"
	"errors"
	"fmt"

	"github.com/entente-hub/entente/api/alert"
	"github.com/entente-hub/entente/crypto/shroud"
	"github.com/entente-hub/entente/crypto/tlog"
	"github.com/entente-hub/entente/hub/store"
	"github.com/entente-hub/entente/hub/store/internal/plan"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
)

type memberID = alert.MemberID

const (
	alertColumns = "a.originator, a.alert, a.version, a.token, (SELECT k.key FROM erasable_keys k WHERE k.n = a.id), a.digest, a.signed_digest, a.previous," +
		" a.issued_at, a.expires, a.accepted_at, a.log_index, a.erase_at, a.recall, a.refers"
	// ended holds of an alert version a: a later one is stored.
	ended            = "EXISTS (SELECT FROM alerts n WHERE n.alert = a.alert AND n.originator = a.originator AND n.version > a.version)"
	selectDeliveries = "SELECT d.id, d.alert, coalesce(d.seq, 0), coalesce(d.chain, ''), coalesce(d.digest, '')," +
		" d.facts, d.receipt IS NOT NULL, d.renewed, d.follows, d.lost, " + ended + ", " + alertColumns +
		" FROM deliveries d JOIN alerts a ON a.id = d.alert WHERE "
	pendingSQL   = selectDeliveries + "d.recipient = $1 AND d.state = 0 ORDER BY d.id LIMIT $2"
	deliveredSQL = selectDeliveries + "d.recipient = $1 AND d.seq > $2 ORDER BY d.seq LIMIT $3"
	portionsSQL  = "SELECT p.portion, l.key FROM alerts a JOIN portions p ON p.alert = a.id JOIN labels l ON l.id = p.label" +
		" WHERE a.originator = $1 AND a.alert = $2 AND a.version = $3::bigint ORDER BY p.position"
	// handed finds the row by its alert: a recipient's feed is never walked.
	handed     = "d.id = (SELECT e.id FROM deliveries e WHERE e.alert = a.id AND e.recipient = $1 AND e.seq IS NOT NULL"
	lastHanded = handed + " ORDER BY e.seq DESC LIMIT 1)"
	lastHeld   = handed + " AND NOT e.lost ORDER BY e.seq DESC LIMIT 1)"
)

// querier is a pool or a transaction.
type querier interface {
	Query(ctx context.Context, sql string, args ...any) (pgx.Rows, error)
	QueryRow(ctx context.Context, sql string, args ...any) pgx.Row
}

// alertDest returns where the alertColumns go, and what completes the alert.
func alertDest(a *store.Alert) (dest []any, finish func()) {
	var token, key, digest []byte
	dest = []any{&a.Originator, &a.ID, &a.Version, &token, &key, &digest, &a.SignedDigest, &a.Previous,
		&a.IssuedAt, &a.Expires, &a.AcceptedAt, &a.LogIndex, &a.EraseAt, &a.Recall, &a.Refers}
	return dest, func() { a.Token = string(shroud.Open(key, token)); copy(a.Digest[:], digest) }
}

func readAlert(ctx context.Context, q querier, key plan.AlertKey) (a store.Alert, err error) {
	dest, finish := alertDest(&a)
	err = q.QueryRow(ctx, "SELECT "+alertColumns+" FROM alerts a WHERE a.originator = $1 AND a.alert = $2 AND a.version = $3::bigint",
		string(key.Originator), string(key.ID), key.Version).Scan(dest...)
	finish()
	return a, err
}

func readHashes(ctx context.Context, q querier, indexes []int64) ([]tlog.Hash, error) {
	rows, err := q.Query(ctx, "SELECT idx, hash FROM log_hashes WHERE idx = ANY ($1::bigint[])", indexes)
	if err != nil {
		return nil, err
	}
	found := make(map[int64]tlog.Hash, len(indexes))
	var index int64
	var hash []byte
	_, err = pgx.ForEachRow(rows, []any{&index, &hash}, func() error {
		found[index] = tlog.Hash(hash)
		return nil
	})
	if err != nil {
		return nil, err
	}
	out := make([]tlog.Hash, len(indexes))
	for i, index := range indexes {
		h, ok := found[index]
		if !ok {
			return nil, fmt.Errorf("log hash %d: %w", index, store.ErrNotFound)
		}
		out[i] = h
	}
	return out, nil
}

// notText is the SQLSTATE of a text parameter that is not UTF-8 or holds NUL
// (character_not_in_repertoire).
const notText = "22021"

// call runs one reading call. Under a name that can't be text nothing is
// stored, as in SQLite.
func (s *Store) call(what string, read func() error) error {
	leave, err := s.gate.Enter()
	if err != nil {
		return err
	}
	defer leave()
	var e *pgconn.PgError
	err = read()
	switch {
	case err == nil:
		return nil
	case errors.Is(err, pgx.ErrNoRows), errors.As(err, &e) && e.Code == notText:
		return store.ErrNotFound
	}
	return fmt.Errorf("postgres: reading %s: %w", what, err)
}

// list reads rows.
func list[T any](ctx context.Context, s *Store, what string, scan func(pgx.CollectableRow) (T, error), query string, args ...any) (out []T, err error) {
	err = s.call(what, func() error {
		rows, err := s.pool.Query(ctx, query, args...)
		if err != nil {
			return err
		}
		out, err = pgx.AppendRows([]T(nil), rows, scan)
		return err
	})
	if errors.Is(err, store.ErrNotFound) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	return out, nil
}

// Alert implements store.Store.
func (s *Store) Alert(ctx context.Context, originator alert.MemberID, id alert.ID, version int) (*store.Alert, error) {
	var a store.Alert
	err := s.call("alert", func() (err error) {
		a, err = readAlert(ctx, s.pool, plan.AlertKey{Originator: originator, ID: id, Version: version})
		return err
	})
	if err != nil {
		return nil, err
	}
	return &a, nil
}

// Portions implements store.Store.
func (s *Store) Portions(ctx context.Context, originator alert.MemberID, id alert.ID, version int) ([]store.Portion, error) {
	return list(ctx, s, "portions", func(row pgx.CollectableRow) (p store.Portion, err error) {
		var key []byte
		err = row.Scan(&p.ID, &key)
		p.LabelKey = string(key)
		return p, err
	}, portionsSQL, string(originator), string(id), version)
}

// Pending implements store.Store.
func (s *Store) Pending(ctx context.Context, recipient alert.MemberID, limit int) ([]store.Delivery, error) {
	return list(ctx, s, "pending deliveries", scanDelivery,
		pendingSQL, string(recipient), max(limit, 0))
}

// Delivered implements store.Store.
func (s *Store) Delivered(ctx context.Context, recipient alert.MemberID, after int64, limit int) ([]store.Delivery, error) {
	return list(ctx, s, "deliveries", scanDelivery,
		deliveredSQL, string(recipient), after, max(limit, 0))
}

func scanDelivery(row pgx.CollectableRow) (d store.Delivery, err error) {
	dest, finish := alertDest(&d.Alert)
	err = row.Scan(append([]any{&d.ID, &d.AlertRow, &d.Seq, &d.Chain, &d.HandedOver.Digest, &d.Facts, &d.Acked, &d.Renewed, &d.Follows,
		&d.Lost, &d.Superseded}, dest...)...)
	finish()
	d.HandedOver.ID = d.ID
	d.Facts = nilIfEmpty(d.Facts)
	return d, err
}

// DeliveryOf implements store.Store.
func (s *Store) DeliveryOf(ctx context.Context, recipient, originator alert.MemberID, id alert.ID, version int) (*store.Delivery, error) {
	return s.delivery(ctx, lastHanded+" AND a.originator = $2 AND a.alert = $3 AND a.version = $4::bigint",
		string(recipient), string(originator), string(id), version)
}

// Held implements store.Store.
func (s *Store) Held(ctx context.Context, recipient alert.MemberID, alertRow int64) (*store.Delivery, error) {
	return s.delivery(ctx, lastHeld+" AND a.id = $2", string(recipient), alertRow)
}

// delivery reads the delivery for which a condition holds.
func (s *Store) delivery(ctx context.Context, condition string, args ...any) (*store.Delivery, error) {
	out, err := list(ctx, s, "delivery", scanDelivery, selectDeliveries+condition, args...)
	if err != nil {
		return nil, err
	}
	if len(out) == 0 {
		return nil, store.ErrNotFound
	}
	return &out[0], nil
}

// Originators implements store.Store.
func (s *Store) Originators(ctx context.Context, ids []alert.ID) (map[alert.ID]alert.MemberID, error) {
	uses, err := list(ctx, s, "originators", func(row pgx.CollectableRow) (u store.Use, err error) {
		return u, row.Scan(&u.Order, (*string)(&u.ID), (*string)(&u.By))
	}, "SELECT id, alert, originator FROM alerts WHERE alert = ANY ($1::text[])", column(ids, func(id alert.ID) string { return string(id) }))
	if err != nil {
		return nil, err
	}
	return store.FirstUsers(uses), nil
}

// Feed implements store.Store.
func (s *Store) Feed(ctx context.Context, recipient alert.MemberID) (store.Feed, error) {
	var f store.Feed
	err := s.call("feed", func() error {
		return s.pool.QueryRow(ctx, "SELECT seq, chain, acked, pending FROM feeds WHERE recipient = $1", string(recipient)).
			Scan(&f.Seq, &f.Chain, &f.Acked, &f.Pending)
	})
	if errors.Is(err, store.ErrNotFound) {
		return store.Feed{}, nil
	}
	return f, err
}

// Statements implements store.Store.
func (s *Store) Statements(ctx context.Context, after int64, limit int) ([]store.Statement, error) {
	return list(ctx, s, "statements", func(row pgx.CollectableRow) (st store.Statement, err error) {
		err = row.Scan(&st.Position, &st.Type, &st.Subject, &st.Revision, &st.Digest, &st.Previous, &st.Raw)
		st.Raw = nilIfEmpty(st.Raw)
		return st, err
	}, "SELECT position, type, subject, revision, digest, previous, raw FROM statements"+
		" WHERE position > $1 ORDER BY position LIMIT $2", after, max(limit, 0))
}

// LogHead implements store.Store.
func (s *Store) LogHead(ctx context.Context) (store.LogHead, error) {
	var h store.LogHead
	err := s.call("log head", func() error {
		var root []byte
		err := s.pool.QueryRow(ctx, "SELECT size, root FROM log_head WHERE single = 1").Scan(&h.Size, &root)
		copy(h.Root[:], root)
		return err
	})
	return h, err
}

// Entries implements store.Store.
func (s *Store) Entries(ctx context.Context, from int64, limit int) ([][]byte, error) {
	if from < 0 {
		return nil, fmt.Errorf("%w: entries from %d", store.ErrInvalid, from)
	}
	return list(ctx, s, "log entries", func(row pgx.CollectableRow) (leaf []byte, err error) {
		err = row.Scan(&leaf)
		return nilIfEmpty(leaf), err
	}, "SELECT leaf FROM log_entries WHERE idx >= $1 ORDER BY idx LIMIT $2", from, max(limit, 0))
}

// Trail implements store.Store.
func (s *Store) Trail(ctx context.Context, after int64, limit int) ([]store.Kept, error) {
	return list(ctx, s, "the trail", func(row pgx.CollectableRow) (k store.Kept, err error) {
		return k, row.Scan(&k.Index, &k.Leaf)
	}, trailSQL, after, max(limit, 0))
}

// Hashes implements store.Store.
func (s *Store) Hashes(ctx context.Context, indexes []int64) (out []tlog.Hash, err error) {
	err = s.call("log hashes", func() (err error) {
		out, err = readHashes(ctx, s.pool, indexes)
		return err
	})
	return out, err
}

func nilIfEmpty(b []byte) []byte {
	if len(b) == 0 {
		return nil
	}
	return b
}
