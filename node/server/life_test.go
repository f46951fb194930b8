package server_test

import (
	"encoding/json"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/entente-hub/entente/api/alert"
	"github.com/entente-hub/entente/api/feed"
	"github.com/entente-hub/entente/api/hubapi"
	"github.com/entente-hub/entente/api/nodeapi"
	"github.com/entente-hub/entente/api/problem"
	"github.com/entente-hub/entente/node/nodetest"
	"github.com/entente-hub/entente/node/server"
	"github.com/entente-hub/entente/trust"
)

// after returns the payload of the version that follows one.
func after(t *testing.T, f *nodetest.Federation, token string) alert.Payload {
	t.Helper()
	before, err := trust.ReadAlert(token)
	must(t, err)
	p := f.Payload(before.Issuer)
	p.Subject, p.Version, p.Previous = before.Subject, before.Version+1, before.SignedDigest
	return p
}

// handOver delivers what the kinds release of an alert, nothing of one without portions,
// and waits until XA has acknowledged it.
func handOver(hub *nodetest.Hub, token string, kinds ...feed.Kind) {
	d := hub.F.Deliver(token, kinds...)
	if d.Releases == nil {
		d.Releases = []feed.Release{}
	}
	acks := 0
	hub.Do(func() { acks = len(hub.Acks) })
	hub.Hand("XA", d)
	hub.Until("another acknowledgement", func() bool { return len(hub.Acks) == acks+1 })
}

// accepted waits until the node has stored the hub's receipt of a version.
func accepted(t *testing.T, c *server.Client, id alert.ID, version int) {
	t.Helper()
	for end := time.Now().Add(time.Minute); ; <-time.After(5 * time.Millisecond) {
		out, err := c.Outgoing(ctx, id, version)
		must(t, err)
		if out.State == nodeapi.Accepted {
			return
		}
		if time.Now().After(end) {
			t.Fatalf("version %d is %s", version, out.State)
		}
	}
}

// TestReceivedLife: what the inbox says of an alert that is corrected and taken back, and
// how its versions compare.
func TestReceivedLife(t *testing.T) {
	f := nodetest.New(t)
	hub := f.Serve(t)
	hub.Do(func() { hub.Wait = true })
	c := client(t, start(t, install(t, f, hub)))
	first := f.Issue(f.Payload("XB"), 2, f.Node["XB"])
	handOver(hub, first, feed.Content, feed.Content)
	second := f.Issue(after(t, f, first), 2, f.Node["XB"])
	if _, err := c.Diff(ctx, "XB", subject(t, first), 0, 0); problem.KindOf(err) != problem.NotFound {
		t.Errorf("one version alone: %v", err)
	}
	handOver(hub, second, feed.Content, feed.None)
	list, err := c.Inbox(ctx, 0, 10)
	must(t, err)
	old, now := list[0], list[1]
	if old.SupersededBy == nil || *old.SupersededBy != 2 || old.Purged == nil || len(*old.Purged) != 1 || old.Recall != nil {
		t.Fatalf("%+v", old)
	}
	if p := (*old.Purged)[0]; p.Cause != feed.Superseded || !slices.Equal(p.Portions, []string{"p1"}) || p.At.IsZero() {
		t.Errorf("%+v", p)
	}
	if now.SupersededBy != nil || now.Purged != nil || len(now.Portions) != 1 {
		t.Errorf("%+v", now)
	}
	d, err := c.Diff(ctx, "XB", subject(t, first), 0, 0)
	must(t, err)
	if d.From != 1 || d.To != 2 || len(d.Portions) != 2 || d.Recall != nil {
		t.Fatalf("%+v", d)
	}
	if p := d.Portions[0]; p.Portion != "p0" || p.Change != "changed" || len(p.Objects) != 2 || *p.Before != feed.Content || *p.After != feed.Content {
		t.Errorf("%+v", p)
	}
	if p := d.Portions[1]; p.Portion != "p1" || p.Change != "removed" || p.After != nil || len(p.Fields)+len(p.Objects) != 0 {
		t.Errorf("%+v", p)
	}
	recall := after(t, f, second)
	recall.Recall = &alert.Recall{Mode: alert.Purge, Reason: "a mistake"}
	token, err := trust.IssueAlert(ctx, f.Node["XB"], alert.Alert{Payload: recall})
	must(t, err)
	handOver(hub, token)
	list, err = c.Inbox(ctx, 0, 10)
	must(t, err)
	for _, a := range list {
		if a.Recall == nil || *a.Recall != *recall.Recall || len(a.Portions) != 0 {
			t.Errorf("%+v", a)
		}
	}
	if d, err = c.Diff(ctx, "XB", subject(t, first), 2, 3); err != nil || d.Recall == nil || d.Recall.Reason != "a mistake" {
		t.Errorf("%+v, %v", d, err)
	}
	testNoDiff(t, c, subject(t, first))
}

