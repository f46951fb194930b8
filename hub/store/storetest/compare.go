package storetest

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"math"
	"testing"

	"github.com/entente-hub/entente/api/alert"
	"github.com/entente-hub/entente/crypto/tlog"
	"github.com/entente-hub/entente/hub/store"
	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
)

// members and ids are all that the random writes use; the last of each is used
// by none.
var (
	members = []alert.MemberID{"XA", "XB", "XC", "XD", "XE"}
	ids     = []alert.ID{id(1), id(2), id(3), id(4), id(5)}
)

// adopt gives the model the delivery numbers that the store chose, which only
// the store knows, after checking that they rise.
func adopt(t testing.TB, s store.Store, m *model) {
	t.Helper()
	for _, r := range members {
		got, err := s.Pending(t.Context(), r, math.MaxInt32)
		if err != nil {
			t.Fatal(err)
		}
		want := m.pending(r)
		if len(got) != len(want) {
			t.Fatalf("%s: %d pending, want %d", r, len(got), len(want))
		}
		last := int64(0)
		for i, d := range got {
			if d.ID <= last {
				t.Fatalf("%s: delivery %d follows %d", r, d.ID, last)
			}
			if want[i].ID != 0 && want[i].ID != d.ID {
				t.Fatalf("%s: delivery %d has become %d", r, want[i].ID, d.ID)
			}
			last = d.ID
			want[i].ID, want[i].HandedOver.ID = d.ID, d.ID
		}
	}
}

// compare holds all that can be read from a store against the model.
func compare(t testing.TB, s store.Store, m *model) {
	t.Helper()
	adopt(t, s, m)
	for _, r := range members {
		compareFeed(t, s, m, r)
	}
	compareAlerts(t, s, m)
	for after := int64(0); after <= int64(len(m.statements)); after += max(1, int64(len(m.statements))/3) {
		got, err := s.Statements(t.Context(), after, 5)
		var want []store.Statement
		for _, st := range m.statements {
			if st.Position > after && len(want) < 5 {
				want = append(want, st)
			}
		}
		same(t, "Statements", got, want, err)
	}
	for _, r := range members {
		got, err := s.Used(t.Context(), r)
		same(t, "Used", got, m.used(r), err)
	}
	compareStanding(t, s, m)
	compareUnsettled(t, s, m)
	compareDocuments(t, s, m)
	compareDue(t, s, m)
	comparePublished(t, s, m)
	compareHolders(t, s, m)
	checkTrail(t, s, m.leaves, m.trimmed)
	checkTree(t, s, m.leaves)
}

func compareFeed(t testing.TB, s store.Store, m *model, r alert.MemberID) {
	t.Helper()
	ctx := t.Context()
	f := m.feed(r)
	gotFeed, err := s.Feed(ctx, r)
	same(t, "Feed", gotFeed, f, err)
	want := func(ds []*modelDelivery, limit int) (out []store.Delivery) {
		for _, d := range ds[:min(limit, len(ds))] {
			out = append(out, m.view(d))
		}
		return out
	}
	for _, limit := range []int{0, 1, 2, 1000} {
		got, err := s.Pending(ctx, r, limit)
		same(t, "Pending", got, want(m.pending(r), limit), err)
	}
	var handed []*modelDelivery
	for seq := int64(1); seq <= f.Seq; seq++ {
		handed = append(handed, m.item(r, seq))
	}
	for after := 0; after <= len(handed); after += 1 + len(handed)/3 {
		for _, limit := range []int{1, 3, 1000} {
			got, err := s.Delivered(ctx, r, int64(after), limit)
			same(t, "Delivered", got, want(handed[after:], limit), err)
		}
	}
}

func compareAlerts(t testing.TB, s store.Store, m *model) {
	t.Helper()
	ctx := t.Context()
	owners := make(map[alert.ID]alert.MemberID)
	for _, id := range ids {
		var first *store.Alert
		for _, o := range members {
			for v := 1; v <= 5; v++ {
				want := m.alert(o, id, v)
				got, err := s.Alert(ctx, o, id, v)
				if want == nil && !errors.Is(err, store.ErrNotFound) {
					t.Errorf("Alert %s %s %d: %v, %v", o, id, v, got, err)
				} else if want != nil {
					same(t, "Alert", got, want, err)
					if first == nil || want.LogIndex < first.LogIndex {
						first = want
					}
				}
				comparePortions(t, s, m, o, id, v)
				compareDeliveriesOf(t, s, m, o, id, v)
			}
		}
		if first != nil {
			owners[id] = first.Originator
		}
	}
	got, err := s.Originators(ctx, ids)
	same(t, "Originators", got, owners, err)
}

