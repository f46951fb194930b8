// Package problem is the one place where errors become what a caller sees:
// problem details (RFC 9457). Cores return an *Error or wrap one; servers
// render it; clients turn it back into the same *Error.
package problem

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"
	"time"
)

// MediaType is the media type of a rendered problem.
const MediaType = "application/problem+json"

// Kind is a stable class of error. Its problem type is "urn:entente:problem:"
// followed by the kind.
type Kind string

// The kinds. Each has one HTTP status; see statuses.
const (
	Malformed       Kind = "malformed"       // not parseable, or a field that says nothing known
	TooLarge        Kind = "too-large"       // over a documented limit
	BadSignature    Kind = "bad-signature"   // not verifiable up to the originator's root
	WrongMember     Kind = "wrong-member"    // the certificate's member is not the one acting
	NotAdmitted     Kind = "not-admitted"    // admission policy refuses; codes say why
	EgressDenied    Kind = "egress-denied"   // the national egress policy refuses
	Expired         Kind = "expired"         // no longer valid
	NotYetValid     Kind = "not-yet-valid"   // issued in the future
	Conflict        Kind = "conflict"        // other bytes under the same id and version
	Fork            Kind = "fork"            // a statement that does not follow the one before
	NotFound        Kind = "not-found"       // does not exist, or not for the caller
	Unauthenticated Kind = "unauthenticated" // no acceptable credential
	Forbidden       Kind = "forbidden"       // an operation that the caller's role never has
	RateLimited     Kind = "rate-limited"    // try again after a pause
	Unavailable     Kind = "unavailable"     // not ready: no policy, audit, registry or store
	Internal        Kind = "internal"        // a fault here; the error id joins it to the log
	CursorUnknown   Kind = "cursor-unknown"  // a feed position that the hub never handed out
)

var statuses = map[Kind]int{
	Malformed: 400, BadSignature: 400, Expired: 400, NotYetValid: 400,
	Unauthenticated: 401, WrongMember: 403, Forbidden: 403, NotFound: 404,
	Conflict: 409, Fork: 409, CursorUnknown: 409, TooLarge: 413,
	NotAdmitted: 422, EgressDenied: 422, RateLimited: 429,
	Internal: 500, Unavailable: 503,
}

var titles = map[Kind]string{
	Malformed: "The request is malformed", TooLarge: "The request is too large",
	BadSignature: "The signature does not hold", WrongMember: "Not the caller's to do",
	NotAdmitted: "The federation's policy does not admit it", EgressDenied: "National policy keeps it in",
	Expired: "It has expired", NotYetValid: "It is not yet valid",
	Conflict: "It exists with other content", Fork: "It does not follow what is in force",
	NotFound: "There is no such thing", Unauthenticated: "Who is asking is not known",
	Forbidden: "The caller has no such right", RateLimited: "Too many requests",
	Unavailable: "Not ready", Internal: "A fault on this side", CursorUnknown: "The feed position is not known",
}

const prefix = "urn:entente:problem:"

// Error is an error with a kind. Detail helps the caller and must hold neither
// secrets nor anything that the caller may not know; Cause is for the log alone.
type Error struct {
	Kind   Kind
	Detail string
	Codes  []string // reason codes of policy, sorted
	Cause  error
	// RetryAfter is for how long to pause before trying again; 0: not said. It travels
	// as the header Retry-After (RFC 9110 section 10.2.3), in whole seconds.
	RetryAfter time.Duration
}

// New makes an Error whose detail is the formatted text; an error among args
// that is wrapped with %w is also its cause.
func New(kind Kind, format string, args ...any) *Error {
	err := fmt.Errorf(format, args...)
	return &Error{Kind: kind, Detail: err.Error(), Cause: causeOf(err)}
}

// causeOf returns what err wraps, joined if it wraps several.
func causeOf(err error) error {
	if many, ok := err.(interface{ Unwrap() []error }); ok {
		return errors.Join(many.Unwrap()...)
	}
	return errors.Unwrap(err)
}

// Wrap hides cause behind a kind: it reaches the log, never the caller.
func Wrap(kind Kind, cause error, detail string) *Error {
	return &Error{Kind: kind, Detail: detail, Cause: cause}
}

