package postgres

import (
	"context"

	"github.com/entente-hub/entente/api/alert"
	"github.com/entente-hub/entente/hub/store"
	"github.com/entente-hub/entente/hub/store/internal/plan"
	"github.com/jackc/pgx/v5"
)

const (
	// tokenSize is without shroud.Overhead.
	tokenSize  = "length(a.token) - CASE WHEN EXISTS (SELECT FROM erasable_keys k WHERE k.n = a.id) THEN 16 ELSE 0 END"
	selectRows = "SELECT a.id, a.originator, a.alert, a.version, a.digest, a.signed_digest, a.erase_at, a.over, a.recall, " + ended + ", " + tokenSize
	// versions joins alert versions a to the names $1, $2 and $3 of some.
	versions = " FROM unnest($1::text[], $2::text[], $3::int[]) k (originator, alert, version) JOIN alerts a" +
		" ON a.originator = k.originator COLLATE \"C\" AND a.alert = k.alert COLLATE \"C\""
	sameVersion = " AND a.version = k.version"
	erasableSQL = selectRows + versions + " AND a.version <= k.version AND a.erase_at > 0 AND NOT a.over"
	endedSQL    = deliveryColumns + ", f.seq, f.chain, f.acked, f.pending" + versions + sameVersion +
		" JOIN deliveries d ON d.alert = a.id JOIN feeds f ON f.recipient = d.recipient"
	// LIMIT as in claimsSQL.
	purgersSQL = deliveryColumns +
		" FROM unnest($1::text[], $2::text[], $3::int[], $4::text[]) k (originator, alert, version, recipient) JOIN alerts a" +
		" ON a.originator = k.originator COLLATE \"C\" AND a.alert = k.alert COLLATE \"C\" AND a.version = k.version" +
		" CROSS JOIN LATERAL (SELECT * FROM deliveries e WHERE e.alert = a.id AND e.recipient = k.recipient COLLATE \"C\"" +
		" AND e.seq IS NOT NULL LIMIT 1) d"
	purgedSQL = "SELECT k.n FROM unnest($1::text[], $2::text[], $3::int[], $4::text[], $5::text[], $6::bytea[], $7::bigint[])" +
		" WITH ORDINALITY k (originator, alert, version, recipient, cause, portions_digest, at, n) JOIN alerts a" +
		" ON a.originator = k.originator COLLATE \"C\" AND a.alert = k.alert COLLATE \"C\" AND a.version = k.version" +
		" JOIN purges p ON p.alert = a.id AND p.recipient = k.recipient COLLATE \"C\" AND p.cause = k.cause COLLATE \"C\"" +
		" AND p.portions_digest = k.portions_digest AND p.at = k.at"

	eraseSQL = "UPDATE alerts a SET erase_at = u.erase_at, over = u.over, token = u.token" +
		" FROM unnest($1::bigint[], $2::bigint[], $3::bigint[], $4::boolean[], $5::bytea[]) u (id, stored, erase_at, over, token)" +
		" WHERE a.id = u.id AND a.erase_at = u.stored"
	endSQL = "UPDATE alerts a SET erase_at = u.erase_at, over = u.over" +
		" FROM unnest($1::bigint[], $2::bigint[], $3::bigint[], $4::boolean[]) u (id, stored, erase_at, over)" +
		" WHERE a.id = u.id AND a.erase_at = u.stored"

	dueSQL = "SELECT a.id, a.over, " + alertColumns + " FROM alerts a" +
		" WHERE a.erase_at > 0 AND a.erase_at <= $1 AND (a.erase_at, a.id) > ($2, $3) ORDER BY a.erase_at, a.id LIMIT $4"
	handedSQL = "SELECT EXISTS (SELECT 1 FROM alerts a JOIN deliveries d ON d.alert = a.id WHERE a.originator = $1 AND a.alert = $2" +
		" AND d.recipient = $3 AND d.seq IS NOT NULL)"
	publishedSQL = "SELECT " + alertColumns +
		" FROM alerts a WHERE a.originator || '' = $1 AND a.log_index > $2 ORDER BY a.log_index, a.id LIMIT $3"
	holdersSQL = "SELECT d.recipient, a.version, d.seq, d.chain, d.facts, d.receipt, d.lost" +
		" FROM alerts a JOIN deliveries d ON d.alert = a.id" +
		" WHERE a.originator = $1 AND a.alert = $2 AND d.seq IS NOT NULL ORDER BY d.recipient, d.seq"
	purgesSQL = "SELECT p.recipient, a.originator, a.alert, a.version, p.cause, p.portions, p.at, p.receipt" +
		" FROM alerts a JOIN purges p ON p.alert = a.id" +
		" WHERE a.originator = $1 AND a.alert = $2 ORDER BY p.recipient, a.version, p.cause, p.portions, p.at"
)

