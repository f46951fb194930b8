package node_test

import (
	"bytes"
	"encoding/json"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"github.com/entente-hub/entente/api/alert"
	"github.com/entente-hub/entente/api/feed"
	"github.com/entente-hub/entente/api/problem"
	"github.com/entente-hub/entente/crypto/pki"
	"github.com/entente-hub/entente/node"
	"github.com/entente-hub/entente/node/nodetest"
	"github.com/entente-hub/entente/node/store"
	"github.com/entente-hub/entente/parcel"
)

// newOffline is XA's node without a network, which knows nothing yet.
func newOffline(t *testing.T) *house {
	t.Helper()
	f := nodetest.New(t)
	h := &house{Federation: f, t: t, hub: f.Serve(t), path: t.TempDir() + "/node.db"}
	h.open(noNetwork)
	return h
}

func noNetwork(c *node.Config) { c.Hub = node.Offline{} }

// read verifies a parcel of XA's.
func (h *house) read(raw []byte) *parcel.Reader {
	h.t.Helper()
	r, err := parcel.Open(bytes.NewReader(raw), int64(len(raw)), parcel.Trust{Pool: h.CA.Pool(), Member: "XA", Now: time.Now()})
	must(h.t, err)
	return r
}

// export packs what the node has for the hub.
func (h *house) export() []byte {
	h.t.Helper()
	at, err := h.n.Standing(ctx)
	must(h.t, err)
	var out bytes.Buffer
	w, err := parcel.NewWriter(&out, parcel.Manifest{Bound: parcel.ToHub, Member: "XA", Hub: nodetest.HubID, Standing: at}, time.Now())
	must(h.t, err)
	_, err = node.Pack(ctx, h.n, w)
	must(h.t, err)
	must(h.t, w.Close(h.Certificate(pki.Identity{Kind: pki.Member, ID: "XA"}), false))
	return out.Bytes()
}

// carry plays a parcel to the hub, for at most so many pages, and returns the answer.
func (h *house) carry(raw []byte, pages int) ([]byte, node.Trip) {
	h.t.Helper()
	in := h.read(raw)
	m := in.Manifest()
	var out bytes.Buffer
	w, err := parcel.NewWriter(&out, parcel.Manifest{Bound: parcel.ToNode, Member: "XA", Hub: m.Hub, Re: m.ID, Standing: m.Standing}, time.Now())
	must(h.t, err)
	trip, err := node.Courier{Hub: h.client("XA"), Pages: pages}.Carry(ctx, in, w)
	must(h.t, err)
	must(h.t, w.Close(h.Certificate(pki.Identity{Kind: pki.Member, ID: "XA"}), trip.More))
	return out.Bytes(), trip
}

// take imports an answer, all of it.
func (h *house) take(raw []byte) (sum node.Imported, err error) {
	h.t.Helper()
	r := h.read(raw)
	for again := true; again; {
		var got node.Imported
		got, err = h.n.Import(ctx, r, time.Now())
		if err != nil {
			return sum, err
		}
		sum.Items, sum.Accepted, sum.Refused = sum.Items+got.Items, sum.Accepted+got.Accepted, sum.Refused+got.Refused
		sum.Acks, sum.Statements, sum.Submitted, sum.Left = sum.Acks+got.Acks, sum.Statements+got.Statements, sum.Submitted+got.Submitted, got.Left
		again = got.Again
	}
	return sum, err
}

// round is one export, trip and import.
func (h *house) round() node.Imported {
	h.t.Helper()
	answer, _ := h.carry(h.export(), node.MaxTrip)
	got, err := h.take(answer)
	must(h.t, err)
	return got
}

func (h *house) noAlarms() {
	h.t.Helper()
	list, err := h.st.Alarms(ctx, 100)
	must(h.t, err)
	if len(list) != 0 {
		h.t.Fatalf("alarms: %+v", list)
	}
}

// TestParcelsCarryAll: a node that never has a network learns the statements, sends,
// receives and acknowledges by parcels alone.
func TestParcelsCarryAll(t *testing.T) {
	h := newOffline(t)
	if _, err := h.n.Publish(ctx, node.Draft{Objects: objects(1), Plan: nodetest.Plan()}); problem.KindOf(err) != problem.Unavailable {
		t.Fatalf("published without a registry: %v", err)
	}
	if got := h.round(); got.Statements != int64(len(h.Statements)) || got.Left {
		t.Fatalf("%+v", got)
	}
	for range 3 {
		h.deliver(feed.Content)
	}
	o := h.publish()
	got := h.round()
	if got.Items != 3 || got.Accepted != 1 || got.Acks != 0 {
		t.Errorf("%+v", got)
	}
	h.holds(3, 3, 3)
	if out, err := h.st.Outgoing(ctx, o.ID, o.Version); err != nil || out.State != store.Accepted || out.Receipt == "" {
		t.Errorf("%+v: %v", out, err)
	}
	if got = h.round(); got.Acks != 3 || got.Items != 0 {
		t.Errorf("%+v", got)
	}
	h.holds(3, 3, 0)
	if len(h.hub.Acks) != 3 || len(h.hub.Published) != 1 {
		t.Errorf("the hub has %d acknowledgements and %d alerts", len(h.hub.Acks), len(h.hub.Published))
	}
	h.reopenOffline()
	if got = h.round(); got != (node.Imported{}) {
		t.Errorf("after a start: %+v", got)
	}
	h.noAlarms()
}

