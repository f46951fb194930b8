package trust

import (
	"cmp"
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"maps"
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
	if p, ok := d.Policy(name); ok {
		return p.Digest
	}
	return ""
}

// Policy returns the policy officers' last word on which bundle is in force under a
// name.
func (d *Directory) Policy(name string) (*federation.Policy, bool) {
	p, ok := d.heads[key{federation.TypePolicy, name}].Body.(*federation.Policy)
	return p, ok
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

// OfficerKey returns one of the policy officers' keys.
func (d *Directory) OfficerKey(kid string) (keys.PublicKey, error) {
	if k, ok := d.officers[kid]; ok {
		return k, nil
	}
	return keys.PublicKey{}, fmt.Errorf("%w: %.100q is no key of a policy officer", keys.ErrKeyUnknown, kid)
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

// Certified reports whether a key is one that the member has certified for its node, at
// whatever time, revoked or not. The keys of whoever had the name before are none.
func (d *Directory) Certified(m alert.MemberID, kid string) bool {
	_, ok := d.node(m, kid)
	return ok
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
		Emergencies: make(map[federation.ConsentKey]federation.Declared),
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
	d.keepDeclared(w)
	slices.SortFunc(w.Agreements, func(a, b federation.InForce) int { return cmp.Compare(a.ID, b.ID) })
	w.Revision = d.revision(w)
	return w
}

// enter adds what one statement says to the world.
func (d *Directory) enter(w *federation.World, s Statement) {
	switch b := s.Body.(type) {
	case *federation.Roster:
		if d.Ended(s) {
			return // the registry has dissolved it since
		}
		for _, m := range b.Members {
			if _, ok := d.ceilings[m]; ok && !d.void[place{s.Digest, m}] {
				w.TaskForces[b.TaskForce] = append(w.TaskForces[b.TaskForce], m)
			}
		}
	case *federation.Consent:
		if !d.Ended(s) {
			w.Consents[federation.ConsentKey{Originator: b.Originator, Alert: b.Alert}] = *b
		}
	case *federation.Agreement:
		for _, v := range d.versions(b.ID) {
			if d.Ended(v.Statement) || len(d.suspensions(v.terms)) > 0 { // until a statement ends that, whatever its dates
				continue
			}
			lapse(w, v.terms.ValidFrom, v.until)
			if v.counts(w.At) {
				w.Agreements = append(w.Agreements, federation.InForce{Agreement: *v.terms, Digest: v.Digest, Version: v.Revision})
			}
		}
	case *federation.Emergency:
		at := federation.ConsentKey{Originator: b.Originator, Alert: b.Alert}
		if b.Number > w.Emergencies[at].Number {
			w.Emergencies[at] = federation.Declared{Emergency: *b, Digest: s.Digest}
		}
	}
}

// keepDeclared leaves of the last emergencies of all alerts those in force. No
// earlier one of the same alert takes the place of one that has ended: to end the
// last is to end them all.
func (d *Directory) keepDeclared(w *federation.World) {
	maps.DeleteFunc(w.Emergencies, func(_ federation.ConsentKey, e federation.Declared) bool {
		if e.Over || d.void[place{e.Digest, ""}] {
			return true
		}
		lapse(w, e.ValidFrom, e.ValidUntil)
		return !e.InForce(w.At)
	})
}

// lapse brings the moment at which the world becomes another one forward to the
// first of these that lies ahead.
func lapse(w *federation.World, edges ...int64) {
	for _, edge := range edges {
		if t := time.Unix(edge, 0); t.After(w.At) && (w.Lapses.IsZero() || t.Before(w.Lapses)) {
			w.Lapses = t
		}
	}
}

// revision names all that the world rests on: the heads of all chains but those of legal
// holds, what of them
// and of earlier versions registries have ended, and the agreements that are in force
// at the moment.
func (d *Directory) revision(w *federation.World) string {
	var lines []string
	for k, s := range d.heads {
		if k.Type == federation.TypeLegalHold {
			continue // nothing is decided by it, and a revision that it changed would tell of it
		}
		lines = append(lines, fmt.Sprintf("%s %q %d %s\n", k.Type, k.Subject, s.Revision, s.Digest))
	}
	for p := range d.void {
		lines = append(lines, fmt.Sprintf("ended %s %q\n", p.digest, p.member))
	}
	slices.Sort(lines)
	h := sha256.New()
	for _, l := range lines {
		h.Write([]byte(l))
	}
	for _, a := range w.Agreements {
		fmt.Fprintf(h, "in force %s\n", a.Digest)
	}
	var declared []string
	for _, e := range w.Emergencies {
		declared = append(declared, e.Digest)
	}
	slices.Sort(declared)
	for _, digest := range declared {
		fmt.Fprintf(h, "declared %s\n", digest)
	}
	return base64.RawURLEncoding.EncodeToString(h.Sum(nil))
}

// Keys names the node keys in force and their windows: it differs where they do.
func (d *Directory) Keys() string {
	h := sha256.New()
	for _, s := range d.Heads(federation.TypeNodeKey) {
		fmt.Fprintf(h, "%s %v\n", s.Digest, d.Ended(s))
	}
	return base64.RawURLEncoding.EncodeToString(h.Sum(nil))
}
