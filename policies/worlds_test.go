package policies

import (
	"flag"
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/entente-hub/entente/api/alert"
	"github.com/entente-hub/entente/api/federation"
)

// The seed stands, so that a run can be told from another by its tree alone.
var seedFlag = flag.Uint64("seed", 1, "seed of the random worlds; 0 takes one from the clock")

// newRand returns a source of chance whose seed a failing test prints.
func newRand(t testing.TB) *rand.Rand {
	seed := *seedFlag
	if seed == 0 {
		seed = uint64(time.Now().UnixNano())
	}
	t.Logf("repeat with -seed %d", seed)
	return rand.New(rand.NewPCG(seed, seed))
}

func mustLoad(t testing.TB) *Engine {
	t.Helper()
	e, err := Load()
	if err != nil {
		t.Fatal(err)
	}
	return e
}

func mustWorld(t testing.TB, e *Engine, w *federation.World) *World {
	t.Helper()
	ix, err := e.World(w)
	if err != nil {
		t.Fatal(err)
	}
	return ix
}

// gen makes small, crowded worlds in which every rule bites often.
type gen struct {
	*rand.Rand
	members []alert.MemberID
	sources []alert.ID
	owners  map[alert.ID]alert.MemberID // of the sources that are known

	declared []federation.ConsentKey // the alerts with an emergency
}

var (
	someCategories  = []alert.Category{"border-security", "smuggling", "trafficking"}
	somePurposes    = []alert.Purpose{"border-check", "investigation", "prevention"}
	someTaskForces  = []alert.TaskForceID{"tf-one", "tf-two", "tf-unknown"}
	someCommunities = []alert.CommunityID{"east", "west"}
)

const stranger = alert.MemberID("ZZ") // never a member

func chance(r *rand.Rand, percent int) bool { return r.IntN(100) < percent }

// some returns each entry of a list with a chance, in the list's order.
func some[T any](r *rand.Rand, list []T, percent int) []T {
	var out []T
	for _, v := range list {
		if chance(r, percent) {
			out = append(out, v)
		}
	}
	return out
}

// someOf is some, but never empty.
func someOf[T any](r *rand.Rand, list []T, percent int) []T {
	if out := some(r, list, percent); len(out) > 0 {
		return out
	}
	return []T{list[r.IntN(len(list))]}
}

func pick[T any](r *rand.Rand, list ...T) T { return list[r.IntN(len(list))] }

func alertID(n int) alert.ID { return alert.ID(fmt.Sprintf("01890000-0000-7000-8000-%012x", n)) }

// newWorld makes a world of 4 to 12 members.
func newWorld(r *rand.Rand) (*gen, *federation.World) {
	g := &gen{Rand: r, owners: make(map[alert.ID]alert.MemberID)}
	w := &federation.World{
		Revision:    "random",
		Members:     make(map[alert.MemberID]federation.Member),
		Communities: make(map[alert.CommunityID][]alert.MemberID),
		TaskForces:  make(map[alert.TaskForceID][]alert.MemberID),
		Consents:    make(map[federation.ConsentKey]federation.Consent),
		Emergencies: make(map[federation.ConsentKey]federation.Declared),
		Schemes:     []federation.Scheme{partial(r, plainNames, scheme), partial(r, nationalNames, national)},
		Rules:       federation.Rules{MaxRetentionDays: 100},
	}
	for i := range 4 + r.IntN(9) {
		id := alert.MemberID(fmt.Sprintf("X%c", 'A'+i))
		ceiling := pick(r, 0, 1, 2, 3, 4, 5, 5, 5, 5)
		w.Members[id] = federation.Member{ID: id, Ceiling: alert.Classification(ceiling), Suspended: chance(r, 10)}
		g.members = append(g.members, id)
	}
	crowd := append(slices.Clone(g.members), stranger)
	w.Communities[alert.Federation] = slices.Clone(g.members)
	for _, c := range someCommunities {
		w.Communities[c] = some(r, crowd, 50)
	}
	for _, tf := range someTaskForces[:2] {
		w.TaskForces[tf] = some(r, crowd, 70)
	}
	for i := range r.IntN(9) {
		w.Agreements = append(w.Agreements, g.agreement(i, crowd))
	}
	for i := range 5 {
		id := alertID(i)
		g.sources = append(g.sources, id)
		if i == 0 || chance(r, 20) {
			continue // no consent on record
		}
		owner := pick(r, crowd...)
		for _, m := range []alert.MemberID{owner, pick(r, crowd...)} { // the second speaks of what may not be its own
			w.Consents[federation.ConsentKey{Originator: m, Alert: id}] = federation.Consent{Originator: m, Alert: id, Recipients: g.audience(70)}
		}
		if chance(r, 90) {
			g.owners[id] = owner
		}
	}
	for range r.IntN(5) {
		g.declare(w, crowd)
	}
	return g, w
}

// declare declares an emergency for one of a member's alerts.
func (g *gen) declare(w *federation.World, crowd []alert.MemberID) {
	key := federation.ConsentKey{Originator: pick(g.Rand, g.members...), Alert: pick(g.Rand, g.sources...)}
	if _, twice := w.Emergencies[key]; twice {
		return
	}
	w.Emergencies[key] = federation.Declared{Digest: fmt.Sprintf("emergency-%d", len(g.declared)), Emergency: federation.Emergency{
		Originator: key.Originator, Alert: key.Alert, Members: someOf(g.Rand, crowd, 60),
		Compartments: someOf(g.Rand, someTaskForces, 60), ValidUntil: midnight + g.Int64N(1100*86_400)}}
	g.declared = append(g.declared, key)
}

