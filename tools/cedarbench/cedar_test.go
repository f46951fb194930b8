// Package cedarbench measures decisions on a release beside the same rules in
// Cedar, asked a pair at a time through cedar-go. It is a module of its own, so
// that the product does not depend on what it is compared with.
//
//	cd tools/cedarbench && go test -bench . -benchmem
package cedarbench

import (
	_ "embed"
	"fmt"
	"maps"
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/cedar-policy/cedar-go"
	"github.com/cedar-policy/cedar-go/types"

	"github.com/entente-hub/entente/api/alert"
	"github.com/entente-hub/entente/api/federation"
	"github.com/entente-hub/entente/api/feed"
	"github.com/entente-hub/entente/policies"
	"github.com/entente-hub/entente/policies/benchworld"
)

//go:embed release.cedar
var release []byte

// cedarEngine answers for one originator. What Cedar has no words for, that for
// one purpose each category must be covered, is looked up in a table made
// beforehand, as the rules of Entente do: a member holds a grant for each cell
// that an agreement with the originator covers, and a portion says which grants
// each of its purposes needs.
type cedarEngine struct {
	policies *cedar.PolicySet
	entities types.EntityMap
}

func newCedarEngine(t testing.TB, w *federation.World, originator alert.MemberID) *cedarEngine {
	t.Helper()
	set, err := cedar.NewPolicySetFromBytes("release.cedar", release)
	if err != nil {
		t.Fatal(err)
	}
	e := &cedarEngine{policies: set, entities: make(types.EntityMap)}
	for id := range w.Communities {
		e.entities[community(string(id))] = types.Entity{UID: community(string(id))}
	}
	for id, m := range w.Members {
		var parents []types.EntityUID
		for c, list := range w.Communities {
			if slices.Contains(list, id) {
				parents = append(parents, community(string(c)))
			}
		}
		var forces []types.Value
		for tf, list := range w.TaskForces {
			if slices.Contains(list, id) {
				forces = append(forces, types.String(tf))
			}
		}
		e.entities[member(id)] = types.Entity{UID: member(id), Parents: types.NewEntityUIDSet(parents...),
			Attributes: types.NewRecord(types.RecordMap{"suspended": types.Boolean(m.Suspended), "ceiling": types.Long(m.Ceiling),
				"compartments": types.NewSet(forces...), "grants": grants(w, originator, id)})}
	}
	return e
}

// grants names the cells that agreements from one member to another cover.
func grants(w *federation.World, from, to alert.MemberID) types.Set {
	cells := make(map[string]bool)
	for i := range w.Agreements {
		a := &w.Agreements[i]
		if !a.Gives(from, to) {
			continue
		}
		for _, c := range a.Categories {
			for _, p := range a.Purposes {
				for level := alert.Unclassified; level <= a.MaxClassification; level++ {
					for pd := alert.NoPersonalData; pd <= a.PersonalData; pd++ {
						cells[grant(c, p, level, pd)] = true
					}
				}
			}
		}
	}
	return texts(slices.Collect(maps.Keys(cells)))
}

func grant(c alert.Category, p alert.Purpose, level alert.Classification, pd alert.PersonalData) string {
	return fmt.Sprintf("%s %s %d %d", c, p, level, pd)
}

func texts[T ~string](list []T) types.Set {
	values := make([]types.Value, len(list))
	for i, s := range list {
		values[i] = types.String(s)
	}
	return types.NewSet(values...)
}

func member(m alert.MemberID) types.EntityUID { return types.NewEntityUID("Member", types.String(m)) }
func community(c string) types.EntityUID      { return types.NewEntityUID("Community", types.String(c)) }

func audience(list []alert.Audience) types.Set {
	var values []types.Value
	for _, a := range list {
		if m, ok := a.Member(); ok {
			values = append(values, member(m))
		} else {
			values = append(values, community(string(a)))
		}
	}
	return types.NewSet(values...)
}

// maxPurposes bounds the purposes of a label that release.cedar spells out.
const maxPurposes = 2

// portion adds a label as a resource.
func (e *cedarEngine) portion(t testing.TB, name string, originator alert.MemberID, l alert.Label) types.EntityUID {
	t.Helper()
	if len(l.Purposes) > maxPurposes || l.OriginatorControl || len(l.DerivedFrom) > 0 {
		t.Fatal("release.cedar does not spell out so many purposes, and has no consents")
	}
	attributes := types.RecordMap{
		"originator": member(originator), "classification": types.Long(l.Classification), "tlp": types.Long(l.TLP),
		"personal_data": types.Long(l.PersonalData), "compartments": texts(l.Compartments),
		"releasable_to": audience(l.ReleasableTo), "discoverable_to": audience(l.DiscoverableTo),
		"originator_control": types.Boolean(false), "derived": types.Boolean(false), "consented": types.NewSet(),
	}
	for i := range maxPurposes {
		p := l.Purposes[min(i, len(l.Purposes)-1)]
		var needs, open []string
		for _, c := range l.Categories {
			needs = append(needs, grant(c, p, l.Classification, l.PersonalData))
			open = append(open, grant(c, p, l.Classification, alert.NoPersonalData))
		}
		attributes[types.String(fmt.Sprintf("needs_%d", i+1))] = texts(needs)
		attributes[types.String(fmt.Sprintf("open_%d", i+1))] = texts(open)
	}
	uid := types.NewEntityUID("Portion", types.String(name))
	e.entities[uid] = types.Entity{UID: uid, Attributes: types.NewRecord(attributes)}
	return uid
}

