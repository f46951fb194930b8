package sqlite

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"

	"github.com/entente-hub/entente/api/alert"
	"github.com/entente-hub/entente/crypto/shroud"
	"github.com/entente-hub/entente/crypto/tlog"
	"github.com/entente-hub/entente/hub/store"
	"github.com/entente-hub/entente/hub/store/internal/plan"
)

type memberID = alert.MemberID

const (
	alertColumns = "a.originator, a.alert, a.version, a.token, (SELECT k.key FROM erasable_keys k WHERE k.n = a.id), a.digest, a.signed_digest, a.previous," +
		" a.issued_at, a.expires, a.accepted_at, a.log_index, a.erase_at, a.recall, a.refers"
	// ended holds of an alert version a: a later one is stored.
	ended           = "EXISTS (SELECT 1 FROM alerts n WHERE n.alert = a.alert AND n.originator = a.originator AND n.version > a.version)"
	deliveryColumns = "d.id, d.recipient, d.alert, d.state, coalesce(d.seq, 0), coalesce(d.chain, '')," +
		" coalesce(d.digest, ''), d.facts, d.receipt IS NOT NULL, d.renewed, d.follows, d.lost"
	selectDeliveries = "SELECT " + deliveryColumns + ", " + ended + ", " + alertColumns +
		" FROM deliveries d JOIN alerts a ON a.id = d.alert WHERE "
	pendingSQL     = selectDeliveries + "d.recipient = ? AND d.state = 0 ORDER BY d.id LIMIT ?"
	deliveredSQL   = selectDeliveries + "d.recipient = ? AND d.seq > ? ORDER BY d.seq LIMIT ?"
	handedToSQL    = "d.id = (SELECT e.id FROM deliveries e WHERE e.alert = a.id AND e.recipient = ? AND e.seq IS NOT NULL"
	lastSQL        = " ORDER BY e.seq DESC LIMIT 1)"
	deliveryOfSQL  = selectDeliveries + handedToSQL + lastSQL + " AND a.originator = ? AND a.alert = ? AND a.version = ?"
	heldSQL        = selectDeliveries + handedToSQL + " AND NOT e.lost" + lastSQL + " AND a.id = ?"
	originatorsSQL = "SELECT a.id, a.alert, a.originator FROM alerts a WHERE a.alert IN (SELECT value FROM json_each(?))"
	statementsSQL  = "SELECT position, type, subject, revision, digest, previous, raw FROM statements" +
		" WHERE position > ? ORDER BY position LIMIT ?"
	portionsSQL = "SELECT p.portion, l.key FROM alerts a CROSS JOIN portions p ON p.alert = a.id JOIN labels l ON l.id = p.label" +
		" WHERE a.originator = ? AND a.alert = ? AND a.version = ? ORDER BY p.position"
	logHeadSQL = "SELECT size, root FROM log_head"
	entriesSQL = "SELECT leaf FROM log_entries WHERE idx >= ? ORDER BY idx LIMIT ?"
	trailSQL   = "SELECT idx, leaf FROM log_entries WHERE idx > ? AND length(leaf) > 0 ORDER BY idx LIMIT ?"
)

type scanner interface{ Scan(dest ...any) error }

// alertDest returns where the alertColumns go, and what completes the alert.
func alertDest(a *store.Alert) (dest []any, finish func()) {
	var token, key, digest []byte
	dest = []any{&a.Originator, &a.ID, &a.Version, &token, &key, &digest, &a.SignedDigest, &a.Previous,
		&a.IssuedAt, &a.Expires, &a.AcceptedAt, &a.LogIndex, &a.EraseAt, &a.Recall, &a.Refers}
	return dest, func() { a.Token = string(shroud.Open(key, token)); copy(a.Digest[:], digest) }
}

func scanAlert(row scanner) (a store.Alert, err error) {
	dest, finish := alertDest(&a)
	err = row.Scan(dest...)
	finish()
	return a, err
}

