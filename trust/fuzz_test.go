package trust

import (
	"bytes"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/entente-hub/entente/api/alert"
	"github.com/entente-hub/entente/api/feed"
	"github.com/entente-hub/entente/api/problem"
)

// FuzzVerifyAlert: a refusal has one of the documented kinds. What verifies was
// signed by XA or XB, whose keys are not in the fuzzer's hands: so its signed part
// is one of the seeds', and it says nothing that its seed does not say.
func FuzzVerifyAlert(f *testing.F) {
	d := trial(f)
	signed := make(map[string]map[alert.PortionID]alert.Portion) // by JWS
	for _, v := range makeVectors(f) {
		f.Add(v.Token)
		if a, err := d.VerifyAlert(v.Token); err == nil {
			jws, _, _ := strings.Cut(v.Token, "~")
			if len(a.Portions) >= len(signed[jws]) {
				signed[jws] = told(f, a.Portions)
			}
		}
	}
	f.Fuzz(func(t *testing.T, token string) {
		a, err := d.VerifyAlert(token)
		if err != nil {
			if kind := problem.KindOf(err); kind != problem.Malformed && kind != problem.BadSignature && kind != problem.TooLarge || a != nil {
				t.Fatalf("%v with %v", a, err)
			}
			return
		}
		jws, _, _ := strings.Cut(token, "~")
		all, found := signed[jws]
		if !found {
			t.Fatal("another signed part verifies")
		}
		for id, p := range told(t, a.Portions) {
			said := all[id]
			if p.Label == nil {
				said.Label, said.Content = nil, nil
			}
			if diff := cmp.Diff(said, p); diff != "" {
				t.Fatal(diff)
			}
		}
	})
}

// FuzzReduceAlert: whatever is reduced says no more than was released, and reduces
// to itself.
func FuzzReduceAlert(f *testing.F) {
	for i, v := range makeVectors(f) {
		f.Add(v.Token, uint8(i))
	}
	f.Fuzz(func(t *testing.T, token string, choice uint8) {
		kinds := []feed.Kind{feed.Content, feed.Existence, feed.None, ""}
		releases := map[alert.PortionID]feed.Kind{"one": kinds[choice%4], "two": kinds[choice/4%4]}
		reduced, err := ReduceAlert(token, releases)
		if err != nil {
			if kind := problem.KindOf(err); kind != problem.Malformed && kind != problem.TooLarge {
				t.Fatal(err)
			}
			return
		}
		jws, _, _ := strings.Cut(token, "~")
		if !strings.HasPrefix(reduced, jws+"~") {
			t.Fatal("the signed part has changed")
		}
		again, err := ReduceAlert(reduced, releases)
		if err != nil || again != reduced {
			t.Fatalf("reduced again: %v", err)
		}
		portions, err := ReadPortions(reduced)
		if err != nil {
			return // of a token that never verified
		}
		for _, p := range portions {
			kind := releases[p.ID]
			if kind != feed.Content && kind != feed.Existence || kind == feed.Existence && p.Content != nil {
				t.Fatalf("%s got %q", p.ID, kind)
			}
		}
	})
}

// FuzzVerify: nothing but what was signed is taken in, and each refusal has one
// of the documented kinds.
func FuzzVerify(f *testing.F) {
	d := trial(f)
	seeds := [][]byte{
		next(f, d, registry(), authority), next(f, d, roster("XB"), root("XA")),
		next(f, d, certify("XB", named("XB", "spare")), root("XB")),
		next(f, d, agree("bc", "XB", "XC"), root("XB"), root("XC")),
		next(f, d, agree("bc", "XB", "XC"), root("XB")),
		next(f, d, suspend("ab", "XA", true), node("XA")), next(f, d, consent("XA", "XB"), node("XA")),
		next(f, d, policy(digestOf("1")), officer1, officer2), next(f, d, policy(digestOf("1")), officer1, officer1b),
		mustHead(f, d, "agreement", "ab").Raw, []byte(`{"payload":"e30","signatures":[]}`),
	}
	var good [][]byte
	for _, raw := range seeds {
		f.Add(raw)
		if _, err := d.Verify(now, raw); err == nil {
			good = append(good, raw)
		}
	}
	if len(good) != 8 {
		f.Fatalf("%d good seeds", len(good))
	}
	documented := []problem.Kind{problem.TooLarge, problem.Malformed, problem.BadSignature, problem.NotYetValid,
		problem.Conflict, problem.Fork, problem.Unavailable}
	f.Fuzz(func(t *testing.T, raw []byte) {
		s, err := d.Verify(now, raw)
		n, takeErr := d.With(now, raw)
		if outcome(err) != outcome(takeErr) {
			t.Fatalf("Verify: %v, With: %v", err, takeErr)
		}
		if err != nil {
			if !slices.Contains(documented, problem.KindOf(err)) {
				t.Fatal(err)
			}
			return
		}
		if !slices.ContainsFunc(good, func(g []byte) bool { return bytes.Equal(g, raw) }) {
			t.Fatalf("never signed: %s", raw)
		}
		if !n.Holds(s.Digest) {
			t.Fatal("not taken in")
		}
	})
}
