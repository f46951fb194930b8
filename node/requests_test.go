package node_test

import (
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/entente-hub/entente/api/alert"
	"github.com/entente-hub/entente/api/feed"
	"github.com/entente-hub/entente/api/problem"
	"github.com/entente-hub/entente/node"
	"github.com/entente-hub/entente/node/nodetest"
	"github.com/entente-hub/entente/trust"
)

// TestRequestAndAnswer: a hit becomes a request to the originator that names nothing but
// the alert and the portion, and the request gets its answer; both sides agree on how it
// stands at every step.
func TestRequestAndAnswer(t *testing.T) {
	e := exchange(t)
	xa, xb := e["XA"], e["XB"]
	about := xb.publishes(feed.Existence, nil, xa)
	asked := xa.says(node.FeedbackDraft{Originator: "XB", Alert: about.ID, Act: alert.Request, Text: "Which vehicle?", Precedence: alert.Immediate})
	xa.carry(xb)
	a := xb.said().Alert.Alert
	if a.Re == nil || a.Re.Originator != "XB" || a.Re.Alert != about.ID || a.Re.Precedence != alert.Immediate {
		t.Fatalf("%+v", a.Re)
	}
	label := a.Portions[0].Label
	if d := cmp.Diff([]alert.Audience{"XB"}, label.ReleasableTo); d != "" || label.Classification != alert.Restricted ||
		!slices.Equal(label.Categories, []alert.Category{"smuggling"}) || len(label.DiscoverableTo) > 0 || a.Portions[0].Notice != "" {
		t.Errorf("%s %+v", d, label)
	}
	said := stixOf(t, a)
	stand := said["x-entente-alert"][0]
	if len(said) != 2 || stand["alert"] != string(about.ID) || stand["portion"] != "main" || said["note"][0]["content"] != "Which vehicle?" ||
		!cmp.Equal(said["note"][0]["object_refs"], []any{stand["id"]}) {
		t.Errorf("%+v", said)
	}
	for _, p := range []*party{xa, xb} {
		r := p.request()
		other := map[alert.MemberID]alert.MemberID{"XA": "XB", "XB": "XA"}[p.member]
		if r.State != node.Open || r.ID != asked.ID || r.Other() != other || r.Own != (p == xa) || !r.Known || len(r.Replies) != 0 {
			t.Errorf("%s: %+v", p.member, r)
		}
		p.skew = 9 * time.Hour
		if r := p.request(); r.State != node.Late {
			t.Errorf("%s: %s", p.member, r.State)
		}
		c, err := p.n.CountRequests(ctx)
		must(t, err)
		want := node.RequestCounts{LateIn: 1}
		if p == xa {
			want = node.RequestCounts{LateOut: 1}
		}
		if c != want {
			t.Errorf("%s: %+v", p.member, c)
		}
		p.skew = 0
	}
	for _, step := range []struct {
		act  alert.Act
		want node.RequestState
	}{{alert.Comment, node.Open}, {alert.Declined, node.Declined}, {alert.Answer, node.Answered}, {alert.Answer, node.Answered}, {alert.Declined, node.Answered}} {
		xb.says(node.FeedbackDraft{Originator: "XA", Alert: asked.ID, Act: step.act, Text: "An answer"})
		xb.carry(xa)
		for _, p := range []*party{xa, xb} {
			if r := p.request(); r.State != step.want {
				t.Errorf("%s after %s: %s, want %s", p.member, step.act, r.State, step.want)
			}
		}
	}
	for _, p := range []*party{xa, xb} {
		if r := p.request(); len(r.Replies) != 4 || r.Replies[0].Originator != "XB" {
			t.Errorf("%s: %+v", p.member, r.Replies)
		}
		p.skew = 9 * time.Hour
		if r := p.request(); r.State != node.Answered {
			t.Errorf("%s, after the deadline: %s", p.member, r.State)
		}
		p.skew = 365 * 24 * time.Hour
		if list, err := p.n.Requests(ctx, node.RequestFilter{Limit: 10}); err != nil || len(list) != 0 {
			t.Errorf("%s, expired: %+v %v", p.member, list, err)
		}
	}
}

