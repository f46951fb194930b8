package e2e_test

import (
	"encoding/json"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/entente-hub/entente/api/alert"
	"github.com/entente-hub/entente/api/federation"
)

// line is one of the journal's: firecheck/JOURNAL.md says what each field is.
type line struct {
	N    int64  `json:"n"`
	T    int64  `json:"t"`
	Kind string `json:"kind"`
	Op   int64  `json:"op,omitempty"`

	Phase      string           `json:"phase,omitempty"`
	Member     alert.MemberID   `json:"member,omitempty"`
	Originator alert.MemberID   `json:"originator,omitempty"`
	Alert      alert.ID         `json:"alert,omitempty"`
	Version    int              `json:"version,omitempty"`
	ExpiresS   int64            `json:"expires_s,omitempty"`
	Portions   []markedPortion  `json:"portions,omitempty"`
	Supersedes alert.ID         `json:"supersedes,omitempty"`
	Mode       alert.RecallMode `json:"mode,omitempty"`
	Act        alert.Act        `json:"act,omitempty"`
	Marker     string           `json:"marker,omitempty"`
	To         []alert.MemberID `json:"to,omitempty"`
	DueS       int64            `json:"due_s,omitempty"`

	Problem string   `json:"problem,omitempty"`
	Detail  string   `json:"detail,omitempty"`
	Codes   []string `json:"codes,omitempty"`

	Seq     int64    `json:"seq,omitempty"`
	Asked   int64    `json:"asked,omitempty"`
	Markers []string `json:"markers,omitempty"`

	Type    federation.StatementType `json:"type,omitempty"`
	Subject string                   `json:"subject,omitempty"`
	Rev     int64                    `json:"rev,omitempty"`
	Body    json.RawMessage          `json:"body,omitempty"`
	Digest  string                   `json:"digest,omitempty"`

	File   string `json:"file,omitempty"`
	Fault  string `json:"fault,omitempty"`
	Target string `json:"target,omitempty"`
	ByS    int64  `json:"by_s,omitempty"`
}

// markedPortion is a portion as it was given to a node.
type markedPortion struct {
	ID     alert.PortionID `json:"id"`
	Label  json.RawMessage `json:"label"`
	Marker string          `json:"marker"`
	Object string          `json:"object"`
}

// journal is what the harness does, line by line.
type journal struct {
	t  testing.TB
	mu sync.Mutex
	to *os.File
	n  int64
	op int64
}

func newJournal(t testing.TB, dir string) *journal {
	t.Helper()
	to, err := os.OpenFile(filepath.Join(dir, "journal.jsonl"), os.O_WRONLY|os.O_CREATE|os.O_EXCL|os.O_APPEND, 0o600)
	if err != nil {
		t.Fatal(err)
	}
	j := &journal{t: t, to: to}
	t.Cleanup(func() {
		if err := to.Close(); err != nil {
			t.Error(err)
		}
	})
	return j
}

// begin writes a line that begins an act, and returns the act's number.
func (j *journal) begin(l line) int64 {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.op++
	l.Op = j.op
	j.write(l)
	return l.Op
}

// note writes a line. What is written is with the kernel, which nobody kills.
func (j *journal) note(l line) {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.write(l)
}

func (j *journal) write(l line) {
	j.n++
	l.N, l.T = j.n, time.Now().UnixMilli()
	raw, err := json.Marshal(l)
	if err == nil {
		_, err = j.to.Write(append(raw, '\n'))
	}
	if err != nil {
		j.t.Errorf("the journal can not be written: %v", err)
	}
}
