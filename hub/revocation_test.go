package hub_test

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/entente-hub/entente/api/alert"
	"github.com/entente-hub/entente/api/audit"
	"github.com/entente-hub/entente/api/federation"
	"github.com/entente-hub/entente/api/feed"
	"github.com/entente-hub/entente/api/problem"
	"github.com/entente-hub/entente/crypto/keys"
)

// certify gives the member a second node key, good from a minute ago until end.
func (w *world) certify(m alert.MemberID, end time.Time) keys.Signer {
	w.Helper()
	k, err := keys.Generate(string(m), keys.EdDSA)
	if err != nil {
		w.Fatal(err)
	}
	raw, err := k.Public().MarshalJSON()
	if err != nil {
		w.Fatal(err)
	}
	w.submitTo(w.Hub, w.state(federation.TypeNodeKey, &federation.NodeKey{Member: m, KeyID: k.Public().KeyID(), Key: raw,
		NotBefore: w.clock.now().Add(-time.Minute).Unix(), NotAfter: end.Unix()}, w.root(m)))
	return k
}

// revoke brings into force that nothing counts that the key signed from then on.
func (w *world) revoke(k keys.Signer, from int64) {
	w.Helper()
	pub := k.Public()
	head, ok := w.Directory().Head(federation.TypeNodeKey, pub.KeyID())
	if !ok {
		w.Fatal("no node key")
	}
	body := *head.Body.(*federation.NodeKey)
	body.Revoked = from
	w.submitTo(w.Hub, w.state(federation.TypeNodeKey, &body, w.root(body.Member)))
}

// TestRevokedBackBeforeTheAlert: vulnerability: an alert was accepted under a key that, as is found out
// later, was in other hands already.
// attack: mallory signs with XA's stolen key; one alert is with XB, one still waits, when XA revokes back to
// before both.
// guarantee: the one is withheld without a trace in the feed, the other not served again and withheld too; the chain holds,
// and others' alerts go on arriving.
func TestRevokedBackBeforeTheAlert(t *testing.T) {
	w := newWorld(t)
	handed, token := w.issue("XA", label("XB"))
	w.publish("XA", token)
	first := w.poll("XB", 0)
	w.checkPage("XB", 0, feed.ChainStart("XB"), first)
	waiting, token := w.issue("XA", label("XB"))
	w.publish("XA", token)
	w.revoke(w.nodes["XA"], handed.IssuedAt)

	again := w.poll("XB", 0)
	chain := w.checkPage("XB", 0, feed.ChainStart("XB"), again)
	if len(again.Items) != 1 || again.Items[0].Delivery != nil || again.Items[0].Digest != first.Items[0].Digest {
		t.Errorf("served again: %+v", again.Items)
	}
	page := w.poll("XB", 1)
	w.checkPage("XB", 1, chain, page)
	if len(page.Items) != 0 {
		t.Errorf("handed over after the revocation: %+v", page.Items)
	}
	_, token = w.issue("XC", label("XB"))
	w.publish("XC", token)
	page = w.poll("XB", 1)
	w.checkPage("XB", 1, chain, page)
	if len(page.Items) != 1 || page.Items[0].Delivery == nil {
		t.Errorf("of XC came %+v", page.Items)
	}
	for name, a := range map[string]alert.Alert{"handed over": handed, "waiting": waiting} {
		if _, item, err := w.Read(t.Context(), "XB", "XA", a.Subject, 1); problem.KindOf(err) != problem.NotFound {
			t.Errorf("%s: read: %+v %v", name, item, err)
		}
	}
	var withheld []alert.ID
	for _, e := range w.entries() {
		if e.Kind == audit.Withheld {
			withheld = append(withheld, e.Alert.ID)
			w.explained(e)
		}
	}
	if diff := cmp.Diff([]alert.ID{waiting.Subject, handed.Subject}, withheld); diff != "" {
		t.Errorf("withheld in the log:\n%s", diff)
	}
	w.verifyLog()
}

