package hub_test

import (
	"context"
	"flag"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"testing"

	"github.com/entente-hub/entente/api/alert"
	"github.com/entente-hub/entente/api/federation"
	"github.com/entente-hub/entente/api/feed"
	"github.com/entente-hub/entente/hub"
	"github.com/entente-hub/entente/hub/server"
	"github.com/entente-hub/entente/hub/store"
	"github.com/entente-hub/entente/hub/store/pgtest"
	"github.com/entente-hub/entente/policies"
)

var walkSeed = flag.Uint64("walk-seed", 1, "seed of the random changes; 0 takes one from the clock")

// paused is a store whose passes can be held up: what happens before a pass has seen
// a change is where something could get lost.
type paused struct {
	store.Store
	pass sync.RWMutex // held to hold them up
}

func (p *paused) Settled(ctx context.Context) (store.Settled, error) {
	p.pass.RLock()
	defer p.pass.RUnlock()
	return p.Store.Settled(ctx)
}

// walk is a federation in which everything changes at random.
type walk struct {
	*world
	*rand.Rand
	alerts   []published
	cursors  map[alert.MemberID]int64
	chains   map[alert.MemberID]string
	handed   map[alert.MemberID]int64                 // up to where the feed was handed over, whether or not the answer arrived
	held     map[string]map[alert.PortionID]feed.Kind // the most that each member was handed, by member and alert version
	worlds   map[string]*policies.World               // by revision
	engine   *policies.Engine
	reached  map[string]map[int]bool // by member and alert: the versions that were handed over, whether or not the answer arrived
	rested   bool
	consents map[alert.ID]bool
}

type published struct {
	alert.Alert
	version int
}

// over reports whether it was recalled.
func (p published) over() bool { return p.Recall != nil }

// TestNothingIsForgotten: whatever changes while alerts are published and feeds are
// polled, and whenever the passes come, in the end each member has been handed all
// that it may have; and at no time anything that it might not have then.
func TestNothingIsForgotten(t *testing.T) {
	for name, open := range map[string]func(t *testing.T) store.Store{
		"sqlite":   func(t *testing.T) store.Store { return openSQLite(t) },
		"postgres": func(t *testing.T) store.Store { return openPostgres(t, pgtest.New(t)) },
	} {
		t.Run(name, func(t *testing.T) {
			for n := range uint64(2) {
				walkOnce(t, open(t), n)
			}
		})
	}
}

func walkOnce(t *testing.T, st store.Store, n uint64) {
	seed := *walkSeed + n
	if *walkSeed == 0 {
		seed = rand.Uint64()
	}
	t.Logf("repeat with -walk-seed %d", seed)
	p := &paused{Store: st}
	w := &walk{world: worldOn(t, p), Rand: rand.New(rand.NewPCG(seed, seed)), cursors: make(map[alert.MemberID]int64), chains: make(map[alert.MemberID]string), handed: make(map[alert.MemberID]int64),
		held: make(map[string]map[alert.PortionID]feed.Kind), reached: make(map[string]map[int]bool), worlds: make(map[string]*policies.World), consents: make(map[alert.ID]bool)}
	var err error
	if w.engine, err = engine(); err != nil {
		t.Fatal(err)
	}
	second := w.start(p) // a hub on the same store
	w.remember()
	for step := range 150 {
		if w.IntN(4) == 0 {
			p.pass.Lock()
			for range 1 + w.IntN(6) {
				w.step(pickHub(w, second))
			}
			p.pass.Unlock()
		} else {
			w.step(pickHub(w, second))
		}
		if step%50 == 49 {
			w.settle()
		}
	}
	w.settle()
	for _, m := range members {
		for w.take(w.Hub, m) > 0 || w.cursors[m] < w.handed[m] {
		}
	}
	w.complete()
	w.verifyLog()
}

func pickHub(w *walk, second *hub.Hub) *hub.Hub {
	if w.IntN(2) == 0 {
		return second
	}
	return w.Hub
}

// step makes one random thing happen.
func (w *walk) step(h *hub.Hub) {
	w.Helper()
	switch w.IntN(9) {
	case 0, 1:
		w.release(h)
	case 8:
		w.recallOne(h)
	case 2:
		w.rested = !w.rested
		w.submitTo(h, w.suspension(w.rested))
	case 3:
		w.consentAtRandom(h)
	case 4:
		roster := []alert.MemberID{"XA"}
		for _, m := range members[1:] {
			if w.IntN(2) == 0 {
				roster = append(roster, m)
			}
		}
		w.submitTo(h, w.state(federation.TypeRoster, &federation.Roster{TaskForce: "tf-river", Members: roster}, w.root("XA")))
	case 5:
		w.submitTo(h, w.registry(func(r *federation.Registry) {
			i := 1 + w.IntN(3)
			r.Members[i].Suspended = !r.Members[i].Suspended
		}))
	default:
		w.take(h, members[w.IntN(len(members))])
	}
	w.remember()
}

