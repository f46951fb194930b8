package scenario

import (
	"errors"
	"io/fs"
	"os"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/google/go-cmp/cmp"

	"github.com/entente-hub/entente/api/alert"
	"github.com/entente-hub/entente/api/strictyaml"
)

// sound is a scenario that is read; the malformed ones differ from it in one thing.
const sound = `title: t
why: w
base: open
label:
  releasable_to: [XB]
expect_refused: [tlp-conflict]
expect:
  {XB: content, XC: none (release-list), XD: none (release-list)}
`

// with is a folder with the embedded worlds and one file of scenarios.
func with(t testing.TB, text string) fstest.MapFS {
	t.Helper()
	fsys := fstest.MapFS{"folder/a.yaml": {Data: []byte(text)}, "README.md": {Data: []byte("not ours")}}
	worlds, err := fs.Glob(Embedded(), "worlds/*.yaml")
	if err != nil || len(worlds) == 0 {
		t.Fatalf("no worlds: %v", err)
	}
	for _, name := range worlds {
		raw, err := fs.ReadFile(Embedded(), name)
		if err != nil {
			t.Fatal(err)
		}
		fsys[name] = &fstest.MapFile{Data: raw}
	}
	return fsys
}

// malformed are scenarios that are refused, by what is replaced in the sound one,
// and what the error must say.
var malformed = []struct{ name, old, new, want string }{
	{"unknown key", "title: t", "title: t\ntitel: t", `:2: unknown key "titel"`},
	{"key twice", "title: t", "title: t\ntitle: u", `:2: key "title" stands twice`},
	{"no title", "title: t\n", "", "title, why and originator are needed"},
	{"empty title", "title: t", "title: ''", ":1: title: a value is wanted"},
	{"no why", "why: w\n", "", "title, why and originator are needed"},
	{"no base and no members", "base: open\n", "originator: XA\n", "label"},
	{"unknown base", "base: open", "base: closed", ":3: base: there is no worlds/closed.yaml"},
	{"base as a path", "base: open", "base: ../worlds/open", "there is no"},
	{"originator's form", "why: w", "why: w\noriginator: xa", ":3: originator: "},
	{"not a moment", "why: w", "why: w\nat: tomorrow", `:3: at: "tomorrow" is neither a day`},
	{"impossible day", "why: w", "why: w\nat: 2027-02-30", "neither a day"},
	{"no expectation", "expect_refused: [tlp-conflict]\nexpect:\n  {XB: content, XC: none (release-list), XD: none (release-list)}\n", "", "nothing is expected"},
	{"a hole in the table", "XC: none (release-list), ", "", "expect: XC is missing; every member but the originator"},
	{"the originator in the table", "{XB: content", "{XA: content, XB: content", "XA is the originator"},
	{"a stranger in the table", "{XB: content", "{XQ: content, XB: content", "XQ is no member"},
	{"a member twice in the table", "{XB: content", "{XB: content, XB: content", `:8: expect: key "XB" stands twice`},
	{"a refusal without a reason", "none (release-list)", "none", "none: the reason is missing"},
	{"an unknown kind", "XB: content", "XB: everything", "is none of: content"},
	{"content for a reason", "XB: content", "XB: content (clearance)", "content is released for want of a reason"},
	{"two reasons on a line", "none (release-list)", "none (release-list, tlp)", "is none of: content"},
	{"a code's form", "none (release-list)", "{release: none, reason: Release List}", "not of the form of a reason code"},
	{"reason and reasons", "none (release-list)", "{release: none, reason: tlp, reasons: [tlp]}", "one of the two"},
	{"no reasons", "none (release-list)", "{release: none, reasons: []}", "the reason is missing"},
	{"a reason twice", "none (release-list)", "{release: none, reasons: [tlp, tlp]}", "stands twice"},
	{"obligations without content", "none (release-list)", "{release: none, reason: tlp, onward: false}", "only content comes with obligations"},
	{"no release", "XB: content", "XB: {onward: false}", "release: content, existence or none is wanted"},
	{"an unknown obligation", "XB: content", "XB: {release: content, onwards: false}", `:8: expect: XB: unknown key "onwards"`},
	{"not a truth value", "XB: content", "XB: {release: content, onward: 'true'}", "true or false is wanted"},
	{"yes", "XB: content", "XB: {release: content, onward: yes}", "true or false is wanted"},
	{"days below zero", "XB: content", "XB: {release: content, hold_days: -1}", "a whole number is wanted"},
	{"days in words", "XB: content", "XB: {release: content, hold_days: ten}", "a whole number is wanted"},
	{"half a day", "XB: content", "XB: {release: content, hold_days: 0.5}", "a whole number is wanted"},
	{"for no purpose", "XB: content", "XB: {release: content, purposes: []}", "always for a purpose"},
	{"an unknown purpose", "XB: content", "XB: {release: content, purposes: [fun]}", "is no purpose"},
	{"an unknown agreement", "XB: content", "XB: {release: content, agreements: [treaty]}", "there is no agreement treaty"},
	{"a nothing in the table", "XB: content", "XB: ~", "there is nothing to take away"},
	{"codes as text", "[tlp-conflict]", "tlp-conflict", "expect_refused: a list is wanted"},
	{"label's unknown key", "releasable_to: [XB]", "releasable: [XB]", "label: "},
	{"label's unknown level", "releasable_to: [XB]", "classification: hush", "label: "},
	{"label's unknown category", "releasable_to: [XB]", "categories: [gossip]", "label: "},
	{"label's empty field", "releasable_to: [XB]", "tlp: ''", "label: tlp: a value is wanted"},
	{"label's number", "releasable_to: [XB]", "marked_as: 4", ":5: label: marked_as: text is wanted"},
	{"label's number in a list", "releasable_to: [XB]", "releasable_to: [4]", "text is wanted"},
	{"label's truth value as text", "releasable_to: [XB]", "originator_control: 'true'", "label: "},
	{"label's map", "releasable_to: [XB]", "releasable_to: {XB: content}", ":5: label: releasable_to: "},
	{"label's recipient twice", "releasable_to: [XB]", "releasable_to: [XB, XB]", "stands twice"},
	{"label: nothing to take away", "releasable_to: [XB]", "tlp: ~", "there is nothing to take away"},
	{"label is a list", "label:\n  releasable_to: [XB]", "label: [XB]", "keys with values are wanted"},
	{"label without a category", "releasable_to: [XB]", "categories: ~", "categories is empty"},
	{"alert's id", "why: w", "why: w\nalert: {id: one}", ":3: alert: id: "},
	{"an expiry before the issue", "why: w", "why: w\nalert: {issued: 2027-01-15, expires: 2027-01-14}", "expires before it is issued"},
	{"a source not on the label", "why: w", "why: w\nalert: {sources: {01890000-0000-7000-8000-0000000000b1: XB}}", "not in the label's derived_from"},
	{"a source's form", "why: w", "why: w\nalert: {sources: {b1: XB}}", ":3: alert: sources: "},
	{"an alias", "why: w", "why: &a w\noriginator: *a", "anchors and aliases are not taken"},
	{"an anchor", "why: w", "why: &a w", ":2: why: anchors and aliases are not taken"},
	{"a merge key", "why: w", "why: w\n<<: {at: 2027-01-15}", ":3: a key must be plain text"},
	{"a tag", "why: w", "why: !!str w", "tags are not taken"},
	{"a list for a text", "why: w", "why: [w]", ":2: why: a value is wanted"},
	{"a number for a key", "why: w", "why: w\n1: w", "a key must be plain text"},
	{"a nothing for a text", "why: w", "why: ~", "a value is wanted"},
	{"no mapping", sound, "- a\n", ":1: keys with values are wanted"},
	{"no YAML", "why: w", "why: [w", "yaml: "},
	{"an empty file", sound, "", "the file is empty"},
	{"an empty document", sound, sound + "---\n", ":10: keys with values are wanted"},
	{"the same title twice", sound, sound + "---\n" + sound, `title "t" is also that of a scenario in folder/a.yaml`},

	{"world's unknown key", "why: w", "why: w\nworld: {member: {XE: {}}}", `:3: world: unknown key "member"`},
	{"member's unknown key", "why: w", "why: w\nworld:\n  members:\n    XB: {ceilng: secret}", `:5: world: members: XB: unknown key "ceilng"`},
	{"member's ceiling", "why: w", "why: w\nworld: {members: {XB: {ceiling: high}}}", "world: members: XB: ceiling: "},
	{"member's form", "why: w", "why: w\nworld: {members: {xb: {}}}", ":3: world: members: "},
	{"no such member to take away", "why: w", "why: w\nworld: {members: {XQ: ~}}", "XQ: there is nothing to take away"},
	{"a party taken away", "why: w", "why: w\nworld: {members: {XD: ~}}", "is no member"},
	{"a stranger in a community", "why: w", "why: w\nworld: {communities: {coast: [XQ]}}", "communities: coast: XQ is no member"},
	{"the built-in community", "why: w", "why: w\nworld: {communities: {federation: [XA]}}", "federation is built in"},
	{"a member twice in a community", "why: w", "why: w\nworld: {communities: {coast: [XA, XA]}}", "XA stands twice"},
	{"a stranger in a task force", "why: w", "why: w\nworld: {task_forces: {tf-sea: [XQ]}}", "task_forces: tf-sea: XQ is no member"},
	{"an agreement's unknown key", "why: w", "why: w\nworld: {agreements: {charter: {until: 2027-01-01}}}", `unknown key "until"`},
	{"an agreement of one", "why: w", "why: w\nworld: {agreements: {charter: {parties: [XA]}}}", "agreements: charter: "},
	{"an agreement with a stranger", "why: w", "why: w\nworld: {agreements: {charter: {parties: [XA, XQ]}}}", "agreements: charter: XQ is no member"},
	{"an agreement with half its terms", "why: w", "why: w\nworld: {agreements: {treaty: {parties: [XA, XB]}}}", "agreements: treaty: "},
	{"an agreement on an unknown category", "why: w", "why: w\nworld: {agreements: {charter: {categories: [gossip]}}}", "agreements: charter: "},
	{"an agreement that ends before it begins", "why: w", "why: w\nworld: {agreements: {charter: {valid_from: 2027-01-02, valid_until: 2027-01-01}}}", "agreements: charter: "},
	{"an agreement's retention", "why: w", "why: w\nworld: {agreements: {charter: {retention_days: 0}}}", "agreements: charter: agreement: invalid statement: charter: retention_days"},
	{"a suspension by a third", "why: w", "why: w\nworld: {agreements: {charter: {parties: [XA, XB]}}, suspensions: [{agreement: charter, party: XC}]}", "XC is no party"},
	{"a suspension of nothing", "why: w", "why: w\nworld: {suspensions: [{agreement: treaty, party: XB}]}", "XB is no party"},
	{"a suspension by nobody", "why: w", "why: w\nworld: {suspensions: [{agreement: charter}]}", "suspensions: "},
	{"a consent without recipients", "why: w", "why: w\nworld: {consents: [{originator: XB}]}", "recipients"},
	{"a consent by a stranger", "why: w", "why: w\nworld: {consents: [{originator: XQ, recipients: [XB]}]}", "XQ is no member"},
	{"an emergency for nobody", "why: w", "why: w\nworld: {emergencies: [{members: [], compartments: [tf-sea]}]}", "emergencies: "},
	{"an emergency for a stranger", "why: w", "why: w\nworld: {emergencies: [{members: [XQ], compartments: [tf-sea]}]}", "XQ is no member"},
	{"an emergency for nothing", "why: w", "why: w\nworld: {emergencies: [{members: [XB]}]}", "emergencies: "},
	{"an emergency for a year", "why: w", "why: w\nworld: {emergencies: [{members: [XB], compartments: [tf-sea], valid_until: 2028-01-14}]}", "lasts at most"},
	{"a scheme's unknown level", "why: w", "why: w\nworld: {schemes: {'urn:a:b': {hush: [PST]}}}", "schemes: urn:a:b: "},
	{"a scheme's level without a name", "why: w", "why: w\nworld: {schemes: {'urn:a:b': {secret: []}}}", "a name of the level is wanted"},
	{"a scheme's name for two levels", "why: w", "why: w\nworld: {schemes: {'urn:a:b': {secret: [S], restricted: [S]}}}", "schemes: urn:a:b: "},
	{"a scheme without levels", "why: w", "why: w\nworld: {schemes: {'urn:a:b': {}}}", "schemes: urn:a:b: "},
	{"a scheme that is no URN", "why: w", "why: w\nworld: {schemes: {a: {secret: [S]}}}", "schemes: a: "},
	{"too wide a bound on retention", "why: w", "why: w\nworld: {max_retention_days: 36526}", "max_retention_days: "},
	{"no bound on retention", "why: w", "why: w\nworld: {max_retention_days: 0}", "max_retention_days: "},
}

