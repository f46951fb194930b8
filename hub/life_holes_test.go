package hub_test

import (
	"context"
	"fmt"
	"sync/atomic"
	"testing"
	"time"

	"github.com/entente-hub/entente/api/alert"
	"github.com/entente-hub/entente/api/audit"
	"github.com/entente-hub/entente/api/federation"
	"github.com/entente-hub/entente/api/feed"
	"github.com/entente-hub/entente/api/problem"
	"github.com/entente-hub/entente/crypto/keys"
	"github.com/entente-hub/entente/hub/store"
	"github.com/entente-hub/entente/trust"
)

// A commenter learns from the holders of its comment who may have the alert.
func TestFeedbackTellsTheAudience(t *testing.T) {
	w := newWorld(t)
	a := w.compose("XA", label("XB"), label("XC")) // XB does not know of p2, nor of XC
	w.publish("XA", w.sign(a))
	w.poll("XB", 0)
	said := w.about("XB", a, alert.Comment, alert.Audience(alert.Federation))
	w.publish("XB", w.sign(said))
	w.readers(said)
	holders, _, err := w.Holders(t.Context(), "XB", said.Subject)
	if err != nil {
		t.Fatal(err)
	}
	for _, h := range holders {
		if h.Recipient != "XA" {
			t.Errorf("Holders tells XB that %s may have some of XA's alert", h.Recipient)
		}
	}
	_, f, err := w.Explain(t.Context(), "XB", said.Subject, 1)
	if err != nil {
		t.Fatal(err)
	}
	for _, m := range f[0].Members {
		if m.Member != "XA" && m.Held != "" {
			t.Errorf("Explain tells XB that %s was handed it: %q", m.Member, m.Held)
		}
	}
}

// The answer with version 2 is lost; it expires before the node asks again.
func TestNoticeLostWithTheAnswer(t *testing.T) {
	w := newWorld(t)
	first := w.compose("XA", label("XB"))
	first.Expires = w.clock.now().Add(30 * 24 * time.Hour).Unix()
	w.publish("XA", w.sign(first))
	w.poll("XB", 0)
	w.publish("XA", w.sign(w.next(first, label("XB"))))
	w.poll("XB", 1) // lost on the way
	w.clock.advance(2 * time.Hour)
	items := w.poll("XB", 1).Items
	last := items[len(items)-1]
	if last.Delivery == nil {
		w.settle()
		items = w.poll("XB", last.Seq).Items
		if len(items) == 0 || items[0].Delivery == nil {
			t.Fatal("XB is never told that version 1, good for 30 days, is over")
		}
	}
}

func TestPurgeReceiptsWithoutEnd(t *testing.T) {
	w := newWorld(t)
	var labels []alert.Label
	for range 8 {
		labels = append(labels, label("XB"))
	}
	a := w.compose("XA", labels...)
	w.publish("XA", w.sign(a))
	w.poll("XB", 0)
	n := 0
	for set := 1; set < 1<<len(labels); set++ { // nothing is over, and nothing was recalled
		var list []alert.PortionID
		for i := range labels {
			if set&(1<<i) != 0 {
				list = append(list, alert.PortionID(fmt.Sprintf("p%d", i+1)))
			}
		}
		for _, c := range []feed.Cause{feed.Recalled, feed.Superseded, feed.Ended} {
			if err := w.Purged(t.Context(), "XB", []string{w.purgeOf("XB", a, func(p *feed.Purge) { p.Portions, p.Cause = list, c })}); err != nil {
				break
			}
			n++
		}
	}
	_, purges, err := w.Holders(t.Context(), "XA", a.Subject)
	if err != nil {
		t.Fatal(err)
	}
	if len(purges) > 3*len(labels) {
		t.Errorf("of %d receipts for 8 portions of one standing alert %d are stored, each with an entry, and all are in one answer", n, len(purges))
	}
}

func TestLaterReferenceReachesEarlierReaders(t *testing.T) {
	w := newWorld(t)
	secret := w.compose("XD", label("XA"))
	w.publish("XD", w.sign(secret))
	w.poll("XA", 0)
	a := w.compose("XA", label("XB"))
	w.publish("XA", w.sign(a))
	w.poll("XB", 0)
	second := w.next(a, label("XB"))
	second.Re = &alert.Reference{Originator: "XD", Alert: secret.Subject, Act: alert.Comment}
	if _, err := w.Publish(t.Context(), "XA", w.sign(second)); err != nil {
		return
	}
	v := w.notice(w.poll("XB", 1).Items, 2)
	if v.Re != nil {
		t.Errorf("XB, who may not know of XD's alert, is told of it: %+v", *v.Re)
	}
}

