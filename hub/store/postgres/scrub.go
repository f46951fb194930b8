package postgres

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/entente-hub/entente/crypto/shroud"
	"github.com/jackc/pgx/v5"
)

const (
	addKeysSQL = "INSERT INTO erasable_keys (n, key) SELECT * FROM unnest($1::bigint[], $2::bytea[])"
	// The key of what is left of a token takes the place of what opened it before.
	setKeysSQL = addKeysSQL + " ON CONFLICT (n) DO UPDATE SET key = excluded.key"
	// Where nothing is left that could be erased there is nothing to open.
	dropKeysSQL = "DELETE FROM erasable_keys WHERE n = ANY ($1::bigint[])"
	erasedSQL   = "UPDATE shrouded SET erased = erased + $1 WHERE single = 1"
)

// uncleanSQL asks whether something was stored in the clear that is to be erased, whether
// all of that has its key by now, and whether a key was erased since the last rewriting.
const uncleanSQL = "SELECT clear, clear AND NOT EXISTS (SELECT FROM alerts a WHERE a.erase_at > 0" +
	" AND NOT EXISTS (SELECT FROM erasable_keys k WHERE k.n = a.id)), erased > scrubbed FROM shrouded WHERE single = 1"

// keyed is an alert's row and what opens its token.
type keyed struct {
	row int64
	key []byte
}

// sealed returns the tokens of some alerts as they are to be stored: those of which
// something is to be erased under the keys that come with them, the others, whose rows are
// in clear, as they are.
func sealed[T any](alerts []T, of func(T) (row, eraseAt int64, token string)) (keys []keyed, clear []int64, tokens [][]byte) {
	for _, a := range alerts {
		row, eraseAt, token := of(a)
		stored := []byte(token)
		if eraseAt == 0 {
			clear = append(clear, row)
		} else {
			var key []byte
			key, stored = shroud.Seal(stored)
			keys = append(keys, keyed{row, key})
		}
		tokens = append(tokens, stored)
	}
	return keys, clear, tokens
}

func (w *writer) keys(sql string, keys []keyed) {
	w.queue(sql, len(keys), column(keys, func(k keyed) int64 { return k.row }), column(keys, func(k keyed) []byte { return k.key }))
}

const (
	// scrubShare is what part of the time Scrub may take at most, in which nothing else is
	// read or written.
	scrubShare = 100
	// scrubLock is how long a rewrite waits for those who read, and others behind it.
	scrubLock = "1s"
	// scrubTime is how many milliseconds a rewrite of a table may take: a minute, and a
	// second for each 4 MB of it.
	scrubTime = "SELECT (60000 + pg_table_size($1::text::regclass) / 4000)::text"
	// scrubLease gives the head back soon where the hub that rewrites is cut off, or
	// hangs: after that time, or when its machine has not answered for some seconds.
	scrubLease = "SELECT set_config('idle_in_transaction_session_timeout', $1, true)," +
		" set_config('tcp_keepalives_idle', '5', true), set_config('tcp_keepalives_interval', '5', true)," +
		" set_config('tcp_keepalives_count', '3', true)"
)

// Scrub implements store.Store. A deleted row stays in the file of its table, in whole or
// in part, also after VACUUM: so the table of keys, which holds no more than those of what
// is live, is rewritten (VACUUM FULL), and its old file removed. That keeps rows which an
// older transaction could still see, also one that only stands idle: then it is not clean.
// Rewriting takes each hub at most a hundredth of its time, whether it succeeds or not; until
// it is due again nothing is done. An earlier version's table of alerts is rewritten alike.
func (s *Store) Scrub(ctx context.Context) (clean bool, err error) {
	leave, err := s.gate.Enter()
	if err != nil {
		return false, err
	}
	defer leave()
	if clean, err = s.scrub(ctx); err != nil {
		err = fmt.Errorf("postgres: scrubbing: %w", err)
	}
	return clean, err
}

