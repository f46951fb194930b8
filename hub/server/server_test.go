package server_test

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"crypto/tls"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/entente-hub/entente/api/alert"
	"github.com/entente-hub/entente/api/audit"
	"github.com/entente-hub/entente/api/feed"
	"github.com/entente-hub/entente/api/hubapi"
	"github.com/entente-hub/entente/api/problem"
	"github.com/entente-hub/entente/crypto/keys"
	"github.com/entente-hub/entente/crypto/pki"
)

// Every operation once, over the real listener; client holds each response
// against the specification.
func TestOperations(t *testing.T) {
	f := start(t, nil)
	xa, xb := f.as("XA"), f.as("XB")
	a, token := f.alert("XA", "XB")
	preview := get[hubapi.AudienceAnswer](xa, "POST", "/v1/audience", hubapi.AudienceQuery{
		Portions: []hubapi.LabelledPortion{{Portion: "p1", Label: *a.Portions[0].Label}}})
	if len(preview.Portions) != 1 || len(preview.Portions[0].Members) != 3 {
		t.Errorf("preview: %+v", preview)
	}
	receipt := get[hubapi.SignedReceipt](xa, "POST", "/v1/alerts", hubapi.SignedAlert{Alert: token}).Receipt
	path := fmt.Sprintf("/v1/alerts/XA/%s/1", a.Subject)
	if v := get[hubapi.AlertView](xa, "GET", path, nil); v.Receipt == nil || *v.Receipt != receipt || v.Item != nil {
		t.Errorf("the originator reads %+v", v)
	}
	page := get[feed.Page](xb, "GET", "/v1/feed?after=0", nil)
	if len(page.Items) != 1 {
		t.Fatalf("%d items", len(page.Items))
	}
	if v := get[hubapi.AlertView](xb, "GET", path, nil); v.Receipt != nil || !cmp.Equal(*v.Item, page.Items[0]) {
		t.Errorf("the recipient reads %+v", v)
	}
	get[struct{}](xb, "POST", "/v1/feed/acks", hubapi.Acks{Acks: []string{f.ack("XB", page)}})
	statements := get[hubapi.StatementPage](xb, "GET", "/v1/statements", nil).Statements
	if len(statements) != 13 {
		t.Errorf("%d statements", len(statements))
	}
	get[struct{}](xb, "POST", "/v1/statements", statements[0].Statement)
	if rest := get[hubapi.StatementPage](xb, "GET", "/v1/statements?limit=500&after="+fmt.Sprint(statements[11].Position), nil); len(rest.Statements) != 1 {
		t.Errorf("%d statements after the last but one", len(rest.Statements))
	}
	if note := get[hubapi.Checkpoint](xb, "GET", "/v1/log/checkpoint", nil).Checkpoint; !strings.HasPrefix(note, "entente/hub\n") {
		t.Errorf("checkpoint %q", note)
	}
	if proof := get[hubapi.Proof](xb, "GET", "/v1/log/consistency?old=1&new=9", nil); len(proof.Hashes) == 0 {
		t.Error("an empty proof")
	}
}

func (f *federation) ack(m alert.MemberID, page feed.Page) string {
	f.Helper()
	chain := feed.ChainStart(m)
	for _, i := range page.Items {
		chain = feed.Next(chain, i.Seq, i.Digest)
	}
	last := page.Items[len(page.Items)-1]
	payload := encode(f, feed.Ack{Issuer: m, Hub: "hub", Seq: last.Seq, Chain: chain, IssuedAt: last.Delivery.ReleasedAt})
	jws, err := keys.Sign(f.Context(), f.key(f.Node(m), "keys"), feed.AckType, payload)
	if err != nil {
		f.Fatal(err)
	}
	return jws
}

