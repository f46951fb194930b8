package hub_test

import (
	"context"
	"crypto/rand"
	"encoding/base64"
	"encoding/json"
	"io"
	"log/slog"
	"path/filepath"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/entente-hub/entente/api/alert"
	"github.com/entente-hub/entente/api/federation"
	"github.com/entente-hub/entente/api/feed"
	"github.com/entente-hub/entente/cli/setup"
	"github.com/entente-hub/entente/crypto/keys"
	"github.com/entente-hub/entente/hub"
	"github.com/entente-hub/entente/hub/server"
	"github.com/entente-hub/entente/hub/store"
	"github.com/entente-hub/entente/hub/store/postgres"
	"github.com/entente-hub/entente/hub/store/sqlite"
	"github.com/entente-hub/entente/policies"
	"github.com/entente-hub/entente/trust"
)

var members = []alert.MemberID{"XA", "XB", "XC", "XD"}

// world is a federation on disk with a running hub core.
type world struct {
	testing.TB
	setup.Layout
	*hub.Hub
	store store.Store
	clock *clock
	nodes map[alert.MemberID]keys.Signer
}

// clock is the real one, moved by the test.
type clock struct {
	ahead atomic.Int64
	lag   atomic.Int64 // by which the database server's clock is behind
	alone atomic.Bool  // the database has no server, or is asked itself
	looks atomic.Int64 // how often erasers have asked it
}

// clocked is a store whose server has the test's clock.
type clocked struct {
	store.Store
	clock *clock
}

func (c clocked) Clock(ctx context.Context) (time.Time, bool, error) {
	c.clock.looks.Add(1)
	if c.clock.alone.Load() {
		return c.Store.Clock(ctx)
	}
	return c.clock.now().Add(-time.Duration(c.clock.lag.Load())), true, nil
}

func (c *clock) now() time.Time          { return time.Now().Add(time.Duration(c.ahead.Load())) }
func (c *clock) advance(d time.Duration) { c.ahead.Add(int64(d)) }

// newWorld is the trial federation on SQLite, with its statements in force.
func newWorld(t testing.TB) *world {
	t.Helper()
	w := bareWorld(t, openSQLite(t))
	if err := server.TakeStatements(t.Context(), w.Hub, w.Statements()); err != nil {
		t.Fatal(err)
	}
	w.settle()
	return w
}

// bareWorld is the trial federation with a hub that knows nothing of it yet.
func bareWorld(t testing.TB, st store.Store) *world {
	t.Helper()
	spec := setup.Trial()
	layout, err := setup.Make(t.Context(), filepath.Join(t.TempDir(), "federation"), spec)
	if err != nil {
		t.Fatal(err)
	}
	w := &world{TB: t, Layout: layout, store: st, clock: &clock{}, nodes: make(map[alert.MemberID]keys.Signer)}
	for _, m := range spec.Members {
		w.nodes[m.ID] = only(t, loadKeys(t, layout.Node(m.ID), "keys"))
	}
	w.Hub = w.start(st)
	return w
}

// in is the same world for a subtest.
func (w *world) in(t testing.TB) *world {
	v := *w
	v.TB = t
	return &v
}

func (w *world) Statements() string { return w.Layout.Statements() }

func openSQLite(t testing.TB) store.Store {
	t.Helper()
	st, err := sqlite.Open(t.Context(), filepath.Join(t.TempDir(), "hub.db"))
	return opened(t, st, err)
}

func openPostgres(t testing.TB, dsn string) store.Store {
	t.Helper()
	st, err := postgres.Open(t.Context(), dsn, postgres.Options{})
	return opened(t, st, err)
}

func opened(t testing.TB, st store.Store, err error) store.Store {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := st.Close(); err != nil {
			t.Error(err)
		}
	})
	return st
}

// engine is that of the embedded rules. It is made once: compiling them takes most of the
// time that a hub needs to begin.
var engine = sync.OnceValues(policies.Load)

