package firecheck

import (
	"slices"
)

// checkStatements: the log tells of each statement that is in force, in their order, and
// what a hub has answered for is there.
func (c *checker) checkStatements() {
	i := 0
	known := make(map[string]bool)
	for _, s := range c.history.rows {
		if s.typ == momentType {
			continue
		}
		known[s.digest] = true
		if i >= len(c.log.stated) {
			c.rep.find(unrecorded, "the log does not tell of %s %q %d", s.typ, s.subject, s.rev)
			continue
		}
		e := c.log.stated[i]
		if e.Statement == nil || e.Statement.Digest != s.digest || e.Statement.Type != s.typ || e.Statement.Subject != s.subject || e.Statement.Rev != s.rev {
			c.rep.find(unrecorded, "entry %d tells of another statement than %s %q %d, which came then", e.index, s.typ, s.subject, s.rev)
		}
		i++
	}
	if i < len(c.log.stated) {
		c.rep.find(statemented, "entry %d tells of a statement that is not there", c.log.stated[i].index)
	}
	for _, l := range c.journal.lines {
		if b := c.journal.begun[l.Op]; l.Kind == "statement-taken" && b != nil {
			c.rep.count("statements taken in the run", 1)
			if !known[b.Digest] {
				c.rep.find(lost, "line %d: the statement %s %q %d was taken, and is not in force", l.N, b.Type, b.Subject, b.Rev)
			}
		}
	}
}

// receipt is the hub's word that it has an alert for good.
type receipt struct {
	Iss      string `json:"iss"`
	Aud      string `json:"aud"`
	Sub      string `json:"sub"`
	Ver      int    `json:"ver"`
	Digest   string `json:"digest"`
	LogIndex int64  `json:"log_index"`
}

// checkOutboxes: what a node has answered for is in its outbox, and what has a receipt
// there is in the hub's store and in the log.
func (c *checker) checkOutboxes() {
	byAlert := make(map[alertKey][]*outgoing)
	for _, m := range c.run.Members {
		last := int64(-1)
		for _, o := range c.nodes[m].outbox {
			if v := c.versions[o.name]; v != nil && o.state == "accepted" && !o.urgent() {
				if v.hub.logIndex < last && !slices.ContainsFunc(c.nodes[m].alarms, isRestored) {
					c.rep.find(order, "outbox of %s: %v was accepted before what was queued before it", m, o.name)
				}
				last = max(last, v.hub.logIndex)
			}
			k := alertKey{m, o.name.sub}
			byAlert[k] = append(byAlert[k], o)
			switch o.state {
			case "accepted":
				c.rep.count("receipts", 1)
				c.checkReceipt(o)
			case "refused":
				c.rep.count("refused by the hub", 1)
			default:
				c.rep.find(unsent, "outbox of %s: %v is %s", m, o.name, o.state)
			}
		}
	}
	acts := make(map[name]int)
	for _, l := range c.journal.lines {
		b := c.journal.begun[l.Op]
		if l.Kind != "taken" || b == nil {
			continue
		}
		n := name{l.Member, l.Alert, l.Version}
		c.rep.count("acts taken, "+b.Kind[:len(b.Kind)-len("-begin")], 1)
		all := byAlert[alertKey{n.iss, n.sub}]
		has := func(o *outgoing) bool { return o.name == n }
		// What the hub has refused may be followed by another of the same number.
		rows := len(slices.DeleteFunc(slices.Clone(all), func(o *outgoing) bool { return o.name != n }))
		if acts[n]++; acts[n] > max(rows, 1) && b.Kind != "recall-begin" {
			c.rep.find(twice, "line %d: %v was given to %d acts", l.N, n, acts[n])
		}
		if !slices.ContainsFunc(all, has) && !slices.ContainsFunc(all, func(o *outgoing) bool { return renumbered(b, o, all) }) {
			c.rep.find(lost, "line %d: %v was taken, and is not in the outbox of %s", l.N, n, l.Member)
		}
	}
}

// urgent reports whether an alert may overtake what was queued before it: a recall, which
// makes room, and a request of the highest precedence about what is not the member's own.
// That it follows what it builds on, the admissions tell.
func (o *outgoing) urgent() bool {
	t := o.text
	return t.Recall != nil || o.name.ver == 1 && t.Re != nil && t.Re.Precedence == "flash" && t.Re.Iss != o.name.iss
}

// renumbered reports whether an alert of an outbox may be the recall that an act has
// left: where a version before it was refused it is placed anew.
func renumbered(b *line, o *outgoing, all []*outgoing) bool {
	return b.Kind == "recall-begin" && o.text.Recall != nil && o.text.Recall.Mode == b.Mode &&
		slices.ContainsFunc(all, func(o *outgoing) bool { return o.state == "refused" })
}

// checkReceipt: a receipt is the hub's, for these bytes, and leads to the admission.
func (c *checker) checkReceipt(o *outgoing) {
	r, err := openJWS(o.receipt, "entente-receipt+jwt", func(kid string, _ receipt) (jwk, bool) {
		k, ok := c.history.hubKeys[kid]
		return k, ok
	})
	v := c.versions[o.name]
	switch {
	case err != nil:
		c.rep.find(receiptBad, "of %v: %v", o.name, err)
	case r.Iss != c.run.Hub || r.Aud != o.name.iss || r.Sub != o.name.sub || r.Ver != o.name.ver || r.Digest != o.digest:
		c.rep.find(receiptBad, "of %v: it is for version %d of %s/%s", o.name, r.Ver, r.Aud, r.Sub)
	case v == nil:
		c.rep.find(lost, "%v has a receipt, and is not in the hub's store", o.name)
	case v.hub.digest != o.digest || v.hub.signedDigest != o.text.signedDigest:
		c.rep.find(receiptBad, "of %v: the hub has other bytes", o.name)
	case r.LogIndex < 0 || r.LogIndex >= int64(len(c.log.entries)):
		c.rep.find(lost, "%v has a receipt for entry %d of the log, which has %d", o.name, r.LogIndex, len(c.log.entries))
	default:
		if e := c.log.entries[r.LogIndex]; e.Kind != "admission" || e.Alert == nil || e.Alert.name() != o.name || e.Alert.Digest != r.Digest {
			c.rep.find(receiptBad, "of %v: entry %d is not its admission", o.name, r.LogIndex)
		}
	}
}

