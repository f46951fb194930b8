package postgres

import (
	"github.com/entente-hub/entente/hub/store/internal/plan"
	"github.com/jackc/pgx/v5"
)

const (
	readRefusedSQL = "SELECT k.n, r.log_index FROM unnest($1::text[], $2::bytea[]) WITH ORDINALITY k (originator, digest, n)" +
		" JOIN refused r ON r.originator = k.originator COLLATE \"C\" AND r.digest = k.digest"
	dropRefusedSQL = "DELETE FROM refused r USING unnest($1::bigint[], $2::bigint[]) k (first, last)" +
		" WHERE r.log_index BETWEEN k.first AND k.last"
	setRefusedSQL = "INSERT INTO refused (originator, digest, log_index) SELECT * FROM unnest($1::text[], $2::bytea[], $3::bigint[])" +
		" ON CONFLICT (originator, digest) DO UPDATE SET log_index = excluded.log_index"
)

func queueRefused(b *pgx.Batch, keys []plan.RefusedKey, s *plan.State) {
	if len(keys) == 0 {
		return
	}
	b.Queue(readRefusedSQL,
		column(keys, func(k plan.RefusedKey) string { return string(k.Originator) }),
		column(keys, func(k plan.RefusedKey) []byte { return k.Digest[:] }),
	).Query(func(rows pgx.Rows) error {
		var n, index int64
		_, err := pgx.ForEachRow(rows, []any{&n, &index}, func() error {
			s.Refused[keys[n-1]] = index
			return nil
		})
		return err
	})
}

func (w *writer) refused(rows []plan.RefusedRow) {
	w.queue(setRefusedSQL, len(rows),
		column(rows, func(r plan.RefusedRow) string { return string(r.Originator) }),
		column(rows, func(r plan.RefusedRow) []byte { return r.Digest[:] }),
		column(rows, func(r plan.RefusedRow) int64 { return r.Index }))
}
