package hub_test

import (
	"encoding/json"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/entente-hub/entente/api/alert"
	"github.com/entente-hub/entente/api/audit"
	"github.com/entente-hub/entente/api/federation"
	"github.com/entente-hub/entente/api/feed"
	"github.com/entente-hub/entente/crypto/keys"
)

// settle waits until a pass has been over everything under the last statement, and
// under the rules of this moment.
func (w *world) settle() {
	w.Helper()
	w.Ready(w.Context()) // another hub may have taken in the last statement
	deadline := time.Now().Add(time.Minute)
	for {
		var last int64
		for after := int64(0); ; after = last {
			list, err := w.store.Statements(w.Context(), after, 100)
			if err != nil {
				w.Fatal(err)
			}
			if len(list) == 0 {
				break
			}
			last = list[len(list)-1].Position
		}
		done, err := w.store.Settled(w.Context())
		if err != nil {
			w.Fatal(err)
		}
		if done.Position == last && w.Settled() {
			return
		}
		if time.Now().After(deadline) {
			w.Fatalf("settled up to %d, want %d", done.Position, last)
		}
		time.Sleep(time.Millisecond)
	}
}

// kinds are what a delivery holds, by portion.
func kinds(d *feed.Delivery) map[alert.PortionID]feed.Kind {
	out := make(map[alert.PortionID]feed.Kind)
	for _, r := range d.Releases {
		out[r.Portion] = r.Kind
	}
	return out
}

// newer returns what a member finds after a cursor, waiting for the first.
func (w *world) newer(m alert.MemberID, after int64) []feed.Item {
	w.Helper()
	page, err := w.Poll(w.Context(), m, after, 100, 30*time.Second)
	if err != nil {
		w.Fatal(err)
	}
	return page.Items
}

// has fails unless the items are one delivery that holds exactly these kinds.
func (w *world) has(items []feed.Item, want map[alert.PortionID]feed.Kind) {
	w.Helper()
	if len(items) != 1 || items[0].Delivery == nil {
		w.Fatalf("got %s", encode(w, items))
	}
	got := kinds(items[0].Delivery)
	if len(got) != len(want) {
		w.Fatalf("got %v, want %v", got, want)
	}
	for p, k := range want {
		if got[p] != k {
			w.Fatalf("got %v, want %v", got, want)
		}
	}
}

func (w *world) consent(m alert.MemberID, id alert.ID, to ...alert.Audience) {
	w.Helper()
	w.submitTo(w.Hub, w.state(federation.TypeConsent, &federation.Consent{Originator: m, Alert: id, Recipients: append([]alert.Audience{}, to...)}, w.nodes[m]))
}

// TestWithheldComesBack: what was withheld while an agreement rested is delivered
// when it is resumed, whether or not its recipient has asked meanwhile.
func TestWithheldComesBack(t *testing.T) {
	for name, asked := range map[string]bool{"asked meanwhile": true, "withheld by the pass": false} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			_, token := w.issue("XA", bilateral())
			w.publish("XA", token)
			w.submitTo(w.Hub, w.suspension(true))
			if asked {
				if page := w.poll("XB", 0); len(page.Items) != 0 {
					t.Fatalf("under a suspension XB gets %s", encode(t, page.Items))
				}
			}
			w.settle()
			if n := count(w.entries(), audit.Withheld); n != 1 {
				t.Errorf("%d entries of what was withheld", n)
			}
			if f, err := w.store.Feed(t.Context(), "XB"); err != nil || f.Pending != 0 {
				t.Errorf("still pending: %+v %v", f, err)
			}
			w.submitTo(w.Hub, w.suspension(false))
			w.has(w.newer("XB", 0), map[alert.PortionID]feed.Kind{"p1": feed.Content})
			w.settle()
			if page := w.poll("XB", 1); len(page.Items) != 0 {
				t.Errorf("twice: %s", encode(t, page.Items))
			}
			w.verifyLog()
		})
	}
}

