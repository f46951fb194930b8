package strictjson

import (
	"encoding/json"
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// level decodes itself from text, as the codes of a label do.
type level int

func (l *level) UnmarshalText(b []byte) error {
	if string(b) != "low" {
		return errors.New("no such level")
	}
	*l = 1
	return nil
}

type inner struct {
	Name string `json:"name,omitempty"`
	N    int    `json:"n,omitempty"`
}

type Embedded struct {
	Deep string `json:"deep,omitempty"`
}

type sample struct {
	Embedded
	ID      string             `json:"id,omitempty"`
	Count   int64              `json:"count,omitempty"`
	Small   int8               `json:"small,omitempty"`
	Ratio   float64            `json:"ratio,omitempty"`
	On      bool               `json:"on,omitempty"`
	List    []string           `json:"list,omitempty"`
	Items   []inner            `json:"items,omitempty"`
	Sub     *inner             `json:"sub,omitempty"`
	Map     map[string]inner   `json:"map,omitempty"`
	Raw     json.RawMessage    `json:"raw,omitempty"`
	Raws    []json.RawMessage  `json:"raws,omitempty"`
	Level   level              `json:"level,omitempty"`
	Pair    [2]int             `json:"pair,omitzero"`
	Bytes   []byte             `json:"bytes,omitempty"`
	Any     any                `json:"any,omitempty"`
	Ptrs    []*inner           `json:"ptrs,omitempty"`
	Nested  map[string][]inner `json:"nested,omitempty"`
	Dash    string             `json:"-,"` //lint:ignore SA5008 a member named "-" is what is tested
	Hidden  string             `json:"-"`
	Untaged string
}

func TestUnmarshalAccepts(t *testing.T) {
	one := &inner{Name: "x", N: 1}
	for in, want := range map[string]sample{
		`{}`:                       {},
		" {\t\"id\" : \"a\"\r\n} ": {ID: "a"},
		`{"id":"\ud83d\ude00"}`:    {ID: "😀"},
		`{"id":"\\ud800"}`:         {ID: `\ud800`},
		`{"id":"\u0069d"}`:         {ID: "id"},
		`{"\u0069d":"x"}`:          {ID: "x"},
		`{"count":-9223372036854775808,"small":-128,"ratio":1e3}`: {Count: -1 << 63, Small: -128, Ratio: 1000},
		`{"sub":{"name":"x","n":1},"ptrs":[{"name":"x","n":1}]}`:  {Sub: one, Ptrs: []*inner{one}},
		`{"map":{"ID":{"n":1},"id":{"n":2}}}`:                     {Map: map[string]inner{"ID": {N: 1}, "id": {N: 2}}},
		`{"raw":{"x":null,"X":1},"any":null}`:                     {Raw: json.RawMessage(`{"x":null,"X":1}`)},
		`{"any":{"a":[null]}}`:                                    {Any: map[string]any{"a": []any{nil}}},
		`{"level":"low","pair":[1,2],"bytes":"AAE="}`:             {Level: 1, Pair: [2]int{1, 2}, Bytes: []byte{0, 1}},
		`{"deep":"d","-":"dash","Untaged":"u"}`:                   {Embedded: Embedded{"d"}, Dash: "dash", Untaged: "u"},
	} {
		var got sample
		if err := Unmarshal([]byte(in), &got); err != nil {
			t.Errorf("%s: %v", in, err)
		} else if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s: (-want +got)\n%s", in, diff)
		}
	}
}

