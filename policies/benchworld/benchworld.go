// Package benchworld makes the federations and labels that decisions are measured
// on, here and beside other engines. They are the same each time.
package benchworld

import (
	"fmt"
	"math/rand/v2"

	"github.com/entente-hub/entente/api/alert"
	"github.com/entente-hub/entente/api/federation"
)

const (
	// Originator is the member whose portions are asked about.
	Originator alert.MemberID = "X0000"
	// TaskForces is the number of task forces in each federation.
	TaskForces = 200

	scheme = "urn:entente:policy:regional:1"
)

// New makes a federation of the originator and n recipients, at most 9,999, with
// TaskForces task forces and that many agreements: one of all on what is
// restricted, one of each community of ten, and the others between two members,
// each on terms of its own. Every fourth of those has the originator as a party,
// and two members in a hundred are suspended.
func New(n, agreements int) *federation.World {
	r := rand.New(rand.NewPCG(1, uint64(n)))
	w := &federation.World{Revision: fmt.Sprintf("benchmark %d %d", n, agreements),
		Members: make(map[alert.MemberID]federation.Member), Communities: make(map[alert.CommunityID][]alert.MemberID),
		TaskForces: make(map[alert.TaskForceID][]alert.MemberID), Schemes: []federation.Scheme{federation.PlainScheme(scheme, "plain")}}
	var all []alert.MemberID
	for i := range n + 1 {
		id := alert.MemberID(fmt.Sprintf("X%04d", i))
		w.Members[id] = federation.Member{ID: id, Ceiling: alert.Confidential + alert.Classification(r.IntN(3)), Suspended: i > 0 && r.IntN(100) < 2}
		all = append(all, id)
	}
	w.Communities[alert.Federation] = all
	for i := 0; i < len(all); i += 10 {
		w.Communities[alert.CommunityID(fmt.Sprintf("region-%03d", i/10))] = all[i:min(i+10, len(all))]
	}
	for i := range TaskForces {
		w.TaskForces[force(i)] = some(r, all, 80)
	}
	add := func(level alert.Classification, parties ...alert.MemberID) {
		a := federation.InForce{Digest: fmt.Sprintf("%043d", len(w.Agreements)), Version: 1}
		a.ID = federation.AgreementID(fmt.Sprintf("agreement-%05d", len(w.Agreements)))
		a.Parties, a.MaxClassification = parties, level
		a.Categories, a.Purposes = some(r, alert.Categories, 40), some(r, alert.Purposes, 40)
		a.PersonalData, a.RetentionDays = alert.PersonalData(1+r.IntN(3)), 365
		w.Agreements = append(w.Agreements, a)
	}
	add(alert.Restricted, all...)
	w.Agreements[0].Categories, w.Agreements[0].Purposes, w.Agreements[0].PersonalData = alert.Categories, alert.Purposes, alert.Personal
	for i := 0; i+1 < len(all) && len(w.Agreements) < agreements; i += 10 {
		add(alert.Confidential, all[i:min(i+10, len(all))]...)
	}
	for len(w.Agreements) < agreements {
		i, k := r.IntN(len(all)), 1+r.IntN(n)
		if len(w.Agreements)%4 == 0 {
			i = 0
		}
		add(alert.Restricted+alert.Classification(r.IntN(3)), all[i], all[(i+k)%len(all)])
	}
	return w
}

// Labels returns four portions' labels: open to all, open to most, to named
// members with personal data, and to two task forces with all to learn of
// existence.
func Labels(w *federation.World) []alert.Label {
	var named []alert.Audience
	for _, m := range w.Communities[alert.Federation] {
		named = append(named, alert.Audience(m))
	}
	all := []alert.Audience{alert.Audience(alert.Federation)}
	return []alert.Label{
		{Policy: scheme, Classification: alert.Unclassified, TLP: alert.Green, ReleasableTo: all,
			Categories: []alert.Category{"labour"}, Purposes: []alert.Purpose{"labour-matching"}, PersonalData: alert.NoPersonalData},
		{Policy: scheme, Classification: alert.Restricted, TLP: alert.Amber, ReleasableTo: all, Compartments: []alert.TaskForceID{force(1)},
			Categories: []alert.Category{"smuggling"}, Purposes: []alert.Purpose{"investigation", "prevention"}, PersonalData: alert.NoPersonalData},
		{Policy: scheme, Classification: alert.Confidential, TLP: alert.Red, ReleasableTo: named,
			Categories: []alert.Category{"smuggling", "trafficking"}, Purposes: []alert.Purpose{"investigation"}, PersonalData: alert.Personal},
		{Policy: scheme, Classification: alert.Secret, TLP: alert.AmberStrict, ReleasableTo: all, DiscoverableTo: all,
			Compartments: []alert.TaskForceID{force(1), force(2)}, Categories: []alert.Category{"smuggling"},
			Purposes: []alert.Purpose{"investigation"}, PersonalData: alert.NoPersonalData},
	}
}

func force(i int) alert.TaskForceID { return alert.TaskForceID(fmt.Sprintf("tf-%02d", i)) }

// some returns each entry of a list with a chance in a hundred, one at least.
func some[T any](r *rand.Rand, list []T, percent int) []T {
	var out []T
	for _, v := range list {
		if r.IntN(100) < percent {
			out = append(out, v)
		}
	}
	if len(out) == 0 {
		return list[:1]
	}
	return out
}
