package hub_test

import (
	"bytes"
	"context"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/entente-hub/entente/api/alert"
	"github.com/entente-hub/entente/api/federation"
	"github.com/entente-hub/entente/api/feed"
	"github.com/entente-hub/entente/api/problem"
	"github.com/entente-hub/entente/hub"
	"github.com/entente-hub/entente/hub/store"
	"github.com/entente-hub/entente/policies"
)

// secretFor is a label that only bilateral agreements of XA cover.
func secretFor(to ...alert.Audience) alert.Label {
	l := label(to...)
	l.Classification, l.Purposes = alert.Secret, []alert.Purpose{"investigation"}
	return l
}

// laterAgreement is one of XA and XC that begins at a moment.
func (w *world) laterAgreement(from time.Time) []byte {
	w.Helper()
	return w.state(federation.TypeAgreement, &federation.Agreement{
		ID: "xa-xc-later", Title: "XA–XC", Parties: []alert.MemberID{"XA", "XC"},
		Categories: []alert.Category{"smuggling"}, MaxClassification: alert.Secret, PersonalData: alert.NoPersonalData,
		Purposes: []alert.Purpose{"investigation"}, RetentionDays: 365,
		ValidFrom: from.Unix(), ValidUntil: from.Add(24 * time.Hour).Unix()}, w.root("XA"), w.root("XC"))
}

func waitSettled(t testing.TB, h *hub.Hub) {
	t.Helper()
	for deadline := time.Now().Add(2 * time.Minute); ; time.Sleep(time.Millisecond) {
		h.Ready(t.Context()) // takes in what the clock has changed
		if h.Settled() {
			return
		}
		if time.Now().After(deadline) {
			t.Fatal("never settled")
		}
	}
}

// A hub whose clock is behind takes an alert in under the world before an agreement
// began, after the other hub's pass for that beginning.
func TestClocksOfTwoHubs(t *testing.T) {
	w := newWorld(t)
	d := w.deps(w.store)
	d.Now = func() time.Time { return w.clock.now().Add(-30 * time.Second) }
	behind, stop := w.run(d)
	t.Cleanup(stop)
	w.publish("XA", w.sign(w.compose("XA", secretFor("XB", "XC"))))
	w.submitTo(w.Hub, w.laterAgreement(w.clock.now().Add(time.Minute)))
	w.settle()
	waitSettled(t, behind)
	w.clock.advance(61 * time.Second)
	waitSettled(t, w.Hub)
	if page := w.poll("XC", 0); len(page.Items) != 1 {
		t.Fatalf("XC has %d", len(page.Items))
	}
	waitSettled(t, behind)
	if _, err := behind.Publish(t.Context(), "XA", w.sign(w.compose("XA", secretFor("XB", "XC")))); err != nil {
		t.Fatal(err)
	}
	w.clock.advance(time.Minute)
	waitSettled(t, behind)
	waitSettled(t, w.Hub)
	if page := w.poll("XC", 1); len(page.Items) != 1 {
		t.Errorf("XC may have the second alert and has %d more", len(page.Items))
	}
}

// slowAccept lets the world lapse between an alert's decision and its commit.
type slowAccept struct {
	store.Store
	armed  atomic.Bool
	lapsed atomic.Bool
	then   func()
	read   chan struct{} // holds that a pass has read what stands, which nobody may wait for yet
}

func (s *slowAccept) Commit(ctx context.Context, writes []store.Write) ([]store.Result, error) {
	for _, w := range writes {
		if w.Accept != nil && s.armed.CompareAndSwap(true, false) {
			s.lapsed.Store(true)
			go s.then()
			<-s.read
		}
	}
	return s.Store.Commit(ctx, writes)
}

func (s *slowAccept) Standing(ctx context.Context, at, label, after int64, limit int) ([]store.Standing, error) {
	out, err := s.Store.Standing(ctx, at, label, after, limit)
	if s.lapsed.Load() && len(out) == 0 {
		select {
		case s.read <- struct{}{}:
		default:
		}
	}
	return out, err
}

