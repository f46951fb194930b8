package server_test

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net/http"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"go.yaml.in/yaml/v3"

	"github.com/entente-hub/entente/api/alert"
	"github.com/entente-hub/entente/api/feed"
	"github.com/entente-hub/entente/api/hubapi"
	"github.com/entente-hub/entente/api/problem"
	"github.com/entente-hub/entente/hub/server"
	"github.com/entente-hub/entente/openapi"
)

func TestLimitsOfAConfiguration(t *testing.T) {
	f := start(t, nil)
	good := f.cfg
	for text, want := range map[string]string{ // "": taken
		``:                                      "",
		`publish: {per_second: 0.5, burst: 10}`: "",
		`connections: 100
connections_per_source: 100
handshakes: 10`: "",
		`handshake_timeout: 1500ms`:                  "",
		`publish: {per_second: 5}`:                   "limits.publish",
		`query: {burst: 5}`:                          "limits.query",
		`other: {per_second: -1, burst: 5}`:          "limits.other",
		`refused: {per_second: .nan, burst: 5}`:      "limits.refused",
		`publish: {per_second: .inf, burst: 5}`:      "limits.publish",
		`bytes: {per_second: 100, burst: 100}`:       "limits.bytes.burst",
		`new_connections: {per_second: 1, burst: 0}`: "limits.new_connections",
		`connections: -1`:                            "limits.connections",
		`connections_per_source: 9000`:               "of one sort",
		`handshakes: 5000`:                           "of one sort",
		`connections: 10`:                            "of one sort", // the defaults of the others lie above
		`connections_per_member: 3000000000`:         "limits.connections_per_member",
		`untaken_bytes_per_member: 1000000`:          "limits.untaken_bytes_per_member",
		`live_bytes_per_member: 5000000000`:          "",
		`live_bytes_per_member: 1000`:                "limits.live_bytes_per_member",
		`live_alerts_per_member: -1`:                 "limits.live_alerts_per_member",
		`consents_per_member: 3000000000`:            "limits.consents_per_member",
		`proposals_per_member: -5`:                   "limits.proposals_per_member",
		`idle_timeout: -1s`:                          "limits.idle_timeout",
		`write_timeout: 100h`:                        "limits.write_timeout",
		`header_timeout: 10`:                         "yaml", // of what?
		`body_timeout: soon`:                         "yaml",
		`publishing: {per_second: 5, burst: 5}`:      "yaml",
		`publish: {per_second: 5, burst: 5, max: 1}`: "yaml",
	} {
		cfg := good
		dec := yaml.NewDecoder(strings.NewReader("limits:\n  " + strings.ReplaceAll(text, "\n", "\n  ") + "\n"))
		dec.KnownFields(true)
		err := dec.Decode(&cfg)
		if err == nil {
			err = cfg.Validate()
		}
		if want == "" && err != nil || want != "" && (err == nil || !strings.Contains(err.Error(), want)) {
			t.Errorf("%q: %v, want %q", text, err, want)
		}
	}
}

// Every operation of the specification counts as what its action says.
func TestWhatOperationsCountAs(t *testing.T) {
	doc, err := openapi.Hub()
	if err != nil {
		t.Fatal(err)
	}
	want := map[string]string{"publish": "publish", "preview": "query", "explain": "query", "trace": "query", "read": "query"}
	seen := make(map[string]bool)
	placeholder := regexp.MustCompile(`\{[^}]*\}`)
	for path, item := range doc.Paths.Map() {
		for method, op := range item.Operations() {
			action, _ := op.Extensions["x-policy-action"].(string)
			class, ok := want[action]
			if !ok {
				class = "other"
			}
			seen[action] = true
			if got := server.ClassOf(doc, method, placeholder.ReplaceAllString(path, "x")); got != class {
				t.Errorf("%s %s (%s) counts as %s, want %s", method, path, action, got, class)
			}
		}
	}
	for _, astray := range [][2]string{{"POST", "/v1/alerts/"}, {"GET", "/v1/alerts"}, {"GET", "/v1/alerts/XA/x"}, {"", ""}} {
		if got := server.ClassOf(doc, astray[0], astray[1]); got != "other" {
			t.Errorf("%v counts as %s", astray, got)
		}
	}
	for action := range want {
		if !seen[action] {
			t.Errorf("no operation has the action %s", action)
		}
	}
}

// slowly is a rate that gives nothing more within a test.
func slowly(burst int) server.Rate { return server.Rate{PerSecond: 0.01, Burst: burst} }

// limited reads the figure of what was turned away by a limit.
func (f *federation) limited(limit string) float64 {
	f.Helper()
	return f.figure(fmt.Sprintf("entente_hub_limited_total{limit=%q}", limit))
}

