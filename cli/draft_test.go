package cli

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/entente-hub/entente/api/alert"
	"github.com/entente-hub/entente/api/nodeapi"
	"github.com/entente-hub/entente/api/problem"
	"github.com/entente-hub/entente/policies"
)

// runs gives a command and returns its exit code and what it writes.
func runs(t *testing.T, args ...string) (code int, stdout, stderr string) {
	t.Helper()
	var out, errs bytes.Buffer
	code = Main(t.Context(), args, &out, &errs)
	return code, out.String(), errs.String()
}

// token makes a user's token as a user does.
func token(t *testing.T) (file, digest string) {
	t.Helper()
	file = filepath.Join(t.TempDir(), "ann.token")
	code, out, errs := runs(t, "draft", "token", "--out", file, "--json")
	if code != exitOK {
		t.Fatal(errs)
	}
	var answer struct {
		Digest string `json:"token_sha256"`
	}
	if err := json.Unmarshal([]byte(out), &answer); err != nil {
		t.Fatal(err)
	}
	return file, answer.Digest
}

// TestDraftToken: the file is its owner's alone, what is printed is its digest, and no
// file is overwritten.
func TestDraftToken(t *testing.T) {
	file, digest := token(t)
	raw, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if info, err := os.Stat(file); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("%v %v", info.Mode(), err)
	}
	text := strings.TrimSpace(string(raw))
	if len(text) != 43 || policies.TokenDigest(text) != digest {
		t.Errorf("%q, %q", text, digest)
	}
	if code, _, errs := runs(t, "draft", "token", "--out", file); code != exitUsage || !strings.Contains(errs, "exists") {
		t.Errorf("%d %s", code, errs)
	}
	if again, err := os.ReadFile(file); err != nil || !bytes.Equal(raw, again) {
		t.Error("it was overwritten")
	}
	if other, otherDigest := token(t); otherDigest == digest || other == file {
		t.Error("the same token twice")
	}
}

// TestDraftUsage: what the command line leaves open is told before a node is asked.
func TestDraftUsage(t *testing.T) {
	s := script(t, answers{})
	file, _ := token(t)
	open := filepath.Join(t.TempDir(), "open")
	short := filepath.Join(t.TempDir(), "short")
	for name, mode := range map[string]os.FileMode{open: 0o644, short: 0o600} {
		if err := os.WriteFile(name, []byte("short\n"), mode); err != nil {
			t.Fatal(err)
		}
	}
	id := "01954c7e-8f5e-7d3a-9c1b-2f4a6b8c0d1e"
	as := []string{"--user", "ann", "--token-file", file, "--config", s.config}
	for name, args := range map[string][]string{
		"nothing to add":         append([]string{"add"}, as...),
		"half an alert":          append([]string{"add", "--objects", "x.json"}, as...),
		"a recall, no reason":    append([]string{"add", "--recall", id}, as...),
		"a reason, no recall":    append([]string{"add", "--objects", "x", "--labels", "y", "--reason", "x"}, as...),
		"a recall and an alert":  append([]string{"add", "--recall", id, "--reason", "x", "--objects", "x", "--labels", "y"}, as...),
		"feedback, no purpose":   append([]string{"add", "--feedback", "x"}, as...),
		"no file of feedback":    append([]string{"add", "--feedback", "x", "--purpose", "prevention"}, as...),
		"no digest":              append([]string{"release", id}, as...),
		"half a digest":          append([]string{"release", id, "--digest", "abc"}, as...),
		"no reason":              append([]string{"reject", id}, as...),
		"no draft":               append([]string{"show"}, as...),
		"an unknown state":       append([]string{"list", "--state", "open"}, as...),
		"too many":               append([]string{"list", "--limit", "501"}, as...),
		"nobody":                 {"list", "--config", s.config},
		"nobody's token":         {"list", "--user", "ann", "--config", s.config},
		"a token others read":    {"list", "--user", "ann", "--token-file", open, "--config", s.config},
		"what is no token":       {"list", "--user", "ann", "--token-file", short, "--config", s.config},
		"a token that is absent": {"list", "--user", "ann", "--token-file", open + "x", "--config", s.config},
		"an unknown command":     {"lists"},
		"a token for nobody":     {"token"},
	} {
		if code, out, errs := runs(t, append([]string{"draft"}, args...)...); code != exitUsage || out != "" || errs == "" {
			t.Errorf("%s: exit code %d, %q, %q", name, code, out, errs)
		}
	}
}

