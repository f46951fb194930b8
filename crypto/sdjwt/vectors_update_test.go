package sdjwt

import (
	"bytes"
	"crypto/ed25519"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

var update = flag.Bool("update", false, "write testdata/vectors anew")

// A maker writes tokens by hand, right ones and wrong ones.
type maker struct {
	t       testing.TB
	ed      fixedKey
	p256    fixedKey
	vectors []vector
}

// header returns a protected header with more members appended.
func (m *maker) header(alg string, key fixedKey, more string) string {
	return fmt.Sprintf(`{"alg":%q,"kid":%q,"typ":%q%s}`, alg, key.public.KeyID(), testTyp, more)
}

// sign makes a JWS of any header and payload.
func (m *maker) sign(key fixedKey, header, payload string) string {
	m.t.Helper()
	input := encode([]byte(header)) + "." + encode([]byte(payload))
	signature, err := key.sign([]byte(input))
	if err != nil {
		m.t.Fatal(err)
	}
	return input + "." + encode(signature)
}

func (m *maker) jws(payload string) string {
	return m.sign(m.ed, m.header("EdDSA", m.ed, ""), payload)
}

// token signs a payload with Ed25519, and adds disclosures.
func (m *maker) token(payload string, disclosures ...string) string {
	return Assemble(m.jws(payload), disclosures)
}

func (m *maker) add(name, expect, token string) *vector {
	m.t.Helper()
	v := vector{Name: name, Token: token, Typ: testTyp, Expect: expect}
	for _, key := range []fixedKey{m.ed, m.p256} {
		jwk, err := key.public.MarshalJSON()
		if err != nil {
			m.t.Fatal(err)
		}
		v.Keys = append(v.Keys, jwk)
	}
	m.vectors = append(m.vectors, v)
	return &m.vectors[len(m.vectors)-1]
}

func (m *maker) ok(name, claims, token string) {
	m.t.Helper()
	m.add(name, "ok", token).Claims = json.RawMessage(claims)
}

// Disclosures that most vectors use: a portion in an array, and its content.
var (
	content = encode([]byte(`["c2FsdDAwMDAwMDAwMDAwMA","content",{"text":"grüße"}]`))
	portion = encode([]byte(`["c2FsdDAwMDAwMDAwMDAwMQ",{"id":1,"_sd":["` + Digest(content) + `"]}]`))
	title   = encode([]byte(`["c2FsdDAwMDAwMDAwMDAwMg","title","a title"]`))
	decoy   = Digest("decoy")
	payload = `{"iss":"XA","portions":[{"...":"` + decoy + `"},{"...":"` + Digest(portion) + `"}],` +
		`"_sd":["` + Digest(title) + `"],"_sd_alg":"sha-256"}`
)

func sd(disclosures ...string) string {
	var digests []string
	for _, d := range disclosures {
		digests = append(digests, `"`+Digest(d)+`"`)
	}
	return `"_sd":[` + strings.Join(digests, ",") + `]`
}

func disclose(array string) string { return encode([]byte(array)) }

func (m *maker) good() {
	m.ok("ok_all", `{"iss":"XA","portions":[{"id":1,"content":{"text":"grüße"}}],"title":"a title"}`,
		m.token(payload, title, portion, content))
	m.ok("ok_child_first", `{"iss":"XA","portions":[{"id":1,"content":{"text":"grüße"}}]}`,
		m.token(payload, content, portion))
	m.ok("ok_parent_alone", `{"iss":"XA","portions":[{"id":1}]}`, m.token(payload, portion))
	m.ok("ok_nothing_disclosed", `{"iss":"XA","portions":[]}`, m.token(payload))
	m.ok("ok_es256", `{"iss":"XA","portions":[],"title":"a title"}`,
		Assemble(m.sign(m.p256, m.header("ES256", m.p256, ""), payload), []string{title}))
	m.ok("ok_no_sd_alg", `{"title":"a title"}`, m.token(`{`+sd(title)+`}`, title))
	m.ok("ok_no_claims", `{}`, m.token(`{}`))
	m.ok("ok_all_decoys", `{"a":{},"b":[]}`,
		m.token(`{"a":{"_sd":["`+decoy+`"]},"b":[{"...":"`+Digest("other decoy")+`"}]}`))
	m.ok("ok_white_space", `{"title":1}`, m.token("{ \"_sd\" :\n[\""+Digest(spaced)+"\" ] }", spaced))
	m.ok("ok_depth_32", strings.Repeat(`{"a":`, MaxDepth)+`1`+strings.Repeat(`}`, MaxDepth),
		m.token(strings.Repeat(`{"a":`, MaxDepth)+`1`+strings.Repeat(`}`, MaxDepth)))
	m.ok("ok_numbers_kept", `{"n":[1.0,1e400,-0,12345678901234567890]}`,
		m.token(`{"n":[1.0,1e400,-0,12345678901234567890]}`))
}

var spaced = disclose("[ \"c2FsdDAwMDAwMDAwMDAwMw\" , \"title\" ,\t1 ]\n")

func (m *maker) signatures() {
	rest := "~" + title + "~"
	public := m.ed.public.Key().(ed25519.PublicKey)
	input := encode([]byte(m.header("HS256", m.ed, ""))) + "." + encode([]byte(payload))
	mac := hmac.New(sha256.New, public)
	mac.Write([]byte(input))
	m.add("alg_hs256", "jws_algorithm", input+"."+encode(append(mac.Sum(nil), make([]byte, 32)...))+rest)
	none := encode([]byte(m.header("none", m.ed, ""))) + "." + encode([]byte(payload)) + "."
	m.add("alg_none", "jws_malformed", none+rest)
	m.add("alg_none_with_signature", "jws_algorithm", none+encode(make([]byte, 64))+rest)
	m.add("alg_of_another_key", "jws_algorithm", m.sign(m.ed, m.header("ES256", m.ed, ""), payload)+rest)
	jwk, err := fixedEd25519(m.t, "mallory").public.MarshalJSON()
	if err != nil {
		m.t.Fatal(err)
	}
	mallory := fixedEd25519(m.t, "mallory")
	m.add("header_jwk", "jws_header", m.sign(mallory, m.header("EdDSA", m.ed, `,"jwk":`+string(jwk)), payload)+rest)
	m.add("header_jku", "jws_header", m.sign(m.ed, m.header("EdDSA", m.ed, `,"jku":"https://mallory.example/keys"`), payload)+rest)
	m.add("header_crit", "jws_header", m.sign(m.ed, m.header("EdDSA", m.ed, `,"crit":["b64"],"b64":false`), payload)+rest)
	m.add("header_no_kid", "jws_header", m.sign(m.ed, `{"alg":"EdDSA","typ":"`+testTyp+`"}`, payload)+rest)
	m.add("header_no_typ", "jws_header", m.sign(m.ed, `{"alg":"EdDSA","kid":"`+m.ed.public.KeyID()+`"}`, payload)+rest)
	m.add("header_duplicate_name", "duplicate_name", m.sign(m.ed, m.header("EdDSA", m.ed, `,"alg":"EdDSA"`), payload)+rest)
	m.add("typ_other", "jws_type", m.jws(payload)+rest).Typ = "other+sd-jwt"
	m.add("typ_other_case", "jws_type", m.jws(payload)+rest).Typ = strings.ToUpper(testTyp)
	m.add("key_unknown", "jws_key_unknown", m.sign(mallory, m.header("EdDSA", mallory, ""), payload)+rest)
	m.add("key_of_another", "jws_signature", m.sign(mallory, m.header("EdDSA", m.ed, ""), payload)+rest)
	parts := strings.Split(m.jws(payload), ".")
	forged := encode([]byte(strings.Replace(payload, "XA", "XB", 1)))
	m.add("payload_tampered", "jws_signature", parts[0]+"."+forged+"."+parts[2]+rest)
	m.add("payload_detached", "jws_signature", parts[0]+".."+parts[2]+rest)
	m.add("signature_missing", "jws_malformed", parts[0]+"."+parts[1]+"."+rest)
	m.add("jws_of_two_parts", "malformed", parts[0]+"."+parts[1]+rest)
	m.add("jws_of_four_parts", "malformed", strings.Join(parts, ".")+"."+rest)
}

func (m *maker) form() {
	jws := m.jws(payload)
	m.add("empty", "malformed", "")
	m.add("no_tilde", "malformed", jws)
	m.add("no_last_tilde", "malformed", jws+"~"+title)
	m.add("empty_disclosure", "malformed", jws+"~~")
	m.add("space_at_end", "malformed", jws+"~ ")
	m.add("line_break_in_disclosure", "malformed", jws+"~"+title[:8]+"\n"+title[8:]+"~")
	m.add("line_break_at_end", "malformed", jws+"~"+title+"\r\n~")
	m.add("padded_base64", "malformed", jws+"~"+title+"==~")
	m.add("stray_bits", "malformed", m.token(`{`+sd(stray)+`}`, stray))
	m.add("standard_base64", "malformed", m.token(`{`+sd(standard)+`}`, standard))
	m.add("key_binding", "key_binding", jws+"~"+title+"~"+m.sign(m.ed, `{"alg":"EdDSA","typ":"kb+jwt"}`, `{"nonce":"1"}`))
	var many []string
	for i := range MaxDisclosures + 1 {
		many = append(many, disclose(fmt.Sprintf(`["",%d]`, i)))
	}
	m.add("too_many_disclosures", "too_large", m.token(`{"a":[{"...":"`+strings.Join(digests(many), `"},{"...":"`)+`"}]}`, many...))
	for name, array := range map[string]string{
		"disclosure_object":      `{"salt":1}`,
		"disclosure_of_one":      `["salt"]`,
		"disclosure_of_four":     `["salt","title",1,2]`,
		"disclosure_not_json":    `["salt","title",1`,
		"disclosure_trailing":    `["salt","title",1] 2`,
		"disclosure_salt_number": `[1,"title",1]`,
		"disclosure_name_number": `["salt",1,1]`,
		"disclosure_empty_array": `[]`,
		"disclosure_bare_string": `"salt"`,
	} {
		d := disclose(array)
		m.add(name, "malformed", m.token(`{`+sd(d)+`}`, d))
	}
}

var (
	stray    = title[:len(title)-1] + "R" // title ends in Q: two bits that count, four that must be zero
	standard = "WyLDvyIsInRpdGxlIiwiw7/Dv8O/Il0"
)

func digests(disclosures []string) []string {
	var all []string
	for _, d := range disclosures {
		all = append(all, Digest(d))
	}
	return all
}

func (m *maker) references() {
	m.add("parent_missing", "unreferenced", m.token(payload, title, content))
	other := disclose(`["c2FsdDAwMDAwMDAwMDAwOQ","title","another"]`)
	m.add("disclosure_extra", "unreferenced", m.token(payload, title, other))
	m.add("disclosure_tampered", "unreferenced", m.token(payload, disclose(`["c2FsdDAwMDAwMDAwMDAwMg","title","b title"]`)))
	m.add("disclosure_respelt", "unreferenced", m.token(payload, disclose(`["c2FsdDAwMDAwMDAwMDAwMg", "title", "a title"]`)))
	m.add("disclosure_given_twice", "duplicate_digest", m.token(payload, title, title))
	m.add("disclosure_referenced_twice", "duplicate_digest", m.token(`{"a":{`+sd(title)+`},"b":{`+sd(title)+`}}`, title))
	m.add("disclosure_referenced_twice_by_disclosures", "duplicate_digest", m.token(
		`{"a":[{"...":"`+Digest(portion)+`"},{"...":"`+Digest(again)+`"}]}`, portion, again, content))
	m.add("digest_twice_in_one_sd", "duplicate_digest", m.token(`{`+sd(title, title)+`}`))
	m.add("digest_twice_undisclosed", "duplicate_digest", m.token(`{`+sd(title)+`,"a":[{"...":"`+Digest(title)+`"}]}`))
	m.add("element_in_object", "misplaced", m.token(`{`+sd(portion)+`}`, portion))
	m.add("member_in_array", "misplaced", m.token(`{"a":[{"...":"`+Digest(title)+`"}]}`, title))
	m.add("name_in_the_clear", "claim_conflict", m.token(`{"title":"clear",`+sd(title)+`}`, title))
	m.add("name_disclosed_twice", "claim_conflict", m.token(`{`+sd(title, other)+`}`, title, other))
	escaped := disclose(`["c2FsdDAwMDAwMDAwMDAwOQ","t\u0069tle","another"]`)
	m.add("name_disclosed_twice_escaped", "claim_conflict", m.token(`{`+sd(title, escaped)+`}`, title, escaped))
}

var again = disclose(`["c2FsdDAwMDAwMDAwMDAwNA",{"id":2,"_sd":["` + Digest(content) + `"]}]`)

func (m *maker) reserved() {
	for name, claim := range map[string]string{
		"name_sd": "_sd", "name_dots": "...", "name_sd_alg": "_sd_alg", "name_sd_escaped": `\u005fsd`,
	} {
		d := disclose(`["salt","` + claim + `",[]]`)
		m.add(name, "reserved_name", m.token(`{`+sd(d)+`}`, d))
	}
	m.add("dots_in_object", "reserved_name", m.token(`{"a":{"...":"`+decoy+`"}}`))
	m.add("dots_at_top", "reserved_name", m.token(`{"...":"`+decoy+`"}`))
	m.add("dots_not_alone", "malformed", m.token(`{"a":[{"...":"`+decoy+`","b":1}]}`))
	m.add("dots_not_a_string", "malformed", m.token(`{"a":[{"...":[]}]}`))
	m.add("sd_not_an_array", "malformed", m.token(`{"_sd":"`+decoy+`"}`))
	m.add("sd_of_numbers", "malformed", m.token(`{"_sd":[1]}`))
	m.add("digest_too_short", "malformed", m.token(`{"_sd":["`+decoy[1:]+`"]}`))
	m.add("digest_not_base64url", "malformed", m.token(`{"_sd":["`+"+"+decoy[1:]+`"]}`))
	m.add("digest_stray_bits", "malformed", m.token(`{"_sd":["`+strings.Repeat("A", 42)+`B"]}`))
	m.add("sd_alg_other", "hash_algorithm", m.token(`{"_sd_alg":"sha-512"}`))
	m.add("sd_alg_other_case", "hash_algorithm", m.token(`{"_sd_alg":"SHA-256"}`))
	m.add("sd_alg_not_a_string", "hash_algorithm", m.token(`{"_sd_alg":["sha-256"]}`))
	m.add("sd_alg_nested", "reserved_name", m.token(`{"a":{"_sd_alg":"sha-256"}}`))
	nested := disclose(`["salt","a",{"_sd_alg":"sha-256"}]`)
	m.add("sd_alg_in_disclosure", "reserved_name", m.token(`{`+sd(nested)+`}`, nested))
}

func (m *maker) json() {
	for name, claims := range map[string]string{
		"duplicate_name":         `{"iss":"XA","iss":"XB"}`,
		"duplicate_name_nested":  `{"a":[{"b":1,"b":1}]}`,
		"duplicate_name_escaped": `{"iss":"XA","\u0069ss":"XB"}`,
		"duplicate_sd":           `{"_sd":[],"_sd":[]}`,
	} {
		m.add(name, "duplicate_name", m.token(claims))
	}
	twice := disclose(`["salt","a",{"b":1,"b":2}]`)
	m.add("duplicate_name_in_disclosure", "duplicate_name", m.token(`{`+sd(twice)+`}`, twice))
	m.add("payload_array", "malformed", m.token(`[]`))
	m.add("payload_not_json", "malformed", m.token(`{"a":1,}`))
	m.add("payload_two_objects", "malformed", m.token(`{}{}`))
	m.add("invalid_utf8", "invalid_unicode", m.token("{\"a\":\"\xff\"}"))
	m.add("byte_order_mark", "malformed", m.token("\ufeff{}"))
	bad := disclose("[\"salt\",\"a\",\"\xc0\xaf\"]")
	m.add("invalid_utf8_in_disclosure", "invalid_unicode", m.token(`{`+sd(bad)+`}`, bad))
	m.add("half_surrogate_pair", "invalid_unicode", m.token(`{"a":"\ud800"}`))
	m.add("half_surrogate_pair_second", "invalid_unicode", m.token(`{"a":"\udc00\ud800"}`))
	m.add("half_surrogate_pair_in_name", "invalid_unicode", m.token(`{"\ud800x":1,"\ud801x":2}`))
	m.add("too_deep", "too_deep", m.token(`{"a":`+strings.Repeat(`[`, MaxDepth)+strings.Repeat(`]`, MaxDepth)+`}`))
	deep := disclose(`["salt","a",` + strings.Repeat(`[`, MaxDepth+1) + strings.Repeat(`]`, MaxDepth+1) + `]`)
	m.add("too_deep_disclosure", "too_deep", m.token(`{`+sd(deep)+`}`, deep))
	merged := disclose(`["salt","a",` + strings.Repeat(`[`, MaxDepth) + strings.Repeat(`]`, MaxDepth) + `]`)
	m.add("too_deep_once_merged", "too_deep", m.token(`{`+sd(merged)+`}`, merged))
}

// TestVectorsAreReproducible makes the vectors, and compares them with the
// files, or with -update writes these.
func TestVectorsAreReproducible(t *testing.T) {
	m := maker{t: t, ed: fixedEd25519(t, "XA"), p256: fixedP256(t, "XB")}
	for _, group := range []func(){m.good, m.signatures, m.form, m.references, m.reserved, m.json} {
		group()
	}
	made := map[string]bool{}
	for _, v := range m.vectors {
		var b bytes.Buffer
		e := json.NewEncoder(&b)
		e.SetEscapeHTML(false)
		e.SetIndent("", "  ")
		if err := e.Encode(v); err != nil {
			t.Fatal(err)
		}
		file := v.Name + ".json"
		if made[file] {
			t.Errorf("%s made twice", v.Name)
		}
		made[file] = true
		if *update {
			if err := os.WriteFile(vectorDir+file, b.Bytes(), 0o644); err != nil {
				t.Fatal(err)
			}
		} else if have, err := os.ReadFile(vectorDir + file); err != nil || !bytes.Equal(have, b.Bytes()) {
			t.Errorf("%s differs (%v): run go test -update", file, err)
		}
	}
	files, err := filepath.Glob(vectorDir + "*.json")
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range files {
		if !made[filepath.Base(file)] {
			t.Errorf("%s is made by nothing", file)
		}
	}
}
