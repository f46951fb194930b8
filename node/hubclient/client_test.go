package hubclient_test

import (
	"context"
	"crypto/tls"
	"errors"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/entente-hub/entente/api/problem"
	"github.com/entente-hub/entente/crypto/pki"
	"github.com/entente-hub/entente/node/hubclient"
	"github.com/entente-hub/entente/node/nodetest"
)

var (
	ctx = context.Background()
	xa  = pki.Identity{Kind: pki.Member, ID: "XA"}
	hub = pki.Identity{Kind: pki.Hub, ID: string(nodetest.HubID)}
)

// serve answers every request with handler, as who.
func serve(t *testing.T, f *nodetest.Federation, who pki.Identity, handler http.HandlerFunc) string {
	t.Helper()
	srv := httptest.NewUnstartedServer(handler)
	srv.Listener = tls.NewListener(srv.Listener, pki.ServerConfig(f.Certificate(who), f.CA.Pool()))
	srv.Start()
	t.Cleanup(srv.Close)
	return "https://" + srv.Listener.Addr().String()
}

func client(t *testing.T, f *nodetest.Federation, urls ...string) *hubclient.Client {
	t.Helper()
	c, err := hubclient.New(hubclient.Config{URLs: urls, Hub: nodetest.HubID, Certificate: f.Certificate(xa), Pool: f.CA.Pool()})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	return c
}

func closedPort(t *testing.T) string {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	if err := ln.Close(); err != nil {
		t.Fatal(err)
	}
	return "https://" + ln.Addr().String()
}

func answer(status int, media, body string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", media)
		w.WriteHeader(status)
		_, _ = w.Write([]byte(body)) // a client that has gone is the test's affair
	}
}

// TestAnswers: whatever comes back is the right kind of problem.
func TestAnswers(t *testing.T) {
	f := nodetest.New(t)
	status, body := problem.Render(&problem.Error{Kind: problem.NotAdmitted, Detail: "no", Codes: []string{"a"}}, "")
	for name, c := range map[string]struct {
		handler http.HandlerFunc
		want    problem.Kind
	}{
		"problem":             {answer(status, problem.MediaType, string(body)), problem.NotAdmitted},
		"problem, parameters": {answer(status, problem.MediaType+"; charset=utf-8", string(body)), problem.NotAdmitted},
		"status of another":   {answer(400, problem.MediaType, string(body)), problem.Internal},
		"a proxy's error":     {answer(502, "text/html", "<h1>Bad gateway</h1>"), problem.Unavailable},
		"a problem as JSON":   {answer(status, "application/json", string(body)), problem.Unavailable},
		"large problem":       {answer(422, problem.MediaType, strings.Repeat(" ", 1<<20)), problem.Unavailable},
		"redirect":            {answer(307, "application/json", "{}"), problem.Internal},
		"no content":          {answer(204, "", ""), problem.Internal},
		"HTML":                {answer(200, "text/html", "{}"), problem.Internal},
		"no JSON":             {answer(200, "application/json", "x"), problem.Internal},
		"unknown field":       {answer(200, "application/json", `{"receipt":"x","more":1}`), problem.Internal},
		"field twice":         {answer(200, "application/json", `{"receipt":"x","receipt":"y"}`), problem.Internal},
		"other case":          {answer(200, "application/json", `{"Receipt":"x"}`), problem.Internal},
		"too large":           {answer(200, "application/json", `{"receipt":"`+strings.Repeat("x", 1<<20)+`"}`), problem.Unavailable},
		"breaks off": {func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Length", "100")
			w.WriteHeader(200)
		}, problem.Unavailable},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := client(t, f, serve(t, f, hub, c.handler)).Publish(ctx, "token")
			var p *problem.Error
			if !errors.As(err, &p) || p.Kind != c.want {
				t.Errorf("%v, want %s", err, c.want)
			}
			if c.want == problem.NotAdmitted && (p.Detail != "no" || len(p.Codes) != 1) {
				t.Errorf("%+v", p)
			}
		})
	}
}