func TestMalformedRequestsAreRefusedAndRecorded(t *testing.T) {
	f := start(t, nil)
	xa := f.as("XA")
	a, token := f.alert("XA", "XB")
	label := string(encode(f, a.Portions[0].Label))
	audience := func(label string) string { return `{"portions":[{"portion":"p1","label":` + label + `}]}` }
	for name, c := range map[string]struct {
		method, path, body string
		kind               problem.Kind
	}{
		"not JSON":                    {"POST", "/v1/alerts", `hello`, problem.Malformed},
		"cut short":                   {"POST", "/v1/alerts", `{"alert":"a`, problem.Malformed},
		"no body":                     {"POST", "/v1/alerts", ``, problem.Malformed},
		"an array":                    {"POST", "/v1/alerts", `[]`, problem.Malformed},
		"a field missing":             {"POST", "/v1/alerts", `{}`, problem.Malformed},
		"a number for text":           {"POST", "/v1/alerts", `{"alert":1}`, problem.Malformed},
		"null for text":               {"POST", "/v1/alerts", `{"alert":null}`, problem.Malformed},
		"a duplicate key":             {"POST", "/v1/alerts", `{"alert":"` + token + `","alert":"` + token + `"}`, problem.Malformed},
		"a duplicate key in a label":  {"POST", "/v1/audience", audience(`{"policy":"urn:x",` + label[1:]), problem.Malformed},
		"an unknown field":            {"POST", "/v1/alerts", `{"alert":"` + token + `","to":"XD"}`, problem.Malformed},
		"a field in another case":     {"POST", "/v1/alerts", `{"Alert":"` + token + `"}`, problem.Malformed},
		"an unknown field in a label": {"POST", "/v1/audience", audience(`{"secret":true,` + label[1:]), problem.Malformed},
		"an unknown level":            {"POST", "/v1/audience", audience(strings.Replace(label, "restricted", "cosmic", 1)), problem.Malformed},
		"an unknown category":         {"POST", "/v1/audience", audience(strings.Replace(label, "smuggling", "cooking", 1)), problem.Malformed},
		"nested too deeply":           {"POST", "/v1/alerts", `{"alert":` + strings.Repeat("[", 40) + strings.Repeat("]", 40) + `}`, problem.Malformed},
		"nested without end":          {"POST", "/v1/alerts", strings.Repeat("[", 1<<20), problem.Malformed},
		"two values":                  {"POST", "/v1/alerts", `{"alert":"` + token + `"}{}`, problem.Malformed},
		"invalid UTF-8":               {"POST", "/v1/alerts", "{\"alert\":\"\xff\"}", problem.Malformed},
		"an alert too large":          {"POST", "/v1/alerts", `{"alert":"` + strings.Repeat("a", alert.MaxBytes+1) + `"}`, problem.TooLarge},
		"an unsigned statement":       {"POST", "/v1/statements", `{"payload":"e30","signatures":[]}`, problem.Malformed},
		"a body where none belongs":   {"GET", "/v1/feed?after=0", `{}`, problem.Malformed},
		"no cursor":                   {"GET", "/v1/feed", ``, problem.Malformed},
		"a cursor below 0":            {"GET", "/v1/feed?after=-1", ``, problem.Malformed},
		"a cursor of words":           {"GET", "/v1/feed?after=x", ``, problem.Malformed},
		"a cursor never handed out":   {"GET", "/v1/feed?after=7", ``, problem.CursorUnknown},
		"waiting too long":            {"GET", "/v1/feed?after=0&wait=3600", ``, problem.Malformed},
		"no member":                   {"GET", "/v1/alerts/xx/" + string(a.Subject) + "/1", ``, problem.Malformed},
		"no id":                       {"GET", "/v1/alerts/XA/x/1", ``, problem.Malformed},
		"version 0":                   {"GET", "/v1/alerts/XA/" + string(a.Subject) + "/0", ``, problem.Malformed},
	} {
		t.Run(name, func(t *testing.T) {
			var body []byte
			if c.method == "POST" || c.body != "" {
				body = []byte(c.body)
			}
			before := len(f.entries())
			f.in(t).refused(before, "XA", c.kind, xa.do(c.method, c.path, body))
		})
	}
	if _, err := f.store.Alert(t.Context(), "XA", a.Subject, 1); err == nil {
		t.Error("one of them was stored")
	}
	get[hubapi.SignedReceipt](xa, "POST", "/v1/alerts", hubapi.SignedAlert{Alert: token})
}

// A packed body may become any size: it is refused before it is unpacked.
func TestPackedBodiesAreRefused(t *testing.T) {
	f := start(t, nil)
	var packed bytes.Buffer
	z := gzip.NewWriter(&packed)
	_, token := f.alert("XA", "XB")
	if _, err := z.Write(encode(f, hubapi.SignedAlert{Alert: token})); err != nil {
		t.Fatal(err)
	}
	if err := z.Close(); err != nil {
		t.Fatal(err)
	}
	f.refused(len(f.entries()), "XA", problem.Malformed, f.as("XA").do("POST", "/v1/alerts", packed.Bytes(), "Content-Encoding", "gzip"))
}

// A body over the limit is refused by its announced length; nothing of it is read.
func TestOversizedBodiesAreRefused(t *testing.T) {
	f := start(t, nil)
	before := len(f.entries())
	conn, err := tls.Dial("tcp", f.addr, f.tls(f.certificate("XA")))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if _, err := fmt.Fprintf(conn, "POST /v1/alerts HTTP/1.1\r\nHost: hub\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n", 1<<40); err != nil {
		t.Fatal(err)
	}
	resp, err := http.ReadResponse(bufio.NewReader(conn), nil)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	f.refused(before, "XA", problem.TooLarge, answer{resp.StatusCode, resp.Header, body})
}

