package postgres

import (
	"context"
	"errors"

	"github.com/entente-hub/entente/hub/store"
	"github.com/entente-hub/entente/hub/store/internal/plan"
	"github.com/jackc/pgx/v5"
)

const usedSQL = "SELECT member, alerts, bytes, statements FROM used WHERE member = ANY ($1::text[])"

// queueUsed reads what members take up.
func queueUsed(b *pgx.Batch, members []memberID, s *plan.State) {
	if len(members) == 0 {
		return
	}
	b.Queue(usedSQL, column(members, func(m memberID) string { return string(m) })).Query(func(rows pgx.Rows) error {
		var m memberID
		var u store.Used
		_, err := pgx.ForEachRow(rows, []any{&m, &u.Alerts, &u.Bytes, &u.Statements}, func() error {
			s.Used[m] = u
			return nil
		})
		return err
	})
}

// used writes by how much that has changed.
func (w *writer) used(rows []plan.UsedRow) {
	w.queue("INSERT INTO used (member, alerts, bytes, statements)"+
		" SELECT * FROM unnest($1::text[], $2::bigint[], $3::bigint[], $4::bigint[])"+
		" ON CONFLICT (member) DO UPDATE SET alerts = used.alerts + excluded.alerts, bytes = used.bytes + excluded.bytes,"+
		" statements = used.statements + excluded.statements", len(rows),
		column(rows, func(u plan.UsedRow) string { return string(u.Member) }),
		column(rows, func(u plan.UsedRow) int64 { return u.By.Alerts }),
		column(rows, func(u plan.UsedRow) int64 { return u.By.Bytes }),
		column(rows, func(u plan.UsedRow) int64 { return u.By.Statements }))
}

// Used implements store.Store.
func (s *Store) Used(ctx context.Context, member memberID) (u store.Used, err error) {
	err = s.call("what is used", func() error {
		var m memberID
		return s.pool.QueryRow(ctx, usedSQL, []string{string(member)}).Scan(&m, &u.Alerts, &u.Bytes, &u.Statements)
	})
	if errors.Is(err, store.ErrNotFound) {
		return store.Used{}, nil
	}
	return u, err
}