// TestNewMemberCatchesUp: who joins gets of the past what it may have, the latest
// version of each alert, and nothing else.
func TestNewMemberCatchesUp(t *testing.T) {
	w := newWorld(t)
	first := w.compose("XA", label(alert.Audience(alert.Federation)))
	token := w.sign(first)
	w.publish("XA", token)
	v, err := w.Directory().VerifyAlert(token)
	if err != nil {
		t.Fatal(err)
	}
	second := w.compose("XA", label(alert.Audience(alert.Federation)))
	second.Subject, second.Version, second.Previous = first.Subject, 2, v.SignedDigest
	w.publish("XA", w.sign(second))
	_, token = w.issue("XA", label("XB"))
	w.publish("XA", token)
	w.publish("XC", w.sign(w.compose("XC", label(alert.Audience(alert.Federation)))))
	root, err := keys.Generate("XE", keys.EdDSA)
	if err != nil {
		t.Fatal(err)
	}
	w.submitTo(w.Hub, w.registry(func(r *federation.Registry) {
		r.Members = append(r.Members, federation.Member{ID: "XE", Name: "Member XE", Ceiling: alert.Secret, RootKeys: []federation.Key{jwk(t, root)}})
	}))
	w.settle()
	if page := w.poll("XE", 0); len(page.Items) != 0 {
		t.Fatalf("without an agreement XE gets %s", encode(t, page.Items))
	}
	head, _ := w.Directory().Head(federation.TypeAgreement, "regional-exchange")
	a := *head.Body.(*federation.Agreement)
	a.Parties = append(slices.Clone(a.Parties), "XE")
	w.submitTo(w.Hub, w.state(federation.TypeAgreement, &a, w.root("XA"), w.root("XB"), w.root("XC"), w.root("XD"), root))
	w.settle()
	page := w.poll("XE", 0)
	if len(page.Items) != 2 {
		t.Fatalf("XE has %s", encode(t, page.Items))
	}
	got := make(map[alert.MemberID]int)
	for _, i := range page.Items {
		p, err := alert.ParsePayload(payloadOf(t, i.Delivery.Alert))
		if err != nil {
			t.Fatal(err)
		}
		got[p.Issuer] = p.Version
	}
	if got["XA"] != 2 || got["XC"] != 1 {
		t.Errorf("XE has %v", got)
	}
	for _, m := range []alert.MemberID{"XB", "XC", "XD"} {
		before := w.poll(m, 0).Items
		w.settle()
		if again := w.poll(m, int64(len(before))); len(again.Items) != 0 {
			t.Errorf("%s got again what it has: %s", m, encode(t, again.Items))
		}
	}
}

// TestLaterConsentUpgrades: a portion that is released later comes with all that the
// recipient may have; a consent that is withdrawn takes it out of reach.
func TestLaterConsentUpgrades(t *testing.T) {
	w := newWorld(t)
	controlled := label("XB")
	controlled.OriginatorControl = true
	a := w.compose("XA", label("XB"), controlled)
	w.publish("XA", w.sign(a))
	first := w.newer("XB", 0)
	w.has(first, map[alert.PortionID]feed.Kind{"p1": feed.Content})
	w.consent("XA", a.Subject, "XB")
	second := w.newer("XB", 1)
	w.has(second, map[alert.PortionID]feed.Kind{"p1": feed.Content, "p2": feed.Content})
	w.acknowledge("XB", append(first, second...))
	w.settle()
	w.consent("XA", a.Subject)
	w.settle()
	page := w.poll("XB", 0)
	if len(page.Items) != 2 || page.Items[0].Delivery == nil || page.Items[1].Delivery != nil {
		t.Errorf("after the consent was withdrawn XB finds %s", encode(t, page.Items))
	}
	w.consent("XA", a.Subject, "XB", "XC")
	w.settle() // XB has asked for it, and got no content: it gets it again, once
	w.has(w.poll("XB", 2).Items, map[alert.PortionID]feed.Kind{"p1": feed.Content, "p2": feed.Content})
	w.consent("XA", a.Subject, "XB", "XC", "XD")
	w.settle()
	if page := w.poll("XB", 3); len(page.Items) != 0 {
		t.Errorf("XB holds it, and got it again: %s", encode(t, page.Items))
	}
	if page := w.poll("XC", 0); len(page.Items) != 0 {
		t.Errorf("XC, whom the release list does not name, got %s", encode(t, page.Items))
	}
}

// acknowledge signs for the first items of a member's feed.
func (w *world) acknowledge(m alert.MemberID, items []feed.Item) {
	w.Helper()
	chain := feed.ChainStart(m)
	var acks []string
	for _, i := range items {
		chain = feed.Next(chain, i.Seq, i.Digest)
		acks = append(acks, w.ackAs(w.nodes[m], m, i.Seq, chain, w.clock.now()))
	}
	if err := w.Acknowledge(w.Context(), m, acks); err != nil {
		w.Fatal(err)
	}
}

