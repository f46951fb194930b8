package postgres_test

import (
	"context"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/entente-hub/entente/hub/store"
	"github.com/entente-hub/entente/hub/store/pgtest"
	"github.com/entente-hub/entente/hub/store/postgres"
	"github.com/jackc/pgx/v5"
)

// TestReplicated runs on a server of its own, as settings of it are changed: what a
// store does while its server waits for a synchronous standby, or was replaced.
func TestReplicated(t *testing.T) {
	server := alone(t)
	for _, c := range []struct {
		name string
		test func(t *testing.T, server string)
	}{
		{"StandbyAway", testStandbyAway}, {"ConnectionWithoutStandby", testConnectionWithoutStandby},
		{"CloseWithoutStandby", testCloseWithoutStandby}, {"WaitCancelled", testWaitCancelled},
		{"ReadOnlyServer", testReadOnlyServer}, {"ReplacedServer", testReplacedServer},
	} {
		t.Run(c.name, func(t *testing.T) { c.test(t, server) })
		standby(t, server, "") // whatever became of it
	}
}

// database makes a database on a server and returns its DSN.
func database(t *testing.T, server, name string) (dsn string) {
	t.Helper()
	exec(t, server, "CREATE DATABASE "+name)
	return strings.Replace(server, "/postgres?", "/"+name+"?", 1)
}

// alone starts a server of the test's own, whose settings it may change.
func alone(t *testing.T) (dsn string) {
	t.Helper()
	pgtest.New(t) // skips the test where there is no server
	dir, err := os.MkdirTemp("", "pg")
	if err != nil {
		t.Fatal(err)
	}
	dsn, stop, err := pgtest.Start(dir)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := stop(); err != nil {
			t.Error(err)
		}
		if err := os.RemoveAll(dir); err != nil {
			t.Error(err)
		}
	})
	return dsn
}

// standby names the synchronous standby that commits have to wait for; none: "".
// Nobody of that name ever comes. It waits until the server obeys.
func standby(t *testing.T, dsn, name string) {
	t.Helper()
	exec(t, dsn, "ALTER SYSTEM SET synchronous_standby_names = '"+name+"'")
	exec(t, dsn, "SELECT pg_reload_conf()")
	await(t, func() bool {
		return query[string](t, dsn, "SELECT current_setting('synchronous_standby_names')") == name && waits(t, dsn) == (name != "")
	})
}

// waits reports whether commits wait for a standby: the setting alone does not tell, as
// sessions go by what the server's checkpointer has read of it.
func waits(t *testing.T, dsn string) bool {
	conn, err := pgx.Connect(t.Context(), dsn)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close(t.Context())
	ctx, cancel := context.WithTimeout(t.Context(), 500*time.Millisecond)
	defer cancel()
	_, err = conn.Exec(ctx, "SELECT 1 FROM pg_logical_emit_message(true, 'waits', '')")
	return err != nil
}

func await(t *testing.T, done func() bool) {
	t.Helper()
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	late := time.After(time.Minute)
	for !done() {
		select {
		case <-tick.C:
		case <-late:
			t.Fatal("not within a minute")
		}
	}
}

// stuck counts sessions that wait for a standby with a statement: "commit", or that by
// which a new connection makes sure of its server, as the store does now and then.
func stuck(t *testing.T, dsn, statement string) int {
	return query[int](t, dsn, "SELECT count(*) FROM pg_stat_activity WHERE wait_event = 'SyncRep' AND query LIKE $1", statement)
}

const (
	commits = "commit"
	vouches = "%pg_postmaster_start_time%"
)

func entry(n byte) []store.Write { return []store.Write{{Entries: [][]byte{{n}}}} }

func size(t *testing.T, dsn string) int64 {
	return query[int64](t, dsn, "SELECT size FROM log_head")
}

// waitInVain makes a commit that has to wait for its standby, and gives up once it
// does.
func waitInVain(t *testing.T, dsn string, s *postgres.Store, writes []store.Write) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	failed := make(chan error, 1)
	go func() {
		_, err := s.Commit(ctx, writes)
		failed <- err
	}()
	await(t, func() bool { return stuck(t, dsn, commits) == 1 })
	cancel()
	if err := <-failed; err == nil {
		t.Error("a commit that waits for its standby has succeeded")
	}
}

var statement = []store.Write{{Statement: &store.Statement{Type: "registry", Subject: "x", Revision: 1, Digest: "one", Raw: []byte("one")}}}

// testStandbyAway: while there is no standby nothing is answered for, be it written
// or found, and nothing that is written can be seen, also once the caller has given
// up; and all of it is there when the standby is back.
func testStandbyAway(t *testing.T, server string) {
	dsn := database(t, server, "away")
	s := open(t, dsn, postgres.Options{})
	defer s.Close()
	if _, err := s.Commit(t.Context(), statement); err != nil {
		t.Fatal(err)
	}
	standby(t, dsn, "away")
	waitInVain(t, dsn, s, statement) // a replay
	standby(t, dsn, "")
	await(t, func() bool { return stuck(t, dsn, commits) == 0 })
	standby(t, dsn, "away")
	waitInVain(t, dsn, s, entry(1))
	if n := size(t, dsn); n != 0 {
		t.Errorf("%d entries are in sight", n)
	}
	standby(t, dsn, "")
	await(t, func() bool { return size(t, dsn) == 1 })
}