// skew is how far two clocks may be apart, in seconds, by the rules; slack is for what
// lies between a look at the clock and the commit, when a machine is busy.
const (
	skew  = 5 * 60
	slack = 60
)

// checkAdmissions: store and log have the same versions, each once, each following the
// one before; its originator has a receipt for each; and each was in time, by the hub's
// clock, and its originator a member in good standing.
func (c *checker) checkAdmissions() {
	for n, v := range c.versions {
		c.rep.count("alert versions", 1)
		if n.ver == 1 {
			c.rep.count("alerts", 1)
		}
		if r := v.payload.Recall; r != nil {
			c.rep.count("recalls, "+r.Mode, 1)
		} else if re := v.payload.Re; re != nil {
			c.rep.count("feedback, "+re.Act, 1)
		}
		if v.own == nil || v.own.state != "accepted" {
			c.rep.find(lost, "%v is at the hub, and its originator has no receipt", n)
		}
		list := c.log.admissions[n]
		switch {
		case len(list) == 0:
			c.rep.find(unrecorded, "%v is at the hub, and the log has no admission", n)
			continue
		case len(list) > 1:
			c.rep.find(twice, "%v is admitted by entries %d and %d", n, list[0].index, list[1].index)
		case list[0].index != v.hub.logIndex || list[0].Alert.Digest != v.hub.digest || list[0].Actor != n.iss:
			c.rep.find(unrecorded, "%v is at the hub as of entry %d, which admits something else", n, v.hub.logIndex)
		}
		c.checkAdmission(v, list[0])
	}
	for n, list := range c.log.admissions {
		if c.versions[n] == nil {
			c.rep.find(lost, "%v is admitted by entry %d, and is not in the hub's store", n, list[0].index)
		}
	}
}

func (c *checker) checkAdmission(v *version, e *entry) {
	n := v.name
	if n.ver > 1 {
		before := c.versions[name{n.iss, n.sub, n.ver - 1}]
		switch {
		case before == nil:
			c.rep.find(order, "%v follows a version that is not there", n)
		case before.hub.signedDigest != v.payload.Prev || before.index() > e.index:
			c.rep.find(order, "%v does not follow the version before", n)
		case before.payload.Recall != nil && v.payload.Recall == nil:
			c.rep.find(order, "%v follows a recall", n)
		}
	}
	k, ok := c.history.last().nodeKeys[v.kid]
	if s, err := parseJWS(v.hub.text.jws); err != nil || !ok || k.Member != n.iss || s.Typ != alertType || !k.Key.verify(s.Alg, s.input, s.sig) {
		c.rep.find(lost, "%v: what the hub keeps is not signed by its originator: %v", n, err)
	}
	if !slices.ContainsFunc(c.judged(e), func(at int64) bool { return v.payload.Exp > at-slack && v.payload.Iat <= at+skew+slack }) {
		c.rep.find(released, "%v was admitted by entry %d outside of its time", n, e.index)
	}
	worlds := c.worldsOf(e)
	if len(worlds) == 0 {
		c.rep.find(released, "%v was admitted by entry %d under rules that were not in force", n, e.index)
	} else if !worlds[0].active(n.iss) && v.payload.Recall == nil {
		c.rep.find(released, "%v was admitted by entry %d, and %s was suspended", n, e.index, n.iss)
	}
	var ids []string
	for _, p := range e.Portions {
		ids = append(ids, p.Portion)
	}
	for i, p := range v.portions {
		if len(ids) != len(v.portions) || ids[i] != p.id {
			c.rep.find(unrecorded, "%v: entry %d admits the portions %v", n, e.index, ids)
			return
		}
	}
}

// made returns when an entry may have been made, in milliseconds since 1970-01-01 UTC by a
// clock that is right.
func (c *checker) made(e *entry) []int64 {
	out := []int64{e.At / 1000}
	for _, f := range c.journal.faults {
		if was := e.At/1000 - f.by*1000; f.kind == "clock-hub" && f.from <= was && was <= f.to+commitTime {
			out = append(out, was)
		}
	}
	return out
}

// judged returns when an entry may have been judged, in seconds since 1970-01-01 UTC by the
// hub's clock: when it is dated, unless the clock was set, or set right, between the two.
func (c *checker) judged(e *entry) []int64 {
	out := []int64{e.seconds()}
	for _, was := range c.made(e) {
		out = append(out, was/1000)
		for _, f := range c.journal.faults {
			if f.kind == "clock-hub" && f.from <= was && was <= f.to+commitTime {
				out = append(out, was/1000+f.by)
			}
		}
	}
	return out
}

// worldsOf returns the worlds under which an entry may have been decided: those that it
// cites, of those in force at its place.
func (c *checker) worldsOf(e *entry) []*world {
	var list []*world
	for _, w := range c.history.during(e.after) {
		if w.revision == e.Revision && w.policy == e.Policy {
			list = append(list, w)
		}
	}
	return list
}
