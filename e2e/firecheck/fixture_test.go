package firecheck

import (
	"bytes"
	"context"
	"database/sql"
	"encoding/json"
	"fmt"
	"io/fs"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"
	"go.yaml.in/yaml/v3"

	"github.com/entente-hub/entente/api/alert"
	"github.com/entente-hub/entente/api/federation"
	"github.com/entente-hub/entente/api/nodeapi"
	"github.com/entente-hub/entente/cli"
	"github.com/entente-hub/entente/cli/setup"
	"github.com/entente-hub/entente/crypto/pki"
	hubserver "github.com/entente-hub/entente/hub/server"
	"github.com/entente-hub/entente/hub/store/pgtest"
	"github.com/entente-hub/entente/node/hubclient"
	nodeserver "github.com/entente-hub/entente/node/server"
)

// smallRun is a short run of the real product without faults: the ground on which the
// checker is tested. It is made once.
var smallRun = sync.OnceValues(func() (string, error) {
	dir, err := os.MkdirTemp("", "firecheck-run-")
	if err != nil {
		return "", err
	}
	made = dir
	err = newFixture(dir, setup.Trial()).make()
	return dir, err
})

func newFixture(dir string, spec setup.Spec) *fixture {
	return &fixture{dir: dir, spec: spec, clients: make(map[alert.MemberID]*nodeserver.Client), nodes: make(map[alert.MemberID]nodeserver.Config)}
}

// made is its folder, "" before it is made.
var made string

func TestMain(m *testing.M) {
	code := pgtest.Main(m)
	if made != "" {
		_ = os.RemoveAll(made) // in a folder for such
	}
	os.Exit(code)
}

// fixture makes a run.
type fixture struct {
	dir     string
	spec    setup.Spec
	layout  setup.Layout
	hub     hubserver.Config
	nodes   map[alert.MemberID]nodeserver.Config
	clients map[alert.MemberID]*nodeserver.Client
	journal bytes.Buffer
	n, op   int64
	short   time.Time // when what ends soon was published last
}

const patience = 60 * time.Second

// labels of the portions published here.
var fixtureLabels = map[string]string{
	"open":   `"classification":"unclassified","releasable_to":["federation"],"categories":["labour"],"purposes":["risk-analysis"],"personal_data":"none"`,
	"river":  `"classification":"confidential","compartments":["tf-river"],"releasable_to":["federation"],"categories":["smuggling"],"purposes":["investigation"],"personal_data":"none"`,
	"person": `"classification":"secret","releasable_to":["XA","XB"],"discoverable_to":["XC"],"categories":["smuggling"],"purposes":["investigation"],"personal_data":"personal","retention":"RETENTION"`,
	"own":    `"classification":"secret","releasable_to":[],"categories":["smuggling"],"purposes":["investigation"],"personal_data":"none"`,
}

func (f *fixture) make() error {
	ctx, stop := context.WithCancel(context.Background())
	defer stop()
	for _, sub := range []string{"log", "notes", "whole"} {
		if err := os.Mkdir(filepath.Join(f.dir, sub), 0o700); err != nil {
			return err
		}
	}
	var err error
	if f.layout, err = setup.Make(ctx, filepath.Join(f.dir, "federation"), f.spec); err != nil {
		return err
	}
	done, err := f.start(ctx)
	if err == nil {
		err = f.act(ctx)
	}
	stop()
	for range cap(done) {
		<-done
	}
	if err != nil {
		return err
	}
	return f.write()
}

// start starts the hub and the nodes in this process.
func (f *fixture) start(ctx context.Context) (chan int, error) {
	done := make(chan int, 5)
	run := func(name, ops string, args ...string) error {
		log, err := os.Create(filepath.Join(f.dir, "log", name+".log"))
		if err != nil {
			return err
		}
		go func() {
			done <- cli.Main(ctx, args, log, log)
			_ = log.Close() // what was written is read
		}()
		return until(ctx, name, func() (string, bool) {
			resp, err := http.Get("http://" + ops + "/readyz")
			if err != nil {
				return err.Error(), false
			}
			resp.Body.Close()
			return resp.Status, resp.StatusCode == http.StatusOK
		})
	}
	if err := readYAML(f.layout.HubConfig(), &f.hub); err != nil {
		return done, err
	}
	if err := run("hub-1", f.hub.OpsListen, "hub", "--config", f.layout.HubConfig()); err != nil {
		return done, err
	}
	for _, m := range f.spec.Members {
		var cfg nodeserver.Config
		if err := readYAML(f.layout.NodeConfig(m.ID), &cfg); err != nil {
			return done, err
		}
		if err := run("node-"+string(m.ID), cfg.OpsListen, "node", "--config", f.layout.NodeConfig(m.ID)); err != nil {
			return done, err
		}
		c, err := nodeserver.NewClient(cfg)
		if err != nil {
			return done, err
		}
		f.nodes[m.ID], f.clients[m.ID] = cfg, c
	}
	return done, nil
}

