package alert

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/entente-hub/entente/api/strictjson"
)

const stixID = "indicator--8e2e2d2b-17d4-4cbf-938f-98ee46b3cd3f"

func isRefusal(err error) bool {
	return errors.Is(err, ErrInvalid) || errors.Is(err, strictjson.ErrStrict)
}

func TestParseObjectRef(t *testing.T) {
	long := strings.Repeat("a", 250)
	const uuid = "8e2e2d2b-17d4-4cbf-938f-98ee46b3cd3f"
	for in, want := range map[string]ObjectRef{
		`{"type":"indicator","id":"` + stixID + `"}`:                                            {"indicator", stixID, ""},
		`{"x":null,"modified":"2020-01-01T00:00:00Z","id":"` + stixID + `","type":"indicator"}`: {"indicator", stixID, "2020-01-01T00:00:00Z"},
		`{"type":"x-a--b","id":"x-a--b--` + uuid + `"}`:                                         {"x-a--b", "x-a--b--" + uuid, ""},
		`{"type":"` + long + `","id":"` + long + `--` + uuid + `"}`:                             {long, long + "--" + uuid, ""},
	} {
		got, err := ParseObjectRef([]byte(in))
		if diff := cmp.Diff(want, got); err != nil || diff != "" {
			t.Errorf("%s: %v %s", in, err, diff)
		}
	}
	ok := `"type":"indicator","id":"` + stixID + `"`
	for _, in := range []string{
		``, `null`, `[]`, `"x"`, `1`, `{}`, `{"type":"indicator"}`, `{"id":"` + stixID + `"}`,
		`{"type":"indicator","ID":"` + stixID + `"}`, `{"Type":"indicator","id":"` + stixID + `"}`,
		`{` + ok + `,"ID":"malware--8e2e2d2b-17d4-4cbf-938f-98ee46b3cd3f"}`, `{` + ok + `,"Type":"malware"}`, `{` + ok + `,"Modified":"x"}`, `{` + ok + `,"tYpe":1}`,
		`{` + ok + `,"id":"` + stixID + `"}`, `{` + ok + `,"\u0069d":"` + stixID + `"}`, `{` + ok + `,"x":{"a":1,"a":1}}`, `{` + ok + `} {}`,
		`{"type":null,"id":"` + stixID + `"}`, `{"type":"indicator","id":null}`, `{"type":["indicator"],"id":"` + stixID + `"}`,
		`{` + ok + `,"modified":null}`, `{` + ok + `,"modified":1}`, `{` + ok + `,"modified":""}`,
		`{"type":"malware","id":"` + stixID + `"}`,
		`{"type":"indicator","id":"indicator-` + uuid + `"}`, `{"type":"indicator","id":"indicator--` + uuid + `\n"}`,
		`{"type":"x-a","id":"x-a--b--` + uuid + `"}`, `{"type":"","id":"--` + uuid + `"}`, `{"type":"Indicator","id":"Indicator--` + uuid + `"}`,
		`{"type":"ab","id":"ab--` + uuid + `"}`, `{"type":"` + long + `a","id":"` + long + `a--` + uuid + `"}`,
		`{"type":"bundle","id":"bundle--` + uuid + `","objects":[]}`,
		"{" + ok + ",\"x\":\"\xff\"}", `{` + ok + `,"x":"\udfff"}`,
	} {
		if ref, err := ParseObjectRef([]byte(in)); !isRefusal(err) || ref != (ObjectRef{}) {
			t.Errorf("%s: %v, %v", in, ref, err)
		}
	}
}

