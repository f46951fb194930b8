package firecheck

import (
	"fmt"
	"slices"
	"strconv"
	"time"
)

func unix(t int64) string { return time.Unix(t, 0).UTC().Format(time.RFC3339) }

// checkFeed: a member's feed at the hub has the places 1 to n, each following the one
// before by its chain value, and the log has exactly one release for each.
func (c *checker) checkFeed(m string) {
	chain := digestOf("entente feed 1\n" + m + "\n")
	list := c.hub.deliveries[m]
	for i, d := range list {
		c.rep.count("deliveries", 1)
		if d.seq != int64(i)+1 {
			c.rep.find(feedBroken, "feed of %s: place %d follows place %d", m, d.seq, i)
			return
		}
		if chain = nextChain(chain, d.seq, d.digest); chain != d.chain {
			c.rep.find(feedBroken, "feed of %s: the chain breaks at place %d", m, d.seq)
			return
		}
		c.checkRecorded(m, d)
	}
	f, n := c.hub.feeds[m], c.nodes[m]
	if n0 := int64(len(list)); f.seq != n0 || n0 > 0 && f.chain != chain {
		c.rep.find(feedBroken, "feed of %s: it has %d places, and stands at %d", m, n0, f.seq)
	}
	if n.seq != int64(len(list)) || n.seq > 0 && n.chain != chain {
		c.rep.find(inboxOther, "inbox of %s stands at place %d of a feed of %d", m, n.seq, len(list))
	}
	for k, es := range c.log.releases {
		if k.recipient == m && (k.seq < 1 || k.seq > int64(len(list))) {
			c.rep.find(unrecorded, "entry %d releases place %d to %s, whose feed ends at %d", es[0].index, k.seq, m, len(list))
		}
	}
}

func nextChain(chain string, seq int64, digest string) string {
	return digestOf(chain + "\n" + strconv.FormatInt(seq, 10) + "\n" + digest + "\n")
}

// checkRecorded: a delivery at the hub is one release in the log.
func (c *checker) checkRecorded(m string, d hubDelivery) {
	es := c.log.releases[deliveryKey{m, d.seq}]
	a := c.hub.alerts[d.alert]
	switch {
	case len(es) == 0:
		c.rep.find(unrecorded, "place %d of the feed of %s is released by no entry of the log", d.seq, m)
		return
	case len(es) > 1:
		c.rep.find(twice, "place %d of the feed of %s is released by entries %d and %d", d.seq, m, es[0].index, es[1].index)
	case a == nil || es[0].Alert.name() != a.name || es[0].Alert.Digest != a.digest:
		c.rep.find(unrecorded, "place %d of the feed of %s is another alert than entry %d says", d.seq, m, es[0].index)
	case es[0].Revision != d.facts.Revision || es[0].Policy != d.facts.Policy || !sameReleases(es[0].Releases, d.facts.Releases):
		c.rep.find(unrecorded, "place %d of the feed of %s has other terms than entry %d says", d.seq, m, es[0].index)
	}
}

// sameReleases reports whether two lists release the same, in whatever order.
func sameReleases(a, b []release) bool {
	return len(a) == len(b) && !slices.ContainsFunc(a, func(x release) bool {
		return !slices.ContainsFunc(b, func(y release) bool { return x.same(&y) })
	})
}

