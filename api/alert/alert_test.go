package alert

import (
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/entente-hub/entente/api/strictjson"
)

func digest(i int) string {
	sum := sha256.Sum256([]byte{byte(i), byte(i >> 8)})
	return base64.RawURLEncoding.EncodeToString(sum[:])
}

func refs(n int) []DigestRef {
	out := make([]DigestRef, n)
	for i := range out {
		out[i].Digest = digest(i)
	}
	return out
}

const day = 24 * 60 * 60

func validPayload() Payload {
	return Payload{Issuer: "XA", Subject: id1, Version: 2, Previous: digest(99), JTI: "AAECAwQFBgcICQoLDA0ODw",
		IssuedAt: 1_800_000_000, Expires: 1_800_000_000 + 30*day, SDAlg: "sha-256", Portions: refs(4)}
}

func encode(t testing.TB, v any) []byte {
	t.Helper()
	b, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// The payload is signed: its bytes must not change.
func TestPayloadBytes(t *testing.T) {
	want := `{"iss":"XA",` + // originator
		`"sub":"01890a5d-ac96-774b-bcce-b302099a8057",` + // alert id
		`"ver":2,"prev":"` + digest(99) + `",` +
		`"jti":"AAECAwQFBgcICQoLDA0ODw",` +
		`"iat":1800000000,"exp":1802592000,` + // 30 days
		`"_sd_alg":"sha-256",` +
		`"portions":[{"...":"` + digest(0) + `"},{"...":"` + digest(1) + `"},{"...":"` + digest(2) + `"},{"...":"` + digest(3) + `"}]}`
	if got := string(encode(t, validPayload())); got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
	got, err := ParsePayload([]byte(want))
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(validPayload(), got); diff != "" {
		t.Error(diff)
	}
}

func TestPayloadLimits(t *testing.T) {
	life := int64(MaxLifetime / time.Second)
	for name, tt := range map[string]struct {
		change func(*Payload)
		ok     bool
	}{
		"first version":        {func(p *Payload) { p.Version, p.Previous = 1, "" }, true},
		"version 0":            {func(p *Payload) { p.Version, p.Previous = 0, "" }, false},
		"version -1":           {func(p *Payload) { p.Version = -1 }, false},
		"version at limit":     {func(p *Payload) { p.Version = 1<<31 - 1 }, true},
		"version over limit":   {func(p *Payload) { p.Version = 1 << 31 }, false},
		"first with prev":      {func(p *Payload) { p.Version = 1 }, false},
		"second without":       {func(p *Payload) { p.Previous = "" }, false},
		"prev short":           {func(p *Payload) { p.Previous = p.Previous[1:] }, false},
		"prev padded":          {func(p *Payload) { p.Previous += "=" }, false},
		"prev in base64":       {func(p *Payload) { p.Previous = "+" + p.Previous[1:] }, false},
		"prev with loose bits": {func(p *Payload) { p.Previous = strings.Repeat("A", 42) + "B" }, false},
		"prev with line break": {func(p *Payload) { p.Previous = p.Previous[:42] + "\n" + p.Previous[42:] }, false},
		"prev and line break":  {func(p *Payload) { p.Previous = p.Previous[:42] + "\n" }, false},
		"jti missing":          {func(p *Payload) { p.JTI = "" }, false},
		"jti 15 bytes":         {func(p *Payload) { p.JTI = "AAECAwQFBgcICQoLDA0O" }, false},
		"jti 17 bytes":         {func(p *Payload) { p.JTI = "AAECAwQFBgcICQoLDA0ODxA" }, false},
		"iat 0":                {func(p *Payload) { p.IssuedAt, p.Expires = 0, day }, false},
		"iat negative":         {func(p *Payload) { p.IssuedAt = -1 }, false},
		"iat 1":                {func(p *Payload) { p.IssuedAt, p.Expires = 1, 2 }, true},
		"exp at iat":           {func(p *Payload) { p.Expires = p.IssuedAt }, false},
		"exp before iat":       {func(p *Payload) { p.Expires = p.IssuedAt - 1 }, false},
		"lifetime at limit":    {func(p *Payload) { p.Expires = p.IssuedAt + life }, true},
		"lifetime over limit":  {func(p *Payload) { p.Expires = p.IssuedAt + life + 1 }, false},
		"exp at limit":         {func(p *Payload) { p.IssuedAt, p.Expires = MaxTime-1, MaxTime }, true},
		"exp over limit":       {func(p *Payload) { p.IssuedAt, p.Expires = MaxTime, MaxTime+1 }, false},
		"exp overflowing":      {func(p *Payload) { p.IssuedAt, p.Expires = 1<<63-2, 1<<63-1 }, false},
		"other hash":           {func(p *Payload) { p.SDAlg = "sha-512" }, false},
		"hash in capitals":     {func(p *Payload) { p.SDAlg = "SHA-256" }, false},
		"hash missing":         {func(p *Payload) { p.SDAlg = "" }, false},
		"no portions":          {func(p *Payload) { p.Portions = []DigestRef{} }, false},
		"3 portions":           {func(p *Payload) { p.Portions = refs(3) }, false},
		"portions at limit":    {func(p *Payload) { p.Portions = refs(MaxPortions) }, true},
		"portions one over":    {func(p *Payload) { p.Portions = refs(MaxPortions + 1) }, false},
		"portions padded over": {func(p *Payload) { p.Portions = refs(MaxPortions + DigestPad) }, false},
		"digest twice":         {func(p *Payload) { p.Portions[3] = p.Portions[0] }, false},
		"digest short":         {func(p *Payload) { p.Portions[3].Digest = "AAAA" }, false},
		"digest missing":       {func(p *Payload) { p.Portions[3].Digest = "" }, false},
	} {
		p := validPayload()
		tt.change(&p)
		_, err := ParsePayload(encode(t, p))
		if (err == nil) != tt.ok || err != nil && !errors.Is(err, ErrInvalid) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestPayloadMembers(t *testing.T) {
	base := string(encode(t, validPayload()))
	for _, name := range []string{"iss", "sub", "ver", "prev", "jti", "iat", "exp", "_sd_alg", "portions"} {
		if _, err := ParsePayload(edit(t, base, map[string]any{name: nil})); !errors.Is(err, ErrInvalid) {
			t.Errorf("without %s: %v", name, err)
		}
		for in, what := range map[string]string{
			strings.Replace(base, `"`+name+`":`, `"`+strings.ToUpper(name)+`x":`, 1): "renamed",
			`{"` + name + `":null,` + base[1:]:                                       "null, twice",
		} {
			if _, err := ParsePayload([]byte(in)); !errors.Is(err, strictjson.ErrStrict) {
				t.Errorf("%s %s: %v", name, what, err)
			}
		}
	}
	for _, change := range []map[string]any{{"nbf": 1}, {"cnf": map[string]any{}}, {"title": "x"}, {"iss": "xa"}, {"iss": ""},
		{"sub": "f47ac10b-58cc-4372-a567-0e02b2c3d479"}, {"ver": 1.5}, {"ver": "2"}, {"iat": "1800000000"}, {"iat": 1.8e9 + .5},
		{"portions": "x"}, {"portions": []any{digest(0)}}, {"portions": []any{map[string]any{"...": digest(0), "x": 1}}}} {
		if _, err := ParsePayload(edit(t, base, change)); !errors.Is(err, strictjson.ErrStrict) && !errors.Is(err, ErrInvalid) {
			t.Errorf("%v: %v", change, err)
		}
	}
}

func TestCheckTimes(t *testing.T) {
	p := validPayload()
	iat, exp := time.Unix(p.IssuedAt, 0), time.Unix(p.Expires, 0)
	for _, tt := range []struct {
		now  time.Time
		want error
	}{
		{iat.Add(-MaxSkew - time.Nanosecond), ErrNotYetValid}, {iat.Add(-MaxSkew), nil}, {iat, nil},
		{exp.Add(-time.Nanosecond), nil}, {exp, ErrExpired}, {exp.AddDate(100, 0, 0), ErrExpired}, {time.Time{}, ErrNotYetValid},
	} {
		if err := p.CheckTimes(tt.now); !errors.Is(err, tt.want) {
			t.Errorf("at %v: %v, want %v", tt.now, err, tt.want)
		}
	}
}

func TestParsePortion(t *testing.T) {
	sd := []string{digest(0), digest(1)}
	slices.Sort(sd)
	in := fmt.Sprintf(`{"id":"p1","notice":"vehicle","_sd":["%s","%s"]}`, sd[0], sd[1])
	got, err := ParsePortion([]byte(in))
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(Portion{ID: "p1", Notice: "vehicle"}, got); diff != "" {
		t.Error(diff)
	}
	for name, change := range map[string]map[string]any{
		"no id": {"id": nil}, "empty id": {"id": ""}, "id in capitals": {"id": "P1"}, "id with dot": {"id": "p.1"}, "id long": {"id": strings.Repeat("a", 64)},
		"notice long": {"notice": strings.Repeat("x", MaxText+1)}, "notice reordered": {"notice": "a\u202eb"},
		"no digests": {"_sd": nil}, "one digest": {"_sd": sd[:1]}, "three digests": {"_sd": append(slices.Clone(sd), digest(2))},
		"same digest": {"_sd": []string{sd[0], sd[0]}}, "unsorted": {"_sd": []string{sd[1], sd[0]}}, "no digest": {"_sd": []string{"", sd[0]}},
		"clear label": {"label": map[string]any{}}, "clear content": {"content": map[string]any{}}, "id by case": {"ID": "p1"},
	} {
		if _, err := ParsePortion(edit(t, in, change)); !errors.Is(err, ErrInvalid) && !errors.Is(err, strictjson.ErrStrict) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, err := ParsePortion(edit(t, in, map[string]any{"notice": strings.Repeat("x", MaxText), "id": strings.Repeat("a", 63)})); err != nil {
		t.Errorf("at the limits: %v", err)
	}
}

func TestGradingSchemes(t *testing.T) {
	schemes := map[string][3]string{"4x4": {"ABCX", "1234", ""}, "admiralty": {"ABCDEF", "123456", ""}, "3x5x2": {"123", "ABCDE", "PC"}}
	var codes []string
	for c := rune(' '); c < 0x7f; c++ {
		codes = append(codes, string(c))
	}
	codes = append(codes, "", "A1", "AB", "12", "А", "１")
	in := func(set, c string) bool { return len(c) == 1 && strings.Contains(set, c) }
	for scheme, s := range schemes {
		for _, src := range codes {
			for _, info := range codes {
				for _, h := range []string{"", "P", "C", "p", "PC", "X"} {
					g := Grading{scheme, src, info, h}
					want := in(s[0], src) && in(s[1], info) && (s[2] == "" && h == "" || in(s[2], h))
					err := g.Validate()
					if (err == nil) != want || err != nil && !errors.Is(err, ErrInvalid) {
						t.Fatalf("%+v: %v", g, err)
					}
				}
			}
		}
	}
	for _, scheme := range []string{"", "4X4", "Admiralty", "nato", "5x5x5", "3x5x2 "} {
		if err := (Grading{scheme, "A", "1", ""}).Validate(); !errors.Is(err, ErrInvalid) {
			t.Errorf("%q: %v", scheme, err)
		}
	}
}

func TestIDs(t *testing.T) {
	type parser struct {
		parse     func(string) error
		good, bad []string
	}
	mk := func(f any) func(string) error {
		switch f := f.(type) {
		case func(string) (MemberID, error):
			return func(s string) error { _, err := f(s); return err }
		case func(string) (CommunityID, error):
			return func(s string) error { _, err := f(s); return err }
		case func(string) (TaskForceID, error):
			return func(s string) error { _, err := f(s); return err }
		case func(string) (PortionID, error):
			return func(s string) error { _, err := f(s); return err }
		case func(string) (ID, error):
			return func(s string) error { _, err := f(s); return err }
		case func(string) (Audience, error):
			return func(s string) error { _, err := f(s); return err }
		}
		panic("not a parser")
	}
	name := []string{"ab", "a1", "tf-balkan", "a--b", strings.Repeat("a", 63)}
	notName := []string{"", "a", "1a", "-a", "a-", "Ab", "a_b", "a b", "ab\n", "á1", strings.Repeat("a", 64)}
	for what, p := range map[string]parser{
		"member": {mk(ParseMemberID), []string{"XA", "IOM", "A1B", "ABCDEFGHIJKL"},
			[]string{"", "X", "xa", "Xa", "X1", "1XA", "XA ", "XA\n", " XA", "ＸＡ", "ABCDEFGHIJKLM", "X-A", "XA/"}},
		"community":  {mk(ParseCommunityID), name, notName},
		"task force": {mk(ParseTaskForceID), name, notName},
		"portion": {mk(ParsePortionID), []string{"1", "a", "a-", "0-0", strings.Repeat("9", 63)},
			[]string{"", "-a", "A", "a.b", "a\n", strings.Repeat("9", 64)}},
		"alert": {mk(ParseID), []string{string(id1), string(id2), "00000000-0000-7000-8000-000000000000", "ffffffff-ffff-7fff-bfff-ffffffffffff"},
			[]string{"", "f47ac10b-58cc-4372-a567-0e02b2c3d479", strings.ToUpper(string(id1)), "{" + string(id1) + "}", "urn:uuid:" + string(id1),
				strings.ReplaceAll(string(id1), "-", ""), string(id1) + "\n", string(id1)[1:], "01890a5d-ac96-774b-ccce-b302099a8057",
				"01890a5d-ac96-774b-7cce-b302099a8057", "01890a5d-ac96-674b-bcce-b302099a8057", "01890a5d-ac96-874b-bcce-b302099a8057"}},
		"audience": {mk(ParseAudience), append([]string{"XA", "IOM", "federation"}, name...), []string{"", "*", "Xa", "xA", "X", "all members", "XA,XB"}},
	} {
		for _, s := range p.good {
			if err := p.parse(s); err != nil {
				t.Errorf("%s %q: %v", what, s, err)
			}
		}
		for _, s := range p.bad {
			if err := p.parse(s); !errors.Is(err, ErrInvalid) {
				t.Errorf("%s %q: %v", what, s, err)
			}
		}
	}
}

func TestAudienceIsOneOrTheOther(t *testing.T) {
	for _, a := range []Audience{"XA", "IOM", "federation", "tf-x", "", "?"} {
		m, isMember := a.Member()
		c, isCommunity := a.Community()
		_, err := ParseAudience(string(a))
		if isMember && isCommunity || (isMember || isCommunity) != (err == nil) || isMember && string(m) != string(a) || isCommunity && string(c) != string(a) {
			t.Errorf("%q: member %v, community %v, %v", a, isMember, isCommunity, err)
		}
	}
}
