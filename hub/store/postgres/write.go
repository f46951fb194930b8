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
	w.trimmed(c.Trimmed)
	w.refused(c.Refused)
	w.alerts(c)
	w.altered(c.Altered)
	w.deliveries(c)
	w.purges(c.Purges)
	w.feeds(c.Feeds)
	w.statements(c.Statements)
	w.documents(c)
	w.used(c.Used)
	w.queue("UPDATE log_head SET size = $1, root = $2, alerts = $3, labels = $4, deliveries = $5, statements = $6,"+
		" proposals = $7, bundles = $8 WHERE single = 1 AND size = $9 AND root = $10", 1,
		c.New.Size, c.New.Root[:], c.New.Alerts, c.New.Labels, c.New.Deliveries, c.New.Statements, c.New.Proposals, c.New.Bundles,
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
	for _, as := range chunks(c.Alerts, func(a *plan.NewAlert) int { return len(a.Token) }) {
		keys, _, tokens := sealed(as, func(a *plan.NewAlert) (int64, int64, string) { return a.Row, a.EraseAt, a.Token })
		w.queue("INSERT INTO alerts (id, originator, alert, version, token, digest, signed_digest, previous,"+
			" issued_at, expires, accepted_at, log_index, erase_at, over, recall, refers) SELECT * FROM unnest($1::bigint[], $2::text[], $3::text[],"+
			" $4::int[], $5::bytea[], $6::bytea[], $7::text[], $8::text[], $9::bigint[], $10::bigint[], $11::bigint[],"+
			" $12::bigint[], $13::bigint[], $14::boolean[], $15::boolean[], $16::boolean[])", len(as),
			column(as, func(a *plan.NewAlert) int64 { return a.Row }),
			column(as, func(a *plan.NewAlert) string { return string(a.Originator) }),
			column(as, func(a *plan.NewAlert) string { return string(a.ID) }),
			column(as, func(a *plan.NewAlert) int32 { return int32(a.Version) }),
			tokens,
			column(as, func(a *plan.NewAlert) []byte { return a.Digest[:] }),
			column(as, func(a *plan.NewAlert) string { return a.SignedDigest }),
			column(as, func(a *plan.NewAlert) string { return a.Previous }),
			column(as, func(a *plan.NewAlert) int64 { return a.IssuedAt }),
			column(as, func(a *plan.NewAlert) int64 { return a.Expires }),
			column(as, func(a *plan.NewAlert) int64 { return a.AcceptedAt }),
			column(as, func(a *plan.NewAlert) int64 { return a.LogIndex }),
			column(as, func(a *plan.NewAlert) int64 { return a.EraseAt }),
			column(as, func(a *plan.NewAlert) bool { return a.Over }),
			column(as, func(a *plan.NewAlert) bool { return a.Recall }),
			column(as, func(a *plan.NewAlert) bool { return a.Refers }))
		w.keys(addKeysSQL, keys)
	}
	w.labels(c)
	w.queue("INSERT INTO portions (alert, position, portion, label)"+
		" SELECT * FROM unnest($1::bigint[], $2::int[], $3::text[], $4::bigint[])", len(c.Portions),
		column(c.Portions, func(p plan.NewPortion) int64 { return p.Alert }),
		column(c.Portions, func(p plan.NewPortion) int32 { return int32(p.Position) }),
		column(c.Portions, func(p plan.NewPortion) string { return string(p.ID) }),
		column(c.Portions, func(p plan.NewPortion) int64 { return p.Label }))
}

func (w *writer) labels(c *plan.Changes) {
	for _, ls := range chunks(c.Labels, func(l plan.NewLabel) int { return len(l.Key) + len(l.Audience) }) {
		w.queue("INSERT INTO labels (id, originator, key_digest, key, audience)"+
			" SELECT * FROM unnest($1::bigint[], $2::text[], $3::bytea[], $4::bytea[], $5::bytea[])", len(ls),
			column(ls, func(l plan.NewLabel) int64 { return l.Row }),
			column(ls, func(l plan.NewLabel) string { return string(l.Originator) }),
			column(ls, func(l plan.NewLabel) []byte { return sum(l.Key) }),
			column(ls, func(l plan.NewLabel) []byte { return []byte(l.Key) }),
			column(ls, func(l plan.NewLabel) []byte { return nilIfEmpty(l.Audience) }))
	}
	for _, ls := range chunks(c.Audiences, func(l store.Label) int { return len(l.Audience) }) {
		w.queue("UPDATE labels l SET audience = u.audience FROM unnest($1::bigint[], $2::bytea[]) u (id, audience)"+
			" WHERE l.id = u.id", len(ls),
			column(ls, func(l store.Label) int64 { return l.Row }),
			column(ls, func(l store.Label) []byte { return nilIfEmpty(l.Audience) }))
	}
}

