package e2e_test

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"syscall"
	"time"

	"github.com/entente-hub/entente/api/alert"
)

// Kinds of fault, beside the states of links.
const (
	killHub          = "kill-hub"
	killNode         = "kill-node"
	partition        = "partition"
	fullDisk         = "disk-full"
	hubClock         = "clock-hub"
	nodeClock        = "clock-node"
	killPrimary      = "kill-postgres"
	killStandby      = "kill-standby"
	failOver_        = "failover"
	fullDatabase     = "disk-full-postgres"
	suspendAgreement = "suspend-agreement"
	suspendMember    = "suspend-member"
	changeRoster     = "change-roster"
)

// jumps are by how many seconds clocks are set wrong.
var jumps = []int64{600, -600, 86400, -86400}

// blow is a fault that is about to be made: what it is made on, and how.
type blow struct {
	target, detail string
	by             int64                // seconds, of a clock
	strike         func() (heal func()) // nil: there is nothing to heal
}

// aim chooses what a fault of the schedule is made on.
func (r *fireRun) aim(s strike) blow {
	switch s.kind {
	case killHub:
		return r.kill(choose(r.hubs, s.pick))
	case killNode:
		return r.kill(r.nodes[choose(r.members, s.pick)])
	case hubClock:
		return r.jump(choose(r.hubs, s.pick), choose(jumps, s.pick>>32))
	case nodeClock:
		return r.jump(r.nodes[choose(r.members, s.pick)], choose(jumps, s.pick>>32))
	case partition:
		i := int(s.pick % uint64(len(r.cables)))
		return blow{target: r.hubs[i].name, strike: r.cables[i].pull}
	case fullDisk:
		dir := choose(r.small, s.pick)
		return blow{target: dir, strike: func() func() { return r.fill(filepath.Join(r.dir, dir)) }}
	case killPrimary, killStandby, failOver_, fullDatabase:
		return r.database(s.kind)
	case suspendAgreement, suspendMember, changeRoster:
		return r.changes.blow(s.kind)
	}
	l := choose(r.links, s.pick)
	return blow{target: l.name, strike: func() func() {
		l.set(state(s.kind))
		return func() { l.set(whole) }
	}}
}

func choose[T any](from []T, pick uint64) T { return from[pick%uint64(len(from))] }

// kill ends a process with SIGKILL, and starts it again.
func (r *fireRun) kill(g *guarded) blow {
	return blow{target: g.name, strike: func() func() {
		g.finish(syscall.SIGKILL)
		return g.begin
	}}
}

// jump sets a clock wrong, and right again.
func (r *fireRun) jump(g *guarded, by int64) blow {
	set := func(by int64) {
		if err := setClock(g.clock, by); err != nil {
			r.t.Error(err)
		}
	}
	return blow{target: g.name, by: by, strike: func() func() {
		set(by)
		return func() { set(0) }
	}}
}

// fill leaves no room in a folder, and makes some again.
func (r *fireRun) fill(dir string) func() {
	free, err := fill(dir)
	if err != nil {
		r.t.Errorf("filling %s: %v", dir, err)
		return nil
	}
	return func() {
		if err := free(); err != nil {
			r.t.Error(err)
		}
	}
}

// database makes a fault of the pair of PostgreSQL servers.
func (r *fireRun) database(kind string) blow {
	p := r.pair
	i := p.Primary()
	if kind == killStandby {
		i = 1 - i
	}
	again := func() {
		if err := p.Restart(i); err != nil {
			r.t.Errorf("PostgreSQL after %s: %v", kind, err)
		} else if err := p.Whole(); err != nil {
			r.t.Errorf("PostgreSQL after %s: %v", kind, err)
		}
	}
	b := blow{target: fmt.Sprintf("postgres-%d", i+1)}
	switch kind {
	case failOver_:
		b.strike = func() func() {
			if err := p.FailOver(); err != nil {
				r.t.Errorf("PostgreSQL: %v", err)
			}
			return nil
		}
	case fullDatabase: // the server may end of it
		b.strike = func() func() {
			free := r.fill(p.Folder(i))
			return func() {
				if free != nil {
					free()
				}
				again()
			}
		}
	default:
		b.strike = func() func() {
			if err := p.Kill(i); err != nil {
				r.t.Errorf("PostgreSQL: %v", err)
			}
			return again
		}
	}
	return b
}

// can returns the kinds of fault that can be made here.
func (r *fireRun) can() []string {
	can := []string{killHub, killNode, string(refused), string(silent), string(halfOpen), string(slow),
		hubClock, nodeClock, suspendAgreement, suspendMember, changeRoster}
	if len(r.cables) > 0 {
		can = append(can, partition)
	}
	if len(r.small) > 0 {
		can = append(can, fullDisk)
	}
	if r.pair != nil {
		can = append(can, killPrimary, killStandby, failOver_)
		if r.room {
			can = append(can, fullDatabase)
		}
	}
	return slices.DeleteFunc(can, func(kind string) bool { return *fireWithout != "" && slices.Contains(splitList(*fireWithout), kind) })
}

// burn makes the faults of all lanes until the end, and heals what it has made.
func (r *fireRun) burn(end time.Time) {
	var all sync.WaitGroup
	for _, l := range lanes {
		all.Go(func() {
			for s := range l.strikes(r.seed, r.can(), r.pace) {
				if !waitUntil(end, s.pause) {
					return
				}
				r.make(s, end)
			}
		})
	}
	all.Wait()
}

// make makes one fault, for as long as it lasts, and heals it.
func (r *fireRun) make(s strike, end time.Time) {
	b := r.aim(s)
	op := r.begin(line{Kind: "fault-begin", Fault: s.kind, Target: b.target, Detail: b.detail, ByS: b.by})
	heal := b.strike()
	waitUntil(end, s.length)
	if heal != nil {
		heal()
	}
	r.note(line{Kind: "fault-end", Op: op, Fault: s.kind, Target: b.target})
	r.mu.Lock()
	defer r.mu.Unlock()
	r.counts[s.kind]++
}

// waitUntil waits for some time, but no longer than until the end. It reports whether that
// is still to come.
func waitUntil(end time.Time, d time.Duration) bool {
	<-time.After(min(d, time.Until(end)))
	return time.Now().Before(end)
}

// fell notes that a process has ended by itself, which full disks and a database that is
// away may make it do.
func (r *fireRun) fell(name string) func() {
	return func() {
		r.note(line{Kind: "fell", Target: name})
		r.mu.Lock()
		defer r.mu.Unlock()
		r.falls++
	}
}

// checkpoints keeps what the log's head is said to be, from time to time.
func (r *fireRun) checkpoints(end time.Time, m alert.MemberID) {
	client := r.asMember(m)
	for n := 1; n <= 50; n++ {
		for _, note := range checkpoint(r.t.Context(), client) {
			name := fmt.Sprintf("%04d", n)
			if err := os.WriteFile(filepath.Join(r.dir, "notes", name), note, 0o600); err != nil {
				r.t.Error(err)
			}
			r.note(line{Kind: "checkpoint", Member: m, File: name})
		}
		if !waitUntil(end, r.length/50) {
			return
		}
	}
}
