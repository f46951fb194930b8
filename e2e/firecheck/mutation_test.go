package firecheck

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// mutation is one way in which a run may have gone wrong, and the classes of finding
// that it must show up in: these, and no others.
type mutation struct {
	name string
	do   func(f forged)
	want []string
}

// TestMutations: whatever is wrong with a run, the checker finds it, and takes it for
// what it is.
func TestMutations(t *testing.T) {
	shown := make(map[string]bool)
	for _, m := range slices.Concat(inboxMutations, hubMutations, logMutations, signedMutations, erasureMutations, journalMutations) {
		for _, class := range m.want {
			shown[class] = true
		}
		t.Run(m.name, func(t *testing.T) {
			f := forged{t, copyRun(t)}
			m.do(f)
			r, err := Check(t.Context(), f.dir)
			if err != nil {
				t.Fatal(err)
			}
			if got, want := slices.Sorted(maps.Keys(r.Violations)), slices.Sorted(slices.Values(m.want)); !slices.Equal(got, want) {
				t.Errorf("found %v, want %v:\n%s", got, want, strings.Join(r.Findings, "\n"))
			}
		})
	}
	for _, class := range classes {
		if !shown[class] {
			t.Errorf("no run shows that the checker finds %q", class)
		}
	}
}

func standing(i *item) bool { return i.text.Recall == nil && len(i.erased) == 0 && i.name.ver == 1 }

func of(iss string, portions ...string) func(*item) bool {
	return func(i *item) bool {
		var have []string
		for _, r := range i.delivery.Releases {
			have = append(have, r.Portion)
		}
		return standing(i) && i.name.iss == iss && slices.Equal(have, portions)
	}
}

// shortened tells what a version that has expired superseded.
func (f forged) shortened(i *item) bool {
	t, err := parseToken(f.wholeOr(name{i.name.iss, i.name.sub, 2}))
	return err == nil && i.name.ver == 1 && i.name.iss == "XA" && t.Recall == nil && t.Exp < i.text.Exp-86400
}

// wholeOr is whole, "" where there is no such version.
func (f forged) wholeOr(n name) string {
	raw, err := os.ReadFile(filepath.Join(f.dir, "whole", fmt.Sprintf("%s-%d", n.sub, n.ver)))
	if err != nil {
		return ""
	}
	return string(raw)
}