// deps are those of the federation's hub on a store.
func (w *world) deps(st store.Store) hub.Deps {
	w.Helper()
	engine, err := engine()
	if err != nil {
		w.Fatal(err)
	}
	authority, err := server.ReadPublicKey(filepath.Join(w.Authority(), "authority.jwk"))
	if err != nil {
		w.Fatal(err)
	}
	return hub.Deps{ID: "hub", Store: clocked{st, w.clock}, Signer: only(w, loadKeys(w, w.Layout.Hub(), "keys")),
		Authority: authority, Engine: engine, Now: w.clock.now, Log: slog.New(slog.NewTextHandler(io.Discard, nil))}
}

// start runs a hub core on a store until the test ends.
func (w *world) start(st store.Store) *hub.Hub {
	w.Helper()
	h, stop := w.run(w.deps(st))
	w.Cleanup(stop)
	return h
}

// run runs a hub core until stop is called.
func (w *world) run(d hub.Deps) (h *hub.Hub, stop func()) {
	w.Helper()
	h, err := hub.New(w.Context(), d)
	if err != nil {
		w.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.WithoutCancel(w.Context()))
	done := make(chan error, 1)
	go func() { done <- h.Run(ctx) }()
	return h, func() {
		cancel()
		if err := <-done; err != nil {
			w.Error(err)
		}
	}
}

// loadKeys opens a key store that setup made and returns its keys by owner.
func loadKeys(t testing.TB, dir, name string) map[string]keys.Signer {
	t.Helper()
	secret, err := keys.SecretFromFile(filepath.Join(dir, name+".secret"))
	if err != nil {
		t.Fatal(err)
	}
	ks, err := keys.OpenStore(filepath.Join(dir, name), secret)
	if err != nil {
		t.Fatal(err)
	}
	kids, err := ks.List()
	if err != nil {
		t.Fatal(err)
	}
	out := make(map[string]keys.Signer)
	for _, kid := range kids {
		k, err := ks.Load(kid)
		if err != nil {
			t.Fatal(err)
		}
		out[k.Public().Owner()] = k
	}
	return out
}

func only(t testing.TB, all map[string]keys.Signer) keys.Signer {
	t.Helper()
	for _, k := range all {
		if len(all) == 1 {
			return k
		}
	}
	t.Fatalf("%d keys", len(all))
	return nil
}

func (w *world) root(m alert.MemberID) keys.Signer {
	w.Helper()
	return only(w, loadKeys(w, w.Node(m), "root"))
}

func (w *world) authority() map[string]keys.Signer {
	w.Helper()
	return loadKeys(w, w.Authority(), "keys")
}

// label is one that the trial federation's regional agreement covers.
func label(to ...alert.Audience) alert.Label {
	return alert.Label{Policy: setup.Scheme, Classification: alert.Restricted, ReleasableTo: to,
		Categories: []alert.Category{"smuggling"}, Purposes: []alert.Purpose{"prevention"}, PersonalData: alert.NoPersonalData}
}

// bilateral is a label that only the XA–XB agreement covers; XC may know.
func bilateral() alert.Label {
	l := label("XB")
	l.Classification, l.PersonalData, l.Retention = alert.Secret, alert.Personal, alert.Date(time.Now().AddDate(0, 1, 0).Format(time.DateOnly))
	l.DiscoverableTo = []alert.Audience{"XC"}
	l.Purposes = []alert.Purpose{"investigation"}
	return l
}

// compose makes an unsigned alert of the member with one portion a label.
func (w *world) compose(m alert.MemberID, labels ...alert.Label) alert.Alert {
	w.Helper()
	id, err := uuid.NewV7()
	if err != nil {
		w.Fatal(err)
	}
	jti := make([]byte, 16)
	rand.Read(jti)
	now := w.clock.now()
	a := alert.Alert{Payload: alert.Payload{Issuer: m, Subject: alert.ID(id.String()), Version: 1,
		JTI: base64.RawURLEncoding.EncodeToString(jti), IssuedAt: now.Unix(), Expires: now.Add(time.Hour).Unix()}}
	for i, l := range labels {
		if err := l.Normalize(); err != nil {
			w.Fatal(err)
		}
		object := json.RawMessage(`{"type":"identity","spec_version":"2.1","id":"identity--` + uuid.NewString() + `"}`)
		a.Portions = append(a.Portions, alert.Portion{ID: alert.PortionID("p" + string(rune('1'+i))), Notice: "smuggling",
			Label: &l, Content: &alert.Content{Objects: []json.RawMessage{object}}})
	}
	return a
}

