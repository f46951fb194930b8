package federation

import (
	"slices"
	"time"

	"github.com/entente-hub/entente/api/alert"
)

// World is all that policy knows of the federation at one moment, taken from
// verified statements. It is never changed once made.
type World struct {
	Revision string    // names the set of statements in force and the moment's validities
	At       time.Time // the moment
	Lapses   time.Time // from here on validity dates make it another world; zero: never

	Members     map[alert.MemberID]Member
	Communities map[alert.CommunityID][]alert.MemberID // with alert.Federation, all members
	TaskForces  map[alert.TaskForceID][]alert.MemberID
	Agreements  []InForce // countersigned, within validity, not suspended; sorted by id
	Consents    map[ConsentKey]Consent
	Emergencies map[ConsentKey]Declared
	Schemes     []Scheme
	Rules       Rules
}

// Declared is an emergency in force and the digest of its statement.
type Declared struct {
	Emergency
	Digest string
}

// Scheme returns a marking scheme by its URN, nil if it is not in use.
func (w *World) Scheme(urn string) *Scheme {
	for i := range w.Schemes {
		if w.Schemes[i].URN == urn {
			return &w.Schemes[i]
		}
	}
	return nil
}

// ConsentKey names a consent, or an emergency: each member can consent to the release of any
// alert id, and only that of the alert's own originator counts.
type ConsentKey struct {
	Originator alert.MemberID
	Alert      alert.ID
}

// InForce is an agreement in force, the digest of its statement and its version.
type InForce struct {
	Agreement
	Digest  string
	Version int64 // the statement's revision
}

// Gives reports whether data may flow from one member to the other under the
// agreement at all.
func (a *Agreement) Gives(from, to alert.MemberID) bool {
	return from != to && side(a.From, a.Parties, from) && side(a.To, a.Parties, to)
}

func side(list, parties []alert.MemberID, m alert.MemberID) bool {
	if len(list) == 0 {
		list = parties
	}
	return slices.Contains(list, m)
}

// Covers reports whether the agreement's terms reach a portion of the category,
// level and kind of personal data, for the purpose.
func (a *Agreement) Covers(c alert.Category, p alert.Purpose, level alert.Classification, pd alert.PersonalData) bool {
	return slices.Contains(a.Categories, c) && slices.Contains(a.Purposes, p) &&
		a.MaxClassification.Dominates(level) && a.PersonalData.Covers(pd)
}

// Expand returns the members that an audience list stands for, sorted. An
// unknown entry stands for nobody.
func (w *World) Expand(list []alert.Audience) []alert.MemberID {
	var out []alert.MemberID
	for _, a := range list {
		if m, ok := a.Member(); ok {
			if _, known := w.Members[m]; known {
				out = append(out, m)
			}
		} else if c, ok := a.Community(); ok {
			for _, m := range w.Communities[c] {
				if _, known := w.Members[m]; known {
					out = append(out, m)
				}
			}
		}
	}
	slices.Sort(out)
	return slices.Compact(out)
}

// Clearance returns a member's ceiling and compartments.
func (w *World) Clearance(m alert.MemberID) alert.Clearance {
	c := alert.Clearance{Ceiling: w.Members[m].Ceiling}
	for tf, members := range w.TaskForces {
		if slices.Contains(members, m) {
			c.Compartments = append(c.Compartments, tf)
		}
	}
	slices.Sort(c.Compartments)
	return c
}
