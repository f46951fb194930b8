package e2e_test

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"os/signal"
	"path/filepath"
	"strconv"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"go.yaml.in/yaml/v3"

	hubserver "github.com/entente-hub/entente/hub/server"
	nodeserver "github.com/entente-hub/entente/node/server"
)

// clockCommand is the name under which the test binary is a hub or a node whose clock can
// be set: "entente-clock OFFSET hub|node CONFIG". Everything else is as in the command.
const clockCommand = "entente-clock"

// offsetLook is how often the clock looks by how much it is wrong.
const offsetLook = 20 * time.Millisecond

// ententeClock is what clockCommand does.
func ententeClock() {
	go endWithParent()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := runClocked(ctx, os.Args[1:])
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "entente:", err)
		os.Exit(1)
	}
	os.Exit(0)
}

func runClocked(ctx context.Context, args []string) error {
	if len(args) != 3 {
		return fmt.Errorf("%d arguments, not 3", len(args))
	}
	now, err := clockFrom(args[0])
	if err != nil {
		return err
	}
	raw, err := os.ReadFile(args[2])
	if err != nil {
		return err
	}
	log := slog.New(slog.NewTextHandler(os.Stderr, nil))
	switch args[1] {
	case "hub":
		var cfg hubserver.Config
		if err := yaml.Unmarshal(raw, &cfg); err != nil {
			return err
		}
		cfg.Resolve(filepath.Dir(args[2]))
		return hubserver.Run(ctx, cfg, log, hubserver.Events{Now: now})
	case "node":
		var cfg nodeserver.Config
		if err := yaml.Unmarshal(raw, &cfg); err != nil {
			return err
		}
		cfg.Resolve(filepath.Dir(args[2]))
		return nodeserver.Run(ctx, cfg, log, nil, nodeserver.WithClock(now))
	}
	return fmt.Errorf("neither hub nor node: %q", args[1])
}

// clockFrom is a clock that is wrong by the seconds that a file says, which may change.
func clockFrom(file string) (func() time.Time, error) {
	var by atomic.Int64
	read := func() error {
		raw, err := os.ReadFile(file)
		if err != nil {
			return err
		}
		s, err := strconv.ParseInt(strings.TrimSpace(string(raw)), 10, 64)
		if err == nil {
			by.Store(s)
		}
		return err
	}
	if err := read(); err != nil {
		return nil, err
	}
	go func() {
		for range time.Tick(offsetLook) {
			_ = read() // it is replaced by renaming, and there at any time but when the run has ended
		}
	}()
	return func() time.Time { return time.Now().Add(time.Duration(by.Load()) * time.Second) }, nil
}

// setClock makes a clock wrong by so many seconds.
func setClock(file string, by int64) error {
	if err := os.WriteFile(file+".new", []byte(strconv.FormatInt(by, 10)), 0o600); err != nil {
		return err
	}
	return os.Rename(file+".new", file)
}

// TestClockFrom: a clock is as wrong as its file says.
func TestClockFrom(t *testing.T) {
	file := filepath.Join(t.TempDir(), "offset")
	if _, err := clockFrom(file); err == nil {
		t.Error("a clock without a file")
	}
	if err := setClock(file, 0); err != nil {
		t.Fatal(err)
	}
	now, err := clockFrom(file)
	if err != nil {
		t.Fatal(err)
	}
	for _, by := range []int64{-86400, 600, 0} {
		if err := setClock(file, by); err != nil {
			t.Fatal(err)
		}
		eventually(t, soon, "the clock is set", func() (bool, string) {
			is := now().Sub(time.Now().Add(time.Duration(by) * time.Second))
			return is.Abs() < time.Minute, is.String()
		})
	}
}
