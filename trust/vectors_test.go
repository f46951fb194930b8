package trust

import (
	"bytes"
	"encoding/json"
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/entente-hub/entente/api/alert"
	"github.com/entente-hub/entente/api/strictjson"
	"github.com/entente-hub/entente/crypto/keys"
)

const vectorDir = "../crypto/testdata/vectors/alerts/"

var update = flag.Bool("update", false, "write the vectors of alerts anew; frozen bytes only where there are none")

// vector is a file of testdata/vectors/alerts: see the README there.
type vector struct {
	Name       string          `json:"name"`
	Statements []string        `json:"statements"`
	Authority  json.RawMessage `json:"authority"`
	Token      string          `json:"token"`
	Expect     string          `json:"expect"`
	Hidden     *int            `json:"hidden,omitempty"`
	Portions   []vectorPortion `json:"portions,omitempty"`
}

type vectorPortion struct {
	ID      alert.PortionID `json:"id"`
	Kind    string          `json:"kind"`
	Label   json.RawMessage `json:"label,omitempty"`
	Content json.RawMessage `json:"content,omitempty"`
}

// play does what a vector says and returns the outcome.
func (v vector) play(t testing.TB) (*VerifiedAlert, string) {
	t.Helper()
	pub, err := keys.ParsePublicKey(v.Authority)
	if err != nil {
		t.Fatal(err)
	}
	d := New(pub)
	for _, s := range v.Statements {
		if d, err = d.With(now, []byte(s)); err != nil {
			return nil, outcome(err)
		}
	}
	a, err := d.VerifyAlert(v.Token)
	if (a == nil) != (err != nil) {
		t.Fatalf("%v with %v", a, err)
	}
	return a, outcome(err)
}

func TestAlertVectors(t *testing.T) {
	files, err := filepath.Glob(vectorDir + "*.json")
	if err != nil || len(files) == 0 {
		t.Fatalf("%d vectors, %v", len(files), err)
	}
	readme, err := os.ReadFile(vectorDir + "README.md")
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range files {
		data, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		var v vector
		if err := strictjson.Unmarshal(data, &v); err != nil { // an unknown member is an error
			t.Fatalf("%s: %v", file, err)
		}
		t.Run(v.Name, func(t *testing.T) {
			if v.Name != strings.TrimSuffix(filepath.Base(file), ".json") {
				t.Errorf("%s holds %q", file, v.Name)
			}
			if !bytes.Contains(readme, []byte("| `"+v.Expect+"` |")) {
				t.Errorf("the README does not explain %s", v.Expect)
			}
			a, got := v.play(t)
			if got != v.Expect {
				t.Fatalf("%s, want %s", got, v.Expect)
			}
			if (v.Hidden != nil) != (got == "ok") || v.Portions != nil && got != "ok" {
				t.Fatal("hidden and portions go with ok, and with nothing else")
			}
			if a == nil {
				return
			}
			if a.Hidden != *v.Hidden {
				t.Errorf("hidden %d, want %d", a.Hidden, *v.Hidden)
			}
			if diff := cmp.Diff(compacted(t, v.Portions), compacted(t, portionsRead(t, a.Portions))); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func portionsRead(t testing.TB, portions []alert.Portion) (out []vectorPortion) {
	t.Helper()
	for _, p := range portions {
		v := vectorPortion{ID: p.ID, Kind: "existence"}
		if p.Content != nil {
			content, err := json.Marshal(p.Content)
			if err != nil {
				t.Fatal(err)
			}
			v.Kind, v.Label, v.Content = "content", p.Label.Canonical(), content
		}
		out = append(out, v)
	}
	return out
}

// compacted compares as JSON, numbers by their digits and members in order.
func compacted(t testing.TB, v any) string {
	t.Helper()
	data, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}

// writeVector compares a file with what is made, or with -update writes it.
func writeVector(t testing.TB, file string, v any, frozen bool) {
	t.Helper()
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	e.SetIndent("", "  ")
	if err := e.Encode(v); err != nil {
		t.Fatal(err)
	}
	have, err := os.ReadFile(vectorDir + file)
	switch {
	case err == nil && bytes.Equal(have, b.Bytes()):
	case *update && (!frozen || os.IsNotExist(err)):
		if err := os.WriteFile(vectorDir+file, b.Bytes(), 0o644); err != nil {
			t.Fatal(err)
		}
	case frozen:
		t.Errorf("%s: the bytes on the wire have changed (%v):\n%s", file, err, b.Bytes())
	default:
		t.Errorf("%s differs (%v): run go test ./trust -update", file, err)
	}
}

// TestAlertVectorsAreReproducible makes the vectors, and compares them with the
// files.
func TestAlertVectorsAreReproducible(t *testing.T) {
	made := make(map[string]bool)
	for _, v := range makeVectors(t) {
		if made[v.Name+".json"] {
			t.Errorf("%s made twice", v.Name)
		}
		made[v.Name+".json"] = true
		writeVector(t, v.Name+".json", v, false)
	}
	files, err := filepath.Glob(vectorDir + "*.json")
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range files {
		if !made[filepath.Base(file)] {
			t.Errorf("%s is made by nothing", file)
		}
	}
}
