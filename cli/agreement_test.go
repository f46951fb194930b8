package cli

import (
	"bytes"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/entente-hub/entente/api/alert"
	"github.com/entente-hub/entente/api/federation"
	"github.com/entente-hub/entente/api/nodeapi"
)

// The terms in the help are ones that are taken, and leave nothing out.
func TestTermsExampleIsTaken(t *testing.T) {
	a, err := parseTerms([]byte(termsExample))
	if err != nil {
		t.Fatal(err)
	}
	v := reflect.ValueOf(*a)
	for i := range v.NumField() {
		if name := v.Type().Field(i).Name; v.Field(i).IsZero() && name != "Onward" {
			t.Errorf("%s is left out", name)
		}
	}
	if a.ValidFrom != time.Date(2026, 12, 1, 0, 0, 0, 0, time.UTC).Unix() {
		t.Errorf("valid from %d", a.ValidFrom)
	}
	if !strings.Contains(help(t, "agreement", "propose"), termsExample) {
		t.Error("the help does not show it")
	}
}

// Whatever an agreement says can be written, under the same name but for its dates.
func TestTermsNameAllOfAnAgreement(t *testing.T) {
	names := func(v any) map[string]bool {
		out := make(map[string]bool)
		for f := range reflect.TypeOf(v).Fields() {
			name, _, _ := strings.Cut(f.Tag.Get("json"), ",")
			out[name] = true
		}
		return out
	}
	file := names(terms{})
	for name := range names(federation.Agreement{}) {
		if !file[map[string]string{"nbf": "valid_from", "exp": "valid_until"}[name]] && !file[name] {
			t.Errorf("terms have no %s", name)
		}
	}
}

func TestTermsRefused(t *testing.T) {
	change := func(old, new string) string { return strings.Replace(termsExample, old, new, 1) }
	for name, text := range map[string]string{
		"a typo":              change("retention_days", "retention_dais"),
		"a field twice":       termsExample + "id: another-one\n",
		"a name in capitals":  change("title:", "Title:"),
		"one party":           change("parties: [XA, XB]", "parties: [XA]"),
		"who is no party":     change("from: [XA]", "from: [XC]"),
		"nobody receives":     change("to: [XB]", "to: []"),
		"an unknown category": change("smuggling, trafficking", "smugling"),
		"an unknown level":    change("secret ", "geheim "),
		"an unknown purpose":  change("[investigation, prevention]", "[curiosity]"),
		"no retention":        change("retention_days: 365", "retention_days: 0"),
		"no dates":            change("valid_from: 2026-12-01", "#"),
		"a date that is none": change("valid_from: 2026-12-01", "valid_from: 2026-13-01"),
		"a date in words":     change("valid_from: 2026-12-01", "valid_from: tomorrow"),
		"a fraction":          change("valid_from: 2026-12-01", "valid_from: 2026-12-01T00:00:00.5Z"),
		"the end first":       change("valid_until: 2027-12-01", "valid_until: 2026-11-30"),
		"seconds":             change("valid_from: 2026-12-01", "valid_from: 1796083200"),
		"two documents":       termsExample + "---\n" + termsExample,
		"a list":              "- id: x",
		"nothing":             "",
	} {
		if a, err := parseTerms([]byte(text)); err == nil {
			t.Errorf("%s: taken as %+v", name, a)
		}
	}
}

// An agreement that all have signed is in force only if it is.
func TestAgreedInWords(t *testing.T) {
	terms, err := parseTerms([]byte(termsExample))
	if err != nil {
		t.Fatal(err)
	}
	reason := "under\x1b review"
	for state, want := range map[nodeapi.AgreementState]string{
		nodeapi.InForce:     "in force",
		nodeapi.NotYetValid: "all have signed; not yet valid: in force from 2026-12-01",
		nodeapi.Expired:     "all have signed, but it has expired: it ended 2027-12-01",
		nodeapi.Suspended:   "all have signed, but it is suspended by XB (\"under review\")",
	} {
		a := nodeapi.Agreement{State: state, Terms: *terms}
		if state == nodeapi.Suspended {
			a.SuspendedBy = &[]nodeapi.SuspendedBy{{Party: "XB", Reason: &reason}}
		}
		if got := agreed(a); got != want && !(state == nodeapi.Suspended && strings.HasPrefix(got, "all have signed, but it is suspended by XB") && !strings.Contains(got, "\x1b")) {
			t.Errorf("%s: %q", state, got)
		}
	}
}

