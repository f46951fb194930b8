package hub_test

import (
	"encoding/base64"
	"encoding/json"
	"strings"
	"testing"

	"github.com/entente-hub/entente/api/alert"
	"github.com/entente-hub/entente/api/audit"
	"github.com/entente-hub/entente/api/federation"
	"github.com/entente-hub/entente/api/feed"
	"github.com/entente-hub/entente/api/problem"
	"github.com/entente-hub/entente/crypto/keys"
	"github.com/entente-hub/entente/hub"
	"github.com/entente-hub/entente/policies"
	"github.com/entente-hub/entente/policies/bundle"
)

// stricterModules are the rules with a release list that lets no community through.
func stricterModules(t testing.TB) map[string]string {
	t.Helper()
	modules := policies.Embedded()
	const name = "release/release_list/release_list.rego"
	changed := strings.Replace(modules[name], "permits := audience.expand(input.label.releasable_to)",
		"permits := input.label.releasable_to.members", 1)
	if changed == modules[name] {
		t.Fatal("the rule reads otherwise by now")
	}
	modules[name] = strings.Replace(changed, "import data.entente.release.audience\n", "", 1)
	return modules
}

func stricter(t testing.TB) *policies.Engine {
	t.Helper()
	e, err := policies.Compile(stricterModules(t))
	if err != nil {
		t.Fatal(err)
	}
	return e
}

// bundle packs and signs rules.
func (w *world) bundle(modules map[string]string, revision int64, signer keys.Signer) []byte {
	w.Helper()
	raw, err := bundle.Pack(modules, revision)
	if err != nil {
		w.Fatal(err)
	}
	if signer == nil {
		return raw
	}
	if raw, err = bundle.Sign(w.Context(), raw, signer); err != nil {
		w.Fatal(err)
	}
	return raw
}

func (w *world) activation(digest string, revision int64, signers ...keys.Signer) []byte {
	w.Helper()
	return w.state(federation.TypePolicy, &federation.Policy{Name: hub.PolicyName, Digest: digest, Bundle: revision}, signers...)
}

// TestRulesAreReplaced: officers bring a bundle and put it into force together; what
// stands is decided by it from then on, on every hub of the store and after a restart.
func TestRulesAreReplaced(t *testing.T) {
	replicas(t, func(t *testing.T, w *world, other *hub.Hub) {
		first, second := w.authority()["officer-1"], w.authority()["officer-2"]
		was := w.Directory().PolicyDigest(hub.PolicyName)
		wide := w.compose("XA", label(alert.Audience(alert.Federation)))
		w.publish("XA", w.sign(wide))
		if page := w.poll("XB", 0); len(page.Items) != 1 {
			t.Fatal("XB gets nothing under the rules before")
		}
		w.submitBundle(w.Hub, w.bundle(stricterModules(t), 2, first))
		digest := stricter(t).Digest()
		one := w.activation(digest, 2, first)
		d, missing, err := other.Propose(t.Context(), "XA", one)
		if err != nil || len(missing) != 1 {
			t.Fatalf("one officer: %v %v", missing, err)
		}
		if list, err := w.Proposals(t.Context(), "XC"); err != nil || len(list) != 1 || list[0].Digest != d {
			t.Fatalf("proposals: %+v %v", list, err)
		}
		if w.Directory().PolicyDigest(hub.PolicyName) != was {
			t.Fatal("one officer alone has put rules into force")
		}
		if _, missing, err = w.Propose(t.Context(), "XB", w.countersigned(one, second)); err == nil && len(missing) > 0 {
			t.Fatal("two officers do not suffice")
		} else if err != nil {
			t.Fatal(err)
		}
		w.settle()
		if page := w.pollAt(other, "XC", 0); len(page.Items) != 0 {
			t.Errorf("under the stricter rules XC gets %s", encode(t, page.Items))
		}
		_, token := w.issue("XA", label("XC"))
		w.publish("XA", token)
		if page := w.pollAt(other, "XC", 0); len(page.Items) != 1 || page.Items[0].Delivery.Policy != digest {
			t.Errorf("XC, who is named, gets %s", encode(t, page.Items))
		}
		restarted := w.start(w.store)
		if missing := restarted.Ready(t.Context()); len(missing) > 0 {
			t.Errorf("after a restart: %v", missing)
		}
		// Back again, as the next bundle.
		w.submitBundle(other, w.bundle(policies.Embedded(), 3, second))
		if err := other.SubmitStatement(t.Context(), "XA", w.activation(was, 3, first, second)); err != nil {
			t.Fatal(err)
		}
		w.settle()
		w.has(w.newer("XC", 1), map[alert.PortionID]feed.Kind{"p1": feed.Content})
		w.verifyLog()
	})
}

