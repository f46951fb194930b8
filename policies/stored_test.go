package policies

import (
	"errors"
	"slices"
	"testing"

	"github.com/entente-hub/entente/api/alert"
)

func decided(t *testing.T, w *World, q Query) *Audience {
	t.Helper()
	a, err := w.Decide(t.Context(), q)
	if err != nil {
		t.Fatal(err)
	}
	return a
}

func TestStoredAudience(t *testing.T) {
	e := mustLoad(t)
	q := fixedQuery()
	q.Label.Compartments = []alert.TaskForceID{"tf-one"}
	q.Label.DiscoverableTo = []alert.Audience{"federation"}
	w := fixedWorld()
	now := decided(t, mustWorld(t, e, w), q)
	if got, want := string(now.Marshal()), "1\nXB\nXC"; got != want {
		t.Errorf("%q, want %q", got, want)
	}
	delete(w.Members, "XD")
	w.Revision = "without XD"
	smaller := decided(t, mustWorld(t, e, w), q)
	for _, c := range []struct {
		name       string
		stored     []byte
		more, less []alert.MemberID
	}{
		{"nothing stored", nil, []alert.MemberID{"XB", "XC"}, nil},
		{"nobody had anything", []byte("1\n\n"), []alert.MemberID{"XB", "XC"}, nil},
		{"the same", now.Marshal(), nil, nil},
		{"others", []byte("1\nXC XD\nXB"), []alert.MemberID{"XB"}, []alert.MemberID{"XC", "XD"}},
		{"strangers", []byte("1\nAA XB ZZ\nXC"), nil, []alert.MemberID{"AA", "ZZ"}},
	} {
		for _, a := range []*Audience{now, smaller} {
			more, less, err := Gained(c.stored, a)
			if err != nil || !slices.Equal(more, c.more) || !slices.Equal(less, c.less) {
				t.Errorf("%s: more %v, less %v, %v", c.name, more, less, err)
			}
		}
	}
}

func TestStoredAudienceIsReadStrictly(t *testing.T) {
	now := decided(t, mustWorld(t, mustLoad(t), fixedWorld()), fixedQuery())
	for _, bad := range []string{"", "1", "1\n", "2\n\n", "1\n\n\n", "1\nxb\n", "1\nXB XA\n", "1\nXB XB\n", "1\nXB\nXB",
		"1\nXA  XB\n", "1\n XA\n", "1\nXA \n", "1\nfederation\n", "1\r\n\r\n"} {
		if _, _, err := Gained([]byte(bad), now); !errors.Is(err, ErrStored) {
			t.Errorf("%q: error %v", bad, err)
		}
	}
}

// FuzzStoredAudience: what is read is written back as the same bytes.
func FuzzStoredAudience(f *testing.F) {
	for _, s := range []string{"1\n\n", "1\nXA XB\nXC", "1\nEUROPOL XA\n", "1\n\nXA", "2\n\n", "1\nXB XA\n", "1\nXA\nXA"} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, stored []byte) {
		content, existence, err := unmarshal(stored)
		if err != nil {
			if !errors.Is(err, ErrStored) {
				t.Errorf("error %v", err)
			}
			return
		}
		if got := marshal(content, existence); string(got) != string(stored) {
			t.Errorf("%q is written back as %q", stored, got)
		}
	})
}

// TestGainedAgreesWithBothDecisions compares what is stored of one world with a
// decision in another, by the kinds that each member has in both.
func TestGainedAgreesWithBothDecisions(t *testing.T) {
	r, e := newRand(t), mustLoad(t)
	seen := 0
	for range 300 {
		g, fw := newWorld(r)
		other := mutated(g, fw)
		before, after := mustWorld(t, e, fw), mustWorld(t, e, other)
		for range 3 {
			q := g.query(t)
			a, b := decided(t, before, q), decided(t, after, q)
			more, less, err := Gained(a.Marshal(), b)
			if err != nil || !slices.IsSorted(more) || !slices.IsSorted(less) {
				t.Fatalf("more %v, less %v, %v", more, less, err)
			}
			everybody := slices.Concat(before.members, after.members)
			slices.Sort(everybody)
			for _, m := range slices.Compact(everybody) {
				rose, fell := rank(b.Of(m)) > rank(a.Of(m)), rank(b.Of(m)) < rank(a.Of(m))
				if slices.Contains(more, m) != rose || slices.Contains(less, m) != fell {
					t.Fatalf("%s had %s and has %s: more %v, less %v", m, a.Of(m), b.Of(m), more, less)
				}
				if rose || fell {
					seen++
				}
			}
		}
	}
	if seen < 50 {
		t.Errorf("%d changes: the test has no bite", seen)
	}
}
