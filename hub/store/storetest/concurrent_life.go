package storetest

import (
	"context"
	"errors"
	"fmt"
	"math"
	"testing"

	"github.com/entente-hub/entente/api/alert"
	"github.com/entente-hub/entente/hub/store"
)

// testRacingVersions: whoever stores versions, hands over, renews and erases, from
// whichever handle: nothing that has a successor waits, and whoever was handed over a
// version has, or waits for, the last one.
func testRacingVersions(t *testing.T, open opener) {
	const alerts, rounds = 4, 10
	ctx := t.Context()
	handles := both(t, open, func(n int, s store.Store) error {
		for round := range rounds {
			writes, err := racingLife(ctx, s, n, id((n+round)%alerts), alert.MemberID(fmt.Sprint("M", (n+round)%3)))
			if err != nil {
				return err
			}
			if _, err := s.Commit(ctx, writes); err != nil {
				return err
			}
		}
		return nil
	})
	s, ended, held := handles[1], 0, 0
	for n := range alerts {
		last, err := s.StandingAlert(ctx, 0, "XA", id(n))
		if err != nil {
			t.Fatalf("alert %d: %v", n, err)
		}
		ended += last.Version - 1
		holders, err := s.Holders(ctx, "XA", id(n))
		if err != nil {
			t.Fatalf("alert %d: %v", n, err)
		}
		held += len(holders)
		has := make(map[alert.MemberID]bool)
		for _, h := range holders {
			has[h.Recipient] = has[h.Recipient] || h.Version == last.Version
		}
		for r, has := range has {
			p, err := s.Pending(ctx, r, math.MaxInt32)
			if err != nil {
				t.Fatal(err)
			}
			waits := false
			for _, d := range p {
				if d.Superseded {
					t.Errorf("%s waits for %s %d, which is superseded", r, d.Alert.ID, d.Alert.Version)
				}
				waits = waits || d.AlertRow == last.Row
			}
			if !has && !waits {
				t.Errorf("%s holds versions of alert %d, and gets not the last", r, n)
			}
			if f, err := s.Feed(ctx, r); err != nil || f.Pending != int64(len(p)) {
				t.Errorf("%s: %d pending, feed %+v: %v", r, len(p), f, err)
			}
		}
	}
	if ended == 0 || held == 0 { // of each alone it is left to chance
		t.Errorf("%d versions have ended, %d were handed over: the test has no bite", ended, held)
	}
	due, err := s.Due(ctx, math.MaxInt64, store.Place{}, math.MaxInt32)
	over := 0
	for _, d := range due {
		if d.Over {
			over++
		}
	}
	if err != nil || len(due) != over+alerts || over > ended {
		t.Errorf("%d due, %d of them over, %d have ended: %v", len(due), over, ended, err)
	}
	checkLog(t, s, leavesOf(t, handles[0]))
}

// racingLife stores the next version of an alert, renews the one that stood, hands over
// what waits for a recipient, and erases what is over.
func racingLife(ctx context.Context, s store.Store, n int, of alert.ID, r alert.MemberID) ([]store.Write, error) {
	next, previous := 1, ""
	var writes []store.Write
	switch last, err := s.StandingAlert(ctx, 0, "XA", of); {
	case err == nil:
		a, err := s.Alert(ctx, "XA", of, last.Version)
		if err != nil {
			return nil, err
		}
		next, previous = last.Version+1, a.SignedDigest
		writes = append(writes, renew(last.Row, r))
	case !errors.Is(err, store.ErrNotFound):
		return nil, err
	}
	writes = append(writes, accept("XA", of, next, fmt.Sprint(of, next), previous, alert.MemberID(fmt.Sprint("M", n%3))))
	f, err := s.Feed(ctx, r)
	if err != nil {
		return nil, err
	}
	p, err := s.Pending(ctx, r, 2)
	if err != nil {
		return nil, err
	}
	var waiting []int64
	for _, d := range p {
		waiting = append(waiting, d.ID)
	}
	hand := handOver(r, f, waiting...)
	due, err := s.Due(ctx, 1_790_000_001, store.Place{}, 1)
	if err != nil {
		return nil, err
	}
	for _, d := range due {
		writes = append(writes, erase(d.Row, d.EraseAt, "", 0))
	}
	if n%2 == 0 {
		return append([]store.Write{hand}, writes...), nil
	}
	return append(writes, hand), nil
}
