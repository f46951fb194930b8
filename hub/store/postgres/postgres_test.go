package postgres_test

import (
	"context"
	"fmt"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/entente-hub/entente/api/alert"
	"github.com/entente-hub/entente/hub/store"
	"github.com/entente-hub/entente/hub/store/pgtest"
	"github.com/entente-hub/entente/hub/store/postgres"
	"github.com/entente-hub/entente/hub/store/storetest"
	"github.com/jackc/pgx/v5"
)

func TestMain(m *testing.M) { os.Exit(pgtest.Main(m)) }

func fresh(t testing.TB) func(testing.TB) store.Store {
	dsn := pgtest.New(t)
	open(t, dsn, postgres.Options{}).Close()
	made := scans(t, dsn) // making an index reads its empty table
	t.Cleanup(func() {
		if n := scans(t, dsn); n != made {
			t.Errorf("tables were read from end to end %d times", n-made)
		}
		checkReferences(t, dsn)
	})
	return func(t testing.TB) store.Store { return open(t, dsn, postgres.Options{}) }
}

func open(t testing.TB, dsn string, options postgres.Options) *postgres.Store {
	t.Helper()
	s, err := postgres.Open(t.Context(), dsn, options)
	if err != nil {
		t.Error(err) // not Fatal: some tests open in goroutines
		panic(err)
	}
	return s
}

// scans returns how often tables that grow were read from end to end so far. The
// server counts what a session has read when that ends, which is a while after its
// client has hung up: so it first waits until the others are gone.
func scans(t testing.TB, dsn string) (n int) {
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	conn, err := pgx.Connect(ctx, dsn)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close(context.Background())
	for others := 1; others > 0; {
		err := conn.QueryRow(ctx, "SELECT count(*) FROM pg_stat_activity, pg_sleep(0.002)"+
			" WHERE datname = current_database() AND backend_type = 'client backend' AND pid <> pg_backend_pid()").Scan(&others)
		if err != nil {
			t.Fatalf("waiting for %d other sessions: %v", others, err)
		}
	}
	err = conn.QueryRow(ctx, "SELECT sum(seq_scan) FROM pg_stat_user_tables"+
		" WHERE relname NOT IN ('log_head', 'probe', 'goose_db_version')").Scan(&n)
	if err != nil {
		t.Fatal(err)
	}
	return n
}

// checkReferences holds what a test left to the foreign keys that the schema
// does without.
func checkReferences(t testing.TB, dsn string) {
	ctx := context.Background()
	conn, err := pgx.Connect(ctx, dsn)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close(ctx)
	for _, orphans := range []string{
		"alerts a WHERE NOT EXISTS (SELECT FROM log_entries e WHERE e.idx = a.log_index)",
		"deliveries d WHERE NOT EXISTS (SELECT FROM alerts a WHERE a.id = d.alert)",
		"portions p WHERE NOT EXISTS (SELECT FROM alerts a WHERE a.id = p.alert)",
		"purges p WHERE NOT EXISTS (SELECT FROM deliveries d WHERE d.alert = p.alert AND d.recipient = p.recipient AND d.state = 1)",
		"deliveries d JOIN alerts a ON a.id = d.alert WHERE d.state IN (0, 2) AND EXISTS (SELECT FROM alerts n" +
			" WHERE n.alert = a.alert AND n.originator = a.originator AND n.version > a.version)",
		"deliveries d JOIN alerts a ON a.id = d.alert WHERE d.follows <> EXISTS (SELECT FROM alerts e JOIN deliveries h ON h.alert = e.id" +
			" WHERE e.alert = a.alert AND e.originator = a.originator AND e.version < a.version AND h.recipient = d.recipient AND h.state = 1)",
		"portions p WHERE NOT EXISTS (SELECT FROM labels l WHERE l.id = p.label)",
		"deliveries d WHERE NOT EXISTS (SELECT FROM feeds f WHERE f.recipient = d.recipient AND f.seq >= coalesce(d.seq, 0))",
		"feeds f WHERE pending <> (SELECT count(*) FROM deliveries d WHERE d.recipient = f.recipient AND d.state = 0)",
		"(SELECT FROM deliveries WHERE state IN (0, 2) GROUP BY alert, recipient HAVING count(*) > 1) d",
	} {
		var n int
		if err := conn.QueryRow(ctx, "SELECT count(*) FROM "+orphans).Scan(&n); err != nil || n != 0 {
			t.Errorf("%d of %s: %v", n, orphans, err)
		}
	}
}

