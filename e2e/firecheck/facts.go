package firecheck

import (
	"encoding/json"
	"slices"
)

// alertKey is an alert in all its versions.
type alertKey struct{ iss, sub string }

// version is a version of an alert that the hub has accepted.
type version struct {
	name     name
	hub      *hubAlert
	payload  payload
	kid      string
	admitted *entry // nil: the log does not tell of it
	portions []portion
	own      *outgoing // in its originator's outbox
	over     *entry    // the admission of the version that has ended it; nil: it stands
	cause    string    // of that
}

type portion struct {
	id    string
	label *label
}

func (v *version) portion(id string) *portion {
	i := slices.IndexFunc(v.portions, func(p portion) bool { return p.id == id })
	if i < 0 {
		return nil
	}
	return &v.portions[i]
}

// index is the place of its admission in the log.
func (v *version) index() int64 {
	if v.admitted == nil {
		return v.hub.logIndex
	}
	return v.admitted.index
}

// cease reports whether it is a recall that lets what stood before it stay where it is.
func (v *version) cease() bool {
	return v.payload.Recall != nil && v.payload.Recall.Mode == "cease-use"
}

// gather joins what the hub's store, the log, the outboxes and the journal say of each
// version.
func (c *checker) gather() {
	own := make(map[name]*outgoing)
	for _, n := range c.nodes {
		for _, o := range n.outbox {
			if o.state != "refused" {
				own[o.name] = o
			}
		}
	}
	planned := make(map[portionKey]json.RawMessage)
	for _, l := range c.journal.lines {
		if b := c.journal.begun[l.Op]; b != nil && l.Kind == "taken" {
			for _, p := range b.Portions {
				planned[portionKey{name{l.Member, l.Alert, l.Version}, p.ID}] = p.Label
			}
		}
	}
	for n, a := range c.hub.byName {
		v := &version{name: n, hub: a, payload: a.text.payload, own: own[n]}
		if s, err := parseJWS(a.text.jws); err == nil {
			v.kid = s.Kid
		}
		if list := c.log.admissions[n]; len(list) > 0 {
			v.admitted = list[0]
		}
		for _, p := range a.portions {
			v.portions = append(v.portions, portion{p.id, c.labelOf(v, p, planned[portionKey{n, p.id}])})
		}
		c.versions[n] = v
		c.alerts[alertKey{n.iss, n.sub}] = append(c.alerts[alertKey{n.iss, n.sub}], v)
	}
	for _, list := range c.alerts {
		slices.SortFunc(list, func(a, b *version) int { return a.name.ver - b.name.ver })
		c.markOver(list)
	}
	c.noteFirsts()
}

// labelOf is a portion's label as its originator signed it, else as the harness gave it
// to the node, else as the hub keeps it; where there are two they must say the same.
func (c *checker) labelOf(v *version, p hubPortion, planned json.RawMessage) *label {
	if v.own != nil {
		if s, ok := v.own.text.portion(p.id); ok && s.label != nil {
			if !s.label.same(*p.label) {
				c.rep.find(released, "portion %s of %v: the hub decides by another label than was signed", p.id, v.name)
			}
			return s.label
		}
	}
	if l, err := parseLabel(planned); planned != nil && err == nil && l.Classification != "" {
		if l.Policy == "" {
			l.Policy = p.label.Policy
		}
		if !l.same(*p.label) {
			c.rep.find(released, "portion %s of %v: the hub decides by another label than was given to the node", p.id, v.name)
		}
		return l
	}
	return p.label
}

// markOver notes of each version what has ended it: the first later one that is no
// recall which lets it stay.
func (c *checker) markOver(list []*version) {
	for i, v := range list {
		for _, later := range list[i+1:] {
			if later.cease() || later.admitted == nil {
				continue
			}
			v.over, v.cause = later.admitted, "superseded"
			if list[i+1].payload.Recall != nil {
				v.cause = "recalled"
			}
			break
		}
	}
}

// noteFirsts notes who was the first to publish under each id, and when each member was
// first handed anything of each alert.
func (c *checker) noteFirsts() {
	for _, e := range c.log.entries {
		if e.Alert == nil {
			continue
		}
		switch e.Kind {
		case "admission":
			if c.first[e.Alert.Sub] == "" {
				c.first[e.Alert.Sub] = e.Alert.Iss
			}
		case "release":
			k := [3]string{e.Recipient, e.Alert.Iss, e.Alert.Sub}
			if _, ok := c.handed[k]; !ok {
				c.handed[k] = e.index
			}
		}
	}
}

// has reports whether a member had an alert before a place in the log: its own, or one
// that was handed over to it.
func (c *checker) has(member, owner, id string, index int64) bool {
	at, ok := c.handed[[3]string{member, owner, id}]
	return member == owner || ok && at < index
}

// moment is a place in the log and the time there, in seconds since 1970-01-01 UTC by
// the hub's clock.
type moment struct {
	world *world
	index int64
	at    int64
}

// maxChain bounds how far references are followed.
const maxChain = 8

// permitted returns what the rules give a member of a version at a moment.
func (c *checker) permitted(v *version, to string, m moment, depth int) []release {
	k, ok := m.world.nodeKeys[v.kid]
	if !ok || k.Member != v.name.iss || !k.good(v.payload.Iat) || v.payload.Exp <= m.at || !c.concerned(v, to, m, depth) {
		return nil
	}
	var list []release
	for _, p := range v.portions {
		q := question{from: v.name.iss, to: to, alert: v.name.sub, iat: v.payload.Iat, exp: v.payload.Exp, label: p.label}
		if len(p.label.DerivedFrom) > 0 {
			q.owners = make(map[string]string)
			for _, source := range p.label.DerivedFrom {
				if owner := c.first[source]; owner != "" && c.has(v.name.iss, owner, source, m.index) {
					q.owners[source] = owner
				}
			}
		}
		r := m.world.decide(q)
		if r == nil || r.Obligations != nil && r.Obligations.HoldUntil <= m.at {
			continue
		}
		r.Portion = p.id
		list = append(list, *r)
	}
	return list
}

// concerned reports whether feedback may go to a member: to the originator of what it
// refers to, and to those who may have any of that.
func (c *checker) concerned(v *version, to string, m moment, depth int) bool {
	re := v.payload.Re
	if re == nil || to == re.Iss {
		return true
	}
	if depth >= maxChain {
		return false
	}
	var about *version
	for _, a := range c.alerts[alertKey{re.Iss, re.Sub}] {
		if a.index() < m.index {
			about = a
		}
	}
	return about != nil && about.payload.Exp > m.at && len(c.permitted(about, to, m, depth+1)) > 0
}
