package server_test

import (
	"bytes"
	"fmt"
	"net/http"
	"testing"

	"github.com/entente-hub/entente/api/alert"
	"github.com/entente-hub/entente/api/feed"
	"github.com/entente-hub/entente/api/hubapi"
	"github.com/entente-hub/entente/api/problem"
)

// TestPollsOverTheWireAreBounded: of nine polls of one member that all wait,
// whichever comes last is turned away at once, as the specification says; the
// eight others are answered when there is something, and make room again.
func TestPollsOverTheWireAreBounded(t *testing.T) {
	const most = 8
	f := start(t, nil)
	xa, xb := f.as("XA"), f.as("XB")
	type result struct {
		answer
		err error
	}
	answers := make(chan result, most+1)
	for range most + 1 {
		go func() {
			a, err := xb.try("GET", "/v1/feed?after=0&wait=55", nil) // holds the answer against the specification
			answers <- result{a, err}
		}()
	}
	// Nothing is there to be fetched: who is answered first was refused, and so
	// the others have all begun.
	first := <-answers
	if first.err != nil {
		t.Fatal(first.err)
	}
	if p := problem.Parse(first.status, first.body); first.status != http.StatusTooManyRequests || p.Kind != problem.RateLimited ||
		first.header.Get("Content-Type") != problem.MediaType {
		t.Fatalf("the ninth poll: %d %s %s", first.status, first.header.Get("Content-Type"), first.body)
	}
	get[feed.Page](f.as("XC"), "GET", "/v1/feed?after=0", nil)
	_, token := f.alert("XA", "XB")
	get[hubapi.SignedReceipt](xa, "POST", "/v1/alerts", hubapi.SignedAlert{Alert: token})
	for range most {
		r := <-answers
		if r.err != nil {
			t.Fatal(r.err)
		}
		if r.status != http.StatusOK || !bytes.Contains(r.body, []byte(`"seq":1,`)) {
			t.Errorf("a poll that was there in time: %d %s", r.status, r.body)
		}
	}
	if page := get[feed.Page](xb, "GET", "/v1/feed?after=0", nil); len(page.Items) != 1 {
		t.Errorf("afterwards: %d items", len(page.Items))
	}
}

// What can befall any operation befalls those too that take no body or nothing
// at all, as the specification says.
func TestBodiesWhereNoneBelong(t *testing.T) {
	f := start(t, nil)
	xa := f.as("XA")
	id := alert.ID("01890a5d-ac96-774b-bcce-b302099a8057")
	large := bytes.Repeat([]byte(" "), alert.MaxBytes+1<<20)
	refused := 0
	for _, path := range []string{"/v1/feed?after=0", "/v1/statements", "/v1/log/checkpoint", "/v1/log/consistency?old=1&new=1",
		fmt.Sprintf("/v1/alerts/XA/%s/1", id)} {
		before := len(f.entries())
		f.refused(before, "XA", problem.Malformed, xa.do("GET", path, []byte(`{}`)))
		for range 20 {
			a, err := xa.try("GET", path, large)
			if err != nil && a.status == 0 {
				continue // the connection was closed before all was sent
			}
			if err != nil || a.status != http.StatusRequestEntityTooLarge {
				t.Errorf("%s: %d %s, %v", path, a.status, a.body, err)
			}
			refused++
			break
		}
	}
	if refused == 0 {
		t.Error("no answer to a body that is too large has been seen")
	}
}
