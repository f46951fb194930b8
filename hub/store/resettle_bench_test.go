package store_test

import (
	"context"
	"crypto/sha256"
	"database/sql"
	"fmt"
	"math"
	"path/filepath"
	"testing"

	"github.com/entente-hub/entente/api/alert"
	"github.com/entente-hub/entente/hub/store"
	"github.com/entente-hub/entente/hub/store/pgtest"
	"github.com/entente-hub/entente/hub/store/postgres"
	"github.com/entente-hub/entente/hub/store/sqlite"
	"github.com/jackc/pgx/v5/pgxpool"
)

// What the benchmarks of resettling work on: each alert has a label of its own and
// one that all share.
const (
	standingAlerts = 100_000
	batch          = 1_000 // claims a write, and rows a page
	recipients     = 50
)

// stand stores n alerts that stand, to nobody.
func stand(b *testing.B, s store.Store, n int) {
	b.Helper()
	for i := 0; i < n; i += batch {
		var group []store.Write
		for k := i; k < min(n, i+batch); k++ {
			token := fmt.Sprintf("%0400d", k)
			group = append(group, store.Write{Accept: &store.Accept{
				Alert: store.Alert{Originator: "XA", ID: alert.ID(fmt.Sprintf("01890000-0000-7000-8000-%012d", k)), Version: 1,
					Token: token, Digest: sha256.Sum256([]byte(token)), SignedDigest: fmt.Sprintf("%043d", k),
					Expires: math.MaxInt64, AcceptedAt: 1_790_000_000, EraseAt: math.MaxInt64},
				Portions: []store.Portion{{ID: "p1", LabelKey: "shared"}, {ID: "p2", LabelKey: fmt.Sprint("label ", k)}},
			}, Entries: [][]byte{[]byte(token)}})
		}
		if _, err := s.Commit(b.Context(), group); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkRenew measures claims a second, in writes of 1,000 of one alert's
// recipients after the other, beside as many bare rows in transactions of 1,000.
func BenchmarkRenew(b *testing.B) {
	eachStore(b, func(b *testing.B, s store.Store, bare func(ctx context.Context, from, n int64) error) {
		b.Run("bare", func(b *testing.B) {
			for b.Loop() {
				if err := bare(b.Context(), serial.Add(batch)-batch, batch); err != nil {
					b.Fatal(err)
				}
			}
			b.ReportMetric(float64(b.N*batch)/b.Elapsed().Seconds(), "rows/s")
		})
		stand(b, s, standingAlerts)
		next := int64(0)
		b.Run("renew", func(b *testing.B) {
			for b.Loop() {
				var r store.Resettle
				for range batch {
					r.Renew = append(r.Renew, store.Claim{AlertRow: 1 + next/recipients%standingAlerts,
						Recipient: alert.MemberID(fmt.Sprintf("M%02d", next%recipients))})
					next++
				}
				if _, err := s.Commit(b.Context(), []store.Write{{Resettle: &r, Entries: [][]byte{{1}}}}); err != nil {
					b.Fatal(err)
				}
			}
			b.ReportMetric(float64(b.N*batch)/b.Elapsed().Seconds(), "claims/s")
		})
		pages(b, s)
	})
}

// pages measures the first and the last page of each list of a pass, and one
// standing alert.
func pages(b *testing.B, s store.Store) {
	far := int64(standingAlerts - batch)
	unsettled, err := s.Unsettled(b.Context(), 0, 0, 0, math.MaxInt32)
	if err != nil {
		b.Fatal(err)
	}
	for name, read := range map[string]func(ctx context.Context) (int, error){
		"labels-first":   func(ctx context.Context) (int, error) { l, err := s.Labels(ctx, 0, 0, batch); return len(l), err },
		"labels-last":    func(ctx context.Context) (int, error) { l, err := s.Labels(ctx, 0, far, batch); return len(l), err },
		"standing-first": func(ctx context.Context) (int, error) { a, err := s.Standing(ctx, 0, 1, 0, batch); return len(a), err },
		"standing-last": func(ctx context.Context) (int, error) {
			a, err := s.Standing(ctx, 0, 1, far, batch)
			return len(a), err
		},
		"unsettled-first": func(ctx context.Context) (int, error) { u, err := s.Unsettled(ctx, 0, 0, 0, batch); return len(u), err },
		"unsettled-last": func(ctx context.Context) (int, error) {
			u, err := s.Unsettled(ctx, 0, 0, unsettled[len(unsettled)-batch].ID-1, batch)
			return len(u), err
		},
	} {
		b.Run(name, func(b *testing.B) {
			for b.Loop() {
				if n, err := read(b.Context()); err != nil || n != batch {
					b.Fatal(n, err)
				}
			}
		})
	}
	b.Run("standing-alert", func(b *testing.B) {
		for b.Loop() {
			if _, err := s.StandingAlert(b.Context(), 0, "XA", alert.ID(fmt.Sprintf("01890000-0000-7000-8000-%012d", 777))); err != nil {
				b.Fatal(err)
			}
		}
	})
}

// eachStore runs f on each database, with bare, which inserts n rows of a claim's
// size in one transaction.
func eachStore(b *testing.B, f func(b *testing.B, s store.Store, bare func(ctx context.Context, from, n int64) error)) {
	b.Run("postgres", func(b *testing.B) {
		dsn := pgtest.New(b)
		pool, err := pgxpool.New(b.Context(), dsn)
		if err != nil {
			b.Fatal(err)
		}
		b.Cleanup(pool.Close)
		if _, err := pool.Exec(b.Context(), "CREATE TABLE bare (id bigint PRIMARY KEY, alert bigint, recipient text)"); err != nil {
			b.Fatal(err)
		}
		s, err := postgres.Open(b.Context(), dsn, postgres.Options{})
		if err != nil {
			b.Fatal(err)
		}
		b.Cleanup(func() { s.Close() })
		f(b, s, func(ctx context.Context, from, n int64) error {
			_, err := pool.Exec(ctx, "INSERT INTO bare SELECT i, i / 50, 'M' || i % 50 FROM generate_series($1::bigint, $1 + $2 - 1) i", from, n)
			return err
		})
	})
	b.Run("sqlite", func(b *testing.B) {
		db, err := sql.Open("sqlite", filepath.Join(b.TempDir(), "bare.db")+"?_pragma=journal_mode(WAL)&_pragma=synchronous(FULL)")
		if err != nil {
			b.Fatal(err)
		}
		b.Cleanup(func() { db.Close() })
		db.SetMaxOpenConns(1)
		if _, err := db.Exec("CREATE TABLE bare (id INTEGER PRIMARY KEY, alert INTEGER, recipient TEXT) STRICT"); err != nil {
			b.Fatal(err)
		}
		s, err := sqlite.Open(b.Context(), filepath.Join(b.TempDir(), "hub.db"))
		if err != nil {
			b.Fatal(err)
		}
		b.Cleanup(func() { s.Close() })
		f(b, s, func(ctx context.Context, from, n int64) error { return bareRows(ctx, db, from, n) })
	})
}

func bareRows(ctx context.Context, db *sql.DB, from, n int64) error {
	tx, err := db.BeginTx(ctx, nil)
	if err != nil {
		return err
	}
	defer tx.Rollback()
	insert, err := tx.PrepareContext(ctx, "INSERT INTO bare VALUES (?, ?, ?)")
	if err != nil {
		return err
	}
	defer insert.Close()
	for i := from; i < from+n; i++ {
		if _, err := insert.ExecContext(ctx, i, i/recipients, fmt.Sprintf("M%02d", i%recipients)); err != nil {
			return err
		}
	}
	return tx.Commit()
}
