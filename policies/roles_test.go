package policies

import (
	"errors"
	"strings"
	"testing"

	"github.com/entente-hub/entente/api/alert"
	"github.com/entente-hub/entente/api/strictjson"
)

// withRoles gives the users of fixedNational roles: u-1 both, u-3 one.
func withRoles(t *testing.T) National {
	t.Helper()
	n := mustNational(t)
	for i := range n.Users {
		u := &n.Users[i]
		switch u.ID {
		case "u-1":
			u.Roles, u.TokenSHA256 = []Role{RoleAuthor, RoleReleaser}, TokenDigest("one")
		case "u-3":
			u.Roles, u.TokenSHA256 = []Role{RoleReleaser}, TokenDigest("three")
		}
	}
	return n
}

func user(n *National, id UserID) *User {
	for i := range n.Users {
		if n.Users[i].ID == id {
			return &n.Users[i]
		}
	}
	return nil
}

// TestRolesAreStrict: a role that nothing knows, one without a token, and a token of
// two users are errors.
func TestRolesAreStrict(t *testing.T) {
	for name, change := range map[string]func(*National){
		"unknown role":      func(n *National) { user(n, "u-1").Roles = []Role{"editor"} },
		"role twice":        func(n *National) { user(n, "u-1").Roles = []Role{RoleAuthor, RoleAuthor} },
		"no token":          func(n *National) { user(n, "u-1").TokenSHA256 = "" },
		"the token itself":  func(n *National) { user(n, "u-1").TokenSHA256 = "one" },
		"a padded digest":   func(n *National) { user(n, "u-1").TokenSHA256 += "=" },
		"another's token":   func(n *National) { user(n, "u-1").TokenSHA256 = TokenDigest("three") },
		"bits that are not": func(n *National) { u := user(n, "u-1"); u.TokenSHA256 = u.TokenSHA256[:42] + "_" },
	} {
		n := withRoles(t)
		change(&n)
		if _, err := NewRoster(n); !errors.Is(err, alert.ErrInvalid) {
			t.Errorf("%s: %v", name, err)
		}
	}
	for _, field := range []string{`"roles": null`, `"roles": "author"`, `"token_sha256": 1`, `"role": ["author"]`} {
		_, err := ParseNational([]byte(strings.Replace(fixedNational, `"id": "u-3"`, `"id": "u-3", `+field, 1)))
		if !errors.Is(err, alert.ErrInvalid) && !errors.Is(err, strictjson.ErrStrict) {
			t.Errorf("%s: %v", field, err)
		}
	}
}

// TestRoster: who shows its own token is known, in good standing only, by the very id.
func TestRoster(t *testing.T) {
	n := withRoles(t)
	user(&n, "u-1").Suspended, user(&n, "u-3").Suspended = false, false
	r, err := NewRoster(n)
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		user        UserID
		token       string
		shows, both bool
	}{
		{"u-1", "one", true, true}, {"u-3", "three", true, false}, {"u-1", "three", false, true}, {"u-3", "one", false, false},
		{"U-1", "one", false, false}, {"u-1 ", "one", false, false}, {"", "", false, false}, {"u-2", "", false, false}, {"nobody", "one", false, false},
	} {
		if got := r.Shows(c.user, c.token); got != c.shows {
			t.Errorf("%q shows %q: %t", c.user, c.token, got)
		}
		if got := r.Has(c.user, RoleAuthor) && r.Has(c.user, RoleReleaser); got != c.both {
			t.Errorf("%q has both roles: %t", c.user, got)
		}
	}
	user(&n, "u-1").Suspended = true
	if r, err = NewRoster(n); err != nil {
		t.Fatal(err)
	}
	if r.Shows("u-1", "one") || r.Has("u-1", RoleAuthor) {
		t.Error("a suspended user acts")
	}
}

// TestPairs: one person alone is no pair, whatever roles it has.
func TestPairs(t *testing.T) {
	for name, c := range map[string]struct {
		change func(*National)
		want   bool
	}{
		"author and releaser":  {func(*National) {}, true},
		"one with both":        {func(n *National) { user(n, "u-3").Roles = nil }, false},
		"nobody writes":        {func(n *National) { user(n, "u-1").Roles = []Role{RoleReleaser} }, false},
		"the author is away":   {func(n *National) { user(n, "u-1").Suspended = true }, false},
		"the releaser is away": {func(n *National) { user(n, "u-3").Suspended = true }, false},
		"nobody has a role":    {func(n *National) { user(n, "u-1").Roles, user(n, "u-3").Roles = nil, nil }, false},
	} {
		n := withRoles(t)
		user(&n, "u-1").Suspended, user(&n, "u-3").Suspended = false, false
		c.change(&n)
		r, err := NewRoster(n)
		if err != nil {
			t.Fatal(err)
		}
		if err := r.Pairs(); (err == nil) != c.want {
			t.Errorf("%s: %v", name, err)
		}
	}
}
