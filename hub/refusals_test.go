package hub_test

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/entente-hub/entente/api/alert"
	"github.com/entente-hub/entente/api/federation"
	"github.com/entente-hub/entente/api/feed"
	"github.com/entente-hub/entente/api/problem"
	"github.com/entente-hub/entente/crypto/keys"
	"github.com/entente-hub/entente/hub"
)

func b64(b []byte) string { return base64.RawURLEncoding.EncodeToString(b) }

// forge signs a JWS with any header: what a library would refuse to make.
func forge(t *testing.T, header map[string]any, payload []byte, sign func(input []byte) []byte) string {
	t.Helper()
	h, err := json.Marshal(header)
	if err != nil {
		t.Fatal(err)
	}
	input := b64(h) + "." + b64(payload)
	return input + "." + b64(sign([]byte(input)))
}

func with(t *testing.T, k keys.Signer) func([]byte) []byte {
	return func(input []byte) []byte {
		sigs, err := k.Sign(t.Context(), [][]byte{input})
		if err != nil {
			t.Fatal(err)
		}
		return sigs[0]
	}
}

func payloadOf(t testing.TB, token string) []byte {
	t.Helper()
	raw, err := base64.RawURLEncoding.DecodeString(strings.Split(token, ".")[1])
	if err != nil {
		t.Fatal(err)
	}
	return raw
}

// disclosuresOf sorts an alert's disclosures by what they disclose.
func disclosuresOf(t *testing.T, token string) (jws string, of map[string]string) {
	t.Helper()
	jws, list := parts(token)
	of = make(map[string]string)
	for _, d := range list {
		raw, err := base64.RawURLEncoding.DecodeString(d)
		if err != nil {
			t.Fatal(err)
		}
		var a []any
		if err := json.Unmarshal(raw, &a); err != nil {
			t.Fatal(err)
		}
		if name, ok := a[1].(string); ok {
			of[name] = d
		} else {
			of["portion"] = d
		}
	}
	return jws, of
}

func TestForgedAlertsAreRefused(t *testing.T) {
	w := newWorld(t)
	_, token := w.issue("XA", label("XB"))
	payload := payloadOf(t, token)
	node := w.nodes["XA"]
	kid := node.Public().KeyID()
	mallory, err := keys.Generate("XA", keys.EdDSA)
	if err != nil {
		t.Fatal(err)
	}
	jwk, err := json.Marshal(mallory.Public())
	if err != nil {
		t.Fatal(err)
	}
	nodeJWK, err := json.Marshal(node.Public())
	if err != nil {
		t.Fatal(err)
	}
	_, disclosures := parts(token)
	header := func(alg, typ, kid string) map[string]any {
		return map[string]any{"alg": alg, "typ": typ, "kid": kid}
	}
	withJWK := header("EdDSA", alert.Type, kid)
	withJWK["jwk"] = json.RawMessage(jwk)
	for name, c := range map[string]struct {
		kind problem.Kind
		jws  string
	}{
		"alg none":                    {problem.BadSignature, forge(t, header("none", alert.Type, kid), payload, func([]byte) []byte { return nil })},
		"alg none with a signature":   {problem.BadSignature, forge(t, header("none", alert.Type, kid), payload, with(t, node))},
		"alg HS256 of the public key": {problem.BadSignature, forge(t, header("HS256", alert.Type, kid), payload, mac(nodeJWK))},
		"a jwk header":                {problem.BadSignature, forge(t, withJWK, payload, with(t, mallory))},
		"typ of a receipt":            {problem.BadSignature, forge(t, header("EdDSA", feed.ReceiptType, kid), payload, with(t, node))},
		"no typ":                      {problem.BadSignature, forge(t, map[string]any{"alg": "EdDSA", "kid": kid}, payload, with(t, node))},
		"mallory's key":               {problem.BadSignature, forge(t, header("EdDSA", alert.Type, mallory.Public().KeyID()), payload, with(t, mallory))},
		"mallory under XA's kid":      {problem.BadSignature, forge(t, header("EdDSA", alert.Type, kid), payload, with(t, mallory))},
		"XB's key":                    {problem.BadSignature, forge(t, header("EdDSA", alert.Type, w.nodes["XB"].Public().KeyID()), payload, with(t, w.nodes["XB"]))},
		"XA's root instead of a node": {problem.BadSignature, forge(t, header("EdDSA", alert.Type, w.root("XA").Public().KeyID()), payload, with(t, w.root("XA")))},
	} {
		t.Run(name, func(t *testing.T) {
			w.in(t).refused(c.kind, "XA", func() error {
				_, err := w.Publish(t.Context(), "XA", join(c.jws, disclosures...))
				return err
			})
		})
	}
	w.publish("XA", token) // it was only ever the forgery that was wrong
}

