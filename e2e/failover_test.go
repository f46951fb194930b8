package e2e_test

import (
	"fmt"
	"math/rand/v2"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/entente-hub/entente/api/alert"
	"github.com/entente-hub/entente/cli/setup"
)

// fault is something that happens to the replicated set-up.
type fault struct {
	name string
	// strike does it, and returns what makes it good again.
	strike func(c *cluster, f *world) (heal func())
}

func nothing() {}

// faults are each of them one thing that is lost. What may be lost for good is made
// good by the set-up itself; the rest is started again.
var faults = []fault{
	{"primary killed", func(c *cluster, _ *world) func() {
		c.kill(c.server(c.need("leader"))) // another takes over, or it comes back if none can
		return nothing
	}},
	{"switchover", func(c *cluster, _ *world) func() {
		c.run(time.Minute, "patronictl", "-c", filepath.Join(c.dir, "patronictl.yml"), "switchover", "--force")
		return nothing
	}},
	{"hub killed", func(_ *cluster, f *world) func() {
		f.hubs[0].kill()
		return func() { f.hubs[0].start(); f.hubs[0].await("/readyz") }
	}},
	{"etcd leader killed", func(c *cluster, _ *world) func() {
		name := c.etcdLeader()
		c.kill(c.process(name))
		return func() { c.script("again", c.dir, name) }
	}},
	// Longer than a lease lasts. The primary goes on as long as it reaches the others.
	{"etcd's majority killed for 30 s", func(c *cluster, _ *world) func() {
		var names []string
		for _, name := range []string{"etcd-1", "etcd-2"} {
			c.kill(c.process(name))
			names = append(names, name)
		}
		<-time.After(30 * time.Second)
		for _, name := range names {
			c.script("again", c.dir, name)
		}
		return nothing
	}},
	{"synchronous standby killed", func(c *cluster, _ *world) func() {
		c.kill(c.server(c.need("sync_standby")))
		return nothing
	}},
	{"primary killed with its Patroni", func(c *cluster, _ *world) func() {
		m := c.need("leader")
		c.kill(c.process(patroniOf(m)), c.server(m))
		c.succeeded(m)
		return func() { c.script("again", c.dir, patroniOf(m)) }
	}},
	// Its server goes on, takes itself for the primary, and is open to all who know
	// its address: the old and the new one run side by side.
	{"primary's Patroni killed", func(c *cluster, _ *world) func() {
		m := c.need("leader")
		c.kill(c.process(patroniOf(m)))
		c.succeeded(m)
		return func() { c.script("again", c.dir, patroniOf(m)) }
	}},
}

// TestFailover publishes from all nodes while one part after the other of the
// replicated set-up is lost, and then holds everything against everything else, as
// the kill tests do: what has a receipt is there, nothing is there twice, and the log
// has only grown.
//
//	go test ./e2e -run Failover -failover 1 -v -timeout 0
func TestFailover(t *testing.T) {
	if *failoverFlag == 0 {
		t.Skip("say how many rounds: go test ./e2e -run Failover -failover 1 -v -timeout 0")
	}
	for _, way := range []struct{ name, dsn string }{{"addresses", "dsn"}, {"HAProxy", "dsn.haproxy"}} {
		t.Run(way.name, func(t *testing.T) {
			c := newCluster(t)
			spec := setup.Trial()
			spec.Postgres = c.dsn(way.dsn)
			failOver(t, c, newFederation(t, spec, 2), *failoverFlag)
		})
	}
}

func failOver(t *testing.T, c *cluster, f *world, rounds int) {
	rnd := random(t)
	p := &publishing{traffic: traffic{f: f}, t: t, last: make(map[alert.MemberID]int64),
		longest: make(map[alert.MemberID]time.Duration), since: make(map[alert.MemberID]time.Time)}
	p.begin(rnd)
	watcher := f.asMember("XD")
	var notes [][]byte
	p.recovered() // all flows before anything is broken
	for range rounds {
		for _, i := range rnd.Perm(len(faults)) {
			c.whole()
			notes = append(notes, checkpoint(t.Context(), watcher)...)
			p.reset()
			began := time.Now()
			heal := faults[i].strike(c, f)
			p.recovered()
			best, worst := p.longestGaps()
			flows := time.Since(began)
			notes = append(notes, checkpoint(t.Context(), watcher)...)
			heal()
			c.whole()
			t.Logf("%-32s no receipt for %5.1f s at the luckiest node, %5.1f s at the unluckiest; receipts flow after %5.1f s, all is whole after %5.1f s",
				faults[i].name, best.Seconds(), worst.Seconds(), flows.Seconds(), time.Since(began).Seconds())
		}
	}
	p.end()
	f.quiesce(5 * time.Minute)
	v := f.check(&p.traffic, notes)
	t.Log(v.tally(&p.traffic))
}

