package server_test

import (
	"bufio"
	"bytes"
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"runtime"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/entente-hub/entente/api/alert"
	"github.com/entente-hub/entente/api/audit"
	statements "github.com/entente-hub/entente/api/federation"
	"github.com/entente-hub/entente/api/feed"
	"github.com/entente-hub/entente/api/hubapi"
	"github.com/entente-hub/entente/api/problem"
	"github.com/entente-hub/entente/crypto/keys"
	"github.com/entente-hub/entente/crypto/sdjwt"
	"github.com/entente-hub/entente/hub"
	"github.com/entente-hub/entente/hub/server"
	"github.com/entente-hub/entente/openapi"
)

var (
	rubbishFlag = flag.Int("rubbish", 3000, "how many malformed requests TestRubbish makes")
	seedFlag    = flag.Uint64("seed", 1, "seed of the malformed requests")
)

// TestRubbish: vulnerability: a hub reads what members send.
// attack: members send requests to every operation that are wrong in their method, target, header, form or body, in
// what is signed, or in all of these, and alerts, acknowledgements and statements that were genuine once.
// guarantee: each is answered, none with a fault; nothing is accepted but what is genuine; neither goroutines nor memory
// stay behind; afterwards the hub works and its log verifies.
//
// The long form:
//
//	go test ./hub/server -run '^TestRubbish$' -rubbish 100000 -v -timeout 0
func TestRubbish(t *testing.T) {
	t.Logf("repeat with: go test ./hub/server -run '^TestRubbish$' -rubbish %d -seed %d", *rubbishFlag, *seedFlag)
	f := start(t, func(f *federation) {
		flood := server.Rate{PerSecond: 1e6, Burst: 1 << 30}
		l := &f.cfg.Limits
		l.Publish, l.Query, l.Other, l.Refused, l.Bytes, l.NewConnections = flood, flood, flood, flood, flood, flood
	})
	f.exchange(1)
	d := newDump(f)
	d.throw(*rubbishFlag / 10) // what is made once is there
	f.settled(0)
	goroutines, heap := runtime.NumGoroutine(), heapInUse()
	d.throw(*rubbishFlag - *rubbishFlag/10)
	f.settled(goroutines)
	grown := int64(heapInUse()) - int64(heap)
	t.Logf("answers: %v; operations: %v; the heap has grown by %d KiB", d.answers, d.asked, grown>>10)
	if grown > 64<<20 {
		t.Errorf("the heap has grown by %d MiB", grown>>20)
	}
	for _, o := range d.operations {
		if d.asked[o.id] == 0 {
			t.Errorf("%s was not asked", o.id)
		}
	}
	f.exchange(3)
	f.verified()
}

func heapInUse() uint64 {
	runtime.GC()
	runtime.GC() // what finalizers let go
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.HeapAlloc
}

// verified verifies the hub's log against a checkpoint of this moment.
func (f *federation) verified() {
	f.Helper()
	note := get[hubapi.Checkpoint](f.as("XA"), "GET", "/v1/log/checkpoint", nil).Checkpoint
	authority, err := server.ReadPublicKey(f.cfg.AuthorityKey)
	if err != nil {
		f.Fatal(err)
	}
	report, err := hub.VerifyLog(f.Context(), f.store, "hub", authority, []byte(note))
	if err != nil {
		f.Fatal(err)
	}
	f.Logf("the log holds: %d entries, %d refusals", report.Size, report.Entries[audit.Refusal])
}

// dump throws rubbish at a hub and looks at what comes back.
type dump struct {
	f          *federation
	operations []operation
	rnd        *rand.Rand
	genuine    map[string][]string
	signers    map[alert.MemberID][]keys.Signer
	tls        map[alert.MemberID]*tls.Config

	mu      sync.Mutex
	answers map[int]int    // by status
	asked   map[string]int // by operation
	faults  int
}

var thrown = []alert.MemberID{"XA", "XB", "XC"}

