package hub_test

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/entente-hub/entente/api/alert"
	"github.com/entente-hub/entente/api/audit"
	"github.com/entente-hub/entente/api/federation"
	"github.com/entente-hub/entente/api/feed"
	"github.com/entente-hub/entente/api/problem"
	"github.com/entente-hub/entente/hub"
)

func TestFeedIsGaplessAndChained(t *testing.T) {
	w := newWorld(t)
	const alerts = 40 // more than a page
	for range alerts {
		_, token := w.issue("XA", label("XB"))
		w.publish("XA", token)
	}
	var pages []feed.Page
	after, chain := int64(0), feed.ChainStart("XB")
	for {
		page := w.poll("XB", after)
		chain = w.checkPage("XB", after, chain, page)
		if len(page.Items) == 0 {
			break
		}
		pages = append(pages, page)
		after += int64(len(page.Items))
	}
	if after != alerts {
		t.Fatalf("%d items came of %d", after, alerts)
	}
	// A node that lost the answers gets the very same items.
	after, chain = 0, feed.ChainStart("XB")
	for _, page := range pages {
		again := w.poll("XB", after)
		if diff := cmp.Diff(encode(t, page.Items), encode(t, again.Items)); diff != "" {
			t.Fatalf("served again, items differ:\n%s", diff)
		}
		chain = w.checkPage("XB", after, chain, again)
		after += int64(len(again.Items))
	}
	w.refused(problem.CursorUnknown, "XB", func() error {
		_, err := w.Poll(t.Context(), "XB", alerts+1, 10, 0)
		return err
	})
	if n := count(w.entries(), audit.Release); n != alerts {
		t.Errorf("%d releases in the log, want %d", n, alerts)
	}
}

func encode(t testing.TB, v any) string {
	t.Helper()
	raw, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return string(raw)
}

// Published is not handed over: what falls meanwhile must not show, neither as
// an item nor as a gap.
func TestSuspendedBeforeHandOverIsWithheld(t *testing.T) {
	for name, suspend := range map[string]func(w *world) []byte{
		"agreement": func(w *world) []byte { return w.suspension(true) },
		"recipient": func(w *world) []byte {
			return w.registry(func(r *federation.Registry) { r.Members[1].Suspended = true })
		},
		"originator": func(w *world) []byte {
			return w.registry(func(r *federation.Registry) { r.Members[0].Suspended = true })
		},
		"membership": func(w *world) []byte {
			return w.registry(func(r *federation.Registry) { r.Members[1].Ceiling = alert.Restricted })
		},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			a, token := w.issue("XA", bilateral())
			w.publish("XA", token)
			w.submitTo(w.Hub, suspend(w))
			page := w.poll("XB", 0)
			if len(page.Items) != 0 {
				t.Fatalf("XB got %d items", len(page.Items))
			}
			w.checkPage("XB", 0, feed.ChainStart("XB"), page)
			if receipt, item, err := w.Read(t.Context(), "XB", "XA", a.Subject, 1); problem.KindOf(err) != problem.NotFound {
				t.Errorf("read: %q %v %v", receipt, item, err)
			}
			var withheld []audit.Entry
			for _, e := range w.entries() {
				if e.Kind == audit.Withheld && e.Recipient == "XB" {
					withheld = append(withheld, e)
				}
			}
			if len(withheld) != 1 || withheld[0].Recipient != "XB" || withheld[0].Alert.ID != a.Subject {
				t.Fatalf("the log has %+v", withheld)
			}
			w.explained(withheld[0])
			f, err := w.store.Feed(t.Context(), "XB")
			if err != nil || f.Seq != 0 || f.Pending != 0 {
				t.Errorf("XB's feed: %+v %v", f, err)
			}
			w.verifyLog()
		})
	}
}

// explained checks that the log says why: the decision on each of the alert's
// labels at the entry's revision, somewhere before it.
func (w *world) explained(e audit.Entry) {
	w.Helper()
	labels := make(map[string]bool)
	decided := make(map[string]bool)
	for _, x := range w.entries() {
		if x.Kind == audit.Admission && *x.Alert == *e.Alert {
			for _, p := range x.Portions {
				labels[p.Label] = true
			}
		}
		if x.Kind == audit.Decided && x.Revision == e.Revision && x.Policy == e.Policy {
			decided[x.Decision.Label] = true
		}
		if cmp.Equal(x, e) {
			break
		}
	}
	if len(labels) == 0 {
		w.Errorf("no admission before %+v", e)
	}
	for l := range labels {
		if !decided[l] {
			w.Errorf("no decision on label %s at revision %s before %+v", l, e.Revision, e)
		}
	}
}