func TestNoSuchOperation(t *testing.T) {
	f := start(t, nil)
	for _, c := range [][2]string{{"GET", "/"}, {"GET", "/v1/alerts"}, {"DELETE", "/v1/feed"}, {"HEAD", "/v1/nothing"}, {"OPTIONS", "/v1/feed"},
		{"GET", "/healthz"}, {"GET", "/metrics"}, {"GET", "/v1/feed/"}, {"GET", "/v1/%2e%2e/metrics"}} {
		a := f.as("XA").do(c[0], c[1], nil)
		if a.status != http.StatusNotFound || c[0] != "HEAD" && problem.Parse(a.status, a.body).Kind != problem.NotFound {
			t.Errorf("%s %s: %d %s", c[0], c[1], a.status, a.body)
		}
	}
}

func TestCertificates(t *testing.T) {
	f := start(t, nil)
	_, token := f.alert("XA", "XB")
	body := encode(f, hubapi.SignedAlert{Alert: token})
	f.refused(len(f.entries()), "XB", problem.WrongMember, f.as("XB").do("POST", "/v1/alerts", body))
	f.refused(len(f.entries()), "XZ", problem.Unauthenticated, f.with(f.issued(pki.Identity{Kind: pki.Member, ID: "XZ"})).do("GET", "/v1/statements", nil))
	other, err := pki.NewCA("entente-trial")
	if err != nil {
		t.Fatal(err)
	}
	forged, err := other.IssuePair(pki.Request{Identity: pki.Identity{Kind: pki.Member, ID: "XA"}, Validity: pki.ValidFor(1e12)})
	if err != nil {
		t.Fatal(err)
	}
	before := len(f.entries())
	for name, cert := range map[string]tls.Certificate{
		"of another authority": forged, "of a hub": f.issued(pki.Identity{Kind: pki.Hub, ID: "hub"}), "none": {}} {
		if a, err := f.with(cert).try("GET", "/v1/statements", nil); err == nil {
			t.Errorf("certificate %s: answered %d %s", name, a.status, a.body)
		}
	}
	if n := len(f.entries()); n != before {
		t.Errorf("strangers wrote %d entries", n-before)
	}
	get[hubapi.SignedReceipt](f.as("XA"), "POST", "/v1/alerts", json.RawMessage(body))
}

func TestReplayOverTheWire(t *testing.T) {
	f := start(t, nil)
	xa := f.as("XA")
	a, token := f.alert("XA", "XB")
	body := encode(f, hubapi.SignedAlert{Alert: token})
	first, second := xa.do("POST", "/v1/alerts", body), xa.do("POST", "/v1/alerts", body)
	if first.status != http.StatusOK || second.status != first.status || !bytes.Equal(first.body, second.body) {
		t.Errorf("the same bytes answer %d %s, then %d %s", first.status, first.body, second.status, second.body)
	}
	f.refused(len(f.entries()), "XA", problem.Conflict, xa.do("POST", "/v1/alerts", encode(f, hubapi.SignedAlert{Alert: f.sign(a)})))
	if page := get[feed.Page](f.as("XB"), "GET", "/v1/feed?after=0", nil); len(page.Items) != 1 {
		t.Errorf("XB has %d items", len(page.Items))
	}
}

// What XC may not see answers as what does not exist, to the byte.
func TestForbiddenAndAbsentAreAlike(t *testing.T) {
	f := start(t, nil)
	a, token := f.alert("XA", "XB")
	absent, _ := f.alert("XA", "XB")
	get[hubapi.SignedReceipt](f.as("XA"), "POST", "/v1/alerts", hubapi.SignedAlert{Alert: token})
	get[feed.Page](f.as("XB"), "GET", "/v1/feed?after=0", nil)
	size := len(f.entries())
	ask := func(id alert.ID) answer {
		got := f.as("XC").do("GET", fmt.Sprintf("/v1/alerts/XA/%s/1", id), nil)
		got.header.Del("Date")
		return got
	}
	there, not := ask(a.Subject), ask(absent.Subject)
	if diff := cmp.Diff(not, there, cmp.AllowUnexported(answer{})); diff != "" || not.status != http.StatusNotFound {
		t.Errorf("absent and forbidden differ (status %d):\n%s", not.status, diff)
	}
	if n := len(f.entries()); n != size {
		t.Errorf("%d entries tell them apart", n-size)
	}
	page := func(m alert.MemberID) feed.Page { return get[feed.Page](f.as(m), "GET", "/v1/feed?after=0", nil) }
	if xc, xd := page("XC"), page("XD"); len(xc.Items)+len(xd.Items) != 0 {
		t.Error("others got something")
	}
}

