package policies

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"encoding/json"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/entente-hub/entente/api/alert"
	"github.com/entente-hub/entente/api/feed"
)

// told is all that a world says of a query, for everybody, as bytes.
func told(t *testing.T, w *World, q Query, iat, exp int64) (*Audience, []byte) {
	t.Helper()
	a := mustDecide(t, w, q)
	said := struct {
		Content, Existence []alert.MemberID
		Refused            map[string][]alert.MemberID
		Reasons            map[alert.MemberID]string
		Releases           map[alert.MemberID]feed.Release
		Stored             string
	}{a.Content(), a.Existence(), a.Refused(), make(map[alert.MemberID]string), make(map[alert.MemberID]feed.Release), string(a.Marshal())}
	for m := range a.All() {
		said.Reasons[m], said.Releases[m] = a.Reason(m), w.Release(a, m, "p", q, iat, exp)
	}
	b, err := json.Marshal(said)
	if err != nil {
		t.Fatal(err)
	}
	return a, b
}

// evict makes a world forget all that it remembers.
func evict(w *World) {
	for i := range uint64(MaxRemembered) {
		d, first := w.memo.get(sha256.Sum256(binary.BigEndian.AppendUint64(nil, i)))
		if first {
			w.memo.finish(d)
		}
	}
}

// variant changes some of a query, often what the answer does not rest on.
func (g *gen) variant(t *testing.T, w *World, q Query) Query {
	t.Helper()
	other := g.query(t)
	switch g.IntN(8) {
	case 0, 1:
		q.Alert = other.Alert
	case 2, 3:
		q.Label.Retention = alert.Date([]string{"", "2027-03-01", "2028-01-01"}[g.IntN(3)])
	case 4:
		q.Originator = other.Originator
	case 5:
		q.Label.Compartments = other.Label.Compartments
	case 6:
		q.Sources = make(map[alert.ID]alert.MemberID)
		for _, id := range g.sources {
			q.Sources[id] = pick(g.Rand, w.members...)
		}
	default:
		q.Label.DerivedFrom, q.Label.OriginatorControl = other.Label.DerivedFrom, other.Label.OriginatorControl
	}
	return q
}

// TestDecisionIsAFunction: an answer is a function of its question, the world and
// the rules. What a world remembers, for this question or for one that has the same key, is byte
// for byte what a fresh world under a freshly compiled engine says;
// in whichever order it is asked, and after the answer was forgotten.
func TestDecisionIsAFunction(t *testing.T) {
	r, e, again := newRand(t), mustLoad(t), mustLoad(t)
	const iat, exp = midnight, midnight + 1000*86_400
	remembered, shared, forgotten := 0, 0, 0
	for n := range 60 {
		g, fw := newWorld(r)
		w := mustWorld(t, e, fw)
		var queries []Query
		for range 5 {
			q := g.query(t)
			for range 4 {
				queries = append(queries, q, g.variant(t, w, q))
			}
		}
		r.Shuffle(len(queries), func(i, j int) { queries[i], queries[j] = queries[j], queries[i] })
		kept := make(map[*Audience]string) // each answer → the key of who first got it
		answers := make([]*Audience, len(queries))
		for i, q := range queries {
			a, b := told(t, w, q, iat, exp)
			if key, known := kept[a]; known && key != w.Key(q) {
				t.Fatalf("one answer for two keys: %+v", q)
			} else if known {
				remembered++
				if slices.IndexFunc(queries[:i], func(p Query) bool { return sameQuestion(p, q) }) < 0 {
					shared++
				}
			}
			kept[a], answers[i] = w.Key(q), a
			if _, fresh := told(t, mustWorld(t, again, copied(fw)), q, iat, exp); !bytes.Equal(b, fresh) {
				t.Fatalf("kept\n%s\nfresh\n%s\n%+v\n%+v", b, fresh, q, fw)
			}
		}
		if n%12 > 0 {
			continue
		}
		evict(w)
		for i, q := range queries {
			_, before := told(t, mustWorld(t, e, fw), q, iat, exp)
			a, after := told(t, w, q, iat, exp)
			if slices.Contains(answers, a) {
				t.Fatalf("not forgotten: %+v", q)
			}
			if forgotten++; !bytes.Equal(before, after) {
				t.Fatalf("question %d, forgotten and asked again\n%s\n%s", i, before, after)
			}
		}
	}
	t.Logf("%d answers were remembered, %d of them for another question, %d forgotten", remembered, shared, forgotten)
	if remembered < 500 || shared < 50 || forgotten < 100 {
		t.Error("the test has no bite")
	}
}

// sameQuestion reports whether two queries are the same in every field.
func sameQuestion(a, b Query) bool {
	x, errX := json.Marshal(a)
	y, errY := json.Marshal(b)
	return errX == nil && errY == nil && bytes.Equal(x, y)
}

// TestAnswersDoNotDependOnOrder: two worlds asked the same in different orders say the same.
func TestAnswersDoNotDependOnOrder(t *testing.T) {
	r, e := newRand(t), mustLoad(t)
	for range 60 {
		g, fw := newWorld(r)
		one, two := mustWorld(t, e, fw), mustWorld(t, e, fw)
		queries := make([]Query, 10)
		said := make([][]byte, len(queries))
		for i := range queries {
			queries[i] = g.query(t)
			_, said[i] = told(t, one, queries[i], 1, 2)
		}
		for _, i := range rand.New(rand.NewPCG(r.Uint64(), 0)).Perm(len(queries)) {
			if _, b := told(t, two, queries[i], 1, 2); !bytes.Equal(b, said[i]) {
				t.Fatalf("%s\n%s", said[i], b)
			}
		}
	}
}