// TestRulesComeAgain: the same rules go out of force and come back, each time as the
// next bundle, and a bundle that was replaced can not take its place again.
func TestRulesComeAgain(t *testing.T) {
	replicas(t, func(t *testing.T, w *world, other *hub.Hub) {
		first, second := w.authority()["officer-1"], w.authority()["officer-2"]
		strict, was := stricter(t).Digest(), w.Directory().PolicyDigest(hub.PolicyName)
		last := int64(0)
		for i, digest := range []string{strict, was, strict, was} {
			revision := int64(i + 2)
			modules := policies.Embedded()
			if digest == strict {
				modules = stricterModules(t)
			}
			raw := w.bundle(modules, revision, first)
			w.submitBundle(other, raw)
			w.submitBundle(w.Hub, raw) // again: nothing new
			if err := w.SubmitStatement(t.Context(), "XA", w.activation(digest, revision, first, second)); err != nil {
				t.Fatalf("bundle %d: %v", revision, err)
			}
			if p, ok := w.Directory().Policy(hub.PolicyName); !ok || p.Bundle != revision || p.Digest != digest {
				t.Fatalf("in force is bundle %d", p.Bundle)
			}
			if got, err := other.Bundle(t.Context(), digest); err != nil || string(got) != string(raw) {
				t.Errorf("bundle %d is not what was brought: %v", revision, err)
			}
			_, token := w.issue("XA", label("XC"))
			w.publish("XA", token)
			w.settle()
			page := w.pollAt(other, "XC", last)
			if len(page.Items) == 0 {
				t.Errorf("under bundle %d XC gets nothing", revision)
			}
			for _, it := range page.Items {
				if last = it.Seq; it.Delivery.Policy != digest {
					t.Errorf("under bundle %d XC gets %s", revision, encode(t, it))
				}
			}
		}
		if err := w.SubmitBundle(t.Context(), "XA", w.bundle(stricterModules(t), 2, first)); problem.KindOf(err) != problem.Conflict {
			t.Errorf("bundle 2 again: %v", err)
		}
		if n := count(w.entries(), audit.Bundle); n != 4 {
			t.Errorf("%d bundles in the log", n)
		}
		if list, _, err := w.Bundles(t.Context()); err != nil || len(list) != 2 || list[0].Revision != 4 || list[1].Revision != 5 {
			t.Errorf("bundles: %+v %v", list, err)
		}
		w.verifyLog()
	})
}

// countersigned is the very statement, signed by somebody else.
func (w *world) countersigned(raw []byte, signer keys.Signer) []byte {
	w.Helper()
	var g struct{ Payload string }
	if err := json.Unmarshal(raw, &g); err != nil {
		w.Fatal(err)
	}
	payload, err := base64.RawURLEncoding.DecodeString(g.Payload)
	if err != nil {
		w.Fatal(err)
	}
	out, err := keys.SignGeneral(w.Context(), []keys.Signer{signer}, federation.StatementJWSType, payload)
	if err != nil {
		w.Fatal(err)
	}
	return out
}

func (w *world) submitBundle(h *hub.Hub, raw []byte) {
	w.Helper()
	if err := h.SubmitBundle(w.Context(), "XA", raw); err != nil {
		w.Fatal(err)
	}
}

