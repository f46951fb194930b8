package node_test

import (
	"context"
	"encoding/json"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/entente-hub/entente/api/alert"
	"github.com/entente-hub/entente/api/feed"
	"github.com/entente-hub/entente/api/problem"
	"github.com/entente-hub/entente/node"
	"github.com/entente-hub/entente/node/nodetest"
	"github.com/entente-hub/entente/node/store"
	"github.com/entente-hub/entente/trust"
)

// party is one member's node in an exchange, with a clock that can be set.
type party struct {
	*house
	member alert.MemberID
	skew   time.Duration
}

// exchange is XA, XB and XC at one hub, which believes everything: carry does what its
// policy would.
func exchange(t *testing.T) map[alert.MemberID]*party {
	t.Helper()
	f := nodetest.New(t)
	hub := f.Serve(t)
	parties := make(map[alert.MemberID]*party)
	for _, m := range nodetest.Members {
		p := &party{house: &house{Federation: f, t: t, hub: hub, path: t.TempDir() + "/node.db"}, member: m}
		p.openAs(nil)
		must(t, p.n.StatementsStep(ctx))
		parties[m] = p
	}
	return parties
}

func (p *party) openAs(change func(*node.Config)) {
	p.t.Helper()
	p.open(func(c *node.Config) {
		c.Member, c.Signer, c.Hub = p.member, p.Node[p.member], p.client(p.member)
		c.Now = func() time.Time { return time.Now().Add(p.skew) }
		if change != nil {
			change(c)
		}
	})
}

// carry sends what the party has queued and hands all of the last alert to others.
func (p *party) carry(to ...*party) {
	p.t.Helper()
	must(p.t, p.n.OutboxStep(ctx))
	var token string
	p.hub.Do(func() { token = p.hub.Published[len(p.hub.Published)-1] })
	for _, other := range to {
		other.take(p.release(token, feed.Content))
	}
}

// take hands a delivery to the party, which fetches it.
func (p *party) take(d feed.Delivery) {
	p.t.Helper()
	p.hub.Hand(p.member, d)
	must(p.t, p.n.FeedStep(ctx))
}

// release reduces an alert to one kind of all portions.
func (p *party) release(token string, kind feed.Kind) feed.Delivery {
	p.t.Helper()
	portions, err := trust.ReadPortions(token)
	must(p.t, err)
	d := feed.Delivery{Revision: "revision", Policy: p.Policy, ReleasedAt: time.Now().Unix()}
	kinds := make(map[alert.PortionID]feed.Kind)
	for _, q := range portions {
		r := feed.Release{Portion: q.ID, Kind: kind}
		if kind == feed.Content {
			r.Agreements = []string{p.Agreement}
			r.Obligations = &feed.Obligations{Purposes: q.Label.Purposes, HoldUntil: time.Now().Add(time.Hour).Unix(), Handling: q.Label.Handling}
		}
		kinds[q.ID], d.Releases = kind, append(d.Releases, r)
	}
	d.Alert, err = trust.ReduceAlert(token, kinds)
	must(p.t, err)
	return d
}

// publishes publishes an alert of the party's own and hands it to others.
func (p *party) publishes(kind feed.Kind, change func(*alert.Planned), to ...*party) *store.Outgoing {
	p.t.Helper()
	plan := nodetest.Plan()
	if change != nil {
		change(&plan.Portions[0])
	}
	o, err := p.n.Publish(ctx, node.Draft{Objects: objects(1), Plan: plan})
	must(p.t, err)
	must(p.t, p.n.OutboxStep(ctx))
	for _, other := range to {
		other.take(p.release(o.Token, kind))
	}
	return o
}

func (p *party) says(f node.FeedbackDraft) *store.Outgoing {
	p.t.Helper()
	o, err := p.n.Feedback(ctx, f)
	must(p.t, err)
	return o
}

// request says what a list of requests says of the only one.
func (p *party) request() node.RequestStatus {
	p.t.Helper()
	list, err := p.n.Requests(ctx, node.RequestFilter{Limit: 10})
	must(p.t, err)
	if len(list) != 1 {
		p.t.Fatalf("%s has %d requests: %+v", p.member, len(list), list)
	}
	return list[0]
}

