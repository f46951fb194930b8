package node_test

import (
	"context"
	"encoding/json"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/entente-hub/entente/api/alert"
	"github.com/entente-hub/entente/api/feed"
	"github.com/entente-hub/entente/api/problem"
	"github.com/entente-hub/entente/node"
	"github.com/entente-hub/entente/node/nodetest"
	"github.com/entente-hub/entente/node/store"
)

// crew is a directory of users that can change, with the rule that a user reads what it
// is cleared for, in its compartments.
type crew struct {
	mu    sync.Mutex
	users map[string]hand
}

type hand struct {
	token       string
	roles       []node.Role
	clearance   alert.Classification
	taskForces  []alert.TaskForceID
	isSuspended bool
}

func (c *crew) get(user string) (hand, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	u, ok := c.users[user]
	return u, ok && !u.isSuspended
}

func (c *crew) change(user string, f func(*hand)) {
	c.mu.Lock()
	defer c.mu.Unlock()
	u := c.users[user]
	f(&u)
	c.users[user] = u
}

func (c *crew) remove(user string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	delete(c.users, user)
}

func (c *crew) Shows(user, token string) bool {
	u, ok := c.get(user)
	return ok && token != "" && u.token == token
}

func (c *crew) Has(user string, r node.Role) bool {
	u, ok := c.get(user)
	return ok && slices.Contains(u.roles, r)
}

func (c *crew) Permits(_ context.Context, r node.Reader, p node.Holding) (bool, error) {
	u, ok := c.get(r.User)
	if !ok || p.Label == nil || p.Release.Kind != feed.Content || !slices.Contains(p.Release.Obligations.Purposes, r.Purpose) {
		return false, nil
	}
	for _, id := range p.Label.Compartments {
		if !slices.Contains(u.taskForces, id) {
			return false, nil
		}
	}
	return u.clearance.Dominates(p.Label.Classification) && p.Ceiling.Dominates(p.Label.Classification), nil
}

// The crew: two who do both, one who writes, one who releases and is cleared for less.
var (
	anna = node.Person{User: "anna", Token: "token-of-anna"}
	bert = node.Person{User: "bert", Token: "token-of-bert"}
	carl = node.Person{User: "carl", Token: "token-of-carl"}
	dora = node.Person{User: "dora", Token: "token-of-dora"}
)

func newCrew() *crew {
	both := []node.Role{node.Author, node.Releaser}
	return &crew{users: map[string]hand{
		"anna": {token: anna.Token, roles: both, clearance: alert.Secret, taskForces: []alert.TaskForceID{"tf-one"}},
		"bert": {token: bert.Token, roles: both, clearance: alert.Secret, taskForces: []alert.TaskForceID{"tf-one"}},
		"carl": {token: carl.Token, roles: []node.Role{node.Author}, clearance: alert.Secret, taskForces: []alert.TaskForceID{"tf-one"}},
		"dora": {token: dora.Token, roles: []node.Role{node.Releaser}, clearance: alert.Restricted},
	}}
}

// shaky fails the next write of a draft: before it is done, or after.
type shaky struct {
	store.Store
	mu   sync.Mutex
	next when
}

// fail fails what do does, before or after, if that is what comes next.
func (s *shaky) fail(do func() error) error {
	s.mu.Lock()
	now := s.next
	s.next = never
	s.mu.Unlock()
	return fail(&now, do)
}

func (s *shaky) AddDraft(ctx context.Context, d store.Draft, most int) error {
	return s.fail(func() error { return s.Store.AddDraft(ctx, d, most) })
}

func (s *shaky) ReleaseDraft(ctx context.Context, id store.DraftID, digest string, e store.DraftEnd, o store.Outgoing) error {
	return s.fail(func() error { return s.Store.ReleaseDraft(ctx, id, digest, e, o) })
}

func (s *shaky) EndDraft(ctx context.Context, id store.DraftID, state store.DraftState, e store.DraftEnd) error {
	return s.fail(func() error { return s.Store.EndDraft(ctx, id, state, e) })
}

// bureau is a house with a crew, where the rule asks for two persons.
type bureau struct {
	*house
	crew  *crew
	shaky *shaky
	late  time.Duration // by which the node's clock is ahead
}

func newBureau(t *testing.T) *bureau {
	t.Helper()
	b := &bureau{house: newHouse(t), crew: newCrew()}
	b.restart(node.AllFourEyes)
	return b
}

// restart is a crash: nothing is told to the old node.
func (b *bureau) restart(rule node.FourEyes) {
	b.t.Helper()
	must(b.t, b.st.Close())
	b.open(func(c *node.Config) {
		b.shaky = &shaky{Store: c.Store}
		c.Store, c.Ingress, c.People, c.FourEyes = b.shaky, b.crew, b.crew, rule
		c.Now = func() time.Time { return time.Now().Add(b.late) }
	})
}

// writing is a draft with a portion for each level; one above restricted is in tf-one.
func writing(levels ...alert.Classification) node.Draft {
	d := node.Draft{Objects: objects(len(levels))}
	for i, level := range levels {
		var o struct{ ID string }
		if err := json.Unmarshal(d.Objects[i], &o); err != nil {
			panic(err)
		}
		l := nodetest.Label("federation")
		if l.Classification = level; level > alert.Restricted {
			l.Compartments = []alert.TaskForceID{"tf-one"}
		}
		d.Plan.Portions = append(d.Plan.Portions, alert.Planned{ID: alert.PortionID("p" + string(rune('0'+i))), Label: l, Objects: []string{o.ID}})
	}
	return d
}

func (b *bureau) add(p node.Person, levels ...alert.Classification) *node.KeptDraft {
	b.t.Helper()
	d, err := b.n.AddDraft(ctx, p, writing(levels...))
	must(b.t, err)
	return d
}

// queued checks how many alerts are in the outbox.
func (b *bureau) queued(want int) []store.Outgoing {
	b.t.Helper()
	list, err := b.n.Outbox(ctx, 1000)
	must(b.t, err)
	if len(list) != want {
		b.t.Errorf("%d alerts in the outbox, want %d", len(list), want)
	}
	return list
}

func wantKind(t *testing.T, what string, err error, want problem.Kind) {
	t.Helper()
	if err == nil || problem.KindOf(err) != want {
		t.Errorf("%s: %v, want %s", what, err, want)
	}
}
