package server_test

import (
	"context"
	"encoding/json"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/entente-hub/entente/api/alert"
	"github.com/entente-hub/entente/api/federation"
	"github.com/entente-hub/entente/api/hubapi"
	"github.com/entente-hub/entente/api/nodeapi"
	"github.com/entente-hub/entente/api/problem"
	"github.com/entente-hub/entente/crypto/keys"
	"github.com/entente-hub/entente/node/nodetest"
	"github.com/entente-hub/entente/node/server"
)

// TestNegotiation uses every operation on statements as a member's tools do; each
// answer is held against the specification.
func TestNegotiation(t *testing.T) {
	f := nodetest.New(t)
	hub := f.Serve(t)
	cfg := start(t, install(t, f, hub))
	c := client(t, cfg)
	first, digest := f.Agree(1, "", "new-ab", f.Root["XA"])
	state, err := c.Propose(ctx, first)
	if err != nil || state.InForce || state.Digest != digest || len(state.Missing) != 1 {
		t.Fatalf("%+v, %v", state, err)
	}
	hub.Do(func() {
		hub.Proposals = append(hub.Proposals, hubapi.OpenProposal{Digest: "lie", By: "XB", At: hub.Proposals[0].At,
			Missing: []string{}, Statement: hub.Proposals[0].Statement})
	})
	open, err := c.Proposals(ctx)
	if err != nil || len(open) != 2 || open[0].Fault != nil || *open[0].Subject != "new-ab" || open[1].Fault == nil || open[1].Type != nil {
		t.Fatalf("%+v, %v", open, err)
	}
	whole, err := keys.Countersign(ctx, open[0].Statement, f.Root["XB"])
	must(t, err)
	if state, err = c.Propose(ctx, whole); err != nil || !state.InForce {
		t.Fatalf("%+v, %v", state, err)
	}
	must(t, c.Suspend(ctx, "new-ab", "under review"))
	all, err := c.Agreements(ctx)
	if err != nil || len(all) != 2 || all[0].State != nodeapi.Suspended || (*all[0].SuspendedBy)[0].Party != "XA" || all[0].Terms.Title == "" {
		t.Errorf("%+v, %v", all, err)
	}
	revision, prev, err := c.Chain(ctx, federation.TypeAgreement, "new-ab")
	if err != nil || revision != 1 || prev != digest {
		t.Errorf("%d %s %v", revision, prev, err)
	}
	if revision, prev, err = c.Chain(ctx, federation.TypeConsent, "none"); err != nil || revision != 0 || prev != "" {
		t.Errorf("%d %s %v", revision, prev, err)
	}
	if p, err := c.Policies(ctx); err != nil || len(p) != 1 || !p[0].InForce || len(p[0].Signers) != 2 {
		t.Errorf("%+v, %v", p, err)
	}
	testOwnAlert(t, c, hub)
	testNegotiationRefusals(t, c)
}

// testOwnAlert uses what is about alerts that were published here.
func testOwnAlert(t *testing.T, c *server.Client, hub *nodetest.Hub) {
	t.Helper()
	o, err := c.Publish(ctx, nodeapi.Draft{Objects: []json.RawMessage{nodetest.Object()}, Plan: plan(nil)})
	must(t, err)
	to := []string{"XB"}
	given, err := c.ChangeConsent(ctx, nodeapi.ConsentChange{Alert: o.Id, Change: nodeapi.Give, Recipients: &to})
	if err != nil || len(given.Recipients) != 1 {
		t.Errorf("%+v, %v", given, err)
	}
	if given, err = c.ChangeConsent(ctx, nodeapi.ConsentChange{Alert: o.Id, Change: nodeapi.Withdraw}); err != nil || len(given.Recipients) != 0 {
		t.Errorf("%+v, %v", given, err)
	}
	if list, err := c.Consents(ctx); err != nil || len(list) != 1 || list[0].Revision != 2 {
		t.Errorf("%+v, %v", list, err)
	}
	if n, err := c.NextEmergency(ctx, alert.ID(o.Id)); err != nil || n != 1 {
		t.Errorf("%d, %v", n, err)
	}
	if list, err := c.Emergencies(ctx); err != nil || len(list) != 0 {
		t.Errorf("%+v, %v", list, err)
	}
	hub.Do(func() {
		held := hubapi.MemberDecisionHeldExistence
		cited := []hubapi.CitedAgreement{{Id: "a", Digest: hub.F.Agreement, Title: "An agreement", Version: 2}}
		hub.Own = func(_ alert.MemberID, id string) bool { return id == o.Id }
		hub.Explained = hubapi.AudienceAnswer{Revision: "r", Policy: hub.F.Policy, Portions: []hubapi.PortionAudience{{Portion: "main",
			Members: []hubapi.MemberDecision{{Member: "XB", Release: hubapi.MemberDecisionReleaseContent, Held: &held, Agreements: &cited}}}}}
	})
	e, err := c.Explain(ctx, "", alert.ID(o.Id), 0)
	if err != nil || e.Audience == nil || e.Received != nil {
		t.Fatalf("%+v, %v", e, err)
	}
	if m := e.Audience.Portions[0].Members[0]; *m.Held != hubapi.MemberDecisionHeldExistence || (*m.Agreements)[0].Title == "An agreement" { // the hub's word
		t.Errorf("%+v", m)
	}
	hub.Do(func() { hub.Down = true })
	defer hub.Do(func() { hub.Down = false })
	if o, err = c.Publish(ctx, nodeapi.Draft{Objects: []json.RawMessage{nodetest.Object()}, Plan: plan(nil)}); err != nil {
		t.Fatal(err)
	}
	if e, err = c.Explain(ctx, "", alert.ID(o.Id), 0); err != nil || e.Outgoing == nil || e.Outgoing.State != nodeapi.Queued || e.Audience != nil {
		t.Errorf("%+v, %v", e, err)
	}
}

