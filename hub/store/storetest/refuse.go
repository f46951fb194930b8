package storetest

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"sync"
	"testing"

	"github.com/entente-hub/entente/api/alert"
	"github.com/entente-hub/entente/hub/store"
)

// refuse makes a write that refuses an alert version with a token.
func refuse(o alert.MemberID, id alert.ID, version int, token string) store.Write {
	return store.Write{Refuse: &store.Refuse{Originator: o, ID: id, Version: version, Digest: sha256.Sum256([]byte(token)),
		Reason: []byte("why not " + token)}, Entries: [][]byte{fmt.Appendf(nil, "refused %s", token)}}
}

// refuse of the model keeps every refusal that took effect.
func (m *model) refuse(r *store.Refuse) store.Result {
	if prior := m.alert(r.Originator, r.ID, r.Version); prior != nil && prior.Digest == r.Digest {
		return store.Result{Outcome: store.Replay, Index: prior.LogIndex, Prior: prior}
	}
	if reason := m.refused(r.Originator, r.Digest); reason != nil {
		return store.Result{Outcome: store.Refused, Index: -1, Reason: reason}
	}
	m.refusals = append(m.refusals, *r)
	return store.Result{Outcome: store.Done}
}

func (m *model) refused(o alert.MemberID, digest [32]byte) (reason []byte) {
	for _, r := range m.refusals {
		if r.Originator == o && r.Digest == digest {
			return r.Reason
		}
	}
	return nil
}

// refuse refuses what may be stored, or be brought later.
func (g *generator) refuse() store.Write {
	w := g.accept().Accept
	no := refuse(w.Originator, w.ID, w.Version, w.Token)
	no.Refuse.Reason = append(g.bytes(), 1)
	if g.IntN(4) == 0 {
		no.Refuse.ID, no.Refuse.Version = "", 0
	}
	return no
}

// testRefuse: what was refused is not taken in, what was taken in is not refused.
func testRefuse(t *testing.T, open opener) {
	s, m := open(), &model{}
	one := accept("XA", id(1), 1, "one", "", "XB")
	no := refuse("XA", id(1), 1, "one")
	no.Entries = append(no.Entries, []byte("and more"))
	outcomes(t, s, m, []store.Write{no, one, no, one}, store.Done, store.Refused, store.Refused, store.Refused)
	outcomes(t, s, m, []store.Write{one}, store.Refused)
	s.Close()
	s = open()
	// Whose it is counts, and its bytes; under which name they were refused does not.
	otherwise := accept("XA", id(2), 1, "one", "", "XB")
	outcomes(t, s, m, []store.Write{otherwise, accept("XB", id(1), 1, "one", ""), accept("XA", id(1), 1, "another", "")},
		store.Refused, store.Done, store.Done)
	outcomes(t, s, m, []store.Write{one, refuse("XA", id(1), 1, "another"), no, accept("XA", id(1), 1, "another", "")},
		store.Conflict, store.Replay, store.Refused, store.Replay)
	outcomes(t, s, m, []store.Write{accept("XA", id(3), 1, "three", "", "XB"), refuse("XA", id(3), 1, "three")}, store.Done, store.Replay)
	nameless := refuse("XA", "", 0, "six")
	six := accept("XA", id(6), 1, "six", "")
	outcomes(t, s, m, []store.Write{nameless, six, trim(0, 0), refuse("XA", id(6), 1, "six"), six},
		store.Done, store.Refused, store.Done, store.Refused, store.Refused)
	// A predecessor that is missing, or a quota, is not asked for.
	outcomes(t, s, m, []store.Write{refuse("XA", id(4), 2, "four"), accept("XA", id(4), 2, "four", "")}, store.Done, store.Refused)
	late := refuse("XA", id(5), 1, "five")
	late.Seen = 1
	outcomes(t, s, m, []store.Write{statement("roster", "a", 1, "a", ""), statement("roster", "b", 1, "b", ""), late}, store.Done, store.Done, store.Stale)
	outcomes(t, s, m, []store.Write{accept("XA", id(5), 1, "five", "")}, store.Done)
}

// testMalformedRefuse: what no caller means is refused, and nothing done.
func testMalformedRefuse(t *testing.T, open opener) {
	s, m := open(), &model{}
	silent, both := refuse("XA", id(1), 1, "token"), refuse("XA", id(1), 1, "token")
	silent.Entries = nil
	unexplained, halfNamed := refuse("XA", id(1), 1, "token"), refuse("XA", "", 1, "token")
	unexplained.Refuse.Reason = nil
	both.Accept = accept("XA", id(1), 1, "token", "").Accept
	for name, bad := range map[string]store.Write{
		"no record": silent, "two changes": both, "of nobody": refuse("", id(1), 1, "token"), "half a name": halfNamed, "no reason": unexplained,
		"version 0": refuse("XA", id(1), 0, "token"), "version of 2^31": refuse("XA", id(1), 1<<31, "token"),
		"NUL": refuse("XA", "a\x00", 1, "token"), "not UTF-8": refuse("\xff", id(1), 1, "token"),
	} {
		results, err := s.Commit(t.Context(), []store.Write{{Entries: [][]byte{{5}}}, bad})
		if !errors.Is(err, store.ErrInvalid) || results != nil {
			t.Errorf("%s: %v, %v", name, results, err)
		}
	}
	compare(t, s, m)
}

// testRacingRefusals: of those who bring and those who refuse the same bytes, on whichever
// handle, the first decides for all.
func testRacingRefusals(t *testing.T, open opener) {
	const rounds = 25
	var mu sync.Mutex
	ends := make([]map[store.Outcome]int, rounds)
	handles := both(t, open, func(n int, s store.Store) error {
		for i := range rounds {
			w := accept("XA", id(i), 1, fmt.Sprint(i), "")
			if n/2%2 == 0 {
				w = refuse("XA", id(i), 1, fmt.Sprint(i))
			}
			results, err := s.Commit(context.WithoutCancel(t.Context()), []store.Write{w})
			if err != nil {
				return err
			}
			o := results[0].Outcome
			switch {
			case w.Accept != nil && o == store.Done, o == store.Replay:
				o = store.Done
			case w.Refuse != nil && o == store.Done, o == store.Refused:
				o = store.Refused
			}
			mu.Lock()
			if ends[i] == nil {
				ends[i] = make(map[store.Outcome]int)
			}
			ends[i][o]++
			mu.Unlock()
		}
		return nil
	})
	for i, by := range ends {
		_, err := handles[0].Alert(t.Context(), "XA", id(i), 1)
		if taken := by[store.Done] == goroutines; len(by) != 1 || taken != (err == nil) || !taken && by[store.Refused] != goroutines {
			t.Errorf("round %d: %v, %v", i, by, err)
		}
	}
}
