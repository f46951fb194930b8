package node_test

import (
	"bytes"
	"database/sql"
	"encoding/base64"
	"encoding/json"
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/entente-hub/entente/api/alert"
	"github.com/entente-hub/entente/api/problem"
	"github.com/entente-hub/entente/node"
	"github.com/entente-hub/entente/node/nodetest"
	"github.com/entente-hub/entente/node/store"
)

// TestDraftIsReleasedByAnother: what one has written another reads and lets go; who
// they were is kept at the node, and is not in the alert.
func TestDraftIsReleasedByAnother(t *testing.T) {
	b := newBureau(t)
	w := writing(alert.Restricted, alert.Secret)
	w.Objects[0] = json.RawMessage(strings.Replace(string(w.Objects[0]), "XB 1234", "<a&b> \\u003c", 1))
	w.Plan.Portions[0].Notice, w.Plan.Portions[0].Grading = "smuggling", &alert.Grading{Scheme: "4x4", Source: "A", Information: "1"}
	w.Plan.ExpiresIn = "48h"
	d, err := b.n.AddDraft(ctx, anna, w)
	must(t, err)
	b.queued(0)
	b.restart(node.AllFourEyes)
	read, err := b.n.Draft(ctx, bert, d.ID)
	must(t, err)
	if read.Digest != d.Digest || read.Author != "anna" || read.State != store.Pending || !read.ExpiresAt.Equal(read.CreatedAt.Add(node.DraftLifetime)) {
		t.Errorf("%+v", read.Draft)
	}
	for i, o := range read.Content.Objects {
		if !bytes.Equal(o, w.Objects[i]) {
			t.Errorf("written %s, read %s", w.Objects[i], o)
		}
	}
	if diff := cmp.Diff(w.Plan, read.Content.Plan, cmp.Comparer(func(a, b alert.Label) bool {
		return a.Normalize() == nil && b.Normalize() == nil && bytes.Equal(a.Canonical(), b.Canonical())
	})); diff != "" {
		t.Error(diff)
	}
	o, err := b.n.Release(ctx, bert, d.ID, read.Digest)
	must(t, err)
	if kept := b.queued(1)[0]; kept.ID != o.ID || kept.Author != "anna" || kept.ReleasedBy != "bert" || o.Author != "anna" || o.ReleasedBy != "bert" {
		t.Errorf("%+v", kept)
	}
	must(t, b.n.OutboxStep(ctx))
	if !slices.Equal(b.hub.Published, []string{o.Token}) {
		t.Error("it was not sent")
	}
	for _, part := range strings.FieldsFunc(o.Token, func(r rune) bool { return r == '~' || r == '.' }) {
		raw, err := base64.RawURLEncoding.DecodeString(part)
		must(t, err)
		if bytes.Contains(raw, []byte("anna")) || bytes.Contains(raw, []byte("bert")) || bytes.Contains(raw, []byte(d.ID)) {
			t.Errorf("the alert tells of its people or its draft: %s", raw)
		}
	}
	for _, p := range []node.Person{anna, bert} {
		after, err := b.n.Draft(ctx, p, d.ID)
		must(t, err)
		if after.State != store.Released || after.End.By != "bert" || after.Alert != o.ID || after.Version != 1 || after.Content != nil || after.Body != nil {
			t.Errorf("%+v", after)
		}
	}
}