func (s *Store) scrub(ctx context.Context) (clean bool, err error) {
	var clear, ready, keys bool
	if err := s.pool.QueryRow(ctx, uncleanSQL).Scan(&clear, &ready, &keys); err != nil {
		return false, err
	}
	if !ready && !keys {
		return !clear, nil
	}
	s.scrubbing.Lock()
	defer s.scrubbing.Unlock()
	if time.Since(s.scrubbed) < scrubShare*s.scrubTook {
		return false, nil
	}
	began := time.Now()
	defer func() { s.scrubbed, s.scrubTook = time.Now(), time.Since(began) }()
	if ready {
		done, err := s.rewrite(ctx, "alerts", "clear", "clear = false")
		if err != nil {
			return false, err
		}
		clear = !done
	}
	if keys {
		done, err := s.rewrite(ctx, "erasable_keys", "erased > scrubbed", "scrubbed = erased")
		return done && !clear, err
	}
	return !clear, nil
}

// errNotRewritten is of a table that the server has left as it was, with a warning.
var errNotRewritten = errors.New("the server did not rewrite it: does the hub's role own it?")

// rewrite rewrites a table, while nobody commits, so that the rows that
// were kept can be counted, unless another hub was faster, after which due does not hold.
// Where those rows are no more than can be seen it notes that with then, and reports it.
func (s *Store) rewrite(ctx context.Context, table, due, then string) (clean bool, err error) {
	var within string
	if err := s.pool.QueryRow(ctx, scrubTime, table).Scan(&within); err != nil {
		return false, err
	}
	conn, err := s.rewriter(ctx, within)
	if err != nil {
		return false, err
	}
	defer func() { err = errors.Join(err, hangUp(conn)) }()
	tx, err := s.pool.Begin(ctx)
	if err != nil {
		return false, err
	}
	defer func() {
		if rollback := tx.Rollback(context.WithoutCancel(ctx)); !errors.Is(rollback, pgx.ErrTxClosed) {
			err = errors.Join(err, rollback)
		}
	}()
	if _, err := tx.Exec(ctx, scrubLease, within); err != nil {
		return false, err
	}
	if _, err := tx.Exec(ctx, "SELECT FROM log_head WHERE single = 1 FOR UPDATE"); err != nil {
		return false, err
	}
	var still bool
	if err := tx.QueryRow(ctx, "SELECT "+due+" FROM shrouded WHERE single = 1").Scan(&still); err != nil || !still {
		return err == nil, err
	}
	var before, after int64
	const file = "SELECT relfilenode::bigint FROM pg_class WHERE oid = $1::text::regclass"
	if err := tx.QueryRow(ctx, file, table).Scan(&before); err != nil {
		return false, err
	}
	if _, err := conn.Exec(ctx, "VACUUM (FULL) "+table); err != nil {
		return false, err
	}
	if err := tx.QueryRow(ctx, file, table).Scan(&after); err != nil {
		return false, err
	}
	if before == after {
		return false, fmt.Errorf("%s: %w", table, errNotRewritten)
	}
	// The index was built from all rows that the rewrite has kept, dead ones too; of none
	// the server says -1. From millions on it says it as a rounded number.
	kept := "SELECT greatest(reltuples, 0) <= (SELECT count(*) FROM " + table + ")::real FROM pg_class WHERE oid = $1::text::regclass"
	if err := tx.QueryRow(ctx, kept, table+"_pkey").Scan(&clean); err != nil || !clean {
		return false, err
	}
	if _, err := tx.Exec(ctx, "UPDATE shrouded SET "+then+" WHERE single = 1"); err != nil {
		return false, err
	}
	return true, tx.Commit(ctx)
}

// rewriter returns a connection on which tables are rewritten: none of the pool's, which
// commits may have taken that wait for what the rewrite holds.
func (s *Store) rewriter(ctx context.Context, within string) (*pgx.Conn, error) {
	conn, err := pgx.ConnectConfig(ctx, s.config.Copy())
	if err != nil {
		return nil, err
	}
	if _, err := conn.Exec(ctx, "SET lock_timeout = '"+scrubLock+"'; SET statement_timeout = "+within); err != nil {
		return nil, errors.Join(err, hangUp(conn))
	}
	return conn, nil
}

// Clock implements store.Store.
func (s *Store) Clock(ctx context.Context) (at time.Time, server bool, err error) {
	err = s.call("the server's clock", func() error {
		return s.pool.QueryRow(ctx, "SELECT clock_timestamp()").Scan(&at)
	})
	return at, true, err
}

// Remember implements store.Store: the server has a clock.
func (s *Store) Remember(context.Context, time.Time) error { return nil }