// sign signs an alert with its issuer's node key.
func (w *world) sign(a alert.Alert) string {
	w.Helper()
	return w.signAs(w.nodes[a.Issuer], a)
}

func (w *world) signAs(k keys.Signer, a alert.Alert) string {
	w.Helper()
	token, err := trust.IssueAlert(w.Context(), k, a)
	if err != nil {
		w.Fatal(err)
	}
	return token
}

// issue composes and signs.
func (w *world) issue(m alert.MemberID, labels ...alert.Label) (alert.Alert, string) {
	w.Helper()
	a := w.compose(m, labels...)
	return a, w.sign(a)
}

func (w *world) publish(m alert.MemberID, token string) string {
	w.Helper()
	receipt, err := w.Publish(w.Context(), m, token)
	if err != nil {
		w.Fatalf("publish: %v", err)
	}
	return receipt
}

func (w *world) poll(m alert.MemberID, after int64) feed.Page {
	w.Helper()
	return w.pollAt(w.Hub, m, after)
}

func (w *world) pollAt(h *hub.Hub, m alert.MemberID, after int64) feed.Page {
	w.Helper()
	page, err := h.Poll(w.Context(), m, after, 100, 0)
	if err != nil {
		w.Fatalf("poll %s after %d: %v", m, after, err)
	}
	return page
}

// newest is what all statements in the store say: the hub need not have heard of those
// that another has taken in.
func (w *world) newest() *trust.Directory {
	w.Helper()
	w.Ready(w.Context())
	return w.Directory()
}

// state signs the next statement of its chain.
func (w *world) state(t federation.StatementType, body federation.Body, signers ...keys.Signer) []byte {
	w.Helper()
	revision, previous := int64(1), ""
	if head, ok := w.newest().Head(t, body.Subject()); ok {
		revision, previous = head.Revision+1, head.Digest
	}
	return w.stateAs(t, body, revision, previous, signers...)
}

func (w *world) stateAs(t federation.StatementType, body federation.Body, revision int64, previous string, signers ...keys.Signer) []byte {
	w.Helper()
	payload, err := federation.NewStatement(t, body, revision, previous, w.clock.now().Unix())
	if err != nil {
		w.Fatal(err)
	}
	raw, err := keys.SignGeneral(w.Context(), signers, federation.StatementJWSType, payload)
	if err != nil {
		w.Fatal(err)
	}
	return raw
}

func (w *world) submitTo(h *hub.Hub, raw []byte) {
	w.Helper()
	if err := h.SubmitStatement(w.Context(), "XA", raw); err != nil {
		w.Fatalf("statement: %v", err)
	}
}

// suspension is XB's word on the XA–XB agreement.
func (w *world) suspension(suspended bool) []byte {
	w.Helper()
	return w.state(federation.TypeSuspension, &federation.Suspension{Agreement: "xa-xb-smuggling", Party: "XB", Suspended: suspended}, w.root("XB"))
}

// registry returns a changed copy of the registry, signed by the authority.
func (w *world) registry(change func(*federation.Registry)) []byte {
	w.Helper()
	return w.state(federation.TypeRegistry, w.changedRegistry(change), w.authority()["authority"])
}

func (w *world) changedRegistry(change func(*federation.Registry)) *federation.Registry {
	w.Helper()
	raw, err := json.Marshal(w.newest().Registry())
	if err != nil {
		w.Fatal(err)
	}
	r := new(federation.Registry)
	if err := json.Unmarshal(raw, r); err != nil {
		w.Fatal(err)
	}
	change(r)
	return r
}
