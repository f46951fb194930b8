package e2e_test

import (
	"maps"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/entente-hub/entente/api/alert"
	"github.com/entente-hub/entente/cli/setup"
	"github.com/entente-hub/entente/hub/store/pgtest"
)

// total is how many alerts pass through while processes are killed.
const total = 500

var fourShares = map[alert.MemberID]int{"XA": total / 4, "XB": total / 4, "XC": total / 4, "XD": total / 4}

// TestKillHubSQLite: the only hub is killed and started again.
func TestKillHubSQLite(t *testing.T) {
	f := newFederation(t, setup.Trial(), 1)
	f.killAndCheck(random(t), fourShares, f.hubs)
}

// TestKillHubsPostgreSQL: two hubs share one database, and one of them at a time is
// killed.
func TestKillHubsPostgreSQL(t *testing.T) {
	spec := setup.Trial()
	spec.Postgres = pgtest.New(t)
	f := newFederation(t, spec, 2)
	f.killAndCheck(random(t), fourShares, f.hubs)
}

// TestKillNodes: a node that publishes and one that receives are killed. What a
// node has answered for is sent, and what has arrived is there once.
func TestKillNodes(t *testing.T) {
	f := newFederation(t, setup.Trial(), 1)
	f.killAndCheck(random(t), map[alert.MemberID]int{"XA": total / 2, "XC": total / 2},
		[]*process{f.nodes["XA"], f.nodes["XB"]})
}

// killAndCheck kills victims while the members publish, and once more when the
// last receipt is there but not the last acknowledgement.
func (f *world) killAndCheck(rnd *rand.Rand, shares map[alert.MemberID]int, victims []*process) {
	t := f.t
	tr := &traffic{f: f}
	began := time.Now()
	published := tr.publishAll(t, rnd, shares)
	var sum int64
	for n := range maps.Values(shares) {
		sum += int64(n)
	}
	watcher := f.asMember("XD")
	var notes [][]byte
	kills, accepted := 0, make(map[alert.MemberID]int64)
	for _, mark := range marks(rnd, sum) {
		eventually(t, 60*time.Second, "progress", func() (bool, string) {
			n := f.progress(accepted)
			return n >= mark, ""
		})
		notes = append(notes, checkpoint(t.Context(), watcher)...)
		// Within the next few milliseconds, at whatever the victim is doing then.
		<-time.After(time.Duration(rnd.Int64N(int64(20 * time.Millisecond))))
		p := victims[rnd.IntN(len(victims))]
		p.kill()
		p.start()
		if kills++; rnd.IntN(2) == 0 || len(victims) > 1 { // at times it is killed while it starts
			p.await("/readyz")
		}
	}
	<-published
	for _, p := range victims {
		p.await("/readyz")
	}
	f.quiesce(60 * time.Second)
	t.Logf("%d alerts, %d kills, at rest after %s", sum, kills, time.Since(began).Round(time.Millisecond))
	f.check(tr, notes)
}

// marks are the counts of receipts at which to kill: about one in 40, and the end.
func marks(rnd *rand.Rand, sum int64) []int64 {
	var out []int64
	for range sum / 40 {
		out = append(out, rnd.Int64N(sum))
	}
	slices.Sort(out)
	return append(out, sum)
}

// TestHubAway: what is published while the hub is away, and the node itself is
// killed, is sent in order when the hub is back.
func TestHubAway(t *testing.T) {
	const n = 20
	f := newFederation(t, setup.Trial(), 1)
	f.hubs[0].kill()
	tr := &traffic{f: f}
	for i := range n {
		if i == n/2 {
			f.nodes["XA"].kill()
			f.nodes["XA"].start()
			f.nodes["XA"].await("/readyz")
		}
		out, err := f.clients["XA"].Publish(t.Context(), draftOf(t, []alert.PortionID{"open"}, "while the hub is away"))
		if err != nil {
			t.Fatal(err)
		}
		if tr.taken == nil {
			tr.taken = make(map[alert.MemberID][]alert.ID)
		}
		tr.taken["XA"] = append(tr.taken["XA"], alert.ID(out.Id))
	}
	s, err := f.clients["XA"].Status(t.Context())
	if err != nil || s.Outbox.Queued != n || s.Following {
		t.Fatalf("%+v, %v", s, err)
	}
	f.hubs[0].start()
	f.hubs[0].await("/readyz")
	f.quiesce(60 * time.Second)
	f.check(tr, nil)
}
