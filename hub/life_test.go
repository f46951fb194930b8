package hub_test

import (
	"encoding/json"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/entente-hub/entente/api/alert"
	"github.com/entente-hub/entente/api/audit"
	"github.com/entente-hub/entente/api/federation"
	"github.com/entente-hub/entente/api/feed"
	"github.com/entente-hub/entente/api/problem"
	"github.com/entente-hub/entente/crypto/keys"
	"github.com/entente-hub/entente/hub/store"
	"github.com/entente-hub/entente/hub/store/pgtest"
	"github.com/entente-hub/entente/trust"
)

// next is the version that follows one that is stored.
func (w *world) next(before alert.Alert, labels ...alert.Label) alert.Alert {
	w.Helper()
	a := w.compose(before.Issuer, labels...)
	a.Subject, a.Version, a.Previous = before.Subject, before.Version+1, w.row(before).SignedDigest
	return a
}

// recall ends an alert.
func (w *world) recall(before alert.Alert, mode alert.RecallMode) alert.Alert {
	w.Helper()
	a := w.next(before)
	a.Expires = before.Expires
	a.Recall = &alert.Recall{Mode: mode, Reason: "the source was mistaken"}
	return a
}

// await waits for what happens in the background.
func (w *world) await(what string, done func() bool) {
	w.Helper()
	for deadline := time.Now().Add(time.Minute); !done(); time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			w.Fatalf("in vain: %s", what)
		}
	}
}

// erased waits until the hub has erased what is due, and reads what is left of an alert.
func (w *world) erased(a alert.Alert, portions ...alert.PortionID) {
	w.Helper()
	w.await("erasure", func() bool {
		w.LookForEnded()
		read, err := trust.ReadAlert(w.row(a).Token)
		if err != nil {
			w.Fatal(err)
		}
		var left []alert.PortionID
		for _, p := range read.Portions {
			left = append(left, p.ID)
		}
		slices.Sort(left)
		return slices.Equal(left, portions)
	})
}

// notice fails unless the items are one that releases nothing of the version.
func (w *world) notice(items []feed.Item, version int) *trust.VerifiedAlert {
	w.Helper()
	if len(items) != 1 || items[0].Delivery == nil || len(items[0].Delivery.Releases) != 0 {
		w.Fatalf("got %s", encode(w, items))
	}
	v, err := w.Directory().VerifyAlert(items[0].Delivery.Alert)
	if err != nil {
		w.Fatal(err)
	}
	if v.Version != version || len(v.Portions) != 0 {
		w.Fatalf("version %d with %d portions", v.Version, len(v.Portions))
	}
	return v
}

// onBoth runs a test on both databases.
func onBoth(t *testing.T, do func(w *world)) {
	for name, open := range map[string]func(t *testing.T) store.Store{
		"sqlite":   func(t *testing.T) store.Store { return openSQLite(t) },
		"postgres": func(t *testing.T) store.Store { return openPostgres(t, pgtest.New(t)) },
	} {
		t.Run(name, func(t *testing.T) { do(worldOn(t, open(t))) })
	}
}

// TestSupersededIsOver: a later version goes to whom it may, and is told to whoever has
// one before; what waited of those does not go out any more, and is erased.
func TestSupersededIsOver(t *testing.T) {
	onBoth(t, func(w *world) {
		first := w.compose("XA", label("XB", "XC", "XD"), label("XB"))
		w.publish("XA", w.sign(first))
		w.has(w.poll("XB", 0).Items, map[alert.PortionID]feed.Kind{"p1": feed.Content, "p2": feed.Content})
		w.has(w.poll("XC", 0).Items, map[alert.PortionID]feed.Kind{"p1": feed.Content})
		second := w.next(first, label("XB")) // XD has not asked yet
		w.publish("XA", w.sign(second))
		w.has(w.poll("XB", 1).Items, map[alert.PortionID]feed.Kind{"p1": feed.Content})
		w.notice(w.poll("XC", 1).Items, 2)
		if items := w.poll("XD", 0).Items; len(items) != 0 {
			w.Errorf("XD, who had nothing, gets %s", encode(w, items))
		}
		w.erased(first)
		w.erased(second, "p1")
		for _, m := range []alert.MemberID{"XB", "XC"} {
			items := w.poll(m, 0).Items
			if len(items) != 2 || items[0].Delivery != nil || items[1].Delivery == nil {
				w.Errorf("asked again, %s finds %s", m, encode(w, items))
			}
			if items := w.poll(m, 2).Items; len(items) != 0 {
				w.Errorf("and then %s", encode(w, items))
			}
		}
		third := w.next(second, label("XC")) // who holds nothing by now, and gets content again
		w.publish("XA", w.sign(third))
		w.has(w.poll("XC", 2).Items, map[alert.PortionID]feed.Kind{"p1": feed.Content})
		w.notice(w.poll("XB", 2).Items, 3)
		w.verifyLog()
	})
}

