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
}

// TaskForce is a task force and its roster.
type TaskForce struct {
	federation.TaskForce
	Members []alert.MemberID
}

// Scheme is the marking scheme of the federations made here.
const Scheme = "urn:entente:policy:regional:1"

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
			{"XA", "Member XA", alert.Secret}, {"XB", "Member XB", alert.Secret},
			{"XC", "Member XC", alert.Secret}, {"XD", "Member XD", alert.Confidential},
		},
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
