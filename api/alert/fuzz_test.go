package alert

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func FuzzParseLabel(f *testing.F) {
	f.Add([]byte(canonical))
	f.Add([]byte(minimal))
	f.Add([]byte(`{"policy":"urn:a:b","classification":"secret","tlp":"TLP:RED","categories":["visa","health"],"purposes":["prevention"],"personal_data":"none"}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		l, err := ParseLabel(data)
		if err != nil {
			if !isRefusal(err) {
				t.Fatalf("a refusal of no kind: %v", err)
			}
			return
		}
		c := l.Canonical()
		again, err := ParseLabel(c)
		if err != nil {
			t.Fatalf("%s: %v", c, err)
		}
		if diff := cmp.Diff(l, again); diff != "" {
			t.Fatal(diff)
		}
		if !bytes.Equal(again.Canonical(), c) {
			t.Fatalf("not idempotent: %s", c)
		}
		if (Clearance{}).Dominates(l) {
			t.Fatal("an empty clearance grants it")
		}
	})
}

func FuzzParsePayload(f *testing.F) {
	f.Add(encode(f, validPayload()))
	first := validPayload()
	first.Version, first.Previous = 1, ""
	f.Add(encode(f, first))
	f.Add(encode(f, recall()))
	f.Add(encode(f, request()))
	f.Add(encode(f, delegation()))
	answer := request()
	answer.Re = &Reference{Originator: "XB", Alert: otherID, Act: Answer, Published: "01890a5d-ac96-774b-bcce-b302099a8998"}
	f.Add(encode(f, answer))
	f.Fuzz(func(t *testing.T, data []byte) { roundTrip(t, data, ParsePayload) })
}

// roundTrip requires that what parses, marshals to bytes that parse to the same.
func roundTrip[T any](t *testing.T, data []byte, parse func([]byte) (T, error)) {
	v, err := parse(data)
	if err != nil {
		if !isRefusal(err) {
			t.Fatalf("a refusal of no kind: %v", err)
		}
		return
	}
	b, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	again, err := parse(b)
	if err != nil {
		t.Fatalf("%s: %v", b, err)
	}
	c, err := json.Marshal(again)
	if err != nil || !bytes.Equal(b, c) {
		t.Fatalf("not stable:\n%s\n%s", b, c)
	}
}

func FuzzParsePortion(f *testing.F) {
	f.Add([]byte(`{"id":"p1","notice":"vehicle","_sd":["` + digest(1) + `","` + digest(0) + `"]}`))
	f.Add([]byte(`{"id":"p1","_sd":["` + digest(0) + `","` + digest(1) + `"]}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		p, err := ParsePortion(data)
		if err != nil {
			if !isRefusal(err) {
				t.Fatal(err)
			}
			return
		}
		if _, err := ParsePortionID(string(p.ID)); err != nil || CheckText("notice", p.Notice) != nil || p.Label != nil || p.Content != nil {
			t.Fatalf("%+v", p)
		}
	})
}

func FuzzParseContent(f *testing.F) {
	f.Add([]byte(`{"objects":[{"type":"indicator","id":"` + stixID + `"}],"publish":` + minimal + `}`))
	f.Add([]byte(`{"grading":{"scheme":"3x5x2","source":"1","information":"A","handling":"P"},"objects":[{"type":"indicator","id":"` + stixID + `","x":[1.0,"<"]}]}`))
	f.Fuzz(func(t *testing.T, data []byte) { roundTrip(t, data, ParseContent) })
}

func FuzzParseObjectRef(f *testing.F) {
	f.Add([]byte(`{"type":"indicator","id":"` + stixID + `","modified":"2020-01-01T00:00:00Z"}`))
	f.Add([]byte(`{"type":"x-a","ID":"x","id":"x-a--b--8e2e2d2b-17d4-4cbf-938f-98ee46b3cd3f"}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		ref, err := ParseObjectRef(data)
		if err != nil {
			if !isRefusal(err) {
				t.Fatal(err)
			}
			return
		}
		// A reader that ignores case sees the same object.
		var lax struct{ Type, ID, Modified string }
		if err := json.Unmarshal(data, &lax); err != nil || ref != ObjectRef(lax) {
			t.Fatalf("%+v, to a lax reader %+v, %v", ref, lax, err)
		}
	})
}

func FuzzParseBundle(f *testing.F) {
	f.Add(bundle(objects(2)...))
	root := os.Getenv("ENTENTE_TESTDATA")
	found, _ := filepath.Glob(filepath.Join(root, "stix-2.1", "examples", "*.json"))
	for _, path := range found {
		if data, err := os.ReadFile(path); err == nil {
			f.Add(data)
		}
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		objects, err := ParseBundle(data)
		if err != nil {
			if !isRefusal(err) {
				t.Fatal(err)
			}
			return
		}
		for _, o := range objects {
			if !bytes.Contains(data, o) {
				t.Fatalf("%s is not of the bundle", o)
			}
		}
	})
}

func FuzzIDs(f *testing.F) {
	for _, s := range []string{"XA", "IOM", "federation", "p-1", string(id1), "f47ac10b-58cc-4372-a567-0e02b2c3d479", "", "XA\n", "Ｘ"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		checkID(t, s, ParseMemberID)
		checkID(t, s, ParseCommunityID)
		checkID(t, s, ParseTaskForceID)
		checkID(t, s, ParsePortionID)
		checkID(t, s, ParseID)
		checkID(t, s, ParseAudience)
		if _, err := Date(s).Time(); err == nil && len(s) != len("2027-03-31") {
			t.Fatalf("a date %q", s)
		}
	})
}

// checkID requires that an id is what was read, in characters that need no
// escape in JSON, a URL or a log, and that JSON reads exactly the same ids.
func checkID[T ~string](t *testing.T, s string, parse func(string) (T, error)) {
	v, err := parse(s)
	if err != nil {
		if !isRefusal(err) || v != "" {
			t.Fatalf("%q: %v", s, err)
		}
	} else if string(v) != s {
		t.Fatalf("%q read as %q", s, v)
	}
	for _, r := range string(v) {
		if !(r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || r == '-') {
			t.Fatalf("%q accepted", s)
		}
	}
	var fromJSON T
	b, _ := json.Marshal(s)
	jerr := json.Unmarshal(b, &fromJSON)
	if (jerr == nil) != (err == nil) || fromJSON != v {
		t.Fatalf("%q: parsed %v, from JSON %v", s, err, jerr)
	}
}

func FuzzParsePlan(f *testing.F) {
	f.Add([]byte(`{"expires_in":"720h","portions":[{"id":"p1","label":` + canonical + `,"objects":["*"]}]}`))
	f.Add([]byte(`{"portions":[{"id":"p1","label":{"marked_as":"XA-GEHEIM","categories":["visa"],"purposes":["humanitarian"],"personal_data":"none"},"objects":["*"]}]}`))
	f.Fuzz(func(t *testing.T, data []byte) { roundTrip(t, data, ParsePlan) })
}