// TestLostAnswerComesBack: what was handed over to a connection that was dead, and may
// not be had when its recipient asks again, comes when it may be had again.
func TestLostAnswerComesBack(t *testing.T) {
	w := newWorld(t)
	_, token := w.issue("XA", bilateral())
	w.publish("XA", token)
	if page := w.poll("XB", 0); len(page.Items) != 1 { // the answer is lost
		t.Fatalf("%d items", len(page.Items))
	}
	w.submitTo(w.Hub, w.suspension(true))
	w.settle()
	if page := w.poll("XB", 0); len(page.Items) != 1 || page.Items[0].Delivery != nil {
		t.Fatalf("under the suspension XB finds %s", encode(t, page.Items))
	}
	w.submitTo(w.Hub, w.suspension(false))
	w.has(w.newer("XB", 1), map[alert.PortionID]feed.Kind{"p1": feed.Content})
	w.verifyLog()
}

// TestLostAnswerComesOnce: what was served again without content comes with what was made
// pending for it, and only with that: an answer without content may have been lost too, and
// nobody knows which of them its recipient has.
func TestLostAnswerComesOnce(t *testing.T) {
	w := newWorld(t)
	_, token := w.issue("XA", bilateral())
	w.publish("XA", token)
	first := w.poll("XB", 0) // the answer is lost
	w.submitTo(w.Hub, w.suspension(true))
	w.settle()
	if page := w.poll("XB", 0); len(page.Items) != 1 || page.Items[0].Delivery != nil { // and this one
		t.Fatalf("under the suspension XB finds %s", encode(t, page.Items))
	}
	w.submitTo(w.Hub, w.suspension(false))
	w.settle()
	if page := w.poll("XB", 0); len(page.Items) != 1 || page.Items[0].Digest != first.Items[0].Digest || page.Items[0].Delivery != nil {
		t.Fatalf("XB finds %s", encode(t, page.Items))
	}
	for range 2 { // the first answer is lost
		w.has(w.newer("XB", 1), map[alert.PortionID]feed.Kind{"p1": feed.Content})
	}
	w.verifyLog()
}

// TestLostUpgrade: what was served again without content takes nothing from what came
// before it: of that nothing comes twice.
func TestLostUpgrade(t *testing.T) {
	w := newWorld(t)
	w.submitTo(w.Hub, w.suspension(true))
	w.settle()
	w.publish("XA", w.sign(w.compose("XA", label("XB"), bilateral())))
	w.has(w.newer("XB", 0), map[alert.PortionID]feed.Kind{"p1": feed.Content})
	w.submitTo(w.Hub, w.suspension(false))
	w.settle()
	all := map[alert.PortionID]feed.Kind{"p1": feed.Content, "p2": feed.Content}
	w.has(w.newer("XB", 1), all) // the answer is lost
	w.submitTo(w.Hub, w.suspension(true))
	w.settle()
	if page := w.poll("XB", 1); len(page.Items) != 1 || page.Items[0].Delivery != nil {
		t.Fatalf("under the suspension XB finds %s", encode(t, page.Items))
	}
	if page := w.poll("XB", 2); len(page.Items) != 0 {
		t.Fatalf("XB, who holds it, gets %s", encode(t, page.Items))
	}
	w.submitTo(w.Hub, w.suspension(false))
	w.has(w.newer("XB", 2), all)
	w.verifyLog()
}

// TestLabelThatNothingStoodUnder: a pass goes over labels under which something stands. What
// is published later under one that it passed over was decided by rules of which that label
// tells nothing; a change back brings it all the same.
func TestLabelThatNothingStoodUnder(t *testing.T) {
	w := newWorld(t)
	short := w.compose("XA", bilateral())
	short.Expires = w.clock.now().Add(time.Minute).Unix()
	w.publish("XA", w.sign(short))
	if page := w.poll("XB", 0); len(page.Items) != 1 {
		t.Fatalf("%d items", len(page.Items))
	}
	w.settle()
	w.clock.advance(2 * time.Minute)
	w.submitTo(w.Hub, w.suspension(true))
	w.settle()
	_, token := w.issue("XA", bilateral())
	w.publish("XA", token)
	if page := w.poll("XB", 1); len(page.Items) != 0 {
		t.Fatalf("under the suspension XB finds %s", encode(t, page.Items))
	}
	w.submitTo(w.Hub, w.suspension(false))
	w.settle()
	w.has(w.newer("XB", 1), map[alert.PortionID]feed.Kind{"p1": feed.Content})
	w.verifyLog()
}

