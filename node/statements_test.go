package node_test

import (
	"encoding/base64"
	"encoding/json"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/entente-hub/entente/api/federation"
	"github.com/entente-hub/entente/api/feed"
	"github.com/entente-hub/entente/api/problem"
	"github.com/entente-hub/entente/node/nodetest"
)

func digestOfStatement(t *testing.T, raw []byte) string {
	t.Helper()
	var g struct{ Payload string }
	must(t, json.Unmarshal(raw, &g))
	payload, err := base64.RawURLEncoding.DecodeString(g.Payload)
	must(t, err)
	return federation.Digest(payload)
}

func revision(t *testing.T, h *house) string {
	t.Helper()
	s, err := h.n.Status(ctx)
	must(t, err)
	return s.Revision
}

// TestHostileStatements: what is forged or forked is refused and remembered, and
// what comes after it counts.
func TestHostileStatements(t *testing.T) {
	mallory := func(h *house) []byte { return h.NodeKey("XB", h.Key("XB"), h.Key("XB")) }
	for name, hostile := range map[string]func(h *house) []byte{
		"forged node key": mallory,
		"forged registry": func(h *house) []byte {
			real := h.Authority
			defer func() { h.Authority = real }()
			h.Authority = h.Key("authority")
			return h.Registry(2, digestOfStatement(t, h.Statements[0]), h.Key(string(nodetest.HubID)))
		},
		"forked registry": func(h *house) []byte { return h.Registry(2, digestOfStatement(t, h.Statements[1]), h.HubKey) },
		"skipped revision": func(h *house) []byte {
			return h.Registry(3, digestOfStatement(t, h.Statements[0]), h.HubKey)
		},
		"agreement by one party": func(h *house) []byte {
			raw, _ := h.Agree(1, "", "alone", h.Root["XA"])
			return raw
		},
		"no statement": func(*house) []byte { return []byte(`{"payload":"","signatures":[]}`) },
	} {
		t.Run(name, func(t *testing.T) {
			h := newHouse(t)
			old := revision(t, h)
			bad := hostile(h)
			good, _ := h.Agree(1, "", "second", h.Root["XA"], h.Root["XB"])
			h.hub.Do(func() { h.hub.Statements = append(h.hub.Statements, bad) })
			must(t, h.n.StatementsStep(ctx))
			if revision(t, h) != old {
				t.Error("the world has changed")
			}
			h.hub.Do(func() { h.hub.Statements = append(h.hub.Statements, good) })
			must(t, h.n.StatementsStep(ctx))
			now := revision(t, h)
			if now == old {
				t.Error("what came after does not count")
			}
			h.reopen()
			must(t, h.n.StatementsStep(ctx))
			if revision(t, h) != now {
				t.Error("another world after a restart")
			}
			s, err := h.n.Status(ctx)
			must(t, err)
			if len(s.Alarms) != 1 || s.Alarms[0].Kind != "statement" || string(s.Alarms[0].Evidence) != string(bad) ||
				!strings.Contains(s.LastError, "statement 7") {
				t.Errorf("%+v, %s", s.Alarms, s.LastError)
			}
		})
	}
}

// revocation is a statement that ends XB's node key.
func (h *house) revocation() []byte {
	k := h.Node["XB"]
	raw, _ := h.State(federation.TypeNodeKey, &federation.NodeKey{Member: "XB", KeyID: k.Public().KeyID(), Key: h.JWK(k),
		NotBefore: h.Start.Add(-24 * time.Hour).Unix(), NotAfter: h.Start.AddDate(1, 0, 0).Unix(), Revoked: h.Start.Unix()},
		2, digestOfStatement(h.t, h.Statements[2]), h.Root["XB"])
	return raw
}

