package storetest

import (
	"errors"
	"fmt"
	"slices"
	"testing"

	"github.com/entente-hub/entente/api/alert"
	"github.com/entente-hub/entente/hub/store"
)

// testStanding: of an alert the latest version stands, until it expires: not the
// one before, even where that expires later.
func testStanding(t *testing.T, open opener) {
	s, m := open(), &model{}
	one := accept("XA", id(1), 1, "one", "", "XB")
	two := accept("XA", id(1), 2, "two", digest("one"), "XB")
	one.Accept.Expires, two.Accept.Expires = moments[2], moments[1]
	other := accept("XB", id(1), 1, "of another", "", "XB") // the same id
	other.Accept.Portions = append(other.Accept.Portions, store.Portion{ID: "p3", LabelKey: other.Accept.Portions[0].LabelKey})
	bare := accept("XA", id(2), 1, "without portions", "", "XB")
	bare.Accept.Portions = nil
	outcomes(t, s, m, []store.Write{one, other, bare}, store.Done, store.Done, store.Done)
	outcomes(t, s, m, []store.Write{two}, store.Done)
	for at, want := range map[int64]int{moments[0]: 2, moments[1]: 0} { // it stands before the moment at which it expires
		got, err := s.StandingAlert(t.Context(), at, "XA", id(1))
		if want == 0 && err != store.ErrNotFound || want > 0 && (err != nil || got.Version != want) {
			t.Errorf("at %d: %+v, %v", at, got, err)
		}
	}
	s.Close()
	compare(t, open(), m)
}

// testUnsettled: what was handed over under later rules is named with what waits,
// in one order, page by page.
func testUnsettled(t *testing.T, open opener) {
	s, m := open(), &model{}
	for i := range 4 {
		outcomes(t, s, m, []store.Write{accept("XA", id(i+1), 1, fmt.Sprint(i), "", members[:4]...),
			statement("roster", fmt.Sprint(i), 1, fmt.Sprint(i), "")}, store.Done, store.Done)
	}
	last := m.statements[3].Position
	for round, seen := range []int64{0, last, last + 5, last, last + 9} {
		var writes []store.Write
		var want []store.Outcome
		for _, r := range members[:4] {
			w := handOver(r, m.feed(r))
			for i, d := range m.pending(r) {
				switch (i + round + len(r)) % 4 {
				case 0, 1:
					w = handOver(r, m.feed(r), d.ID)
				case 2:
					w.HandOver.Withheld = append(w.HandOver.Withheld, d.ID)
				}
			}
			w.Seen = seen
			writes, want = append(writes, w), append(want, store.Done)
		}
		back := renew(int64(1+round%4), members[:4]...)
		back.Seen = seen
		outcomes(t, s, m, append(writes, back), append(want, store.Done)...)
	}
	for since := int64(-1); since <= last+9; since++ {
		var all []store.Unsettled
		for after := int64(0); ; {
			page, err := s.Unsettled(t.Context(), moments[0], since, after, 3)
			if err != nil {
				t.Fatal(err)
			}
			if len(page) == 0 {
				break
			}
			all, after = append(all, page...), page[len(page)-1].ID
		}
		same(t, fmt.Sprint("since ", since), all, m.unsettled(moments[0], since), nil)
	}
}

func testProposals(t *testing.T, open opener) {
	s, m := open(), &model{}
	outcomes(t, s, m, []store.Write{
		proposal("agreement", "a/b", 1, 2, "no first edition"),
		proposal("agreement", "a/b", 2, 1, "second"), proposal("agreement", "a/b", 1, 1, "first"),
		proposal("agreement", "a/b", 1, 1, "again"), proposal("agreement", "a/b", 1, 2, "first, signed"),
		proposal("agreement", "a/b", 1, 4, "too far"), proposal("agreement", "a", 1, 1, "of another subject"),
		proposal("roster", "a/b", 1, 1, "of another type"), proposal("agreement", "a/b", 3, 1, "third"),
	}, store.Stale, store.Done, store.Done, store.Stale, store.Done, store.Stale, store.Done, store.Done, store.Done)
	if p := m.proposals; string(p[1].Raw) != "first, signed" || p[1].Edition != 2 {
		t.Errorf("proposals %+v", p)
	}
	one := statement("agreement", "a/b", 1, "one", "")
	outcomes(t, s, m, []store.Write{one}, store.Done)
	if len(m.proposals) != 4 {
		t.Errorf("proposals %+v", m.proposals)
	}
	outcomes(t, s, m, []store.Write{one}, store.Replay)
	outcomes(t, s, m, []store.Write{ // in one group: made, overtaken, made again
		proposal("agreement", "a/b", 2, 2, "second, signed"), proposal("agreement", "c", 1, 1, "c"),
		statement("agreement", "a/b", 2, "two", digest("one")), statement("agreement", "c", 1, "c", ""),
		proposal("agreement", "a/b", 2, 3, "too late"), proposal("agreement", "c", 1, 2, "too late"),
		proposal("agreement", "c", 2, 1, "next"), proposal("agreement", "c", 2, 2, ""), proposal("agreement", "c", 2, 3, "gone"),
		proposal("agreement", "c", 2, 1, "anew"),
	}, store.Done, store.Done, store.Done, store.Done, store.Stale, store.Stale, store.Done, store.Done, store.Stale, store.Done)
	outcomes(t, s, m, []store.Write{
		proposal("agreement", "c", 2, 2, ""), proposal("agreement", "a", 1, 1, ""), // the second is not its next edition
		{Proposal: &store.Proposal{Digest: digest("absent"), Edition: 1}}, // nothing to remove
		{Proposal: &store.Proposal{Digest: digest("absent"), Edition: 2}},
	}, store.Done, store.Stale, store.Done, store.Stale)
	s.Close()
	compare(t, open(), m)
}

