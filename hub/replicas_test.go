package hub_test

import (
	"encoding/json"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/entente-hub/entente/api/alert"
	"github.com/entente-hub/entente/api/audit"
	"github.com/entente-hub/entente/api/federation"
	"github.com/entente-hub/entente/api/feed"
	"github.com/entente-hub/entente/api/problem"
	"github.com/entente-hub/entente/crypto/keys"
	"github.com/entente-hub/entente/hub"
	"github.com/entente-hub/entente/hub/server"
	"github.com/entente-hub/entente/hub/store"
	"github.com/entente-hub/entente/hub/store/pgtest"
	"github.com/entente-hub/entente/policies"
	"github.com/entente-hub/entente/trust"
)

// replicas runs a test with two hubs side by side on one store, or on two
// connections to one database.
func replicas(t *testing.T, test func(t *testing.T, w *world, other *hub.Hub)) {
	run := func(name string, open func(t *testing.T) (a, b store.Store)) {
		t.Run(name, func(t *testing.T) {
			a, b := open(t)
			w := bareWorld(t, a)
			if err := server.TakeStatements(t.Context(), w.Hub, w.Statements()); err != nil {
				t.Fatal(err)
			}
			w.settle()
			test(t, w, w.start(b))
		})
	}
	run("sqlite", func(t *testing.T) (a, b store.Store) {
		a = openSQLite(t)
		return a, a
	})
	run("postgres", func(t *testing.T) (a, b store.Store) {
		dsn := pgtest.New(t)
		return openPostgres(t, dsn), openPostgres(t, dsn)
	})
}

func TestReplicasShareFeedAndReceipts(t *testing.T) {
	replicas(t, func(t *testing.T, w *world, other *hub.Hub) {
		_, token := w.issue("XA", label("XB"))
		receipt := w.publish("XA", token)
		if again, err := other.Publish(t.Context(), "XA", token); err != nil || again != receipt {
			t.Errorf("the other hub answers a replay with %q %v", again, err)
		}
		here, there := w.poll("XB", 0), w.pollAt(other, "XB", 0)
		w.checkPage("XB", 0, feed.ChainStart("XB"), there)
		if encode(t, here.Items) != encode(t, there.Items) || len(here.Items) != 1 {
			t.Error("the hubs serve different feeds")
		}
		w.verifyLog()
	})
}

// What one hub has been told binds the other at its next hand-over.
func TestReplicasObeyEachOthersStatements(t *testing.T) {
	replicas(t, func(t *testing.T, w *world, other *hub.Hub) {
		_, token := w.issue("XA", bilateral())
		w.publish("XA", token)
		w.submitTo(other, w.suspension(true))
		if page := w.poll("XB", 0); len(page.Items) != 0 {
			t.Error("released under an agreement that is suspended at the other hub")
		}
		w.submitTo(other, w.suspension(false))
		_, token = w.issue("XA", bilateral())
		w.publish("XA", token)
		w.settle()
		if page := w.pollAt(other, "XB", 0); len(page.Items) != 2 { // what was withheld comes too
			t.Fatalf("%d items", len(page.Items))
		}
		w.submitTo(w.Hub, w.suspension(true))
		if page := w.pollAt(other, "XB", 0); len(page.Items) != 2 || page.Items[0].Delivery != nil || page.Items[1].Delivery != nil {
			t.Errorf("served again by the other hub: %+v", page.Items)
		}
	})
}

