package cli

import (
	"bytes"
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/entente-hub/entente/api/alert"
	"github.com/entente-hub/entente/api/feed"
	"github.com/entente-hub/entente/api/hubapi"
	"github.com/entente-hub/entente/api/nodeapi"
	"github.com/entente-hub/entente/api/problem"
)

var noon = time.Date(2027, 3, 1, 12, 0, 0, 0, time.UTC)

const endedAlert = "01954c7e-8f5e-7d3a-9c1b-2f4a6b8c0d1e"

// fixture are the holders of an alert of two versions and a recall: XB has erased all of
// it, XC a part, XD nothing.
func fixture() *nodeapi.HolderList {
	purged := func(version int32, at time.Time, cause feed.Cause, portions ...string) nodeapi.PurgedVersion {
		return nodeapi.PurgedVersion{Version: version, At: at, Cause: cause, Portions: portions}
	}
	held := func(ended bool, portions ...string) []nodeapi.HeldVersion {
		return []nodeapi.HeldVersion{{Version: 1, Portions: portions, Ended: ended}}
	}
	return &nodeapi.HolderList{Id: endedAlert, Version: 3, Recall: &alert.Recall{Mode: alert.Purge, Reason: "a mistake"}, Members: []nodeapi.Holder{
		{Member: "XB", Version: 3, HandedOverAt: &noon, Told: true, Acknowledged: true,
			Purged: []nodeapi.PurgedVersion{purged(1, noon, feed.Superseded, "crew"), purged(1, noon.Add(time.Hour), feed.Recalled, "boat")}},
		{Member: "XC", Version: 3, HandedOverAt: &noon, Told: true, Held: held(true, "boat"), Purged: []nodeapi.PurgedVersion{purged(1, noon, feed.Superseded, "crew")},
			Late: true, Faults: []string{"the purge receipt of version 1: another's key"}},
		{Member: "XD", Version: 2, HandedOverAt: &noon, Held: held(false, "boat", "port")},
		{Member: "XE"},
	}}
}

func TestPrintedHolders(t *testing.T) {
	var b strings.Builder
	if err := printHolders(&b, fixture()); err != nil {
		t.Fatal(err)
	}
	want := `alert 01954c7e-8f5e-7d3a-9c1b-2f4a6b8c0d1e, version 3
RECALLED, to be erased by all who have it: "a mistake"
MEMBER  HANDED OVER                      ACKNOWLEDGED  HOLDS                LATE  SIGNATURES
XB      version 3, 2027-03-01T12:00:00Z  yes           nothing              no    verified
                                                                                    has erased crew of version 1, 2027-03-01T12:00:00Z (superseded)
                                                                                    has erased boat of version 1, 2027-03-01T13:00:00Z (recalled)
XC      version 3, 2027-03-01T12:00:00Z  no            what it is to erase  LATE  NOT VERIFIED
                                                                                    holds boat of version 1, of which it is to erase some
                                                                                    has erased crew of version 1, 2027-03-01T12:00:00Z (superseded)
                                                                                    does not hold: the purge receipt of version 1: another's key
XD      version 2, 2027-03-01T12:00:00Z  no            it                   no    none
                                                                                    holds boat port of version 1
XE      nothing                          no            nothing              no    none
`
	if diff := cmp.Diff(want, b.String()); diff != "" {
		t.Error(diff)
	}
	b.Reset()
	if err := printHolders(&b, &nodeapi.HolderList{Id: endedAlert, Version: 1}); err != nil || !strings.HasSuffix(b.String(), "version 1\nnobody\n") {
		t.Errorf("%q, %v", &b, err)
	}
}

// asHolders answers with one list after the other, the last for ever.
type asHolders struct {
	lists []*nodeapi.HolderList
	errs  []error
	asked int
}

func (a *asHolders) Holders(_ context.Context, id alert.ID) (*nodeapi.HolderList, error) {
	i := min(a.asked, len(a.lists)-1)
	if a.asked++; id != endedAlert {
		return nil, errors.New("another alert")
	}
	return a.lists[i], a.errs[i]
}

func (a *asHolders) then(list *nodeapi.HolderList, err error) *asHolders {
	a.lists, a.errs = append(a.lists, list), append(a.errs, err)
	return a
}

