package federation

import (
	"slices"
	"strings"
	"time"

	"github.com/entente-hub/entente/api/alert"
)

// MinTrailRetentionDays is the least that Rules.TrailRetentionDays may say: nobody
// erases last week's trail by a slip of the pen.
const MinTrailRetentionDays = 30

// HoldID names a legal hold, in the form of an AgreementID.
type HoldID string

// UnmarshalText parses.
func (h *HoldID) UnmarshalText(b []byte) error {
	if !idRE.Match(b) {
		return invalid("legal hold id %.70q", b)
	}
	*h = HoldID(b)
	return nil
}

// LegalHold keeps entries of the audit log from being erased after
// Rules.TrailRetentionDays, for as long as it stands. It bears on nothing else: what has
// ended, expired or been recalled is erased as ever, and nothing is released because of
// it. Its subject is its id. A later revision changes or, with Lifted, lifts it, and may
// do so in any way: every auditor that the registry lists then may sign it, for whoever
// placed the hold may have left, and the registry says who speaks for the auditors.
type LegalHold struct {
	ID         HoldID    `json:"id"`
	Reason     string    `json:"reason"` // the proceedings that it serves
	Scope      HoldScope `json:"scope"`
	ValidFrom  int64     `json:"nbf,omitempty"` // seconds since 1970-01-01 UTC; 0: at once
	ValidUntil int64     `json:"exp,omitempty"` // 0: until it is lifted
	Lifted     bool      `json:"lifted,omitempty"`
}

// HoldScope says which entries a hold keeps: exactly one of its fields is set.
type HoldScope struct {
	All     bool             `json:"all,omitempty"`
	Members []alert.MemberID `json:"members,omitempty"` // entries that name one of these, who need not be members any more
	Alerts  []alert.ID       `json:"alerts,omitempty"`  // entries that name one of these, whoever's they are
}

// Subject returns the hold's id.
func (h *LegalHold) Subject() string { return string(h.ID) }

// Stands reports whether the hold stands at any moment of a span of time, its ends
// included.
func (h *LegalHold) Stands(from, to time.Time) bool {
	return !h.Lifted && h.ValidFrom <= to.Unix() && (h.ValidUntil == 0 || from.Unix() < h.ValidUntil)
}

func (h *LegalHold) validate() error {
	fields := 0
	for _, is := range []bool{h.Scope.All, len(h.Scope.Members) > 0, len(h.Scope.Alerts) > 0} {
		if is {
			fields++
		}
	}
	switch {
	case h.ID == "":
		return invalid("no id")
	case strings.TrimSpace(h.Reason) == "":
		return invalid("a legal hold needs a reason")
	case fields != 1:
		return invalid("scope: one of all, members and alerts")
	case !unique(h.Scope.Members) || slices.Contains(h.Scope.Members, ""):
		return invalid("scope: members, each once")
	case !unique(h.Scope.Alerts) || slices.Contains(h.Scope.Alerts, ""):
		return invalid("scope: alerts, each once")
	case h.ValidFrom != 0 && !isTime(h.ValidFrom) || h.ValidUntil != 0 && !isTime(h.ValidUntil):
		return invalid("nbf and exp are times, or left out")
	case h.ValidUntil != 0 && h.ValidUntil <= h.ValidFrom:
		return invalid("exp lies after nbf")
	}
	return checkText("reason", h.Reason)
}

// checkAuditors refuses an auditor without a name of its own, and one with a key of
// another's.
func checkAuditors(auditors []Auditor) error {
	seen := make(map[string]bool)
	for _, a := range auditors {
		if !idRE.MatchString(a.Name) || a.Name == "authority" || seen[a.Name] {
			return invalid("auditor %.70q: a name in small letters, digits and hyphens, each once, and not \"authority\"", a.Name)
		}
		seen[a.Name] = true
		if err := checkKeys("auditor "+a.Name, a.Name, a.Keys); err != nil {
			return err
		}
	}
	return nil
}

func isTrailRetention(days int) bool {
	return days == 0 || days >= MinTrailRetentionDays && isDays(days)
}
