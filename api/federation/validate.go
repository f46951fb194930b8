package federation

import (
	"encoding/json"
	"slices"
	"strings"
	"time"

	"github.com/entente-hub/entente/api/alert"
)

// maxDays bounds every number of days, so that it fits time.Duration: a century.
const maxDays = 36525

func (r *Registry) validate() error {
	members := make(map[alert.MemberID]bool)
	for _, m := range r.Members {
		if m.ID == "" || members[m.ID] {
			return invalid("member %q missing or listed twice", m.ID)
		}
		if err := m.validate(); err != nil {
			return err
		}
		members[m.ID] = true
	}
	if err := r.validateSets(members); err != nil {
		return err
	}
	if err := validateSchemes(r.Schemes, r.Members); err != nil {
		return err
	}
	if !idRE.MatchString(r.Federation) {
		return invalid("federation name %.70q", r.Federation)
	}
	if len(members) == 0 {
		return invalid("no members")
	}
	if r.Hub.ID == "" {
		return invalid("no hub")
	}
	if err := checkKeys("the hub", "", r.Hub.Keys); err != nil {
		return err
	}
	if err := checkKeys("the policy officers", "", r.PolicyOfficers.Keys); err != nil {
		return err // one key listed twice would be two of a quorum
	}
	switch {
	case r.PolicyOfficers.Quorum < 2 || r.PolicyOfficers.Quorum > len(r.PolicyOfficers.Keys):
		return invalid("policy quorum %d of %d officers: two at least", r.PolicyOfficers.Quorum, len(r.PolicyOfficers.Keys))
	case !isDays(r.Rules.MaxRetentionDays):
		return invalid("max_retention_days: 1 to %d", maxDays)
	case !isTrailRetention(r.Rules.TrailRetentionDays):
		return invalid("trail_retention_days: %d to %d, or left out for ever", MinTrailRetentionDays, maxDays)
	}
	return checkAuditors(r.Auditors)
}

// validateSchemes sees to it that a name in a scheme stands for one level, also for
// a reader who does not mind capitals, and that members read schemes there are.
func validateSchemes(schemes []Scheme, members []Member) error {
	if len(schemes) == 0 {
		return invalid("no marking scheme")
	}
	known := make(map[string]bool)
	for _, s := range schemes {
		if !strings.HasPrefix(s.URN, "urn:") || known[s.URN] {
			return invalid("schemes: the URNs of marking schemes, each once: %.70q", s.URN)
		}
		known[s.URN] = true
		if err := s.validate(); err != nil {
			return err
		}
	}
	for _, m := range members {
		if m.Scheme != "" && !known[m.Scheme] {
			return invalid("member %s reads scheme %.70q, which is not listed", m.ID, m.Scheme)
		}
	}
	return nil
}

func (s Scheme) validate() error {
	if err := checkText("title", s.Title); err != nil {
		return err
	}
	if len(s.Levels) == 0 {
		return invalid("scheme %s has no levels", s.URN)
	}
	levels, names := make(map[alert.Classification]bool), make(map[string]bool)
	for _, l := range s.Levels {
		if l.Level == 0 || levels[l.Level] || len(l.Names) == 0 {
			return invalid("scheme %s: each level once, with a name or more", s.URN)
		}
		levels[l.Level] = true
		for _, name := range l.Names {
			folded := alert.FoldMarking(name)
			if err := alert.CheckMarking(name); err != nil || name == "" || names[folded] {
				return invalid("scheme %s: name %.70q is malformed or stands twice", s.URN, name)
			}
			names[folded] = true
		}
	}
	return nil
}

func (m Member) validate() error {
	if m.Ceiling == 0 {
		return invalid("member %s has no ceiling", m.ID)
	}
	if err := checkText("name", m.Name); err != nil {
		return err
	}
	return checkKeys("member "+string(m.ID), string(m.ID), m.RootKeys)
}

