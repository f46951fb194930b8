package federation

import (
	"encoding/json"
	"fmt"
	"regexp"
	"slices"
	"time"

	"github.com/entente-hub/entente/api/alert"
)

// Key is a public key as a JWK (RFC 7517), kept as it came; crypto/keys reads
// it. Its kid, "<owner>/<RFC 7638 thumbprint>", is all that is checked here.
type Key = json.RawMessage

// AgreementID names an agreement: 2 to 63 of a–z, 0–9 and hyphen, a letter first.
type AgreementID string

// HubID names a hub, in the same form as AgreementID.
type HubID string

var idRE = regexp.MustCompile(`^[a-z][a-z0-9-]{0,61}[a-z0-9]$`)

// UnmarshalText parses.
func (a *AgreementID) UnmarshalText(b []byte) error {
	if !idRE.Match(b) {
		return invalid("agreement id %.70q", b)
	}
	*a = AgreementID(b)
	return nil
}

// UnmarshalText parses.
func (h *HubID) UnmarshalText(b []byte) error {
	if !idRE.Match(b) {
		return invalid("hub id %.70q", b)
	}
	*h = HubID(b)
	return nil
}

// Registry lists who is in the federation. Its subject is the federation's name.
type Registry struct {
	Federation     string        `json:"federation"`
	Members        []Member      `json:"members"`
	Communities    []Community   `json:"communities,omitempty"`
	TaskForces     []TaskForce   `json:"task_forces,omitempty"`
	Hub            Hub           `json:"hub"`
	Schemes        []Scheme      `json:"schemes"` // marking schemes (label "policy") in use
	PolicyOfficers PolicyOfficer `json:"policy_officers"`
	Auditors       []Auditor     `json:"auditors,omitempty"` // who may place and lift legal holds, each alone
	Rules          Rules         `json:"rules"`
}

// Member is one member's entry: its trust anchors and its ceiling.
type Member struct {
	ID        alert.MemberID       `json:"id"`
	Name      string               `json:"name"`
	RootKeys  []Key                `json:"root_keys"` // several while a root key is rotated
	Ceiling   alert.Classification `json:"ceiling"`
	Scheme    string               `json:"scheme,omitempty"`    // the marking scheme that its own people read; left out: the level's name
	Suspended bool                 `json:"suspended,omitempty"` // gets nothing, publishes nothing
}

// Community is a named set of members.
type Community struct {
	ID      alert.CommunityID `json:"id"`
	Members []alert.MemberID  `json:"members"`
}

// TaskForce names a compartment and the member that keeps its roster.
type TaskForce struct {
	ID   alert.TaskForceID `json:"id"`
	Name string            `json:"name"`
	Lead alert.MemberID    `json:"lead"`
}

// Scheme is a marking scheme: the names under which a state, the EU or NATO knows
// the levels. Equivalence between two schemes is that their names stand for the
// same level; nothing else converts one marking into another.
type Scheme struct {
	URN    string        `json:"urn"`
	Title  string        `json:"title"`
	Levels []SchemeLevel `json:"levels"` // each level at most once; one that is missing has no name in the scheme
}

// SchemeLevel is what a scheme calls a level. The first name is the one that is
// shown; all are understood.
type SchemeLevel struct {
	Level alert.Classification `json:"level"`
	Names []string             `json:"names"`
}

// PlainScheme is a scheme that calls the levels by their own names.
func PlainScheme(urn, title string) Scheme {
	s := Scheme{URN: urn, Title: title}
	for level := alert.Unclassified; level <= alert.TopSecret; level++ {
		s.Levels = append(s.Levels, SchemeLevel{Level: level, Names: []string{level.String()}})
	}
	return s
}

// Name returns what the scheme calls a level, "" if it has no name for it.
func (s *Scheme) Name(c alert.Classification) string {
	for _, l := range s.Levels {
		if l.Level == c {
			return l.Names[0]
		}
	}
	return ""
}

// Level returns the level that a name stands for, 0 if the scheme does not know it.
func (s *Scheme) Level(name string) alert.Classification {
	for _, l := range s.Levels {
		if slices.Contains(l.Names, name) {
			return l.Level
		}
	}
	return 0
}