func TestSuspendedAfterHandOverKeepsTheChain(t *testing.T) {
	w := newWorld(t)
	a, token := w.issue("XA", bilateral())
	w.publish("XA", token)
	_, open := w.issue("XA", label("XB"))
	w.publish("XA", open)
	first := w.poll("XB", 0)
	if len(first.Items) != 2 {
		t.Fatalf("%d items", len(first.Items))
	}
	w.submitTo(w.Hub, w.suspension(true))
	again := w.poll("XB", 0)
	w.checkPage("XB", 0, feed.ChainStart("XB"), again)
	if again.Items[0].Delivery != nil || again.Items[0].Digest != first.Items[0].Digest {
		t.Errorf("after the suspension item 1 is %+v", again.Items[0])
	}
	if diff := cmp.Diff(first.Items[1], again.Items[1]); diff != "" {
		t.Errorf("item 2 rests on another agreement, but changed:\n%s", diff)
	}
	if _, _, err := w.Read(t.Context(), "XB", "XA", a.Subject, 1); problem.KindOf(err) != problem.NotFound {
		t.Errorf("read: %v", err)
	}
	w.submitTo(w.Hub, w.suspension(false)) // it comes once more, in a place of its own
	w.settle()
	w.has(w.newer("XB", 2), map[alert.PortionID]feed.Kind{"p1": feed.Content})
	last := w.poll("XB", 0)
	w.checkPage("XB", 0, feed.ChainStart("XB"), last)
	if diff := cmp.Diff(again.Items, last.Items[:2]); diff != "" {
		t.Errorf("after the suspension has ended:\n%s", diff)
	}
	w.clock.advance(2 * time.Hour) // past exp
	for _, item := range w.poll("XB", 0).Items {
		if item.Delivery != nil {
			t.Error("an expired alert is served again")
		}
	}
}

// mallory (XD): an alert derived from XC's is held back for want of consent, and
// mallory consents in XC's place. Guarantee: only a consent of whose alert it is
// counts, whenever it comes.
func TestConsentToAnothersAlertReleasesNothing(t *testing.T) {
	w := newWorld(t)
	source, token := w.issue("XC", label("XA"))
	w.publish("XC", token)
	w.poll("XA", 0) // a source counts only for who has it
	derived := label("XB")
	derived.DiscoverableTo = []alert.Audience{"XD"}
	derived.DerivedFrom = []alert.ID{source.Subject}
	_, token = w.issue("XA", label("XB", "XD"), derived)
	w.publish("XA", token)
	consent := func(by alert.MemberID) []byte {
		return w.state(federation.TypeConsent, &federation.Consent{Originator: by, Alert: source.Subject,
			Recipients: []alert.Audience{"XB", "XD"}}, w.nodes[by])
	}
	w.submitTo(w.Hub, consent("XD"))
	for _, m := range []alert.MemberID{"XB", "XD"} {
		want := map[alert.PortionID]feed.Kind{"p1": feed.Content}
		if diff := cmp.Diff(want, w.kinds(w.poll(m, 0).Items[0].Delivery)); diff != "" {
			t.Errorf("%s holds on mallory's consent (-want +got):\n%s", m, diff)
		}
	}
	_, token = w.issue("XA", derived)
	w.publish("XA", token) // admitted like any other, so that nobody learns by it whose an id is
	for _, m := range []alert.MemberID{"XB", "XD"} {
		if items := w.poll(m, 1).Items; len(items) != 0 {
			t.Errorf("%s got %+v", m, items)
		}
	}
}

// The owner's own consent, between publication and hand-over, does count.
func TestConsentOfTheSourceReleases(t *testing.T) {
	w := newWorld(t)
	source, token := w.issue("XC", label("XA"))
	w.publish("XC", token)
	w.poll("XA", 0)
	derived := label("XB")
	derived.DerivedFrom = []alert.ID{source.Subject}
	_, token = w.issue("XA", label("XB"), derived)
	w.publish("XA", token)
	w.submitTo(w.Hub, w.state(federation.TypeConsent, &federation.Consent{Originator: "XC", Alert: source.Subject,
		Recipients: []alert.Audience{"XB"}}, w.nodes["XC"]))
	page := w.poll("XB", 0)
	if len(page.Items) != 1 || w.kinds(page.Items[0].Delivery)["p2"] != feed.Content {
		t.Errorf("XB got %+v", page.Items)
	}
}

// vulnerability: reason codes of a preview tell who consented to what is derived
// from a source.
// attack: XD, who was given nothing of XC's alert but knows its id, previews a label
// derived from it, and one derived from an id that nobody has used.
// guarantee: the two answers are alike.
func TestPreviewTellsNothingOfAnothersSource(t *testing.T) {
	w := newWorld(t)
	source, token := w.issue("XC", label("XA"))
	w.publish("XC", token)
	w.submitTo(w.Hub, w.state(federation.TypeConsent, &federation.Consent{Originator: "XC", Alert: source.Subject,
		Recipients: []alert.Audience{"XA"}}, w.nodes["XC"]))
	unused, _ := w.issue("XC", label("XA"))
	var answers []string
	for _, id := range []alert.ID{source.Subject, unused.Subject} {
		l := label("federation")
		l.DerivedFrom = []alert.ID{id}
		_, forecasts, err := w.Preview(t.Context(), "XD", "", 0, []hub.Labelled{{ID: "p1", Label: l}})
		if err != nil {
			t.Fatal(err)
		}
		answers = append(answers, fmt.Sprintf("%+v", forecasts))
	}
	if answers[0] != answers[1] || !strings.Contains(answers[0], "third-party") {
		t.Errorf("%s\n%s", answers[0], answers[1])
	}
}

