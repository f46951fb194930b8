package server_test

import (
	"encoding/json"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/entente-hub/entente/api/alert"
	"github.com/entente-hub/entente/api/feed"
	"github.com/entente-hub/entente/api/nodeapi"
	"github.com/entente-hub/entente/api/problem"
	"github.com/entente-hub/entente/node/nodetest"
	"github.com/entente-hub/entente/trust"
)

func text(s string) *string { return &s }

// TestFeedback: a request and its answer by way of the local interface, and what tools
// are shown of it.
func TestFeedback(t *testing.T) {
	f := nodetest.New(t)
	hub := f.Serve(t)
	hub.Do(func() { hub.Wait = true })
	cfg := start(t, install(t, f, hub))
	hit := f.Issue(f.Payload("XB"), 1, f.Node["XB"])
	about, err := trust.ReadAlert(hit)
	must(t, err)
	hub.Hand("XA", f.Deliver(hit, feed.Existence))
	hub.Until("an acknowledgement", func() bool { return len(hub.Acks) == 1 })
	c := client(t, cfg)
	due := time.Now().Add(time.Hour).Truncate(time.Second).UTC()
	flash := alert.Flash
	out, err := c.Feedback(ctx, nodeapi.FeedbackDraft{Originator: "XB", Alert: string(about.Subject), Act: alert.Request,
		Text: text("Which?"), Precedence: &flash, Due: &due})
	must(t, err)
	hub.Until("a request published", func() bool { return len(hub.Published) == 1 })
	sent, err := trust.ReadAlert(hub.Published[0])
	must(t, err)
	if string(sent.Subject) != out.Id || sent.Re.Due != due.Unix() || sent.Re.Precedence != flash {
		t.Fatalf("%+v %+v", sent, out)
	}
	for _, step := range []struct {
		act  alert.Act
		want nodeapi.RequestState
	}{{"", nodeapi.RequestOpen}, {alert.Declined, nodeapi.RequestRefused}, {alert.Answer, nodeapi.RequestAnswered}} {
		if step.act != "" {
			p := f.Payload("XB")
			p.Re = &alert.Reference{Originator: "XA", Alert: sent.Subject, Act: step.act}
			acks := 0
			hub.Do(func() { acks = len(hub.Acks) })
			hub.Hand("XA", f.Deliver(f.IssueLabelled(p, nodetest.Label("XA"), 1, f.Node["XB"]), feed.Content))
			hub.Until("another acknowledgement", func() bool { return len(hub.Acks) > acks })
		}
		list, err := c.Requests(ctx, "", 10)
		must(t, err)
		if len(list) != 1 {
			t.Fatalf("%+v", list)
		}
		r := list[0]
		if r.State != step.want || !r.Own || r.Party != "XB" || !r.Known || *r.Re.Due != due || *r.Re.Precedence != flash || r.Id != out.Id || r.By != nil {
			t.Errorf("%s: %+v", step.act, r)
		}
	}
	if list, err := c.Requests(ctx, nodeapi.RequestLate, 10); err != nil || len(list) != 0 {
		t.Errorf("%+v %v", list, err)
	}
	received, err := c.Inbox(ctx, 0, 10)
	must(t, err)
	if re := received[2].Re; re == nil || re.Act != alert.Answer || re.Alert != out.Id || re.Due != nil || received[0].Re != nil {
		t.Errorf("%+v", received)
	}
	p := f.Payload("XB") // about an alert that was never there
	p.Re = &alert.Reference{Originator: "XA", Alert: f.Payload("XA").Subject, Act: alert.Request, Precedence: alert.Routine, Due: p.IssuedAt + 1}
	hub.Hand("XA", f.Deliver(f.IssueLabelled(p, nodetest.Label("XA"), 1, f.Node["XB"]), feed.Content))
	hub.Until("the request acknowledged", func() bool { return len(hub.Acks) == 4 })
	checkWaiting(t, "http://"+cfg.OpsListen+"/metrics")
	s, err := c.Status(ctx)
	must(t, err)
	if s.Requests.AskedLate+s.Requests.AskedOpen != 1 || s.Requests.AskingOpen != 0 {
		t.Errorf("%+v", s.Requests)
	}
}

// checkWaiting reads the figures of one request that asks the member, and none of its own.
func checkWaiting(t *testing.T, url string) {
	t.Helper()
	resp, err := http.Get(url)
	must(t, err)
	body, err := io.ReadAll(resp.Body)
	must(t, err)
	must(t, resp.Body.Close())
	figures := string(body)
	one := strings.Contains(figures, `entente_node_requests{side="asked",state="open"} 1`) != strings.Contains(figures, `entente_node_requests{side="asked",state="late"} 1`)
	if !one || !strings.Contains(figures, `entente_node_requests{side="asking",state="open"} 0`) || !strings.Contains(figures, `entente_node_requests{side="asking",state="late"} 0`) {
		t.Errorf("%s", figures)
	}
}

