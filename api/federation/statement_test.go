package federation

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/entente-hub/entente/api/alert"
	"github.com/entente-hub/entente/api/strictjson"
)

func isRefusal(err error) bool {
	return errors.Is(err, ErrInvalid) || errors.Is(err, strictjson.ErrStrict)
}

func statement(t testing.TB, typ StatementType) []byte {
	t.Helper()
	payload, err := NewStatement(typ, bodies()[typ], 1, "", 1_800_000_000)
	if err != nil {
		t.Fatalf("%s: %v", typ, err)
	}
	return payload
}

func TestStatementsRoundTrip(t *testing.T) {
	for typ, body := range bodies() {
		payload := statement(t, typ)
		s, got, err := ParseStatement(payload)
		if err != nil {
			t.Errorf("%s: %v", typ, err)
			continue
		}
		if diff := cmp.Diff(body, got); diff != "" {
			t.Errorf("%s: %s", typ, diff)
		}
		if s.Type != typ || s.Subject != subjects[typ] || s.Revision != 1 || s.Previous != "" || s.IssuedAt != 1_800_000_000 {
			t.Errorf("%s: %+v", typ, s)
		}
		if e, ok := got.(*Emergency); ok { // all that its second revision may say
			e.Over = true
		}
		next, err := NewStatement(typ, got, 2, Digest(payload), 1_800_000_001)
		if err != nil {
			t.Errorf("%s, revision 2: %v", typ, err)
		}
		if Digest(next) == Digest(payload) {
			t.Errorf("%s: two revisions have one digest", typ)
		}
	}
}

// Statements are signed: their bytes must not change.
func TestStatementBytes(t *testing.T) {
	want := `{"type":"consent","sub":"XA/` + alertID + `","rev":1,"iat":1800000000,` +
		`"body":{"originator":"XA","alert":"` + alertID + `","recipients":["XB","coastal"]}}`
	if got := string(statement(t, TypeConsent)); got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
	if got := Digest(nil); got != "47DEQpj8HBSa-_TImW-5JCeuQeRkm5NMpJWZG3hSuFU" { // SHA-256 of nothing
		t.Errorf("digest %s", got)
	}
}

func TestEmptyListsAreWritten(t *testing.T) {
	for typ, body := range map[StatementType]Body{
		TypeRoster: &Roster{TaskForce: "tf-sea"}, TypeConsent: &Consent{Originator: "XA", Alert: alertID}, // consent withdrawn
	} {
		if payload, err := NewStatement(typ, body, 1, "", 1); err != nil || !bytes.Contains(payload, []byte(`:[]}`)) {
			t.Errorf("%s: %s, %v", typ, payload, err)
		}
	}
	r := bodies()[TypeRegistry].(*Registry)
	r.Communities = []Community{{ID: "empty"}}
	if _, err := NewStatement(TypeRegistry, r, 1, "", 1); err != nil {
		t.Error(err)
	}
	a := bodies()[TypeAgreement].(*Agreement)
	a.From = []alert.MemberID{} // must not come to mean every party
	if payload, err := NewStatement(TypeAgreement, a, 1, "", 1); !errors.Is(err, ErrInvalid) {
		t.Errorf("%s, %v", payload, err)
	}
	a.From, a.To = nil, nil
	if _, err := NewStatement(TypeAgreement, a, 1, "", 1); err != nil {
		t.Error(err)
	}
}

func TestBodiesRefuse(t *testing.T) {
	for typ := range bodies() {
		good := toObject(json.RawMessage(statement(t, typ)))
		if len(refusals[typ]) == 0 {
			t.Errorf("%s: no refusals", typ)
		}
		for name, change := range refusals[typ] {
			body := good["body"].(object)
			for member, v := range change {
				body = with(body, member, v)
			}
			sub := good["sub"]
			if kid, ok := body["kid"]; ok && kid != "" { // so that it is not the subject that is refused
				sub = kid
			}
			b, err := json.Marshal(with(with(good, "body", body), "sub", sub))
			if err != nil {
				t.Fatal(err)
			}
			if _, got, err := ParseStatement(b); !isRefusal(err) || got != nil {
				t.Errorf("%s, %s: %v", typ, name, err)
			} else if strings.Contains(err.Error(), "where the body says") && typ != TypeRegistry {
				t.Errorf("%s, %s: refused for its subject alone: %v", typ, name, err)
			}
		}
		for member := range good["body"].(object) { // a name in another case, and null
			for _, change := range []object{with(with(good["body"].(object), member, gone{}), strings.ToUpper(member), good["body"].(object)[member]),
				with(good["body"].(object), member, nil)} {
				b, _ := json.Marshal(with(good, "body", change))
				if _, _, err := ParseStatement(b); !errors.Is(err, strictjson.ErrStrict) {
					t.Errorf("%s, %s: %v", typ, member, err)
				}
			}
		}
	}
}