func TestContract(t *testing.T) { storetest.Run(t, fresh) }

func TestCrash(t *testing.T) {
	if dsn := os.Getenv(storetest.CrashEnv); dsn != "" {
		t.Fatal(storetest.CrashChild(open(t, dsn, postgres.Options{}), os.Stdout, os.Args[len(os.Args)-1]))
	}
	dsn := pgtest.New(t)
	storetest.Crash(t, "TestCrash", dsn, func(t testing.TB) store.Store { return open(t, dsn, postgres.Options{}) })
}

func exec(t *testing.T, dsn, sql string, args ...any) {
	t.Helper()
	conn, err := pgx.Connect(t.Context(), dsn)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close(t.Context())
	if _, err := conn.Exec(t.Context(), sql, args...); err != nil {
		t.Fatalf("%s: %v", sql, err)
	}
}

func query[T any](t *testing.T, dsn, sql string, args ...any) (v T) {
	t.Helper()
	conn, err := pgx.Connect(t.Context(), dsn)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close(t.Context())
	if err := conn.QueryRow(t.Context(), sql, args...).Scan(&v); err != nil {
		t.Fatalf("%s: %v", sql, err)
	}
	return v
}

// TestSchemas: stores in two schemas of one database know nothing of each other,
// and a schema is made where there is none.
func TestSchemas(t *testing.T) {
	dsn := pgtest.New(t)
	a, b := open(t, dsn, postgres.Options{Schema: "one"}), open(t, dsn, postgres.Options{Schema: `T"wo ß`})
	defer a.Close()
	defer b.Close()
	if _, err := a.Commit(t.Context(), []store.Write{{Entries: [][]byte{{1}}}}); err != nil {
		t.Fatal(err)
	}
	for want, s := range []store.Store{b, a} {
		if h, err := s.LogHead(t.Context()); err != nil || h.Size != int64(want) {
			t.Errorf("%v, %v: want size %d", h, err, want)
		}
	}
	if n := query[int](t, dsn, "SELECT count(*) FROM pg_tables WHERE schemaname = 'public'"); n != 0 {
		t.Errorf("%d tables outside of the schemas", n)
	}
}

func TestNewerSchema(t *testing.T) {
	dsn := pgtest.New(t)
	open(t, dsn, postgres.Options{}).Close()
	exec(t, dsn, "INSERT INTO goose_db_version (version_id, is_applied) VALUES (99999, true)")
	if s, err := postgres.Open(t.Context(), dsn, postgres.Options{}); err == nil || !strings.Contains(err.Error(), "99999") {
		t.Fatalf("%v, %v", s, err)
	}
}

// TestSynchronous: whatever the database says, commits wait for the disk.
func TestSynchronous(t *testing.T) {
	dsn := pgtest.New(t)
	exec(t, dsn, "DO $$ BEGIN EXECUTE format('ALTER DATABASE %I SET synchronous_commit = off', current_database()); END $$")
	if v := query[string](t, dsn, "SHOW synchronous_commit"); v != "off" {
		t.Fatalf("synchronous_commit is %s without us", v)
	}
	s := open(t, dsn, postgres.Options{})
	defer s.Close()
	for range 3 {
		if v, err := s.Setting(t.Context(), "synchronous_commit"); err != nil || v != "on" {
			t.Errorf("synchronous_commit is %s: %v", v, err)
		}
	}
}

