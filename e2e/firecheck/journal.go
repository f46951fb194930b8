package firecheck

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
)

// run is run.json: what was run, and where its parts lie.
type run struct {
	dir       string
	Format    int               `json:"format"`
	Store     string            `json:"store"`
	HubDB     string            `json:"hub_db"`
	DSN       string            `json:"dsn"`
	PGData    []string          `json:"pg_data"`
	Hub       string            `json:"hub"`
	Members   []string          `json:"members"`
	NodeDB    map[string]string `json:"node_db"`
	Faults    map[string]int    `json:"faults"`
	CheckedAt int64             `json:"checked_at"` // milliseconds since 1970-01-01 UTC
}

// path is a file of the run.
func (r *run) path(name string) string {
	if filepath.IsAbs(name) {
		return name
	}
	return filepath.Join(r.dir, name)
}

func readRun(dir string) (*run, error) {
	raw, err := os.ReadFile(filepath.Join(dir, "run.json"))
	if err != nil {
		return nil, err
	}
	r := &run{dir: dir}
	if err := json.Unmarshal(raw, r); err != nil {
		return nil, fmt.Errorf("run.json: %w", err)
	}
	switch {
	case r.Format != 1:
		return nil, fmt.Errorf("run.json: format %d is not known", r.Format)
	case r.Hub == "" || len(r.Members) == 0 || r.CheckedAt == 0:
		return nil, errors.New("run.json: hub, members or checked_at is missing")
	case (r.Store == "sqlite") != (r.HubDB != "") || (r.Store == "postgres") != (r.DSN != ""):
		return nil, fmt.Errorf("run.json: a store %q without its database", r.Store)
	}
	for _, m := range r.Members {
		if r.NodeDB[m] == "" {
			return nil, fmt.Errorf("run.json: no node_db of %s", m)
		}
	}
	return r, nil
}

// line is one of the journal: fields by kind, see JOURNAL.md.
type line struct {
	N    int64  `json:"n"`
	T    int64  `json:"t"` // milliseconds since 1970-01-01 UTC
	Kind string `json:"kind"`
	Op   int64  `json:"op"`

	Phase      string          `json:"phase"`
	Member     string          `json:"member"`
	Portions   []planned       `json:"portions"`
	Supersedes string          `json:"supersedes"`
	Alert      string          `json:"alert"`
	Version    int             `json:"version"`
	Mode       string          `json:"mode"`
	Act        string          `json:"act"`
	Originator string          `json:"originator"`
	Marker     string          `json:"marker"`
	DueS       int64           `json:"due_s"`
	Problem    string          `json:"problem"`
	Detail     string          `json:"detail"`
	Codes      []string        `json:"codes"`
	Seq        int64           `json:"seq"`
	Asked      int64           `json:"asked"`
	Markers    []string        `json:"markers"`
	Type       string          `json:"type"`
	Subject    string          `json:"subject"`
	Rev        int64           `json:"rev"`
	Digest     string          `json:"digest"`
	File       string          `json:"file"`
	Fault      string          `json:"fault"`
	Target     string          `json:"target"`
	ByS        int64           `json:"by_s"`
	Body       json.RawMessage `json:"body"`
}

// planned is a portion of a draft.
type planned struct {
	ID     string          `json:"id"`
	Label  json.RawMessage `json:"label"`
	Marker string          `json:"marker"`
}

// fault is one that was made, and when it was in force: milliseconds since 1970-01-01
// UTC.
type fault struct {
	kind, target string
	from, to     int64
	by           int64 // seconds, of a clock
}

// journal is what the harness saw.
type journal struct {
	lines  []line
	begun  map[int64]*line // by op: the "…-begin"
	ended  map[int64]*line // by op: what ends it
	faults []*fault
	phase  map[string]int64 // when each began
}

func readJournal(file string) (*journal, error) {
	f, err := os.Open(file)
	if err != nil {
		return nil, err
	}
	defer f.Close() // only read
	j := &journal{begun: make(map[int64]*line), ended: make(map[int64]*line), phase: make(map[string]int64)}
	r := bufio.NewReaderSize(f, 1<<20)
	for {
		raw, err := r.ReadBytes('\n')
		if errors.Is(err, io.EOF) && len(raw) == 0 {
			break
		} else if err != nil {
			return nil, fmt.Errorf("journal line %d: %w", len(j.lines)+1, err)
		}
		var l line
		if err := json.Unmarshal(raw, &l); err != nil {
			return nil, fmt.Errorf("journal line %d: %w", len(j.lines)+1, err)
		}
		j.lines = append(j.lines, l)
	}
	ends := make(map[int64]int64)
	for _, l := range j.lines {
		if l.Kind == "fault-end" {
			ends[l.Op] = l.T
		}
	}
	for i := range j.lines {
		j.note(&j.lines[i], ends)
	}
	return j, nil
}

// never is the end of a fault that was not healed.
const never = 1 << 60

// note files a line under its act, its fault or its phase; ends are those of faults.
func (j *journal) note(l *line, ends map[int64]int64) {
	switch l.Kind {
	case "phase":
		j.phase[l.Phase] = l.T
	case "publish-begin", "recall-begin", "feedback-begin", "statement-begin":
		j.begun[l.Op] = l
	case "taken", "refused", "unknown", "statement-taken":
		j.ended[l.Op] = l
	case "fault-begin":
		j.begun[l.Op] = l
		f := &fault{kind: l.Fault, target: l.Target, from: l.T, to: never, by: l.ByS}
		if end, ok := ends[l.Op]; ok {
			f.to = end
		}
		j.faults = append(j.faults, f)
	}
}

// check holds the journal to its own rules.
func (j *journal) check(r *Report) {
	for i, l := range j.lines {
		if l.N != int64(i)+1 {
			r.find(journalOdd, "line %d has the number %d", i+1, l.N)
			return
		}
		switch l.Kind {
		case "taken", "refused", "unknown", "statement-taken":
			if j.begun[l.Op] == nil {
				r.find(journalOdd, "line %d ends act %d, which no line begins", l.N, l.Op)
			}
		}
	}
	if j.phase["quiet"] == 0 {
		r.find(journalOdd, "the run did not come to rest: there is no phase quiet")
	}
}