func readYAML[T any, P interface {
	*T
	Resolve(string)
}](file string, into P) error {
	raw, err := os.ReadFile(file)
	if err != nil {
		return err
	}
	if err := yaml.Unmarshal(raw, into); err != nil {
		return err
	}
	into.Resolve(filepath.Dir(file))
	return nil
}

// until asks again until something is so.
func until(ctx context.Context, what string, is func() (string, bool)) error {
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	end := time.After(patience)
	for {
		state, ok := is()
		if ok {
			return nil
		}
		select {
		case <-tick.C:
		case <-end:
			return fmt.Errorf("%s: not within %s: %s", what, patience, state)
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// note writes a line of the journal.
func (f *fixture) note(fields map[string]any) {
	f.n++
	fields["n"], fields["t"] = f.n, time.Now().UnixMilli()
	raw, err := json.Marshal(fields)
	if err != nil {
		panic(err) // of plain values
	}
	f.journal.Write(append(raw, '\n'))
}

// publish publishes portions and returns the alert's id.
func (f *fixture) publish(ctx context.Context, m alert.MemberID, supersedes, lifetime string, portions ...string) (string, error) {
	var d nodeapi.Draft
	var plan []string
	var marked []map[string]any
	for _, p := range portions {
		id, marker := "x-remark--"+uuid.NewString(), "fire-"+strings.ReplaceAll(uuid.NewString(), "-", "")
		d.Objects = append(d.Objects, json.RawMessage(fmt.Sprintf(`{"type":"x-remark","id":%q,"text":%q}`, id, marker)))
		text := strings.ReplaceAll(fixtureLabels[p], "RETENTION", time.Now().AddDate(0, 3, 0).Format(time.DateOnly))
		label := fmt.Sprintf(`{"policy":%q,%s}`, setup.Scheme, text)
		plan = append(plan, fmt.Sprintf(`{"id":%q,"objects":[%q],"label":%s}`, p, id, label))
		marked = append(marked, map[string]any{"id": p, "label": json.RawMessage(label), "marker": marker, "object": id})
	}
	var err error
	if d.Plan, err = alert.ParsePlan([]byte(fmt.Sprintf(`{"expires_in":%q,"portions":[%s]}`, lifetime, strings.Join(plan, ",")))); err != nil {
		return "", err
	}
	if lifetime == fmt.Sprint(shortLife) {
		f.short = time.Now()
	}
	begin := map[string]any{"kind": "publish-begin", "member": m, "portions": marked}
	if supersedes != "" {
		d.Supersedes, begin["supersedes"] = &supersedes, supersedes
	}
	return f.taken(begin, m, func() (*nodeapi.Outgoing, error) { return f.clients[m].Publish(ctx, d) })
}

// taken does an act and notes what has become of it.
func (f *fixture) taken(begin map[string]any, m alert.MemberID, act func() (*nodeapi.Outgoing, error)) (string, error) {
	f.op++
	begin["op"] = f.op
	f.note(begin)
	out, err := act()
	if err != nil {
		return "", err
	}
	f.note(map[string]any{"kind": "taken", "op": f.op, "member": m, "alert": out.Id, "version": out.Version})
	return out.Id, f.keep(name{string(m), out.Id, int(out.Version)})
}

// keep keeps what a member has published as it was signed: its own node may erase it.
func (f *fixture) keep(n name) error {
	db, err := sql.Open("sqlite", "file:"+filepath.Join(f.nodes[alert.MemberID(n.iss)].DataDir, "node.db")+"?mode=ro&_pragma=busy_timeout(5000)")
	if err != nil {
		return err
	}
	defer db.Close() // only read
	var stored []byte
	var key int64
	if err := db.QueryRow("SELECT token, key FROM outbox WHERE id = ? AND version = ?", n.sub, n.ver).Scan(&stored, &key); err != nil {
		return err
	}
	keys, err := erasableKeys(context.Background(), db)
	if err != nil {
		return err
	}
	plain, err := unseal(keys, key, stored)
	if err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(f.dir, "whole", fmt.Sprintf("%s-%d", n.sub, n.ver)), plain, 0o600)
}

func (f *fixture) recall(ctx context.Context, m alert.MemberID, id string, mode alert.RecallMode) error {
	_, err := f.taken(map[string]any{"kind": "recall-begin", "member": m, "alert": id, "mode": mode}, m, func() (*nodeapi.Outgoing, error) {
		return f.clients[m].Recall(ctx, alert.ID(id), alert.Recall{Mode: mode, Reason: "for a test"})
	})
	return err
}

// rest waits until all is delivered and acknowledged, and what has ended is erased.
func (f *fixture) rest(ctx context.Context) error {
	return until(ctx, "rest", func() (string, bool) {
		for _, m := range f.spec.Members {
			s, err := f.clients[m.ID].Status(ctx)
			if err != nil || s.Outbox.Queued > 0 {
				return fmt.Sprintf("%s: %+v, %v", m.ID, s, err), false
			}
		}
		for source, question := range f.questions() {
			if n, err := ask(source, question); err != nil || n > 0 {
				return fmt.Sprintf("%s: %d, %v", question, n, err), false
			}
		}
		return "", true
	})
}

// questions are asked of each database: the answers are 0 at rest.
func (f *fixture) questions() map[string]string {
	const ofHub = "SELECT (SELECT count(*) FROM deliveries WHERE state = 0) +" +
		" (SELECT count(*) FROM feeds WHERE acked < seq) + (SELECT count(*) FROM alerts WHERE erase_at BETWEEN 1 AND %s)"
	all := map[string]string{filepath.Join(f.hub.DataDir, "hub.db"): fmt.Sprintf(ofHub, "unixepoch()")}
	if f.spec.Postgres != "" {
		all = map[string]string{f.spec.Postgres: fmt.Sprintf(ofHub, "extract(epoch FROM now())")}
	}
	for _, cfg := range f.nodes {
		all[filepath.Join(cfg.DataDir, "node.db")] = "SELECT (SELECT count(*) FROM acks) + (SELECT count(*) FROM purges WHERE taken = 0) +" +
			" (SELECT count(*) FROM inbox WHERE due BETWEEN 1 AND unixepoch()) + (SELECT count(*) FROM outbox WHERE due BETWEEN 1 AND unixepoch())"
	}
	return all
}

func ask(source, question string) (n int64, err error) {
	driver, dsn := "sqlite", "file:"+source+"?mode=ro&_pragma=busy_timeout(5000)"
	if !strings.HasSuffix(source, ".db") {
		driver, dsn = "pgx", source
	}
	db, err := sql.Open(driver, dsn)
	if err != nil {
		return 0, err
	}
	defer db.Close() // only read
	return n, db.QueryRow(question).Scan(&n)
}

// checkpoint has a member given one.
func (f *fixture) checkpoint(ctx context.Context, m alert.MemberID) error {
	cfg := f.nodes[m]
	cert, err := pki.LoadPair(cfg.TLS.Cert, cfg.TLS.Key)
	if err != nil {
		return err
	}
	pool, err := pki.LoadPool(cfg.TLS.CA)
	if err != nil {
		return err
	}
	c, err := hubclient.New(hubclient.Config{URLs: cfg.Hub.URLs, Hub: cfg.Hub.ID, Certificate: cert, Pool: pool})
	if err != nil {
		return err
	}
	defer c.Close()
	text, err := c.Checkpoint(ctx)
	if err != nil {
		return err
	}
	name := fmt.Sprintf("notes/%04d", f.n)
	f.note(map[string]any{"kind": "checkpoint", "file": name, "member": m})
	return os.WriteFile(filepath.Join(f.dir, name), text, 0o600)
}

// suspend has XA suspend its agreement with XB.
func (f *fixture) suspend(ctx context.Context) error {
	const id = "xa-xb-smuggling"
	if err := f.clients["XA"].Suspend(ctx, id, "for a test"); err != nil {
		return err
	}
	return until(ctx, "the suspension", func() (string, bool) {
		_, digest, err := f.clients["XA"].Chain(ctx, federation.TypeSuspension, id+"/XA")
		if err != nil || digest == "" {
			return fmt.Sprint(err), false
		}
		f.op++
		f.note(map[string]any{"kind": "statement-begin", "op": f.op, "type": "suspension", "subject": id + "/XA", "rev": 1, "digest": digest})
		f.note(map[string]any{"kind": "statement-taken", "op": f.op})
		return "", true
	})
}

// write ends the run: run.json and the journal.
func (f *fixture) write() error {
	nodes := make(map[string]string)
	var members []string
	for _, m := range f.spec.Members {
		members = append(members, string(m.ID))
		nodes[string(m.ID)] = "federation/nodes/" + string(m.ID) + "/data/node.db"
		f.clients[m.ID].Close()
	}
	run := map[string]any{"format": 1, "seed": 0, "store": "sqlite", "hub_db": "federation/hub/data/hub.db", "hub": "hub",
		"members": members, "node_db": nodes, "checked_at": time.Now().UnixMilli()}
	if f.spec.Postgres != "" {
		delete(run, "hub_db")
		run["store"], run["dsn"] = "postgres", f.spec.Postgres
	}
	raw, err := json.Marshal(run)
	if err != nil {
		return err
	}
	if err := os.WriteFile(filepath.Join(f.dir, "run.json"), raw, 0o600); err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(f.dir, "journal.jsonl"), f.journal.Bytes(), 0o600)
}

// copyRun copies what a check looks at of a run.
func copyRun(t *testing.T) string {
	t.Helper()
	from, err := smallRun()
	if err != nil {
		t.Fatal(err)
	}
	to := t.TempDir()
	err = filepath.WalkDir(from, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		rel, err := filepath.Rel(from, path)
		switch {
		case err != nil:
			return err
		case d.IsDir() && (strings.HasSuffix(rel, "keys") || strings.HasSuffix(rel, "root") || strings.Contains(d.Name(), "duty-")):
			return fs.SkipDir
		case d.IsDir():
			return os.MkdirAll(filepath.Join(to, rel), 0o700)
		}
		return copyFile(path, filepath.Join(to, rel))
	})
	if err != nil {
		t.Fatal(err)
	}
	return to
}
