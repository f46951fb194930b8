package hub_test

import (
	"errors"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/entente-hub/entente/api/alert"
	"github.com/entente-hub/entente/api/audit"
	"github.com/entente-hub/entente/api/federation"
	"github.com/entente-hub/entente/hub"
)

func (w *world) simulate(c hub.Candidate, since time.Time) hub.Simulation {
	w.Helper()
	s, err := hub.Simulate(w.Context(), w.deps(w.store), c, since, nil)
	if err != nil {
		w.Fatal(err)
	}
	return s
}

// TestSimulate: what a candidate would change of what was decided, counted by hand.
func TestSimulate(t *testing.T) {
	w := newWorld(t)
	start := time.Now().Add(-time.Minute)
	for range 3 {
		w.publish("XA", w.sign(w.compose("XA", bilateral())))
	}
	two := label("XB", alert.Audience(alert.Federation))
	two.Categories = []alert.Category{"smuggling", "border-security"}
	w.publish("XC", w.sign(w.compose("XC", label("XB"), two)))
	before, feeds := len(w.entries()), w.feeds()

	if s := w.simulate(hub.Candidate{}, start); s.Alerts != 4 || s.Decisions != 5 || s.Labels != 3 || s.Affected != 0 || s.Drifted != 0 || len(s.Changes) != 0 {
		t.Errorf("nothing supposed: %+v", s)
	}
	head, _ := w.Directory().Head(federation.TypeAgreement, "xa-xb-smuggling")
	a := *head.Body.(*federation.Agreement)
	a.PersonalData = alert.NoPersonalData
	s := w.simulate(hub.Candidate{Bodies: []federation.Body{&a}}, start)
	if s.Affected != 3 {
		t.Errorf("%d affected", s.Affected)
	}
	want := []hub.Changed{{Originator: "XA", Member: "XB", Category: "smuggling", From: "content", To: "none", Reason: "personal-data", Portions: 3}}
	if diff := cmp.Diff(want, s.Changes); diff != "" {
		t.Error(diff)
	}
	s = w.simulate(hub.Candidate{Engine: stricter(t)}, start)
	want = nil
	for _, c := range []alert.Category{"border-security", "smuggling"} {
		for _, m := range []alert.MemberID{"XA", "XD"} {
			want = append(want, hub.Changed{Originator: "XC", Member: m, Category: c, From: "content", To: "none", Reason: "release-list", Portions: 1})
		}
	}
	sorted := cmp.Transformer("set", func(list []hub.Changed) map[hub.Changed]bool {
		out := make(map[hub.Changed]bool)
		for _, c := range list {
			out[c] = true
		}
		return out
	})
	if diff := cmp.Diff(want, s.Changes, sorted); diff != "" {
		t.Error(diff)
	}
	if s.Candidate == s.Policy || s.Affected != 1 {
		t.Errorf("%+v", s)
	}
	joined := w.changedRegistry(func(r *federation.Registry) { r.Members[1].Suspended = true })
	if s = w.simulate(hub.Candidate{Bodies: []federation.Body{joined}}, start); s.Affected != 5 {
		t.Errorf("with XB suspended %d are affected", s.Affected)
	}
	for _, c := range s.Changes {
		if c.Member != "XB" || c.Gain() || c.Reason != "suspended" {
			t.Errorf("with XB suspended: %+v", c)
		}
	}
	if s = w.simulate(hub.Candidate{Bodies: []federation.Body{&a}}, time.Now().Add(time.Hour)); s.Decisions != 0 {
		t.Errorf("since a time to come: %+v", s)
	}
	if n := count(w.entries(), audit.Simulated); n != 5 || len(w.entries()) != before+5 || w.feeds() != feeds {
		t.Errorf("%d entries of simulations, %d in all", n, len(w.entries())-before)
	}
	// What is in force has changed since: the recorded decisions tell.
	w.submitTo(w.Hub, w.suspension(true))
	w.settle()
	s = w.simulate(hub.Candidate{}, start)
	if s.Drifted != 3 || s.Affected != 0 {
		t.Errorf("after a suspension: %+v", s)
	}
	w.verifyLog()
}

// TestSimulationOfErasedAlerts: what was decided for alerts that have ended since, in each
// way, is decided again as it was; what the log names and nobody has stored is a fault of it.
func TestSimulationOfErasedAlerts(t *testing.T) {
	w := newWorld(t)
	start := w.clock.now().Add(-time.Minute)
	second := bilateral()
	second.Handling = []alert.Handling{"H2"}
	ended, token := w.issue("XA", bilateral(), second)
	w.publish("XA", token)
	superseded, token := w.issue("XA", bilateral())
	w.publish("XA", token)
	w.publish("XA", w.sign(w.next(superseded, label("XC"))))
	recalled, token := w.issue("XA", bilateral())
	w.publish("XA", token)
	w.publish("XA", w.sign(w.recall(recalled, alert.Purge)))
	head, _ := w.Directory().Head(federation.TypeAgreement, "xa-xb-smuggling")
	a := *head.Body.(*federation.Agreement)
	a.PersonalData = alert.NoPersonalData
	c := hub.Candidate{Bodies: []federation.Body{&a}}
	before := w.simulate(c, start)
	w.clock.advance(2 * time.Hour)
	for _, of := range []alert.Alert{ended, superseded, recalled} {
		w.erased(of)
	}
	after := w.simulate(c, start)
	if diff := cmp.Diff(before, after); diff != "" || after.Decisions != 5 || after.Affected != 4 {
		t.Errorf("%+v, and when the alerts had ended (-before +after):\n%s", before, diff)
	}
	w.verifyLog()
	// Entries of what there is not.
	for name, entry := range map[string]audit.Entry{
		"portion": {Kind: audit.Admission, Actor: "XA", Alert: &audit.Alert{Originator: "XA", ID: ended.Subject, Version: 1}, Portions: []audit.Portion{{Portion: "p9", Label: "none"}}},
		"alert": {Kind: audit.Admission, Actor: "XA", Alert: &audit.Alert{Originator: "XA", ID: ended.Subject, Version: 9},
			Portions: []audit.Portion{{Portion: "p1", Label: "none"}}},
	} {
		entry.At = w.clock.now().UnixMicro()
		since := time.UnixMicro(entry.At)
		w.append(entry)
		if s, err := hub.Simulate(t.Context(), w.deps(w.store), c, since, nil); !errors.Is(err, hub.ErrLog) {
			t.Errorf("an admission of no %s: %+v, %v", name, s, err)
		}
		w.clock.advance(time.Hour)
	}
}