// testConnectionWithoutStandby: a new connection is not used until a write of its own
// is safe: it could see what came back after a crash, and nobody was promised.
func testConnectionWithoutStandby(t *testing.T, server string) {
	dsn := database(t, server, "fresh")
	open(t, dsn, postgres.Options{}).Close()
	standby(t, dsn, "away")
	opened := make(chan error, 1)
	go func() {
		s, err := postgres.Open(t.Context(), dsn, postgres.Options{})
		if err == nil {
			err = s.Close()
		}
		opened <- err
	}()
	await(t, func() bool { return stuck(t, dsn, vouches) == 1 })
	select {
	case err := <-opened:
		t.Errorf("a server without its standby was relied on: %v", err)
	default:
	}
	standby(t, dsn, "")
	if err := <-opened; err != nil {
		t.Error(err)
	}
}

// testCloseWithoutStandby: a store ends while a commit of its own waits, and does
// not have the server call that off.
func testCloseWithoutStandby(t *testing.T, server string) {
	dsn := database(t, server, "closed")
	s := open(t, dsn, postgres.Options{})
	standby(t, dsn, "away")
	waitInVain(t, dsn, s, entry(1))
	if err := s.Close(); err != nil {
		t.Error(err)
	}
	if n := size(t, dsn); n != 0 || stuck(t, dsn, commits) != 1 {
		t.Errorf("%d entries are in sight, %d commits wait", n, stuck(t, dsn, commits))
	}
	standby(t, dsn, "")
}

// testWaitCancelled: the server commits, was told not to wait for its standby, and
// says so in a warning. That is no success, and neither is finding the entry there.
func testWaitCancelled(t *testing.T, server string) {
	dsn := database(t, server, "cancelled")
	s := open(t, dsn, postgres.Options{})
	defer s.Close()
	standby(t, dsn, "away")
	for range 2 { // the second finds it there
		failed := make(chan error, 1)
		go func() {
			_, err := s.Commit(t.Context(), statement)
			failed <- err
		}()
		var err error
		await(t, func() bool {
			exec(t, dsn, "SELECT pg_cancel_backend(pid) FROM pg_stat_activity WHERE wait_event = 'SyncRep'")
			select {
			case err = <-failed:
				return true
			default:
				return false
			}
		})
		if err == nil {
			t.Error("a commit that nobody vouches for has succeeded")
		}
	}
	standby(t, dsn, "")
	results, err := s.Commit(t.Context(), statement)
	if err != nil || results[0].Outcome != store.Replay {
		t.Errorf("%+v, %v", results, err)
	}
}

// testReadOnlyServer: a server that takes no writes is not used, and of several the
// one that does.
func testReadOnlyServer(t *testing.T, server string) {
	writes := pgtest.New(t)
	name := nameOf(t, writes)
	reads := database(t, server, name)
	exec(t, server, "ALTER DATABASE "+name+" SET default_transaction_read_only = on")
	if s, err := postgres.Open(t.Context(), reads, postgres.Options{}); err == nil {
		s.Close()
		t.Error("a server that takes no writes was accepted")
	}
	s := open(t, both(t, reads, writes), postgres.Options{})
	defer s.Close()
	if _, err := s.Commit(t.Context(), entry(1)); err != nil {
		t.Error(err)
	}
	if n := size(t, writes); n != 1 {
		t.Errorf("%d entries", n)
	}
}

// nameOf is the name of a database.
func nameOf(t *testing.T, dsn string) string {
	t.Helper()
	c, err := pgx.ParseConfig(dsn)
	if err != nil {
		t.Fatal(err)
	}
	return c.Database
}

// both is a DSN of databases of one name on two servers, in this order.
func both(t *testing.T, first, second string) string {
	t.Helper()
	var hosts []string
	for _, dsn := range []string{first, second} {
		c, err := pgx.ParseConfig(dsn)
		if err != nil {
			t.Fatal(err)
		}
		hosts = append(hosts, c.Host)
	}
	return "user=entente dbname=" + nameOf(t, first) + " sslmode=disable connect_timeout=3 host=" + strings.Join(hosts, ",")
}

// testReplacedServer: a server that was replaced and does not know it keeps its
// sessions. What waits there is given up, as unknown, and the next goes to the other.
func testReplacedServer(t *testing.T, server string) {
	replacement := pgtest.New(t)
	old := database(t, server, nameOf(t, replacement))
	open(t, replacement, postgres.Options{}).Close()
	s := open(t, both(t, old, replacement), postgres.Options{})
	defer s.Close()
	wakes, err := s.Subscribe(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := s.Commit(t.Context(), entry(1)); err != nil {
		t.Fatal(err)
	}
	standby(t, old, "away") // it follows the replacement
	if _, err := s.Commit(t.Context(), entry(2)); err == nil {
		t.Error("a server that was replaced has committed")
	}
	select {
	case w := <-wakes:
		if len(w.Recipients) != 0 {
			t.Errorf("the listener has moved, and says %v, not anybody", w)
		}
	case <-time.After(time.Minute):
		t.Error("the listener has not moved")
	}
	await(t, func() bool { _, err := s.Commit(t.Context(), entry(3)); return err == nil })
	if a, b := size(t, old), size(t, replacement); a != 1 || b == 0 {
		t.Errorf("%d entries at the old server, %d at the new", a, b)
	}
	standby(t, old, "")
}