var (
	content  = types.NewEntityUID("Action", "content")
	discover = types.NewEntityUID("Action", "discover")
)

// decide returns what a member gets, and the rules that refuse it content.
func (e *cedarEngine) decide(m alert.MemberID, portion types.EntityUID) (feed.Kind, []cedar.DiagnosticReason) {
	request := cedar.Request{Principal: member(m), Action: content, Resource: portion}
	allowed, why := cedar.Authorize(e.policies, e.entities, request)
	if allowed {
		return feed.Content, nil
	}
	request.Action = discover
	if allowed, _ := cedar.Authorize(e.policies, e.entities, request); allowed {
		return feed.Existence, why.Reasons
	}
	return feed.None, why.Reasons
}

// code returns the reason code of a policy, from its annotation.
func (e *cedarEngine) code(id cedar.PolicyID) string {
	return string(e.policies.Get(id).Annotations()["code"])
}

// agree fails unless both engines say the same of every pair.
func agree(t testing.TB, e *cedarEngine, w *federation.World, a *policies.Audience, portion types.EntityUID) {
	t.Helper()
	refused := a.Refused()
	for m := range w.Members {
		if m == benchworld.Originator {
			continue
		}
		var want []string
		for code, members := range refused {
			if slices.Contains(members, m) {
				want = append(want, code)
			}
		}
		kind, reasons := e.decide(m, portion)
		var got []string
		for _, r := range reasons {
			got = append(got, e.code(r.PolicyID))
		}
		slices.Sort(want)
		slices.Sort(got)
		if kind != a.Of(m) || strings.Join(got, " ") != strings.Join(want, " ") {
			t.Fatalf("%s: Cedar says %s %v, the rules %s %v", m, kind, got, a.Of(m), want)
		}
	}
}

func BenchmarkRelease(b *testing.B) {
	engine, err := policies.Load()
	if err != nil {
		b.Fatal(err)
	}
	for _, n := range []int{10, 50, 200, 1000} {
		fw := benchworld.New(n, 1000)
		world, err := engine.World(fw)
		if err != nil {
			b.Fatal(err)
		}
		e := newCedarEngine(b, fw, benchworld.Originator)
		var portions []types.EntityUID
		var queries []policies.Query
		for i, l := range benchworld.Labels(fw) {
			q := policies.Query{Originator: benchworld.Originator, Label: l}
			a, err := world.Decide(b.Context(), q)
			if err != nil {
				b.Fatal(err)
			}
			portions = append(portions, e.portion(b, fmt.Sprint(i), benchworld.Originator, l))
			agree(b, e, fw, a, portions[i])
			queries = append(queries, q)
		}
		members := slices.Sorted(maps.Keys(fw.Members))[1:]
		b.Run(fmt.Sprintf("cedar-a-pair/recipients=%d", n), func(b *testing.B) {
			measured(b, n*len(portions), func() {
				for _, p := range portions {
					for _, m := range members {
						e.decide(m, p)
					}
				}
			})
		})
		b.Run(fmt.Sprintf("entente-undecided/recipients=%d", n), func(b *testing.B) {
			serial := 0
			measured(b, n*len(queries), func() {
				serial++
				for _, q := range queries {
					q.Label.HandlingText = fmt.Sprint(serial) // a label that was never seen
					if _, err := world.Decide(b.Context(), q); err != nil {
						b.Fatal(err)
					}
				}
			})
		})
		b.Run(fmt.Sprintf("entente-known/recipients=%d", n), func(b *testing.B) {
			measured(b, n*len(queries), func() {
				for _, q := range queries {
					a, err := world.Decide(b.Context(), q)
					if err != nil {
						b.Fatal(err)
					}
					for _, m := range members {
						a.Of(m)
					}
				}
			})
		})
	}
}

// measured reports for each pair the time that passed and the processor time that
// went into it.
func measured(b *testing.B, pairs int, f func()) {
	b.ReportAllocs()
	before := processorTime(b)
	for b.Loop() {
		f()
	}
	n := float64(b.N) * float64(pairs)
	b.ReportMetric(float64(processorTime(b)-before)/n, "cpu-ns/pair")
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/n, "ns/pair")
}

func processorTime(b *testing.B) int64 {
	var r syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &r); err != nil {
		b.Fatal(err)
	}
	return r.Utime.Nano() + r.Stime.Nano()
}
