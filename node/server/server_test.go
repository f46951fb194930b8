package server_test

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"go.yaml.in/yaml/v3"

	"github.com/entente-hub/entente/api/alert"
	"github.com/entente-hub/entente/api/feed"
	"github.com/entente-hub/entente/api/nodeapi"
	"github.com/entente-hub/entente/api/problem"
	"github.com/entente-hub/entente/api/serve"
	"github.com/entente-hub/entente/crypto/keys"
	"github.com/entente-hub/entente/crypto/pki"
	"github.com/entente-hub/entente/node/nodetest"
	"github.com/entente-hub/entente/node/server"
)

var ctx = context.Background()

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// install writes all the files of XA's node and returns its configuration.
func install(t *testing.T, f *nodetest.Federation, hub *nodetest.Hub) server.Config {
	t.Helper()
	dir := t.TempDir()
	file := func(name string) string { return filepath.Join(dir, name) }
	must(t, os.Mkdir(file("data"), 0o700))
	must(t, pki.WritePair(file("tls.pem"), file("tls.key"), f.Certificate(pki.Identity{Kind: pki.Member, ID: "XA"})))
	must(t, pki.WriteCertificates(file("ca.pem"), f.CA.Certificate().Raw))
	must(t, keys.NewSecretFile(file("secret")))
	secret, err := keys.SecretFromFile(file("secret"))
	must(t, err)
	ks, err := keys.InitStore(file("keys"), secret)
	must(t, err)
	key, err := ks.Create("XA", keys.EdDSA)
	must(t, err)
	f.Node["XA"] = key
	f.Statements = append(f.Statements, f.NodeKey("XA", key, f.Root["XA"]))
	hub.Do(func() { hub.Statements = f.Statements })
	must(t, os.WriteFile(file("authority.jwk"), f.JWK(f.Authority), 0o644))
	text := fmt.Sprintf(`
member: XA
data_dir: data
listen: 127.0.0.1:0
ops_listen: 127.0.0.1:0
hub: {id: %s, urls: [%q]}
tls: {cert: tls.pem, key: tls.key, ca: ca.pem}
keys: {dir: keys, secret_file: secret, signing_kid: %s}
authority_key: authority.jwk
egress: {data: {categories_kept_in: [health]}}
`, nodetest.HubID, hub.URL, key.Public().KeyID())
	dec := yaml.NewDecoder(strings.NewReader(text))
	dec.KnownFields(true)
	var cfg server.Config
	must(t, dec.Decode(&cfg))
	cfg.Resolve(dir)
	return cfg
}

