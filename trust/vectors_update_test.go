package trust

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/entente-hub/entente/api/alert"
	"github.com/entente-hub/entente/api/federation"
	"github.com/entente-hub/entente/api/feed"
	"github.com/entente-hub/entente/crypto/keys"
	"github.com/entente-hub/entente/crypto/sdjwt"
)

// A maker makes the vectors: right ones, and wrong ones by hand.
type maker struct {
	t          testing.TB
	statements []string
	vectors    []vector
}

func makeVectors(t testing.TB) []vector {
	m := &maker{t: t}
	d := New(authority.public)
	for _, s := range []struct {
		body federation.Body
		by   fixedKey
	}{{registry(), authority}, {certify("XA", node("XA")), root("XA")}, {certify("XB", nodeXB), root("XB")}} {
		d = with(t, d, s.body, s.by)
		m.statements = append(m.statements, string(mustHead(t, d, typeOf(s.body), s.body.Subject()).Raw))
	}
	m.good()
	m.keys(d)
	m.payloads()
	m.disclosures()
	m.wrongStatements(d)
	return m.vectors
}

var nodeXB = namedP256("XB", "node of XB")

func (m *maker) add(name, expect, token string) *vector {
	m.t.Helper()
	v := vector{Name: name, Statements: m.statements, Authority: jwk(authority), Token: token, Expect: expect}
	m.vectors = append(m.vectors, v)
	return &m.vectors[len(m.vectors)-1]
}

// ok adds a token that verifies; which it must here, for what it tells is read
// from it. What an alert tells is held to what was put in by the property tests.
func (m *maker) ok(name, token string) {
	m.t.Helper()
	v := m.add(name, "ok", token)
	a, got := v.play(m.t)
	if a == nil {
		m.t.Fatalf("%s: %s", name, got)
	}
	v.Hidden, v.Portions = &a.Hidden, portionsRead(m.t, a.Portions)
}

// issue signs an alert with salts that are the same every time.
func (m *maker) issue(k fixedKey, a alert.Alert) string {
	m.t.Helper()
	token, err := issueAlert(m.t.Context(), k, a, sdjwt.Options{Random: rand.NewChaCha8(seed("vectors"))})
	if err != nil {
		m.t.Fatal(err)
	}
	return token
}

func (m *maker) reduce(token string, releases map[alert.PortionID]feed.Kind) string {
	m.t.Helper()
	reduced, err := ReduceAlert(token, releases)
	if err != nil {
		m.t.Fatal(err)
	}
	return reduced
}

func (m *maker) good() {
	a := small("XA")
	a.Portions[0].Content.Grading = &alert.Grading{Scheme: "4x4", Source: "B", Information: "2"}
	a.Portions[0].Content.Objects = []json.RawMessage{
		object(1, `,"name":"grüße","x_n":[1.0,1e400,-0,12345678901234567890],"created":"2027-01-15T08:00:00.000Z"`),
		object(2, `,"x_s":"\u00e9\ud83d\ude00\/"`)}
	token := m.issue(node("XA"), a)
	m.ok("ok_all", token)
	m.ok("ok_es256", m.issue(nodeXB, small("XB")))
	m.ok("ok_nothing", m.reduce(token, nil))
	m.ok("ok_existence", m.reduce(token, map[alert.PortionID]feed.Kind{"one": feed.Existence}))
	m.ok("ok_content", m.reduce(token, map[alert.PortionID]feed.Kind{"two": feed.Content}))
	m.ok("ok_content_and_existence", m.reduce(token, map[alert.PortionID]feed.Kind{"one": feed.Content, "two": feed.Existence}))
	parts := strings.Split(strings.TrimSuffix(token, "~"), "~")
	var backwards []string
	for i := len(parts) - 1; i > 0; i-- {
		backwards = append(backwards, parts[i])
	}
	m.ok("ok_disclosures_in_another_order", sdjwt.Assemble(parts[0], backwards))
	a = small("XA")
	a.Version, a.Previous = 2, digestOf("version 1")
	m.ok("ok_second_version", m.issue(node("XA"), a))
	a = small("XA")
	for _, id := range []alert.PortionID{"three", "four", "five"} {
		a.Portions = append(a.Portions, portion(id))
	}
	m.ok("ok_five_portions", m.issue(node("XA"), a))
	a = small("XA")
	a.IssuedAt, a.Expires = founded, founded+1
	m.ok("ok_first_moment_of_key", m.issue(node("XA"), a))
	a.IssuedAt, a.Expires = founded+365*day-1, founded+365*day
	m.ok("ok_last_moment_of_key", m.issue(node("XA"), a))
}

