package server_test

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/entente-hub/entente/api/alert"
	"github.com/entente-hub/entente/api/nodeapi"
	"github.com/entente-hub/entente/api/problem"
	"github.com/entente-hub/entente/node"
	"github.com/entente-hub/entente/node/nodetest"
	"github.com/entente-hub/entente/node/server"
	"github.com/entente-hub/entente/policies"
)

// staffed is the directory in which ann and ben write and release, cai writes, and eve,
// who is cleared for less, releases.
var staffed = strings.NewReplacer(
	"purposes: [investigation], tlp_red: true}", "purposes: [investigation], tlp_red: true, roles: [author, releaser], "+tokenOf("ann")+"}",
	"- {id: ben, agency: liaison, clearance: restricted,", "- {id: ben, agency: liaison, clearance: secret, task_forces: [tf-river], roles: [author, releaser], "+tokenOf("ben")+",",
	"- {id: cai, agency: coast-guard,", "- {id: eve, agency: liaison, clearance: restricted, purposes: [investigation], roles: [releaser], "+tokenOf("eve")+"}\n"+
		"  - {id: cai, roles: [author], "+tokenOf("cai")+", agency: coast-guard,",
).Replace(directory)

func tokenOf(user string) string { return "token_sha256: " + policies.TokenDigest("token of "+user) }

// office is XA's node with a rule on two persons.
type office struct {
	t   *testing.T
	cfg server.Config
	c   *server.Client
}

func newOffice(t *testing.T, rule node.FourEyes, people string) *office {
	t.Helper()
	f := nodetest.New(t)
	hub := f.Serve(t)
	hub.Do(func() { hub.Wait = true })
	cfg := withDirectory(t, install(t, f, hub))
	must(t, os.WriteFile(cfg.Ingress.Directory, []byte(people), 0o600))
	cfg.Publishing.FourEyes = rule
	cfg = start(t, cfg)
	knows(t, cfg)
	return &office{t, cfg, client(t, cfg)}
}

func (o *office) as(user string) *server.Drafts { return o.c.Drafts(user, "token of "+user) }

func newDraft(change func(*alert.Label)) nodeapi.NewDraft {
	p := plan(change)
	return nodeapi.NewDraft{Objects: &[]json.RawMessage{nodetest.Object()}, Plan: &p}
}

func wantKind(t *testing.T, what string, err error, want problem.Kind) {
	t.Helper()
	if err == nil || problem.KindOf(err) != want {
		t.Errorf("%s: %v, want %s", what, err, want)
	}
}

// TestDraftsOverTheInterface: two people publish what one can not, each by the node's own
// directory and rules.
func TestDraftsOverTheInterface(t *testing.T) {
	o := newOffice(t, node.ClassifiedFourEyes, staffed)
	_, err := o.c.Publish(ctx, nodeapi.Draft{Objects: []json.RawMessage{nodetest.Object()}, Plan: plan(nil)})
	wantKind(t, "one person publishes", err, problem.EgressDenied)
	_, err = o.c.Publish(ctx, nodeapi.Draft{Objects: []json.RawMessage{nodetest.Object()}, Plan: plan(func(l *alert.Label) { l.Classification = alert.Unclassified })})
	must(t, err)

	d, err := o.as("ann").Add(ctx, newDraft(river), "")
	must(t, err)
	low, err := o.as("cai").Add(ctx, newDraft(nil), "")
	must(t, err)
	for user, want := range map[string][]string{"ann": {low.Id, d.Id}, "ben": {low.Id, d.Id}, "cai": {low.Id}, "eve": {low.Id}} {
		list, err := o.as(user).List(ctx, nodeapi.ListDraftsParamsStatePending, "", 10)
		must(t, err)
		var got []string
		for _, d := range list {
			got = append(got, d.Id)
		}
		if !slices.Equal(got, want) {
			t.Errorf("%s sees %v", user, got)
		}
	}
	read, err := o.as("ben").Show(ctx, d.Id)
	must(t, err)
	if read.Digest != d.Digest || read.Author != "ann" || read.Content == nil || len(*read.Content.Objects) != 1 || read.Portions[0].Label.Classification != alert.Secret {
		t.Errorf("%+v", read)
	}
	_, err = o.as("ann").Release(ctx, d.Id, d.Digest)
	wantKind(t, "by its author", err, problem.Forbidden)
	_, err = o.as("eve").Release(ctx, d.Id, d.Digest)
	wantKind(t, "by who is not cleared", err, problem.NotFound)
	out, err := o.as("ben").Release(ctx, d.Id, read.Digest)
	must(t, err)
	again, err := o.as("ben").Release(ctx, d.Id, read.Digest)
	must(t, err)
	if again.Id != out.Id || *out.Author != "ann" || *out.ReleasedBy != "ben" {
		t.Errorf("%+v, %+v", out, again)
	}
	box, err := o.c.Outbox(ctx, 10)
	must(t, err)
	if len(box) != 2 || box[0].Author == nil || *box[0].Author != "ann" || *box[0].ReleasedBy != "ben" || box[1].Author != nil {
		t.Errorf("%+v", box)
	}
	if now, err := o.as("ann").Show(ctx, d.Id); err != nil || *now.EndedBy != "ben" || *now.Alert != out.Id || now.Content != nil {
		t.Errorf("%+v %v", now, err)
	}
	rejected, err := o.as("eve").Reject(ctx, low.Id, "not graded")
	must(t, err)
	if *rejected.Reason != "not graded" || *rejected.EndedBy != "eve" {
		t.Errorf("%+v", rejected)
	}
	_, err = o.as("cai").Withdraw(ctx, low.Id)
	wantKind(t, "withdrawn after its end", err, problem.Conflict)

	r, err := o.as("ann").Add(ctx, nodeapi.NewDraft{Supersedes: &out.Id, Recall: &nodeapi.DraftRecall{Mode: alert.CeaseUse, Reason: "misread"}}, "")
	must(t, err)
	if read, err := o.as("ben").Show(ctx, r.Id); err != nil || read.Content.Version != 2 || read.Content.Recall.Reason != "misread" || *read.Content.Supersedes != out.Id {
		t.Errorf("%+v %v", read, err)
	}
	if _, err = o.as("ann").Withdraw(ctx, r.Id); err != nil {
		t.Error(err)
	}
}