func TestMalformed(t *testing.T) {
	if _, err := Read(with(t, sound)); err != nil {
		t.Fatal(err)
	}
	for _, tt := range malformed {
		t.Run(tt.name, func(t *testing.T) {
			if !strings.Contains(sound, tt.old) {
				t.Fatalf("%q is not in the sound scenario", tt.old)
			}
			_, err := Read(with(t, strings.Replace(sound, tt.old, tt.new, 1)))
			if !errors.Is(err, ErrInvalid) || !strings.Contains(err.Error(), "folder/a.yaml") || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("%v, want %s", err, tt.want)
			}
		})
	}
}

func TestMalformedFolders(t *testing.T) {
	file := func(s string) *fstest.MapFile { return &fstest.MapFile{Data: []byte(s)} }
	for name, tt := range map[string]struct {
		fsys fs.FS
		want string
	}{
		"nothing":         {fstest.MapFS{}, "no scenario in the folder"},
		"worlds alone":    {fstest.MapFS{"worlds/a.yaml": file("originator: XA\nworld: {members: {XA: {}}}\n")}, "no scenario in the folder"},
		"other spelling":  {fstest.MapFS{"a.yml": file(sound)}, "a.yml: the name must end in .yaml"},
		"capitals":        {fstest.MapFS{"a.YAML": file(sound)}, "the name must end in .yaml"},
		"two worlds":      {fstest.MapFS{"worlds/a.yaml": file("originator: XA\n---\noriginator: XA\n")}, "one world a file"},
		"unsound world":   {fstest.MapFS{"worlds/a.yaml": file("world: {members: {XA: {}}, communities: {coast: [XB]}}\n")}, "worlds/a.yaml:1: "},
		"unknown key":     {fstest.MapFS{"worlds/a.yaml": file("originator: XA\nexpect: {}\n")}, `worlds/a.yaml:2: unknown key "expect"`},
		"a large file":    {fstest.MapFS{"a.yaml": file(strings.Repeat("#", MaxFile+1))}, "larger than"},
		"no such folder":  {os.DirFS(t.TempDir() + "/missing"), "no such file"},
		"without members": {fstest.MapFS{"a.yaml": file(strings.Replace(sound, "base: open", "originator: XA", 1))}, "a.yaml:1: "},
	} {
		t.Run(name, func(t *testing.T) {
			list, err := Read(tt.fsys)
			if err == nil || list != nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("%v, want %s", err, tt.want)
			}
		})
	}
}

