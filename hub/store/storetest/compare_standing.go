package storetest

import (
	"errors"
	"math"
	"slices"
	"testing"

	"github.com/entente-hub/entente/hub/store"
)

// moments are the times at which the random alerts expire, and those at which the
// store is asked what stands.
var moments = []int64{1_700_000_000, 1_700_000_001, 1_800_000_000}

// page cuts what comes after a place to a limit.
func page[T any](all []T, place func(T) int64, after int64, limit int) (out []T) {
	for _, v := range all {
		if place(v) > after && len(out) < limit {
			out = append(out, v)
		}
	}
	return out
}

func compareStanding(t testing.TB, s store.Store, m *model) {
	t.Helper()
	ctx := t.Context()
	for _, at := range moments {
		var labels []store.Label
		for _, l := range m.labels {
			want := m.standingUnder(l.Row, at)
			if len(want) > 0 {
				labels = append(labels, l)
			}
			after, limit := l.Row%(1+int64(len(m.alerts))/2), 1+int(l.Row%3)
			if at == moments[0] {
				after, limit = 0, math.MaxInt32
			}
			got, err := s.Standing(ctx, at, l.Row, after, limit)
			same(t, "Standing", got, page(want, func(a store.Standing) int64 { return a.Row }, after, limit), err)
		}
		for after := int64(0); after <= int64(len(m.labels)); after += 1 + int64(len(m.labels))/3 {
			for _, limit := range []int{2, math.MaxInt32} {
				got, err := s.Labels(ctx, at, after, limit)
				same(t, "Labels", got, page(labels, func(l store.Label) int64 { return l.Row }, after, limit), err)
			}
		}
		compareStandingAlerts(t, s, m, at)
	}
}

func compareStandingAlerts(t testing.TB, s store.Store, m *model, at int64) {
	t.Helper()
	for _, o := range members {
		for _, id := range ids {
			var want *store.Standing
			for row := int64(1); row <= int64(len(m.alerts)); row++ {
				if a := m.alerts[row-1]; a.Originator == o && a.ID == id && m.stands(row, at) {
					standing := m.standing(row)
					want = &standing
				}
			}
			got, err := s.StandingAlert(t.Context(), at, o, id)
			if want != nil {
				same(t, "StandingAlert", got, want, err)
			} else if !errors.Is(err, store.ErrNotFound) {
				t.Errorf("StandingAlert %s %s at %d: %v, %v", o, id, at, got, err)
			}
		}
	}
}

func compareUnsettled(t testing.TB, s store.Store, m *model) {
	t.Helper()
	places := []int64{0, math.MaxInt64, -1}
	if n := len(m.statements); n > 0 {
		places = append(places, m.statements[n-1].Position-1, m.statements[n/2].Position)
	}
	for i, since := range places {
		at := moments[i%len(moments)] - 1
		want := m.unsettled(at, since)
		middle := int64(math.MaxInt64)
		if n := len(want); n > 0 {
			middle = want[n/2].ID
		}
		for limit, after := range map[int]int64{0: 0, 1: 0, 2: middle, math.MaxInt32: 0} {
			got, err := s.Unsettled(t.Context(), at, since, after, limit)
			same(t, "Unsettled", got, page(want, func(u store.Unsettled) int64 { return u.ID }, after, limit), err)
		}
	}
}

func compareDocuments(t testing.TB, s store.Store, m *model) {
	t.Helper()
	ctx := t.Context()
	settled, err := s.Settled(ctx)
	same(t, "Settled", settled, m.settled, err)
	proposals, err := s.Proposals(ctx)
	same(t, "Proposals", proposals, m.proposals, err)
	bundles, err := s.Bundles(ctx)
	without := slices.Clone(m.bundles)
	for i := range without {
		without[i].Raw = nil
	}
	same(t, "Bundles", bundles, without, err)
	for _, want := range m.bundles {
		got, err := s.Bundle(ctx, want.Digest)
		same(t, "Bundle", got, &want, err)
	}
	if got, err := s.Bundle(ctx, "absent"); !errors.Is(err, store.ErrNotFound) {
		t.Errorf("absent bundle: %v, %v", got, err)
	}
}