var inboxMutations = []mutation{
	{"the last item of an inbox is gone", func(f forged) {
		f.alter(f.node("XB"), "DELETE FROM inbox WHERE seq = (SELECT max(seq) FROM inbox)")
	}, []string{lost, undelivered}},
	{"an item in the middle of an inbox is gone", func(f forged) {
		f.alter(f.node("XB"), "DELETE FROM inbox WHERE seq = ?", f.item("XB", of("XC", "open")).seq)
	}, []string{feedBroken, lost, undelivered}},
	{"an item is twice in an inbox", func(f forged) {
		f.alter(f.node("XB"), "INSERT INTO inbox SELECT (SELECT max(seq) + 1 FROM inbox), digest, received_at, delivery, originator, id, version,"+
			" signed_digest, kept, due, recall, key FROM inbox WHERE seq = ?", f.item("XB", of("XC", "open")).seq)
	}, []string{inboxOther}},
	{"two items of an inbox have changed places", func(f forged) {
		a, b := f.item("XB", of("XC", "open")).seq, f.item("XB", of("XA", "river")).seq
		for _, move := range [][2]int64{{a, -a}, {b, a}, {-a, b}} {
			f.alter(f.node("XB"), "UPDATE inbox SET seq = abs(?) + iif(? < 0, 1000000, 0) WHERE seq = abs(?) + iif(? < 0, 1000000, 0)", move[1], move[1], move[0], move[0])
		}
	}, []string{inboxOther}},
	{"what an inbox holds was altered", func(f forged) {
		f.alter(f.node("XB"), "UPDATE inbox SET delivery = zeroblob(100) WHERE seq = ?", f.item("XB", of("XC", "open")).seq)
	}, []string{inboxOther, undelivered}},
	{"an inbox stands before its end", func(f forged) {
		f.alter(f.node("XC"), "UPDATE position SET seq = seq - 1")
	}, []string{inboxOther}},
	{"an alert was delivered twice", func(f forged) {
		f.handOver("XB", f.item("XB", of("XC", "open")))
	}, []string{twice, ackBad, unrecorded}},
	{"an alert was delivered twice, and it never was withheld in between", func(f forged) {
		i := f.item("XB", of("XC", "open"))
		f.handOver("XB", i)
		f.alter(f.hub(), "UPDATE deliveries SET lost = 1 WHERE recipient = 'XB' AND seq = ?", i.seq)
	}, []string{twice, ackBad, unrecorded}},
	{"an alert was delivered to whom it is not permitted", func(f forged) {
		f.handOver("XD", f.item("XB", of("XA", "river")))
	}, []string{released, ackBad, unrecorded}},
	{"a version was delivered after the one that has ended it", func(f forged) {
		f.handOver("XB", f.item("XB", func(i *item) bool {
			return i.name.iss == "XA" && i.name.ver == 1 && len(i.erased) == 1 && len(i.delivery.Releases) == 1
		}))
	}, []string{released, order, ackBad, inboxOther, twice, unrecorded}},
	{"an item came without a delivery before it was over", func(f forged) {
		i := f.item("XD", func(i *item) bool { return i.name.iss == "XA" && i.name.ver == 1 && len(i.erased) == 1 })
		f.alter(f.node("XD"), "UPDATE inbox SET received_at = received_at - 3600000000, delivery = NULL, originator = NULL, id = NULL, version = NULL, signed_digest = NULL, kept = '' WHERE seq = ?", i.seq)
	}, []string{undelivered}},
	{"an item was there an hour before its release, and a clock had been wrong at another time", func(f forged) {
		i := f.item("XB", of("XC", "open"))
		f.alter(f.node("XB"), "UPDATE inbox SET received_at = received_at - 3600000000 WHERE seq = ?", i.seq)
		f.journal(f.fault(900, "clock-node", "node-XB", -600, -100*hour, -99*hour)...)
	}, []string{unrecorded}},
	{"what is permitted was not delivered, and the hub says that it had erased it", func(f forged) {
		i := f.data("XB").items[len(f.data("XB").items)-1]
		f.alter(f.node("XB"), "DELETE FROM inbox WHERE seq = ?", i.seq)
		var list []string
		for _, r := range i.all() {
			list = append(list, r.Portion)
		}
		f.appended(map[string]any{"kind": "erased", "actor": "hub", "cause": "ended", "erased": list,
			"alert": alertRef{i.name.iss, i.name.sub, i.name.ver, digestOf("any")}})
	}, []string{lost, undelivered, content, erasedBad}},
	{"a node has raised an alarm", func(f forged) {
		f.alter(f.node("XB"), "INSERT INTO alarms VALUES (1, 'log', 1, 'two histories', x'00')")
	}, []string{alarmed}},
}

var hubMutations = []mutation{
	{"an alert is gone from the hub's store", func(f forged) {
		n := f.item("XB", of("XC", "open")).name
		f.alter(f.hub(), "DELETE FROM erasable_keys WHERE n = (SELECT id FROM alerts WHERE alert = ?)", n.sub)
		f.alter(f.hub(), "DELETE FROM portions WHERE alert = (SELECT id FROM alerts WHERE alert = ?)", n.sub)
		f.alter(f.hub(), "DELETE FROM alerts WHERE alert = ?", n.sub)
	}, []string{lost, released, unrecorded}},
	{"a gap in a feed", func(f forged) {
		f.alter(f.hub(), "UPDATE deliveries SET seq = seq + 1 WHERE recipient = 'XC' AND seq = (SELECT max(seq) FROM deliveries WHERE recipient = 'XC')")
	}, []string{feedBroken, ackBad}},
	{"a chain that does not follow", func(f forged) {
		f.alter(f.hub(), "UPDATE deliveries SET chain = ? WHERE recipient = 'XC' AND seq = 3", digestOf("another"))
	}, []string{feedBroken, ackBad}},
	{"a feed that counts wrongly", func(f forged) {
		f.alter(f.hub(), "UPDATE feeds SET seq = seq + 1 WHERE recipient = 'XC'")
	}, []string{feedBroken}},
	{"a delivery waits", func(f forged) {
		f.alter(f.hub(), "INSERT INTO deliveries (id, recipient, alert, state) SELECT max(id) + 1, 'XA', max(alert), 0 FROM deliveries")
	}, []string{unsent}},
	{"a delivery says other terms than the log", func(f forged) {
		f.alter(f.hub(), `UPDATE deliveries SET facts = CAST(replace(CAST(facts AS TEXT), '"onward":true', '"onward":false') AS BLOB)`+
			` WHERE recipient = 'XD' AND seq = 1`)
	}, []string{unrecorded}},
	{"the hub decides by another label", func(f forged) {
		f.alter(f.hub(), `UPDATE labels SET key = CAST(replace(CAST(key AS TEXT), '"classification":"confidential"', '"classification":"restricted"') AS BLOB)`+
			` WHERE CAST(key AS TEXT) LIKE '%"classification":"confidential"%' AND originator = 'XA'`)
	}, []string{released}},
	{"an alert waits in an outbox", func(f forged) {
		f.alter(f.node("XA"), "UPDATE outbox SET state = 'queued', receipt = '' WHERE n = 1")
	}, []string{unsent, lost}},
	{"two alerts of an outbox have changed places", func(f forged) {
		f.alter(f.node("XB"), "UPDATE outbox SET n = n + 1000 WHERE n = 1")
	}, []string{order}},
	{"an alert is gone from an outbox", func(f forged) {
		f.alter(f.node("XA"), "DELETE FROM outbox WHERE n = 1")
	}, []string{lost}},
}