// Each of these encoding/json either accepts, or might.
var refused = []struct{ name, in, why string }{
	{"duplicate", `{"id":"a","id":"a"}`, "id: name given twice"},
	{"duplicate by escape", `{"id":"a","\u0069d":"b"}`, "id: name given twice"},
	{"duplicate in list", `{"items":[{},{"n":1,"n":2}]}`, "items[1].n: name given twice"},
	{"duplicate in map", `{"map":{"k":{},"k":{}}}`, "map.k: name given twice"},
	{"duplicate below map", `{"nested":{"k":[{"n":1,"n":1}]}}`, "nested.k[0].n: name given twice"},
	{"duplicate in raw", `{"raw":{"a":[{"b":1,"b":1}]}}`, "raw.a[0].b: name given twice"},
	{"duplicate in raw list", `{"raws":[1,{"b":1,"b":1}]}`, "raws[1].b: name given twice"},
	{"duplicate in any", `{"any":[[{"b":1,"b":1}]]}`, "any[0][0].b: name given twice"},
	{"upper case", `{"ID":"a"}`, "ID: unknown field"},
	{"case in pointer", `{"sub":{"Name":"a"}}`, "sub.Name: unknown field"},
	{"case in embedded", `{"Deep":"a"}`, "Deep: unknown field"},
	{"case by folding rune", `{"liſt":[]}`, "liſt: unknown field"},
	{"case of untagged", `{"untaged":"u"}`, "untaged: unknown field"},
	{"unknown", `{"idd":"a"}`, "idd: unknown field"},
	{"unknown in list", `{"items":[{"x":1}]}`, "items[0].x: unknown field"},
	{"unknown in pointer list", `{"ptrs":[{"x":1}]}`, "ptrs[0].x: unknown field"},
	{"hidden", `{"Hidden":"x"}`, "Hidden: unknown field"},
	{"garbling name", "{\"a\u202e\":1}", `"a\u202e": unknown field`},
	{"long name", `{"` + strings.Repeat("é", 100) + `":1}`, strings.Repeat("é", 32) + "…: unknown field"},
	{"null for everything", `null`, "the value: null"},
	{"null for string", `{"id":null}`, "id: null"},
	{"null for int", `{"count":null}`, "count: null"},
	{"null for bool", `{"on":null}`, "on: null"},
	{"null for list", `{"list":null}`, "list: null"},
	{"null in list", `{"list":["a",null]}`, "list[1]: null"},
	{"null for pointer", `{"sub":null}`, "sub: null"},
	{"null in pointers", `{"ptrs":[null]}`, "ptrs[0]: null"},
	{"null for map", `{"map":null}`, "map: null"},
	{"null in map", `{"map":{"k":null}}`, "map.k: null"},
	{"null for raw", `{"raw":null}`, "raw: null"},
	{"null in raws", `{"raws":[null]}`, "raws[0]: null"},
	{"null for text", `{"level":null}`, "level: null"},
	{"trailing value", `{} {}`, "data after"},
	{"trailing brace", `{}}`, "data after"},
	{"trailing comma", `{"id":"a",}`, ""},
	{"trailing comma in list", `{"list":["a",]}`, ""},
	{"trailing NUL", "{}\x00", "data after"},
	{"byte-order mark", "\ufeff{}", ""},
	{"comment", `{/**/}`, ""},
	{"single quotes", `{'id':'a'}`, ""},
	{"empty", ``, "unexpected EOF"},
	{"blank", " \n", "unexpected EOF"},
	{"cut off", `{"id":"a"`, ""},
	{"cut off list", `{"list":["a"`, ""},
	{"mismatched", `{"list":["a"}`, ""},
	{"missing comma", `{"list":["a" "b"]}`, ""},
	{"missing colon", `{"id" "a"}`, ""},
	{"number as name", `{1:2}`, ""},
	{"invalid UTF-8", "{\"id\":\"\xff\"}", "invalid UTF-8"},
	{"encoded surrogate", "{\"id\":\"\xed\xa0\x80\"}", "invalid UTF-8"},
	{"overlong", "{\"id\":\"\xc0\xaf\"}", "invalid UTF-8"},
	{"lone high surrogate", `{"id":"\ud800"}`, "lone surrogate"},
	{"lone low surrogate", `{"id":"\uDC00"}`, "lone surrogate"},
	{"high twice", `{"id":"\ud800\ud800"}`, "lone surrogate"},
	{"high and text", `{"id":"\ud800x\udc00"}`, "lone surrogate"},
	{"high and escape", `{"id":"\ud800\n"}`, "lone surrogate"},
	{"lone surrogate in a name", `{"\ud800":"a"}`, "lone surrogate"},
	{"lone surrogate after backslash", `{"id":"\\\ud800"}`, "lone surrogate"},
	{"bad escape", `{"id":"\u12g4"}`, ""},
	{"raw control", "{\"id\":\"a\nb\"}", ""},
	{"fraction", `{"count":1.0}`, "count: a number where int64 is wanted"},
	{"exponent", `{"count":1e3}`, "count: a number"},
	{"too large", `{"count":9223372036854775808}`, "count: a number"},
	{"too large for int8", `{"small":128}`, "small: a number"},
	{"huge", `{"count":` + strings.Repeat("9", 5000) + `}`, "count: a number where int64 is wanted"},
	{"float too large", `{"ratio":1e999}`, "ratio: a number"},
	{"leading zero", `{"count":01}`, ""},
	{"plus", `{"count":+1}`, ""},
	{"NaN", `{"ratio":NaN}`, ""},
	{"number in quotes", `{"count":"1"}`, "count: a string"},
	{"number for text", `{"level":1}`, "level: a number"},
	{"number for bool", `{"on":1}`, "on: a number"},
	{"object for list", `{"list":{}}`, "list: a object"},
	{"list for object", `{"sub":[]}`, "sub: a array"},
	{"list at top", `[]`, "the value: a array"},
	{"unknown code", `{"level":"LOW"}`, "no such level"},
	{"array too short", `{"pair":[1]}`, "pair: 1 elements where 2 are wanted"},
	{"array too long", `{"pair":[1,2,3]}`, "pair: 3 elements where 2 are wanted"},
	{"base64 with line break", `{"bytes":"AA\nE="}`, "bytes: not base64"},
	{"base64 with loose bits", `{"bytes":"AAF="}`, "bytes: not base64"},
}

