package trust

import (
	"reflect"
	"slices"
	"time"

	"github.com/entente-hub/entente/api/alert"
	"github.com/entente-hub/entente/api/federation"
	"github.com/entente-hub/entente/api/problem"
	"github.com/entente-hub/entente/crypto/keys"
)

// refers checks that a statement names only what the directory knows.
func (d *Directory) refers(s Statement) error {
	switch b := s.Body.(type) {
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
		versions := d.versions(b.Agreement)
		if len(versions) == 0 {
			return problem.New(problem.Malformed, "unknown agreement %q", b.Agreement)
		}
		if !slices.ContainsFunc(versions, func(v version) bool { return slices.Contains(v.terms.Parties, b.Party) }) {
			return problem.New(problem.Malformed, "%s is no party of agreement %q", b.Party, b.Agreement)
		}
	case *federation.Consent:
		return d.known(b.Originator)
	case *federation.Policy:
		return d.rises(b)
	case *federation.DutyOfficers:
		if err := d.known(b.Member); err != nil {
			return err
		}
		_, err := d.readDuty(b)
		return err
	case *federation.Emergency:
		if err := d.timely(s, b); err != nil {
			return err
		}
		return d.concerns(b)
	}
	return nil
}

// The numbers of bundles and emergencies only rise. What bounds a step keeps a slip,
// or malice, from using all of them up.
const (
	maxBundleStep    = 1_000_000
	maxEmergencyStep = 1_000
)

// rises checks a policy bundle's number against that in force.
func (d *Directory) rises(b *federation.Policy) error {
	var last int64
	if old, ok := d.Policy(b.Name); ok {
		if last = old.Bundle; b.Bundle <= last && *b != *old {
			return problem.New(problem.Conflict, "policy %q: bundle %d, where bundle %d is in force", b.Name, b.Bundle, last)
		}
	}
	if b.Bundle-last > maxBundleStep {
		return problem.New(problem.Malformed, "policy %q: bundle %d, more than %d after %d", b.Name, b.Bundle, maxBundleStep, last)
	}
	return nil
}

// timely checks an emergency's number and dates against when it is declared.
func (d *Directory) timely(s Statement, b *federation.Emergency) error {
	declared := time.Unix(s.IssuedAt, 0).Add(alert.MaxSkew)
	last := d.numbers[federation.ConsentKey{Originator: b.Originator, Alert: b.Alert}]
	switch {
	case b.ValidUntil > declared.Add(federation.MaxEmergency).Unix():
		// Else it could be laid in for later, and outlast the office of those who declared it.
		return problem.New(problem.Malformed, "an emergency ends at most %.0f hours after it is declared", federation.MaxEmergency.Hours())
	case b.Number > 1 && !b.Over && b.ValidFrom > declared.Unix(): // it would end the one before, and nothing would be in force
		return problem.New(problem.Malformed, "an emergency that follows another begins when it is declared, not later")
	case b.Number-last > maxEmergencyStep:
		return problem.New(problem.Malformed, "emergency %d, more than %d after %d", b.Number, maxEmergencyStep, last)
	case b.Over && !d.declared(b):
		return problem.New(problem.Malformed, "what ends an emergency repeats its declaration")
	}
	return nil
}

// concerns checks that an emergency is of a member and names members and task
// forces that there are.
func (d *Directory) concerns(b *federation.Emergency) error {
	for _, tf := range b.Compartments {
		if _, ok := d.lead(tf); !ok {
			return problem.New(problem.Malformed, "unknown task force %q", tf)
		}
	}
	return d.known(append(slices.Clone(b.Members), b.Originator)...)
}

func (d *Directory) known(members ...alert.MemberID) error {
	for _, m := range members {
		if _, ok := d.ceilings[m]; !ok {
			return problem.New(problem.Malformed, "unknown member %q", m)
		}
	}
	return nil
}

// declared reports whether an emergency that is to end is the one that stands
// under its number, to the letter.
func (d *Directory) declared(b *federation.Emergency) bool {
	head, ok := d.heads[key{federation.TypeEmergency, b.Subject()}].Body.(*federation.Emergency)
	if !ok {
		return false
	}
	was, is := *head, *b
	was.Over, is.Over = false, false
	return reflect.DeepEqual(was, is)
}

func (d *Directory) lead(tf alert.TaskForceID) (alert.MemberID, bool) {
	for _, t := range d.registry.TaskForces {
		if t.ID == tf {
			return t.Lead, true
		}
	}
	return "", false
}

// Needed returns the owners of keys without whose signatures a statement does not come
// into force; none where a number of some suffices.
func (d *Directory) Needed(s Statement) []string {
	_, needed, _ := d.signers(s)
	return needed
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
		parties := slices.Concat(b.Parties, d.replaced(b, s.IssuedAt)) // who leaves an agreement signs that too
		return d.rootOf(parties...), names(parties), 1
	case *federation.Suspension:
		if b.Suspended {
			return d.rootOrNode(b.Party, s.IssuedAt), []string{string(b.Party)}, 1
		}
		return d.rootOf(b.Party), []string{string(b.Party)}, 1 // a node's key can stop a flow, not start it
	case *federation.Consent:
		return d.rootOrNode(b.Originator, s.IssuedAt), []string{string(b.Originator)}, 1
	case *federation.DutyOfficers:
		return d.rootOf(b.Member), []string{string(b.Member)}, 1
	case *federation.Emergency:
		if !b.Over {
			return d.onDuty(b.Originator), nil, 2
		}
		officer, other := d.onDuty(b.Originator), d.rootOrNode(b.Originator, s.IssuedAt)
		return func(kid string) (keys.PublicKey, bool) { // to end it must be easier than to begin
			if k, ok := officer(kid); ok {
				return k, true
			}
			return other(kid)
		}, nil, 1
	case *federation.Policy:
		return func(kid string) (keys.PublicKey, bool) { k, ok := d.officers[kid]; return k, ok },
			nil, d.registry.PolicyOfficers.Quorum
	case *federation.LegalHold:
		return func(kid string) (keys.PublicKey, bool) { k, ok := d.auditors[kid]; return k, ok }, nil, 1
	}
	return func(string) (keys.PublicKey, bool) { return keys.PublicKey{}, false }, nil, 1
}

// onDuty permits the keys of a member's duty officers.
func (d *Directory) onDuty(m alert.MemberID) permitted {
	return func(kid string) (keys.PublicKey, bool) {
		k, ok := d.duty[m][kid]
		return k, ok && !d.roles[k.Thumbprint()]
	}
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
