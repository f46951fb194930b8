package storetest

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"sync"
	"testing"

	"github.com/entente-hub/entente/api/alert"
	"github.com/entente-hub/entente/hub/store"
)

// crashRounds is how often a child is killed, after crashCommits commits each,
// at whatever moment that happens to be.
const (
	crashRounds  = 4
	crashCommits = 40
)

// CrashEnv is the environment variable that tells a test binary to be the child
// of Crash; its value names the database.
const CrashEnv = "ENTENTE_CRASH_DATABASE"

// Crash starts test binaries that commit until they are killed with SIGKILL, and
// holds the database to all that they reported as committed. test names the
// test that, with CrashEnv set, calls CrashChild.
func Crash(t *testing.T, test, database string, open func(t testing.TB) store.Store) {
	want := make(map[int64]string)
	for round := range crashRounds {
		for index, token := range killChild(t, test, database, round) {
			want[index] = token
		}
		checkCrashed(t, open(t), want, fmt.Sprint(round))
	}
	if len(want) < crashRounds*crashCommits {
		t.Errorf("%d commits reported", len(want))
	}
}

// killChild returns what a child reported: log index and token.
func killChild(t *testing.T, test, database string, round int) map[int64]string {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	cmd := exec.CommandContext(ctx, os.Args[0], "-test.run=^"+test+"$")
	cmd.Env = append(os.Environ(), CrashEnv+"="+database)
	cmd.Args = append(cmd.Args, fmt.Sprint(round))
	cmd.Stderr = os.Stderr
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	reported := make(map[int64]string)
	for lines := bufio.NewScanner(out); lines.Scan(); {
		var index int64
		var token string
		if _, err := fmt.Sscanf(lines.Text(), "committed %d %s .", &index, &token); err != nil {
			continue // cut short by the kill, or the test framework's
		}
		if reported[index] != "" {
			t.Errorf("index %d reported twice", index)
		}
		reported[index] = token
		if len(reported) == crashCommits {
			if err := cmd.Process.Kill(); err != nil {
				t.Fatal(err)
			}
		}
	}
	err = cmd.Wait()
	var exit *exec.ExitError
	if !errors.As(err, &exit) || exit.ExitCode() != -1 {
		t.Fatalf("child was not killed: %v", err)
	}
	return reported
}

// checkCrashed holds a database to what was reported, and to being whole.
func checkCrashed(t *testing.T, s store.Store, want map[int64]string, round string) {
	t.Helper()
	defer closeStore(t, s)
	ctx := t.Context()
	leaves := leavesOf(t, s)
	checkLog(t, s, leaves)
	for index, token := range want {
		if index >= int64(len(leaves)) || string(leaves[index]) != "accepted "+token {
			t.Fatalf("entry %d of %q is lost", index, token)
		}
		a, err := s.Alert(ctx, "XA", alert.ID(token), 1)
		if err != nil || a.LogIndex != index {
			t.Fatalf("alert %q: %v, %v", token, a, err)
		}
		if r := commit(t, s, accept("XA", alert.ID(token), 1, token, "")); r[0].Outcome != store.Replay || r[0].Index != index {
			t.Fatalf("alert %q again: %v", token, r)
		}
	}
	// No delivery without its alert's entry and no entry without its delivery.
	d, err := s.Delivered(ctx, "XB", 0, 1<<30)
	if err != nil {
		t.Fatal(err)
	}
	p, err := s.Pending(ctx, "XB", 1<<30)
	if err != nil {
		t.Fatal(err)
	}
	f, err := s.Feed(ctx, "XB")
	if err != nil || f.Seq != int64(len(d)) || f.Pending != int64(len(p)) {
		t.Fatalf("feed %+v with %d handed over and %d pending: %v", f, len(d), len(p), err)
	}
	rows := make(map[int64]bool)
	for _, it := range append(d, p...) {
		if it.Alert.Version == 1 {
			rows[it.AlertRow] = true
		}
	}
	accepted := 0
	for _, leaf := range leaves {
		if len(leaf) > 0 && leaf[0] == 'a' {
			accepted++
		}
	}
	if accepted != len(rows) {
		t.Fatalf("%d alerts recorded, %d delivered", accepted, len(rows))
	}
	checkCrashedDocuments(t, s, leaves, p)
	checkCrashedLost(t, leaves, d)
	checkCrashedLife(t, s, leaves, append(d, p...))
	for i, it := range d {
		if it.Seq != int64(i+1) {
			t.Fatalf("item %d has number %d", i+1, it.Seq)
		}
	}
	r := commit(t, s, accept("XA", alert.ID("after-"+round), 1, "after "+round, "", "XB"))
	if r[0].Outcome != store.Done {
		t.Fatalf("after the crash: %v", r)
	}
}

