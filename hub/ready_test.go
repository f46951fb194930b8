package hub_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/entente-hub/entente/api/federation"
	"github.com/entente-hub/entente/api/problem"
	"github.com/entente-hub/entente/crypto/keys"
	"github.com/entente-hub/entente/hub"
	"github.com/entente-hub/entente/hub/server"
)

// closed checks that a hub does nothing, and says why.
func (w *world) closed(h *hub.Hub, why string) {
	w.Helper()
	if missing := h.Ready(w.Context()); !strings.Contains(missing["federation"], why) {
		w.Errorf("not ready for %q, want %q", missing, why)
	}
	_, token := w.issue("XA", label("XB"))
	size := len(w.acted())
	_, published := h.Publish(w.Context(), "XA", token)
	_, polled := h.Poll(w.Context(), "XB", 0, 1, 0)
	_, _, previewed := h.Preview(w.Context(), "XA", "", 0, nil)
	_, _, read := h.Read(w.Context(), "XB", "XA", "00000000-0000-7000-8000-000000000000", 1)
	for what, err := range map[string]error{"publish": published, "poll": polled, "preview": previewed, "read": read,
		"acknowledge": h.Acknowledge(w.Context(), "XB", []string{"a.b.c"})} {
		if problem.KindOf(err) != problem.Unavailable {
			w.Errorf("%s while closed: %v", what, err)
		}
	}
	if n := len(w.acted()); n != size {
		w.Errorf("%d entries were written while closed", n-size)
	}
}

func (w *world) open() {
	w.Helper()
	if missing := w.Ready(w.Context()); len(missing) > 0 {
		w.Fatalf("not ready: %v", missing)
	}
}

func TestClosedWithoutRegistryAndPolicy(t *testing.T) {
	w := bareWorld(t, openSQLite(t))
	w.closed(w.Hub, "no registry")
	files, err := filepath.Glob(filepath.Join(w.Statements(), "*.json"))
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range files {
		if strings.Contains(f, "40-policy") {
			w.closed(w.Hub, "no policy is in force")
		}
		raw, err := os.ReadFile(f)
		if err != nil {
			t.Fatal(err)
		}
		w.submitTo(w.Hub, raw)
	}
	w.open()
}

// A hub that was built with other rules than those in force, and has no bundle of
// these, decides nothing.
func TestClosedUnderRulesThatItDoesNotHave(t *testing.T) {
	w := newWorld(t)
	_, token := w.issue("XA", label("XB"))
	w.publish("XA", token)
	d := w.deps(w.store)
	d.Engine = stricter(t)
	other, stop := w.run(d)
	defer stop()
	w.closed(other, "not one that this hub has")
	if page := w.poll("XB", 0); len(page.Items) != 1 {
		t.Error("what was published before is lost")
	}
}

func TestClosedWithoutItsKeyInTheRegistry(t *testing.T) {
	w := newWorld(t)
	other, err := keys.Generate("hub", keys.EdDSA)
	if err != nil {
		t.Fatal(err)
	}
	raw, err := other.Public().MarshalJSON()
	if err != nil {
		t.Fatal(err)
	}
	var old []federation.Key
	w.submitTo(w.Hub, w.registry(func(r *federation.Registry) { old, r.Hub.Keys = r.Hub.Keys, []federation.Key{raw} }))
	w.closed(w.Hub, "does not list this hub's key")
	w.submitTo(w.Hub, w.registry(func(r *federation.Registry) { r.Hub.Keys = old }))
	w.open()
}

func TestClosedWhileTheClockIsBehind(t *testing.T) {
	w := newWorld(t)
	w.clock.advance(-time.Hour)
	w.closed(w.Hub, "clock stands before")
	late := w.start(w.store) // begins with the wrong clock
	w.closed(late, "does not verify")
	w.clock.advance(time.Hour)
	w.open()
	if missing := late.Ready(t.Context()); len(missing) > 0 {
		t.Errorf("the late hub is not ready: %v", missing)
	}
	_, token := w.issue("XA", label("XB"))
	if _, err := late.Publish(t.Context(), "XA", token); err != nil {
		t.Error(err)
	}
}

func TestReadyTellsOfTheStore(t *testing.T) {
	w := bareWorld(t, openSQLite(t))
	if err := server.TakeStatements(t.Context(), w.Hub, w.Statements()); err != nil {
		t.Fatal(err)
	}
	w.settle()
	w.open()
	if err := w.store.Close(); err != nil {
		t.Fatal(err)
	}
	if missing := w.Ready(t.Context()); missing["store"] == "" || missing["federation"] == "" {
		t.Errorf("without a store: %v", missing)
	}
}

// What comes after a hub has stopped is told so at once, not left waiting.
func TestStoppedHubAnswers(t *testing.T) {
	w := newWorld(t)
	h, stop := w.run(w.deps(w.store))
	stop()
	_, token := w.issue("XA", label("XB"))
	_, err := h.Publish(t.Context(), "XA", token)
	unavailable(t, err)
	if f := w.feeds(); f[1].Pending != 0 {
		t.Error("a stopped hub published")
	}
}

func TestKnown(t *testing.T) {
	bare := bareWorld(t, openSQLite(t))
	if err := bare.Known(t.Context(), "XZ"); err != nil {
		t.Errorf("before there is a registry: %v", err)
	}
	w := newWorld(t)
	if err := w.Known(t.Context(), "XB"); err != nil {
		t.Error(err)
	}
	w.refused(problem.Unauthenticated, "XZ", func() error { return w.Known(t.Context(), "XZ") })
}

// A statement brought while the hub waits for its agreement to begin: time is a
// fact too.
func TestAgreementLapses(t *testing.T) {
	w := newWorld(t)
	now := w.clock.now()
	body := &federation.Agreement{ID: "xa-xb-smuggling", Title: "XA–XB", Parties: members[:2],
		Categories: label().Categories, MaxClassification: bilateral().Classification, PersonalData: bilateral().PersonalData,
		Purposes: bilateral().Purposes, RetentionDays: 30, ValidFrom: now.Add(-time.Hour).Unix(), ValidUntil: now.Add(time.Minute).Unix()}
	w.submitTo(w.Hub, w.state(federation.TypeAgreement, body, w.root("XA"), w.root("XB")))
	_, token := w.issue("XA", bilateral())
	w.publish("XA", token)
	_, token = w.issue("XA", bilateral())
	w.publish("XA", token)
	page, err := w.Poll(t.Context(), "XB", 0, 1, 0)
	if err != nil || len(page.Items) != 1 {
		t.Fatalf("while it is in force: %v %v", page.Items, err)
	}
	w.clock.advance(2 * time.Minute)
	if page := w.poll("XB", 1); len(page.Items) != 0 {
		t.Error("released under an agreement that has ended")
	}
	if again := w.poll("XB", 0); len(again.Items) != 1 || again.Items[0].Delivery != nil || !cmp.Equal(again.Items[0].Digest, page.Items[0].Digest) {
		t.Errorf("served again: %+v", again.Items)
	}
}
