package firecheck

import (
	"fmt"
	"slices"
	"strings"
)

// kindOf shortens a problem's type to its kind.
func kindOf(problem string) string { return strings.TrimPrefix(problem, "urn:entente:problem:") }

// checkRefusals: whatever was refused, or failed, has a reason: in the statements in
// force, in what had become of the alert, or in a fault that was in force.
func (c *checker) checkRefusals() {
	sent := make(map[text]*outgoing)
	refused := make(map[name]bool)
	for _, m := range c.run.Members {
		for _, o := range c.nodes[m].outbox {
			sent[text{m, o.digest}] = o
			if o.state == "refused" {
				refused[o.name] = true
			}
		}
	}
	logged := make(map[text]bool)
	for _, e := range c.log.refusals {
		c.rep.count("refusals in the log, "+kindOf(e.Problem), 1)
		if e.Alert == nil {
			c.checkBareRefusal(e)
			continue
		}
		o := sent[text{e.Alert.Iss, e.Alert.Digest}]
		if o != nil && o.state == "refused" {
			logged[text{e.Alert.Iss, e.Alert.Digest}] = true
		}
		switch {
		case o == nil:
			c.explain("refusals, its originator does not know of it", c.alreadyThere(e), "entry %d refuses %v, which its originator does not know of", e.index, e.Alert.name())
		case o.state != "refused":
			c.rep.find(refusalOdd, "entry %d refuses %v, which its originator has as %s", e.index, o.name, o.state)
		default:
			c.explain("refusals by the hub", c.whyRefused(o, e), "entry %d refuses %v as %s %v, and nothing explains it", e.index, o.name, kindOf(e.Problem), e.Codes)
		}
	}
	for t, o := range sent {
		if o.state == "refused" && !logged[t] {
			why := ""
			switch {
			case builtOnRefused(o.name, refused):
				why = "a version before was refused"
			case c.refusedUnnamed(o):
				why = "the log has a refusal that names none"
			}
			c.explain("refused alerts that the log does not name", why, "%v was refused as %s, and the log does not tell of it", o.name, o.problem)
		}
	}
	for _, l := range c.journal.lines {
		c.checkAnswer(l)
	}
}

// text is a member's alert by the digest of its bytes: a number may be given to several
// versions, one after another, all but the last of which are refused.
type text struct{ iss, digest string }

// explain counts what was explained of a kind, by what; where nothing does it finds it odd.
func (c *checker) explain(kind, why, format string, args ...any) {
	if why == "" {
		c.rep.find(refusalOdd, format, args...)
		return
	}
	c.rep.count("explained, "+kind+": "+why, 1)
}

// refusedUnnamed reports whether the log has a refusal of an alert of the member's that
// could not be read or verified, and is so named nowhere.
func (c *checker) refusedUnnamed(o *outgoing) bool {
	return slices.ContainsFunc(c.log.refusals, func(e *entry) bool {
		return e.Alert == nil && e.Actor == o.name.iss && kindOf(e.Problem) == o.problem
	})
}

// builtOnRefused reports whether a version before one was refused: what is built on it
// falls with it, without being sent.
func builtOnRefused(n name, refused map[name]bool) bool {
	for ver := 1; ver < n.ver; ver++ {
		if refused[name{n.iss, n.sub, ver}] {
			return true
		}
	}
	return false
}

// alreadyThere explains a refusal of what the originator has placed anew since.
func (c *checker) alreadyThere(e *entry) string {
	if e.Actor == e.Alert.Iss && slices.Contains([]string{"fork", "conflict"}, kindOf(e.Problem)) && c.versions[e.Alert.name()] != nil {
		return "placed anew"
	}
	return ""
}

// whyRefused returns what explains the refusal of an alert by the hub, "" for nothing.
func (c *checker) whyRefused(o *outgoing, e *entry) string {
	at, p := e.seconds(), o.text.payload
	worlds := c.before(e)
	switch kindOf(e.Problem) {
	case "expired":
		if p.Exp <= at+slack {
			return "it had expired"
		}
	case "not-yet-valid":
		if p.Iat > at+skew-slack {
			return "it was dated in the future"
		}
	case "fork", "conflict":
		return c.whyForked(o, e)
	case "not-admitted":
		for _, w := range worlds {
			if why := c.whyNotAdmitted(o, e, w); why != "" {
				return why
			}
		}
	}
	return ""
}

// before returns the worlds under which a refusal may have been judged: unlike what is
// given out, it may stand behind a statement that came in elsewhere meanwhile.
func (c *checker) before(e *entry) []*world {
	worlds := c.history.during(e.after)
	for n := e.after; n > 1 && c.close(c.log.stated[n-1], e); n-- {
		worlds = append(worlds, c.history.during(n-1)...)
	}
	return worlds
}

