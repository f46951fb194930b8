// Package firecheck holds what a run under fire has left (see JOURNAL.md) against
// itself: every inbox, the hub's store, the audit log, and what the harness saw.
//
// It is written apart from what it judges. It imports nothing of this module: it
// reads the databases by its own SQL, opens what is stored sealed, parses signed
// documents, computes digests, chains and the log's tree again, and decides with its
// own reading of the rules who was to get what. So a fault would have to be made
// twice to go unseen. What it takes for given is the authority's key and the
// harness's journal.
package firecheck

import (
	"fmt"
	"maps"
	"slices"
	"strings"
)

// The classes of finding. Each stands at the head of its findings.
const (
	lost        = "lost"        // what was acknowledged is not where it must be
	twice       = "twice"       // something is there more often than once
	order       = "order"       // a feed, or the versions of an alert, out of order
	feedBroken  = "feed"        // a gap, or a chain that does not follow
	inboxOther  = "inbox"       // an inbox that does not say what hub and log say
	receiptBad  = "receipt"     // a receipt that does not hold
	undelivered = "undelivered" // a permitted recipient does not have it
	released    = "release"     // what the rules do not permit, or not on these terms
	withheld    = "withheld"    // what the rules permit was withheld
	unrecorded  = "unrecorded"  // what happened and does not stand in the log, or the reverse
	content     = "content"     // content where none may be
	missing     = "missing"     // content that is not where it must be
	ackBad      = "ack"         // an acknowledgement that is missing, double or forged
	purgeBad    = "purge"       // a purge receipt that is missing, wrong or forged
	erasedBad   = "erased"      // an erasure at the hub that is missing or wrong
	logBroken   = "log"         // the log does not verify
	statemented = "statement"   // a statement that does not verify or is not in force
	refusalOdd  = "refusal"     // a refusal, or a failure, that nothing explains
	unsent      = "outbox"      // something is still under way at rest
	alarmed     = "alarm"       // a node has caught the hub, or somebody with its keys
	journalOdd  = "journal"     // the journal contradicts itself
)

// classes are all of them.
var classes = []string{lost, twice, order, feedBroken, inboxOther, receiptBad, undelivered, released, withheld, unrecorded, content,
	missing, ackBad, purgeBad, erasedBad, logBroken, statemented, refusalOdd, unsent, alarmed, journalOdd}

// maxShown is how many findings of a report are spelled out; all are counted.
const maxShown = 50

// Report is what a check has found.
type Report struct {
	// Findings are what is wrong, each "class: what", at most 50 of them and of no
	// class all before another has one. None: the run has passed.
	Findings []string
	// Violations counts all findings by class.
	Violations map[string]int
	// Counts are what was looked at, by name.
	Counts map[string]int64

	names   []string // of Counts, in order
	byClass map[string][]string
}

func newReport() *Report {
	return &Report{Violations: make(map[string]int), Counts: make(map[string]int64), byClass: make(map[string][]string)}
}

// count adds to a number of the report.
func (r *Report) count(name string, n int64) {
	if _, ok := r.Counts[name]; !ok {
		r.names = append(r.names, name)
	}
	r.Counts[name] += n
}

// find notes something that is wrong.
func (r *Report) find(class, format string, args ...any) {
	r.Violations[class]++
	if r.Violations[class] <= maxShown {
		r.byClass[class] = append(r.byClass[class], fmt.Sprintf(class+": "+format, args...))
	}
}

// finish fills in Findings: in turns of each class, so that a flood of one hides no
// other.
func (r *Report) finish() {
	for i := 0; len(r.Findings) < maxShown; i++ {
		more := false
		for _, c := range classes {
			if list := r.byClass[c]; i < len(list) && len(r.Findings) < maxShown {
				r.Findings = append(r.Findings, list[i])
				more = true
			}
		}
		if !more {
			return
		}
	}
}

// String is the counts, one "name: number" a line, those of violations last.
func (r *Report) String() string {
	var b strings.Builder
	for _, name := range r.names {
		fmt.Fprintf(&b, "%s: %d\n", name, r.Counts[name])
	}
	total := 0
	for _, n := range r.Violations {
		total += n
	}
	fmt.Fprintf(&b, "violations: %d\n", total)
	for _, c := range slices.Sorted(maps.Keys(r.Violations)) {
		fmt.Fprintf(&b, "violations, %s: %d\n", c, r.Violations[c])
	}
	return b.String()
}
