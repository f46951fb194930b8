package trust

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/entente-hub/entente/api/alert"
	"github.com/entente-hub/entente/api/federation"
	"github.com/entente-hub/entente/api/problem"
)

// lasting is an agreement from one day to another, counted from today.
func lasting(from, until int64, parties ...alert.MemberID) *federation.Agreement {
	a := agree("ab", parties...)
	a.ValidFrom, a.ValidUntil = today+from*day, today+until*day
	return a
}

// TestRenewedAheadOfTime: a new version that is signed ahead leaves the old one in
// force until it begins; a gap between them is one.
func TestRenewedAheadOfTime(t *testing.T) {
	d := withToday(t, trial(t), lasting(-1, 10, "XA", "XB"), root("XA"), root("XB")) // 2
	d = withToday(t, d, lasting(5, 20, "XA", "XB"), root("XA"), root("XB"))          // 3
	d = withToday(t, d, lasting(30, 40, "XA", "XB"), root("XA"), root("XB"))         // 4
	type state struct {
		InForce, Current int64
		Following        int
		Stands           Standing
		Lapses           int64 // in days
	}
	for at, want := range map[int64]state{
		-11 * day: {0, 1, 3, NotYetValid, -10}, -2 * day: {1, 1, 3, InForce, -1}, -day: {2, 2, 2, InForce, 5}, 0: {2, 2, 2, InForce, 5}, 5*day - 1: {2, 2, 2, InForce, 5},
		5 * day: {3, 3, 1, InForce, 20}, 20*day - 1: {3, 3, 1, InForce, 20}, 20 * day: {0, 3, 1, Expired, 30},
		30 * day: {4, 4, 0, InForce, 40}, 40 * day: {0, 4, 0, Expired, 0},
	} {
		moment := time.Unix(today+at, 0)
		w := d.World(moment)
		s, following, known := d.Current("ab", moment)
		got := state{Current: s.Revision, Following: len(following)}
		got.Stands, _ = d.Stands("ab", moment)
		if len(w.Agreements) > 0 {
			got.InForce = w.Agreements[0].Version
			if w.Agreements[0].Digest != s.Digest {
				t.Errorf("at %d: not the digest of the version", at)
			}
		}
		if !w.Lapses.IsZero() {
			got.Lapses = (w.Lapses.Unix() - today) / day
		}
		if diff := cmp.Diff(want, got); diff != "" || !known || len(w.Agreements) > 1 {
			t.Errorf("at %d: %s", at, diff)
		}
	}
	if _, _, known := d.Current("none", now); known {
		t.Error("an agreement that there is not")
	}
	sooner := withToday(t, d, lasting(-1, 3, "XA", "XB"), root("XA"), root("XB")) // 5 takes the place of all
	if s, following, _ := sooner.Current("ab", time.Unix(today+6*day, 0)); s.Revision != 5 || len(following) != 0 || len(sooner.World(time.Unix(today+6*day, 0)).Agreements) != 0 {
		t.Errorf("%d, then %d", s.Revision, len(following))
	}
	if s, _, _ := d.Current("ab", now); s.Revision != 2 {
		t.Error("With has changed what it was called on")
	}
}

// TestRenewalAndSuspension: a party to both suspends both; one that joins or leaves,
// the version that it is a party of. Who leaves may suspend as long as it has not left.
func TestRenewalAndSuspension(t *testing.T) {
	d := withToday(t, trial(t), lasting(-1, 10, "XA", "XB", "XC"), root("XA"), root("XB"), root("XC"))
	d = withToday(t, d, lasting(5, 20, "XA", "XB", "XD"), root("XA"), root("XB"), root("XC"), root("XD"))
	then := time.Unix(today+6*day, 0)
	for m, want := range map[alert.MemberID][2]Standing{"XA": {Suspended, Suspended}, "XC": {Suspended, InForce}, "XD": {InForce, Suspended}} {
		rests := withToday(t, d, suspend("ab", m, true), root(m))
		first, _ := rests.Stands("ab", now)
		second, _ := rests.Stands("ab", then)
		if [2]Standing{first, second} != want {
			t.Errorf("%s suspends: %s, then %s", m, first, second)
		}
	}
}

// TestRenewalSigners: who would be put out of a version before its time signs that;
// who is out by then need not be asked.
func TestRenewalSigners(t *testing.T) {
	a, b, c := root("XA"), root("XB"), root("XC")
	d := withToday(t, trial(t), lasting(-1, 10, "XA", "XB", "XC"), a, b, c)
	d = withToday(t, d, lasting(5, 20, "XA", "XB"), a, b, c)
	refused(t, d, problem.BadSignature, next(t, d, lasting(0, 20, "XA", "XB"), a, b))
	refused(t, d, problem.BadSignature, next(t, d, lasting(5, 20, "XA", "XB"), a))
	refused(t, d, ok, next(t, d, lasting(0, 20, "XA", "XB"), a, b, c))
	refused(t, d, ok, next(t, d, lasting(6, 20, "XA", "XB"), a, b))
	refused(t, d, ok, next(t, d, lasting(5, 20, "XA", "XB"), a, b))
	late, err := d.Verify(time.Unix(today+5*day, 0), nextAt(t, d, today+5*day, lasting(-1, 20, "XA", "XB"), a, b))
	if err != nil {
		t.Errorf("once it is out: %d, %v", late.Revision, err)
	}
}

// TestRenewalOfWhoLeaves: all versions with who has left the federation are ended, and
// none takes the place of another's.
func TestRenewalOfWhoLeaves(t *testing.T) {
	a, b, c := root("XA"), root("XB"), root("XC")
	out := withToday(t, trial(t), lasting(-1, 10, "XA", "XB", "XC"), a, b, c)
	out = withToday(t, out, lasting(5, 20, "XA", "XB"), a, b, c)
	in := withToday(t, trial(t), lasting(-1, 10, "XA", "XB"), a, b)
	in = withToday(t, in, lasting(5, 20, "XA", "XB", "XC"), a, b, c)
	then := time.Unix(today+6*day, 0)
	for name, tt := range map[string]struct {
		d          *Directory
		now, later Standing
	}{"leaves both": {out, Ended, InForce}, "was to join": {in, InForce, Ended}} {
		d := withToday(t, tt.d, without("XC"), authority)
		for range 2 {
			first, _ := d.Stands("ab", now)
			second, _ := d.Stands("ab", then)
			if first != tt.now || second != tt.later || len(d.World(now).Agreements)+len(d.World(then).Agreements) != 1 {
				t.Errorf("%s: %s, then %s", name, first, second)
			}
			d = withToday(t, d, registry(), authority)
		}
	}
}
