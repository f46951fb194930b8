package server_test

import (
	"encoding/json"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/entente-hub/entente/api/alert"
	"github.com/entente-hub/entente/api/feed"
	"github.com/entente-hub/entente/api/hubapi"
	"github.com/entente-hub/entente/api/nodeapi"
	"github.com/entente-hub/entente/api/problem"
	"github.com/entente-hub/entente/node/nodetest"
	"github.com/entente-hub/entente/node/server"
	"github.com/entente-hub/entente/trust"
)

// directory is XA's: the liaison office receives, the coast guard does not. All
// but dan are in good standing.
const directory = `
agencies:
  - {id: liaison, name: Liaison office, focal_point: true, categories: [smuggling, visa]}
  - {id: coast-guard, name: Coast guard, categories: [smuggling]}
users:
  - {id: ann, agency: liaison, clearance: secret, task_forces: [tf-river], purposes: [investigation], tlp_red: true}
  - {id: ben, agency: liaison, clearance: restricted, purposes: [investigation, prevention]}
  - {id: cai, agency: coast-guard, clearance: secret, task_forces: [tf-river], purposes: [investigation]}
  - {id: dan, agency: coast-guard, clearance: secret, task_forces: [tf-river], purposes: [investigation], suspended: true}
`

// withDirectory adds a directory to a configuration.
func withDirectory(t *testing.T, cfg server.Config) server.Config {
	t.Helper()
	cfg.Ingress.Directory = filepath.Join(cfg.DataDir, "national.yaml")
	must(t, os.WriteFile(cfg.Ingress.Directory, []byte(directory), 0o600))
	return cfg
}

// desk is XA's node with the directory, and XB which publishes to it.
type desk struct {
	*nodetest.Federation
	t    *testing.T
	hub  *nodetest.Hub
	cfg  server.Config
	c    *server.Client
	sent int

	until time.Time // when holding of what is handed over ends: the same for all, as what is compared shows it
}

func newDesk(t *testing.T) *desk {
	f := nodetest.New(t)
	hub := f.Serve(t)
	hub.Do(func() { hub.Wait = true })
	cfg := start(t, withDirectory(t, install(t, f, hub)))
	return &desk{Federation: f, t: t, hub: hub, cfg: cfg, c: client(t, cfg), until: time.Now().Add(2 * time.Hour)}
}

// labelled returns a label that XA may have, changed.
func labelled(change func(*alert.Label)) alert.Label {
	l := nodetest.Label("federation")
	change(&l)
	return l
}

func open(*alert.Label)     {}
func strict(l *alert.Label) { l.TLP = alert.AmberStrict }
func red(l *alert.Label)    { l.TLP = alert.Red; l.ReleasableTo = []alert.Audience{"XA"} }
func river(l *alert.Label) {
	l.Classification, l.Compartments = alert.Secret, []alert.TaskForceID{"tf-river"}
}

// issue signs an alert of XB's with a portion p0, p1, … for each change of a label.
func (d *desk) issue(changes ...func(*alert.Label)) (alert.ID, string) {
	d.t.Helper()
	a := alert.Alert{Payload: d.Payload("XB")}
	for i, change := range changes {
		l := labelled(change)
		must(d.t, l.Normalize())
		a.Portions = append(a.Portions, alert.Portion{ID: alert.PortionID("p" + string(rune('0'+i))), Notice: "smuggling", Label: &l,
			Content: &alert.Content{Objects: []json.RawMessage{nodetest.Object()}}})
	}
	token, err := trust.IssueAlert(ctx, d.Node["XB"], a)
	must(d.t, err)
	return a.Subject, token
}

// hand delivers an alert as far as the kinds release it, on terms that depend on
// the alert alone, and waits until XA has it.
func (d *desk) hand(token string, kinds ...feed.Kind) {
	d.t.Helper()
	d.handUntil(token, d.until, kinds...)
}

func (d *desk) handUntil(token string, until time.Time, kinds ...feed.Kind) {
	d.t.Helper()
	delivery := d.Deliver(token, kinds...)
	for _, r := range delivery.Releases {
		if r.Obligations != nil {
			r.Obligations.HoldUntil = until.Unix()
		}
	}
	d.hub.Hand("XA", delivery)
	d.sent++
	d.hub.Until("all acknowledged", func() bool { return len(d.hub.Acks) == d.sent })
}

