package firecheck

import (
	"fmt"
	"maps"
	"slices"
)

// holding is a portion of a version that a member was delivered, in one item.
type holding struct {
	i *item
	r release
}

// fate is what must have become of one.
type fate struct {
	cause string // "": nothing has ended it
	by    *item  // of a cause that came with a delivery
	term         // of its time
}

// term is when something ends by its time, in seconds since 1970-01-01 UTC. Where a version
// came several times, on several terms, it may end by the first of them, and has by the last.
type term struct{ first, last int64 }

// forever is the term of what nothing limits.
var forever = term{never, never}

// limits are the terms of portions.
type limits map[string]term

func (l limits) of(portion string) term {
	if t, ok := l[portion]; ok {
		return t
	}
	return forever
}

// within is the shorter of two terms.
func (t term) within(o term) term { return term{min(t.first, o.first), min(t.last, o.last)} }

// termOf is the term of a portion of one item: the alert's, and that of its release.
func termOf(i *item, r release) term {
	until := i.text.Exp
	if r.Obligations != nil {
		until = min(until, r.Obligations.HoldUntil)
	}
	return term{until, until}
}

// under returns by when portions have ended of what came before a version: no later than the
// same portions of it.
func (l limits) under(items []*item) limits {
	own := make(limits)
	for _, i := range items {
		for _, r := range i.all() {
			t := termOf(i, r)
			if before, ok := own[r.Portion]; ok {
				t = term{min(t.first, before.first), max(t.last, before.last)}
			}
			own[r.Portion] = t
		}
	}
	out := maps.Clone(l)
	for p, t := range own {
		out[p] = l.of(p).within(t)
	}
	return out
}

// checkEnds: a member has of each alert what was delivered to it and has not ended, and
// nothing that has: by a recall, by a later version that does not release it, or by time.
func (c *checker) checkEnds(m string) {
	byAlert := make(map[alertKey]map[int][]*item)
	for _, i := range c.nodes[m].items {
		if i.withheld {
			continue
		}
		k := alertKey{i.name.iss, i.name.sub}
		if byAlert[k] == nil {
			byAlert[k] = make(map[int][]*item)
		}
		byAlert[k][i.name.ver] = append(byAlert[k][i.name.ver], i)
	}
	receipts := c.receiptsOf(m)
	for _, k := range slices.SortedFunc(maps.Keys(byAlert), func(a, b alertKey) int { return compare(a, b) }) {
		versions := byAlert[k]
		var recall, next *item
		var standing map[string]bool
		var later []*item // of each later version what came first
		bound := make(limits)
		for _, ver := range slices.Backward(slices.Sorted(maps.Keys(versions))) {
			c.checkVersionEnds(m, versions[ver], recall, next, standing, later, bound, receipts)
			bound = bound.under(versions[ver])
			first := versions[ver][0]
			switch r := first.text.Recall; {
			case r != nil && r.Mode == "purge":
				recall = first
			case r == nil:
				standing, next = narrowed(versions[ver], standing, next != nil), first
				later = append(later, first)
			}
		}
	}
}

func compare(a, b alertKey) int {
	if a.iss != b.iss {
		return map[bool]int{true: -1, false: 1}[a.iss < b.iss]
	}
	return map[bool]int{true: -1, false: 1}[a.sub < b.sub]
}

// narrowed returns what a version, and each one after it, releases as content.
func narrowed(items []*item, standing map[string]bool, after bool) map[string]bool {
	out := make(map[string]bool)
	for _, i := range items {
		for _, r := range i.all() {
			if r.Kind == kindContent && (!after || standing[r.Portion]) {
				out[r.Portion] = true
			}
		}
	}
	return out
}

// lacking returns which of the later versions was the first to come without the content of
// a portion, by what came first of each: that has ended it, whatever came of the same
// version afterwards. nil: none.
func lacking(later []*item, portion string) (by *item) {
	for _, i := range later {
		has := slices.ContainsFunc(i.all(), func(r release) bool { return r.Portion == portion && r.Kind == kindContent })
		if !has && (by == nil || i.seq < by.seq) {
			by = i
		}
	}
	return by
}

