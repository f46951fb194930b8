package firecheck

import (
	"encoding/base64"
	"encoding/hex"
	"go/parser"
	gotoken "go/token"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// TestApart: what judges a run imports nothing of the module that it judges.
func TestApart(t *testing.T) {
	files, err := filepath.Glob("*.go")
	if err != nil {
		t.Fatal(err)
	}
	looked := 0
	for _, name := range files {
		if strings.HasSuffix(name, "_test.go") {
			continue
		}
		looked++
		f, err := parser.ParseFile(gotoken.NewFileSet(), name, nil, parser.ImportsOnly)
		if err != nil {
			t.Fatal(err)
		}
		for _, i := range f.Imports {
			if strings.Contains(i.Path.Value, "entente-hub/entente") {
				t.Errorf("%s imports %s", name, i.Path.Value)
			}
		}
	}
	if looked == 0 {
		t.Error("there is nothing to look at")
	}
}

// TestTree holds the tree to the vectors of the Certificate Transparency project for
// RFC 6962.
func TestTree(t *testing.T) {
	leaves := []string{"", "00", "10", "2021", "3031", "40414243", "5051525354555657", "606162636465666768696a6b6c6d6e6f"}
	roots := map[int]string{
		0: "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
		1: "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
		2: "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
		3: "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77",
		5: "4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4",
		8: "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328",
	}
	var tr tree
	for i := range len(leaves) + 1 {
		root := tr.root()
		if want, ok := roots[i]; ok && hex.EncodeToString(root[:]) != want {
			t.Errorf("root of %d leaves: %x, want %s", i, root, want)
		}
		if i < len(leaves) {
			leaf, err := hex.DecodeString(leaves[i])
			if err != nil {
				t.Fatal(err)
			}
			tr.add(leaf)
		}
	}
}

// TestScanner: a marker is found wherever it stands, in the clear and in base64, also
// where chunks of a file meet; and nothing else is.
func TestScanner(t *testing.T) {
	const marker, other = "fire-0123456789abcdef0123456789abcdef", "fire-fedcba9876543210fedcba9876543210"
	s := newScanner()
	s.add(marker)
	for before := range 7 {
		for after := range 4 {
			text := strings.Repeat("\xff", before) + marker + strings.Repeat("\xfe", after)
			for name, data := range map[string]string{"plain": text, "base64url": base64.RawURLEncoding.EncodeToString([]byte(text)),
				"base64": base64.StdEncoding.EncodeToString([]byte(text))} {
				if found := s.in([]byte(data)); len(found) != 1 || !found[marker] {
					t.Errorf("%s, %d bytes before and %d after: %v", name, before, after, found)
				}
			}
		}
	}
	for _, text := range []string{"", other, marker[:len(marker)-1], marker[1:], base64.RawURLEncoding.EncodeToString([]byte(other))} {
		if found := s.in([]byte(text)); len(found) > 0 {
			t.Errorf("%q: %v", text, found)
		}
	}
	file := filepath.Join(t.TempDir(), "file")
	for _, at := range []int{0, 4<<20 - 20, 4 << 20, 4<<20 + s.longest - 1, 5 << 20} {
		data := append(make([]byte, at), marker...)
		if err := os.WriteFile(file, data, 0o600); err != nil {
			t.Fatal(err)
		}
		if found, err := s.file(file); err != nil || len(found) != 1 || found[marker] != int64(at) {
			t.Errorf("at %d: %v, %v", at, found, err)
		}
	}
}

// TestDuring: who adds to the worlds of a place changes no other place's.
func TestDuring(t *testing.T) {
	h := &history{entered: []int64{1, 3}, worlds: []*world{{pos: 1}, {pos: 2}, {pos: 3}}}
	if list := append(h.during(1), &world{pos: 9}); len(list) != 3 || h.worlds[2].pos != 3 {
		t.Errorf("%d worlds, and the last is %d", len(list), h.worlds[2].pos)
	}
}

// TestBrings: terms that have been others meanwhile are news, the same ones are none, nor is
// the existence of what is held.
func TestBrings(t *testing.T) {
	content := func(onward bool) release {
		return release{Portion: "a", Kind: kindContent, Obligations: &obligations{Onward: onward}}
	}
	exists := release{Portion: "a", Kind: kindExistence}
	of := func(list ...release) []*item {
		var out []*item
		for _, r := range list {
			out = append(out, &item{delivery: delivery{Releases: []release{r}}})
		}
		return out
	}
	for _, c := range []struct {
		now    release
		before []*item
		want   bool
	}{
		{content(true), of(), true},
		{content(true), of(content(true)), false},
		{content(true), of(content(true), content(false)), true},
		{content(true), of(exists), true},
		{exists, of(content(true)), false},
		{content(true), of(content(true), exists), false},
		{exists, of(exists), false},
	} {
		if got := brings([]release{c.now}, c.before); got != c.want {
			t.Errorf("%+v after %d: %t", c.now, len(c.before), got)
		}
	}
}

// TestOwnContent: an outbox has each portion of the member's own until its label's retention
// ends, whatever the alert's own end is.
func TestOwnContent(t *testing.T) {
	const now = 1_800_000_000
	ended, later := &label{Retention: "2026-01-01"}, &label{Retention: "2030-01-01"}
	for what, test := range map[string]struct {
		held []*label // of portions a and b; nil: not there
		want map[string]int
	}{
		"what has ended is there":      {[]*label{ended, later}, map[string]int{content: 1}},
		"what has ended is not there":  {[]*label{nil, later}, map[string]int{}},
		"what has not ended, neither":  {[]*label{nil, nil}, map[string]int{missing: 1}},
		"only what has ended is there": {[]*label{ended, nil}, map[string]int{content: 1, missing: 1}},
	} {
		o := &outgoing{state: "accepted", whole: !slices.Contains(test.held, nil), text: &token{payload: payload{Exp: now + 1000}}}
		v := &version{}
		for i, l := range []*label{ended, later} {
			id := string(rune('a' + i))
			v.portions = append(v.portions, portion{id, l})
			if l := test.held[i]; l != nil {
				o.text.portions = append(o.text.portions, shown{id: id, label: l, content: []byte("{}")})
			}
		}
		c := &checker{rep: newReport(), run: &run{CheckedAt: now * 1000}, scanner: newScanner(), allowed: make(map[string]map[string]bool),
			journal: &journal{phase: map[string]int64{"quiet": now * 1000}}, nodes: map[string]*nodeData{"XA": {}}, versions: map[name]*version{{}: v}}
		c.checkOwnContent("XA", o, false)
		if !maps.Equal(c.rep.Violations, test.want) {
			t.Errorf("%s: %v", what, c.rep.byClass)
		}
	}
}
