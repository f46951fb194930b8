package e2e_test

import (
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"maps"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/entente-hub/entente/api/alert"
	"github.com/entente-hub/entente/hub/store/pgtest"
)

var (
	fireFlag    = flag.Duration("fire", 0, "how long TestUnderFire is under fire; 0: the short form, and -short leaves it out")
	fireWithout = flag.String("fire-without", "", "kinds of fault that TestUnderFire leaves out, with commas between")
	fireKeep    = flag.String("fire-keep", "", "folder, which must be empty, that keeps what TestUnderFire leaves; else it goes, but where it has failed")
)

// shortFire is how long the short form is under fire, with each store.
const shortFire = 7 * time.Second

func splitList(s string) []string { return strings.Split(s, ",") }

// TestUnderFire runs a federation of real processes, on SQLite and on PostgreSQL, whose
// members publish, correct, take back, answer and read, while a schedule that the seed
// determines makes one fault after the other, and several at a time. Then all is healed,
// comes to rest, is ended, and what has been left is held against what was done: see
// package firecheck. What can not be done on a machine is left out, and named.
//
//	go test ./e2e -run UnderFire -fire 30m -seed 7 -v -timeout 0
func TestUnderFire(t *testing.T) {
	if testing.Short() {
		t.Skip("takes a minute")
	}
	seed := *seedFlag
	if seed == 0 {
		seed = rand.Uint64()
	}
	inside, noRoom := os.Getenv(inRoom) != "", roomError()
	if !inside && noRoom == nil {
		again(t, fmt.Sprint("-seed=", seed), fmt.Sprint("-fire=", *fireFlag), "-fire-without="+*fireWithout, "-fire-keep="+*fireKeep)
		return
	}
	var missing []string
	if inside {
		furnish(t)
	} else {
		missing = append(missing, fmt.Sprintf("full disks and partitions: %v", noRoom))
	}
	t.Logf("repeat with: go test ./e2e -run '^TestUnderFire$' -fire %s -seed %d", *fireFlag, seed)
	t.Run("SQLite", func(t *testing.T) { underFire(t, seed, false, inside, missing) })
	t.Run("PostgreSQL", func(t *testing.T) { underFire(t, seed, true, inside, missing) })
}

// fireRun is one run under fire.
type fireRun struct {
	*world
	*journal
	t      testing.TB
	dir    string
	seed   uint64
	length time.Duration
	pace   pace
	think  time.Duration // longest pause between two acts of a member
	short  time.Duration // longest life of the alerts that end while it lasts

	room    bool
	hubs    []*guarded
	nodes   map[alert.MemberID]*guarded
	links   []*relay
	cables  []*cable
	small   []string // folders with a small disk, below dir
	pair    *pgtest.Pair
	changes *changes

	mu     sync.Mutex
	counts map[string]int // faults that have taken place
	acts   map[string]int
	falls  int
	last   time.Time // when the last of the short-lived alerts has expired
}

// phase begins another part of the run.
func (r *fireRun) phase(name string) {
	r.note(line{Kind: "phase", Phase: name})
	r.t.Logf("%s %s", time.Now().Format(time.TimeOnly), name)
}

// tally counts what members did.
func (r *fireRun) tally(what string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.acts[what]++
}

// endsBy notes when an alert will have expired.
func (r *fireRun) endsBy(at time.Time) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if at.After(r.last) {
		r.last = at
	}
}

func underFire(t *testing.T, seed uint64, postgres, room bool, missing []string) {
	r := &fireRun{t: t, dir: fireFolder(t, postgres), seed: seed, length: shortFire, pace: quick, think: 100 * time.Millisecond, short: 6 * time.Second,
		room: room, counts: make(map[string]int), acts: make(map[string]int)}
	if *fireFlag > 0 {
		r.length, r.pace, r.think, r.short = *fireFlag/2, calm, 400*time.Millisecond, time.Minute
	}
	if postgres {
		r.startPair(t)
	}
	for _, what := range missing {
		t.Logf("NOT CHECKED: %s", what)
	}
	r.journal = newJournal(t, r.dir)
	r.build(t)
	r.changes = newChanges(r)
	rnd := rand.New(rand.NewPCG(seed, 1))
	r.phase("fire")
	end := time.Now().Add(r.length)
	var all sync.WaitGroup
	all.Go(func() { r.traffic(rnd, end) })
	all.Go(func() { r.checkpoints(end, "XB") })
	r.burn(end)
	all.Wait()
	r.phase("heal")
	r.rest(rnd)
	r.stop(rnd)
	r.write(missing)
	r.report()
	r.verify()
}

// fireFolder is where a run takes place. Its name is short: sockets lie in it.
func fireFolder(t *testing.T, postgres bool) string {
	t.Helper()
	name := map[bool]string{false: "sqlite", true: "postgres"}[postgres]
	dir := filepath.Join(*fireKeep, name)
	if *fireKeep == "" {
		var err error
		if dir, err = os.MkdirTemp("", "fire"); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() {
			if t.Failed() {
				t.Logf("what is left lies in %s", dir)
			} else if err := os.RemoveAll(dir); err != nil {
				t.Error(err)
			}
		})
	}
	if err := os.MkdirAll(filepath.Join(dir, "notes"), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.MkdirAll(filepath.Join(dir, "log"), 0o700); err != nil {
		t.Fatal(err)
	}
	return dir
}