var logMutations = []mutation{
	{"the last entry is gone", func(f forged) {
		f.alter(f.hub(), "DELETE FROM log_entries WHERE idx = (SELECT max(idx) FROM log_entries)")
	}, []string{logBroken, ackBad}},
	{"a salt is another", func(f forged) {
		index, leaf, e := f.entryOf("decision", "", nil)
		b := []byte(e.Salt)
		b[0] ^= 1
		f.alter(f.hub(), "UPDATE log_entries SET leaf = ? WHERE idx = ?", bytes.Replace([]byte(leaf), []byte(e.Salt), b, 1), index)
	}, []string{logBroken}},
	{"a hash of the tree is another", func(f forged) {
		f.alter(f.hub(), "UPDATE log_hashes SET hash = zeroblob(32) WHERE idx = 5")
	}, []string{logBroken}},
	{"a salt is used twice", func(f forged) {
		_, _, e := f.entryOf("decision", "", nil)
		f.appended(map[string]any{"kind": "preview", "actor": "XA", "salt": e.Salt})
	}, []string{logBroken}},
	{"history was rewritten, and agrees with itself", func(f forged) {
		index, leaf, e := f.entryOf("decision", "", nil)
		f.rewrite(index, leaf, e.Salt, strings.Repeat("X", minSalt))
	}, []string{logBroken}},
	{"a release stands in the log on other terms", func(f forged) {
		index, leaf, _ := f.entryOf("release", "XD", func(e *entry) bool { return len(e.Releases) == 1 && e.Releases[0].Obligations.Onward })
		f.rewrite(index, leaf, `"onward":true`, `"onward":false`)
	}, []string{logBroken, released, unrecorded, inboxOther}},
	{"a release cites rules that were not in force", func(f forged) {
		index, leaf, e := f.entryOf("release", "XD", nil)
		f.rewrite(index, leaf, e.Revision, digestOf("another"))
	}, []string{logBroken, released, unrecorded, inboxOther}},
	{"whoever holds a version was not told of its recall", func(f forged) {
		_, _, recall := f.entryOf("purged", "XD", func(e *entry) bool { return e.Cause == "recalled" })
		index, leaf, _ := f.entryOf("release", "XD", func(e *entry) bool { return e.Alert.Sub == recall.Alert.Sub && e.Alert.Ver == 2 })
		f.rewrite(index, leaf, `"kind":"release"`, `"kind":"preview"`)
	}, []string{logBroken, unrecorded, undelivered}},
	{"a release that nobody got", func(f forged) {
		_, _, e := f.entryOf("release", "XD", nil)
		f.appended(map[string]any{"kind": "release", "actor": "hub", "recipient": "XD", "seq": e.Seq + 1, "releases": e.Releases,
			"revision": e.Revision, "policy": e.Policy, "alert": e.Alert})
	}, []string{unrecorded}},
	{"an alert is admitted twice", func(f forged) {
		_, _, e := f.entryOf("admission", "", nil)
		f.appended(map[string]any{"kind": "admission", "actor": e.Actor, "revision": e.Revision, "policy": e.Policy, "portions": e.Portions, "alert": e.Alert})
	}, []string{twice}},
	{"an alert is admitted that is not there", func(f forged) {
		f.appended(map[string]any{"kind": "admission", "actor": "XA", "alert": alertRef{"XA", "0190-none", 1, digestOf("none")}})
	}, []string{lost}},
	{"what is permitted was withheld", func(f forged) {
		_, _, e := f.entryOf("release", "XD", nil)
		f.appended(map[string]any{"kind": "withheld", "actor": "hub", "recipient": "XD", "revision": e.Revision, "policy": e.Policy, "alert": e.Alert})
	}, []string{withheld}},
	{"a statement stands in the log that is not there", func(f forged) {
		f.appended(map[string]any{"kind": "statement", "actor": "hub", "statement": map[string]any{"type": "consent", "sub": "XA/x", "rev": 1, "digest": digestOf("x")}})
	}, []string{statemented}},
	{"something was refused without a reason", func(f forged) {
		f.appended(map[string]any{"kind": "refusal", "actor": "XA", "problem": "urn:entente:problem:malformed"})
	}, []string{refusalOdd}},
	{"what was accepted had been refused, and no answer was lost", func(f forged) {
		_, _, e := f.entryOf("admission", "", nil)
		f.appended(map[string]any{"kind": "refusal", "actor": e.Actor, "problem": "urn:entente:problem:expired", "alert": e.Alert})
	}, []string{refusalOdd}},
	{"what was accepted had been refused, and an answer may have been lost", func(f forged) {
		_, _, e := f.entryOf("admission", "", nil)
		f.journal(f.fault(900, "half-open", e.Actor+" to hub-1", 0, -hour, hour)...)
		f.appended(map[string]any{"kind": "refusal", "actor": e.Actor, "problem": "urn:entente:problem:expired", "alert": e.Alert})
	}, []string{refusalOdd}},
	{"the same bytes were refused twice", func(f forged) {
		for i := range 2 {
			f.appended(map[string]any{"kind": "refusal", "actor": "XA", "problem": "urn:entente:problem:expired", "alert": alertRef{"XA", "0190-none", 1, digestOf("none")},
				"salt": fmt.Sprint(strings.Repeat("T", minSalt), i)})
		}
	}, []string{twice, refusalOdd}},
	{"the hub remembers to have refused what it has", func(f forged) {
		f.alter(f.hub(), "INSERT INTO refused SELECT originator, digest, x'00' FROM alerts WHERE id = 1")
	}, []string{refusalOdd}},
	{"the hub remembers to have refused what the log does not name", func(f forged) {
		f.alter(f.hub(), "INSERT INTO refused VALUES ('XA', zeroblob(32), x'00')")
	}, []string{refusalOdd}},
	{"something was refused as dated ahead, the hub's clock being behind, and no statement was under way", func(f forged) {
		f.journal(f.fault(900, "clock-hub", "hub-1", -600, -hour, hour)...)
		f.appended(map[string]any{"kind": "refusal", "actor": "XA", "problem": "urn:entente:problem:not-yet-valid"})
	}, []string{refusalOdd}},
	{"a checkpoint that a member was given is forged", func(f forged) {
		files, err := filepath.Glob(filepath.Join(f.dir, "notes", "*"))
		if err != nil || len(files) == 0 {
			f.t.Fatal(files, err)
		}
		raw, err := os.ReadFile(files[0])
		if err != nil {
			f.t.Fatal(err)
		}
		lines := strings.SplitN(string(raw), "\n", 4)
		lines[1] = "1" + lines[1]
		if err := os.WriteFile(files[0], []byte(strings.Join(lines, "\n")), 0o600); err != nil {
			f.t.Fatal(err)
		}
	}, []string{logBroken}},
}

