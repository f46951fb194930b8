package hub

import (
	"context"
	"errors"
	"sync"

	"github.com/entente-hub/entente/api/alert"
	"github.com/entente-hub/entente/api/audit"
	"github.com/entente-hub/entente/api/federation"
	"github.com/entente-hub/entente/api/problem"
	"github.com/entente-hub/entente/hub/store"
	"github.com/entente-hub/entente/policies"
	"github.com/entente-hub/entente/policies/bundle"
)

// engines keeps the compiled rules of the bundles that were asked for. The zero
// value is ready.
type engines struct {
	mu sync.Mutex
	at map[string]*policies.Engine
}

// of is find for what decides by the rules. Of those that did not answer in time it returns
// nil: nothing is decided until refresh, which asks again as long as there are none, finds
// that they do.
func (c *engines) of(ctx context.Context, h *Hub, digest string) (*policies.Engine, error) {
	e, err := c.find(ctx, h, digest)
	if errors.Is(err, policies.ErrTooLong) {
		h.Log.Warn("a stored policy bundle can not be used now; it is tried again", "digest", digest, "error", err.Error())
		return nil, nil
	}
	return e, err
}

// find returns the rules of a digest: those that the program was built with, or of a
// bundle in the store. nil: this hub does not have them, or they do not compile. Errors
// wrap policies.ErrTooLong where that is not known yet. The officers' statement names rules
// by their digest, which is all that is looked at.
func (c *engines) find(ctx context.Context, h *Hub, digest string) (*policies.Engine, error) {
	if digest == h.Engine.Digest() {
		return h.Engine, nil
	}
	if digest == "" {
		return nil, nil
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if e, ok := c.at[digest]; ok {
		return e, nil
	}
	b, err := h.Store.Bundle(ctx, digest)
	switch {
	case errors.Is(err, store.ErrNotFound):
		return nil, nil
	case err != nil:
		return nil, unavailable(err)
	}
	e, err := compiled(b.Raw, digest)
	if errors.Is(err, policies.ErrTooLong) {
		return nil, unanswered(err)
	}
	if err != nil {
		h.Log.Error("a stored policy bundle can not be used", "digest", digest, "error", err.Error())
		return nil, nil
	}
	if c.at == nil {
		c.at = make(map[string]*policies.Engine)
	}
	c.at[digest] = e
	return e, nil
}

// unanswered is the problem where rules gave no answer in time, which says nothing for good.
func unanswered(err error) error {
	return problem.New(problem.Unavailable, "whether the bundle's rules can be used is not known: %w", err)
}

func compiled(raw []byte, digest string) (*policies.Engine, error) {
	b, err := bundle.Parse(raw)
	if err != nil {
		return nil, err
	}
	e, err := policies.Compile(b.Modules)
	if err != nil {
		return nil, err
	}
	if e.Digest() != digest {
		return nil, errors.New("its rules have another digest")
	}
	return e, nil
}

// SubmitBundle stores a policy bundle that a policy officer has signed and whose
// rules compile. One of the same rules and a lower revision it replaces: rules can
// come again under the next number. It decides nothing until a statement puts it into
// force. Where the rules give no answer in time it is Unavailable, nothing is stored or
// recorded, and the next try may find a less busy hub. Errors are *problem.Error; a
// refusal is recorded.
func (h *Hub) SubmitBundle(ctx context.Context, member alert.MemberID, raw []byte) error {
	s, err := h.newerDirectory(ctx)
	if err != nil {
		return err
	}
	b, err := bundle.Open(raw, s.dir.OfficerKey)
	switch {
	case errors.Is(err, bundle.ErrTooLarge):
		err = problem.New(problem.TooLarge, "%w", err)
	case errors.Is(err, bundle.ErrUnsigned), errors.Is(err, bundle.ErrSignature):
		err = problem.New(problem.BadSignature, "%w", err)
	case err != nil:
		err = problem.New(problem.Malformed, "%w", err)
	}
	if err != nil {
		return h.refuse(ctx, string(member), nil, err)
	}
	if _, err := policies.Compile(b.Modules); errors.Is(err, policies.ErrTooLong) {
		return unanswered(err)
	} else if err != nil {
		return h.refuse(ctx, string(member), nil, problem.New(problem.Malformed, "the bundle's rules can not be used: %w", err))
	}
	if p, ok := s.dir.Policy(PolicyName); ok && b.Revision <= p.Bundle && b.Digest != p.Digest {
		return h.refuse(ctx, string(member), nil, problem.New(problem.Conflict, "bundle %d is older than bundle %d, which is in force", b.Revision, p.Bundle))
	}
	res, err := h.ledger.commit(ctx, store.Write{
		Bundle: &store.Bundle{Digest: b.Digest, Revision: b.Revision, By: member, At: h.Now().Unix(), Raw: raw},
		Entries: [][]byte{h.entry(audit.Entry{Kind: audit.Bundle, Actor: string(member),
			Statement: &audit.Named{Type: "bundle", Subject: PolicyName, Revision: b.Revision, Digest: b.Digest}})},
	})
	if err != nil {
		return err
	}
	if res.Outcome == store.Conflict {
		return h.refuse(ctx, string(member), nil, problem.New(problem.Conflict, "a bundle with these rules is stored under a higher revision, or under this one with another signature"))
	}
	return h.refresh(ctx)
}

// newerDirectory returns what is stated by now, whether or not it can be decided by.
func (h *Hub) newerDirectory(ctx context.Context) (*state, error) {
	if err := h.refresh(ctx); err != nil {
		return nil, err
	}
	s := h.state.Load()
	if !s.dir.Ready() {
		return nil, problem.New(problem.Unavailable, "there is no registry yet")
	}
	return s, nil
}

// hasRules refuses a statement that would put rules into force that this hub does not
// have: those in force stay.
func (h *Hub) hasRules(ctx context.Context, body federation.Body) error {
	p, ok := body.(*federation.Policy)
	if !ok || p.Name != PolicyName {
		return nil
	}
	e, err := h.engines.find(ctx, h, p.Digest)
	if err != nil {
		return err
	}
	if e == nil {
		return problem.New(problem.NotAdmitted, "the hub has no bundle with the rules %s that compiles; bring it first", p.Digest)
	}
	if b, err := h.Store.Bundle(ctx, p.Digest); err == nil && b.Revision != p.Bundle {
		return problem.New(problem.Malformed, "the statement says bundle %d, the bundle itself %d", p.Bundle, b.Revision)
	} else if err != nil && !errors.Is(err, store.ErrNotFound) {
		return unavailable(err)
	}
	return nil
}

// Bundle returns a policy bundle as it was brought. Errors are *problem.Error.
func (h *Hub) Bundle(ctx context.Context, digest string) ([]byte, error) {
	b, err := h.Store.Bundle(ctx, digest)
	switch {
	case errors.Is(err, store.ErrNotFound):
		return nil, problem.New(problem.NotFound, "no such bundle")
	case err != nil:
		return nil, unavailable(err)
	}
	return b.Raw, nil
}

// Bundles lists the policy bundles that were brought, oldest first, and the digest
// of the rules in force.
func (h *Hub) Bundles(ctx context.Context) (list []store.Bundle, inForce string, err error) {
	s, err := h.newerDirectory(ctx)
	if err != nil {
		return nil, "", err
	}
	if list, err = h.Store.Bundles(ctx); err != nil {
		return nil, "", unavailable(err)
	}
	return list, s.dir.PolicyDigest(PolicyName), nil
}
