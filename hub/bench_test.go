package hub_test

import (
	"context"
	"crypto/rand"
	"database/sql"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"path/filepath"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/entente-hub/entente/api/alert"
	"github.com/entente-hub/entente/hub/server"
	"github.com/entente-hub/entente/hub/store"
	"github.com/entente-hub/entente/hub/store/pgtest"
)

// BenchmarkPublish measures publish → verify → decide → durable commit → receipt,
// for alerts of about 4 KiB and four portions under known labels, released to all
// members but the originator. Beside it, in the same run: as many
// bare single-row inserts of the same bytes into the same kind of database, each
// durable when it returns, at the same concurrency. ratio is the one divided by
// the other.
func BenchmarkPublish(b *testing.B) {
	for _, db := range []struct {
		name string
		open func(*testing.B) (store.Store, func(context.Context, string) error)
	}{{"sqlite", sqliteBeside}, {"postgres", postgresBeside}} {
		for _, publishers := range []int{1, 16} {
			b.Run(fmt.Sprintf("%s/publishers=%d", db.name, publishers), func(b *testing.B) {
				st, insert := db.open(b)
				benchmarkPublish(b, st, insert, publishers)
			})
		}
	}
}

func benchmarkPublish(b *testing.B, st store.Store, insert func(context.Context, string) error, publishers int) {
	timed := &timedStore{Store: st}
	w := bareWorld(b, timed)
	if err := server.TakeStatements(b.Context(), w.Hub, w.Statements()); err != nil {
		b.Fatal(err)
	}
	w.publish("XA", w.fat()) // makes the labels known
	tokens := make([]string, b.N)
	bytes := 0
	for i := range tokens {
		tokens[i] = w.fat()
		bytes += len(tokens[i])
	}
	timed.commits.Store(0)
	timed.took.Store(0)
	b.ResetTimer()
	published := share(b, publishers, tokens, func(ctx context.Context, token string) error {
		_, err := w.Publish(ctx, "XA", token)
		return err
	})
	b.StopTimer()
	inserted := share(b, publishers, tokens, insert)
	b.ReportMetric(float64(b.N)/published.Seconds(), "alerts/s")
	b.ReportMetric(float64(b.N)/inserted.Seconds(), "inserts/s")
	b.ReportMetric(inserted.Seconds()/published.Seconds(), "ratio")
	b.ReportMetric(float64(bytes)/float64(b.N), "B/alert")
	b.ReportMetric(float64(b.N)/float64(timed.commits.Load()), "alerts/commit")
	b.ReportMetric(float64(timed.took.Load())/1e6/float64(timed.commits.Load()), "ms/commit")
}

// timedStore tells how much of the time is the database's.
type timedStore struct {
	store.Store
	commits, took atomic.Int64
}

func (s *timedStore) Commit(ctx context.Context, writes []store.Write) ([]store.Result, error) {
	start := time.Now()
	defer func() {
		s.commits.Add(1)
		s.took.Add(int64(time.Since(start)))
	}()
	return s.Store.Commit(ctx, writes)
}

// share spreads the tokens over n workers and returns the time taken.
func share(b *testing.B, n int, tokens []string, do func(context.Context, string) error) time.Duration {
	var next atomic.Int64
	var wg sync.WaitGroup
	start := time.Now()
	for range n {
		wg.Go(func() {
			for i := next.Add(1) - 1; i < int64(len(tokens)); i = next.Add(1) - 1 {
				if err := do(b.Context(), tokens[i]); err != nil {
					b.Error(err)
					return
				}
			}
		})
	}
	wg.Wait()
	return time.Since(start)
}

// fat is a signed alert of XA's of about 4 KiB.
func (w *world) fat() string { return w.fatBy("XA") }

func (w *world) fatBy(m alert.MemberID) string {
	w.Helper()
	second, third := label("federation"), label("XB", "XC")
	second.TLP, third.Handling = alert.Green, []alert.Handling{"H1"}
	a := w.compose(m, label("federation"), second, third, label("XD"))
	for i := range a.Portions {
		name := make([]byte, 70)
		rand.Read(name)
		a.Portions[i].Content.Objects = []json.RawMessage{json.RawMessage(`{"type":"identity","spec_version":"2.1","id":"identity--` +
			uuid.NewString() + `","name":"` + base64.StdEncoding.EncodeToString(name) + `"}`)}
	}
	return w.sign(a)
}

func sqliteBeside(b *testing.B) (store.Store, func(context.Context, string) error) {
	db, err := sql.Open("sqlite", "file:"+filepath.Join(b.TempDir(), "bare.db")+"?_pragma=journal_mode(WAL)&_pragma=synchronous(FULL)&_pragma=busy_timeout(10000)")
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { db.Close() })
	db.SetMaxOpenConns(1) // one writer at a time is SQLite's own rule
	if _, err := db.ExecContext(b.Context(), "CREATE TABLE bare (id INTEGER PRIMARY KEY, token BLOB NOT NULL)"); err != nil {
		b.Fatal(err)
	}
	insert, err := db.PrepareContext(b.Context(), "INSERT INTO bare (token) VALUES (?)")
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { insert.Close() })
	return openSQLite(b), func(ctx context.Context, token string) error {
		_, err := insert.ExecContext(ctx, token)
		return err
	}
}

func postgresBeside(b *testing.B) (store.Store, func(context.Context, string) error) {
	config, err := pgxpool.ParseConfig(pgtest.New(b))
	if err != nil {
		b.Fatal(err)
	}
	config.MaxConns = 16
	pool, err := pgxpool.NewWithConfig(b.Context(), config)
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(pool.Close)
	if _, err := pool.Exec(b.Context(), "CREATE TABLE bare (id bigserial PRIMARY KEY, token bytea NOT NULL)"); err != nil {
		b.Fatal(err)
	}
	return openPostgres(b, pgtest.New(b)), func(ctx context.Context, token string) error {
		_, err := pool.Exec(ctx, "INSERT INTO bare (token) VALUES ($1)", []byte(token))
		return err
	}
}
