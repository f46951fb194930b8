// Package federation holds what the members and their authority state about
// the federation: the registry, keys, task-force rosters, agreements, their
// suspension, consents and the policy in force; and World, the sum of all of
// them at one moment, which policy decides upon (DESIGN section 3). Who signed
// a statement is judged elsewhere.
package federation

import (
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"reflect"

	"github.com/entente-hub/entente/api/alert"
	"github.com/entente-hub/entente/api/strictjson"
)

// StatementJWSType is the JWS "typ" of every statement.
const StatementJWSType = "entente-statement+json"

// MaxStatement bounds a signed statement, in bytes.
const MaxStatement = 1 << 20

// ErrInvalid is wrapped by every refusal of a value by this package.
var ErrInvalid = errors.New("invalid statement")

func invalid(format string, args ...any) error {
	return fmt.Errorf("%w: "+format, append([]any{ErrInvalid}, args...)...)
}

// StatementType says what a statement states, and so who must sign it.
type StatementType string

// The statement types and their signers.
const (
	TypeRegistry   StatementType = "registry"      // the authority's offline key
	TypeNodeKey    StatementType = "node-key"      // the member's root key
	TypeRoster     StatementType = "roster"        // the lead member's root key
	TypeAgreement  StatementType = "agreement"     // a root key of every party
	TypeSuspension StatementType = "suspension"    // the one party that suspends
	TypeConsent    StatementType = "consent"       // a root or node key of the originator
	TypePolicy     StatementType = "policy"        // policy officers, as many as the registry's quorum
	TypeDuty       StatementType = "duty-officers" // the member's root key
	TypeEmergency  StatementType = "emergency"     // two duty officers of the originator; one, or a root or node key, to end it
	TypeLegalHold  StatementType = "legal-hold"    // an auditor that the registry lists
)

// Statement is the payload of a signed statement. Statements of one type and
// subject form a chain: each names its predecessor by digest, and a reader that
// has revision n takes nothing but n+1.
type Statement struct {
	Type     StatementType   `json:"type"`
	Subject  string          `json:"sub"`            // what it is about; see each body
	Revision int64           `json:"rev"`            // from 1, without gaps
	Previous string          `json:"prev,omitempty"` // Digest of the payload of rev-1
	IssuedAt int64           `json:"iat"`            // seconds since 1970-01-01 UTC
	Body     json.RawMessage `json:"body"`
}

// Body is what one type of statement says.
type Body interface {
	// Subject returns the statement subject that the body must stand under.
	Subject() string
	// validate checks every field that can be judged without other statements.
	validate() error
}

func isDigest(s string) bool {
	b, err := base64.RawURLEncoding.Strict().DecodeString(s)
	return err == nil && len(b) == sha256.Size && len(s) == base64.RawURLEncoding.EncodedLen(sha256.Size)
}

func isTime(t int64) bool { return t > 0 && t <= alert.MaxTime }

// ParseStatement reads a statement's payload and its body, one of *Registry,
// *NodeKey, *Roster, *Agreement, *Suspension, *Consent, *Policy, *DutyOfficers,
// *Emergency and *LegalHold. Errors wrap ErrInvalid or strictjson.ErrStrict.
func ParseStatement(payload []byte) (Statement, Body, error) {
	if len(payload) > MaxStatement {
		return Statement{}, nil, invalid("larger than %d bytes", MaxStatement)
	}
	var s Statement
	if err := strictjson.Unmarshal(payload, &s); err != nil {
		return Statement{}, nil, err
	}
	body := newBody(s.Type)
	switch {
	case body == nil:
		return Statement{}, nil, invalid("unknown type %.40q", s.Type)
	case s.Revision < 1:
		return Statement{}, nil, invalid("revisions count from 1")
	case (s.Revision > 1) != (s.Previous != ""):
		return Statement{}, nil, invalid("prev goes with every revision but the first")
	case s.Previous != "" && !isDigest(s.Previous):
		return Statement{}, nil, invalid("prev is not a SHA-256 digest in base64url")
	case !isTime(s.IssuedAt):
		return Statement{}, nil, invalid("iat is missing or beyond the year 9999")
	}
	if err := strictjson.Unmarshal(s.Body, body); err != nil {
		return Statement{}, nil, fmt.Errorf("%s: %w", s.Type, err)
	}
	if err := body.validate(); err != nil {
		return Statement{}, nil, fmt.Errorf("%s: %w", s.Type, err)
	}
	if e, ok := body.(*Emergency); ok && (s.Revision > 2 || e.Over != (s.Revision == 2)) {
		return Statement{}, nil, invalid("an emergency is declared by revision 1 and ended by revision 2")
	}
	if h, ok := body.(*LegalHold); ok && h.Lifted && s.Revision == 1 {
		return Statement{}, nil, invalid("a legal hold is placed before it is lifted")
	}
	if got := body.Subject(); got != s.Subject {
		return Statement{}, nil, invalid("%s: sub is %.80q where the body says %.80q", s.Type, s.Subject, got)
	}
	return s, body, nil
}

// NewStatement wraps a body as revision rev, the successor of prev (the
// Digest of the payload before, empty for the first). It returns the payload.
func NewStatement(t StatementType, body Body, rev int64, prev string, iat int64) ([]byte, error) {
	raw, err := json.Marshal(body)
	if err != nil {
		return nil, err
	}
	payload, err := json.Marshal(Statement{Type: t, Subject: body.Subject(), Revision: rev, Previous: prev, IssuedAt: iat, Body: raw})
	if err != nil {
		return nil, err
	}
	if _, _, err := ParseStatement(payload); err != nil {
		return nil, err
	}
	return payload, nil
}

func newBody(t StatementType) Body {
	switch t {
	case TypeRegistry:
		return &Registry{}
	case TypeNodeKey:
		return &NodeKey{}
	case TypeRoster:
		return &Roster{}
	case TypeAgreement:
		return &Agreement{}
	case TypeSuspension:
		return &Suspension{}
	case TypeConsent:
		return &Consent{}
	case TypePolicy:
		return &Policy{}
	case TypeDuty:
		return &DutyOfficers{}
	case TypeEmergency:
		return &Emergency{}
	case TypeLegalHold:
		return &LegalHold{}
	}
	return nil
}

// TypeOf returns the type of statement that a body stands in, "" for none.
func TypeOf(b Body) StatementType {
	for _, t := range Types {
		if reflect.TypeOf(newBody(t)) == reflect.TypeOf(b) {
			return t
		}
	}
	return ""
}

// Types lists the statement types.
var Types = []StatementType{TypeRegistry, TypeNodeKey, TypeRoster, TypeAgreement, TypeSuspension, TypeConsent,
	TypePolicy, TypeDuty, TypeEmergency, TypeLegalHold}

// Digest returns the SHA-256 of a statement's payload in base64url, by which
// successors and decisions name it.
func Digest(payload []byte) string {
	sum := sha256.Sum256(payload)
	return base64.RawURLEncoding.EncodeToString(sum[:])
}
