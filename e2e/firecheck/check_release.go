package firecheck

import (
	"slices"
)

// checkReleases: each release in the log is of an alert that was admitted before it and
// was not over; it cites rules in force at its place; and it is what the oracle gives,
// neither more nor less, on the same terms.
func (c *checker) checkReleases() {
	for _, e := range c.log.entries {
		if e.Kind != "release" {
			continue
		}
		n := e.Alert.name()
		v := c.versions[n]
		switch {
		case v == nil || v.admitted == nil || v.admitted.index > e.index:
			c.rep.find(released, "entry %d releases %v to %s, which was not admitted before", e.index, n, e.Recipient)
			continue
		case e.Alert.Digest != v.hub.digest:
			c.rep.find(released, "entry %d releases other bytes of %v", e.index, n)
		case v.over != nil && v.over.index < e.index:
			c.rep.find(released, "entry %d releases %v to %s after entry %d has ended it", e.index, n, e.Recipient, v.over.index)
		case n.iss == e.Recipient:
			c.rep.find(released, "entry %d releases %v to its originator", e.index, n)
		}
		worlds := c.worldsOf(e)
		if len(worlds) == 0 {
			c.rep.find(released, "entry %d releases %v to %s under rules that were not in force", e.index, n, e.Recipient)
			continue
		}
		if len(e.Releases) == 0 && !c.wasHanded(e.Recipient, n, e.index) {
			c.rep.find(released, "entry %d tells %s of %v, who was handed no version before", e.index, e.Recipient, n)
		}
		if !c.fits(v, e, worlds[0]) {
			want := c.permitted(v, e.Recipient, moment{worlds[0], e.index, e.seconds()}, 0)
			c.rep.find(released, "entry %d releases %s of %v to %s, where the rules give %s", e.index, spell(e.Releases), n, e.Recipient, spell(want))
		}
	}
}

// fits reports whether an entry releases what the rules give. What ends within a minute
// may have been decided before or after.
func (c *checker) fits(v *version, e *entry, w *world) bool {
	return slices.ContainsFunc([]int64{0, -slack, slack}, func(off int64) bool {
		return slices.EqualFunc(e.Releases, c.permitted(v, e.Recipient, moment{w, e.index, e.seconds() + off}, 0),
			func(a, b release) bool { return a.same(&b) })
	})
}

// wasHanded reports whether a member was handed an earlier version before a place in the
// log.
func (c *checker) wasHanded(m string, n name, index int64) bool {
	for ver := 1; ver < n.ver; ver++ {
		for _, e := range c.log.handed[handKey{m, name{n.iss, n.sub, ver}}] {
			if e.index < index {
				return true
			}
		}
	}
	return false
}

// spell names releases for a reader.
func spell(list []release) []string {
	out := []string{}
	for _, r := range list {
		s := r.Portion + ":" + r.Kind
		if o := r.Obligations; o != nil {
			s += " until " + unix(o.HoldUntil)
		}
		out = append(out, s)
	}
	return out
}

// checkWithheld: what was withheld, the rules did not give.
func (c *checker) checkWithheld() {
	for k, list := range c.log.withheld {
		v := c.versions[k.name]
		for _, e := range list {
			worlds := c.worldsOf(e)
			switch {
			case v == nil || v.index() > e.index:
				c.rep.find(withheld, "entry %d withholds %v from %s, which was not admitted before", e.index, k.name, k.recipient)
			case len(worlds) == 0:
				c.rep.find(withheld, "entry %d withholds %v from %s under rules that were not in force", e.index, k.name, k.recipient)
			case !slices.ContainsFunc([]int64{0, -slack, slack}, func(off int64) bool {
				return len(c.permitted(v, k.recipient, moment{worlds[0], e.index, e.seconds() + off}, 0)) == 0
			}):
				c.rep.find(withheld, "entry %d withholds %v from %s, to whom the rules give it", e.index, k.name, k.recipient)
			}
		}
	}
}

// checkDelivered: whom the rules permitted a version when it was admitted, or do at the
// end, has it, or the log tells why not; and who was handed a version is told of the last.
func (c *checker) checkDelivered() {
	last := c.history.last()
	end := moment{last, int64(len(c.log.entries)), c.stopped() + slack}
	for _, v := range c.versions {
		if v.admitted == nil {
			continue
		}
		worlds := c.worldsOf(v.admitted)
		for _, m := range c.run.Members {
			k := handKey{m, v.name}
			if m == v.name.iss {
				continue
			}
			if c.latest(v) && len(c.log.handed[k]) == 0 && c.wasHanded(m, v.name, v.index()) {
				c.rep.find(undelivered, "%s was handed a version before %v, and never told that it is over", m, v.name)
			}
			if v.payload.Recall != nil {
				continue
			}
			if len(worlds) > 0 && v.over == nil && len(c.log.handed[k]) == 0 && len(c.log.withheld[k]) == 0 &&
				len(c.permitted(v, m, moment{worlds[0], v.index(), v.admitted.seconds() + slack}, 0)) > 0 && !c.ceased(v) {
				c.rep.find(undelivered, "%v was never handed to %s, and the log does not tell why", v.name, m)
			}
			if c.latest(v) {
				c.checkHolds(v, m, c.permitted(v, m, end, 0))
			}
		}
	}
}

// last is the last version of an alert.
func (c *checker) last(v *version) *version {
	list := c.alerts[alertKey{v.name.iss, v.name.sub}]
	return list[len(list)-1]
}

// ceased reports whether a recall that leaves it where it is came after a version.
func (c *checker) ceased(v *version) bool { return c.last(v).cease() }

func (c *checker) latest(v *version) bool { return c.last(v) == v }

// checkHolds: a member was delivered all that the rules permit it at the end, unless the
// hub had erased it by then, its clock being wrong.
func (c *checker) checkHolds(v *version, m string, want []release) {
	c.rep.count("deliveries that must be there", int64(len(want)))
	for _, r := range want {
		if slices.ContainsFunc(c.log.erased[v.name], func(e *entry) bool { return slices.Contains(e.Erased, r.Portion) && len(c.made(e)) > 1 }) {
			c.rep.count("excused, deliveries that must be there: the hub's clock was wrong, and it had erased it", 1)
			continue
		}
		has := false
		for _, i := range c.nodes[m].byName[v.name] {
			has = has || slices.ContainsFunc(i.all(), func(g release) bool {
				return g.Portion == r.Portion && (g.Kind == kindContent || g.Kind == r.Kind)
			})
		}
		if !has {
			c.rep.find(undelivered, "%s is permitted %s of portion %s of %v, and was not delivered it", m, r.Kind, r.Portion, v.name)
		}
	}
}