// FuzzRead: whatever a file says, it is read or refused with an error that wraps
// ErrInvalid; what is read can be checked, and twice with the same outcome.
func FuzzRead(f *testing.F) {
	f.Add([]byte(sound))
	for _, tt := range malformed {
		f.Add([]byte(strings.Replace(sound, tt.old, tt.new, 1)))
	}
	err := fs.WalkDir(Embedded(), ".", func(name string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		raw, err := fs.ReadFile(Embedded(), name)
		for doc := range strings.SplitSeq(string(raw), "---\n") {
			f.Add([]byte(doc))
		}
		return err
	})
	if err != nil {
		f.Fatal(err)
	}
	e := mustLoad(f)
	f.Fuzz(func(t *testing.T, data []byte) {
		list, err := Read(with(t, string(data)))
		if err != nil {
			if !errors.Is(err, ErrInvalid) {
				t.Fatalf("%v does not wrap ErrInvalid", err)
			}
			return
		}
		for _, s := range list {
			first, err := s.Check(t.Context(), e)
			if err != nil {
				t.Fatalf("%s: %v", s, err)
			}
			again, err := s.Check(t.Context(), e)
			if err != nil || strings.Join(first, "\n") != strings.Join(again, "\n") {
				t.Fatalf("%s: %v, then %v (%v)", s, first, again, err)
			}
		}
	})
}

// TestLabelIsThatOfLabelFiles: a label means in a scenario what it means in a label
// file, whose reader is another.
func TestLabelIsThatOfLabelFiles(t *testing.T) {
	const label = `policy: urn:entente:policy:regional:1
classification: confidential
marked_as: "007"
tlp: amber+strict
compartments: [tf-sea, tf-port]
releasable_to: [XB, NO, federation]
discoverable_to: [XC]
categories: [smuggling]
purposes: [prevention, investigation]
personal_data: none
handling: [H3, H1]
handling_text: "yes"
originator_control: true
retention: 2027-03-31
derived_from: [01890000-0000-7000-8000-0000000000b1]
`
	raw, err := strictyaml.ToJSON([]byte(label))
	if err != nil {
		t.Fatal(err)
	}
	want, err := alert.ParseLabel(raw)
	if err != nil {
		t.Fatal(err)
	}
	indented := "  " + strings.ReplaceAll(strings.TrimSpace(label), "\n", "\n  ") + "\n"
	list, err := Read(with(t, strings.Replace(sound, "  releasable_to: [XB]\n", indented, 1)))
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, list[0].query.Label); diff != "" {
		t.Error(diff)
	}
}
