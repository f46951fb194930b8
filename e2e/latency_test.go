package e2e_test

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/entente-hub/entente/api/alert"
	"github.com/entente-hub/entente/api/audit"
	"github.com/entente-hub/entente/api/serve"
	"github.com/entente-hub/entente/cli/setup"
	"github.com/entente-hub/entente/crypto/keys"
	"github.com/entente-hub/entente/crypto/pki"
	hubserver "github.com/entente-hub/entente/hub/server"
	"github.com/entente-hub/entente/node"
	"github.com/entente-hub/entente/node/hubclient"
	nodeserver "github.com/entente-hub/entente/node/server"
	nodestore "github.com/entente-hub/entente/node/store"
	nodesqlite "github.com/entente-hub/entente/node/store/sqlite"
)

// BenchmarkLatency measures from the moment at which an alert should be published
// until the last of all inboxes has it on stable storage: with the product,
// verified up to the originator's root, and with a bare relay of the same bytes
// over the same TLS and with the same writes to SQLite, but without policy,
// signatures, audit or acknowledgements. Everything runs in one process on one
// machine, so that the cost of all nodes counts, not of one. Then NATS JetStream relays
// as many messages of that size (tools/jetstreambench), in a process of its own. Figures
// are in milliseconds; "x" is how many times the product takes what the bare relay does,
// "js-x" what JetStream does, and "relay" the part from the hub's admission on, without
// the publisher's outbox.
func BenchmarkLatency(b *testing.B) {
	jetStream := buildJetStream(b)
	for _, nodes := range []int{10, 50} {
		for _, pace := range []struct {
			name   string
			alerts int
			every  time.Duration // 0: each when the one before has arrived everywhere
		}{{"alone", 100, 0}, {"20-a-second", 400, time.Second / 20}, {"100-a-second", 1000, time.Second / 100}} {
			b.Run(fmt.Sprintf("nodes=%d/%s", nodes, pace.name), func(b *testing.B) {
				for b.Loop() {
					layout, members := benchFederation(b, nodes)
					rec := newRecorder(nodes)
					publish, sample, stop := runProduct(b, layout, members, rec)
					product := rec.measure(b, pace.alerts, pace.every, publish)
					stop()
					relay := rec.since(b, admissions(b, layout))
					rec = newRecorder(nodes)
					body := sample()
					publish, stop = runBareRelay(b, layout, members, body, rec)
					bare := rec.measure(b, pace.alerts, pace.every, publish)
					stop()
					report(b, product, relay, bare, jetStream(b, nodes, pace.alerts, len(body), pace.every))
				}
			})
		}
	}
}

func report(b *testing.B, product, relay, bare, jetStream []time.Duration) {
	b.ReportMetric(0, "ns/op") // a whole run, which says nothing
	for _, p := range []int{50, 99} {
		x, y, z := percentile(product, p), percentile(bare, p), percentile(jetStream, p)
		b.ReportMetric(x, fmt.Sprintf("p%d-ms", p))
		b.ReportMetric(y, fmt.Sprintf("bare-p%d-ms", p))
		b.ReportMetric(percentile(relay, p), fmt.Sprintf("relay-p%d-ms", p))
		b.ReportMetric(x/y, fmt.Sprintf("p%d-x", p))
		b.ReportMetric(z, fmt.Sprintf("js-p%d-ms", p))
		b.ReportMetric(x/z, fmt.Sprintf("js-p%d-x", p))
	}
}

// percentile returns the smallest value that p percent do not exceed, in ms.
func percentile(sorted []time.Duration, p int) float64 {
	i := int(math.Ceil(float64(p*len(sorted))/100)) - 1
	return float64(sorted[i]) / float64(time.Millisecond)
}

// recorder notes when each message has reached how many.
type recorder struct {
	subscribers int
	mu          sync.Mutex
	seen        map[string]int
	last        map[string]time.Time
	complete    chan string // messages that have reached all
}

func newRecorder(subscribers int) *recorder {
	return &recorder{subscribers: subscribers, seen: make(map[string]int), last: make(map[string]time.Time), complete: make(chan string, 2000)}
}