// said reads the last thing that a party has received.
func (p *party) said() node.Received {
	p.t.Helper()
	list, err := p.n.Inbox(ctx, 0, 100)
	must(p.t, err)
	last := list[len(list)-1]
	if last.Fault != nil {
		p.t.Fatal(last.Fault)
	}
	return last
}

// TestRefusedFeedbackDrafts: what can not be said is refused, and nothing is stored.
func TestRefusedFeedbackDrafts(t *testing.T) {
	e := exchange(t)
	xa, xb := e["XA"], e["XB"]
	held := xb.publishes(feed.Content, nil, xa)
	hit := xb.publishes(feed.Existence, func(p *alert.Planned) { p.Notice = "look here" }, xa)
	own := xa.publishes(feed.Content, nil)
	other := xb.Payload("XB").Subject
	label := nodetest.Label()
	wide := nodetest.Label("federation")
	found := nodetest.Label()
	found.DiscoverableTo = []alert.Audience{"XC"}
	n := -1
	for name, c := range map[string]struct {
		draft node.FeedbackDraft
		want  problem.Kind
	}{
		"unknown alert":            {node.FeedbackDraft{Originator: "XB", Alert: other, Act: alert.Comment, Text: "x"}, problem.NotFound},
		"unknown alert of its own": {node.FeedbackDraft{Originator: "XA", Alert: other, Act: alert.Comment, Text: "x", To: []alert.MemberID{"XB"}}, problem.NotFound},
		"another's id":             {node.FeedbackDraft{Originator: "XC", Alert: held.ID, Act: alert.Comment, Text: "x"}, problem.NotFound},
		"no act":                   {node.FeedbackDraft{Originator: "XB", Alert: held.ID, Text: "x"}, problem.Malformed},
		"no text":                  {node.FeedbackDraft{Originator: "XB", Alert: held.ID, Act: alert.Comment}, problem.Malformed},
		"control characters":       {node.FeedbackDraft{Originator: "XB", Alert: held.ID, Act: alert.Comment, Text: "a\x1bb"}, problem.Malformed},
		"too long":                 {node.FeedbackDraft{Originator: "XB", Alert: held.ID, Act: alert.Comment, Text: strings.Repeat("x", alert.MaxText+1)}, problem.Malformed},
		"deadline of a comment":    {node.FeedbackDraft{Originator: "XB", Alert: held.ID, Act: alert.Comment, Text: "x", Due: time.Now().Add(time.Hour)}, problem.Malformed},
		"unknown precedence":       {node.FeedbackDraft{Originator: "XB", Alert: held.ID, Act: alert.Request, Text: "x", Precedence: "urgent"}, problem.Malformed},
		"answer to an alert":       {node.FeedbackDraft{Originator: "XB", Alert: held.ID, Act: alert.Answer, Text: "x"}, problem.Malformed},
		"nobody to say it to":      {node.FeedbackDraft{Originator: "XA", Alert: own.ID, Act: alert.Comment, Text: "x"}, problem.Malformed},
		"to itself":                {node.FeedbackDraft{Originator: "XB", Alert: held.ID, Act: alert.Comment, Text: "x", To: []alert.MemberID{"XA"}}, problem.Malformed},
		"to one twice":             {node.FeedbackDraft{Originator: "XB", Alert: held.ID, Act: alert.Comment, Text: "x", To: []alert.MemberID{"XB", "XB"}}, problem.Malformed},
		"to a community":           {node.FeedbackDraft{Originator: "XB", Alert: held.ID, Act: alert.Comment, Text: "x", To: []alert.MemberID{"federation"}}, problem.Malformed},
		"another release list":     {node.FeedbackDraft{Originator: "XB", Alert: held.ID, Act: alert.Comment, Text: "x", Label: &wide}, problem.Malformed},
		"a list of discoverers":    {node.FeedbackDraft{Originator: "XB", Alert: held.ID, Act: alert.Comment, Text: "x", Label: &found}, problem.Malformed},
		"category not known":       {node.FeedbackDraft{Originator: "XB", Alert: hit.ID, Act: alert.Request, Text: "x"}, problem.Malformed},
		"about what is not held":   {node.FeedbackDraft{Originator: "XB", Alert: hit.ID, Act: alert.Comment, Text: "x", Label: &label, About: []string{"vehicle--" + string(other)}}, problem.Malformed},
		"sighting of a hit":        {node.FeedbackDraft{Originator: "XB", Alert: hit.ID, Act: alert.Sighting, Label: &label}, problem.Malformed},
		"seen less than never":     {node.FeedbackDraft{Originator: "XB", Alert: held.ID, Act: alert.Sighting, Sighting: &node.Sighting{Count: &n}}, problem.Malformed},
		"last before first": {node.FeedbackDraft{Originator: "XB", Alert: held.ID, Act: alert.Sighting,
			Sighting: &node.Sighting{FirstSeen: time.Now(), LastSeen: time.Now().Add(-time.Hour)}}, problem.Malformed},
		"seen tomorrow": {node.FeedbackDraft{Originator: "XB", Alert: held.ID, Act: alert.Sighting,
			Sighting: &node.Sighting{LastSeen: time.Now().Add(24 * time.Hour)}}, problem.Malformed},
		"seen nowhere known": {node.FeedbackDraft{Originator: "XB", Alert: held.ID, Act: alert.Sighting,
			Sighting: &node.Sighting{Where: []string{"location--" + string(other)}}}, problem.Malformed},
		"by a user where there are none": {node.FeedbackDraft{Originator: "XB", Alert: held.ID, Act: alert.Comment, Text: "x", Reader: &ann}, problem.Malformed},
		"no STIX":                        {node.FeedbackDraft{Originator: "XB", Alert: held.ID, Act: alert.Comment, Text: "x", Objects: []json.RawMessage{json.RawMessage(`{}`)}}, problem.Malformed},
	} {
		if o, err := xa.n.Feedback(ctx, c.draft); problem.KindOf(err) != c.want {
			t.Errorf("%s: %v %v", name, o, err)
		}
	}
	if list, err := xa.n.Outbox(ctx, 10); err != nil || len(list) != 1 {
		t.Errorf("stored: %+v %v", list, err)
	}
	xa.rule.list = []node.Refusal{{Code: "no", Message: "no", Portion: 0}}
	if _, err := xa.n.Feedback(ctx, node.FeedbackDraft{Originator: "XB", Alert: held.ID, Act: alert.Acknowledgement}); problem.KindOf(err) != problem.EgressDenied {
		t.Errorf("the member's own policy is not asked: %v", err)
	}
}

