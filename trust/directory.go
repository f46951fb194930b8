// Package trust turns signed statements into what may be relied upon, and
// signed alerts into what was really said. Hub and nodes use the same code: the
// hub enforces, but each node can verify all that it rests on, from the
// authority's key downwards (DESIGN section 3).
package trust

import (
	"encoding/base64"
	"encoding/json"
	"maps"
	"time"

	"github.com/entente-hub/entente/api/alert"
	"github.com/entente-hub/entente/api/federation"
	"github.com/entente-hub/entente/api/problem"
	"github.com/entente-hub/entente/crypto/keys"
)

// AuthorityOwner is the owner part of the federation authority's key ids.
const AuthorityOwner = "authority"

// Statement is a statement that has been verified.
type Statement struct {
	federation.Statement
	Body   federation.Body
	Digest string // of the payload
	Raw    []byte // as signed: a general JWS
}

// key names a chain of statements.
type key struct {
	Type    federation.StatementType
	Subject string
}

// Directory is the sum of the verified statements: who is who and what is
// agreed. It is never changed once made; With returns its successor. The zero
// Directory trusts nobody.
type Directory struct {
	authority keys.PublicKey
	heads     map[key]Statement // the last revision of each chain
	digests   map[string]bool   // of every statement ever taken in
	registry  *federation.Registry
	roots     map[string]keys.PublicKey // by key id, owner is the member
	officers  map[string]keys.PublicKey
	hub       map[string]keys.PublicKey
	nodes     map[string]nodeKey
	ceilings  map[alert.MemberID]federation.Member
}

type nodeKey struct {
	federation.NodeKey
	key keys.PublicKey
}

// New returns a directory that trusts the authority's key and holds nothing
// yet: the first statement must be the registry.
func New(authority keys.PublicKey) *Directory { return &Directory{authority: authority} }

// With returns the directory with further statements, in their order. Each is
// verified against what stands before it, so that what was validly signed before
// a key was rotated stays. The first that fails ends it: the error is a
// *problem.Error, of kind Malformed, BadSignature, Conflict or Fork, and the
// directory stays as it was. Statements that it holds already change nothing.
func (d *Directory) With(now time.Time, raw ...[]byte) (*Directory, error) {
	n := *d
	n.heads, n.digests, n.nodes = maps.Clone(d.heads), maps.Clone(d.digests), maps.Clone(d.nodes)
	if n.heads == nil {
		n.heads, n.digests, n.nodes = make(map[key]Statement), make(map[string]bool), make(map[string]nodeKey)
	}
	for _, r := range raw {
		s, err := n.Verify(now, r)
		if err != nil {
			return nil, err
		}
		if err := n.take(s); err != nil {
			return nil, err
		}
	}
	return &n, nil
}

// Verify checks one statement against the directory without taking it in.
// One that the directory has taken in before, as Holds tells, passes.
func (d *Directory) Verify(now time.Time, raw []byte) (Statement, error) {
	payload, err := peek(raw)
	if err != nil {
		return Statement{}, err
	}
	st, body, err := federation.ParseStatement(payload)
	if err != nil {
		return Statement{}, problem.New(problem.Malformed, "statement: %w", err)
	}
	s := Statement{Statement: st, Body: body, Digest: federation.Digest(payload), Raw: raw}
	if d.Holds(s.Digest) {
		return s, nil
	}
	if err := d.follows(s); err != nil {
		return Statement{}, err
	}
	if time.Unix(st.IssuedAt, 0).After(now.Add(alert.MaxSkew)) {
		return Statement{}, problem.New(problem.NotYetValid, "%s %q is dated in the future", st.Type, st.Subject)
	}
	if err := d.refers(body); err != nil {
		return Statement{}, err
	}
	if err := d.signed(s); err != nil {
		return Statement{}, err
	}
	return s, nil
}

// Holds reports whether a statement with the payload digest was ever taken in,
// in force or superseded.
func (d *Directory) Holds(digest string) bool { return d.digests[digest] }