// TestFits holds fits to the pattern that it spells out.
func TestFits(t *testing.T) {
	pattern := regexp.MustCompile(`^[a-z][a-z0-9-]{1,248}[a-z0-9]--[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}$`)
	const uuid = "8e2e2d2b-17d4-4cbf-938f-98EE46B3CD3F"
	ids := []string{"", "--", uuid, "--" + uuid}
	for _, typ := range []string{"", "a", "ab", "abc", "a-b", "a--b", "a--", "-ab", "1ab", "ab1", "a_b", "aBc", "abc\n", "äbc", strings.Repeat("a", 249), strings.Repeat("a", 250), strings.Repeat("a", 251)} {
		ids = append(ids, typ+"--"+uuid, typ+"-"+uuid, typ+"---"+uuid)
	}
	for i := range uuid { // each place with each byte
		for c := range 256 {
			ids = append(ids, "abc--"+uuid[:i]+string([]byte{byte(c)})+uuid[i+1:])
		}
		ids = append(ids, "abc--"+uuid[:i], "abc--"+uuid[:i]+uuid[i+1:], "abc--"+uuid+uuid[:i])
	}
	for _, id := range ids {
		for end := range len(id) + 1 {
			typ := id[:end]
			want := pattern.MatchString(id) && len(id)-len("--")-len(uuid) == end
			if fits(id, typ) != want {
				t.Errorf("%q of type %q: %v", id, typ, !want)
			}
		}
	}
}

func TestObjectNesting(t *testing.T) {
	object := func(levels int) []byte { // the object itself is one of them
		return fmt.Appendf(nil, `{"type":"indicator","id":"%s","x":%s%s}`, stixID, strings.Repeat("[", levels-1), strings.Repeat("]", levels-1))
	}
	for _, tt := range []struct {
		name   string
		parse  func([]byte) error
		around int
	}{
		{"object", func(b []byte) error { _, err := ParseObjectRef(b); return err }, 0},
		{"content", func(b []byte) error { _, err := ParseContent(fmt.Appendf(nil, `{"objects":[%s]}`, b)); return err }, 2},
		{"bundle", func(b []byte) error { _, err := ParseBundle(bundle(string(b))); return err }, 2},
	} {
		if err := tt.parse(object(32 - tt.around)); err != nil {
			t.Errorf("%s at 32: %v", tt.name, err)
		}
		if err := tt.parse(object(33 - tt.around)); !errors.Is(err, strictjson.ErrStrict) {
			t.Errorf("%s at 33: %v", tt.name, err)
		}
	}
}

func bundle(objects ...string) []byte {
	return []byte(`{"type":"bundle","id":"bundle--8e2e2d2b-17d4-4cbf-938f-98ee46b3cd3f","objects":[` + strings.Join(objects, ",") + `]}`)
}

func objects(n int) []string {
	out := make([]string, n)
	for i := range out {
		out[i] = fmt.Sprintf(`{"type":"indicator","id":"indicator--8e2e2d2b-17d4-4cbf-938f-%012x"}`, i)
	}
	return out
}

