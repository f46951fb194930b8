package server_test

import (
	"bytes"
	"context"
	"crypto/tls"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"path/filepath"
	"testing"
	"time"

	"github.com/getkin/kin-openapi/openapi3filter"
	"github.com/getkin/kin-openapi/routers"
	"github.com/getkin/kin-openapi/routers/gorillamux"
	"github.com/google/uuid"

	"github.com/entente-hub/entente/api/alert"
	"github.com/entente-hub/entente/api/audit"
	"github.com/entente-hub/entente/api/problem"
	"github.com/entente-hub/entente/api/serve"
	"github.com/entente-hub/entente/cli/setup"
	"github.com/entente-hub/entente/crypto/keys"
	"github.com/entente-hub/entente/crypto/pki"
	"github.com/entente-hub/entente/hub/server"
	"github.com/entente-hub/entente/hub/store"
	"github.com/entente-hub/entente/hub/store/sqlite"
	"github.com/entente-hub/entente/openapi"
	"github.com/entente-hub/entente/trust"
)

// federation is one on disk whose hub is listening.
type federation struct {
	*testing.T
	setup.Layout
	cfg    server.Config
	addr   string
	ops    string
	store  store.Store // the hub's database, opened a second time
	reload chan struct{}
	stop   func() error // ends the hub; may be called more than once

	transports []*http.Transport // of all clients
	fetched    int               // items of XB's feed that exchange has fetched
}

// start makes the trial federation and runs its hub; change may spoil it before.
func start(t *testing.T, change func(f *federation)) *federation {
	t.Helper()
	return startOf(t, setup.Trial(), change)
}

// startOf is start for another federation than that for trials.
func startOf(t *testing.T, spec setup.Spec, change func(f *federation)) *federation {
	t.Helper()
	layout, err := setup.Make(t.Context(), filepath.Join(t.TempDir(), "federation"), spec)
	if err != nil {
		t.Fatal(err)
	}
	f := &federation{T: t, Layout: layout, reload: make(chan struct{})}
	f.cfg = server.Config{ID: "hub", DataDir: "data", Listen: "127.0.0.1:0", OpsListen: "127.0.0.1:0",
		TLS:          server.TLS{Cert: "tls.crt", Key: "tls.key", CA: "../authority/ca.crt"},
		Keys:         server.Keys{Dir: "keys", SecretFile: "keys.secret", SigningKID: f.hubKey()},
		AuthorityKey: "../authority/authority.jwk", Statements: "../statements"}
	f.cfg.Resolve(layout.Hub())
	if change != nil {
		change(f)
	}
	f.run()
	f.begun()
	st, err := sqlite.Open(t.Context(), filepath.Join(f.cfg.DataDir, "hub.db"))
	if err != nil {
		t.Fatal(err)
	}
	f.store = st
	t.Cleanup(func() {
		if err := st.Close(); err != nil {
			t.Error(err)
		}
	})
	return f
}

// in is the same federation for a subtest.
func (f *federation) in(t *testing.T) *federation {
	g := *f
	g.T = t
	return &g
}

func (f *federation) run() {
	f.Helper()
	ctx, cancel := context.WithCancel(context.WithoutCancel(f.Context()))
	ready, done := make(chan serve.Addresses, 1), make(chan error, 1)
	go func() {
		done <- server.Run(ctx, f.cfg, slog.New(slog.NewTextHandler(io.Discard, nil)),
			server.Events{Ready: func(at serve.Addresses) { ready <- at }, Reload: f.reload})
	}()
	var ended bool
	var result error
	f.stop = func() error {
		if cancel(); !ended {
			ended, result = true, <-done
		}
		return result
	}
	f.Cleanup(func() {
		if err := f.stop(); err != nil {
			f.Error(err)
		}
	})
	select {
	case at := <-ready:
		f.addr, f.ops = at.API, at.Ops
	case err := <-done:
		ended = true
		f.Fatalf("the hub does not start: %v", err)
	}
}

// begun waits until the hub's first pass is over, if it has rules to decide by: what is
// published meanwhile waits for everybody, and that it is withheld stands in the log.
func (f *federation) begun() {
	f.Helper()
	resp, err := http.Get("http://" + f.ops + "/readyz")
	if err != nil {
		f.Fatal(err)
	}
	resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return
	}
	until(f.T, "the first pass is over", func() bool {
		return f.figure("entente_hub_settled_position") == f.figure("entente_hub_statement_position")
	})
}

