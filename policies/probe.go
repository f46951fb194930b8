package policies

import (
	"context"

	"github.com/entente-hub/entente/api/alert"
	"github.com/entente-hub/entente/api/federation"
)

// The questions that rules must be able to answer before they are taken: what they
// answer is theirs to say, that they do, in the shape that is asked for, is not.
const (
	probeScheme = "urn:entente:policy:probe:1"
	probeIssued = 1_800_000_000
)

var (
	probeAlert  = alert.ID("0190b6f0-0000-7000-8000-000000000001")
	probeSource = alert.ID("0190b6f0-0000-7000-8000-000000000002")
)

// probeWorld has in it one of everything: a member that is suspended, two that an
// agreement binds, a task force with one of them, a community, consents, an
// emergency.
func probeWorld(consented bool) *federation.World {
	w := &federation.World{
		Revision: "probe",
		Members: map[alert.MemberID]federation.Member{"XA": {ID: "XA", Ceiling: alert.TopSecret},
			"XB": {ID: "XB", Ceiling: alert.Secret}, "XC": {ID: "XC", Ceiling: alert.Restricted, Suspended: true}},
		Communities: map[alert.CommunityID][]alert.MemberID{alert.Federation: {"XA", "XB", "XC"}},
		TaskForces:  map[alert.TaskForceID][]alert.MemberID{"tf-probe": {"XA"}},
		Consents:    map[federation.ConsentKey]federation.Consent{},
		Emergencies: map[federation.ConsentKey]federation.Declared{},
		Schemes:     []federation.Scheme{federation.PlainScheme(probeScheme, "probe")},
		Rules:       federation.Rules{MaxRetentionDays: 30},
		Agreements: []federation.InForce{{Digest: "probe", Agreement: federation.Agreement{ID: "probe",
			Parties: []alert.MemberID{"XA", "XB"}, Categories: []alert.Category{"smuggling"},
			Purposes: []alert.Purpose{"prevention"}, MaxClassification: alert.Secret, PersonalData: alert.Personal,
			RetentionDays: 20, Onward: true}}},
	}
	if consented {
		for of, id := range map[alert.MemberID]alert.ID{"XA": probeAlert, "XB": probeSource} {
			w.Consents[federation.ConsentKey{Originator: of, Alert: id}] = federation.Consent{
				Originator: of, Alert: id, Recipients: []alert.Audience{"XB", "federation"}}
		}
		w.Emergencies[federation.ConsentKey{Originator: "XA", Alert: probeAlert}] = federation.Declared{Digest: "declared",
			Emergency: federation.Emergency{Originator: "XA", Alert: probeAlert, Number: 1,
				Members: []alert.MemberID{"XB"}, Compartments: []alert.TaskForceID{"tf-probe"}}}
	}
	return w
}

// probeLabels go through every field of a label, one after the other and together.
func probeLabels() []alert.Label {
	plain := alert.Label{Policy: probeScheme, Classification: alert.Restricted, ReleasableTo: []alert.Audience{"XB"},
		Categories: []alert.Category{"smuggling"}, Purposes: []alert.Purpose{"prevention"}, PersonalData: alert.NoPersonalData}
	labels := []alert.Label{plain}
	for _, change := range probeChanges {
		l := plain
		change(&l)
		labels = append(labels, l)
	}
	whole := plain
	for _, change := range probeChanges {
		change(&whole)
	}
	return append(labels, whole)
}

var probeChanges = []func(*alert.Label){
	func(l *alert.Label) { l.Classification = alert.Unclassified },
	func(l *alert.Label) { l.Classification = alert.TopSecret },
	func(l *alert.Label) { l.Policy = "urn:entente:policy:none:1" },
	func(l *alert.Label) { l.MarkedAs = "RESTRICTED" },
	func(l *alert.Label) { l.ReleasableTo = nil },
	func(l *alert.Label) { l.ReleasableTo = []alert.Audience{"XC", "XZ", "federation", "nowhere"} },
	func(l *alert.Label) { l.DiscoverableTo = []alert.Audience{"XB", "federation"} },
	func(l *alert.Label) { l.Categories = []alert.Category{"smuggling", "trafficking"} },
	func(l *alert.Label) { l.Purposes = []alert.Purpose{"investigation", "prevention"} },
	func(l *alert.Label) { l.TLP = alert.Clear },
	func(l *alert.Label) { l.TLP = alert.Green },
	func(l *alert.Label) { l.TLP = alert.AmberStrict },
	func(l *alert.Label) { l.TLP = alert.Red },
	func(l *alert.Label) { l.Handling = []alert.Handling{"H2"} },
	func(l *alert.Label) { l.PersonalData = alert.SpecialCategory },
	func(l *alert.Label) { l.PersonalData, l.Retention = alert.Personal, "2027-02-01" },
	func(l *alert.Label) { l.Compartments = []alert.TaskForceID{"tf-none"} },
	func(l *alert.Label) { l.Compartments = []alert.TaskForceID{"tf-probe"} },
	func(l *alert.Label) { l.OriginatorControl = true },
	func(l *alert.Label) { l.DerivedFrom = []alert.ID{probeSource} },
}

// probe asks the rules about every probe label, with and without consents and an
// emergency, from a member, a suspended one and a stranger. Each question has the time that
// a decision has; all together have none, lest a busy machine refuse good rules. Errors wrap
// ErrPolicy.
func (e *Engine) probe(ctx context.Context) error {
	for _, consented := range []bool{false, true} {
		w, err := e.World(probeWorld(consented))
		if err != nil {
			return broken("probe: %w", err)
		}
		labels := probeLabels()
		for _, from := range []alert.MemberID{"XA", "XC", "XZ"} {
			if err := w.probe(ctx, from, labels); err != nil {
				return err
			}
		}
	}
	return nil
}

// probe asks about labels of one originator.
func (w *World) probe(ctx context.Context, from alert.MemberID, labels []alert.Label) error {
	for i, l := range labels {
		q := Query{Originator: from, Label: l, Alert: probeAlert, Sources: map[alert.ID]alert.MemberID{probeSource: "XB"}}
		if _, err := w.evaluate(ctx, q); err != nil {
			return broken("probe %d of release: %w", i, err)
		}
	}
	for _, n := range []int{0, len(labels)} {
		a := Admission{Originator: from, IssuedAt: probeIssued, Expires: probeIssued + secondsPerDay, Labels: labels[:n]}
		if _, err := w.Admit(ctx, a); err != nil {
			return broken("probe of admission: %w", err)
		}
	}
	return nil
}
