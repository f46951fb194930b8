package trust

import (
	"fmt"
	"maps"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/entente-hub/entente/api/alert"
	"github.com/entente-hub/entente/api/federation"
	"github.com/entente-hub/entente/api/problem"
)

func inForce(w *federation.World) (ids []federation.AgreementID) {
	for _, a := range w.Agreements {
		ids = append(ids, a.ID)
	}
	return ids
}

func want[T any](t testing.TB, what string, got, want T) {
	t.Helper()
	if diff := cmp.Diff(want, got, cmpopts.EquateEmpty()); diff != "" {
		t.Errorf("%s: %s", what, diff)
	}
}

func TestWorld(t *testing.T) {
	if New(authority.public).World(now) != nil || New(authority.public).Ready() || New(authority.public).Registry() != nil {
		t.Error("a world without a registry")
	}
	d := trial(t)
	w := d.World(now)
	want(t, "all members", w.Communities[alert.Federation], []alert.MemberID{"XA", "XB", "XC", "XD"})
	want(t, "a community", w.Communities["coast"], []alert.MemberID{"XA", "XB"})
	want(t, "a task force", w.TaskForces["blue"], []alert.MemberID{"XA", "XB"})
	want(t, "agreements", inForce(w), []federation.AgreementID{"ab"})
	head := mustHead(t, d, federation.TypeAgreement, "ab")
	if w.Agreements[0].Digest != head.Digest {
		t.Error("an agreement's digest")
	}
	if s, found := d.HeadNamed("agreement", "ab"); !found || s.Digest != head.Digest {
		t.Error("a head by name")
	}
	if k, err := d.HubKey(hubKey.public.KeyID()); err != nil || !k.Equal(hubKey.public) {
		t.Error("the hub's key")
	}
	for _, k := range []fixedKey{authority, root("XA"), node("XA"), officer1} {
		if _, err := d.HubKey(k.public.KeyID()); err == nil {
			t.Errorf("%s is the hub's", k.public)
		}
	}
}

// TestSuspension: any party stops it at once, each resumes for itself, and a new
// revision does not resume for anybody.
func TestSuspension(t *testing.T) {
	d := trial(t)
	states := []struct {
		party     alert.MemberID
		suspended bool
		want      []federation.AgreementID
	}{
		{"XA", true, nil}, {"XB", true, nil}, {"XA", false, nil}, {"XB", false, []federation.AgreementID{"ab"}},
		{"XB", true, nil},
	}
	for _, s := range states {
		d = with(t, d, suspend("ab", s.party, s.suspended), root(s.party))
		want(t, fmt.Sprint(s), inForce(d.World(now)), s.want)
		if w := d.World(now); s.want == nil && !w.Lapses.IsZero() {
			t.Errorf("a suspended agreement lapses at %s", w.Lapses)
		}
	}
	changed := agree("ab", "XA", "XB")
	changed.Title = "anew"
	d = with(t, d, changed, root("XA"), root("XB"))
	want(t, "revised while suspended", inForce(d.World(now)), nil)
	d = with(t, d, agree("ab", "XA", "XC"), root("XA"), root("XB"), root("XC"))
	want(t, "who suspended it has left", inForce(d.World(now)), []federation.AgreementID{"ab"})
	refused(t, d, problem.Malformed, next(t, d, suspend("ab", "XB", false), root("XB")))
}

// TestTaskForceEnds: a roster ends with its task force, and does not come back
// when another takes its name.
func TestTaskForceEnds(t *testing.T) {
	d := trial(t)
	r := registry()
	r.TaskForces = nil
	d = with(t, d, r, authority)
	if tf := d.World(now).TaskForces; len(tf) != 0 {
		t.Errorf("dissolved: %v", tf)
	}
	refused(t, d, problem.Malformed, next(t, d, roster("XA", "XC"), root("XA")))
	r = registry()
	r.TaskForces[0].Lead = "XB"
	fresh := with(t, with(t, d, r, authority), roster("XB", "XC"), root("XB"))
	d = with(t, d, r, authority)
	want(t, "made anew", d.World(now).TaskForces, map[alert.TaskForceID][]alert.MemberID{"blue": nil})
	want(t, "and listed", fresh.World(now).TaskForces, map[alert.TaskForceID][]alert.MemberID{"blue": {"XB", "XC"}})
	refused(t, d, problem.BadSignature, next(t, d, roster("XA"), root("XA"))) // no longer the lead
}