func (f *federation) key(dir, name string) keys.Signer {
	f.Helper()
	secret, err := keys.SecretFromFile(filepath.Join(dir, name+".secret"))
	if err != nil {
		f.Fatal(err)
	}
	ks, err := keys.OpenStore(filepath.Join(dir, name), secret)
	if err != nil {
		f.Fatal(err)
	}
	kids, err := ks.List()
	if err != nil || len(kids) != 1 {
		f.Fatalf("keys in %s: %v %v", dir, kids, err)
	}
	k, err := ks.Load(kids[0])
	if err != nil {
		f.Fatal(err)
	}
	return k
}

func (f *federation) hubKey() string { return f.key(f.Layout.Hub(), "keys").Public().KeyID() }

// certificate is a member's.
func (f *federation) certificate(m alert.MemberID) tls.Certificate {
	f.Helper()
	pair, err := pki.LoadPair(filepath.Join(f.Node(m), "tls.crt"), filepath.Join(f.Node(m), "tls.key"))
	if err != nil {
		f.Fatal(err)
	}
	return pair
}

// issued is a new certificate of the federation's own authority.
func (f *federation) issued(id pki.Identity) tls.Certificate {
	f.Helper()
	ca, err := pki.LoadCA(filepath.Join(f.Authority(), "ca.crt"), filepath.Join(f.Authority(), "ca.key"))
	if err != nil {
		f.Fatal(err)
	}
	pair, err := ca.IssuePair(pki.Request{Identity: id, DNSNames: []string{"localhost"}, Validity: pki.ValidFor(time.Hour)})
	if err != nil {
		f.Fatal(err)
	}
	return pair
}

func (f *federation) tls(cert tls.Certificate) *tls.Config {
	f.Helper()
	pool, err := pki.LoadPool(filepath.Join(f.Authority(), "ca.crt"))
	if err != nil {
		f.Fatal(err)
	}
	c := pki.ClientConfig(cert, pool, pki.Identity{Kind: pki.Hub, ID: "hub"})
	c.ServerName = "localhost"
	return c
}

// as is a client with a member's certificate.
func (f *federation) as(m alert.MemberID) *client { return f.with(f.certificate(m)) }

func (f *federation) with(cert tls.Certificate) *client {
	f.Helper()
	spec, err := openapi.Hub()
	if err != nil {
		f.Fatal(err)
	}
	spec.Servers = nil
	router, err := gorillamux.NewRouter(spec)
	if err != nil {
		f.Fatal(err)
	}
	transport := &http.Transport{TLSClientConfig: f.tls(cert), MaxIdleConnsPerHost: 64}
	f.Cleanup(transport.CloseIdleConnections)
	f.transports = append(f.transports, transport)
	return &client{f: f, router: router, http: http.Client{Transport: transport}}
}

// client holds every response against the specification.
type client struct {
	f      *federation
	router routers.Router
	http   http.Client
}

// answer is a response with its body.
type answer struct {
	status int
	header http.Header
	body   []byte
}

func (c *client) do(method, path string, body []byte, header ...string) answer {
	c.f.Helper()
	a, err := c.try(method, path, body, header...)
	if err != nil {
		c.f.Fatal(err)
	}
	return a
}

func (c *client) try(method, path string, body []byte, header ...string) (answer, error) {
	var reader io.Reader
	if body != nil {
		reader = bytes.NewReader(body)
	}
	req, err := http.NewRequestWithContext(c.f.Context(), method, "https://"+c.f.addr+path, reader)
	if err != nil {
		return answer{}, err
	}
	if body != nil {
		req.Header.Set("Content-Type", "application/json")
	}
	for i := 0; i < len(header); i += 2 {
		req.Header.Set(header[i], header[i+1])
	}
	resp, err := c.http.Do(req)
	if err != nil {
		return answer{}, err
	}
	defer resp.Body.Close()
	raw, err := io.ReadAll(resp.Body)
	if err != nil {
		return answer{}, err
	}
	a := answer{resp.StatusCode, resp.Header, raw}
	return a, c.validate(req, a)
}