// forgedJWS alters a field of a JWS's payload, and leaves the signature.
func forgedJWS(t *testing.T, jws, from, to string) string {
	parts := strings.Split(jws, ".")
	raw, err := b64.DecodeString(parts[1])
	if err != nil || !strings.Contains(string(raw), from) {
		t.Fatalf("%s has no %q: %v", raw, from, err)
	}
	parts[1] = b64.EncodeToString([]byte(strings.Replace(string(raw), from, to, 1)))
	return strings.Join(parts, ".")
}

var signedMutations = []mutation{
	{"a receipt is forged", func(f forged) {
		var jws string
		f.ask(f.node("XA"), "SELECT receipt FROM outbox WHERE n = 1", &jws)
		f.alter(f.node("XA"), "UPDATE outbox SET receipt = ? WHERE n = 1", forgedJWS(f.t, jws, `"log_index":`, `"log_index":1`))
	}, []string{receiptBad}},
	{"a receipt is that of another alert", func(f forged) {
		f.alter(f.node("XA"), "UPDATE outbox SET receipt = (SELECT receipt FROM outbox WHERE n = 2) WHERE n = 1")
	}, []string{receiptBad}},
	{"the hub has lost an acknowledgement", func(f forged) {
		f.alter(f.hub(), "UPDATE deliveries SET receipt = NULL WHERE recipient = 'XC' AND seq = 2")
	}, []string{ackBad}},
	{"the log has no acknowledgement", func(f forged) {
		index, leaf, _ := f.entryOf("received", "XC", nil)
		f.rewrite(index, leaf, `"kind":"received"`, `"kind":"preview"`)
	}, []string{ackBad}},
	{"an item is acknowledged twice", func(f forged) {
		_, _, e := f.entryOf("received", "XC", nil)
		f.appended(map[string]any{"kind": "received", "actor": "XC", "recipient": "XC", "seq": e.Seq, "proof": e.Proof})
	}, []string{ackBad}},
	{"an acknowledgement is forged", func(f forged) {
		index, leaf, e := f.entryOf("received", "XC", nil)
		f.rewrite(index, leaf, e.Proof, forgedJWS(f.t, e.Proof, `"aud":"hub"`, `"aud":"bub"`))
	}, []string{ackBad}},
	{"a node's purge receipt is gone", func(f forged) {
		f.alter(f.node("XC"), "DELETE FROM purges WHERE n = 1")
	}, []string{purgeBad}},
	{"a node's purge receipt is forged", func(f forged) {
		var jws string
		f.ask(f.node("XC"), "SELECT token FROM purges WHERE n = 1", &jws)
		f.alter(f.node("XC"), "UPDATE purges SET token = ? WHERE n = 1", forgedJWS(f.t, jws, `"iss":"XC"`, `"iss":"XB"`))
	}, []string{purgeBad}},
	{"a purge receipt never reached the hub", func(f forged) {
		f.alter(f.node("XC"), "UPDATE purges SET taken = 0 WHERE n = 1")
	}, []string{unsent}},
	{"the log has no purge receipt", func(f forged) {
		index, leaf, _ := f.entryOf("purged", "XC", nil)
		f.rewrite(index, leaf, `"kind":"purged"`, `"kind":"preview"`)
	}, []string{logBroken, purgeBad}},
	{"a purge receipt is about what stands", func(f forged) {
		_, _, e := f.entryOf("purged", "XC", nil)
		ref := f.item("XC", of("XA", "river")).name
		f.appended(map[string]any{"kind": "purged", "actor": "XC", "recipient": "XC", "cause": e.Cause, "erased": []string{"river"}, "proof": e.Proof,
			"alert": alertRef{ref.iss, ref.sub, ref.ver, digestOf("any")}})
	}, []string{purgeBad}},
}