func deliveryDest(d *plan.Delivery) []any {
	return []any{&d.ID, &d.Recipient, &d.Alert, &d.State, &d.Seq, &d.Chain, &d.Digest, &d.Facts, &d.Acked, &d.Renewed, &d.Follows, &d.Lost}
}

func scanDelivery(row scanner) (*plan.Delivery, error) {
	d := &plan.Delivery{}
	return d, row.Scan(deliveryDest(d)...)
}

// one reads one row; absent makes of no rows what the contract says.
func (s *Store) one(ctx context.Context, what string, scan func(*sql.Row) error, query string, args ...any) error {
	leave, err := s.gate.Enter()
	if err != nil {
		return err
	}
	defer leave()
	err = scan(s.read.QueryRowContext(ctx, query, args...))
	if errors.Is(err, sql.ErrNoRows) {
		return store.ErrNotFound
	}
	if err != nil {
		return fmt.Errorf("sqlite: reading %s: %w", what, err)
	}
	return nil
}

// list reads rows.
func list[T any](ctx context.Context, s *Store, what string, scan func(*sql.Rows) (T, error), query string, args ...any) (out []T, err error) {
	leave, err := s.gate.Enter()
	if err != nil {
		return nil, err
	}
	defer leave()
	defer func() {
		if err != nil {
			out, err = nil, fmt.Errorf("sqlite: reading %s: %w", what, err)
		}
	}()
	rows, err := s.read.QueryContext(ctx, query, args...)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	for rows.Next() {
		v, err := scan(rows)
		if err != nil {
			return nil, err
		}
		out = append(out, v)
	}
	return out, rows.Err()
}

// Alert implements store.Store.
func (s *Store) Alert(ctx context.Context, originator alert.MemberID, id alert.ID, version int) (*store.Alert, error) {
	var a store.Alert
	err := s.one(ctx, "alert", func(r *sql.Row) (err error) { a, err = scanAlert(r); return err },
		opSQL[readPrior], string(originator), string(id), version)
	if err != nil {
		return nil, err
	}
	return &a, nil
}

// Portions implements store.Store.
func (s *Store) Portions(ctx context.Context, originator alert.MemberID, id alert.ID, version int) ([]store.Portion, error) {
	return list(ctx, s, "portions", func(r *sql.Rows) (p store.Portion, err error) {
		var key []byte
		err = r.Scan(&p.ID, &key)
		p.LabelKey = string(key)
		return p, err
	}, portionsSQL, string(originator), string(id), version)
}

// Pending implements store.Store.
func (s *Store) Pending(ctx context.Context, recipient alert.MemberID, limit int) ([]store.Delivery, error) {
	return list(ctx, s, "pending deliveries", scanRows,
		pendingSQL, string(recipient), max(limit, 0))
}

// Delivered implements store.Store.
func (s *Store) Delivered(ctx context.Context, recipient alert.MemberID, after int64, limit int) ([]store.Delivery, error) {
	return list(ctx, s, "deliveries", scanRows,
		deliveredSQL, string(recipient), after, max(limit, 0))
}

func scanRows(rows *sql.Rows) (store.Delivery, error) { return scanJoined(rows) }

func scanJoined(rows scanner) (out store.Delivery, err error) {
	var d plan.Delivery
	dest, finish := alertDest(&out.Alert)
	err = rows.Scan(append(append(deliveryDest(&d), &out.Superseded), dest...)...)
	finish()
	out.ID, out.AlertRow, out.HandedOver = d.ID, d.Alert, d.HandedOver
	out.Acked, out.Renewed, out.Follows, out.Lost = d.Acked, d.Renewed, d.Follows, d.Lost
	out.Facts = nilIfEmpty(out.Facts)
	return out, err
}

// DeliveryOf implements store.Store.
func (s *Store) DeliveryOf(ctx context.Context, recipient, originator alert.MemberID, id alert.ID, version int) (*store.Delivery, error) {
	var d store.Delivery
	err := s.one(ctx, "delivery", func(r *sql.Row) (err error) { d, err = scanJoined(r); return err }, deliveryOfSQL,
		string(recipient), string(originator), string(id), version)
	if err != nil {
		return nil, err
	}
	return &d, nil
}