// TestFourEyesRule: what takes two persons one can not publish; what does not, one can.
func TestFourEyesRule(t *testing.T) {
	b := newBureau(t)
	for _, c := range []struct {
		rule   node.FourEyes
		levels []alert.Classification
		two    bool
	}{
		{"", []alert.Classification{alert.Secret}, false},
		{node.NoFourEyes, []alert.Classification{alert.Secret}, false},
		{node.ClassifiedFourEyes, []alert.Classification{alert.Unclassified}, false},
		{node.ClassifiedFourEyes, []alert.Classification{alert.Unclassified, alert.Restricted}, true},
		{node.ClassifiedFourEyes, []alert.Classification{alert.Secret}, true},
		{node.AllFourEyes, []alert.Classification{alert.Unclassified}, true},
		{node.AllFourEyes, []alert.Classification{alert.Secret}, true},
	} {
		b.restart(c.rule)
		before, err := b.n.Outbox(ctx, 100)
		must(t, err)
		w := writing(c.levels...)
		_, err = b.n.Preview(ctx, w)
		must(t, err)
		_, err = b.n.Publish(ctx, w)
		if !c.two {
			must(t, err)
			b.queued(len(before) + 1)
		} else {
			var p *problem.Error
			if !errors.As(err, &p) || p.Kind != problem.EgressDenied || !slices.Equal(p.Codes, []string{"four-eyes"}) || !strings.Contains(p.Detail, "entente draft release") {
				t.Errorf("%q, %v: %v", c.rule, c.levels, err)
			}
			b.queued(len(before))
		}
		d, err := b.n.AddDraft(ctx, anna, w) // two may always
		must(t, err)
		_, err = b.n.Release(ctx, bert, d.ID, d.Digest)
		must(t, err)
	}
	must(t, b.st.Close())
	for name, change := range map[string]func(*node.Config){
		"an unknown rule":   func(c *node.Config) { c.FourEyes, c.Ingress, c.People = "some", b.crew, b.crew },
		"without directory": func(c *node.Config) { c.FourEyes = node.AllFourEyes },
		"without people":    func(c *node.Config) { c.FourEyes, c.Ingress = node.ClassifiedFourEyes, b.crew },
	} {
		if _, err := b.tryOpen(change); err == nil {
			t.Errorf("%s: it starts", name)
		}
	}
}

// TestDraftIsCheckedAsPublished: its author sees the errors that its release would end in.
func TestDraftIsCheckedAsPublished(t *testing.T) {
	b := newBureau(t)
	big := json.RawMessage(`{"type":"note","id":"note--00000000-0000-4000-8000-000000000000","content":"` + strings.Repeat("x", alert.MaxBytes) + `"}`)
	for name, c := range map[string]struct {
		draft node.Draft
		rule  refusals
		want  problem.Kind
	}{
		"no objects":    {draft: node.Draft{Plan: nodetest.Plan()}, want: problem.Malformed},
		"no plan":       {draft: node.Draft{Objects: objects(1)}, want: problem.Malformed},
		"too large":     {draft: node.Draft{Objects: []json.RawMessage{big}, Plan: nodetest.Plan()}, want: problem.TooLarge},
		"egress":        {draft: writing(alert.Restricted), rule: refusals{list: []node.Refusal{{"no", "no", 0}}}, want: problem.EgressDenied},
		"egress broken": {draft: writing(alert.Restricted), rule: refusals{err: errInjected}, want: problem.Unavailable},
		"above author":  {draft: writing(alert.Restricted, alert.TopSecret), want: problem.Forbidden},
	} {
		b.rule = c.rule
		_, err := b.n.AddDraft(ctx, anna, c.draft)
		wantKind(t, name, err, c.want)
		if _, err := b.n.AddDraft(ctx, dora, c.draft); problem.KindOf(err) != problem.Forbidden {
			t.Errorf("%s, by no author: %v", name, err)
		}
	}
	b.rule = refusals{}
	if list, err := b.n.Drafts(ctx, anna, "", "", 10); err != nil || len(list) != 0 {
		t.Errorf("%v %v", list, err)
	}
}

