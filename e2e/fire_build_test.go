package e2e_test

import (
	"database/sql"
	"fmt"
	"net"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	_ "modernc.org/sqlite"

	"github.com/entente-hub/entente/api/alert"
	"github.com/entente-hub/entente/cli/setup"
	hubserver "github.com/entente-hub/entente/hub/server"
	"github.com/entente-hub/entente/hub/store"
	"github.com/entente-hub/entente/hub/store/pgtest"
	nodeserver "github.com/entente-hub/entente/node/server"
)

// Sizes of small disks, in megabytes.
const (
	nodeDisk = 256
	hubDisk  = 512
)

// onSmallDisk are the members whose nodes have a small disk.
var onSmallDisk = []alert.MemberID{"XB", "XC"}

// build makes the federation, with a link between any two processes that talk, and starts
// it.
func (r *fireRun) build(t *testing.T) {
	t.Helper()
	spec, hubs := setup.Trial(), 1
	if r.pair != nil {
		spec.Postgres, hubs = r.throughLinks(1), 2
	}
	layout, err := setup.Make(t.Context(), filepath.Join(r.dir, "federation"), spec)
	if err != nil {
		t.Fatal(err)
	}
	r.world = &world{t: t, Layout: layout, nodeCfg: make(map[alert.MemberID]nodeserver.Config), clients: make(map[alert.MemberID]*nodeserver.Client)}
	for _, m := range spec.Members {
		r.members = append(r.members, m.ID)
	}
	files := r.addHubs(hubs)
	for i, file := range files {
		r.buildHub(i+1, file)
	}
	r.nodes = make(map[alert.MemberID]*guarded)
	for _, m := range r.members {
		r.nodeCfg[m] = readConfig[nodeserver.Config](t, r.NodeConfig(m))
		r.nodes[m] = r.guard("node-"+string(m), r.nodeCfg[m].OpsListen, "node", r.NodeConfig(m))
	}
	r.smallDisks()
	for _, g := range r.all() {
		g.begin()
		r.awaitReady(g)
	}
	for _, m := range r.members {
		if r.clients[m], err = nodeserver.NewClient(r.nodeCfg[m]); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(r.clients[m].Close)
	}
}

func (r *fireRun) guard(name, ops, kind, config string) *guarded {
	clock := filepath.Join(r.dir, "clock-"+name)
	if err := setClock(clock, 0); err != nil {
		r.t.Fatal(err)
	}
	return newGuarded(r.t, filepath.Join(r.dir, "log"), name, ops, clock, kind, config, r.fell(name))
}

// buildHub makes hub number n, its links to the nodes, and its cable.
func (r *fireRun) buildHub(n int, file string) {
	t := r.t
	cfg := readConfig[hubserver.Config](t, file)
	listen, reach := cfg.Listen, dialer("tcp", cfg.Listen)
	if r.pair != nil && n > 1 { // a hub's way to the database is its own
		own := filepath.Join(r.Hub(), fmt.Sprintf("postgres-%d.dsn", n))
		if err := os.WriteFile(own, []byte(r.throughLinks(n)), 0o600); err != nil {
			t.Fatal(err)
		}
		edit(t, file, file, "postgres.dsn", filepath.Base(own))
	}
	if r.room {
		_, port, err := net.SplitHostPort(listen)
		if err != nil {
			t.Fatal(err)
		}
		c := newCable(t, r.dir, n, port)
		r.cables = append(r.cables, c)
		edit(t, file, file, "listen: "+listen, "listen: "+c.address)
		reach = dialer("unix", c.socket)
	}
	for _, m := range r.members {
		l := r.link(fmt.Sprintf("%s to hub-%d", m, n), "tcp", "127.0.0.1:0", reach)
		edit(t, r.NodeConfig(m), r.NodeConfig(m), "https://"+listen, "https://"+l.ln.Addr().String())
	}
	r.hubCfg = readConfig[hubserver.Config](t, file)
	r.hubs = append(r.hubs, r.guard(fmt.Sprintf("hub-%d", n), r.hubCfg.OpsListen, "hub", file))
}

func (r *fireRun) link(name, network, address string, dial func() (net.Conn, error)) *relay {
	l, err := newRelay(name, network, address, dial)
	if err != nil {
		r.t.Fatal(err)
	}
	r.t.Cleanup(func() {
		if err := l.close(); err != nil {
			r.t.Error(err)
		}
	})
	r.links = append(r.links, l)
	return l
}

// throughLinks makes links from hub number n to both servers of the database, and returns
// how it connects through them: to whichever is the primary.
func (r *fireRun) throughLinks(n int) string {
	q := url.Values{"user": {"entente"}, "sslmode": {"disable"}}
	var hosts []string
	for i := range 2 {
		dir := filepath.Join(r.dir, fmt.Sprintf("h%dp%d", n, i+1))
		if err := os.MkdirAll(dir, 0o700); err != nil {
			r.t.Fatal(err)
		}
		to := filepath.Join(r.pair.Folder(i), pgtest.SocketName)
		r.link(fmt.Sprintf("hub-%d to postgres-%d", n, i+1), "unix", filepath.Join(dir, pgtest.SocketName), dialer("unix", to))
		hosts = append(hosts, dir)
	}
	q.Set("host", strings.Join(hosts, ","))
	return "postgres:///" + pgtest.Database + "?" + q.Encode()
}

// smallDisks gives some of the parts a small disk, where that can be.
func (r *fireRun) smallDisks() {
	if !r.room {
		return
	}
	sizes := make(map[string]int)
	for _, m := range onSmallDisk {
		sizes[r.nodeCfg[m].DataDir] = nodeDisk
	}
	if r.pair == nil {
		sizes[r.hubCfg.DataDir] = hubDisk
	}
	for dir, size := range sizes {
		small(r.t, dir, size)
		rel, err := filepath.Rel(r.dir, dir)
		if err != nil {
			r.t.Fatal(err)
		}
		r.small = append(r.small, rel)
	}
}

// awaitReady waits until a process is ready, however often it ends before.
func (r *fireRun) awaitReady(g *guarded) {
	r.t.Helper()
	eventually(r.t, 2*time.Minute, g.name+" is ready", func() (bool, string) { return ready(g.ops) })
}

// erased reports whether nothing is left anywhere that has ended; st is the hubs' store.
func (r *fireRun) erased(st store.Store) (bool, string) {
	now := time.Now().Unix()
	for _, m := range r.members {
		db, err := sql.Open("sqlite", "file:"+filepath.Join(r.nodeCfg[m].DataDir, "node.db")+"?mode=ro&_pragma=busy_timeout(5000)")
		if err != nil {
			return false, err.Error()
		}
		var n int
		err = db.QueryRow(`SELECT (SELECT count(*) FROM inbox WHERE due > 0 AND due <= ?1) +
			(SELECT count(*) FROM outbox WHERE due > 0 AND due <= ?1 AND state <> 'queued') +
			(SELECT count(*) FROM purges WHERE taken = 0 AND refused = '')`, now).Scan(&n)
		if closed := db.Close(); err == nil {
			err = closed
		}
		if n > 0 || err != nil {
			return false, fmt.Sprintf("%s has %d to erase or to send a receipt of: %v", m, n, err)
		}
	}
	due, err := st.Due(r.t.Context(), now, store.Place{}, 1)
	return err == nil && len(due) == 0, fmt.Sprintf("the hub has %d to erase: %v", len(due), err)
}