// Error returns detail and cause, for logs.
func (e *Error) Error() string {
	s := string(e.Kind)
	if e.Detail != "" {
		s += ": " + e.Detail
	}
	if e.Cause != nil {
		if cause := e.Cause.Error(); !strings.Contains(e.Detail, cause) { // New has it in the detail already
			s += ": " + cause
		}
	}
	return s
}

// Unwrap returns the cause.
func (e *Error) Unwrap() error { return e.Cause }

// KindOf returns the kind of the first *Error in err's chain; any other
// error is Internal: what was not foreseen is not shown.
func KindOf(err error) Kind {
	var e *Error
	if errors.As(err, &e) && e != nil && statuses[e.Kind] != 0 {
		return e.Kind
	}
	return Internal
}

// Document is the JSON of RFC 9457 section 3, with two extension members.
type Document struct {
	Type   string   `json:"type"`
	Title  string   `json:"title"`
	Status int      `json:"status"`
	Detail string   `json:"detail,omitempty"`
	Codes  []string `json:"codes,omitempty"`
	ID     string   `json:"error_id,omitempty"` // the same id stands in the log; only on 5xx
}

// Describe returns what a caller sees of err. id is put on faults of this side
// alone, so that a NotFound has the same bytes whatever lies behind it.
func Describe(err error, id string) Document {
	var e *Error
	if !errors.As(err, &e) || e == nil || statuses[e.Kind] == 0 {
		e = &Error{Kind: Internal}
	}
	d := Document{Type: prefix + string(e.Kind), Title: titles[e.Kind], Status: statuses[e.Kind], Detail: e.Detail, Codes: e.Codes}
	switch {
	case e.Kind == NotFound:
		d.Detail, d.Codes = "", nil
	case e.Kind == Internal:
		d.Detail, d.Codes, d.ID = "", nil, id
	case d.Status >= http.StatusInternalServerError:
		d.ID = id
	}
	return d
}

// Render returns status and body for err: Describe as JSON.
func Render(err error, id string) (status int, body []byte) {
	d := Describe(err, id)
	body, err = json.Marshal(d)
	if err != nil {
		panic("problem: a document of strings does not encode: " + err.Error())
	}
	return d.Status, body
}

// Parse turns a rendered problem back into an Error. Anything else becomes
// Internal with the status in its detail.
func Parse(status int, body []byte) *Error {
	var d Document
	if err := json.Unmarshal(body, &d); err == nil && d.kind() != "" && status == d.kind().Status() {
		return d.Err()
	}
	return &Error{Kind: Internal, Detail: fmt.Sprintf("HTTP status %d without a problem document", status)}
}

// kind is the kind that a document is of; "": none.
func (d Document) kind() Kind {
	name, ok := strings.CutPrefix(d.Type, prefix)
	if !ok || statuses[Kind(name)] == 0 {
		return ""
	}
	return Kind(name)
}

// Err is the Error that a document tells of: Internal where its type is unknown.
func (d Document) Err() *Error {
	kind := d.kind()
	if kind == "" {
		return &Error{Kind: Internal, Detail: fmt.Sprintf("a problem of unknown type %.80q", d.Type)}
	}
	detail := d.Detail
	if d.ID != "" {
		detail = strings.TrimSpace(detail + " (error id " + d.ID + ")")
	}
	return &Error{Kind: kind, Detail: detail, Codes: d.Codes}
}

// final are the kinds that lie in what was sent.
var final = []Kind{Malformed, TooLarge, BadSignature, WrongMember, Forbidden, NotAdmitted, EgressDenied, Expired, NotYetValid, Conflict, Fork}

// Final reports whether a problem of the kind lies in what was sent, so that sending it again
// does not help: the sender is done with it. NotYetValid is one: the clock was wrong that
// dated it, and by as much as it was, everything behind it would have to wait.
func (k Kind) Final() bool { return slices.Contains(final, k) }

// Kinds lists every kind, sorted, for specifications and tests.
func Kinds() []Kind {
	return slices.Sorted(maps.Keys(statuses))
}

// Status returns the kind's HTTP status, 0 if it is no kind.
func (k Kind) Status() int { return statuses[k] }

// Type returns the kind's problem type URI.
func (k Kind) Type() string { return prefix + string(k) }