// A recall is followed until nobody owes anything, through times in which nobody answers.
func TestFollowedRecall(t *testing.T) {
	half, whole := fixture(), fixture()
	half.Members[2].Held = nil
	for i := range whole.Members {
		whole.Members[i].Held = nil
	}
	away := problem.New(problem.Unavailable, "the hub is away")
	node := new(asHolders).then(fixture(), nil).then(nil, away).then(half, nil).then(half, nil).then(whole, nil)
	var said bytes.Buffer
	f := follower{node, endedAlert, alert.Purge, &said, time.Microsecond}
	if err := f.follow(t.Context(), time.Hour); err != nil {
		t.Fatal(err)
	}
	want := "2 of 4 members have erased it; waiting for XC, XD\nunavailable: the hub is away\n3 of 4 members have erased it; waiting for XC\n4 of 4 members have erased it\n"
	if diff := cmp.Diff(want, said.String()); diff != "" || node.asked != 5 {
		t.Errorf("asked %d times: %s", node.asked, diff)
	}
}

func TestFollowedRecallEnds(t *testing.T) {
	var said bytes.Buffer
	f := follower{new(asHolders).then(fixture(), nil), endedAlert, alert.Purge, &said, time.Microsecond}
	err := f.follow(t.Context(), 50*time.Millisecond)
	if exitCode(err) != exitUnavailable || !strings.Contains(err.Error(), "the recall stands") {
		t.Errorf("late ones: %v", err)
	}
	f.node = new(asHolders).then(nil, problem.New(problem.NotFound, "no such alert"))
	if err := f.follow(t.Context(), time.Hour); problem.KindOf(err) != problem.NotFound {
		t.Errorf("no such alert: %v", err)
	}
	f.node = new(asHolders).then(fixture(), nil)
	over, cancel := context.WithCancel(t.Context())
	cancel()
	if err := f.follow(over, time.Hour); !errors.Is(err, context.Canceled) {
		t.Errorf("interrupted: %v", err)
	}
}

// Who is to use an alert no more has to know it, and to erase nothing.
func TestProgressOfCeaseUse(t *testing.T) {
	f := follower{mode: alert.CeaseUse}
	list := fixture()
	if line, done := f.progress(list); done || line != "1 of 4 members have acknowledged the recall; waiting for XC, XD, XE" {
		t.Error(line)
	}
	list.Members = list.Members[:1]
	if line, done := f.progress(list); !done || line != "1 of 1 members have acknowledged the recall" {
		t.Error(line)
	}
	if line, done := f.progress(&nodeapi.HolderList{}); !done || line != "0 of 0 members have acknowledged the recall" {
		t.Error(line)
	}
}

func TestRecallOf(t *testing.T) {
	for name, c := range map[string]struct{ id, mode, reason string }{
		"no mode": {endedAlert, "", "x"}, "no reason": {endedAlert, "purge", ""}, "another mode": {endedAlert, "forget", "x"},
		"no id": {"x", "purge", "x"}, "long": {endedAlert, "purge", strings.Repeat("x", alert.MaxText+1)}, "control": {endedAlert, "purge", "\x1b"},
	} {
		if _, _, err := recallOf(c.id, c.mode, c.reason); exitCode(err) != exitUsage {
			t.Errorf("%s: %v", name, err)
		}
	}
	id, r, err := recallOf(endedAlert, "cease-use", "why")
	if err != nil || id != endedAlert || r != (alert.Recall{Mode: alert.CeaseUse, Reason: "why"}) {
		t.Errorf("%s %+v %v", id, r, err)
	}
}

