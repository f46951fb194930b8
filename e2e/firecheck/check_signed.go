package firecheck

import (
	"slices"
	"strings"
)

// ack is a node's word that it has a delivery.
type ack struct {
	Iss   string `json:"iss"`
	Aud   string `json:"aud"`
	Seq   int64  `json:"seq"`
	Chain string `json:"chain"`
	Iat   int64  `json:"iat"`
}

// purge is a node's word that it has erased portions of a version.
type purge struct {
	Iss      string   `json:"iss"`
	Aud      string   `json:"aud"`
	Orig     string   `json:"orig"`
	Sub      string   `json:"sub"`
	Ver      int      `json:"ver"`
	Digest   string   `json:"digest"`
	Cause    string   `json:"cause"`
	Portions []string `json:"portions"`
	Iat      int64    `json:"iat"`
}

// purgeReceipt is what one says of a portion.
type purgeReceipt struct {
	cause string
	at    int64 // seconds since 1970-01-01 UTC
}

// ofMember finds a member's node key that was good when something was signed.
func (c *checker) ofMember(m, kid string, iat int64) (jwk, bool) {
	k, ok := c.history.last().nodeKeys[kid]
	return k.Key, ok && k.Member == m && k.good(iat)
}

// checkAcks: each delivery in an inbox is acknowledged by one entry of the log, in the
// member's own signed words, and by the hub's store; and nothing else is.
func (c *checker) checkAcks() {
	for _, m := range c.run.Members {
		for at, d := range c.hub.deliveries[m] {
			es := c.log.received[deliveryKey{m, d.seq}]
			there := at < len(c.nodes[m].items) && !c.nodes[m].items[at].withheld
			switch {
			case len(es) == 0 && there:
				c.rep.find(ackBad, "item %d of %s is acknowledged by no entry of the log", d.seq, m)
			case len(es) > 1:
				c.rep.find(ackBad, "item %d of %s is acknowledged by entries %d and %d", d.seq, m, es[0].index, es[1].index)
			case len(es) == 1 && es[0].Proof != d.receipt:
				c.rep.find(ackBad, "item %d of %s: the hub keeps another acknowledgement than entry %d", d.seq, m, es[0].index)
			}
		}
	}
	for k, es := range c.log.received {
		for _, e := range es {
			c.rep.count("acknowledgements", 1)
			c.checkAck(k, e)
		}
	}
}

func (c *checker) checkAck(k deliveryKey, e *entry) {
	a, err := openJWS(e.Proof, "entente-ack+jwt", func(kid string, a ack) (jwk, bool) { return c.ofMember(k.recipient, kid, a.Iat) })
	list := c.hub.deliveries[k.recipient]
	rel := c.log.releases[k]
	switch {
	case err != nil:
		c.rep.find(ackBad, "entry %d, item %d of %s: %v", e.index, k.seq, k.recipient, err)
	case a.Iss != k.recipient || a.Aud != c.run.Hub || a.Seq != k.seq:
		c.rep.find(ackBad, "entry %d acknowledges item %d of %s with an acknowledgement of item %d of %s", e.index, k.seq, k.recipient, a.Seq, a.Iss)
	case k.seq < 1 || k.seq > int64(len(list)):
		c.rep.find(ackBad, "entry %d acknowledges item %d of %s, which there is not", e.index, k.seq, k.recipient)
	case list[k.seq-1].chain != a.Chain:
		c.rep.find(ackBad, "entry %d acknowledges another item %d than %s was delivered", e.index, k.seq, k.recipient)
	case len(rel) > 0 && rel[0].index > e.index:
		c.rep.find(ackBad, "entry %d acknowledges item %d of %s before entry %d releases it", e.index, k.seq, k.recipient, rel[0].index)
	}
}

// receiptsOf opens the purge receipts of a node, by what they name.
func (c *checker) receiptsOf(m string) map[portionKey][]purgeReceipt {
	out := make(map[portionKey][]purgeReceipt)
	for _, p := range c.nodes[m].purges {
		s, err := c.openPurge(m, p.token)
		if err != nil || (name{s.Orig, s.Sub, s.Ver}) != p.name || s.Cause != p.cause || !slices.Equal(s.Portions, p.portions) {
			c.rep.find(purgeBad, "node of %s: the receipt for %v does not hold: %v", m, p.name, err)
			continue
		}
		for _, id := range p.portions {
			k := portionKey{p.name, id}
			out[k] = append(out[k], purgeReceipt{s.Cause, s.Iat})
		}
	}
	return out
}

