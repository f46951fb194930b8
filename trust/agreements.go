package trust

import (
	"slices"
	"time"

	"github.com/entente-hub/entente/api/alert"
	"github.com/entente-hub/entente/api/federation"
)

// version is a version of an agreement with the time in which it is the one that
// counts: from its own beginning until its end, or until the next begins. A new
// version that is signed ahead of its time thus leaves the old one in force until
// then.
type version struct {
	Statement
	terms *federation.Agreement
	until int64 // seconds since 1970-01-01 UTC
}

func (v version) counts(at time.Time) bool {
	u := at.Unix()
	return v.terms.ValidFrom <= u && u < v.until
}

// versions returns the versions of an agreement that count at any time, in their
// order, which is that of their beginnings. The last is the head.
func (d *Directory) versions(id federation.AgreementID) []version {
	var list []version
	head := d.heads[key{federation.TypeAgreement, string(id)}]
	for _, s := range append(slices.Clip(d.earlier[id]), head) {
		terms, ok := s.Body.(*federation.Agreement)
		if !ok {
			continue
		}
		if n := len(list); n > 0 {
			list[n-1].until = min(list[n-1].until, terms.ValidFrom)
		}
		list = append(list, version{s, terms, terms.ValidUntil})
	}
	return list
}

// follow puts the old version of an agreement among the earlier ones, and strikes
// from them what can count no more: what does not begin before the new one.
func (d *Directory) follow(b *federation.Agreement, old Statement) {
	if old.Body == nil {
		return
	}
	var keep []Statement // a slice of its own: other directories have the earlier one
	for _, s := range append(slices.Clip(d.earlier[b.ID]), old) {
		if a, ok := s.Body.(*federation.Agreement); ok && a.ValidFrom < b.ValidFrom {
			keep = append(keep, s)
		} else {
			d.forget(s)
		}
	}
	d.earlier[b.ID] = keep
}

// replaced returns the parties of what a new version takes the place of: of the
// last one, and of each earlier one whose time it cuts short. Who has left the
// federation is not among them, nor is another who has the name since.
func (d *Directory) replaced(b *federation.Agreement, signed int64) []alert.MemberID {
	var parties []alert.MemberID
	versions := d.versions(b.ID)
	for i, v := range versions {
		if i < len(versions)-1 && v.until <= max(b.ValidFrom, signed) {
			continue
		}
		for _, m := range v.terms.Parties {
			if d.known(m) == nil && !d.void[place{v.Digest, m}] {
				parties = append(parties, m)
			}
		}
	}
	return parties
}

// Current returns the version of an agreement that counts at a moment, which is the
// last whose validity has begun, or the first where none has, and the versions that
// will follow it, each at the beginning of its own validity. ok is false where there
// is no such agreement. How the version stands, Stands tells.
func (d *Directory) Current(id federation.AgreementID, at time.Time) (now Statement, following []Statement, ok bool) {
	versions := d.versions(id)
	if len(versions) == 0 {
		return Statement{}, nil, false
	}
	begun := 0
	for i, v := range versions {
		if v.terms.ValidFrom <= at.Unix() {
			begun = i
		}
	}
	for _, v := range versions[begun+1:] {
		following = append(following, v.Statement)
	}
	return versions[begun].Statement, following, true
}