func TestStatementRefuses(t *testing.T) {
	good := toObject(json.RawMessage(statement(t, TypePolicy)))
	digest := thumbprint("previous")
	for name, change := range map[string]object{
		"type unknown": {"type": "treaty"}, "type missing": {"type": gone{}}, "type in capitals": {"type": "Policy"}, "type of another": {"type": "roster"},
		"sub missing": {"sub": gone{}}, "sub of another": {"sub": "admission"}, "sub null": {"sub": nil}, "rev missing": {"rev": gone{}}, "rev 0": {"rev": 0}, "rev negative": {"rev": -1}, "rev huge": {"rev": json.Number("9223372036854775808")},
		"first with prev": {"prev": digest}, "second without": {"rev": 2}, "prev empty": {"rev": 2, "prev": ""}, "prev short": {"rev": 2, "prev": digest[1:]}, "prev padded": {"rev": 2, "prev": digest + "="},
		"prev loose": {"rev": 2, "prev": digest[:42] + "_"}, "prev in base64": {"rev": 2, "prev": "+" + digest[1:]}, "iat missing": {"iat": gone{}}, "iat 0": {"iat": 0}, "iat negative": {"iat": -1}, "iat over": {"iat": int64(alert.MaxTime) + 1},
		"iat fraction": {"iat": 1.5}, "body missing": {"body": gone{}}, "body null": {"body": nil}, "body a list": {"body": []any{}}, "body text": {"body": "{}"}, "body empty": {"body": object{}}, "unknown": {"exp": 1},
	} {
		o := good
		for k, v := range change {
			o = with(o, k, v)
		}
		b, _ := json.Marshal(o)
		if s, body, err := ParseStatement(b); !isRefusal(err) || body != nil || s.Type != "" {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, _, err := ParseStatement(nil); !isRefusal(err) {
		t.Error(err)
	}
	second := string(statement(t, TypePolicy))
	if _, _, err := ParseStatement([]byte(strings.Replace(second, `"name":`, `"name":"x","name":`, 1))); !errors.Is(err, strictjson.ErrStrict) {
		t.Errorf("a name twice in the body: %v", err)
	}
}

func TestEverySubjectIsTheBodys(t *testing.T) {
	for typ, body := range bodies() {
		if body.Subject() != subjects[typ] {
			t.Errorf("%s: subject %s", typ, body.Subject())
		}
		o := with(toObject(json.RawMessage(statement(t, typ))), "sub", subjects[typ]+"x")
		b, _ := json.Marshal(o)
		if _, _, err := ParseStatement(b); !errors.Is(err, ErrInvalid) {
			t.Errorf("%s under another subject: %v", typ, err)
		}
		for other := range bodies() { // no body passes for one of another type
			if other == typ {
				continue
			}
			b, _ := json.Marshal(with(toObject(json.RawMessage(statement(t, typ))), "type", other))
			if _, _, err := ParseStatement(b); !isRefusal(err) {
				t.Errorf("a %s passes for a %s: %v", typ, other, err)
			}
		}
	}
}

func TestStatementSize(t *testing.T) {
	payload := statement(t, TypePolicy)
	at := append(payload, bytes.Repeat([]byte(" "), MaxStatement-len(payload))...)
	if _, _, err := ParseStatement(at); err != nil {
		t.Errorf("at the limit: %v", err)
	}
	if _, _, err := ParseStatement(append(at, ' ')); !errors.Is(err, ErrInvalid) {
		t.Errorf("over the limit: %v", err)
	}
}

// A list as long as a statement may be is judged in linear time.
func TestLongLists(t *testing.T) {
	var list []alert.MemberID
	for i := range 100_000 {
		list = append(list, alert.MemberID(fmt.Sprintf("M%05d", i)))
	}
	if _, err := NewStatement(TypeRoster, &Roster{TaskForce: "tf-sea", Members: list}, 1, "", 1); err != nil {
		t.Error(err)
	}
}

func FuzzParseStatement(f *testing.F) {
	for typ := range bodies() {
		f.Add(statement(f, typ))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		s, body, err := ParseStatement(data)
		if err != nil {
			if !isRefusal(err) {
				t.Fatalf("a refusal of no kind: %v", err)
			}
			return
		}
		payload, err := NewStatement(s.Type, body, s.Revision, s.Previous, s.IssuedAt)
		if err != nil {
			t.Fatalf("what was read cannot be written: %v", err)
		}
		s2, again, err := ParseStatement(payload)
		if err != nil {
			t.Fatal(err)
		}
		payload2, err := NewStatement(s2.Type, again, s2.Revision, s2.Previous, s2.IssuedAt)
		if err != nil || !bytes.Equal(payload, payload2) || s2.Subject != s.Subject {
			t.Fatalf("not stable, %v:\n%s\n%s", err, payload, payload2)
		}
	})
}