// peek returns a general JWS's payload before its signatures are checked; only
// to learn whose they must be.
func peek(raw []byte) ([]byte, error) {
	var g struct {
		Payload string `json:"payload"`
	}
	if len(raw) > federation.MaxStatement {
		return nil, problem.New(problem.TooLarge, "a statement has at most %d bytes", federation.MaxStatement)
	}
	if err := json.Unmarshal(raw, &g); err != nil {
		return nil, problem.New(problem.Malformed, "a statement is a JWS in general JSON serialization")
	}
	payload, err := base64.RawURLEncoding.Strict().DecodeString(g.Payload)
	if err != nil {
		return nil, problem.New(problem.Malformed, "the statement's payload is not base64url")
	}
	return payload, nil
}

// follows checks the place in the chain: exactly the successor of the head.
func (d *Directory) follows(s Statement) error {
	head, ok := d.heads[key{s.Type, s.Subject}]
	switch {
	case !ok && s.Type == federation.TypeRegistry && d.registry != nil:
		return problem.New(problem.Fork, "the registry of another federation")
	case !ok && s.Revision == 1:
		return nil
	case !ok:
		return problem.New(problem.Fork, "%s %q: revision %d, but none came before", s.Type, s.Subject, s.Revision)
	case s.Revision <= head.Revision:
		return problem.New(problem.Conflict, "%s %q: revision %d, where revision %d is in force", s.Type, s.Subject, s.Revision, head.Revision)
	case s.Revision > head.Revision+1 || s.Previous != head.Digest:
		return problem.New(problem.Fork, "%s %q: revision %d does not follow the one in force", s.Type, s.Subject, s.Revision)
	}
	return nil
}

// take makes a verified statement the head of its chain.
func (d *Directory) take(s Statement) error {
	if d.Holds(s.Digest) {
		return nil
	}
	switch body := s.Body.(type) {
	case *federation.Registry:
		if err := d.takeRegistry(body); err != nil {
			return err
		}
	case *federation.NodeKey:
		pub, err := keys.ParsePublicKey(body.Key)
		if err != nil {
			return problem.New(problem.Malformed, "node key: %w", err)
		}
		if pub.KeyID() != body.KeyID || pub.Owner() != string(body.Member) {
			return problem.New(problem.Malformed, "node key: kid %.80q is not the key's of %s", body.KeyID, body.Member)
		}
		d.nodes[body.KeyID] = nodeKey{*body, pub}
	}
	d.heads[key{s.Type, s.Subject}] = s
	d.digests[s.Digest] = true
	return nil
}

func (d *Directory) takeRegistry(r *federation.Registry) error {
	roots, ceilings := make(map[string]keys.PublicKey), make(map[alert.MemberID]federation.Member)
	for _, m := range r.Members {
		ceilings[m.ID] = m
		if err := parseKeys(roots, m.RootKeys, string(m.ID)); err != nil {
			return err
		}
	}
	hub, officers := make(map[string]keys.PublicKey), make(map[string]keys.PublicKey)
	if err := parseKeys(hub, r.Hub.Keys, string(r.Hub.ID)); err != nil {
		return err
	}
	if err := parseKeys(officers, r.PolicyOfficers.Keys, ""); err != nil {
		return err
	}
	d.registry, d.roots, d.ceilings, d.hub, d.officers = r, roots, ceilings, hub, officers
	return nil
}

func parseKeys(into map[string]keys.PublicKey, list []federation.Key, owner string) error {
	for _, raw := range list {
		pub, err := keys.ParsePublicKey(raw)
		if err != nil {
			return problem.New(problem.Malformed, "registry: %w", err)
		}
		if _, dup := into[pub.KeyID()]; dup || owner != "" && pub.Owner() != owner {
			return problem.New(problem.Malformed, "registry: key %s stands twice or under another name", pub.KeyID())
		}
		into[pub.KeyID()] = pub
	}
	return nil
}
