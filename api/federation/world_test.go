package federation

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/entente-hub/entente/api/alert"
)

func world() *World {
	return &World{
		Members: map[alert.MemberID]Member{"XA": {Ceiling: alert.Secret}, "XB": {Ceiling: alert.Restricted}, "XC": {}},
		Communities: map[alert.CommunityID][]alert.MemberID{
			alert.Federation: {"XA", "XB", "XC"}, "coastal": {"XB", "XA"}, "stale": {"XZ", "XC"}, "empty": nil},
		TaskForces: map[alert.TaskForceID][]alert.MemberID{"tf-sea": {"XA", "XB"}, "tf-air": {"XA"}, "tf-none": nil},
	}
}

func TestExpand(t *testing.T) {
	for _, tt := range []struct{ list, want string }{
		{"", ""}, {"XA", "XA"}, {"XB XA", "XA XB"}, {"coastal", "XA XB"}, {"coastal XA XC", "XA XB XC"}, {"federation", "XA XB XC"},
		{"XZ", ""}, {"unknown", ""}, {"empty", ""}, {"XZ unknown XB", "XB"}, {"stale", "XC"}, {"Xa * all", ""}, {"XA XA", "XA"},
	} {
		var list []alert.Audience
		var want []alert.MemberID
		for _, s := range splitWords(tt.list) {
			list = append(list, alert.Audience(s))
		}
		for _, s := range splitWords(tt.want) {
			want = append(want, alert.MemberID(s))
		}
		w := world()
		if diff := cmp.Diff(want, w.Expand(list)); diff != "" {
			t.Errorf("%q: %s", tt.list, diff)
		}
		if diff := cmp.Diff(world(), w); diff != "" {
			t.Errorf("%q changed the world: %s", tt.list, diff)
		}
	}
	if got := (&World{}).Expand([]alert.Audience{"XA", "federation"}); got != nil {
		t.Errorf("an empty world has members %v", got)
	}
}

func splitWords(s string) []string {
	return strings.Fields(s)
}

func TestClearance(t *testing.T) {
	w := world()
	for m, want := range map[alert.MemberID]alert.Clearance{
		"XA": {Ceiling: alert.Secret, Compartments: []alert.TaskForceID{"tf-air", "tf-sea"}},
		"XB": {Ceiling: alert.Restricted, Compartments: []alert.TaskForceID{"tf-sea"}}, "XC": {}, "XZ": {},
	} {
		if diff := cmp.Diff(want, w.Clearance(m)); diff != "" {
			t.Errorf("%s: %s", m, diff)
		}
	}
	if w.Clearance("XZ").Dominates(alert.Label{Classification: alert.Unclassified}) {
		t.Error("a stranger is cleared")
	}
}

func TestGives(t *testing.T) {
	all := []alert.MemberID{"XA", "XB", "XC"}
	for name, tt := range map[string]struct {
		a    Agreement
		want string
	}{
		"everybody": {Agreement{Parties: all}, "XA-XB XA-XC XB-XA XB-XC XC-XA XC-XB"},
		"from one":  {Agreement{Parties: all, From: all[:1]}, "XA-XB XA-XC"},
		"to one":    {Agreement{Parties: all, To: all[:1]}, "XB-XA XC-XA"},
		"one way":   {Agreement{Parties: all, From: all[:1], To: all[1:2]}, "XA-XB"},
		"to itself": {Agreement{Parties: all, From: all[:1], To: all[:1]}, ""},
		"zero":      {Agreement{}, ""},
	} {
		var got []string
		for _, from := range append(all, "XZ", "") {
			for _, to := range append(all, "XZ", "") {
				if tt.a.Gives(from, to) {
					got = append(got, string(from)+"-"+string(to))
				}
			}
		}
		if diff := cmp.Diff(splitWords(tt.want), got); diff != "" && len(got)+len(tt.want) > 0 {
			t.Errorf("%s: %s", name, diff)
		}
	}
}

func TestCovers(t *testing.T) {
	a := bodies()[TypeAgreement].(*Agreement)
	if !a.Covers("smuggling", "investigation", alert.Secret, alert.Personal) || !a.Covers("visa", "investigation", alert.Unclassified, alert.NoPersonalData) {
		t.Error("its own terms are not covered")
	}
	for name, got := range map[string]bool{
		"category": a.Covers("trafficking", "investigation", alert.Secret, alert.Personal), "purpose": a.Covers("smuggling", "prevention", alert.Secret, alert.Personal),
		"level": a.Covers("smuggling", "investigation", alert.TopSecret, alert.Personal), "personal data": a.Covers("smuggling", "investigation", alert.Secret, alert.SpecialCategory),
		"no level": a.Covers("smuggling", "investigation", 0, alert.Personal), "no kind": a.Covers("smuggling", "investigation", alert.Secret, 0), "no terms": (&Agreement{}).Covers("", "", 0, 0),
	} {
		if got {
			t.Errorf("%s is covered", name)
		}
	}
}

func TestInForce(t *testing.T) {
	a := &Agreement{ValidFrom: 100, ValidUntil: 200}
	for _, tt := range []struct {
		at   time.Time
		want bool
	}{{time.Unix(100, -1), false}, {time.Unix(100, 0), true}, {time.Unix(200, -1), true}, {time.Unix(200, 0), false}, {time.Time{}, false}} {
		if got := a.InForce(tt.at); got != tt.want {
			t.Errorf("at %v: %v", tt.at.Unix(), got)
		}
	}
}