func (h *house) reopenOffline() {
	h.t.Helper()
	must(h.t, h.st.Close())
	h.open(noNetwork)
}

// TestParcelOfTheRefused: what the hub refuses is refused at the node, in its words; what
// rests on it is not handed over, and what it can not take now stays.
func TestParcelOfTheRefused(t *testing.T) {
	h := newOffline(t)
	h.round()
	first := h.publish()
	_, err := h.n.Publish(ctx, node.Draft{Objects: objects(1), Plan: nodetest.Plan(), Supersedes: first.ID})
	must(t, err)
	other := h.publish()
	calls := 0
	h.hub.Refuse = func(string) error {
		if calls++; calls > 1 {
			return problem.New(problem.Unavailable, "not now")
		}
		return &problem.Error{Kind: problem.NotAdmitted, Detail: "no", Codes: []string{"ceiling"}}
	}
	answer, trip := h.carry(h.export(), 1)
	if trip.Refused != 1 || trip.Skipped != 2 || !strings.Contains(trip.Waits, "not now") {
		t.Errorf("%+v", trip)
	}
	got, err := h.take(answer)
	must(t, err)
	if got.Refused != 2 || got.Accepted != 0 {
		t.Errorf("%+v", got)
	}
	out, err := h.st.Outgoing(ctx, first.ID, 1)
	must(t, err)
	if out.State != store.Refused || out.Problem != problem.NotAdmitted || len(out.Codes) != 1 {
		t.Errorf("%+v", out)
	}
	h.hub.Refuse = nil
	if got := h.round(); got.Accepted != 1 {
		t.Errorf("%+v", got)
	}
	if out, err = h.st.Outgoing(ctx, other.ID, 1); err != nil || out.State != store.Accepted {
		t.Errorf("%+v: %v", out, err)
	}
}

// TestParcelForSomebodyElse: it is refused before anything is taken.
func TestParcelForSomebodyElse(t *testing.T) {
	h := newOffline(t)
	export := h.export()
	answer, _ := h.carry(export, 1)
	if _, err := h.n.Import(ctx, h.read(export), time.Now()); problem.KindOf(err) != problem.Malformed {
		t.Errorf("a parcel to a hub: %v", err)
	}
	st := h.n
	h.path = t.TempDir() + "/xb.db"
	h.open(func(c *node.Config) { c.Member, c.Signer, c.Hub = "XB", h.Node["XB"], node.Offline{} })
	if _, err := h.n.Import(ctx, h.read(answer), time.Now()); problem.KindOf(err) != problem.WrongMember {
		t.Errorf("into another's node: %v", err)
	}
	h.n = st
}

// TestParcelsAreNotBelieved: a hub that lies to a courier is found out by the node, by the
// same checks as over the wire, with the same alarms.
func TestParcelsAreNotBelieved(t *testing.T) {
	for name, lie := range map[string]func(*house){
		"another log": func(h *house) { h.hub.Rewrite(40) },
		"less log":    func(h *house) { h.hub.Rewrite(2) },
		"less feed":   func(h *house) { h.hub.Feeds["XA"] = nil },
		"changed item": func(h *house) {
			h.hub.Feeds["XA"][0].Digest = strings.Repeat("A", 43)
		},
		"item left out": func(h *house) {
			h.hub.Page = func(p *feed.Page) {
				if len(p.Items) > 1 {
					p.Items = p.Items[1:]
				}
			}
		},
		"another's key": func(h *house) { h.hub.HeadKey = h.Node["XB"] },
	} {
		t.Run(name, func(t *testing.T) {
			h := newOffline(t)
			h.deliver(feed.Content)
			h.round()
			h.round()
			h.deliver(feed.Content)
			h.deliver(feed.Content)
			export := h.export()
			h.hub.Do(func() { lie(h) })
			answer, _ := h.carry(export, node.MaxTrip)
			if got, err := h.take(answer); err == nil || got.Items != 0 {
				t.Errorf("%+v, %v", got, err)
			}
			h.holds(1, 1, 0)
			if s, err := h.n.Status(ctx); err != nil || (len(s.Alarms) > 0) != (name != "item left out" && name != "another's key") {
				t.Errorf("alarms %+v, %v", s.Alarms, err)
			}
		})
	}
}

// TestOldHeadsTellNoTime: a head that was carried for an hour does not keep the node from
// composing; and it is the head that tells when the hub has answered, not who carried it.
func TestOldHeadsTellNoTime(t *testing.T) {
	h := newOffline(t)
	now := h.Now
	before := now().Add(-time.Hour)
	h.Now = func() time.Time { return before }
	answer, _ := h.carry(h.export(), 1)
	h.Now = now
	for range 2 {
		_, err := h.take(h.packedIn(answer, time.Date(2999, 1, 1, 0, 0, 0, 0, time.UTC)))
		must(t, err)
		s, err := h.n.Status(ctx)
		if err != nil || !s.Offline || s.LastContact.IsZero() || s.LastContact.After(before.Add(time.Minute)) {
			t.Errorf("%+v, %v", s, err)
		}
	}
	if o := h.publish(); o.State != store.Queued {
		t.Errorf("%+v", o)
	}
}