// TestRecall: a recall reaches everybody who was handed over any version, whatever the
// rules say by now, and nobody else; the hub erases, and all verifies.
func TestRecall(t *testing.T) {
	onBoth(t, func(w *world) {
		first := w.compose("XA", label("XB", "XC", "XD"))
		token := w.sign(first)
		receipt := w.publish("XA", token)
		w.poll("XB", 0)
		second := w.next(first, label("XC"))
		w.publish("XA", w.sign(second))
		w.poll("XC", 0)
		w.submitTo(w.Hub, w.registry(func(r *federation.Registry) { r.Members[1].Suspended, r.Members[0].Suspended = true, true }))
		last := w.recall(second, alert.Purge)
		w.publish("XA", w.sign(last))
		for _, m := range []alert.MemberID{"XB", "XC"} {
			items := w.poll(m, 1).Items
			if m == "XB" { // it has not asked since the first version
				w.notice(items[len(items)-1:], 3)
			} else {
				w.notice(items, 3)
			}
		}
		if items := w.poll("XD", 0).Items; len(items) != 0 {
			w.Errorf("XD, who had nothing, learns of %s", encode(w, items))
		}
		w.erased(first)
		w.erased(second)
		if got := w.publish("XA", token); got != receipt {
			w.Error("what was accepted once has another receipt")
		}
		after := w.next(last, label("XB"))
		w.submitTo(w.Hub, w.registry(func(r *federation.Registry) { r.Members[1].Suspended, r.Members[0].Suspended = false, false }))
		w.refused(problem.Fork, "XA", func() error { _, err := w.Publish(w.Context(), "XA", w.sign(after)); return err })
		w.settle()
		for m, seq := range map[alert.MemberID]int64{"XB": w.feeds()[1].Seq, "XC": w.feeds()[2].Seq} {
			if items := w.poll(m, seq).Items; len(items) != 0 {
				w.Errorf("%s gets %s", m, encode(w, items))
			}
		}
		w.verifyLog()
	})
}

// TestForkIsRefused: of two successors of one version the first counts.
func TestForkIsRefused(t *testing.T) {
	w := newWorld(t)
	first := w.compose("XA", label("XB"))
	w.publish("XA", w.sign(first))
	second, other := w.next(first, label("XB")), w.next(first, label("XC"))
	w.publish("XA", w.sign(second))
	w.refused(problem.Conflict, "XA", func() error { _, err := w.Publish(t.Context(), "XA", w.sign(other)); return err })
	other.Version = 3 // of the first, not of the second
	w.refused(problem.Fork, "XA", func() error { _, err := w.Publish(t.Context(), "XA", w.sign(other)); return err })
	w.refused(problem.NotAdmitted, "XA", func() error {
		stray := w.compose("XA", label("XB"))
		stray.Re = &alert.Reference{Originator: "XB", Alert: first.Subject, Act: alert.Comment}
		_, err := w.Publish(t.Context(), "XA", w.sign(stray))
		return err
	})
}