// TestPeopleShowWhoTheyAre: nobody acts as another, or as nearly another; who is unknown,
// suspended or shows a wrong token is told the same.
func TestPeopleShowWhoTheyAre(t *testing.T) {
	b := newBureau(t)
	d := b.add(anna, alert.Restricted)
	b.crew.change("dora", func(h *hand) { h.isSuspended = true })
	var told []string
	for _, p := range []node.Person{{}, {User: "anna"}, {User: "anna", Token: bert.Token}, {User: "Anna", Token: anna.Token}, {User: "ANNA", Token: anna.Token},
		{User: "anna ", Token: anna.Token}, {User: "аnna", Token: anna.Token}, {User: "nobody", Token: "x"}, dora} {
		for what, do := range map[string]func() error{
			"add":      func() error { _, err := b.n.AddDraft(ctx, p, writing(alert.Restricted)); return err },
			"list":     func() error { _, err := b.n.Drafts(ctx, p, "", "", 10); return err },
			"show":     func() error { _, err := b.n.Draft(ctx, p, d.ID); return err },
			"release":  func() error { _, err := b.n.Release(ctx, p, d.ID, d.Digest); return err },
			"reject":   func() error { _, err := b.n.Reject(ctx, p, d.ID, "no"); return err },
			"withdraw": func() error { _, err := b.n.Withdraw(ctx, p, d.ID); return err },
		} {
			err := do()
			wantKind(t, p.User+" "+what, err, problem.Unauthenticated)
			_, body := problem.Render(err, "")
			told = append(told, string(body))
		}
	}
	if slices.Sort(told); len(slices.Compact(told)) != 1 {
		t.Error(slices.Compact(told))
	}
	b.queued(0)
	plain := newHouse(t)
	_, err := plain.n.AddDraft(ctx, anna, writing(alert.Restricted))
	wantKind(t, "without a directory", err, problem.Malformed)
}

// TestWhatAUserMayNotSeeIsNotFound: a draft above a releaser's clearance, and another's
// for whoever is no releaser.
func TestWhatAUserMayNotSeeIsNotFound(t *testing.T) {
	b := newBureau(t)
	secret, low := b.add(anna, alert.Restricted, alert.Secret), b.add(bert, alert.Restricted)
	missing := store.DraftID("01900000-0000-7000-8000-000000000000")
	for _, c := range []struct {
		p    node.Person
		id   store.DraftID
		sees bool
	}{{dora, secret.ID, false}, {dora, low.ID, true}, {carl, secret.ID, false}, {carl, low.ID, false}, {dora, missing, false}, {anna, low.ID, true}} {
		_, err := b.n.Draft(ctx, c.p, c.id)
		if !c.sees {
			for what, err := range map[string]error{"show": err,
				"release":  func() error { _, err := b.n.Release(ctx, c.p, c.id, secret.Digest); return err }(),
				"reject":   func() error { _, err := b.n.Reject(ctx, c.p, c.id, "no"); return err }(),
				"withdraw": func() error { _, err := b.n.Withdraw(ctx, c.p, c.id); return err }(),
			} {
				wantKind(t, c.p.User+" "+what, err, problem.NotFound)
			}
		} else if err != nil {
			t.Errorf("%s: %v", c.p.User, err)
		}
		list, err := b.n.Drafts(ctx, c.p, "", "", 10)
		must(t, err)
		if got := slices.ContainsFunc(list, func(d node.KeptDraft) bool { return d.ID == c.id }); got != c.sees {
			t.Errorf("%s: listed %t", c.p.User, got)
		}
	}
	b.queued(0)
	_, err := b.n.Reject(ctx, dora, low.ID, "no")
	must(t, err)
	if list, err := b.n.Drafts(ctx, dora, store.Rejected, "", 10); err != nil || len(list) != 1 || list[0].End.Reason != "no" {
		t.Errorf("%+v %v", list, err)
	}
	if list, err := b.n.Drafts(ctx, dora, store.Pending, "", 10); err != nil || len(list) != 0 {
		t.Errorf("%+v %v", list, err)
	}
}