// validate holds a response to what the specification says of the operation; of
// what is no operation, to the form of a problem.
func (c *client) validate(req *http.Request, a answer) error {
	if a.status >= 400 {
		if got := a.header.Get("Content-Type"); got != problem.MediaType {
			return fmt.Errorf("%s %s: status %d with media type %q", req.Method, req.URL.Path, a.status, got)
		}
	}
	route, params, err := c.router.FindRoute(req)
	if err != nil {
		if a.status != http.StatusNotFound {
			return fmt.Errorf("%s %s is no operation, but answers %d", req.Method, req.URL.Path, a.status)
		}
		return nil
	}
	in := &openapi3filter.ResponseValidationInput{
		RequestValidationInput: &openapi3filter.RequestValidationInput{Request: req, PathParams: params, Route: route},
		Status:                 a.status, Header: a.header, Options: &openapi3filter.Options{IncludeResponseStatus: true}}
	in.SetBodyBytes(a.body)
	if err := openapi3filter.ValidateResponse(req.Context(), in); err != nil {
		return fmt.Errorf("%s %s answers %d, which the specification does not describe: %w", req.Method, req.URL.Path, a.status, err)
	}
	return nil
}

// get decodes an answer that must be a success.
func get[T any](c *client, method, path string, body any) T {
	c.f.Helper()
	var raw []byte
	if body != nil {
		raw = encode(c.f, body)
	}
	a := c.do(method, path, raw)
	if a.status/100 != 2 {
		c.f.Fatalf("%s %s: %d %s", method, path, a.status, a.body)
	}
	var out T
	if len(a.body) > 0 {
		if err := json.Unmarshal(a.body, &out); err != nil {
			c.f.Fatal(err)
		}
	}
	return out
}

func encode(f *federation, v any) []byte {
	f.Helper()
	raw, err := json.Marshal(v)
	if err != nil {
		f.Fatal(err)
	}
	return raw
}

// alert composes and signs one of the member's with one portion.
func (f *federation) alert(m alert.MemberID, to ...alert.Audience) (alert.Alert, string) {
	f.Helper()
	l := alert.Label{Policy: setup.Scheme, Classification: alert.Restricted, ReleasableTo: to,
		Categories: []alert.Category{"smuggling"}, Purposes: []alert.Purpose{"prevention"}, PersonalData: alert.NoPersonalData}
	if err := l.Normalize(); err != nil {
		f.Fatal(err)
	}
	id, err := uuid.NewV7()
	if err != nil {
		f.Fatal(err)
	}
	now := time.Now()
	a := alert.Alert{Payload: alert.Payload{Issuer: m, Subject: alert.ID(id.String()), Version: 1,
		JTI: "AAAAAAAAAAAAAAAAAAAAAA", IssuedAt: now.Unix(), Expires: now.Add(time.Hour).Unix()},
		Portions: []alert.Portion{{ID: "p1", Label: &l, Content: &alert.Content{Objects: []json.RawMessage{
			json.RawMessage(`{"type":"identity","spec_version":"2.1","id":"identity--` + uuid.NewString() + `"}`)}}}}}
	return a, f.sign(a)
}

func (f *federation) sign(a alert.Alert) string {
	f.Helper()
	token, err := trust.IssueAlert(f.Context(), f.key(f.Node(a.Issuer), "keys"), a)
	if err != nil {
		f.Fatal(err)
	}
	return token
}

// entries reads the audit log.
func (f *federation) entries() []audit.Entry {
	f.Helper()
	leaves, err := f.store.Entries(f.Context(), 0, 10_000)
	if err != nil {
		f.Fatal(err)
	}
	var out []audit.Entry
	for _, leaf := range leaves {
		e, err := audit.Parse(leaf)
		if err != nil {
			f.Fatal(err)
		}
		out = append(out, e)
	}
	return out
}

// refused checks that an answer is a problem of the kind and that the log has
// got exactly one refusal of it since there were before entries.
func (f *federation) refused(before int, actor string, kind problem.Kind, a answer) {
	f.Helper()
	if p := problem.Parse(a.status, a.body); p.Kind != kind || a.header.Get("Content-Type") != problem.MediaType {
		f.Errorf("got %d %s %s, want %s", a.status, a.header.Get("Content-Type"), a.body, kind)
	}
	entries := f.entries()
	if len(entries) != before+1 {
		f.Fatalf("%d entries were written, want one refusal", len(entries)-before)
	}
	if e := entries[before]; e.Kind != audit.Refusal || e.Problem != kind.Type() || e.Actor != actor {
		f.Errorf("the log has %+v", e)
	}
}