// TestCeaseUse: what is not to be used any more is not handed over, and is erased in
// its own time.
func TestCeaseUse(t *testing.T) {
	w := newWorld(t)
	first := w.compose("XA", label("XB", "XC"))
	w.publish("XA", w.sign(first))
	w.poll("XB", 0)
	w.publish("XA", w.sign(w.recall(first, alert.CeaseUse)))
	w.notice(w.poll("XB", 1).Items, 2)
	if items := w.poll("XC", 0).Items; len(items) != 0 {
		t.Errorf("XC gets %s", encode(t, items))
	}
	if items := w.poll("XB", 0).Items; len(items) != 2 || items[0].Delivery != nil {
		t.Errorf("asked again, XB finds %s", encode(t, items))
	}
	w.erased(first, "p1")
	w.clock.advance(2 * time.Hour)
	w.erased(first)
}

// TestRetentionEnds: each portion is erased when its label says, the rest with its alert.
func TestRetentionEnds(t *testing.T) {
	onBoth(t, func(w *world) {
		short := label("XB")
		short.Retention = alert.Date(w.clock.now().AddDate(0, 0, 2).Format(time.DateOnly))
		a := w.compose("XA", short, label("XB"))
		a.Expires = w.clock.now().AddDate(0, 0, 10).Unix()
		w.publish("XA", w.sign(a))
		w.has(w.poll("XB", 0).Items, map[alert.PortionID]feed.Kind{"p1": feed.Content, "p2": feed.Content})
		w.erased(a, "p1", "p2")
		w.clock.advance(4 * 24 * time.Hour)
		w.erased(a, "p2")
		if items := w.poll("XB", 0).Items; len(items) != 1 || items[0].Delivery != nil {
			w.Errorf("asked again, XB finds %s", encode(w, items))
		}
		w.clock.advance(7 * 24 * time.Hour)
		w.erased(a)
		var causes []string
		for _, e := range w.entries() {
			if e.Kind == audit.Erased {
				causes = append(causes, e.Cause+" "+strings.Join(portionNames(e.Erased), ","))
			}
		}
		if diff := cmp.Diff([]string{"ended p1", "ended p2"}, causes); diff != "" {
			w.Error(diff)
		}
		w.verifyLog()
	})
}

func portionNames(list []alert.PortionID) (out []string) {
	for _, p := range list {
		out = append(out, string(p))
	}
	return out
}

// TestExpiredVersionIsStillTold: who holds an earlier version is told of one that has
// expired meanwhile: what it holds may last longer.
func TestExpiredVersionIsStillTold(t *testing.T) {
	w := newWorld(t)
	first := w.compose("XA", label("XB"))
	first.Expires = w.clock.now().Add(30 * 24 * time.Hour).Unix()
	w.publish("XA", w.sign(first))
	w.poll("XB", 0)
	w.publish("XA", w.sign(w.next(first, label("XB"))))
	w.clock.advance(2 * time.Hour)
	w.notice(w.poll("XB", 1).Items, 2)
}

// purgeOf is a member's word that it has erased a version.
func (w *world) purgeOf(m alert.MemberID, a alert.Alert, change func(*feed.Purge)) string {
	w.Helper()
	p := feed.Purge{Issuer: m, Hub: "hub", Originator: a.Issuer, Alert: a.Subject, Version: a.Version, Digest: w.row(a).SignedDigest,
		Cause: feed.Recalled, Portions: []alert.PortionID{"p1"}, IssuedAt: w.clock.now().Unix()}
	if change != nil {
		change(&p)
	}
	payload, err := json.Marshal(p)
	if err != nil {
		w.Fatal(err)
	}
	jws, err := keys.Sign(w.Context(), w.nodes[m], feed.PurgeType, payload)
	if err != nil {
		w.Fatal(err)
	}
	return jws
}