// TestReadOnly: Ping finds out that nothing can be written.
func TestReadOnly(t *testing.T) {
	dsn := pgtest.New(t)
	open(t, dsn, postgres.Options{}).Close()
	exec(t, dsn, "DO $$ BEGIN EXECUTE format('ALTER DATABASE %I SET default_transaction_read_only = on', current_database()); END $$")
	s, err := postgres.Open(t.Context(), dsn, postgres.Options{})
	if err != nil {
		return // as good
	}
	defer s.Close()
	if err := s.Ping(t.Context()); err == nil {
		t.Error("a database that is read-only can be written to")
	}
	if r, err := s.Commit(t.Context(), []store.Write{{Entries: [][]byte{{1}}}}); err == nil {
		t.Errorf("committed: %v", r)
	}
}

// TestDamagedLog: a log whose stored hashes do not make its root is not
// appended to.
func TestDamagedLog(t *testing.T) {
	for _, damage := range []string{
		`UPDATE log_hashes SET hash = sha256('') WHERE idx = 3`,
		`DELETE FROM log_hashes WHERE idx = 3`,
		`UPDATE log_head SET root = sha256('another')`,
		`UPDATE log_head SET size = 2`,
		`DELETE FROM log_head`,
	} {
		dsn := pgtest.New(t)
		s := open(t, dsn, postgres.Options{})
		w := []store.Write{{Entries: [][]byte{{1}, {2}, {3}}}}
		if _, err := s.Commit(t.Context(), w); err != nil {
			t.Fatal(err)
		}
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
		exec(t, dsn, damage)
		s = open(t, dsn, postgres.Options{})
		if r, err := s.Commit(t.Context(), w); err == nil {
			t.Errorf("%s: committed: %v", damage, r)
		}
		s.Close()
	}
}

// TestInterned: a label of one originator is stored once.
func TestInterned(t *testing.T) {
	dsn := pgtest.New(t)
	s := open(t, dsn, postgres.Options{})
	defer s.Close()
	storetest.CommitLabels(t, s)
	if n := query[int](t, dsn, "SELECT count(*) FROM labels"); n != storetest.Labels {
		t.Errorf("%d labels", n)
	}
	if n := query[int](t, dsn, "SELECT count(*) FROM portions p JOIN labels l ON l.id = p.label"+
		" JOIN alerts a ON a.id = p.alert AND a.originator = l.originator"); n != storetest.Portions {
		t.Errorf("%d portions", n)
	}
}

