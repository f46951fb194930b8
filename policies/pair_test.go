package policies

import (
	"os"
	"testing"

	"github.com/open-policy-agent/opa/v1/ast"
	"github.com/open-policy-agent/opa/v1/rego"

	"github.com/entente-hub/entente/api/alert"
	"github.com/entente-hub/entente/api/federation"
)

// pairEngine is bare OPA: testdata/pair.rego, asked once a recipient, over the
// world in OPA's own store. It is what the benchmark measures set algebra against.
type pairEngine struct{ query rego.PreparedEvalQuery }

func newPairEngine(t testing.TB, w *federation.World) pairEngine {
	t.Helper()
	src, err := os.ReadFile("testdata/pair.rego")
	if err != nil {
		t.Fatal(err)
	}
	compiler, err := compile(map[string]string{"pair.rego": string(src)})
	if err != nil {
		t.Fatal(err)
	}
	query, err := prepare(compiler, "[data.entente.pair.kind, data.entente.pair.refused]", pairData(w))
	if err != nil {
		t.Fatal(err)
	}
	return pairEngine{query}
}

// pairData gives the world as plain JSON, agreements by giver and receiver so
// that a pair's need no search.
func pairData(w *federation.World) map[string]any {
	members, communities, forces, agreements, consents := map[string]any{}, map[string]any{}, map[string]any{}, map[string]any{}, map[string]any{}
	for id, m := range w.Members {
		members[string(id)] = map[string]any{"active": !m.Suspended, "ceiling": int(m.Ceiling)}
		for to := range w.Members {
			var between []any
			for _, a := range w.Agreements {
				if a.Gives(id, to) {
					between = append(between, map[string]any{"level": int(a.MaxClassification), "personal_data": int(a.PersonalData),
						"purposes": words(a.Purposes), "categories": words(a.Categories)})
				}
			}
			put(agreements, string(id), string(to), between)
		}
	}
	for id, list := range w.Communities {
		communities[string(id)] = flags(list)
	}
	for id, list := range w.TaskForces {
		forces[string(id)] = flags(list)
	}
	for key, c := range w.Consents {
		put(consents, string(key.Alert), string(key.Originator), words(c.Recipients))
	}
	emergencies := map[string]any{}
	for key, e := range w.Emergencies {
		put(emergencies, string(key.Alert), string(key.Originator),
			map[string]any{"members": words(e.Members), "compartments": words(e.Compartments)})
	}
	return map[string]any{"world": map[string]any{"members": members, "communities": communities, "task_forces": forces,
		"agreements": agreements, "consents": consents, "emergencies": emergencies}}
}

func put(o map[string]any, first, second string, v any) {
	if o[first] == nil {
		o[first] = map[string]any{}
	}
	o[first].(map[string]any)[second] = v
}

func words[T ~string](list []T) []any {
	out := []any{}
	for _, s := range list {
		out = append(out, string(s))
	}
	return out
}

func flags[T ~string](list []T) map[string]any {
	out := map[string]any{}
	for _, s := range list {
		out[string(s)] = true
	}
	return out
}

// input makes the question for one recipient, parsed beforehand.
func (pairEngine) input(t testing.TB, q Query, r alert.MemberID) ast.Value {
	sources := map[string]any{}
	for id, m := range q.Sources {
		sources[string(id)] = string(m)
	}
	v, err := ast.InterfaceToValue(map[string]any{
		"originator": string(q.Originator), "recipient": string(r), "alert": string(q.Alert), "sources": sources,
		"label": map[string]any{"classification": int(q.Label.Classification), "tlp": q.Label.TLP.String(),
			"personal_data": int(q.Label.PersonalData), "originator_control": q.Label.OriginatorControl,
			"compartments": words(q.Label.Compartments), "releasable_to": words(q.Label.ReleasableTo),
			"discoverable_to": words(q.Label.DiscoverableTo), "categories": words(q.Label.Categories),
			"purposes": words(q.Label.Purposes), "derived_from": words(q.Label.DerivedFrom)},
	})
	if err != nil {
		t.Fatal(err)
	}
	return v
}

// decide returns a pair's kind and the number of codes against content.
func (p pairEngine) decide(t testing.TB, input ast.Value) (kind string, codes int) {
	answer, err := evaluate(t.Context(), p.query, input)
	if err != nil {
		t.Fatal(err)
	}
	both := answer.Value.(*ast.Array)
	return string(both.Elem(0).Value.(ast.String)), both.Elem(1).Value.(ast.Set).Len()
}

// TestPairRulesAgreeWithOracle: what the benchmark compares with gives the same answers.
func TestPairRulesAgreeWithOracle(t *testing.T) {
	r := newRand(t)
	excused := 0
	for range 100 {
		g, w := newWorld(r)
		p := newPairEngine(t, w)
		for range 3 {
			q := g.query(t)
			if q.Originator == stranger {
				continue // its agreements have no place in the table
			}
			for _, m := range g.members {
				if m == q.Originator {
					continue
				}
				want, codes := oracle(w, q.Originator, m, q.Label, q.Alert, q.Sources)
				if !codes["need-to-know"] && !oracleInAll(w, q.Label.Compartments, m) {
					excused++
				}
				if got, n := p.decide(t, p.input(t, q, m)); got != string(want) || n != len(codes) {
					t.Fatalf("%s: pair rules say %s with %d codes, oracle %s %v\n%+v", m, got, n, want, codes, q)
				}
			}
		}
	}
	if excused < 20 {
		t.Errorf("only %d were excused by an emergency", excused)
	}
}