func testBundles(t *testing.T, open opener) {
	s, m := open(), &model{}
	outcomes(t, s, m, []store.Write{bundle("b", "bytes"), bundle("b", "bytes"), bundle("b", "other bytes"), bundle("a", ""), bundle("a", "")},
		store.Done, store.Replay, store.Conflict, store.Done, store.Replay)
	outcomes(t, s, m, []store.Write{bundle("b", "bytes"), bundle("b", ""), bundle("c", "\x00\xff")}, store.Replay, store.Conflict, store.Done)
	again := bundle("b", "bytes") // what else it says is not compared
	again.Bundle.At, again.Bundle.By = 5, "XC"
	s.Close()
	s = open()
	outcomes(t, s, m, []store.Write{again}, store.Replay)
	at := func(name, raw string, revision int64) store.Write {
		w := bundle(name, raw)
		w.Bundle.Revision, w.Bundle.At, w.Bundle.By = revision, revision, "XD"
		return w
	}
	// A higher revision takes the place of the one before, and is the youngest then;
	// in the very group too.
	outcomes(t, s, m, []store.Write{at("b", "third", 3), at("b", "third", 3), at("b", "other", 3), at("b", "bytes", 2), at("b", "third", 2)},
		store.Done, store.Replay, store.Conflict, store.Conflict, store.Conflict)
	outcomes(t, s, m, []store.Write{at("b", "third", 4), at("d", "d", 1), at("b", "fifth", 5), at("d", "d", 2), at("b", "third", 4)},
		store.Done, store.Done, store.Done, store.Done, store.Conflict)
	outcomes(t, s, m, []store.Write{bundle("b", "bytes"), at("a", "third", 3)}, store.Conflict, store.Done)
	s.Close()
	compare(t, open(), m)
}

// testSeenByOthers: the writes that are not about alerts are stale too where their
// rules no longer hold.
func testSeenByOthers(t *testing.T, open opener) {
	s, m := open(), &model{}
	outcomes(t, s, m, []store.Write{statement("roster", "a", 1, "one", ""), accept("XA", id(1), 1, "one", "", "XB"),
		statement("roster", "b", 1, "b", "")}, store.Done, store.Done, store.Done)
	was, is := m.statements[0].Position, m.statements[1].Position
	d := m.pending("XB")[0].ID
	for i, w := range []store.Write{
		setAside("XB", store.Feed{}, []int64{d}, nil), renew(1, "XB", "XC"),
		resettle(store.Resettle{Labels: []store.Label{{Row: 1, Audience: []byte("a")}}, Settled: &store.Settled{Position: 1}}),
		proposal("roster", "c", 1, 1, "c"), bundle("b", "b"),
	} {
		late, now := w, w
		late.Seen, now.Seen = was, is
		outcomes(t, s, m, []store.Write{late}, store.Stale)
		outcomes(t, s, m, []store.Write{late, now}, store.Stale, store.Done)
		if i == 1 {
			if u := m.unsettled(0, is); len(u) != 2 || u[0].Seen != is || u[1].Seen != is {
				t.Errorf("unsettled %+v", u)
			}
		}
	}
}

// testLargeResettle brings thousands up to date at once.
func testLargeResettle(t *testing.T, open opener) {
	s, m := open(), &model{}
	const alerts, recipients = 100, 20
	var to []alert.MemberID
	for i := range recipients {
		to = append(to, alert.MemberID(fmt.Sprint("M", i)))
	}
	var group []store.Write
	for i := range alerts {
		group = append(group, accept("XA", id(i), 1, fmt.Sprint(i), "", to[:recipients/2]...))
	}
	same(t, "results", commit(t, s, group...), m.commit(group), nil)
	var all store.Resettle
	for row := int64(1); row <= alerts; row++ {
		all.Labels = append(all.Labels, store.Label{Row: row, Audience: fmt.Append(nil, row)})
		for _, r := range to {
			all.Renew = append(all.Renew, store.Claim{AlertRow: row, Recipient: r})
		}
	}
	writes := []store.Write{resettle(all), resettle(all)}
	same(t, "results", commit(t, s, writes...), m.commit(writes), nil)
	var handOvers []store.Write
	for _, r := range to {
		p, err := s.Pending(t.Context(), r, 2*alerts)
		if err != nil || len(p) != alerts {
			t.Fatalf("%s: %d pending: %v", r, len(p), err)
		}
		var each []int64
		for _, d := range p {
			each = append(each, d.ID)
		}
		handOvers = append(handOvers, handOver(r, store.Feed{}, each...))
		all.Lost = append(all.Lost, each...)
	}
	commit(t, s, handOvers...)
	commit(t, s, resettle(all)) // lost, and claimed again
	for _, r := range to {
		d, err := s.Delivered(t.Context(), r, 0, 2*alerts)
		lost := func(d store.Delivery) bool { return d.Lost }
		if f, err2 := s.Feed(t.Context(), r); errors.Join(err, err2) != nil || len(d) != alerts || f.Pending != alerts ||
			slices.ContainsFunc(d, func(d store.Delivery) bool { return !lost(d) }) {
			t.Errorf("%s: %d handed over, feed %+v: %v, %v", r, len(d), f, err, err2)
		}
		p, err := s.Pending(t.Context(), r, 2*alerts)
		if err != nil || len(p) != alerts || slices.ContainsFunc(p, lost) {
			t.Errorf("%s: %d pending: %v", r, len(p), err)
		}
	}
}