func (m *maker) keys(d *Directory) {
	bad := "bad-signature"
	a := small("XA")
	m.add("root_signs", bad, m.issue(root("XA"), a))
	m.add("hub_signs", bad, m.issue(hubKey, a))
	m.add("authority_signs", bad, m.issue(authority, a))
	m.add("another_member_signs", bad, m.issue(nodeXB, a))
	m.add("stranger_signs", bad, m.issue(stranger, a))
	m.add("key_id_of_another_key", bad, m.issue(fixedKey{stranger.private, node("XA").public}, a))
	m.add("member_unknown", bad, m.issue(named("XE", "node of XE"), small("XE")))
	a.IssuedAt, a.Expires = founded-1, founded+day
	m.add("key_not_yet_valid", bad, m.issue(node("XA"), a))
	a.IssuedAt, a.Expires = founded+365*day, founded+366*day
	m.add("key_expired", bad, m.issue(node("XA"), a))
	token := m.issue(node("XA"), small("XA"))
	m.add("payload_tampered", bad, tampered(m.t, token))
	for _, typ := range []string{"entente-statement+json", "Entente-Alert+sd-jwt"} {
		jws, err := keys.Sign(m.t.Context(), node("XA"), typ, payloadOf(m.t, token))
		if err != nil {
			m.t.Fatal(err)
		}
		m.add("typ_"+strings.ToLower(strings.NewReplacer("+", "_", "-", "_").Replace(typ)), bad, jws+"~")
	}
	revoked := certify("XA", node("XA"))
	revoked.Revoked = today
	statement := string(nextAt(m.t, d, today, revoked, root("XA")))
	a = small("XA")
	m.add("key_revoked", bad, m.issue(node("XA"), a)).Statements = append(m.statements[:3:3], statement)
	a.IssuedAt--
	m.ok("ok_before_revocation", m.issue(node("XA"), a))
	m.vectors[len(m.vectors)-1].Statements = append(m.statements[:3:3], statement)
}

// tampered changes the version in the payload, and keeps the signature.
func tampered(t testing.TB, token string) string {
	t.Helper()
	payload := strings.Replace(string(payloadOf(t, token)), `"ver":1`, `"ver":1 `, 1)
	parts := strings.SplitN(token, ".", 3)
	return parts[0] + "." + disclose(payload) + "." + parts[2]
}

func payloadOf(t testing.TB, token string) []byte {
	t.Helper()
	parsed, err := sdjwt.Parse(token)
	if err != nil {
		t.Fatal(err)
	}
	return parsed.Payload
}

// byHand is a payload over digests, filled up with decoys to a multiple of 4.
func byHand(disclosures ...string) string {
	var refs []string
	for _, d := range disclosures {
		refs = append(refs, `{"...":"`+sdjwt.Digest(d)+`"}`)
	}
	for i := 0; len(refs) == 0 || len(refs)%4 != 0; i++ {
		refs = append(refs, `{"...":"`+digestOf(fmt.Sprint("decoy ", i))+`"}`)
	}
	return `{"iss":"XA","sub":"` + alertID + `","ver":1,"jti":"AAECAwQFBgcICQoLDA0ODw","iat":1800864000,"exp":1800950400,` +
		`"_sd_alg":"sha-256","portions":[` + strings.Join(refs, ",") + `]}`
}