// TestBundlesThatAreRefused: and the rules in force stay.
func TestBundlesThatAreRefused(t *testing.T) {
	w := newWorld(t)
	officer := w.authority()["officer-1"]
	modules := stricterModules(t)
	broken := stricterModules(t)
	broken["release/tlp/tlp.rego"] = "package entente.release.tlp\n\npermits := http.send({})"
	signed := w.bundle(modules, 2, officer)
	altered := append([]byte{}, signed...)
	altered[len(altered)/2] ^= 1
	for name, c := range map[string]struct {
		raw  []byte
		kind problem.Kind
	}{
		"unsigned":                {w.bundle(modules, 2, nil), problem.BadSignature},
		"signed by a member":      {w.bundle(modules, 2, w.root("XA")), problem.BadSignature},
		"altered":                 {altered, problem.Malformed},
		"does not compile":        {w.bundle(broken, 2, officer), problem.Malformed},
		"as old as that in force": {w.bundle(modules, 1, officer), problem.Conflict},
	} {
		t.Run(name, func(t *testing.T) {
			w := w.in(t)
			w.refused(c.kind, "XA", func() error { return w.SubmitBundle(t.Context(), "XA", c.raw) })
			if len(w.Ready(t.Context())) > 0 {
				t.Error("the hub is closed")
			}
		})
	}
	digest := stricter(t).Digest()
	w.refused(problem.NotAdmitted, "XA", func() error {
		return w.SubmitStatement(t.Context(), "XA", w.activation(digest, 2, officer, w.authority()["officer-2"]))
	})
	w.submitBundle(w.Hub, signed)
	w.submitBundle(w.Hub, signed)                     // again: nothing new
	w.refused(problem.Malformed, "XA", func() error { // not the number that the bundle has
		return w.SubmitStatement(t.Context(), "XA", w.activation(digest, 3, officer, w.authority()["officer-2"]))
	})
	w.refused(problem.BadSignature, "XA", func() error {
		return w.SubmitStatement(t.Context(), "XA", w.activation(digest, 2, officer))
	})
	if n := count(w.entries(), audit.Bundle); n != 1 {
		t.Errorf("%d bundles in the log", n)
	}
	if list, _, err := w.Bundles(t.Context()); err != nil || len(list) != 1 || list[0].Digest != digest {
		t.Errorf("bundles: %+v %v", list, err)
	}
	if b, err := w.store.Bundle(t.Context(), digest); err != nil || string(b.Raw) != string(signed) {
		t.Errorf("stored: %v", err)
	}
}

// TestProposals: an agreement is brought by one party after the other; nobody else
// sees it, and with the last signature it is in force.
func TestProposals(t *testing.T) {
	w := newWorld(t)
	head, _ := w.Directory().Head(federation.TypeAgreement, "xa-xb-smuggling")
	a := *head.Body.(*federation.Agreement)
	a.Title, a.RetentionDays = "XA–XB agreement, second version", 30
	raw := w.state(federation.TypeAgreement, &a, w.root("XA"))
	digest, missing, err := w.Propose(t.Context(), "XA", raw)
	if err != nil || len(missing) != 1 || missing[0] != "XB" {
		t.Fatalf("%v %v", missing, err)
	}
	for m, sees := range map[alert.MemberID]int{"XA": 1, "XB": 1, "XC": 0, "XD": 0} {
		if list, err := w.Proposals(t.Context(), m); err != nil || len(list) != sees {
			t.Errorf("%s sees %d proposals, %v", m, len(list), err)
		}
	}
	w.refused(problem.NotFound, "XC", func() error { return w.Decline(t.Context(), "XC", digest) })
	w.refused(problem.BadSignature, "XC", func() error {
		_, _, err := w.Propose(t.Context(), "XC", w.state(federation.TypeAgreement, &a, w.root("XC")))
		return err
	})
	if err := w.Decline(t.Context(), "XB", digest); err != nil {
		t.Fatal(err)
	}
	if list, err := w.Proposals(t.Context(), "XA"); err != nil || len(list) != 0 {
		t.Errorf("declined, and there: %+v %v", list, err)
	}
	if _, missing, err = w.Propose(t.Context(), "XA", raw); err != nil || len(missing) != 1 {
		t.Fatalf("again: %v %v", missing, err)
	}
	if _, missing, err = w.Propose(t.Context(), "XA", raw); err != nil || len(missing) != 1 {
		t.Fatalf("the same twice: %v %v", missing, err)
	}
	if _, missing, err = w.Propose(t.Context(), "XB", w.countersigned(raw, w.root("XB"))); err != nil || len(missing) != 0 {
		t.Fatalf("countersigned: %v %v", missing, err)
	}
	if now, _ := w.Directory().Head(federation.TypeAgreement, "xa-xb-smuggling"); now.Revision != 2 || now.Digest != digest {
		t.Errorf("in force is %d %s", now.Revision, now.Digest)
	}
	if list, err := w.store.Proposals(t.Context()); err != nil || len(list) != 0 {
		t.Errorf("still proposed: %+v %v", list, err)
	}
	w.verifyLog()
}
