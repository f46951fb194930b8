package postgres

import (
	"github.com/entente-hub/entente/hub/store/internal/plan"
	"github.com/jackc/pgx/v5"
)

const refusedSQL = "SELECT k.n, r.reason FROM unnest($1::text[], $2::bytea[]) WITH ORDINALITY k (originator, digest, n)" +
	" JOIN refused r ON r.originator = k.originator COLLATE \"C\" AND r.digest = k.digest"

func queueRefused(b *pgx.Batch, keys []plan.RefusedKey, s *plan.State) {
	if len(keys) == 0 {
		return
	}
	b.Queue(refusedSQL,
		column(keys, func(k plan.RefusedKey) string { return string(k.Originator) }),
		column(keys, func(k plan.RefusedKey) []byte { return k.Digest[:] }),
	).Query(func(rows pgx.Rows) error {
		for rows.Next() {
			var n int64
			var reason []byte
			if err := rows.Scan(&n, &reason); err != nil {
				return err
			}
			s.Refused[keys[n-1]] = reason
		}
		return rows.Err()
	})
}

func (w *writer) refused(rows []plan.RefusedRow) {
	w.queue("INSERT INTO refused (originator, digest, reason) SELECT * FROM unnest($1::text[], $2::bytea[], $3::bytea[])", len(rows),
		column(rows, func(r plan.RefusedRow) string { return string(r.Originator) }),
		column(rows, func(r plan.RefusedRow) []byte { return r.Digest[:] }),
		column(rows, func(r plan.RefusedRow) []byte { return r.Reason }))
}