// Held implements store.Store.
func (s *Store) Held(ctx context.Context, recipient alert.MemberID, alertRow int64) (*store.Delivery, error) {
	var d store.Delivery
	err := s.one(ctx, "delivery", func(r *sql.Row) (err error) { d, err = scanJoined(r); return err }, heldSQL,
		string(recipient), alertRow)
	if err != nil {
		return nil, err
	}
	return &d, nil
}

// Originators implements store.Store.
func (s *Store) Originators(ctx context.Context, ids []alert.ID) (map[alert.ID]alert.MemberID, error) {
	names, err := json.Marshal(ids)
	if err != nil {
		return nil, fmt.Errorf("sqlite: reading originators: %w", err)
	}
	uses, err := list(ctx, s, "originators", func(r *sql.Rows) (u store.Use, err error) {
		return u, r.Scan(&u.Order, (*string)(&u.ID), (*string)(&u.By))
	}, originatorsSQL, string(names))
	if err != nil {
		return nil, err
	}
	return store.FirstUsers(uses), nil
}

// Feed implements store.Store.
func (s *Store) Feed(ctx context.Context, recipient alert.MemberID) (store.Feed, error) {
	var f store.Feed
	err := s.one(ctx, "feed", func(r *sql.Row) error { return r.Scan(&f.Seq, &f.Chain, &f.Acked, &f.Pending) },
		opSQL[readFeed], string(recipient))
	if errors.Is(err, store.ErrNotFound) {
		return store.Feed{}, nil
	}
	return f, err
}

// Statements implements store.Store.
func (s *Store) Statements(ctx context.Context, after int64, limit int) ([]store.Statement, error) {
	return list(ctx, s, "statements", func(r *sql.Rows) (st store.Statement, err error) {
		err = r.Scan(&st.Position, &st.Type, &st.Subject, &st.Revision, &st.Digest, &st.Previous, &st.Raw)
		st.Raw = nilIfEmpty(st.Raw)
		return st, err
	}, statementsSQL, after, max(limit, 0))
}

// LogHead implements store.Store.
func (s *Store) LogHead(ctx context.Context) (store.LogHead, error) {
	var h store.LogHead
	var root []byte
	err := s.one(ctx, "log head", func(r *sql.Row) error { return r.Scan(&h.Size, &root) }, logHeadSQL)
	copy(h.Root[:], root)
	return h, err
}

// Entries implements store.Store.
func (s *Store) Entries(ctx context.Context, from int64, limit int) ([][]byte, error) {
	if from < 0 {
		return nil, fmt.Errorf("%w: entries from %d", store.ErrInvalid, from)
	}
	return list(ctx, s, "log entries", func(r *sql.Rows) (leaf []byte, err error) {
		err = r.Scan(&leaf)
		return nilIfEmpty(leaf), err
	}, entriesSQL, from, max(limit, 0))
}

// Trail implements store.Store.
func (s *Store) Trail(ctx context.Context, after int64, limit int) ([]store.Kept, error) {
	return list(ctx, s, "the trail", func(r *sql.Rows) (k store.Kept, err error) {
		return k, r.Scan(&k.Index, &k.Leaf)
	}, trailSQL, after, max(limit, 0))
}

// Hashes implements store.Store.
func (s *Store) Hashes(ctx context.Context, indexes []int64) ([]tlog.Hash, error) {
	out := make([]tlog.Hash, len(indexes))
	for i, index := range indexes {
		var h []byte
		err := s.one(ctx, "log hash", func(r *sql.Row) error { return r.Scan(&h) }, opSQL[readHash], index)
		if err != nil {
			return nil, fmt.Errorf("log hash %d: %w", index, err)
		}
		out[i] = tlog.Hash(h)
	}
	return out, nil
}