func TestReadAnswersTheAbsentAndTheWithheldAlike(t *testing.T) {
	w := newWorld(t)
	a, token := w.issue("XA", label("XB"))
	receipt := w.publish("XA", token)
	if again, item, err := w.Read(t.Context(), "XA", "XA", a.Subject, 1); err != nil || again != receipt || item != nil {
		t.Errorf("the originator reads %q %v %v", again, item, err)
	}
	absent := w.compose("XA").Subject
	for name, read := range map[string]struct {
		member  alert.MemberID
		id      alert.ID
		version int
	}{
		"not for XC": {"XC", a.Subject, 1}, "not yet handed to XB": {"XB", a.Subject, 1},
		"no such alert": {"XC", absent, 1}, "no such version": {"XA", a.Subject, 2}, "not XA's": {"XA", absent, 1},
	} {
		_, _, err := w.Read(t.Context(), read.member, "XA", read.id, read.version)
		if problem.KindOf(err) != problem.NotFound {
			t.Errorf("%s: %v", name, err)
		}
	}
	item := w.poll("XB", 0).Items[0]
	if _, got, err := w.Read(t.Context(), "XB", "XA", a.Subject, 1); err != nil || !cmp.Equal(*got, item) {
		t.Errorf("XB reads %+v %v", got, err)
	}
}

// Two polls at once, as of a node that was restarted: never two different items
// under one number.
func TestConcurrentPollsOfOneMember(t *testing.T) {
	w := newWorld(t)
	const alerts, pollers = 30, 6
	var tokens []string
	for range alerts {
		_, token := w.issue("XA", label("XB"))
		tokens = append(tokens, token)
	}
	got := make([][]feed.Item, pollers)
	var wg sync.WaitGroup
	wg.Go(func() {
		for _, token := range tokens {
			if _, err := w.Publish(t.Context(), "XA", token); err != nil {
				t.Error(err)
			}
		}
	})
	for i := range got {
		wg.Go(func() {
			for len(got[i]) < alerts {
				page, err := w.Poll(t.Context(), "XB", int64(len(got[i])), 1+i, time.Minute)
				if err != nil {
					t.Error(err)
					return
				}
				got[i] = append(got[i], page.Items...)
			}
		})
	}
	wg.Wait()
	for i := range got {
		if diff := cmp.Diff(encode(t, got[0]), encode(t, got[i])); diff != "" {
			t.Errorf("pollers 0 and %d got different feeds:\n%s", i, diff)
		}
	}
	if n := count(w.entries(), audit.Release); n != alerts {
		t.Errorf("%d releases in the log, want %d", n, alerts)
	}
	w.verifyLog()
}

func TestLongPoll(t *testing.T) {
	type answer struct {
		page feed.Page
		err  error
	}
	start := func(w *world, ctx context.Context, wait time.Duration) <-chan answer {
		out := make(chan answer, 1)
		go func() {
			page, err := w.Poll(ctx, "XB", 0, 10, wait)
			out <- answer{page, err}
		}()
		return out
	}
	empty := func(t *testing.T, w *world, a answer) {
		t.Helper()
		if a.err != nil || len(a.page.Items) != 0 {
			t.Fatalf("got %+v", a)
		}
		w.checkPage("XB", 0, feed.ChainStart("XB"), a.page)
	}
	t.Run("wakes on publish", func(t *testing.T) {
		w := newWorld(t)
		out := start(w, t.Context(), time.Hour)
		_, token := w.issue("XA", label("XB"))
		w.publish("XA", token)
		if a := <-out; a.err != nil || len(a.page.Items) != 1 {
			t.Errorf("got %+v", a)
		}
	})
	t.Run("sleeps through what is withheld", func(t *testing.T) {
		w := newWorld(t)
		_, token := w.issue("XA", bilateral())
		w.publish("XA", token)
		w.submitTo(w.Hub, w.suspension(true))
		out := start(w, t.Context(), time.Hour)
		_, token = w.issue("XA", label("XB"))
		w.publish("XA", token)
		if a := <-out; a.err != nil || len(a.page.Items) != 1 || a.page.Items[0].Seq != 1 {
			t.Errorf("got %+v", a)
		}
	})
	t.Run("ends at its deadline", func(t *testing.T) {
		w := newWorld(t)
		empty(t, w, <-start(w, t.Context(), time.Millisecond))
	})
	t.Run("ends with its caller", func(t *testing.T) {
		w := newWorld(t)
		ctx, cancel := context.WithCancel(t.Context())
		out := start(w, ctx, time.Hour)
		cancel()
		if a := <-out; a.err == nil { // or unavailable, where it had not begun to wait
			empty(t, w, a)
		}
	})
	t.Run("ends when the hub is drained", func(t *testing.T) {
		w := newWorld(t)
		before, after := start(w, t.Context(), time.Hour), (<-chan answer)(nil)
		w.Drain()
		w.Drain()
		after = start(w, t.Context(), time.Hour)
		empty(t, w, <-before)
		empty(t, w, <-after)
	})
}
