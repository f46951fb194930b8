package hub_test

import (
	"context"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/entente-hub/entente/api/alert"
	"github.com/entente-hub/entente/api/federation"
	"github.com/entente-hub/entente/api/feed"
	"github.com/entente-hub/entente/api/problem"
	"github.com/entente-hub/entente/hub/server"
	"github.com/entente-hub/entente/hub/store"
)

// revise brings a changed XA–XB agreement into force, signed by both.
func (w *world) revise(change func(*federation.Agreement)) {
	w.Helper()
	head, ok := w.Directory().Head(federation.TypeAgreement, "xa-xb-smuggling")
	if !ok {
		w.Fatal("no agreement")
	}
	a := *head.Body.(*federation.Agreement)
	a.Purposes = slices.Clone(a.Purposes)
	change(&a)
	w.submitTo(w.Hub, w.state(federation.TypeAgreement, &a, w.root("XA"), w.root("XB")))
}

// TestReplayOnStricterTerms: vulnerability: a delivery says what its recipient may do with it, and says so
// still when it is served again after less has been agreed.
// attack: XB loses its copy on purpose and fetches the delivery again with the freer terms on it.
// guarantee: on stricter terms only the digest is served; on freer ones, or the old, the same bytes as before.
func TestReplayOnStricterTerms(t *testing.T) {
	agreed := func(a *federation.Agreement) {
		a.Purposes, a.Onward, a.RetentionDays = []alert.Purpose{"investigation", "prevention"}, true, 7
	}
	for name, c := range map[string]struct {
		change func(*federation.Agreement)
		served bool
	}{
		"fewer purposes":    {func(a *federation.Agreement) { a.Purposes = []alert.Purpose{"investigation"} }, false},
		"another purpose":   {func(a *federation.Agreement) { a.Purposes = []alert.Purpose{"prevention", "border-check"} }, false},
		"no onward":         {func(a *federation.Agreement) { a.Onward = false }, false},
		"shorter retention": {func(a *federation.Agreement) { a.RetentionDays = 6 }, false},
		"the same":          {func(a *federation.Agreement) { a.Title = "The same in other words" }, true},
		"freer": {func(a *federation.Agreement) {
			a.Purposes, a.RetentionDays = append(a.Purposes, "border-check"), 20
		}, true},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			w.revise(agreed)
			l := bilateral()
			l.Purposes = []alert.Purpose{"investigation", "prevention"}
			a := w.compose("XA", l)
			a.Expires = a.IssuedAt + 14*24*60*60
			w.publish("XA", w.sign(a))
			first := w.poll("XB", 0)
			w.checkPage("XB", 0, feed.ChainStart("XB"), first)
			want := &feed.Obligations{Purposes: l.Purposes, HoldUntil: a.IssuedAt + 7*24*60*60, Onward: true}
			if len(first.Items) != 1 || !cmp.Equal(want, first.Items[0].Delivery.Releases[0].Obligations) {
				t.Fatalf("XB got %s", encode(t, first.Items))
			}

			w.revise(c.change)
			again := w.poll("XB", 0)
			w.checkPage("XB", 0, feed.ChainStart("XB"), again)
			_, item, err := w.Read(t.Context(), "XB", "XA", a.Subject, 1)
			if c.served {
				if diff := cmp.Diff(first.Items, again.Items); diff != "" {
					t.Errorf("served again:\n%s", diff)
				}
				if err != nil || !cmp.Equal(*item, first.Items[0]) {
					t.Errorf("read: %+v %v", item, err)
				}
				return
			}
			want1 := []feed.Item{{Seq: 1, Digest: first.Items[0].Digest}}
			if diff := cmp.Diff(want1, again.Items); diff != "" {
				t.Errorf("served again:\n%s", diff)
			}
			if problem.KindOf(err) != problem.NotFound || item != nil {
				t.Errorf("read: %+v %v", item, err)
			}
			w.revise(agreed) // it comes once more, in a place of its own
			if diff := cmp.Diff(want1, w.poll("XB", 0).Items); diff != "" {
				t.Errorf("served again, once the old terms are agreed again:\n%s", diff)
			}
			if items := w.newer("XB", 1); len(items) != 1 || items[0].Delivery == nil || !cmp.Equal(want, items[0].Delivery.Releases[0].Obligations) {
				t.Errorf("once the old terms are agreed again XB got %s", encode(t, items))
			}
		})
	}
}

