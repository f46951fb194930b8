package trust

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"regexp"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/entente-hub/entente/api/alert"
	"github.com/entente-hub/entente/api/feed"
	"github.com/entente-hub/entente/crypto/sdjwt"
)

func label() *alert.Label {
	return &alert.Label{Policy: "urn:entente:policy:regional:1", Classification: alert.Restricted, ReleasableTo: []alert.Audience{"XB"},
		Categories: []alert.Category{"smuggling"}, Purposes: []alert.Purpose{"prevention"}, PersonalData: alert.NoPersonalData}
}

// object is a STIX object with further members, written as given.
func object(n int, more string) json.RawMessage {
	return json.RawMessage(fmt.Sprintf(`{"type":"identity","id":"identity--%08x-0000-4000-8000-000000000000"%s}`, n, more))
}

// objects returns n different ones.
func objects(n int) (out []json.RawMessage) {
	for i := range n {
		out = append(out, object(i, ""))
	}
	return out
}

func portion(id alert.PortionID) alert.Portion {
	return alert.Portion{ID: id, Notice: "smuggling", Label: label(), Content: &alert.Content{Objects: objects(1)}}
}

// small is an alert of two portions.
func small(m alert.MemberID) alert.Alert {
	return alert.Alert{Payload: alert.Payload{Issuer: m, Subject: alertID, Version: 1, JTI: "AAECAwQFBgcICQoLDA0ODw",
		IssuedAt: today, Expires: today + day}, Portions: []alert.Portion{portion("one"), portion("two")}}
}

func issue(t testing.TB, k fixedKey, a alert.Alert) string {
	t.Helper()
	token, err := IssueAlert(t.Context(), k, a)
	if err != nil {
		t.Fatal(err)
	}
	return token
}

// odd are members of objects in spellings that must survive.
var odd = []string{`,"n":1.0`, `,"n":1e400`, `,"n":-0`, `,"n":12345678901234567890.10`, `,"z":1,"a":2`, `,"s":"grüße \u00e9 \ud83d\ude00 😀"`,
	`,"s":"\ufffd"`, `,"s":"\/ / <>& \u003c"`, ` , "w" : [ 1,	2 ]` + "\n", `,"s":"\u2028` + "\u2028" + `"`, `,"":{"":[{}]}`, `,"x":null`, ""}

func pick[T any](r *rand.Rand, list []T) []T {
	out := []T{}
	for _, v := range list {
		if r.IntN(2) == 0 {
			out = append(out, v)
		}
	}
	return out
}

func randomLabel(r *rand.Rand) *alert.Label {
	l := label()
	l.Classification = alert.Unclassified + alert.Classification(r.IntN(5))
	l.TLP = alert.TLP(r.IntN(6))
	l.PersonalData = alert.NoPersonalData + alert.PersonalData(r.IntN(3))
	l.ReleasableTo = pick(r, []alert.Audience{"XD", "XB", "federation", "coast"})
	l.DiscoverableTo = pick(r, []alert.Audience{"XC", "XB"})
	l.Compartments = pick(r, []alert.TaskForceID{"red", "blue"})
	l.Purposes = append(pick(r, alert.Purposes[1:]), alert.Purposes[0])
	l.OriginatorControl = r.IntN(2) == 0
	l.Handling = pick(r, []alert.Handling{"H2", "H1"})
	if r.IntN(2) == 0 {
		l.Retention, l.DerivedFrom = "2027-03-31", []alert.ID{alertID}
	}
	return l
}

func randomAlert(r *rand.Rand) alert.Alert {
	a := small("XA")
	a.Version = 1 + r.IntN(3)
	if a.Version > 1 {
		a.Previous = digestOf("previous")
	}
	a.Portions = nil
	for i := range 1 + r.IntN(9) {
		p := alert.Portion{ID: alert.PortionID(fmt.Sprintf("p%d", i)), Label: randomLabel(r), Content: &alert.Content{}}
		if r.IntN(2) == 0 {
			p.Notice = "tell\tus: ü & <b>"
		}
		if r.IntN(2) == 0 {
			p.Content.Grading = &alert.Grading{Scheme: "admiralty", Source: "B", Information: "2"}
		}
		for n := range 1 + r.IntN(4) {
			p.Content.Objects = append(p.Content.Objects, object(n, odd[r.IntN(len(odd))]))
		}
		a.Portions = append(a.Portions, p)
	}
	return a
}

