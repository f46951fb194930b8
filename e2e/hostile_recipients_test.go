package e2e_test

import (
	"bufio"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/entente-hub/entente/api/alert"
	"github.com/entente-hub/entente/api/feed"
	"github.com/entente-hub/entente/cli/setup"
	"github.com/entente-hub/entente/crypto/pki"
	hubserver "github.com/entente-hub/entente/hub/server"
	nodeserver "github.com/entente-hub/entente/node/server"
)

// Followers of TestHostileRecipients: as many members, with as many polls each.
const (
	idleMembers    = 63
	pollsOfOne     = 8 // as many as a member may have
	stuckOfEach    = 4
	writeTimeout   = 5 * time.Second
	mostHeapGrowth = 64 << 20
)

// TestHostileRecipients: vulnerability: a hub holds something for everybody who waits for an answer.
// attack: 63 members wait with eight long-polls each; another asks for megabytes with several connections and never
// reads them, or a byte a second.
// guarantee: alerts go from node to node meanwhile as ever; who waits gets what there is; who does not read is cut
// off when the time for it is over; afterwards neither connections, goroutines nor memory are left.
func TestHostileRecipients(t *testing.T) {
	f, idle := hostileFederation(t)
	xa, xb := f.clients["XA"], f.clients["XB"]
	for range 8 { // what XC could read, some megabytes
		f.publishLarge(512 << 10)
	}
	f.quiesce(2 * time.Minute)
	before := f.hubFigures()

	var followers, stuck sync.WaitGroup
	var got atomic.Int64
	f.followAll(&followers, idle, &got)
	eventually(t, 2*time.Minute, "all follow", func() (bool, string) {
		n := f.hubFigures()["entente_hub_connections"]
		return n >= idleMembers*pollsOfOne, fmt.Sprint(n)
	})
	during := f.hubFigures()

	f.getStuck(&stuck, "XC")
	const n = 30
	for i := range n {
		if _, err := xa.Publish(t.Context(), draftOf(t, []alert.PortionID{"person"}, fmt.Sprint(i))); err != nil {
			t.Fatal(err)
		}
	}
	f.quiesce(2 * time.Minute)
	inbox, err := xb.Inbox(t.Context(), 0, 100)
	if err != nil {
		t.Fatal(err)
	}
	if len(inbox) != n+8 {
		t.Errorf("XB has %d alerts, want %d", len(inbox), n+8)
	}
	if got.Load() > 0 {
		t.Error("a follower got what is not for it")
	}
	stuck.Wait()

	if _, err := xa.Publish(t.Context(), draftOf(t, []alert.PortionID{"open"}, "for all")); err != nil {
		t.Fatal(err)
	}
	followers.Wait()
	if got.Load() != idleMembers*pollsOfOne {
		t.Errorf("%d of %d followers got what was for all", got.Load(), idleMembers*pollsOfOne)
	}
	after := f.asBefore(before)
	for _, figure := range []string{"entente_hub_connections", "go_goroutines", "go_memstats_heap_alloc_bytes", "process_resident_memory_bytes"} {
		t.Logf("%s: %.0f before, %.0f with %d followers, %.0f afterwards", figure, before[figure], during[figure], idleMembers*pollsOfOne, after[figure])
	}
}

// followAll begins to follow as each of the members; got counts who has something.
func (f *world) followAll(all *sync.WaitGroup, members []alert.MemberID, got *atomic.Int64) {
	f.t.Helper()
	for _, m := range members {
		conf := f.tlsOf(m)
		for range pollsOfOne {
			all.Go(func() {
				if err := f.follow(conf); err != nil {
					f.t.Errorf("%s follows: %v", m, err)
					return
				}
				got.Add(1)
			})
		}
	}
}