// TestAnswerIsNotMarkedDown: an answer to somebody who knew of no more than a hit does not
// get the label of the question where what it is about is marked more strictly.
func TestAnswerIsNotMarkedDown(t *testing.T) {
	e := exchange(t)
	xa, xb := e["XA"], e["XB"]
	about := xb.publishes(feed.Existence, func(p *alert.Planned) { p.Label.Classification = alert.Secret }, xa)
	asked := xa.says(node.FeedbackDraft{Originator: "XB", Alert: about.ID, Act: alert.Request, Text: "Which?"})
	xa.carry(xb)
	reply := node.FeedbackDraft{Originator: "XA", Alert: asked.ID, Act: alert.Answer, Text: "That one"}
	if _, err := xb.n.Feedback(ctx, reply); problem.KindOf(err) != problem.Malformed || !strings.Contains(err.Error(), "label") {
		t.Fatal(err)
	}
	label := nodetest.Label()
	label.Policy, label.Classification = "", alert.Secret // the only scheme there is
	reply.Label = &label
	a, err := trust.ReadAlert(xb.says(reply).Token)
	must(t, err)
	if l := a.Portions[0].Label; l.Classification != alert.Secret || l.Policy != nodetest.Scheme || !slices.Equal(l.ReleasableTo, []alert.Audience{"XA"}) {
		t.Errorf("%+v", l)
	}
}