// told is what an alert tells, with labels as they are once parsed.
func told(t testing.TB, portions []alert.Portion) map[alert.PortionID]alert.Portion {
	t.Helper()
	out := make(map[alert.PortionID]alert.Portion)
	for _, p := range portions {
		if p.Label != nil {
			l := *p.Label
			if err := l.Normalize(); err != nil {
				t.Fatal(err)
			}
			p.Label = &l
		}
		out[p.ID] = p
	}
	if len(out) != len(portions) {
		t.Fatal("a portion twice")
	}
	return out
}

// project is the oracle: what is left of portions.
func project(all map[alert.PortionID]alert.Portion, releases map[alert.PortionID]feed.Kind) map[alert.PortionID]alert.Portion {
	out := make(map[alert.PortionID]alert.Portion)
	for id, p := range all {
		switch releases[id] {
		case feed.Content:
			out[id] = p
		case feed.Existence:
			out[id] = alert.Portion{ID: p.ID, Notice: p.Notice}
		}
	}
	return out
}

// TestIssueReduceVerify: what was said is what is read, byte for byte, and of a
// reduced alert just what the releases permit.
func TestIssueReduceVerify(t *testing.T) {
	d, r := trial(t), rand.New(rand.NewChaCha8(seed("alerts")))
	kinds := []feed.Kind{feed.Content, feed.Existence, feed.None, "", "CONTENT"}
	for range 80 {
		a := randomAlert(r)
		token := issue(t, node("XA"), a)
		v, err := d.VerifyAlert(token)
		if err != nil {
			t.Fatal(err)
		}
		all := told(t, a.Portions)
		want(t, "whole", told(t, v.Portions), all)
		p := a.Payload
		p.SDAlg, p.Portions = "sha-256", v.Payload.Portions
		want(t, "payload", v.Payload, p)
		if v.KeyID != node("XA").public.KeyID() || v.Hidden != (4-len(all)%4)%4 {
			t.Fatalf("%s, hidden %d of %d", v.KeyID, v.Hidden, len(v.Payload.Portions))
		}
		read, err := ReadPortions(token)
		if err != nil || !cmp.Equal(read, v.Portions) {
			t.Fatalf("read apart: %v", err)
		}

		first, second := map[alert.PortionID]feed.Kind{"p99": feed.Content}, map[alert.PortionID]feed.Kind{}
		for id := range all {
			first[id], second[id] = kinds[r.IntN(len(kinds))], kinds[r.IntN(len(kinds))]
		}
		once := checkReduced(t, d, token, first, project(all, first))
		checkReduced(t, d, once, first, project(all, first))
		twice := project(project(all, first), second)
		for id, p := range twice { // content can not come back
			if first[id] == feed.Existence {
				p.Label, p.Content = nil, nil
				twice[id] = p
			}
		}
		checkReduced(t, d, once, second, twice)
	}
}

func checkReduced(t testing.TB, d *Directory, token string, releases map[alert.PortionID]feed.Kind, left map[alert.PortionID]alert.Portion) string {
	t.Helper()
	reduced, err := ReduceAlert(token, releases)
	if err != nil {
		t.Fatal(err)
	}
	whole, err := d.VerifyAlert(token)
	if err != nil {
		t.Fatal(err)
	}
	v, err := d.VerifyAlert(reduced)
	if err != nil {
		t.Fatal(err)
	}
	want(t, "reduced", told(t, v.Portions), left)
	if v.Hidden != len(whole.Payload.Portions)-len(left) || v.SignedDigest != whole.SignedDigest {
		t.Fatalf("hidden %d", v.Hidden)
	}
	had, has := strings.Split(token, "~"), strings.Split(reduced, "~")
	if had[0] != has[0] {
		t.Fatal("the signed part has changed")
	}
	for _, p := range had { // what is left is in the same order
		if len(has) > 0 && has[0] == p {
			has = has[1:]
		}
	}
	if len(has) != 0 {
		t.Fatal("the disclosures' order has changed")
	}
	return reduced
}

var payloadForm = regexp.MustCompile(`^\{"exp":\d+,"iat":\d+,"iss":"XA","jti":"[A-Za-z0-9_-]{22}","portions":\[((\{"\.\.\.":"[A-Za-z0-9_-]{43}"\},?)+)\],"sub":"[0-9a-f-]{36}","ver":1,"_sd_alg":"sha-256"\}$`)