// start runs a node until the test ends.
func start(t *testing.T, cfg server.Config) server.Config {
	t.Helper()
	run, stop := context.WithCancel(ctx)
	ready, ended := make(chan serve.Addresses, 1), make(chan error, 1)
	go func() {
		ended <- server.Run(run, cfg, slog.New(slog.DiscardHandler), func(at serve.Addresses) { ready <- at })
	}()
	t.Cleanup(func() {
		stop()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
	select {
	case at := <-ready:
		cfg.Listen, cfg.OpsListen = at.API, at.Ops
	case err := <-ended:
		ended <- nil
		t.Fatal(err)
	}
	return cfg
}

// knows waits until a node that was started has a verified registry.
func knows(t *testing.T, cfg server.Config) {
	t.Helper()
	for end := time.Now().Add(time.Minute); ; <-time.After(5 * time.Millisecond) {
		resp, err := http.Get("http://" + cfg.OpsListen + "/readyz")
		must(t, err)
		must(t, resp.Body.Close())
		if resp.StatusCode == http.StatusOK {
			return
		}
		if time.Now().After(end) {
			t.Fatalf("/readyz: %d", resp.StatusCode)
		}
	}
}

func plan(change func(*alert.Label)) alert.Plan {
	p := nodetest.Plan()
	if change != nil {
		change(&p.Portions[0].Label)
	}
	return p
}

// TestNode runs a node as an operator does, and uses it as a member's tools do.
func TestNode(t *testing.T) {
	f := nodetest.New(t)
	hub := f.Serve(t)
	hub.Do(func() { hub.Wait = true })
	cfg := start(t, install(t, f, hub))
	hub.Hand("XA", f.Deliver(f.Issue(f.Payload("XB"), 2, f.Node["XB"]), feed.Content, feed.Existence))
	hub.Until("an acknowledgement", func() bool { return len(hub.Acks) == 1 })
	c := client(t, cfg)

	object := nodetest.Object()
	o, err := c.Publish(ctx, nodeapi.Draft{Objects: []json.RawMessage{object}, Plan: plan(nil)})
	must(t, err)
	hub.Until("an alert published", func() bool { return len(hub.Published) == 1 })
	id, err := alert.ParseID(o.Id)
	must(t, err)
	if got, err := c.Outgoing(ctx, id, 1); err != nil || got.Digest != o.Digest {
		t.Errorf("%+v, %v", got, err)
	}
	if list, err := c.Outbox(ctx, 10); err != nil || len(list) != 1 {
		t.Errorf("%+v, %v", list, err)
	}
	if got, err := c.Preview(ctx, nodeapi.Draft{Objects: []json.RawMessage{object}, Plan: plan(nil)}); err != nil || len(got.Portions) != 1 {
		t.Errorf("%+v, %v", got, err)
	}
	list, err := c.Inbox(ctx, 0, 10)
	must(t, err)
	if len(list) != 1 || list[0].Originator != "XB" || len(list[0].Portions) != 2 || list[0].Banner != "RESTRICTED // TLP:AMBER" {
		t.Fatalf("%+v", list)
	}
	id, err = alert.ParseID(list[0].Id)
	must(t, err)
	one, err := c.Show(ctx, "XB", id, 1)
	must(t, err)
	if one.WithheldOrDecoy != 2 || one.SignedBy != f.Node["XB"].Public().KeyID() || len(one.Portions) != 2 {
		t.Errorf("%+v", one)
	}
	for _, p := range one.Portions {
		held := p.Release == nodeapi.HeldPortionReleaseContent
		if held != (p.Objects != nil && p.Label != nil && p.Obligations != nil && p.Agreements != nil) {
			t.Errorf("%+v", p)
		}
		if held && !strings.Contains(string((*p.Objects)[0]), `"n":12345678901234567890`) {
			t.Errorf("the object has been changed: %s", (*p.Objects)[0])
		}
	}
	s, err := c.Status(ctx)
	must(t, err)
	if s.Member != "XA" || s.Hub != string(nodetest.HubID) || s.Cursor != 1 || s.Inbox != 1 || s.Revision == "" || s.LastError != nil {
		t.Errorf("%+v", s)
	}
	testRefusals(t, c)
	testOps(t, cfg)
}

func testRefusals(t *testing.T, c *server.Client) {
	t.Helper()
	_, err := c.Publish(ctx, nodeapi.Draft{Objects: []json.RawMessage{nodetest.Object()},
		Plan: plan(func(l *alert.Label) { l.Categories = []alert.Category{"health"} })})
	if problem.KindOf(err) != problem.EgressDenied {
		t.Errorf("kept in: %v", err)
	}
	if _, err := c.Publish(ctx, nodeapi.Draft{Objects: []json.RawMessage{}, Plan: plan(nil)}); problem.KindOf(err) != problem.Malformed {
		t.Errorf("no objects: %v", err)
	}
	if _, err := c.Show(ctx, "XB", "nonsense", 1); problem.KindOf(err) != problem.Malformed {
		t.Errorf("no id: %v", err)
	}
	if _, err := c.Show(ctx, "XB", "01900000-0000-7000-8000-000000000000", 1); problem.KindOf(err) != problem.NotFound {
		t.Errorf("unknown: %v", err)
	}
	if _, err := c.Inbox(ctx, 0, 501); problem.KindOf(err) != problem.Malformed {
		t.Errorf("too many: %v", err)
	}
}

func testOps(t *testing.T, cfg server.Config) {
	t.Helper()
	for path, want := range map[string]string{
		"/readyz":  `{"ready":true}`,
		"/metrics": `entente_node_inbox_deliveries 1`,
	} {
		resp, err := http.Get("http://" + cfg.OpsListen + path)
		must(t, err)
		body, err := io.ReadAll(resp.Body)
		must(t, err)
		must(t, resp.Body.Close())
		if resp.StatusCode != http.StatusOK || !strings.Contains(string(body), want) {
			t.Errorf("%s: %d %s", path, resp.StatusCode, body)
		}
	}
}

// TestCallers: nobody without the member's certificate and the token gets
// anything, and a request is read strictly.
func TestCallers(t *testing.T) {
	f := nodetest.New(t)
	hub := f.Serve(t)
	cfg := start(t, install(t, f, hub))
	raw, err := os.ReadFile(filepath.Join(cfg.DataDir, "token"))
	must(t, err)
	info, err := os.Stat(filepath.Join(cfg.DataDir, "token"))
	must(t, err)
	if info.Mode().Perm() != 0o600 {
		t.Errorf("token has mode %v", info.Mode())
	}
	token := strings.TrimSpace(string(raw))
	member := func(m string) *http.Client {
		return &http.Client{Transport: checked(t, &http.Transport{DisableKeepAlives: true, TLSClientConfig: pki.ClientConfig(
			f.Certificate(pki.Identity{Kind: pki.Member, ID: m}), f.CA.Pool(), pki.Identity{Kind: pki.Member, ID: "XA"})})}
	}
	label, err := json.Marshal(nodetest.Label("federation"))
	must(t, err)
	draft := func(label string) string {
		return `{"objects":[` + string(nodetest.Object()) + `],"plan":{"portions":[{"id":"main","label":` + label + `,"objects":["*"]}]}}`
	}
	unknown := strings.TrimSuffix(string(label), "}") + `,"compartment":["tf-x"]}`
	other := strings.Replace(string(label), `"tlp"`, `"TLP"`, 1)
	for name, c := range map[string]struct {
		member, auth, method, path, body string
		want                             int
	}{
		"good":            {"XA", "Bearer " + token, "GET", "/v1/status", "", 200},
		"no token":        {"XA", "", "GET", "/v1/status", "", 401},
		"wrong token":     {"XA", "Bearer " + token[:42] + "-", "GET", "/v1/status", "", 401},
		"other scheme":    {"XA", "Basic " + token, "GET", "/v1/status", "", 401},
		"another member":  {"XB", "Bearer " + token, "GET", "/v1/status", "", 401},
		"no operation":    {"XA", "Bearer " + token, "GET", "/v1/nothing", "", 404},
		"published":       {"XA", "Bearer " + token, "POST", "/v1/alerts", draft(string(label)), 202},
		"unknown field":   {"XA", "Bearer " + token, "POST", "/v1/alerts", draft(unknown), 400},
		"other case":      {"XA", "Bearer " + token, "POST", "/v1/alerts", draft(other), 400},
		"preview, likely": {"XA", "Bearer " + token, "POST", "/v1/preview", draft(unknown), 400},
		"too large":       {"XA", "Bearer " + token, "POST", "/v1/alerts", `"` + strings.Repeat("x", 5<<20) + `"`, 413},
	} {
		t.Run(name, func(t *testing.T) {
			req, err := http.NewRequest(c.method, "https://"+cfg.Listen+c.path, strings.NewReader(c.body))
			must(t, err)
			req.Header.Set("Authorization", c.auth)
			req.Header.Set("Content-Type", "application/json")
			resp, err := member(c.member).Do(req)
			if err != nil {
				if c.want == 413 { // the connection is closed before all was sent
					return
				}
				t.Fatal(err)
			}
			body, err := io.ReadAll(resp.Body)
			must(t, err)
			must(t, resp.Body.Close())
			if resp.StatusCode != c.want || (c.want >= 400) != (resp.Header.Get("Content-Type") == problem.MediaType) {
				t.Errorf("%d %s %s", resp.StatusCode, resp.Header.Get("Content-Type"), body)
			}
		})
	}
}

func TestValidate(t *testing.T) {
	f := nodetest.New(t)
	good := install(t, f, f.Serve(t))
	must(t, good.Validate())
	for name, change := range map[string]func(*server.Config){
		"no member":        func(c *server.Config) { c.Member = "" },
		"bad member":       func(c *server.Config) { c.Member = "xa" },
		"no data dir":      func(c *server.Config) { c.DataDir = "" },
		"no listen":        func(c *server.Config) { c.Listen = "" },
		"everywhere":       func(c *server.Config) { c.Listen = "0.0.0.0:9443" },
		"nowhere":          func(c *server.Config) { c.Listen = ":9443" },
		"public":           func(c *server.Config) { c.Listen = "192.0.2.1:9443" },
		"a name":           func(c *server.Config) { c.Listen = "localhost:9443" },
		"ops everywhere":   func(c *server.Config) { c.OpsListen = "[::]:9443" },
		"no hub":           func(c *server.Config) { c.Hub.ID = "" },
		"bad hub":          func(c *server.Config) { c.Hub.ID = "a b" },
		"no hub URL":       func(c *server.Config) { c.Hub.URLs = nil },
		"hub without TLS":  func(c *server.Config) { c.Hub.URLs = []string{"http://127.0.0.1:1"} },
		"no certificate":   func(c *server.Config) { c.TLS.Cert = "" },
		"another's key id": func(c *server.Config) { c.Keys.SigningKID = f.Node["XB"].Public().KeyID() },
		"no authority":     func(c *server.Config) { c.AuthorityKey = "" },
	} {
		cfg := good
		change(&cfg)
		if err := cfg.Validate(); err == nil {
			t.Errorf("%s: accepted", name)
		}
		if err := server.Run(ctx, cfg, slog.New(slog.DiscardHandler), nil); err == nil {
			t.Errorf("%s: ran", name)
		}
		if _, err := server.NewClient(cfg); err == nil {
			t.Errorf("%s: client made", name)
		}
	}
}

// TestStart: what is wrong with the files ends the start with a clear error.
func TestStart(t *testing.T) {
	f := nodetest.New(t)
	hub := f.Serve(t)
	for name, change := range map[string]func(t *testing.T, c *server.Config){
		"no data dir": func(_ *testing.T, c *server.Config) { c.DataDir += "x" },
		"another secret": func(t *testing.T, c *server.Config) {
			c.Keys.SecretFile += "2"
			must(t, keys.NewSecretFile(c.Keys.SecretFile))
		},
		"unknown key":      func(_ *testing.T, c *server.Config) { c.Keys.SigningKID = f.Key("XA").Public().KeyID() },
		"no authority key": func(t *testing.T, c *server.Config) { must(t, os.WriteFile(c.AuthorityKey, []byte("{}"), 0o644)) },
		"open token": func(t *testing.T, c *server.Config) {
			must(t, os.WriteFile(filepath.Join(c.DataDir, "token"), []byte("x"), 0o644))
		},
		"short token": func(t *testing.T, c *server.Config) {
			must(t, os.WriteFile(filepath.Join(c.DataDir, "token"), []byte("x"), 0o600))
		},
		"misspelt limit": func(_ *testing.T, c *server.Config) {
			c.Egress.Data = map[string]any{"max_clasification": "restricted"}
		},
		"no module": func(_ *testing.T, c *server.Config) { c.Egress.Module = "missing.rego" },
		"empty module": func(t *testing.T, c *server.Config) {
			c.Egress.Module = filepath.Join(c.DataDir, "egress.rego")
			must(t, os.WriteFile(c.Egress.Module, nil, 0o600))
		},
		"taken address": func(_ *testing.T, c *server.Config) { c.Listen = strings.TrimPrefix(hub.URL, "https://") },
		"taken ops":     func(_ *testing.T, c *server.Config) { c.OpsListen = strings.TrimPrefix(hub.URL, "https://") },
	} {
		t.Run(name, func(t *testing.T) {
			cfg := install(t, f, hub)
			change(t, &cfg)
			limited, cancel := context.WithTimeout(ctx, 30*time.Second)
			defer cancel()
			if err := server.Run(limited, cfg, slog.New(slog.DiscardHandler), nil); err == nil {
				t.Error("it ran")
			}
		})
	}
}
