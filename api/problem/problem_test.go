package problem

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestEveryKindHasStatusAndTitle(t *testing.T) {
	kinds := Kinds()
	if !slices.IsSorted(kinds) || len(kinds) != 17 {
		t.Errorf("%d kinds, sorted: %v", len(kinds), slices.IsSorted(kinds))
	}
	if len(titles) != len(kinds) {
		t.Errorf("%d titles for %d kinds", len(titles), len(kinds))
	}
	seen := make(map[string]Kind)
	for _, k := range kinds {
		title := titles[k]
		if k.Status() < 400 || http.StatusText(k.Status()) == "" || title == "" {
			t.Errorf("%s: status %d, title %q", k, k.Status(), title)
		}
		if other, dup := seen[title]; dup {
			t.Errorf("%s and %s have one title", k, other)
		}
		seen[title] = k
		if k.Type() != "urn:entente:problem:"+string(k) || strings.ToLower(string(k)) != string(k) {
			t.Errorf("type %q", k.Type())
		}
	}
	if Kind("other").Status() != 0 {
		t.Error("an unknown kind has a status")
	}
}

// Problem types and bytes are what clients are written against.
func TestRenderedBytes(t *testing.T) {
	_, body := Render(&Error{Kind: NotAdmitted, Detail: "portion p1", Codes: []string{"ceiling", "compartment"}}, "e-1")
	want := `{"type":"urn:entente:problem:not-admitted","title":"The federation's policy does not admit it","status":422,` +
		`"detail":"portion p1","codes":["ceiling","compartment"]}`
	if string(body) != want {
		t.Errorf("got  %s\nwant %s", body, want)
	}
	_, body = Render(&Error{Kind: NotFound}, "")
	if want := `{"type":"urn:entente:problem:not-found","title":"There is no such thing","status":404}`; string(body) != want {
		t.Errorf("got  %s\nwant %s", body, want)
	}
}

func TestRoundTrip(t *testing.T) {
	for _, k := range Kinds() {
		for _, id := range []string{"", "e-42"} {
			in := &Error{Kind: k, Detail: "what to do", Codes: []string{"a", "b"}, Cause: errors.New("secret")}
			status, body := Render(fmt.Errorf("outer: %w", in), id)
			got := Parse(status, body)
			want := &Error{Kind: k, Detail: in.Detail, Codes: in.Codes}
			switch {
			case k == NotFound:
				want.Detail, want.Codes = "", nil
			case k == Internal:
				want.Detail, want.Codes = "", nil
				if id != "" {
					want.Detail = "(error id e-42)"
				}
			case status >= 500 && id != "":
				want.Detail += " (error id e-42)"
			}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("%s: %s", k, diff)
			}
			if status != k.Status() || bytes.Contains(body, []byte("secret")) || bytes.Contains(body, []byte("outer")) {
				t.Errorf("%s: %d %s", k, status, body)
			}
			if bytes.Contains(body, []byte("e-42")) != (status >= 500 && id != "") {
				t.Errorf("%s: error id: %s", k, body)
			}
		}
	}
}

// What a caller may not see is answered as what does not exist.
func TestNotFoundIsAlwaysTheSame(t *testing.T) {
	status, want := Render(&Error{Kind: NotFound}, "")
	for _, err := range []error{
		New(NotFound, "alert %d", 1), Wrap(NotFound, errors.New("clearance"), "not for you"),
		&Error{Kind: NotFound, Codes: []string{"compartment"}}, fmt.Errorf("store: %w", New(NotFound, "row")),
		errors.Join(errors.New("first"), New(NotFound, "x")), Wrap(NotFound, New(Forbidden, "role"), ""),
	} {
		for _, id := range []string{"", "e-1", "e-2"} {
			if s, body := Render(err, id); s != status || !bytes.Equal(body, want) {
				t.Errorf("%v: %d %s", err, s, body)
			}
		}
	}
}

