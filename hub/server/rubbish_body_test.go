package server_test

import (
	"encoding/base64"
	"encoding/json"
	"maps"
	"slices"
	"strings"

	"github.com/getkin/kin-openapi/openapi3"

	"github.com/entente-hub/entente/crypto/keys"
)

// body is one for an operation: a genuine one, or one of the schema's form, that is
// spoiled in most cases.
func (r *rubbish) body(o operation) string {
	if o.schema == nil {
		if r.one(10) {
			return r.json(3)
		}
		return ""
	}
	if r.one(15) {
		return pick(r, []string{"", " ", "null", "{}", "[]", "0", `""`, "tru", "\xef\xbb\xbf{}", "{}{}", "{\"\":1}", string(r.bytes(20))})
	}
	var body string
	if list := r.genuine[o.id]; len(list) > 0 && !r.one(4) {
		body = pick(r, list)
		if r.one(2) {
			body = r.resigned(body)
		}
	} else {
		raw, err := json.Marshal(r.instance(o.schema, 4))
		if err != nil {
			return "{" // what the schema allows and JSON does not
		}
		body = string(raw)
	}
	for range 1 + r.IntN(2) {
		body = r.spoiled(body)
	}
	return body
}

// spoiled changes one thing about a JSON text.
func (r *rubbish) spoiled(body string) string {
	at := r.IntN(len(body) + 1)
	switch r.IntN(11) {
	case 0:
		return body[:at]
	case 1:
		return string(r.flipped([]byte(body), 1+r.IntN(4)))
	case 2:
		return body[:at] + string(r.bytes(1+r.IntN(4))) + body[at:]
	case 3: // a key twice, or one that is unknown
		return strings.Replace(body, "{", "{"+pick(r, []string{`"alert":"x",`, `"payload":"x",`, `"x":1,`, `"Alert":"x",`, `"":null,`, `"\u0061lert":"y",`}), 1+r.IntN(2))
	case 4:
		if r.one(40) { // over the limit of any body
			return body + strings.Repeat(" ", 1<<20+128<<10)
		}
		return strings.Repeat(" ", r.IntN(5000)) + body
	case 5:
		return body + pick(r, []string{"}", "]", ",", "{}", "\x00", "//", "null"})
	case 6: // text that is not what it says it is
		return strings.Replace(body, `":"`, `":"`+pick(r, []string{`\ud800`, `\u0000`, "\xff", `\x`, "\x01", "\xed\xa0\x80", `é`, "."}), 1+r.IntN(2))
	}
	return r.replaced(body)
}

const place = "a place that nothing else has"

// replaced puts something else in the place of a value anywhere in a JSON text.
func (r *rubbish) replaced(body string) string {
	var v any
	if json.Unmarshal([]byte(body), &v) != nil {
		return body
	}
	raw, err := json.Marshal(r.walk(v))
	if err != nil {
		return body
	}
	deep := 1 + r.IntN(200)
	if r.one(20) {
		deep = 100_000
	}
	return strings.Replace(string(raw), `"`+place+`"`, pick(r, []string{"null", "true", "0", "-0", "1e999", "-1e-999", "9223372036854775808", "1.0000000000000001", "0.1e400",
		strings.Repeat("9", 400), "\"\"", "[]", "{}", "[[]]", "NaN", "01", "'x'", strings.Repeat("[", deep) + strings.Repeat("]", deep),
		strings.Repeat(`{"a":`, deep) + "1" + strings.Repeat("}", deep), strings.Repeat("[", deep), "[" + strings.Repeat("0,", 3000) + "0]", r.json(4)}), 1)
}

// walk goes down at random and leaves the place.
func (r *rubbish) walk(v any) any {
	switch v := v.(type) {
	case map[string]any:
		if len(v) > 0 && !r.one(5) {
			k := pick(r, slices.Sorted(maps.Keys(v)))
			v[k] = r.walk(v[k])
			return v
		}
	case []any:
		if len(v) > 0 && !r.one(5) {
			i := r.IntN(len(v))
			v[i] = r.walk(v[i])
			return v
		}
	}
	return place
}