func testNegotiationRefusals(t *testing.T, c *server.Client) {
	t.Helper()
	const unknown = alert.ID("01900000-0000-7000-8000-000000000000")
	for name, tt := range map[string]struct {
		ask  func() error
		want problem.Kind
	}{
		"no statement":          {func() error { _, err := c.Propose(ctx, []byte(`{"payload":"e30","signatures":[]}`)); return err }, problem.Malformed},
		"no proposal":           {func() error { return c.Decline(ctx, strings.Repeat("x", 43)) }, problem.NotFound},
		"half a digest":         {func() error { return c.Decline(ctx, "x") }, problem.Malformed},
		"no agreement":          {func() error { return c.Suspend(ctx, "nothing", "") }, problem.NotFound},
		"no agreement's id":     {func() error { return c.Suspend(ctx, "Nothing", "") }, problem.Malformed},
		"no type":               {func() error { _, _, err := c.Chain(ctx, "treaty", "x"); return err }, problem.Malformed},
		"not published here":    {func() error { _, err := c.Explain(ctx, "XA", unknown, 1); return err }, problem.NotFound},
		"not received":          {func() error { _, err := c.Explain(ctx, "XB", unknown, 1); return err }, problem.NotFound},
		"nobody's":              {func() error { _, err := c.Explain(ctx, "", unknown, 0); return err }, problem.NotFound},
		"no emergency":          {func() error { return c.EndEmergency(ctx, unknown) }, problem.NotFound},
		"no alert":              {func() error { _, err := c.NextEmergency(ctx, unknown); return err }, problem.NotFound},
		"no alert's id":         {func() error { _, err := c.NextEmergency(ctx, "x"); return err }, problem.Malformed},
		"no directory of users": {func() error { _, err := c.As("u", "prevention").Explain(ctx, "", unknown, 0); return err }, problem.Malformed},
		"no change": {func() error {
			_, err := c.ChangeConsent(ctx, nodeapi.ConsentChange{Alert: string(unknown), Change: "take"})
			return err
		}, problem.Malformed},
		"consent for another's": {func() error {
			_, err := c.ChangeConsent(ctx, nodeapi.ConsentChange{Alert: string(unknown), Change: nodeapi.Give, Recipients: &[]string{"XB"}})
			return err
		}, problem.NotFound},
	} {
		if err := tt.ask(); problem.KindOf(err) != tt.want {
			t.Errorf("%s: %v, want %s", name, err, tt.want)
		}
	}
}

// TestProblemsOnProposals: whatever the hub answers, the member's tools are told, as
// the specification describes it.
func TestProblemsOnProposals(t *testing.T) {
	f := nodetest.New(t)
	var kind atomic.Value
	kind.Store(problem.Kind(""))
	raw, digest := f.Agree(1, "", "new-ab", f.Root["XA"])
	hub := f.Serve(t)
	cfg := install(t, f, hub)
	url := serveHub(t, f, func(w http.ResponseWriter, r *http.Request) {
		k := kind.Load().(problem.Kind)
		if k == "" || r.URL.Path == "/v1/statements" && r.Method == http.MethodGet {
			page := hubapi.StatementPage{Statements: []hubapi.PlacedStatement{}}
			for i, s := range f.Statements {
				page.Statements = append(page.Statements, hubapi.PlacedStatement{Position: int64(i) + 1, Statement: s})
			}
			if r.URL.Query().Get("after") != "0" {
				page.Statements = page.Statements[:0]
			}
			w.Header().Set("Content-Type", "application/json")
			_ = json.NewEncoder(w).Encode(page) // a reader that has gone shows at its end
			return
		}
		status, body := problem.Render(problem.New(k, "the hub's word"), "")
		w.Header().Set("Content-Type", problem.MediaType)
		w.WriteHeader(status)
		_, _ = w.Write(body) // as above
	})
	cfg.Hub.URLs = []string{url}
	c := client(t, start(t, cfg))
	if _, err := c.Agreements(ctx); err != nil {
		t.Fatal(err)
	}
	for _, k := range problem.Kinds() {
		kind.Store(k)
		for name, ask := range map[string]func(context.Context) error{
			"propose":   func(ctx context.Context) error { _, err := c.Propose(ctx, raw); return err },
			"proposals": func(ctx context.Context) error { _, err := c.Proposals(ctx); return err },
			"decline":   func(ctx context.Context) error { return c.Decline(ctx, digest) },
			"suspend":   func(ctx context.Context) error { return c.Suspend(ctx, "smuggling-ab", "") },
			"submit":    func(ctx context.Context) error { return c.SubmitBundle(ctx, []byte("x")) },
			"bundles":   func(ctx context.Context) error { _, err := c.Bundles(ctx); return err },
			"bundle":    func(ctx context.Context) error { _, err := c.Bundle(ctx, digest); return err },
		} {
			if err := ask(ctx); problem.KindOf(err) != k {
				t.Errorf("%s: %s: the caller is told %v", k, name, err)
			}
		}
	}
}
