package hub_test

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/entente-hub/entente/api/alert"
	"github.com/entente-hub/entente/api/feed"
	"github.com/entente-hub/entente/api/problem"
	"github.com/entente-hub/entente/crypto/keys"
	"github.com/entente-hub/entente/crypto/sdjwt"
)

// delegation is XA's alert to XB, which XB is to publish under a label.
func (w *world) delegation(as alert.Label) alert.Alert {
	w.Helper()
	to := as
	to.ReleasableTo, to.DiscoverableTo = []alert.Audience{"XB"}, nil
	a := w.compose("XA", to)
	a.Delegate = &alert.Delegation{To: "XB", Precedence: alert.Routine, Due: a.Expires, Lifetime: 60}
	a.Portions[0].ID, a.Portions[0].Content.Publish = "source-part", &as
	return a
}

// TestDelegationHidesItsSource: vulnerability: whoever gets an alert could tell from the
// hub's answers for whom its originator speaks.
// attack: XC keeps all that the hub ever gives it, asks for what it guesses, and compares.
// guarantee: nothing in it is the source's: id, portions, salts and digests of the delegation
// and of the answer to it stay with XA, XB and the hub.
func TestDelegationHidesItsSource(t *testing.T) {
	onBoth(t, func(w *world) {
		before, err := w.Checkpoint(w.Context())
		if err != nil {
			w.Fatal(err)
		}
		source := w.delegation(label("XC", "XD"))
		token := w.sign(source)
		w.publish("XA", token)
		w.poll("XB", 0)
		made := w.compose("XB", label("XC", "XD"))
		made.Portions[0].Content.Objects = source.Portions[0].Content.Objects
		w.publish("XB", w.sign(made))
		answer := w.about("XB", source, alert.Answer, "XA")
		answer.Re.Published = made.Subject
		answered := w.sign(answer)
		w.publish("XB", answered)
		if diff := cmp.Diff([]alert.MemberID{"XB"}, w.readers(source)); diff != "" {
			w.Errorf("the delegation: %s", diff)
		}
		if diff := cmp.Diff([]alert.MemberID{"XA"}, w.readers(answer)); diff != "" {
			w.Errorf("the answer: %s", diff)
		}
		if diff := cmp.Diff([]alert.MemberID{"XC", "XD"}, w.readers(made)); diff != "" {
			w.Errorf("what was published: %s", diff)
		}
		recall := w.recall(source, alert.Purge)
		w.publish("XA", w.sign(recall))
		w.settle()

		nowhere := w.compose("XA", label("XC"))
		var seen strings.Builder
		for _, m := range []alert.MemberID{"XC", "XD"} {
			seen.WriteString(w.learns(m, string(before), source, nowhere))
		}
		if !strings.Contains(seen.String(), string(made.Subject)) {
			w.Error("what was learned holds not even the alert that was published")
		}
		for _, t := range []string{token, answered} {
			parsed, err := sdjwt.Parse(t)
			if err != nil {
				w.Fatal(err)
			}
			traces := []string{parsed.JWS, "source-part", string(source.Subject), string(answer.Subject), source.JTI}
			for _, d := range parsed.Disclosures {
				traces = append(traces, d.Encoded, d.Digest)
			}
			for _, trace := range traces {
				if strings.Contains(seen.String(), trace) {
					w.Errorf("they learn %s", trace)
				}
			}
		}
		w.verifyLog()
	})
}