// remember keeps the world of each revision that there was.
func (w *walk) remember() {
	w.Helper()
	if err := w.Hub.Known(w.Context(), "XA"); err != nil {
		w.Fatal(err)
	}
	fw := w.latest()
	if _, ok := w.worlds[fw.Revision]; !ok {
		ix, err := w.engine.World(fw)
		if err != nil {
			w.Fatal(err)
		}
		w.worlds[fw.Revision] = ix
	}
}

// latest is the world as the statements in the store make it.
func (w *walk) latest() *federation.World {
	w.Helper()
	if m := w.Hub.Ready(w.Context()); len(m) > 0 {
		w.Fatalf("not ready: %v", m)
	}
	return w.Directory().World(w.clock.now())
}

func (w *walk) release(h *hub.Hub) {
	w.Helper()
	var labels []alert.Label
	for range 1 + w.IntN(3) {
		l := label("XB", "XC", "XD")
		switch w.IntN(5) {
		case 0:
			l = bilateral()
		case 1:
			l.Compartments = []alert.TaskForceID{"tf-river"}
		case 2:
			l.OriginatorControl = true
		case 3:
			l.DiscoverableTo = []alert.Audience{"XC", "XD"}
			l.Compartments = []alert.TaskForceID{"tf-river"}
		}
		labels = append(labels, l)
	}
	a := w.compose("XA", labels...)
	if before := w.one(); before != nil && w.IntN(3) == 0 {
		row, err := w.store.Alert(w.Context(), "XA", before.Subject, before.version)
		if err != nil {
			w.Fatal(err)
		}
		a.Subject, a.Version, a.Previous = before.Subject, before.version+1, row.SignedDigest
		*before = published{a, a.Version}
	} else {
		w.alerts = append(w.alerts, published{a, 1})
	}
	if _, err := h.Publish(w.Context(), "XA", w.sign(a)); err != nil {
		w.Fatal(err)
	}
}

// one returns an alert that was not recalled; nil: it met none.
func (w *walk) one() *published {
	if len(w.alerts) == 0 {
		return nil
	}
	if a := &w.alerts[w.IntN(len(w.alerts))]; !a.over() {
		return a
	}
	return nil
}

func (w *walk) recallOne(h *hub.Hub) {
	w.Helper()
	before := w.one()
	if before == nil {
		return
	}
	mode := alert.Purge
	if w.IntN(2) == 0 {
		mode = alert.CeaseUse
	}
	a := w.recall(before.Alert, mode)
	*before = published{a, a.Version}
	if _, err := h.Publish(w.Context(), "XA", w.sign(a)); err != nil {
		w.Fatal(err)
	}
}

func (w *walk) consentAtRandom(h *hub.Hub) {
	w.Helper()
	if len(w.alerts) == 0 {
		return
	}
	a := w.alerts[w.IntN(len(w.alerts))]
	to := []alert.Audience{}
	if !w.consents[a.Subject] {
		to = append(to, "XB", "XD")
	}
	w.consents[a.Subject] = len(to) > 0
	w.submitTo(h, w.state(federation.TypeConsent, &federation.Consent{Originator: "XA", Alert: a.Subject, Recipients: to}, w.nodes["XA"]))
}

// take polls as a node does; now and then the answer is lost on its way, and an
// acknowledgement. What comes must be permitted at this moment; what is handed over for
// the first time, under the revision that it names, must be all of it.
func (w *walk) take(h *hub.Hub, m alert.MemberID) int {
	w.Helper()
	now := w.latest().Revision
	page, err := h.Poll(w.Context(), m, w.cursors[m], 1+w.IntN(10), 0)
	if err != nil {
		w.Fatal(err)
	}
	first := w.handed[m]
	for _, i := range page.Items {
		if i.Delivery != nil {
			w.reach(m, i)
		}
	}
	if n := len(page.Items); n > 0 {
		w.handed[m] = max(first, page.Items[n-1].Seq)
	}
	if w.IntN(4) == 0 {
		return len(page.Items)
	}
	if w.chains[m] == "" {
		w.chains[m] = feed.ChainStart(m)
	}
	for _, i := range page.Items {
		w.cursors[m], w.chains[m] = i.Seq, feed.Next(w.chains[m], i.Seq, i.Digest)
		if i.Delivery != nil {
			w.judge(m, i, now, i.Seq > first)
		} else if i.Seq > first {
			w.Fatalf("%s: a first hand-over without a delivery", m)
		}
	}
	return len(page.Items)
}