// A long-poll does not hold up the end: it is answered, and the hub stops.
func TestShutdownAnswersLongPolls(t *testing.T) {
	f := start(t, nil)
	answered := make(chan error, 1)
	go func() {
		a, err := f.as("XB").try("GET", "/v1/feed?after=0&wait=55", nil)
		if err == nil && a.status != http.StatusOK {
			err = fmt.Errorf("%d %s", a.status, a.body)
		}
		answered <- err
	}()
	// Once another request of the same member is through, at the latest after a
	// few, the poll has most likely begun to wait; either way it must end.
	for range 20 {
		get[hubapi.Checkpoint](f.as("XB"), "GET", "/v1/log/checkpoint", nil)
	}
	if err := f.stop(); err != nil {
		t.Errorf("the hub ended with %v", err)
	}
	if err := <-answered; err != nil {
		t.Errorf("the poll ended with %v", err)
	}
}

// What was acknowledged is there after a restart, under the same receipt.
func TestRestart(t *testing.T) {
	f := start(t, nil)
	_, token := f.alert("XA", "XB")
	body := hubapi.SignedAlert{Alert: token}
	receipt := get[hubapi.SignedReceipt](f.as("XA"), "POST", "/v1/alerts", body)
	refusals := len(f.entries())
	if err := f.stop(); err != nil {
		t.Fatal(err)
	}
	f.run()
	if n := len(f.entries()); n != refusals {
		t.Errorf("a restart wrote %d entries", n-refusals)
	}
	if again := get[hubapi.SignedReceipt](f.as("XA"), "POST", "/v1/alerts", body); again != receipt {
		t.Error("the receipt changed")
	}
	if page := get[feed.Page](f.as("XB"), "GET", "/v1/feed?after=0", nil); len(page.Items) != 1 {
		t.Errorf("%d items", len(page.Items))
	}
}

func TestOperatorsEndpoints(t *testing.T) {
	var policy string
	f := start(t, func(f *federation) { // the officers' word comes later
		raw, err := os.ReadFile(filepath.Join(f.Statements(), "40-policy.json"))
		if err != nil {
			f.Fatal(err)
		}
		policy = string(raw)
		if err := os.Remove(filepath.Join(f.Statements(), "40-policy.json")); err != nil {
			f.Fatal(err)
		}
	})
	ask := func(path string) (int, string) {
		resp, err := http.Get("http://" + f.ops + path)
		if err != nil {
			t.Fatal(err)
		}
		defer resp.Body.Close()
		body, err := io.ReadAll(resp.Body)
		if err != nil {
			t.Fatal(err)
		}
		return resp.StatusCode, string(body)
	}
	if status, body := ask("/readyz"); status != http.StatusServiceUnavailable || !strings.Contains(body, "no policy is in force") {
		t.Errorf("/readyz without a policy: %d %s", status, body)
	}
	_, token := f.alert("XA", "XB")
	if a := f.as("XA").do("POST", "/v1/alerts", encode(f, hubapi.SignedAlert{Alert: token})); problem.Parse(a.status, a.body).Kind != problem.Unavailable {
		t.Errorf("published without a policy: %d %s", a.status, a.body)
	}
	if err := os.WriteFile(filepath.Join(f.Statements(), "40-policy.json"), []byte(policy), 0o600); err != nil {
		t.Fatal(err)
	}
	f.reload <- struct{}{}
	f.reload <- struct{}{} // taken once the first is through
	if status, body := ask("/readyz"); status != http.StatusOK {
		t.Errorf("/readyz: %d %s", status, body)
	}
	if status, _ := ask("/healthz"); status != http.StatusOK {
		t.Errorf("/healthz: %d", status)
	}
	get[hubapi.SignedReceipt](f.as("XA"), "POST", "/v1/alerts", hubapi.SignedAlert{Alert: token})
	if status, body := ask("/metrics"); status != http.StatusOK || !strings.Contains(body, "entente_hub_alerts_total 1") || strings.Contains(body, "XA") {
		t.Errorf("/metrics: %d %s", status, body)
	}
	var kinds []audit.Kind
	for _, e := range f.entries() {
		kinds = append(kinds, e.Kind)
	}
	if kinds[len(kinds)-2] != audit.Admission {
		t.Errorf("the log ends with %v", kinds)
	}
}