// checkInbox: an inbox is the feed, place by place: each delivery as the log says it was
// released, or withheld for a reason; versions in their order; none twice; and the alerts
// of each originator in the order of their admission.
func (c *checker) checkInbox(m string) {
	list, ds := c.nodes[m].items, c.hub.deliveries[m]
	seen := make(map[name][]*item)
	none := make(map[name]bool) // of which an item came without a delivery
	latest := make(map[alertKey]int)
	for at, i := range list {
		c.rep.count("inbox items", 1)
		where := fmt.Sprintf("inbox of %s, item %d", m, i.seq)
		if i.seq != int64(at)+1 {
			c.rep.find(feedBroken, "%s follows item %d", where, at)
			break
		}
		if at >= len(ds) || ds[at].digest != i.digest {
			c.rep.find(inboxOther, "%s is not what the hub has delivered", where)
			continue
		}
		es := c.log.releases[deliveryKey{m, i.seq}]
		if len(es) == 0 {
			continue // told above
		}
		if i.withheld {
			c.checkServedWithout(where, m, i, es[0])
			none[es[0].Alert.name()] = true
			continue
		}
		c.checkItem(where, m, i, es[0])
		k := alertKey{i.name.iss, i.name.sub}
		if i.name.ver < latest[k] {
			c.rep.find(order, "%s is %v, after version %d", where, i.name, latest[k])
		}
		latest[k] = max(latest[k], i.name.ver)
		switch had := seen[i.name]; {
		case len(had) == 0 || brings(i.all(), had):
		case slices.ContainsFunc(had, func(b *item) bool { return ds[b.seq-1].lost && c.askedTwice(m, b, es[0]) }):
			c.rep.count("excused, items that came again: their first was asked for twice, once too late", 1)
		default:
			c.rep.find(twice, "%s is %v, which was delivered before with all of it", where, i.name)
		}
		if none[i.name] {
			c.rep.count("came again since nothing of the first arrived", 1)
		}
		if ds[at].lost {
			c.rep.count("taken by the hub not to have arrived, and there", 1)
		}
		seen[i.name] = append(seen[i.name], i)
	}
	if p, err := openCheckpoint(c.nodes[m].checkpoint, "entente/"+c.run.Hub, c.history.hubKeys); len(list) > 0 && err == nil {
		if es := c.log.releases[deliveryKey{m, int64(len(list))}]; len(es) > 0 && es[0].index >= p.size {
			c.rep.find(unrecorded, "inbox of %s: its last item came with a log of %d entries, and stands in entry %d", m, p.size, es[0].index)
		}
	}
	if len(list) < len(ds) {
		c.rep.find(lost, "inbox of %s has %d of %d deliveries", m, len(list), len(ds))
	}
	c.checkOrder(m)
	c.checkEnds(m)
}

// askedTwice reports whether a request for an item may have been held up on its way, or by the
// hub, so that it came when the item had arrived and could not be had any more. The hub can
// not tell that from an answer that was lost: the item comes again, if it does.
func (c *checker) askedTwice(m string, first *item, again *entry) bool {
	es := c.log.releases[deliveryKey{m, first.seq}]
	if len(es) == 0 {
		return false
	}
	from, to := slices.Min(c.made(es[0])), slices.Max(c.made(again))
	return c.journal.met(from, to, 0, func(f *fault) bool { return f.parts(m) })
}

// brings reports whether a delivery releases anything that is not held by those before it:
// of each portion content before existence, and the latest terms.
func brings(list []release, before []*item) bool {
	held := make(map[string]release)
	for _, i := range before {
		for _, r := range i.all() {
			if h, ok := held[r.Portion]; !ok || h.Kind != kindContent || r.Kind == kindContent {
				held[r.Portion] = r
			}
		}
	}
	return slices.ContainsFunc(list, func(r release) bool {
		h, ok := held[r.Portion]
		return !ok || !h.same(&r) && (h.Kind != kindContent || r.Kind == kindContent)
	})
}

// checkItem holds a delivery against the entry that released it.
func (c *checker) checkItem(where, m string, i *item, e *entry) {
	if e.Alert.name() != i.name || e.Revision != i.delivery.Revision || e.Policy != i.delivery.Policy || !sameReleases(e.Releases, i.all()) {
		c.rep.find(inboxOther, "%s is not what entry %d releases: %v", where, e.index, i.name)
	}
	k, ok := c.history.last().nodeKeys[kidOf(i.text.jws)]
	if s, err := parseJWS(i.text.jws); err != nil || !ok || k.Member != i.name.iss || !k.good(i.text.Iat) || !k.Key.verify(s.Alg, s.input, s.sig) {
		c.rep.find(inboxOther, "%s is not signed by %s", where, i.name.iss)
	}
	if slices.Min(c.made(e)) > c.journal.latest("node-"+m, i.receivedAt/1000)+1000 {
		c.rep.find(unrecorded, "%s was received before entry %d released it", where, e.index)
	}
	if len(i.text.portions) != len(i.delivery.Releases) {
		c.rep.find(inboxOther, "%s discloses %d portions and names %d", where, len(i.text.portions), len(i.delivery.Releases))
	}
	for _, r := range i.delivery.Releases {
		p, ok := i.text.portion(r.Portion)
		if !ok || (p.content != nil) != (r.Kind == kindContent) {
			c.rep.find(inboxOther, "%s discloses of portion %s other than %s", where, r.Portion, r.Kind)
		}
	}
}

