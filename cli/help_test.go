package cli

import (
	"bytes"
	"reflect"
	"regexp"
	"strings"
	"testing"

	"github.com/entente-hub/entente/api/alert"
	hubserver "github.com/entente-hub/entente/hub/server"
	nodeserver "github.com/entente-hub/entente/node/server"
)

func help(t *testing.T, args ...string) string {
	t.Helper()
	var stdout, stderr bytes.Buffer
	if code := Main(t.Context(), append(args, "--help"), &stdout, &stderr); code != exitOK {
		t.Fatalf("%v: exit code %d: %s", args, code, &stderr)
	}
	return stdout.String()
}

// Whoever writes a label finds every field, category and purpose in the help.
func TestHelpNamesAllOfALabel(t *testing.T) {
	var words []string
	for _, v := range []any{alert.Label{}, alert.Planned{}, alert.Plan{}} {
		for f := range reflect.TypeOf(v).Fields() {
			name, _, _ := strings.Cut(f.Tag.Get("json"), ",")
			if f.Tag.Get("json") == "" || name == "-" {
				t.Fatalf("%T.%s has no name in JSON", v, f.Name)
			}
			words = append(words, name+":")
		}
	}
	for _, c := range alert.Categories {
		words = append(words, string(c))
	}
	for _, p := range alert.Purposes {
		words = append(words, string(p))
	}
	words = append(words, "Personal data needs retention", "x-vehicle")
	for _, command := range []string{"publish", "preview"} {
		text := help(t, command)
		for _, w := range words {
			if !regexp.MustCompile(`(?m)(^|[\s\[])` + regexp.QuoteMeta(w) + `([\s,.:\]]|$)`).MatchString(text) {
				t.Errorf("entente %s --help says nothing of %s", command, w)
			}
		}
	}
}

// The label file in the help is one that is taken.
func TestHelpLabelFileIsTaken(t *testing.T) {
	p, err := parsePlan([]byte(labelExample))
	if err != nil {
		t.Fatal(err)
	}
	l := reflect.ValueOf(p.Portions[0].Label)
	for i := range l.NumField() {
		if l.Field(i).IsZero() {
			t.Errorf("%s is left out", l.Type().Field(i).Name)
		}
	}
}

// The help of hub and node has a line for each field of their configurations, and
// for no other.
func TestHelpListsTheConfiguration(t *testing.T) {
	for command, c := range map[string]struct {
		config any
		says   map[string]string
	}{"hub": {hubserver.Config{}, hubFields}, "node": {nodeserver.Config{}, nodeFields}} {
		fields := fieldsOf(reflect.TypeOf(c.config), "")
		if len(fields) != len(c.says) {
			t.Errorf("%s: %d fields, %d are described", command, len(fields), len(c.says))
		}
		text := help(t, command)
		for _, f := range fields {
			if c.says[f.name] == "" {
				t.Errorf("%s: %s is not described", command, f.name)
			}
			if !regexp.MustCompile(`(?m)^  ` + regexp.QuoteMeta(f.name) + ` +\S`).MatchString(text) {
				t.Errorf("entente %s --help has no line on %s", command, f.name)
			}
		}
	}
}

// Every command has a text that says more than its one line.
func TestHelpIsLong(t *testing.T) {
	for _, c := range newRoot().Commands() {
		if len(c.Long) <= len(c.Short) || c.Example == "" {
			t.Errorf("entente %s explains itself too briefly", c.Name())
		}
	}
}
