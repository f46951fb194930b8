package postgres

import (
	"context"
	"crypto/sha256"
	"fmt"

	"github.com/entente-hub/entente/crypto/tlog"
	"github.com/entente-hub/entente/hub/store"
	"github.com/entente-hub/entente/hub/store/internal/plan"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
)

// maxStatement is about how many bytes of contents one statement carries, far
// below the server's limit of 1 GiB a message.
const maxStatement = 16 << 20

// write sends all changes in one round trip. Each statement must change as many
// rows as it names; the last one moves the head on from where it was read.
func write(ctx context.Context, tx pgx.Tx, c *plan.Changes, hashes []tlog.Hash) error {
	w := &writer{}
	w.log(c, hashes)
	w.alerts(c)
	w.deliveries(c)
	w.feeds(c.Feeds)
	w.statements(c.Statements)
	w.queue("UPDATE log_head SET size = $1, root = $2, alerts = $3, labels = $4, deliveries = $5, statements = $6"+
		" WHERE single = 1 AND size = $7 AND root = $8", 1,
		c.New.Size, c.New.Root[:], c.New.Alerts, c.New.Labels, c.New.Deliveries, c.New.Statements,
		c.Old.Size, c.Old.Root[:])
	if err := tx.SendBatch(ctx, &w.batch).Close(); err != nil {
		return fmt.Errorf("writing: %w", err)
	}
	return nil
}

type writer struct{ batch pgx.Batch }

// queue adds a statement that must change n rows; with n 0 it does nothing.
func (w *writer) queue(sql string, n int, args ...any) {
	if n == 0 {
		return
	}
	w.batch.Queue(sql, args...).Exec(func(tag pgconn.CommandTag) error {
		if err := count(tag, n); err != nil {
			return fmt.Errorf("%.40q: %w", sql, err)
		}
		return nil
	})
}

func count(tag pgconn.CommandTag, want int) error {
	if n := tag.RowsAffected(); n != int64(want) {
		return fmt.Errorf("%d rows changed, want %d", n, want)
	}
	return nil
}

func (w *writer) log(c *plan.Changes, hashes []tlog.Hash) {
	first := tlog.StoredHashCount(c.Old.Size)
	w.queue("INSERT INTO log_hashes (idx, hash) SELECT $1 + n - 1, h FROM unnest($2::bytea[]) WITH ORDINALITY u (h, n)",
		len(hashes), first, column(hashes, func(h tlog.Hash) []byte { return h[:] }))
	next := c.Old.Size
	for _, leaves := range chunks(c.Leaves, func(leaf []byte) int { return len(leaf) }) {
		w.queue("INSERT INTO log_entries (idx, leaf) SELECT $1 + n - 1, l FROM unnest($2::bytea[]) WITH ORDINALITY u (l, n)",
			len(leaves), next, column(leaves, notNil))
		next += int64(len(leaves))
	}
}

func (w *writer) alerts(c *plan.Changes) {
	for _, as := range chunks(c.Alerts, func(a plan.NewAlert) int { return len(a.Token) }) {
		w.queue("INSERT INTO alerts (id, originator, alert, version, token, digest, signed_digest, previous,"+
			" issued_at, expires, accepted_at, log_index) SELECT * FROM unnest($1::bigint[], $2::text[], $3::text[],"+
			" $4::int[], $5::bytea[], $6::bytea[], $7::text[], $8::text[], $9::bigint[], $10::bigint[], $11::bigint[],"+
			" $12::bigint[])", len(as),
			column(as, func(a plan.NewAlert) int64 { return a.Row }),
			column(as, func(a plan.NewAlert) string { return string(a.Originator) }),
			column(as, func(a plan.NewAlert) string { return string(a.ID) }),
			column(as, func(a plan.NewAlert) int32 { return int32(a.Version) }),
			column(as, func(a plan.NewAlert) []byte { return []byte(a.Token) }),
			column(as, func(a plan.NewAlert) []byte { return a.Digest[:] }),
			column(as, func(a plan.NewAlert) string { return a.SignedDigest }),
			column(as, func(a plan.NewAlert) string { return a.Previous }),
			column(as, func(a plan.NewAlert) int64 { return a.IssuedAt }),
			column(as, func(a plan.NewAlert) int64 { return a.Expires }),
			column(as, func(a plan.NewAlert) int64 { return a.AcceptedAt }),
			column(as, func(a plan.NewAlert) int64 { return a.LogIndex }))
	}
	for _, ls := range chunks(c.Labels, func(l plan.NewLabel) int { return len(l.Key) }) {
		w.queue("INSERT INTO labels (id, originator, key_digest, key)"+
			" SELECT * FROM unnest($1::bigint[], $2::text[], $3::bytea[], $4::bytea[])", len(ls),
			column(ls, func(l plan.NewLabel) int64 { return l.Row }),
			column(ls, func(l plan.NewLabel) string { return string(l.Originator) }),
			column(ls, func(l plan.NewLabel) []byte { return sum(l.Key) }),
			column(ls, func(l plan.NewLabel) []byte { return []byte(l.Key) }))
	}
	w.queue("INSERT INTO portions (alert, position, portion, label)"+
		" SELECT * FROM unnest($1::bigint[], $2::int[], $3::text[], $4::bigint[])", len(c.Portions),
		column(c.Portions, func(p plan.NewPortion) int64 { return p.Alert }),
		column(c.Portions, func(p plan.NewPortion) int32 { return int32(p.Position) }),
		column(c.Portions, func(p plan.NewPortion) string { return string(p.ID) }),
		column(c.Portions, func(p plan.NewPortion) int64 { return p.Label }))
}

