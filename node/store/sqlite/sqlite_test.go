package sqlite_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/entente-hub/entente/api/alert"
	"github.com/entente-hub/entente/api/problem"
	"github.com/entente-hub/entente/node/store"
	"github.com/entente-hub/entente/node/store/sqlite"
)

var (
	ctx = context.Background()
	at  = time.Date(2027, 3, 1, 12, 0, 0, 123456000, time.UTC)
)

func open(t *testing.T, path string) *sqlite.Store {
	t.Helper()
	s, err := sqlite.Open(ctx, path)
	must(t, err)
	t.Cleanup(func() { _ = s.Close() }) // closed twice where the test has done it
	return s
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func TestFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "node.db")
	s := open(t, path)
	must(t, s.Ping(ctx))
	for _, name := range []string{path, path + "-wal"} {
		info, err := os.Stat(name)
		must(t, err)
		if info.Mode().Perm() != 0o600 {
			t.Errorf("%s has mode %v", name, info.Mode())
		}
	}
	must(t, s.Close())
	must(t, os.Chmod(path, 0o640))
	if _, err := sqlite.Open(ctx, path); err == nil {
		t.Error("a file that others may read was opened")
	}
	must(t, os.Chmod(path, 0o600))
	must(t, open(t, path).Close())
	if _, err := sqlite.Open(ctx, filepath.Join(t.TempDir(), "missing", "node.db")); err == nil {
		t.Error("made a directory")
	}
}

func outgoing(n int) store.Outgoing {
	return store.Outgoing{ID: alert.ID(fmt.Sprintf("id-%d", n)), Version: 1, Token: fmt.Sprintf("token-%d", n),
		Digest: "digest", State: store.Queued, QueuedAt: at}
}

// settleOne ends the sending of one alert.
func settleOne(s *sqlite.Store, id alert.ID, version int, how store.Settlement) error {
	return s.SettleAll(ctx, []store.Settled{{ID: id, Version: version, Settlement: how}})
}

