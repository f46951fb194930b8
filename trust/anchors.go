package trust

import (
	"github.com/entente-hub/entente/api/alert"
	"github.com/entente-hub/entente/api/federation"
	"github.com/entente-hub/entente/api/problem"
	"github.com/entente-hub/entente/crypto/keys"
)

// anchors are what a registry says of members and keys, read.
type anchors struct {
	roots    map[string]keys.PublicKey // by key id, owner is the member
	officers map[string]keys.PublicKey
	auditors map[string]keys.PublicKey
	hub      map[string]keys.PublicKey
	roles    map[string]bool // thumbprints of all of these and the authority's
	ceilings map[alert.MemberID]federation.Member
}

// readAnchors reads a registry's keys. No key has two owners or two roles:
// whoever holds it would sign for two parties of an agreement, or count twice in
// a quorum, though the key ids differ.
func (d *Directory) readAnchors(r *federation.Registry) (anchors, error) {
	a := anchors{
		roots:    make(map[string]keys.PublicKey),
		officers: make(map[string]keys.PublicKey),
		auditors: make(map[string]keys.PublicKey),
		hub:      make(map[string]keys.PublicKey),
		roles:    map[string]bool{d.authority.Thumbprint(): true},
		ceilings: make(map[alert.MemberID]federation.Member),
	}
	for _, m := range r.Members {
		a.ceilings[m.ID] = m
		if err := a.read(a.roots, m.RootKeys, string(m.ID)); err != nil {
			return anchors{}, err
		}
	}
	if err := a.read(a.hub, r.Hub.Keys, string(r.Hub.ID)); err != nil {
		return anchors{}, err
	}
	if err := a.read(a.officers, r.PolicyOfficers.Keys, ""); err != nil {
		return anchors{}, err
	}
	for _, auditor := range r.Auditors {
		if err := a.read(a.auditors, auditor.Keys, auditor.Name); err != nil {
			return anchors{}, err
		}
	}
	owners := make(map[string]bool)
	for _, k := range a.officers {
		owners[k.Owner()] = true
	}
	if r.PolicyOfficers.Quorum > len(owners) {
		return anchors{}, problem.New(problem.Malformed, "registry: a quorum of %d where %d policy officers have keys", r.PolicyOfficers.Quorum, len(owners))
	}
	return a, nil
}

// read adds a list of keys; owner "" is anyone.
func (a *anchors) read(into map[string]keys.PublicKey, list []federation.Key, owner string) error {
	for _, raw := range list {
		pub, err := keys.ParsePublicKey(raw)
		if err != nil {
			return problem.New(problem.Malformed, "registry: %w", err)
		}
		if owner != "" && pub.Owner() != owner {
			return problem.New(problem.Malformed, "registry: key %s stands under another name", pub.KeyID())
		}
		if a.roles[pub.Thumbprint()] {
			return problem.New(problem.Malformed, "registry: key %s stands twice", pub.KeyID())
		}
		a.roles[pub.Thumbprint()] = true
		into[pub.KeyID()] = pub
	}
	return nil
}

// readDuty reads the keys of duty officers. One person is not two, nor of two
// members, and none has a role in the registry besides, or is a node.
func (d *Directory) readDuty(b *federation.DutyOfficers) (map[string]keys.PublicKey, error) {
	out := make(map[string]keys.PublicKey)
	seen := make(map[string]bool)
	for _, n := range d.nodes {
		seen[n.key.Thumbprint()] = true
	}
	for m, others := range d.duty {
		for _, k := range others {
			seen[k.Thumbprint()] = seen[k.Thumbprint()] || m != b.Member
		}
	}
	for _, raw := range b.Officers {
		pub, err := keys.ParsePublicKey(raw)
		if err != nil {
			return nil, problem.New(problem.Malformed, "duty officer: %w", err)
		}
		if seen[pub.Thumbprint()] || d.roles[pub.Thumbprint()] {
			return nil, problem.New(problem.Malformed, "duty officer: key %s stands twice or has another role", pub.KeyID())
		}
		seen[pub.Thumbprint()] = true
		out[pub.KeyID()] = pub
	}
	return out, nil
}

// nodeKey is a certified key of a member's node.
type nodeKey struct {
	federation.NodeKey
	key keys.PublicKey
}

// readNodeKey reads the key of a node key statement. A key that the registry
// names can not be certified, only revoked. One of a duty officer can not at all:
// a machine that is always at work would be one of the two persons. Nor can another
// member's: one node would speak for two.
func (d *Directory) readNodeKey(b *federation.NodeKey) (keys.PublicKey, error) {
	pub, err := keys.ParsePublicKey(b.Key)
	if err != nil {
		return keys.PublicKey{}, problem.New(problem.Malformed, "node key: %w", err)
	}
	if pub.KeyID() != b.KeyID || pub.Owner() != string(b.Member) {
		return keys.PublicKey{}, problem.New(problem.Malformed, "node key: kid %.80q is not the key's of %s", b.KeyID, b.Member)
	}
	if d.roles[pub.Thumbprint()] && b.Revoked == 0 {
		return keys.PublicKey{}, problem.New(problem.Malformed, "node key: %s has another role in the registry", b.KeyID)
	}
	for _, n := range d.nodes {
		if n.Member != b.Member && n.key.Thumbprint() == pub.Thumbprint() {
			return keys.PublicKey{}, problem.New(problem.Malformed, "node key: %s is the key of another member's node", b.KeyID)
		}
	}
	for _, officers := range d.duty {
		for _, k := range officers {
			if k.Thumbprint() == pub.Thumbprint() {
				return keys.PublicKey{}, problem.New(problem.Malformed, "node key: %s is the key of a duty officer", b.KeyID)
			}
		}
	}
	return pub, nil
}

// node returns a node key of the member. One that a later registry gave another
// role is a node key no longer.
func (d *Directory) node(m alert.MemberID, kid string) (nodeKey, bool) {
	n, ok := d.nodes[kid]
	return n, ok && n.Member == m && !d.roles[n.key.Thumbprint()]
}

func (n nodeKey) validAt(at int64) bool {
	return n.NotBefore <= at && at < n.NotAfter && (n.Revoked == 0 || at < n.Revoked)
}