func (w *writer) deliveries(c *plan.Changes) {
	id := func(d *plan.Delivery) int64 { return d.ID }
	w.queue("INSERT INTO deliveries (id, recipient, alert, state)"+
		" SELECT id, recipient, alert, 0 FROM unnest($1::bigint[], $2::text[], $3::bigint[]) u (id, recipient, alert)",
		len(c.Deliveries), column(c.Deliveries, id),
		column(c.Deliveries, func(d *plan.Delivery) string { return string(d.Recipient) }),
		column(c.Deliveries, func(d *plan.Delivery) int64 { return d.Alert }))
	var handed, withheld []*plan.Delivery
	for _, d := range c.Handed {
		if d.State == plan.Withheld {
			withheld = append(withheld, d)
		} else {
			handed = append(handed, d)
		}
	}
	for _, ds := range chunks(handed, func(d *plan.Delivery) int { return len(d.Facts) }) {
		w.queue("UPDATE deliveries d SET state = 1, seq = u.seq, chain = u.chain, digest = u.digest, facts = u.facts"+
			" FROM unnest($1::bigint[], $2::bigint[], $3::text[], $4::text[], $5::bytea[]) u (id, seq, chain, digest, facts)"+
			" WHERE d.id = u.id AND d.state = 0", len(ds), column(ds, id),
			column(ds, func(d *plan.Delivery) int64 { return d.Seq }),
			column(ds, func(d *plan.Delivery) string { return d.Chain }),
			column(ds, func(d *plan.Delivery) string { return d.Digest }),
			column(ds, func(d *plan.Delivery) []byte { return notNil(d.Facts) }))
	}
	w.queue("UPDATE deliveries SET state = 2 WHERE id = ANY ($1::bigint[]) AND state = 0",
		len(withheld), column(withheld, id))
	for _, ds := range chunks(c.Acked, func(d *plan.Delivery) int { return len(d.Receipt) }) {
		w.queue("UPDATE deliveries d SET receipt = u.receipt FROM unnest($1::bigint[], $2::bytea[]) u (id, receipt)"+
			" WHERE d.id = u.id AND d.state = 1 AND d.receipt IS NULL", len(ds), column(ds, id),
			column(ds, func(d *plan.Delivery) []byte { return []byte(d.Receipt) }))
	}
}

func (w *writer) feeds(rows []plan.FeedRow) {
	w.queue("INSERT INTO feeds (recipient, seq, chain, acked, pending)"+
		" SELECT * FROM unnest($1::text[], $2::bigint[], $3::text[], $4::bigint[], $5::bigint[])"+
		" ON CONFLICT (recipient) DO UPDATE SET seq = excluded.seq, chain = excluded.chain,"+
		" acked = excluded.acked, pending = excluded.pending", len(rows),
		column(rows, func(f plan.FeedRow) string { return string(f.Recipient) }),
		column(rows, func(f plan.FeedRow) int64 { return f.Seq }),
		column(rows, func(f plan.FeedRow) string { return f.Chain }),
		column(rows, func(f plan.FeedRow) int64 { return f.Acked }),
		column(rows, func(f plan.FeedRow) int64 { return f.Pending }))
}

func (w *writer) statements(rows []*store.Statement) {
	for _, ss := range chunks(rows, func(s *store.Statement) int { return len(s.Raw) }) {
		w.queue("INSERT INTO statements (position, type, subject, revision, digest, previous, raw)"+
			" SELECT * FROM unnest($1::bigint[], $2::text[], $3::text[], $4::bigint[], $5::text[], $6::text[], $7::bytea[])",
			len(ss),
			column(ss, func(s *store.Statement) int64 { return s.Position }),
			column(ss, func(s *store.Statement) string { return s.Type }),
			column(ss, func(s *store.Statement) string { return s.Subject }),
			column(ss, func(s *store.Statement) int64 { return s.Revision }),
			column(ss, func(s *store.Statement) string { return s.Digest }),
			column(ss, func(s *store.Statement) string { return s.Previous }),
			column(ss, func(s *store.Statement) []byte { return notNil(s.Raw) }))
	}
}

// column makes an array of one field of the rows.
func column[T, V any](rows []T, field func(T) V) []V {
	out := make([]V, len(rows))
	for i, row := range rows {
		out[i] = field(row)
	}
	return out
}

// chunks cuts rows into runs of about maxStatement bytes.
func chunks[T any](rows []T, size func(T) int) [][]T {
	var out [][]T
	start, bytes := 0, 0
	for i, row := range rows {
		n := size(row)
		if i > start && bytes+n > maxStatement {
			out = append(out, rows[start:i])
			start, bytes = i, 0
		}
		bytes += n
	}
	if start < len(rows) {
		out = append(out, rows[start:])
	}
	return out
}

// notNil keeps empty bytes from becoming NULL.
func notNil(b []byte) []byte {
	if b == nil {
		return []byte{}
	}
	return b
}

func sum(key string) []byte {
	s := sha256.Sum256([]byte(key))
	return s[:]
}