func (m *maker) payloads() {
	good := byHand()
	m.ok("ok_all_decoys", forge(m.t, node("XA"), good))
	m.ok("ok_white_space", forge(m.t, node("XA"), strings.Replace(good, `{"iss"`, "{ \n\t\"iss\"", 1)))
	for name, change := range map[string][2]string{
		"iss_missing":          {`"iss":"XA",`, ``},
		"iss_lower_case":       {`"iss":"XA"`, `"iss":"xa"`},
		"iss_null":             {`"iss":"XA"`, `"iss":null`},
		"sub_not_uuid_7":       {alertID, "01890a5d-ac96-474b-bcce-b302099a8057"},
		"sub_upper_case":       {alertID, strings.ToUpper(alertID)},
		"ver_0":                {`"ver":1`, `"ver":0`},
		"ver_as_text":          {`"ver":1`, `"ver":"1"`},
		"ver_1_with_prev":      {`"ver":1`, `"ver":1,"prev":"` + digestOf("x") + `"`},
		"ver_2_without_prev":   {`"ver":1`, `"ver":2`},
		"ver_2_with_short":     {`"ver":1`, `"ver":2,"prev":"AAEC"`},
		"jti_short":            {`"AAECAwQFBgcICQoLDA0ODw"`, `"AAEC"`},
		"exp_at_iat":           {`"exp":1800950400`, `"exp":1800864000`},
		"exp_too_late":         {`"exp":1800950400`, `"exp":1958976001`},
		"iat_0":                {`"iat":1800864000`, `"iat":0`},
		"iat_fraction":         {`"iat":1800864000`, `"iat":1800864000.5`},
		"sd_alg_missing":       {`"_sd_alg":"sha-256",`, ``},
		"sd_alg_other":         {`"_sd_alg":"sha-256"`, `"_sd_alg":"sha-512"`},
		"claim_unknown":        {`"ver":1`, `"ver":1,"title":"in the clear"`},
		"claim_twice":          {`"ver":1`, `"ver":1,"ver":1`},
		"claim_in_other_case":  {`"ver":1`, `"Ver":1`},
		"portions_none":        {good[strings.Index(good, `"portions":`):], `"portions":[]}`},
		"portions_three":       {`{"...":"` + digestOf("decoy 3") + `"}`, ``},
		"portion_in_the_clear": {`{"...":"` + digestOf("decoy 3") + `"}`, `{"id":"one"}`},
		"digest_twice":         {digestOf("decoy 3"), digestOf("decoy 2")},
		"digest_short":         {digestOf("decoy 3"), "AAEC"},
	} {
		payload := strings.Replace(good, change[0], change[1], 1)
		if payload == good {
			m.t.Fatalf("%s changes nothing", name)
		}
		m.add(name, "malformed", forge(m.t, node("XA"), strings.Replace(payload, ",]", "]", 1)))
	}
	m.add("portions_68", "malformed", forge(m.t, node("XA"), byHand(make68()...)))
	m.ok("ok_portions_64", forge(m.t, node("XA"), byHand(make68()[:64]...)))
}

func make68() (out []string) {
	for i := range 68 {
		out = append(out, fmt.Sprint("never disclosed ", i))
	}
	return out
}

// Disclosures by hand.
var (
	aLabel   = `{"policy":"urn:entente:policy:regional:1","classification":"restricted","categories":["smuggling"],"purposes":["prevention"],"personal_data":"none"}`
	aContent = `{"objects":[` + string(object(1, "")) + `]}`
)

func nested(name, value string) string { return disclose(`["c2FsdA","` + name + `",` + value + `]`) }

// headOf is a portion's own disclosure, with the digests of its parts sorted.
func headOf(id, more string, parts ...string) string {
	a, b := sdjwt.Digest(parts[0]), sdjwt.Digest(parts[1])
	if a > b {
		a, b = b, a
	}
	return disclose(`["c2FsdA",{"id":"` + id + `"` + more + `,"_sd":["` + a + `","` + b + `"]}]`)
}