func (r *recorder) arrived(key string) {
	now := time.Now()
	r.mu.Lock()
	defer r.mu.Unlock()
	r.last[key] = now
	if r.seen[key]++; r.seen[key] == r.subscribers {
		r.complete <- key
	}
}

// measure publishes some alerts unmeasured, then n, and returns the sorted times.
func (r *recorder) measure(b *testing.B, n int, every time.Duration, publish func() string) []time.Duration {
	for range 5 {
		publish()
		r.await(b)
	}
	began := make(map[string]time.Time)
	if every == 0 {
		for range n {
			due := time.Now()
			began[publish()] = due
			r.await(b)
		}
		return r.since(b, began)
	}
	var mu sync.Mutex
	var publishers sync.WaitGroup
	start := time.Now()
	for i := range n {
		due := start.Add(time.Duration(i) * every)
		<-time.After(time.Until(due))
		publishers.Go(func() { // several users at once: none waits for another's answer
			id := publish()
			mu.Lock()
			began[id] = due
			mu.Unlock()
		})
	}
	for range n {
		r.await(b)
	}
	publishers.Wait()
	return r.since(b, began)
}

// since returns, sorted, how long after its beginning each message had reached all.
func (r *recorder) since(b *testing.B, began map[string]time.Time) []time.Duration {
	r.mu.Lock()
	defer r.mu.Unlock()
	var out []time.Duration
	for key, at := range began {
		if r.seen[key] != r.subscribers {
			b.Fatalf("%s has reached %d of %d", key, r.seen[key], r.subscribers)
		}
		out = append(out, r.last[key].Sub(at))
	}
	slices.Sort(out)
	return out
}

func (r *recorder) await(b *testing.B) {
	select {
	case <-r.complete:
	case <-time.After(time.Minute):
		b.Fatal("a message has not reached all within a minute")
	}
}

const publisher = alert.MemberID("XA")

// benchFederation makes a federation of one publisher and n others.
func benchFederation(b *testing.B, n int) (setup.Layout, []alert.MemberID) {
	dir, err := os.MkdirTemp(b.TempDir(), "")
	if err != nil {
		b.Fatal(err)
	}
	spec := setup.Trial()
	regional := spec.Agreements[len(spec.Agreements)-1]
	spec = setup.Spec{Name: spec.Name, Hub: spec.Hub, Schemes: spec.Schemes}
	all := []alert.MemberID{publisher}
	for i := range n {
		all = append(all, alert.MemberID(fmt.Sprintf("X%02d", i)))
	}
	for _, m := range all {
		spec.Members = append(spec.Members, setup.Member{ID: m, Name: "Member " + string(m), Ceiling: alert.Secret})
	}
	regional.Parties = all
	spec.Agreements = append(spec.Agreements, regional)
	layout, err := setup.Make(b.Context(), dir, spec)
	if err != nil {
		b.Fatal(err)
	}
	return layout, all[1:]
}

// runProduct runs hub and nodes. publish publishes through the publisher's local
// interface, sample returns what one inbox got.
func runProduct(b *testing.B, l setup.Layout, members []alert.MemberID, rec *recorder) (publish func() string, sample func() []byte, stop func()) {
	ctx, cancel := context.WithCancel(b.Context())
	log := slog.New(slog.NewTextHandler(io.Discard, nil))
	var parts sync.WaitGroup
	run := func(name string, f func(ready func(serve.Addresses)) error) {
		up := make(chan struct{})
		parts.Go(func() {
			if err := f(func(serve.Addresses) { close(up) }); err != nil {
				b.Errorf("%s: %v", name, err)
			}
		})
		select {
		case <-up:
		case <-time.After(time.Minute):
			b.Fatalf("%s does not come up", name)
		}
	}
	hub := readConfig[hubserver.Config](b, l.HubConfig())
	run("hub", func(ready func(serve.Addresses)) error {
		return hubserver.Run(ctx, hub, log, hubserver.Events{Ready: ready})
	})
	own := readConfig[nodeserver.Config](b, l.NodeConfig(publisher))
	run("publisher", func(ready func(serve.Addresses)) error { return nodeserver.Run(ctx, own, log, ready) })
	stores := make([]*timedStore, len(members))
	for i, m := range members {
		n, st := newTimedNode(b, readConfig[nodeserver.Config](b, l.NodeConfig(m)), rec)
		stores[i] = st
		parts.Go(func() { _ = n.Run(ctx) }) // it returns nil
	}
	client, err := nodeserver.NewClient(own)
	if err != nil {
		b.Fatal(err)
	}
	eventually(b, time.Minute, "registry", func() (bool, string) {
		s, err := client.Status(ctx)
		return err == nil && s.Revision != "" && s.Following, fmt.Sprint(s, err)
	})
	draft := draftOf(b, []alert.PortionID{"open"}, strings.Repeat("intelligence ", 150))
	publish = func() string {
		out, err := client.Publish(ctx, draft)
		if err != nil {
			b.Error(err)
		}
		return out.Id
	}
	sample = func() []byte { return stores[0].sample }
	return publish, sample, func() {
		client.Close()
		cancel()
		parts.Wait()
		for _, st := range stores {
			if err := st.Close(); err != nil {
				b.Error(err)
			}
		}
	}
}