// whole is the token of a version as it was signed.
func (f forged) whole(n name) string {
	f.t.Helper()
	raw, err := os.ReadFile(filepath.Join(f.dir, "whole", fmt.Sprintf("%s-%d", n.sub, n.ver)))
	if err != nil {
		f.t.Fatal(err)
	}
	return string(raw)
}

// back puts back into an inbox what was erased of an item.
func (f forged) back(m string, i *item) {
	f.t.Helper()
	d := i.delivery
	d.Alert, d.Releases = f.whole(i.name), i.all()
	plain, err := json.Marshal(d)
	if err != nil {
		f.t.Fatal(err)
	}
	f.alter(f.node(m), "UPDATE inbox SET delivery = ?, kept = '', key = 0 WHERE seq = ?", plain, i.seq)
}

// fault is one in the journal, which began and ended so many milliseconds after its end.
func (f forged) fault(op int, kind, target string, by, from, to int64) []string {
	at := f.lastAt() / 1000
	return []string{
		fmt.Sprintf(`{"kind":"fault-begin","op":%d,"fault":%q,"target":%q,"by_s":%d,"at":%d}`, op, kind, target, by, at+from),
		fmt.Sprintf(`{"kind":"fault-end","op":%d,"fault":%q,"target":%q,"at":%d}`, op, kind, target, at+to)}
}