// TestPurgeReceipts: the originator sees who has erased what it was handed, in words
// that only those can have signed; what was never handed over can not be erased.
func TestPurgeReceipts(t *testing.T) {
	onBoth(t, func(w *world) {
		a := w.compose("XA", label("XB", "XC"))
		w.publish("XA", w.sign(a))
		w.acknowledge("XB", w.poll("XB", 0).Items)
		w.poll("XC", 0)
		w.publish("XA", w.sign(w.recall(a, alert.Purge)))
		w.poll("XB", 1)
		receipt := w.purgeOf("XB", a, nil)
		for range 2 { // sent again, it changes nothing
			if err := w.Purged(w.Context(), "XB", []string{receipt}); err != nil {
				w.Fatal(err)
			}
		}
		never := w.compose("XA", label("XC"))
		w.publish("XA", w.sign(never))
		for name, bad := range map[string]struct {
			kind problem.Kind
			jws  string
		}{
			"another member's":                   {problem.WrongMember, w.purgeOf("XB", a, func(p *feed.Purge) { p.Issuer = "XC" })},
			"to another hub":                     {problem.Malformed, w.purgeOf("XB", a, func(p *feed.Purge) { p.Hub = "other" })},
			"dated ahead":                        {problem.NotYetValid, w.purgeOf("XB", a, func(p *feed.Purge) { p.IssuedAt += 3600 })},
			"of other bytes":                     {problem.NotFound, w.purgeOf("XB", a, func(p *feed.Purge) { p.Digest = w.row(never).SignedDigest })},
			"of what XB never had":               {problem.NotFound, w.purgeOf("XB", never, nil)},
			"of a portion that was not released": {problem.NotFound, w.purgeOf("XB", a, func(p *feed.Purge) { p.Portions = append(p.Portions, "p2") })},
			"of what is not there":               {problem.NotFound, w.purgeOf("XB", a, func(p *feed.Purge) { p.Version = 9 })},
			"of no cause":                        {problem.Malformed, w.purgeOf("XB", a, func(p *feed.Purge) { p.Cause = "mistake" })},
			"an acknowledgement":                 {problem.Malformed, w.ackAs(w.nodes["XB"], "XB", 1, feed.ChainStart("XB"), w.clock.now())},
		} {
			if err := w.refused(bad.kind, "XB", func() error { return w.Purged(w.Context(), "XB", []string{bad.jws}) }); err == nil {
				w.Errorf("%s is taken", name)
			}
		}
		holders, purges, err := w.Holders(w.Context(), "XA", a.Subject)
		if err != nil {
			w.Fatal(err)
		}
		var got []string
		for _, h := range holders {
			got = append(got, string(h.Recipient)+" "+string(rune('0'+h.Version))+" "+map[bool]string{true: "acknowledged", false: ""}[h.Receipt != ""])
		}
		if diff := cmp.Diff([]string{"XB 1 acknowledged", "XB 2 ", "XC 1 "}, got); diff != "" {
			w.Error(diff)
		}
		if len(purges) != 1 || purges[0].Recipient != "XB" || purges[0].Receipt != receipt {
			w.Errorf("receipts: %+v", purges)
		}
		for _, m := range []alert.MemberID{"XB", "XC", "XD"} {
			w.refused(problem.NotFound, string(m), func() error { _, _, err := w.Holders(w.Context(), m, a.Subject); return err })
		}
		w.verifyLog()
	})
}

// TestPollTellsWhatWasAcknowledged: a head says how far its recipient has come, so that
// a node that was restored from an old backup finds out.
func TestPollTellsWhatWasAcknowledged(t *testing.T) {
	w := newWorld(t)
	for range 2 {
		_, token := w.issue("XA", label("XB"))
		w.publish("XA", token)
	}
	acked := func(after int64) int64 {
		payload, _, err := keys.Verify(w.poll("XB", after).Head, feed.HeadType, w.Directory().HubKey)
		if err != nil {
			t.Fatal(err)
		}
		h, err := feed.Parse[feed.Head](payload)
		if err != nil {
			t.Fatal(err)
		}
		return h.Acked
	}
	if n := acked(0); n != 0 {
		t.Errorf("%d, and nothing is acknowledged", n)
	}
	w.acknowledge("XB", w.poll("XB", 0).Items)
	if n := acked(0); n != 2 {
		t.Errorf("%d, and two are acknowledged", n)
	}
}