// checkCrashedDocuments holds what was renewed, settled and brought to the entries
// that went with it.
func checkCrashedDocuments(t *testing.T, s store.Store, leaves [][]byte, pending []store.Delivery) {
	t.Helper()
	once := make(map[int64]bool)
	for _, d := range pending {
		if once[d.AlertRow] {
			t.Errorf("alert %d is pending twice", d.AlertRow)
		}
		once[d.AlertRow] = true
	}
	settled, bundles := int64(0), 0
	for _, leaf := range leaves {
		var position int64
		if _, err := fmt.Sscanf(string(leaf), "settled %d", &position); err == nil {
			settled = max(settled, position)
		}
		if name, ok := bytes.CutPrefix(leaf, []byte("bundle ")); ok {
			bundles++
			if b, err := s.Bundle(t.Context(), digest(string(name))); err != nil || !bytes.Equal(b.Raw, name) {
				t.Errorf("bundle %q: %v, %v", name, b, err)
			}
		}
	}
	all, err := s.Bundles(t.Context())
	if err != nil || len(all) != bundles {
		t.Errorf("%d bundles recorded, %d stored: %v", bundles, len(all), err)
	}
	if got, err := s.Settled(t.Context()); err != nil || got.Position != settled {
		t.Errorf("settled %+v, want position %d: %v", got, settled, err)
	}
}

// checkCrashedLost holds what was marked as lost to the entries that went with it.
func checkCrashedLost(t *testing.T, leaves [][]byte, handed []store.Delivery) {
	t.Helper()
	lost := make(map[int64]bool)
	for _, leaf := range leaves {
		var id int64
		if _, err := fmt.Sscanf(string(leaf), "lost %d", &id); err == nil {
			lost[id] = true
		}
	}
	if len(lost) == 0 {
		t.Error("nothing was marked as lost")
	}
	for _, d := range handed {
		if d.Lost != lost[d.ID] {
			t.Errorf("delivery %d lost: %t, recorded: %t", d.ID, d.Lost, lost[d.ID])
		}
	}
}

// CrashChild commits, from several goroutines, and reports to out what was
// committed, until the process is killed. It returns only on an error.
func CrashChild(s store.Store, out io.Writer, name string) error {
	var mu sync.Mutex
	var wg sync.WaitGroup
	errs := make(chan error, 4)
	for n := range cap(errs) {
		wg.Go(func() { errs <- crashLoop(s, &mu, out, fmt.Sprintf("%s-%d", name, n)) })
	}
	return <-errs
}

func crashLoop(s store.Store, mu *sync.Mutex, out io.Writer, name string) error {
	ctx := context.Background()
	for i := 0; ; i++ {
		token := fmt.Sprintf("%s-%d", name, i)
		writes := []store.Write{accept("XA", alert.ID(token), 1, token, "", "XB")}
		f, err := s.Feed(ctx, "XB")
		if err != nil {
			return err
		}
		p, err := s.Pending(ctx, "XB", 3)
		if err != nil {
			return err
		}
		last, err := s.Delivered(ctx, "XB", f.Seq-1, 1)
		if err != nil {
			return err
		}
		var renewed store.Resettle
		var entries [][]byte
		life, err := crashLife(ctx, s, last)
		if err != nil {
			return err
		}
		writes = append(writes, life...)
		for _, d := range last {
			renewed.Lost, entries = []int64{d.ID}, [][]byte{fmt.Appendf(nil, "lost %d", d.ID)}
		}
		for _, d := range p {
			writes = append(writes, handOver("XB", f, d.ID))
			f.Seq++
			renewed.Renew = append(renewed.Renew, store.Claim{AlertRow: d.AlertRow, Recipient: "XB"})
		}
		head, err := s.LogHead(ctx)
		if err != nil {
			return err
		}
		if i%2 == 1 {
			renewed.Renew = nil // else nothing new would ever be handed over
		}
		renewed.Settled = &store.Settled{Position: head.Size, At: int64(i)}
		entries = append(entries, fmt.Appendf(nil, "settled %d", head.Size))
		writes = append(writes, store.Write{Resettle: &renewed, Entries: entries}, bundle(token, token))
		results, err := s.Commit(ctx, writes)
		if err != nil {
			return err
		}
		if results[0].Outcome != store.Done {
			return fmt.Errorf("alert %s: outcome %d", token, results[0].Outcome)
		}
		mu.Lock()
		_, err = fmt.Fprintf(out, "committed %d %s .\n", results[0].Index, token)
		mu.Unlock()
		if err != nil {
			return err
		}
	}
}
