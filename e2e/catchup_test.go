package e2e_test

import (
	"crypto/rand"
	"encoding/base64"
	"encoding/json"
	"flag"
	"fmt"
	mathrand "math/rand/v2"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/uuid"

	"github.com/entente-hub/entente/api/alert"
	"github.com/entente-hub/entente/cli/setup"
	"github.com/entente-hub/entente/crypto/keys"
	"github.com/entente-hub/entente/hub"
	"github.com/entente-hub/entente/hub/store"
	"github.com/entente-hub/entente/hub/store/pgtest"
	"github.com/entente-hub/entente/trust"
)

// shortCatchUp is how many deliveries TestCatchUp takes where nothing is said.
const shortCatchUp = 1_000

var catchUpFlag = flag.Int("catch-up", shortCatchUp, "how many deliveries TestCatchUp catches up")

// maxCatchUpMemory bounds the peak of a process that catches up, whatever there is to
// catch up, in bytes: several times what it is, for the race detector's sake.
const maxCatchUpMemory = 1 << 30

// TestCatchUp: a node that was away while others published gets all of it, each
// delivery once and in order, though it is killed again and again on the way; and neither
// it nor the hub needs more memory for more. For figures:
//
//	go test ./e2e -run CatchUp -catch-up 100000 -v -timeout 0
func TestCatchUp(t *testing.T) {
	for _, db := range []string{"SQLite", "PostgreSQL"} {
		t.Run(db, func(t *testing.T) {
			spec := setup.Trial()
			if db == "PostgreSQL" {
				spec.Postgres = pgtest.New(t)
			}
			if *catchUpFlag <= shortCatchUp {
				newFederation(t, spec, 1).catchUp(random(t), *catchUpFlag)
				return
			}
			var peaks [2]peak
			for i, n := range []int{*catchUpFlag / 10, *catchUpFlag} {
				t.Run(fmt.Sprint(n), func(t *testing.T) {
					if db == "PostgreSQL" {
						spec.Postgres = pgtest.New(t)
					}
					peaks[i] = newFederation(t, spec, 1).catchUp(random(t), n)
				})
			}
			for part, grown := range map[string][2]int64{"node": {peaks[0].node, peaks[1].node}, "hub": {peaks[0].hub, peaks[1].hub}} {
				if grown[1] > 2*grown[0]+64<<20 {
					t.Errorf("the %s's memory grows with what is to be caught up: %d MB, then %d MB", part, grown[0]>>20, grown[1]>>20)
				}
			}
		})
	}
}

// peak is the largest that processes were, in bytes.
type peak struct{ node, hub int64 }

// away is who catches up; the others publish.
const away = alert.MemberID("XB")

func (f *world) catchUp(rnd *mathrand.Rand, n int) (p peak) {
	t := f.t
	t.Helper()
	for _, m := range f.members {
		f.nodes[m].kill()
	}
	f.hubs[0].kill()
	raw, err := os.ReadFile(f.HubConfig())
	if err != nil {
		t.Fatal(err)
	}
	raw = append(raw, "\nlimits:\n  publish: {per_second: 1000000, burst: 1000000}\n"...)
	if err := os.WriteFile(f.HubConfig(), raw, 0o600); err != nil {
		t.Fatal(err)
	}
	start := func(p *process) {
		p.start()
		p.await("/readyz")
	}
	start(f.hubs[0])
	began := time.Now()
	want := f.fill(n)
	filled := time.Since(began)
	f.hubs[0].kill()
	start(f.hubs[0]) // so that its memory is that of handing over
	node := f.nodes[away]
	var marks []int64
	for range 5 {
		marks = append(marks, rnd.Int64N(int64(n)))
	}
	slices.Sort(marks)
	start(node)
	began = time.Now()
	for _, mark := range append(marks, int64(n)) {
		eventually(t, patienceFor(n), "the node to catch up", func() (bool, string) {
			s, err := f.clients[away].Status(t.Context())
			return err == nil && s.Cursor >= mark, fmt.Sprint(s, err)
		})
		p.node = max(p.node, node.peakMemory())
		if mark < int64(n) {
			node.kill()
			start(node)
		}
	}
	took := time.Since(began)
	beside := f.openHubStore()
	f.acknowledged(beside, n)
	p.node, p.hub = max(p.node, node.peakMemory()), f.hubs[0].peakMemory()
	t.Logf("%d deliveries in %v with %d kills: %.0f a second; acknowledged after %v; peak memory: node %d MB, hub %d MB (published in %v, %.0f a second)",
		n, took.Round(time.Millisecond), len(marks), float64(n)/took.Seconds(), time.Since(began).Round(time.Millisecond), p.node>>20, p.hub>>20,
		filled.Round(time.Millisecond), float64(n)/filled.Seconds())
	if p.node > maxCatchUpMemory || p.hub > maxCatchUpMemory {
		t.Errorf("peak memory: node %d MB, hub %d MB", p.node>>20, p.hub>>20)
	}
	node.kill()
	f.hubs[0].kill()
	f.checkCaughtUp(beside, n, want)
	return p
}

// patienceFor is how long n deliveries may take on a machine that is busy with other work.
func patienceFor(n int) time.Duration { return time.Minute + time.Duration(n)*30*time.Millisecond }

// acknowledged waits until the hub has an acknowledgement of everything.
func (f *world) acknowledged(st store.Store, n int) {
	f.t.Helper()
	eventually(f.t, patienceFor(n), "all acknowledgements", func() (bool, string) {
		fd, err := st.Feed(f.t.Context(), away)
		return err == nil && fd.Acked == int64(n), fmt.Sprint(fd, err)
	})
}