// TestDraftRequestsAreStrict: what is not whole is refused, before anybody is asked who it is.
func TestDraftRequestsAreStrict(t *testing.T) {
	o := newOffice(t, node.AllFourEyes, staffed)
	d, err := o.as("ann").Add(ctx, newDraft(nil), "")
	must(t, err)
	token, err := os.ReadFile(filepath.Join(o.cfg.DataDir, "token"))
	must(t, err)
	missing := "01900000-0000-7000-8000-000000000000"
	for _, c := range []struct {
		method, path, body, user string
		want                     int
	}{
		{"GET", "/v1/drafts?user=ann", "", "ann", 200},
		{"GET", "/v1/drafts", "", "ann", 400},
		{"GET", "/v1/drafts?user=ann", "", "", 400},
		{"GET", "/v1/drafts?user=ann&user=ben", "", "ann", 400},
		{"GET", "/v1/drafts?user=Ann", "", "ann", 401},
		{"GET", "/v1/drafts?user=ben", "", "ann", 401},
		{"GET", "/v1/drafts?user=dan", "", "dan", 401},
		{"GET", "/v1/drafts?user=ann&state=open", "", "ann", 400},
		{"GET", "/v1/drafts/" + missing + "?user=ann", "", "ann", 404},
		{"GET", "/v1/drafts/x?user=ann", "", "ann", 400},
		{"POST", "/v1/drafts?user=ann", `{}`, "ann", 400},
		{"POST", "/v1/drafts?user=ann", `{"objects":[],"plan":{"portions":[]}}`, "ann", 400},
		{"POST", "/v1/drafts?user=ann", `{"recall":{"mode":"purge","reason":"x"}}`, "ann", 400},
		{"POST", "/v1/drafts?user=ann", `{"supersedes":"` + missing + `","recall":{"mode":"burn","reason":"x"}}`, "ann", 400},
		{"POST", "/v1/drafts?user=ann", `{"supersedes":"` + missing + `","recall":{"mode":"purge","reason":"x"}}`, "ann", 404},
		{"POST", "/v1/drafts?user=ann", `{"feedback":{"originator":"XB","alert":"` + missing + `","act":"comment","text":"x"}}`, "ann", 400},
		{"POST", "/v1/drafts?user=ann&purpose=investigation", `{"feedback":{"originator":"XB","alert":"` + missing + `","act":"comment","text":"x"}}`, "ann", 404},
		{"POST", "/v1/drafts?user=ann&purpose=investigation", `{"supersedes":"` + missing + `","feedback":{"originator":"XB","alert":"` + missing + `","act":"comment","text":"x"}}`, "ann", 400},
		{"POST", "/v1/drafts?user=ann", `{"content":{}}`, "ann", 400},
		{"POST", "/v1/drafts/" + d.Id + "/release?user=ben", `{}`, "ben", 400},
		{"POST", "/v1/drafts/" + d.Id + "/release?user=ben", `{"digest":"x"}`, "ben", 400},
		{"POST", "/v1/drafts/" + d.Id + "/release?user=ben", `{"digest":"` + strings.Repeat("A", 43) + `"}`, "ben", 409},
		{"POST", "/v1/drafts/" + d.Id + "/rejection?user=ben", `{"reason":""}`, "ben", 400},
		{"POST", "/v1/drafts/" + d.Id + "/withdrawal?user=ben", ``, "ben", 403},
	} {
		req, err := http.NewRequestWithContext(ctx, c.method, "https://"+o.cfg.Listen+c.path, strings.NewReader(c.body))
		must(t, err)
		req.Header.Set("Authorization", "Bearer "+strings.TrimSpace(string(token)))
		if c.body != "" {
			req.Header.Set("Content-Type", "application/json")
		}
		if c.user != "" {
			req.Header.Set("Entente-User-Token", "token of "+c.user)
		}
		resp, err := o.c.HTTP().Do(req)
		must(t, err)
		body, err := io.ReadAll(resp.Body)
		must(t, err)
		must(t, resp.Body.Close())
		if resp.StatusCode != c.want {
			t.Errorf("%s %s %s: %d, want %d: %s", c.method, c.path, c.body, resp.StatusCode, c.want, body)
		}
	}
	if now, err := o.as("ben").Show(ctx, d.Id); err != nil || now.State != nodeapi.KeptDraftStatePending {
		t.Errorf("%+v %v", now, err)
	}
}

