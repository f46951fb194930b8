package hub_test

import (
	"encoding/json"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/entente-hub/entente/api/alert"
	"github.com/entente-hub/entente/api/audit"
	"github.com/entente-hub/entente/api/feed"
	"github.com/entente-hub/entente/api/problem"
	"github.com/entente-hub/entente/crypto/keys"
	"github.com/entente-hub/entente/hub/store"
)

// ackAs signs that an item has been received.
func (w *world) ackAs(k keys.Signer, m alert.MemberID, seq int64, chain string, at time.Time) string {
	w.Helper()
	payload, err := json.Marshal(feed.Ack{Issuer: m, Hub: "hub", Seq: seq, Chain: chain, IssuedAt: at.Unix()})
	if err != nil {
		w.Fatal(err)
	}
	jws, err := keys.Sign(w.Context(), k, feed.AckType, payload)
	if err != nil {
		w.Fatal(err)
	}
	return jws
}

func (w *world) proofs() (out []string) {
	w.Helper()
	for _, e := range w.entries() {
		if e.Kind == audit.Received {
			out = append(out, e.Proof)
		}
	}
	return out
}

// TestAcknowledgementsUnderEndedKeys: vulnerability: an acknowledgement names its own time, and may come late.
// attack: mallory acknowledges in XB's name with a key that XB has revoked, dated before the revocation, or
// dated ahead so that it will look newer than it is.
// guarantee: what a key signed in its time counts although its date has passed; nothing of a revoked key
// does, and nothing dated in the future.
func TestAcknowledgementsUnderEndedKeys(t *testing.T) {
	w := newWorld(t)
	start := w.clock.now()
	ended, stolen := w.certify("XB", start.Add(10*time.Minute)), w.certify("XB", start.Add(10*time.Minute))
	_, token := w.issue("XA", label("XB"))
	w.publish("XA", token)
	chain := w.checkPage("XB", 0, feed.ChainStart("XB"), w.poll("XB", 0))
	w.clock.advance(20 * time.Minute)
	w.revoke(stolen, start.Add(5*time.Minute).Unix())
	now := w.clock.now()
	for name, c := range map[string]struct {
		kind problem.Kind
		by   keys.Signer
		at   time.Time
	}{
		"revoked since":              {problem.BadSignature, stolen, start},
		"revoked before":             {problem.BadSignature, stolen, start.Add(6 * time.Minute)},
		"after the key's end":        {problem.BadSignature, ended, now},
		"before the key's beginning": {problem.BadSignature, ended, start.Add(-time.Hour)},
		"in the future":              {problem.NotYetValid, w.nodes["XB"], now.Add(alert.MaxSkew + time.Minute)},
	} {
		t.Run(name, func(t *testing.T) {
			w.in(t).refused(c.kind, "XB", func() error {
				return w.Acknowledge(t.Context(), "XB", []string{w.ackAs(c.by, "XB", 1, chain, c.at)})
			})
		})
	}
	if got := w.proofs(); got != nil {
		t.Fatalf("in the log: %q", got)
	}
	good := w.ackAs(ended, "XB", 1, chain, start)
	if err := w.Acknowledge(t.Context(), "XB", []string{good}); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]string{good}, w.proofs()); diff != "" {
		t.Errorf("in the log:\n%s", diff)
	}
}

// TestAcknowledgementsShareACommit: vulnerability: a flush to stable storage for each acknowledgement lets one
// request keep the hub's only writer busy.
// attack: XB acknowledges as many items as a request holds; then so many again, one of them forged.
// guarantee: they are one transaction. Those before the forged one are stored, those behind it not, and the
// refusal is recorded once.
func TestAcknowledgementsShareACommit(t *testing.T) {
	st := new(hooked)
	w := hookedWorld(t, st)
	const forged = feed.MaxPage / 2
	for range 2 * feed.MaxPage {
		_, token := w.issue("XA", label("XB"))
		w.publish("XA", token)
	}
	chain := feed.ChainStart("XB")
	var acks []string
	for len(acks) < 2*feed.MaxPage {
		page := w.poll("XB", int64(len(acks)))
		w.checkPage("XB", int64(len(acks)), chain, page)
		for _, item := range page.Items {
			chain = feed.Next(chain, item.Seq, item.Digest)
			acks = append(acks, w.ackAs(w.nodes["XB"], "XB", item.Seq, chain, w.clock.now()))
		}
	}
	var commits [][]store.Write // by the ledger alone, whose callers wait for it
	counted := func(writes []store.Write) { commits = append(commits, slices.Clone(writes)) }
	st.before.Store(&counted)
	first, second := acks[:feed.MaxPage], slices.Clone(acks[feed.MaxPage:])
	if err := w.Acknowledge(t.Context(), "XB", first); err != nil {
		t.Fatal(err)
	}
	if len(commits) != 1 || len(commits[0]) != feed.MaxPage {
		t.Fatalf("%d acknowledgements took %d commits", feed.MaxPage, len(commits))
	}
	if diff := cmp.Diff(first, w.proofs()); diff != "" {
		t.Errorf("in the log:\n%s", diff)
	}

	second[forged] = w.ackAs(w.nodes["XC"], "XB", feed.MaxPage+forged+1, chain, w.clock.now())
	if err := w.Acknowledge(t.Context(), "XB", second); problem.KindOf(err) != problem.BadSignature {
		t.Fatalf("got %v", err)
	}
	if len(commits) != 3 { // the acknowledgements and the refusal
		t.Errorf("%d commits in all", len(commits))
	}
	if diff := cmp.Diff(acks[:feed.MaxPage+forged], w.proofs()); diff != "" {
		t.Errorf("in the log:\n%s", diff)
	}
	if n := count(w.entries(), audit.Refusal); n != 1 {
		t.Errorf("%d refusals in the log", n)
	}
	f, err := w.store.Feed(t.Context(), "XB")
	if err != nil || f.Acked != feed.MaxPage+forged {
		t.Errorf("XB's feed: %+v %v", f, err)
	}
}
