package docs_test

import (
	"bytes"
	"go/build"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/entente-hub/entente/cli"
)

// shell returns the command lines of a document's sh blocks, continued lines
// joined, comments and prompts taken away.
func shell(d document) []string {
	var list []string
	for _, block := range d.fences("sh") {
		block = strings.ReplaceAll(block, "\\\n", " ")
		for _, line := range strings.Split(block, "\n") {
			line, _, _ = strings.Cut(line, " #")
			if line = strings.TrimPrefix(strings.TrimSpace(line), "$ "); line != "" && line[0] != '#' {
				list = append(list, line)
			}
		}
	}
	return list
}

// TestSetUpCommands: a newcomer needs two commands, and they are these.
func TestSetUpCommands(t *testing.T) {
	d := read(t, "README.md")
	d.text = d.section("Two commands")
	if diff := cmp.Diff([]string{"go run . demo\ngo test ./...\n"}, d.fences("sh")); diff != "" {
		t.Errorf("the README's commands (-want +got):\n%s", diff)
	}
}

// TestCommandsParse: every entente command in a document is one that the binary
// has, with flags that it takes.
func TestCommandsParse(t *testing.T) {
	n := 0
	for _, d := range documents(t) {
		lines := shell(d)
		whole := len(lines) // the others, in running text, may leave arguments out
		for i, line := range slices.Concat(lines, codes(d.withoutFences())) {
			args, ok := strings.CutPrefix(line, "entente ")
			if !ok {
				if args, ok = strings.CutPrefix(line, "go run . "); !ok {
					continue
				}
			}
			n++
			if why := parseCommand(t, strings.Fields(args), i < whole); why != "" {
				t.Errorf("%s: %s: %s", d.path, line, why)
			}
		}
	}
	if n < 20 {
		t.Errorf("only %d commands were found: are they looked for in the right places?", n)
	}
}

// TestCommandsThatDoNotParse guards the test above.
func TestCommandsThatDoNotParse(t *testing.T) {
	for _, line := range []string{"unknown", "audit unknown", "publish extra", "publish --unknown", "publish --wait soon",
		"inbox --limit many", "show --json", "show A/B/1 C/D/2", "verify", "policy fetch one two"} {
		if parseCommand(t, strings.Fields(line), true) == "" {
			t.Errorf("entente %s: accepted", line)
		}
	}
}

// parseCommand returns what is wrong with a command line. The binary itself
// parses it: with --help, flags are read and nothing is done. Only a whole command
// needs all of its arguments.
func parseCommand(t *testing.T, args []string, whole bool) string {
	var stdout, stderr bytes.Buffer
	if code := cli.Main(t.Context(), slices.Concat(args, []string{"--help"}), &stdout, &stderr); code != 0 {
		return stderr.String()
	}
	_, use, ok := strings.Cut(stdout.String(), "Usage:\n")
	use, _, _ = strings.Cut(use, "\n")
	words := strings.Fields(use)
	if !ok || len(words) == 0 || words[0] != "entente" {
		return "no usage line in its help"
	}
	words = words[1:]
	// The words of the usage line are the command's name, then its arguments.
	for len(words) > 0 && len(args) > 0 && words[0] == args[0] && words[0][0] != '-' {
		words, args = words[1:], args[1:]
	}
	wanted, given := 0, 0
	for wanted < len(words) && words[wanted] == strings.ToUpper(words[wanted]) && !strings.ContainsAny(words[wanted][:1], "-([") {
		wanted++
	}
	most := wanted
	if wanted < len(words) && regexp.MustCompile(`^\([A-Z]+$`).MatchString(words[wanted]) { // "(NAME | --flag)": or a flag instead
		most++
	}
	for given < len(args) && !strings.HasPrefix(args[given], "-") {
		given++
	}
	if (given < wanted || given > most) && (whole || given > 0) {
		return "not the arguments of: " + strings.TrimSpace(use)
	}
	return ""
}

var (
	pathRE = regexp.MustCompile(`^\.?[A-Za-z0-9_-][A-Za-z0-9._-]*(/[A-Za-z0-9._-]+)*/?$`)
	linkRE = regexp.MustCompile(`\]\(([^)\s]+)\)`)
	testRE = regexp.MustCompile(`^([a-z0-9/]+)\.((?:Test|Fuzz|Example)\w*)(?:/(\w+))?$`) // folder, function, script
)

// notPaths have a slash and are something else.
var notPaths = []string{"application/json"}

// TestPathsExist: every path of the repository that a document names is there.
func TestPathsExist(t *testing.T) {
	there := make(map[string]bool) // every file and folder, and every end of their paths
	for _, f := range files(t, ".") {
		for p := f; p != "."; p = path.Dir(p) {
			for end := p; ; {
				there[end] = true
				_, rest, ok := strings.Cut(end, "/")
				if !ok {
					break
				}
				end = rest
			}
		}
	}
	n := 0
	for _, d := range documents(t) {
		for _, c := range codes(d.withoutFences()) {
			if !looksLikePath(c) {
				continue
			}
			n++
			if !there[strings.TrimSuffix(strings.TrimPrefix(c, "./"), "/")] {
				t.Errorf("%s names %s, which is not in the repository", d.path, c)
			}
		}
		for _, m := range linkRE.FindAllStringSubmatch(d.withoutFences(), -1) {
			target, _, _ := strings.Cut(m[1], "#")
			if target == "" || strings.Contains(target, "://") {
				continue
			}
			n++
			if _, err := os.Stat(filepath.Join(root, path.Dir(d.path), target)); err != nil {
				t.Errorf("%s links to %s: %v", d.path, m[1], err)
			}
		}
	}
	if n < 100 {
		t.Errorf("only %d paths were found: are they looked for in the right places?", n)
	}
}

// looksLikePath tells a path of the repository from other names in code style:
// it has a slash, or ends like a source file.
func looksLikePath(c string) bool {
	c = strings.TrimPrefix(c, "./")
	switch first, _, slash := strings.Cut(c, "/"); {
	case !pathRE.MatchString(c), testRE.MatchString(c), slices.Contains(notPaths, c):
		return false
	case slash && strings.Contains(first, ".") && first[0] != '.': // a module, or an address
		return false
	case slash:
		_, err := os.Stat(filepath.Join(build.Default.GOROOT, "src", c))
		return err != nil // else a package of the standard library
	}
	return slices.Contains([]string{".go", ".md", ".rego", ".sql"}, path.Ext(c))
}