// figure reads one of the hub's figures.
func (f *federation) figure(name string) float64 {
	f.Helper()
	resp, err := http.Get("http://" + f.ops + "/metrics")
	if err != nil {
		f.Fatal(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		f.Fatal(err)
	}
	_, rest, ok := strings.Cut(string(body), "\n"+name+" ")
	if !ok {
		f.Fatalf("no figure %s", name)
	}
	text, _, _ := strings.Cut(rest, "\n")
	v, err := strconv.ParseFloat(text, 64)
	if err != nil {
		f.Fatal(err)
	}
	return v
}

// turnedAway checks an answer of "too many requests".
func (f *federation) turnedAway(a answer) {
	f.Helper()
	p := problem.Parse(a.status, a.body)
	if p.Kind != problem.RateLimited || a.header.Get("Content-Type") != problem.MediaType {
		f.Fatalf("%d %s, want to be turned away", a.status, a.body)
	}
	if n, err := strconv.Atoi(a.header.Get("Retry-After")); err != nil || n < 1 {
		f.Errorf("Retry-After is %q", a.header.Get("Retry-After"))
	}
}

// TestEachLimit: a member that has used up a limit is turned away, leaves no trace in
// the log, and can go on with all else; others are not touched.
func TestEachLimit(t *testing.T) {
	const burst = 3
	f := start(t, func(f *federation) {
		f.cfg.Limits.Publish, f.cfg.Limits.Query, f.cfg.Limits.Refused = slowly(burst), slowly(burst), slowly(burst)
	})
	body := func(m alert.MemberID) []byte {
		_, token := f.alert(m, "XC")
		return encode(f, hubapi.SignedAlert{Alert: token})
	}
	a, _ := f.alert("XA", "XB")
	preview := encode(f, hubapi.AudienceQuery{Portions: []hubapi.LabelledPortion{{Portion: "p1", Label: *a.Portions[0].Label}}})
	for limit, ask := range map[string]func(c *client, m alert.MemberID) answer{
		"publish": func(c *client, m alert.MemberID) answer { return c.bare("POST", "/v1/alerts", body(m)) },
		"query":   func(c *client, m alert.MemberID) answer { return c.bare("POST", "/v1/audience", preview) },
		"refused": func(c *client, m alert.MemberID) answer { return c.bare("GET", "/v1/feed?after=x", nil) },
	} {
		xa, xb := f.as("XA"), f.as("XB")
		for range burst {
			if got := ask(xa, "XA"); got.status == http.StatusTooManyRequests {
				t.Fatalf("%s: turned away within the limit", limit)
			}
		}
		before := len(f.entries())
		f.in(t).turnedAway(ask(xa, "XA"))
		if n := len(f.entries()); n != before {
			t.Errorf("%s: %d entries were written", limit, n-before)
		}
		if n := f.limited(limit); n != 1 {
			t.Errorf("%s: the figure is %v", limit, n)
		}
		if got := ask(xb, "XB"); got.status == http.StatusTooManyRequests {
			t.Errorf("%s: XB is turned away for what XA did", limit)
		}
		get[hubapi.Checkpoint](xa, "GET", "/v1/log/checkpoint", nil)
	}
}

// TestLimitOfABatch: each alert of several counts; those over the limit are left to be
// sent again.
func TestLimitOfABatch(t *testing.T) {
	f := start(t, func(f *federation) { f.cfg.Limits.Publish = slowly(3) })
	var tokens []string
	for range 5 {
		_, token := f.alert("XA", "XB")
		tokens = append(tokens, token)
	}
	xa := f.as("XA")
	got := get[hubapi.PublishResults](xa, "POST", "/v1/alerts/batch", hubapi.SignedAlerts{Alerts: tokens}).Results
	if len(got) != 3 {
		t.Fatalf("%d of them were looked at", len(got))
	}
	for i, r := range got {
		if r.Receipt == nil || r.Problem != nil {
			t.Errorf("alert %d: %+v", i, r)
		}
	}
	f.turnedAway(xa.bare("POST", "/v1/alerts/batch", encode(f, hubapi.SignedAlerts{Alerts: tokens[3:]})))
}

// bare asks without holding the answer against the specification.
func (c *client) bare(method, path string, body []byte) answer {
	c.f.Helper()
	req, err := http.NewRequestWithContext(c.f.Context(), method, "https://"+c.f.addr+path, bytes.NewReader(body))
	if err != nil {
		c.f.Fatal(err)
	}
	if body != nil {
		req.Header.Set("Content-Type", "application/json")
	}
	resp, err := c.http.Do(req)
	if err != nil {
		c.f.Fatal(err)
	}
	defer resp.Body.Close()
	raw, err := io.ReadAll(resp.Body)
	if err != nil {
		c.f.Fatal(err)
	}
	return answer{resp.StatusCode, resp.Header, raw}
}

// What a member sends in bodies has a limit of its own, and a body that is not even read
// to its end counts as one that was refused.
func TestLimitsOfBodies(t *testing.T) {
	f := start(t, func(f *federation) {
		f.cfg.Limits.Bytes, f.cfg.Limits.Refused = slowly(2<<20), slowly(1)
	})
	xa := f.as("XA")
	large := []byte(`{"alert":"` + strings.Repeat("a", 1<<20-100) + `"}`)
	for range 2 {
		if a := xa.bare("POST", "/v1/alerts", large); a.status == http.StatusTooManyRequests {
			t.Fatalf("%d %s", a.status, a.body)
		}
	}
	f.turnedAway(xa.bare("POST", "/v1/alerts", large))
	if f.limited("bytes") != 1 {
		t.Error("not counted")
	}
	get[hubapi.Checkpoint](xa, "GET", "/v1/log/checkpoint", nil)
	f.over("XB", http.StatusRequestEntityTooLarge)
	f.over("XB", http.StatusTooManyRequests)
}

// over announces a body that is too large.
func (f *federation) over(m alert.MemberID, want int) {
	f.Helper()
	c := f.dial(m)
	if _, err := io.WriteString(c, "POST /v1/alerts HTTP/1.1\r\nHost: hub\r\nContent-Type: application/json\r\nContent-Length: 99999999\r\n\r\n"); err != nil {
		f.Fatal(err)
	}
	if got := f.answered(c); got.status != want {
		f.Errorf("%d %s, want %d", got.status, got.body, want)
	}
}

// TestOneMembersFlood: vulnerability: one hub serves all.
// attack: XC publishes with 16 connections as fast as it can, and does not heed being turned away.
// guarantee: XC gets what its limit allows; all that XA and XB do meanwhile is done, completely; and once XC
// heeds what it is told, it gets through.
func TestOneMembersFlood(t *testing.T) {
	const burst, good = 60, 25
	f := start(t, func(f *federation) { f.cfg.Limits.Publish = server.Rate{PerSecond: 2, Burst: burst} })
	alerts := make([][]byte, 60)
	for i := range alerts {
		_, token := f.alert("XC", "XA")
		alerts[i] = encode(f, hubapi.SignedAlert{Alert: token})
	}
	xa, xb := f.as("XA"), f.as("XB")
	publish := func() (median time.Duration) {
		var took []time.Duration
		for range good {
			_, token := f.alert("XA", "XB")
			asked := time.Now()
			get[hubapi.SignedReceipt](xa, "POST", "/v1/alerts", hubapi.SignedAlert{Alert: token})
			took = append(took, time.Since(asked))
		}
		slices.Sort(took)
		return took[good/2]
	}
	before := publish()
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	began := time.Now()
	var taken, refused atomic.Int64
	var flood sync.WaitGroup
	xc := f.as("XC")
	for i := range 16 {
		flood.Go(func() {
			for n := i; ctx.Err() == nil; n++ {
				a, err := xc.try("POST", "/v1/alerts", alerts[n%len(alerts)])
				switch {
				case a.status == http.StatusOK:
					taken.Add(1)
				case a.status == http.StatusTooManyRequests:
					refused.Add(1)
				default:
					t.Errorf("the flood is answered %d %s, %v", a.status, a.body, err)
					return
				}
			}
		})
	}
	until(t, "the flood is at its limit", func() bool { return refused.Load() >= 16 })
	meanwhile := publish()
	for after := int64(0); after < 2*good; {
		page := get[feed.Page](xb, "GET", fmt.Sprintf("/v1/feed?after=%d&wait=5", after), nil)
		after += int64(len(page.Items))
	}
	stop()
	flood.Wait()
	t.Logf("XA's median publish takes %s before and %s during the flood, of which %d were taken and %d refused", before, meanwhile, taken.Load(), refused.Load())
	if most := burst + 2*(time.Since(began).Seconds()+1); float64(taken.Load()) > most {
		t.Errorf("XC published %d times, more than %v", taken.Load(), most)
	}
	if n := f.limited("publish"); n < 16 {
		t.Errorf("the figure is %v", n)
	}
	f.heeds("XC", alerts[0])
}

// heeds publishes as one does who does what the hub says.
func (f *federation) heeds(m alert.MemberID, body []byte) {
	f.Helper()
	for range 10 {
		a := f.as(m).bare("POST", "/v1/alerts", body)
		if a.status == http.StatusOK {
			return
		}
		f.turnedAway(a)
		n, err := strconv.Atoi(a.header.Get("Retry-After"))
		if err != nil {
			f.Fatal(err)
		}
		<-time.After(time.Duration(n) * time.Second)
	}
	f.Error("who waits as long as it is told to is turned away for ever")
}