// TestFourEyesConfigurationIsStrict: a node does not start under a rule that is none, or
// that nobody could follow.
func TestFourEyesConfigurationIsStrict(t *testing.T) {
	f := nodetest.New(t)
	hub := f.Serve(t)
	for name, c := range map[string]struct {
		rule   node.FourEyes
		people string // "": no directory
		says   string
	}{
		"no rule":            {"some", staffed, "publishing: four_eyes"},
		"capitals":           {"All", staffed, "publishing: four_eyes"},
		"no directory":       {node.AllFourEyes, "", "needs ingress.directory"},
		"nobody has a role":  {node.ClassifiedFourEyes, directory, "no two users"},
		"one person alone":   {node.AllFourEyes, strings.Replace(directory, "tlp_red: true", "tlp_red: true, roles: [author, releaser], "+tokenOf("ann"), 1), "no two users"},
		"an unknown role":    {node.AllFourEyes, strings.Replace(staffed, "roles: [author]", "roles: [writer]", 1), "roles"},
		"a role, no token":   {node.NoFourEyes, strings.Replace(staffed, tokenOf("cai")+", ", "", 1), "token_sha256"},
		"a token of another": {node.NoFourEyes, strings.Replace(staffed, tokenOf("cai"), tokenOf("ann"), 1), "token_sha256"},
	} {
		t.Run(name, func(t *testing.T) {
			cfg := withDirectory(t, install(t, f, hub))
			if must(t, os.WriteFile(cfg.Ingress.Directory, []byte(c.people), 0o600)); c.people == "" {
				cfg.Ingress.Directory = ""
			}
			cfg.Publishing.FourEyes = c.rule
			limited, cancel := context.WithTimeout(ctx, 30*time.Second)
			defer cancel()
			err := server.Run(limited, cfg, slog.New(slog.DiscardHandler), nil)
			if err == nil || !strings.Contains(err.Error(), c.says) {
				t.Errorf("it ran, or does not say what is wrong: %v", err)
			}
		})
	}
}

// TestTokensAreNotShown: neither log nor answer holds a user's token.
func TestTokensAreNotShown(t *testing.T) {
	p := node.Person{User: "ann", Token: "the-secret"}
	for _, verb := range []string{"%v", "%+v", "%s", "%#v", "%q"} {
		if strings.Contains(fmt.Sprintf(verb, p), "the-secret") {
			t.Errorf("%s shows it", verb)
		}
	}
}

// TestReleaserSeesWhatWasVouchedFor: of a delegation and a publication a releaser is told
// how urgent it is, and that its author has looked at where the source is named.
func TestReleaserSeesWhatWasVouchedFor(t *testing.T) {
	for _, checked := range []bool{true, false} {
		c := server.DraftContent(node.Draft{Delegate: &node.DelegateTo{To: "XB", Precedence: alert.Flash, Checked: checked},
			MadeOf: &node.MadeOf{Originator: "XB", ID: "x", Checked: checked}}, 1)
		if *c.Delegate.Precedence != alert.Flash || (c.Delegate.Checked != nil) != checked || (c.MadeOf.Checked != nil) != checked {
			t.Errorf("%+v, %+v", c.Delegate, c.MadeOf)
		}
	}
}
