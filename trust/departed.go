package trust

import (
	"github.com/entente-hub/entente/api/alert"
	"github.com/entente-hub/entente/api/federation"
)

// place is a statement, by its digest, or a member's place in it.
type place struct {
	digest string
	member alert.MemberID // "": the whole statement
}

// Ended reports whether a registry has ended a statement: it stands at the head of
// its chain and says nothing any more, until its successor is signed.
func (d *Directory) Ended(s Statement) bool { return d.void[place{s.Digest, ""}] }

// departed returns the members of whom the next registry knows nothing: those whose
// names it does not list, and those of whose root keys it keeps none. Whoever has the
// root key is the member; to change all of them is to give the name to another, unless
// a revision between lists both the old and the new.
func (d *Directory) departed(next anchors) map[alert.MemberID]bool {
	gone := make(map[alert.MemberID]bool)
	for m := range d.ceilings {
		gone[m] = true
	}
	for kid, k := range d.roots {
		if _, kept := next.roots[kid]; kept {
			delete(gone, alert.MemberID(k.Owner()))
		}
	}
	return gone
}

// endOrphans ends what hung on members who are gone and on task forces that the
// registry lists no longer. Should it list the same name again, a new revision must
// be signed: whoever has the name then has not spoken yet.
func (d *Directory) endOrphans(gone map[alert.MemberID]bool) {
	for _, s := range d.heads {
		switch b := s.Body.(type) {
		case *federation.Roster:
			if _, ok := d.lead(b.TaskForce); !ok {
				d.end(s)
			}
			d.leave(s, b.Members, gone)
		case *federation.NodeKey:
			if gone[b.Member] {
				d.end(s)
				delete(d.nodes, b.KeyID)
			}
		case *federation.DutyOfficers:
			if gone[b.Member] {
				d.end(s)
				delete(d.duty, b.Member)
			}
		case *federation.Agreement:
			for _, v := range d.versions(b.ID) {
				if d.leave(v.Statement, v.terms.Parties, gone) {
					d.end(v.Statement)
				}
			}
		case *federation.Suspension:
			if gone[b.Party] {
				d.end(s)
			}
		case *federation.Consent:
			if gone[b.Originator] {
				d.end(s)
			}
		case *federation.Emergency: // whoever bears one of these names later was not meant
			if d.concerns(b) != nil || gone[b.Originator] || d.leave(s, b.Members, gone) {
				d.end(s)
			}
		}
	}
}

func (d *Directory) end(s Statement) { d.void[place{s.Digest, ""}] = true }

// leave takes from those in a statement the place of each who is gone, and reports
// whether there is one.
func (d *Directory) leave(s Statement, members []alert.MemberID, gone map[alert.MemberID]bool) bool {
	left := false
	for _, m := range members {
		if gone[m] {
			d.void[place{s.Digest, m}] = true
			left = true
		}
	}
	return left
}

// forget strikes what was ended of a statement that counts no more anyway.
func (d *Directory) forget(s Statement) {
	var members []alert.MemberID
	switch b := s.Body.(type) {
	case *federation.Roster:
		members = b.Members
	case *federation.Agreement:
		members = b.Parties
	case *federation.Emergency:
		members = b.Members
	}
	for _, m := range append([]alert.MemberID{""}, members...) { // a scan of all would be slow after many have left
		delete(d.void, place{s.Digest, m})
	}
}