// learns is all that a member can have from the hub. What it asks of the hidden alert must
// be answered as what it asks of one that is not there.
func (w *world) learns(m alert.MemberID, before string, hidden, nowhere alert.Alert) string {
	w.Helper()
	var all strings.Builder
	add := func(v any, err error) {
		raw, jsonErr := json.Marshal(v)
		if jsonErr != nil {
			w.Fatal(jsonErr)
		}
		fmt.Fprintf(&all, "%s %v\n", raw, err)
	}
	page := w.poll(m, 0)
	add(page, nil)
	for _, item := range page.Items {
		if item.Delivery != nil {
			parsed, err := sdjwt.Parse(item.Delivery.Alert)
			if err != nil {
				w.Fatal(err)
			}
			fmt.Fprintf(&all, "%s\n", parsed.Payload) // which stands encoded in the token
			for _, d := range parsed.Disclosures {
				fmt.Fprintf(&all, "%s\n", d.Value)
			}
		}
	}
	for _, s := range w.listed(m, 100) {
		add(string(s.Raw), nil)
	}
	after, err := w.Checkpoint(w.Context())
	add(string(after), err)
	add(w.Consistency(w.Context(), size(before), size(string(after))))
	tokens, receipts, err := w.Published(w.Context(), m, -1, 100)
	add([][]string{tokens, receipts}, err)
	for what, ask := range map[string]func(alert.Alert) error{
		"holders": func(a alert.Alert) error { _, _, err := w.Holders(w.Context(), m, a.Subject); return err },
		"explain": func(a alert.Alert) error { _, _, err := w.Explain(w.Context(), m, a.Subject, 1); return err },
		"a comment": func(a alert.Alert) error {
			_, err := w.Publish(w.Context(), m, w.sign(w.about(m, a, alert.Comment, "XA")))
			return err
		},
		"an answer": func(a alert.Alert) error {
			_, err := w.Publish(w.Context(), m, w.sign(w.about(m, a, alert.Answer, "XA")))
			return err
		},
		"a purge": func(a alert.Alert) error {
			payload, err := json.Marshal(feed.Purge{Issuer: m, Hub: "hub", Originator: "XA", Alert: a.Subject, Version: 1, Digest: digestOfNothing,
				Cause: feed.Recalled, Portions: []alert.PortionID{"p1"}, IssuedAt: w.clock.now().Unix()})
			if err != nil {
				return err
			}
			jws, err := keys.Sign(w.Context(), w.nodes[m], feed.PurgeType, payload)
			if err != nil {
				return err
			}
			return w.Purged(w.Context(), m, []string{jws})
		},
	} {
		got, want := ask(hidden), ask(nowhere)
		if strings.ReplaceAll(fmt.Sprint(got), string(hidden.Subject), "ID") != strings.ReplaceAll(fmt.Sprint(want), string(nowhere.Subject), "ID") || got == nil {
			w.Errorf("%s: %s of the delegation is answered %v, of what is not there %v", m, what, got, want)
		}
		fmt.Fprintln(&all, strings.ReplaceAll(fmt.Sprint(got), string(hidden.Subject), "ID")) // it was m that named it
	}
	return all.String()
}

const digestOfNothing = "47DEQpj8HBSa-_TImW-5JCeuQeRkm5NMpJWZG3hSuFU" // SHA-256 of ""

// size reads the size of the log in a checkpoint, its second line.
func size(checkpoint string) (n int64) {
	fmt.Sscan(strings.Split(checkpoint, "\n")[1], &n)
	return n
}

// TestDelegationIsHeldToItsForm: the hub takes none that names anybody but the one who is
// to publish it, and nothing but a recall follows one.
func TestDelegationIsHeldToItsForm(t *testing.T) {
	w := newWorld(t)
	a := w.delegation(label("XC"))
	w.publish("XA", w.sign(a))
	next := w.next(a, label("XC", "XB"))
	w.refused(problem.Fork, "XA", func() error {
		_, err := w.Publish(t.Context(), "XA", w.sign(next))
		return err
	})
	w.publish("XA", w.sign(w.recall(a, alert.CeaseUse)))

	b := w.delegation(label("XC"))
	b.Portions[0].Label.ReleasableTo = []alert.Audience{"XB", "XC"}
	_, err := w.Publish(t.Context(), "XA", w.signLoosely(b))
	if problem.KindOf(err) != problem.Malformed || !strings.Contains(err.Error(), "releasable to XB and nobody else") {
		t.Errorf("%v", err)
	}
	if page := w.poll("XC", 0); len(page.Items) != 0 {
		t.Errorf("XC got %s", encode(t, page.Items))
	}
}

// signLoosely signs an alert of one portion without the checks of a node that keeps to
// the rules.
func (w *world) signLoosely(a alert.Alert) string {
	w.Helper()
	p := a.Portions[0]
	objects := []any{p.Content.Objects[0]}
	payload, disclosures, err := sdjwt.Prepare(map[string]any{"iss": string(a.Issuer), "sub": string(a.Subject), "ver": 1, "jti": a.JTI,
		"iat": a.IssuedAt, "exp": a.Expires, "delegate": *a.Delegate,
		"portions": sdjwt.Padded{Multiple: alert.DigestPad, Elements: []any{sdjwt.Conceal{Value: map[string]any{"id": string(p.ID),
			alert.LabelName:   sdjwt.Conceal{Value: json.RawMessage(p.Label.Canonical())},
			alert.ContentName: sdjwt.Conceal{Value: map[string]any{"objects": objects, "publish": json.RawMessage(p.Content.Publish.Canonical())}}}}}},
	}, sdjwt.Options{})
	if err != nil {
		w.Fatal(err)
	}
	jws, err := keys.Sign(w.Context(), w.nodes[a.Issuer], alert.Type, payload)
	if err != nil {
		w.Fatal(err)
	}
	return sdjwt.Assemble(jws, disclosures)
}
