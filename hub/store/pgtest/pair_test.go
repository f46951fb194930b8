package pgtest

import (
	"errors"
	"fmt"
	"os"
	"testing"

	"github.com/jackc/pgx/v5"
)

// TestPair: what was committed is there after a crash of either server and after each
// failover.
func TestPair(t *testing.T) {
	var dirs [2]string
	for i := range dirs {
		dir, err := os.MkdirTemp("", "pg")
		if err != nil {
			t.Fatal(err)
		}
		defer os.RemoveAll(dir)
		dirs[i] = dir
	}
	p, err := StartPair(dirs)
	if errors.Is(err, ErrNotInstalled) && os.Getenv(Require) != "1" {
		t.Skip(err)
	}
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := p.Stop(); err != nil {
			t.Error(err)
		}
	}()
	rows := 0
	insert := func() {
		t.Helper()
		conn, err := pgx.Connect(t.Context(), p.DSN())
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close(t.Context())
		if _, err := conn.Exec(t.Context(), fmt.Sprintf("CREATE TABLE IF NOT EXISTS kept (n int); INSERT INTO kept VALUES (%d)", rows)); err != nil {
			t.Fatal(err)
		}
		rows++
		var have int
		if err := conn.QueryRow(t.Context(), "SELECT count(*) FROM kept").Scan(&have); err != nil || have != rows {
			t.Fatalf("%d rows of %d: %v", have, rows, err)
		}
	}
	insert()
	for range 2 {
		was := p.Primary()
		if err := p.FailOver(); err != nil || p.Primary() == was {
			t.Fatal(p.Primary(), err)
		}
		insert()
	}
	for _, i := range []int{p.Primary(), 1 - p.Primary()} {
		if err := errors.Join(p.Kill(i), p.Restart(i), p.Whole()); err != nil {
			t.Fatal(err)
		}
		insert()
	}
}
