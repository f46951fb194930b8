package policies

import (
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/entente-hub/entente/api/alert"
	"github.com/entente-hub/entente/api/feed"
)

// changedIngress compiles the embedded rules with one file changed.
func changedIngress(t *testing.T, file string, change func(src string) string) ingressRules {
	t.Helper()
	modules, err := embedded("ingress")
	if err != nil {
		t.Fatal(err)
	}
	if modules[file] == "" {
		t.Fatalf("there is no %s", file)
	}
	modules[file] = change(modules[file])
	rules, err := compileIngress(modules)
	if err != nil {
		t.Fatal(err)
	}
	return rules
}

func replaceOnce(t *testing.T, src, old, new string) string {
	t.Helper()
	if strings.Count(src, old) != 1 {
		t.Fatalf("%q stands %d times", old, strings.Count(src, old))
	}
	return strings.Replace(src, old, new, 1)
}

// readingNarrowings are changes to a portion, or to how it is held, after which
// nobody may read more. Each reports whether it changed anything.
var readingNarrowings = []struct {
	name string
	make func(*rand.Rand, *Reading) bool
}{
	{"raise the classification", func(_ *rand.Rand, q *Reading) bool {
		q.Label.Classification++
		return q.Label.Classification <= alert.TopSecret
	}},
	{"narrow TLP", func(_ *rand.Rand, q *Reading) bool {
		q.Label.TLP++
		return q.Label.TLP <= alert.Red
	}},
	{"add a compartment", func(r *rand.Rand, q *Reading) bool {
		c := pick(r, someTaskForces...)
		if slices.Contains(q.Label.Compartments, c) {
			return false
		}
		q.Label.Compartments = append(slices.Clone(q.Label.Compartments), c)
		return true
	}},
	{"drop a category", func(_ *rand.Rand, q *Reading) bool {
		if len(q.Label.Categories) < 2 {
			return false
		}
		q.Label.Categories = q.Label.Categories[1:]
		return true
	}},
	{"drop a purpose of the release", func(_ *rand.Rand, q *Reading) bool {
		o := q.Release.Obligations
		if len(o.Purposes) == 0 {
			return false
		}
		o.Purposes = o.Purposes[1:]
		return true
	}},
	{"end the holding", func(_ *rand.Rand, q *Reading) bool {
		was := q.Release.Obligations.HoldUntil > q.At
		q.Release.Obligations.HoldUntil = q.At
		return was
	}},
	{"end the emergency", func(_ *rand.Rand, q *Reading) bool {
		was := q.Release.Emergency != ""
		q.Release.Emergency = ""
		return was
	}},
	{"drop a compartment that the emergency opens", func(_ *rand.Rand, q *Reading) bool { return dropFirst(&q.Emergency) }},
	{"lower the member's ceiling", func(_ *rand.Rand, q *Reading) bool {
		q.Ceiling--
		return q.Ceiling >= 0
	}},
	{"read for a purpose that is nobody's", func(_ *rand.Rand, q *Reading) bool {
		q.Purpose = "humanitarian"
		return true
	}},
}

// userNarrowings are changes to a user or its agency after which the user may not
// read more.
var userNarrowings = []struct {
	name string
	make func(*User, *Agency) bool
}{
	{"suspend", func(u *User, _ *Agency) bool { was := u.Suspended; u.Suspended = true; return !was }},
	{"lower the clearance", func(u *User, _ *Agency) bool {
		if u.Clearance == alert.Unclassified {
			return false
		}
		u.Clearance--
		return true
	}},
	{"leave a task force", func(u *User, _ *Agency) bool { return dropFirst(&u.TaskForces) }},
	{"lose a purpose", func(u *User, _ *Agency) bool { return dropFirst(&u.Purposes) }},
	{"no longer named for red", func(u *User, _ *Agency) bool { was := u.TLPRed; u.TLPRed = false; return was }},
	{"the agency loses a category", func(_ *User, a *Agency) bool { return dropFirst(&a.Categories) }},
	{"the agency is no focal point", func(_ *User, a *Agency) bool { was := a.FocalPoint; a.FocalPoint = false; return was }},
}

func dropFirst[T any](list *[]T) bool {
	if len(*list) == 0 {
		return false
	}
	*list = (*list)[1:]
	return true
}

// narrower returns a copy of a question with room for changes.
func narrower(q Reading) Reading {
	if q.Label != nil {
		l, o := *q.Label, *q.Release.Obligations
		q.Label, q.Release.Obligations = &l, &o
	}
	return q
}

func TestNarrowingLetsNobodyReadMore(t *testing.T) {
	r := newRand(t)
	rules, tried, lost := mustIngressRules(t), map[string]int{}, map[string]int{}
	for range 150 {
		n := newNational(t, r)
		i := mustIndex(t, rules, n)
		for range 10 {
			q := newReading(t, r)
			if q.Release.Kind != feed.Content {
				continue
			}
			before := mustRead(t, i, q)
			for _, change := range readingNarrowings {
				next := narrower(q)
				if !change.make(r, &next) {
					continue
				}
				if err := next.Label.Normalize(); err != nil {
					t.Fatal(err)
				}
				after := mustRead(t, i, next)
				tried[change.name]++
				for _, u := range n.Users {
					if after.Permits(u.ID) && !before.Permits(u.ID) {
						t.Fatalf("%s: %s reads more\n%+v\n%+v %+v", change.name, u.ID, n, q, q.Label)
					}
					if before.Permits(u.ID) && !after.Permits(u.ID) {
						lost[change.name]++
					}
				}
			}
		}
	}
	t.Logf("tried %v, lost %v", tried, lost)
	for _, change := range readingNarrowings {
		if tried[change.name] < 50 || lost[change.name] < 5 {
			t.Errorf("%s: tried %d times, %d lost: the test has no bite", change.name, tried[change.name], lost[change.name])
		}
	}
}

func TestLesserUsersReadNoMore(t *testing.T) {
	r := newRand(t)
	rules, lost := mustIngressRules(t), map[string]int{}
	for range 150 {
		n := newNational(t, r)
		i := mustIndex(t, rules, n)
		for _, change := range userNarrowings {
			next := National{Agencies: slices.Clone(n.Agencies), Users: slices.Clone(n.Users)}
			// The user moves to an agency of its own, so that nobody else changes.
			u := &next.Users[r.IntN(len(n.Users))]
			own := next.Agencies[slices.IndexFunc(n.Agencies, func(a Agency) bool { return a.ID == u.Agency })]
			own.ID = "own"
			u.Agency = own.ID
			if !change.make(u, &own) {
				continue
			}
			next.Agencies = append(next.Agencies, own)
			lesser := mustIndex(t, rules, next)
			for range 15 {
				q := newReading(t, r)
				before, after := mustRead(t, i, q), mustRead(t, lesser, q)
				for _, other := range n.Users {
					was, is := before.Permits(other.ID), after.Permits(other.ID)
					if is && !was || other.ID != u.ID && is != was {
						t.Fatalf("%s of %s: %s could read: %t, can now: %t\n%+v\n%+v", change.name, u.ID, other.ID, was, is, n, q)
					}
					if was && !is {
						lost[change.name]++
					}
				}
			}
		}
	}
	for _, change := range userNarrowings {
		if lost[change.name] < 3 {
			t.Errorf("%s: %d readings lost: the test has no bite", change.name, lost[change.name])
		}
	}
}