func TestConnections(t *testing.T) {
	f, other := nodetest.New(t), nodetest.New(t)
	good := answer(200, "application/json", `{"receipt":"x"}`)
	away := answer(503, problem.MediaType, `{"type":"urn:entente:problem:unavailable","title":"x","status":503}`)
	for name, c := range map[string]struct {
		urls []string
		ok   bool
	}{
		"nobody there":     {[]string{closedPort(t)}, false},
		"another hub":      {[]string{serve(t, f, pki.Identity{Kind: pki.Hub, ID: "hub-two"}, good)}, false},
		"a member":         {[]string{serve(t, f, pki.Identity{Kind: pki.Member, ID: string(nodetest.HubID)}, good)}, false},
		"other authority":  {[]string{serve(t, other, hub, good)}, false},
		"the second lives": {[]string{closedPort(t), serve(t, f, hub, good)}, true},
		"the first is ill": {[]string{serve(t, f, hub, away), serve(t, f, hub, good)}, true},
		"all are ill":      {[]string{serve(t, f, hub, away), closedPort(t)}, false},
	} {
		t.Run(name, func(t *testing.T) {
			cl := client(t, f, c.urls...)
			for range 2 {
				_, err := cl.Publish(ctx, "token")
				if (err == nil) != c.ok || !c.ok && problem.KindOf(err) != problem.Unavailable {
					t.Error(err)
				}
			}
		})
	}
}

func TestURLs(t *testing.T) {
	f := nodetest.New(t)
	for _, url := range []string{"", "http://hub.example", "hub.example:8443", "https://", "https://u@hub.example", "https://hub.example/x",
		"https://hub.example?x", "https://hub.example#x", "https://hub .example"} {
		if _, err := hubclient.New(hubclient.Config{URLs: []string{url}, Hub: nodetest.HubID, Certificate: f.Certificate(xa), Pool: f.CA.Pool()}); err == nil {
			t.Errorf("%q accepted", url)
		}
	}
	if _, err := hubclient.New(hubclient.Config{}); err == nil {
		t.Error("no URL accepted")
	}
}

// TestOperations calls every operation of a hub that works.
func TestOperations(t *testing.T) {
	f := nodetest.New(t)
	h := f.Serve(t)
	c := client(t, f, h.URL)
	token := f.Issue(f.Payload("XA"), 1, f.Node["XA"])
	if receipt, err := c.Publish(ctx, token); err != nil || strings.Count(receipt, ".") != 2 {
		t.Errorf("%q, %v", receipt, err)
	}
	list, err := c.Statements(ctx, 2, 2)
	if err != nil || len(list) != 2 || list[0].Position != 3 || string(list[0].Raw) != string(f.Statements[2]) {
		t.Errorf("%v, %v", list, err)
	}
	if err := c.SubmitStatement(ctx, f.Statements[0]); err != nil || len(h.Statements) != len(f.Statements)+1 {
		t.Error(err)
	}
	if note, err := c.Checkpoint(ctx); err != nil || !strings.HasPrefix(string(note), "entente/"+string(nodetest.HubID)+"\n") {
		t.Errorf("%q, %v", note, err)
	}
	if path, err := c.Consistency(ctx, 2, 3); err != nil || len(path) == 0 {
		t.Errorf("%v, %v", path, err)
	}
	h.Hand("XA", f.Deliver(f.Issue(f.Payload("XB"), 1, f.Node["XB"]), "content"))
	page, err := c.Poll(ctx, 0, 10, 0)
	if err != nil || len(page.Items) != 1 {
		t.Errorf("%v, %v", page, err)
	}
	if _, err := c.Poll(ctx, 9, 10, 0); problem.KindOf(err) != problem.CursorUnknown {
		t.Error(err)
	}
	if err := c.Acknowledge(ctx, []string{"x"}); problem.KindOf(err) != problem.BadSignature {
		t.Error(err)
	}
	gone, cancel := context.WithCancel(ctx)
	cancel()
	if _, err := c.Checkpoint(gone); !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
}