func TestOutbox(t *testing.T) {
	path := filepath.Join(t.TempDir(), "node.db")
	s := open(t, path)
	if got, err := s.Sendable(ctx, 1); len(got) != 0 || err != nil {
		t.Error(got, err)
	}
	for n := range 3 {
		must(t, s.Enqueue(ctx, outgoing(n)))
	}
	if err := s.Enqueue(ctx, outgoing(1)); !errors.Is(err, store.ErrExists) {
		t.Error(err)
	}
	must(t, s.Attempted(ctx, "id-0", 1, "away"))
	first := outgoing(0)
	first.Attempts, first.LastError = 1, "away"
	got, err := s.Sendable(ctx, 2)
	must(t, err)
	if d := cmp.Diff([]store.Outgoing{first, outgoing(1)}, got); d != "" {
		t.Error(d)
	}
	accepted := store.Settlement{State: store.Accepted, Receipt: "receipt"}
	must(t, settleOne(s, "id-0", 1, accepted))
	refused := store.Settlement{State: store.Refused, Problem: problem.Conflict, Codes: []string{"a", "b"}, Error: "no"}
	must(t, settleOne(s, "id-1", 1, refused))
	for name, err := range map[string]error{
		"settled twice":    settleOne(s, "id-0", 1, refused),
		"attempted after":  s.Attempted(ctx, "id-1", 1, "x"),
		"unknown":          s.Attempted(ctx, "id-9", 1, "x"),
		"unknown, settled": settleOne(s, "id-9", 1, accepted),
	} {
		if !errors.Is(err, store.ErrStale) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if err := settleOne(s, "id-2", 1, store.Settlement{State: store.Accepted}); err == nil || errors.Is(err, store.ErrStale) {
		t.Errorf("accepted without a receipt: %v", err)
	}
	must(t, s.Close())
	s = open(t, path)
	want := []store.Outgoing{outgoing(2), outgoing(1), outgoing(0)}
	want[1].State, want[1].Attempts, want[1].LastError, want[1].Problem, want[1].Codes = store.Refused, 1, "no", problem.Conflict, []string{"a", "b"}
	want[2].State, want[2].Attempts, want[2].Receipt = store.Accepted, 2, "receipt"
	for i := range want {
		want[i].Token = ""
	}
	list, err := s.Outbox(ctx, 10)
	must(t, err)
	if d := cmp.Diff(want, list); d != "" {
		t.Error(d)
	}
	c, err := s.Counts(ctx)
	must(t, err)
	if d := cmp.Diff(store.Counts{Queued: 1, Accepted: 1, Refused: 1}, c); d != "" {
		t.Error(d)
	}
}

func TestOutboxAbsent(t *testing.T) {
	s := open(t, filepath.Join(t.TempDir(), "node.db"))
	must(t, s.Enqueue(ctx, outgoing(1)))
	if list, err := s.Outbox(ctx, -1); err != nil || len(list) != 0 {
		t.Errorf("%v, %v", list, err)
	}
	if _, err := s.Outgoing(ctx, "id-1", 2); !errors.Is(err, store.ErrNotFound) {
		t.Error(err)
	}
}

// reception adds items from before on, every third withheld.
func reception(before store.Position, n int) store.Reception {
	r := store.Reception{Before: before, After: store.Position{Seq: before.Seq + int64(n), Chain: fmt.Sprintf("chain-%d", before.Seq+int64(n)),
		HeadAt: 7, Checkpoint: []byte("checkpoint"), Head: "head"}}
	for i := range n {
		seq := before.Seq + int64(i) + 1
		item := store.Item{Seq: seq, Digest: fmt.Sprintf("digest-%d", seq), ReceivedAt: at}
		if seq%3 != 0 {
			item.Delivery, item.Originator, item.ID, item.Version, item.SignedDigest = []byte("{}"), "XB", "id", 1, "signed"
			r.Acks = append(r.Acks, store.Ack{Seq: seq, Token: fmt.Sprintf("ack-%d", seq)})
		}
		r.Items = append(r.Items, item)
	}
	return r
}

func TestReceive(t *testing.T) {
	path := filepath.Join(t.TempDir(), "node.db")
	s := open(t, path)
	zero, err := s.Position(ctx)
	must(t, err)
	if d := cmp.Diff(store.Position{}, zero); d != "" {
		t.Error(d)
	}
	r := reception(zero, 4)
	must(t, s.Receive(ctx, r))
	for name, change := range map[string]func(p *store.Position){
		"as before":        func(p *store.Position) { *p = store.Position{} },
		"other chain":      func(p *store.Position) { p.Chain = "x" },
		"other head":       func(p *store.Position) { p.HeadAt++ },
		"other checkpoint": func(p *store.Position) { p.Checkpoint = nil },
	} {
		before := r.After
		change(&before)
		if err := s.Receive(ctx, reception(before, 1)); !errors.Is(err, store.ErrStale) {
			t.Errorf("%s: %v", name, err)
		}
	}
	gap := reception(r.After, 2)
	gap.Items[1].Seq++
	if err := s.Receive(ctx, gap); err == nil {
		t.Error("a gap was stored")
	}
	short := reception(r.After, 2)
	short.Items = short.Items[:1]
	if err := s.Receive(ctx, short); err == nil {
		t.Error("fewer items than the position says")
	}
	foreign := reception(r.After, 1)
	foreign.Acks[0].Seq = 99
	if err := s.Receive(ctx, foreign); err == nil {
		t.Error("an acknowledgement of nothing was stored")
	}
	must(t, s.Close())
	s = open(t, path)
	p, err := s.Position(ctx)
	must(t, err)
	if d := cmp.Diff(r.After, p); d != "" {
		t.Error(d)
	}
	list, err := s.Inbox(ctx, 1, 10)
	must(t, err)
	for i := range r.Items { // all of them deliver one version
		r.Items[i].Latest = 1
	}
	r.Items[3].Previous = 2
	if d := cmp.Diff([]store.Item{r.Items[3]}, list); d != "" {
		t.Error(d)
	}
	all, err := s.Deliveries(ctx, 1, 10)
	must(t, err)
	r.Items[1].Previous = 1
	if d := cmp.Diff([]store.Item{r.Items[1], r.Items[3]}, all); d != "" {
		t.Error(d)
	}
	if first, err := s.Deliveries(ctx, 0, 1); err != nil || len(first) != 1 || first[0].Seq != 1 {
		t.Errorf("%+v, %v", first, err)
	}
	one, err := s.Received(ctx, "XB", "id", 1)
	must(t, err)
	if d := cmp.Diff(&r.Items[3], one); d != "" {
		t.Error(d)
	}
	if _, err := s.Received(ctx, "XC", "id", 1); !errors.Is(err, store.ErrNotFound) {
		t.Error(err)
	}
}

// TestReceiveOnce: of many who saw the same position one moves it.
func TestReceiveOnce(t *testing.T) {
	s := open(t, filepath.Join(t.TempDir(), "node.db"))
	results := make(chan error, 8)
	var all sync.WaitGroup
	for range cap(results) {
		all.Go(func() { results <- s.Receive(ctx, reception(store.Position{}, 2)) })
	}
	all.Wait()
	close(results)
	won := 0
	for err := range results {
		if err == nil {
			won++
		} else if !errors.Is(err, store.ErrStale) {
			t.Error(err)
		}
	}
	c, err := s.Counts(ctx)
	must(t, err)
	if won != 1 || c.Inbox != 2 || c.Acks != 2 {
		t.Errorf("%d won, %+v", won, c)
	}
}

func TestAcks(t *testing.T) {
	s := open(t, filepath.Join(t.TempDir(), "node.db"))
	must(t, s.Receive(ctx, reception(store.Position{}, 5))) // 3 is withheld
	must(t, s.AckRefused(ctx, 2, "no"))
	must(t, s.AcksTaken(ctx, []int64{1, 77}))
	if err := s.AckRefused(ctx, 1, "no"); !errors.Is(err, store.ErrStale) {
		t.Error(err)
	}
	list, err := s.AcksAfter(ctx, 0, 10)
	must(t, err)
	if d := cmp.Diff([]store.Ack{{Seq: 4, Token: "ack-4"}, {Seq: 5, Token: "ack-5"}}, list); d != "" {
		t.Error(d)
	}
}

func TestStatements(t *testing.T) {
	s := open(t, filepath.Join(t.TempDir(), "node.db"))
	good := []store.Statement{{Position: 2, Raw: []byte("b")}, {Position: 5, Raw: []byte("e")}}
	must(t, s.AddStatements(ctx, good))
	for _, list := range [][]store.Statement{good, {{Position: 9, Raw: []byte("e")}}, {{Position: 7, Raw: []byte("g")}, {Position: 8, Raw: []byte("g")}}} {
		if err := s.AddStatements(ctx, list); !errors.Is(err, store.ErrStale) {
			t.Errorf("%v: %v", list, err)
		}
	}
	late := store.Statement{Position: 1, Raw: []byte("a")} // was refused at first
	must(t, s.AddStatements(ctx, []store.Statement{late}))
	good = append(good, late)
	list, err := s.Statements(ctx)
	must(t, err)
	if d := cmp.Diff(good, list); d != "" {
		t.Error(d)
	}
}

func TestAlarms(t *testing.T) {
	s := open(t, filepath.Join(t.TempDir(), "node.db"))
	first := store.Alarm{Kind: "log", At: at, Detail: "shrunk", Evidence: []byte("x")}
	must(t, s.Raise(ctx, first))
	again := first
	again.At = at.Add(time.Hour)
	must(t, s.Raise(ctx, again))
	other := store.Alarm{Kind: "ack", At: at, Detail: "shrunk"}
	must(t, s.Raise(ctx, other))
	list, err := s.Alarms(ctx, 10)
	must(t, err)
	if d := cmp.Diff([]store.Alarm{other, first}, list); d != "" {
		t.Error(d)
	}
}

// TestManyAlarms: the first ones of a kind stay, the disk is not filled, and those
// of one kind neither keep out nor hide another's.
func TestManyAlarms(t *testing.T) {
	s := open(t, filepath.Join(t.TempDir(), "node.db"))
	for _, kind := range []string{store.AlarmLog, store.AlarmStatement} {
		for n := range store.MaxAlarms + 5 {
			must(t, s.Raise(ctx, store.Alarm{Kind: kind, At: at, Detail: fmt.Sprint(n)}))
		}
	}
	must(t, s.Raise(ctx, store.Alarm{Kind: store.AlarmFeed, At: at, Detail: "first"}))
	list, err := s.Alarms(ctx, 3*store.MaxAlarms)
	must(t, err)
	if len(list) != 1+store.MaxAlarms+store.MaxStatementAlarms || list[0].Kind != store.AlarmFeed ||
		list[store.MaxAlarms].Kind != store.AlarmLog || list[store.MaxAlarms].Detail != "0" || list[len(list)-1].Detail != "0" {
		t.Errorf("%d alarms", len(list))
	}
}

// TestCancelled: a context's end leaves nothing half done.
func TestCancelled(t *testing.T) {
	s := open(t, filepath.Join(t.TempDir(), "node.db"))
	gone, cancel := context.WithCancel(ctx)
	cancel()
	if err := s.Receive(gone, reception(store.Position{}, 3)); err == nil {
		t.Error("received")
	}
	p, err := s.Position(ctx)
	must(t, err)
	if p.Seq != 0 {
		t.Errorf("%+v", p)
	}
}