// close reports whether two entries may have been made within the time of a commit, by a
// clock that is right.
func (c *checker) close(a, b *entry) bool {
	return slices.ContainsFunc(c.made(a), func(x int64) bool {
		return slices.ContainsFunc(c.made(b), func(y int64) bool { return max(x-y, y-x) <= commitTime })
	})
}

// whyForked explains a version that has no place: one before it is not there, or is a
// recall, or its place is taken.
func (c *checker) whyForked(o *outgoing, e *entry) string {
	n := o.name
	before := c.versions[name{n.iss, n.sub, n.ver - 1}]
	switch {
	case n.ver > 1 && (before == nil || before.index() > e.index):
		return "the version before is not there"
	case before != nil && (before.payload.Recall != nil || before.hub.signedDigest != o.text.Prev):
		return "it does not follow the version before"
	case c.versions[n] != nil && c.versions[n].index() < e.index:
		return "its place is taken"
	}
	return ""
}

// whyNotAdmitted checks each code against the world of that time.
func (c *checker) whyNotAdmitted(o *outgoing, e *entry, w *world) string {
	for _, code := range e.Codes {
		ok := false
		switch code {
		case "originator-suspended":
			ok = !w.active(o.name.iss)
		case "unknown-compartment":
			ok = slices.ContainsFunc(o.text.portions, func(s shown) bool {
				return s.label != nil && slices.ContainsFunc(s.label.Compartments, func(t string) bool { return !slices.Contains(w.forces[t], o.name.iss) })
			}) || len(o.text.portions) == 0 // it has expired since: its labels are erased
		case "unknown-reference":
			ok = o.text.Re != nil && !c.has(o.name.iss, o.text.Re.Iss, o.text.Re.Sub, e.index)
		}
		if !ok {
			return ""
		}
	}
	if len(e.Codes) == 0 {
		return ""
	}
	return "by the rules of that time"
}

// checkBareRefusal: what a refusal is about that names no alert can not be told. By what
// nodes and harness send there is none, but of a statement that a hub whose clock is behind
// finds to be dated ahead, or that is refused to the harness too.
func (c *checker) checkBareRefusal(e *entry) {
	why := ""
	for _, b := range c.journal.begun {
		if b.Kind == "statement-begin" && why == "" {
			why = c.whyBare(b, e)
		}
	}
	c.explain("refusals that name no alert", why, "entry %d refuses something of %s as %s, and nothing explains it", e.index, e.Actor, kindOf(e.Problem))
}

func (c *checker) whyBare(b *line, e *entry) string {
	end := c.journal.ended[b.Op]
	if kindOf(e.Problem) == "not-yet-valid" && slices.ContainsFunc(c.journal.faults, func(f *fault) bool {
		was := e.At/1000 - f.by*1000
		return f.kind == "clock-hub" && f.by < 0 && f.after(was, was, commitTime) && b.T <= was+clockLook && (end == nil || was <= end.T+clockLook)
	}) {
		return "the hub's clock was behind the date of a statement"
	}
	if end != nil && end.Kind == "refused" && kindOf(end.Problem) == kindOf(e.Problem) {
		return "a statement was refused to the harness"
	}
	return ""
}

// checkAnswer judges what a node, or a hub to a statement, has answered to an act.
func (c *checker) checkAnswer(l line) {
	b := c.journal.begun[l.Op]
	if b == nil {
		return
	}
	act := strings.TrimSuffix(b.Kind, "-begin")
	switch l.Kind {
	case "unknown":
		c.rep.count("acts without an answer", 1)
		c.explain("acts without an answer", c.whyUnanswered(b, l), "line %d: %s by %s was not answered, and no fault of its node explains it: %s", l.N, act, l.Member, l.Detail)
	case "refused":
		c.rep.count(fmt.Sprintf("refused, %s, %s", act, kindOf(l.Problem)), 1)
		c.explain("acts refused", c.whyAnswered(b, l), "line %d: %s by %s was refused as %s %v, and nothing explains it: %s", l.N, act, b.Member, kindOf(l.Problem), l.Codes, l.Detail)
	}
}

