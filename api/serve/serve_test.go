package serve_test

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"testing"

	"github.com/getkin/kin-openapi/openapi3"
	"github.com/gofiber/fiber/v2"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/entente-hub/entente/api/problem"
	"github.com/entente-hub/entente/api/serve"
)

const spec = `
openapi: 3.0.3
info: { title: t, version: "1" }
servers: [ { url: "https://elsewhere.example" } ]
paths:
  /things:
    post:
      operationId: make
      requestBody:
        required: true
        content:
          application/json:
            schema:
              type: object
              additionalProperties: false
              required: [name]
              properties: { name: { type: string, maxLength: 8 } }
      responses: { "204": { description: made } }
    get:
      operationId: list
      parameters: [ { name: limit, in: query, schema: { type: integer } } ]
      responses: { "204": { description: all } }
`

const maxBody = 1 << 10

var quiet = slog.New(slog.NewTextHandler(io.Discard, nil))

// start serves the specification until the test ends; handle answers what passes.
func start(t *testing.T, auth serve.Authenticate, handle fiber.Handler, options ...serve.Option) (url string) {
	t.Helper()
	ln, ctx := listen(t), t.Context()
	done := make(chan error, 1)
	a := app(t, auth, handle, options...)
	ctx, cancel := context.WithCancel(context.WithoutCancel(ctx))
	go func() { done <- serve.Run(ctx, a, ln) }()
	t.Cleanup(func() {
		http.DefaultClient.CloseIdleConnections()
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
	return "http://" + ln.Addr().String()
}

func app(t *testing.T, auth serve.Authenticate, handle fiber.Handler, options ...serve.Option) *fiber.App {
	t.Helper()
	doc, err := openapi3.NewLoader().LoadFromData([]byte(spec))
	if err != nil {
		t.Fatal(err)
	}
	a, err := serve.New(doc, maxBody, quiet, auth, options...)
	if err != nil {
		t.Fatal(err)
	}
	a.Post("/things", handle)
	a.Get("/things", handle)
	return a
}

func listen(t *testing.T) net.Listener {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	return ln
}

func anybody(*fiber.Ctx) error { return nil }

func send(t *testing.T, method, url, body string, header ...string) (int, http.Header, string) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), method, url, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	if body != "" {
		req.Header.Set("Content-Type", "application/json")
	}
	for i := 0; i < len(header); i += 2 {
		req.Header.Set(header[i], header[i+1])
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	raw, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp.StatusCode, resp.Header, string(raw)
}

// All errors leave as problems, wherever they come from, and say no more than
// the caller may know.
func TestEveryErrorIsAProblem(t *testing.T) {
	const secret = "s3cr3t"
	failures := map[string]func() error{
		"/things?limit=1": func() error { return problem.New(problem.Conflict, "taken") },
		"/things?limit=2": func() error { return errors.New(secret) },
		"/things?limit=3": func() error { panic(secret) },
		"/things?limit=4": func() error { panic(errors.New(secret)) },
		"/things?limit=5": func() error { return fiber.NewError(http.StatusTeapot, "short and stout") },
		"/things?limit=6": func() error { return fiber.NewError(http.StatusInternalServerError, secret) },
		"/things?limit=7": func() error { return problem.Wrap(problem.Unavailable, errors.New(secret), "later") },
	}
	url := start(t, func(c *fiber.Ctx) error {
		if c.Get("X-Stranger") != "" {
			return problem.New(problem.Unauthenticated, "who are you")
		}
		return nil
	}, func(c *fiber.Ctx) error {
		if f := failures[string(c.Request().RequestURI())]; f != nil {
			return f()
		}
		return c.SendStatus(http.StatusNoContent)
	})
	for name, c := range map[string]struct {
		method, path, body string
		header             []string
		kind               problem.Kind
	}{
		"a core's error":       {"GET", "/things?limit=1", "", nil, problem.Conflict},
		"any other error":      {"GET", "/things?limit=2", "", nil, problem.Internal},
		"a panic":              {"GET", "/things?limit=3", "", nil, problem.Internal},
		"a panic of an error":  {"GET", "/things?limit=4", "", nil, problem.Internal},
		"a framework's error":  {"GET", "/things?limit=5", "", nil, problem.Malformed},
		"a framework's fault":  {"GET", "/things?limit=6", "", nil, problem.Internal},
		"a hidden cause":       {"GET", "/things?limit=7", "", nil, problem.Unavailable},
		"a stranger":           {"GET", "/things", "", []string{"X-Stranger", "1"}, problem.Unauthenticated},
		"a stranger astray":    {"GET", "/nothing", "", []string{"X-Stranger", "1"}, problem.Unauthenticated},
		"no route":             {"GET", "/nothing", "", nil, problem.NotFound},
		"no such method":       {"DELETE", "/things", "", nil, problem.NotFound},
		"no method at all":     {"BREW", "/things", "", nil, problem.NotFound},
		"a bad parameter":      {"GET", "/things?limit=x", "", nil, problem.Malformed},
		"no body":              {"POST", "/things", "", nil, problem.Malformed},
		"another media type":   {"POST", "/things", `{"name":"a"}`, []string{"Content-Type", "text/plain"}, problem.Malformed},
		"not JSON":             {"POST", "/things", `{`, nil, problem.Malformed},
		"a duplicate key":      {"POST", "/things", `{"name":"a","name":"a"}`, nil, problem.Malformed},
		"an unknown field":     {"POST", "/things", `{"name":"a","x":1}`, nil, problem.Malformed},
		"a wrong type":         {"POST", "/things", `{"name":1}`, nil, problem.Malformed},
		"text too long":        {"POST", "/things", `{"name":"` + secret + secret + `"}`, nil, problem.TooLarge},
		"a body with encoding": {"POST", "/things", `{"name":"a"}`, []string{"Content-Encoding", "identity"}, problem.Malformed},
		"a body on a GET":      {"GET", "/things", `{}`, nil, problem.Malformed},
	} {
		t.Run(name, func(t *testing.T) {
			status, header, body := send(t, c.method, url+c.path, c.body, c.header...)
			if got := header.Get("Content-Type"); got != problem.MediaType {
				t.Errorf("media type %q", got)
			}
			var d problem.Document
			if err := json.Unmarshal([]byte(body), &d); err != nil || d.Type != c.kind.Type() || status != c.kind.Status() {
				t.Errorf("got %d %s, want %s", status, body, c.kind)
			}
			if strings.Contains(body, secret) {
				t.Errorf("the answer shows what it should not: %s", body)
			}
			if (d.ID != "") != (status >= 500) {
				t.Errorf("error id %q with status %d", d.ID, status)
			}
			if header.Get("Cache-Control") != "no-store" || header.Get("X-Content-Type-Options") != "nosniff" || header.Get("Server") != "" {
				t.Errorf("headers %v", header)
			}
		})
	}
	for path, body := range map[string]string{"/things": `{"name":"a"}`, "/things?limit=9": ""} {
		method := map[bool]string{true: "POST", false: "GET"}[body != ""]
		if status, _, body := send(t, method, url+path, body); status != http.StatusNoContent {
			t.Errorf("%s %s: %d %s", method, path, status, body)
		}
	}
}

// Refusals at the edge are put on record, and what can not be recorded is no
// answer; what a core refused is not recorded twice.
func TestOnRefusal(t *testing.T) {
	for name, c := range map[string]struct {
		method, path, body string
		handler            error
		recorded           problem.Kind
	}{
		"by the specification": {"GET", "/things?limit=x", "", nil, problem.Malformed},
		"as too large":         {"POST", "/things", `{"name":"123456789"}`, nil, problem.TooLarge},
		"by a decoder":         {"GET", "/things", "", fiber.NewError(http.StatusBadRequest, "x"), problem.Malformed},
		"by the core":          {"GET", "/things", "", problem.New(problem.Conflict, "x"), ""},
		"no operation":         {"GET", "/nothing", "", nil, ""},
		"a fault":              {"GET", "/things", "", errors.New("x"), ""},
	} {
		t.Run(name, func(t *testing.T) {
			recorded := make(chan problem.Kind, 10)
			url := start(t, anybody, func(*fiber.Ctx) error { return c.handler },
				serve.OnRefusal(func(_ *fiber.Ctx, refusal error) error {
					recorded <- problem.KindOf(refusal)
					return problem.New(problem.Unavailable, "not recorded")
				}))
			status, _, body := send(t, c.method, url+c.path, c.body)
			close(recorded)
			var got []problem.Kind
			for k := range recorded {
				got = append(got, k)
			}
			if c.recorded == "" && len(got) != 0 || c.recorded != "" && (len(got) != 1 || got[0] != c.recorded) {
				t.Errorf("recorded %v, want %q", got, c.recorded)
			}
			if (status == problem.Unavailable.Status()) != (c.recorded != "") {
				t.Errorf("answered %d %s", status, body)
			}
		})
	}
}

// A body over the limit is refused before anything else can judge it, and
// recorded all the same.
func TestBodyOverTheLimit(t *testing.T) {
	recorded := make(chan problem.Kind, 1)
	url := start(t, anybody, func(c *fiber.Ctx) error { return c.SendStatus(http.StatusNoContent) },
		serve.OnRefusal(func(_ *fiber.Ctx, refusal error) error {
			recorded <- problem.KindOf(refusal)
			return refusal
		}))
	status, header, body := send(t, "POST", url+"/things", strings.Repeat(" ", maxBody+1))
	if status != http.StatusRequestEntityTooLarge || header.Get("Content-Type") != problem.MediaType || problem.Parse(status, []byte(body)).Kind != problem.TooLarge {
		t.Errorf("got %d %v %s", status, header, body)
	}
	if k := <-recorded; k != problem.TooLarge {
		t.Errorf("recorded %s", k)
	}
}

func TestRunEndsThoughItNeverBegan(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	for range 50 { // whichever comes first, serving or the end
		if err := serve.Run(ctx, app(t, anybody, func(c *fiber.Ctx) error { return nil }), listen(t)); err != nil {
			t.Fatal(err)
		}
	}
}

func TestRunReportsALostListener(t *testing.T) {
	ln := brokenListener{listen(t)}
	defer ln.Close()
	if err := serve.Run(t.Context(), app(t, anybody, func(c *fiber.Ctx) error { return nil }), ln); err == nil {
		t.Error("a listener that does not accept went unnoticed")
	}
}

type brokenListener struct{ net.Listener }

func (brokenListener) Accept() (net.Conn, error) { return nil, errors.New("out of descriptors") }

func TestOps(t *testing.T) {
	ln := listen(t)
	ctx, cancel := context.WithCancel(context.WithoutCancel(t.Context()))
	missing := make(chan map[string]string, 1)
	done := make(chan error, 1)
	reg := prometheus.NewRegistry()
	reg.MustRegister(prometheus.NewCounter(prometheus.CounterOpts{Name: "x_total"}))
	go func() {
		done <- serve.Ops(ctx, ln, reg, func(context.Context) map[string]string { return <-missing }, quiet)
	}()
	url := "http://" + ln.Addr().String()
	missing <- map[string]string{"store": "gone"}
	if status, _, body := send(t, "GET", url+"/readyz", ""); status != http.StatusServiceUnavailable || !strings.Contains(body, `"store":"gone"`) {
		t.Errorf("/readyz: %d %s", status, body)
	}
	missing <- nil
	if status, _, body := send(t, "GET", url+"/readyz", ""); status != http.StatusOK || !strings.Contains(body, `"ready":true`) {
		t.Errorf("/readyz: %d %s", status, body)
	}
	if status, _, _ := send(t, "GET", url+"/healthz", ""); status != http.StatusOK {
		t.Errorf("/healthz: %d", status)
	}
	if status, _, body := send(t, "GET", url+"/metrics", ""); status != http.StatusOK || !strings.Contains(body, "x_total 0") {
		t.Errorf("/metrics: %d %s", status, body)
	}
	if status, _, _ := send(t, "POST", url+"/metrics", ""); status != http.StatusMethodNotAllowed {
		t.Errorf("POST /metrics: %d", status)
	}
	cancel()
	if err := <-done; err != nil {
		t.Error(err)
	}
}