// packedIn packs a parcel again, as if by a clock that shows something else.
func (h *house) packedIn(raw []byte, now time.Time) []byte {
	h.t.Helper()
	in := h.read(raw)
	m := in.Manifest()
	var out bytes.Buffer
	w, err := parcel.NewWriter(&out, m, now)
	must(h.t, err)
	for i, p := range m.Parts {
		var body json.RawMessage
		must(h.t, in.Into(i, &body))
		must(h.t, w.AddRange(p.Kind, p.After, p.Last, body))
	}
	must(h.t, w.Close(h.Certificate(pki.Identity{Kind: pki.Member, ID: "XA"}), m.More))
	return out.Bytes()
}

// TestConsentWaits: a statement that the node signs waits for the parcel, and is in force
// once the answer is in.
func TestConsentWaits(t *testing.T) {
	h := newOffline(t)
	h.round()
	o := h.publish()
	h.round()
	if _, err := h.n.GiveConsent(ctx, o.ID, []alert.Audience{"XB"}); problem.KindOf(err) != problem.Unavailable {
		t.Fatal(err)
	}
	if got := h.round(); got.Submitted != 1 || got.Statements != 1 {
		t.Errorf("%+v", got)
	}
	list, err := h.n.Consents(ctx)
	if err != nil || len(list) != 1 || list[0].Alert != o.ID {
		t.Errorf("%+v, %v", list, err)
	}
}

// TestInterruptedTrip: a courier that is stopped has lost nothing.
func TestInterruptedTrip(t *testing.T) {
	h := newOffline(t)
	h.round()
	h.publish()
	h.deliver(feed.Content)
	export := h.export()
	h.hub.Do(func() { h.hub.Page = func(p *feed.Page) { p.Head = "" } })
	in := h.read(export)
	w, err := parcel.NewWriter(&bytes.Buffer{}, parcel.Manifest{Bound: parcel.ToNode, Member: "XA", Hub: nodetest.HubID, Re: in.Manifest().ID}, time.Now())
	must(t, err)
	if _, err := (node.Courier{Hub: h.client("XA"), Pages: 1}).Carry(ctx, in, w); err == nil {
		t.Fatal("a page without a head is carried")
	}
	h.hub.Do(func() { h.hub.Page = nil })
	answer, _ := h.carry(export, 1)
	if got, err := h.take(answer); err != nil || got.Items != 1 || got.Accepted != 1 {
		t.Errorf("%+v, %v", got, err)
	}
	h.noAlarms()
}

// TestWireAndParcels: whatever comes over the wire and whatever in parcels, in whatever
// order, the node ends with what the hub has for it, once, and the hub with what the node
// has published.
func TestWireAndParcels(t *testing.T) {
	for seed := range uint64(8) {
		r := rand.New(rand.NewPCG(seed, 4))
		h := newHouse(t)
		wire, published := true, 0
		var exports, answers [][]byte
		steps := func() {
			for _, step := range []error{h.n.StatementsStep(ctx), h.n.OutboxStep(ctx), h.n.AcksStep(ctx), h.n.FeedStep(ctx)} {
				must(t, step)
			}
		}
		for range 40 {
			switch n := r.IntN(9); {
			case n < 2:
				h.deliver(feed.Content)
			case n == 2:
				h.publish()
				published++
			case n == 3:
				exports = append(exports, h.export())
			case n == 4 && len(exports) > 0:
				answer, _ := h.carry(exports[r.IntN(len(exports))], 1+r.IntN(2))
				answers = append(answers, answer)
			case n == 5 && len(answers) > 0:
				if _, err := h.take(answers[r.IntN(len(answers))]); err != nil && problem.KindOf(err) != problem.Conflict {
					t.Fatalf("seed %d: %v", seed, err)
				}
			case n == 6:
				must(t, h.st.Close())
				if wire = !wire; wire {
					h.open(nil)
				} else {
					h.open(noNetwork)
				}
			case wire:
				steps()
			}
		}
		if !wire {
			h.round()
			h.round()
		} else {
			for range 4 {
				steps()
			}
		}
		n := int64(len(h.hub.Feeds["XA"]))
		h.holds(n, n, 0)
		s, err := h.n.Status(ctx)
		must(t, err)
		tokens := make(map[string]bool)
		for _, token := range h.hub.Published {
			tokens[token] = true
		}
		if s.Counts.Accepted != int64(published) || s.Counts.Queued != 0 || len(tokens) != published || len(s.Alarms) != 0 {
			t.Errorf("seed %d: %d published: %+v, %d at the hub, alarms %+v", seed, published, s.Counts, len(tokens), s.Alarms)
		}
	}
}