// startPair starts PostgreSQL, with a standby, each on a small disk where there can be one.
func (r *fireRun) startPair(t *testing.T) {
	t.Helper()
	var dirs [2]string
	for i := range dirs {
		dir, err := os.MkdirTemp("", "pg") // where its user may go
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = os.RemoveAll(dir) }) // a mount point is left to its own cleanup
		if r.room {
			small(t, dir, 1024)
		}
		t.Cleanup(func() {
			if *fireKeep != "" { // its own folder goes with the servers
				runTool(t, "cp", "-a", dir, filepath.Join(r.dir, fmt.Sprintf("postgres-%d", i+1)))
			}
		})
		dirs[i] = dir
	}
	pair, err := pgtest.StartPair(dirs)
	if errors.Is(err, pgtest.ErrNotInstalled) && os.Getenv(pgtest.Require) != "1" {
		t.Skipf("NOT CHECKED: several hubs on PostgreSQL: %v", err)
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := pair.Stop(); err != nil {
			t.Error(err)
		}
	})
	r.pair = pair
}

// rest waits until all is whole, has arrived, and what has ended is erased.
func (r *fireRun) rest(rnd *rand.Rand) {
	for _, g := range r.all() {
		g.begin()
		r.awaitReady(g)
	}
	r.phase("last")
	for _, m := range r.members { // so that each feed ends with an item that nobody withholds
		a := &actor{r: r, m: m, rnd: rnd, client: r.clients[m]}
		eventually(r.t, 2*time.Minute, "the last of "+string(m), func() (bool, string) {
			return a.publish("", []alert.PortionID{"open"}, a.life()), "not taken"
		})
	}
	if r.pair != nil { // past the links
		r.hubCfg.Postgres, r.hubCfg.PostgresFile = r.pair.DSN(), ""
	}
	r.quiesce(max(2*time.Minute, *fireFlag/4))
	<-time.After(time.Until(r.last))
	st := r.openHubStore()
	eventually(r.t, 2*time.Minute, "what has ended is erased", func() (bool, string) { return r.erased(st) })
	r.phase("quiet")
}

// all are all processes: hubs first.
func (r *fireRun) all() []*guarded {
	list := slices.Clone(r.hubs)
	for _, m := range r.members {
		list = append(list, r.nodes[m])
	}
	return list
}

// stop ends all processes, each in order or with SIGKILL.
func (r *fireRun) stop(rnd *rand.Rand) {
	r.phase("stop")
	for _, g := range r.all() {
		g.finish([]os.Signal{syscall.SIGTERM, syscall.SIGKILL}[rnd.IntN(2)])
		raw, err := os.ReadFile(g.log)
		if err != nil {
			r.t.Error(err)
		}
		for _, bad := range []string{"\npanic: ", "\nfatal error: ", "DATA RACE"} {
			if strings.Contains("\n"+string(raw), bad) {
				r.t.Errorf("the log of %s has %q", g.name, bad)
			}
		}
	}
}

// write writes run.json.
func (r *fireRun) write(missing []string) {
	nodes := make(map[alert.MemberID]string)
	for _, m := range r.members {
		nodes[m] = filepath.Join(r.nodeCfg[m].DataDir, "node.db")
	}
	run := map[string]any{"format": 1, "seed": r.seed, "form": "short", "store": "sqlite", "hub": r.hubCfg.ID, "hubs": len(r.hubs),
		"members": r.members, "node_db": nodes, "not_checked": missing, "faults": r.counts, "checked_at": time.Now().UnixMilli()}
	if *fireFlag > 0 {
		run["form"] = "long"
	}
	if r.pair != nil {
		run["store"], run["dsn"] = "postgres", r.pair.DSN()
		run["pg_data"] = []string{filepath.Join(r.pair.Folder(0), "data"), filepath.Join(r.pair.Folder(1), "data")}
	} else {
		run["hub_db"] = filepath.Join(r.hubCfg.DataDir, "hub.db")
	}
	raw, err := json.MarshalIndent(run, "", "  ")
	if err == nil {
		err = os.WriteFile(filepath.Join(r.dir, "run.json"), raw, 0o600)
	}
	if err != nil {
		r.t.Fatal(err)
	}
}

// report says what has been done. A fault that has never taken place in a long run is one
// that nothing was tried against.
func (r *fireRun) report() {
	for _, kind := range r.can() {
		r.t.Logf("fault %s: %d", kind, r.counts[kind])
		if r.counts[kind] == 0 && *fireFlag > 0 {
			r.t.Errorf("%s has never taken place", kind)
		}
	}
	r.t.Logf("processes that ended by themselves, and were started again: %d", r.falls)
	for _, what := range slices.Sorted(maps.Keys(r.acts)) {
		r.t.Logf("acts, %s: %d", what, r.acts[what])
	}
}