// comparePortions holds the labels of an alert version's portions to the model; what the
// portions are called testErase and testAudiences look at.
func comparePortions(t testing.TB, s store.Store, m *model, o alert.MemberID, id alert.ID, version int) {
	t.Helper()
	var want, got []string
	for i, a := range m.alerts {
		if a.Originator == o && a.ID == id && a.Version == version {
			for _, row := range m.portions[i] {
				want = append(want, m.labels[row-1].Key)
			}
		}
	}
	portions, err := s.Portions(t.Context(), o, id, version)
	for _, p := range portions {
		got = append(got, p.LabelKey)
	}
	same(t, "Portions", got, want, err)
}

func compareDeliveriesOf(t testing.TB, s store.Store, m *model, o alert.MemberID, id alert.ID, version int) {
	t.Helper()
	row := int64(0)
	for i, a := range m.alerts {
		if a.Originator == o && a.ID == id && a.Version == version {
			row = int64(i + 1)
		}
	}
	for _, r := range members[:2] {
		var want, holds *store.Delivery
		for _, d := range m.deliveries {
			if d.recipient != r || d.AlertRow != row || d.state != store.Handed {
				continue
			}
			view := m.view(d)
			if want == nil || d.Seq > want.Seq {
				want = &view
			}
			if !d.Lost && (holds == nil || d.Seq > holds.Seq) {
				holds = &view
			}
		}
		of, err1 := s.DeliveryOf(t.Context(), r, o, id, version)
		held, err2 := s.Held(t.Context(), r, row)
		if want != nil {
			same(t, "DeliveryOf", of, want, err1)
		} else if !errors.Is(err1, store.ErrNotFound) {
			t.Errorf("delivery to %s of %s %s %d: %v, %v", r, o, id, version, of, err1)
		}
		if holds != nil {
			same(t, "Held", held, holds, err2)
		} else if !errors.Is(err2, store.ErrNotFound) {
			t.Errorf("%s holds of %s %s %d: %v, %v", r, o, id, version, held, err2)
		}
	}
}

// asOne compares bytes as one value: byte by byte a token takes seconds.
var asOne = cmp.FilterValues(func(a, b []byte) bool { return len(a)+len(b) > 0 }, cmp.Comparer(bytes.Equal))

// same fails unless a call succeeded with what was wanted.
func same(t testing.TB, what string, got, want any, err error) {
	t.Helper()
	if err != nil {
		t.Fatalf("%s: %v", what, err)
	}
	if diff := cmp.Diff(want, got, cmpopts.EquateEmpty(), asOne); diff != "" {
		t.Fatalf("%s (-want +got):\n%s", what, diff)
	}
}

// checkLog is checkTrail and checkTree for a log of which nothing is trimmed.
func checkLog(t testing.TB, s store.Store, leaves [][]byte) {
	t.Helper()
	checkTrail(t, s, leaves, nil)
	checkTree(t, s, leaves)
}

// checkTree checks head, proofs and hashes against a tree of the leaves computed as
// RFC 6962 section 2.1 defines it.
func checkTree(t testing.TB, s store.Store, leaves [][]byte) {
	t.Helper()
	ctx := t.Context()
	head, err := s.LogHead(ctx)
	same(t, "LogHead", head, store.LogHead{Size: int64(len(leaves)), Root: treeHash(leaves)}, err)
	read := tlog.HashReaderFunc(func(indexes []int64) ([]tlog.Hash, error) { return s.Hashes(ctx, indexes) })
	for i := int64(0); i < head.Size; i += 1 + head.Size/5 {
		p, err := tlog.InclusionProof(head.Size, i, read)
		if err == nil {
			err = tlog.VerifyInclusion(p, head.Size, head.Root, i, tlog.LeafHash(leaves[i]))
		}
		if err != nil {
			t.Fatalf("inclusion of %d: %v", i, err)
		}
		c, err := tlog.ConsistencyProof(head.Size, i+1, read)
		if err == nil {
			err = tlog.VerifyConsistency(c, head.Size, head.Root, i+1, treeHash(leaves[:i+1]))
		}
		if err != nil {
			t.Fatalf("consistency with %d: %v", i+1, err)
		}
	}
	if _, err := s.Hashes(ctx, []int64{tlog.StoredHashCount(head.Size)}); err == nil {
		t.Errorf("a hash beyond the log's end was found")
	}
}

// treeHash is MTH of RFC 6962 section 2.1, word for word.
func treeHash(d [][]byte) tlog.Hash {
	switch len(d) {
	case 0:
		return sha256.Sum256(nil)
	case 1:
		return sha256.Sum256(append([]byte{0}, d[0]...))
	}
	k := 1
	for k*2 < len(d) {
		k *= 2
	}
	left, right := treeHash(d[:k]), treeHash(d[k:])
	return sha256.Sum256(append(append([]byte{1}, left[:]...), right[:]...))
}
