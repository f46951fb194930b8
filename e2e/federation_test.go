package e2e_test

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"go.yaml.in/yaml/v3"

	"github.com/entente-hub/entente/api/alert"
	"github.com/entente-hub/entente/cli/setup"
	"github.com/entente-hub/entente/crypto/keys"
	"github.com/entente-hub/entente/crypto/pki"
	hubserver "github.com/entente-hub/entente/hub/server"
	"github.com/entente-hub/entente/hub/store"
	"github.com/entente-hub/entente/node/hubclient"
	nodeserver "github.com/entente-hub/entente/node/server"
	nodestore "github.com/entente-hub/entente/node/store"
	nodesqlite "github.com/entente-hub/entente/node/store/sqlite"
)

// world is a federation of real processes.
type world struct {
	t testing.TB
	setup.Layout
	members []alert.MemberID
	hubCfg  hubserver.Config
	nodeCfg map[alert.MemberID]nodeserver.Config
	hubs    []*process
	nodes   map[alert.MemberID]*process
	clients map[alert.MemberID]*nodeserver.Client
}

// newFederation makes the federation of a spec with as many hubs on one database,
// starts them and the nodes, and waits until the nodes follow.
func newFederation(t testing.TB, spec setup.Spec, hubs int) *world {
	t.Helper()
	dir := t.TempDir()
	layout, err := setup.Make(t.Context(), filepath.Join(dir, "federation"), spec)
	if err != nil {
		t.Fatal(err)
	}
	f := &world{t: t, Layout: layout, nodeCfg: make(map[alert.MemberID]nodeserver.Config),
		nodes: make(map[alert.MemberID]*process), clients: make(map[alert.MemberID]*nodeserver.Client)}
	for _, m := range spec.Members {
		f.members = append(f.members, m.ID)
	}
	configs := f.addHubs(hubs)
	for i, file := range configs {
		cfg := readConfig[hubserver.Config](t, file)
		f.hubCfg = cfg
		f.hubs = append(f.hubs, newProcess(t, dir, fmt.Sprintf("hub-%d", i+1), cfg.OpsListen, "hub", "--config", file))
	}
	for _, h := range f.hubs {
		h.start()
		h.await("/readyz")
	}
	for _, m := range f.members {
		file := f.NodeConfig(m)
		f.nodeCfg[m] = readConfig[nodeserver.Config](t, file)
		f.nodes[m] = newProcess(t, dir, "node-"+string(m), f.nodeCfg[m].OpsListen, "node", "--config", file)
		f.nodes[m].start()
	}
	for _, m := range f.members {
		f.nodes[m].await("/readyz")
		client, err := nodeserver.NewClient(f.nodeCfg[m])
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(client.Close)
		f.clients[m] = client
	}
	return f
}

// addHubs writes the configuration of further hubs on the first one's database, and
// tells the nodes of them, every other node in the opposite order.
func (f *world) addHubs(n int) []string {
	f.t.Helper()
	first := readConfig[hubserver.Config](f.t, f.HubConfig())
	free, err := setup.FreeAddresses(2 * n)
	if err != nil {
		f.t.Fatal(err)
	}
	files, addrs := []string{f.HubConfig()}, []string{first.Listen}
	for i := 1; i < n; i++ {
		listen, ops := free[2*i], free[2*i+1]
		file := filepath.Join(f.Hub(), fmt.Sprintf("hub-%d.yaml", i+1))
		edit(f.t, f.HubConfig(), file, first.Listen, listen, first.OpsListen, ops)
		files, addrs = append(files, file), append(addrs, listen)
	}
	for i, m := range f.members {
		var urls []string
		for j := range addrs {
			urls = append(urls, fmt.Sprintf("%q", "https://"+addrs[(i+j)%len(addrs)]))
		}
		edit(f.t, f.NodeConfig(m), f.NodeConfig(m), fmt.Sprintf("%q", "https://"+first.Listen), strings.Join(urls, ", "))
	}
	return files
}

// edit writes a file with texts replaced, each of which must be there.
func edit(t testing.TB, from, to string, oldnew ...string) {
	t.Helper()
	raw, err := os.ReadFile(from)
	if err != nil {
		t.Fatal(err)
	}
	for i := 0; i < len(oldnew); i += 2 {
		if !strings.Contains(string(raw), oldnew[i]) {
			t.Fatalf("%s does not contain %q", from, oldnew[i])
		}
	}
	if err := os.WriteFile(to, []byte(strings.NewReplacer(oldnew...).Replace(string(raw))), 0o600); err != nil {
		t.Fatal(err)
	}
}

// readConfig reads a configuration file as the command does.
func readConfig[T any, P interface {
	*T
	Resolve(string)
	Validate() error
}](t testing.TB, file string) T {
	t.Helper()
	raw, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	var cfg T
	dec := yaml.NewDecoder(bytes.NewReader(raw))
	dec.KnownFields(true)
	if err := dec.Decode(&cfg); err != nil {
		t.Fatal(err)
	}
	P(&cfg).Resolve(filepath.Dir(file))
	if err := P(&cfg).Validate(); err != nil {
		t.Fatal(err)
	}
	return cfg
}

// asMember connects to the hubs with a member's own certificate.
func (f *world) asMember(m alert.MemberID) *hubclient.Client {
	f.t.Helper()
	cfg := f.nodeCfg[m]
	cert, err := pki.LoadPair(cfg.TLS.Cert, cfg.TLS.Key)
	if err != nil {
		f.t.Fatal(err)
	}
	pool, err := pki.LoadPool(cfg.TLS.CA)
	if err != nil {
		f.t.Fatal(err)
	}
	c, err := hubclient.New(hubclient.Config{URLs: cfg.Hub.URLs, Hub: cfg.Hub.ID, Certificate: cert, Pool: pool})
	if err != nil {
		f.t.Fatal(err)
	}
	f.t.Cleanup(c.Close)
	return c
}

// openHubStore opens the hubs' database beside them.
func (f *world) openHubStore() store.Store {
	f.t.Helper()
	st, err := hubserver.OpenStore(f.t.Context(), f.hubCfg)
	if err != nil {
		f.t.Fatal(err)
	}
	f.t.Cleanup(func() {
		if err := st.Close(); err != nil {
			f.t.Error(err)
		}
	})
	return st
}

// openNodeStore opens the database of a node that is not running.
func (f *world) openNodeStore(m alert.MemberID) nodestore.Store {
	f.t.Helper()
	st, err := nodesqlite.Open(f.t.Context(), filepath.Join(f.nodeCfg[m].DataDir, "node.db"))
	if err != nil {
		f.t.Fatal(err)
	}
	f.t.Cleanup(func() {
		if err := st.Close(); err != nil {
			f.t.Error(err)
		}
	})
	return st
}

// authority reads the key that everybody pins.
func (f *world) authority() keys.PublicKey {
	f.t.Helper()
	k, err := hubserver.ReadPublicKey(f.hubCfg.AuthorityKey)
	if err != nil {
		f.t.Fatal(err)
	}
	return k
}
