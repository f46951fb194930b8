package firecheck

// finals are the problems that lie in what was sent: who meets one does not send it again.
var finals = map[string]bool{"malformed": true, "too-large": true, "bad-signature": true, "wrong-member": true, "forbidden": true, "not-admitted": true,
	"egress-denied": true, "expired": true, "not-yet-valid": true, "conflict": true, "fork": true}

// checkRefused: what the hub remembers to have refused, by its bytes, it has not taken, and
// the log tells of; and what the log tells to be refused for good is remembered.
func (c *checker) checkRefused() {
	accepted := make(map[text]name)
	for n, v := range c.versions {
		accepted[text{n.iss, v.hub.digest}] = n
	}
	named, bare := make(map[text]*entry), make(map[string]bool)
	for _, e := range c.log.refusals {
		switch {
		case e.Alert == nil:
			bare[e.Actor] = true
		case e.Actor == e.Alert.Iss && finals[kindOf(e.Problem)]:
			t := text{e.Actor, e.Alert.Digest}
			if before := named[t]; before != nil {
				c.rep.find(twice, "entries %d and %d refuse the same bytes of %v", before.index, e.index, e.Alert.name())
			}
			named[t] = e
		}
	}
	remembered := make(map[text]bool)
	for _, t := range c.hub.refused {
		remembered[t] = true
		n, taken := accepted[t]
		switch {
		case taken:
			c.rep.find(refusalOdd, "%v is at the hub, which remembers that it has refused it", n)
		case named[t] != nil:
			c.rep.count("refusals that the hub remembers", 1)
		case bare[t.iss]:
			c.rep.count("refusals that the hub remembers, and the log does not name", 1)
		default:
			c.rep.find(refusalOdd, "the hub remembers that it has refused %s of %s, and the log does not tell of it", t.digest, t.iss)
		}
	}
	for t, e := range named {
		if !remembered[t] {
			c.rep.find(refusalOdd, "entry %d refuses %v for good, and the hub does not remember that", e.index, e.Alert.name())
		}
	}
}