// json is any text of the form of JSON.
func (r *rubbish) json(depth int) string {
	raw, err := json.Marshal(r.value(depth))
	if err != nil {
		return "{}"
	}
	return string(raw)
}

func (r *rubbish) value(depth int) any {
	switch n := r.IntN(8); {
	case n < 2 && depth > 0:
		m := make(map[string]any)
		for range r.IntN(4) {
			m[r.text()] = r.value(depth - 1)
		}
		return m
	case n < 4 && depth > 0:
		var list []any
		for range r.IntN(4) {
			list = append(list, r.value(depth-1))
		}
		return list
	case n == 4:
		return r.NormFloat64() * 1e18
	case n == 5:
		return r.one(2)
	case n == 6:
		return nil
	}
	return r.text()
}

// instance is a value of a schema's form, with rubbish for its texts.
func (r *rubbish) instance(s *openapi3.Schema, depth int) any {
	switch {
	case len(s.Enum) > 0:
		return pick(r, s.Enum)
	case s.Type.Is("object"):
		m := make(map[string]any)
		for _, name := range slices.Sorted(maps.Keys(s.Properties)) {
			if slices.Contains(s.Required, name) || r.one(3) && depth > 0 {
				m[name] = r.instance(s.Properties[name].Value, depth-1)
			}
		}
		return m
	case s.Type.Is("array"):
		var list []any
		for range max(int(s.MinItems), r.IntN(4)) {
			list = append(list, r.instance(s.Items.Value, depth-1))
		}
		return list
	case s.Type.Is("boolean"):
		return r.one(2)
	case s.Type.Is("integer"), s.Type.Is("number"):
		return pick(r, []int64{0, 1, -1, 1 << 31, 1 << 53, 1<<63 - 1, -1 << 63})
	case s.Format == "byte":
		return base64.StdEncoding.EncodeToString(r.bytes(r.IntN(300)))
	case s.Type.Is("string"):
		return r.text()
	}
	return r.value(2)
}

// resigned changes what a signed document says and signs it anew, so that it gets past
// the check of its signature.
func (r *rubbish) resigned(body string) string {
	r.valid = true
	signer := pick(r, r.signers)
	var doc struct {
		Alert   string   `json:"alert"`
		Acks    []string `json:"acks"`
		Purges  []string `json:"purges"`
		Payload string   `json:"payload"`
	}
	if json.Unmarshal([]byte(body), &doc) != nil {
		return body
	}
	var out any
	switch {
	case doc.Alert != "":
		jws, disclosed, _ := strings.Cut(doc.Alert, "~")
		list := strings.Split(disclosed, "~")
		if r.one(3) {
			i := r.IntN(len(list))
			list[i] = pick(r, []string{"", list[0], list[i] + "A", "e30", "W10", string(r.flipped([]byte(list[i]), 1))})
		}
		out = map[string]string{"alert": r.signedAgain(signer, "entente-alert+sd-jwt", jws) + "~" + strings.Join(list, "~")}
	case len(doc.Acks) > 0:
		out = map[string][]string{"acks": {r.signedAgain(signer, "entente-ack+jwt", doc.Acks[0])}}
	case len(doc.Purges) > 0:
		out = map[string][]string{"purges": {r.signedAgain(signer, "entente-purge+jwt", doc.Purges[0])}}
	case doc.Payload != "":
		return r.all(signer, "entente-statement+json", r.payload(doc.Payload))
	default:
		return body
	}
	raw, err := json.Marshal(out)
	if err != nil {
		return body
	}
	return string(raw)
}

func (r *rubbish) signedAgain(s keys.Signer, typ, jws string) string {
	_, rest, _ := strings.Cut(jws, ".")
	payload, _, _ := strings.Cut(rest, ".")
	return r.sign(s, typ, r.payload(payload))
}

// payload decodes a JWS payload and changes it.
func (r *rubbish) payload(encoded string) []byte {
	raw, err := base64.RawURLEncoding.DecodeString(encoded)
	if err != nil {
		return []byte("{}")
	}
	if r.one(4) {
		return []byte(r.spoiled(string(raw)))
	}
	return []byte(r.replaced(string(raw)))
}
