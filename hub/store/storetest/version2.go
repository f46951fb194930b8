package storetest

import (
	"crypto/sha256"
	"fmt"
	"math"
	"testing"

	"github.com/entente-hub/entente/api/alert"
	"github.com/entente-hub/entente/crypto/tlog"
	"github.com/entente-hub/entente/hub/store"
)

// Version2 fills a database of schema version 2, both databases' second, with two versions
// of an alert: the first handed over to all but its originator; the second withheld from XB,
// dropped for XC, and handed over to XD. XE has nothing of it. None of them was ever told
// that the first is over but XD. run and blob are as for Version1.
func Version2(t testing.TB, run func(sql string), blob func([]byte) string) {
	t.Helper()
	leaf := []byte("accepted both")
	hash := tlog.LeafHash(leaf)
	run(fmt.Sprintf("INSERT INTO log_entries (idx, leaf) VALUES (0, %s)", blob(leaf)))
	run(fmt.Sprintf("INSERT INTO log_hashes (idx, hash) VALUES (0, %s)", blob(hash[:])))
	previous := ""
	for i, token := range Tokens2 {
		sum := sha256.Sum256([]byte(token))
		run(fmt.Sprintf("INSERT INTO alerts (id, originator, alert, version, digest, signed_digest, previous, issued_at, expires,"+
			" accepted_at, log_index, token) VALUES (%d, 'XA', '%s', %d, %s, '%s', '%s', 1, 1800000000, 3, 0, %s)",
			i+1, id(1), i+1, blob(sum[:]), digest(token), previous, blob([]byte(token))))
		previous = digest(token)
	}
	for i, r := range []alert.MemberID{"XB", "XC", "XD"} {
		run(fmt.Sprintf("INSERT INTO deliveries (id, recipient, alert, state, seq, chain, digest, facts) VALUES (%d, '%s', 1, 1, 1, 'c', 'd', %s)",
			i+1, r, blob([]byte("{}"))))
		run(fmt.Sprintf("INSERT INTO feeds (recipient, seq, chain, acked, pending) VALUES ('%s', %d, 'c', 0, 0)", r, 1+i/2))
	}
	run("INSERT INTO deliveries (id, recipient, alert, state) VALUES (4, 'XB', 2, 2), (5, 'XC', 2, 3)")
	run(fmt.Sprintf("INSERT INTO deliveries (id, recipient, alert, state, seq, chain, digest, facts) VALUES (6, 'XD', 2, 1, 2, 'c', 'd', %s)",
		blob([]byte("{}"))))
	run(fmt.Sprintf("UPDATE log_head SET size = 1, root = %s, alerts = 2, deliveries = 6", blob(hash[:])))
}

// Tokens2 are those that Version2 leaves in the clear.
var Tokens2 = []string{"what was said at first, in the clear", "what was said then, in the clear"}

// CheckVersion2 holds a store to what Version2 left: XB and XC are to be told of the second
// version, in the order in which they are there; and what is looked at gets its key, so
// that nothing is in the clear any more once it is scrubbed.
func CheckVersion2(t testing.TB, s store.Store) {
	t.Helper()
	for r, want := range map[alert.MemberID]int64{"XB": 4, "XC": 7, "XD": 0, "XE": 0} {
		p, err := s.Pending(t.Context(), r, 9)
		if err != nil || len(p) > 1 || (len(p) == 1) != (want != 0) || want != 0 && (p[0].ID != want || !p[0].Follows || p[0].Alert.Token != Tokens2[1]) {
			t.Errorf("%s: pending %+v, %v", r, p, err)
		}
		f, err := s.Feed(t.Context(), r)
		if err != nil || f.Pending != int64(len(p)) {
			t.Errorf("%s: feed %+v, %v", r, f, err)
		}
	}
	if u, err := s.Used(t.Context(), "XA"); err != nil || u != (store.Used{Alerts: 1, Bytes: int64(len(Tokens2[1]))}) {
		t.Errorf("used: %+v, %v", u, err)
	}
	due, err := s.Due(t.Context(), math.MaxInt64, store.Place{}, 9)
	if err != nil || len(due) != 2 || due[0].Row != 2 || due[0].EraseAt != 1 || due[0].Over || !due[1].Over || due[1].Token != Tokens2[0] {
		t.Fatalf("due: %+v, %v", due, err)
	}
	if clean, err := s.Scrub(t.Context()); err != nil || clean {
		t.Errorf("scrubbed, with something in the clear: %t, %v", clean, err)
	}
	commit(t, s, erase(2, 1, Tokens2[1], 1_800_000_000))
	commit(t, s, erase(1, due[1].EraseAt, "nothing", 0))
	if clean, err := s.Scrub(t.Context()); err != nil || !clean {
		t.Errorf("scrubbed: %t, %v", clean, err)
	}
	if u, err := s.Used(t.Context(), "XA"); err != nil || u != (store.Used{Alerts: 1, Bytes: int64(len(Tokens2[1]))}) {
		t.Errorf("used: %+v, %v", u, err)
	}
	a, err := s.Alert(t.Context(), "XA", id(1), 2)
	if err != nil || a.Token != Tokens2[1] {
		t.Errorf("%+v, %v", a, err)
	}
}
