package node_test

import (
	"encoding/base64"
	"encoding/json"
	"errors"
	"strings"
	"testing"

	"github.com/entente-hub/entente/api/federation"
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
				!strings.Contains(s.LastError, "statement 6") {
				t.Errorf("%+v, %s", s.Alarms, s.LastError)
			}
		})
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
