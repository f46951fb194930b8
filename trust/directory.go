// Package trust turns signed statements into what may be relied upon, and
// signed alerts into what was really said. Hub and nodes use the same code: the
// hub enforces, but each node can verify all that it rests on, from the
// authority's key downwards (DESIGN section 3).
package trust

import (
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"maps"
	"strings"
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
	heads     map[key]Statement                      // the last revision of each chain
	taken     map[string]sum                         // every statement ever taken in: its digest → that of its bytes as signed
	void      map[place]bool                         // what a later registry has ended
	earlier   map[federation.AgreementID][]Statement // versions whose successors may not have begun, oldest first
	numbers   map[federation.ConsentKey]int          // the highest of each alert's emergencies
	clock     int64                                  // the latest iat taken in: it is no earlier than that
	registry  *federation.Registry
	anchors                                                // of the registry
	nodes     map[string]nodeKey                           // by key id
	duty      map[alert.MemberID]map[string]keys.PublicKey // duty officers' keys, by key id
}

type sum = [sha256.Size]byte

// New returns a directory that trusts the authority's key and holds nothing
// yet: the first statement must be the registry.
func New(authority keys.PublicKey) *Directory { return &Directory{authority: authority} }

// With returns the directory with further statements, in their order. Each is
// verified against what stands before it, so that what was validly signed before
// a key was rotated stays. The first that fails ends it: the error is that of
// Verify, and the directory stays as it was. Statements that it holds already
// change nothing.
func (d *Directory) With(now time.Time, raw ...[]byte) (*Directory, error) {
	n := *d
	n.heads, n.taken, n.void = maps.Clone(d.heads), maps.Clone(d.taken), maps.Clone(d.void)
	n.nodes, n.duty = maps.Clone(d.nodes), maps.Clone(d.duty)
	n.earlier, n.numbers = maps.Clone(d.earlier), maps.Clone(d.numbers)
	if n.heads == nil {
		n.heads, n.taken = make(map[key]Statement), make(map[string]sum)
		n.void, n.nodes = make(map[place]bool), make(map[string]nodeKey)
		n.earlier, n.numbers = make(map[federation.AgreementID][]Statement), make(map[federation.ConsentKey]int)
		n.duty = make(map[alert.MemberID]map[string]keys.PublicKey)
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

// Verify checks one statement against the directory without taking it in. The
// very bytes that the directory has taken in before pass; the same payload under
// other signatures is judged anew, as is any statement. Errors are
// *problem.Error, of kind TooLarge, Malformed, BadSignature, NotYetValid,
// Conflict, Fork or Unavailable (a registry must come first).
func (d *Directory) Verify(now time.Time, raw []byte) (Statement, error) {
	s, held, err := d.read(raw)
	if err != nil || held {
		return s, err
	}
	_, err = d.judge(now, s, func(missing []string) error {
		if len(missing) > 0 {
			return problem.New(problem.BadSignature, "%s %q is not signed by %s", s.Type, s.Subject, strings.Join(missing, ", "))
		}
		return nil
	})
	if err != nil {
		return Statement{}, err
	}
	return s, nil
}

// Holds reports whether a statement with the payload digest was ever taken in,
// in force or superseded.
func (d *Directory) Holds(digest string) bool { _, ok := d.taken[digest]; return ok }

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
	case s.Digest == head.Digest: // under other signatures, which are checked
		return nil
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
	old := d.heads[key{s.Type, s.Subject}]
	d.heads[key{s.Type, s.Subject}] = s
	if s.Type != federation.TypeAgreement {
		d.forget(old)
	}
	switch body := s.Body.(type) {
	case *federation.Registry:
		a, err := d.readAnchors(body)
		if err != nil {
			return err
		}
		gone := d.departed(a)
		d.registry, d.anchors = body, a
		d.endOrphans(gone)
	case *federation.Agreement:
		d.follow(body, old)
	case *federation.Emergency:
		at := federation.ConsentKey{Originator: body.Originator, Alert: body.Alert}
		d.numbers[at] = max(d.numbers[at], body.Number)
	case *federation.NodeKey:
		pub, err := d.readNodeKey(body)
		if err != nil {
			return err
		}
		d.nodes[body.KeyID] = nodeKey{*body, pub}
	case *federation.DutyOfficers:
		officers, err := d.readDuty(body)
		if err != nil {
			return err
		}
		d.duty[body.Member] = officers
	}
	d.taken[s.Digest] = sha256.Sum256(s.Raw)
	d.clock = max(d.clock, s.IssuedAt)
	return nil
}
