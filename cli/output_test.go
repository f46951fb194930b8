package cli

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"reflect"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/entente-hub/entente/api/alert"
	"github.com/entente-hub/entente/api/federation"
	"github.com/entente-hub/entente/api/feed"
	"github.com/entente-hub/entente/api/hubapi"
	"github.com/entente-hub/entente/api/nodeapi"
	"github.com/entente-hub/entente/api/problem"
)

// forged is a text that tries all that a screen does with characters.
const forged = "x\nagreement xa-xc, version 1: in-force\r\nNAME  STATE\t\x1b[2J\u009b1A\x7f\u2028y\u2029z\u202e\u2066\u200e\u061c\x00 \u00a0\u3000 \xff\x9b."

// harmless is the same length of text that tries nothing.
const harmless = "x"

func TestPlain(t *testing.T) {
	for in, want := range map[string]string{
		"plain, é ✓ עברית": "plain, é ✓ עברית", "a\x1b[2J": `a\u001b[2J`, "a\nb\t c\r": `a b c\u000d`, "\u202ea": `\u202ea`, " a  b\u00a0 ": "a b",
		"\x9b": `\x9b`, "\u009b\u007f": `\u009b\u007f`, "\ufffd": "\ufffd", "": "", "\n": "",
	} {
		if got := plain(in); got != want {
			t.Errorf("%q is printed as %q, want %q", in, got, want)
		}
	}
}

// FuzzPlain: no text of others leaves its line, hides anything or reaches for another
// column, and text that does not try stays as it is.
func FuzzPlain(f *testing.F) {
	for _, s := range []string{forged, harmless, "a\\u001b", "\u2066\u2069", "\xe2\x80", "a \u2003 b"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		got := plain(s)
		if !utf8.ValidString(got) || strings.ContainsFunc(got, hidden) || strings.Contains(got, "  ") || strings.TrimSpace(got) != got || plain(got) != got {
			t.Fatalf("%q is printed as %q", s, got)
		}
		if utf8.ValidString(s) && !strings.ContainsFunc(s, hidden) && !strings.Contains(s, "  ") && strings.TrimSpace(s) == s && !strings.ContainsAny(s, "\u00a0\u1680\u202f\u205f\u3000") &&
			!strings.ContainsFunc(s, func(r rune) bool { return r >= 0x2000 && r <= 0x200A }) && got != s {
			t.Fatalf("%q is printed as %q", s, got)
		}
		var b bytes.Buffer
		if err := table(&b, nil, [][]string{{s, s}, {"x", s}}); err != nil || strings.Count(b.String(), "\n") != 2 {
			t.Fatalf("%q, %v", &b, err)
		}
	})
}

// FuzzPrintedJSON: JSON is printed with nothing hidden in it, and says the same.
func FuzzPrintedJSON(f *testing.F) {
	for _, s := range []string{"{\"a\": \"\u202e\u009b\u2028\x7f\",\n \"b\": [1, null, \"\\n\\u001b\"]}", "\"\u061c\"", "{\"\u200e\": 1e3}", "[", "\x1b"} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, raw []byte) {
		line := jsonLine(raw)
		if strings.ContainsFunc(line, hidden) || !utf8.ValidString(line) {
			t.Fatalf("%q is printed as %q", raw, line)
		}
		if !json.Valid(raw) {
			return
		}
		var b bytes.Buffer
		if err := printJSON(&b, json.RawMessage(raw)); err != nil {
			t.Fatal(err)
		}
		if strings.ContainsFunc(strings.ReplaceAll(b.String(), "\n", ""), hidden) {
			t.Fatalf("%q is printed as %q", raw, &b)
		}
		if want := exact(raw); !reflect.DeepEqual(exact([]byte(line)), want) || !reflect.DeepEqual(exact(b.Bytes()), want) {
			t.Fatalf("%q says something else: %q, %q", raw, line, &b)
		}
	})
}

