package policies

import (
	"context"
	"fmt"
	"math/rand/v2"
	"testing"

	"github.com/open-policy-agent/opa/v1/ast"

	"github.com/entente-hub/entente/api/alert"
	"github.com/entente-hub/entente/api/federation"
	"github.com/entente-hub/entente/api/feed"
)

// benchWorld makes a federation of n members besides the originator XAA: one
// agreement of all on unclassified matters, one of each community of ten, and
// pacts bilateral agreements a member, each on terms of its own.
func benchWorld(n, pacts int) *federation.World {
	r := rand.New(rand.NewPCG(1, uint64(n)))
	w := &federation.World{Members: map[alert.MemberID]federation.Member{}, Communities: map[alert.CommunityID][]alert.MemberID{},
		TaskForces: map[alert.TaskForceID][]alert.MemberID{}, Consents: map[federation.ConsentKey]federation.Consent{}, Schemes: []string{scheme}}
	var ids []alert.MemberID
	for i := range n + 1 {
		id := alert.MemberID(fmt.Sprintf("X%c%c", 'A'+i/26, 'A'+i%26))
		w.Members[id] = federation.Member{ID: id, Ceiling: alert.Classification(pick(r, 3, 4, 5)), Suspended: i > 0 && chance(r, 2)}
		ids = append(ids, id)
	}
	w.Communities[alert.Federation] = ids
	for i := 0; i < len(ids); i += 10 {
		w.Communities[alert.CommunityID(fmt.Sprintf("region-%02d", i/10))] = ids[i:min(i+10, len(ids))]
	}
	for i := range 20 {
		w.TaskForces[alert.TaskForceID(fmt.Sprintf("tf-%02d", i))] = some(r, ids, 80)
	}
	add := func(parties []alert.MemberID, level alert.Classification) {
		a := federation.InForce{Digest: fmt.Sprintf("%043d", len(w.Agreements))}
		a.ID = federation.AgreementID(fmt.Sprintf("agreement-%05d", len(w.Agreements)))
		a.Parties, a.MaxClassification = parties, level
		a.Categories, a.Purposes = someOf(r, alert.Categories, 40), someOf(r, alert.Purposes, 40)
		a.PersonalData, a.RetentionDays = alert.PersonalData(1+r.IntN(3)), 365
		w.Agreements = append(w.Agreements, a)
	}
	add(ids, alert.Restricted)
	w.Agreements[0].Categories, w.Agreements[0].Purposes, w.Agreements[0].PersonalData = alert.Categories, alert.Purposes, alert.Personal
	for i := range ids {
		for k := 1; k <= min(pacts/2, n/2); k++ {
			add([]alert.MemberID{ids[i], ids[(i+k)%len(ids)]}, alert.Classification(pick(r, 2, 3, 4)))
		}
	}
	return w
}

// benchLabels returns four portions: open to all, open to most, to named
// members with personal data, and to two task forces with some discoverable.
func benchLabels(w *federation.World) []alert.Label {
	var named []alert.Audience
	for _, m := range w.Communities[alert.Federation] {
		named = append(named, alert.Audience(m))
	}
	all := []alert.Audience{"federation"}
	return []alert.Label{
		{Policy: scheme, Classification: alert.Unclassified, TLP: alert.Green, ReleasableTo: all,
			Categories: []alert.Category{"labour"}, Purposes: []alert.Purpose{"labour-matching"}, PersonalData: alert.NoPersonalData},
		{Policy: scheme, Classification: alert.Restricted, TLP: alert.Amber, ReleasableTo: all, Compartments: []alert.TaskForceID{"tf-01"},
			Categories: []alert.Category{"smuggling"}, Purposes: []alert.Purpose{"investigation", "prevention"}, PersonalData: alert.NoPersonalData},
		{Policy: scheme, Classification: alert.Confidential, TLP: alert.Red, ReleasableTo: named,
			Categories: []alert.Category{"smuggling", "trafficking"}, Purposes: []alert.Purpose{"investigation"}, PersonalData: alert.Personal},
		{Policy: scheme, Classification: alert.Secret, TLP: alert.AmberStrict, ReleasableTo: all, DiscoverableTo: all,
			Compartments: []alert.TaskForceID{"tf-01", "tf-02"}, Categories: []alert.Category{"smuggling"},
			Purposes: []alert.Purpose{"investigation"}, PersonalData: alert.NoPersonalData},
	}
}

func perPair(b *testing.B, pairs int) {
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/float64(pairs), "ns/pair")
}

func BenchmarkDecide(b *testing.B) {
	ctx := context.Background()
	e := mustLoad(b)
	for _, n := range []int{4, 50, 200} {
		fw := benchWorld(n, 20)
		w := mustWorld(b, e, fw)
		labels := benchLabels(fw)
		pairs := n * len(labels)
		queries := make([]Query, len(labels))
		for i, l := range labels {
			queries[i] = Query{Originator: "XAA", Label: l}
			if _, err := w.Decide(ctx, queries[i]); err != nil {
				b.Fatal(err)
			}
		}
		b.Run(fmt.Sprintf("undecided/recipients=%d", n), func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				for _, q := range queries {
					if _, err := w.evaluate(ctx, q); err != nil {
						b.Fatal(err)
					}
				}
			}
			perPair(b, pairs)
		})
		b.Run(fmt.Sprintf("known/recipients=%d", n), func(b *testing.B) {
			b.ReportAllocs()
			got := 0
			for b.Loop() {
				for _, q := range queries {
					a, err := w.Decide(ctx, q)
					if err != nil {
						b.Fatal(err)
					}
					for _, m := range w.members[1:] {
						if a.Of(m) == feed.Content {
							got++
						}
					}
				}
			}
			perPair(b, pairs)
		})
		if n == 50 {
			b.Run(fmt.Sprintf("bare-opa-a-pair/recipients=%d", n), func(b *testing.B) { benchPairs(b, fw, w, queries) })
		}
		b.Run(fmt.Sprintf("oracle/recipients=%d", n), func(b *testing.B) {
			for b.Loop() {
				for _, q := range queries {
					for _, m := range w.members[1:] {
						oracle(fw, q.Originator, m, q.Label, q.Alert, q.Sources)
					}
				}
			}
			perPair(b, pairs)
		})
	}
}

// benchPairs asks bare OPA once a pair. The questions are parsed beforehand.
func benchPairs(b *testing.B, fw *federation.World, w *World, queries []Query) {
	p := newPairEngine(b, fw)
	var inputs []ast.Value
	for _, q := range queries {
		for _, m := range w.members[1:] {
			inputs = append(inputs, p.input(b, q, m))
		}
	}
	b.ReportAllocs()
	for b.Loop() {
		for _, input := range inputs {
			p.decide(b, input)
		}
	}
	perPair(b, len(inputs))
}

func BenchmarkWorld(b *testing.B) {
	e := mustLoad(b)
	for _, pacts := range []int{20, 200} {
		fw := benchWorld(200, pacts)
		b.Run(fmt.Sprintf("members=201/agreements=%d", len(fw.Agreements)), func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				mustWorld(b, e, fw)
			}
		})
		b.Run(fmt.Sprintf("first-use-of-an-originator/agreements=%d", len(fw.Agreements)), func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				b.StopTimer()
				w := mustWorld(b, e, fw)
				b.StartTimer()
				w.given("XAA")
			}
		})
	}
}
