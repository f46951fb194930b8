package audit

import (
	"fmt"
	"strings"

	"github.com/entente-hub/entente/api/alert"
)

// Trim says of which entries the hub has erased what they say: federation.Rules has
// TrailRetentionDays for that. Their hashes stay, and with them the tree. An entry that
// is erased and that no later entry of this kind covers was removed without a record.
type Trim struct {
	Runs   []Run `json:"runs"`   // ascending, with an entry or more between two of them
	Count  int64 `json:"count"`  // of the entries in all of them
	Before int64 `json:"before"` // each of them is from before this, in microseconds since 1970-01-01 UTC
	Days   int64 `json:"days"`   // the rule at that time
}

// Run is a run of entries, by index.
type Run struct {
	First int64 `json:"first"`
	Last  int64 `json:"last"`
}

// Len returns how many entries the run has.
func (r Run) Len() int64 { return r.Last - r.First + 1 }

func (t *Trim) validate(at int64) error {
	next, count := int64(0), int64(0)
	for _, r := range t.Runs {
		if r.First < next || r.Last < r.First || r.Last >= maxIndex {
			return fmt.Errorf("%w: runs of entries, ascending and apart: %d to %d", ErrInvalid, r.First, r.Last)
		}
		next, count = r.Last+2, count+r.Len()
	}
	switch {
	case count == 0 || count != t.Count:
		return fmt.Errorf("%w: %d entries in runs of %d", ErrInvalid, t.Count, count)
	case t.Days < 1 || t.Before < 1 || t.Before > at:
		return fmt.Errorf("%w: trimmed after %d days what is from before %d", ErrInvalid, t.Days, t.Before)
	}
	return nil
}

// maxIndex is beyond every index: tlog.MaxSize.
const maxIndex = 1 << 48

// Members returns whom the entry names: who acted, whose the alert is, who received it,
// who is in the decision, and who stands in a statement's subject. Some of what it
// returns may be no member's id.
func (e Entry) Members() []alert.MemberID {
	out := []alert.MemberID{alert.MemberID(e.Actor), e.Recipient}
	if e.Alert != nil {
		out = append(out, e.Alert.Originator)
	}
	if e.Decision != nil {
		out = append(append(out, e.Decision.Content...), e.Decision.Existence...)
		for _, refused := range e.Decision.Refused {
			out = append(out, refused...)
		}
	}
	for _, part := range e.subject() {
		out = append(out, alert.MemberID(part))
	}
	return out
}

// Alerts returns the alerts that the entry names, in itself or in a statement's subject.
// Some of what it returns may be no alert's id.
func (e Entry) Alerts() []alert.ID {
	var out []alert.ID
	if e.Alert != nil {
		out = append(out, e.Alert.ID)
	}
	for _, part := range e.subject() {
		out = append(out, alert.ID(part))
	}
	return out
}

// subject returns the parts of a statement's subject: see federation.Body.
func (e Entry) subject() []string {
	if e.Statement == nil {
		return nil
	}
	return strings.Split(e.Statement.Subject, "/")
}
