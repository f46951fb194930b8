package trust

import (
	"fmt"
	"slices"

	"github.com/entente-hub/entente/api/alert"
	"github.com/entente-hub/entente/api/federation"
	"github.com/entente-hub/entente/api/problem"
	"github.com/entente-hub/entente/crypto/keys"
)

// refers checks that a body names only what the directory knows.
func (d *Directory) refers(body federation.Body) error {
	if _, ok := body.(*federation.Registry); !ok && d.registry == nil {
		return problem.New(problem.Unavailable, "no registry yet")
	}
	switch b := body.(type) {
	case *federation.Registry:
		_, err := d.readAnchors(b)
		return err
	case *federation.NodeKey:
		if err := d.known(b.Member); err != nil {
			return err
		}
		if old, ok := d.nodes[b.KeyID]; ok && (b.NotBefore > old.NotBefore || b.NotAfter < old.NotAfter) {
			// What was signed in the old window, and accepted, would not verify any more.
			return problem.New(problem.Malformed, "key %s: a later revision may widen its window, not narrow it; revoke it instead", b.KeyID)
		}
		_, err := d.readNodeKey(b)
		return err
	case *federation.Roster:
		if _, ok := d.lead(b.TaskForce); !ok {
			return problem.New(problem.Malformed, "unknown task force %q", b.TaskForce)
		}
		return d.known(b.Members...)
	case *federation.Agreement:
		return d.known(b.Parties...)
	case *federation.Suspension:
		a, ok := d.agreement(b.Agreement)
		if !ok {
			return problem.New(problem.Malformed, "unknown agreement %q", b.Agreement)
		}
		if !slices.Contains(a.Parties, b.Party) {
			return problem.New(problem.Malformed, "%s is no party of agreement %q", b.Party, b.Agreement)
		}
	case *federation.Consent:
		return d.known(b.Originator)
	}
	return nil
}

func (d *Directory) known(members ...alert.MemberID) error {
	for _, m := range members {
		if _, ok := d.ceilings[m]; !ok {
			return problem.New(problem.Malformed, "unknown member %q", m)
		}
	}
	return nil
}

func (d *Directory) lead(tf alert.TaskForceID) (alert.MemberID, bool) {
	for _, t := range d.registry.TaskForces {
		if t.ID == tf {
			return t.Lead, true
		}
	}
	return "", false
}

func (d *Directory) agreement(id federation.AgreementID) (*federation.Agreement, bool) {
	s, ok := d.heads[key{federation.TypeAgreement, string(id)}]
	if !ok {
		return nil, false
	}
	a, ok := s.Body.(*federation.Agreement)
	return a, ok
}

// signed checks that every signature is by a key that may sign such a
// statement, and that nobody's is missing. One signature by anybody else
// spoils the whole: a statement says exactly who stands behind it.
func (d *Directory) signed(s Statement) error {
	permitted, needed, quorum := d.signers(s)
	_, kids, err := keys.VerifyGeneral(s.Raw, federation.StatementJWSType, func(kid string) (keys.PublicKey, error) {
		if k, ok := permitted(kid); ok {
			return k, nil
		}
		return keys.PublicKey{}, fmt.Errorf("%w: %.100q may not sign a %s statement", keys.ErrKeyUnknown, kid, s.Type)
	})
	if err != nil {
		return problem.New(problem.BadSignature, "%s %q: %w", s.Type, s.Subject, err)
	}
	owners := make(map[string]bool)
	for _, kid := range kids {
		owner, _, err := keys.SplitKeyID(kid)
		if err != nil {
			return problem.New(problem.BadSignature, "%s %q: %w", s.Type, s.Subject, err)
		}
		owners[owner] = true
	}
	for _, o := range needed {
		if !owners[o] {
			return problem.New(problem.BadSignature, "%s %q is not signed by %s", s.Type, s.Subject, o)
		}
	}
	if len(owners) < quorum {
		return problem.New(problem.BadSignature, "%s %q has %d of %d signatures", s.Type, s.Subject, len(owners), quorum)
	}
	return nil
}

type permitted func(kid string) (keys.PublicKey, bool)

// signers returns which keys may sign a statement, which owners must, and how
// many owners at least.
func (d *Directory) signers(s Statement) (permitted, []string, int) {
	switch b := s.Body.(type) {
	case *federation.Registry:
		return func(kid string) (keys.PublicKey, bool) {
			return d.authority, !d.authority.IsZero() && kid == d.authority.KeyID()
		}, []string{d.authority.Owner()}, 1
	case *federation.NodeKey:
		return d.rootOf(b.Member), []string{string(b.Member)}, 1
	case *federation.Roster:
		lead, _ := d.lead(b.TaskForce)
		return d.rootOf(lead), []string{string(lead)}, 1
	case *federation.Agreement:
		parties := slices.Clone(b.Parties)
		if old, ok := d.agreement(b.ID); ok { // who leaves an agreement signs that too
			for _, m := range old.Parties {
				if d.known(m) == nil { // who has left the federation can not
					parties = append(parties, m)
				}
			}
		}
		return d.rootOf(parties...), names(parties), 1
	case *federation.Suspension:
		if b.Suspended {
			return d.rootOrNode(b.Party, s.IssuedAt), []string{string(b.Party)}, 1
		}
		return d.rootOf(b.Party), []string{string(b.Party)}, 1 // a node's key can stop a flow, not start it
	case *federation.Consent:
		return d.rootOrNode(b.Originator, s.IssuedAt), []string{string(b.Originator)}, 1
	case *federation.Policy:
		return func(kid string) (keys.PublicKey, bool) { k, ok := d.officers[kid]; return k, ok },
			nil, d.registry.PolicyOfficers.Quorum
	}
	return func(string) (keys.PublicKey, bool) { return keys.PublicKey{}, false }, nil, 1
}

func (d *Directory) rootOf(members ...alert.MemberID) permitted {
	return func(kid string) (keys.PublicKey, bool) {
		k, ok := d.roots[kid]
		return k, ok && slices.Contains(members, alert.MemberID(k.Owner()))
	}
}

// rootOrNode permits a node key that is valid at the statement's iat, and still
// was when it came: iat is the signer's own word, with which whoever has stolen a
// key would step behind its revocation. A latecomer signs with the root.
func (d *Directory) rootOrNode(m alert.MemberID, iat int64) permitted {
	root := d.rootOf(m)
	return func(kid string) (keys.PublicKey, bool) {
		if k, ok := root(kid); ok {
			return k, true
		}
		n, ok := d.node(m, kid)
		return n.key, ok && n.validAt(iat) && n.validAt(max(iat, d.clock))
	}
}

func names(members []alert.MemberID) []string {
	var out []string
	for _, m := range members {
		out = append(out, string(m))
	}
	return out
}
