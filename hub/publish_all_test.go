package hub_test

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/entente-hub/entente/api/alert"
	"github.com/entente-hub/entente/api/audit"
	"github.com/entente-hub/entente/api/feed"
	"github.com/entente-hub/entente/api/problem"
	"github.com/entente-hub/entente/crypto/keys"
	"github.com/entente-hub/entente/hub"
	"github.com/entente-hub/entente/hub/store"
	"github.com/entente-hub/entente/trust"
)

// next2 is the second version of an alert that nobody has stored yet.
func (w *world) next2(token string) string {
	w.Helper()
	before, err := trust.ReadAlert(token)
	if err != nil {
		w.Fatal(err)
	}
	a := w.compose(before.Issuer, label("XB"))
	a.Subject, a.Version, a.Previous = before.Subject, 2, before.SignedDigest
	return w.sign(a)
}

// outcome says what became of an alert: its place in the log, or the kind of refusal.
func (w *world) outcome(p hub.Published) string {
	w.Helper()
	if p.Refusal != nil {
		return string(problem.KindOf(p.Refusal))
	}
	payload, _, err := keys.Verify(p.Receipt, feed.ReceiptType, w.Directory().HubKey)
	if err != nil {
		w.Fatal(err)
	}
	r, err := feed.Parse[feed.Receipt](payload)
	if err != nil {
		w.Fatal(err)
	}
	return fmt.Sprintf("%s/%d %s", r.Alert, r.Version, r.Digest)
}

// mixture is a sequence of alerts of XA that depend on one another in all ways.
func (w *world) mixture() []string {
	w.Helper()
	a, first := w.issue("XA", label("XB"))
	_, second := w.issue("XA", label("XB", "XC"))
	derived := label("XB")
	derived.DerivedFrom = []alert.ID{a.Subject}
	_, third := w.issue("XA", derived)
	other := w.compose("XA", label("XC"))
	other.Subject = a.Subject
	comment := w.compose("XA", label("XB"))
	comment.Re = &alert.Reference{Originator: "XA", Alert: a.Subject, Act: alert.Comment}
	_, foreign := w.issue("XB", label("XA"))
	_, last := w.issue("XA", label("federation"))
	return []string{first, second, third, w.next2(first), first, w.sign(other), w.sign(comment), foreign,
		strings.Replace(last, "~", "A~", 1), w.next2(last), last}
}

// TestPublishAllIsPublish: several alerts at once come to the same as one after the
// other, in the same order in the log.
func TestPublishAllIsPublish(t *testing.T) {
	one, all := newWorld(t), newWorld(t)
	for _, w := range []*world{one, all} {
		tokens := w.mixture()
		var got []string
		if w == one {
			for _, token := range tokens {
				receipt, err := w.Publish(t.Context(), "XA", token)
				got = append(got, w.outcome(hub.Published{Receipt: receipt, Refusal: err}))
			}
		} else {
			list, err := w.PublishAll(t.Context(), "XA", tokens)
			if err != nil {
				t.Fatal(err)
			}
			for _, p := range list {
				got = append(got, w.outcome(p))
			}
		}
		var kinds []string
		for _, o := range got {
			if strings.Contains(o, "/") {
				o = "taken"
			}
			kinds = append(kinds, o)
		}
		want := []string{"taken", "taken", "taken", "taken", "taken", "conflict", "taken", "wrong-member", "bad-signature", "fork", "taken"}
		if !slices.Equal(kinds, want) {
			t.Errorf("%v, want %v", kinds, want)
		}
		if got[0] != got[4] {
			t.Error("the same bytes have another receipt")
		}
		var admitted []string
		for _, e := range w.entries() {
			if e.Alert != nil && e.Kind == audit.Admission {
				admitted = append(admitted, fmt.Sprintf("%s/%d %s", e.Alert.ID, e.Alert.Version, e.Alert.Digest))
			}
		}
		if want := []string{got[0], got[1], got[2], got[3], got[6], got[10]}; !slices.Equal(admitted, want) {
			t.Errorf("the log has %v, want %v", admitted, want)
		}
	}
	if a, b := len(one.poll("XB", 0).Items), len(all.poll("XB", 0).Items); a != b || a == 0 {
		t.Errorf("XB gets %d items of those published singly, %d of the others", a, b)
	}
}

// TestPublishAllSharesACommit: what does not depend on one another is stored at once.
func TestPublishAllSharesACommit(t *testing.T) {
	st := new(hooked)
	w := hookedWorld(t, st)
	var commits []int
	hook := func(writes []store.Write) { commits = append(commits, len(writes)) }
	st.before.Store(&hook)
	var tokens []string
	for range hub.MaxBatch {
		_, token := w.issue("XA", label("XB"))
		tokens = append(tokens, token)
	}
	if list, err := w.PublishAll(t.Context(), "XA", tokens); err != nil || len(list) != len(tokens) {
		t.Fatalf("%d, %v", len(list), err)
	}
	st.before.Store(nil)
	if !slices.Equal(commits, []int{hub.MaxBatch}) {
		t.Errorf("commits of %v", commits)
	}
	if _, err := w.PublishAll(t.Context(), "XA", append(tokens, tokens[0])); problem.KindOf(err) != problem.TooLarge {
		t.Error(err)
	}
}

// TestPublishAllBreaksOff: where the database fails, what was taken before is told of, and
// the same alerts again have the same receipts, each once in the log.
func TestPublishAllBreaksOff(t *testing.T) {
	for _, fault := range faults {
		w, arm := faultyWorld(t)
		tokens := w.mixture()
		arm(fault)
		list, err := w.PublishAll(t.Context(), "XA", tokens[:2])
		if err != nil && (problem.KindOf(err) != problem.Unavailable || len(list) > 0) {
			t.Fatal(list, err)
		}
		again, err := w.PublishAll(t.Context(), "XA", tokens[:2])
		if err != nil || len(again) != 2 || errors.Join(again[0].Refusal, again[1].Refusal) != nil {
			t.Fatal(again, err)
		}
		for i, p := range list {
			if p != again[i] {
				t.Errorf("alert %d: another receipt", i)
			}
		}
		if n := count(w.entries(), audit.Admission); n != 2 {
			t.Errorf("%d admissions in the log", n)
		}
	}
}