// TestRefusedIsAskedForAgain: a statement that came damaged once counts when it
// comes whole, though later ones are held: after a restart, and while the node
// runs.
func TestRefusedIsAskedForAgain(t *testing.T) {
	for _, restart := range []bool{true, false} {
		h := newHouse(t)
		h.deliver(feed.Content)
		must(t, h.n.FeedStep(ctx))
		place := len(h.Statements)
		later, _ := h.Agree(1, "", "second", h.Root["XA"], h.Root["XB"])
		h.hub.Do(func() {
			h.hub.Statements = append(h.hub.Statements, []byte(`{"payload":"","signatures":[]}`), later)
		})
		must(t, h.n.StatementsStep(ctx))
		held, err := h.st.Statements(ctx)
		must(t, err)
		if list, err := h.n.Inbox(ctx, 0, 1); err != nil || list[0].Fault != nil || len(held) != place+1 {
			t.Fatalf("%v, %+v, %d statements", err, list, len(held))
		}
		if restart {
			h.reopen()
		}
		h.hub.Do(func() { h.hub.Statements[place] = h.revocation() })
		for range 2 {
			must(t, h.n.StatementsStep(ctx))
			if list, err := h.n.Inbox(ctx, 0, 1); err != nil || list[0].Fault == nil {
				t.Errorf("restart %t: the revocation is lost: %v", restart, err)
			}
			h.reopen()
		}
	}
}

// TestOrderOfArrival: what was verified in one order is verified in that order
// when the node starts, whatever the positions are.
func TestOrderOfArrival(t *testing.T) {
	h := newHouse(t)
	place := len(h.Statements)
	byOldRoot := h.NodeKey("XB", h.Key("XB"), h.Root["XB"])
	h.Root["XB"] = h.Key("XB")
	rotation := h.Registry(2, digestOfStatement(t, h.Statements[0]), h.HubKey)
	h.hub.Do(func() {
		h.hub.Statements = append(h.hub.Statements, []byte(`{"payload":"","signatures":[]}`), byOldRoot, byOldRoot)
	})
	must(t, h.n.StatementsStep(ctx))
	h.hub.Do(func() { h.hub.Statements[place] = rotation })
	must(t, h.n.StatementsStep(ctx))
	want := revision(t, h)
	h.reopen()
	if got := revision(t, h); got != want {
		t.Error("another world after a restart")
	}
	list, err := h.st.Statements(ctx)
	must(t, err)
	if len(list) != place+2 || string(list[place+1].Raw) != string(rotation) {
		t.Errorf("%d statements", len(list))
	}
}

// TestTamperedStatements: a database whose statements were changed does not start.
func TestTamperedStatements(t *testing.T) {
	h := newHouse(t)
	must(t, h.st.Close())
	execute(t, h.path, `UPDATE statements SET raw = (SELECT raw FROM statements WHERE position = 3) WHERE position = 1`)
	if _, err := h.tryOpen(nil); err == nil {
		t.Error("started")
	}
}

func TestStatementsFailure(t *testing.T) {
	for _, w := range []when{before, after} {
		h := newHouse(t)
		good, _ := h.Agree(1, "", "second", h.Root["XA"], h.Root["XB"])
		h.hub.Do(func() { h.hub.Statements = append(h.hub.Statements, good) })
		h.st.failAdd = w
		if err := h.n.StatementsStep(ctx); !errors.Is(err, errInjected) {
			t.Fatal(err)
		}
		must(t, h.n.StatementsStep(ctx))
		list, err := h.st.Statements(ctx)
		must(t, err)
		if len(list) != len(h.Statements)+1 {
			t.Errorf("%d statements", len(list))
		}
	}
}

func TestSubmit(t *testing.T) {
	h := newHouse(t)
	good, _ := h.Agree(1, "", "second", h.Root["XA"], h.Root["XB"])
	bad, _ := h.Agree(1, "", "third", h.Root["XA"])
	if err := h.n.Submit(ctx, bad); problem.KindOf(err) != problem.BadSignature {
		t.Error(err)
	}
	must(t, h.n.Submit(ctx, good))
	if len(h.hub.Statements) != len(h.Statements)+1 {
		t.Error("the hub has another number of statements")
	}
}