func (c *checker) openPurge(m, token string) (purge, error) {
	return openJWS(token, "entente-purge+jwt", func(kid string, p purge) (jwk, bool) {
		k, ok := c.ofMember(m, kid, p.Iat)
		return k, ok && p.Iss == m && p.Aud == c.run.Hub
	})
}

// checkPurges: what a node says that it has purged, the log has too; and what the log has
// is the member's own signed word about what was released to it and has ended.
func (c *checker) checkPurges() {
	logged := make(map[handKey]map[string]bool)
	for k, es := range c.log.purged {
		logged[k] = make(map[string]bool)
		for _, e := range es {
			c.rep.count("purge receipts", 1)
			c.checkPurge(k, e)
			for _, id := range e.Erased {
				logged[k][id] = true
			}
		}
	}
	for _, m := range c.run.Members {
		for _, p := range c.nodes[m].purges {
			if !p.taken || p.refused != "" {
				c.rep.find(unsent, "node of %s: the purge receipt for %v is not with the hub: %s", m, p.name, p.refused)
				continue
			}
			for _, id := range p.portions {
				if !logged[handKey{m, p.name}][id] {
					c.rep.find(purgeBad, "%s has purged portion %s of %v, and the log has no receipt", m, id, p.name)
				}
			}
		}
	}
}

func (c *checker) checkPurge(k handKey, e *entry) {
	p, err := c.openPurge(k.recipient, e.Proof)
	v := c.versions[k.name]
	switch {
	case err != nil:
		c.rep.find(purgeBad, "entry %d of %s: %v", e.index, k.recipient, err)
		return
	case (name{p.Orig, p.Sub, p.Ver}) != k.name || p.Cause != e.Cause || !slices.Equal(p.Portions, e.Erased):
		c.rep.find(purgeBad, "entry %d of %s says other than what is signed", e.index, k.recipient)
		return
	case v == nil || v.hub.signedDigest != p.Digest:
		c.rep.find(purgeBad, "entry %d of %s is about %v, which there is not", e.index, k.recipient, k.name)
		return
	case p.Cause != "ended" && (v.over == nil || v.over.index > e.index):
		c.rep.find(purgeBad, "entry %d of %s: %v is not %s", e.index, k.recipient, k.name, p.Cause)
	}
	for _, id := range p.Portions {
		first := c.firstEnd(k, id, e)
		for _, later := range c.alerts[alertKey{k.name.iss, k.name.sub}] {
			if first < never && later.name.ver > k.name.ver {
				first = min(first, c.firstEnd(handKey{k.recipient, later.name}, id, e))
			}
		}
		switch {
		case first == never:
			c.rep.find(purgeBad, "entry %d: portion %s of %v was never released to %s", e.index, id, k.name, k.recipient)
		case p.Cause == "ended" && first > p.Iat+skew:
			c.rep.find(purgeBad, "entry %d: portion %s of %v has not ended at %s", e.index, id, k.name, k.recipient)
		}
	}
}

// firstEnd is when the first of the releases of a portion ends that a member was handed of a
// version before an entry, in seconds since 1970-01-01 UTC; never: there are none.
func (c *checker) firstEnd(k handKey, portion string, e *entry) int64 {
	first := int64(never)
	for _, r := range c.log.handed[k] {
		for _, one := range r.Releases {
			if one.Portion != portion || r.index > e.index {
				continue
			}
			until := c.versions[k.name].payload.Exp
			if one.Obligations != nil {
				until = min(until, one.Obligations.HoldUntil)
			}
			first = min(first, until)
		}
	}
	return first
}

// isRestored reports whether a node has found that it was restored from a backup, which a
// harness does to it.
func isRestored(alarm string) bool { return strings.HasPrefix(alarm, "restored: ") }

// checkRest: at rest nothing is under way, and no node has caught anybody at anything.
func (c *checker) checkRest() {
	for _, m := range c.run.Members {
		n := c.nodes[m]
		if n.acks > 0 {
			c.rep.find(unsent, "node of %s: %d acknowledgements wait", m, n.acks)
		}
		if n.drafts > 0 {
			c.rep.find(unsent, "node of %s: %d drafts are pending", m, n.drafts)
		}
		if w := c.hub.waiting[m]; w > 0 || c.hub.feeds[m].pending != 0 {
			c.rep.find(unsent, "%d deliveries wait for %s, and its feed counts %d", w, m, c.hub.feeds[m].pending)
		}
		for _, a := range n.alarms {
			if !isRestored(a) || c.run.Faults["restore"] == 0 {
				c.rep.find(alarmed, "node of %s: %s", m, a)
			}
		}
	}
	for kind, n := range c.run.Faults {
		c.rep.count("faults, "+kind, int64(n))
	}
}