// names returns the arguments that name alert versions.
func names(keys []plan.AlertKey) []any {
	return []any{
		column(keys, func(k plan.AlertKey) string { return string(k.Originator) }),
		column(keys, func(k plan.AlertKey) string { return string(k.ID) }),
		column(keys, func(k plan.AlertKey) int32 { return int32(k.Version) }),
	}
}

// queueAlerts reads alert versions by name and by row.
func queueAlerts(b *pgx.Batch, n plan.Needs, s *plan.State) {
	if len(n.Alerts) > 0 {
		b.Queue(selectRows+versions+sameVersion, names(n.Alerts)...).Query(alertRows(s))
	}
	if len(n.Rows) > 0 {
		b.Queue(selectRows+" FROM alerts a WHERE a.id = ANY ($1::bigint[])", n.Rows).Query(alertRows(s))
	}
}

func alertRows(s *plan.State) func(pgx.Rows) error {
	return func(rows pgx.Rows) error {
		var a plan.AlertRow
		var digest []byte
		dest := []any{&a.Row, &a.Originator, &a.ID, &a.Version, &digest, &a.SignedDigest, &a.EraseAt, &a.Over, &a.Recall, &a.Ended, &a.Size}
		_, err := pgx.ForEachRow(rows, dest, func() error {
			copy(a.Digest[:], digest)
			s.AddAlert(a)
			return nil
		})
		return err
	}
}

// queueEnds reads what later versions end.
func queueEnds(b *pgx.Batch, keys []plan.AlertKey, s *plan.State) {
	if len(keys) == 0 {
		return
	}
	b.Queue(erasableSQL, names(keys)...).Query(alertRows(s))
	b.Queue(endedSQL, names(keys)...).Query(func(rows pgx.Rows) error {
		var d plan.Delivery
		var f store.Feed
		_, err := pgx.ForEachRow(rows, append(planned(&d), &f.Seq, &f.Chain, &f.Acked, &f.Pending), func() error {
			row := d
			s.AddDelivery(&row)
			s.Feeds[d.Recipient] = f
			return nil
		})
		return err
	})
}

// queuePurges reads purge receipts, and the hand-overs that they need.
func queuePurges(b *pgx.Batch, keys []plan.PurgeKey, s *plan.State) {
	if len(keys) == 0 {
		return
	}
	of := names(column(keys, func(k plan.PurgeKey) plan.AlertKey { return k.AlertKey }))
	recipients := column(keys, func(k plan.PurgeKey) string { return string(k.Recipient) })
	b.Queue(purgersSQL, append(of, recipients)...).Query(deliveries(s.AddDelivery))
	b.Queue(purgedSQL, append(of, recipients,
		column(keys, func(k plan.PurgeKey) string { return k.Cause }),
		column(keys, func(k plan.PurgeKey) []byte { return sum(k.Portions) }),
		column(keys, func(k plan.PurgeKey) int64 { return k.At }))...,
	).Query(func(rows pgx.Rows) error {
		var n int64
		_, err := pgx.ForEachRow(rows, []any{&n}, func() error {
			s.Purges[keys[n-1]] = true
			return nil
		})
		return err
	})
}

