package server_test

import (
	"bytes"
	"encoding/json"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/entente-hub/entente/api/feed"
	"github.com/entente-hub/entente/api/nodeapi"
	"github.com/entente-hub/entente/api/problem"
	"github.com/entente-hub/entente/crypto/pki"
	"github.com/entente-hub/entente/node"
	"github.com/entente-hub/entente/node/hubclient"
	"github.com/entente-hub/entente/node/nodetest"
	"github.com/entente-hub/entente/node/server"
	"github.com/entente-hub/entente/parcel"
)

// courier is who carries XA's parcels.
type courier struct {
	*testing.T
	f   *nodetest.Federation
	hub *nodetest.Hub
	c   *server.Client
}

// carry exports, plays it to the hub and returns the answer.
func (x courier) carry() []byte {
	x.Helper()
	cert := x.f.Certificate(pki.Identity{Kind: pki.Member, ID: "XA"})
	at, err := x.c.Standing(ctx)
	must(x.T, err)
	var out, answer bytes.Buffer
	w, err := parcel.NewWriter(&out, parcel.Manifest{Bound: parcel.ToHub, Member: "XA", Hub: nodetest.HubID, Standing: at}, time.Now())
	must(x.T, err)
	_, err = node.Pack(ctx, x.c, w)
	must(x.T, err)
	must(x.T, w.Close(cert, false))
	in, err := parcel.Open(bytes.NewReader(out.Bytes()), int64(out.Len()), parcel.Trust{Pool: x.f.CA.Pool(), Member: "XA", Now: time.Now()})
	must(x.T, err)
	back, err := parcel.NewWriter(&answer, parcel.Manifest{Bound: parcel.ToNode, Member: "XA", Hub: nodetest.HubID, Re: in.Manifest().ID, Standing: at}, time.Now())
	must(x.T, err)
	hub, err := hubclient.New(hubclient.Config{URLs: []string{x.hub.URL}, Hub: nodetest.HubID, Certificate: cert, Pool: x.f.CA.Pool()})
	must(x.T, err)
	defer hub.Close()
	trip, err := node.Courier{Hub: hub, Pages: 10}.Carry(ctx, in, back)
	must(x.T, err)
	must(x.T, back.Close(cert, trip.More))
	return answer.Bytes()
}

func (x courier) take(raw []byte) (nodeapi.Imported, error) {
	return x.c.Import(ctx, bytes.NewReader(raw), int64(len(raw)))
}

// TestOfflineNode runs a node without any address of a hub, and exchanges parcels with it
// as the commands do.
func TestOfflineNode(t *testing.T) {
	f := nodetest.New(t)
	hub := f.Serve(t)
	cfg := install(t, f, hub)
	cfg.Hub.URLs, cfg.Hub.Offline = nil, true
	must(t, os.WriteFile(filepath.Join(cfg.DataDir, "import.parcel"), []byte("left by a killed process"), 0o600))
	cfg = start(t, cfg)
	x := courier{t, f, hub, client(t, cfg)}
	if _, err := os.Stat(filepath.Join(cfg.DataDir, "import.parcel")); err == nil {
		t.Error("what a killed process has left is still there")
	}
	resp, err := http.Get("http://" + cfg.OpsListen + "/readyz")
	must(t, err)
	body, err := io.ReadAll(resp.Body)
	_ = resp.Body.Close() // it was read
	must(t, err)
	if !strings.Contains(string(body), "no network") {
		t.Errorf("/readyz says %s", body)
	}

	if got, err := x.take(x.carry()); err != nil || got.Statements == 0 {
		t.Fatalf("%+v, %v", got, err)
	}
	hub.Hand("XA", f.Deliver(f.Issue(f.Payload("XB"), 1, f.Node["XB"]), feed.Content))
	o, err := x.c.Publish(ctx, nodeapi.Draft{Objects: []json.RawMessage{nodetest.Object()}, Plan: plan(nil)})
	must(t, err)
	answer := x.carry()
	for name, c := range map[string]struct {
		change func([]byte) []byte
		want   problem.Kind
	}{
		"a byte changed": {func(b []byte) []byte { b[40] ^= 1; return b }, problem.Malformed},
		"cut off":        {func(b []byte) []byte { return b[:len(b)-9] }, problem.Malformed},
		"nothing":        {func([]byte) []byte { return []byte("x") }, problem.Malformed},
	} {
		if _, err := x.take(c.change(bytes.Clone(answer))); problem.KindOf(err) != c.want {
			t.Errorf("%s: %v", name, err)
		}
	}
	if got, err := x.take(answer); err != nil || got.Items != 1 || got.Accepted != 1 || got.Left || got.Again {
		t.Errorf("%+v, %v", got, err)
	}
	if got, err := x.take(answer); err != nil || got.Items != 0 || got.Accepted != 0 {
		t.Errorf("taken twice: %+v, %v", got, err)
	}
	out, err := x.c.Outgoing(ctx, "", 1)
	if err == nil {
		t.Errorf("%+v", out)
	}
	list, err := x.c.Outbox(ctx, 10)
	if err != nil || len(list) != 1 || list[0].Id != o.Id || list[0].State != nodeapi.Accepted {
		t.Errorf("%+v, %v", list, err)
	}
	s, err := x.c.Status(ctx)
	if err != nil || s.Offline == nil || !*s.Offline || s.Inbox != 1 || s.LastContact == nil || s.LastError != nil {
		t.Errorf("%+v, %v", s, err)
	}
	if _, err := x.c.Import(ctx, bytes.NewReader(nil), 8<<30+1); problem.KindOf(err) != problem.TooLarge {
		t.Errorf("of more than a parcel may have: %v", err)
	}
	if _, err := os.Stat(filepath.Join(cfg.DataDir, "import.parcel")); err == nil {
		t.Error("the parcel is still there")
	}
	if hub.Polls == 0 || len(hub.Published) != 1 {
		t.Errorf("%d alerts at the hub", len(hub.Published))
	}
}

// TestOfflineConfiguration: addresses and no network exclude one another, and one of the
// two is said.
func TestOfflineConfiguration(t *testing.T) {
	f := nodetest.New(t)
	cfg := install(t, f, f.Serve(t))
	both, none := cfg, cfg
	both.Hub.Offline, none.Hub.URLs = true, nil
	for name, c := range map[string]server.Config{"both": both, "none": none} {
		if err := c.Validate(); err == nil || !strings.Contains(err.Error(), "hub.offline") {
			t.Errorf("%s: %v", name, err)
		}
	}
}