// TestFeedbackOnOwnAndRecalled: the member's own alert can be commented on to somebody;
// what was recalled can be asked about, with a label of the author's own.
func TestFeedbackOnOwnAndRecalled(t *testing.T) {
	e := exchange(t)
	xa, xb := e["XA"], e["XB"]
	own := xa.publishes(feed.Content, nil, xb)
	o := xa.says(node.FeedbackDraft{Originator: "XA", Alert: own.ID, Act: alert.Request, Text: "What became of it?", To: []alert.MemberID{"XB"}})
	xa.carry(xb)
	if r := xb.request(); !r.Known || r.Own || r.Other() != "XA" {
		t.Errorf("%+v", r)
	}
	if r := xa.request(); r.Asked != "XB" || !r.Known {
		t.Errorf("%+v", r)
	}
	// A comment on one's own request goes to those whom it asks.
	a, err := trust.ReadAlert(xa.says(node.FeedbackDraft{Originator: "XA", Alert: o.ID, Act: alert.Comment, Text: "Never mind the colour."}).Token)
	must(t, err)
	if l := a.Portions[0].Label; !slices.Equal(l.ReleasableTo, []alert.Audience{"XB"}) {
		t.Errorf("%+v", l)
	}
	// XB takes back an alert, and XA its request about it.
	about := xb.publishes(feed.Content, nil, xa)
	recall, err := xb.n.Recall(ctx, about.ID, alert.Recall{Mode: alert.Purge, Reason: "wrong plate"})
	must(t, err)
	xa.take(xb.release(recall.Token, feed.Content))
	label := nodetest.Label()
	ask := node.FeedbackDraft{Originator: "XB", Alert: about.ID, Act: alert.Request, Text: "What is right?"}
	if _, err := xa.n.Feedback(ctx, ask); problem.KindOf(err) != problem.Malformed {
		t.Errorf("a label was made up: %v", err)
	}
	ask.Label = &label
	xa.says(ask)
	if _, err := xa.n.Feedback(ctx, node.FeedbackDraft{Originator: "XB", Alert: about.ID, Act: alert.Sighting, Label: &label}); problem.KindOf(err) != problem.Malformed {
		t.Errorf("sighted: %v", err)
	}
	recall, err = xa.n.Recall(ctx, o.ID, alert.Recall{Mode: alert.CeaseUse, Reason: "found it"})
	must(t, err)
	xb.take(xa.release(recall.Token, feed.Content))
	if list, err := xb.n.Requests(ctx, node.RequestFilter{Limit: 10}); err != nil || len(list) != 0 {
		t.Errorf("%+v %v", list, err)
	}
	if _, err := xb.n.Feedback(ctx, node.FeedbackDraft{Originator: "XA", Alert: o.ID, Act: alert.Answer, Text: "Here", Label: &label}); problem.KindOf(err) != problem.Malformed {
		t.Errorf("answered what was recalled: %v", err)
	}
}

// readers lets ann have everything, and ben what is not marked with a notice.
type readers struct{}

func (readers) Permits(_ context.Context, r node.Reader, p node.Holding) (bool, error) {
	return r.User == "ann" || r.User == "ben" && p.Label != nil && p.Label.Classification <= alert.Restricted, nil
}

