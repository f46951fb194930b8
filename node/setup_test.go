package node_test

import (
	"context"
	"errors"
	"log/slog"
	"path/filepath"
	"testing"
	"time"

	"github.com/entente-hub/entente/api/alert"
	"github.com/entente-hub/entente/api/feed"
	"github.com/entente-hub/entente/crypto/pki"
	"github.com/entente-hub/entente/node"
	"github.com/entente-hub/entente/node/hubclient"
	"github.com/entente-hub/entente/node/nodetest"
	"github.com/entente-hub/entente/node/store"
	"github.com/entente-hub/entente/node/store/sqlite"
)

var ctx = context.Background()

// house is XA's node, with its database, at a scripted hub.
type house struct {
	*nodetest.Federation
	t    *testing.T
	hub  *nodetest.Hub
	path string
	st   *faulty
	n    *node.Node
	rule refusals
}

// refusals is an egress policy that answers what it is told to.
type refusals struct {
	list []node.Refusal
	err  error
}

func (r *refusals) Check(context.Context, alert.MemberID, []alert.Label) ([]node.Refusal, error) {
	return r.list, r.err
}

func newHouse(t *testing.T) *house {
	t.Helper()
	f := nodetest.New(t)
	h := &house{Federation: f, t: t, hub: f.Serve(t), path: filepath.Join(t.TempDir(), "node.db")}
	h.open(nil)
	must(t, h.n.StatementsStep(ctx))
	return h
}

// open starts the node on its database; change may change its configuration.
func (h *house) open(change func(*node.Config)) {
	h.t.Helper()
	n, err := h.tryOpen(change)
	must(h.t, err)
	h.n = n
}

func (h *house) tryOpen(change func(*node.Config)) (*node.Node, error) {
	st, err := sqlite.Open(ctx, h.path)
	must(h.t, err)
	h.st = &faulty{Store: st}
	h.t.Cleanup(func() { _ = st.Close() }) // closed twice where the test has done it
	c := node.Config{Member: "XA", HubID: nodetest.HubID, Authority: h.Authority.Public(), Signer: h.Node["XA"],
		Store: h.st, Hub: h.client("XA"), Egress: &h.rule, Log: slog.New(slog.DiscardHandler),
		Backoff: func(int) time.Duration { return time.Millisecond }}
	if change != nil {
		change(&c)
	}
	return node.New(ctx, c)
}

// reopen is a crash: nothing is told to the old node.
func (h *house) reopen() {
	h.t.Helper()
	must(h.t, h.st.Close())
	h.open(nil)
}

func (h *house) client(m alert.MemberID) *hubclient.Client {
	h.t.Helper()
	c, err := hubclient.New(hubclient.Config{URLs: []string{h.hub.URL}, Hub: nodetest.HubID,
		Certificate: h.Certificate(pki.Identity{Kind: pki.Member, ID: string(m)}), Pool: h.CA.Pool()})
	must(h.t, err)
	h.t.Cleanup(c.Close)
	return c
}

// deliver hands XA an alert of XB's.
func (h *house) deliver(kinds ...feed.Kind) feed.Delivery {
	h.t.Helper()
	d := h.Deliver(h.Issue(h.Payload("XB"), len(kinds), h.Node["XB"]), kinds...)
	h.hub.Hand("XA", d)
	return d
}

// holds checks what is stored.
func (h *house) holds(seq, inbox, acks int64) {
	h.t.Helper()
	s, err := h.n.Status(ctx)
	must(h.t, err)
	if s.Cursor != seq || s.Counts.Inbox != inbox || s.Counts.Acks != acks {
		h.t.Fatalf("cursor %d, inbox %d, acknowledgements %d; want %d, %d, %d", s.Cursor, s.Counts.Inbox, s.Counts.Acks, seq, inbox, acks)
	}
}

func (h *house) publish() *store.Outgoing {
	h.t.Helper()
	o, err := h.n.Publish(ctx, node.Draft{Objects: objects(1), Plan: nodetest.Plan()})
	must(h.t, err)
	return o
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

var errInjected = errors.New("injected")

// faulty fails the next Receive, SettleAll or AddStatements: before it is done, or after.
type faulty struct {
	store.Store
	failReceive, failSettle, failAdd when
}

type when int

const (
	never when = iota
	before
	after
)

// fail runs do unless it is to fail before.
func fail(w *when, do func() error) error {
	now := *w
	*w = never
	if now == before {
		return errInjected
	}
	if err := do(); err != nil || now == never {
		return err
	}
	return errInjected
}

func (f *faulty) Receive(ctx context.Context, r store.Reception) error {
	return fail(&f.failReceive, func() error { return f.Store.Receive(ctx, r) })
}

func (f *faulty) SettleAll(ctx context.Context, list []store.Settled) error {
	return fail(&f.failSettle, func() error { return f.Store.SettleAll(ctx, list) })
}

func (f *faulty) AddStatements(ctx context.Context, l []store.Statement) error {
	return fail(&f.failAdd, func() error { return f.Store.AddStatements(ctx, l) })
}
