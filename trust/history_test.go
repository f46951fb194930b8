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
)

// past is a directory and what was said, in its order, to make it. A registry
// without somebody stands for that member's leaving; each comes back at once.
type past struct {
	*Directory
	said []federation.Body
}

// history makes a directory by random statements, agreements and emergencies of
// short and overlapping validities among them.
func history(t testing.TB, r *rand.Rand) past {
	d := onDuty(t)
	said := []federation.Body{agree("ab", "XA", "XB"), roster("XA", "XB")}
	members := []alert.MemberID{"XA", "XB", "XC", "XD"}
	declared := 0
	for range 4 + r.IntN(12) {
		m := members[r.IntN(len(members))]
		o := members[(slices.Index(members, m)+1+r.IntN(3))%4]
		id := federation.AgreementID(fmt.Sprintf("a%d", r.IntN(4)))
		var b federation.Body
		by := []fixedKey{root(m)}
		switch r.IntN(8) {
		case 0, 1:
			a := agree(id, m, o)
			a.ValidFrom = today - 20 + r.Int64N(40)
			a.ValidUntil = a.ValidFrom + 1 + r.Int64N(20)
			b, by = a, []fixedKey{root("XA"), root("XB"), root("XC"), root("XD")}
			if old := d.versions(id); len(old) > 0 {
				a.Parties = slices.Compact(slices.Sorted(slices.Values(append(a.Parties, old[len(old)-1].terms.Parties...))))
			}
			by = slices.DeleteFunc(by, func(k fixedKey) bool { return !slices.Contains(a.Parties, alert.MemberID(k.public.Owner())) })
		case 2:
			if old := d.versions(id); len(old) > 0 {
				parties := old[r.IntN(len(old))].terms.Parties
				p := parties[r.IntN(len(parties))]
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
		case 7:
			r := without(members[2+r.IntN(2)]) // the others have offices in the registry
			d, said = withAt(t, d, today-30, r, authority), append(said, r)
			d = withAt(t, d, today-30, registry(), authority)
		}
		if b != nil {
			d, said = withAt(t, d, today-30, b, by...), append(said, b)
		}
	}
	return past{d, said}
}

// stays reports whether none of the members has left since the i-th was said.
func (p past) stays(i int, members ...alert.MemberID) bool {
	for _, b := range p.said[i:] {
		if r, isOne := b.(*federation.Registry); isOne {
			for _, m := range members {
				if !slices.ContainsFunc(r.Members, func(have federation.Member) bool { return have.ID == m }) {
					return false
				}
			}
		}
	}
	return true
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
			d.checkPlaces(t, w)
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

// agreementsOf says which versions of agreements are in force in a world of p, and
// holds it to an oracle that reads what was said alone: of each agreement's versions
// that one counts which was said last of those that have begun.
func (p past) agreementsOf(t testing.TB, w *federation.World) string {
	t.Helper()
	last, version := make(map[federation.AgreementID]int), make(map[int]int)
	versions := make(map[federation.AgreementID]int)
	for i, b := range p.said {
		if a, isOne := b.(*federation.Agreement); isOne {
			versions[a.ID]++
			version[i] = versions[a.ID]
			if !w.At.Before(time.Unix(a.ValidFrom, 0)) {
				last[a.ID] = i
			}
		}
	}
	var all, got []string
	for id, i := range last {
		a := p.said[i].(*federation.Agreement)
		if w.At.Before(time.Unix(a.ValidUntil, 0)) && p.stays(i, a.Parties...) && !p.suspended(a) {
			all = append(all, fmt.Sprint(id, version[i]))
		}
	}
	slices.Sort(all)
	for _, a := range w.Agreements {
		got = append(got, fmt.Sprint(a.ID, a.Version))
	}
	if fmt.Sprint(got) != fmt.Sprint(all) {
		t.Fatalf("in force %s, want %s", got, all)
	}
	for id := range versions {
		s, _, _ := p.Current(id, w.At)
		stands, _ := p.Stands(id, w.At)
		if slices.Contains(all, fmt.Sprint(id, s.Revision)) != (stands == InForce) {
			t.Fatalf("%s %d is %s, where %s are in force", id, s.Revision, stands, all)
		}
	}
	return fmt.Sprint(all)
}

// suspended reports whether the last word of a party to a version is that it rests.
func (p past) suspended(a *federation.Agreement) bool {
	last := make(map[alert.MemberID]bool)
	for i, b := range p.said {
		if s, isOne := b.(*federation.Suspension); isOne && s.Agreement == a.ID && slices.Contains(a.Parties, s.Party) {
			last[s.Party] = s.Suspended && p.stays(i, s.Party)
		}
	}
	return slices.Contains(slices.Collect(maps.Values(last)), true)
}

// checkPlaces holds consents and the task force to an oracle of the same kind.
func (p past) checkPlaces(t testing.TB, w *federation.World) {
	t.Helper()
	consents := make(map[federation.ConsentKey]federation.Consent)
	var members []alert.MemberID
	for i, b := range p.said {
		switch b := b.(type) {
		case *federation.Consent:
			at := federation.ConsentKey{Originator: b.Originator, Alert: b.Alert}
			if consents[at] = *b; !p.stays(i, b.Originator) {
				delete(consents, at)
			}
		case *federation.Roster:
			members = slices.DeleteFunc(slices.Clone(b.Members), func(m alert.MemberID) bool { return !p.stays(i, m) })
		}
	}
	want(t, "consents", w.Consents, consents)
	want(t, "the task force", w.TaskForces["blue"], members)
}

// emergenciesOf says which emergency of XA's alert is in force in a world of p, and
// holds it to an oracle that reads the statements alone.
func (p past) emergenciesOf(t testing.TB, w *federation.World) string {
	t.Helper()
	var last *federation.Emergency
	for _, s := range p.heads {
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
		for p := range d.void {
			heads = append(heads, fmt.Sprint("ended ", p))
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
