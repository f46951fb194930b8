package policies

import (
	"fmt"
	"regexp"
	"slices"

	"github.com/open-policy-agent/opa/v1/ast"

	"github.com/entente-hub/entente/api/alert"
	"github.com/entente-hub/entente/api/strictjson"
)

// Bounds on a national directory.
const (
	MaxAgencies = 1000
	MaxUsers    = 10_000
)

// AgencyID names an agency of a member's: lower-case letters, digits and "-", at
// most 63 bytes.
type AgencyID string

// UserID names a user by a pseudonym that the member alone can resolve, of the same
// form.
type UserID string

// National is a member's own directory of who may read at its node. It says
// nothing to the federation: the hub never sees it.
type National struct {
	Agencies []Agency `json:"agencies"`
	Users    []User   `json:"users"`
}

// Agency is one of a member's services.
type Agency struct {
	ID         AgencyID         `json:"id"`
	Name       string           `json:"name"`                  // for people; one line
	FocalPoint bool             `json:"focal_point,omitempty"` // the service that receives for the member; one at least
	Categories []alert.Category `json:"categories"`            // what it deals with
}

// User is somebody who reads, or publishes, at a member's node.
type User struct {
	ID         UserID               `json:"id"`
	Agency     AgencyID             `json:"agency"`
	Clearance  alert.Classification `json:"clearance"`
	TaskForces []alert.TaskForceID  `json:"task_forces,omitempty"`
	Purposes   []alert.Purpose      `json:"purposes"`            // what it may read for
	TLPRed     bool                 `json:"tlp_red,omitempty"`   // named to receive TLP:RED
	Suspended  bool                 `json:"suspended,omitempty"` // reads nothing
	Roles      []Role               `json:"roles,omitempty"`     // what it may do about drafts

	// TokenSHA256 is the TokenDigest of the user's own token, by which it shows who it is
	// where it acts. Needed with a role; no two users have the same.
	TokenSHA256 string `json:"token_sha256,omitempty"`
}

// ParseNational reads a directory as JSON, strictly, and checks it. Errors wrap
// alert.ErrInvalid or strictjson.ErrStrict.
func ParseNational(data []byte) (National, error) {
	var n National
	if err := strictjson.Unmarshal(data, &n); err != nil {
		return National{}, err
	}
	if err := n.Validate(); err != nil {
		return National{}, err
	}
	return n, nil
}

// Validate checks every field: a name that nothing knows, or that stands twice,
// may be a misspelt restriction. Errors wrap alert.ErrInvalid.
func (n *National) Validate() error {
	if len(n.Agencies) == 0 || len(n.Agencies) > MaxAgencies || len(n.Users) == 0 || len(n.Users) > MaxUsers {
		return invalidEntry("directory", "", "it has 1 to %d agencies and 1 to %d users", MaxAgencies, MaxUsers)
	}
	agencies, focal := make(map[AgencyID]bool, len(n.Agencies)), false
	for _, a := range n.Agencies {
		if err := a.validate(); err != nil {
			return err
		}
		if agencies[a.ID] {
			return invalidEntry("agency", string(a.ID), "stands twice")
		}
		agencies[a.ID], focal = true, focal || a.FocalPoint
	}
	if !focal {
		return invalidEntry("directory", "", "no agency is the focal point")
	}
	users := make(map[UserID]bool, len(n.Users))
	for _, u := range n.Users {
		if err := u.validate(agencies); err != nil {
			return err
		}
		if users[u.ID] {
			return invalidEntry("user", string(u.ID), "stands twice")
		}
		users[u.ID] = true
	}
	return n.checkTokens()
}

func (a *Agency) validate() error {
	if !entryRE.MatchString(string(a.ID)) {
		return invalidEntry("agency", string(a.ID), "an id has lower-case letters, digits and \"-\"")
	}
	if err := alert.CheckMarking(a.Name); err != nil || a.Name == "" { // the same form: one short line
		return invalidEntry("agency", string(a.ID), "name: one line of at most %d bytes", alert.MaxMarking)
	}
	if err := checkList(a.Categories, func(c alert.Category) bool { return slices.Contains(alert.Categories, c) }); err != nil {
		return invalidEntry("agency", string(a.ID), "categories: %w", err)
	}
	return nil
}

