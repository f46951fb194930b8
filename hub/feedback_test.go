package hub_test

import (
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/entente-hub/entente/api/alert"
	"github.com/entente-hub/entente/api/feed"
	"github.com/entente-hub/entente/api/problem"
)

// about is feedback of a member's on an alert.
func (w *world) about(m alert.MemberID, on alert.Alert, act alert.Act, to ...alert.Audience) alert.Alert {
	w.Helper()
	a := w.compose(m, label(to...))
	a.Re = &alert.Reference{Originator: on.Issuer, Alert: on.Subject, Act: act}
	if act == alert.Request {
		a.Re.Precedence, a.Re.Due = alert.Routine, a.Expires
	}
	return a
}

// readers are those who find an alert in their feeds.
func (w *world) readers(a alert.Alert) (out []alert.MemberID) {
	w.Helper()
	for _, m := range members {
		w.poll(m, w.feeds()[slices.Index(members, m)].Seq)
		for _, item := range w.poll(m, 0).Items {
			if item.Delivery == nil {
				continue
			}
			v, err := w.Directory().VerifyAlert(item.Delivery.Alert)
			if err != nil {
				w.Fatal(err)
			}
			if v.Issuer == a.Issuer && v.Subject == a.Subject {
				out = append(out, m)
			}
		}
	}
	return out
}

// TestFeedbackStaysAmongThoseConcerned: it goes to the originator of what it is about,
// and to those who may have any of that; its own label narrows, and widens nothing.
func TestFeedbackStaysAmongThoseConcerned(t *testing.T) {
	onBoth(t, func(w *world) {
		a := w.compose("XA", label("XB", "XC"))
		w.publish("XA", w.sign(a))
		w.poll("XB", 0)
		toAll := w.about("XB", a, alert.Comment, alert.Audience(alert.Federation))
		w.publish("XB", w.sign(toAll))
		toOne := w.about("XB", a, alert.Sighting, "XA")
		w.publish("XB", w.sign(toOne))
		if diff := cmp.Diff([]alert.MemberID{"XA", "XC"}, w.readers(toAll)); diff != "" {
			w.Errorf("for all who may have the alert: %s", diff)
		}
		if diff := cmp.Diff([]alert.MemberID{"XA"}, w.readers(toOne)); diff != "" {
			w.Errorf("for the originator: %s", diff)
		}
		asked := w.about("XB", a, alert.Request, "XA")
		w.publish("XB", w.sign(asked))
		w.readers(asked)
		answer := w.about("XA", asked, alert.Answer, alert.Audience(alert.Federation))
		w.publish("XA", w.sign(answer))
		if diff := cmp.Diff([]alert.MemberID{"XB"}, w.readers(answer)); diff != "" {
			w.Errorf("an answer to what only XB and XA know of: %s", diff)
		}
		w.verifyLog()
	})
}

// TestFeedbackOnTheUnknown: vulnerability: a refusal could tell which alerts there are.
// attack: mallory, a member, comments on ids that it has come across.
// guarantee: what it was never handed is refused as what does not exist.
func TestFeedbackOnTheUnknown(t *testing.T) {
	w := newWorld(t)
	hidden := w.compose("XA", label("XC"))
	w.publish("XA", w.sign(hidden))
	nowhere := w.compose("XA", label("XC"))
	var texts []string
	for _, on := range []alert.Alert{hidden, nowhere} {
		for _, m := range []alert.MemberID{"XA", "XB"} { // XA's own exists, or does not
			if m == "XA" && on.Subject == hidden.Subject {
				continue
			}
			err := w.refused(problem.NotAdmitted, string(m), func() error {
				_, err := w.Publish(t.Context(), m, w.sign(w.about(m, on, alert.Comment, "XC")))
				return err
			})
			texts = append(texts, err.Error())
		}
	}
	if len(slices.Compact(texts)) != 1 {
		t.Errorf("the refusals differ: %q", texts)
	}
}

// TestFeedbackComesWithTheAlert: who may have an alert later gets what was said of it.
func TestFeedbackComesWithTheAlert(t *testing.T) {
	onBoth(t, func(w *world) {
		guarded := label("XB", "XC")
		guarded.OriginatorControl = true
		a := w.compose("XA", guarded)
		w.publish("XA", w.sign(a))
		w.consent("XA", a.Subject, "XB")
		w.settle()
		w.has(w.newer("XB", 0), map[alert.PortionID]feed.Kind{"p1": feed.Content})
		said := w.about("XB", a, alert.Comment, "XA", "XC")
		w.publish("XB", w.sign(said))
		if diff := cmp.Diff([]alert.MemberID{"XA"}, w.readers(said)); diff != "" {
			w.Error(diff)
		}
		w.consent("XA", a.Subject, "XB", "XC")
		w.settle()
		if diff := cmp.Diff([]alert.MemberID{"XA", "XC"}, w.readers(said)); diff != "" {
			w.Error(diff)
		}
	})
}

// TestFeedbackOnWhatIsOver goes to the originator alone: nobody else may have it.
func TestFeedbackOnWhatIsOver(t *testing.T) {
	w := newWorld(t)
	a := w.compose("XA", label("XB", "XC"))
	w.publish("XA", w.sign(a))
	w.poll("XB", 0)
	w.poll("XC", 0)
	w.publish("XA", w.sign(w.recall(a, alert.Purge)))
	said := w.about("XB", a, alert.Comment, "XA", "XC")
	w.publish("XB", w.sign(said))
	if diff := cmp.Diff([]alert.MemberID{"XA"}, w.readers(said)); diff != "" {
		t.Error(diff)
	}
}
