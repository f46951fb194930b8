package cli

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/entente-hub/entente/api/alert"
	"github.com/entente-hub/entente/api/nodeapi"
)

const someAlert = "XA/01954c7e-8f5e-7d3a-9c1b-2f4a6b8c0d1e"

func TestParseAlert(t *testing.T) {
	for _, name := range []string{someAlert, someAlert + "/2"} {
		originator, id, err := parseAlert(name)
		if err != nil || string(originator)+"/"+string(id) != someAlert {
			t.Errorf("%s: %s %s %v", name, originator, id, err)
		}
	}
	for _, name := range []string{"", "XA", "XA/1", someAlert + "/0", someAlert + "/1/1", "/" + someAlert, strings.ToLower(someAlert)} {
		if _, _, err := parseAlert(name); exitCode(err) != exitUsage {
			t.Errorf("%q: %v", name, err)
		}
	}
}

func TestUrgency(t *testing.T) {
	now := time.Date(2027, 3, 1, 12, 0, 0, 0, time.UTC)
	for _, c := range []struct {
		precedence, due string
		want            time.Time // zero: left to the node
	}{
		{"flash", "", time.Time{}}, {"routine", "36h", now.Add(36 * time.Hour)},
		{"priority", "2027-03-02T08:00:00+01:00", time.Date(2027, 3, 2, 7, 0, 0, 0, time.UTC)},
	} {
		p, due, err := urgency(c.precedence, c.due, now)
		if err != nil || string(*p) != c.precedence || (due == nil) != c.want.IsZero() || due != nil && !due.Equal(c.want) {
			t.Errorf("%+v: %v %v %v", c, p, due, err)
		}
	}
	for _, c := range [][2]string{{"", ""}, {"urgent", ""}, {"FLASH", ""}, {"flash", "tomorrow"}, {"flash", "2027-03-02"}} {
		if _, _, err := urgency(c[0], c[1], now); exitCode(err) != exitUsage {
			t.Errorf("%v: %v", c, err)
		}
	}
}

func TestSightingFlags(t *testing.T) {
	if s, err := sightingOf("", "", "", "", nil); s != nil || err != nil {
		t.Errorf("%+v %v", s, err)
	}
	s, err := sightingOf("x--1", "0", "2027-03-01T04:10:00Z", "2027-03-01T05:10:00Z", []string{"XB"})
	if err != nil || *s.Of != "x--1" || *s.Count != 0 || s.LastSeen.Sub(*s.FirstSeen) != time.Hour || !cmp.Equal(*s.Where, []string{"XB"}) {
		t.Errorf("%+v %v", s, err)
	}
	for _, c := range [][3]string{{"-1"}, {"two"}, {"1e3"}, {"", "yesterday"}, {"", "", "2027-03-01"}} {
		if _, err := sightingOf("", c[0], c[1], c[2], nil); exitCode(err) != exitUsage {
			t.Errorf("%v: %v", c, err)
		}
	}
}

func TestLoadLabel(t *testing.T) {
	load := func(text string) error {
		t.Helper()
		file := filepath.Join(t.TempDir(), "label.yaml")
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		_, err := loadLabel(file)
		return err
	}
	_, example, _ := strings.Cut(feedbackNotes, "members:\n\n")
	example, _, _ = strings.Cut(example, "\n\n")
	if err := load(example); err != nil {
		t.Errorf("the help's own: %v\n%s", err, example)
	}
	for name, text := range map[string]string{"a typo": "clasification: secret", "an unknown level": "classification: geheim",
		"a field twice": "tlp: red\ntlp: red", "a list": "- a", "an alias": "a: &a 1\nb: *a"} {
		if err := load(text); exitCode(err) != exitUsage {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// What is wrong on the command line is told before any node is asked.
func TestFeedbackUsage(t *testing.T) {
	for _, line := range []string{
		"feedback ack", "feedback applaud " + someAlert, "feedback ack XA", "feedback ack " + someAlert + " --to everybody",
		"feedback comment " + someAlert, "feedback sighting " + someAlert + " --count x", "feedback ack " + someAlert + " --user ann",
		"request " + someAlert, "request " + someAlert + " --text x --precedence urgent", "request " + someAlert + " --text x --due soon",
		"answer " + someAlert, "refuse " + someAlert, "answer " + someAlert + " --text x --label no-such-file",
		"requests --limit 0", "requests --limit 501", "requests x",
	} {
		var out, errs bytes.Buffer
		if code := Main(t.Context(), strings.Fields(line), &out, &errs); code != exitUsage {
			t.Errorf("%s: exit code %d: %s", line, code, &errs)
		}
	}
}

func TestReferring(t *testing.T) {
	due, flash := time.Date(2027, 3, 1, 12, 0, 0, 0, time.UTC), alert.Flash
	request := nodeapi.AlertReference{Originator: "XA", Alert: "id", Act: alert.Request, Precedence: &flash, Due: &due}
	if got, want := referring(&request), "request about XA/id, flash, due 2027-03-01T12:00:00Z"; got != want {
		t.Errorf("%q, want %q", got, want)
	}
	for _, act := range alert.Acts() {
		if got := referring(&nodeapi.AlertReference{Originator: "XA", Alert: "id", Act: act}); !strings.HasPrefix(got, string(act)+" ") || !strings.HasSuffix(got, " XA/id") {
			t.Errorf("%s: %q", act, got)
		}
	}
	if got := referring(nil); got != "" {
		t.Errorf("%q", got)
	}
}

func TestRequestRows(t *testing.T) {
	due, routine := time.Date(2027, 3, 1, 12, 0, 0, 0, time.UTC), alert.Routine
	re := nodeapi.AlertReference{Originator: "XB", Alert: "about", Act: alert.Request, Precedence: &routine, Due: &due}
	got := requestRows([]nodeapi.Request{
		{Originator: "XA", Id: "one", Own: true, Party: "XB", Re: re, State: nodeapi.RequestLate, Known: true},
		{Originator: "XB", Id: "two", Party: "XB", Re: re, State: nodeapi.RequestAnswered,
			Answers: []nodeapi.RequestAnswer{{Originator: "XA", Id: "a", Act: alert.Declined}, {Originator: "XA", Id: "b", Act: alert.Answer}}},
	})
	want := [][]string{
		{"LATE", "2027-03-01T12:00:00Z", "routine", "XA/one", "to XB", "XB/about", ""},
		{"answered", "2027-03-01T12:00:00Z", "routine", "XB/two", "from XB", "XB/about (not known here)", "refusal XA/a, answer XA/b"},
	}
	if d := cmp.Diff(want, got); d != "" {
		t.Error(d)
	}
}