const hour = 3_600_000

var erasureMutations = []mutation{
	{"recalled content is back in an inbox", func(f forged) {
		f.back("XA", f.item("XA", func(i *item) bool { return i.name.iss == "XB" && len(i.erased) == 1 && i.name.ver == 1 }))
	}, []string{content, purgeBad}},
	{"what a later version's end has ended is back in an inbox", func(f forged) {
		f.back("XD", f.item("XD", f.shortened))
	}, []string{content, purgeBad}},
	{"what the member has recalled is back in its own outbox", func(f forged) {
		n := f.item("XA", func(i *item) bool { return i.name.iss == "XB" && len(i.erased) == 1 && i.name.ver == 1 }).name
		f.alter(f.node("XB"), "UPDATE outbox SET token = ?, key = 0 WHERE id = ? AND version = 1", []byte(f.whole(n)), n.sub)
	}, []string{content}},
	{"what has expired is back in its originator's outbox", func(f forged) {
		n := f.item("XD", f.shortened).name
		f.alter(f.node("XA"), "UPDATE outbox SET token = ?, key = 0 WHERE id = ? AND version = 2", []byte(f.whole(name{n.iss, n.sub, 2})), n.sub)
	}, []string{content}},
	{"what may not be used any more is gone from its originator's outbox", func(f forged) {
		i := f.item("XB", func(i *item) bool { return i.text.Recall != nil && i.text.Recall.Mode == "cease-use" })
		n := name{i.name.iss, i.name.sub, 1}
		jws, _, _ := strings.Cut(f.whole(n), "~")
		f.alter(f.node(n.iss), "UPDATE outbox SET token = ?, key = 0 WHERE id = ? AND version = 1", []byte(jws+"~"), n.sub)
	}, []string{missing}},
	{"recalled content is back at the hub", func(f forged) {
		i := f.item("XA", func(i *item) bool { return i.name.iss == "XB" && len(i.erased) == 1 && i.name.ver == 1 })
		f.alter(f.hub(), "DELETE FROM erasable_keys WHERE n = (SELECT id FROM alerts WHERE alert = ? AND version = 1)", i.name.sub)
		f.alter(f.hub(), "UPDATE alerts SET token = ? WHERE alert = ? AND version = 1", []byte(f.whole(i.name)), i.name.sub)
	}, []string{content}},
	{"content that stands is gone from an inbox", func(f forged) {
		i := f.item("XB", of("XC", "open"))
		left := map[string]any{"delivery": delivery{Alert: i.text.jws + "~", Releases: []release{}, Revision: i.delivery.Revision,
			Policy: i.delivery.Policy, ReleasedAt: i.delivery.ReleasedAt}, "erased": i.delivery.Releases}
		plain, err := json.Marshal(left)
		if err != nil {
			f.t.Fatal(err)
		}
		f.alter(f.node("XB"), "UPDATE inbox SET delivery = ?, kept = ?, key = 0 WHERE seq = ?", plain, digestOf(plain), i.seq)
	}, []string{missing, purgeBad}},
	{"content that stands is gone from the hub", func(f forged) {
		i := f.item("XB", of("XC", "open"))
		f.alter(f.hub(), "DELETE FROM erasable_keys WHERE n = (SELECT id FROM alerts WHERE alert = ?)", i.name.sub)
		f.alter(f.hub(), "UPDATE alerts SET token = ? WHERE alert = ?", []byte(i.text.jws+"~"), i.name.sub)
	}, []string{erasedBad}},
	{"the log tells of an erasure that was none", func(f forged) {
		_, _, e := f.entryOf("release", "XB", func(e *entry) bool { return e.Alert.Iss == "XC" && e.Alert.Ver == 1 && len(e.Releases) == 1 })
		f.appended(map[string]any{"kind": "erased", "actor": "hub", "cause": "superseded", "erased": []string{"open"}, "alert": e.Alert})
	}, []string{content, erasedBad}},
	{"content lies in the clear in another's database", func(f forged) {
		marker, _ := f.marker("XA", "own")
		f.alter(f.node("XB"), "CREATE TABLE leak AS SELECT ? AS text", "before "+marker+" after")
	}, []string{content}},
	{"content lies in base64 in another's database", func(f forged) {
		marker, _ := f.marker("XA", "person")
		f.alter(f.node("XD"), "CREATE TABLE leak AS SELECT ? AS text", base64.RawURLEncoding.EncodeToString([]byte("?>>?"+marker+"??")))
	}, []string{content}},
	{"content lies in a process's log", func(f forged) {
		marker, _ := f.marker("XB", "open")
		file, err := os.OpenFile(filepath.Join(f.dir, "log", "hub-1.log"), os.O_APPEND|os.O_WRONLY, 0)
		if err == nil {
			_, err = fmt.Fprintf(file, "{%q:%q}\n", "msg", marker)
		}
		if err == nil {
			err = file.Close()
		}
		if err != nil {
			f.t.Fatal(err)
		}
	}, []string{content}},
}

