package firecheck

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
)

// checker holds all that a run has left.
type checker struct {
	rep     *Report
	run     *run
	journal *journal
	hub     *hubData
	nodes   map[string]*nodeData
	log     *logData
	history *history
	scanner *scanner

	versions map[name]*version
	alerts   map[alertKey][]*version // by number
	first    map[string]string       // by an alert's id: who was the first to publish under it
	handed   map[[3]string]int64     // recipient, originator, id: the first hand-over's entry
	markers  map[string]bool         // all that there are
	marker   map[portionKey][]string // as far as the journal tells: see published
	perhaps  map[portionKey][]string // likewise, of version 0: of acts without an answer that may have made any
	allowed  map[string]map[string]bool
	ended    map[endKey]ending
}

// portionKey is a portion of a version.
type portionKey struct {
	name    name
	portion string
}

// endKey is a portion that a member has held.
type endKey struct {
	member string
	portionKey
}

// ending is when something ended at a node, in milliseconds since 1970-01-01 UTC: by its
// time, and by a delivery; never for neither.
type ending struct{ time, delivery int64 }

// by reports whether it had ended at a moment, by a clock that was ahead by so many seconds.
func (e ending) by(ms, ahead int64) bool { return e.time <= ms+ahead*1000 || e.delivery <= ms }

// Check reads the folder of a run that has ended (JOURNAL.md), and holds everything in
// it against everything else. An error says that it could not be checked: a file is
// missing, a database can not be read, or a statement is in force of a kind whose
// consequences are not worked out here.
func Check(ctx context.Context, dir string) (*Report, error) {
	c := &checker{rep: newReport(), nodes: make(map[string]*nodeData), scanner: newScanner(), versions: make(map[name]*version),
		alerts: make(map[alertKey][]*version), first: make(map[string]string), handed: make(map[[3]string]int64),
		markers: make(map[string]bool), marker: make(map[portionKey][]string), perhaps: make(map[portionKey][]string), allowed: make(map[string]map[string]bool),
		ended: make(map[endKey]ending)}
	if err := c.read(ctx, dir); err != nil {
		return nil, fmt.Errorf("firecheck: %w", err)
	}
	c.gather()
	c.journal.check(c.rep)
	c.checkStatements()
	c.checkOutboxes()
	c.checkAdmissions()
	c.checkReleases()
	c.checkWithheld()
	for _, m := range c.run.Members {
		c.checkFeed(m)
		c.checkInbox(m)
	}
	c.checkDelivered()
	c.checkAcks()
	c.checkPurges()
	c.checkHubContent()
	c.checkReads()
	c.checkRefusals()
	c.checkRefused()
	c.checkFalls()
	c.checkRest()
	for _, part := range []func(context.Context) error{c.checkTree, c.checkFiles} {
		if err := part(ctx); err != nil {
			return nil, fmt.Errorf("firecheck: %w", err)
		}
	}
	c.rep.finish()
	return c.rep, nil
}

// read reads all that lies in the folder.
func (c *checker) read(ctx context.Context, dir string) error {
	var err error
	if c.run, err = readRun(dir); err != nil {
		return err
	}
	if c.journal, err = readJournal(filepath.Join(dir, "journal.jsonl")); err != nil {
		return err
	}
	if err := c.collectMarkers(); err != nil {
		return err
	}
	var authority jwk
	raw, err := os.ReadFile(filepath.Join(dir, "federation", "authority", "authority.jwk"))
	if err == nil {
		err = json.Unmarshal(raw, &authority)
	}
	if err != nil {
		return err
	}
	if c.hub, err = readHub(ctx, c.run, c.rep); err != nil {
		return err
	}
	if c.history, err = newHistory(c.hub.rows, authority, c.rep); err != nil {
		return err
	}
	if len(c.history.worlds) == 0 {
		return fmt.Errorf("the hub's store has no statements")
	}
	for _, m := range c.run.Members {
		if c.nodes[m], err = readNode(ctx, m, c.run.path(c.run.NodeDB[m]), c.rep); err != nil {
			return err
		}
	}
	c.log = readLog(c.hub, c.rep)
	return nil
}

// collectMarkers has all markers looked for, and notes whose they are as far as nodes
// have told.
func (c *checker) collectMarkers() error {
	add := func(l line, marker string) error {
		if len(marker) < minMarker {
			return fmt.Errorf("line %d of the journal: a marker of %d bytes", l.N, len(marker))
		}
		if c.markers[marker] {
			c.rep.find(journalOdd, "line %d: the marker %s stands for something already", l.N, marker)
		}
		c.markers[marker] = true
		c.scanner.add(marker)
		return nil
	}
	for _, l := range c.journal.lines {
		switch l.Kind {
		case "publish-begin":
			for _, p := range l.Portions {
				if err := add(l, p.Marker); err != nil {
					return err
				}
			}
		case "feedback-begin":
			if err := add(l, l.Marker); err != nil {
				return err
			}
		case "taken", "unknown":
			if b := c.journal.begun[l.Op]; b != nil {
				c.noteMarkers(b, l)
			}
		}
	}
	c.rep.count("markers", int64(len(c.markers)))
	return nil
}

// noteMarkers notes which version an act has put its markers into.
func (c *checker) noteMarkers(b *line, l line) {
	for _, p := range b.Portions {
		if k := (portionKey{name{b.Member, b.Supersedes, 0}, p.ID}); l.Kind == "unknown" {
			c.perhaps[k] = append(c.perhaps[k], p.Marker)
			continue
		}
		k := portionKey{name{l.Member, l.Alert, l.Version}, p.ID}
		c.marker[k] = append(c.marker[k], p.Marker)
	}
}

// published reports whether a portion holds what was published as it, by the markers that
// were found in it. What the hub has refused may be followed by another of the same number:
// then it may be any of them.
func (c *checker) published(k portionKey, found map[string]bool) bool {
	is := func(marker string) bool { return found[marker] }
	return len(c.marker[k]) == 0 || slices.ContainsFunc(c.marker[k], is) ||
		slices.ContainsFunc(c.perhaps[portionKey{name{k.name.iss, k.name.sub, 0}, k.portion}], is)
}

// allow notes that a database may hold what is in a portion's content, and returns the
// markers in it.
func (c *checker) allow(where string, text []byte) map[string]bool {
	if c.allowed[where] == nil {
		c.allowed[where] = make(map[string]bool)
	}
	found := c.scanner.in(text)
	for m := range found {
		c.allowed[where][m] = true
	}
	return found
}

// quiet is when all was at rest, in seconds since 1970-01-01 UTC: what had ended by then
// must be gone.
func (c *checker) quiet() int64 {
	if t := c.journal.phase["quiet"]; t > 0 {
		return t / 1000
	}
	return c.run.CheckedAt / 1000
}

// stopped is when all had stopped, likewise: what ends after it must be there still.
func (c *checker) stopped() int64 { return c.run.CheckedAt / 1000 }