// getStuck begins to ask for much as a member, and to read next to nothing.
func (f *world) getStuck(all *sync.WaitGroup, m alert.MemberID) {
	f.t.Helper()
	conf := f.tlsOf(m)
	for range stuckOfEach {
		for _, pause := range []time.Duration{0, time.Second} {
			all.Go(func() {
				if err := f.barelyRead(conf, pause); err != nil {
					f.t.Errorf("a recipient that reads a byte every %v: %v", pause, err)
				}
			})
		}
	}
}

// hostileFederation is the trial federation with further members. Only XA and XB have
// nodes that run.
func hostileFederation(t *testing.T) (f *world, further []alert.MemberID) {
	t.Helper()
	spec := setup.Trial()
	for i := range idleMembers {
		m := alert.MemberID(fmt.Sprintf("ORG%d", i))
		further = append(further, m)
		spec.Members = append(spec.Members, setup.Member{ID: m, Name: "Organisation " + strconv.Itoa(i), Ceiling: alert.Restricted})
	}
	dir := t.TempDir()
	layout, err := setup.Make(t.Context(), filepath.Join(dir, "federation"), spec)
	if err != nil {
		t.Fatal(err)
	}
	f = &world{t: t, Layout: layout, members: []alert.MemberID{"XA", "XB"}, nodeCfg: make(map[alert.MemberID]nodeserver.Config),
		nodes: make(map[alert.MemberID]*process), clients: make(map[alert.MemberID]*nodeserver.Client)}
	file := f.HubConfig()
	raw, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	raw = fmt.Appendf(raw, "limits:\n  write_timeout: %s\n  idle_timeout: 30s\n", writeTimeout)
	if err := os.WriteFile(file, raw, 0o600); err != nil {
		t.Fatal(err)
	}
	f.hubCfg = readConfig[hubserver.Config](t, file)
	f.hubs = []*process{newProcess(t, dir, "hub", f.hubCfg.OpsListen, "hub", "--config", file)}
	f.hubs[0].start()
	f.hubs[0].await("/readyz")
	for _, m := range slices.Concat(f.members, further, []alert.MemberID{"XC"}) {
		f.nodeCfg[m] = readConfig[nodeserver.Config](t, f.NodeConfig(m))
	}
	for _, m := range f.members {
		f.nodes[m] = newProcess(t, dir, "node-"+string(m), f.nodeCfg[m].OpsListen, "node", "--config", f.NodeConfig(m))
		f.nodes[m].start()
		f.nodes[m].await("/readyz")
		if f.clients[m], err = nodeserver.NewClient(f.nodeCfg[m]); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(f.clients[m].Close)
	}
	return f, further
}

// publishLarge publishes an alert of so many bytes that XB and XC may read.
func (f *world) publishLarge(size int) {
	f.t.Helper()
	d := draftOf(f.t, []alert.PortionID{"river"}, "")
	id := "x-remark--" + uuid.NewString()
	d.Objects = []json.RawMessage{json.RawMessage(fmt.Sprintf(`{"type":"x-remark","id":%q,"text":%q}`, id, strings.Repeat("a", size)))}
	label := labels["river"].label
	var err error
	if d.Plan, err = alert.ParsePlan(fmt.Appendf(nil, `{"portions":[{"id":"river","objects":[%q],"label":{"policy":%q,%s}}]}`, id, setup.Scheme, label)); err != nil {
		f.t.Fatal(err)
	}
	if _, err := f.clients["XA"].Publish(f.t.Context(), d); err != nil {
		f.t.Fatal(err)
	}
}

func (f *world) tlsOf(m alert.MemberID) *tls.Config {
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
	c := pki.ClientConfig(cert, pool, pki.Identity{Kind: pki.Hub, ID: string(cfg.Hub.ID)})
	c.ServerName = "localhost"
	return c
}

