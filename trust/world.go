package trust

import (
	"cmp"
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"slices"
	"time"

	"github.com/entente-hub/entente/api/alert"
	"github.com/entente-hub/entente/api/federation"
	"github.com/entente-hub/entente/crypto/keys"
)

// Ready reports whether there is a registry; nothing is decided before.
func (d *Directory) Ready() bool { return d.registry != nil }

// Registry returns the registry in force, nil before there is one. It must not
// be changed.
func (d *Directory) Registry() *federation.Registry { return d.registry }

// PolicyDigest returns the digest of the policy bundle that the officers have
// put into force under a name, "" if none.
func (d *Directory) PolicyDigest(name string) string {
	if p, ok := d.heads[key{federation.TypePolicy, name}].Body.(*federation.Policy); ok {
		return p.Digest
	}
	return ""
}

// Head returns the revision in force of a chain of statements.
func (d *Directory) Head(t federation.StatementType, subject string) (Statement, bool) {
	s, ok := d.heads[key{t, subject}]
	return s, ok
}

// HeadNamed is Head for a type that comes as text.
func (d *Directory) HeadNamed(t, subject string) (Statement, bool) {
	return d.Head(federation.StatementType(t), subject)
}

// HubKey returns one of the hub's keys.
func (d *Directory) HubKey(kid string) (keys.PublicKey, error) {
	if k, ok := d.hub[kid]; ok {
		return k, nil
	}
	return keys.PublicKey{}, fmt.Errorf("%w: %.100q is no key of the hub", keys.ErrKeyUnknown, kid)
}

// Revoked reports whether a node key has been revoked by a moment, in seconds
// since 1970-01-01 UTC, or was never certified. One that has ended by its date
// is not revoked.
func (d *Directory) Revoked(kid string, at int64) bool {
	n, ok := d.nodes[kid]
	return !ok || n.Revoked != 0 && at >= n.Revoked
}

// NodeKey returns a lookup of the keys with which a member's node signs at a
// moment, in seconds since 1970-01-01 UTC.
func (d *Directory) NodeKey(m alert.MemberID, at int64) keys.Lookup {
	return func(kid string) (keys.PublicKey, error) {
		n, ok := d.node(m, kid)
		if !ok {
			return keys.PublicKey{}, fmt.Errorf("%w: %.100q is no node key of %s", keys.ErrKeyUnknown, kid, m)
		}
		if !n.validAt(at) {
			return keys.PublicKey{}, fmt.Errorf("%w: %s is not valid at that time", keys.ErrKeyUnknown, kid)
		}
		return n.key, nil
	}
}

// World returns what policy decides upon, at a moment.
func (d *Directory) World(at time.Time) *federation.World {
	if d.registry == nil {
		return nil
	}
	w := &federation.World{
		At:          at,
		Members:     d.ceilings,
		Communities: make(map[alert.CommunityID][]alert.MemberID),
		TaskForces:  make(map[alert.TaskForceID][]alert.MemberID),
		Consents:    make(map[federation.ConsentKey]federation.Consent),
		Schemes:     d.registry.Schemes,
		Rules:       d.registry.Rules,
	}
	for m := range d.ceilings {
		w.Communities[alert.Federation] = append(w.Communities[alert.Federation], m)
	}
	slices.Sort(w.Communities[alert.Federation])
	for _, c := range d.registry.Communities {
		w.Communities[c.ID] = c.Members
	}
	for _, t := range d.registry.TaskForces {
		w.TaskForces[t.ID] = nil
	}
	for _, s := range d.heads {
		d.enter(w, s)
	}
	slices.SortFunc(w.Agreements, func(a, b federation.InForce) int { return cmp.Compare(a.ID, b.ID) })
	w.Revision = d.revision(w)
	return w
}

// enter adds what one statement says to the world.
func (d *Directory) enter(w *federation.World, s Statement) {
	switch b := s.Body.(type) {
	case *federation.Roster:
		if d.void[s.Digest] {
			return // the registry has dissolved it since
		}
		for _, m := range b.Members {
			if _, ok := d.ceilings[m]; ok {
				w.TaskForces[b.TaskForce] = append(w.TaskForces[b.TaskForce], m)
			}
		}
	case *federation.Consent:
		w.Consents[federation.ConsentKey{Originator: b.Originator, Alert: b.Alert}] = *b
	case *federation.Agreement:
		if d.suspended(b) { // until a statement ends that, whatever its dates
			return
		}
		for _, edge := range []int64{b.ValidFrom, b.ValidUntil} {
			if t := time.Unix(edge, 0); t.After(w.At) && (w.Lapses.IsZero() || t.Before(w.Lapses)) {
				w.Lapses = t
			}
		}
		if b.InForce(w.At) {
			w.Agreements = append(w.Agreements, federation.InForce{Agreement: *b, Digest: s.Digest})
		}
	}
}

// suspended reports whether any party has suspended the agreement.
func (d *Directory) suspended(a *federation.Agreement) bool {
	return slices.ContainsFunc(a.Parties, func(m alert.MemberID) bool {
		s, ok := d.heads[key{federation.TypeSuspension, string(a.ID) + "/" + string(m)}].Body.(*federation.Suspension)
		return ok && s.Suspended
	})
}

// revision names all that the world rests on: the heads of all chains, which of
// them registries have ended, and the agreements that are in force at the moment.
func (d *Directory) revision(w *federation.World) string {
	var lines []string
	for k, s := range d.heads {
		ended := ""
		if d.void[s.Digest] {
			ended = " ended"
		}
		lines = append(lines, fmt.Sprintf("%s %q %d %s%s\n", k.Type, k.Subject, s.Revision, s.Digest, ended))
	}
	slices.Sort(lines)
	h := sha256.New()
	for _, l := range lines {
		h.Write([]byte(l))
	}
	for _, a := range w.Agreements {
		fmt.Fprintf(h, "in force %s\n", a.Digest)
	}
	return base64.RawURLEncoding.EncodeToString(h.Sum(nil))
}
