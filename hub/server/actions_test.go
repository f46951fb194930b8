package server_test

import (
	"fmt"
	"net/http"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/entente-hub/entente/api/audit"
	statements "github.com/entente-hub/entente/api/federation"
	"github.com/entente-hub/entente/api/feed"
	"github.com/entente-hub/entente/api/hubapi"
	"github.com/entente-hub/entente/crypto/keys"
)

// TestWhatOperationsLeave: each x-policy-action leaves in the audit log what the
// specification's description says, once and only where something was done.
func TestWhatOperationsLeave(t *testing.T) {
	f := start(t, nil)
	xa, xb := f.as("XA"), f.as("XB")
	a, token := f.alert("XA", "XB")
	path := fmt.Sprintf("/v1/alerts/XA/%s/1", a.Subject)
	var page feed.Page
	left := make(map[string][]audit.Kind) // by action
	did := func(c *client, method, path string, body any) {
		t.Helper()
		req, err := http.NewRequest(method, "https://"+f.addr+path, nil)
		if err != nil {
			t.Fatal(err)
		}
		route, _, err := c.router.FindRoute(req)
		if err != nil {
			t.Fatal(err)
		}
		before := len(f.entries())
		if path == "/v1/feed?after=0" {
			page = get[feed.Page](c, method, path, body)
		} else {
			get[any](c, method, path, body)
		}
		action := route.Operation.Extensions["x-policy-action"].(string)
		left[action] = append(left[action], nil...)
		for _, e := range f.entries()[before:] {
			if e.Kind != audit.Decided {
				left[action] = append(left[action], e.Kind)
			}
		}
	}
	suspension, err := statements.NewStatement(statements.TypeSuspension,
		&statements.Suspension{Agreement: "xa-xb-smuggling", Party: "XB", Suspended: true}, 1, "", time.Now().Unix())
	if err != nil {
		t.Fatal(err)
	}
	statement, err := keys.SignGeneral(t.Context(), []keys.Signer{f.key(f.Node("XB"), "root")}, statements.StatementJWSType, suspension)
	if err != nil {
		t.Fatal(err)
	}
	did(xa, "POST", "/v1/audience", hubapi.AudienceQuery{Portions: []hubapi.LabelledPortion{{Portion: "p1", Label: *a.Portions[0].Label}}})
	for range 2 { // the second time nothing is done
		did(xa, "POST", "/v1/alerts", hubapi.SignedAlert{Alert: token})
		did(xb, "GET", "/v1/feed?after=0", nil)
		did(xb, "POST", "/v1/statements", hubapi.SignedStatement(statement))
		did(xb, "GET", path, nil)
		did(xb, "GET", "/v1/statements", nil)
		did(xb, "GET", "/v1/log/checkpoint", nil)
		did(xb, "GET", "/v1/log/consistency?old=1&new=9", nil)
	}
	did(xb, "POST", "/v1/feed/acks", hubapi.Acks{Acks: []string{f.ack("XB", page)}})
	want := map[string][]audit.Kind{
		"publish": {audit.Admission}, "preview": {audit.Preview}, "receive": {audit.Release},
		"acknowledge": {audit.Received}, "state": {audit.Statement},
		"read": nil, "read-statements": nil, "witness": nil,
	}
	for action := range left {
		slices.Sort(left[action])
	}
	if diff := cmp.Diff(want, left, cmpopts.EquateEmpty()); diff != "" {
		t.Errorf("entries by action (-said +left): %s", diff)
	}
}