// follow polls on one connection until there is something.
func (f *world) follow(conf *tls.Config) error {
	c, err := tls.Dial("tcp", f.hubCfg.Listen, conf)
	if err != nil {
		return err
	}
	defer c.Close()
	r := bufio.NewReader(c)
	for late := time.Now().Add(10 * time.Minute); time.Now().Before(late); {
		if _, err := io.WriteString(c, "GET /v1/feed?after=0&wait=55 HTTP/1.1\r\nHost: hub\r\n\r\n"); err != nil {
			return err
		}
		resp, err := http.ReadResponse(r, nil)
		if err != nil {
			return err
		}
		body, err := io.ReadAll(resp.Body)
		resp.Body.Close()
		if err != nil {
			return err
		}
		if resp.StatusCode != http.StatusOK {
			return fmt.Errorf("%d %s", resp.StatusCode, body)
		}
		var page feed.Page
		if err := json.Unmarshal(body, &page); err != nil {
			return err
		}
		if len(page.Items) > 0 {
			return nil
		}
	}
	return errors.New("nothing came")
}

// barelyRead asks for a great deal and reads a byte after each pause; without one, none.
// It returns once the hub has cut it off.
func (f *world) barelyRead(conf *tls.Config, pause time.Duration) error {
	raw, err := net.Dial("tcp", f.hubCfg.Listen)
	if err != nil {
		return err
	}
	_ = raw.(*net.TCPConn).SetReadBuffer(4 << 10)
	c := tls.Client(raw, conf)
	defer c.Close()
	if _, err := io.WriteString(c, strings.Repeat("GET /v1/feed?after=0&limit=100 HTTP/1.1\r\nHost: hub\r\n\r\n", 8)); err != nil {
		return err
	}
	// Writing tells as well as reading that the other side has gone, and reads nothing.
	tick := time.NewTicker(max(pause, 100*time.Millisecond))
	defer tick.Stop()
	for late := time.Now().Add(2 * time.Minute); time.Now().Before(late); <-tick.C {
		if pause > 0 {
			_ = c.SetReadDeadline(time.Now().Add(time.Minute))
			if _, err := c.Read(make([]byte, 1)); err != nil {
				return nil
			}
		}
		_ = c.SetWriteDeadline(time.Now().Add(time.Minute))
		if _, err := io.WriteString(c, "\r\n"); err != nil {
			return nil
		}
	}
	return errors.New("the hub still waits for it")
}

// hubFigures reads the hub's figures that have no labels.
func (f *world) hubFigures() map[string]float64 {
	f.t.Helper()
	client := http.Client{Timeout: 30 * time.Second, Transport: &http.Transport{DisableKeepAlives: true}}
	resp, err := client.Get("http://" + f.hubCfg.OpsListen + "/metrics")
	if err != nil {
		f.t.Fatal(err)
	}
	defer resp.Body.Close()
	out := make(map[string]float64)
	for lines := bufio.NewScanner(resp.Body); lines.Scan(); {
		name, value, _ := strings.Cut(lines.Text(), " ")
		if v, err := strconv.ParseFloat(value, 64); err == nil {
			out[name] = v
		}
	}
	return out
}

// asBefore waits until connections, goroutines and memory are back. What is published
// meanwhile keeps the collector going.
func (f *world) asBefore(before map[string]float64) map[string]float64 {
	f.t.Helper()
	var now map[string]float64
	eventually(f.t, 5*time.Minute, "all is as before", func() (bool, string) {
		if _, err := f.clients["XA"].Publish(f.t.Context(), draftOf(f.t, []alert.PortionID{"own"}, "")); err != nil {
			f.t.Fatal(err)
		}
		now = f.hubFigures()
		more := func(figure string) float64 { return now[figure] - before[figure] }
		return more("entente_hub_connections") <= 4 && more("go_goroutines") <= 12 && more("go_memstats_heap_alloc_bytes") <= mostHeapGrowth,
			fmt.Sprintf("%+.0f connections, %+.0f goroutines, %+.0f bytes", more("entente_hub_connections"), more("go_goroutines"), more("go_memstats_heap_alloc_bytes"))
	})
	return now
}