// whyAnswered returns what explains that an act was refused at once.
func (c *checker) whyAnswered(b *line, l line) string {
	behind, ahead := c.journal.wrong("node-"+b.Member, b.T, l.T)
	switch {
	case behind < 0 && kindOf(l.Problem) == "bad-signature":
		return "by the node's clock its key is not valid yet"
	case b.DueS > 0 && kindOf(l.Problem) == "malformed" && b.DueS*1000 <= l.T-b.T+(ahead+2)*1000:
		return "the deadline has passed"
	}
	switch b.Kind {
	case "statement-begin":
		for _, s := range c.history.rows { // an act of which the answer was lost, done again
			if s.typ == b.Type && s.subject == b.Subject && s.rev >= b.Rev {
				return "it stands already"
			}
		}
	case "publish-begin":
		if b.Supersedes != "" {
			return c.whyGone(b.Member, alertKey{b.Member, b.Supersedes}, l, ahead)
		}
	case "recall-begin":
		return c.whyGone(b.Member, alertKey{b.Member, b.Alert}, l, ahead)
	case "feedback-begin":
		if b.Act == "answer" && kindOf(l.Problem) == "malformed" && c.stricter(alertKey{b.Originator, b.Alert}) {
			return "what was asked about is marked more strictly than the request"
		}
		return c.whyUnheld(b, alertKey{b.Originator, b.Alert}, l, ahead)
	}
	return ""
}

// stricter reports whether any version of what a request is about has a label that the
// request's does not cover: an answer would be marked down.
func (c *checker) stricter(request alertKey) bool {
	for _, q := range c.alerts[request] {
		if q.payload.Re == nil || len(q.portions) == 0 {
			continue
		}
		l := q.portions[0].label
		about := alertKey{q.payload.Re.Iss, q.payload.Re.Sub}
		for _, v := range c.alerts[about] {
			if slices.ContainsFunc(v.portions, func(p portion) bool { return !l.covers(p.label) }) {
				return true
			}
		}
		if c.drafted(about, func(o *label) bool { return !l.covers(o) }) {
			return true
		}
	}
	return false
}

// drafted reports whether a member was to publish another version of an alert with a label
// that is so: its own node has that, whether the hub takes it or not.
func (c *checker) drafted(k alertKey, is func(*label) bool) bool {
	for _, b := range c.journal.begun {
		if b.Kind != "publish-begin" || b.Member != k.iss || b.Supersedes != k.sub {
			continue
		}
		for _, p := range b.Portions {
			if l, err := parseLabel(p.Label); err == nil && is(l) {
				return true
			}
		}
	}
	return false
}

// covers reports whether a label is as strict as another in what says who may read it.
func (l *label) covers(o *label) bool {
	return level(l.Classification) >= level(o.Classification) && dataKind(l.PersonalData) >= dataKind(o.PersonalData) &&
		!slices.ContainsFunc(o.Compartments, func(t string) bool { return !slices.Contains(l.Compartments, t) })
}

// whyGone explains that a member can not go on from an alert of its own: a version of it was
// refused, or it had expired by the node's clock, which was ahead by so many seconds.
func (c *checker) whyGone(m string, k alertKey, l line, ahead int64) string {
	for _, o := range c.nodes[m].outbox {
		if o.name.sub != k.sub {
			continue
		}
		switch kindOf(l.Problem) {
		case "not-found":
			if o.state == "refused" && c.refusedBy(text{m, o.digest}, l.T) {
				return "a version of it was refused"
			}
		case "expired":
			if o.text.Exp*1000 <= l.T+ahead*1000+clockLook {
				return "it has expired"
			}
		}
	}
	return ""
}

// refusedBy reports whether the log tells that an alert had been refused at a moment.
func (c *checker) refusedBy(t text, ms int64) bool {
	return slices.ContainsFunc(c.log.refusals, func(e *entry) bool {
		return e.Alert != nil && e.Alert.Iss == t.iss && e.Alert.Digest == t.digest && slices.Min(c.made(e)) <= ms+clockLook
	})
}

// whyUnheld explains that a member can not say anything of what it has received: that is
// over, or something of it has ended by the node's clock, or never came.
func (c *checker) whyUnheld(b *line, k alertKey, l line, ahead int64) string {
	m := b.Member
	if k.iss == m {
		return c.whyGone(m, k, l, ahead)
	}
	had := false
	for _, i := range c.nodes[m].items {
		if i.withheld || i.name.iss != k.iss || i.name.sub != k.sub || i.receivedAt/1000 > l.T+ahead*1000 {
			continue
		}
		had = true
		for _, r := range i.all() {
			if c.ended[endKey{m, portionKey{i.name, r.Portion}}].by(l.T+clockLook, ahead) {
				return "something of it has ended"
			}
		}
		if len(i.all()) == 0 {
			return "it is over"
		}
	}
	if !had {
		return "the member does not have it"
	}
	return ""
}