// checkCaughtUp holds what the node has stored against what was published, by
// originator.
func (f *world) checkCaughtUp(beside store.Store, n int, want map[alert.MemberID][]alert.ID) {
	t := f.t
	t.Helper()
	st := f.openNodeStore(away)
	got := make(map[alert.MemberID][]alert.ID)
	seq := int64(0)
	for {
		page, err := st.Deliveries(t.Context(), seq, 500)
		if err != nil {
			t.Fatal(err)
		}
		if len(page) == 0 {
			break
		}
		for _, item := range page {
			if seq++; item.Seq != seq {
				t.Fatalf("item %d stands in the place of %d", item.Seq, seq)
			}
			got[item.Originator] = append(got[item.Originator], item.ID)
		}
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("published (-), received (+), in order:\n%s", diff)
	}
	fd, err := beside.Feed(t.Context(), away)
	if err != nil || fd.Seq != int64(n) || fd.Acked != int64(n) || fd.Pending != 0 {
		t.Errorf("the hub's feed stands at %+v, %v", fd, err)
	}
}

// fill publishes n alerts for the member that is away, from all others at once, and
// returns them in order.
func (f *world) fill(n int) map[alert.MemberID][]alert.ID {
	f.t.Helper()
	var mu sync.Mutex
	out := make(map[alert.MemberID][]alert.ID)
	var all sync.WaitGroup
	left := n
	for i, m := range []alert.MemberID{"XA", "XC", "XD"} {
		share := left / (3 - i)
		left -= share
		all.Go(func() {
			ids, err := f.publishDirectly(m, share)
			if err != nil {
				f.t.Errorf("%s: %v", m, err)
			}
			mu.Lock()
			defer mu.Unlock()
			out[m] = ids
		})
	}
	all.Wait()
	if f.t.Failed() {
		f.t.FailNow()
	}
	return out
}

// publishDirectly publishes small alerts of a member's without its node.
func (f *world) publishDirectly(m alert.MemberID, n int) (ids []alert.ID, err error) {
	signer, err := f.nodeKey(m)
	if err != nil {
		return nil, err
	}
	client := f.asMember(m)
	for len(ids) < n {
		var tokens []string
		for range min(hub.MaxBatch, n-len(ids)) {
			a, err := smallAlert(m, away)
			if err != nil {
				return nil, err
			}
			token, err := trust.IssueAlert(f.t.Context(), signer, a)
			if err != nil {
				return nil, err
			}
			ids, tokens = append(ids, a.Subject), append(tokens, token)
		}
		for len(tokens) > 0 {
			list, err := client.PublishAll(f.t.Context(), tokens)
			if err != nil {
				return nil, err
			}
			for _, p := range list {
				if p.Refusal != nil {
					return nil, p.Refusal
				}
			}
			tokens = tokens[len(list):]
		}
	}
	return ids, nil
}

// nodeKey is the key by which a member's node signs, out of its own key store.
func (f *world) nodeKey(m alert.MemberID) (keys.Signer, error) {
	cfg := f.nodeCfg[m]
	secret, err := keys.SecretFromFile(cfg.Keys.SecretFile)
	if err != nil {
		return nil, err
	}
	ks, err := keys.OpenStore(cfg.Keys.Dir, secret)
	if err != nil {
		return nil, err
	}
	return ks.Load(cfg.Keys.SigningKID)
}

// smallAlert is an alert of one portion to one member.
func smallAlert(from, to alert.MemberID) (alert.Alert, error) {
	id, err := uuid.NewV7()
	if err != nil {
		return alert.Alert{}, err
	}
	var jti [16]byte
	_, _ = rand.Read(jti[:]) // never fails
	now := time.Now()
	l := alert.Label{Policy: setup.Scheme, Classification: alert.Unclassified, ReleasableTo: []alert.Audience{alert.Audience(to)},
		Categories: []alert.Category{"labour"}, Purposes: []alert.Purpose{"risk-analysis"}, PersonalData: alert.NoPersonalData}
	if err := l.Normalize(); err != nil {
		return alert.Alert{}, err
	}
	object := json.RawMessage(`{"type":"x-remark","id":"x-remark--` + uuid.NewString() + `","text":"seen at the border"}`)
	return alert.Alert{
		Payload: alert.Payload{Issuer: from, Subject: alert.ID(id.String()), Version: 1,
			JTI: base64.RawURLEncoding.EncodeToString(jti[:]), IssuedAt: now.Unix(), Expires: now.Add(24 * time.Hour).Unix()},
		Portions: []alert.Portion{{ID: "open", Notice: "labour", Label: &l, Content: &alert.Content{Objects: []json.RawMessage{object}}}},
	}, nil
}

// peakMemory is the largest that the process has been, in bytes of physical memory.
func (p *process) peakMemory() int64 {
	p.t.Helper()
	raw, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", p.cmd.Process.Pid))
	if err != nil {
		p.t.Fatal(err)
	}
	for line := range strings.Lines(string(raw)) {
		if rest, ok := strings.CutPrefix(line, "VmHWM:"); ok {
			kb, err := strconv.ParseInt(strings.TrimSuffix(strings.TrimSpace(rest), " kB"), 10, 64)
			if err != nil {
				p.t.Fatal(err)
			}
			return kb << 10
		}
	}
	p.t.Fatalf("no peak in %s", raw)
	return 0
}