func TestParseContent(t *testing.T) {
	content := func(objects ...string) string { return `{"objects":[` + strings.Join(objects, ",") + `]}` }
	one := objects(1)[0]
	version := func(m string) string { return strings.Replace(one, "}", `,"modified":"`+m+`"}`, 1) }
	for name, in := range map[string]string{
		"one": content(one), "at the limit": content(objects(MaxObjects)...), "two versions": content(version("2020-01-01T00:00:00Z"), version("2021-01-01T00:00:00Z")),
		"UUID in capitals": content(strings.Replace(one, "8e2e2d2b", "8E2E2D2B", 1)),
		"graded":           `{"grading":{"scheme":"4x4","source":"X","information":"4"},"objects":[` + one + `]}`,
	} {
		if _, err := ParseContent([]byte(in)); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
	for name, in := range map[string]string{
		"none": content(), "missing": `{}`, "null": `{"objects":null}`, "null object": content("null"), "over the limit": content(objects(MaxObjects + 1)...),
		"twice": content(one, one), "twice in two cases": content(one, strings.Replace(one, "8e2e2d2b", "8E2E2D2B", 1)), "version twice": content(version("2020-01-01T00:00:00Z"), version("2020-01-01T00:00:00Z")),
		"no grading": `{"grading":null,"objects":[` + one + `]}`, "grading empty": `{"grading":{},"objects":[` + one + `]}`,
		"grading field": `{"grading":{"scheme":"4x4","source":"X","information":"4","note":""},"objects":[` + one + `]}`,
		"grading case":  `{"Grading":{"scheme":"4x4","source":"X","information":"4"},"objects":[` + one + `]}`,
		"unknown":       `{"objects":[` + one + `],"label":{}}`, "object is a list": content("[" + one + "]"), "a bundle": content(string(bundle(one))),
	} {
		if c, err := ParseContent([]byte(in)); !isRefusal(err) || c != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestParseBundle(t *testing.T) {
	spaced := " {  \"type\" : \"indicator\" ,\n\"id\":\"" + stixID + `","n":1.50e1,"h":"<&>\u00e9"}`
	got, err := ParseBundle(bundle(spaced, objects(1)[0]))
	if err != nil || len(got) != 2 || string(got[0]) != strings.TrimSpace(spaced) {
		t.Errorf("not byte for byte: %s, %v", got, err)
	}
	good := string(bundle(objects(1)...))
	for name, in := range map[string]string{
		"empty": ``, "null": `null`, "no objects": string(bundle()), "null objects": strings.Replace(good, `[`, `null,"x":[`, 1), "null object": string(bundle("null")),
		"other type": strings.Replace(good, `"bundle"`, `"report"`, 1), "type in capitals": strings.Replace(good, `"bundle"`, `"Bundle"`, 1),
		"no id": strings.Replace(good, `"id":"bundle--8e2e2d2b-17d4-4cbf-938f-98ee46b3cd3f",`, "", 1), "id of another": strings.Replace(good, "bundle--", "report--", 1),
		"id of a longer type": strings.Replace(good, "bundle--", "bundle--x--", 1), "id case": strings.Replace(good, `"id":"bundle`, `"ID":"bundle`, 1),
		"unknown member": strings.Replace(good, `{`, `{"x_custom":1,`, 1), "twice": strings.Replace(good, `{`, `{"type":"bundle",`, 1), "bad object": string(bundle(`{"type":"x"}`)),
		"bundle in bundle": string(bundle(good)), "trailing": good + "x",
	} {
		if _, err := ParseBundle([]byte(in)); !isRefusal(err) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// The example bundles of OASIS are content that users have.
func TestOASISExamples(t *testing.T) {
	root := os.Getenv("ENTENTE_TESTDATA")
	if root == "" {
		root = filepath.Join("..", "..", "..", "shared", "data")
	}
	dir := filepath.Join(root, "stix-2.1", "examples")
	if _, err := os.Stat(dir); err != nil {
		if os.Getenv("CI") == "true" {
			t.Fatalf("ENTENTE_TESTDATA: %v", err)
		}
		t.Skipf("ENTENTE_TESTDATA: %v", err)
	}
	found := 0
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || filepath.Ext(path) != ".json" {
			return err
		}
		found++
		t.Run(d.Name(), func(t *testing.T) { checkExample(t, path) })
		return nil
	})
	if err != nil || found < 6 {
		t.Errorf("%d examples, %v", found, err)
	}
}

func checkExample(t *testing.T, path string) {
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	var want struct {
		Type    string
		Objects []json.RawMessage
	}
	if err := json.Unmarshal(data, &want); err != nil {
		t.Fatal(err)
	}
	objects, err := ParseBundle(data)
	if want.Type != "bundle" { // one of the examples is a single object
		if ref, oerr := ParseObjectRef(data); oerr != nil || ref.Type != want.Type || err == nil {
			t.Fatalf("as an object: %v, %v; as a bundle: %v", ref, oerr, err)
		}
		return
	}
	if err != nil {
		t.Fatal(err)
	}
	if len(objects) != len(want.Objects) {
		t.Fatalf("%d objects of %d", len(objects), len(want.Objects))
	}
	for i := range objects {
		if !bytes.Equal(objects[i], want.Objects[i]) {
			t.Errorf("objects[%d] is not byte for byte", i)
		}
	}
	if _, err := ParseContent(encode(t, Content{Objects: objects})); err != nil {
		t.Errorf("as content: %v", err)
	}
}