// A refusal is for good: it must not come of one hub being behind the other.
func TestReplicasKnowEachOthersKeys(t *testing.T) {
	replicas(t, func(t *testing.T, w *world, other *hub.Hub) {
		fresh, err := keys.Generate("XA", keys.EdDSA)
		if err != nil {
			t.Fatal(err)
		}
		raw, err := fresh.Public().MarshalJSON()
		if err != nil {
			t.Fatal(err)
		}
		now := w.clock.now()
		w.submitTo(w.Hub, w.state(federation.TypeNodeKey, &federation.NodeKey{Member: "XA", KeyID: fresh.Public().KeyID(), Key: raw,
			NotBefore: now.Add(-time.Minute).Unix(), NotAfter: now.Add(time.Hour).Unix()}, w.root("XA")))
		if _, err := other.Publish(t.Context(), "XA", w.signAs(fresh, w.compose("XA", label("XB")))); err != nil {
			t.Errorf("a key that the other hub knows: %v", err)
		}
		w.submitTo(w.Hub, w.registry(func(r *federation.Registry) {
			r.Schemes = append(r.Schemes, federation.PlainScheme("urn:entente:policy:new:1", "new"))
		}))
		l := label("XB")
		l.Policy = "urn:entente:policy:new:1"
		if _, err := other.Publish(t.Context(), "XA", w.sign(w.compose("XA", l))); err != nil {
			t.Errorf("a scheme that the other hub knows: %v", err)
		}
		if n := count(w.entries(), audit.Refusal); n != 0 {
			t.Errorf("%d refusals in the log", n)
		}
	})
}

// NOTIFY is a hint and may be lost while the other hub is only beginning to
// listen, so the test goes on publishing until the poll has woken.
func TestReplicaWakesLongPoll(t *testing.T) {
	dsn := pgtest.New(t)
	w := bareWorld(t, openPostgres(t, dsn))
	if err := server.TakeStatements(t.Context(), w.Hub, w.Statements()); err != nil {
		t.Fatal(err)
	}
	w.settle()
	other := w.start(openPostgres(t, dsn))
	got := make(chan error, 1)
	go func() {
		page, err := other.Poll(t.Context(), "XB", 0, 1, time.Hour)
		if err == nil && len(page.Items) != 1 {
			err = problem.New(problem.Internal, "%d items", len(page.Items))
		}
		got <- err
	}()
	for range 10_000 {
		_, token := w.issue("XA", label("XB"))
		w.publish("XA", token)
		select {
		case err := <-got:
			if err != nil {
				t.Error(err)
			}
			return
		default:
		}
	}
	t.Error("the poll at the other hub never woke")
}

// Publishers, pollers and statements all at once, on two hubs. Guarantee: each
// delivery holds what policy permits at the revision that it names, and stands
// in the log as it was handed over.
func TestEveryHandOverIsPermittedAtItsRevision(t *testing.T) {
	replicas(t, func(t *testing.T, w *world, other *hub.Hub) {
		const alerts = 24
		publishers := []alert.MemberID{"XA", "XC"}
		hubs := []*hub.Hub{w.Hub, other}
		root := w.root("XB")
		var tokens [2][]string
		for i, m := range publishers {
			for range alerts {
				l := bilateral()
				l.Compartments = []alert.TaskForceID{"tf-river"}
				_, token := w.issue(m, label("federation"), l)
				tokens[i] = append(tokens[i], token)
			}
		}
		var publishing, polling sync.WaitGroup
		for i, m := range publishers {
			publishing.Go(func() {
				for j, token := range tokens[i] {
					if _, err := hubs[j%2].Publish(t.Context(), m, token); err != nil {
						t.Errorf("%s: %v", m, err)
					}
				}
			})
		}
		publishing.Go(func() {
			for i := range 16 {
				raw := w.state(federation.TypeSuspension, &federation.Suspension{Agreement: "xa-xb-smuggling", Party: "XB", Suspended: i%2 == 0}, root)
				if err := hubs[0].SubmitStatement(t.Context(), "XB", raw); err != nil {
					t.Error(err)
				}
			}
		})
		var done atomic.Bool
		items := make(map[alert.MemberID]*[]feed.Item)
		for _, m := range members {
			got := new([]feed.Item)
			items[m] = got
			polling.Go(func() {
				chain := feed.ChainStart(m)
				for round := 0; ; round++ {
					last := done.Load()
					after := int64(len(*got))
					page, err := hubs[round%2].Poll(t.Context(), m, after, 5, 0)
					if err != nil {
						t.Errorf("%s: %v", m, err)
						return
					}
					chain = w.checkPage(m, after, chain, page)
					*got = append(*got, page.Items...)
					if last && len(page.Items) == 0 {
						return
					}
				}
			})
		}
		publishing.Wait()
		done.Store(true)
		polling.Wait()
		w.permitted(items)
		w.released(items)
		got := make(map[string]bool) // an alert comes again where a portion of it was released later
		for _, i := range *items["XB"] {
			got[string(payloadOf(t, i.Delivery.Alert))] = true
		}
		if len(got) != 2*alerts {
			t.Errorf("XB has %d alerts, want all that went to the federation", len(got))
		}
		w.verifyLog()
	})
}