// testNoDiff: what can not be compared is answered with what is wrong.
func testNoDiff(t *testing.T, c *server.Client, id alert.ID) {
	t.Helper()
	for name, x := range map[string]struct {
		from     alert.MemberID
		id       alert.ID
		old, now int
		want     problem.Kind
	}{
		"unknown": {"XB", "01900000-0000-7000-8000-000000000000", 0, 0, problem.NotFound},
		"another": {"XA", id, 0, 0, problem.NotFound}, "no version": {"XB", id, 1, 9, problem.NotFound}, "first": {"XB", id, 0, 1, problem.NotFound},
		"backwards": {"XB", id, 2, 1, problem.Malformed}, "itself": {"XB", id, 2, 2, problem.Malformed},
		"no id": {"XB", "x", 0, 0, problem.Malformed}, "no member": {"x", id, 0, 0, problem.Malformed}, "negative": {"XB", id, -1, 2, problem.Malformed},
	} {
		if _, err := c.Diff(ctx, x.from, x.id, x.old, x.now); problem.KindOf(err) != x.want {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func subject(t *testing.T, token string) alert.ID {
	t.Helper()
	a, err := trust.ReadAlert(token)
	must(t, err)
	return a.Subject
}

// TestOwnLife corrects and takes back an alert of the member's own, and follows who holds it.
func TestOwnLife(t *testing.T) {
	f := nodetest.New(t)
	hub := f.Serve(t)
	hub.Do(func() { hub.Wait = true })
	c := client(t, start(t, install(t, f, hub)))
	draft := nodeapi.Draft{Objects: []json.RawMessage{nodetest.Object()}, Plan: plan(nil)}
	draft.Plan.Portions[0].ID = "p0"
	first, err := c.Publish(ctx, draft)
	must(t, err)
	id := alert.ID(first.Id)
	if draft.Supersedes = &first.Id; first.Recall != nil {
		t.Errorf("%+v", first)
	}
	second, err := c.Publish(ctx, draft)
	must(t, err)
	recall := alert.Recall{Mode: alert.CeaseUse, Reason: "a mistake"}
	last, err := c.Recall(ctx, id, recall)
	must(t, err)
	if second.Id != first.Id || second.Version != 2 || last.Id != first.Id || last.Version != 3 || last.Recall == nil || *last.Recall != recall {
		t.Fatalf("%+v %+v", second, last)
	}
	list, err := c.Outbox(ctx, 10)
	must(t, err)
	if len(list) != 3 || list[0].Version != 3 || list[0].Recall == nil || *list[0].Recall != recall || list[1].Recall != nil || list[2].Recall != nil {
		t.Errorf("%+v", list)
	}
	if d, err := c.Diff(ctx, "XA", id, 1, 3); err != nil || d.Recall == nil || len(d.Portions) != 1 || d.Portions[0].Change != "removed" {
		t.Errorf("%+v, %v", d, err)
	}
	hub.Until("all published", func() bool { return len(hub.Published) == 3 })
	testHolders(t, f, hub, c, id)
	if _, err := c.Recall(ctx, id, recall); problem.KindOf(err) != problem.Conflict {
		t.Errorf("recalled twice: %v", err)
	}
	if _, err := c.Publish(ctx, draft); problem.KindOf(err) != problem.Conflict {
		t.Errorf("superseded after its recall: %v", err)
	}
	unknown := "01900000-0000-7000-8000-000000000000"
	if _, err := c.Recall(ctx, alert.ID(unknown), recall); problem.KindOf(err) != problem.NotFound {
		t.Errorf("recall of nothing: %v", err)
	}
	if _, err := c.Recall(ctx, id, alert.Recall{Mode: alert.Purge, Reason: strings.Repeat("x", alert.MaxText+1)}); problem.KindOf(err) != problem.TooLarge {
		t.Errorf("too long: %v", err)
	}
	draft.Supersedes = &unknown
	if _, err := c.Publish(ctx, draft); problem.KindOf(err) != problem.NotFound {
		t.Errorf("superseding nothing: %v", err)
	}
	for name, r := range map[string]alert.Recall{"no reason": {Mode: alert.Purge}, "no mode": {Reason: "x"}, "another mode": {Mode: "forget", Reason: "x"},
		"control": {Mode: alert.Purge, Reason: "\x1b[2J"}} {
		if _, err := c.Recall(ctx, id, r); problem.KindOf(err) != problem.Malformed {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// testHolders: XB was handed the first version and has said nothing; the hub shows a false
// receipt in XC's name.
func testHolders(t *testing.T, f *nodetest.Federation, hub *nodetest.Hub, c *server.Client, id alert.ID) {
	t.Helper()
	var first string
	hub.Do(func() {
		first = hub.Published[0]
		hub.Held = func(r *hubapi.HoldersReport) {
			r.Purges = append(r.Purges, hubapi.PurgeReceipt{Member: "XC", Version: 1, Receipt: "false"})
		}
	})
	hub.Hand("XB", f.Deliver(first, feed.Content))
	accepted(t, c, id, 3)
	list, err := c.Holders(ctx, id)
	must(t, err)
	if list.Id != string(id) || list.Version != 3 || list.Recall == nil || list.Recall.Mode != alert.CeaseUse || len(list.Members) != 2 {
		t.Fatalf("%+v", list)
	}
	xb, xc := list.Members[0], list.Members[1]
	if xb.Member != "XB" || xb.Version != 1 || xb.HandedOverAt == nil || xb.Told || xb.Acknowledged || len(xb.Held) != 1 || len(xb.Purged)+len(xb.Faults) != 0 {
		t.Errorf("%+v", xb)
	}
	if xc.Member != "XC" || xc.HandedOverAt != nil || len(xc.Purged) != 0 || len(xc.Faults) != 1 {
		t.Errorf("%+v", xc)
	}
	if _, err := c.Holders(ctx, "01900000-0000-7000-8000-000000000000"); problem.KindOf(err) != problem.NotFound {
		t.Errorf("holders of nothing: %v", err)
	}
	if _, err := c.Holders(ctx, "x"); problem.KindOf(err) != problem.Malformed {
		t.Errorf("no id: %v", err)
	}
}

// TestLifeByUsers: who holds an alert of the member's own is the focal point's to know,
// and versions compare as far as a user may read them; all else is answered with the
// bytes of what does not exist.
func TestLifeByUsers(t *testing.T) {
	d := newDesk(t)
	o, err := d.c.Publish(ctx, nodeapi.Draft{Objects: []json.RawMessage{nodetest.Object()}, Plan: plan(nil)})
	must(t, err)
	d.hub.Until("the alert published", func() bool { return len(d.hub.Published) == 1 })
	accepted(t, d.c, alert.ID(o.Id), 1)
	for user, focal := range map[string]bool{"ann": true, "ben": true, "cai": false, "dan": false, "nobody": false} {
		own, _ := d.raw("/v1/holders/" + o.Id + "?user=" + user + "&purpose=investigation")
		_, body := d.raw("/v1/holders/" + o.Id + "?user=" + user + "&purpose=investigation")
		_, absent := d.raw("/v1/holders/" + nobody + "?user=" + user + "&purpose=investigation")
		if focal != (own == http.StatusOK) || !focal && body != absent {
			t.Errorf("%s: %d %s %s", user, own, body, absent)
		}
		_, body = d.raw("/v1/diff/XA/" + o.Id + "?user=" + user + "&purpose=investigation")
		if _, absent = d.raw("/v1/diff/XA/" + nobody + "?user=" + user + "&purpose=investigation"); !focal && body != absent {
			t.Errorf("%s: %s %s", user, body, absent)
		}
	}
	first, token := d.issue(open, river)
	d.hand(token, feed.Content, feed.Content)
	next := d.IssueLabelled(after(t, d.Federation, token), labelled(open), 1, d.Node["XB"])
	d.hand(next, feed.Content)
	seen, err := d.c.As("ann", "investigation").Diff(ctx, "XB", first, 0, 0)
	must(t, err)
	if seen.From != 1 || seen.To != 2 || len(seen.Portions) != 2 || seen.Portions[1].Portion != "p1" || seen.Portions[1].Change != "removed" {
		t.Errorf("ann: %+v", seen)
	}
	path := "/v1/diff/XB/" + string(first) + "?user="
	status, absent := d.raw("/v1/diff/XB/" + nobody + "?user=dan&purpose=investigation")
	if got, body := d.raw(path + "dan&purpose=investigation"); got != status || body != absent || status != http.StatusNotFound {
		t.Errorf("%d %s, %d %s", got, body, status, absent)
	}
	for _, path := range []string{"/v1/holders/" + o.Id, "/v1/diff/XB/" + string(first), "/v1/holders/" + o.Id + "?user=ann"} {
		if status, body := d.raw(path); status != http.StatusBadRequest || !strings.Contains(body, "must be named") {
			t.Errorf("%s: %d %s", path, status, body)
		}
	}
}