// reads returns what a user's list holds, as "id p0:content p3:existence", and what
// each alert says when it is shown, which must be the same.
func (d *desk) reads(user string) []string {
	d.t.Helper()
	c := d.c.As(user, "investigation")
	list, err := c.InboxFrom(ctx, "", 100)
	must(d.t, err)
	out := []string{}
	for _, a := range list {
		parts := []string{a.Id}
		for _, p := range a.Portions {
			parts = append(parts, p.Portion+":"+string(p.Release))
		}
		slices.Sort(parts[1:])
		out = append(out, strings.Join(parts, " "))
		one, err := c.Show(ctx, "XB", alert.ID(a.Id), 1)
		must(d.t, err)
		if diff := cmp.Diff(a, one.Summary); diff != "" {
			d.t.Errorf("%s: listed (-), shown (+): %s", user, diff)
		}
		if a.Seq != 0 || a.PreviousSeq != nil || a.Cursor == nil {
			d.t.Errorf("%s is told of places in the feed: %+v", user, a)
		}
	}
	return out
}

// raw asks as a tool of the member's that speaks for itself.
func (d *desk) raw(path string) (status int, body string) {
	d.t.Helper()
	token, err := os.ReadFile(filepath.Join(d.cfg.DataDir, "token"))
	must(d.t, err)
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "https://"+d.cfg.Listen+path, nil)
	must(d.t, err)
	req.Header.Set("Authorization", "Bearer "+strings.TrimSpace(string(token)))
	resp, err := d.c.HTTP().Do(req)
	must(d.t, err)
	raw, err := io.ReadAll(resp.Body)
	must(d.t, err)
	must(d.t, resp.Body.Close())
	return resp.StatusCode, string(raw)
}

const nobody = "01900000-0000-7000-8000-000000000000"

// TestUsersReadWhatTheyMay: two agencies, four users, each of whom gets exactly its
// portions, as if nothing else had been disclosed.
func TestUsersReadWhatTheyMay(t *testing.T) {
	d := newDesk(t)
	first, mixed := d.issue(open, river, red, open)
	second, toFocal := d.issue(strict)
	third, toForce := d.issue(river)
	d.hand(mixed, feed.Content, feed.Content, feed.Content, feed.Existence)
	d.hand(toFocal, feed.Content)
	d.hand(toForce, feed.Content)
	a, b, c := string(first), string(second), string(third)
	for user, want := range map[string][]string{
		"ann": {a + " p0:content p1:content p2:content p3:existence", b + " p0:content", c + " p0:content"},
		"ben": {a + " p0:content p3:existence", b + " p0:content"},
		"cai": {a + " p0:content p1:content", c + " p0:content"},
		"dan": {},
		"eve": {}, // is nobody
	} {
		if diff := cmp.Diff(want, d.reads(user)); diff != "" {
			t.Errorf("%s: %s", user, diff)
		}
	}
	d.likeUndisclosed(first, mixed)
	d.likeAbsent(second, third)
	// Purposes are the user's own, and the release's.
	list, err := d.c.As("ann", "prevention").InboxFrom(ctx, "", 100)
	if err != nil || len(list) != 0 {
		t.Errorf("not ann's purpose: %v %v", list, err)
	}
	list, err = d.c.As("ben", "prevention").InboxFrom(ctx, "", 100)
	if err != nil || len(list) != 1 || len(list[0].Portions) != 1 || list[0].Portions[0].Release != "existence" {
		t.Errorf("ben's purpose, and not the release's: %v %v", list, err)
	}
}

// likeUndisclosed holds what cai gets of an alert to what a member gets to whom
// nothing else was released.
func (d *desk) likeUndisclosed(id alert.ID, token string) {
	d.t.Helper()
	got, err := d.c.As("cai", "investigation").Show(ctx, "XB", id, 1)
	must(d.t, err)
	want, err := trust.ReduceAlert(token, map[alert.PortionID]feed.Kind{"p0": feed.Content, "p1": feed.Content})
	must(d.t, err)
	if got.Alert != want {
		d.t.Error("the alert is not reduced to what the user may have")
	}
	if got.WithheldOrDecoy != 2 || len(got.Portions) != 2 || got.Summary.Banner != "SECRET // TLP:AMBER // tf-river" {
		d.t.Errorf("%+v", got)
	}
}

// likeAbsent: what a user may not have answers with the bytes of what does not exist.
func (d *desk) likeAbsent(focal, force alert.ID) {
	d.t.Helper()
	path := func(id alert.ID, user string) string {
		return "/v1/inbox/XB/" + string(id) + "/1?user=" + user + "&purpose=investigation"
	}
	status, absent := d.raw(path(nobody, "ann"))
	if status != http.StatusNotFound {
		d.t.Fatalf("%d %s", status, absent)
	}
	for _, p := range []string{path(focal, "cai"), path(force, "ben"), path(focal, "dan"), path(focal, "eve"), path(nobody, "eve")} {
		if got, body := d.raw(p); got != status || body != absent {
			d.t.Errorf("%s: %d %s", p, got, body)
		}
	}
	_, suspended := d.raw("/v1/inbox?user=dan&purpose=investigation")
	_, unknown := d.raw("/v1/inbox?user=eve&purpose=investigation")
	if suspended != unknown || strings.TrimSpace(unknown) != `{"alerts":[]}` {
		d.t.Errorf("suspended %s, unknown %s", suspended, unknown)
	}
}