func shown() nodeapi.KeptDraft {
	at := time.Date(2027, 3, 1, 12, 0, 0, 0, time.UTC)
	label := alert.Label{Policy: "urn:entente:policy:regional:1", Classification: alert.Secret, Categories: []alert.Category{"smuggling"},
		Purposes: []alert.Purpose{"investigation"}, PersonalData: alert.NoPersonalData}
	return nodeapi.KeptDraft{Id: "01954c7e-8f5e-7d3a-9c1b-2f4a6b8c0d1e", Author: "ann", Digest: strings.Repeat("A", 43), State: nodeapi.KeptDraftStatePending,
		CreatedAt: at, Expires: at.AddDate(0, 0, 30), Portions: []nodeapi.DraftPortion{{Portion: "main", Label: label}},
		Content: &nodeapi.DraftContent{Version: 1, Objects: &[]json.RawMessage{json.RawMessage(`{"type":"vehicle","id":"vehicle--00000000-0000-4000-8000-000000000000","plate":"a\u001b[2J\u202eb"}`)},
			Plan: &alert.Plan{ExpiresIn: "48h", Portions: []alert.Planned{{ID: "main", Notice: "smuggling", Label: label, Objects: []string{alert.Rest},
				Grading: &alert.Grading{Scheme: "4x4", Source: "A", Information: "1"}}}}}}
}

// TestDraftIsShownWhole: whoever releases a draft sees all that goes out with it, and
// nothing in it can look like something else.
func TestDraftIsShownWhole(t *testing.T) {
	d := shown()
	follows := shown()
	follows.Content.Version, follows.Content.Supersedes = 4, new("01954c7e-0000-7d3a-9c1b-2f4a6b8c0d1e")
	due, precedence := time.Date(2027, 3, 2, 0, 0, 0, 0, time.UTC), alert.Flash
	follows.Content.Re = &nodeapi.AlertReference{Originator: "XB", Alert: "01954c7e-1111-7d3a-9c1b-2f4a6b8c0d1e", Act: alert.Request, Due: &due, Precedence: &precedence}
	delegates := shown()
	delegates.Content.Delegate = &nodeapi.DelegateTo{To: "XB", Precedence: &precedence, Checked: new(true)}
	publishes := shown()
	publishes.Content.MadeOf = &nodeapi.MadeOf{Originator: "XB", Id: "01954c7e-1111-7d3a-9c1b-2f4a6b8c0d1e", Checked: new(true)}
	ends := shown()
	ends.Content = &nodeapi.DraftContent{Version: 2, Supersedes: follows.Content.Supersedes, Recall: &nodeapi.DraftRecall{Mode: alert.Purge, Reason: "misread\nstate    released"}}
	over := shown()
	over.Content, over.State, over.EndedBy, over.EndedAt, over.Alert, over.Version = nil, nodeapi.KeptDraftStateReleased, new("ben"), &due, new("01954c7e-2222-7d3a-9c1b-2f4a6b8c0d1e"), new(int32(1))
	no := shown()
	no.Content, no.State, no.EndedBy, no.EndedAt, no.Reason = nil, nodeapi.KeptDraftStateRejected, new("ben"), &due, new("not graded\nalert    x")
	for name, c := range map[string]struct {
		draft nodeapi.KeptDraft
		want  []string
	}{
		"an alert": {d, []string{"author   ann\n", "state    pending\n", "digest   " + d.Digest + "\n", "lifetime 48h from its release\n", "\nportion main\n",
			"  notice   smuggling\n", `"classification":"secret"`, "  grading  4x4: source A, information 1\n", `"plate":"a\u001b[2J\u202eb"`}},
		"what follows":  {follows, []string{"makes    version 4 of 01954c7e-0000-7d3a-9c1b-2f4a6b8c0d1e\n", "is       request to XB/01954c7e-1111-7d3a-9c1b-2f4a6b8c0d1e\n", "asks     flash, by 2027-03-02"}},
		"a delegation":  {delegates, []string{"asks     XB to publish", "urgency  flash\n", "checked  by its author"}},
		"a publication": {publishes, []string{"is       delegated by XB, as XB/01954c7e-1111-7d3a-9c1b-2f4a6b8c0d1e\n", "checked  by its author"}},
		"a recall":      {ends, []string{"makes    version 2 of", "RECALL   purge\nbecause  misread state released\n"}},
		"released":      {over, []string{"by       ben on 2027-03-02", "alert    01954c7e-2222-7d3a-9c1b-2f4a6b8c0d1e version 1\n"}},
		"rejected":      {no, []string{"by       ben on", "reason   not graded alert x\n", "expires  2027-03-31"}},
	} {
		var b strings.Builder
		if err := printDraft(&b, &c.draft); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		for _, want := range c.want {
			if !strings.Contains(b.String(), want) {
				t.Errorf("%s: no %q in\n%s", name, want, b.String())
			}
		}
		if strings.ContainsAny(b.String(), "\x1b\u202e") {
			t.Errorf("%s: %q", name, b.String())
		}
	}
	var b strings.Builder
	if err := printDrafts(&b, []nodeapi.KeptDraft{d, over}); err != nil || !strings.Contains(b.String(), "main:secret") || !strings.Contains(b.String(), "ben") {
		t.Errorf("%s %v", b.String(), err)
	}
}