// Hub is the hub's identity and the keys with which it signs receipts, feed
// heads and checkpoints.
type Hub struct {
	ID   HubID `json:"id"`
	Keys []Key `json:"keys"`
}

// PolicyOfficer says whose signatures bring a policy bundle into force.
type PolicyOfficer struct {
	Quorum int   `json:"quorum"`
	Keys   []Key `json:"keys"`
}

// Auditor is one of the federation's auditors. The owner of each key is the name.
type Auditor struct {
	Name string `json:"name"` // in the form of a HubID, and not "authority"
	Keys []Key  `json:"keys"` // several while a key is rotated
}

// Rules are the federation's bounds that policy, or the hub, refers to.
type Rules struct {
	// MaxRetentionDays bounds, from an alert's iat, how long a portion with
	// personal data may be held; such a portion must name its retention.
	MaxRetentionDays int `json:"max_retention_days"`

	// TrailRetentionDays is how long the hub keeps what the entries of its audit log
	// say: at least MinTrailRetentionDays; 0, which is left out: for ever.
	TrailRetentionDays int `json:"trail_retention_days,omitempty"`
}

// NodeKey certifies a key with which a member's node signs, from NotBefore
// until NotAfter, both in seconds since 1970-01-01 UTC. Windows may overlap
// while keys are rotated. Its subject is the key's id.
type NodeKey struct {
	Member    alert.MemberID `json:"member"`
	KeyID     string         `json:"kid"`
	Key       Key            `json:"key"`
	NotBefore int64          `json:"nbf"`
	NotAfter  int64          `json:"exp"`
	Revoked   int64          `json:"revoked,omitempty"` // nothing signed from then on counts
}

// Roster lists a task force's members.
type Roster struct {
	TaskForce alert.TaskForceID `json:"task_force"`
	Members   []alert.MemberID  `json:"members"`
}

// MaxParties bounds the parties of an agreement. With it a new version by which all
// of them change has no more signatures than a statement can carry.
const MaxParties = 128

// Agreement says what its parties may give one another. A term that is a list
// permits what it lists and nothing else.
type Agreement struct {
	ID                AgreementID          `json:"id"`
	Title             string               `json:"title"`
	Parties           []alert.MemberID     `json:"parties"`
	From              []alert.MemberID     `json:"from,omitzero"` // who gives under it; left out: every party
	To                []alert.MemberID     `json:"to,omitzero"`   // who receives under it; left out: every party
	Categories        []alert.Category     `json:"categories"`
	MaxClassification alert.Classification `json:"max_classification"`
	PersonalData      alert.PersonalData   `json:"personal_data"` // the most protected kind that it covers
	Purposes          []alert.Purpose      `json:"purposes"`
	RetentionDays     int                  `json:"retention_days"` // a receiver holds content no longer than this
	Onward            bool                 `json:"onward"`         // receivers may pass on, subject to the label
	ValidFrom         int64                `json:"nbf"`            // seconds since 1970-01-01 UTC
	ValidUntil        int64                `json:"exp"`
}

// Suspension is one party's word on whether an agreement rests.
type Suspension struct {
	Agreement AgreementID    `json:"agreement"`
	Party     alert.MemberID `json:"party"`
	Suspended bool           `json:"suspended"`
	Reason    string         `json:"reason,omitempty"`
}

// Consent is an originator's consent to the release of one of its alerts
// (originator control) and of what is derived from it (third-party rule) to
// those listed. A later revision with a shorter list withdraws it.
type Consent struct {
	Originator alert.MemberID   `json:"originator"`
	Alert      alert.ID         `json:"alert"`
	Recipients []alert.Audience `json:"recipients"`
}

// MaxEmergency is the longest that an emergency release may last. Whoever needs
// more has the time to ask the others.
const MaxEmergency = 72 * time.Hour

// DutyOfficers lists the persons of a member who may declare an emergency, two of
// them together. The owner of each one's key is "<member>.<name>".
type DutyOfficers struct {
	Member   alert.MemberID `json:"member"`
	Officers []Key          `json:"officers"` // none: nobody
}

