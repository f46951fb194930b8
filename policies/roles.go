package policies

import (
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"fmt"
	"slices"

	"github.com/entente-hub/entente/api/alert"
)

// Role is what a user may do about drafts: alerts that one person writes and another
// lets go.
type Role string

// The roles. One user may have both, and never both for one draft.
const (
	RoleAuthor   Role = "author"   // writes drafts
	RoleReleaser Role = "releaser" // lets others' drafts go, or rejects them
)

// Roles lists the accepted roles.
var Roles = []Role{RoleAuthor, RoleReleaser}

// TokenDigest names a user's own token in a directory, which does not hold it: SHA-256
// of its text, base64url (RFC 4648 section 5) without padding.
func TokenDigest(token string) string {
	sum := sha256.Sum256([]byte(token))
	return base64.RawURLEncoding.EncodeToString(sum[:])
}

// validateRoles checks a user's roles. Who acts must show who it is: roles need a token.
func (u *User) validateRoles() error {
	if err := checkList(u.Roles, func(r Role) bool { return slices.Contains(Roles, r) }); err != nil {
		return fmt.Errorf("roles: %w", err)
	}
	if u.TokenSHA256 == "" {
		if len(u.Roles) > 0 {
			return fmt.Errorf("roles need token_sha256: who acts shows a token of its own")
		}
		return nil
	}
	if b, err := base64.RawURLEncoding.Strict().DecodeString(u.TokenSHA256); err != nil || len(b) != sha256.Size {
		return fmt.Errorf("token_sha256: %d bytes in base64url without padding", sha256.Size)
	}
	return nil
}

// checkTokens refuses a token that two users have: either could act as the other.
func (n *National) checkTokens() error {
	owner := make(map[string]UserID)
	for _, u := range n.Users {
		if u.TokenSHA256 == "" {
			continue
		}
		if _, dup := owner[u.TokenSHA256]; dup {
			return invalidEntry("user", string(u.ID), "has the token_sha256 of another")
		}
		owner[u.TokenSHA256] = u.ID
	}
	return nil
}

// Roster knows the users of a directory by their tokens. It is immutable and safe for
// concurrent use.
type Roster struct{ users map[UserID]User }

// NewRoster returns the roster of a directory. Errors wrap alert.ErrInvalid.
func NewRoster(n National) (*Roster, error) {
	if err := n.Validate(); err != nil {
		return nil, err
	}
	r := &Roster{make(map[UserID]User, len(n.Users))}
	for _, u := range n.Users {
		r.users[u.ID] = u
	}
	return r, nil
}

// Shows reports whether a user in good standing shows its own token. It tells an unknown
// user, a suspended one and a wrong token apart from nothing.
func (r *Roster) Shows(id UserID, token string) bool {
	u, ok := r.users[id]
	same := subtle.ConstantTimeCompare([]byte(TokenDigest(token)), []byte(u.TokenSHA256)) == 1
	return ok && same && !u.Suspended
}

// Has reports whether a user is in the directory, in good standing, with a role.
func (r *Roster) Has(id UserID, role Role) bool {
	u, ok := r.users[id]
	return ok && !u.Suspended && slices.Contains(u.Roles, role)
}

// Pairs returns nil if somebody could write drafts that somebody else could let go, and
// else an error that wraps alert.ErrInvalid.
func (r *Roster) Pairs() error {
	var authors, releasers []UserID
	for id := range r.users {
		if r.Has(id, RoleAuthor) {
			authors = append(authors, id)
		}
		if r.Has(id, RoleReleaser) {
			releasers = append(releasers, id)
		}
	}
	alone := len(authors) == 1 && len(releasers) == 1 && authors[0] == releasers[0]
	if len(authors) == 0 || len(releasers) == 0 || alone {
		return fmt.Errorf("%w: directory: no two users in good standing are author and releaser", alert.ErrInvalid)
	}
	return nil
}
