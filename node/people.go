package node

import (
	"context"
	"encoding/json"
	"time"

	"github.com/entente-hub/entente/api/alert"
	"github.com/entente-hub/entente/api/feed"
	"github.com/entente-hub/entente/api/problem"
	"github.com/entente-hub/entente/node/store"
)

// People knows the users of a member's own directory by tokens of their own. It must be
// safe for concurrent use.
type People interface {
	// Shows reports whether a user in good standing shows its own token.
	Shows(user, token string) bool
	// Has reports whether a user is in the directory, in good standing, with a role.
	Has(user string, r Role) bool
}

// Role is what a user may do about drafts.
type Role string

// The roles.
const (
	Author   Role = "author"   // writes drafts
	Releaser Role = "releaser" // lets others' drafts go, or rejects them
)

// Person is a user who acts, and by what it shows that it is that user.
type Person struct{ User, Token string }

// String names the user alone: the token is not for logs.
func (p Person) String() string { return p.User }

// GoString is String.
func (p Person) GoString() string { return p.User }

// shows returns nil if a person is who it says. An unknown user, one who is suspended and
// a wrong token are answered alike. Errors are of kind Malformed or Unauthenticated.
func (n *Node) shows(p Person) error {
	switch {
	case n.People == nil || n.Ingress == nil:
		return problem.New(problem.Malformed, "this node has no directory of users, who could write and release drafts")
	case !n.People.Shows(p.User, p.Token):
		return problem.New(problem.Unauthenticated, "no user of that name shows that token")
	}
	return nil
}

// viewer decides which drafts one user may know of, at one moment and on what is known
// then.
type viewer struct {
	user  string
	node  *Node
	desks map[alert.Purpose]*desk
}

// viewer returns the viewer of a person. Errors are those of shows, or Unavailable before
// there is a registry, without which nobody is cleared.
func (n *Node) viewer(p Person) (*viewer, error) {
	if err := n.shows(p); err != nil {
		return nil, err
	}
	return n.viewerOf(p.User)
}

// viewerOf is viewer for a user who need not be there to show who it is.
func (n *Node) viewerOf(user string) (*viewer, error) {
	if _, err := n.registered(); err != nil {
		return nil, err
	}
	return &viewer{user: user, node: n, desks: make(map[alert.Purpose]*desk)}, nil
}

// sees reports whether the user may know of a draft: its author and those who could
// release it, if they may read every portion.
func (v *viewer) sees(ctx context.Context, d *store.Draft) (bool, error) {
	if d.Author != v.user && !v.node.People.Has(v.user, Releaser) {
		return false, nil
	}
	for _, p := range d.Portions {
		if may, err := v.reads(ctx, p); err != nil || !may {
			return false, err
		}
	}
	return true, nil
}

// reads asks the member's own policy whether the user might read a portion if it had
// been received as it is, for one of the purposes of its label.
func (v *viewer) reads(ctx context.Context, p store.DraftPortion) (bool, error) {
	if string(p.Label) == "null" {
		return false, nil
	}
	label, err := alert.ParseLabel(p.Label)
	if err != nil {
		return false, problem.Wrap(problem.Internal, err, "")
	}
	for _, purpose := range label.Purposes {
		d := v.desks[purpose]
		if d == nil {
			d = v.node.desk(Reader{User: v.user, Purpose: purpose})
			v.desks[purpose] = d
		}
		may, err := d.might(ctx, p.ID, &label)
		if err != nil || may {
			return may, err
		}
	}
	return false, nil
}

// might asks whether the reader might read a portion if it had been received as it is.
func (d *desk) might(ctx context.Context, id alert.PortionID, label *alert.Label) (bool, error) {
	return d.may(ctx, feed.Release{Portion: id, Kind: feed.Content, Obligations: &feed.Obligations{
		Purposes: label.Purposes, HoldUntil: d.now.Add(time.Hour).Unix()}}, label)
}

// keptPortions returns what is kept of portions by which it is judged who may know of
// them: nobody of what has no label.
func keptPortions(portions []alert.Portion) []store.DraftPortion {
	kept := make([]store.DraftPortion, len(portions))
	for i, p := range portions {
		kept[i] = store.DraftPortion{ID: p.ID, Label: json.RawMessage("null")}
		if p.Label != nil {
			kept[i].Label = json.RawMessage(p.Label.Canonical())
		}
	}
	return kept
}