// TestNotify: other stores on the database are woken, for the recipients or for
// anybody; the store itself is not; a broken connection is made again.
func TestNotify(t *testing.T) {
	dsn := pgtest.New(t)
	a, b := open(t, dsn, postgres.Options{}), open(t, dsn, postgres.Options{})
	defer a.Close()
	defer b.Close()
	own, err := a.Subscribe(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	other, err := b.Subscribe(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	wakes := func(what string, write store.Write, want ...alert.MemberID) {
		t.Helper()
		if _, err := a.Commit(t.Context(), []store.Write{write}); err != nil {
			t.Fatal(err)
		}
		got := <-other
		if !slices.Equal(got.Recipients, want) {
			t.Errorf("%s: %v, want %v", what, got, want)
		}
	}
	n := 0
	accept := func(to ...alert.MemberID) store.Write {
		n++
		return store.Write{Entries: [][]byte{{1}}, Accept: &store.Accept{Recipients: to,
			Alert: store.Alert{Originator: "XA", ID: alert.ID(fmt.Sprint(n)), Version: 1}}}
	}
	wakes("alert", accept("XC", "XB"), "XC", "XB")
	wakes("renewed", store.Write{Resettle: &store.Resettle{Renew: []store.Claim{{AlertRow: 1, Recipient: "XB"},
		{AlertRow: 1, Recipient: "XE"}, {AlertRow: 1, Recipient: "XD"}, {AlertRow: 9, Recipient: "XF"}}}}, "XE", "XD")
	silently := []store.Write{{HandOver: &store.HandOver{Recipient: "XC", Withheld: []int64{1}}},
		{HandOver: &store.HandOver{Recipient: "XB", Chain: "c", Items: []store.HandedOver{{ID: 2, Seq: 1, Chain: "c"}}}}}
	if r, err := a.Commit(t.Context(), silently); err != nil || r[0].Outcome != store.Done || r[1].Outcome != store.Done {
		t.Fatal(r, err)
	}
	wakes("lost", store.Write{Resettle: &store.Resettle{Lost: []int64{2}, Renew: []store.Claim{{AlertRow: 1, Recipient: "XA"}}}}, "XA")
	wakes("taken back", store.Write{Resettle: &store.Resettle{Renew: []store.Claim{{AlertRow: 1, Recipient: "XC"}}}}, "XC")
	wakes("statement", store.Write{Statement: &store.Statement{Type: "t", Subject: "s", Revision: 1}})
	next := accept()
	next.Accept.ID, next.Accept.Version, next.Accept.AcceptedAt = "1", 2, 1
	wakes("a later version, to its only holder", next, "XB")
	var many []alert.MemberID
	for i := range 900 {
		many = append(many, alert.MemberID(fmt.Sprintf("RECIPIENT%d", i)))
	}
	wakes("more than a payload holds", accept(many...))
	if killed := query[int](t, dsn, "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity"+
		" WHERE query LIKE 'LISTEN %' AND datname = current_database()"); killed != 2 {
		t.Fatalf("%d listeners", killed)
	}
	if w := <-other; len(w.Recipients) != 0 {
		t.Errorf("after reconnecting: %v", w)
	}
	wakes("after reconnecting", accept("XD"), "XD")
	if w := <-own; len(w.Recipients) != 0 { // its connection broke too
		t.Errorf("own: %v", w)
	}
	select {
	case w := <-own:
		t.Errorf("woken by itself: %v", w)
	default:
	}
}

// TestRetry: what the server took back is tried again, so often and no more.
func TestRetry(t *testing.T) {
	for fails, works := range map[int]bool{1: true, 4: true, 5: false} {
		dsn := pgtest.New(t)
		s := open(t, dsn, postgres.Options{})
		defer s.Close()
		exec(t, dsn, "CREATE SEQUENCE attempts")
		exec(t, dsn, fmt.Sprintf("CREATE FUNCTION fail() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN"+
			" IF nextval('attempts') <= %d THEN RAISE 'taken back' USING ERRCODE = 'deadlock_detected'; END IF;"+
			" RETURN NEW; END $$", fails))
		exec(t, dsn, "CREATE TRIGGER fail BEFORE INSERT ON log_entries FOR EACH ROW EXECUTE FUNCTION fail()")
		_, err := s.Commit(t.Context(), []store.Write{{Entries: [][]byte{{1}}}})
		if (err == nil) != works {
			t.Errorf("%d failures: %v", fails, err)
		}
		if h, err := s.LogHead(t.Context()); err != nil || (h.Size == 1) != works {
			t.Errorf("%d failures: %v, %v", fails, h, err)
		}
	}
}

// TestRacingOpens: processes that start at once, before there is even a schema,
// do not clash.
func TestRacingOpens(t *testing.T) {
	dsn := pgtest.New(t)
	var wg sync.WaitGroup
	for range 6 {
		wg.Go(func() {
			s, err := postgres.Open(t.Context(), dsn, postgres.Options{Schema: "hub"})
			if err != nil {
				t.Error(err)
				return
			}
			s.Close()
		})
	}
	wg.Wait()
	if n := query[int](t, dsn, "SELECT count(*) FROM hub.log_head"); n != 1 {
		t.Errorf("%d heads", n)
	}
}
