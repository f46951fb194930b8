package docs_test

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/rogpeppe/go-internal/txtar"

	"github.com/entente-hub/entente/api/alert"
	"github.com/entente-hub/entente/api/strictyaml"
	"github.com/entente-hub/entente/cli"
	nodeserver "github.com/entente-hub/entente/node/server"
	"github.com/entente-hub/entente/policies"
	"github.com/entente-hub/entente/policies/scenario"
)

const guidePath = "docs/policy-guide.md"

// TestGuideRules: the guide's tables have every rule of each scope, its code and its
// message, in the order of the codes.
func TestGuideRules(t *testing.T) {
	engine, err := policies.Load()
	if err != nil {
		t.Fatal(err)
	}
	d := read(t, guidePath)
	for heading, rules := range map[string][]policies.Rule{
		"Rules of release":     engine.Rules(),
		"Rules of admission":   engine.AdmissionRules(),
		"Rules on the way out": egressRules(t),
		"Rules on the way in":  ingressRules(t),
	} {
		var real, documented []string
		for _, r := range rules {
			real = append(real, r.Code+": "+r.Message)
		}
		for _, row := range d.tableUnder(t, heading).rows {
			documented = append(documented, code(t, row[0])+": "+row[1])
		}
		sameSet(t, heading, documented, real)
		if !slices.Equal(documented, real) {
			t.Errorf("%s: the order of the codes is not that of the rules: %q", heading, real)
		}
	}
}

// ruleRE finds what the METADATA of a rule say.
var ruleRE = regexp.MustCompile(`(?m)^#   code: (\S+)\n#   message: (.+)\n#   order: \d+$`)

// egressRules reads the embedded rules' METADATA: the engine says them only with
// a refusal.
func egressRules(t *testing.T) (list []policies.Rule) {
	for _, m := range ruleRE.FindAllStringSubmatch(read(t, "policies/egress/egress.rego").text, -1) {
		list = append(list, policies.Rule{Code: m[1], Message: m[2]})
	}
	return list
}

func ingressRules(t *testing.T) []policies.Rule {
	n, err := policies.ParseNational([]byte(`{"agencies": [{"id": "a", "name": "A", "focal_point": true, "categories": ["visa"]}],
		"users": [{"id": "u", "agency": "a", "clearance": "secret", "purposes": ["prevention"]}]}`))
	if err != nil {
		t.Fatal(err)
	}
	ingress, err := policies.LoadIngress(nil, n)
	if err != nil {
		t.Fatal(err)
	}
	return ingress.Rules()
}

// TestReferenceIngress: so has docs/api.md.
func TestReferenceIngress(t *testing.T) {
	var real, documented []string
	for _, r := range ingressRules(t) {
		real = append(real, r.Code+": "+r.Message)
	}
	for _, row := range read(t, "docs/api.md").tableUnder(t, "Reasons for a refusal to a user").rows {
		documented = append(documented, code(t, row[0])+": "+row[1])
	}
	sameSet(t, "reasons of ingress", documented, real)
}

// TestGuideSections: links within the guide lead to headings, as GitHub names them.
func TestGuideSections(t *testing.T) {
	d := read(t, guidePath)
	headings := make(map[string]bool)
	for _, m := range regexp.MustCompile(`(?m)^#+ (.+)$`).FindAllStringSubmatch(d.withoutFences(), -1) {
		plain := regexp.MustCompile(`[^a-z0-9 -]`).ReplaceAllString(strings.ToLower(m[1]), "")
		headings[strings.ReplaceAll(plain, " ", "-")] = true
	}
	links := regexp.MustCompile(`\]\(#([^)]+)\)`).FindAllStringSubmatch(d.text, -1)
	if len(links) < 12 {
		t.Errorf("only %d links were found", len(links))
	}
	for _, m := range links {
		if !headings[m[1]] {
			t.Errorf("no section of the guide is #%s", m[1])
		}
	}
}

// guideScripts are the end-to-end scripts that do what the guide says.
func guideScripts(t *testing.T) []*txtar.Archive {
	t.Helper()
	names, err := filepath.Glob(filepath.Join(root, "e2e/testdata/script/policy-guide*.txtar"))
	if err != nil || len(names) < 2 {
		t.Fatalf("%d scripts of the guide, %v", len(names), err)
	}
	var list []*txtar.Archive
	for _, name := range names {
		a, err := txtar.ParseFile(name)
		if err != nil {
			t.Fatal(err)
		}
		list = append(list, a)
	}
	return list
}

var (
	// execRE finds the command in a line of a script: without how it must end, without
	// its name in the background, and without --json, with which scripts take ids.
	execRE   = regexp.MustCompile(`^(?:exec |exits \d+ )?(.*?)(?: --json)?(?: &\w+&)?$`)
	assertRE = regexp.MustCompile(`^(?:stdout|stderr) '(.*)'$`)
)

// TestGuideCommands: the scripts run every command of the guide, in running text as
// far as it is whole.
func TestGuideCommands(t *testing.T) {
	run := make(map[string]bool)
	for _, a := range guideScripts(t) {
		for line := range strings.Lines(string(a.Comment)) {
			run[execRE.FindStringSubmatch(strings.TrimSpace(line))[1]] = true
		}
	}
	lines := shell(read(t, guidePath))
	if len(lines) < 50 {
		t.Errorf("only %d commands were found", len(lines))
	}
	for _, line := range lines {
		if line = strings.Join(strings.Fields(line), " "); !run[line] {
			t.Errorf("no script of e2e/testdata/script/policy-guide*.txtar runs: %s", line)
		}
	}
}