// TestDraftCommandsAskTheNode: each command asks what it says, and passes on what the
// node answers.
func TestDraftCommandsAskTheNode(t *testing.T) {
	d := shown()
	var asked []string
	note := func(out any) func([]byte) (any, error) {
		return func(body []byte) (any, error) { asked = append(asked, string(bytes.TrimSpace(body))); return out, nil }
	}
	at := "/v1/drafts/" + d.Id
	s := script(t, answers{"GET " + at: d, "GET /v1/drafts": nodeapi.DraftPage{Drafts: []nodeapi.KeptDraft{d}},
		"POST /v1/drafts": note(d), "POST " + at + "/withdrawal": d, "POST " + at + "/rejection": note(d),
		"POST " + at + "/release": note(nodeapi.Outgoing{Id: d.Id, Version: 1, State: nodeapi.Queued, QueuedAt: d.CreatedAt, Author: new("ann"), ReleasedBy: new("ben")})})
	file, _ := token(t)
	as := []string{"--user", "ann", "--token-file", file, "--config", s.config}
	for _, c := range []struct {
		args []string
		want string
	}{
		{[]string{"show", d.Id}, "author   ann"},
		{[]string{"list", "--state", "all"}, "main:secret"},
		{[]string{"add", "--recall", d.Id, "--reason", "misread"}, "state    pending"},
		{[]string{"withdraw", d.Id}, d.Digest},
		{[]string{"reject", d.Id, "--reason", "no"}, d.Digest},
		{[]string{"release", d.Id, "--digest", "-" + d.Digest[1:]}, "releaser ben"},
	} {
		for _, asJSON := range []bool{false, true} {
			args := append(append([]string{"draft"}, c.args...), as...)
			if asJSON {
				args = append(args, "--json")
			}
			code, out, errs := runs(t, args...)
			if code != exitOK || !asJSON && !strings.Contains(out, c.want) || asJSON && !json.Valid([]byte(out)) {
				t.Errorf("%v: exit code %d, %s%s", args, code, out, errs)
			}
		}
	}
	for _, want := range []string{`{"recall":{"mode":"purge","reason":"misread"},"supersedes":"` + d.Id + `"}`, `{"reason":"no"}`, `{"digest":"-` + d.Digest[1:] + `"}`} {
		if !strings.Contains(strings.Join(asked, "\n"), want) {
			t.Errorf("no %s in %v", want, asked)
		}
	}
	lost := script(t, answers{"POST " + at + "/release": problem.New(problem.Conflict, "read it again")})
	if code, _, errs := runs(t, "draft", "release", d.Id, "--digest", d.Digest, "--user", "ann", "--token-file", file, "--config", lost.config); code != exitRefused || !strings.Contains(errs, "read it again") {
		t.Errorf("%d %s", code, errs)
	}
}
