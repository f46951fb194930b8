package server_test

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"net/url"
	"slices"
	"strings"

	"github.com/getkin/kin-openapi/openapi3"

	"github.com/entente-hub/entente/crypto/keys"
)

// operation is one of the specification's.
type operation struct {
	id, method, path string
	params           []*openapi3.Parameter
	schema           *openapi3.Schema // of the body; nil: it takes none
}

func operationsOf(doc *openapi3.T) []operation {
	var list []operation
	for path, item := range doc.Paths.Map() {
		for method, op := range item.Operations() {
			o := operation{id: op.OperationID, method: method, path: path}
			for _, p := range slices.Concat(item.Parameters, op.Parameters) {
				o.params = append(o.params, p.Value)
			}
			if op.RequestBody != nil {
				o.schema = op.RequestBody.Value.Content["application/json"].Schema.Value
			}
			list = append(list, o)
		}
	}
	slices.SortFunc(list, func(a, b operation) int { return strings.Compare(a.id, b.id) })
	return list
}

// rubbish makes requests that are wrong in some way, or in several, from one source of
// chance.
type rubbish struct {
	*rand.Rand
	operations []operation
	genuine    map[string][]string // bodies that an operation takes, by its id
	signers    []keys.Signer       // whose signatures are good
	sign       func(s keys.Signer, typ string, payload []byte) string
	all        func(s keys.Signer, typ string, payload []byte) string // in general serialization
	valid      bool                                                   // whether the last body was signed after it was changed
}

// request is one, as it goes over the wire.
type request struct {
	operation string
	method    string // as sent
	raw       []byte
	framed    bool // ends where its length says, so that others may follow on the connection
	signed    bool // what was changed in it was signed afterwards, and may be taken
}

func pick[T any](r *rubbish, list []T) T { return list[r.IntN(len(list))] }

// one in n.
func (r *rubbish) one(n int) bool { return r.IntN(n) == 0 }

// next makes a request to an operation.
func (r *rubbish) next(o operation) request {
	r.valid = false
	method, target, body := o.method, r.target(o), r.body(o)
	media := "application/json"
	var headers []string
	switch r.IntN(12) {
	case 0:
		method = pick(r, []string{"GET", "POST", "PUT", "DELETE", "PATCH", "HEAD", "OPTIONS", "TRACE", "CONNECT", "BREW", "get", "P\xc3\xb6ST"})
	case 1:
		media = pick(r, []string{"", "text/plain", "application/xml", "application/json; charset=utf-16", "multipart/form-data; boundary=x",
			"multipart/form-data", "application/x-www-form-urlencoded", "application/problem+json", "application/json, application/json", "\xff/\xfe", "a"})
	case 2:
		headers = append(headers, pick(r, []string{"Content-Encoding: gzip", "Content-Encoding: br, deflate", "Content-Encoding: zstd", "Expect: 100-continue",
			"Range: bytes=0-1", "If-None-Match: *", "X-HTTP-Method-Override: DELETE", "Accept: text/html;q=nan", "Cookie: " + strings.Repeat("a=b; ", 400),
			"Forwarded: for=\"[::1]\"", "Upgrade: h2c\r\nConnection: Upgrade", "TE: trailers, chunked", "Authorization: Basic OnA=", "X-\xff: \xfe",
			"X-Long: " + strings.Repeat("a", 3000), "X-Longer: " + strings.Repeat("a", 9000)}))
	}
	q := request{operation: o.id, method: method, framed: true, signed: r.valid}
	var b bytes.Buffer
	fmt.Fprintf(&b, "%s %s HTTP/1.1\r\nHost: hub\r\n", method, target)
	if len(body) > 0 {
		fmt.Fprintf(&b, "Content-Type: %s\r\n", media)
	}
	for _, h := range headers {
		b.WriteString(h + "\r\n")
	}
	if len(body) > 0 || method == "POST" {
		fmt.Fprintf(&b, "Content-Length: %d\r\n", len(body))
	}
	b.WriteString("\r\n")
	b.WriteString(body)
	q.raw = b.Bytes()
	if r.one(20) {
		q.raw, q.framed = r.broken(b.String(), body), false
	}
	return q
}