// reach notes which version was handed over, and holds a notice to its reason.
func (w *walk) reach(m alert.MemberID, i feed.Item) {
	w.Helper()
	p, err := alert.ParsePayload(payloadOf(w, i.Delivery.Alert))
	if err != nil {
		w.Fatal(err)
	}
	key := fmt.Sprint(m, p.Subject)
	if w.reached[key] == nil {
		if len(i.Delivery.Releases) == 0 {
			w.Fatalf("%s learns of version %d of %s, and had none before", m, p.Version, p.Subject)
		}
		w.reached[key] = make(map[int]bool)
	}
	w.reached[key][p.Version] = true
}

// judge holds a delivery to the rules of this moment, and acknowledges it.
func (w *walk) judge(m alert.MemberID, i feed.Item, now string, first bool) {
	w.Helper()
	if first && i.Delivery.Revision != now {
		w.Fatalf("%s: handed over at revision %s, now is %s", m, i.Delivery.Revision, now)
	}
	p, err := alert.ParsePayload(payloadOf(w, i.Delivery.Alert))
	if err != nil {
		w.Fatal(err)
	}
	k := slices.IndexFunc(w.alerts, func(a published) bool { return a.Subject == p.Subject })
	got := kinds(i.Delivery)
	if p.Version == w.alerts[k].version {
		permitted := w.permitted(w.worlds[now], w.alerts[k].Alert, m)
		for portion, kind := range got {
			if permitted[portion] != kind && permitted[portion] != feed.Content {
				w.Fatalf("%s: got %s of %s, permitted is %q", m, kind, portion, permitted[portion])
			}
		}
		for portion, kind := range permitted {
			if first && got[portion] != kind {
				w.Fatalf("%s: got %q of %s, permitted is %s", m, got[portion], portion, kind)
			}
		}
	}
	key := fmt.Sprint(m, p.Subject, p.Version)
	if w.held[key] == nil {
		w.held[key] = make(map[alert.PortionID]feed.Kind)
	}
	for portion, kind := range got { // a node holds all that it was ever handed of a version
		if w.held[key][portion] != feed.Content {
			w.held[key][portion] = kind
		}
	}
	if w.IntN(3) > 0 {
		if err := w.Acknowledge(w.Context(), m, []string{w.ackAs(w.nodes[m], m, i.Seq, w.chains[m], w.clock.now())}); err != nil {
			w.Fatal(err)
		}
	}
}

// permitted is what a member may have of an alert in a world.
func (w *walk) permitted(ix *policies.World, a alert.Alert, m alert.MemberID) map[alert.PortionID]feed.Kind {
	w.Helper()
	out := make(map[alert.PortionID]feed.Kind)
	for _, p := range a.Portions {
		aud, err := ix.Decide(w.Context(), policies.Query{Originator: a.Issuer, Label: *p.Label, Alert: a.Subject})
		if err != nil {
			w.Fatal(err)
		}
		if k := aud.Of(m); k != feed.None {
			out[p.ID] = k
		}
	}
	return out
}

// complete checks that nobody lacks what it may have.
func (w *walk) complete() {
	w.Helper()
	ix := w.worlds[w.latest().Revision]
	some := 0
	for _, a := range w.alerts {
		for _, m := range members[1:] {
			if reached := w.reached[fmt.Sprint(m, a.Subject)]; len(reached) > 0 && !reached[a.version] {
				w.Errorf("%s was handed versions %v of %s, and is not told of version %d", m, reached, a.Subject, a.version)
			}
			held := w.held[fmt.Sprint(m, a.Subject, a.version)]
			for portion, kind := range w.permitted(ix, a.Alert, m) {
				if some++; held[portion] != kind && held[portion] != feed.Content {
					w.Errorf("%s may have %s of %s of %s, and has %q", m, kind, portion, a.Subject, held[portion])
				}
			}
		}
	}
	w.Logf("%d alerts, %d portions that members may have, %d revisions", len(w.alerts), some, len(w.worlds))
}

// worldOn is the trial federation on a store, with its statements in force.
func worldOn(t testing.TB, st store.Store) *world {
	t.Helper()
	w := bareWorld(t, st)
	if err := server.TakeStatements(t.Context(), w.Hub, w.Statements()); err != nil {
		t.Fatal(err)
	}
	w.settle()
	return w
}