func (g *gen) agreement(i int, crowd []alert.MemberID) federation.InForce {
	a := federation.InForce{Digest: fmt.Sprintf("digest-%02d", i)}
	a.ID = federation.AgreementID(fmt.Sprintf("agreement-%02d", i))
	for a.Parties = some(g.Rand, crowd, 70); len(a.Parties) < 2; {
		a.Parties = some(g.Rand, crowd, 70)
	}
	if chance(g.Rand, 30) {
		a.From = some(g.Rand, a.Parties, 60)
	}
	if chance(g.Rand, 30) {
		a.To = some(g.Rand, a.Parties, 60)
	}
	a.Categories = someOf(g.Rand, someCategories, 60)
	a.Purposes = someOf(g.Rand, somePurposes, 45)
	a.MaxClassification = alert.Classification(1 + g.IntN(5))
	a.PersonalData = alert.PersonalData(1 + g.IntN(3))
	a.RetentionDays = 1 + g.IntN(200)
	a.Onward = chance(g.Rand, 50)
	return a
}

// audience makes a list of members, communities and strangers.
func (g *gen) audience(percent int) []alert.Audience {
	var out []alert.Audience
	for _, m := range some(g.Rand, append(slices.Clone(g.members), stranger), percent) {
		out = append(out, alert.Audience(m))
	}
	for _, c := range some(g.Rand, append(slices.Clone(someCommunities), alert.Federation, "nowhere"), 15) {
		out = append(out, alert.Audience(c))
	}
	return out
}

const (
	scheme      = "urn:entente:policy:regional:1"
	national    = "urn:entente:policy:national:1"
	otherScheme = "urn:entente:policy:other:1" // not in use at first

	midnight = 1_800_057_600 // 2027-01-16 00:00 UTC
)

// The full tables of two schemes; a world has parts of them. One name stands for
// different levels in the two.
var (
	plainNames    = federation.PlainScheme(scheme, "").Levels
	nationalNames = []federation.SchemeLevel{
		{Level: alert.Unclassified, Names: []string{"OUVERT", "secret"}}, {Level: alert.Restricted, Names: []string{"DIFFUSION RESTREINTE", "DR"}},
		{Level: alert.Confidential, Names: []string{"CONFIDENTIEL"}}, {Level: alert.Secret, Names: []string{"SECRET", "S"}},
		{Level: alert.TopSecret, Names: []string{"TRES SECRET"}}}
)

// partial makes a scheme of most of a table.
func partial(r *rand.Rand, table []federation.SchemeLevel, urn string) federation.Scheme {
	s := federation.Scheme{URN: urn, Title: urn}
	for _, l := range someOf(r, table, 90) {
		s.Levels = append(s.Levels, federation.SchemeLevel{Level: l.Level, Names: someOf(r, l.Names, 70)})
	}
	return s
}

// mark gives a label its scheme and, mostly, a name of its level: the right one, one
// of another level or scheme, or one that there is not.
func (g *gen) mark(l *alert.Label) {
	l.Policy = pick(g.Rand, scheme, scheme, national)
	names := plainNames
	if (l.Policy == national) != chance(g.Rand, 15) {
		names = nationalNames
	}
	level := l.Classification
	if chance(g.Rand, 20) {
		level = alert.Classification(1 + g.IntN(5))
	}
	switch {
	case chance(g.Rand, 50):
	case chance(g.Rand, 5):
		l.MarkedAs = "COSMIC"
	default:
		l.MarkedAs = pick(g.Rand, names[level-1].Names...)
	}
}

func (g *gen) label(t testing.TB) alert.Label {
	l := alert.Label{
		Classification:    alert.Classification(pick(g.Rand, 1, 1, 1, 2, 3, 4, 5)),
		TLP:               alert.TLP(g.IntN(6)),
		ReleasableTo:      g.audience(pick(g.Rand, 0, 60, 100)),
		DiscoverableTo:    g.audience(pick(g.Rand, 0, 30, 60)),
		Categories:        someOf(g.Rand, someCategories, 25),
		Purposes:          someOf(g.Rand, somePurposes, 60),
		PersonalData:      alert.PersonalData(pick(g.Rand, 1, 1, 2, 3)),
		OriginatorControl: chance(g.Rand, 25),
	}
	g.mark(&l)
	if chance(g.Rand, 40) {
		l.Compartments = some(g.Rand, someTaskForces, 40)
	}
	if chance(g.Rand, 30) {
		l.DerivedFrom = some(g.Rand, g.sources, 40)
	}
	if chance(g.Rand, 30) {
		l.Handling = someOf(g.Rand, alert.HandlingCodes[:3], 40) // H3 needs a text
	}
	if err := l.Normalize(); err != nil {
		t.Fatal(err)
	}
	return l
}

// query asks about a random label; often of an alert with an emergency, now and
// then for a stranger.
func (g *gen) query(t testing.TB) Query {
	q := Query{Originator: pick(g.Rand, g.members...), Label: g.label(t), Alert: pick(g.Rand, g.sources...), Sources: g.owners}
	if len(g.declared) > 0 && chance(g.Rand, 50) {
		key := pick(g.Rand, g.declared...)
		q.Originator, q.Alert = key.Originator, key.Alert
		if chance(g.Rand, 60) {
			q.Label.Compartments = someOf(g.Rand, someTaskForces, 40)
		}
	}
	if chance(g.Rand, 2) {
		q.Originator = stranger
	}
	return q
}
