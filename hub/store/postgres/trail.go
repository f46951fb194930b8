package postgres

import (
	"github.com/entente-hub/entente/hub/store"
	"github.com/entente-hub/entente/hub/store/internal/plan"
	"github.com/jackc/pgx/v5"
)

// A leaf that was trimmed is empty: no other is. That its row stays where it is keeps
// entries numbered without gaps, and leaves of it some 40 bytes.
const (
	keptSQL = "SELECT k.n, (SELECT count(*) FROM log_entries e WHERE e.idx BETWEEN k.first AND k.last AND octet_length(e.leaf) > 0)" +
		" FROM unnest($1::bigint[], $2::bigint[]) WITH ORDINALITY k (first, last, n)"
	trimSQL = "UPDATE log_entries e SET leaf = ''::bytea FROM unnest($1::bigint[], $2::bigint[]) k (first, last)" +
		" WHERE e.idx BETWEEN k.first AND k.last AND octet_length(e.leaf) > 0"
	trailSQL = "SELECT idx, leaf FROM log_entries WHERE idx > $1 AND octet_length(leaf) > 0 ORDER BY idx LIMIT $2"
)

// queueKept counts what is left of runs of the log.
func queueKept(b *pgx.Batch, runs []store.Run, s *plan.State) {
	if len(runs) == 0 {
		return
	}
	b.Queue(keptSQL, firsts(runs), lasts(runs)).Query(func(rows pgx.Rows) error {
		var n, kept int64
		_, err := pgx.ForEachRow(rows, []any{&n, &kept}, func() error {
			s.Kept[runs[n-1]] = kept
			return nil
		})
		return err
	})
}

func (w *writer) trimmed(runs []store.Run) {
	count := int64(0)
	for _, r := range runs {
		count += r.Last - r.First + 1
	}
	w.queue(trimSQL, int(count), firsts(runs), lasts(runs))
}

func firsts(runs []store.Run) []int64 {
	return column(runs, func(r store.Run) int64 { return r.First })
}
func lasts(runs []store.Run) []int64 { return column(runs, func(r store.Run) int64 { return r.Last }) }