func (m *maker) disclosures() {
	l, c := nested("label", aLabel), nested("content", aContent)
	h := headOf("one", "", l, c)
	token := func(heads []string, rest ...string) string {
		return forge(m.t, node("XA"), byHand(heads...), append(heads, rest...)...)
	}
	m.ok("ok_by_hand", token([]string{h}, l, c))
	m.add("label_without_content", "malformed", token([]string{h}, l))
	m.add("content_without_label", "malformed", token([]string{h}, c))
	m.add("parts_without_portion", "malformed", forge(m.t, node("XA"), byHand(h), l, c))
	m.add("disclosure_twice", "malformed", token([]string{h}, l, c, c))
	m.add("disclosure_of_nothing", "malformed", token([]string{h}, l, c, nested("content", aLabel)))
	l2, c2 := disclose(`["c2FsdDI","label",`+aLabel+`]`), disclose(`["c2FsdDI","content",`+aContent+`]`)
	m.add("portion_id_twice", "malformed", token([]string{h, headOf("one", "", l2, c2)}, l, c, l2, c2))
	m.add("portion_id_twice_without_parts", "malformed", token([]string{h, headOf("one", "", l2, c2)}))
	other := nested("title", `"x"`)
	m.add("part_unknown", "malformed", token([]string{headOf("one", "", l, other)}, l, other))
	m.add("label_twice", "malformed", token([]string{headOf("one", "", l, l2)}, l))
	m.add("label_in_the_clear", "malformed", token([]string{headOf("one", `,"label":`+aLabel, l, c)}))
	m.add("notice_with_control_characters", "malformed", token([]string{headOf("one", `,"notice":"\u202e"`, l, c)}))
	m.add("portion_id_upper_case", "malformed", token([]string{headOf("ONE", "", l, c)}, l, c))
	a, b := sdjwt.Digest(l), sdjwt.Digest(c)
	if a < b {
		a, b = b, a
	}
	unsorted := disclose(`["c2FsdA",{"id":"one","_sd":["` + a + `","` + b + `"]}]`)
	m.add("parts_not_sorted", "malformed", token([]string{unsorted}, l, c))
	three := disclose(`["c2FsdA",{"id":"one","_sd":["` + b + `","` + a + `","` + digestOf("x") + `"]}]`)
	m.add("parts_three", "malformed", token([]string{three}, l, c))
	m.add("disclosure_that_is_no_portion", "malformed", token([]string{disclose(`["c2FsdA","text"]`)}))
	plain := nested("title", `"x"`)
	m.add("clear_claim_disclosed", "malformed", forge(m.t, node("XA"),
		strings.Replace(byHand(), `"ver"`, `"_sd":["`+sdjwt.Digest(plain)+`"],"ver"`, 1), plain))
	m.contents(token)
	var many []string
	for i := range sdjwt.MaxDisclosures + 1 {
		many = append(many, nested("content", fmt.Sprint(i)))
	}
	m.add("too_many_disclosures", "too-large", forge(m.t, node("XA"), byHand(), many...))
}

