package server_test

import (
	"encoding/base64"
	"encoding/json"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/entente-hub/entente/api/alert"
	"github.com/entente-hub/entente/api/federation"
	"github.com/entente-hub/entente/api/feed"
	"github.com/entente-hub/entente/api/nodeapi"
	"github.com/entente-hub/entente/node/nodetest"
)

const schemeXA = "urn:entente:policy:xa:1"

// amend gives XA a scheme of its own, without a name for top-secret, and the
// federation a task force and duty officers of XB's.
func amend(t *testing.T, f *nodetest.Federation) {
	t.Helper()
	var g struct{ Payload string }
	must(t, json.Unmarshal(f.Statements[0], &g))
	payload, err := base64.RawURLEncoding.DecodeString(g.Payload)
	must(t, err)
	f.Statements = append(f.Statements, f.RegistryWith(2, federation.Digest(payload), func(r *federation.Registry) {
		s := federation.PlainScheme(schemeXA, "XA")
		for i, name := range []string{"OFFEN", "XA-NfD", "XA-VERTRAULICH", "XA-GEHEIM"} {
			s.Levels[i].Names = []string{name}
		}
		s.Levels = s.Levels[:4]
		r.Schemes, r.Members[0].Scheme = append(r.Schemes, s), schemeXA
		r.TaskForces = []federation.TaskForce{{ID: "tf-river", Name: "River", Lead: "XB"}}
	}, f.HubKey), f.DutyOfficers("XB"))
}

// TestInboxTells runs a node: an alert that was delivered again stands once in the
// inbox, its levels in the member's own scheme, and what came by emergency is said
// to have.
func TestInboxTells(t *testing.T) {
	for _, markedAs := range []string{"top-secret", "restricted", "COSMIC"} {
		t.Run(markedAs, func(t *testing.T) { testInboxTells(t, markedAs) })
	}
}

func testInboxTells(t *testing.T, markedAs string) {
	f := nodetest.New(t)
	amend(t, f)
	p := f.Payload("XB")
	e := &federation.Emergency{Originator: "XB", Alert: p.Subject, Number: 1, Threat: "a boat adrift", Duty: "SOLAS V/33",
		Members: []alert.MemberID{"XA"}, Compartments: []alert.TaskForceID{"tf-river"},
		ValidFrom: time.Now().Add(-time.Hour).Unix(), ValidUntil: time.Now().Add(6 * time.Hour).Unix()}
	raw, digest := f.State(federation.TypeEmergency, e, 1, "", f.Duty["XB"]...)
	f.Statements = append(f.Statements, raw)
	hub := f.Serve(t)
	hub.Do(func() { hub.Wait = true })
	cfg := start(t, install(t, f, hub))
	c := client(t, cfg)

	l := nodetest.Label("federation")
	l.Classification, l.MarkedAs, l.Compartments = alert.TopSecret, markedAs, []alert.TaskForceID{"tf-river"}
	token := f.IssueLabelled(p, l, 2, f.Node["XB"])
	hub.Hand("XA", f.Deliver(token, feed.Existence, feed.None))
	d := f.Deliver(token, feed.Content, feed.Existence)
	for i := range d.Releases {
		if d.Releases[i].Kind == feed.Content {
			d.Releases[i].Emergency = digest
		}
	}
	hub.Hand("XA", d)
	hub.Until("two acknowledgements", func() bool { return len(hub.Acks) == 2 })

	list, err := c.Inbox(ctx, 0, 10)
	must(t, err)
	if len(list) != 1 || list[0].Seq != 2 || list[0].PreviousSeq == nil || *list[0].PreviousSeq != 1 || len(list[0].Portions) != 2 ||
		list[0].Banner != "TOP-SECRET (WITHOUT EQUIVALENT IN "+schemeXA+") // TLP:AMBER // tf-river" {
		t.Fatalf("%+v", list)
	}
	one, err := c.Show(ctx, "XB", p.Subject, 1)
	must(t, err)
	name, own, scheme, yes := "top-secret", schemeXA, nodetest.Scheme, true
	want := nodeapi.EmergencyRelease{Statement: digest, Threat: e.Threat, Duty: e.Duty, Until: time.Unix(e.ValidUntil, 0).UTC()}
	unknown := (*bool)(nil)
	if markedAs != name { // not a name of that level
		unknown = &yes
	}
	for i, h := range one.Portions {
		r := list[0].Portions[i]
		told := [][]any{
			{h.ShownAs, h.ShownIn, h.WithoutEquivalent, h.MarkedAs, h.MarkedIn, h.MarkingUnknown, h.Emergency},
			{r.ShownAs, r.ShownIn, r.WithoutEquivalent, r.MarkedAs, r.MarkedIn, r.MarkingUnknown, r.Emergency},
		}
		content := []any{&name, &own, &yes, &name, &scheme, unknown, &want}
		if h.Release != nodeapi.HeldPortionReleaseContent {
			var s *string
			content = []any{s, s, (*bool)(nil), s, s, (*bool)(nil), (*nodeapi.EmergencyRelease)(nil)}
		}
		for _, got := range told {
			if d := cmp.Diff(content, got); d != "" {
				t.Errorf("portion %s: %s", h.Portion, d)
			}
		}
	}
}

// TestMarkedPlan: a label file's names of levels reach the node, which reads them.
func TestMarkedPlan(t *testing.T) {
	f := nodetest.New(t)
	amend(t, f)
	hub := f.Serve(t)
	cfg := start(t, install(t, f, hub))
	c := client(t, cfg)
	out, err := c.Publish(ctx, nodeapi.Draft{Objects: []json.RawMessage{nodetest.Object()},
		Plan: plan(func(l *alert.Label) { l.Policy, l.Classification, l.MarkedAs = "", 0, "XA-GEHEIM" })})
	must(t, err)
	if out.State != nodeapi.Queued && out.State != nodeapi.Accepted {
		t.Errorf("%+v", out)
	}
	if _, err := c.Publish(ctx, nodeapi.Draft{Objects: []json.RawMessage{nodetest.Object()},
		Plan: plan(func(l *alert.Label) { l.Policy, l.Classification, l.MarkedAs = "", 0, "GEHEIM" })}); err == nil {
		t.Error("an unmapped name was taken")
	}
}