func mac(key []byte) func([]byte) []byte {
	return func(input []byte) []byte {
		m := hmac.New(sha256.New, key)
		m.Write(input)
		return m.Sum(nil)
	}
}

func TestIllFormedAlertsAreRefused(t *testing.T) {
	w := newWorld(t)
	_, token := w.issue("XA", label("XB"))
	jws, of := disclosuresOf(t, token)
	portion, lbl, content := of["portion"], of[alert.LabelName], of[alert.ContentName]
	node := w.nodes["XA"]
	header := map[string]any{"alg": "EdDSA", "typ": alert.Type, "kid": node.Public().KeyID()}
	var twice map[string]any
	if err := json.Unmarshal(payloadOf(t, token), &twice); err != nil {
		t.Fatal(err)
	}
	list := twice["portions"].([]any)
	for i := range list {
		list[i] = map[string]any{"...": hashOf(portion)}
	}
	referencedTwice, err := json.Marshal(twice)
	if err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		kind  problem.Kind
		token string
	}{
		"empty":                             {problem.Malformed, ""},
		"no SD-JWT":                         {problem.Malformed, "hello"},
		"no last tilde":                     {problem.Malformed, strings.TrimSuffix(token, "~")},
		"nothing disclosed":                 {problem.Malformed, join(jws)},
		"label missing":                     {problem.Malformed, join(jws, portion, content)},
		"content missing":                   {problem.Malformed, join(jws, portion, lbl)},
		"label and content missing":         {problem.Malformed, join(jws, portion)},
		"portion missing":                   {problem.Malformed, join(jws, lbl, content)},
		"a disclosure too many":             {problem.Malformed, join(jws, portion, lbl, content, b64([]byte(`["c2FsdHNhbHRzYWx0c2FsdA","x",1]`)))},
		"a disclosure twice":                {problem.Malformed, join(jws, portion, lbl, content, content)},
		"a disclosure referenced twice":     {problem.Malformed, join(forge(t, header, referencedTwice, with(t, node)), portion, lbl, content)},
		"a duplicate key in the payload":    {problem.Malformed, join(forge(t, header, duplicated(payloadOf(t, token)), with(t, node)), portion, lbl, content)},
		"an unknown field in the payload":   {problem.Malformed, join(forge(t, header, unknown(payloadOf(t, token)), with(t, node)), portion, lbl, content)},
		"a payload nested too deeply":       {problem.Malformed, join(forge(t, header, deep(), with(t, node)), portion, lbl, content)},
		"more bytes than an alert can have": {problem.TooLarge, token + strings.Repeat("A", alert.MaxBytes) + "~"},
	} {
		t.Run(name, func(t *testing.T) {
			w.in(t).refused(c.kind, "XA", func() error {
				_, err := w.Publish(t.Context(), "XA", c.token)
				return err
			})
		})
	}
}

func hashOf(disclosure string) string {
	sum := sha256.Sum256([]byte(disclosure))
	return b64(sum[:])
}

func duplicated(payload []byte) []byte { return []byte(`{"iss":"XA",` + string(payload[1:])) }
func unknown(payload []byte) []byte    { return []byte(`{"title":"x",` + string(payload[1:])) }
func deep() []byte {
	return []byte(`{"iss":` + strings.Repeat("[", 40) + strings.Repeat("]", 40) + `}`)
}

