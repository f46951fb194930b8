package alert

import (
	"errors"
	"fmt"
	"regexp"
)

// ErrInvalid is wrapped by every refusal of a value by this package.
var ErrInvalid = errors.New("invalid")

func invalid(format string, args ...any) error {
	return fmt.Errorf("%w: "+format, append([]any{ErrInvalid}, args...)...)
}

// MemberID names a member: a state by its ISO 3166-1 alpha-2 code, or an
// international organisation by 3 to 12 capitals and digits.
type MemberID string

// CommunityID names a set of members that a release list may use.
type CommunityID string

// TaskForceID names a task force, and so the compartment of its members.
type TaskForceID string

// PortionID names a portion inside its alert.
type PortionID string

// Federation is the built-in community of all members.
const Federation CommunityID = "federation"

var (
	memberRE  = regexp.MustCompile(`^[A-Z]{2}$|^[A-Z][A-Z0-9]{2,11}$`)
	nameRE    = regexp.MustCompile(`^[a-z][a-z0-9-]{0,61}[a-z0-9]$`)
	portionRE = regexp.MustCompile(`^[a-z0-9][a-z0-9-]{0,62}$`)
	uuid7RE   = regexp.MustCompile(`^[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$`)
	schemeRE  = regexp.MustCompile(`^urn:[a-z0-9][a-z0-9-]{0,31}(:[a-z0-9][a-z0-9.-]{0,31}){1,6}$`)
)

// ParseMemberID accepts exactly the form that MemberID documents.
func ParseMemberID(s string) (MemberID, error) {
	return parse[MemberID](s, memberRE, "member id")
}

// ParseCommunityID accepts 2 to 63 of a–z, 0–9 and hyphen, a letter first.
func ParseCommunityID(s string) (CommunityID, error) {
	return parse[CommunityID](s, nameRE, "community id")
}

// ParseTaskForceID accepts the same form as ParseCommunityID.
func ParseTaskForceID(s string) (TaskForceID, error) {
	return parse[TaskForceID](s, nameRE, "task-force id")
}

// ParsePortionID accepts 1 to 63 of a–z, 0–9 and hyphen.
func ParsePortionID(s string) (PortionID, error) {
	return parse[PortionID](s, portionRE, "portion id")
}

func parse[T ~string](s string, re *regexp.Regexp, what string) (T, error) {
	if !re.MatchString(s) {
		return "", invalid("%s %.70q", what, s)
	}
	return T(s), nil
}

// UnmarshalText parses; it makes every JSON reading of the type a checked one.
func (m *MemberID) UnmarshalText(b []byte) (err error) {
	*m, err = ParseMemberID(string(b))
	return err
}

// UnmarshalText parses.
func (c *CommunityID) UnmarshalText(b []byte) (err error) {
	*c, err = ParseCommunityID(string(b))
	return err
}

// UnmarshalText parses.
func (t *TaskForceID) UnmarshalText(b []byte) (err error) {
	*t, err = ParseTaskForceID(string(b))
	return err
}

// UnmarshalText parses.
func (p *PortionID) UnmarshalText(b []byte) (err error) {
	*p, err = ParsePortionID(string(b))
	return err
}

// ID is an alert's stable id: a UUIDv7 (RFC 9562 section 5.7) in lower case.
type ID string

// ParseID accepts a UUIDv7 in its canonical lower-case form only, so that one
// alert has one spelling.
func ParseID(s string) (ID, error) { return parse[ID](s, uuid7RE, "alert id (a UUIDv7)") }

// UnmarshalText parses.
func (id *ID) UnmarshalText(b []byte) (err error) {
	*id, err = ParseID(string(b))
	return err
}

// Audience is one entry of a release list: a member ("XA") or a community
// ("federation"). The two have disjoint spellings.
type Audience string

// ParseAudience accepts a member id or a community id.
func ParseAudience(s string) (Audience, error) {
	if !memberRE.MatchString(s) && !nameRE.MatchString(s) {
		return "", invalid("release list entry %.70q is neither a member nor a community", s)
	}
	return Audience(s), nil
}

// UnmarshalText parses.
func (a *Audience) UnmarshalText(b []byte) (err error) {
	*a, err = ParseAudience(string(b))
	return err
}

// Member returns the member that the entry names, if it names one.
func (a Audience) Member() (MemberID, bool) {
	return MemberID(a), memberRE.MatchString(string(a))
}

// Community returns the community that the entry names, if it names one.
func (a Audience) Community() (CommunityID, bool) {
	return CommunityID(a), nameRE.MatchString(string(a))
}