// checkVersionEnds judges the items of one version; recall is a later one that purges,
// next the next later version, standing what all later ones release as content, later what
// came first of each, and bound by when its portions end as those of later ones do.
func (c *checker) checkVersionEnds(m string, items []*item, recall, next *item, standing map[string]bool, later []*item, bound limits, receipts map[portionKey][]purgeReceipt) {
	left := make(map[string]bool)     // portions of which something is held
	must := make(map[string][]string) // by portion: what may have ended it, the first certainly
	for _, i := range items {
		for _, r := range i.all() {
			own := termOf(i, r)
			f := fate{term: own.within(bound.of(r.Portion))}
			switch {
			case recall != nil:
				f.cause, f.by = "recalled", recall
			case next != nil && !standing[r.Portion]:
				f.cause, f.by = "superseded", lacking(later, r.Portion)
			case f.last <= c.quiet():
				f.cause = "ended"
				if own.last > c.quiet() {
					c.rep.count("portions that a later version's end has ended", 1)
				}
			}
			here := c.checkHolding(m, holding{i, r}, f, lacking(later, r.Portion) != nil, receipts[portionKey{i.name, r.Portion}])
			left[r.Portion] = left[r.Portion] || here
			must[r.Portion] = []string{f.cause, "ended"}
			if lacking(later, r.Portion) != nil { // it may have come before the recall
				must[r.Portion] = append(must[r.Portion], "superseded")
			}
		}
	}
	for p, causes := range must {
		switch list := receipts[portionKey{items[0].name, p}]; {
		case left[p] && len(list) > 0:
			c.rep.find(purgeBad, "%s has signed that it has purged portion %s of %v, and has it", m, p, items[0].name)
		case !left[p] && len(list) == 0:
			c.rep.find(purgeBad, "%s has no receipt that it has purged portion %s of %v, which it has not (%s)", m, p, items[0].name, causes[0])
		case !left[p] && causes[0] != "" && !slices.Contains(causes, list[0].cause):
			c.rep.find(purgeBad, "%s says that portion %s of %v is %s, and it is %s", m, p, items[0].name, list[0].cause, causes[0])
		}
	}
}

// checkHolding judges one portion of one item, and reports whether it is there. Where
// lacked, a later version came first without it.
func (c *checker) checkHolding(m string, h holding, f fate, lacked bool, receipts []purgeReceipt) bool {
	p, here := h.i.text.portion(h.r.Portion)
	what := fmt.Sprintf("%s, item %d, portion %s of %v", m, h.i.seq, h.r.Portion, h.i.name)
	key := endKey{m, portionKey{h.i.name, h.r.Portion}}
	c.noteEnd(key, f)
	early := slices.ContainsFunc(receipts, func(r purgeReceipt) bool {
		return r.cause == "ended" && r.at >= f.first || r.cause == "superseded" && lacked
	})
	switch {
	case f.cause != "" && here:
		c.rep.find(content, "node of %s: it is %s, and there", what, f.cause)
	case f.cause == "" && !here && !early && f.first > c.stopped():
		c.rep.find(missing, "node of %s: nothing has ended it, and it is not there", what)
	}
	if h.r.Kind != kindContent {
		return here
	}
	if f.cause != "" {
		c.rep.count("ended portions that a node held, "+f.cause, 1)
		return here
	}
	if here {
		found := c.allow("node "+m, p.content)
		c.rep.count("live portions at nodes", 1)
		c.rep.count("markers found where they must be", int64(len(found)))
		if !c.published(key.portionKey, found) || len(found) != 1 {
			c.rep.find(missing, "node of %s: its content has %d markers, and is not what was published", what, len(found))
		}
	}
	return here
}

// noteEnd notes when something ended at a node. What came several times has ended when the
// last of it has.
func (c *checker) noteEnd(key endKey, f fate) {
	e := ending{f.last * 1000, never}
	if f.by != nil {
		e.delivery = c.journal.latest("node-"+key.member, f.by.receivedAt/1000)
	}
	if before, ok := c.ended[key]; ok {
		e.time, e.delivery = max(e.time, before.time), max(e.delivery, before.delivery)
	}
	c.ended[key] = e
}

// checkHubContent: the hub keeps of each version what has not ended, and nothing that
// has; and the log tells of each erasure, once and rightly.
func (c *checker) checkHubContent() {
	for _, v := range c.versions {
		for _, p := range v.portions {
			until := v.payload.Exp
			if end, ok := p.label.ends(); ok {
				until = min(until, end)
			}
			var es []*entry
			for _, e := range c.log.erased[v.name] {
				if slices.Contains(e.Erased, p.id) {
					es = append(es, e)
				}
			}
			s, here := v.hub.text.portion(p.id)
			c.checkHubPortion(v, p.id, until, here, es)
			if here && s.content != nil {
				found := c.allow("hub", s.content)
				c.rep.count("live portions at the hub", 1)
				if !c.published(portionKey{v.name, p.id}, found) {
					c.rep.find(missing, "the hub has other content of portion %s of %v than was published", p.id, v.name)
				}
			}
		}
		for _, e := range c.log.erased[v.name] {
			for _, id := range e.Erased {
				if v.portion(id) == nil {
					c.rep.find(erasedBad, "entry %d erases portion %s of %v, which it has not", e.index, id, v.name)
				}
			}
		}
	}
	for _, n := range c.nodes {
		purged := n.purged()
		for _, o := range n.outbox {
			c.checkOwnContent(n.member, o, purged[o.name.sub] && o.text.Recall == nil)
		}
	}
}