func TestUnmarshalRefuses(t *testing.T) {
	for _, tt := range refused {
		t.Run(tt.name, func(t *testing.T) {
			before := sample{ID: "kept", List: []string{"a"}}
			got := before
			err := Unmarshal([]byte(tt.in), &got)
			if !errors.Is(err, ErrStrict) || !strings.Contains(err.Error(), tt.why) {
				t.Fatalf("error %v, want %q", err, tt.why)
			}
			if len(err.Error()) > 300 {
				t.Errorf("an error text of %d bytes", len(err.Error()))
			}
			if diff := cmp.Diff(before, got); diff != "" {
				t.Errorf("a refusal changed the target:\n%s", diff)
			}
		})
	}
}

func TestUnmarshalReplacesWhole(t *testing.T) {
	got := sample{ID: "old", Map: map[string]inner{"old": {}}, Sub: &inner{Name: "old"}}
	if err := Unmarshal([]byte(`{"sub":{"n":1},"map":{"new":{}}}`), &got); err != nil {
		t.Fatal(err)
	}
	want := sample{Sub: &inner{N: 1}, Map: map[string]inner{"new": {}}}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

func TestUnmarshalTarget(t *testing.T) {
	for _, v := range []any{nil, sample{}, (*sample)(nil)} {
		if err := Unmarshal([]byte(`{}`), v); err == nil || errors.Is(err, ErrStrict) {
			t.Errorf("into %T: %v; a programming error is not the input's", v, err)
		}
	}
}

func TestDepth(t *testing.T) {
	shapes := map[string]func(n int) string{
		"arrays":  func(n int) string { return strings.Repeat("[", n) + strings.Repeat("]", n) },
		"objects": func(n int) string { return strings.Repeat(`{"a":`, n-1) + "{}" + strings.Repeat("}", n-1) },
		"mixed": func(n int) string {
			return strings.Repeat(`[{"a":`, n/2) + strings.Repeat("[]", n%2) + strings.Repeat("0", 1-n%2) + strings.Repeat("}]", n/2)
		},
	}
	for name, shape := range shapes {
		var v any
		if err := Check([]byte(shape(MaxDepth))); err != nil {
			t.Errorf("%s at the limit: %v", name, err)
		}
		if err := Unmarshal([]byte(shape(MaxDepth)), &v); err != nil {
			t.Errorf("%s at the limit, typed: %v", name, err)
		}
		for _, n := range []int{MaxDepth + 1, 5000} {
			if err := Check([]byte(shape(n))); !errors.Is(err, ErrStrict) || !strings.Contains(err.Error(), "32 levels") {
				t.Errorf("%s, %d levels: %v", name, n, err)
			}
			if err := Unmarshal([]byte(shape(n)), &v); !errors.Is(err, ErrStrict) {
				t.Errorf("%s, %d levels, typed: %v", name, n, err)
			}
		}
	}
	raw := `{"raw":` + strings.Repeat("[", MaxDepth) + strings.Repeat("]", MaxDepth) + `}`
	if err := Unmarshal([]byte(raw), new(sample)); err == nil {
		t.Error("the levels around a raw value are not counted")
	}
}

func TestCheckAllowsNullAndAnyName(t *testing.T) {
	for _, in := range []string{`null`, `{"a":null,"A":[null]}`, `0`, `"x"`, `1e400`} {
		if err := Check([]byte(in)); err != nil {
			t.Errorf("%s: %v", in, err)
		}
	}
	for _, in := range []string{``, `nul`, `{"a":1,"a":1}`, `[1,]`, `[,]`, `{,}`, `1 2`, "\"\xff\"", `"\ud800"`, `[}`, `{]`, `01`} {
		if err := Check([]byte(in)); !errors.Is(err, ErrStrict) {
			t.Errorf("%s: %v", in, err)
		}
	}
}
