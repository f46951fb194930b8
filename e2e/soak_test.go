package e2e_test

import (
	"errors"
	"math/rand/v2"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/entente-hub/entente/api/alert"
	"github.com/entente-hub/entente/api/federation"
	"github.com/entente-hub/entente/cli/setup"
	"github.com/entente-hub/entente/crypto/keys"
	"github.com/entente-hub/entente/hub/store/pgtest"
)

// TestSoak publishes at random from every node, kills any hub or node at any time,
// and has an agreement suspended and resumed, for as long as -soak says. Then it
// holds everything against everything else, as the kill tests do. It runs two hubs
// on PostgreSQL where that is installed, and else one on SQLite.
func TestSoak(t *testing.T) {
	if *soakFlag == 0 {
		t.Skip("say how long: go test ./e2e -run Soak -soak 10m -timeout 0")
	}
	t.Run("SQLite", func(t *testing.T) { soak(t, newFederation(t, setup.Trial(), 1), *soakFlag/2) })
	t.Run("PostgreSQL", func(t *testing.T) {
		spec := setup.Trial()
		spec.Postgres = pgtest.New(t)
		soak(t, newFederation(t, spec, 2), *soakFlag/2)
	})
}

func soak(t *testing.T, f *world, d time.Duration) {
	rnd := random(t)
	tr := &traffic{f: f}
	end := time.Now().Add(d)
	var all sync.WaitGroup
	for _, m := range f.members {
		own := rand.New(rand.NewPCG(rnd.Uint64(), rnd.Uint64()))
		all.Go(func() {
			for time.Now().Before(end) {
				tr.publish(t, own, m, 1)
				pause(own, 200*time.Millisecond)
			}
		})
	}
	own := rand.New(rand.NewPCG(rnd.Uint64(), rnd.Uint64()))
	changes := 0
	all.Go(func() { changes = f.suspendAndResume(own, end) })
	watcher := f.asMember("XD")
	var notes [][]byte
	kills := 0
	for ; time.Now().Before(end); kills++ {
		pause(rnd, 4*time.Second)
		// Enough of them to see a rewritten history, and not so many that verifying
		// the log against each takes longer than the soak.
		if len(notes) < 50 {
			notes = append(notes, checkpoint(t.Context(), watcher)...)
		}
		p := f.anyPart(rnd)
		p.kill()
		pause(rnd, time.Second)
		p.start()
		p.await("/healthz")
	}
	all.Wait()
	for _, m := range f.members { // so that each feed ends with an item that nobody withholds
		out, err := f.clients[m].Publish(t.Context(), draftOf(t, []alert.PortionID{"open"}, "the last"))
		if err != nil {
			t.Fatal(err)
		}
		tr.taken[m] = append(tr.taken[m], alert.ID(out.Id))
	}
	f.quiesce(5 * time.Minute)
	n := 0
	for _, list := range tr.taken {
		n += len(list)
	}
	t.Logf("%d alerts, %d kills, %d statements", n, kills, changes)
	f.check(tr, notes, "person")
}

func (f *world) anyPart(rnd *rand.Rand) *process {
	parts := append([]*process{}, f.hubs...)
	for _, m := range f.members {
		parts = append(parts, f.nodes[m])
	}
	return parts[rnd.IntN(len(parts))]
}

// pause waits up to limit.
func pause(rnd *rand.Rand, limit time.Duration) {
	<-time.After(time.Duration(rnd.Int64N(int64(limit))))
}

// suspendAndResume has XA suspend its agreement with XB and resume it, in turn,
// until the end, and returns how often. It ends with the agreement in force.
func (f *world) suspendAndResume(rnd *rand.Rand, end time.Time) int {
	root := f.rootKey("XA")
	client := f.asMember("XA")
	previous := ""
	for rev := int64(1); ; rev++ {
		suspended := rev%2 == 1
		if suspended && !time.Now().Before(end) {
			return int(rev - 1)
		}
		payload, err := federation.NewStatement(federation.TypeSuspension,
			&federation.Suspension{Agreement: "xa-xb-smuggling", Party: "XA", Suspended: suspended}, rev, previous, time.Now().Unix())
		if err != nil {
			f.t.Error(err)
			return 0
		}
		raw, err := keys.SignGeneral(f.t.Context(), []keys.Signer{root}, federation.StatementJWSType, payload)
		if err != nil {
			f.t.Error(err)
			return 0
		}
		// A hub that is down is asked again: the same statement changes nothing twice.
		for late := time.Now().Add(time.Minute); ; pause(rnd, time.Second) {
			if err = client.SubmitStatement(f.t.Context(), raw); err == nil {
				break
			} else if time.Now().After(late) {
				f.t.Error(errors.New("a statement is not taken"), err)
				return 0
			}
		}
		previous = federation.Digest(payload)
		pause(rnd, 5*time.Second)
	}
}

// rootKey opens a member's root key, which is in the folder as this is a trial.
func (f *world) rootKey(m alert.MemberID) keys.Signer {
	f.t.Helper()
	secret, err := keys.SecretFromFile(filepath.Join(f.Node(m), "root.secret"))
	if err != nil {
		f.t.Fatal(err)
	}
	ks, err := keys.OpenStore(filepath.Join(f.Node(m), "root"), secret)
	if err != nil {
		f.t.Fatal(err)
	}
	ids, err := ks.List()
	if err != nil || len(ids) != 1 {
		f.t.Fatalf("%v, %v", ids, err)
	}
	signer, err := ks.Load(ids[0])
	if err != nil {
		f.t.Fatal(err)
	}
	return signer
}