// TestFeedbackRefused: what is malformed, what is not there, and what the member's own
// policy keeps in.
func TestFeedbackRefused(t *testing.T) {
	f := nodetest.New(t)
	hub := f.Serve(t)
	hub.Do(func() { hub.Wait = true })
	cfg := start(t, install(t, f, hub))
	token := f.Issue(f.Payload("XB"), 1, f.Node["XB"])
	about, err := trust.ReadAlert(token)
	must(t, err)
	hub.Hand("XA", f.Deliver(token, feed.Content))
	hub.Until("an acknowledgement", func() bool { return len(hub.Acks) == 1 })
	c := client(t, cfg)
	good := nodeapi.FeedbackDraft{Originator: "XB", Alert: string(about.Subject), Act: alert.Comment, Text: text("x")}
	for name, step := range map[string]struct {
		change func(*nodeapi.FeedbackDraft)
		want   problem.Kind
	}{
		"unknown alert":      {func(d *nodeapi.FeedbackDraft) { d.Alert = nobody }, problem.NotFound},
		"no id":              {func(d *nodeapi.FeedbackDraft) { d.Alert = "x" }, problem.Malformed},
		"no member":          {func(d *nodeapi.FeedbackDraft) { d.Originator = "x" }, problem.Malformed},
		"unknown act":        {func(d *nodeapi.FeedbackDraft) { d.Act = "applause" }, problem.Malformed},
		"to nobody known":    {func(d *nodeapi.FeedbackDraft) { d.To = &[]string{"everybody"} }, problem.Malformed},
		"label with a typo":  {func(d *nodeapi.FeedbackDraft) { l := json.RawMessage(`{"clasification":"secret"}`); d.Label = &l }, problem.Malformed},
		"label unfinished":   {func(d *nodeapi.FeedbackDraft) { l := json.RawMessage(`{"classification":"secret"}`); d.Label = &l }, problem.Malformed},
		"a field in capital": {func(d *nodeapi.FeedbackDraft) { l := json.RawMessage(`{"Classification":"secret"}`); d.Label = &l }, problem.Malformed},
		"kept in": {func(d *nodeapi.FeedbackDraft) {
			l := json.RawMessage(`{"policy":"` + nodetest.Scheme + `","classification":"restricted","categories":["health"],"purposes":["investigation"],"personal_data":"none"}`)
			d.Label = &l
		}, problem.EgressDenied},
	} {
		d := good
		step.change(&d)
		if _, err := c.Feedback(ctx, d); problem.KindOf(err) != step.want {
			t.Errorf("%s: %v", name, err)
		}
	}
	if list, err := c.Outbox(ctx, 10); err != nil || len(list) != 0 {
		t.Errorf("%+v %v", list, err)
	}
	if _, err := c.As("ann", "investigation").Feedback(ctx, good); problem.KindOf(err) != problem.Malformed {
		t.Errorf("by a user, where there is no directory: %v", err)
	}
}

// TestFeedbackInAUsersName: by who may read what it is about, and requests for who may
// read them.
func TestFeedbackInAUsersName(t *testing.T) {
	d := newDesk(t)
	id, token := d.issue(river)
	d.hand(token, feed.Content)
	draft := nodeapi.FeedbackDraft{Originator: "XB", Alert: string(id), Act: alert.Request, Text: text("Who?")}
	for user, want := range map[string]problem.Kind{"ben": problem.NotFound, "dan": problem.NotFound, "eve": problem.NotFound} {
		if _, err := d.c.As(user, "investigation").Feedback(ctx, draft); problem.KindOf(err) != want {
			t.Errorf("%s: %v", user, err)
		}
	}
	if _, err := d.c.Feedback(ctx, draft); problem.KindOf(err) != problem.Malformed {
		t.Errorf("in nobody's name: %v", err)
	}
	out, err := d.c.As("cai", "investigation").Feedback(ctx, draft)
	must(t, err)
	for user, want := range map[string]int{"ann": 1, "cai": 1, "ben": 1, "dan": 0, "eve": 0} { // ann and ben are the focal point's
		list, err := d.c.As(user, "investigation").Requests(ctx, "", 10)
		must(t, err)
		if len(list) != want {
			t.Errorf("%s: %+v", user, list)
		}
		if want > 0 && (list[0].Id != out.Id || list[0].By == nil || *list[0].By != "cai") {
			t.Errorf("%s: %+v", user, list[0])
		}
	}
}
