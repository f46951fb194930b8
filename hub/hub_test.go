package hub_test

import (
	"encoding/json"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/entente-hub/entente/api/alert"
	"github.com/entente-hub/entente/api/audit"
	"github.com/entente-hub/entente/api/feed"
	"github.com/entente-hub/entente/api/problem"
	"github.com/entente-hub/entente/crypto/keys"
	"github.com/entente-hub/entente/hub"
	"github.com/entente-hub/entente/hub/store"
)

func TestReleasesExactlyWhatPolicyPermits(t *testing.T) {
	w := newWorld(t)
	a, token := w.issue("XA", label("federation"), bilateral())
	w.publish("XA", token)
	want := map[alert.MemberID]map[alert.PortionID]feed.Kind{
		"XB": {"p1": feed.Content, "p2": feed.Content},
		"XC": {"p1": feed.Content, "p2": feed.Existence},
		"XD": {"p1": feed.Content}}
	for m, kinds := range want {
		page := w.poll(m, 0)
		if len(page.Items) != 1 {
			t.Fatalf("%s has %d items", m, len(page.Items))
		}
		if diff := cmp.Diff(kinds, w.kinds(page.Items[0].Delivery)); diff != "" {
			t.Errorf("%s holds of %s (-want +got):\n%s", m, a.Subject, diff)
		}
		if next := w.poll(m, 1); len(next.Items) != 0 {
			t.Errorf("%s has a second item", m)
		}
	}
	if page := w.poll("XA", 0); len(page.Items) != 0 {
		t.Error("the originator got its own alert")
	}
}

func TestReplay(t *testing.T) {
	w := newWorld(t)
	a, token := w.issue("XA", label("XB"))
	receipt := w.publish("XA", token)
	size := len(w.acted())
	if again := w.publish("XA", token); again != receipt {
		t.Errorf("the same bytes have another receipt:\n%s\n%s", receipt, again)
	}
	if n := len(w.acted()); n != size {
		t.Errorf("a replay wrote %d entries", n-size)
	}
	w.refused(problem.Conflict, "XA", func() error {
		_, err := w.Publish(t.Context(), "XA", w.sign(a)) // other salts
		return err
	})
	if page := w.poll("XB", 0); len(page.Items) != 1 {
		t.Errorf("XB has %d items", len(page.Items))
	}
	// What was admitted once stays so when it is too late to admit it.
	w.clock.advance(2 * time.Hour)
	if again := w.publish("XA", token); again != receipt {
		t.Error("the receipt is lost once the alert has expired")
	}
	w.refused(problem.Expired, "XA", func() error {
		_, err := w.Publish(t.Context(), "XA", w.sign(a))
		return err
	})
}

func TestReceiptSaysWhatIsStored(t *testing.T) {
	w := newWorld(t)
	a, token := w.issue("XA", label("XB"))
	payload, _, err := keys.Verify(w.publish("XA", token), feed.ReceiptType, w.Directory().HubKey)
	if err != nil {
		t.Fatal(err)
	}
	r, err := feed.Parse[feed.Receipt](payload)
	if err != nil {
		t.Fatal(err)
	}
	row, err := w.store.Alert(t.Context(), "XA", a.Subject, 1)
	if err != nil {
		t.Fatal(err)
	}
	e := w.entries()[r.LogIndex]
	want := &audit.Alert{Originator: "XA", ID: a.Subject, Version: 1, Digest: r.Digest}
	if e.Kind != audit.Admission || !cmp.Equal(e.Alert, want) || row.LogIndex != r.LogIndex || row.Token != token {
		t.Errorf("the receipt %+v names entry %+v", r, e)
	}
}

func TestVersionsFollowOneAnother(t *testing.T) {
	w := newWorld(t)
	first, token := w.issue("XA", label("XB"))
	orphan := first
	orphan.Version, orphan.Previous = 2, "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"
	w.refused(problem.Fork, "XA", func() error {
		_, err := w.Publish(t.Context(), "XA", w.sign(orphan))
		return err
	})
	w.publish("XA", token)
	w.refused(problem.Fork, "XA", func() error {
		_, err := w.Publish(t.Context(), "XA", w.sign(orphan))
		return err
	})
	v, err := w.Directory().VerifyAlert(token)
	if err != nil {
		t.Fatal(err)
	}
	second := orphan
	second.Previous = v.SignedDigest
	w.publish("XA", w.sign(second))
	if page := w.poll("XB", 0); len(page.Items) != 1 {
		t.Errorf("XB has %d items, want the version that stands", len(page.Items))
	}
}