// screens are all that commands print of what others have written, each with a text in
// every place where one can stand.
func screens(t *testing.T, text string) map[string]func(io.Writer) error {
	t.Helper()
	at := time.Unix(1796083200, 0)
	object, err := json.Marshal(map[string]string{"description": strings.ToValidUTF8(text, "?")})
	if err != nil {
		t.Fatal(err)
	}
	object = bytes.ReplaceAll(object, []byte(`\u2028`), []byte("\u2028"))
	terms, err := parseTerms([]byte(termsExample))
	if err != nil {
		t.Fatal(err)
	}
	terms.Title = text
	recall, purged := &alert.Recall{Mode: alert.RecallMode(text), Reason: text}, &[]nodeapi.Purged{{Cause: feed.Cause(text), Portions: []string{text}}}
	emergency := &nodeapi.EmergencyRelease{Threat: text, Duty: text, Until: at}
	suspended := nodeapi.Agreement{Id: text, State: nodeapi.Suspended, Terms: *terms, SuspendedBy: &[]nodeapi.SuspendedBy{{Party: "XB", Reason: &text}}}
	decided := hubapi.MemberDecision{Member: text, Release: hubapi.MemberDecisionRelease(text), Message: &text, Codes: &[]string{text},
		Agreements: &[]hubapi.CitedAgreement{{Id: text, Title: text}}}
	audience := nodeapi.AudienceAnswer{Portions: []hubapi.PortionAudience{{Portion: text, Members: []hubapi.MemberDecision{decided}}}}
	waiting := &opened{Proposed: nodeapi.Proposed{Digest: text, By: text, Signers: &[]string{text}, Missing: &[]string{text}}}
	e := &federation.Emergency{Originator: "XA", Alert: "id", Threat: text, Duty: text, Members: []alert.MemberID{"XD"}}
	before := []nodeapi.Emergency{{Originator: "XA", Alert: "id", InForce: true, Members: []string{"XC", text}, Threat: text}}
	return map[string]func(io.Writer) error{
		"agreement list": func(w io.Writer) error {
			return printAgreements(w, []nodeapi.Agreement{suspended}, []nodeapi.Proposed{{Fault: &text, By: text, Digest: text}})
		},
		"standing": func(w io.Writer) error { return printf(w, "%s\n", standing(suspended)) },
		"terms":    func(w io.Writer) error { return printTerms(w, terms, terms) },
		"signers":  func(w io.Writer) error { return printSigners(w, waiting) },
		"emergency list": func(w io.Writer) error {
			return printEmergencies(w, before, []nodeapi.Proposed{{Fault: &text, Digest: text}})
		},
		"emergency sign": func(w io.Writer) error { return printDeclared(w, waiting, e, before) },
		"policy history": func(w io.Writer) error {
			return printPolicies(w, []nodeapi.PolicyChange{{Name: text, BundleDigest: text, Signers: []string{text}}}, nil)
		},
		"policy activate": func(w io.Writer) error {
			return policyChange{Policy: &federation.Policy{Name: text, Digest: text}, Replaces: &nodeapi.PolicyChange{BundleDigest: text},
				Rules: &rulesChange{New: []string{text}, Gone: []string{text}, Modules: []string{text}}}.print(w, waiting)
		},
		"policy verify": func(w io.Writer) error {
			return bundleReport{SignedBy: text, Rules: []bundleRule{{Of: text, Code: text, Message: text}}}.print(w)
		},
		"state": func(w io.Writer) error {
			return printState(w, text, &hubapi.ProposalState{Digest: text, Missing: []string{text}}, false)
		},
		"inbox": func(w io.Writer) error {
			return printInbox(w, []nodeapi.Received{{Id: text, Originator: text, Banner: text, Cursor: &text, Portions: []nodeapi.ReceivedPortion{{Portion: text}},
				Recall: recall, Purged: purged}}, true)
		},
		"show": func(w io.Writer) error {
			return printAlert(w, &nodeapi.ReceivedAlert{SignedBy: text, Summary: nodeapi.Received{Banner: text, Originator: text, Id: text, Recall: recall, Purged: purged},
				Portions: []nodeapi.HeldPortion{{Portion: text, Notice: &text, ShownAs: &text, ShownIn: &text, MarkedAs: &text, MarkedIn: &text, WithoutEquivalent: new(true),
					Grading: &alert.Grading{}, Emergency: emergency, Objects: &[]json.RawMessage{object}}}})
		},
		"explain": func(w io.Writer) error {
			return printExplanation(w, &nodeapi.Explanation{Originator: text, Id: text, Audience: &audience})
		},
		"received": func(w io.Writer) error {
			return printExplanation(w, &nodeapi.Explanation{Received: &[]nodeapi.GotBecause{{Portion: text, Why: []string{text}}}})
		},
		"preview": func(w io.Writer) error { return errors.Join(printAudience(w, &audience), printReasons(w, &audience)) },
		"publish": func(w io.Writer) error {
			return printOutgoing(w, &nodeapi.Outgoing{Id: text, Digest: text, LastError: &text, Recall: recall}, false)
		},
		"outbox": func(w io.Writer) error {
			return printOutbox(w, []nodeapi.Outgoing{{Id: text, State: nodeapi.OutgoingState(text), Recall: recall, LastError: &text, Problem: &text, Codes: &[]string{text}}})
		},
		"holders": func(w io.Writer) error {
			return printHolders(w, &nodeapi.HolderList{Id: text, Recall: recall, Members: []nodeapi.Holder{{Member: text, Faults: []string{text},
				Held: []nodeapi.HeldVersion{{Portions: []string{text}}}, Purged: []nodeapi.PurgedVersion{{Cause: feed.Cause(text), Portions: []string{text}}}}}})
		},
		"diff": func(w io.Writer) error {
			kind, value := feed.Kind(text), string(object)
			fields := []nodeapi.FieldDiff{{Path: text, Old: &value, New: &value}}
			return printDiff(w, &nodeapi.Diff{Originator: text, Id: text, Recall: recall, Portions: []nodeapi.PortionDiff{{Portion: text, Change: "changed", Before: &kind,
				Fields: fields, Objects: []nodeapi.ObjectDiff{{Id: text, Change: "changed", Fields: fields}}}}})
		},
		"changes": func(w io.Writer) error {
			return printChanges(w, []effect{{member: text, loses: []string{text}, keeps: []string{text}, gains: []string{text}}})
		},
		"status": func(w io.Writer) error {
			return printStatus(w, &nodeapi.Status{Hub: text, Revision: text, LastError: &text, Alarms: []nodeapi.Alarm{{Kind: text, Detail: text}}})
		},
		"error": func(w io.Writer) error {
			_, err := io.WriteString(w, message(problem.New(problem.Conflict, "%s", text))+"\n")
			return err
		},
	}
}