// Emergency widens the release of one alert where a life is threatened: for the
// members named, and for as long as it lasts, membership of the compartments
// named is not asked for. It touches nothing else that a release depends on: no
// release list, no agreement, no consent. Two duty officers of the originator
// sign it. Revision 1 declares it; revision 2, the same with Over set, ends it
// before its time, for which one of them suffices. Of several for one alert the
// one with the highest number counts: whoever wants to name another member
// declares the next, so that each is shown to those alone whom it names.
type Emergency struct {
	Originator   alert.MemberID      `json:"originator"`
	Alert        alert.ID            `json:"alert"`
	Number       int                 `json:"number"`       // from 1, of the alert's emergencies
	Threat       string              `json:"threat"`       // to whose life, and how it is known
	Duty         string              `json:"duty"`         // the law or order that obliges to act
	Members      []alert.MemberID    `json:"members"`      // who gets it
	Compartments []alert.TaskForceID `json:"compartments"` // whose membership is not asked for
	ValidFrom    int64               `json:"nbf"`          // seconds since 1970-01-01 UTC
	ValidUntil   int64               `json:"exp"`          // at most MaxEmergency later
	Over         bool                `json:"over,omitempty"`
}

// Policy names the policy bundle in force by the digest of its rules. A bundle
// has a number of its own, from 1, and none follows one with a higher number.
type Policy struct {
	Name   string `json:"name"` // "release"
	Digest string `json:"digest"`
	Bundle int64  `json:"bundle"` // the bundle's revision
}

// MarshalJSON writes no members as [], never as null.
func (c Community) MarshalJSON() ([]byte, error) {
	type plain Community
	c.Members = orEmpty(c.Members)
	return json.Marshal(plain(c))
}

// MarshalJSON writes no members as [].
func (r Roster) MarshalJSON() ([]byte, error) {
	type plain Roster
	r.Members = orEmpty(r.Members)
	return json.Marshal(plain(r))
}

// MarshalJSON writes no officers as [].
func (d DutyOfficers) MarshalJSON() ([]byte, error) {
	type plain DutyOfficers
	d.Officers = orEmpty(d.Officers)
	return json.Marshal(plain(d))
}

// MarshalJSON writes no recipients as [].
func (c Consent) MarshalJSON() ([]byte, error) {
	type plain Consent
	c.Recipients = orEmpty(c.Recipients)
	return json.Marshal(plain(c))
}

func orEmpty[T any](list []T) []T {
	if list == nil {
		return []T{}
	}
	return list
}

// Subject returns the federation's name.
func (r *Registry) Subject() string { return r.Federation }

// Subject returns the key's id.
func (k *NodeKey) Subject() string { return k.KeyID }

// Subject returns the task force's id.
func (r *Roster) Subject() string { return string(r.TaskForce) }

// Subject returns the agreement's id.
func (a *Agreement) Subject() string { return string(a.ID) }

// Subject returns agreement/party.
func (s *Suspension) Subject() string { return string(s.Agreement) + "/" + string(s.Party) }

// Subject returns originator/alert.
func (c *Consent) Subject() string { return string(c.Originator) + "/" + string(c.Alert) }

// Subject returns the member.
func (d *DutyOfficers) Subject() string { return string(d.Member) }

// Subject returns originator/alert/number.
func (e *Emergency) Subject() string {
	return fmt.Sprintf("%s/%s/%d", e.Originator, e.Alert, e.Number)
}

// InForce reports whether t lies within the emergency.
func (e *Emergency) InForce(t time.Time) bool {
	u := t.Unix()
	return !e.Over && e.ValidFrom <= u && u < e.ValidUntil
}

// Subject returns the bundle's name.
func (p *Policy) Subject() string { return p.Name }

// InForce reports whether t lies in the agreement's validity.
func (a *Agreement) InForce(t time.Time) bool {
	u := t.Unix()
	return a.ValidFrom <= u && u < a.ValidUntil
}
