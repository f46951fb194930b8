// Package setup makes a whole federation in one folder: authority, hub, members
// and the statements that tie them together, each with its own keys and
// configuration file. It serves the demo, tests and trials. In a real federation
// every party makes its own keys and only statements are exchanged.
package setup

import (
	"time"

	"github.com/entente-hub/entente/api/alert"
	"github.com/entente-hub/entente/api/federation"
)

// Spec describes a federation.
type Spec struct {
	Name        string
	Hub         federation.HubID
	Members     []Member
	Schemes     []federation.Scheme
	Communities []federation.Community
	TaskForces  []TaskForce
	Agreements  []federation.Agreement // ValidFrom and ValidUntil may be 0: from now, for a year
	Postgres    string                 // the hub's database; empty: SQLite
}

// Member is one member and its ceiling.
type Member struct {
	ID      alert.MemberID
	Name    string
	Ceiling alert.Classification
	Scheme  string // what its people read; empty: the level's own name
}

// TaskForce is a task force and its roster.
type TaskForce struct {
	federation.TaskForce
	Members []alert.MemberID
}

// Marking schemes of the federations made here.
const (
	Scheme     = "urn:entente:policy:regional:1"
	SchemeXA   = "urn:entente:policy:xa:1"
	SchemeXB   = "urn:entente:policy:xb:1"
	SchemeEU   = "urn:entente:policy:eu:1"
	SchemeNATO = "urn:entente:policy:nato:1"
)

// schemes are the federation's own, two national ones, and those of the EU
// (Council Decision 2013/488/EU, article 2) and NATO (C-M(2002)49, enclosure E).
func schemes() []federation.Scheme {
	scheme := func(urn, title string, names ...[]string) federation.Scheme {
		s := federation.Scheme{URN: urn, Title: title}
		for i, n := range names {
			if n != nil {
				s.Levels = append(s.Levels, federation.SchemeLevel{Level: alert.Unclassified + alert.Classification(i), Names: n})
			}
		}
		return s
	}
	return []federation.Scheme{
		federation.PlainScheme(Scheme, "Markings of the federation"),
		scheme(SchemeXA, "National markings of XA", []string{"OFFEN"}, []string{"XA-NUR FÜR DEN DIENSTGEBRAUCH", "XA-NfD"},
			[]string{"XA-VERTRAULICH"}, []string{"XA-GEHEIM"}, []string{"XA-STRENG GEHEIM"}),
		scheme(SchemeXB, "National markings of XB", []string{"NON PROTÉGÉ"}, []string{"DIFFUSION RESTREINTE XB"},
			[]string{"CONFIDENTIEL XB"}, []string{"SECRET XB"}, nil),
		scheme(SchemeEU, "EU classified information", nil, []string{"RESTREINT UE/EU RESTRICTED", "R-UE/EU-R"},
			[]string{"CONFIDENTIEL UE/EU CONFIDENTIAL", "C-UE/EU-C"}, []string{"SECRET UE/EU SECRET", "S-UE/EU-S"},
			[]string{"TRÈS SECRET UE/EU TOP SECRET", "TS-UE/EU-TS"}),
		scheme(SchemeNATO, "NATO security classifications", []string{"NATO UNCLASSIFIED"}, []string{"NATO RESTRICTED"},
			[]string{"NATO CONFIDENTIAL"}, []string{"NATO SECRET"}, []string{"COSMIC TOP SECRET"}),
	}
}

// agreementTerm is how long agreements made here last.
const agreementTerm = 365 * 24 * time.Hour

// Trial is the federation of the demo: members XA to XD, a task force of XA, XB
// and XC, a bilateral agreement XA–XB on smuggling with personal data, and a
// multilateral one without.
func Trial() Spec {
	all := []alert.MemberID{"XA", "XB", "XC", "XD"}
	return Spec{
		Name: "entente-trial",
		Hub:  "hub",
		Members: []Member{
			{"XA", "Member XA", alert.Secret, SchemeXA}, {"XB", "Member XB", alert.Secret, SchemeXB},
			{"XC", "Member XC", alert.Secret, ""}, {"XD", "Member XD", alert.Confidential, ""},
		},
		Schemes:     schemes(),
		Communities: []federation.Community{{ID: "river-states", Members: []alert.MemberID{"XA", "XB", "XC"}}},
		TaskForces: []TaskForce{{
			TaskForce: federation.TaskForce{ID: "tf-river", Name: "Joint task force on the river route", Lead: "XA"},
			Members:   []alert.MemberID{"XA", "XB", "XC"},
		}},
		Agreements: []federation.Agreement{
			{
				ID: "xa-xb-smuggling", Title: "XA–XB agreement on combating migrant smuggling",
				Parties:           []alert.MemberID{"XA", "XB"},
				Categories:        []alert.Category{"smuggling", "trafficking", "document-fraud", "border-security"},
				MaxClassification: alert.Secret, PersonalData: alert.SpecialCategory,
				Purposes:      []alert.Purpose{"investigation", "prevention", "border-check"},
				RetentionDays: 365,
			},
			{
				ID: "regional-exchange", Title: "Regional agreement on the exchange of strategic information",
				Parties:           all,
				Categories:        alert.Categories,
				MaxClassification: alert.Confidential, PersonalData: alert.NoPersonalData,
				Purposes:      alert.Purposes,
				RetentionDays: 1095, Onward: true,
			},
		},
	}
}