// hooked is a store that lets a test in between; nil hooks do nothing.
type hooked struct {
	store.Store
	before, after atomic.Pointer[func([]store.Write)]
	feed, pending func(context.Context, alert.MemberID) // before Feed and Pending; set once
}

func (s *hooked) Commit(ctx context.Context, writes []store.Write) ([]store.Result, error) {
	if f := s.before.Load(); f != nil {
		(*f)(writes)
	}
	results, err := s.Store.Commit(ctx, writes)
	if f := s.after.Load(); f != nil {
		(*f)(writes)
	}
	return results, err
}

func (s *hooked) Feed(ctx context.Context, m alert.MemberID) (store.Feed, error) {
	if s.feed != nil {
		s.feed(ctx, m)
	}
	return s.Store.Feed(ctx, m)
}

func (s *hooked) Pending(ctx context.Context, m alert.MemberID, limit int) ([]store.Delivery, error) {
	if s.pending != nil {
		s.pending(ctx, m)
	}
	return s.Store.Pending(ctx, m, limit)
}

// hookedWorld is the trial federation on such a store.
func hookedWorld(t *testing.T, st *hooked) *world {
	t.Helper()
	st.Store = openSQLite(t)
	w := bareWorld(t, st)
	if err := server.TakeStatements(t.Context(), w.Hub, w.Statements()); err != nil {
		t.Fatal(err)
	}
	w.settle()
	return w
}

// TestAgreementLapsesDuringCommit: vulnerability: a hand-over is decided before it is stored and answered
// afterwards; a slow disk lets an agreement lapse in between.
// attack: XB polls at the agreement's last moment, and the database takes its time.
// guarantee: what is answered is permitted when it is answered. The item has its place, and nothing but its
// digest; what rests on another agreement comes whole.
func TestAgreementLapsesDuringCommit(t *testing.T) {
	for _, moment := range []string{"before", "after"} {
		t.Run(moment+" it is stored", func(t *testing.T) {
			st := new(hooked)
			w := hookedWorld(t, st)
			w.revise(func(a *federation.Agreement) { a.ValidUntil = w.clock.now().Add(10 * time.Minute).Unix() })
			secret, token := w.issue("XA", bilateral())
			w.publish("XA", token)
			open, token := w.issue("XA", label("XB"))
			w.publish("XA", token)

			var moved atomic.Int64
			lapse := func(writes []store.Write) {
				for _, x := range writes {
					if x.HandOver != nil && moved.Add(1) == 1 {
						w.clock.advance(20 * time.Minute)
					}
				}
			}
			if moment == "before" {
				st.before.Store(&lapse)
			} else {
				st.after.Store(&lapse)
			}
			page := w.poll("XB", 0)
			if moved.Load() == 0 {
				t.Fatal("nothing was handed over")
			}
			chain := w.checkPage("XB", 0, feed.ChainStart("XB"), page)
			if len(page.Items) != 2 || page.Items[0].Delivery != nil || page.Items[1].Delivery == nil {
				t.Fatalf("XB got %s", encode(t, page))
			}
			jws, disclosures := parts(w.row(secret).Token)
			for _, word := range append(disclosures, string(secret.Subject), jws) {
				if strings.Contains(encode(t, page), word) {
					t.Errorf("the page holds %s", word)
				}
			}
			if v, err := w.Directory().VerifyAlert(page.Items[1].Delivery.Alert); err != nil || v.Subject != open.Subject {
				t.Errorf("item 2 is %+v %v", v, err)
			}
			if diff := cmp.Diff(page.Items, w.poll("XB", 0).Items); diff != "" {
				t.Errorf("served again:\n%s", diff)
			}
			w.checkPage("XB", 2, chain, w.poll("XB", 2))
			if _, item, err := w.Read(t.Context(), "XB", "XA", secret.Subject, 1); problem.KindOf(err) != problem.NotFound {
				t.Errorf("read: %+v %v", item, err)
			}
			w.verifyLog()
		})
	}
}

// row is an alert's first version as stored.
func (w *world) row(a alert.Alert) *store.Alert {
	w.Helper()
	row, err := w.store.Alert(w.Context(), a.Issuer, a.Subject, a.Version)
	if err != nil {
		w.Fatal(err)
	}
	return row
}