func TestRecallIsAuditedAsWhatItIs(t *testing.T) {
	w := newWorld(t)
	a := w.compose("XA", label("XB"))
	w.publish("XA", w.sign(a))
	w.publish("XA", w.sign(w.recall(a, alert.Purge)))
	w.erased(a)
	for _, e := range w.entries() {
		if e.Kind == audit.Erased && e.Cause != string(feed.Recalled) {
			t.Errorf("erased because %q; it was recalled", e.Cause)
		}
	}
}

func TestRecallAfterRecall(t *testing.T) {
	w := newWorld(t)
	a := w.compose("XA", label("XB"))
	w.publish("XA", w.sign(a))
	w.poll("XB", 0)
	soft := w.recall(a, alert.CeaseUse)
	w.publish("XA", w.sign(soft))
	if _, err := w.Publish(t.Context(), "XA", w.sign(w.recall(soft, alert.Purge))); err != nil {
		t.Errorf("what is not to be used can not be purged any more: %v", err)
	}
}

func TestRecallUnderStolenKey(t *testing.T) {
	w := newWorld(t)
	a := w.compose("XA", label("XB"))
	w.publish("XA", w.sign(a))
	w.poll("XB", 0)
	w.clock.advance(5 * time.Second)
	stolen := w.certify("XA", w.clock.now().Add(time.Hour))
	bad := w.recall(a, alert.Purge)
	w.publish("XA", w.signAs(stolen, bad))
	w.revoke(stolen, bad.IssuedAt)
	if n := len(w.poll("XB", 1).Items); n != 0 {
		t.Fatalf("%d items", n)
	}
	good := w.recall(bad, alert.Purge) // by the rightful key: what is held is to go all the same
	if _, err := w.Publish(t.Context(), "XA", w.sign(good)); err != nil {
		t.Errorf("nobody is told, and nobody can be told any more: %v", err)
	}
	// The revocation was a mistake, and is dated later.
	w.revoke(stolen, w.clock.now().Add(time.Minute).Unix())
	w.settle()
	if items := w.poll("XB", 1).Items; len(items) == 0 {
		t.Error("the key counts again; the withheld notice does not come back")
	}
}

// XB holds both portions; it asks for its feed again while it may have one of them.
func TestPurgeOfWhatWasLost(t *testing.T) {
	w := newWorld(t)
	guarded := label("XB")
	guarded.OriginatorControl = true
	a := w.compose("XA", label("XB"), guarded)
	w.publish("XA", w.sign(a))
	w.consent("XA", a.Subject, "XB")
	w.settle()
	items := w.newer("XB", 0)
	w.acknowledge("XB", items)
	w.consent("XA", a.Subject)
	w.settle()
	w.poll("XB", 0)
	last := w.feeds()[1].Seq
	w.newer("XB", last)
	if err := w.Purged(t.Context(), "XB", []string{w.purgeOf("XB", a, func(p *feed.Purge) { p.Portions, p.Cause = []alert.PortionID{"p1", "p2"}, feed.Ended })}); err != nil {
		t.Errorf("XB, whose acknowledgement of both portions the hub has, can not say that they are purged: %v", err)
	}
}

// Between its end and the sweep, the hub serves what has expired.
func TestEndedButPublishedBack(t *testing.T) {
	w := newWorld(t)
	a := w.compose("XA", label("XB"))
	w.publish("XA", w.sign(a))
	w.erased(a, "p1")
	w.clock.advance(2 * time.Hour) // expired; no sweep yet
	tokens, _, err := w.Published(t.Context(), "XA", -1, 100)
	if err != nil {
		t.Fatal(err)
	}
	for _, token := range tokens {
		v, err := trust.ReadAlert(token)
		if err != nil {
			t.Fatal(err)
		}
		if len(v.Portions) > 0 {
			t.Errorf("an alert that has expired comes with %d portions, and nothing in the log says so: %d entries of other kinds", len(v.Portions), len(w.acted()))
		}
	}
}

// counting counts what is asked of alerts one by one.
type counting struct {
	store.Store
	asked atomic.Int64
	bytes atomic.Int64
}

func (c *counting) Alert(ctx context.Context, m alert.MemberID, id alert.ID, v int) (*store.Alert, error) {
	c.asked.Add(1)
	a, err := c.Store.Alert(ctx, m, id, v)
	if err == nil {
		c.bytes.Add(int64(len(a.Token)))
	}
	return a, err
}

func (c *counting) DeliveryOf(ctx context.Context, r, o alert.MemberID, id alert.ID, v int) (*store.Delivery, error) {
	c.asked.Add(1)
	return c.Store.DeliveryOf(ctx, r, o, id, v)
}