func kidOf(jws string) string {
	s, err := parseJWS(jws)
	if err != nil {
		return ""
	}
	return s.Kid
}

// checkServedWithout: an item without a delivery was handed over, and asked for again
// when it was over, had ended, or was not permitted any more.
func (c *checker) checkServedWithout(where, m string, i *item, e *entry) {
	if why := c.whyWithout(m, i, e); why != "" {
		c.rep.count("inbox items without a delivery, "+why, 1)
		return
	}
	c.rep.find(undelivered, "%s has nothing of what entry %d releases, and nothing tells why", where, e.index)
}

func (c *checker) whyWithout(m string, i *item, e *entry) string {
	v := c.versions[e.Alert.name()]
	if v == nil {
		return "it is not there"
	}
	at := c.journal.latest("node-"+m, i.receivedAt/1000)
	before := func(e *entry) bool { return e != nil && slices.Min(c.made(e)) <= at+clockLook }
	if before(v.over) || c.ceased(v) && before(c.last(v).admitted) {
		return "over"
	}
	var ahead int64
	for n := range maxHubs {
		_, by := c.journal.wrong(fmt.Sprint("hub-", n+1), at-commitTime, at)
		ahead = max(ahead, by)
	}
	ends := v.payload.Exp
	for _, r := range e.Releases {
		if r.Obligations != nil {
			ends = min(ends, r.Obligations.HoldUntil)
		}
	}
	if ends <= at/1000+ahead+slack || slices.ContainsFunc(c.log.erased[v.name], before) {
		return "ended"
	}
	for n := e.after; n <= len(c.log.stated) && (n == e.after || before(c.log.stated[n-1])); n++ {
		for _, w := range c.history.during(n) {
			if !sameReleases(c.permitted(v, m, moment{w, int64(len(c.log.entries)), e.seconds()}, 0), e.Releases) {
				return "not permitted"
			}
		}
	}
	return ""
}

// maxHubs is how many hubs a run may have.
const maxHubs = 4

// checkOrder: of two alerts of one originator, both permitted to a member all the while,
// the one that was admitted first was handed over first.
func (c *checker) checkOrder(m string) {
	last := make(map[string]*entry) // by originator: of those handed over, the one admitted last
	for _, d := range c.hub.deliveries[m] {
		es := c.log.releases[deliveryKey{m, d.seq}]
		if len(es) == 0 {
			continue
		}
		e, n := es[0], es[0].Alert.name()
		v := c.versions[n]
		if v == nil || v.admitted == nil || c.log.handed[handKey{m, n}][0] != e {
			continue
		}
		before := last[n.iss]
		if before != nil && before.index > v.index() && c.undisturbed(v, m, e) {
			c.rep.find(order, "feed of %s: %v at place %d came after what was admitted later by entry %d", m, n, d.seq, before.index)
		}
		if before == nil || before.index < v.index() {
			last[n.iss] = v.admitted
		}
	}
}

// undisturbed reports whether a version was permitted to a member from its admission to
// a release, as far as statements go.
func (c *checker) undisturbed(v *version, m string, e *entry) bool {
	for n := v.admitted.after; n <= e.after; n++ {
		for _, w := range c.history.during(n) {
			if len(c.permitted(v, m, moment{w, e.index, v.admitted.seconds()}, 0)) == 0 {
				return false
			}
		}
	}
	return len(c.log.withheld[handKey{m, v.name}]) == 0
}
