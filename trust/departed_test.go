package trust

import (
	"testing"

	"github.com/entente-hub/entente/api/alert"
	"github.com/entente-hub/entente/api/federation"
	"github.com/entente-hub/entente/api/problem"
)

// rekeyed is the registry with other root keys of a member.
func rekeyed(m alert.MemberID, k ...fixedKey) *federation.Registry {
	r := registry()
	for i := range r.Members {
		if r.Members[i].ID == m {
			r.Members[i].RootKeys = jwks(k...)
		}
	}
	return r
}

// attached is the trial federation with all that can hang on XC: an agreement, a place
// in the task force, a consent and a suspension of another agreement.
func attached(t testing.TB) *Directory {
	t.Helper()
	d := with(t, trial(t), roster("XA", "XC"), root("XA"))
	for _, id := range []federation.AgreementID{"ac", "ca"} {
		d = with(t, d, agree(id, "XA", "XC"), root("XA"), root("XC"))
	}
	d = with(t, d, suspend("ca", "XC", true), root("XC"))
	return with(t, d, consent("XC", "XB"), root("XC"))
}

// TestNameComesBack. Vulnerability: names are given anew. Attack: whoever has the name
// of a member that was relies on what that member was granted. Guarantee: it has signed
// none of the agreements, given none of the consents, suspended nothing, and was put on
// no roster, until that is signed anew; also where the name changes hands in one
// revision of the registry.
func TestNameComesBack(t *testing.T) {
	another := named("XC", "another holder of the name")
	old := attached(t)
	of := federation.ConsentKey{Originator: "XC", Alert: alertID}
	for name, tt := range map[string]struct {
		by   fixedKey
		next []*federation.Registry
	}{
		"with the old key": {root("XC"), []*federation.Registry{without("XC"), registry()}},
		"with another key": {another, []*federation.Registry{without("XC"), rekeyed("XC", another)}},
		"at once":          {another, []*federation.Registry{rekeyed("XC", another)}},
	} {
		t.Run(name, func(t *testing.T) {
			d := old
			for _, r := range tt.next {
				d = with(t, d, r, authority)
				w := d.World(now)
				want(t, "agreements", inForce(w), []federation.AgreementID{"ab"})
				want(t, "the task force", w.TaskForces["blue"], []alert.MemberID{"XA"})
				want(t, "consents", len(w.Consents), 0)
				if stands, _ := d.Stands("ac", now); stands != Ended {
					t.Errorf("it is %s", stands)
				}
				for _, s := range []Statement{mustHead(t, d, "agreement", "ac"), mustHead(t, d, "consent", "XC/"+alertID),
					mustHead(t, d, "suspension", "ca/XC"), mustHead(t, d, "node-key", node("XC").public.KeyID())} {
					if !d.Ended(s) || old.Ended(s) {
						t.Errorf("%s: ended %t, before %t", s.Subject, d.Ended(s), old.Ended(s))
					}
				}
			}
			d = with(t, d, agree("ca", "XA", "XC"), root("XA"), tt.by)
			want(t, "signed anew", inForce(d.World(now)), []federation.AgreementID{"ab", "ca"}) // and suspended by nobody
			refused(t, d, ok, next(t, d, agree("ac", "XA", "XB"), root("XA"), root("XB")))      // the others need not ask
			d = with(t, d, roster("XA", "XC"), root("XA"))
			want(t, "listed anew", d.World(now).TaskForces["blue"], []alert.MemberID{"XA", "XC"})
			d = with(t, d, consent("XC", "XD"), tt.by)
			want(t, "given anew", d.World(now).Consents[of], *consent("XC", "XD"))
			d = with(t, d, suspend("ca", "XC", true), tt.by)
			want(t, "suspended anew", inForce(d.World(now)), []federation.AgreementID{"ab"})
		})
	}
}

// TestRootKeysChange: a revision that lists an old key beside the new one says that
// the member is the same.
func TestRootKeysChange(t *testing.T) {
	second, third := named("XC", "second root of XC"), named("XC", "third root of XC")
	d := attached(t)
	before := d.World(now)
	for _, keys := range [][]fixedKey{{root("XC"), second}, {second}, {third, second}, {third}} {
		d = with(t, d, rekeyed("XC", keys...), authority)
		w := d.World(now)
		want(t, "agreements", inForce(w), inForce(before))
		want(t, "task forces", w.TaskForces, before.TaskForces)
		want(t, "consents", w.Consents, before.Consents)
	}
	if stands, by := d.Stands("ca", now); stands != Suspended || len(by) != 1 {
		t.Errorf("%s by %d", stands, len(by))
	}
}

// TestRevisionTellsWhoLeft: the same heads, where somebody left between them and where
// nobody did, are not one world.
func TestRevisionTellsWhoLeft(t *testing.T) {
	base := with(t, New(authority.public), registry(), authority)
	left := next(t, base, without("XC"), authority)
	away, err := base.With(now, left)
	if err != nil {
		t.Fatal(err)
	}
	back := next(t, away, registry(), authority)
	for name, raw := range map[string][]byte{
		"agreement": next(t, base, agree("ac", "XA", "XC"), root("XA"), root("XC")),
		"roster":    next(t, base, roster("XA", "XC"), root("XA")),
		"consent":   next(t, base, consent("XC", "XA"), root("XC")),
	} {
		ended, err := base.With(now, raw, left, back)
		if err != nil {
			t.Fatal(err)
		}
		live, err := base.With(now, left, back, raw)
		if err != nil {
			t.Fatal(err)
		}
		if ended.World(now).Revision == live.World(now).Revision {
			t.Errorf("%s: two worlds of one revision", name)
		}
	}
}

// TestOneKeyOfTwoMembers. Vulnerability: a key that two members certify speaks for
// both. Guarantee: it is refused, whichever came first and whatever the two name it for.
func TestOneKeyOfTwoMembers(t *testing.T) {
	d := onDuty(t)
	shared := officers("XB", named("XB.ann", "first duty officer of XA"), dutyTwo)
	refused(t, d, problem.Malformed, next(t, d, shared, root("XB")))
	for _, revoked := range []int64{0, founded, alert.MaxTime} {
		k := certify("XB", named("XB", "node of XA"))
		k.Revoked = revoked
		refused(t, d, problem.Malformed, next(t, d, k, root("XB")))
	}
	refused(t, d, ok, next(t, d, officers("XA", duty2, duty1, duty3), root("XA"))) // its own it may keep
	d = withToday(t, d, officers("XA", duty2), root("XA"))
	refused(t, d, ok, next(t, d, shared, root("XB"))) // no other's any more
}