// Terms whose time is over are not proposed.
func TestTermsThatAreOver(t *testing.T) {
	past := strings.NewReplacer("2026-12-01 ", "2020-12-01 ", "2027-12-01 ", "2021-12-01 ").Replace(termsExample)
	file := write(t, []byte(past), t.TempDir(), "past.yaml")
	if _, stderr := entente(t, exitUsage, "agreement", "propose", "--terms", file, "--config", "absent.yaml"); !strings.Contains(stderr, "2021-12-01, has passed") {
		t.Error(stderr)
	}
}

// Whatever differs between two versions shows, and nothing else.
func TestChangesShow(t *testing.T) {
	was, err := parseTerms([]byte(termsExample))
	if err != nil {
		t.Fatal(err)
	}
	print := func(now, was *federation.Agreement) string {
		var b bytes.Buffer
		if err := printTerms(&b, now, was); err != nil {
			t.Fatal(err)
		}
		return b.String()
	}
	if same := print(was, was); strings.Contains(same, "\n+") || strings.Contains(same, "\n-") || !sameTerms(was, was) {
		t.Error(same)
	}
	changes := map[string]func(a *federation.Agreement){
		"Title":             func(a *federation.Agreement) { a.Title = "Another" },
		"Parties":           func(a *federation.Agreement) { a.Parties = append(a.Parties, "XC") },
		"From":              func(a *federation.Agreement) { a.From = nil },
		"To":                func(a *federation.Agreement) { a.To = nil },
		"Categories":        func(a *federation.Agreement) { a.Categories = a.Categories[:1] },
		"MaxClassification": func(a *federation.Agreement) { a.MaxClassification = alert.TopSecret },
		"PersonalData":      func(a *federation.Agreement) { a.PersonalData = alert.SpecialCategory },
		"Purposes":          func(a *federation.Agreement) { a.Purposes = a.Purposes[1:] },
		"RetentionDays":     func(a *federation.Agreement) { a.RetentionDays++ },
		"Onward":            func(a *federation.Agreement) { a.Onward = !a.Onward },
		"ValidFrom":         func(a *federation.Agreement) { a.ValidFrom++ },
		"ValidUntil":        func(a *federation.Agreement) { a.ValidUntil++ },
	}
	for f := range reflect.TypeOf(*was).Fields() {
		change := changes[f.Name]
		if f.Name == "ID" {
			continue // another id is another agreement
		}
		if change == nil {
			t.Errorf("%s: no test", f.Name)
			continue
		}
		now := *was
		change(&now)
		if got := print(&now, was); strings.Count("\n"+got, "\n+ ") != 1 || strings.Count("\n"+got, "\n- ") != 1 || sameTerms(&now, was) {
			t.Errorf("%s does not show:\n%s", f.Name, got)
		}
	}
}

// A digest is given whole: what is nearly one is none.
func TestWholeDigest(t *testing.T) {
	whole := federation.Digest([]byte("x"))
	for s, want := range map[string]bool{whole: true, whole[:42]: false, whole + "A": false, whole[:42] + "=": false, "": false,
		strings.ToUpper(whole[:1]) + " " + whole[2:]: false, whole[:42] + "\n": false} {
		if got := wholeDigest(s) == nil; got != want {
			t.Errorf("%q: %t", s, got)
		}
	}
}

// FuzzTerms: what is taken as terms is a whole agreement.
func FuzzTerms(f *testing.F) {
	f.Add([]byte(termsExample))
	f.Add([]byte("id: x\nparties: [XA, XB]"))
	f.Fuzz(func(t *testing.T, raw []byte) {
		a, err := parseTerms(raw)
		if err != nil {
			return
		}
		if _, err := federation.NewStatement(federation.TypeAgreement, a, 1, "", 1); err != nil {
			t.Fatalf("%+v: %v", a, err)
		}
	})
}

// What the hub says for itself moves no cursor on a terminal.
func TestTableIsPlain(t *testing.T) {
	var b bytes.Buffer
	if err := table(&b, []string{"A", "B"}, [][]string{{"x\x1b[2J", "y\tz\nw\u009b"}}); err != nil {
		t.Fatal(err)
	}
	if got := b.String(); strings.ContainsAny(got, "\x1b\u009b\t") || strings.Count(got, "\n") != 2 {
		t.Errorf("%q", got)
	}
}
