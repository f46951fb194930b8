package server_test

import (
	"bytes"
	"crypto/tls"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"sync/atomic"
	"testing"
	"time"

	"github.com/getkin/kin-openapi/openapi3filter"
	"github.com/getkin/kin-openapi/routers"
	"github.com/getkin/kin-openapi/routers/gorillamux"

	"github.com/entente-hub/entente/api/nodeapi"
	"github.com/entente-hub/entente/api/problem"
	"github.com/entente-hub/entente/crypto/pki"
	"github.com/entente-hub/entente/node/nodetest"
	"github.com/entente-hub/entente/node/server"
	"github.com/entente-hub/entente/openapi"
)

// transport holds every response against the specification; one that does not
// fit fails the test.
type transport struct {
	http.RoundTripper
	t      *testing.T
	router routers.Router
}

func checked(t *testing.T, inner http.RoundTripper) *transport {
	t.Helper()
	spec, err := openapi.Node()
	must(t, err)
	spec.Servers = nil
	router, err := gorillamux.NewRouter(spec)
	must(t, err)
	return &transport{inner, t, router}
}

// client is the node's own, held against the specification.
func client(t *testing.T, cfg server.Config) *server.Client {
	t.Helper()
	c, err := server.NewClient(cfg)
	must(t, err)
	c.Through(func(inner http.RoundTripper) http.RoundTripper { return checked(t, inner) })
	t.Cleanup(c.Close)
	return c
}

// RoundTrip implements http.RoundTripper.
func (c *transport) RoundTrip(req *http.Request) (*http.Response, error) {
	resp, err := c.RoundTripper.RoundTrip(req)
	if err != nil {
		return nil, err
	}
	body, err := io.ReadAll(resp.Body)
	_ = resp.Body.Close() // nothing is left to be lost
	if err != nil {
		return nil, err
	}
	resp.Body = io.NopCloser(bytes.NewReader(body))
	if err := c.validate(req, resp, body); err != nil {
		c.t.Errorf("%s %s answers %d: %v", req.Method, req.URL.Path, resp.StatusCode, err)
	}
	return resp, nil
}

// CloseIdleConnections is what http.Client looks for.
func (c *transport) CloseIdleConnections() {
	c.RoundTripper.(*http.Transport).CloseIdleConnections()
}

// validate holds a response to what the specification says of the operation; of
// what is no operation, to the form of a problem.
func (c *transport) validate(req *http.Request, resp *http.Response, body []byte) error {
	if got := resp.Header.Get("Content-Type"); resp.StatusCode >= 400 && got != problem.MediaType {
		return fmt.Errorf("with media type %q", got)
	}
	route, params, err := c.router.FindRoute(req)
	if err != nil {
		// Who may not ask is not told what there is.
		if resp.StatusCode != http.StatusNotFound && resp.StatusCode != http.StatusUnauthorized {
			return fmt.Errorf("what is no operation: %w", err)
		}
		return nil
	}
	in := &openapi3filter.ResponseValidationInput{
		RequestValidationInput: &openapi3filter.RequestValidationInput{Request: req, PathParams: params, Route: route},
		Status:                 resp.StatusCode, Header: resp.Header, Options: &openapi3filter.Options{IncludeResponseStatus: true}}
	in.SetBodyBytes(body)
	return openapi3filter.ValidateResponse(req.Context(), in)
}

// TestPreviewPassesProblemsOn: whatever the hub answers a preview with, the
// member's tools are told, as the specification describes it.
func TestPreviewPassesProblemsOn(t *testing.T) {
	f := nodetest.New(t)
	var kind atomic.Value
	kind.Store(problem.Unavailable)
	url := serveHub(t, f, func(w http.ResponseWriter, r *http.Request) {
		err := problem.New(problem.Unavailable, "away")
		if r.URL.Path == "/v1/audience" {
			err = &problem.Error{Kind: kind.Load().(problem.Kind), Detail: "the hub's word", Codes: []string{"code"}}
		}
		status, body := problem.Render(err, "")
		w.Header().Set("Content-Type", problem.MediaType)
		w.WriteHeader(status)
		_, _ = w.Write(body) // a reader that has gone shows at its end
	})
	cfg := install(t, f, f.Serve(t))
	cfg.Hub.URLs = []string{url}
	c := client(t, start(t, cfg))
	for _, k := range problem.Kinds() {
		kind.Store(k)
		_, err := c.Preview(ctx, nodeapi.Draft{Objects: []json.RawMessage{nodetest.Object()}, Plan: plan(nil)})
		if problem.KindOf(err) != k {
			t.Errorf("%s: the caller is told %v", k, err)
		}
	}
}

// serveHub serves in the hub's name until the test ends.
func serveHub(t *testing.T, f *nodetest.Federation, answer http.HandlerFunc) (url string) {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	must(t, err)
	srv := &http.Server{Handler: answer, ReadHeaderTimeout: 10 * time.Second}
	conf := pki.ServerConfig(f.Certificate(pki.Identity{Kind: pki.Hub, ID: string(nodetest.HubID)}), f.CA.Pool())
	done := make(chan struct{})
	go func() {
		defer close(done)
		_ = srv.Serve(tls.NewListener(ln, conf)) // always ErrServerClosed
	}()
	t.Cleanup(func() {
		_ = srv.Close()
		<-done
	})
	return "https://" + ln.Addr().String()
}