func (u *User) validate(agencies map[AgencyID]bool) error {
	who := string(u.ID)
	switch {
	case !entryRE.MatchString(who):
		return invalidEntry("user", who, "an id has lower-case letters, digits and \"-\"")
	case !agencies[u.Agency]:
		return invalidEntry("user", who, "there is no agency %.70q", string(u.Agency))
	case !slices.Contains(levels, u.Clearance):
		return invalidEntry("user", who, "clearance is missing")
	}
	if err := checkList(u.TaskForces, func(id alert.TaskForceID) bool { _, err := alert.ParseTaskForceID(string(id)); return err == nil }); err != nil {
		return invalidEntry("user", who, "task_forces: %w", err)
	}
	if err := checkList(u.Purposes, func(p alert.Purpose) bool { return slices.Contains(alert.Purposes, p) }); err != nil {
		return invalidEntry("user", who, "purposes: %w", err)
	}
	if err := u.validateRoles(); err != nil {
		return invalidEntry("user", who, "%w", err)
	}
	return nil
}

var entryRE = regexp.MustCompile(`^[a-z0-9][a-z0-9-]{0,62}$`)

func invalidEntry(kind, id, format string, args ...any) error {
	return fmt.Errorf("%w: %s %.70q: "+format, append([]any{alert.ErrInvalid, kind, id}, args...)...)
}

// checkList refuses what is not known and what stands twice.
func checkList[T ~string](list []T, known func(T) bool) error {
	for i, v := range list {
		if !known(v) {
			return fmt.Errorf("%.70q is not known", string(v))
		}
		if slices.Contains(list[:i], v) {
			return fmt.Errorf("%q stands twice", string(v))
		}
	}
	return nil
}

// nationalFacts builds what the rules see of a directory: sets of users, by what
// is asked of them. It says nothing of who may read what.
func nationalFacts(n National) *ast.Term {
	agencies := make(map[AgencyID]*Agency, len(n.Agencies))
	for i := range n.Agencies {
		agencies[n.Agencies[i].ID] = &n.Agencies[i]
	}
	users, active, focal, red := ast.NewSet(), ast.NewSet(), ast.NewSet(), ast.NewSet()
	clearance, taskForces, purposes, categories := sets{}, sets{}, sets{}, sets{}
	for _, u := range n.Users {
		t, agency := ast.StringTerm(string(u.ID)), agencies[u.Agency]
		addIf(users, t, true)
		addIf(active, t, !u.Suspended)
		addIf(focal, t, agency.FocalPoint)
		addIf(red, t, u.TLPRed)
		for _, level := range levels {
			if u.Clearance.Dominates(level) {
				clearance.add(level.String(), t)
			}
		}
		for _, id := range u.TaskForces {
			taskForces.add(string(id), t)
		}
		for _, p := range u.Purposes {
			purposes.add(string(p), t)
		}
		for _, c := range agency.Categories {
			categories.add(string(c), t)
		}
	}
	return object("users", ast.NewTerm(users), "active", ast.NewTerm(active), "focal_point", ast.NewTerm(focal), "red", ast.NewTerm(red),
		"clearance", clearance.term(), "task_forces", taskForces.term(), "purposes", purposes.term(), "categories", categories.term())
}

func addIf(set ast.Set, t *ast.Term, in bool) {
	if in {
		set.Add(t)
	}
}

// sets holds sets of users by name.
type sets map[string]ast.Set

func (s sets) add(name string, t *ast.Term) {
	if s[name] == nil {
		s[name] = ast.NewSet()
	}
	s[name].Add(t)
}

func (s sets) term() *ast.Term {
	o := ast.NewObject()
	for name, set := range s {
		o.Insert(ast.StringTerm(name), ast.NewTerm(set))
	}
	return ast.NewTerm(o)
}

// ceilings returns, for each ceiling, the levels that it dominates.
func ceilings() map[alert.Classification]*ast.Term {
	out := make(map[alert.Classification]*ast.Term, len(levels))
	for _, ceiling := range levels {
		set := ast.NewSet()
		for _, level := range levels {
			addIf(set, ast.StringTerm(level.String()), ceiling.Dominates(level))
		}
		out[ceiling] = ast.NewTerm(set)
	}
	return out
}
