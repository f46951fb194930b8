package postgres

import (
	"github.com/entente-hub/entente/hub/store"
	"github.com/entente-hub/entente/hub/store/internal/plan"
	"github.com/jackc/pgx/v5"
)

func queueLabels(b *pgx.Batch, keys []plan.LabelKey, s *plan.State) {
	if len(keys) == 0 {
		return
	}
	b.Queue("SELECT k.n, l.id FROM unnest($1::text[], $2::bytea[]) WITH ORDINALITY k (originator, digest, n)"+
		" JOIN labels l ON l.originator = k.originator COLLATE \"C\" AND l.key_digest = k.digest",
		column(keys, func(k plan.LabelKey) string { return string(k.Originator) }),
		column(keys, func(k plan.LabelKey) []byte { return sum(k.Key) }),
	).Query(func(rows pgx.Rows) error {
		var n, id int64
		_, err := pgx.ForEachRow(rows, []any{&n, &id}, func() error {
			s.Labels[keys[n-1]] = id
			return nil
		})
		return err
	})
}

func queueFeeds(b *pgx.Batch, recipients []memberID, s *plan.State) {
	if len(recipients) == 0 {
		return
	}
	b.Queue("SELECT recipient, seq, chain, acked, pending FROM feeds WHERE recipient = ANY ($1::text[])",
		column(recipients, func(r memberID) string { return string(r) }),
	).Query(func(rows pgx.Rows) error {
		var r memberID
		var f store.Feed
		_, err := pgx.ForEachRow(rows, []any{&r, &f.Seq, &f.Chain, &f.Acked, &f.Pending}, func() error {
			s.Feeds[r] = f
			return nil
		})
		return err
	})
}

const (
	deliveryColumns = "SELECT d.id, d.recipient, d.alert, d.state, coalesce(d.seq, 0), coalesce(d.chain, '')," +
		" d.receipt IS NOT NULL, d.renewed, d.follows, d.lost"
	// LIMIT keeps the planner from one walk over all that is pending or withheld,
	// of which it believes at first that there is little.
	claimsSQL = deliveryColumns + " FROM unnest($1::bigint[], $2::text[]) k (alert, recipient) CROSS JOIN LATERAL" +
		" (SELECT * FROM deliveries e WHERE e.alert = k.alert AND e.recipient = k.recipient COLLATE \"C\"" +
		" AND e.state IN (0, 2) LIMIT 1) d"
	followsSQL = deliveryColumns + " FROM unnest($1::bigint[], $2::text[]) k (alert, recipient) CROSS JOIN LATERAL" +
		" (SELECT * FROM deliveries e WHERE e.alert = k.alert AND e.recipient = k.recipient COLLATE \"C\"" +
		" AND e.follows LIMIT 1) d"
)

// planned returns where the deliveryColumns go.
func planned(d *plan.Delivery) []any {
	return []any{&d.ID, &d.Recipient, &d.Alert, &d.State, &d.Seq, &d.Chain, &d.Acked, &d.Renewed, &d.Follows, &d.Lost}
}

// deliveries makes of rows of the deliveryColumns what put is told.
func deliveries(put func(*plan.Delivery)) func(pgx.Rows) error {
	return func(rows pgx.Rows) error {
		var d plan.Delivery
		_, err := pgx.ForEachRow(rows, planned(&d), func() error {
			row := d
			put(&row)
			return nil
		})
		return err
	}
}

func queueDeliveries(b *pgx.Batch, n plan.Needs, s *plan.State) {
	if len(n.Deliveries) > 0 {
		b.Queue(deliveryColumns+" FROM deliveries d WHERE d.id = ANY ($1::bigint[])", n.Deliveries).Query(deliveries(s.AddDelivery))
	}
	if len(n.Claims) > 0 {
		for _, query := range []string{claimsSQL, followsSQL} {
			b.Queue(query,
				column(n.Claims, func(c plan.Claim) int64 { return c.Alert }),
				column(n.Claims, func(c plan.Claim) string { return string(c.Recipient) }),
			).Query(deliveries(s.AddDelivery))
		}
	}
	if len(n.Items) > 0 {
		b.Queue(deliveryColumns+" FROM unnest($1::text[], $2::bigint[]) k (recipient, seq)"+
			" JOIN deliveries d ON d.recipient = k.recipient COLLATE \"C\" AND d.seq = k.seq",
			column(n.Items, func(k plan.ItemKey) string { return string(k.Recipient) }),
			column(n.Items, func(k plan.ItemKey) int64 { return k.Seq }),
		).Query(deliveries(func(d *plan.Delivery) { s.Items[plan.ItemKey{Recipient: d.Recipient, Seq: d.Seq}] = d }))
	}
}

func queueStatements(b *pgx.Batch, keys []plan.StatementKey, s *plan.State) {
	if len(keys) == 0 {
		return
	}
	b.Queue("SELECT s.type, s.subject, s.revision, s.digest, s.raw"+
		" FROM unnest($1::text[], $2::text[], $3::bigint[]) k (type, subject, revision) JOIN statements s"+
		" ON s.type = k.type COLLATE \"C\" AND s.subject = k.subject COLLATE \"C\" AND s.revision = k.revision",
		column(keys, func(k plan.StatementKey) string { return k.Type }),
		column(keys, func(k plan.StatementKey) string { return k.Subject }),
		column(keys, func(k plan.StatementKey) int64 { return k.Revision }),
	).Query(func(rows pgx.Rows) error {
		for rows.Next() {
			var k plan.StatementKey
			var row plan.StatementRow
			if err := rows.Scan(&k.Type, &k.Subject, &k.Revision, &row.Digest, &row.Raw); err != nil {
				return err
			}
			s.Statements[k] = row
		}
		return rows.Err()
	})
}

// queueDocuments reads proposals and bundles, and how far all is settled.
func queueDocuments(b *pgx.Batch, n plan.Needs, s *plan.State) {
	if len(n.Proposals) > 0 {
		b.Queue("SELECT digest, id, edition, type, subject, revision FROM proposals WHERE digest = ANY ($1::text[])", n.Proposals).
			Query(func(rows pgx.Rows) error {
				var digest string
				var p plan.ProposalRow
				_, err := pgx.ForEachRow(rows, []any{&digest, &p.Row, &p.Edition, &p.Type, &p.Subject, &p.Revision}, func() error {
					s.Proposals[digest] = p
					return nil
				})
				return err
			})
	}
	if len(n.Bundles) > 0 {
		b.Queue("SELECT digest, revision, raw FROM bundles WHERE digest = ANY ($1::text[])", n.Bundles).
			Query(func(rows pgx.Rows) error {
				for rows.Next() {
					var digest string
					var row plan.BundleRow
					if err := rows.Scan(&digest, &row.Revision, &row.Raw); err != nil {
						return err
					}
					s.Bundles[digest] = row
				}
				return rows.Err()
			})
	}
	if n.Settled {
		b.Queue("SELECT position, at FROM settled WHERE single = 1").QueryRow(func(row pgx.Row) error {
			return row.Scan(&s.Settled.Position, &s.Settled.At)
		})
	}
}