// altered writes what has become of alerts that were stored before.
func (w *writer) altered(rows []*plan.AlertRow) {
	var erased, ended []*plan.AlertRow
	for _, a := range rows {
		if a.Token() != nil {
			erased = append(erased, a)
		} else {
			ended = append(ended, a)
		}
	}
	args := func(rows []*plan.AlertRow) []any {
		return []any{
			column(rows, func(a *plan.AlertRow) int64 { return a.Row }),
			column(rows, (*plan.AlertRow).Stored),
			column(rows, func(a *plan.AlertRow) int64 { return a.EraseAt }),
			column(rows, func(a *plan.AlertRow) bool { return a.Over }),
		}
	}
	w.queue(endSQL, len(ended), args(ended)...)
	for _, as := range chunks(erased, func(a *plan.AlertRow) int { return len(*a.Token()) }) {
		keys, gone, tokens := sealed(as, func(a *plan.AlertRow) (int64, int64, string) { return a.Row, a.EraseAt, *a.Token() })
		w.queue(eraseSQL, len(as), append(args(as), tokens)...)
		if len(gone) > 0 {
			w.batch.Queue(dropKeysSQL, gone)
		}
		w.keys(setKeysSQL, keys)
	}
	w.queue(erasedSQL, min(len(erased), 1), len(erased))
}

func (w *writer) purges(rows []plan.NewPurge) {
	for _, ps := range chunks(rows, func(p plan.NewPurge) int { return len(p.Portions) + len(p.Receipt) }) {
		w.queue("INSERT INTO purges (alert, recipient, cause, portions_digest, portions, at, receipt)"+
			" SELECT * FROM unnest($1::bigint[], $2::text[], $3::text[], $4::bytea[], $5::bytea[], $6::bigint[], $7::bytea[])", len(ps),
			column(ps, func(p plan.NewPurge) int64 { return p.Alert }),
			column(ps, func(p plan.NewPurge) string { return string(p.Recipient) }),
			column(ps, func(p plan.NewPurge) string { return p.Cause }),
			column(ps, func(p plan.NewPurge) []byte { return sum(p.Portions) }),
			column(ps, func(p plan.NewPurge) []byte { return []byte(p.Portions) }),
			column(ps, func(p plan.NewPurge) int64 { return p.At }),
			column(ps, func(p plan.NewPurge) []byte { return []byte(p.Receipt) }))
	}
}

// Due implements store.Store.
func (s *Store) Due(ctx context.Context, at int64, after store.Place, limit int) ([]store.Due, error) {
	return list(ctx, s, "what is due", func(row pgx.CollectableRow) (d store.Due, err error) {
		dest, finish := alertDest(&d.Alert)
		err = row.Scan(append([]any{&d.Row, &d.Over}, dest...)...)
		finish()
		return d, err
	}, dueSQL, at, after.EraseAt, after.Row, max(limit, 0))
}

// Handed implements store.Store.
func (s *Store) Handed(ctx context.Context, recipient, originator alert.MemberID, id alert.ID) (bool, error) {
	has, err := list(ctx, s, "hand-overs", pgx.RowTo[bool], handedSQL, string(originator), string(id), string(recipient))
	return err == nil && has[0], err
}

// Published implements store.Store.
func (s *Store) Published(ctx context.Context, originator alert.MemberID, after int64, limit int) ([]store.Alert, error) {
	return list(ctx, s, "what was published", func(row pgx.CollectableRow) (a store.Alert, err error) {
		dest, finish := alertDest(&a)
		err = row.Scan(dest...)
		finish()
		return a, err
	},
		publishedSQL, string(originator), after, max(limit, 0))
}

// Holders implements store.Store.
func (s *Store) Holders(ctx context.Context, originator alert.MemberID, id alert.ID) ([]store.Holder, error) {
	return list(ctx, s, "holders", func(row pgx.CollectableRow) (h store.Holder, err error) {
		var receipt []byte
		err = row.Scan(&h.Recipient, &h.Version, &h.Seq, &h.Chain, &h.Facts, &receipt, &h.Lost)
		h.Facts, h.Receipt = nilIfEmpty(h.Facts), string(receipt)
		return h, err
	}, holdersSQL, string(originator), string(id))
}

// Purges implements store.Store.
func (s *Store) Purges(ctx context.Context, originator alert.MemberID, id alert.ID) ([]store.Purge, error) {
	return list(ctx, s, "purges", func(row pgx.CollectableRow) (p store.Purge, err error) {
		var portions, receipt []byte
		err = row.Scan(&p.Recipient, &p.Originator, &p.ID, &p.Version, &p.Cause, &portions, &p.At, &receipt)
		p.Portions, p.Receipt = string(portions), string(receipt)
		return p, err
	}, purgesSQL, string(originator), string(id))
}
