package trust

import (
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/entente-hub/entente/api/alert"
	"github.com/entente-hub/entente/api/feed"
	"github.com/entente-hub/entente/crypto/keys"
	"github.com/entente-hub/entente/crypto/sdjwt"
)

// TestLimits: of portions, objects and bytes, at the edge and beyond.
func TestLimits(t *testing.T) {
	d := trial(t)
	portions := func(n int) func(*alert.Alert) {
		return func(a *alert.Alert) {
			a.Portions = nil
			for i := range n {
				a.Portions = append(a.Portions, portion(alert.PortionID(fmt.Sprintf("p%d", i))))
			}
		}
	}
	stix := func(n int) func(*alert.Alert) {
		return func(a *alert.Alert) { a.Portions[0].Content.Objects = objects(n) }
	}
	text := func(n int) func(*alert.Alert) {
		return func(a *alert.Alert) {
			a.Portions[0].Content.Objects = []json.RawMessage{object(1, `,"x":"`+strings.Repeat("x", n)+`"`)}
		}
	}
	a := small("XA")
	text(0)(&a)
	spare := alert.MaxBytes - len(issue(t, node("XA"), a))
	for name, tt := range map[string]struct {
		change func(*alert.Alert)
		want   string
	}{
		"64 portions":         {portions(64), "ok"},
		"65 portions":         {portions(65), "malformed"},
		"100 portions":        {portions(100), "too-large"}, // 300 disclosures
		"1,000 objects":       {stix(1000), "ok"},
		"1,001 objects":       {stix(1001), "malformed"},
		"no object":           {stix(0), "malformed"},
		"within 1 MiB":        {text(spare/4*3 - 2), "ok"},
		"over 1 MiB":          {text(spare/4*3 + 4), "too-large"},
		"no portion":          {portions(0), "ok"}, // says nothing, and so nothing wrong
		"no label":            {func(a *alert.Alert) { a.Portions[1].Label = nil }, "malformed"},
		"no content":          {func(a *alert.Alert) { a.Portions[1].Content = nil }, "malformed"},
		"an empty label":      {func(a *alert.Alert) { a.Portions[1].Label = &alert.Label{} }, "malformed"},
		"a portion twice":     {func(a *alert.Alert) { a.Portions[1].ID = "one" }, "malformed"},
		"a portion id":        {func(a *alert.Alert) { a.Portions[1].ID = "One" }, "malformed"},
		"a long notice":       {func(a *alert.Alert) { a.Portions[1].Notice = strings.Repeat("x", 2001) }, "malformed"},
		"a notice not UTF-8":  {func(a *alert.Alert) { a.Portions[1].Notice = "\xff" }, "malformed"},
		"an object not JSON":  {func(a *alert.Alert) { a.Portions[1].Content.Objects[0] = nil }, "malformed"},
		"an object twice":     {func(a *alert.Alert) { a.Portions[1].Content.Objects = slices.Repeat(objects(1), 2) }, "malformed"},
		"a grading":           {func(a *alert.Alert) { a.Portions[1].Content.Grading = &alert.Grading{Scheme: "5x5"} }, "malformed"},
		"version 2, no prev":  {func(a *alert.Alert) { a.Version = 2 }, "malformed"},
		"version 1 with prev": {func(a *alert.Alert) { a.Previous = digestOf("previous") }, "malformed"},
		"version 0":           {func(a *alert.Alert) { a.Version = 0 }, "malformed"},
		"prev no digest":      {func(a *alert.Alert) { a.Version, a.Previous = 2, "x" }, "malformed"},
		"exp at iat":          {func(a *alert.Alert) { a.Expires = a.IssuedAt }, "malformed"},
		"exp just after iat":  {func(a *alert.Alert) { a.Expires = a.IssuedAt + 1 }, "ok"},
		"exp at the limit":    {func(a *alert.Alert) { a.Expires = a.IssuedAt + int64(alert.MaxLifetime.Seconds()) }, "ok"},
		"exp over the limit":  {func(a *alert.Alert) { a.Expires = a.IssuedAt + int64(alert.MaxLifetime.Seconds()) + 1 }, "malformed"},
		"short jti":           {func(a *alert.Alert) { a.JTI = "AAEC" }, "malformed"},
		"subject no UUIDv7":   {func(a *alert.Alert) { a.Subject = "x" }, "malformed"},
	} {
		t.Run(name, func(t *testing.T) {
			a := small("XA")
			tt.change(&a)
			token, err := IssueAlert(t.Context(), node("XA"), a)
			if outcome(err) != tt.want || (token == "") != (err != nil) {
				t.Fatalf("issued: %s (%v), want %s", outcome(err), err, tt.want)
			}
			if tt.want == "too-large" && !errors.Is(err, sdjwt.ErrTooLarge) {
				t.Errorf("%v", err)
			}
			if err == nil {
				if _, err := d.VerifyAlert(token); err != nil {
					t.Error(err)
				}
			}
		})
	}
	for n, want := range map[int]string{alert.MaxBytes: "malformed", alert.MaxBytes + 1: "too-large"} {
		if _, err := d.VerifyAlert(strings.Repeat("x", n)); outcome(err) != want {
			t.Errorf("%d bytes: %v", n, err)
		}
	}
}