// publishing publishes from all nodes, and watches how long each goes without a
// receipt.
type publishing struct {
	traffic
	t    *testing.T
	all  sync.WaitGroup
	stop chan struct{}

	gaps    sync.Mutex
	last    map[alert.MemberID]int64         // receipts
	since   map[alert.MemberID]time.Time     // when there was one more, or reset
	longest map[alert.MemberID]time.Duration // without one, since reset
}

func (p *publishing) begin(rnd *rand.Rand) {
	p.stop = make(chan struct{})
	for _, m := range p.f.members {
		own := rand.New(rand.NewPCG(rnd.Uint64(), rnd.Uint64()))
		p.all.Go(func() {
			for !p.stopped() {
				p.publish(p.t, own, m, 1)
				pause(own, 300*time.Millisecond)
			}
		})
	}
	p.all.Go(func() {
		for !p.stopped() {
			p.watch()
			<-time.After(10 * time.Millisecond)
		}
	})
}

func (p *publishing) end() {
	close(p.stop)
	p.all.Wait()
}

func (p *publishing) stopped() bool {
	select {
	case <-p.stop:
		return true
	case <-p.t.Context().Done():
		return true
	default:
		return false
	}
}

// watch looks how many receipts each node has.
func (p *publishing) watch() {
	for _, m := range p.f.members {
		s, err := p.f.clients[m].Status(p.t.Context())
		p.gaps.Lock()
		now := time.Now()
		p.longest[m] = max(p.longest[m], now.Sub(p.since[m]))
		if err == nil && s.Outbox.Accepted > p.last[m] {
			p.last[m], p.since[m] = s.Outbox.Accepted, now
		}
		p.gaps.Unlock()
	}
}

// reset begins to measure anew.
func (p *publishing) reset() {
	p.gaps.Lock()
	defer p.gaps.Unlock()
	for _, m := range p.f.members {
		p.longest[m], p.since[m] = 0, time.Now()
	}
}

// longestGaps returns for how long the luckiest and the unluckiest node went
// without a receipt, since reset.
func (p *publishing) longestGaps() (best, worst time.Duration) {
	p.gaps.Lock()
	defer p.gaps.Unlock()
	var list []time.Duration
	for _, d := range p.longest {
		list = append(list, d)
	}
	return slices.Min(list), slices.Max(list)
}

// recovered waits until each node has three more receipts: one may have been on its
// way before, and its alert is sent before the next one is.
func (p *publishing) recovered() {
	p.t.Helper()
	p.gaps.Lock()
	want := make(map[alert.MemberID]int64)
	for _, m := range p.f.members {
		want[m] = p.last[m] + 3
	}
	p.gaps.Unlock()
	eventually(p.t, 4*time.Minute, "receipts at every node", func() (bool, string) {
		p.gaps.Lock()
		defer p.gaps.Unlock()
		var missing []string
		for _, m := range p.f.members {
			if p.last[m] < want[m] {
				missing = append(missing, fmt.Sprintf("%s has %d, not %d", m, p.last[m], want[m]))
			}
		}
		return missing == nil, strings.Join(missing, ", ")
	})
}

// tally counts what the checks have gone through. They have failed the test where a
// figure is not what it should be; the figures are for people.
func (v *verdict) tally(tr *traffic) string {
	taken, receipts, lost, items, twice := 0, 0, 0, 0, 0
	for _, m := range v.f.members {
		taken += len(tr.taken[m])
		receipts += len(v.outbox[m])
		for _, p := range v.outbox[m] {
			if _, err := v.hub.Alert(v.t.Context(), m, p.id, 1); err != nil {
				lost++
			}
		}
		inbox, err := v.nodes[m].Inbox(v.t.Context(), 0, 1<<30)
		if err != nil {
			v.t.Fatal(err)
		}
		seen := make(map[name]bool)
		for _, item := range inbox {
			if n := (name{item.Originator, item.ID}); seen[n] {
				twice++
			} else {
				seen[n] = true
			}
		}
		items += len(inbox)
	}
	if lost+twice > 0 {
		v.t.Errorf("%d lost, %d twice", lost, twice)
	}
	return fmt.Sprintf("%d alerts taken by nodes, %d receipts, %d of them lost; %d items in inboxes, %d twice; %d log entries verified",
		taken, receipts, lost, items, twice, len(v.entries))
}

// pause waits up to limit.
func pause(rnd *rand.Rand, limit time.Duration) {
	<-time.After(time.Duration(rnd.Int64N(int64(limit))))
}