func TestInadmissibleAlertsAreRefused(t *testing.T) {
	w := newWorld(t)
	shifted := func(iat, exp time.Duration) alert.Alert {
		a := w.compose("XA", label("XB"))
		a.IssuedAt, a.Expires = w.clock.now().Add(iat).Unix(), w.clock.now().Add(exp).Unix()
		return a
	}
	high, inside, scheme := label("XA"), label("XA"), label("XB")
	high.Classification = alert.Secret
	inside.Compartments = []alert.TaskForceID{"tf-river"}
	scheme.Policy = "urn:entente:policy:other:1"
	for name, c := range map[string]struct {
		kind   problem.Kind
		member alert.MemberID
		alert  alert.Alert
		codes  []string
	}{
		"expired":                   {problem.Expired, "XA", shifted(-2*time.Minute, -time.Minute), nil},
		"not yet valid":             {problem.NotYetValid, "XA", shifted(time.Hour, 2*time.Hour), nil},
		"above the ceiling":         {problem.NotAdmitted, "XD", w.compose("XD", high), []string{"originator-ceiling"}},
		"another's compartment":     {problem.NotAdmitted, "XD", w.compose("XD", inside), []string{"unknown-compartment"}},
		"a recipient who is no one": {problem.NotAdmitted, "XA", w.compose("XA", label("XZ")), []string{"unknown-recipient"}},
		"an unknown scheme":         {problem.NotAdmitted, "XA", w.compose("XA", scheme), []string{"unknown-scheme"}},
		"another's alert":           {problem.WrongMember, "XB", w.compose("XA", label("XB")), nil},
	} {
		t.Run(name, func(t *testing.T) {
			err := w.in(t).refused(c.kind, string(c.member), func() error {
				_, err := w.Publish(t.Context(), c.member, w.sign(c.alert))
				return err
			})
			if p := err.(*problem.Error); !slices.Equal(p.Codes, c.codes) {
				t.Errorf("codes %v, want %v", p.Codes, c.codes)
			}
		})
	}
}

// An outsider must not learn which task forces there are: neither by publishing
// nor by asking beforehand.
func TestUnknownCompartmentAnswersLikeAnothers(t *testing.T) {
	w := newWorld(t)
	answer := func(ask func(alert.Label) error, compartment alert.TaskForceID) string {
		l := label("XA")
		l.Compartments = []alert.TaskForceID{compartment}
		_, body := problem.Render(ask(l), "")
		return string(body)
	}
	for name, ask := range map[string]func(alert.Label) error{
		"publish": func(l alert.Label) error {
			_, err := w.Publish(t.Context(), "XD", w.sign(w.compose("XD", l)))
			return err
		},
		"preview": func(l alert.Label) error {
			_, _, err := w.Preview(t.Context(), "XD", "", 0, []hub.Labelled{{ID: "p1", Label: l}})
			return err
		},
	} {
		t.Run(name, func(t *testing.T) {
			if diff := cmp.Diff(answer(ask, "tf-river"), answer(ask, "tf-nowhere")); diff != "" {
				t.Errorf("the answers differ:\n%s", diff)
			}
		})
	}
}

