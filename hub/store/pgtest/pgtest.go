package pgtest

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"os"
	"strings"
	"sync"
	"testing"

	"github.com/jackc/pgx/v5"
)

// Require is the environment variable that, set to 1, makes a test fail that
// finds no PostgreSQL, instead of being skipped.
const Require = "ENTENTE_REQUIRE_POSTGRES"

// shared is the server of this test process. Its end is bound to the process by
// a pipe: see watch.
var shared struct {
	once   sync.Once
	server string // DSN of the database "postgres"
	err    error

	mu   sync.Mutex
	stop func() error
	dir  string
}

// New returns the DSN of a fresh, empty database on the server of this test
// process, which the first call starts. The database is dropped when the test
// ends. Without PostgreSQL on the machine the test is skipped, or fails: see
// Require. A package whose tests call New must have Main in its TestMain.
func New(t testing.TB) (dsn string) {
	t.Helper()
	shared.once.Do(startShared)
	if errors.Is(shared.err, ErrNotInstalled) && os.Getenv(Require) != "1" {
		t.Skipf("NOT TESTED ON POSTGRESQL: %v; set %s=1 to make this a failure", shared.err, Require)
	}
	if shared.err != nil {
		t.Fatal(shared.err)
	}
	name := "t_" + strings.ToLower(rand.Text())
	if err := admin(t.Context(), "CREATE DATABASE "+name); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := admin(context.Background(), "DROP DATABASE "+name+" WITH (FORCE)"); err != nil {
			t.Error(err)
		}
	})
	return strings.Replace(shared.server, "/postgres?", "/"+name+"?", 1)
}

// admin runs a statement on the database "postgres".
func admin(ctx context.Context, sql string) error {
	conn, err := pgx.Connect(ctx, shared.server)
	if err != nil {
		return fmt.Errorf("pgtest: %w", err)
	}
	_, err = conn.Exec(ctx, sql)
	return errors.Join(err, conn.Close(ctx))
}

func startShared() {
	dir, err := os.MkdirTemp("", "pg")
	if err != nil {
		shared.err = err
		return
	}
	dsn, stop, err := Start(dir)
	if err == nil {
		err = watch(dir)
		if err != nil {
			err = errors.Join(err, stop())
		}
	}
	if err != nil {
		shared.err = errors.Join(err, os.RemoveAll(dir))
		return
	}
	shared.mu.Lock()
	defer shared.mu.Unlock()
	shared.server, shared.stop, shared.dir = dsn, stop, dir
}

// Main runs a package's tests, stops the server if one was started and returns
// the exit code for os.Exit. Only a process that ends without coming back here
// (a panic, a time limit, kill -9) leaves that to the watchman.
func Main(m *testing.M) int {
	code := m.Run()
	shared.mu.Lock()
	defer shared.mu.Unlock()
	if shared.stop == nil {
		return code
	}
	if err := errors.Join(shared.stop(), os.RemoveAll(shared.dir)); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return max(code, 1)
	}
	return code
}