// One hub: an alert is decided just before an agreement begins and committed just
// after the pass has read what stands.
func TestAgreementBeginsDuringAccept(t *testing.T) {
	st := &slowAccept{Store: openSQLite(t), read: make(chan struct{}, 1)}
	w := worldOn(t, st)
	w.publish("XA", w.sign(w.compose("XA", secretFor("XB", "XC"))))
	w.submitTo(w.Hub, w.laterAgreement(w.clock.now().Add(time.Minute)))
	w.settle()
	token := w.sign(w.compose("XA", secretFor("XB", "XC")))
	st.then = func() {
		w.clock.advance(61 * time.Second)
		w.Ready(context.WithoutCancel(t.Context()))
	}
	st.armed.Store(true)
	w.publish("XA", token)
	waitSettled(t, w.Hub)
	w.clock.advance(time.Minute)
	waitSettled(t, w.Hub)
	if page := w.poll("XC", 0); len(page.Items) != 2 {
		t.Errorf("XC may have two alerts and has %d", len(page.Items))
	}
}

func (w *world) emergencyFor(a alert.Alert, m alert.MemberID) *federation.Emergency {
	now := w.clock.now()
	return &federation.Emergency{Originator: "XA", Alert: a.Subject, Number: 1, Threat: "a boat is adrift with people aboard",
		Duty: "SOLAS chapter V regulation 33", Members: []alert.MemberID{m}, Compartments: []alert.TaskForceID{"tf-river"},
		ValidFrom: now.Add(-time.Minute).Unix(), ValidUntil: now.Add(30 * time.Minute).Unix()}
}

// An emergency names a member that may have the alert only a moment later.
func TestEmergencyBeforeTheRest(t *testing.T) {
	w := newWorld(t)
	need := label("XB", "XD")
	need.Compartments = []alert.TaskForceID{"tf-river"}
	suspend := func(on bool) {
		w.submitTo(w.Hub, w.registry(func(r *federation.Registry) {
			for i := range r.Members {
				if r.Members[i].ID == "XD" {
					r.Members[i].Suspended = on
				}
			}
		}))
		w.settle()
	}
	suspend(true)
	a := w.compose("XA", need)
	w.publish("XA", w.sign(a))
	e := w.emergencyFor(a, "XD")
	w.submitTo(w.Hub, w.state(federation.TypeEmergency, e, w.officer("XA", 1), w.officer("XA", 2)))
	w.settle()
	suspend(false)
	w.has(w.poll("XD", 0).Items, map[alert.PortionID]feed.Kind{"p1": feed.Content})
}

// An emergency while rules are in force that came as a bundle.
func TestEmergencyUnderABundle(t *testing.T) {
	w := newWorld(t)
	need := label("XB", "XD")
	need.Compartments = []alert.TaskForceID{"tf-river"}
	modules := maps.Clone(policies.Embedded())
	const name = "release/release_list/release_list.rego"
	modules[name] += "\n# another edition\n"
	e2, err := policies.Compile(modules)
	if err != nil {
		t.Fatal(err)
	}
	first, second := w.authority()["officer-1"], w.authority()["officer-2"]
	w.submitBundle(w.Hub, w.bundle(modules, 2, first))
	w.submitTo(w.Hub, w.activation(e2.Digest(), 2, first, second))
	w.settle()
	a := w.compose("XA", need)
	w.publish("XA", w.sign(a))
	w.submitTo(w.Hub, w.state(federation.TypeEmergency, w.emergencyFor(a, "XD"), w.officer("XA", 1), w.officer("XA", 2)))
	w.settle()
	w.has(w.poll("XD", 0).Items, map[alert.PortionID]feed.Kind{"p1": feed.Content})
}

// counted counts reads of statements.
type counted struct {
	store.Store
	n atomic.Int64
}

func (c *counted) Statements(ctx context.Context, after int64, limit int) ([]store.Statement, error) {
	c.n.Add(1)
	return c.Store.Statements(ctx, after, limit)
}

// With a registry and no usable policy the hub is to wait, not to spin.
func TestWithoutRulesTheHubRests(t *testing.T) {
	st := &counted{Store: openSQLite(t)}
	w := bareWorld(t, st)
	files, err := filepath.Glob(filepath.Join(w.Statements(), "00-registry*"))
	if err != nil || len(files) != 1 {
		t.Fatal(files, err)
	}
	raw, err := os.ReadFile(files[0])
	if err != nil {
		t.Fatal(err)
	}
	if err := w.SubmitStatement(t.Context(), "XA", bytes.TrimSpace(raw)); err != nil {
		t.Fatal(err)
	}
	before := st.n.Load()
	for range 100 {
		w.Ready(t.Context())
	}
	if n := st.n.Load() - before; n > 500 {
		t.Errorf("statements were read %d times for 100 questions", n)
	}
}

