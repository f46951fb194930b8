package storetest

import (
	"context"
	"fmt"
	"testing"

	"github.com/entente-hub/entente/api/alert"
	"github.com/entente-hub/entente/hub/store"
)

// crashLife purges what was handed over last and ends it by a second version, unless it
// is one, and erases one of those that are over.
func crashLife(ctx context.Context, s store.Store, last []store.Delivery) (writes []store.Write, err error) {
	for _, d := range last {
		w := purge("XB", d.Alert.Originator, d.Alert.ID, d.Alert.Version, "ended", "")
		w.Entries = [][]byte{fmt.Appendf(nil, "purged %s", d.Alert.ID)}
		writes = append(writes, w)
		if d.Alert.Version == 1 {
			w = accept(d.Alert.Originator, d.Alert.ID, 2, d.Alert.Token+"/2", d.Alert.SignedDigest)
			w.Entries = [][]byte{fmt.Appendf(nil, "ended %s", d.Alert.ID)}
			writes = append(writes, w)
		}
	}
	due, err := s.Due(ctx, 1_790_000_001, store.Place{}, 1)
	for _, d := range due {
		w := erase(d.Row, d.EraseAt, "", 0)
		w.Entries = [][]byte{fmt.Appendf(nil, "erased %s", d.ID)}
		writes = append(writes, w)
	}
	return writes, err
}

// checkCrashedLife holds what has ended, was erased and was purged to the entries that
// went with it: XB, which held all that ended, has the version after it, or waits for it.
func checkCrashedLife(t *testing.T, s store.Store, leaves [][]byte, deliveries []store.Delivery) {
	t.Helper()
	said := map[string]map[alert.ID]bool{"ended": {}, "erased": {}, "purged": {}}
	for _, leaf := range leaves {
		var what, id string
		if _, err := fmt.Sscanf(string(leaf), "%s %s", &what, &id); err == nil && said[what] != nil {
			said[what][alert.ID(id)] = true
		}
	}
	second := make(map[alert.ID]bool)
	for _, d := range deliveries {
		if d.Alert.Version == 2 && d.Follows && !d.Superseded {
			second[d.Alert.ID] = true
		}
	}
	for id := range said["ended"] {
		a, err := s.Alert(t.Context(), "XA", id, 1)
		if err != nil || !second[id] || (a.EraseAt == 0) != said["erased"][id] || (a.Token == "") != said["erased"][id] {
			t.Errorf("%s has ended, erased %t, delivered %t: %+v, %v", id, said["erased"][id], second[id], a, err)
		}
		purges, err := s.Purges(t.Context(), "XA", id)
		if err != nil || (len(purges) > 0) != said["purged"][id] {
			t.Errorf("%s was purged %t: %+v, %v", id, said["purged"][id], purges, err)
		}
	}
	if len(said["ended"]) != len(second) || len(said["ended"]) == 0 || len(said["erased"]) == 0 || len(said["purged"]) == 0 {
		t.Errorf("%d ended, %d erased, %d purged, %d second versions", len(said["ended"]), len(said["erased"]), len(said["purged"]), len(second))
	}
}
