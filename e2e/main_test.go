// Package e2e_test runs the whole product: real processes of the entente
// command that talk mutually authenticated TLS, on SQLite and on PostgreSQL.
//
//   - TestScripts: what people type, and what attackers try
//     (testdata/script/*.txtar).
//   - TestKill…: processes are ended with SIGKILL while alerts pass through, and
//     then everything is held against everything else: what was published, the
//     receipts, the hub's log, and the inboxes.
//   - TestHubAway: a hub that comes back finds the outboxes in order.
//   - TestOASISExamples: the OASIS STIX 2.1 examples come out as they went in.
//   - BenchmarkLatency: from publish to verified in the last inbox, beside a
//     relay of the same bytes without policy, signatures or audit:
//     go test ./e2e -run '^$' -bench Latency -timeout 10m
//   - TestFailover: PostgreSQL under Patroni on etcd, two hubs, and each part of it
//     killed in turn while all publish; takes minutes and Debian's packages:
//     go test ./e2e -run Failover -failover 1 -v -timeout 0
//   - TestUnderFire: alerts' whole lives while processes, disks, links, clocks,
//     PostgreSQL and statements are struck by a schedule; what is left is checked by
//     package firecheck, which shares no code with what it checks. A minute, or as
//     long as one likes:
//     go test ./e2e -run UnderFire -fire 30m -seed 7 -v -timeout 0
//
// Random choices come from one seed, which every test prints; -seed repeats them.
package e2e_test

import (
	"context"
	"flag"
	"math/rand/v2"
	"os"
	"os/signal"
	"syscall"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/entente-hub/entente/cli"
	"github.com/entente-hub/entente/hub/store/pgtest"
)

var seedFlag = flag.Uint64("seed", 1, "seed of all random choices; 0: a fresh one")

// suite stops the PostgreSQL server, if one was started, after the tests.
type suite struct{ m *testing.M }

func (s suite) Run() int { return pgtest.Main(s.m) }

// TestMain makes the test binary the entente command when it is called by that
// name, which it is from a folder that comes first in PATH.
func TestMain(m *testing.M) {
	testscript.Main(suite{m}, map[string]func(){"entente": entente, clockCommand: ententeClock, farCommand: ententeFar})
}

// entente does what main.go does, and ends when the test process does.
func entente() {
	go endWithParent()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	code := cli.Main(ctx, os.Args[1:], os.Stdout, os.Stderr)
	stop()
	os.Exit(code)
}

// endWithParent keeps hubs and nodes from outliving a test that was killed.
func endWithParent() {
	parent := os.Getppid()
	for range time.Tick(time.Second) {
		if os.Getppid() != parent {
			os.Exit(137)
		}
	}
}

// random returns the test's source of chance, and prints how to have it again.
func random(t testing.TB) *rand.Rand {
	seed := *seedFlag
	if seed == 0 {
		seed = rand.Uint64()
	}
	t.Logf("repeat with: go test ./e2e -run '^%s$' -seed %d", t.Name(), seed)
	return rand.New(rand.NewPCG(seed, 0))
}

// eventually asks until done says so. It fails the test after the limit with what
// was last said.
func eventually(t testing.TB, limit time.Duration, what string, done func() (ok bool, state string)) {
	t.Helper()
	tick := time.NewTicker(15 * time.Millisecond)
	defer tick.Stop()
	deadline := time.After(limit)
	for {
		ok, state := done()
		if ok {
			return
		}
		select {
		case <-tick.C:
		case <-deadline:
			t.Fatalf("%s: not within %s: %s", what, limit, state)
		}
	}
}
