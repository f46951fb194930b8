package storetest

import (
	"errors"
	"math/rand/v2"
	"testing"

	"github.com/entente-hub/entente/hub/store"
)

// seeds of the random tests: the same in each run, so that what fails once
// fails again.
var seeds = []uint64{1, 2, 3}

// testModel applies random groups to store and model and compares everything,
// through two handles on one database in turn, which are opened again now and
// then.
func testModel(t *testing.T, open opener) {
	r := rand.New(rand.NewPCG(0, seeds[0]))
	m := &model{}
	g := &generator{r, m}
	handles := []store.Store{open(), open()}
	seen := make(map[store.Outcome]int)
	for step := range 300 {
		i := r.IntN(len(handles))
		if r.IntN(60) == 0 {
			closeStore(t, handles[i])
			handles[i] = open()
		}
		writes := g.group()
		results := commit(t, handles[i], writes...)
		same(t, "results", results, m.commit(writes), nil)
		adopt(t, handles[i], m)
		for _, res := range results {
			seen[res.Outcome]++
		}
		if step%25 == 0 {
			compare(t, handles[1-i], m) // what one wrote the other reads
		}
	}
	compare(t, handles[0], m)
	for o := store.Done; o <= store.Unknown; o++ {
		if seen[o] < 5 {
			t.Errorf("outcome %d came %d times: the test tests too little", o, seen[o])
		}
	}
}

// testFaults makes commits fail, with and without having persisted, and does
// what a caller does: opens the database again, commits the same writes again.
// The model is told the truth, and the store must agree with it.
func testFaults(t *testing.T, open opener) {
	r := rand.New(rand.NewPCG(0, seeds[1]))
	m := &model{}
	g := &generator{r, m}
	var next Fault
	wrap := func() *FaultyStore { return Faulty(open(), func(int64) Fault { return next }) }
	s := wrap()
	count := make(map[Fault]int)
	for range 120 {
		writes := g.group()
		next = Fault(r.IntN(3))
		count[next]++
		results, err := s.Commit(t.Context(), writes)
		switch next {
		case None:
			if err != nil {
				t.Fatal(err)
			}
			same(t, "results", results, m.commit(writes), nil)
			adopt(t, s, m)
			continue
		case Persisted:
			m.commit(writes)
		}
		if !errors.Is(err, ErrFault) {
			t.Fatalf("no fault: %v", err)
		}
		if r.IntN(2) == 0 { // the process was lost too
			closeStore(t, s)
			s = wrap()
		}
		adopt(t, s, m)
		next = None
		results = commit(t, s, writes...)
		same(t, "results of the second attempt", results, m.commit(writes), nil)
		adopt(t, s, m)
		for i, w := range writes {
			if o := results[i].Outcome; w.Accept != nil && o == store.Done && w.Seen == 0 {
				if again := commit(t, s, w)[0]; again.Outcome != store.Replay {
					t.Fatalf("accepted, and then %v", again)
				}
				m.commit([]store.Write{w})
			}
		}
	}
	closeStore(t, s)
	compare(t, open(), m)
	if count[None] < 10 || count[Failed] < 10 || count[Persisted] < 10 {
		t.Errorf("faults: %v", count)
	}
}
