package store_test

import (
	"context"
	"crypto/sha256"
	"database/sql"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"sync/atomic"
	"testing"

	"github.com/entente-hub/entente/api/alert"
	"github.com/entente-hub/entente/hub/store"
	"github.com/entente-hub/entente/hub/store/pgtest"
	"github.com/entente-hub/entente/hub/store/postgres"
	"github.com/entente-hub/entente/hub/store/sqlite"
	"github.com/jackc/pgx/v5/pgxpool"
)

func TestMain(m *testing.M) { os.Exit(pgtest.Main(m)) }

// What the benchmarks store: alerts of tokenSize bytes to four recipients each.
const (
	tokenSize = 4096
	groupSize = 64
)

var serial atomic.Int64

func acceptOf(n int64, token string) store.Write {
	token = fmt.Sprintf("%020d", n) + token[20:]
	return store.Write{
		Accept: &store.Accept{
			Alert: store.Alert{Originator: "XA", ID: alert.ID(fmt.Sprintf("01890000-0000-7000-8000-%012d", n)), Version: 1,
				Token: token, Digest: sha256.Sum256([]byte(token)), SignedDigest: fmt.Sprintf("%043d", n),
				AcceptedAt: 1_790_000_000, EraseAt: 1_790_000_000 + n%1000},
			Portions:   []store.Portion{{ID: "p1", LabelKey: fmt.Sprint("label ", n%50)}},
			Recipients: []alert.MemberID{"XB", "XC", "XD", alert.MemberID(fmt.Sprint("M", n%40))},
		},
		Entries: [][]byte{[]byte(token[:300])},
	}
}

// BenchmarkStores measures alerts a second, in groups as the hub's ledger makes
// them and one by one, beside what the same database does with bare rows of the
// same size, one a transaction.
func BenchmarkStores(b *testing.B) {
	b.Run("postgres", func(b *testing.B) {
		dsn := pgtest.New(b)
		pool, err := pgxpool.New(b.Context(), dsn+"&pool_max_conns=16")
		if err != nil {
			b.Fatal(err)
		}
		b.Cleanup(pool.Close)
		// The same storage as the store's tokens have, to compare like with like.
		if _, err := pool.Exec(b.Context(), "CREATE TABLE bare (id bigint PRIMARY KEY, token bytea NOT NULL)"+
			" WITH (toast_tuple_target = 8160); ALTER TABLE bare ALTER COLUMN token SET STORAGE EXTERNAL"); err != nil {
			b.Fatal(err)
		}
		s, err := postgres.Open(b.Context(), dsn, postgres.Options{})
		if err != nil {
			b.Fatal(err)
		}
		b.Cleanup(func() { s.Close() })
		compare(b, s, func(ctx context.Context, id int64, token []byte) error {
			_, err := pool.Exec(ctx, "INSERT INTO bare VALUES ($1, $2)", id, token)
			return err
		})
	})
	b.Run("sqlite", func(b *testing.B) {
		db, err := sql.Open("sqlite", filepath.Join(b.TempDir(), "bare.db")+"?_journal_mode=WAL&_synchronous=FULL")
		if err != nil {
			b.Fatal(err)
		}
		b.Cleanup(func() { db.Close() })
		db.SetMaxOpenConns(1)
		if _, err := db.Exec("CREATE TABLE bare (id INTEGER PRIMARY KEY, token BLOB NOT NULL) STRICT"); err != nil {
			b.Fatal(err)
		}
		s, err := sqlite.Open(b.Context(), filepath.Join(b.TempDir(), "hub.db"))
		if err != nil {
			b.Fatal(err)
		}
		b.Cleanup(func() { s.Close() })
		compare(b, s, func(ctx context.Context, id int64, token []byte) error {
			_, err := db.ExecContext(ctx, "INSERT INTO bare VALUES (?, ?)", id, token)
			return err
		})
	})
}

func compare(b *testing.B, s store.Store, bare func(ctx context.Context, id int64, token []byte) error) {
	random := make([]byte, tokenSize)
	r := rand.New(rand.NewPCG(1, 1))
	for i := range random {
		random[i] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"[r.IntN(64)]
	}
	token := string(random)
	for _, concurrency := range []int{1, 16} {
		b.Run(fmt.Sprintf("bare-%d", concurrency), func(b *testing.B) {
			parallel(b, concurrency, 1, func() error { return bare(b.Context(), serial.Add(1), random) })
		})
		for _, size := range []int{1, groupSize} {
			b.Run(fmt.Sprintf("groups-of-%d-%d", size, concurrency), func(b *testing.B) {
				parallel(b, concurrency, size, func() error {
					writes := make([]store.Write, size)
					for i := range writes {
						writes[i] = acceptOf(serial.Add(1), token)
					}
					results, err := s.Commit(b.Context(), writes)
					for _, r := range results {
						if r.Outcome != store.Done {
							return fmt.Errorf("outcome %d", r.Outcome)
						}
					}
					return err
				})
			})
		}
	}
}

// parallel runs b.N calls in so many goroutines, each of which stores size rows
// or alerts.
func parallel(b *testing.B, goroutines, size int, call func() error) {
	var left atomic.Int64
	left.Store(int64(b.N))
	errs := make(chan error, goroutines)
	for range goroutines {
		go func() {
			var err error
			for err == nil && left.Add(-1) >= 0 {
				err = call()
			}
			errs <- err
		}()
	}
	for range goroutines {
		if err := <-errs; err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(b.N*size)/b.Elapsed().Seconds(), "alerts/s")
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "tx/s")
	b.ReportMetric(0, "ns/op")
}
