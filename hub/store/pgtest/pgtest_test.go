package pgtest

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
)

func TestMain(m *testing.M) { os.Exit(Main(m)) }

func TestNew(t *testing.T) {
	a, b := New(t), New(t)
	if a == b {
		t.Fatal("one database for two tests")
	}
	conn, err := pgx.Connect(t.Context(), a)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close(t.Context())
	for setting, want := range map[string]string{"fsync": "on", "listen_addresses": "", "server_encoding": "UTF8"} {
		var have string
		if err := conn.QueryRow(t.Context(), "SELECT current_setting($1)", setting).Scan(&have); err != nil || have != want {
			t.Errorf("%s = %q, want %q: %v", setting, have, want, err)
		}
	}
}

// TestStart: data stay from one start to the next.
func TestStart(t *testing.T) {
	dir, err := os.MkdirTemp("", "pg")
	if err != nil {
		t.Fatal(err)
	}
	defer os.RemoveAll(dir)
	for round := range 2 {
		dsn, stop, err := Start(dir)
		if errors.Is(err, ErrNotInstalled) && os.Getenv(Require) != "1" {
			t.Skip(err)
		}
		if err != nil {
			t.Fatal(err)
		}
		conn, err := pgx.Connect(t.Context(), dsn)
		if err == nil && round == 0 {
			_, err = conn.Exec(t.Context(), "CREATE TABLE kept (n int)")
		} else if err == nil {
			_, err = conn.Exec(t.Context(), "SELECT FROM kept")
		}
		if err != nil {
			t.Error(err)
		} else if err := conn.Close(t.Context()); err != nil {
			t.Error(err)
		}
		if err := errors.Join(stop(), stop()); err != nil {
			t.Error(err)
		}
		if _, err := os.Stat(filepath.Join(dir, "data", "postmaster.pid")); err == nil {
			t.Error("the server is still there")
		}
	}
}

// TestKilled: a test process that is killed takes its server with it.
func TestKilled(t *testing.T) {
	const env = "PGTEST_CHILD"
	if os.Getenv(env) != "" {
		New(t)
		if err := os.WriteFile(os.Getenv(env), []byte(shared.dir), 0o600); err != nil {
			t.Fatal(err)
		}
		if err := syscall.Kill(os.Getpid(), syscall.SIGKILL); err != nil {
			t.Fatal(err)
		}
		select {}
	}
	if _, err := findBin(); err != nil && os.Getenv(Require) != "1" {
		t.Skip(err)
	}
	file := filepath.Join(t.TempDir(), "dir")
	cmd := exec.Command(os.Args[0], "-test.run=^TestKilled$")
	cmd.Env = append(os.Environ(), env+"="+file)
	if out, err := cmd.CombinedOutput(); err == nil || cmd.ProcessState.ExitCode() != -1 {
		t.Fatalf("child: %v\n%s", err, out)
	}
	dir, err := os.ReadFile(file)
	if err != nil || !strings.HasPrefix(string(dir), os.TempDir()) {
		t.Fatalf("%q, %v", dir, err)
	}
	gone := func() bool { _, err := os.Stat(string(dir)); return errors.Is(err, os.ErrNotExist) }
	for deadline := time.Now().Add(startTime); !gone(); <-time.After(50 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("%s is still there", dir)
		}
	}
}