func newDump(f *federation) *dump {
	f.Helper()
	doc, err := openapi.Hub()
	if err != nil {
		f.Fatal(err)
	}
	d := &dump{f: f, operations: operationsOf(doc), rnd: rand.New(rand.NewPCG(*seedFlag, 0)), genuine: f.genuine(),
		signers: make(map[alert.MemberID][]keys.Signer), tls: make(map[alert.MemberID]*tls.Config),
		answers: make(map[int]int), asked: make(map[string]int)}
	for _, m := range thrown {
		d.signers[m] = []keys.Signer{f.key(f.Node(m), "keys")}
		d.tls[m] = f.tls(f.certificate(m))
	}
	// What XC might state by chance changes nothing between XA and XB.
	d.signers["XC"] = append(d.signers["XC"], f.key(f.Node("XC"), "root"))
	return d
}

// genuine are bodies that the hub would take, by operation.
func (f *federation) genuine() map[string][]string {
	f.Helper()
	out := make(map[string][]string)
	add := func(operation string, v any) { out[operation] = append(out[operation], string(encode(f, v))) }
	for _, m := range thrown {
		for _, to := range thrown {
			a, token := f.alert(m, alert.Audience(to))
			add("publishAlert", hubapi.SignedAlert{Alert: token})
			add("publishAlerts", hubapi.SignedAlerts{Alerts: []string{token, token}})
			add("previewAudience", hubapi.AudienceQuery{Portions: []hubapi.LabelledPortion{{Portion: "p1", Label: *a.Portions[0].Label}}})
		}
	}
	page := get[feed.Page](f.as("XB"), "GET", "/v1/feed?after=0", nil)
	add("acknowledge", hubapi.Acks{Acks: []string{f.ack("XB", page)}})
	add("purged", map[string][]string{"purges": {f.purge(page)}})
	for _, s := range get[hubapi.StatementPage](f.as("XB"), "GET", "/v1/statements?limit=500", nil).Statements {
		out["submitStatement"] = append(out["submitStatement"], string(s.Statement))
		out["propose"] = append(out["propose"], string(s.Statement))
	}
	payload, err := statements.NewStatement(statements.TypeSuspension,
		&statements.Suspension{Agreement: "xa-xb-smuggling", Party: "XB", Suspended: false}, 1, "", time.Now().Unix())
	if err != nil {
		f.Fatal(err)
	}
	raw, err := keys.SignGeneral(f.Context(), []keys.Signer{f.key(f.Node("XB"), "root")}, statements.StatementJWSType, payload)
	if err != nil {
		f.Fatal(err)
	}
	out["submitStatement"] = append(out["submitStatement"], string(raw))
	return out
}

// purge is a receipt as XB would sign it for what it was handed over first.
func (f *federation) purge(page feed.Page) string {
	f.Helper()
	parsed, err := sdjwt.Parse(page.Items[0].Delivery.Alert)
	if err != nil {
		f.Fatal(err)
	}
	p, err := alert.ParsePayload(parsed.Payload)
	if err != nil {
		f.Fatal(err)
	}
	jws, err := keys.Sign(f.Context(), f.key(f.Node("XB"), "keys"), feed.PurgeType, encode(f, feed.Purge{Issuer: "XB", Hub: "hub",
		Originator: p.Issuer, Alert: p.Subject, Version: p.Version, Digest: page.Items[0].Digest, Cause: feed.Ended,
		Portions: []alert.PortionID{"p1"}, IssuedAt: time.Now().Unix()}))
	if err != nil {
		f.Fatal(err)
	}
	return jws
}

// throw sends n requests over a few connections at once, each with a source of chance
// of its own.
func (d *dump) throw(n int) {
	d.f.Helper()
	const workers = 6
	var all sync.WaitGroup
	for w := range workers {
		m := thrown[w%len(thrown)]
		r := d.source(m)
		all.Go(func() {
			c := &wire{d: d, member: m}
			defer c.close()
			for i := w; i < n; i += workers {
				q := r.next(d.operations[i/workers%len(d.operations)])
				if err := c.send(q); err != nil {
					d.fault(q, "%v", err)
				}
			}
		})
	}
	all.Wait()
}

