package storetest

import (
	"crypto/sha256"
	"fmt"
	"testing"

	"github.com/entente-hub/entente/crypto/tlog"
	"github.com/entente-hub/entente/hub/store"
)

// Version1 fills a database of schema version 1, both databases' first, with one
// alert under one label, which is pending for XB, handed over to XC and
// acknowledged, and withheld from XD. run runs a statement; blob writes bytes as
// the database's SQL does.
func Version1(t testing.TB, run func(sql string), blob func([]byte) string) {
	t.Helper()
	leaf, sum := []byte("accepted one"), sha256.Sum256([]byte("one"))
	hash := tlog.LeafHash(leaf)
	key := sha256.Sum256([]byte("label"))
	for _, sql := range []string{
		fmt.Sprintf("INSERT INTO log_entries (idx, leaf) VALUES (0, %s)", blob(leaf)),
		fmt.Sprintf("INSERT INTO log_hashes (idx, hash) VALUES (0, %s)", blob(hash[:])),
		fmt.Sprintf("INSERT INTO alerts (id, originator, alert, version, digest, signed_digest, previous, issued_at, expires,"+
			" accepted_at, log_index, token) VALUES (1, 'XA', '%s', 1, %s, '%s', '', 1, 1800000000, 3, 0, %s)",
			id(1), blob(sum[:]), digest("one"), blob([]byte("one"))),
		fmt.Sprintf("INSERT INTO labels (id, originator, key_digest, key) VALUES (1, 'XA', %s, %s)", blob(key[:]), blob([]byte("label"))),
		"INSERT INTO portions (alert, position, portion, label) VALUES (1, 0, 'p1', 1)",
		"INSERT INTO deliveries (id, recipient, alert, state) VALUES (1, 'XB', 1, 0), (3, 'XD', 1, 2)",
		fmt.Sprintf("INSERT INTO deliveries (id, recipient, alert, state, seq, chain, digest, facts, receipt)"+
			" VALUES (2, 'XC', 1, 1, 1, 'chain', 'digest', %s, %s)", blob([]byte("{}")), blob([]byte("receipt"))),
		"INSERT INTO feeds (recipient, seq, chain, acked, pending) VALUES ('XB', 0, '', 0, 1), ('XC', 1, 'chain', 1, 0), ('XD', 0, '', 0, 0)",
		fmt.Sprintf("INSERT INTO statements (position, type, subject, revision, digest, previous, raw)"+
			" VALUES (1, 'roster', 'r', 1, '%s', '', %s)", digest("r1"), blob([]byte("r1"))),
		fmt.Sprintf("UPDATE log_head SET size = 1, root = %s, alerts = 1, labels = 1, deliveries = 3, statements = 1", blob(hash[:])),
	} {
		run(sql)
	}
}

// CheckVersion1 holds a store to what Version1 left, and to doing with it what
// could not be done before.
func CheckVersion1(t testing.TB, s store.Store) {
	t.Helper()
	m := &model{}
	one := accept("XA", id(1), 1, "one", "", "XB", "XC", "XD")
	one.Accept.Portions = []store.Portion{{ID: "p1", LabelKey: "label"}}
	one.Accept.IssuedAt, one.Accept.AcceptedAt = 1, 3
	m.commit([]store.Write{one, {Statement: statement("roster", "r", 1, "r1", "").Statement}})
	c := m.deliveries[1]
	c.ID, c.state, c.Acked = 2, store.Handed, true
	c.HandedOver = store.HandedOver{ID: 2, Seq: 1, Chain: "chain", Digest: "digest", Facts: []byte("{}")}
	d := m.deliveries[2]
	d.ID, d.HandedOver.ID, d.state = 3, 3, store.Withheld
	compare(t, s, m)
	outcomes(t, s, m, []store.Write{one, renew(1, "XB", "XC", "XD", "XE"), proposal("roster", "r", 2, 1, "r2"), bundle("b", "b"),
		resettle(store.Resettle{Lost: []int64{2, 3}, Labels: []store.Label{{Row: 1, Audience: []byte("a")}}, Settled: &store.Settled{Position: 1, At: 1}})},
		store.Replay, store.Done, store.Done, store.Done, store.Done)
	next := m.pending("XC")[0].ID
	outcomes(t, s, m, []store.Write{handOver("XC", m.feed("XC"), next), statement("roster", "r", 2, "r2", digest("r1")),
		accept("XA", id(1), 2, "two", digest("one"), "XB")}, store.Done, store.Done, store.Done)
	if len(m.pending("XD")) != 1 || m.feed("XC").Seq != 2 || len(m.proposals) != 0 || !c.Lost || d.Lost {
		t.Errorf("%+v", m)
	}
}
