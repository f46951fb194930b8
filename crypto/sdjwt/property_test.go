package sdjwt

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// A world draws random claims.
type world struct {
	*rand.Rand
	marks int // Conceals so far, to stay below MaxDisclosures
	order int // elements of Padded so far
}

func (w *world) claims() map[string]any { return w.object(0) }

func (w *world) object(depth int) map[string]any {
	m := map[string]any{}
	names := []string{"a", "b", "ü", "x y", "~/", "\"q\"", "", "portions"}
	for _, i := range w.Perm(len(names))[:w.IntN(5)] {
		m[names[i]] = w.conceal(w.value(depth + 1))
	}
	return m
}

func (w *world) conceal(v any) any {
	if w.IntN(2) == 0 || w.marks > 40 {
		return v
	}
	w.marks++
	return Conceal{v}
}

func (w *world) value(depth int) any {
	kind := w.IntN(9)
	if depth > 4 {
		kind = w.IntN(6)
	}
	switch kind {
	case 0:
		return nil
	case 1:
		return w.IntN(2) == 0
	case 2:
		return w.Int64()
	case 3:
		return fmt.Sprintf("<%c&%d>", rune(w.IntN(0xd000)), w.IntN(10))
	case 4:
		return json.RawMessage(`{ "raw": [1.0, 1e3,"\u00fc" ], "n": ` + fmt.Sprint(w.IntN(9)) + `}`)
	case 5:
		return struct {
			Name string `json:"name"`
		}{"x"}
	case 6:
		return w.object(depth)
	case 7:
		array := []any{}
		for range w.IntN(4) {
			array = append(array, w.conceal(w.value(depth+1)))
		}
		return array
	default:
		return w.padded(depth)
	}
}

// padded draws an array whose elements are numbered, so that canonical can
// put them back into order.
func (w *world) padded(depth int) any {
	p := Padded{Multiple: 1 + w.IntN(5)}
	for range w.IntN(4) {
		if w.marks > 40 {
			break
		}
		w.marks++
		w.order++
		p.Elements = append(p.Elements, map[string]any{"#": w.order, "v": w.conceal(w.value(depth + 2))})
	}
	return p
}

// An oracle tells what claims a verifier should see, given which marks are
// disclosed. It counts them in the order that Prepare documents, and shares no
// code with it.
type oracle struct {
	disclosed func(i int) bool
	next      int
}

func (o *oracle) mark(v any) (projected any, seen bool) {
	i := o.next
	o.next++
	return o.project(v), o.disclosed(i)
}

func (o *oracle) project(v any) any {
	switch v := v.(type) {
	case map[string]any:
		out := map[string]any{}
		names := []string{}
		for name := range v {
			names = append(names, name)
		}
		slices.Sort(names)
		for _, name := range names {
			if c, ok := v[name].(Conceal); ok {
				if p, seen := o.mark(c.Value); seen {
					out[name] = p
				}
			} else {
				out[name] = o.project(v[name])
			}
		}
		return out
	case []any:
		out := []any{}
		for _, e := range v {
			if c, ok := e.(Conceal); ok {
				if p, seen := o.mark(c.Value); seen {
					out = append(out, p)
				}
			} else {
				out = append(out, o.project(e))
			}
		}
		return out
	case Padded:
		out := []any{}
		for _, e := range v.Elements {
			if p, seen := o.mark(e); seen {
				out = append(out, p)
			}
		}
		return out
	}
	return v
}

func expected(t *testing.T, claims map[string]any, disclosed func(int) bool) any {
	t.Helper()
	o := oracle{disclosed: disclosed}
	data, err := json.Marshal(o.project(claims))
	if err != nil {
		t.Fatal(err)
	}
	return canonical(anyJSON(t, data))
}

// canonical sorts the arrays that padded has made.
func canonical(v any) any {
	number := func(v any) string {
		m, _ := v.(map[string]any)
		n, _ := m["#"].(json.Number)
		return fmt.Sprintf("%9s", n)
	}
	switch v := v.(type) {
	case map[string]any:
		for name := range v {
			v[name] = canonical(v[name])
		}
	case []any:
		for i := range v {
			v[i] = canonical(v[i])
		}
		slices.SortStableFunc(v, func(a, b any) int { return strings.Compare(number(a), number(b)) })
	}
	return v
}

func TestRandomClaims(t *testing.T) {
	key := fixedEd25519(t, "XA")
	for n := range uint64(400) {
		w := &world{Rand: rand.New(rand.NewPCG(n, 1))}
		claims := w.claims()
		token := mustIssue(t, key, claims, Options{})
		full := mustVerify(t, key, token)
		if len(full.Disclosures) != w.marks {
			t.Fatalf("%d disclosures of %d marks", len(full.Disclosures), w.marks)
		}
		want := expected(t, claims, func(int) bool { return true })
		if diff := cmp.Diff(want, canonical(anyJSON(t, full.Claims()))); diff != "" {
			t.Fatalf("world %d: %s", n, diff)
		}

		index := map[string]int{}
		chosen := make([]bool, len(full.Disclosures))
		for i, d := range full.Disclosures {
			index[d.Digest], chosen[i] = i, w.IntN(3) > 0
			if d.Parent >= i {
				t.Fatal("a parent after its child")
			}
		}
		reordered := reorder(w.Rand, token)
		for _, from := range []string{token, reordered} {
			reduced, err := Reduce(from, func(d Disclosure) bool { return chosen[index[d.Digest]] })
			if err != nil {
				t.Fatal(err)
			}
			checkReduced(t, from, reduced)
			v := mustVerify(t, key, reduced)
			want := expected(t, claims, func(i int) bool { return chosen[i] })
			if diff := cmp.Diff(want, canonical(anyJSON(t, v.Claims()))); diff != "" {
				t.Fatalf("world %d reduced: %s", n, diff)
			}
		}
	}
}

// reorder shuffles the disclosures of a token.
func reorder(r *rand.Rand, token string) string {
	parts := strings.Split(strings.TrimSuffix(token, "~"), "~")
	disclosures := parts[1:]
	r.Shuffle(len(disclosures), func(i, j int) {
		disclosures[i], disclosures[j] = disclosures[j], disclosures[i]
	})
	return Assemble(parts[0], disclosures)
}

// checkReduced checks that the rest is as it was, and in the order it was in.
func checkReduced(t *testing.T, full, reduced string) {
	t.Helper()
	if SignedDigest(full) != SignedDigest(reduced) {
		t.Fatal("the signed part has changed")
	}
	rest := strings.Split(full, "~")
	for _, part := range strings.Split(reduced, "~") {
		at := slices.Index(rest, part)
		if at < 0 {
			t.Fatalf("%q is new or out of order", part)
		}
		rest = rest[at+1:]
	}
}

func TestAnyFlippedByteFails(t *testing.T) {
	key := fixedEd25519(t, "XA")
	token := mustIssue(t, key, map[string]any{
		"a":        Conceal{map[string]any{"b": Conceal{"c"}}},
		"portions": Padded{Elements: []any{"p"}, Multiple: 2},
	}, Options{Random: seeded("flip")})
	for i := range len(token) {
		for bit := range 8 {
			flipped := []byte(token)
			flipped[i] ^= 1 << bit
			if _, err := Verify(string(flipped), testTyp, lookup(key.public)); err == nil {
				t.Fatalf("byte %d, bit %d: verifies", i, bit)
			}
		}
	}
	for i := range len(token) {
		if _, err := Verify(token[:i], testTyp, lookup(key.public)); err == nil && token[i-1] != '~' {
			t.Fatalf("cut at %d: verifies", i)
		}
	}
}
