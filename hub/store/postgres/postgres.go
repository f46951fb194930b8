// Package postgres implements store.Store on PostgreSQL 13 or newer, for any
// number of hub processes on one database.
//
// The row of log_head is the one serial point: a commit locks it first, and
// holds it until its transaction is on stable storage. So what a commit reads
// stays true until it is through, no other row lock is ever waited for, and the
// audit log has one order. Groups of writes make up for it.
//
// A token of which something is to be erased is stored under a key of its own (package
// shroud), in a table that holds the keys of what is live. An Erase leaves dead rows, which
// nothing opens once its key is gone; Scrub removes the file that the key was in. In
// write-ahead segments, on standbys that replay late and in backups both stand for as long
// as those are kept, and blocks that a file system or an SSD keeps are out of reach: no
// client can change that, so the disks have to be encrypted. What a Trim erased is in dead rows
// until the server has vacuumed them, which the schema has it do soon.
package postgres

import (
	"cmp"
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"github.com/entente-hub/entente/hub/store"
	"github.com/entente-hub/entente/hub/store/internal/gate"
	"github.com/entente-hub/entente/hub/store/internal/plan"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
)

// minVersion is the oldest server version that is accepted.
const minVersion = 130000

// sessionParams are set on each connection, whatever the server, database or
// role says. Every statement here is a look-up or a short range of an index, so
// plans are made once, without scans, hashes and bitmaps: a table that grew since
// the last ANALYZE can't be read from end to end, nor a page's index to its end. A process that hangs within a
// transaction gives the head back after some seconds.
var sessionParams = map[string]string{
	"default_transaction_isolation":       "read committed",
	"idle_in_transaction_session_timeout": "15s",
	"plan_cache_mode":                     "force_generic_plan",
	"enable_seqscan":                      "off",
	"enable_bitmapscan":                   "off",
	"enable_hashjoin":                     "off",
	"enable_mergejoin":                    "off",
	"jit":                                 "off",
	"client_encoding":                     "UTF8",
}

// Options says what the DSN does not.
type Options struct {
	// Schema is where the tables are; created if it does not exist. Empty: the
	// first of the DSN's or role's search_path.
	Schema string
}

// Store is a store.Store on PostgreSQL.
type Store struct {
	pool    *pgxpool.Pool
	config  *pgx.ConnConfig // for listeners
	channel string          // of NOTIFY, one for each schema
	sender  string          // this process, to tell its own notifications
	edge    plan.Edge
	turns   chan struct{} // taken by each commit of this process
	outbox  *mailbox

	gate  gate.Gate
	ctx   context.Context // ends with Close
	close context.CancelFunc
	tasks sync.WaitGroup // notifier and subscriptions

	scrubbing sync.Mutex    // held by Scrub
	scrubbed  time.Time     // when it last rewrote something
	scrubTook time.Duration // and for how long

	reign reign // of the server that new connections come to

	commits   sync.WaitGroup  // that the server has not answered
	abandon   context.Context // ends when Close waits for them no longer
	leave     context.CancelFunc
	abandoned atomic.Bool
}

var _ store.Store = (*Store)(nil)

// Open connects to the database that a DSN names, as a URL or in libpq's
// keyword form, and brings its schema up to date; pool_max_conns and the like
// are pgxpool's. Of several hosts in the DSN the first is used that takes writes,
// whatever its target_session_attrs say. A server that does not write commits to stable storage
// (fsync=off) is refused, as is a database with a newer schema than this
// program's or another encoding than UTF8.
func Open(ctx context.Context, dsn string, options Options) (*Store, error) {
	config, err := pgxpool.ParseConfig(dsn)
	if err != nil {
		return nil, fmt.Errorf("postgres: %w", err) // pgx keeps the password out of it
	}
	for k, v := range sessionParams {
		config.ConnConfig.RuntimeParams[k] = v
	}
	if options.Schema != "" {
		config.ConnConfig.RuntimeParams["search_path"] = pgx.Identifier{options.Schema}.Sanitize()
	}
	s := &Store{config: config.ConnConfig, sender: rand.Text(), turns: make(chan struct{}, 2), outbox: newMailbox()}
	s.abandon, s.leave = context.WithCancel(context.Background())
	vouch(s.config, &s.abandoned)
	if err := checkServer(ctx, s.config); err != nil {
		return nil, fmt.Errorf("postgres: %w", err)
	}
	if err := migrate(ctx, s.config, options.Schema); err != nil {
		return nil, fmt.Errorf("postgres: %w", err)
	}
	if s.pool, err = pgxpool.NewWithConfig(ctx, config); err != nil {
		return nil, fmt.Errorf("postgres: %w", err)
	}
	var schema string
	if err := s.pool.QueryRow(ctx, "SELECT current_schema()").Scan(&schema); err != nil {
		s.pool.Close()
		return nil, fmt.Errorf("postgres: %w", err)
	}
	sum := sha256.Sum256([]byte(schema))
	s.channel = "entente_" + hex.EncodeToString(sum[:8])
	s.ctx, s.close = context.WithCancel(context.Background())
	s.tasks.Go(s.notify)
	s.tasks.Go(s.watch)
	return s, nil
}

// checkServer refuses a server that could not keep what it has acknowledged.
func checkServer(ctx context.Context, config *pgx.ConnConfig) (err error) {
	conn, err := pgx.ConnectConfig(ctx, config)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, conn.Close(ctx)) }()
	for _, want := range [][2]string{{"fsync", "on"}, {"full_page_writes", "on"}, {"server_encoding", "UTF8"}} {
		var have string
		if err := conn.QueryRow(ctx, "SELECT current_setting($1)", want[0]).Scan(&have); err != nil {
			return err
		}
		if have != want[1] {
			return fmt.Errorf("server has %s = %s: want %s", want[0], have, want[1])
		}
	}
	var version string
	if err := conn.QueryRow(ctx, "SELECT current_setting('server_version_num')").Scan(&version); err != nil {
		return err
	}
	if n, err := strconv.Atoi(version); err != nil || n < minVersion {
		return fmt.Errorf("server version %s: want %d or newer", version, minVersion)
	}
	return nil
}

// Close waits for calls under way, sends what notifications are left and closes
// all connections.
func (s *Store) Close() error {
	if !s.gate.Close() {
		return nil
	}
	s.close()
	s.tasks.Wait()
	// A commit that waits for a standby is not called off: see finish. Nor is the
	// server asked to, which pgx does where a connection ends in the middle.
	s.abandoned.Store(true)
	s.leave()
	s.commits.Wait()
	s.pool.Close()
	return nil
}

// Ping writes one row.
func (s *Store) Ping(ctx context.Context) error {
	leave, err := s.gate.Enter()
	if err != nil {
		return err
	}
	defer leave()
	tag, err := s.pool.Exec(ctx, "UPDATE probe SET writes = writes + 1")
	if err = cmp.Or(err, count(tag, 1)); err != nil {
		return fmt.Errorf("postgres: ping: %w", err)
	}
	return nil
}