// TestFeedbackByUsers: who may not read an alert can say nothing about it, and requests
// and answers are told to those who may read them, as if there were nothing else.
func TestFeedbackByUsers(t *testing.T) {
	e := exchange(t)
	xa, xb := e["XA"], e["XB"]
	must(t, xa.st.Close())
	xa.openAs(func(c *node.Config) { c.Ingress = readers{} })
	secret := func(p *alert.Planned) { p.Label.Classification = alert.Secret }
	low, high := xb.publishes(feed.Content, nil, xa), xb.publishes(feed.Content, secret, xa)
	ask := func(r *node.Reader, about alert.ID) (*store.Outgoing, error) {
		return xa.n.Feedback(ctx, node.FeedbackDraft{Originator: "XB", Alert: about, Act: alert.Request, Text: "Who?", Reader: r})
	}
	if _, err := ask(nil, low.ID); problem.KindOf(err) != problem.Malformed {
		t.Errorf("in nobody's name: %v", err)
	}
	if _, err := ask(&ben, high.ID); problem.KindOf(err) != problem.NotFound {
		t.Errorf("what ben may not read: %v", err)
	}
	bens, err := ask(&ben, low.ID)
	must(t, err)
	anns, err := ask(&ann, high.ID)
	must(t, err)
	seen := func(r *node.Reader) map[alert.ID]node.RequestStatus {
		t.Helper()
		list, err := xa.n.Requests(ctx, node.RequestFilter{Reader: r, Limit: 10})
		must(t, err)
		m := make(map[alert.ID]node.RequestStatus)
		for _, s := range list {
			m[s.ID] = s
		}
		return m
	}
	if m := seen(&ann); len(m) != 2 || m[bens.ID].By != "ben" || m[anns.ID].By != "ann" {
		t.Errorf("%+v", m)
	}
	if m := seen(&ben); len(m) != 1 || m[bens.ID].By != "ben" {
		t.Errorf("%+v", m)
	}
	if strings.Contains(bens.Token, "ben") || len(seen(&node.Reader{User: "cai", Purpose: "investigation"})) != 0 {
		t.Error("cai, who may read nothing, is told of requests")
	}
	if _, err := xa.n.Requests(ctx, node.RequestFilter{Limit: 10}); problem.KindOf(err) != problem.Malformed {
		t.Errorf("in nobody's name: %v", err)
	}
	// An answer above ben's clearance: for ben the request stays open.
	must(t, xa.n.OutboxStep(ctx))
	xb.take(xa.release(bens.Token, feed.Content))
	label := nodetest.Label()
	label.Classification = alert.Secret
	xb.says(node.FeedbackDraft{Originator: "XA", Alert: bens.ID, Act: alert.Answer, Text: "He", Label: &label})
	must(t, xa.n.OutboxStep(ctx))
	xb.carry(xa)
	if s := seen(&ann)[bens.ID]; s.State != node.Answered || len(s.Replies) != 1 {
		t.Errorf("%+v", s)
	}
	if s := seen(&ben)[bens.ID]; s.State != node.Open || len(s.Replies) != 0 {
		t.Errorf("%+v", s)
	}
}

// TestOwnAnswersAreForThoseWhoMayReadThem: a request that was answered by a colleague, with
// what a user may not read, stays open for that user.
func TestOwnAnswersAreForThoseWhoMayReadThem(t *testing.T) {
	e := exchange(t)
	xa, xb := e["XA"], e["XB"]
	must(t, xa.st.Close())
	xa.openAs(func(c *node.Config) { c.Ingress = readers{} })
	about := xa.publishes(feed.Content, nil, xb)
	asked := xb.says(node.FeedbackDraft{Originator: "XA", Alert: about.ID, Act: alert.Request, Text: "Who?"})
	xb.carry(xa)
	state := func(r *node.Reader) (node.RequestState, int) {
		t.Helper()
		list, err := xa.n.Requests(ctx, node.RequestFilter{Reader: r, Limit: 10})
		must(t, err)
		if len(list) != 1 {
			t.Fatalf("%+v", list)
		}
		return list[0].State, len(list[0].Replies)
	}
	answer := func(level alert.Classification) {
		label := nodetest.Label()
		label.Classification = level
		xa.says(node.FeedbackDraft{Originator: "XB", Alert: asked.ID, Act: alert.Answer, Text: "He", Label: &label, Reader: &ann})
	}
	for _, step := range []struct {
		level alert.Classification
		ben   node.RequestState
		sees  int
	}{{alert.Secret, node.Open, 0}, {alert.Restricted, node.Answered, 1}} {
		answer(step.level)
		if s, n := state(&ben); s != step.ben || n != step.sees {
			t.Errorf("%s: for ben it is %s, with %d replies", step.level, s, n)
		}
		if s, n := state(&ann); s != node.Answered || n != 1+step.sees {
			t.Errorf("%s: for ann it is %s, with %d replies", step.level, s, n)
		}
	}
}