func TestPrintedDiff(t *testing.T) {
	content, existence := feed.Content, feed.Existence
	d := &nodeapi.Diff{Originator: "XA", Id: endedAlert, From: 1, To: 2, ExpiresBefore: noon, ExpiresAfter: noon.Add(time.Hour), Portions: []nodeapi.PortionDiff{
		{Portion: "boat", Change: "changed", Before: &content, After: &content,
			Fields: []nodeapi.FieldDiff{{Path: "/label/classification", Old: new(`"secret"`), New: new(`"restricted"`)}},
			Objects: []nodeapi.ObjectDiff{{Id: "note--1", Change: "removed"}, {Id: "note--2", Change: "added"}, {Id: "x--1", Change: "changed", Fields: []nodeapi.FieldDiff{
				{Path: "/came", New: new("true")}, {Path: "/gone", Old: new("[1, 2]")}, {Path: "/name", Old: new(`"old"`), New: new(`"new"`)}}}}},
		{Portion: "crew", Change: "removed", Before: &content},
		{Portion: "port", Change: "added", After: &existence},
		{Portion: "quay", Change: "changed", Before: &existence, After: &content},
		{Portion: "reef", Change: "erased", After: &content},
	}}
	var b strings.Builder
	if err := printDiff(&b, d); err != nil {
		t.Fatal(err)
	}
	want := `--- XA/` + endedAlert + `/1
+++ XA/` + endedAlert + `/2
- expires 2027-03-01T12:00:00Z
+ expires 2027-03-01T13:00:00Z

portion boat: changed
-   /label/classification: "secret"
+   /label/classification: "restricted"
- note--1
+ note--2
  x--1
+   /came: true
-   /gone: [1,2]
-   /name: "old"
+   /name: "new"

portion crew: not released any more
- release content

portion port: new
+ release existence

portion quay: changed
- release existence
+ release content

portion reef: one of the versions is erased, so that nothing tells what has changed
`
	if diff := cmp.Diff(want, b.String()); diff != "" {
		t.Error(diff)
	}
	b.Reset()
	d.Recall, d.Portions = &alert.Recall{Mode: alert.CeaseUse, Reason: `a "mistake"`}, nil
	if err := printDiff(&b, d); err != nil || !strings.Contains(b.String(), "\nRECALLED, nobody is to use it any more: \"a \\\"mistake\\\"\"\n") {
		t.Errorf("%s %v", &b, err)
	}
	b.Reset()
	if err := printDiff(&b, &nodeapi.Diff{}); err != nil || !strings.HasSuffix(b.String(), "\nwhat is held of both is the same\n") {
		t.Errorf("%s %v", &b, err)
	}
}

func TestParseVersionless(t *testing.T) {
	for _, s := range []string{"", "XA", endedAlert, "XA/", "/" + endedAlert, "xa/" + endedAlert, "XA/" + endedAlert + "/1", "XA/1"} {
		if _, _, err := parseVersionless(s); exitCode(err) != exitUsage {
			t.Errorf("%q: %v", s, err)
		}
	}
	if from, id, err := parseVersionless("XA/" + endedAlert); err != nil || from != "XA" || id != endedAlert {
		t.Errorf("%s %s %v", from, id, err)
	}
}

// asSuperseder answers what is asked before an alert is superseded.
type asSuperseder struct {
	before *nodeapi.Explanation
	next   *nodeapi.AudienceAnswer
	err    error
}

func (a *asSuperseder) Explain(_ context.Context, _ alert.MemberID, id alert.ID, version int) (*nodeapi.Explanation, error) {
	if id != endedAlert || version != 0 {
		return nil, errors.New("another alert")
	}
	return a.before, nil
}

func (a *asSuperseder) Preview(context.Context, nodeapi.Draft) (*nodeapi.AudienceAnswer, error) {
	return a.next, a.err
}

// audienceOf makes an audience of "portion member:release:held" words.
func audienceOf(portions ...string) *nodeapi.AudienceAnswer {
	a := new(nodeapi.AudienceAnswer)
	for _, line := range portions {
		words := strings.Fields(line)
		p := hubapi.PortionAudience{Portion: words[0]}
		for _, word := range words[1:] {
			parts := strings.Split(word, ":")
			m := hubapi.MemberDecision{Member: parts[0], Release: hubapi.MemberDecisionRelease(parts[1])}
			if len(parts) > 2 {
				m.Held = new(hubapi.MemberDecisionHeld(parts[2]))
			}
			p.Members = append(p.Members, m)
		}
		a.Portions = append(a.Portions, p)
	}
	return a
}

