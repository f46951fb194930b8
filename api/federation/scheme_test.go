package federation

import (
	"errors"
	"strings"
	"testing"
	"time"
	"unicode"

	"github.com/google/go-cmp/cmp"

	"github.com/entente-hub/entente/api/alert"
)

func TestPlainScheme(t *testing.T) {
	s := PlainScheme("urn:x:plain", "plain")
	if err := s.validate(); err != nil || len(s.Levels) != 5 {
		t.Fatalf("%+v: %v", s, err)
	}
	for level := alert.Unclassified; level <= alert.TopSecret; level++ {
		if s.Name(level) != level.String() || s.Level(level.String()) != level {
			t.Errorf("%s: %q, %s", level, s.Name(level), s.Level(level.String()))
		}
	}
}

// What a scheme does not name it has no name for: nothing is guessed, in either direction.
func TestSchemeNames(t *testing.T) {
	s := someScheme()
	for level, want := range map[alert.Classification]string{0: "", alert.Unclassified: "OUVERT",
		alert.Restricted: "DIFFUSION RESTREINTE", alert.Confidential: "", alert.Secret: "SECRET", alert.TopSecret: "", 6: "", -1: ""} {
		if got := s.Name(level); got != want {
			t.Errorf("%d is called %q, want %q", level, got, want)
		}
	}
	for name, want := range map[string]alert.Classification{"OUVERT": alert.Unclassified, "DIFFUSION RESTREINTE": alert.Restricted,
		"DR": alert.Restricted, "SECRET": alert.Secret, "": 0, "secret": 0, "SECRET ": 0, "TRES SECRET": 0, "restricted": 0} {
		if got := s.Level(name); got != want {
			t.Errorf("%q stands for %d, want %d", name, got, want)
		}
	}
	w := &World{Schemes: []Scheme{PlainScheme("urn:x:plain", ""), s}}
	if diff := cmp.Diff(&s, w.Scheme(s.URN)); diff != "" {
		t.Error(diff)
	}
	for _, urn := range []string{"", "urn:x", "urn:x:plain:2", strings.ToUpper(s.URN)} {
		if got := w.Scheme(urn); got != nil {
			t.Errorf("%q is %+v", urn, got)
		}
	}
}

// TestNamesFold: for every letter, names that differ by its forms alone stand for
// one level: as strings.EqualFold has it.
func TestNamesFold(t *testing.T) {
	pairs := 0
	for r := rune('0'); r <= unicode.MaxRune; r++ {
		other := unicode.SimpleFold(r)
		if other == r {
			continue
		}
		pairs++
		s := Scheme{URN: "urn:x:y", Levels: []SchemeLevel{{Level: alert.Secret, Names: []string{"A " + string(r)}},
			{Level: alert.Restricted, Names: []string{"a " + string(other)}}}}
		if err := s.validate(); !errors.Is(err, ErrInvalid) {
			t.Errorf("%q and %q are two names: %v", r, other, err)
		}
	}
	if pairs < 2000 {
		t.Errorf("only %d pairs", pairs)
	}
}

func TestMembersReadSchemes(t *testing.T) {
	r := bodies()[TypeRegistry].(*Registry)
	for scheme, want := range map[string]bool{"": true, r.Schemes[0].URN: true, r.Schemes[1].URN: true, "urn:x": false} {
		r.Members[0].Scheme = scheme
		payload, err := NewStatement(TypeRegistry, r, 1, "", 1)
		if (err == nil) != want {
			t.Errorf("%q: %v", scheme, err)
		}
		if err != nil {
			continue
		}
		if _, b, err := ParseStatement(payload); err != nil || b.(*Registry).Members[0].Scheme != scheme {
			t.Errorf("%q is read as %+v, %v", scheme, b, err)
		}
	}
}

// TestEmergencyBounds: at the limits, and just beyond them.
func TestEmergencyBounds(t *testing.T) {
	hours := int64(MaxEmergency / time.Second)
	for _, c := range []struct {
		nbf, exp int64
		want     bool
	}{
		{1, 2, true}, {1, 1 + hours, true}, {1, 2 + hours, false}, {2, 2, false}, {3, 2, false}, {0, hours, false}, {-5, 5, false},
		{alert.MaxTime - hours, alert.MaxTime, true}, {alert.MaxTime - hours + 1, alert.MaxTime + 1, false}, {1, alert.MaxTime, false},
		{-1 << 63, 1<<63 - 1, false}, {1<<63 - 1, -1 << 63, false},
	} {
		e := bodies()[TypeEmergency].(*Emergency)
		e.ValidFrom, e.ValidUntil = c.nbf, c.exp
		if _, err := NewStatement(TypeEmergency, e, 1, "", 1); (err == nil) != c.want {
			t.Errorf("from %d to %d: %v", c.nbf, c.exp, err)
		}
	}
}