func (r *Registry) validateSets(members map[alert.MemberID]bool) error {
	seen := map[string]bool{string(alert.Federation): true}
	for _, c := range r.Communities {
		if err := subset(string(c.ID), c.Members, members, seen); err != nil {
			return err
		}
	}
	for _, t := range r.TaskForces {
		if err := subset(string(t.ID), []alert.MemberID{t.Lead}, members, seen); err != nil {
			return err
		}
		if err := checkText("name", t.Name); err != nil {
			return err
		}
	}
	return nil
}

// subset checks that a named set is new and lists known members, each once.
func subset(id string, list []alert.MemberID, members map[alert.MemberID]bool, seen map[string]bool) error {
	if id == "" || seen[id] {
		return invalid("%q missing, reserved or listed twice", id)
	}
	seen[id] = true
	in := make(map[alert.MemberID]bool)
	for _, m := range list {
		if !members[m] || in[m] {
			return invalid("%s: %q is no member, or listed twice", id, m)
		}
		in[m] = true
	}
	return nil
}

func (k *NodeKey) validate() error {
	if k.Member == "" || k.KeyID == "" || len(k.Key) == 0 {
		return invalid("member, kid and key are needed")
	}
	// The subject is the kid: without these two, a member could open the
	// chain of another's key, and so keep the other out of it.
	if err := checkKeys("the node key", string(k.Member), []Key{k.Key}); err != nil {
		return err
	}
	if kid, err := keyID(k.Key); err != nil || kid != k.KeyID {
		return invalid("kid is not the key's own")
	}
	if !isTime(k.NotBefore) || !isTime(k.NotAfter) || k.NotAfter <= k.NotBefore {
		return invalid("nbf and a later exp are needed")
	}
	if k.Revoked != 0 && !isTime(k.Revoked) {
		return invalid("revoked is not a time")
	}
	return nil
}

func (r *Roster) validate() error {
	if r.TaskForce == "" || r.Members == nil || !unique(r.Members) {
		return invalid("task_force or members is missing, or a member stands twice")
	}
	return nil
}

func (a *Agreement) validate() error {
	parties := make(map[alert.MemberID]bool, len(a.Parties))
	for _, m := range a.Parties {
		parties[m] = true
	}
	inParties := func(m alert.MemberID) bool { return parties[m] }
	switch {
	case a.ID == "":
		return invalid("no id")
	case len(a.Parties) < 2 || !unique(a.Parties):
		return invalid("%s: two or more parties, each once", a.ID)
	case len(a.Parties) > MaxParties:
		return invalid("%s: at most %d parties", a.ID, MaxParties)
	case !all(a.From, inParties) || !all(a.To, inParties) || !unique(a.From) || !unique(a.To):
		return invalid("%s: from and to list parties, each once", a.ID)
	case a.From != nil && len(a.From) == 0 || a.To != nil && len(a.To) == 0:
		return invalid("%s: from and to are left out where every party is meant, never empty", a.ID)
	case len(a.Categories) == 0 || !unique(a.Categories) || !all(a.Categories, func(c alert.Category) bool { return slices.Contains(alert.Categories, c) }):
		return invalid("%s: categories empty, unknown or repeated", a.ID)
	case len(a.Purposes) == 0 || !unique(a.Purposes) || !all(a.Purposes, func(p alert.Purpose) bool { return slices.Contains(alert.Purposes, p) }):
		return invalid("%s: purposes empty, unknown or repeated", a.ID)
	case a.MaxClassification == 0 || a.PersonalData == 0:
		return invalid("%s: max_classification and personal_data are needed", a.ID)
	case !isDays(a.RetentionDays):
		return invalid("%s: retention_days: 1 to %d", a.ID, maxDays)
	case !isTime(a.ValidFrom) || !isTime(a.ValidUntil) || a.ValidUntil <= a.ValidFrom:
		return invalid("%s: nbf and a later exp are needed", a.ID)
	}
	return checkText("title", a.Title)
}

func (s *Suspension) validate() error {
	if s.Agreement == "" || s.Party == "" {
		return invalid("agreement and party are needed")
	}
	return checkText("reason", s.Reason)
}

func (c *Consent) validate() error {
	if c.Originator == "" || c.Alert == "" || c.Recipients == nil || !unique(c.Recipients) {
		return invalid("originator, alert and recipients are needed, recipients each once")
	}
	return nil
}