// TestUsersPagesTellNothing: a user goes through its alerts one by one, whatever
// lies between them; a delivery that changes nothing for it changes nothing.
func TestUsersPagesTellNothing(t *testing.T) {
	d := newDesk(t)
	var all, forBen []string
	var upgraded string
	for i := range 6 {
		change := open
		if i%2 == 1 {
			change = river
		}
		id, token := d.issue(change, river)
		if i == 2 {
			upgraded = token
		}
		d.hand(token, feed.Content, feed.None)
		all = append(all, string(id))
		if i%2 == 0 {
			forBen = append(forBen, string(id))
		}
	}
	walk := func(user string, limit int) (ids []string) {
		c, cursor := d.c.As(user, "investigation"), ""
		for {
			list, err := c.InboxFrom(ctx, cursor, limit)
			must(t, err)
			if len(list) == 0 {
				return ids
			}
			if len(ids) > 10*len(all) {
				t.Fatalf("%s goes in circles", user)
			}
			for _, a := range list {
				ids, cursor = append(ids, a.Id), *a.Cursor
			}
			if len(list) < limit { // a page that is not full is the last
				rest, err := c.InboxFrom(ctx, cursor, limit)
				must(t, err)
				if len(rest) > 0 {
					t.Errorf("%s: a page of %d was short", user, limit)
				}
			}
		}
	}
	for _, limit := range []int{1, 2, 3, 100} {
		if diff := cmp.Diff(forBen, walk("ben", limit)); diff != "" {
			t.Errorf("ben, %d a page: %s", limit, diff)
		}
		if diff := cmp.Diff(all, walk("ann", limit)); diff != "" {
			t.Errorf("ann, %d a page: %s", limit, diff)
		}
	}
	_, before := d.raw("/v1/inbox?user=ben&purpose=investigation")
	d.hand(upgraded, feed.Content, feed.Content) // more for ann, not for ben
	if _, after := d.raw("/v1/inbox?user=ben&purpose=investigation"); after != before {
		t.Errorf("ben was told of ann's portion:\n%s\n%s", before, after)
	}
	if got := walk("ben", 2); !slices.Equal(got, forBen) {
		t.Errorf("ben: %v", got)
	}
	moved := slices.Concat(all[:2], all[3:], all[2:3])
	if diff := cmp.Diff(moved, walk("ann", 2)); diff != "" {
		t.Errorf("ann: %s", diff)
	}
	d.hand(upgraded, feed.Existence, feed.Content) // less, but what ben has is held still
	if _, after := d.raw("/v1/inbox?user=ben&purpose=investigation"); after != before {
		t.Errorf("something was taken from ben:\n%s\n%s", before, after)
	}
}

// TestNobodyReadsBeyondTheHolding: what may be held no longer is there for nobody.
func TestNobodyReadsBeyondTheHolding(t *testing.T) {
	d := newDesk(t)
	id, token := d.issue(open, open)
	d.handUntil(token, time.Now(), feed.Content, feed.None)
	for _, user := range []string{"ann", "ben", "cai"} {
		if got := d.reads(user); len(got) != 0 {
			t.Errorf("%s reads %v", user, got)
		}
		if _, err := d.c.As(user, "investigation").Show(ctx, "XB", id, 1); problem.KindOf(err) != problem.NotFound {
			t.Errorf("%s: %v", user, err)
		}
	}
}