// permitted holds deliveries to the policy world of the revision that each names.
func (w *world) permitted(items map[alert.MemberID]*[]feed.Item) {
	w.Helper()
	worlds := w.worlds()
	for m, list := range items {
		for _, item := range *list {
			if item.Delivery == nil {
				continue
			}
			pw, ok := worlds[item.Delivery.Revision]
			if !ok {
				w.Fatalf("%s/%d names a revision that never was", m, item.Seq)
			}
			v, err := w.Directory().VerifyAlert(item.Delivery.Alert)
			if err != nil {
				w.Fatal(err)
			}
			row, err := w.store.Alert(w.Context(), v.Issuer, v.Subject, v.Version)
			if err != nil {
				w.Fatal(err)
			}
			whole, err := trust.ReadPortions(row.Token)
			if err != nil {
				w.Fatal(err)
			}
			got := w.kinds(item.Delivery)
			for _, p := range whole {
				aud, err := pw.Decide(w.Context(), policies.Query{Originator: v.Issuer, Label: *p.Label, Alert: v.Subject})
				if err != nil {
					w.Fatal(err)
				}
				if k, ok := got[p.ID]; ok != (aud.Of(m) != feed.None) || ok && k != aud.Of(m) {
					w.Errorf("%s/%d holds %q of %s, permitted is %q", m, item.Seq, k, p.ID, aud.Of(m))
				}
			}
		}
	}
}

// worlds makes the policy world of every revision that the statements went
// through, in the order in which they were stored.
func (w *world) worlds() map[string]*policies.World {
	w.Helper()
	d := w.deps(w.store)
	dir, at := trust.New(d.Authority), int64(0)
	list, err := w.store.Statements(w.Context(), 0, 1000)
	if err != nil {
		w.Fatal(err)
	}
	out := make(map[string]*policies.World)
	for _, s := range list {
		if s.Type == "moment" { // at which the hubs look at it from then on
			var m struct{ At int64 }
			if err := json.Unmarshal(s.Raw, &m); err != nil {
				w.Fatal(err)
			}
			at = m.At
		} else if dir, err = dir.With(w.clock.now(), s.Raw); err != nil {
			w.Fatal(err)
		}
		if !dir.Ready() {
			continue
		}
		fw := dir.World(time.Unix(at, 0))
		if out[fw.Revision], err = d.Engine.World(fw); err != nil {
			w.Fatal(err)
		}
	}
	return out
}

// released holds the log to what the nodes got: each item has its one entry, which
// says the same, and no entry is without its item.
func (w *world) released(items map[alert.MemberID]*[]feed.Item) {
	w.Helper()
	next := make(map[alert.MemberID]int64)
	admitted := make(map[alert.ID]bool)
	for _, e := range w.entries() {
		if e.Kind == audit.Admission {
			admitted[e.Alert.ID] = true
		}
		if e.Kind != audit.Release {
			continue
		}
		next[e.Recipient]++
		if e.Seq != next[e.Recipient] || e.Seq > int64(len(*items[e.Recipient])) || !admitted[e.Alert.ID] {
			w.Fatalf("release %+v is out of order", e)
		}
		d := (*items[e.Recipient])[e.Seq-1].Delivery
		if d == nil {
			continue
		}
		v, err := w.Directory().VerifyAlert(d.Alert)
		if err != nil {
			w.Fatal(err)
		}
		same := v.Subject == e.Alert.ID && d.Revision == e.Revision && d.Policy == e.Policy && len(d.Releases) == len(e.Releases)
		for i := range d.Releases {
			same = same && d.Releases[i].Portion == e.Releases[i].Portion && d.Releases[i].Kind == e.Releases[i].Kind
		}
		if !same {
			w.Errorf("the log says %+v, %s got %+v", e, e.Recipient, d)
		}
	}
	for m, list := range items {
		if next[m] != int64(len(*list)) {
			w.Errorf("%s has %d items, the log %d", m, len(*list), next[m])
		}
	}
}
