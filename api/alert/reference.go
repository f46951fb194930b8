package alert

import (
	"slices"
	"time"
)

// Recall ends an alert: it is what the last version of one says instead of portions
// (DESIGN section 6, step 10).
type Recall struct {
	Mode   RecallMode `json:"mode"`
	Reason string     `json:"reason"` // for people; 1 to MaxText bytes
}

// RecallMode says what the holders of a recalled alert have to do.
type RecallMode string

// The modes of recall.
const (
	// Purge: every holder erases what was disclosed to it, and the hub too.
	Purge RecallMode = "purge"
	// CeaseUse: nobody uses it any more; what is held may be kept until it expires,
	// for the review of what was done with it.
	CeaseUse RecallMode = "cease-use"
)

// Validate checks mode and reason.
func (r Recall) Validate() error {
	switch {
	case r.Mode != Purge && r.Mode != CeaseUse:
		return invalid("recall mode %.40q: one of %s, %s", string(r.Mode), Purge, CeaseUse)
	case r.Reason == "":
		return invalid("a recall needs a reason")
	}
	return CheckText("reason", r.Reason)
}

// Act says what an alert that refers to another is for its readers.
type Act string

// The acts of feedback.
const (
	Acknowledgement Act = "acknowledgement" // somebody has read it and taken note
	Sighting        Act = "sighting"        // what it describes was seen: its content is a STIX 2.1 sighting
	Request         Act = "request"         // for information, with a deadline
	Answer          Act = "answer"          // to a request
	Declined        Act = "refusal"         // of a request, with the reason
	Comment         Act = "comment"
)

// Acts returns all acts of feedback.
func Acts() []Act { return []Act{Acknowledgement, Sighting, Request, Answer, Declined, Comment} }

// Precedence says how urgent a request is (ACP 121, paragraph on precedence).
type Precedence string

// The precedences, most urgent first.
const (
	Flash     Precedence = "flash"
	Immediate Precedence = "immediate"
	Priority  Precedence = "priority"
	Routine   Precedence = "routine"
)

// Precedences returns all precedences, most urgent first.
func Precedences() []Precedence { return []Precedence{Flash, Immediate, Priority, Routine} }

// Deadline is the time for an answer where the request names none: 8 hours for
// FLASH and IMMEDIATE, 3 days for PRIORITY, 7 days for ROUTINE. 0 for anything else.
func (p Precedence) Deadline() time.Duration {
	switch p {
	case Flash, Immediate:
		return 8 * time.Hour
	case Priority:
		return 3 * 24 * time.Hour
	case Routine:
		return 7 * 24 * time.Hour
	}
	return 0
}

// Reference is what makes an alert feedback to another: it is released only to that
// one's originator, and to those who may have any of that one.
type Reference struct {
	Originator MemberID   `json:"iss"` // of the alert referred to
	Alert      ID         `json:"sub"`
	Act        Act        `json:"act"`
	Precedence Precedence `json:"prec,omitempty"`      // of a request, and of nothing else
	Due        int64      `json:"due,omitempty"`       // of a request: when the answer is due, seconds since 1970-01-01 UTC
	Published  ID         `json:"published,omitempty"` // of an answer to a delegation: the answering member's alert that was made of it
}

// validate checks the reference of a payload.
func (r Reference) validate(p Payload) error {
	request := r.Act == Request
	switch {
	case r.Originator == "" || r.Alert == "":
		return invalid("re names no alert")
	case r.Alert == p.Subject:
		return invalid("an alert can not refer to itself")
	case !slices.Contains(Acts(), r.Act):
		return invalid("re.act %.40q: one of %v", string(r.Act), Acts())
	case request != (r.Precedence != "") || request != (r.Due != 0):
		return invalid("re: precedence and deadline go with a request, and only with it")
	case request && !slices.Contains(Precedences(), r.Precedence):
		return invalid("re.prec %.40q: one of %v", string(r.Precedence), Precedences())
	case r.Published != "" && (r.Act != Answer || r.Published == r.Alert || r.Published == p.Subject):
		return invalid("re.published names another alert, and goes with an answer only")
	case request && (r.Due <= p.IssuedAt || r.Due > p.Expires):
		return invalid("re.due does not lie between iat and exp")
	}
	return nil
}