// The refusal of feedback on what XB never had takes as many round trips as it has versions.
func TestRefusalCountsVersions(t *testing.T) {
	c := &counting{Store: openSQLite(t)}
	w := worldOn(t, c)
	hidden := w.compose("XA", label("XC"))
	w.publish("XA", w.sign(hidden))
	last := hidden
	for range 20 {
		last = w.next(last, label("XC"))
		w.publish("XA", w.sign(last))
	}
	w.settle()
	w.await("erasure of what is over", func() bool {
		due, err := w.store.Due(t.Context(), w.clock.now().Unix(), store.Place{}, 1)
		return err == nil && len(due) == 0
	})
	cost := func(on alert.Alert) int64 {
		before := c.asked.Load()
		if _, err := w.Publish(t.Context(), "XB", w.sign(w.about("XB", on, alert.Comment, "XA"))); problem.KindOf(err) != problem.NotAdmitted {
			t.Fatal(err)
		}
		return c.asked.Load() - before
	}
	if there, nowhere := cost(hidden), cost(w.compose("XA", label("XC"))); there != nowhere {
		t.Errorf("%d queries for what there is, %d for what there is not", there, nowhere)
	}
}

// Nobody can be handed XA's alert any more; what was said of it goes out.
func TestFeedbackOnWhatNobodyMayHave(t *testing.T) {
	w := newWorld(t)
	w.clock.advance(5 * time.Second)
	stolen := w.certify("XA", w.clock.now().Add(time.Hour))
	a := w.compose("XA", label("XB", "XC"))
	w.publish("XA", w.signAs(stolen, a))
	w.poll("XB", 0)
	said := w.about("XB", a, alert.Comment, "XA", "XC")
	w.publish("XB", w.sign(said))
	w.revoke(stolen, a.IssuedAt)
	for _, i := range w.poll("XC", 0).Items {
		if i.Delivery != nil {
			t.Errorf("XC, who can not be handed the alert, is told of it")
		}
	}
}

// XB has acknowledged; it asks once from the beginning while it is suspended.
func TestHolderStrikesItselfOut(t *testing.T) {
	w := newWorld(t)
	a := w.compose("XA", label("XB"))
	w.publish("XA", w.sign(a))
	w.acknowledge("XB", w.poll("XB", 0).Items)
	w.submitTo(w.Hub, w.registry(func(r *federation.Registry) { r.Members[1].Suspended = true }))
	w.poll("XB", 0)
	w.publish("XA", w.sign(w.recall(a, alert.Purge)))
	holders, _, err := w.Holders(t.Context(), "XA", a.Subject)
	if err != nil {
		t.Fatal(err)
	}
	for _, h := range holders {
		if h.Version == 1 && h.Lost && h.Receipt != "" {
			t.Errorf("%s, whose acknowledgement is there and who has erased nothing, counts as holding nothing", h.Recipient)
		}
	}
}

// Nothing of the versions before goes out after a recall; the forecast says it would.
func TestExplainOfWhatIsOver(t *testing.T) {
	w := newWorld(t)
	a := w.compose("XA", label("XB", "XC"))
	w.publish("XA", w.sign(a))
	w.publish("XA", w.sign(w.recall(a, alert.CeaseUse)))
	_, f, err := w.Explain(t.Context(), "XA", a.Subject, 1)
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range f {
		for _, m := range p.Members {
			if m.Release != feed.None {
				t.Errorf("%s would get %s of a version that is recalled", m.Member, m.Release)
			}
		}
	}
}

// TestPredecessorsAlertsAreNotGivenBack: what somebody else published under a member's
// name, before it was given to this one, is not its own.
func TestPredecessorsAlertsAreNotGivenBack(t *testing.T) {
	w := newWorld(t)
	a, token := w.issue("XC", label("XB"))
	w.publish("XC", token)
	if tokens, _, err := w.Published(t.Context(), "XC", -1, 100); err != nil || len(tokens) != 1 || tokens[0] != token {
		t.Fatalf("its own: %q %v", tokens, err)
	}
	k, err := keys.Generate("XC", keys.EdDSA)
	if err != nil {
		t.Fatal(err)
	}
	raw, err := k.Public().MarshalJSON()
	if err != nil {
		t.Fatal(err)
	}
	w.submitTo(w.Hub, w.registry(func(r *federation.Registry) {
		for i := range r.Members {
			if r.Members[i].ID == "XC" {
				r.Members[i].RootKeys = []federation.Key{raw}
			}
		}
	}))
	w.settle()
	if tokens, _, err := w.Published(t.Context(), "XC", -1, 100); err != nil || len(tokens) != 0 {
		t.Errorf("whoever has the name now is given %q %v", tokens, err)
	}
	w.refused(problem.NotFound, "XC", func() error { _, _, err := w.Holders(t.Context(), "XC", a.Subject); return err })
	w.refused(problem.NotFound, "XC", func() error { _, _, err := w.Explain(t.Context(), "XC", a.Subject, 1); return err })
}