// TestEmergency: two duty officers open compartments of one alert to those they name,
// for as long as they say; nothing else gives way.
func TestEmergency(t *testing.T) {
	w := newWorld(t)
	need := label("XB", "XD")
	need.Compartments = []alert.TaskForceID{"tf-river"}
	personal := need
	personal.Retention, personal.PersonalData = alert.Date(time.Now().AddDate(0, 1, 0).Format(time.DateOnly)), alert.Personal
	listed := label("XB")
	listed.Compartments = need.Compartments
	a := w.compose("XA", need, personal, listed)
	w.publish("XA", w.sign(a))
	other := w.compose("XA", need)
	w.publish("XA", w.sign(other))
	if r := w.verifyLog(); r.Emergencies != 0 || strings.Contains(r.String(), "emergency") {
		t.Errorf("no emergency, and auditors are told of %d:\n%s", r.Emergencies, r)
	}
	if page := w.poll("XD", 0); len(page.Items) != 0 {
		t.Fatalf("XD, who is not in the task force, got %s", encode(t, page.Items))
	}
	now := w.clock.now()
	e := &federation.Emergency{Originator: "XA", Alert: a.Subject, Number: 1, Threat: "a boat is adrift with people aboard",
		Duty: "SOLAS chapter V regulation 33", Members: []alert.MemberID{"XD"}, Compartments: need.Compartments,
		ValidFrom: now.Add(-time.Minute).Unix(), ValidUntil: now.Add(30 * time.Minute).Unix()}
	w.submitTo(w.Hub, w.state(federation.TypeEmergency, e, w.officer("XA", 1), w.officer("XA", 2)))
	items := w.newer("XD", 0)
	w.has(items, map[alert.PortionID]feed.Kind{"p1": feed.Content})
	r := items[0].Delivery.Releases[0]
	head, _ := w.Directory().Head(federation.TypeEmergency, e.Subject())
	if r.Emergency != head.Digest || r.Obligations.HoldUntil != e.ValidUntil || r.Obligations.Onward {
		t.Errorf("released as %+v", r)
	}
	w.settle()
	if r := w.verifyLog(); r.Emergencies != 1 || !strings.Contains(r.String(), "\nPortions released by an emergency alone: 1\n") {
		t.Errorf("auditors are told of %d releases by an emergency:\n%s", r.Emergencies, r)
	}
	if page := w.poll("XD", 1); len(page.Items) != 0 {
		t.Errorf("of another alert XD got %s", encode(t, page.Items))
	}
	if shown := w.statementsOf("XD", federation.TypeEmergency); shown != 1 {
		t.Errorf("XD sees %d emergencies", shown)
	}
	if shown := w.statementsOf("XC", federation.TypeEmergency); shown != 0 {
		t.Errorf("XC sees %d emergencies", shown)
	}
	w.clock.advance(31 * time.Minute)
	if page := w.poll("XD", 0); len(page.Items) != 1 || page.Items[0].Delivery != nil {
		t.Errorf("after the emergency XD finds %s", encode(t, page.Items))
	}
}

func jwk(t testing.TB, k keys.Signer) federation.Key {
	t.Helper()
	raw, err := json.Marshal(k.Public())
	if err != nil {
		t.Fatal(err)
	}
	return raw
}

func (w *world) officer(m alert.MemberID, n int) keys.Signer {
	w.Helper()
	return only(w, loadKeys(w, w.Node(m), "duty-"+string(rune('0'+n))))
}

func (w *world) statementsOf(m alert.MemberID, t federation.StatementType) (n int) {
	w.Helper()
	for after := int64(0); ; {
		list, err := w.Hub.Statements(w.Context(), m, after, 100)
		if err != nil {
			w.Fatal(err)
		}
		if len(list) == 0 {
			return n
		}
		for _, s := range list {
			if after = s.Position; s.Type == string(t) {
				n++
			}
		}
	}
}