// broken spoils the form of an HTTP message (RFC 9112): where it ends can not be told.
func (r *rubbish) broken(message, body string) []byte {
	swap := func(old, new string) string { return strings.Replace(message, old, new, 1) }
	switch r.IntN(12) {
	case 0:
		return []byte(message[:r.IntN(len(message)+1)])
	case 1:
		return r.flipped([]byte(message), 1+r.IntN(8))
	case 2:
		return []byte(swap("HTTP/1.1", pick(r, []string{"HTTP/0.9", "HTTP/2.0", "HTTP/1.10", "HTTP", "", "HTTP/1.1 HTTP/1.1"})))
	case 3:
		return []byte(swap("Host: hub\r\n", pick(r, []string{"", "Host: a\r\nHost: b\r\n", "Host: \r\n", "Host : hub\r\n", ": x\r\n", "Host\r\n", " Host: hub\r\n", "Host: h\x00ub\r\n"})))
	case 4:
		return []byte(swap("Content-Length: ", pick(r, []string{"Content-Length: -", "Content-Length: 0x", "Content-Length: +", "Content-Length: 9", "Content-Length: 99999999999999999999",
			"Content-Length: 3\r\nContent-Length: ", "Transfer-Encoding: chunked\r\nContent-Length: ", "Content-Length: 1, "})))
	case 5:
		return []byte(strings.ReplaceAll(message, "\r\n", pick(r, []string{"\n", "\r", "\r\r\n", "\n\r"})))
	case 6:
		return []byte(strings.Repeat("GET / HTTP/1.1\r\n", 1+r.IntN(300)))
	case 7:
		return r.bytes(1 + r.IntN(2000))
	case 8: // two at once
		return []byte(message + message)
	case 9:
		return []byte("GET /" + strings.Repeat("a/", r.IntN(4000)) + " HTTP/1.1\r\nHost: hub\r\n\r\n")
	case 10:
		return []byte("POST /v1/alerts HTTP/1.1\r\nHost: hub\r\n" + strings.Repeat("A: b\r\n", r.IntN(900)) + "\r\n")
	}
	head, _, _ := strings.Cut(message, "Content-Length")
	return []byte(head + "Transfer-Encoding: chunked\r\n\r\n" + pick(r, []string{"", "zz\r\n", "-1\r\n", "ffffffffffffffff\r\nx", "5;a=" + strings.Repeat("b", 5000) + "\r\nhello\r\n0\r\n\r\n",
		fmt.Sprintf("%x\r\n%s\r\n0\r\n\r\n", len(body), body), fmt.Sprintf("%x\r\n%s0\r\n\r\n", len(body), body), "0\r\nTrailer: x\r\n\r\n", "1\r\n{\r\n", "0\r\n\xff: \xfe\r\n\r\n"}))
}

// target fills in an operation's path and query.
func (r *rubbish) target(o operation) string {
	path, query := o.path, url.Values{}
	for _, p := range o.params {
		v := r.param(p)
		switch {
		case p.In == "path" && r.one(3):
			path = strings.Replace(path, "{"+p.Name+"}", pick(r, []string{"", ".", "..", "%2e%2e", "%00", "%", "%zz", "a/b", "%2f", ";", "*", "{" + p.Name + "}"}), 1)
		case p.In == "path":
			path = strings.Replace(path, "{"+p.Name+"}", url.PathEscape(v), 1)
		case p.Required && !r.one(6), r.one(2):
			query.Add(p.Name, v)
			if r.one(8) {
				query.Add(p.Name, r.param(p))
			}
		}
	}
	if r.one(10) {
		query.Add(r.text(), r.text())
	}
	if r.one(30) {
		path += pick(r, []string{"/", "//", "/..", "/x", "?", "%", "#x", ";a=b", "\x7f", "\xff"})
	}
	if len(query) > 0 {
		path += "?" + query.Encode()
	}
	return path
}

// param is a value of a parameter. None makes the hub wait.
func (r *rubbish) param(p *openapi3.Parameter) string {
	list := []string{"", "0", "-1", "-0", "1", "+1", "01", "1.5", "1e3", "0x10", " 1", "1 ", "2147483647", "2147483648", "9223372036854775807",
		"9223372036854775808", "99999999999999999999999", "NaN", "null", "true", "[]", "{}", "1,2", "\x00", "\xff", "٣"}
	if p.Name == "wait" {
		return pick(r, []string{"0", "-1", "56", "x", "", "0.0", "99999999999999999999999"})
	}
	switch r.IntN(4) {
	case 0:
		return r.text()
	case 1:
		return pick(r, []string{"XA", "XB", "xx", "XZ", "01890a5d-ac96-774b-bcce-b302099a8057", "00000000-0000-0000-0000-000000000000", strings.Repeat("A", 43)})
	}
	return pick(r, list)
}

// text is a string that somebody may not have thought of.
func (r *rubbish) text() string {
	return pick(r, []string{"", " ", "a", "\x00", "\u202e", "\ufeff", "\ufffd", "e\u0301", "İ", "ſ", "../../etc/passwd", "' OR 1=1 --", "${jndi:x}", "%s%n", "<script>",
		"XA", "federation", strings.Repeat("x", 64), strings.Repeat("é", 300), strings.Repeat("9", 100), strings.Repeat("a", 2000), "-", "_", "=", "\\", "\"", "\r\n", "\u2028", "😀"})
}

func (r *rubbish) bytes(n int) []byte {
	b := make([]byte, n)
	for i := range b {
		b[i] = byte(r.Uint32())
	}
	return b
}

func (r *rubbish) flipped(b []byte, n int) []byte {
	b = slices.Clone(b)
	for range min(n, len(b)) {
		b[r.IntN(len(b))] ^= 1 << r.IntN(8)
	}
	return b
}