// TestReleaseIsRefused: whatever has changed between writing and release, or is not as it
// was read, nothing goes out and the draft waits.
func TestReleaseIsRefused(t *testing.T) {
	for name, c := range map[string]struct {
		as     node.Person
		change func(*bureau, *node.KeptDraft)
		want   problem.Kind
	}{
		"by its author":         {anna, func(*bureau, *node.KeptDraft) {}, problem.Forbidden},
		"another digest":        {bert, func(_ *bureau, d *node.KeptDraft) { d.Digest = strings.Repeat("A", 43) }, problem.Conflict},
		"no digest":             {bert, func(_ *bureau, d *node.KeptDraft) { d.Digest = "" }, problem.Conflict},
		"the author has gone":   {bert, func(b *bureau, _ *node.KeptDraft) { b.crew.remove("anna") }, problem.Conflict},
		"suspended author":      {bert, func(b *bureau, _ *node.KeptDraft) { b.crew.change("anna", func(h *hand) { h.isSuspended = true }) }, problem.Conflict},
		"an author no more":     {bert, func(b *bureau, _ *node.KeptDraft) { b.crew.change("anna", func(h *hand) { h.roles = nil }) }, problem.Conflict},
		"the releaser has gone": {bert, func(b *bureau, _ *node.KeptDraft) { b.crew.remove("bert") }, problem.Unauthenticated},
		"a releaser no more":    {bert, func(b *bureau, _ *node.KeptDraft) { b.crew.change("bert", func(h *hand) { h.roles = h.roles[:1] }) }, problem.NotFound},
		"cleared for less": {bert, func(b *bureau, _ *node.KeptDraft) {
			b.crew.change("bert", func(h *hand) { h.clearance = alert.Restricted })
		}, problem.NotFound},
		"out of the task force": {bert, func(b *bureau, _ *node.KeptDraft) { b.crew.change("bert", func(h *hand) { h.taskForces = nil }) }, problem.NotFound},
		"egress policy":         {bert, func(b *bureau, _ *node.KeptDraft) { b.rule.list = []node.Refusal{{"no", "no", 0}} }, problem.EgressDenied},
		"egress policy broken":  {bert, func(b *bureau, _ *node.KeptDraft) { b.rule.err = errInjected }, problem.Unavailable},
		"its time is over":      {bert, func(b *bureau, _ *node.KeptDraft) { b.late = node.DraftLifetime }, problem.NotFound},
		"an altered body": {bert, func(b *bureau, d *node.KeptDraft) {
			b.alter(d, `UPDATE drafts SET body = CAST(replace(CAST(body AS TEXT), 'XB 1234', 'XC 1234') AS BLOB)`)
		}, problem.Internal},
		"an altered digest": {bert, func(b *bureau, d *node.KeptDraft) {
			b.alter(d, `UPDATE drafts SET digest = '`+strings.Repeat("A", 43)+`'`)
		}, problem.Conflict},
		"an altered label": {bert, func(b *bureau, d *node.KeptDraft) {
			b.alter(d, `UPDATE drafts SET portions = replace(portions, 'secret', 'restricted')`)
		}, problem.Internal},
		"an exchanged author": {anna, func(b *bureau, d *node.KeptDraft) { b.alter(d, `UPDATE drafts SET author = 'carl'`) }, problem.Internal},
	} {
		t.Run(name, func(t *testing.T) {
			b := newBureau(t)
			d := b.add(anna, alert.Secret)
			c.change(b, d)
			_, err := b.n.Release(ctx, c.as, d.ID, d.Digest)
			wantKind(t, name, err, c.want)
			b.queued(0)
			if kept, err := b.shaky.Draft(ctx, d.ID, d.CreatedAt); err != nil || kept.State != store.Pending || len(kept.Body) == 0 {
				t.Errorf("%+v %v", kept, err)
			}
		})
	}
}

// alter changes the database under the node.
func (b *bureau) alter(d *node.KeptDraft, query string) {
	b.t.Helper()
	must(b.t, b.st.Close())
	db, err := sql.Open("sqlite", b.path)
	must(b.t, err)
	res, err := db.Exec(query + ` WHERE id = '` + string(d.ID) + `'`)
	must(b.t, err)
	if n, err := res.RowsAffected(); err != nil || n != 1 {
		b.t.Fatalf("%d rows, %v", n, err)
	}
	must(b.t, db.Close())
	b.restart(node.AllFourEyes)
}
