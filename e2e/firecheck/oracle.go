package firecheck

import "slices"

// release is what a recipient gets of one portion, and on which terms: as the log and
// deliveries say it, and as the oracle does.
type release struct {
	Portion     string       `json:"portion"`
	Kind        string       `json:"kind"`
	Agreements  []string     `json:"agreements,omitempty"`
	Emergency   string       `json:"emergency,omitempty"`
	Obligations *obligations `json:"obligations,omitempty"`
}

type obligations struct {
	Purposes  []string `json:"purposes"`
	HoldUntil int64    `json:"hold_until"`
	Onward    bool     `json:"onward"`
	Handling  []string `json:"handling,omitempty"`
}

// Kinds of release.
const (
	kindContent   = "content"
	kindExistence = "existence"
)

func (a *release) same(b *release) bool {
	if a.Portion != b.Portion || a.Kind != b.Kind || a.Emergency != b.Emergency || !slices.Equal(a.Agreements, b.Agreements) ||
		(a.Obligations == nil) != (b.Obligations == nil) {
		return false
	}
	if a.Obligations == nil {
		return true
	}
	x, y := a.Obligations, b.Obligations
	return x.HoldUntil == y.HoldUntil && x.Onward == y.Onward && slices.Equal(x.Purposes, y.Purposes) && slices.Equal(x.Handling, y.Handling)
}

// question is what a release depends on besides the world.
type question struct {
	from, to string
	alert    string
	iat, exp int64
	label    *label
	owners   map[string]string // of the label's sources, as far as the originator has them
}

func (w *world) active(m string) bool {
	_, known := w.ceilings[m]
	return known && !w.suspended[m]
}

func (w *world) listed(list []string, m string) bool {
	return slices.ContainsFunc(list, func(name string) bool { return name == m || slices.Contains(w.communities[name], m) })
}

// decide returns what the rules give of a portion, nil for nothing.
func (w *world) decide(q question) *release {
	l := q.label
	if !w.active(q.from) || !w.active(q.to) || q.from == q.to || !w.consented(q) || !w.sourced(q) {
		return nil
	}
	cited := w.cited(q)
	purposes := shared(cited, l)
	exempt := l.Classification == "unclassified" && l.PersonalData == "none"
	if len(purposes) == 0 && exempt {
		purposes = l.Purposes
	}
	inside := !slices.ContainsFunc(l.Compartments, func(c string) bool { return !slices.Contains(w.forces[c], q.to) })
	named := slices.Contains(l.ReleasableTo, q.to)
	switch {
	case w.ceilings[q.to] >= level(l.Classification) && inside && w.listed(l.ReleasableTo, q.to) &&
		(l.TLP != "red" || named) && (exempt || len(purposes) > 0):
		return terms(q, cited, purposes)
	case l.TLP == "red" && slices.Contains(l.DiscoverableTo, q.to), l.TLP != "red" && w.listed(l.DiscoverableTo, q.to):
		return &release{Kind: kindExistence}
	}
	return nil
}

// consented reports whether originator control, if the label has it, lets the recipient
// have it.
func (w *world) consented(q question) bool {
	return !q.label.OriginatorControl || w.listed(w.consents[q.from+"/"+q.alert].Recipients, q.to)
}

// sourced is the third-party rule: the originator of each source has consented, or is
// the recipient.
func (w *world) sourced(q question) bool {
	for _, source := range q.label.DerivedFrom {
		owner, known := q.owners[source]
		c, stated := w.consents[owner+"/"+source]
		if source == q.alert || !known || !stated || !w.active(owner) || q.to != owner && !w.listed(c.Recipients, q.to) {
			return false
		}
	}
	return true
}

func covers(a *agreement, category, purpose string, l *label) bool {
	return slices.Contains(a.Categories, category) && slices.Contains(a.Purposes, purpose) &&
		level(a.Max) >= level(l.Classification) && dataKind(a.PersonalData) >= dataKind(l.PersonalData)
}

// cited returns the agreements in force from the one to the other that cover anything of
// the label.
func (w *world) cited(q question) []*agreement {
	var list []*agreement
	for i := range w.agreements {
		a := &w.agreements[i]
		givers, takers := a.From, a.To
		if len(givers) == 0 {
			givers = a.Parties
		}
		if len(takers) == 0 {
			takers = a.Parties
		}
		if !slices.Contains(givers, q.from) || !slices.Contains(takers, q.to) {
			continue
		}
		if slices.ContainsFunc(q.label.Categories, func(c string) bool {
			return slices.ContainsFunc(q.label.Purposes, func(p string) bool { return covers(a, c, p, q.label) })
		}) {
			list = append(list, a)
		}
	}
	return list
}

// shared returns the purposes for which every category is covered.
func shared(cited []*agreement, l *label) []string {
	var list []string
	for _, p := range l.Purposes {
		if !slices.ContainsFunc(l.Categories, func(c string) bool {
			return !slices.ContainsFunc(cited, func(a *agreement) bool { return covers(a, c, p, l) })
		}) {
			list = append(list, p)
		}
	}
	return list
}

// terms are what binds a recipient of content.
func terms(q question, cited []*agreement, purposes []string) *release {
	l := q.label
	o := &obligations{Purposes: purposes, HoldUntil: q.exp, Handling: l.Handling,
		Onward: !l.OriginatorControl && l.TLP != "red" && l.TLP != "amber+strict" && !slices.Contains(l.Handling, "H2")}
	if end, ok := l.ends(); ok {
		o.HoldUntil = min(o.HoldUntil, end)
	}
	out := &release{Kind: kindContent, Obligations: o}
	for _, a := range cited {
		out.Agreements = append(out.Agreements, a.digest)
		o.HoldUntil = min(o.HoldUntil, q.iat+a.Days*24*60*60)
		o.Onward = o.Onward && a.Onward
	}
	slices.Sort(out.Agreements)
	return out
}
