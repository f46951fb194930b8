package trust

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

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
	refused(t, left, problem.Malformed, next(t, left, consent("XC", "XA"), root("XC")))
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

// history makes a directory by random statements, agreements and emergencies of
// short and overlapping validities among them.
func history(t testing.TB, r *rand.Rand) *Directory {
	d := onDuty(t)
	members := []alert.MemberID{"XA", "XB", "XC", "XD"}
	declared := 0
	for range 4 + r.IntN(12) {
		m := members[r.IntN(len(members))]
		o := members[(slices.Index(members, m)+1+r.IntN(3))%4]
		id := federation.AgreementID(fmt.Sprintf("a%d", r.IntN(4)))
		var b federation.Body
		by := []fixedKey{root(m)}
		switch r.IntN(7) {
		case 0, 1:
			a := agree(id, m, o)
			a.ValidFrom = today - 20 + r.Int64N(40)
			a.ValidUntil = a.ValidFrom + 1 + r.Int64N(20)
			b, by = a, []fixedKey{root("XA"), root("XB"), root("XC"), root("XD")}
			if old, found := d.agreement(id); found {
				a.Parties = slices.Compact(slices.Sorted(slices.Values(append(a.Parties, old.Parties...))))
			}
			by = slices.DeleteFunc(by, func(k fixedKey) bool { return !slices.Contains(a.Parties, alert.MemberID(k.public.Owner())) })
		case 2:
			if old, found := d.agreement(id); found {
				p := old.Parties[r.IntN(len(old.Parties))]
				b, by = suspend(id, p, r.IntN(2) == 0), []fixedKey{root(p)}
			}
		case 3:
			b = consent(m, alert.Audience(o))
		case 4:
			b, by = roster(members[:r.IntN(4)]...), []fixedKey{root("XA")}
			if b.(*federation.Roster).Members == nil {
				b = roster("XA")
			}
		case 5:
			declared++
			e := numbered(declared)
			e.ValidFrom = today - 20 + r.Int64N(40)
			e.ValidUntil = e.ValidFrom + 1 + r.Int64N(20)
			b, by = e, []fixedKey{duty1, duty2}
		case 6:
			if s, found := d.HeadNamed("emergency", numbered(1+r.IntN(declared+1)).Subject()); found && s.Revision == 1 {
				b, by = over(s.Body.(*federation.Emergency)), []fixedKey{duty2}
			}
		}
		if b != nil {
			d = withAt(t, d, today-30, b, by...)
		}
	}
	return d
}

// TestLapses: from At until Lapses no date changes what is in force; at Lapses
// one does.
func TestLapses(t *testing.T) {
	r := rand.New(rand.NewChaCha8(seed("lapses")))
	for range 60 {
		d := history(t, r)
		for range 10 {
			at := time.Unix(today-25+r.Int64N(70), r.Int64N(2)*500_000_000)
			w := d.World(at)
			end := at.Add(100 * time.Second)
			if !w.Lapses.IsZero() {
				if !w.Lapses.After(at) {
					t.Fatalf("lapsed already: %s at %s", w.Lapses, at)
				}
				end = w.Lapses
				then := d.World(end)
				if d.agreementsOf(t, then)+d.emergenciesOf(t, then) == d.agreementsOf(t, w)+d.emergenciesOf(t, w) || then.Revision == w.Revision {
					t.Fatalf("nothing lapses at %s", end)
				}
			}
			if end.After(at.Add(100 * time.Second)) { // the year-long agreement's end
				end = at.Add(100 * time.Second)
			}
			for s := at; s.Before(end); s = s.Add(500 * time.Millisecond) {
				then := d.World(s)
				if d.agreementsOf(t, then)+d.emergenciesOf(t, then) != d.agreementsOf(t, w)+d.emergenciesOf(t, w) || then.Revision != w.Revision {
					t.Fatalf("another world at %s, within [%s, %s)", s, at, end)
				}
			}
		}
	}
}

// agreementsOf says which agreements are in force in a world of d, and holds it to
// an oracle that reads the statements alone.
func (d *Directory) agreementsOf(t testing.TB, w *federation.World) string {
	t.Helper()
	var all []string
	for k, s := range d.heads {
		a, isOne := s.Body.(*federation.Agreement)
		if !isOne || w.At.Before(time.Unix(a.ValidFrom, 0)) || !w.At.Before(time.Unix(a.ValidUntil, 0)) {
			continue
		}
		stopped := false
		for _, s := range d.heads {
			if u, isOne := s.Body.(*federation.Suspension); isOne && u.Agreement == a.ID && slices.Contains(a.Parties, u.Party) {
				stopped = stopped || u.Suspended
			}
		}
		if !stopped {
			all = append(all, k.Subject)
		}
	}
	slices.Sort(all)
	if got := fmt.Sprint(inForce(w)); got != fmt.Sprint(all) {
		t.Fatalf("in force %s, want %s", got, all)
	}
	return fmt.Sprint(all)
}

// emergenciesOf says which emergency of XA's alert is in force in a world of d, and
// holds it to an oracle that reads the statements alone.
func (d *Directory) emergenciesOf(t testing.TB, w *federation.World) string {
	t.Helper()
	var last *federation.Emergency
	for _, s := range d.heads {
		if e, isOne := s.Body.(*federation.Emergency); isOne && (last == nil || e.Number > last.Number) {
			last = e
		}
	}
	number := 0
	if last != nil && !last.Over && !w.At.Before(time.Unix(last.ValidFrom, 0)) && w.At.Before(time.Unix(last.ValidUntil, 0)) {
		number = last.Number
	}
	if got := w.Emergencies[federation.ConsentKey{Originator: "XA", Alert: alertID}]; got.Number != number || len(w.Emergencies) != min(number, 1) {
		t.Fatalf("emergency %d in force of %d, want %d", got.Number, len(w.Emergencies), number)
	}
	return fmt.Sprint("emergency ", number)
}

// TestRevision: two worlds have one revision just where they rest on the same
// statements, with the same of them in force.
func TestRevision(t *testing.T) {
	r := rand.New(rand.NewChaCha8(seed("revision")))
	type seen struct {
		rests string
		world *federation.World
	}
	byRevision, byRests := make(map[string]seen), make(map[string]string)
	for range 40 {
		d := history(t, r)
		var heads []string
		for k, s := range d.heads {
			heads = append(heads, fmt.Sprint(k, s.Digest))
		}
		slices.Sort(heads)
		for range 8 {
			w := d.World(time.Unix(today-25+r.Int64N(70), 0))
			rests := fmt.Sprint(heads, d.agreementsOf(t, w), d.emergenciesOf(t, w))
			if old, found := byRevision[w.Revision]; found {
				if old.rests != rests {
					t.Fatal("one revision of two worlds")
				}
				if diff := cmp.Diff(old.world, w, cmpopts.IgnoreFields(federation.World{}, "At", "Lapses")); diff != "" {
					t.Fatal(diff)
				}
			}
			if old, found := byRests[rests]; found && old != w.Revision {
				t.Fatal("one world has two revisions")
			}
			byRevision[w.Revision], byRests[rests] = seen{rests, w}, w.Revision
		}
	}
	if len(byRevision) < 60 {
		t.Errorf("only %d worlds", len(byRevision))
	}
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