func TestEmergencyInForce(t *testing.T) {
	e := &Emergency{ValidFrom: 100, ValidUntil: 200}
	for _, tt := range []struct {
		at   time.Time
		want bool
	}{{time.Unix(100, -1), false}, {time.Unix(100, 0), true}, {time.Unix(200, -1), true}, {time.Unix(200, 0), false}, {time.Time{}, false}} {
		if got := e.InForce(tt.at); got != tt.want {
			t.Errorf("at %v: %v", tt.at.Unix(), got)
		}
		ended := *e
		ended.Over = true
		if ended.InForce(tt.at) {
			t.Errorf("over, and in force at %v", tt.at.Unix())
		}
	}
}

// TestNoOfficersIsAList: a member that takes all officers away says so with a list.
func TestNoOfficersIsAList(t *testing.T) {
	payload, err := NewStatement(TypeDuty, &DutyOfficers{Member: "XA"}, 2, thumbprint("x"), 1)
	if err != nil || !strings.Contains(string(payload), `"officers":[]`) {
		t.Errorf("%s, %v", payload, err)
	}
	if _, b, err := ParseStatement(payload); err != nil || b.(*DutyOfficers).Officers == nil {
		t.Errorf("%+v, %v", b, err)
	}
}

// TestEmergencyRevisions: the first declares it, the second ends it, and that is all.
func TestEmergencyRevisions(t *testing.T) {
	for _, c := range []struct {
		rev  int64
		over bool
		want bool
	}{{1, false, true}, {1, true, false}, {2, true, true}, {2, false, false}, {3, true, false}, {3, false, false}} {
		e := bodies()[TypeEmergency].(*Emergency)
		e.Over = c.over
		prev := thumbprint("previous")
		if c.rev == 1 {
			prev = ""
		}
		if _, err := NewStatement(TypeEmergency, e, c.rev, prev, 1); (err == nil) != c.want {
			t.Errorf("%+v: %v", c, err)
		}
	}
}

// TestNamesThatLookAlike are not two levels: what nobody sees does not tell them apart.
func TestNamesThatLookAlike(t *testing.T) {
	two := func(a, b string) error {
		return Scheme{URN: "urn:x:y", Title: "t", Levels: []SchemeLevel{{Level: alert.Restricted, Names: []string{a}},
			{Level: alert.Secret, Names: []string{b}}}}.validate()
	}
	for _, other := range []string{"SECRET\u200b", "\u2060SECRET", "SEC\u00adRET", "S\u0415CRET", "\ufeffSECRET", "SECRET\u3164", "secret"} {
		if err := two("SECRET", other); !errors.Is(err, ErrInvalid) {
			t.Errorf("%q is not SECRET: %v", other, err)
		}
	}
	for _, other := range []string{"TRE\u0300S SECRET", "TR\u00c8S\u00a0SECRET", "TR\u00c8S  SECRET", "tr\u00e8s secret"} {
		if err := two("TR\u00c8S SECRET", other); !errors.Is(err, ErrInvalid) {
			t.Errorf("%q is not TR\u00c8S SECRET: %v", other, err)
		}
	}
	if err := two("TR\u00c8S SECRET", "SECRET"); err != nil {
		t.Error(err)
	}
}

// TestPartiesOfAnAgreement: as many as can sign a version in which all of them change.
func TestPartiesOfAnAgreement(t *testing.T) {
	for n, want := range map[int]bool{1: false, 2: true, MaxParties: true, MaxParties + 1: false} {
		a := bodies()[TypeAgreement].(*Agreement)
		a.From, a.To, a.Parties = nil, nil, nil
		for i := range n {
			a.Parties = append(a.Parties, alert.MemberID("X"+string(rune('A'+i/26))+string(rune('A'+i%26))))
		}
		if err := a.validate(); (err == nil) != want {
			t.Errorf("%d parties: %v", n, err)
		}
	}
}