func TestAcknowledge(t *testing.T) {
	w := newWorld(t)
	_, token := w.issue("XA", label("XB"))
	w.publish("XA", token)
	chain := w.checkPage("XB", 0, feed.ChainStart("XB"), w.poll("XB", 0))
	ack := func(change func(*feed.Ack)) string {
		a := feed.Ack{Issuer: "XB", Hub: "hub", Seq: 1, Chain: chain, IssuedAt: w.clock.now().Unix()}
		change(&a)
		payload, err := json.Marshal(a)
		if err != nil {
			t.Fatal(err)
		}
		jws, err := keys.Sign(t.Context(), w.nodes["XB"], feed.AckType, payload)
		if err != nil {
			t.Fatal(err)
		}
		return jws
	}
	for name, c := range map[string]struct {
		kind   problem.Kind
		member alert.MemberID
		jws    string
	}{
		"not signed":         {problem.BadSignature, "XB", "a.b.c"},
		"by another member":  {problem.BadSignature, "XC", ack(func(*feed.Ack) {})},
		"in another's name":  {problem.WrongMember, "XB", ack(func(a *feed.Ack) { a.Issuer = "XC" })},
		"of another hub":     {problem.Malformed, "XB", ack(func(a *feed.Ack) { a.Hub = "other" })},
		"not yet handed out": {problem.NotFound, "XB", ack(func(a *feed.Ack) { a.Seq = 2 })},
		"of another chain":   {problem.NotFound, "XB", ack(func(a *feed.Ack) { a.Chain = feed.ChainStart("XC") })},
	} {
		t.Run(name, func(t *testing.T) {
			w.in(t).refused(c.kind, string(c.member), func() error { return w.Acknowledge(t.Context(), c.member, []string{c.jws}) })
		})
	}
	good := ack(func(*feed.Ack) {})
	for range 2 { // the second changes nothing
		if err := w.Acknowledge(t.Context(), "XB", []string{good}); err != nil {
			t.Fatal(err)
		}
	}
	var proofs []string
	for _, e := range w.entries() {
		if e.Kind == audit.Received {
			proofs = append(proofs, e.Proof)
		}
	}
	if diff := cmp.Diff([]string{good}, proofs); diff != "" {
		t.Errorf("acknowledgements in the log:\n%s", diff)
	}
}

func TestPreviewSaysWhatPublishingDoes(t *testing.T) {
	w := newWorld(t)
	a := w.compose("XA", label("federation"), bilateral())
	var portions []hub.Labelled
	for _, p := range a.Portions {
		portions = append(portions, hub.Labelled{ID: p.ID, Label: *p.Label})
	}
	_, forecasts, err := w.Preview(t.Context(), "XA", "", 0, portions)
	if err != nil {
		t.Fatal(err)
	}
	if n := count(w.entries(), audit.Preview); n != 1 {
		t.Errorf("%d previews in the log", n)
	}
	if f := w.feeds(); f != [4]store.Feed{} {
		t.Errorf("a preview left deliveries: %+v", f)
	}
	w.publish("XA", w.sign(a))
	for _, f := range forecasts {
		for _, m := range f.Members {
			got := feed.None
			if page := w.poll(m.Member, 0); len(page.Items) > 0 {
				if k, ok := w.kinds(page.Items[0].Delivery)[f.Portion]; ok {
					got = k
				}
			}
			if got != m.Release || (m.Release == feed.Content) != (len(m.Codes) == 0) || (m.Message == "") != (len(m.Codes) == 0) {
				t.Errorf("%s of %s: foretold %+v, got %s", m.Member, f.Portion, m, got)
			}
			if m.Release == feed.Content && len(m.Agreements) == 0 {
				t.Errorf("%s of %s: no agreement is cited", m.Member, f.Portion)
			}
		}
	}
}
