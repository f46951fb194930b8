package firecheck

import (
	"database/sql"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// forged is a copy of the small run, to be altered.
type forged struct {
	t   *testing.T
	dir string
}

func (f forged) hub() string { return filepath.Join(f.dir, "federation/hub/data/hub.db") }

func (f forged) node(m string) string {
	return filepath.Join(f.dir, "federation/nodes", m, "data/node.db")
}

// open opens a database as it lies there.
func (f forged) open(file string) *sql.DB {
	f.t.Helper()
	db, err := sql.Open("sqlite", "file:"+file+"?_pragma=synchronous(0)")
	if err != nil {
		f.t.Fatal(err)
	}
	f.t.Cleanup(func() { _ = db.Close() }) // it was closed when it was written
	return db
}

// alter runs statements, each of which must change something.
func (f forged) alter(file, text string, args ...any) {
	f.t.Helper()
	db := f.open(file)
	res, err := db.Exec(text, args...)
	if err != nil {
		f.t.Fatalf("%s: %v", text, err)
	}
	if n, err := res.RowsAffected(); err == nil && n == 0 && !strings.HasPrefix(text, "CREATE") {
		f.t.Fatalf("%s: nothing is altered", text)
	}
	if err := db.Close(); err != nil {
		f.t.Fatal(err)
	}
}

// ask reads one row.
func (f forged) ask(file, text string, into ...any) {
	f.t.Helper()
	db := f.open(file)
	defer db.Close() // only read
	if err := db.QueryRow(text).Scan(into...); err != nil {
		f.t.Fatalf("%s: %v", text, err)
	}
}

// reroot has the log's head, and the hashes of its tree, say what the leaves are.
func (f forged) reroot() {
	f.t.Helper()
	db := f.open(f.hub())
	var tr tree
	var hashes []hash
	err := query(f.t.Context(), db, "SELECT leaf FROM log_entries ORDER BY idx", func(rows *sql.Rows) error {
		var leaf []byte
		err := rows.Scan(&leaf)
		hashes = append(hashes, tr.add(leaf)...)
		return err
	})
	if err != nil {
		f.t.Fatal(err)
	}
	tx, err := db.Begin()
	if err != nil {
		f.t.Fatal(err)
	}
	_, err = tx.Exec("DELETE FROM log_hashes")
	for i, h := range hashes {
		if err == nil {
			_, err = tx.Exec("INSERT INTO log_hashes VALUES (?, ?)", i, h[:])
		}
	}
	if err := errors.Join(err, tx.Commit()); err != nil {
		f.t.Fatal(err)
	}
	if err := db.Close(); err != nil {
		f.t.Fatal(err)
	}
	root := tr.root()
	f.alter(f.hub(), "UPDATE log_head SET size = ?, root = ?", tr.size, root[:])
}

// appended adds an entry to the log, which agrees with itself afterwards.
func (f forged) appended(e map[string]any) {
	f.t.Helper()
	e["v"], e["at"] = 1, f.lastAt()
	if e["salt"] == nil {
		e["salt"] = strings.Repeat("S", minSalt) + digestOf(f.t.Name())[:8]
	}
	leaf, err := json.Marshal(e)
	if err != nil {
		f.t.Fatal(err)
	}
	f.alter(f.hub(), "INSERT INTO log_entries SELECT max(idx) + 1, ? FROM log_entries", leaf)
	f.reroot()
}

func (f forged) lastAt() int64 {
	var leaf []byte
	f.ask(f.hub(), "SELECT leaf FROM log_entries ORDER BY idx DESC LIMIT 1", &leaf)
	var e entry
	if err := json.Unmarshal(leaf, &e); err != nil {
		f.t.Fatal(err)
	}
	return e.At
}

// entryOf returns the last entry of a kind that is about a version and a recipient, ""
// for any.
func (f forged) entryOf(kind, recipient string, of func(*entry) bool) (index int64, leaf string, last *entry) {
	f.t.Helper()
	db := f.open(f.hub())
	defer db.Close() // only read
	err := query(f.t.Context(), db, "SELECT idx, leaf FROM log_entries ORDER BY idx", func(rows *sql.Rows) error {
		var idx int64
		var raw []byte
		if err := rows.Scan(&idx, &raw); err != nil {
			return err
		}
		e := &entry{}
		if err := json.Unmarshal(raw, e); err != nil {
			return err
		}
		if e.Kind == kind && (recipient == "" || e.Recipient == recipient) && (of == nil || of(e)) {
			index, leaf, last = idx, string(raw), e
		}
		return nil
	})
	if err != nil || last == nil {
		f.t.Fatalf("no entry %s of %s: %v", kind, recipient, err)
	}
	return index, leaf, last
}

// rewrite replaces a text in an entry of the log.
func (f forged) rewrite(index int64, leaf, from, to string) {
	f.t.Helper()
	if !strings.Contains(leaf, from) {
		f.t.Fatalf("entry %d has no %q: %s", index, from, leaf)
	}
	f.alter(f.hub(), "UPDATE log_entries SET leaf = ? WHERE idx = ?", []byte(strings.Replace(leaf, from, to, 1)), index)
	f.reroot()
}

// data reads a node's database.
func (f forged) data(m string) *nodeData {
	f.t.Helper()
	n, err := readNode(f.t.Context(), m, f.node(m), newReport())
	if err != nil {
		f.t.Fatal(err)
	}
	return n
}

// item returns the first item of an inbox that is so.
func (f forged) item(m string, is func(*item) bool) *item {
	f.t.Helper()
	var found *item
	for _, i := range f.data(m).items {
		if !i.withheld && is(i) {
			found = i
			break
		}
	}
	if found == nil {
		f.t.Fatalf("no such item in the inbox of %s", m)
	}
	return found
}

// handOver gives a member an item of another feed, or once more: at the hub, in the log
// and in its inbox. But for what is given to whom all agrees; it can not be
// acknowledged.
func (f forged) handOver(to string, i *item) {
	f.t.Helper()
	d := i.delivery
	d.Releases, d.Revision = i.all(), f.revision()
	plain, err := json.Marshal(d)
	if err != nil {
		f.t.Fatal(err)
	}
	facts, err := json.Marshal(map[string]any{"releases": d.Releases, "revision": d.Revision, "policy": d.Policy, "released_at": d.ReleasedAt})
	if err != nil {
		f.t.Fatal(err)
	}
	var seq, row int64
	var chain string
	var digest []byte
	f.ask(f.hub(), "SELECT seq + 1, chain FROM feeds WHERE recipient = '"+to+"'", &seq, &chain)
	db := f.open(f.hub())
	if err := db.QueryRow("SELECT id, digest FROM alerts WHERE alert = ? AND version = ?", i.name.sub, i.name.ver).Scan(&row, &digest); err != nil {
		f.t.Fatal(err)
	}
	_ = db.Close() // only read
	chain = nextChain(chain, seq, digestOf(plain))
	f.alter(f.hub(), "INSERT INTO deliveries (id, recipient, alert, state, seq, chain, digest, facts) SELECT max(id) + 1, ?, ?, 1, ?, ?, ?, ? FROM deliveries",
		to, row, seq, chain, digestOf(plain), facts)
	f.alter(f.hub(), "UPDATE feeds SET seq = ?, chain = ? WHERE recipient = ?", seq, chain, to)
	f.appended(map[string]any{"kind": "release", "actor": "hub", "recipient": to, "seq": seq, "releases": d.Releases,
		"revision": d.Revision, "policy": d.Policy, "alert": map[string]any{"iss": i.name.iss, "sub": i.name.sub, "ver": i.name.ver, "digest": b64.EncodeToString(digest)}})
	f.alter(f.node(to), "INSERT INTO inbox (seq, digest, received_at, delivery, originator, id, version, signed_digest)"+
		" VALUES (?, ?, unixepoch() * 1000000, ?, ?, ?, ?, ?)", seq, digestOf(plain), plain, i.name.iss, i.name.sub, i.name.ver, i.text.signedDigest)
	f.alter(f.node(to), "UPDATE position SET seq = ?, chain = ?", seq, chain)
}

// revision is the one that the last release cites.
func (f forged) revision() string {
	_, _, e := f.entryOf("release", "", nil)
	return e.Revision
}

// journal adds lines to the journal.
func (f forged) journal(lines ...string) {
	f.t.Helper()
	file := filepath.Join(f.dir, "journal.jsonl")
	raw, err := os.ReadFile(file)
	if err != nil {
		f.t.Fatal(err)
	}
	n := strings.Count(string(raw), "\n")
	var b strings.Builder
	b.Write(raw)
	for _, l := range lines {
		n++
		var fields map[string]any
		if err := json.Unmarshal([]byte(l), &fields); err != nil {
			f.t.Fatal(err)
		}
		fields["n"], fields["t"] = n, f.lastAt()/1000
		if at, ok := fields["at"]; ok { // another time than the last
			fields["t"] = at
		}
		out, err := json.Marshal(fields)
		if err != nil {
			f.t.Fatal(err)
		}
		b.Write(append(out, '\n'))
	}
	if err := os.WriteFile(file, []byte(b.String()), 0o600); err != nil {
		f.t.Fatal(err)
	}
}

// marker is one that stands for a portion of a member's, by the journal.
func (f forged) marker(m, portion string) (marker string, n name) {
	f.t.Helper()
	j, err := readJournal(filepath.Join(f.dir, "journal.jsonl"))
	if err != nil {
		f.t.Fatal(err)
	}
	for _, l := range j.lines {
		if b := j.begun[l.Op]; b != nil && l.Kind == "taken" && l.Member == m {
			for _, p := range b.Portions {
				if p.ID == portion {
					return p.Marker, name{m, l.Alert, l.Version}
				}
			}
		}
	}
	f.t.Fatalf("%s has published no portion %s", m, portion)
	return "", name{}
}