// TestDeadlines: the default goes by the precedence, and one's own lies ahead.
func TestDeadlines(t *testing.T) {
	e := exchange(t)
	about := e["XB"].publishes(feed.Content, nil, e["XA"])
	draft := node.FeedbackDraft{Originator: "XB", Alert: about.ID, Act: alert.Request, Text: "Who?"}
	for precedence, after := range map[alert.Precedence]time.Duration{alert.Flash: 8 * time.Hour, alert.Immediate: 8 * time.Hour,
		alert.Priority: 72 * time.Hour, alert.Routine: 168 * time.Hour, "": 168 * time.Hour} {
		f := draft
		f.Precedence = precedence
		a, err := trust.ReadAlert(e["XA"].says(f).Token)
		must(t, err)
		if got := time.Duration(a.Re.Due-a.IssuedAt) * time.Second; got < after-2*time.Minute || got > after || a.Expires < a.Re.Due+30*24*3600 {
			t.Errorf("%q: due after %s, expires after %d s", precedence, got, a.Expires-a.IssuedAt)
		}
	}
	f := draft
	f.Due = time.Now().Add(1000 * 24 * time.Hour)
	a, err := trust.ReadAlert(e["XA"].says(f).Token)
	must(t, err)
	if a.Re.Due != f.Due.Unix() || a.Expires <= a.Re.Due {
		t.Errorf("%+v expires %d", a.Re, a.Expires)
	}
	for name, due := range map[string]time.Time{"past": time.Now().Add(-time.Minute), "now": time.Now(), "far": time.Now().AddDate(6, 0, 0)} {
		f.Due = due
		if _, err := e["XA"].n.Feedback(ctx, f); problem.KindOf(err) != problem.Malformed {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// TestOrderOfRequests: the late ones first, then by deadline, as many as are wanted.
func TestOrderOfRequests(t *testing.T) {
	e := exchange(t)
	xa := e["XA"]
	about := e["XB"].publishes(feed.Content, nil, xa)
	var want []alert.ID
	for _, hours := range []int{30, 2, 20, 1} {
		o := xa.says(node.FeedbackDraft{Originator: "XB", Alert: about.ID, Act: alert.Request, Text: "Who?",
			Due: time.Now().Add(time.Duration(hours) * time.Hour)})
		want = append(want, o.ID)
		must(t, xa.n.OutboxStep(ctx))
	}
	e["XB"].take(xa.release(xa.hub.Published[len(xa.hub.Published)-1], feed.Content))
	e["XB"].says(node.FeedbackDraft{Originator: "XA", Alert: want[3], Act: alert.Answer, Text: "He"}) // the one due first
	e["XB"].carry(xa)
	xa.skew = 3 * time.Hour
	list, err := xa.n.Requests(ctx, node.RequestFilter{Limit: 3})
	must(t, err)
	var got []alert.ID
	var states []node.RequestState
	for _, r := range list {
		got, states = append(got, r.ID), append(states, r.State)
	}
	if d := cmp.Diff([]alert.ID{want[1], want[3], want[2]}, got); d != "" || !slices.Equal(states, []node.RequestState{node.Late, node.Answered, node.Open}) {
		t.Error(d, states)
	}
	late, err := xa.n.Requests(ctx, node.RequestFilter{State: node.Late, Limit: 9})
	must(t, err)
	if len(late) != 1 || late[0].ID != want[1] {
		t.Errorf("%+v", late)
	}
}

// TestStrangersDoNotAnswer: an answer counts from those alone who were asked, wherever
// it says that it belongs.
func TestStrangersDoNotAnswer(t *testing.T) {
	e := exchange(t)
	xa, xb, xc := e["XA"], e["XB"], e["XC"]
	about := xb.publishes(feed.Content, nil, xa)
	asked := xa.says(node.FeedbackDraft{Originator: "XB", Alert: about.ID, Act: alert.Request, Text: "Who?"})
	xa.carry(xb)
	xc.take(xa.release(asked.Token, feed.Existence)) // it is not asked
	if list, err := xc.n.Requests(ctx, node.RequestFilter{Limit: 10}); err != nil || len(list) != 0 {
		t.Errorf("%+v %v", list, err)
	}
	reply := node.FeedbackDraft{Originator: "XA", Alert: asked.ID, Act: alert.Answer, Text: "Me"}
	if _, err := xc.n.Feedback(ctx, reply); problem.KindOf(err) != problem.Malformed {
		t.Errorf("%v", err)
	}
	p := xc.Payload("XC") // so it signs one by other means
	p.Re = &alert.Reference{Originator: "XA", Alert: asked.ID, Act: alert.Answer}
	xa.take(xc.Deliver(xc.IssueLabelled(p, nodetest.Label("XA"), 1, xc.Node["XC"]), feed.Existence))
	if r := xa.request(); r.State != node.Open || len(r.Replies) != 0 {
		t.Errorf("%+v", r)
	}
	if got := xa.said().Alert; got.Re == nil || got.Re.Alert != asked.ID || got.Issuer != "XC" {
		t.Errorf("it is not in the inbox like any alert: %+v", got)
	}
}

// TestUnknownReference: what refers to an alert that was never there is stored like any,
// and said to refer to nothing that is known.
func TestUnknownReference(t *testing.T) {
	e := exchange(t)
	xa, xb := e["XA"], e["XB"]
	for i, originator := range []alert.MemberID{"XA", "XC"} {
		p := xb.Payload("XB")
		p.Re = &alert.Reference{Originator: originator, Alert: xb.Payload("XC").Subject, Act: alert.Request, Precedence: alert.Flash,
			Due: p.IssuedAt + int64(60*(i+1))}
		xa.take(xa.release(xb.IssueLabelled(p, nodetest.Label("XA"), 1, xb.Node["XB"]), feed.Content))
	}
	list, err := xa.n.Requests(ctx, node.RequestFilter{Limit: 10})
	must(t, err)
	if len(list) != 2 || list[0].Known || list[1].Known || list[0].Re.Originator != "XA" {
		t.Fatalf("%+v", list)
	}
	xa.says(node.FeedbackDraft{Originator: "XB", Alert: list[0].ID, Act: alert.Declined, Text: "There is no such alert."})
	if list, err = xa.n.Requests(ctx, node.RequestFilter{State: node.Declined, Limit: 10}); err != nil || len(list) != 1 {
		t.Errorf("%+v %v", list, err)
	}
}
