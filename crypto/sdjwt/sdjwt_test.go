package sdjwt

import (
	"errors"
	"strings"
	"testing"

	"github.com/entente-hub/entente/crypto/keys"
)

func TestLimitsOfParse(t *testing.T) {
	if _, err := Parse(strings.Repeat("A", MaxTokenSize+1)); !errors.Is(err, ErrTooLarge) {
		t.Errorf("too many bytes: %v", err)
	}
	if _, err := Parse(strings.Repeat("A", MaxTokenSize)); !errors.Is(err, ErrMalformed) {
		t.Errorf("just enough bytes: %v", err)
	}
	if _, err := Parse(strings.Repeat("~", MaxDisclosures+2)); !errors.Is(err, ErrTooLarge) {
		t.Errorf("too many tildes: %v", err)
	}
	if _, err := parseJSON([]byte(strings.Repeat("[", MaxTokenSize)), 0); !errors.Is(err, ErrMalformed) {
		t.Errorf("a pile of brackets: %v", err)
	}
}

// TestManyNames: duplicates are found beyond the number that are compared one
// by one.
func TestManyNames(t *testing.T) {
	var b strings.Builder
	b.WriteString("{")
	for i := range 60 {
		b.WriteString(`"` + strings.Repeat("x", i) + `":0,`)
	}
	for _, i := range []int{0, 14, 15, 16, 17, 59} {
		if _, err := parseJSON([]byte(b.String()+`"`+strings.Repeat("x", i)+`":0}`), 0); !errors.Is(err, ErrDuplicateName) {
			t.Errorf("name %d again: %v", i, err)
		}
	}
	if _, err := parseJSON([]byte(b.String()+`"y":0}`), 0); err != nil {
		t.Error(err)
	}
}

// TestSignedDigest: it depends on what was signed and on nothing else, be it a
// disclosure or another valid signature.
func TestSignedDigest(t *testing.T) {
	want := SignedDigest("h.p.s~a~b~")
	for _, same := range []string{"h.p.s~", "h.p.s~b~", "h.p.other~a~", "h.p.s"} {
		if SignedDigest(same) != want {
			t.Errorf("%s: another digest", same)
		}
	}
	for _, other := range []string{"h.q.s~", "g.p.s~", "", "h.p~", "hp.s~", "h.p.s.s~"} {
		if SignedDigest(other) == want {
			t.Errorf("%s: the same digest", other)
		}
	}
}

// TestLookupError: what the lookup says reaches the caller.
func TestLookupError(t *testing.T) {
	token := mustIssue(t, fixedEd25519(t, "XA"), map[string]any{}, Options{})
	failure := errors.New("registry unavailable")
	_, err := Verify(token, testTyp, func(string) (keys.PublicKey, error) { return keys.PublicKey{}, failure })
	if !errors.Is(err, failure) {
		t.Error(err)
	}
}

// TestVerifyToken: a Token verifies as its text does, and only as Parse made it.
func TestVerifyToken(t *testing.T) {
	key := fixedEd25519(t, "XA")
	token := mustIssue(t, key, map[string]any{"a": Conceal{1}}, Options{})
	other := mustIssue(t, key, map[string]any{"a": Conceal{2}}, Options{})
	parsed := func() *Token {
		p, err := Parse(token)
		if err != nil {
			t.Fatal(err)
		}
		return p
	}
	v, err := parsed().Verify(testTyp, lookup(key.public))
	if err != nil || string(v.Claims()) != `{"a":1}` || v.KeyID != key.public.KeyID() {
		t.Errorf("%v, %v", v, err)
	}
	if _, err := parsed().Verify("other", lookup(key.public)); !errors.Is(err, keys.ErrType) {
		t.Errorf("another typ: %v", err)
	}
	for name, change := range map[string]func(p *Token){
		"the JWS of another": func(p *Token) { p.JWS, _, _ = strings.Cut(other, "~") },
		"another payload":    func(p *Token) { p.Payload = []byte(`{}`) },
		"not from Parse":     func(p *Token) { *p = Token{JWS: p.JWS, Payload: p.Payload, Disclosures: p.Disclosures} },
	} {
		p := parsed()
		change(p)
		if v, err := p.Verify(testTyp, lookup(key.public)); !errors.Is(err, ErrMalformed) || v != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// TestReduceAsks: about each disclosure once, its parent first, and not about
// the children of what is dropped.
func TestReduceAsks(t *testing.T) {
	claims := map[string]any{"p": Padded{Multiple: 4, Elements: []any{
		map[string]any{"id": 1, "c": Conceal{map[string]any{"d": Conceal{1}}}},
		map[string]any{"id": 2, "c": Conceal{2}},
	}}}
	token := mustIssue(t, fixedEd25519(t, "XA"), claims, Options{})
	parts := strings.Split(token, "~")
	backwards := Assemble(parts[0], []string{parts[5], parts[4], parts[3], parts[2], parts[1]})
	for _, from := range []string{token, backwards} {
		var asked []string
		reduced, err := Reduce(from, func(d Disclosure) bool {
			asked = append(asked, d.Name+string(d.Value[:min(7, len(d.Value))]))
			return d.Name != "c" || string(d.Value) == "2"
		})
		if err != nil {
			t.Fatal(err)
		}
		if len(asked) != 4 {
			t.Errorf("asked %q", asked)
		}
		if n := strings.Count(reduced, "~"); n != 4 {
			t.Errorf("%d disclosures kept, want 3", n-1)
		}
	}
	if _, err := Reduce(token+"x", func(Disclosure) bool { return true }); !errors.Is(err, ErrMalformed) {
		t.Errorf("malformed: %v", err)
	}
}

func BenchmarkVerify(b *testing.B) {
	key := fixedEd25519(b, "XA")
	elements := []any{}
	for range 16 {
		elements = append(elements, map[string]any{
			"id": 1, "label": Conceal{map[string]any{"level": 2}},
			"content": Conceal{map[string]any{"text": strings.Repeat("x", 4000)}},
		})
	}
	token := mustIssue(b, key, map[string]any{"portions": Padded{Elements: elements, Multiple: 4}}, Options{})
	b.SetBytes(int64(len(token)))
	for b.Loop() {
		if _, err := Verify(token, testTyp, lookup(key.public)); err != nil {
			b.Fatal(err)
		}
	}
}
