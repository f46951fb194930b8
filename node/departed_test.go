package node_test

import (
	"encoding/json"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/entente-hub/entente/api/alert"
	"github.com/entente-hub/entente/api/federation"
	"github.com/entente-hub/entente/trust"
)

// TestListedAnew. Vulnerability: what a member said before it left counts no more, but
// stands at the head of its chain. Guarantee: back in the federation, it suspends and
// consents anew, and is not told that it has done so already.
func TestListedAnew(t *testing.T) {
	h := newHouse(t)
	id := h.publish().ID
	_, err := h.n.GiveConsent(ctx, id, []alert.Audience{"XB"})
	must(t, err)
	must(t, h.n.Suspend(ctx, "smuggling-ab", "under review"))

	prev, err := trust.Parse(h.Statements[0])
	must(t, err)
	gone := h.RegistryWith(2, prev.Digest, func(r *federation.Registry) { r.Members = r.Members[1:] }, h.HubKey)
	prev, err = trust.Parse(gone)
	must(t, err)
	if r := prev.Body.(*federation.Registry); r.Members[0].ID == "XA" {
		t.Fatal("XA has not left")
	}
	back := h.Registry(3, prev.Digest, h.HubKey)
	key, err := trust.Parse(h.NodeKey("XA", h.Node["XA"], h.Root["XA"]))
	must(t, err)
	again, _ := h.State(federation.TypeNodeKey, key.Body, 2, key.Digest, h.Root["XA"])
	h.hub.Do(func() { h.hub.Statements = append(h.hub.Statements, gone, back, again) })
	must(t, h.n.StatementsStep(ctx))

	list, err := h.n.Agreements(ctx)
	must(t, err)
	if len(list) != 1 || list[0].Standing != trust.Ended || len(list[0].Suspended) != 0 {
		t.Fatalf("%+v", list)
	}
	if given, err := h.n.Consents(ctx); err != nil || len(given) != 0 {
		t.Errorf("consents %+v, %v", given, err)
	}
	must(t, h.n.Suspend(ctx, "smuggling-ab", "still under review"))
	if list, err = h.n.Agreements(ctx); err != nil || len(list[0].Suspended) != 1 {
		t.Errorf("%+v, %v", list, err)
	}
	c, err := h.n.GiveConsent(ctx, id, []alert.Audience{"XC"})
	must(t, err)
	if diff := cmp.Diff([]alert.Audience{"XC"}, c.Recipients); diff != "" || c.Revision != 2 {
		t.Errorf("revision %d: %s", c.Revision, diff)
	}
}

// TestFollowingVersion: of an agreement in force the version is told that all have
// signed and whose time is to come.
func TestFollowingVersion(t *testing.T) {
	h := newHouse(t)
	list, err := h.n.Agreements(ctx)
	must(t, err)
	if list[0].Follows != nil {
		t.Fatalf("%+v follows", list[0].Follows)
	}
	raw, err := json.Marshal(list[0].Terms)
	must(t, err)
	var next federation.Agreement
	must(t, json.Unmarshal(raw, &next))
	next.ValidFrom = time.Now().Add(24 * time.Hour).Unix()
	second, _ := h.State(federation.TypeAgreement, &next, 2, h.Agreement, h.Root["XA"], h.Root["XB"])
	h.hub.Do(func() { h.hub.Statements = append(h.hub.Statements, second) })
	list, err = h.n.Agreements(ctx)
	must(t, err)
	if f := list[0].Follows; list[0].Statement.Revision != 1 || list[0].Standing != trust.InForce || f == nil || f.Version != 2 ||
		f.From.Unix() != next.ValidFrom {
		t.Errorf("version %d is %s, %+v follows", list[0].Statement.Revision, list[0].Standing, f)
	}
}
