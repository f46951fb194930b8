package firecheck

import (
	"slices"
	"strings"
	"time"
)

// What a fault explains is what it concerns: it must have been in force, or have ended within
// some times what was measured to be needed. In milliseconds.
const (
	clockLook  = 2_000  // until a clock that was set is looked at, on a machine that is busy
	startTime  = 5_000  // until a process that was started answers
	freedTime  = 2_000  // until a disk that was emptied is written to
	hearTime   = 5_000  // until a node hears from a hub, of the time in which nothing keeps it from that
	headAge    = 15_000 // for how long what a hub says may be on its way
	backOff    = 15_000 // for how long a node rests after failures
	commitTime = 10_000 // from a judgement to its entry in the log
)

// after reports whether a fault was in force at any time between two moments, or had ended
// no longer before them than so.
func (f *fault) after(from, to, settling int64) bool { return f.from <= to && from <= f.to+settling }

// met reports whether any of the faults that are so was in force between two moments, or had
// just ended.
func (j *journal) met(from, to, settling int64, is func(*fault) bool) bool {
	return slices.ContainsFunc(j.faults, func(f *fault) bool { return f.after(from, to, settling) && is(f) })
}

// wrong returns by how many seconds a part's clock was wrong at most, to either side,
// between two moments in milliseconds since 1970-01-01 UTC.
func (j *journal) wrong(target string, from, to int64) (behind, ahead int64) {
	for _, f := range j.faults {
		if f.by != 0 && f.target == target && f.after(from, to, clockLook) {
			behind, ahead = min(behind, f.by), max(ahead, f.by)
		}
	}
	return behind, ahead
}

// latest returns the last moment that a part may have meant by what its own clock said,
// both in milliseconds since 1970-01-01 UTC.
func (j *journal) latest(target string, said int64) int64 {
	at := said
	for _, f := range j.faults {
		if was := said - f.by*1000; f.by != 0 && f.target == target && f.after(was, was, clockLook) {
			at = max(at, was)
		}
	}
	return at
}

// fells reports whether a fault may make a process end by itself.
func (f *fault) fells(target string) bool {
	if m, ok := strings.CutPrefix(target, "node-"); ok { // it does not start on what its clock says is dated ahead
		return f.kind == "disk-full" && strings.HasSuffix(f.target, "/"+m+"/data") || f.kind == "clock-node" && f.target == target
	}
	return f.kind == "disk-full" && strings.HasSuffix(f.target, "hub/data") || f.kind == "clock-hub" && f.target == target || f.database(target)
}

// database reports whether a fault is one of a hub's database, or of the hub's way there.
func (f *fault) database(hub string) bool {
	return slices.Contains([]string{"kill-postgres", "kill-standby", "failover", "disk-full-postgres"}, f.kind) || strings.HasPrefix(f.target, hub+" to postgres")
}

// checkFalls: a process ends by itself only where its disk is full, its database is away, or
// its clock is wrong.
func (c *checker) checkFalls() {
	for _, l := range c.journal.lines {
		if l.Kind != "fell" {
			continue
		}
		c.rep.count("processes that ended by themselves", 1)
		if !c.journal.met(l.T, l.T, freedTime, func(f *fault) bool { return f.fells(l.Target) }) {
			c.rep.find(refusalOdd, "line %d: %s has ended by itself, and nothing explains it", l.N, l.Target)
		}
	}
}

// whyUnanswered returns which fault of an act's own node, or of what it takes the time from,
// explains that it had no answer: "" for none. No act of the traffic waits for a hub.
func (c *checker) whyUnanswered(b *line, l line) string {
	node := "node-" + b.Member
	switch {
	case strings.Contains(l.Detail, "the node can not be reached"):
		if c.journal.met(b.T, l.T, startTime, func(f *fault) bool { return f.kind == "kill-node" && f.target == node }) || c.journal.fallen(node, b.T, l.T) {
			return "its node was away"
		}
	case strings.Contains(l.Detail, "can not be written"):
		if c.journal.met(b.T, l.T, freedTime, func(f *fault) bool {
			return f.kind == "disk-full" && strings.HasSuffix(f.target, "/"+b.Member+"/data")
		}) {
			return "its node's disk was full"
		}
	case strings.Contains(l.Detail, "clock differs from the hub's by "):
		return c.whyClocks(b, l)
	}
	return ""
}

// fallen reports whether a process had ended by itself between two moments, or just before.
func (j *journal) fallen(target string, from, to int64) bool {
	return slices.ContainsFunc(j.lines, func(l line) bool {
		return l.Kind == "fell" && l.Target == target && l.T <= to && from <= l.T+startTime
	})
}

// whyClocks explains that a node finds its clock to differ from the hub's: by as much as
// either was wrong, its own then, the hub's when the node heard from it last.
func (c *checker) whyClocks(b *line, l line) string {
	_, text, _ := strings.Cut(l.Detail, "hub's by ")
	text, _, _ = strings.Cut(text, ",")
	d, err := time.ParseDuration(text)
	if err != nil {
		return ""
	}
	differ, node := int64(d/time.Second), "node-"+b.Member
	own, hubs := []int64{0}, []int64{0}
	late := make(map[int64]bool) // of hubs' that were set right since
	for _, f := range c.journal.faults {
		switch {
		case f.kind == "clock-node" && f.target == node && f.after(b.T, l.T, clockLook):
			own = append(own, f.by)
		case f.kind == "clock-hub" && f.from <= l.T && c.journal.free(b.Member, f.to, b.T) <= hearTime:
			hubs = append(hubs, f.by)
			late[f.by] = !f.after(b.T, l.T, clockLook)
		}
	}
	for _, o := range own {
		for _, h := range hubs {
			// What the hub says may be some seconds on its way.
			if off := differ - (o - h); (o != 0 || h != 0) && off >= -3 && off <= headAge/1000 {
				if late[h] {
					return "the hub's clock had been wrong when its node heard of it last"
				}
				return "its node's clock or the hub's was wrong"
			}
		}
	}
	return ""
}

// free returns for how long between two moments nothing kept a member's node from hearing
// of a hub, in milliseconds.
func (j *journal) free(m string, from, to int64) int64 {
	if from >= to {
		return 0
	}
	var cut [][2]int64
	for _, f := range j.faults {
		if f.parts(m) && f.after(from, to, backOff) {
			cut = append(cut, [2]int64{max(f.from, from), min(f.to+backOff, to)})
		}
	}
	slices.SortFunc(cut, func(a, b [2]int64) int { return int(a[0] - b[0]) })
	left, at := int64(0), from
	for _, one := range cut {
		left += max(one[0]-at, 0)
		at = max(at, one[1])
	}
	return left + max(to-at, 0)
}

// parts reports whether a fault may keep a member's node from hearing of a hub: one of the
// node, of its links, or of the hubs.
func (f *fault) parts(m string) bool {
	switch f.kind {
	case "kill-hub", "partition", "clock-hub":
		return true
	case "kill-node", "clock-node":
		return f.target == "node-"+m
	case "disk-full":
		return strings.HasSuffix(f.target, "hub/data") || strings.HasSuffix(f.target, "/"+m+"/data")
	}
	return strings.HasPrefix(f.target, m+" to ") || f.database("hub-1") || f.database("hub-2")
}