// A longer retention is agreed after the shorter one has run out.
func TestRetentionIsExtended(t *testing.T) {
	w := newWorld(t)
	amend := func(days int) {
		head, _ := w.Directory().Head(federation.TypeAgreement, "xa-xb-smuggling")
		a := *head.Body.(*federation.Agreement)
		a.RetentionDays = days
		w.submitTo(w.Hub, w.state(federation.TypeAgreement, &a, w.root("XA"), w.root("XB")))
		w.settle()
	}
	amend(1)
	a := w.compose("XA", secretFor("XB"))
	a.Expires = w.clock.now().Add(10 * 24 * time.Hour).Unix()
	w.publish("XA", w.sign(a))
	w.clock.advance(48 * time.Hour)
	if page := w.poll("XB", 0); len(page.Items) != 0 {
		t.Fatalf("XB has %d", len(page.Items))
	}
	amend(30)
	w.has(w.poll("XB", 0).Items, map[alert.PortionID]feed.Kind{"p1": feed.Content})
}

// A revocation that was dated wrongly is corrected.
func TestRevocationIsCorrected(t *testing.T) {
	w := newWorld(t)
	revoke := func(at int64) {
		head, ok := w.Directory().Head(federation.TypeNodeKey, w.nodes["XA"].Public().KeyID())
		if !ok {
			t.Fatal("no node key")
		}
		k := *head.Body.(*federation.NodeKey)
		k.Revoked = at
		w.submitTo(w.Hub, w.state(federation.TypeNodeKey, &k, w.root("XA")))
		w.settle()
	}
	a := w.compose("XA", label("XB"))
	w.publish("XA", w.sign(a))
	revoke(a.IssuedAt - 3)
	if page := w.poll("XB", 0); len(page.Items) != 0 {
		t.Fatalf("XB has %d", len(page.Items))
	}
	revoke(a.IssuedAt + 60)
	w.has(w.poll("XB", 0).Items, map[alert.PortionID]feed.Kind{"p1": feed.Content})
}

// What another member has consented to or declared is not to be learnt from how a
// forged statement is refused.
func TestStatementsOfOthersDoNotShowInRefusals(t *testing.T) {
	w := newWorld(t)
	l := label("XB")
	l.OriginatorControl = true
	a, b := w.compose("XA", l), w.compose("XA", l)
	w.consent("XA", a.Subject, "XB")
	w.consent("XA", a.Subject)
	probe := func(id alert.ID) (problem.Kind, string) {
		raw := w.stateAs(federation.TypeConsent, &federation.Consent{Originator: "XA", Alert: id, Recipients: []alert.Audience{}}, 1, "", w.nodes["XC"])
		err := w.SubmitStatement(t.Context(), "XC", raw)
		return problem.KindOf(err), err.Error()
	}
	k1, m1 := probe(a.Subject)
	k2, m2 := probe(b.Subject)
	if k1 != k2 {
		t.Errorf("XC learns whether XA has consented: %q, else %q", m1, m2)
	}
}

// A member that states something all the time is not to keep from others what they
// may have by now. Each statement here is a consent of XD's to an alert that there is
// not, which concerns nobody.
func TestEndlessStatementsKeepNobodyWaiting(t *testing.T) {
	w := newWorld(t)
	w.submitTo(w.Hub, w.suspension(true))
	w.settle()
	const alerts = 64 // two pages
	for i := range alerts {
		l := secretFor("XB")
		l.Handling, l.HandlingText = []alert.Handling{"H3"}, fmt.Sprint("text ", i) // a label each
		w.publish("XA", w.sign(w.compose("XA", l)))
	}
	w.settle()
	w.submitTo(w.Hub, w.suspension(false))
	stop := make(chan struct{})
	done := make(chan int)
	go func() {
		n := 0
		for ; ; n++ {
			select {
			case <-stop:
				done <- n
				return
			default:
			}
			id, _ := uuid.NewV7()
			w.consent("XD", alert.ID(id.String()), "XB")
		}
	}()
	got, cursor := 0, int64(0)
	begin := time.Now()
	for got < alerts && time.Since(begin) < 5*time.Minute {
		page := w.poll("XB", cursor)
		for _, i := range page.Items {
			cursor = i.Seq
		}
		if got += len(page.Items); len(page.Items) == 0 {
			time.Sleep(5 * time.Millisecond)
		}
	}
	close(stop)
	n := <-done
	t.Logf("%d of %d alerts in %v beside %d statements", got, alerts, time.Since(begin), n)
	if got < alerts {
		t.Errorf("XB has %d of %d alerts that it may have", got, alerts)
	}
}
