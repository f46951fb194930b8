package strictjson

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// grammar are texts at the edges of RFC 8259.
var grammar = []string{
	`0`, `-0`, `-`, `--1`, `00`, `-01`, `1.`, `.1`, `-.1`, `1.0`, `1.05e-07`, `1e`, `1e+`, `1E-0`, `0e0`, `1e+-1`, `1.e1`, `0x1`, `1_0`, `١`, `Infinity`,
	`true`, `tru`, `truex`, `True`, `false`, `null`, `nulll`, `t`, `[true,false,null]`, `[truefalse]`,
	`""`, `"`, `"\"`, `"\\"`, `"\/\b\f\n\r\t\""`, `"\a"`, `"\x41"`, `"\u"`, `"\u00e"`, `"\u00G0"`, `"\u00e9"`, `"\U00e9"`, `"\ud83d\ude00"`, `"\uD83D\uDE0"`, `"\uD83D\u"`, `"\uD83D\`, `"\uD83Dxude00"`,
	"\"\t\"", "\"\x7f\u2028\"", "\"\x00\"", "\x00", "[1\x00]", "\v1", "\u00a01", "\f1", "1\u2028",
	`[]`, `[ ]`, `[,]`, `[1,]`, `[,1]`, `[1 2]`, `[1;2]`, `[[],[[]]]`, `[1`, `[`, `]`, `[}`, `[1}`,
	`{}`, `{ }`, `{,}`, `{"a"}`, `{"a":}`, `{"a":1,}`, `{"a":1 "b":2}`, `{"a":1,"b":2}`, `{"a",1}`, `{a:1}`, `{"a":1]`, `{"a"::1}`, `{"":1}`, `{"":1,"":2}`, `{"a":1,"b":{"a":1}}`,
	many(15, "n14"), many(16, "n15"), many(17, "n16"), many(17, "n0"), many(40, "n16"), many(40, "n39"), many(40, "x"), many(16, "x"), many(17, "x"),
}

// many is an object of n members and one more.
func many(n int, last string) string {
	var b strings.Builder
	for i := range n {
		fmt.Fprintf(&b, `"n%d":{"n0":1},`, i)
	}
	return `{` + b.String() + `"` + last + `":1}`
}

// TestGrammar: what is JSON, and has no fault of the other kinds, is accepted.
func TestGrammar(t *testing.T) {
	for _, in := range grammar {
		want := accepts([]byte(in), nil)
		if err := Check([]byte(in)); (err == nil) != want || err != nil && !errors.Is(err, ErrStrict) {
			t.Errorf("%.80q: %v, want acceptance %v", in, err, want)
		}
		for cut := range len(in) {
			if err := Check([]byte(in)[:cut:cut]); (err == nil) != accepts([]byte(in)[:cut], nil) {
				t.Errorf("%.80q: %v", in[:cut], err)
			}
		}
	}
}

func TestWalk(t *testing.T) {
	type seen struct {
		Depth             int
		Name, Value, Text string
	}
	var got []seen
	err := Walk([]byte(`{ "a" : "\u00e9" , "\u0062":[ {"a": 1.0 } ,"x"],"c":{ } , "d":null}`), func(m Member) {
		text, ok := m.Text()
		if ok != (m.Value[0] == '"') {
			t.Errorf("%s is a string: %v", m.Value, ok)
		}
		got = append(got, seen{m.Depth, string(m.Name), string(m.Value), text})
	})
	want := []seen{{1, "a", `"\u00e9"`, "é"}, {3, "a", "1.0", ""}, {1, "b", `[ {"a": 1.0 } ,"x"]`, ""}, {1, "c", "{ }", ""}, {1, "d", "null", ""}}
	if diff := cmp.Diff(want, got); err != nil || diff != "" {
		t.Errorf("%v (-want +got)\n%s", err, diff)
	}
	for _, tt := range refused {
		if err := Walk([]byte(tt.in), func(Member) {}); (err == nil) != (Check([]byte(tt.in)) == nil) {
			t.Errorf("%s: Walk says %v, Check otherwise", tt.name, err)
		}
	}
}

// tree contains itself, by a pointer, a list and a map.
type tree struct {
	Left *tree           `json:"left,omitempty"`
	Kids []tree          `json:"kids,omitempty"`
	By   map[string]tree `json:"by,omitempty"`
}

func TestRecursiveType(t *testing.T) {
	for in, why := range map[string]string{
		`{"left":{"kids":[{"by":{"k":{"left":{}}}}]}}`:           "",
		`{"left":{"kids":[{"by":{"k":{"Left":{}}}}]}}`:           "left.kids[0].by.k.Left: unknown field",
		`{"left":{"kids":[{"by":{"k":{"left":{},"left":{}}}}]}}`: "left.kids[0].by.k.left: name given twice",
		`{"left":{"kids":[{"by":{"k":null}}]}}`:                  "left.kids[0].by.k: null",
	} {
		var got, want tree
		err := Unmarshal([]byte(in), &got)
		if why != "" {
			if !errors.Is(err, ErrStrict) || !strings.Contains(err.Error(), why) {
				t.Errorf("%s: %v, want %q", in, err, why)
			}
			continue
		}
		if jerr := json.Unmarshal([]byte(in), &want); err != nil || jerr != nil || !cmp.Equal(got, want) {
			t.Errorf("%s: %v, %v", in, err, got)
		}
	}
}

// TestAllocations: a check costs no memory worth the name.
func TestAllocations(t *testing.T) {
	in := []byte(`{"a":[1,2.5e3,{"b":"c","d":"\u00e9"}],"e":{"f":null,"g":true,"h":[[],{}]}}`)
	if n := testing.AllocsPerRun(100, func() {
		if err := Check(in); err != nil {
			t.Fatal(err)
		}
	}); n > 1 {
		t.Errorf("%v allocations", n)
	}
}
