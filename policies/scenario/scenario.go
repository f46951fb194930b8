// Package scenario reads and checks truth tables of the federation's rules:
// YAML that a lawyer can read and a machine can hold the rules to. A scenario
// says why it is so, shows a small federation and one label, and states what
// each member must get of a portion with that label, or for which reasons the
// federation must not take it in. It is written from the law, not from what the
// rules happen to answer; those who change the rules find out here whose
// position changes.
//
// The scenarios of the rules in this binary are Embedded. A federation with rules
// or terms of its own reads its folder with Read and checks it against the
// engine of its own bundle in the same way.
//
// # Files
//
// A folder holds *.yaml files of one or more scenarios each, separated by "---",
// in folders at will, and worlds in worlds/*.yaml, which scenarios name as their
// base. Reading is strict: an unknown or repeated key, an alias, a value of the
// wrong form, a member forgotten in the table are errors, with file and line.
//
//	title           what the scenario shows; no two of one title
//	why             one sentence: the rule or source from which the answer follows
//	base            the world that it starts from: worlds/<base>.yaml
//	at              the moment: 2027-01-15 (its first instant, UTC) or
//	                2027-01-15T10:00:00Z; left out: 2027-01-15
//	originator      the member whose portion it is
//	world           what is different from the base
//	label           the portion's label, as in a label file; over the base's
//	alert           facts of the alert, where they matter: id, issued, expires,
//	                and sources, whose the alerts in the label's derived_from are
//	expect          what each member but the originator gets
//	expect_refused  the codes for which the alert is not taken in; []: it is
//
// A base has title, originator, world and label. What a scenario says is laid over
// it, key by key, down to the fields of a member, of an agreement and of the label:
// a list or a value takes the place of the base's, and ~ takes it away.
//
// # The world
//
//	members      name: {ceiling, suspended}; without a ceiling: cleared for nothing
//	communities  name: [members]; the community federation is built in
//	task_forces  name: [members]
//	agreements   name: the terms of federation.Agreement: title, parties, from, to,
//	             categories, max_classification, personal_data, purposes,
//	             retention_days, onward, and valid_from and valid_until, the first
//	             and the last day, each left out where it has no bearing
//	suspensions  [{agreement, party, suspended}], each party's last word counts
//	consents     [{originator, alert, recipients}], the last to an alert counts
//	emergencies  [{originator, alert, members, compartments, valid_from,
//	             valid_until, over}], in the order in which they were declared;
//	             over: true for one that the originator has ended since
//	schemes      name of a marking scheme: {level: [the scheme's names of it]}; left
//	             out: the label's, which has the levels by their own names
//	max_retention_days  for personal data; left out: 365
//
// In consents and emergencies the originator is the scenario's and the alert its
// alert where they are left out; an emergency lasts for federation.MaxEmergency
// from the moment on.
//
// # The expectation
//
//	XB: content                        it gets the portion
//	XC: none (need-to-know)            nothing, and the first reason is this code
//	XD: existence (clearance)          a hit, "ask the originator"; why not more
//	XE: {release: none, reasons: [clearance, agreement]}   all the reasons
//	XF: {release: content, onward: false, purposes: [prevention], hold_days: 30,
//	     agreements: [coast], emergency: true}             what binds it; any of these
package scenario

import (
	"embed"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"slices"
	"time"

	"github.com/entente-hub/entente/api/alert"
	"github.com/entente-hub/entente/api/federation"
	"github.com/entente-hub/entente/policies"
)

//go:embed scenarios
var embedded embed.FS

// ErrInvalid is wrapped by every refusal of a scenario or world as written.
var ErrInvalid = errors.New("scenario")

// Embedded returns the scenarios of the rules that are embedded in this binary.
func Embedded() fs.FS {
	sub, err := fs.Sub(embedded, "scenarios")
	if err != nil {
		panic("scenario: " + err.Error()) // only a malformed name can do it
	}
	return sub
}

// Scenario is one truth table: a question and what the answer must be. Read makes
// it; the zero value expects nothing.
type Scenario struct {
	Title string
	Why   string // the rule or source from which the expected answer follows
	File  string // in the file system that was read
	Line  int    // where the scenario begins in its file

	world   *federation.World
	query   policies.Query
	issued  time.Time
	expires time.Time
	expect  map[alert.MemberID]expected // empty: release is not asked about
	refused []string                    // codes of admission, sorted
	admit   bool                        // whether admission is asked about
}

// String returns place and title: "tlp.yaml:12: Red is for those named".
func (s Scenario) String() string { return fmt.Sprintf("%s:%d: %s", s.File, s.Line, s.Title) }

// Codes returns the reason codes that the scenario expects, of release and of
// admission, sorted, each once.
func (s Scenario) Codes() []string {
	seen := make(map[string]bool)
	for _, code := range s.refused {
		seen[code] = true
	}
	for _, x := range s.expect {
		for _, code := range append(slices.Clone(x.reasons), x.reason) {
			seen[code] = true
		}
	}
	delete(seen, "")
	return slices.Sorted(maps.Keys(seen))
}