func (d *dump) source(m alert.MemberID) *rubbish {
	sign := func(s keys.Signer, typ string, payload []byte) string {
		jws, err := keys.Sign(context.Background(), s, typ, payload)
		if err != nil {
			return "" // larger than can be signed
		}
		return jws
	}
	all := func(s keys.Signer, typ string, payload []byte) string {
		raw, err := keys.SignGeneral(context.Background(), []keys.Signer{s}, typ, payload)
		if err != nil {
			return "{}"
		}
		return string(raw)
	}
	return &rubbish{Rand: rand.New(rand.NewPCG(d.rnd.Uint64(), d.rnd.Uint64())), operations: d.operations,
		genuine: d.genuine, signers: d.signers[m], sign: sign, all: all}
}

// fault reports what must not be, the first few times in full.
func (d *dump) fault(q request, format string, args ...any) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.faults++; d.faults <= 10 {
		d.f.Errorf("%s: %s\nthe request: %.2000q", q.operation, fmt.Sprintf(format, args...), q.raw)
	}
}

// wire is a connection that is made again when it has been closed.
type wire struct {
	d      *dump
	member alert.MemberID
	conn   *tls.Conn
	read   *bufio.Reader
}

func (w *wire) close() {
	if w.conn != nil {
		_ = w.conn.Close()
		w.conn = nil
	}
}

// send sends a request and judges all answers to it.
func (w *wire) send(q request) error {
	if !q.framed {
		w.close()
		defer w.close()
	}
	if w.conn == nil {
		c, err := tls.Dial("tcp", w.d.f.addr, w.d.tls[w.member])
		if err != nil {
			return err
		}
		w.conn, w.read = c, bufio.NewReader(c)
	}
	_ = w.conn.SetDeadline(time.Now().Add(2 * time.Minute))
	w.d.mu.Lock()
	w.d.asked[q.operation]++
	w.d.mu.Unlock()
	_, werr := w.conn.Write(q.raw) // the hub may have answered before it has read all
	if !q.framed {
		_ = w.conn.CloseWrite()
	}
	for answers := 0; ; {
		resp, err := http.ReadResponse(w.read, &http.Request{Method: q.method})
		if err != nil {
			w.close()
			if q.framed && answers == 0 && werr == nil && !errors.Is(err, io.EOF) && len(q.raw) < 1<<20 {
				return fmt.Errorf("no answer: %w", err)
			}
			return nil
		}
		body, err := io.ReadAll(resp.Body)
		resp.Body.Close()
		if resp.StatusCode == http.StatusContinue {
			continue
		}
		answers++
		w.judge(q, resp, body)
		if q.framed && (resp.Close || err != nil) {
			w.close()
		}
		if q.framed {
			return nil
		}
	}
}

// judge holds an answer to what rubbish deserves.
func (w *wire) judge(q request, resp *http.Response, body []byte) {
	w.d.mu.Lock()
	w.d.answers[resp.StatusCode]++
	w.d.mu.Unlock()
	switch {
	case resp.StatusCode >= 500:
		w.d.fault(q, "%d %s", resp.StatusCode, body)
	case resp.StatusCode >= 400:
		p := problem.Parse(resp.StatusCode, body)
		if q.framed && q.method != http.MethodHead && (resp.Header.Get("Content-Type") != problem.MediaType || p.Kind == problem.Internal) {
			w.d.fault(q, "%d with %v and %s", resp.StatusCode, resp.Header, body)
		}
	case q.operation == "publishAlert" && q.framed && !q.signed && q.method == http.MethodPost:
		if !w.d.isGenuine(q.raw) {
			w.d.fault(q, "%d: it was accepted", resp.StatusCode)
		}
	}
}

// isGenuine reports whether a request carries the very alert that a member has signed.
func (d *dump) isGenuine(raw []byte) bool {
	_, body, _ := bytes.Cut(raw, []byte("\r\n\r\n"))
	var got hubapi.SignedAlert
	if json.Unmarshal(body, &got) != nil {
		return false
	}
	return slices.ContainsFunc(d.genuine["publishAlert"], func(body string) bool {
		var want hubapi.SignedAlert
		return json.Unmarshal([]byte(body), &want) == nil && want == got
	})
}