func (c *checker) checkHubPortion(v *version, id string, until int64, here bool, es []*entry) {
	switch {
	case len(es) > 1:
		c.rep.find(erasedBad, "entries %d and %d erase portion %s of %v", es[0].index, es[1].index, id, v.name)
	case here && len(es) > 0:
		c.rep.find(content, "the hub has portion %s of %v, which entry %d says it has erased", id, v.name, es[0].index)
	case here && v.over != nil:
		c.rep.find(content, "the hub has portion %s of %v, which is %s", id, v.name, v.cause)
	case here && until <= c.quiet():
		c.rep.find(content, "the hub has portion %s of %v, which has ended", id, v.name)
	case !here && len(es) == 0:
		c.rep.find(erasedBad, "the hub has not portion %s of %v, and no entry says that it has erased it", id, v.name)
	}
	if len(es) == 0 {
		return
	}
	e := es[0]
	c.rep.count("erased at the hub, "+e.Cause, 1)
	switch {
	case e.Cause == "ended" && !slices.ContainsFunc(c.judged(e), func(at int64) bool { return until <= at+slack }):
		c.rep.find(erasedBad, "entry %d erases portion %s of %v before its end", e.index, id, v.name)
	case e.Cause != "ended" && (v.over == nil || v.over.index > e.index || v.cause != e.Cause):
		c.rep.find(erasedBad, "entry %d erases portion %s of %v as %s, which it was not", e.index, id, v.name, e.Cause)
	}
}

// purged returns the member's own alerts of which a recall with the mode purge is accepted:
// nothing follows that, so that whatever else there is of them came before, or was refused.
func (n *nodeData) purged() map[string]bool {
	out := make(map[string]bool)
	for _, o := range n.outbox {
		if r := o.text.Recall; r != nil && r.Mode == "purge" && o.state == "accepted" {
			out[o.name.sub] = true
		}
	}
	return out
}

// checkOwnContent: an outbox keeps each portion of the member's own alerts until its label's
// retention ends, or the alert expires, or it has purged it itself; and no longer.
func (c *checker) checkOwnContent(m string, o *outgoing, purged bool) {
	if o.state == "queued" {
		return // told above
	}
	for _, p := range o.text.portions {
		cause := ""
		switch until := o.ends(p.label); {
		case purged:
			cause = "recalled"
		case until <= c.quiet():
			cause = "ended"
		}
		if cause != "" {
			c.rep.find(content, "outbox of %s: portion %s of %v is %s, and its content is there", m, p.id, o.name, cause)
		}
		found := c.allow("node "+m, p.content)
		c.rep.count("live portions of the members' own", 1)
		if !c.published(portionKey{o.name, p.id}, found) {
			c.rep.find(missing, "outbox of %s: portion %s of %v is not what was published", m, p.id, o.name)
		}
	}
	switch {
	case purged:
		c.rep.count("own versions that a recall has purged", 1)
	case !o.whole && o.text.Exp > c.stopped() && !c.hasEnded(o) && !slices.ContainsFunc(c.nodes[m].alarms, isRestored):
		c.rep.find(missing, "outbox of %s: %v is not as it was signed, and nothing of it has ended", m, o.name)
	}
}

// hasEnded reports whether what is left of a member's own alert is what has not ended of it.
func (c *checker) hasEnded(o *outgoing) bool {
	v := c.versions[o.name]
	if v == nil || o.state != "accepted" {
		return false
	}
	some := false
	for _, p := range v.portions {
		if _, here := o.text.portion(p.id); here {
			continue
		}
		if some = true; o.ends(p.label) > c.stopped() {
			return false
		}
	}
	return some
}

// ends is when a portion of a member's own ends by its time, in seconds since 1970-01-01 UTC.
func (o *outgoing) ends(l *label) int64 {
	if l != nil {
		if end, ok := l.ends(); ok {
			return min(o.text.Exp, end)
		}
	}
	return o.text.Exp
}
