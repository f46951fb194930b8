package firecheck

import (
	"fmt"
	"testing"
)

// oracleWorld is a small federation: A, B and C agree on smuggling without personal data,
// A and B with; D is suspended.
func oracleWorld() *world {
	agreed := func(id, data string, days int64, onward bool, parties ...string) agreement {
		return agreement{ID: id, Parties: parties, Categories: []string{"smuggling"}, Max: "secret", PersonalData: data,
			Purposes: []string{"investigation"}, Days: days, Onward: onward, digest: id}
	}
	return &world{
		ceilings: map[string]int{"A": level("secret"), "B": level("secret"), "C": level("restricted"), "D": level("secret")}, suspended: map[string]bool{"D": true},
		communities: map[string][]string{"federation": {"A", "B", "C", "D"}}, forces: map[string][]string{"tf": {"A", "B"}},
		agreements: []agreement{agreed("ab", "personal", 10, false, "A", "B"), agreed("abcd", "none", 1000, true, "A", "B", "C", "D")},
		consents:   map[string]consent{"A/x": {Originator: "A", Alert: "x", Recipients: []string{"B"}}, "B/s": {Originator: "B", Alert: "s", Recipients: []string{"C"}}},
	}
}

// TestOracle goes through the rules one by one: a label that differs in one thing from
// one that is released, and what B and C get of A's alert under it.
func TestOracle(t *testing.T) {
	const day = 24 * 60 * 60
	for name, c := range map[string]struct {
		change func(*label)
		b, c   string
	}{
		"as it is":            {func(*label) {}, "content until 1000", "content until 1000"},
		"above C's ceiling":   {func(l *label) { l.Classification = "confidential" }, "content until 1000", ""},
		"discoverable":        {func(l *label) { l.Classification, l.DiscoverableTo = "confidential", []string{"C"} }, "content until 1000", "existence"},
		"compartment":         {func(l *label) { l.Compartments = []string{"tf"} }, "content until 1000", ""},
		"no such compartment": {func(l *label) { l.Compartments = []string{"none"} }, "", ""},
		"released to B":       {func(l *label) { l.ReleasableTo = []string{"B"} }, "content until 1000", ""},
		"released to nobody":  {func(l *label) { l.ReleasableTo = nil }, "", ""},
		"red":                 {func(l *label) { l.TLP = "red" }, "", ""},
		"red, named":          {func(l *label) { l.TLP, l.ReleasableTo = "red", []string{"B"} }, "content until 1000, not onward", ""},
		"personal data":       {func(l *label) { l.PersonalData = "personal" }, "content until 10, not onward", ""},
		"another category":    {func(l *label) { l.Categories = []string{"health"} }, "", ""},
		"two categories":      {func(l *label) { l.Categories = []string{"health", "smuggling"} }, "", ""},
		"another purpose":     {func(l *label) { l.Purposes = []string{"prevention"} }, "", ""},
		"no agreement needed": {func(l *label) { l.Classification, l.Categories = "unclassified", []string{"health"} }, "content until 2000", "content until 2000"},
		"retention":           {func(l *label) { l.Retention = "1970-01-03" }, "content until 3", "content until 3"},
		"originator control":  {func(l *label) { l.OriginatorControl = true }, "content until 1000, not onward", ""},
		"derived from B's":    {func(l *label) { l.DerivedFrom = []string{"s"} }, "content until 1000", "content until 1000"},
		"derived from nobody": {func(l *label) { l.DerivedFrom = []string{"u"} }, "", ""},
		"derived from itself": {func(l *label) { l.DerivedFrom = []string{"x"} }, "", ""},
	} {
		l := &label{Classification: "restricted", ReleasableTo: []string{"federation"}, Categories: []string{"smuggling"},
			Purposes: []string{"investigation"}, PersonalData: "none"}
		c.change(l)
		w := oracleWorld()
		if name != "personal data" { // the one agreement would shorten what the other permits
			w.agreements = w.agreements[1:]
		}
		for to, want := range map[string]string{"A": "", "B": c.b, "C": c.c, "D": ""} {
			got := ""
			if r := w.decide(question{from: "A", to: to, alert: "x", exp: 2000 * day, label: l, owners: map[string]string{"s": "B"}}); r != nil {
				if got = r.Kind; r.Obligations != nil {
					got += fmt.Sprintf(" until %d", r.Obligations.HoldUntil/day)
					if !r.Obligations.Onward {
						got += ", not onward"
					}
				}
			}
			if got != want {
				t.Errorf("%s: %s gets %q, want %q", name, to, got, want)
			}
		}
	}
}