// unanswered is an act of XA's that had no answer.
func (f forged) unanswered(detail string, before ...string) {
	f.journal(append(before, `{"kind":"publish-begin","op":901,"member":"XA","portions":[]}`, fmt.Sprintf(`{"kind":"unknown","op":901,"member":"XA","detail":%q}`, detail))...)
}

// shown is the line of a reader who was shown an item an hour after the run.
func (f forged) shown(m string, i *item) string {
	f.t.Helper()
	j, err := readJournal(filepath.Join(f.dir, "journal.jsonl"))
	if err != nil {
		f.t.Fatal(err)
	}
	for _, l := range j.lines {
		if l.Kind == "taken" && l.Alert == i.name.sub && l.Version == i.name.ver {
			return fmt.Sprintf(`{"kind":"read","member":%q,"originator":%q,"alert":%q,"version":%d,"asked":%d,"at":%d,"markers":[%q]}`,
				m, i.name.iss, i.name.sub, i.name.ver, f.lastAt()/1000+hour, f.lastAt()/1000+hour, j.begun[l.Op].Portions[0].Marker)
		}
	}
	f.t.Fatalf("%v was not taken", i.name)
	return ""
}

var journalMutations = []mutation{
	{"an act was taken that left nothing", func(f forged) {
		f.journal(`{"kind":"publish-begin","op":900,"member":"XA","portions":[]}`, `{"kind":"taken","op":900,"member":"XA","alert":"0190-none","version":1}`)
	}, []string{lost}},
	{"an act had no answer, and nothing was wrong", func(f forged) {
		f.journal(`{"kind":"publish-begin","op":900,"member":"XA","portions":[]}`, `{"kind":"unknown","op":900,"member":"XA","detail":"internal"}`)
	}, []string{refusalOdd}},
	{"an act had no answer, and another's node was away", func(f forged) {
		f.unanswered("the node can not be reached: EOF", f.fault(900, "kill-node", "node-XB", 0, -1000, 1000)...)
	}, []string{refusalOdd}},
	{"an act had no answer, and its node had been away a minute before", func(f forged) {
		f.unanswered("the node can not be reached: EOF", f.fault(900, "kill-node", "node-XA", 0, -70_000, -60_000)...)
	}, []string{refusalOdd}},
	{"an act had no answer for a full disk, and another's was full", func(f forged) {
		f.unanswered("the outbox can not be written to", f.fault(900, "disk-full", "federation/nodes/XB/data", 0, -1000, 1000)...)
	}, []string{refusalOdd}},
	{"an act had no answer for its clock, and the hub's was wrong by something else", func(f forged) {
		f.unanswered("the node's clock differs from the hub's by -10m0s, where 5m0s is allowed", f.fault(900, "clock-hub", "hub-1", 86400, -1000, 1000)...)
	}, []string{refusalOdd}},
	{"an act had no answer for its clock, and the hub's had been wrong a minute before", func(f forged) {
		f.unanswered("the node's clock differs from the hub's by -10m0s, where 5m0s is allowed", f.fault(900, "clock-hub", "hub-1", 600, -90_000, -60_000)...)
	}, []string{refusalOdd}},
	{"an act had no answer, and why is not known", func(f forged) {
		f.unanswered("internal", f.fault(900, "kill-node", "node-XA", 0, -1000, 1000)...)
	}, []string{refusalOdd}},
	{"a process has ended by itself, and another's disk was full", func(f forged) {
		f.journal(append(f.fault(900, "disk-full", "federation/nodes/XB/data", 0, -1000, 1000), `{"kind":"fell","target":"node-XC"}`)...)
	}, []string{refusalOdd}},
	{"a recall was refused as expired, and its node's clock had been a month ahead", func(f forged) {
		n := f.item("XB", of("XC", "open")).name
		f.journal(append(f.fault(900, "clock-node", "node-XC", 40*86400, -100*hour, -99*hour),
			fmt.Sprintf(`{"kind":"recall-begin","op":901,"member":"XC","alert":%q,"mode":"purge"}`, n.sub),
			`{"kind":"refused","op":901,"member":"XC","problem":"expired"}`)...)
	}, []string{refusalOdd}},
	{"a recall was refused as not found, and there is no refusal of what it recalls", func(f forged) {
		n := f.item("XB", of("XC", "open")).name
		f.journal(fmt.Sprintf(`{"kind":"recall-begin","op":901,"member":"XC","alert":%q,"mode":"purge"}`, n.sub),
			`{"kind":"refused","op":901,"member":"XC","problem":"not-found"}`)
	}, []string{refusalOdd}},
	{"feedback was refused on what stands, and its node's clock had been a month ahead", func(f forged) {
		n := f.item("XB", of("XC", "open")).name
		f.journal(append(f.fault(900, "clock-node", "node-XB", 40*86400, -100*hour, -99*hour),
			fmt.Sprintf(`{"kind":"feedback-begin","op":901,"member":"XB","act":"comment","originator":"XC","alert":%q,"marker":"fire-feedback-of-a-mutation"}`, n.sub),
			`{"kind":"refused","op":901,"member":"XB","problem":"malformed"}`)...)
	}, []string{refusalOdd}},
	{"an act was refused, and nothing was wrong", func(f forged) {
		f.journal(`{"kind":"publish-begin","op":900,"member":"XA","portions":[]}`, `{"kind":"refused","op":900,"member":"XA","problem":"egress-denied"}`)
	}, []string{refusalOdd}},
	{"a statement was taken that is not in force", func(f forged) {
		f.journal(`{"kind":"statement-begin","op":900,"type":"roster","subject":"tf-river","rev":9,"digest":"none"}`, `{"kind":"statement-taken","op":900}`)
	}, []string{lost}},
	{"a reader was shown what was not released to it", func(f forged) {
		marker, n := f.marker("XA", "own")
		f.journal(fmt.Sprintf(`{"kind":"read","member":"XB","originator":"XA","alert":%q,"version":1,"markers":[%q]}`, n.sub, marker))
	}, []string{content}},
	{"a reader was shown what had ended", func(f forged) {
		i := f.item("XA", func(i *item) bool { return i.name.iss == "XB" && len(i.erased) == 1 && i.name.ver == 1 })
		j, err := readJournal(filepath.Join(f.dir, "journal.jsonl"))
		if err != nil {
			f.t.Fatal(err)
		}
		for _, l := range j.lines {
			if l.Kind == "taken" && l.Alert == i.name.sub && l.Version == 1 {
				f.journal(fmt.Sprintf(`{"kind":"read","member":"XA","originator":"XB","alert":%q,"version":1,"asked":%d,"markers":[%q]}`,
					i.name.sub, f.lastAt()/1000+60_000, j.begun[l.Op].Portions[0].Marker))
			}
		}
	}, []string{content}},
	{"a reader was shown what had expired, and its clock had been wrong at another time", func(f forged) {
		f.journal(append(f.fault(900, "clock-node", "node-XD", -86400, -100*hour, -99*hour), f.shown("XD", f.item("XD", f.shortened)))...)
	}, []string{content}},
	{"a reader was shown what had been recalled while its clock was wrong", func(f forged) {
		i := f.item("XA", func(i *item) bool { return i.name.iss == "XB" && len(i.erased) == 1 && i.name.ver == 1 })
		f.journal(append(f.fault(900, "clock-node", "node-XA", -86400, hour/2, 2*hour), f.shown("XA", i))...)
	}, []string{content}},
	{"a line of the journal is missing", func(f forged) {
		file := filepath.Join(f.dir, "journal.jsonl")
		raw, err := os.ReadFile(file)
		if err != nil {
			f.t.Fatal(err)
		}
		lines := strings.SplitAfter(string(raw), "\n")
		if err := os.WriteFile(file, []byte(lines[0]+strings.Join(lines[2:], "")), 0o600); err != nil {
			f.t.Fatal(err)
		}
	}, []string{journalOdd, missing}},
}