// admissions reads from the log of a hub that has stopped when it admitted each
// alert, by the clock of the same machine.
func admissions(b *testing.B, l setup.Layout) map[string]time.Time {
	st, err := hubserver.OpenStore(b.Context(), readConfig[hubserver.Config](b, l.HubConfig()))
	if err != nil {
		b.Fatal(err)
	}
	out := make(map[string]time.Time)
	for at := int64(0); ; {
		leaves, err := st.Entries(b.Context(), at, 1000)
		if err != nil {
			b.Fatal(err)
		}
		for _, leaf := range leaves {
			e, err := audit.Parse(leaf)
			if err != nil {
				b.Fatal(err)
			}
			if at++; e.Kind == audit.Admission {
				out[string(e.Alert.ID)] = time.UnixMicro(e.At)
			}
		}
		if len(leaves) == 0 {
			if err := st.Close(); err != nil {
				b.Fatal(err)
			}
			return out
		}
	}
}

// timedStore is a node's real store that tells when a delivery is stored.
type timedStore struct {
	nodestore.Store
	rec    *recorder
	sample []byte
}

func (s *timedStore) Receive(ctx context.Context, r nodestore.Reception) error {
	err := s.Store.Receive(ctx, r)
	if err != nil {
		return err
	}
	for _, item := range r.Items {
		s.rec.arrived(string(item.ID))
		s.sample = item.Delivery
	}
	return nil
}

// openEgress lets everything out; the nodes that have it publish nothing.
type openEgress struct{}

func (openEgress) Check(context.Context, alert.MemberID, []alert.Label) ([]node.Refusal, error) {
	return nil, nil
}

// newTimedNode puts a node together as nodeserver.Run does, without its local
// interface, on a timedStore.
func newTimedNode(b *testing.B, cfg nodeserver.Config, rec *recorder) (*node.Node, *timedStore) {
	check := func(err error) {
		b.Helper()
		if err != nil {
			b.Fatal(err)
		}
	}
	authority, err := hubserver.ReadPublicKey(cfg.AuthorityKey)
	check(err)
	secret, err := keys.SecretFromFile(cfg.Keys.SecretFile)
	check(err)
	ks, err := keys.OpenStore(cfg.Keys.Dir, secret)
	check(err)
	signer, err := ks.Load(cfg.Keys.SigningKID)
	check(err)
	cert, err := pki.LoadPair(cfg.TLS.Cert, cfg.TLS.Key)
	check(err)
	pool, err := pki.LoadPool(cfg.TLS.CA)
	check(err)
	hub, err := hubclient.New(hubclient.Config{URLs: cfg.Hub.URLs, Hub: cfg.Hub.ID, Certificate: cert, Pool: pool})
	check(err)
	b.Cleanup(hub.Close)
	st, err := nodesqlite.Open(b.Context(), filepath.Join(cfg.DataDir, "node.db"))
	check(err)
	timed := &timedStore{Store: st, rec: rec}
	n, err := node.New(b.Context(), node.Config{Member: cfg.Member, HubID: cfg.Hub.ID, Authority: authority,
		Signer: keys.Batch(signer), Store: timed, Hub: hub, Egress: openEgress{}, Log: slog.New(slog.NewTextHandler(io.Discard, nil))})
	check(err)
	return n, timed
}