// TestRevokedAfterTheAlert: vulnerability: to withdraw with a key all that it ever signed would let a
// revocation erase what was rightly said.
// attack: XA's key is revoked from after the alert on, between publication and hand-over.
// guarantee: the alert is handed over, and served again as it was.
func TestRevokedAfterTheAlert(t *testing.T) {
	w := newWorld(t)
	a, token := w.issue("XA", label("XB"))
	w.publish("XA", token)
	w.revoke(w.nodes["XA"], a.IssuedAt+1)
	w.clock.advance(2 * time.Second)
	page := w.poll("XB", 0)
	if len(page.Items) != 1 || page.Items[0].Delivery == nil {
		t.Fatalf("XB got %+v", page.Items)
	}
	if diff := cmp.Diff(page.Items, w.poll("XB", 0).Items); diff != "" {
		t.Errorf("served again:\n%s", diff)
	}
}

// TestReceiptOutlivesItsKey: vulnerability: a node that lost the answer to an accepted alert, and whose key
// is revoked meanwhile, would take it for refused and say it again under another id; a hub that answered by
// the alert's name alone would receipt what it never had.
// attack: the same bytes come again after the revocation; so do other bytes under the same name, a new alert
// under the old key, and the same bytes from another member.
// guarantee: the accepted bytes have the same receipt for their originator, and nothing else is accepted.
func TestReceiptOutlivesItsKey(t *testing.T) {
	for name, later := range map[string]int64{"from after its iat": 1, "from its iat": 0, "from before its iat": -60} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			a, token := w.issue("XA", label("XB"))
			receipt := w.publish("XA", token)
			_, unsent := w.issue("XA", label("XB"))
			w.revoke(w.nodes["XA"], a.IssuedAt+later)
			w.clock.advance(2 * time.Second)
			size := len(w.acted())
			if again := w.publish("XA", token); again != receipt {
				t.Errorf("the same bytes have another receipt:\n%s\n%s", receipt, again)
			}
			if n := len(w.acted()); n != size {
				t.Errorf("a replay wrote %d entries", n-size)
			}
			jws, _ := parts(token)
			stranger := problem.WrongMember // where the signature still stands, else as the others
			if later <= 0 {
				stranger = problem.BadSignature
			}
			for what, c := range map[string]struct {
				kind   problem.Kind
				member alert.MemberID
				token  string
			}{
				"other bytes of the same name": {problem.BadSignature, "XA", w.sign(a)},
				"less disclosed":               {problem.BadSignature, "XA", join(jws)},
				"another alert":                {problem.BadSignature, "XA", unsent},
				"by another member":            {stranger, "XB", token},
			} {
				t.Run(what, func(t *testing.T) {
					w.in(t).refused(c.kind, string(c.member), func() error {
						_, err := w.Publish(t.Context(), c.member, c.token)
						return err
					})
				})
			}
		})
	}
}

// TestKeyEndedByDateMeanwhile: vulnerability: refusing what a key signed in its time would lose what waited in
// an outbox; accepting what it signed after its time would make dates void.
// attack: a node that was cut off sends late what it signed before its key's end, and signs once more after it.
// guarantee: the former is accepted and handed over, the latter refused; so is the former once the key is
// revoked, whenever from.
func TestKeyEndedByDateMeanwhile(t *testing.T) {
	w := newWorld(t)
	k := w.certify("XA", w.clock.now().Add(10*time.Minute))
	signed := func() string { return w.signAs(k, w.compose("XA", label("XB"))) }
	early, unsent := signed(), signed()
	w.clock.advance(20 * time.Minute)
	w.publish("XA", early)
	if page := w.poll("XB", 0); len(page.Items) != 1 || page.Items[0].Delivery == nil {
		t.Errorf("XB got %+v", page.Items)
	}
	refused := func(token string) {
		t.Helper()
		w.refused(problem.BadSignature, "XA", func() error {
			_, err := w.Publish(t.Context(), "XA", token)
			return err
		})
	}
	refused(signed())
	w.revoke(k, w.clock.now().Unix())
	refused(unsent)
}
