package e2e_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/entente-hub/entente/api/alert"
	"github.com/entente-hub/entente/cli/setup"
	"github.com/entente-hub/entente/hub/store/pgtest"
	nodeserver "github.com/entente-hub/entente/node/server"
)

// TestKilledWhileDecidingAgain: vulnerability: what the hub has to do when the rules change may take longer
// than the hub lives.
// attack: a member joins a federation with a past; its hub is killed again and again while it decides that past.
// guarantee: in the end the new member has each alert that it may have, once, and the log holds.
func TestKilledWhileDecidingAgain(t *testing.T) {
	for name, dsn := range map[string]func(t *testing.T) string{
		"sqlite":   func(*testing.T) string { return "" },
		"postgres": func(t *testing.T) string { return pgtest.New(t) },
	} {
		t.Run(name, func(t *testing.T) {
			spec := setup.Trial()
			spec.Postgres = dsn(t)
			f := newFederation(t, spec, 1)
			f.joinWhileKilled(t)
		})
	}
}

func (f *world) joinWhileKilled(t *testing.T) {
	const n = 400
	rnd := random(t)
	for i := range n {
		text := fmt.Sprintf("before XE was there, %d", i)
		if _, err := f.clients[f.members[i%2]].Publish(t.Context(), draftOf(t, []alert.PortionID{"open"}, text)); err != nil {
			t.Fatal(err)
		}
	}
	f.quiesce(60 * time.Second)
	hub := f.hubs[0]
	statements, err := setup.Join(t.Context(), f.Layout, f.hubCfg.Listen, "hub",
		setup.Member{ID: "XE", Name: "Member XE", Ceiling: alert.Secret}, "regional-exchange")
	if err != nil {
		t.Fatal(err)
	}
	for _, raw := range statements {
		if _, err := f.clients["XA"].Propose(t.Context(), raw); err != nil {
			t.Fatal(err)
		}
	}
	for range 6 { // within the next milliseconds, wherever its pass stands
		<-time.After(time.Duration(rnd.Int64N(int64(30 * time.Millisecond))))
		hub.kill()
		hub.start()
	}
	hub.await("/readyz")
	cfg := readConfig[nodeserver.Config](t, f.NodeConfig("XE"))
	node := newProcess(t, t.TempDir(), "node-XE", cfg.OpsListen, "node", "--config", f.NodeConfig("XE"))
	node.start()
	node.await("/readyz")
	client, err := nodeserver.NewClient(cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(client.Close)
	seen := make(map[string]int)
	eventually(t, 60*time.Second, "the past arrives", func() (bool, string) {
		clear(seen)
		for after := int64(0); ; {
			list, err := client.Inbox(t.Context(), after, 500)
			if err != nil {
				return false, err.Error()
			}
			for _, r := range list {
				after = r.Seq
				if seen[r.Id]++; r.PreviousSeq != nil {
					t.Errorf("alert %s came twice", r.Id)
				}
			}
			if len(list) == 0 {
				break
			}
		}
		return len(seen) >= n, fmt.Sprintf("%d of %d", len(seen), n)
	})
	for id, times := range seen {
		if times != 1 {
			t.Errorf("alert %s is in the inbox %d times", id, times)
		}
	}
	if len(seen) != n {
		t.Errorf("%d alerts, want %d", len(seen), n)
	}
}