const (
	moveSQL = "UPDATE deliveries d SET state = u.state, seen = u.seen, renewed = u.renewed, seq = u.seq, chain = u.chain," +
		" digest = u.digest, facts = u.facts FROM unnest($1::bigint[], $2::smallint[], $3::smallint[], $4::bigint[]," +
		" $5::boolean[], $6::bigint[], $7::text[], $8::text[], $9::bytea[])" +
		" u (id, stored, state, seen, renewed, seq, chain, digest, facts) WHERE d.id = u.id AND d.state = u.stored"
	ackSQL = "UPDATE deliveries d SET receipt = u.receipt FROM unnest($1::bigint[], $2::bytea[]) u (id, receipt)" +
		" WHERE d.id = u.id AND d.state = 1 AND d.receipt IS NULL"
	loseSQL = "UPDATE deliveries SET lost = true WHERE id = ANY ($1::bigint[]) AND state = 1 AND NOT lost"
)

func (w *writer) deliveries(c *plan.Changes) {
	id := func(d *plan.Delivery) int64 { return d.ID }
	for _, ds := range chunks(c.Moved, facts) {
		args := append([]any{column(ds, id), column(ds, func(d *plan.Delivery) int16 { return int16(d.Stored()) })}, places(ds)...)
		w.queue(moveSQL, len(ds), args...)
	}
	for _, ds := range chunks(c.Deliveries, facts) {
		args := append([]any{column(ds, id), column(ds, func(d *plan.Delivery) string { return string(d.Recipient) }),
			column(ds, func(d *plan.Delivery) int64 { return d.Alert }),
			column(ds, func(d *plan.Delivery) bool { return d.Follows })}, places(ds)...)
		w.queue("INSERT INTO deliveries (id, recipient, alert, follows, state, seen, renewed, seq, chain, digest, facts)"+
			" SELECT * FROM unnest($1::bigint[], $2::text[], $3::bigint[], $4::boolean[], $5::smallint[], $6::bigint[],"+
			" $7::boolean[], $8::bigint[], $9::text[], $10::text[], $11::bytea[])", len(ds), args...)
	}
	for _, ds := range chunks(c.Acked, func(d *plan.Delivery) int { return len(d.Receipt) }) {
		w.queue(ackSQL, len(ds), column(ds, id),
			column(ds, func(d *plan.Delivery) []byte { return []byte(d.Receipt) }))
	}
	w.queue(loseSQL, len(c.Lost), column(c.Lost, id))
}

func facts(d *plan.Delivery) int { return len(d.Facts) }

// places returns what has become of deliveries and, of those that were handed
// over, their places in the feeds, else NULLs.
func places(ds []*plan.Delivery) []any {
	return []any{
		column(ds, func(d *plan.Delivery) int16 { return int16(d.State) }),
		column(ds, func(d *plan.Delivery) int64 { return d.Seen }),
		column(ds, func(d *plan.Delivery) bool { return d.Renewed }),
		column(ds, func(d *plan.Delivery) *int64 { return ifHanded(d, &d.Seq) }),
		column(ds, func(d *plan.Delivery) *string { return ifHanded(d, &d.Chain) }),
		column(ds, func(d *plan.Delivery) *string { return ifHanded(d, &d.Digest) }),
		column(ds, func(d *plan.Delivery) []byte {
			if d.State != store.Handed {
				return nil
			}
			return notNil(d.Facts)
		}),
	}
}

func ifHanded[T any](d *plan.Delivery, v *T) *T {
	if d.State != store.Handed {
		return nil
	}
	return v
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
