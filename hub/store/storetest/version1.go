package storetest

import (
	"crypto/sha256"
	"fmt"
	"testing"

	"github.com/entente-hub/entente/api/alert"
	"github.com/entente-hub/entente/crypto/tlog"
	"github.com/entente-hub/entente/hub/store"
)

// Version1 fills a database of schema version 1, both databases' first, with one
// alert under one label, which is pending for XB, handed over to XC and
// acknowledged, and withheld from XD, and with one of two versions: the first handed
// over to XB and XC and pending for XD, the second pending for XC. run runs a statement; blob writes bytes as
// the database's SQL does.
func Version1(t testing.TB, run func(sql string), blob func([]byte) string) {
	t.Helper()
	leaf := []byte("accepted one")
	hash := tlog.LeafHash(leaf)
	key := sha256.Sum256([]byte("label"))
	add := func(row int, id alert.ID, version int, token, previous string) string {
		sum := sha256.Sum256([]byte(token))
		return fmt.Sprintf("INSERT INTO alerts (id, originator, alert, version, digest, signed_digest, previous, issued_at, expires,"+
			" accepted_at, log_index, token) VALUES (%d, 'XA', '%s', %d, %s, '%s', '%s', 1, 1800000000, 3, 0, %s)",
			row, id, version, blob(sum[:]), digest(token), previous, blob([]byte(token)))
	}
	handed := func(delivery int, r alert.MemberID, row, seq int, receipt string) string {
		return fmt.Sprintf("INSERT INTO deliveries (id, recipient, alert, state, seq, chain, digest, facts, receipt)"+
			" VALUES (%d, '%s', %d, 1, %d, 'chain %d', 'digest', %s, %s)", delivery, r, row, seq, seq, blob([]byte("{}")), receipt)
	}
	for _, sql := range []string{
		fmt.Sprintf("INSERT INTO log_entries (idx, leaf) VALUES (0, %s)", blob(leaf)),
		fmt.Sprintf("INSERT INTO log_hashes (idx, hash) VALUES (0, %s)", blob(hash[:])),
		add(1, id(1), 1, "one", ""),
		add(2, id(2), 1, "two", ""),
		add(3, id(2), 2, "two again", digest("two")),
		fmt.Sprintf("INSERT INTO labels (id, originator, key_digest, key) VALUES (1, 'XA', %s, %s)", blob(key[:]), blob([]byte("label"))),
		"INSERT INTO portions (alert, position, portion, label) VALUES (1, 0, 'p1', 1)",
		"INSERT INTO deliveries (id, recipient, alert, state) VALUES (1, 'XB', 1, 0), (3, 'XD', 1, 2), (6, 'XD', 2, 0), (7, 'XC', 3, 0)",
		handed(2, "XC", 1, 1, blob([]byte("receipt"))),
		handed(4, "XB", 2, 1, "NULL"),
		handed(5, "XC", 2, 2, "NULL"),
		"INSERT INTO feeds (recipient, seq, chain, acked, pending) VALUES ('XB', 1, 'chain 1', 0, 1), ('XC', 2, 'chain 2', 1, 1), ('XD', 0, '', 0, 1)",
		fmt.Sprintf("INSERT INTO statements (position, type, subject, revision, digest, previous, raw)"+
			" VALUES (1, 'roster', 'r', 1, '%s', '', %s)", digest("r1"), blob([]byte("r1"))),
		fmt.Sprintf("UPDATE log_head SET size = 1, root = %s, alerts = 3, labels = 1, deliveries = 7, statements = 1", blob(hash[:])),
	} {
		run(sql)
	}
}

// CheckVersion1 holds a store to what Version1 left, and to doing with it what
// could not be done before.
func CheckVersion1(t testing.TB, s store.Store) {
	t.Helper()
	m := version1()
	compare(t, s, m)
	one, c, d := m.deliveries[0], m.deliveries[1], m.deliveries[2]
	outcomes(t, s, m, []store.Write{first(), renew(1, "XB", "XC", "XD", "XE"), renew(2, "XD"), proposal("roster", "r", 2, 1, "r2"), bundle("b", "b"),
		resettle(store.Resettle{Lost: []int64{2, 3}, Labels: []store.Label{{Row: 1, Audience: []byte("a")}}, Settled: &store.Settled{Position: 1, At: 1}})},
		store.Replay, store.Done, store.Done, store.Done, store.Done, store.Done)
	next := m.pending("XC")[1].ID
	outcomes(t, s, m, []store.Write{handOver("XC", m.feed("XC"), next), statement("roster", "r", 2, "r2", digest("r1")),
		accept("XA", id(1), 2, "one again", digest("one"), "XB"), erase(2, 3, "", 0)}, store.Done, store.Done, store.Done, store.Done)
	if one.state != store.Dropped || m.feed("XD").Pending != 0 || m.feed("XC").Seq != 3 || len(m.proposals) != 0 || !c.Lost || d.Lost {
		t.Errorf("%+v", m)
	}
}

// first is the write that stored the first alert of Version1.
func first() store.Write {
	w := accept("XA", id(1), 1, "one", "", "XB", "XC", "XD")
	w.Accept.Portions = []store.Portion{{ID: "p1", LabelKey: "label"}}
	w.Accept.IssuedAt, w.Accept.AcceptedAt = 1, 3
	return w
}

// version1 returns what Version1 left, as it stands in the schema of today: what was
// to expire is to be looked at for what is to be erased, the version that was followed by another at once;
// what waited of it is dropped; and XB, who holds it, is to be told of the other.
func version1() *model {
	m := &model{}
	two, again := accept("XA", id(2), 1, "two", "", "XB", "XC", "XD"), accept("XA", id(2), 2, "two again", digest("two"), "XC")
	for _, w := range []store.Write{two, again} {
		w.Accept.IssuedAt, w.Accept.AcceptedAt, w.Accept.Portions = 1, 3, nil
	}
	hand := func(d *modelDelivery, id, seq int64) {
		d.state, d.HandedOver = store.Handed, store.HandedOver{ID: id, Seq: seq, Chain: fmt.Sprint("chain ", seq), Digest: "digest", Facts: []byte("{}")}
		d.ID = id
	}
	m.commit([]store.Write{first(), two, {Statement: statement("roster", "r", 1, "r1", "").Statement}})
	hand(m.deliveries[1], 2, 1) // XC
	m.deliveries[1].Acked, m.deliveries[1].receipt = true, "receipt"
	m.deliveries[2].ID, m.deliveries[2].HandedOver.ID, m.deliveries[2].state = 3, 3, store.Withheld
	hand(m.deliveries[3], 4, 1)
	hand(m.deliveries[4], 5, 2)
	m.commit([]store.Write{again})
	for i := range m.alerts {
		m.alerts[i].LogIndex = 0
		if !m.over[i] { // it is looked at once
			m.alerts[i].EraseAt = 1
		}
	}
	m.leaves = m.leaves[:1]
	return m
}