// TestReservedNames: no object conceals anything of its own.
func TestReservedNames(t *testing.T) {
	for _, more := range []string{`,"_sd":[]`, `,"x":{"_sd":["` + digestOf("x") + `"]}`, `,"x":[{"...":"` + digestOf("x") + `"}]`,
		`,"x":[[{"y":{"\u005fsd":[]}}]]`, `,"x":{"\u002E..":1}`, `,"x":{"_sd_alg":"sha-256"}`} {
		if _, err := alert.ParseContent([]byte(`{"objects":[` + string(object(1, more)) + `]}`)); !errors.Is(err, alert.ErrInvalid) {
			t.Errorf("parsed %s: %v", more, err)
		}
		a := small("XA")
		a.Portions[0].Content.Objects = []json.RawMessage{object(1, more)}
		if _, err := IssueAlert(t.Context(), node("XA"), a); outcome(err) != "malformed" {
			t.Errorf("issued %s: %v", more, err)
		}
	}
	a := small("XA")
	a.Portions[0].Content.Objects = []json.RawMessage{object(1, `,"x":"_sd","y":["..."],"z":"_sd_alg","sd":1`)}
	issue(t, node("XA"), a) // as values they mean nothing
}

// TestLabelIsLeftAlone: issuing sorts a copy.
func TestLabelIsLeftAlone(t *testing.T) {
	a := small("XA")
	a.Portions[0].Label.ReleasableTo = []alert.Audience{"XD", "XB"}
	issue(t, node("XA"), a)
	want(t, "the caller's label", a.Portions[0].Label.ReleasableTo, []alert.Audience{"XD", "XB"})
}

// forge signs any payload as an alert.
func forge(t testing.TB, k fixedKey, payload string, disclosures ...string) string {
	t.Helper()
	jws, err := keys.Sign(t.Context(), k, alert.Type, []byte(payload))
	if err != nil {
		t.Fatal(err)
	}
	return sdjwt.Assemble(jws, disclosures)
}

var b64 = base64.RawURLEncoding.Strict()

func disclose(array string) string { return b64.EncodeToString([]byte(array)) }

// TestReduceRefuses what was never verified.
func TestReduceRefuses(t *testing.T) {
	for _, v := range makeVectors(t) {
		if _, err := ReduceAlert(v.Token, map[alert.PortionID]feed.Kind{"one": feed.Content}); err != nil && outcome(err) != "malformed" && outcome(err) != "too-large" {
			t.Errorf("%s: %v", v.Name, err)
		}
		if v.Name == "portion_id_twice" || v.Name == "disclosure_that_is_no_portion" || v.Name == "clear_claim_disclosed" {
			if token, err := ReduceAlert(v.Token, map[alert.PortionID]feed.Kind{"one": feed.Content}); err == nil {
				t.Errorf("%s: reduced to %s", v.Name, token)
			}
		}
	}
}