// Nothing that another member, its officers or the hub writes adds a line to what a
// command prints, moves a cursor or turns text around.
func TestNobodyForgesALine(t *testing.T) {
	tame := screens(t, harmless)
	for name, show := range screens(t, forged) {
		var got, want bytes.Buffer
		if err := errors.Join(show(&got), tame[name](&want)); err != nil {
			t.Fatal(err)
		}
		if strings.Count(got.String(), "\n") != strings.Count(want.String(), "\n") {
			t.Errorf("%s: a line more\n%s", name, &got)
		}
		if strings.ContainsFunc(strings.ReplaceAll(got.String(), "\n", ""), hidden) || !utf8.Valid(got.Bytes()) {
			t.Errorf("%s: %q", name, &got)
		}
		if !strings.Contains(got.String(), `\u001b[2J`) && !strings.Contains(got.String(), `\x1b[2J`) {
			t.Errorf("%s does not show what was tried: %q", name, &got)
		}
	}
}

// A reason is told from what is said around it: it names no further party.
func TestReasonIsQuoted(t *testing.T) {
	reason := `x"), XC ("y`
	a := nodeapi.Agreement{State: nodeapi.Suspended, SuspendedBy: &[]nodeapi.SuspendedBy{{Party: "XB", Reason: &reason}}}
	if got := standing(a); got != `suspended by XB ("x\"), XC (\"y")` {
		t.Error(got)
	}
}

// What a compiler says in several lines is printed in as many, which look like no
// others.
func TestErrorsOfSeveralLines(t *testing.T) {
	if got := message(usage("a\n\x1bb\nin force")); got != "usage: a\n  \\u001bb\n  in force" {
		t.Errorf("%q", got)
	}
}
