package sdjwt

import (
	"context"
	"encoding/json"
	"errors"
	"math"
	"regexp"
	"slices"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/entente-hub/entente/crypto/keys"
	"github.com/google/go-cmp/cmp"
)

// counter is a source of bytes that count up from 0.
type counter struct{ next byte }

func (c *counter) Read(b []byte) (int, error) {
	for i := range b {
		b[i] = c.next
		c.next++
	}
	return len(b), nil
}

// TestFrozenBytes holds every byte of a token: what is issued today has to
// verify, under the same digests, for as long as tokens are kept. The expected
// bytes were computed by another program.
func TestFrozenBytes(t *testing.T) {
	claims := map[string]any{
		"iss":   "XA",
		"label": Conceal{json.RawMessage(`{ "level": 1.0 }`)},
		"portions": Padded{Multiple: 2, Elements: []any{
			map[string]any{"id": 1, "content": Conceal{"<ä>"}},
		}},
	}
	payload, disclosures, err := Prepare(claims, Options{Random: &counter{}})
	if err != nil {
		t.Fatal(err)
	}
	wantPayload := `{"iss":"XA","portions":[` +
		`{"...":"` + frozenPortion + `"},` +
		`{"...":"` + frozenDecoy + `"}],` + // SHA-256 of base64url of 0x30 … 0x4f
		`"_sd":["` + frozenLabel + `"],"_sd_alg":"sha-256"}`
	if diff := cmp.Diff(wantPayload, string(payload)); diff != "" {
		t.Error(diff)
	}
	wantDisclosures := []string{
		`["AAECAwQFBgcICQoLDA0ODw","label",{ "level": 1.0 }]`,                 // salt 0x00 … 0x0f
		`["EBESExQVFhcYGRobHB0eHw",{"id":1,"_sd":["` + frozenContent + `"]}]`, // salt 0x10 … 0x1f
		`["ICEiIyQlJicoKSorLC0uLw","content","<ä>"]`,                          // salt 0x20 … 0x2f
	}
	for i, d := range disclosures {
		got, err := decode(d)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(wantDisclosures[i], string(got)); diff != "" {
			t.Error(diff)
		}
	}
	key := fixedEd25519(t, "XA")
	token := mustIssue(t, key, claims, Options{Random: &counter{}})
	if diff := cmp.Diff(frozenToken, token); diff != "" {
		t.Error(diff)
	}
	checkFrozenView(t, mustVerify(t, key, frozenToken))
}

const (
	frozenLabel   = "rqekIsTKvGpRKHRF1KomNQDUSbzkMPAtQ3Pjt3Scp8M"
	frozenPortion = "gs8ik3KJHxPzoh1w-CgIoLq9VMVaa5ScFj0IznTRvMU"
	frozenContent = "TpweaSECADREDL93CMee0Xw6gz7ZAgz153tVdqqCZF0"
	frozenDecoy   = "f83nC9hdXQsHEZE_8X6ONhcwXB2CfSt9S1XjhVCHGFo"
	frozenToken   = "eyJhbGciOiJFZERTQSIsImtpZCI6IlhBL2w2TURiQVF4dVhkYmcxVVJkMXc3TWJTNEZHbnBZX09lMUd4YVo4VzBTSHMiLCJ0eXAiOiJleGFtcGxlK3NkLWp3dCJ9." +
		"eyJpc3MiOiJYQSIsInBvcnRpb25zIjpbeyIuLi4iOiJnczhpazNLSkh4UHpvaDF3LUNnSW9McTlWTVZhYTVTY0ZqMEl6blRSdk1VIn0seyIuLi4iOiJmODNuQzloZFhRc0hFWkVfOFg2T05oY3dYQjJDZlN0OVMxWGpoVkNIR0ZvIn1dLCJfc2QiOlsicnFla0lzVEt2R3BSS0hSRjFLb21OUURVU2J6a01QQXRRM1BqdDNTY3A4TSJdLCJfc2RfYWxnIjoic2hhLTI1NiJ9." +
		"uNSRlD2AEgNjsvB76oL4sNvbeBCAwzDd5DUd06ZAAygmbWaP7lfMJoCxocBXj0upNfMXUsm1VlzPWtqg5i6BBA~" +
		"WyJBQUVDQXdRRkJnY0lDUW9MREEwT0R3IiwibGFiZWwiLHsgImxldmVsIjogMS4wIH1d~" +
		"WyJFQkVTRXhRVkZoY1lHUm9iSEIwZUh3Iix7ImlkIjoxLCJfc2QiOlsiVHB3ZWFTRUNBRFJFREw5M0NNZWUwWHc2Z3o3WkFnejE1M3RWZHFxQ1pGMCJdfV0~" +
		"WyJJQ0VpSXlRbEppY29LU29yTEMwdUx3IiwiY29udGVudCIsIjzDpD4iXQ~"
)