// TestNoneLooksLikeDecoy: the signed part is the same for all recipients, of a
// size that the number of portions, up to the padding, alone decides, and one
// that is withheld stands there as a decoy does.
func TestNoneLooksLikeDecoy(t *testing.T) {
	sizes := make(map[int]int)
	places := make(map[string]int)
	random := rand.NewChaCha8(seed("salts"))
	for i := range 400 {
		a := small("XA")
		a.Portions = nil
		n := 1 + i%8
		for p := range n {
			a.Portions = append(a.Portions, portion(alert.PortionID(strings.Repeat("x", 1+p*7))))
			a.Portions[p].Content.Objects = objects(1 + i%3)
		}
		token, err := issueAlert(t.Context(), node("XA"), a, sdjwt.Options{Random: random})
		if err != nil {
			t.Fatal(err)
		}
		parsed, err := sdjwt.Parse(token)
		if err != nil {
			t.Fatal(err)
		}
		m := payloadForm.FindSubmatch(parsed.Payload)
		if m == nil {
			t.Fatalf("%s", parsed.Payload)
		}
		padded := (n + 3) / 4 * 4
		if got := strings.Count(string(m[1]), "..."); got != padded {
			t.Fatalf("%d digests of %d portions", got, n)
		}
		if old, found := sizes[padded]; found && old != len(parsed.Payload) {
			t.Fatalf("payloads of %d and %d bytes", old, len(parsed.Payload))
		}
		sizes[padded] = len(parsed.Payload)
		if n != 2 {
			continue
		}
		// Disclosures come in the author's order, whatever their places.
		var order []string
		for _, d := range parsed.Disclosures {
			if d.Parent < 0 {
				order = append(order, d.Pointer[len("/portions/"):])
			}
		}
		places[strings.Join(order, " ")]++
	}
	if len(places) != 4*3 { // 50 alerts of two portions have met each pair of places
		t.Errorf("places %v", places)
	}
}

// TestPlaces: where a disclosed portion stands tells nothing of the others.
func TestPlaces(t *testing.T) {
	random := rand.NewChaCha8(seed("places"))
	count := make(map[string]int)
	const runs = 1200
	for range runs {
		a := small("XA")
		a.Portions = append(a.Portions, portion("three"))
		token, err := issueAlert(t.Context(), node("XA"), a, sdjwt.Options{Random: random})
		if err != nil {
			t.Fatal(err)
		}
		reduced, err := ReduceAlert(token, map[alert.PortionID]feed.Kind{"two": feed.Existence})
		if err != nil {
			t.Fatal(err)
		}
		parsed, err := sdjwt.Parse(reduced)
		if err != nil || len(parsed.Disclosures) != 1 {
			t.Fatal(err)
		}
		count[parsed.Disclosures[0].Pointer]++
	}
	for place, n := range count { // fixed salts: never by chance
		if n < runs/4-100 || n > runs/4+100 {
			t.Errorf("%s %d times of %d", place, n, runs)
		}
	}
	if len(count) != 4 {
		t.Errorf("%v", count)
	}
}

// TestUniteAlerts: of two reductions of one alert the union discloses what either did,
// and no more; those of two alerts make no one.
func TestUniteAlerts(t *testing.T) {
	d, r := trial(t), rand.New(rand.NewChaCha8(seed("unions")))
	kinds := []feed.Kind{feed.None, feed.Existence, feed.Content} // in rising order
	for range 60 {
		a := randomAlert(r)
		token := issue(t, node("XA"), a)
		all := told(t, a.Portions)
		first, second, both := make(map[alert.PortionID]feed.Kind), make(map[alert.PortionID]feed.Kind), make(map[alert.PortionID]feed.Kind)
		for id := range all {
			one, other := r.IntN(len(kinds)), r.IntN(len(kinds))
			first[id], second[id], both[id] = kinds[one], kinds[other], kinds[max(one, other)]
		}
		one := checkReduced(t, d, token, first, project(all, first))
		other := checkReduced(t, d, token, second, project(all, second))
		united, err := UniteAlerts(one, other, one)
		if err != nil {
			t.Fatal(err)
		}
		v, err := d.VerifyAlert(united)
		if err != nil {
			t.Fatal(err)
		}
		want(t, "united", told(t, v.Portions), project(all, both))
		if same, err := UniteAlerts(one, one); err != nil || same != one {
			t.Fatalf("with itself: %v", err)
		}
	}
	one, other := issue(t, node("XA"), small("XA")), issue(t, node("XA"), small("XA"))
	for _, tokens := range [][]string{{one, other}, {one, "x"}, {"x"}} {
		if _, err := UniteAlerts(tokens...); err == nil {
			t.Errorf("%d tokens make one", len(tokens))
		}
	}
}