// contents are labels and contents with something wrong.
func (m *maker) contents(token func([]string, ...string) string) {
	hidden := nested("x", `1`)
	whole := func(label, content string, more ...string) string {
		l, c := nested("label", label), nested("content", content)
		return token([]string{headOf("one", "", l, c)}, append([]string{l, c}, more...)...)
	}
	concealing := func(member string) string { return `{"objects":[` + string(object(1, member)) + `]}` }
	m.add("object_conceals_nothing_known", "malformed", whole(aLabel, concealing(`,"x":{"_sd":["`+digestOf("x")+`"]}`)))
	m.add("object_conceals", "malformed", whole(aLabel, concealing(`,"_sd":["`+sdjwt.Digest(hidden)+`"]`), hidden))
	m.add("object_conceals_element", "malformed", whole(aLabel, concealing(`,"x":[{"...":"`+digestOf("x")+`"}]`)))
	m.add("object_conceals_escaped", "malformed", whole(aLabel, concealing(`,"x":{"\u005fsd":[]}`)))
	m.add("label_conceals", "malformed", whole(strings.Replace(aLabel, `{`, `{"_sd":["`+sdjwt.Digest(hidden)+`"],`, 1), aContent, hidden))
	m.add("objects_conceal", "malformed", whole(aLabel, `{"objects":[`+string(object(1, ""))+`,{"...":"`+digestOf("x")+`"}]}`))
	m.add("label_field_unknown", "malformed", whole(strings.Replace(aLabel, `{`, `{"colour":"blue",`, 1), aContent))
	m.add("label_level_unknown", "malformed", whole(strings.Replace(aLabel, "restricted", "RESTRICTED", 1), aContent))
	m.add("label_null", "malformed", whole("null", aContent))
	m.add("content_null", "malformed", whole(aLabel, "null"))
	m.add("content_without_objects", "malformed", whole(aLabel, `{"objects":[]}`))
	m.add("content_field_unknown", "malformed", whole(aLabel, strings.Replace(aContent, `{`, `{"title":"x",`, 1)))
	m.add("object_without_id", "malformed", whole(aLabel, `{"objects":[{"type":"identity"}]}`))
	m.add("object_twice", "malformed", whole(aLabel, `{"objects":[`+string(object(1, ""))+`,`+string(object(1, ""))+`]}`))
	m.add("object_is_bundle", "malformed", whole(aLabel, `{"objects":[{"type":"bundle","id":"bundle--00000001-0000-4000-8000-000000000000"}]}`))
	m.add("object_name_twice", "malformed", whole(aLabel, concealing(`,"x":1,"x":2`)))
}

// wrongStatements are alerts that would verify, were it not for a statement.
func (m *maker) wrongStatements(d *Directory) {
	token := m.issue(node("XA"), small("XA"))
	with := func(name, expect string, raw []byte) {
		m.add(name, expect, token).Statements = append(m.statements[:3:3], string(raw))
	}
	head := mustHead(m.t, d, "registry", "trial")
	with("statement_by_stranger", "bad-signature", nextAt(m.t, d, today, registry(), stranger))
	with("statement_by_two_where_one_may", "bad-signature", nextAt(m.t, d, today, registry(), authority, stranger))
	with("statement_gap", "fork", sign(m.t, registry(), 3, head.Digest, today, authority))
	with("statement_fork", "fork", sign(m.t, registry(), 2, digestOf("x"), today, authority))
	with("statement_conflict", "conflict", sign(m.t, without("XD"), 1, "", today, authority))
	with("statement_in_the_future", "not-yet-valid", nextAt(m.t, d, today+301, registry(), authority))
	with("agreement_without_party", "bad-signature", nextAt(m.t, d, today, agree("ab", "XA", "XB"), root("XA")))
	with("policy_by_two_keys_of_one_officer", "bad-signature", nextAt(m.t, d, today, policy(digestOf("1")), officer1, officer1b))
	twice := registry()
	twice.Members[1].RootKeys = jwks(named("XB", "root of XA"))
	with("registry_key_of_two_members", "malformed", nextAt(m.t, d, today, twice, authority))
	with("node_key_is_root", "malformed", nextAt(m.t, d, today, certify("XA", root("XA")), root("XA")))
	with("originator_left", "bad-signature", nextAt(m.t, d, today, moved(), authority))
	m.add("no_registry", "unavailable", token).Statements = m.statements[1:]
	m.add("no_statements", "bad-signature", token).Statements = []string{}
}

// moved is the registry without XA, whose task force XB leads from now on.
func moved() *federation.Registry {
	r := without("XA")
	r.Communities, r.TaskForces[0].Lead = nil, "XB"
	return r
}