// TestReadsNameTheirUser: with a directory every read names user and purpose, and
// goes on from cursors of its own; without one no read does.
func TestReadsNameTheirUser(t *testing.T) {
	d := newDesk(t)
	id, token := d.issue(open)
	d.hand(token, feed.Content)
	list, err := d.c.As("ann", "investigation").InboxFrom(ctx, "", 1)
	must(t, err)
	cursor, one := *list[0].Cursor, "/v1/inbox/XB/"+string(id)+"/1"
	for path, want := range map[string]string{
		"/v1/inbox":                                         "must be named",
		one:                                                 "must be named",
		"/v1/inbox?user=ann":                                "must be named",
		"/v1/inbox?purpose=investigation":                   "must be named",
		one + "?user=ann":                                   "must be named",
		one + "?user=ann&purpose=curiosity":                 "curiosity",
		"/v1/inbox?user=ann&purpose=curiosity":              "investigation", // those that there are
		"/v1/inbox?user=ann&purpose=Investigation":          "Investigation",
		"/v1/inbox?user=&purpose=investigation":             "user",
		"/v1/inbox?user=ann&purpose=investigation&after=1":  "cursor",
		"/v1/inbox?user=ann&purpose=investigation&cursor=1": "cursor",
		"/v1/inbox?user=ann&purpose=investigation&cursor=" + strings.Repeat("A", 22): "cursor",
		"/v1/inbox?user=ben&purpose=investigation&cursor=" + cursor:                  "cursor",
		"/v1/inbox?user=ann&purpose=prevention&cursor=" + cursor:                     "cursor",
	} {
		if status, body := d.raw(path); status != http.StatusBadRequest || !strings.Contains(body, want) {
			t.Errorf("%s: %d %s", path, status, body)
		}
	}
	if status, body := d.raw("/v1/inbox?user=ann&purpose=investigation&cursor=" + cursor); status != http.StatusOK {
		t.Errorf("%d %s", status, body)
	}
	for query, want := range map[string]int{
		"": http.StatusBadRequest, "?from=XB": http.StatusBadRequest, "?from=XB&user=ann&purpose=investigation": http.StatusBadRequest,
		"?from=XB&version=1&user=ann&purpose=investigation": http.StatusOK,
		"?from=XB&version=1&user=dan&purpose=investigation": http.StatusNotFound,
	} {
		if status, body := d.raw("/v1/explain/" + string(id) + query); status != want {
			t.Errorf("explain%s: %d %s", query, status, body)
		}
	}
	open := start(t, install(t, d.Federation, d.hub))
	c := client(t, open)
	if _, err := c.Inbox(ctx, 0, 1); err != nil {
		t.Error(err)
	}
	for _, user := range []string{"ann", "eve"} {
		if _, err := c.As(user, "investigation").Inbox(ctx, 0, 1); problem.KindOf(err) != problem.Malformed {
			t.Errorf("without a directory: %v", err)
		}
		if _, err := c.As(user, "investigation").Show(ctx, "XB", id, 1); problem.KindOf(err) != problem.Malformed {
			t.Errorf("without a directory: %v", err)
		}
	}
	if _, err := c.InboxFrom(ctx, cursor, 1); problem.KindOf(err) != problem.Malformed {
		t.Errorf("a cursor without a directory: %v", err)
	}
}

// TestOwnAffairsAreTheFocalPoints: what is told of the member's own alerts, and of
// emergencies, is for active users of the focal point. To everybody else there is no such
// alert, in the words of what does not exist.
func TestOwnAffairsAreTheFocalPoints(t *testing.T) {
	d := newDesk(t)
	o, err := d.c.Publish(ctx, nodeapi.Draft{Objects: []json.RawMessage{nodetest.Object()}, Plan: plan(nil)})
	must(t, err)
	d.hub.Until("the alert published", func() bool { return len(d.hub.Published) == 1 })
	d.hub.Do(func() {
		d.hub.Own = func(alert.MemberID, string) bool { return true }
		d.hub.Explained = hubapi.AudienceAnswer{Revision: "r", Policy: d.Policy, Portions: []hubapi.PortionAudience{{Portion: "main", Members: []hubapi.MemberDecision{}}}}
	})
	for user, focal := range map[string]bool{"ann": true, "ben": true, "cai": false, "dan": false, "nobody": false} {
		c := d.c.As(user, "investigation")
		_, err := c.Explain(ctx, "XA", alert.ID(o.Id), 1)
		_, unknown := c.Explain(ctx, "XA", "01900000-0000-7000-8000-000000000000", 1)
		if focal && err != nil || !focal && (problem.KindOf(err) != problem.NotFound || problem.KindOf(unknown) != problem.NotFound) {
			t.Errorf("%s: %v, %v", user, err, unknown)
		}
		if list, err := c.Emergencies(ctx); err != nil || len(list) != 0 {
			t.Errorf("%s: %+v, %v", user, list, err)
		}
	}
	if _, err := d.c.Emergencies(ctx); problem.KindOf(err) != problem.Malformed {
		t.Errorf("in nobody's name: %v", err)
	}
	if _, err := d.c.Explain(ctx, "XA", alert.ID(o.Id), 1); problem.KindOf(err) != problem.Malformed {
		t.Errorf("in nobody's name: %v", err)
	}
}