func TestUnforeseenIsInternalAndSilent(t *testing.T) {
	var none *Error
	for name, err := range map[string]error{
		"nil": nil, "nil problem": none, "foreign": errors.New("dial secret.example"), "wrapped": fmt.Errorf("secret: %w", fs.ErrNotExist),
		"internal": &Error{Kind: Internal, Detail: "secret", Codes: []string{"secret"}, Cause: errors.New("secret")},
		"new":      New(Internal, "secret: %w", errors.New("secret")), "zero": &Error{}, "unknown kind": &Error{Kind: "secret", Detail: "secret"},
		"internal above": Wrap(Internal, New(Forbidden, "secret"), "secret"),
	} {
		status, body := Render(err, "e-9")
		want := `{"type":"urn:entente:problem:internal","title":"A fault on this side","status":500,"error_id":"e-9"}`
		if status != 500 || string(body) != want {
			t.Errorf("%s: %d %s", name, status, body)
		}
		if k := KindOf(err); k != Internal {
			t.Errorf("%s: kind %s", name, k)
		}
	}
}

func TestCauseReachesLogAndChainNeverCaller(t *testing.T) {
	cause := errors.New("row 7 is locked")
	for _, k := range Kinds() {
		e := Wrap(k, cause, "later")
		if !errors.Is(e, cause) || !strings.Contains(e.Error(), cause.Error()) || !strings.Contains(e.Error(), string(k)) {
			t.Errorf("%s: %v", k, e)
		}
		if _, body := Render(e, ""); bytes.Contains(body, []byte("row 7")) {
			t.Errorf("%s: the caller sees %s", k, body)
		}
		if KindOf(fmt.Errorf("x: %w", e)) != k {
			t.Errorf("%s: KindOf %s", k, KindOf(e))
		}
	}
	e := New(Malformed, "label: %w", cause)
	if !errors.Is(e, cause) || e.Error() != "malformed: label: row 7 is locked" {
		t.Errorf("%v", e)
	}
	if e := New(Malformed, "%w and %w", cause, fs.ErrExist); !errors.Is(e, cause) || !errors.Is(e, fs.ErrExist) {
		t.Errorf("of two causes not both are kept: %v", e)
	}
	if e := New(Malformed, "plain"); e.Cause != nil || e.Error() != "malformed: plain" {
		t.Errorf("%v", e)
	}
}

func TestParseRefusesWhatIsNoProblem(t *testing.T) {
	doc := func(typ string) string { return `{"type":"` + typ + `","title":"x","status":404}` }
	for _, tt := range []struct {
		status int
		body   string
	}{
		{502, ""}, {502, "<html>"}, {200, "{}"}, {404, "null"}, {404, "[]"}, {404, doc("about:blank")}, {404, doc("urn:entente:problem:")},
		{404, doc("urn:entente:problem:other")}, {404, doc("urn:entente:problem:internal")}, {403, doc("urn:entente:problem:not-found")},
		{404, doc("urn:entente:problem:Not-Found")}, {0, doc("urn:entente:problem:other")},
	} {
		got := Parse(tt.status, []byte(tt.body))
		if got.Kind != Internal || !strings.Contains(got.Detail, fmt.Sprint(tt.status)) {
			t.Errorf("%d %s: %v", tt.status, tt.body, got)
		}
	}
}

func FuzzParse(f *testing.F) {
	for _, k := range Kinds() {
		status, body := Render(&Error{Kind: k, Detail: "d", Codes: []string{"c"}}, "e")
		f.Add(status, body)
	}
	f.Fuzz(func(t *testing.T, status int, body []byte) {
		e := Parse(status, body)
		if e.Kind.Status() == 0 {
			t.Fatalf("kind %q", e.Kind)
		}
		s, again := Render(e, "")
		if s != e.Kind.Status() || !json.Valid(again) || Parse(s, again).Kind != e.Kind {
			t.Fatalf("%d %s", s, again)
		}
	})
}
