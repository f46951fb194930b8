package e2e_test

import (
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/entente-hub/entente/api/alert"
	"github.com/entente-hub/entente/api/federation"
	"github.com/entente-hub/entente/api/problem"
	"github.com/entente-hub/entente/cli/setup"
	"github.com/entente-hub/entente/crypto/keys"
	"github.com/entente-hub/entente/node/hubclient"
	"github.com/entente-hub/entente/trust"
)

// statementLimit is for how long a statement is submitted again while hubs are away.
const statementLimit = 3 * time.Minute

// changes are what the federation changes while it is under fire: an agreement is
// suspended, a member too, another leaves a task force, and each is taken back.
type changes struct {
	r         *fireRun
	directory *trust.Directory
	authority keys.Signer
	client    *hubclient.Client
}

func newChanges(r *fireRun) *changes {
	r.t.Helper()
	c := &changes{r: r, directory: trust.New(r.world.authority()), client: r.asMember("XA")}
	files, err := filepath.Glob(filepath.Join(r.Statements(), "*.json"))
	if err != nil {
		r.t.Fatal(err)
	}
	for _, file := range files { // in the order of their names, as they were made
		raw, err := os.ReadFile(file)
		if err != nil {
			r.t.Fatal(err)
		}
		if c.directory, err = c.directory.With(time.Now(), []byte(strings.TrimSpace(string(raw)))); err != nil {
			r.t.Fatal(err)
		}
	}
	secret, err := keys.SecretFromFile(filepath.Join(r.Authority(), "keys.secret"))
	if err != nil {
		r.t.Fatal(err)
	}
	store, err := keys.OpenStore(filepath.Join(r.Authority(), "keys"), secret)
	if err != nil {
		r.t.Fatal(err)
	}
	if c.authority, err = store.Load(r.world.authority().KeyID()); err != nil {
		r.t.Fatal(err)
	}
	return c
}

// blow is a change, and its being taken back.
func (c *changes) blow(kind string) blow {
	root, err := setup.RootKey(c.r.Layout, "XA")
	if err != nil {
		c.r.t.Error(err)
	}
	var target string
	var state func(off bool)
	switch kind {
	case suspendAgreement:
		target, state = "xa-xb-smuggling", func(off bool) {
			c.state(federation.TypeSuspension, &federation.Suspension{Agreement: "xa-xb-smuggling", Party: "XA", Suspended: off}, root)
		}
	case suspendMember:
		target, state = "XD", func(off bool) {
			registry := *c.directory.Registry()
			registry.Members = slices.Clone(registry.Members)
			for i := range registry.Members {
				if registry.Members[i].ID == "XD" {
					registry.Members[i].Suspended = off
				}
			}
			c.state(federation.TypeRegistry, &registry, c.authority)
		}
	default:
		target, state = "tf-river", func(off bool) {
			members := []alert.MemberID{"XA", "XB", "XC"}
			if off {
				members = members[:2]
			}
			c.state(federation.TypeRoster, &federation.Roster{TaskForce: "tf-river", Members: members}, root)
		}
	}
	return blow{target: target, strike: func() func() {
		state(true)
		return func() { state(false) }
	}}
}

// state brings the successor of what is in force into force.
func (c *changes) state(t federation.StatementType, body federation.Body, signer keys.Signer) {
	ctx := c.r.t.Context()
	head, _ := c.directory.Head(t, body.Subject()) // none: it is the first
	raw, err := trust.Sign(ctx, t, body, head, time.Now(), signer)
	if err != nil {
		c.r.t.Error(err)
		return
	}
	s, err := trust.Parse(raw)
	if err != nil {
		c.r.t.Error(err)
		return
	}
	op := c.r.begin(line{Kind: "statement-begin", Type: t, Subject: body.Subject(), Rev: s.Revision, Body: s.Statement.Body, Digest: s.Digest})
	late := time.Now().Add(statementLimit)
	for {
		if err = c.client.SubmitStatement(ctx, raw); err == nil {
			break
		}
		var p *problem.Error
		final := errors.As(err, &p) && p.Kind != problem.Unavailable && p.Kind != problem.Internal && p.Kind != problem.RateLimited && p.Kind != problem.NotYetValid
		if final || time.Now().After(late) || ctx.Err() != nil {
			c.r.t.Errorf("statement %s %s, revision %d: %v", t, body.Subject(), s.Revision, err)
			c.r.note(line{Kind: "refused", Op: op, Detail: err.Error(), Problem: string(problem.KindOf(err))})
			return
		}
		<-time.After(200 * time.Millisecond)
	}
	if c.directory, err = c.directory.With(time.Now(), raw); err != nil {
		c.r.t.Fatal(err)
	}
	c.r.note(line{Kind: "statement-taken", Op: op})
}