func checkFrozenView(t *testing.T, v *Verified) {
	t.Helper()
	want := []Disclosure{
		{Digest: frozenLabel, Salt: "AAECAwQFBgcICQoLDA0ODw", Name: "label",
			Value: json.RawMessage(`{ "level": 1.0 }`), Parent: -1, Pointer: "/label"},
		{Digest: frozenPortion, Salt: "EBESExQVFhcYGRobHB0eHw", Element: true,
			Value: json.RawMessage(`{"id":1,"_sd":["` + frozenContent + `"]}`), Parent: -1, Pointer: "/portions/0"},
		{Digest: frozenContent, Salt: "ICEiIyQlJicoKSorLC0uLw", Name: "content",
			Value: json.RawMessage(`"<ä>"`), Parent: 1, Pointer: "/content"},
	}
	got := slices.Clone(v.Disclosures)
	for i := range got {
		got[i].Encoded = ""
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	wantElements := []Element{
		{Index: 0, Digest: frozenPortion, Disclosure: 1, Value: want[1].Value},
		{Index: 1, Digest: frozenDecoy, Disclosure: -1},
	}
	if diff := cmp.Diff(wantElements, v.Elements("portions")); diff != "" {
		t.Error(diff)
	}
	if v.Elements("iss") != nil || v.Elements("label") != nil {
		t.Error("elements of what is no array in the clear")
	}
	for i, d := range v.Children(1) {
		if i != 2 || d.Name != "content" {
			t.Errorf("child %d %q", i, d.Name)
		}
	}
	claims := `{"iss":"XA","portions":[{"id":1,"content":"<ä>"}],"label":{ "level": 1.0 }}`
	if diff := cmp.Diff(claims, string(v.Claims())); diff != "" {
		t.Error(diff)
	}
}

func TestPrepareRefuses(t *testing.T) {
	deep := any("x")
	for range MaxDepth {
		deep = []any{deep}
	}
	many := make([]any, MaxDisclosures+1)
	for name, test := range map[string]struct {
		claims map[string]any
		want   error
	}{
		"reserved _sd":          {map[string]any{"_sd": 1}, ErrReservedName},
		"reserved _sd_alg":      {map[string]any{"_sd_alg": "sha-256"}, ErrReservedName},
		"reserved dots, nested": {map[string]any{"a": Conceal{map[string]any{"...": 1}}}, ErrReservedName},
		"reserved concealed":    {map[string]any{"_sd": Conceal{1}}, ErrReservedName},
		"reserved in raw":       {map[string]any{"a": json.RawMessage(`[{"_\u0073d":[]}]`)}, ErrReservedName},
		"reserved in struct":    {map[string]any{"a": struct{ A map[string]int }{map[string]int{"...": 1}}}, ErrReservedName},
		"mark in a struct":      {map[string]any{"a": struct{ A any }{Conceal{1}}}, ErrMalformed},
		"mark in a typed slice": {map[string]any{"a": []Conceal{{1}}}, ErrMalformed},
		"pointer to a mark":     {map[string]any{"a": &Conceal{1}}, ErrMalformed},
		"padded in a struct":    {map[string]any{"a": struct{ A any }{Padded{}}}, ErrMalformed},
		"mark in a mark":        {map[string]any{"a": Conceal{Conceal{1}}}, ErrMalformed},
		"no multiple":           {map[string]any{"a": Padded{}}, ErrMalformed},
		"multiple too large":    {map[string]any{"a": Padded{Multiple: MaxPaddedMultiple + 1}}, ErrMalformed},
		"not JSON":              {map[string]any{"a": json.RawMessage(`{`)}, ErrMalformed},
		"two values":            {map[string]any{"a": json.RawMessage(`1,2`)}, ErrMalformed},
		"no value":              {map[string]any{"a": json.RawMessage(nil)}, ErrMalformed},
		"not a number":          {map[string]any{"a": math.NaN()}, ErrMalformed},
		"duplicate in raw":      {map[string]any{"a": Conceal{json.RawMessage(`{"x":1,"x":2}`)}}, ErrDuplicateName},
		"not UTF-8":             {map[string]any{"a": "\xff"}, ErrEncoding},
		"not UTF-8, name":       {map[string]any{"\xff": 1}, ErrEncoding},
		"not UTF-8, concealed":  {map[string]any{"\xff": Conceal{1}}, ErrEncoding},
		"not UTF-8, struct":     {map[string]any{"a": struct{ A string }{"\xff"}}, ErrEncoding},
		"not UTF-8, raw":        {map[string]any{"a": json.RawMessage("\"\xff\"")}, ErrEncoding},
		"too deep":              {map[string]any{"a": deep}, ErrTooDeep},
		"too deep, concealed":   {map[string]any{"a": Conceal{deep}}, ErrTooDeep},
		"too many":              {map[string]any{"a": Padded{Elements: many, Multiple: 1}}, ErrTooLarge},
		"too large":             {map[string]any{"a": Conceal{strings.Repeat("x", MaxTokenSize)}}, ErrTooLarge},
	} {
		t.Run(name, func(t *testing.T) {
			payload, disclosures, err := Prepare(test.claims, Options{})
			if !errors.Is(err, test.want) {
				t.Errorf("%v, want %v", err, test.want)
			}
			if payload != nil || disclosures != nil {
				t.Error("something is returned with the error")
			}
		})
	}
}

// What looks like a refused value, but is none.
func TestPrepareAccepts(t *testing.T) {
	key := fixedP256(t, "XB")
	for name, value := range map[string]any{
		"U+FFFD":             "\ufffd",
		"U+FFFD escaped":     json.RawMessage(`"\ufffd"`),
		"a backslash":        struct{ A string }{`\ufffd`},
		"a surrogate pair":   json.RawMessage(`"\ud83d\ude00"`),
		"a name with dots":   map[string]any{"....": 1, "__sd": 2},
		"reserved as a text": []any{"_sd", "..."},
		"nil map":            map[string]any(nil),
		"nil slice":          []any(nil),
	} {
		t.Run(name, func(t *testing.T) {
			v := mustVerify(t, key, mustIssue(t, key, map[string]any{"v": Conceal{value}}, Options{}))
			want, err := json.Marshal(map[string]any{"v": value})
			if err != nil {
				t.Fatal(err)
			}
			if diff := diffJSON(t, want, v.Claims()); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestDepthLimitIsReached(t *testing.T) {
	key := fixedEd25519(t, "XA")
	deep := any("x")
	for range MaxDepth - 1 {
		deep = []any{Conceal{deep}}
	}
	mustVerify(t, key, mustIssue(t, key, map[string]any{"a": Conceal{deep}}, Options{}))
}

func TestIssueErrors(t *testing.T) {
	key := fixedEd25519(t, "XA")
	claims := map[string]any{"a": Padded{Elements: []any{1}, Multiple: 4}}
	failing := errors.New("no entropy")
	for n := range 9 { // wherever the source fails
		source := &limited{n: n * 16, err: failing}
		if _, err := Issue(context.Background(), key, testTyp, claims, Options{Random: source}); !errors.Is(err, failing) {
			t.Errorf("after %d bytes: %v", n*16, err)
		}
	}
	if _, err := Issue(context.Background(), key, testTyp, claims, Options{Random: iotest.ErrReader(failing)}); !errors.Is(err, failing) {
		t.Error(err)
	}
	if _, err := Issue(context.Background(), key, "", claims, Options{}); !errors.Is(err, keys.ErrType) {
		t.Errorf("no typ: %v", err)
	}
	// Just below the limit without the signature, above it with.
	large := map[string]any{"a": strings.Repeat("x", MaxTokenSize*3/4)}
	if _, err := Issue(context.Background(), key, testTyp, large, Options{}); !errors.Is(err, ErrTooLarge) {
		t.Errorf("too large: %v", err)
	}
}

// limited fails after n bytes.
type limited struct {
	n   int
	err error
}

func (l *limited) Read(b []byte) (int, error) {
	if l.n < len(b) {
		return 0, l.err
	}
	l.n -= len(b)
	return len(b), nil
}

func TestDigestsAreSorted(t *testing.T) {
	claims := map[string]any{}
	for _, name := range strings.Split("abcdefghij", "") {
		claims[name] = Conceal{name}
	}
	payload, _, err := Prepare(claims, Options{})
	if err != nil {
		t.Fatal(err)
	}
	var p struct {
		Digests []string `json:"_sd"`
	}
	if err := json.Unmarshal(payload, &p); err != nil {
		t.Fatal(err)
	}
	if len(p.Digests) != len(claims) || !slices.IsSorted(p.Digests) {
		t.Errorf("not sorted: %v", p.Digests)
	}
}

// TestSaltsAreFresh: with the real source no salt comes twice, and equal
// values have different digests.
func TestSaltsAreFresh(t *testing.T) {
	salts, digests := map[string]bool{}, map[string]bool{}
	for range 200 {
		_, disclosures, err := Prepare(map[string]any{"a": []any{Conceal{1}, Conceal{1}}}, Options{})
		if err != nil {
			t.Fatal(err)
		}
		for _, d := range disclosures {
			data, _ := decode(d)
			array, err := parseDisclosure(data)
			if err != nil {
				t.Fatal(err)
			}
			salt, _ := array[0].text()
			if b, err := decode(salt); err != nil || len(b) != saltSize {
				t.Fatalf("salt %q", salt)
			}
			salts[salt], digests[Digest(d)] = true, true
		}
	}
	if len(salts) != 400 || len(digests) != 400 {
		t.Errorf("%d salts, %d digests of 400", len(salts), len(digests))
	}
}

var placeholderForm = regexp.MustCompile(`^\{"\.\.\.":"[A-Za-z0-9_-]{42}[AEIMQUYcgkosw048]"\}$`)

// TestDecoysLookReal: a withheld element and a decoy have the same form, and
// each bit of either kind of digest is set about half of the time.
func TestDecoysLookReal(t *testing.T) {
	const rounds, sigmas = 2000, 6.0
	random := seeded("decoys")
	var ones [2][256]float64 // real, decoy
	var total [2]float64
	for range rounds {
		payload, disclosures, err := Prepare(map[string]any{"a": Padded{Elements: []any{1, 2}, Multiple: 4}}, Options{Random: random})
		if err != nil {
			t.Fatal(err)
		}
		root, err := parseObject(payload)
		if err != nil {
			t.Fatal(err)
		}
		elements := root.member("a").elements
		if len(elements) != 4 {
			t.Fatalf("%d elements, want 4", len(elements))
		}
		for _, e := range elements {
			if !placeholderForm.Match(e.raw) {
				t.Fatalf("form of %s", e.raw)
			}
			digest, _ := e.member(nameElement).text()
			kind := 1
			if slices.ContainsFunc(disclosures, func(d string) bool { return Digest(d) == digest }) {
				kind = 0
			}
			bits, _ := decode(digest)
			total[kind]++
			for i := range 256 {
				ones[kind][i] += float64(bits[i/8] >> (i % 8) & 1)
			}
		}
	}
	for kind, n := range total {
		if n != 2*rounds {
			t.Fatalf("%v of kind %d", n, kind)
		}
		for i, count := range ones[kind] {
			if math.Abs(count-n/2) > sigmas*math.Sqrt(n/4) {
				t.Errorf("kind %d, bit %d: %v of %v", kind, i, count, n)
			}
		}
	}
}

// TestPositionsAreUniform: an element is as often in one place as in another.
func TestPositionsAreUniform(t *testing.T) {
	const rounds, sigmas = 4000, 6.0
	random := seeded("positions")
	var at [2][4]float64
	for range rounds {
		payload, disclosures, err := Prepare(map[string]any{"a": Padded{Elements: []any{1, 2}, Multiple: 4}}, Options{Random: random})
		if err != nil {
			t.Fatal(err)
		}
		for i, d := range disclosures {
			pos := slices.IndexFunc(strings.Split(string(payload), ","), func(s string) bool { return strings.Contains(s, Digest(d)) })
			at[i][pos]++
		}
	}
	for i := range at {
		for pos, n := range at[i] {
			if math.Abs(n-rounds/4) > sigmas*math.Sqrt(rounds*3.0/16) {
				t.Errorf("element %d at %d: %v of %d", i, pos, n, rounds)
			}
		}
	}
}

func TestPaddedSizes(t *testing.T) {
	for n := range 10 {
		for _, multiple := range []int{1, 4, 7} {
			payload, disclosures, err := Prepare(map[string]any{"a": Padded{Elements: make([]any, n), Multiple: multiple}}, Options{})
			if err != nil {
				t.Fatal(err)
			}
			root, err := parseObject(payload)
			if err != nil {
				t.Fatal(err)
			}
			want := max(1, (n+multiple-1)/multiple) * multiple
			if got := len(root.member("a").elements); got != want || len(disclosures) != n {
				t.Errorf("%d elements to multiples of %d: %d places, %d disclosures", n, multiple, got, len(disclosures))
			}
		}
	}
}
