package policies

import (
	"slices"

	"github.com/entente-hub/entente/api/alert"
	"github.com/entente-hub/entente/api/federation"
	"github.com/entente-hub/entente/api/feed"
)

const secondsPerDay = 24 * 60 * 60

// Release states what a member gets of a portion: the kind, the agreements on
// which content rests, and what binds whoever receives it. issuedAt and expires
// are the alert's iat and exp, in seconds since 1970-01-01 UTC. a must come
// from w and q; a release that can not be stated in full is none.
func (w *World) Release(a *Audience, m alert.MemberID, p alert.PortionID, q Query, issuedAt, expires int64) feed.Release {
	none := feed.Release{Portion: p, Kind: feed.None}
	if a == nil || a.world != w {
		return none
	}
	kind := a.Of(m)
	if kind != feed.Content {
		return feed.Release{Portion: p, Kind: kind}
	}
	until := expires
	end, named, err := retentionEnd(&q.Label)
	if err != nil {
		return none
	}
	if named {
		until = min(until, end)
	}
	cited := w.cited(q.Originator, m, &q.Label)
	allowed := purposes(cited, &q.Label)
	if len(allowed) == 0 {
		return none // whatever rules that were brought let through, no agreement has it
	}
	out := feed.Release{Portion: p, Kind: kind, Obligations: &feed.Obligations{
		Purposes: allowed,
		Handling: slices.Clone(q.Label.Handling),
		Onward:   a.onward && passedOn(cited),
	}}
	if digest, exp, ok := w.rescued(m, q); ok {
		out.Emergency, until = digest, min(until, exp)
		out.Obligations.Onward = false // for those who need it to save life, and nobody after them
	}
	for _, c := range cited {
		until = min(until, issuedAt+int64(c.RetentionDays)*secondsPerDay)
		out.Agreements = append(out.Agreements, c.Digest)
	}
	slices.Sort(out.Agreements)
	out.Obligations.HoldUntil = until
	return out
}

// rescued reports whether a member has content only because an emergency is in
// force: it is not in every compartment. It returns the statement's digest and the
// emergency's end, beyond which nothing is held.
func (w *World) rescued(m alert.MemberID, q Query) (digest string, until int64, ok bool) {
	e, ok := w.declared(q)
	if !ok || !slices.ContainsFunc(q.Label.Compartments, func(c alert.TaskForceID) bool {
		return !slices.Contains(w.world.TaskForces[c], m)
	}) {
		return "", 0, false
	}
	return e.Digest, e.ValidUntil, true
}

// cited returns the agreements between two members that cover any category of
// the label at its level, for one of its purposes at least. Where membership
// suffices there may be none, or some that do not cover all of it.
func (w *World) cited(from, to alert.MemberID, l *alert.Label) []*federation.InForce {
	pos, ok := w.position[to]
	if !ok {
		return nil
	}
	var out []*federation.InForce
	for _, a := range w.given(from).to[pos] {
		if slices.ContainsFunc(l.Categories, func(c alert.Category) bool { return covers(a, c, l) }) {
			out = append(out, a)
		}
	}
	return out
}

func covers(a *federation.InForce, c alert.Category, l *alert.Label) bool {
	return slices.ContainsFunc(l.Purposes, func(p alert.Purpose) bool {
		return a.Covers(c, p, l.Classification, l.PersonalData)
	})
}

// purposes returns those of the label's purposes for which every category is
// covered by one of the cited agreements. Where there is none and membership
// suffices they are all of the label's.
func purposes(cited []*federation.InForce, l *alert.Label) []alert.Purpose {
	var out []alert.Purpose
	for _, p := range l.Purposes {
		uncovered := slices.ContainsFunc(l.Categories, func(c alert.Category) bool {
			return !slices.ContainsFunc(cited, func(a *federation.InForce) bool {
				return a.Covers(c, p, l.Classification, l.PersonalData)
			})
		})
		if !uncovered {
			out = append(out, p)
		}
	}
	if len(out) == 0 && l.Classification == alert.Unclassified && l.PersonalData == alert.NoPersonalData {
		return slices.Clone(l.Purposes)
	}
	return out
}

// passedOn reports whether every agreement that a portion rests on lets the
// recipient pass it on. Whether its label does is for the rules to say.
func passedOn(cited []*federation.InForce) bool {
	return !slices.ContainsFunc(cited, func(a *federation.InForce) bool { return !a.Onward })
}
