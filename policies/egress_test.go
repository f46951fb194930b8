package policies

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/entente-hub/entente/api/alert"
)

func TestEgressDefault(t *testing.T) {
	e, err := LoadEgress(nil, map[string]any{
		"max_classification": "restricted", "blocked_members": []string{"XC"}, "categories_kept_in": []string{"smuggling"},
		"require_handling_for_personal_data": true, "require_retention": true})
	if err != nil {
		t.Fatal(err)
	}
	l := fixedQuery().Label
	l.PersonalData = alert.Personal
	fine := l
	fine.Classification, fine.ReleasableTo, fine.Categories = alert.Restricted, []alert.Audience{"XB"}, []alert.Category{"visa"}
	fine.Handling, fine.Retention = []alert.Handling{"H1"}, "2027-03-31"
	got, err := e.Check(t.Context(), "XA", []alert.Label{fine, l})
	if err != nil {
		t.Fatal(err)
	}
	var want []Refusal
	for _, r := range e.Rules() {
		want = append(want, Refusal{r.Code, r.Message, 1})
	}
	if diff := cmp.Diff(want, got); diff != "" || len(want) != 5 {
		t.Error(diff)
	}
	open, err := LoadEgress(nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	if got, err := open.Check(t.Context(), "XA", []alert.Label{l}); err != nil || len(got) != 0 {
		t.Errorf("%v %v", got, err)
	}
}

// TestEgressLimitsAreStrict: a limit that would not limit is an error.
func TestEgressLimitsAreStrict(t *testing.T) {
	for name, data := range map[string]map[string]any{
		"misspelt":         {"max_clasification": "secret"},
		"other case":       {"Max_Classification": "secret"},
		"unknown level":    {"max_classification": "cosmic"},
		"no member":        {"blocked_members": []string{"xc"}},
		"no list":          {"blocked_members": "XC"},
		"unknown category": {"categories_kept_in": []string{"smugling"}},
		"no bool":          {"require_retention": "yes"},
		"not JSON":         {"require_retention": func() {}},
	} {
		t.Run(name, func(t *testing.T) {
			if _, err := LoadEgress(nil, data); !errors.Is(err, ErrPolicy) {
				t.Errorf("error %v", err)
			}
		})
	}
}

const ownEgress = `package entente.egress

deny contains {"code": "own", "message": "Not this one.", "portion": i} if {
	some i, label in input.labels
	data.egress.word in label.categories
	input.originator == "XA"
}
`

func TestEgressOwnModule(t *testing.T) {
	e, err := LoadEgress([]byte(ownEgress), map[string]any{"word": "smuggling"})
	if err != nil {
		t.Fatal(err)
	}
	got, err := e.Check(t.Context(), "XA", []alert.Label{fixedQuery().Label})
	if diff := cmp.Diff([]Refusal{{"own", "Not this one.", 0}}, got); diff != "" || err != nil {
		t.Error(diff, err)
	}
	if got, err := e.Check(t.Context(), "XB", []alert.Label{fixedQuery().Label}); err != nil || len(got) != 0 {
		t.Error(got, err)
	}
}

func TestEgressRefusesModules(t *testing.T) {
	for name, c := range map[string]struct{ module, want string }{
		"empty":         {"", "empty"},
		"other package": {"package entente.release\n\ndeny contains 1 if true\n", "package entente.egress"},
		"no deny":       {"package entente.egress\n\nallow := true\n", "rule deny"},
		"syntax":        {"package entente.egress\n\ndeny contains {", "parse"},
		"unknown input": {"package entente.egress\n\ndeny contains x if { x := nosuch(1) }\n", "compile"},
	} {
		t.Run(name, func(t *testing.T) {
			if _, err := LoadEgress([]byte(c.module), nil); !errors.Is(err, ErrPolicy) || !strings.Contains(err.Error(), c.want) {
				t.Errorf("error %v, want %q", err, c.want)
			}
		})
	}
}

// TestEgressReachesNothing: a member's module can not leave the process.
func TestEgressReachesNothing(t *testing.T) {
	for _, call := range []string{`http.send({"method": "get", "url": "http://localhost"})`, `net.lookup_ip_addr("localhost")`,
		`opa.runtime()`, `rand.intn("x", 2)`, `time.now_ns()`, `uuid.rfc4122("x")`, `net.cidr_contains("10.0.0.0/8", "10.1.1.1")`} {
		module := "package entente.egress\n\ndeny contains x if { x := " + call + " }\n"
		if _, err := LoadEgress([]byte(module), nil); !errors.Is(err, ErrPolicy) || !strings.Contains(err.Error(), "undefined function") {
			t.Errorf("%s: error %v", call, err)
		}
	}
}

// TestEgressWrongAnswersAreErrors: what can not be read is not leave to send.
func TestEgressWrongAnswersAreErrors(t *testing.T) {
	for _, answer := range []string{`"no"`, `{"message": "m"}`, `{"code": "", "message": "m"}`, `{"code": "c"}`,
		`{"code": "c", "message": "m", "portion": 1}`, `{"code": "c", "message": "m", "portion": -1}`, `{"code": "c", "message": "m", "portion": "0"}`} {
		e, err := LoadEgress([]byte(fmt.Sprintf("package entente.egress\n\ndeny contains %s if true\n", answer)), nil)
		if err != nil {
			t.Fatal(err)
		}
		if got, err := e.Check(t.Context(), "XA", []alert.Label{fixedQuery().Label}); !errors.Is(err, ErrPolicy) {
			t.Errorf("%s: %v %v", answer, got, err)
		}
	}
	e, err := LoadEgress([]byte("package entente.egress\n\ndeny := true\n"), nil)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := e.Check(t.Context(), "XA", nil); !errors.Is(err, ErrPolicy) {
		t.Errorf("error %v", err)
	}
}

// TestEgressStops: a member's module can not hold the node up for ever.
func TestEgressStops(t *testing.T) {
	e, err := LoadEgress([]byte(`package entente.egress

deny contains {"code": "c", "message": "m"} if {
	`+endless+`
}
`), nil)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := e.Check(ctx, "XA", nil); !errors.Is(err, context.Canceled) {
		t.Errorf("error %v", err)
	}
}