func (p *Policy) validate() error {
	if !idRE.MatchString(p.Name) || !isDigest(p.Digest) || p.Bundle < 1 {
		return invalid("name, digest and the bundle's revision, from 1, are needed")
	}
	return nil
}

func (d *DutyOfficers) validate() error {
	if d.Member == "" || d.Officers == nil {
		return invalid("member and officers are needed")
	}
	if len(d.Officers) == 0 {
		return nil
	}
	if err := checkKeys("the duty officers", "", d.Officers); err != nil {
		return err
	}
	owners := make(map[string]bool)
	for _, k := range d.Officers {
		kid, err := keyID(k)
		if err != nil {
			return err
		}
		owner, _, _ := strings.Cut(kid, "/")
		name, ok := strings.CutPrefix(owner, string(d.Member)+".")
		if !ok || !idRE.MatchString(name) || owners[owner] {
			return invalid("duty officer %.80q: a key of the owner %s.<name>, one a person", owner, d.Member)
		}
		owners[owner] = true
	}
	return nil
}

func (e *Emergency) validate() error {
	switch {
	case e.Originator == "" || e.Alert == "" || e.Number < 1:
		return invalid("originator, alert and number, from 1, are needed")
	case len(e.Members) == 0 || !unique(e.Members) || slices.Contains(e.Members, e.Originator):
		return invalid("members, the originator not among them, each once, are needed")
	case len(e.Compartments) == 0 || !unique(e.Compartments):
		return invalid("the compartments concerned, each once, are needed")
	case strings.TrimSpace(e.Threat) == "" || strings.TrimSpace(e.Duty) == "":
		return invalid("threat and duty are needed")
	case !isTime(e.ValidFrom) || !isTime(e.ValidUntil) || e.ValidUntil <= e.ValidFrom:
		return invalid("nbf and a later exp are needed")
	case e.ValidUntil-e.ValidFrom > int64(MaxEmergency/time.Second):
		return invalid("an emergency lasts at most %.0f hours", MaxEmergency.Hours())
	}
	if err := checkText("threat", e.Threat); err != nil {
		return err
	}
	return checkText("duty", e.Duty)
}

func all[T any](list []T, ok func(T) bool) bool {
	return !slices.ContainsFunc(list, func(v T) bool { return !ok(v) })
}

func unique[T comparable](list []T) bool {
	seen := make(map[T]struct{}, len(list)) // a scan for each would be quadratic in a list of unknown length
	for _, v := range list {
		seen[v] = struct{}{}
	}
	return len(seen) == len(list)
}

func isDays(n int) bool { return n >= 1 && n <= maxDays }

func checkText(field, s string) error {
	if err := alert.CheckText(field, s); err != nil {
		return invalid("%w", err)
	}
	return nil
}

// checkKeys refuses an empty list, a key without a kid, the same kid twice, and
// a kid of anybody but owner; owner "" is anyone.
func checkKeys(whose, owner string, keys []Key) error {
	if len(keys) == 0 {
		return invalid("%s: no key", whose)
	}
	seen := make(map[string]bool, len(keys))
	for i, k := range keys {
		kid, err := keyID(k)
		if err != nil {
			return invalid("%s: keys[%d]: %w", whose, i, err)
		}
		if o, _, _ := strings.Cut(kid, "/"); owner != "" && o != owner {
			return invalid("%s: keys[%d] has the kid of another", whose, i)
		}
		if seen[kid] {
			return invalid("%s: keys[%d] is listed twice", whose, i)
		}
		seen[kid] = true
	}
	return nil
}

// keyID returns a JWK's kid. That the kid fits the key is crypto/keys' to check.
func keyID(k Key) (string, error) {
	var members map[string]json.RawMessage // a map: its names match by case
	var kid string
	if json.Unmarshal(k, &members) != nil || json.Unmarshal(members["kid"], &kid) != nil {
		return "", invalid("not a JWK with a kid")
	}
	if owner, thumbprint, _ := strings.Cut(kid, "/"); owner == "" || !isDigest(thumbprint) {
		return "", invalid("kid %.80q is not <owner>/<thumbprint>", kid)
	}
	return kid, nil
}