// TestRevisionTellsEnded: the same heads, in an order in which one of them was
// ended and in one in which it was not, are not the same world.
func TestRevisionTellsEnded(t *testing.T) {
	r2, r3 := registry(), registry()
	r2.TaskForces = nil
	d := with(t, New(authority.public), registry(), authority)
	r2raw := next(t, d, r2, authority)
	d2, err := d.With(now, r2raw)
	if err != nil {
		t.Fatal(err)
	}
	r3raw, members := next(t, d2, r3, authority), next(t, d, roster("XA"), root("XA"))
	ended, err := d.With(now, members, r2raw, r3raw)
	if err != nil {
		t.Fatal(err)
	}
	live, err := d.With(now, r2raw, r3raw, members)
	if err != nil {
		t.Fatal(err)
	}
	want(t, "ended", ended.World(now).TaskForces["blue"], nil)
	want(t, "live", live.World(now).TaskForces["blue"], []alert.MemberID{"XA"})
	if ended.World(now).Revision == live.World(now).Revision {
		t.Error("two worlds of one revision")
	}
}

// TestMemberLeaves: nothing by it and nothing for it, and when it comes back its
// node's keys are certified anew.
func TestMemberLeaves(t *testing.T) {
	d := with(t, trial(t), roster("XA", "XB", "XC"), root("XA"))
	d = with(t, d, agree("abc", "XA", "XB", "XC"), root("XA"), root("XB"), root("XC"))
	token := issue(t, node("XC"), small("XC"))
	left := with(t, d, without("XC"), authority)
	w := left.World(now)
	want(t, "all members", w.Communities[alert.Federation], []alert.MemberID{"XA", "XB", "XD"})
	want(t, "the task force", w.TaskForces["blue"], []alert.MemberID{"XA", "XB"})
	if _, found := w.Members["XC"]; found {
		t.Error("still a member")
	}
	if _, err := left.VerifyAlert(token); outcome(err) != "bad-signature" {
		t.Errorf("its alert: %v", err)
	}
	refused(t, left, problem.BadSignature, next(t, left, consent("XC", "XA"), root("XC")))
	refused(t, left, problem.Malformed, next(t, left, certify("XC", node("XC")), root("XC")))
	refused(t, left, problem.BadSignature, next(t, left, suspend("abc", "XC", true), root("XC")))
	// Those who stay can go on without it, and none of them is left out.
	refused(t, left, ok, next(t, left, agree("abc", "XA", "XB"), root("XA"), root("XB")))
	refused(t, left, problem.BadSignature, next(t, left, agree("abc", "XA", "XD"), root("XA"), root("XD")))

	back := with(t, left, registry(), authority)
	if _, err := back.VerifyAlert(token); outcome(err) != "bad-signature" {
		t.Errorf("its alert, once it is back: %v", err)
	}
	back = with(t, back, certify("XC", node("XC")), root("XC"))
	if _, err := back.VerifyAlert(token); err != nil {
		t.Error(err)
	}
}

// TestConsents: each member's consent stands for that member alone; what others
// say under the same alert id neither voids nor widens it.
func TestConsents(t *testing.T) {
	of := func(m alert.MemberID) federation.ConsentKey {
		return federation.ConsentKey{Originator: m, Alert: alertID}
	}
	d := with(t, trial(t), consent("XA", "XB"), node("XA"))
	d = with(t, d, consent("XC", "federation"), node("XC"))
	want(t, "the originator's", d.World(now).Consents[of("XA")], *consent("XA", "XB"))
	want(t, "another's", d.World(now).Consents[of("XC")], *consent("XC", "federation"))
	d = with(t, d, consent("XA"), node("XA"))
	want(t, "withdrawn", d.World(now).Consents[of("XA")], *consent("XA"))
}

// TestRevisionOfEachStatement: no statement is without effect on it.
func TestRevisionOfEachStatement(t *testing.T) {
	d := onDuty(t)
	revisions := map[string]string{d.World(now).Revision: "as it was"}
	spare := certify("XA", named("XA", "spare"))
	for name, n := range map[string]*Directory{
		"registry":   with(t, d, registry(), authority),
		"node key":   with(t, d, spare, root("XA")),
		"roster":     with(t, d, roster("XA", "XB"), root("XA")), // the same list, said again
		"agreement":  with(t, d, agree("ac", "XA", "XC"), root("XA"), root("XC")),
		"suspension": with(t, d, suspend("ab", "XA", false), root("XA")),
		"consent":    with(t, d, consent("XA"), root("XA")),
		"policy":     with(t, d, policy(digestOf("1")), officer1, officer2),
		"officers":   with(t, d, officers("XA", duty1), root("XA")),
		"emergency":  withAt(t, d, today, emergency(), duty1, duty2),
	} {
		rev := n.World(now).Revision
		if old, found := revisions[rev]; found {
			t.Errorf("%s and %s have one revision", name, old)
		}
		revisions[rev] = name
	}
	if len(slices.Collect(maps.Keys(revisions))) != 10 {
		t.Errorf("%v", revisions)
	}
}