// Before a version is superseded it is told who loses and who gains what: what was never
// handed over is not lost.
func TestWhatChanges(t *testing.T) {
	node := &asSuperseder{
		before: &nodeapi.Explanation{Audience: audienceOf("boat XB:content:content XC:content:content XD:content:existence XE:none", "crew XB:content:content XC:content XD:none:content XE:none")},
		next:   audienceOf("boat XB:content XC:none XD:content XE:none", "crew XB:existence XC:none XD:none XE:none", "port XB:none XC:none XD:none XE:existence"),
	}
	id := endedAlert
	var b strings.Builder
	if err := whatChanges(t.Context(), node, nodeapi.Draft{Supersedes: &id})(&b); err != nil {
		t.Fatal(err)
	}
	want := `
What it changes, by the rules as they were just before:

MEMBER  LOSES                        KEEPS  GAINS
XB      crew (knows that it exists)  boat   -
XC      boat                         -      -
XD      crew                         -      boat
XE      -                            -      port
`
	if diff := cmp.Diff(want, b.String()); diff != "" {
		t.Error(diff)
	}
	for want, change := range map[string]func(){
		"the hub does not say who was handed version 7": func() { node.before = &nodeapi.Explanation{Version: 7} },
		"the hub is away": func() { node.err = problem.New(problem.Unavailable, "the hub\nis away") },
	} {
		b.Reset()
		change()
		if err := whatChanges(t.Context(), node, nodeapi.Draft{Supersedes: &id})(&b); err != nil || b.String() != "\nWho loses what is not known: unavailable: "+want+"\n" {
			t.Errorf("%q, %v", &b, err)
		}
		node.err = nil
	}
	b.Reset()
	if err := printChanges(&b, nil); err != nil || !strings.Contains(b.String(), "Nobody") {
		t.Errorf("%q, %v", &b, err)
	}
}

// Lists and single alerts are marked where they are superseded, recalled or erased.
func TestPrintedStanding(t *testing.T) {
	old := nodeapi.Received{Seq: 1, Originator: "XA", Id: "id", Version: 1, SupersededBy: new(int32(2)),
		Purged: &[]nodeapi.Purged{{At: noon, Cause: feed.Superseded, Portions: []string{"boat", "crew"}}, {At: noon, Cause: feed.Ended, Portions: []string{"port"}}}}
	gone := nodeapi.Received{Seq: 2, Originator: "XA", Id: "id", Version: 2, Recall: &alert.Recall{Mode: alert.CeaseUse, Reason: "a mistake"}}
	erased := nodeapi.Received{Seq: 3, Originator: "XA", Id: "other", Version: 1, Recall: &alert.Recall{Mode: alert.Purge, Reason: "why"},
		Purged: &[]nodeapi.Purged{{At: noon, Cause: feed.Recalled, Portions: []string{"boat"}}}}
	var list strings.Builder
	if err := printInbox(&list, []nodeapi.Received{old, gone, erased, {Seq: 4, Originator: "XA", Id: "third", Version: 1}}, false); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"  superseded by 2      ", "  RECALLED, cease use  ", "  RECALLED             ", "  current              ",
		"  RECALLED, nobody is to use it any more: \"a mistake\"\n", "  erased 2027-03-01T12:00:00Z, for a later version does not release it any more: boat crew\n",
		"  erased 2027-03-01T12:00:00Z, for its time is over: port\n", "  erased 2027-03-01T12:00:00Z, for the originator has recalled it: boat\n"} {
		if !strings.Contains(list.String(), want) {
			t.Errorf("no %q in\n%s", want, &list)
		}
	}
	var one strings.Builder
	if err := printAlert(&one, &nodeapi.ReceivedAlert{Summary: old}); err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(one.String(), "standing   superseded by 2\n           erased 2027-03-01T12:00:00Z, for a later version does not release it any more: boat crew\n") {
		t.Errorf("%s", &one)
	}
	one.Reset()
	if err := printAlert(&one, &nodeapi.ReceivedAlert{}); err != nil || strings.Contains(one.String(), "standing") {
		t.Errorf("%s, %v", &one, err)
	}
}

func TestPrintedOutbox(t *testing.T) {
	list := []nodeapi.Outgoing{
		{Id: "id", Version: 3, State: nodeapi.Queued, QueuedAt: noon, Recall: &alert.Recall{Mode: alert.Purge, Reason: "why"}, LastError: new("away")},
		{Id: "id", Version: 2, State: nodeapi.Accepted, QueuedAt: noon, LastError: new("away")},
		{Id: "id", Version: 1, State: nodeapi.Refused, QueuedAt: noon, Problem: new("urn:x"), Codes: &[]string{"a", "b"}},
	}
	var b strings.Builder
	if err := printOutbox(&b, list); err != nil {
		t.Fatal(err)
	}
	want := `ALERT  VERSION  QUEUED                STATE     WHAT
id     3        2027-03-01T12:00:00Z  queued    recall
                                                  RECALLED, to be erased by all who have it: "why"
                                                  away
id     2        2027-03-01T12:00:00Z  accepted  next version
id     1        2027-03-01T12:00:00Z  refused   alert
                                                  urn:x a b
`
	if diff := cmp.Diff(want, b.String()); diff != "" {
		t.Error(diff)
	}
}
