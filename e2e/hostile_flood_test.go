package e2e_test

import (
	"fmt"
	"os"
	"testing"
	"time"

	"github.com/entente-hub/entente/api/alert"
	"github.com/entente-hub/entente/cli/setup"
	hubserver "github.com/entente-hub/entente/hub/server"
)

// TestNodeOverItsLimit: a node that publishes faster than the hub lets it loses nothing:
// what is over the limit waits in its outbox, is counted as neither sent nor refused, and
// arrives in order, once. Another node's alerts do not wait behind it.
func TestNodeOverItsLimit(t *testing.T) {
	f := newFederationWith(t, setup.Trial(), "limits:\n  publish: {per_second: 5, burst: 5}\n")
	const n, others = 25, 5
	var want []alert.ID
	for i := range n {
		out, err := f.clients["XA"].Publish(t.Context(), draftOf(t, []alert.PortionID{"person"}, fmt.Sprint(i)))
		if err != nil {
			t.Fatal(err)
		}
		want = append(want, alert.ID(out.Id))
	}
	for i := range others {
		if _, err := f.clients["XC"].Publish(t.Context(), draftOf(t, []alert.PortionID{"river"}, fmt.Sprint(i))); err != nil {
			t.Fatal(err)
		}
	}
	f.quiesce(3 * time.Minute)
	for m, published := range map[alert.MemberID]int64{"XA": n, "XC": others} {
		s, err := f.clients[m].Status(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if s.Outbox.Accepted != published || s.Outbox.Refused != 0 || s.Outbox.Queued != 0 {
			t.Errorf("%s: outbox %+v, want %d accepted", m, s.Outbox, published)
		}
	}
	inbox, err := f.clients["XB"].Inbox(t.Context(), 0, 100)
	if err != nil {
		t.Fatal(err)
	}
	var got []alert.ID
	for _, r := range inbox {
		if r.Originator == "XA" {
			got = append(got, alert.ID(r.Id))
		}
	}
	if fmt.Sprint(got) != fmt.Sprint(want) {
		t.Errorf("XB has %v of XA, want %v", got, want)
	}
	if turned := f.hubFigures()[`entente_hub_limited_total{limit="publish"}`]; turned == 0 {
		t.Error("nothing was turned away: the test has shown nothing")
	}
}

// newFederationWith is newFederation with one hub and something added to its configuration.
func newFederationWith(t *testing.T, spec setup.Spec, more string) *world {
	t.Helper()
	f := newFederation(t, spec, 1)
	file := f.HubConfig()
	raw, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(file, append(raw, more...), 0o600); err != nil {
		t.Fatal(err)
	}
	f.hubCfg = readConfig[hubserver.Config](t, file)
	f.hubs[0].kill()
	f.hubs[0].start()
	f.hubs[0].await("/readyz")
	return f
}
