package firecheck

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"strings"
)

// entry is a leaf of the audit log.
type entry struct {
	index int64
	after int // entries of statements before it

	Version   int       `json:"v"`
	Salt      string    `json:"salt"`
	At        int64     `json:"at"` // microseconds since 1970-01-01 UTC, by the hub's clock
	Kind      string    `json:"kind"`
	Actor     string    `json:"actor"`
	Alert     *alertRef `json:"alert"`
	Recipient string    `json:"recipient"`
	Seq       int64     `json:"seq"`
	Releases  []release `json:"releases"`
	Portions  []struct {
		Portion string `json:"portion"`
	} `json:"portions"`
	Revision  string   `json:"revision"`
	Policy    string   `json:"policy"`
	Problem   string   `json:"problem"`
	Codes     []string `json:"codes"`
	Proof     string   `json:"proof"`
	Cause     string   `json:"cause"`
	Erased    []string `json:"erased"`
	Statement *struct {
		Type    string `json:"type"`
		Subject string `json:"sub"`
		Rev     int64  `json:"rev"`
		Digest  string `json:"digest"`
	} `json:"statement"`
}

type alertRef struct {
	Iss    string `json:"iss"`
	Sub    string `json:"sub"`
	Ver    int    `json:"ver"`
	Digest string `json:"digest"`
}

func (a *alertRef) name() name { return name{a.Iss, a.Sub, a.Ver} }

// seconds is when the entry was made, in seconds since 1970-01-01 UTC.
func (e *entry) seconds() int64 { return e.At / 1_000_000 }

// deliveryKey is a place in a feed.
type deliveryKey struct {
	recipient string
	seq       int64
}

// handKey is a version and one to whom it was handed over, or withheld.
type handKey struct {
	recipient string
	name      name
}

// logData is the log, read and filed.
type logData struct {
	entries    []*entry
	admissions map[name][]*entry
	releases   map[deliveryKey][]*entry
	handed     map[handKey][]*entry // releases
	withheld   map[handKey][]*entry
	received   map[deliveryKey][]*entry
	erased     map[name][]*entry
	purged     map[handKey][]*entry
	refusals   []*entry
	stated     []*entry
}

// minSalt is what a leaf's salt has at least: whoever sees hashes can not guess leaves.
const minSalt = 26

// readLog parses the leaves.
func readLog(h *hubData, rep *Report) *logData {
	l := &logData{admissions: make(map[name][]*entry), releases: make(map[deliveryKey][]*entry), handed: make(map[handKey][]*entry),
		withheld: make(map[handKey][]*entry), received: make(map[deliveryKey][]*entry), erased: make(map[name][]*entry),
		purged: make(map[handKey][]*entry)}
	salts := make(map[string]int64, len(h.leaves))
	for i, leaf := range h.leaves {
		e := &entry{index: int64(i), after: len(l.stated)}
		if err := json.Unmarshal(leaf, e); err != nil || e.Version != 1 {
			rep.find(logBroken, "entry %d is none: version %d, %v", i, e.Version, err)
		}
		if before, used := salts[e.Salt]; used || len(e.Salt) < minSalt {
			rep.find(logBroken, "entry %d has a salt of %d characters, used before by %d: %t", i, len(e.Salt), before, used)
		}
		salts[e.Salt] = e.index
		l.entries = append(l.entries, e)
		l.file(e, rep)
		rep.count("log entries, "+e.Kind, 1)
	}
	return l
}

// needsAlert are the kinds of entry that say nothing without an alert.
var needsAlert = []string{"admission", "release", "withheld", "erased", "purged"}

func (l *logData) file(e *entry, rep *Report) {
	if e.Alert == nil {
		for _, k := range needsAlert {
			if e.Kind == k {
				rep.find(logBroken, "entry %d, %s, names no alert", e.index, e.Kind)
				return
			}
		}
	}
	switch e.Kind {
	case "admission":
		l.admissions[e.Alert.name()] = append(l.admissions[e.Alert.name()], e)
	case "release":
		at, to := deliveryKey{e.Recipient, e.Seq}, handKey{e.Recipient, e.Alert.name()}
		l.releases[at] = append(l.releases[at], e)
		l.handed[to] = append(l.handed[to], e)
	case "withheld":
		to := handKey{e.Recipient, e.Alert.name()}
		l.withheld[to] = append(l.withheld[to], e)
	case "received":
		at := deliveryKey{e.Recipient, e.Seq}
		l.received[at] = append(l.received[at], e)
	case "erased":
		l.erased[e.Alert.name()] = append(l.erased[e.Alert.name()], e)
	case "purged":
		to := handKey{e.Recipient, e.Alert.name()}
		l.purged[to] = append(l.purged[to], e)
	case "refusal":
		l.refusals = append(l.refusals, e)
	case "statement":
		l.stated = append(l.stated, e)
	}
}

// note is a signed checkpoint and where it comes from.
type note struct {
	from string
	text []byte
}

// checkTree computes the log's root from its leaves, and holds each checkpoint that a
// member was given against the tree of its size.
func (c *checker) checkTree(ctx context.Context) error {
	notes, err := c.notes()
	if err != nil {
		return err
	}
	origin := "entente/" + c.run.Hub
	wanted := make(map[int64][]note)
	roots := make(map[string]hash)
	for _, n := range notes {
		p, err := openCheckpoint(n.text, origin, c.history.hubKeys)
		if err != nil {
			c.rep.find(logBroken, "the checkpoint in %s: %v", n.from, err)
			continue
		}
		if p.size > int64(len(c.hub.leaves)) {
			c.rep.find(logBroken, "the checkpoint in %s is of %d entries, the log has %d", n.from, p.size, len(c.hub.leaves))
		}
		wanted[p.size], roots[n.from] = append(wanted[p.size], n), p.root
		c.rep.count("checkpoints", 1)
	}
	var t tree
	at := func() {
		for _, n := range wanted[t.size] {
			if roots[n.from] != t.root() {
				c.rep.find(logBroken, "the checkpoint in %s of %d entries has another root than the log had", n.from, t.size)
			}
		}
	}
	at()
	next, wrong := 0, 0
	for _, leaf := range c.hub.leaves {
		for _, h := range t.add(leaf) {
			if next >= len(c.hub.hashes) || !bytes.Equal(c.hub.hashes[next], h[:]) {
				wrong++
			}
			next++
		}
		at()
	}
	if wrong > 0 || next != len(c.hub.hashes) {
		c.rep.find(logBroken, "of %d hashes that the hub proves from, where the leaves make %d, %d are others", len(c.hub.hashes), next, wrong)
	}
	root := t.root()
	if t.size != c.hub.size || !bytes.Equal(root[:], c.hub.root) {
		c.rep.find(logBroken, "the log of %d entries has another root than its head of %d", t.size, c.hub.size)
	}
	c.rep.count("log entries", t.size)
	return ctx.Err()
}

// notes are the checkpoints that members were given: those that the harness asked for,
// and the last one of each node.
func (c *checker) notes() ([]note, error) {
	var list []note
	for _, l := range c.journal.lines {
		if l.Kind != "checkpoint" {
			continue
		}
		file := l.File
		if !strings.Contains(file, "/") {
			file = "notes/" + file
		}
		text, err := os.ReadFile(c.run.path(file))
		if err != nil {
			return nil, fmt.Errorf("line %d of the journal: %w", l.N, err)
		}
		list = append(list, note{file, text})
	}
	for _, m := range c.run.Members {
		if text := c.nodes[m].checkpoint; len(text) > 0 {
			list = append(list, note{"the node of " + m, text})
		}
	}
	return list, nil
}