// TestGuideOutput: each line that the guide says is printed is one that the scripts
// want to see.
func TestGuideOutput(t *testing.T) {
	var wanted []*regexp.Regexp
	for _, a := range guideScripts(t) {
		for line := range strings.Lines(string(a.Comment)) {
			m := assertRE.FindStringSubmatch(strings.TrimSpace(line))
			if m == nil || !strings.HasPrefix(m[1], "^") || !strings.HasSuffix(m[1], "$") {
				continue // a part of a line proves nothing about the whole
			}
			re, err := regexp.Compile(strings.ReplaceAll(m[1], "''", "'"))
			if err != nil {
				t.Fatalf("%s: %v", line, err)
			}
			wanted = append(wanted, re)
		}
	}
	n := 0
	for _, block := range read(t, guidePath).fences("text") {
		for line := range strings.Lines(block) {
			line = strings.TrimRight(line, "\n")
			n++
			if !slices.ContainsFunc(wanted, func(re *regexp.Regexp) bool { return re.MatchString(line) }) {
				t.Errorf("no script of the guide wants the line: %s", line)
			}
		}
	}
	if n < 40 {
		t.Errorf("only %d lines of output were found", n)
	}
}

var guideFileRE = regexp.MustCompile("`([a-z][a-z0-9-]*\\.yaml)`")

// guideFiles returns the guide's YAML files by the name that was last said before
// each, and the changed rule.
func guideFiles(t *testing.T) map[string]string {
	t.Helper()
	text := read(t, guidePath).text
	list := make(map[string]string)
	for _, at := range fenceRE.FindAllStringSubmatchIndex(text, -1) {
		name := "tlp.rego"
		switch text[at[2]:at[3]] {
		case "yaml":
			named := guideFileRE.FindAllStringSubmatch(text[:at[0]], -1)
			if len(named) == 0 {
				t.Fatal("a file without a name")
			}
			name = named[len(named)-1][1]
		case "rego":
		default:
			continue
		}
		if _, twice := list[name]; twice {
			t.Errorf("%s stands twice in the guide", name)
		}
		list[name] = text[at[4]:at[5]]
	}
	return list
}

// TestGuideFiles: the scripts use the guide's files as they stand there, and each is
// accepted by what it is for.
func TestGuideFiles(t *testing.T) {
	used := make(map[string][]byte)
	for _, a := range guideScripts(t) {
		for _, f := range a.Files {
			if before, ok := used[f.Name]; ok && !bytes.Equal(before, f.Data) {
				t.Errorf("the scripts have two files %s", f.Name)
			}
			used[f.Name] = f.Data
		}
	}
	accepted := map[string]func(*testing.T, string) error{
		"terms.yaml": acceptTerms, "amended.yaml": acceptTerms, "amber-strict.yaml": acceptScenarios,
		"users.yaml": acceptDirectory, "egress-node.yaml": acceptNode, "ingress-node.yaml": acceptNode,
		"tlp.rego": acceptRule,
	}
	files := guideFiles(t)
	if len(files) < 14 {
		t.Errorf("only %d files were found", len(files))
	}
	for name, text := range files {
		accept, ok := accepted[name]
		if !ok {
			accept = acceptLabels
		}
		if err := accept(t, text); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		if accept(t, text+"no_such_field: 1\n") == nil {
			t.Errorf("%s: accepted with an unknown field too: was it read?", name)
		}
		if string(used[name]) != text {
			t.Errorf("%s in the guide is not %s of a script", name, name)
		}
	}
}

func acceptLabels(_ *testing.T, text string) error {
	raw, err := strictyaml.ToJSON([]byte(text))
	if err != nil {
		return err
	}
	_, err = alert.ParsePlan(raw)
	return err
}

// acceptTerms asks the command itself: it reads terms before it looks for a node.
func acceptTerms(t *testing.T, text string) error {
	file := filepath.Join(t.TempDir(), "terms.yaml")
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		return err
	}
	absent := filepath.Join(t.TempDir(), "node.yaml")
	var stdout, stderr bytes.Buffer
	cli.Main(t.Context(), []string{"agreement", "propose", "--terms", file, "--config", absent}, &stdout, &stderr)
	if !strings.Contains(stderr.String(), absent) {
		return errors.New(stderr.String())
	}
	return nil
}

func acceptScenarios(_ *testing.T, text string) error {
	_, err := scenario.Read(fstest.MapFS{"guide.yaml": {Data: []byte(text)}})
	return err
}

func acceptDirectory(_ *testing.T, text string) error {
	raw, err := strictyaml.ToJSON([]byte(text))
	if err != nil {
		return err
	}
	_, err = policies.ParseNational(raw)
	return err
}

// acceptNode reads lines for a node's configuration at the end of the example in
// docs/operations.md.
func acceptNode(t *testing.T, text string) error {
	example := read(t, "docs/operations.md").fences("yaml")[1]
	example = regexp.MustCompile(`(?m)^egress:.*\n`).ReplaceAllString(example, "")
	return validate(t, example+text, new(nodeserver.Config))
}

// acceptRule compiles the rule in the place of the one that it changes.
func acceptRule(_ *testing.T, text string) error {
	modules := policies.Embedded()
	if modules["release/tlp/tlp.rego"] == "" || modules["release/tlp/tlp.rego"] == text {
		return fmt.Errorf("release/tlp/tlp.rego is not what is changed")
	}
	modules["release/tlp/tlp.rego"] = text
	_, err := policies.Compile(modules)
	return err
}