func TestStatementsAreRefused(t *testing.T) {
	w := newWorld(t)
	authority := w.authority()
	mallory, err := keys.Generate("authority", keys.EdDSA)
	if err != nil {
		t.Fatal(err)
	}
	head, ok := w.Directory().HeadNamed("registry", "entente-trial")
	if !ok {
		t.Fatal("no registry")
	}
	changed := w.changedRegistry(func(r *federation.Registry) { r.Rules.MaxRetentionDays = 10 })
	other := w.changedRegistry(func(r *federation.Registry) { r.Federation = "other" })
	of := func(body federation.Body, rev int64, prev string, by ...keys.Signer) []byte {
		return w.stateAs(federation.TypeRegistry, body, rev, prev, by...)
	}
	suspend := func(id federation.AgreementID, party alert.MemberID, by alert.MemberID) []byte {
		return w.state(federation.TypeSuspension, &federation.Suspension{Agreement: id, Party: party, Suspended: true}, w.root(by))
	}
	signed := of(changed, 2, head.Digest, authority["authority"])
	var general map[string]json.RawMessage
	if err := json.Unmarshal(signed, &general); err != nil {
		t.Fatal(err)
	}
	unsigned := []byte(`{"payload":` + string(general["payload"]) + `,"signatures":[]}`)
	for name, c := range map[string]struct {
		kind problem.Kind
		raw  []byte
	}{
		"no JSON":                            {problem.Malformed, []byte("hello")},
		"a registry nobody signed":           {problem.BadSignature, unsigned},
		"a registry of mallory's":            {problem.BadSignature, of(changed, 2, head.Digest, mallory)},
		"a registry of a policy officer's":   {problem.BadSignature, of(changed, 2, head.Digest, authority["officer-1"])},
		"an older registry":                  {problem.Conflict, of(changed, 1, "", authority["authority"])},
		"a forked registry":                  {problem.Fork, of(changed, 2, hashOf("x"), authority["authority"])},
		"a registry too far ahead":           {problem.Fork, of(changed, 3, head.Digest, authority["authority"])},
		"another federation's registry":      {problem.Fork, of(other, 1, "", authority["authority"])},
		"suspending an unknown agreement":    {problem.Malformed, suspend("no-such-agreement", "XB", "XB")},
		"suspending what one is no party of": {problem.Malformed, suspend("xa-xb-smuggling", "XC", "XC")},
		"suspending in another's name":       {problem.BadSignature, suspend("xa-xb-smuggling", "XB", "XA")},
		"an agreement that one party signed": {problem.BadSignature, w.state(federation.TypeAgreement, &federation.Agreement{
			ID: "wish", Title: "Wish", Parties: []alert.MemberID{"XA", "XD"}, Categories: []alert.Category{"smuggling"}, MaxClassification: alert.Secret,
			PersonalData: alert.Personal, Purposes: []alert.Purpose{"prevention"}, RetentionDays: 1, ValidFrom: 1, ValidUntil: 1 << 32}, w.root("XA"))},
		"a policy of one officer of two": {problem.BadSignature, w.state(federation.TypePolicy,
			&federation.Policy{Name: hub.PolicyName, Digest: hashOf("x"), Bundle: 2}, authority["officer-1"])},
	} {
		t.Run(name, func(t *testing.T) {
			w.in(t).refused(c.kind, "XA", func() error { return w.SubmitStatement(t.Context(), "XA", c.raw) })
		})
	}
	w.submitTo(w.Hub, signed)
	w.submitTo(w.Hub, signed) // changes nothing
	if n := w.Directory().Registry().Rules.MaxRetentionDays; n != 10 {
		t.Errorf("the registry in force is not the one that was signed: %d", n)
	}
}

// vulnerability: an alert names its own time of issue, so a key that has been
// revoked could go on signing alerts from before its end.
// attack: mallory signs with XA's revoked key and an iat before the revocation.
// guarantee: a key that is revoked when its alert comes in is refused.
func TestEndedKeyCannotBackdate(t *testing.T) {
	w := newWorld(t)
	a, token := w.issue("XA", label("federation"))
	pub := w.nodes["XA"].Public()
	head, ok := w.Directory().Head(federation.TypeNodeKey, pub.KeyID())
	if !ok {
		t.Fatal("no node key")
	}
	body := *head.Body.(*federation.NodeKey)
	body.Revoked = a.IssuedAt + 1
	w.submitTo(w.Hub, w.state(federation.TypeNodeKey, &body, w.root("XA")))
	w.clock.advance(2 * time.Second)
	w.refused(problem.BadSignature, "XA", func() error {
		_, err := w.Publish(t.Context(), "XA", token)
		return err
	})
}
