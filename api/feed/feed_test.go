package feed

import (
	"encoding/json"
	"errors"
	"reflect"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/entente-hub/entente/api/alert"
	"github.com/entente-hub/entente/api/strictjson"
)

const (
	id    = "01890a5d-ac96-774b-bcce-b302099a8057"
	chain = "47DEQpj8HBSa-_TImW-5JCeuQeRkm5NMpJWZG3hSuFU" // SHA-256 of nothing
)

func delivery() Delivery {
	return Delivery{
		Alert: "eyJ.e30.c2ln~WyJz~",
		Releases: []Release{
			{Portion: "p1", Kind: Content, Agreements: []string{"digest-1"}, Emergency: "digest-2", Obligations: &Obligations{
				Purposes: []alert.Purpose{"investigation"}, HoldUntil: 1_900_000_000, Onward: true, Handling: []alert.Handling{"H1"}}},
			{Portion: "p2", Kind: Existence},
		},
		Revision: "rev-1", Policy: "policy-1", ReleasedAt: 1_800_000_000,
	}
}

// Frozen: nodes of other versions and vendors compute the same values.
func TestDeliveryBytesAndDigest(t *testing.T) {
	want := `{"alert":"eyJ.e30.c2ln~WyJz~",` + // SD-JWT, reduced
		`"releases":[` +
		`{"portion":"p1","kind":"content","agreements":["digest-1"],"emergency":"digest-2",` +
		`"obligations":{"purposes":["investigation"],"hold_until":1900000000,"onward":true,"handling":["H1"]}},` +
		`{"portion":"p2","kind":"existence"}],` + // existence binds to nothing
		`"revision":"rev-1","policy":"policy-1","released_at":1800000000}`
	b, err := json.Marshal(delivery())
	if err != nil || string(b) != want {
		t.Errorf("got  %s\nwant %s\n%v", b, want, err)
	}
	// printf '%s' "$want" | sha256sum, base64url
	if got := delivery().Digest(); got != goldenDelivery {
		t.Errorf("digest %s", got)
	}
}

func TestChainBytes(t *testing.T) {
	// SHA-256("entente feed 1\nXB\n")
	start := ChainStart("XB")
	if start != goldenStart {
		t.Errorf("start %s", start)
	}
	// SHA-256(start "\n1\n" chain "\n"), then the same with 2
	one := Next(start, 1, chain)
	if one != goldenOne {
		t.Errorf("first %s", one)
	}
	if two := Next(one, 2, chain); two != goldenTwo {
		t.Errorf("second %s", two)
	}
}

func TestChainTellsApart(t *testing.T) {
	seen := make(map[string]string)
	add := func(what, v string) {
		if other, dup := seen[v]; dup {
			t.Errorf("%s equals %s", what, other)
		}
		seen[v] = what
	}
	for _, m := range []alert.MemberID{"", "XA", "XB"} {
		s := ChainStart(m)
		add("start "+string(m), s)
		for _, seq := range []int64{-1, 0, 1, 2, 11} {
			for _, d := range []string{chain, delivery().Digest()} {
				add(strings.Join([]string{"next", string(m), d}, " "), Next(s, seq, d))
			}
		}
	}
	a, b := "A"+chain[1:], "B"+chain[1:]
	s := ChainStart("XA")
	if Next(Next(s, 1, a), 2, b) == Next(Next(s, 1, b), 2, a) {
		t.Error("two orders have one chain")
	}
	if Next(Next(s, 1, a), 2, b) == Next(s, 2, b) {
		t.Error("a dropped item leaves the chain as it is")
	}
}

func TestDigestIsSensitiveToEveryField(t *testing.T) {
	seen := map[string]string{delivery().Digest(): "nothing"}
	fields := 0
	// Each leaf of a delivery, found by reflection, is changed on its own.
	var walk func(path string, get func(*Delivery) reflect.Value)
	walk = func(path string, get func(*Delivery) reflect.Value) {
		sample := delivery()
		switch v := get(&sample); v.Kind() {
		case reflect.Struct:
			for i := range v.NumField() {
				walk(path+"."+v.Type().Field(i).Name, func(d *Delivery) reflect.Value { return get(d).Field(i) })
			}
		case reflect.Pointer:
			if !v.IsNil() {
				walk(path, func(d *Delivery) reflect.Value { return get(d).Elem() })
			}
		case reflect.Slice:
			for i := range v.Len() {
				walk(path+"[]", func(d *Delivery) reflect.Value { return get(d).Index(i) })
			}
		default:
			fields++
			d := delivery()
			switch f := get(&d); f.Kind() {
			case reflect.String:
				f.SetString(f.String() + "x")
			case reflect.Int64:
				f.SetInt(f.Int() + 1)
			case reflect.Bool:
				f.SetBool(!f.Bool())
			default:
				t.Fatalf("%s: cannot change a %s", path, f.Kind())
			}
			if other, dup := seen[d.Digest()]; dup {
				t.Errorf("changing %s has the digest of %s", path, other)
			}
			seen[d.Digest()] = path
		}
	}
	walk("delivery", func(d *Delivery) reflect.Value { return reflect.ValueOf(d).Elem() })
	if fields != 15 {
		t.Errorf("%d fields were changed: a new one belongs in delivery()", fields)
	}
	for name, change := range map[string]func(*Delivery){
		"dropped":        func(d *Delivery) { d.Releases = d.Releases[:1] },
		"swapped":        func(d *Delivery) { d.Releases[0], d.Releases[1] = d.Releases[1], d.Releases[0] },
		"no obligations": func(d *Delivery) { d.Releases[0].Obligations = nil },
		"no releases":    func(d *Delivery) { d.Releases = nil },
	} {
		d := delivery()
		change(&d)
		if other, dup := seen[d.Digest()]; dup {
			t.Errorf("%s has the digest of %s", name, other)
		}
		seen[d.Digest()] = name
	}
}

// A node reads a page strictly and computes the digests again.
func TestPagesSurviveTheWire(t *testing.T) {
	empty := Delivery{Alert: "a"}
	bare := Delivery{Releases: []Release{{Portion: "p", Kind: Content, Obligations: &Obligations{}}}}
	full := delivery()
	for name, p := range map[string]Page{
		"empty":    {Head: "h"},
		"withheld": {Items: []Item{{Seq: 1, Digest: chain}}, Head: "h"},
		"full":     {Items: []Item{{1, full.Digest(), &full}, {2, empty.Digest(), &empty}, {3, bare.Digest(), &bare}}, Head: "h"},
	} {
		b, err := json.Marshal(p)
		if err != nil {
			t.Fatal(err)
		}
		var got Page
		if err := strictjson.Unmarshal(b, &got); err != nil {
			t.Errorf("%s: %v: %s", name, err, b)
			continue
		}
		if len(got.Items) != len(p.Items) {
			t.Errorf("%s: %d items", name, len(got.Items))
		}
		for _, it := range got.Items {
			if it.Delivery != nil && it.Delivery.Digest() != it.Digest {
				t.Errorf("%s: item %d has another digest after the wire", name, it.Seq)
			}
		}
		if again, _ := json.Marshal(got); string(again) != string(b) {
			t.Errorf("%s: %s, then %s", name, b, again)
		}
	}
	if b, _ := json.Marshal(Page{Head: "h"}); string(b) != `{"items":[],"head":"h"}` {
		t.Errorf("%s", b)
	}
}

const (
	headJSON    = `{"iss":"hub-1","aud":"XB","seq":0,"chain":"` + chain + `","iat":1800000000,"checkpoint":"entente\n0\n"}`
	receiptJSON = `{"iss":"hub-1","aud":"XA","sub":"` + id + `","ver":1,"digest":"` + chain + `","iat":1800000000,"log_index":0}`
	ackJSON     = `{"iss":"XB","aud":"hub-1","seq":1,"chain":"` + chain + `","iat":1800000000}`
	purgeJSON   = `{"iss":"XB","aud":"hub-1","orig":"XA","sub":"` + id + `","ver":1,"digest":"` + chain + `","cause":"recalled","portions":["p1","p2"],"iat":1800000000}`
)

func TestParse(t *testing.T) {
	h, err := Parse[Head]([]byte(headJSON))
	if diff := cmp.Diff(Head{"hub-1", "XB", 0, chain, 1_800_000_000, "entente\n0\n", 0}, h); err != nil || diff != "" {
		t.Errorf("head: %v %s", err, diff)
	}
	r, err := Parse[Receipt]([]byte(receiptJSON))
	if diff := cmp.Diff(Receipt{"hub-1", "XA", id, 1, chain, 1_800_000_000, 0}, r); err != nil || diff != "" {
		t.Errorf("receipt: %v %s", err, diff)
	}
	a, err := Parse[Ack]([]byte(ackJSON))
	if diff := cmp.Diff(Ack{"XB", "hub-1", 1, chain, 1_800_000_000}, a); err != nil || diff != "" {
		t.Errorf("ack: %v %s", err, diff)
	}
	p, err := Parse[Purge]([]byte(purgeJSON))
	if diff := cmp.Diff(Purge{"XB", "hub-1", "XA", id, 1, chain, Recalled, []alert.PortionID{"p1", "p2"}, 1_800_000_000}, p); err != nil || diff != "" {
		t.Errorf("purge: %v %s", err, diff)
	}
	for want, v := range map[string]any{headJSON: h, receiptJSON: r, ackJSON: a, purgeJSON: p} { // frozen
		if b, _ := json.Marshal(v); string(b) != want {
			t.Errorf("got  %s\nwant %s", b, want)
		}
	}
}

func TestParseRefuses(t *testing.T) {
	bad := map[string][]any{
		"iss": {"", 1, "?"}, "aud": {"", 1, "?"}, "sub": {"", "f47ac10b-58cc-4372-a567-0e02b2c3d479"}, "seq": {-1, "1", 1.5},
		"chain": {"", chain[1:], chain + "=", chain[:42] + "V"}, "digest": {"", chain[1:], chain + "A", chain[:42] + "V"}, "iat": {0, -1, alert.MaxTime + 1, "x"},
		"ver": {0, -1}, "log_index": {-1, "0"}, "checkpoint": {"", 1}, "x": {1},
		"orig": {"", 1, "?"}, "cause": {"", "mistake", 1}, "portions": {[]string{}, []string{"p2", "p1"}, []string{"p1", "p1"}, []string{""}, "p1"},
	}
	check[Head](t, headJSON, bad, "seq")
	check[Receipt](t, receiptJSON, bad, "log_index")
	check[Ack](t, ackJSON, bad, "")
	check[Purge](t, purgeJSON, bad, "")
	if _, err := Parse[Ack]([]byte(strings.Replace(ackJSON, `"seq":1`, `"seq":0`, 1))); !errors.Is(err, ErrInvalid) {
		t.Errorf("an acknowledgement of nothing: %v", err)
	}
	for acked, ok := range map[string]bool{`7`: true, `-1`: false, `"7"`: false, `null`: false} {
		if h, err := Parse[Head]([]byte(strings.Replace(headJSON, `"seq"`, `"acked":`+acked+`,"seq"`, 1))); (err == nil) != ok || ok && h.Acked != 7 {
			t.Errorf("acked %s: %+v %v", acked, h, err)
		}
	}
	// One signed message must not pass for another.
	if _, err := Parse[Ack]([]byte(headJSON)); err == nil {
		t.Error("a head passes for an acknowledgement")
	}
	if _, err := Parse[Head]([]byte(ackJSON)); err == nil {
		t.Error("an acknowledgement passes for a head")
	}
}

// check refuses each bad value, null, and absence but where zero is a value.
func check[T Head | Receipt | Ack | Purge](t *testing.T, good string, bad map[string][]any, zero string) {
	t.Helper()
	var base map[string]any
	if err := json.Unmarshal([]byte(good), &base); err != nil {
		t.Fatal(err)
	}
	try := func(name string, v any, gone bool) {
		m := make(map[string]any)
		for k, old := range base {
			m[k] = old
		}
		m[name] = v
		if gone {
			delete(m, name)
		}
		b, _ := json.Marshal(m)
		if got, err := Parse[T](b); !errors.Is(err, ErrInvalid) && !errors.Is(err, strictjson.ErrStrict) {
			t.Errorf("%T %s=%v: %v", got, name, v, err)
		} else if !reflect.DeepEqual(got, *new(T)) {
			t.Errorf("%T %s=%v: a refusal with a value", got, name, v)
		}
	}
	for name := range base {
		try(name, nil, false)
		if name != zero {
			try(name, nil, true)
		}
		for _, v := range bad[name] {
			try(name, v, false)
		}
	}
	try("x", 1, false)
	try("ISS", base["iss"], false)
}

func FuzzParse(f *testing.F) {
	for _, s := range []string{headJSON, receiptJSON, ackJSON} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		stable[Head](t, data)
		stable[Receipt](t, data)
		stable[Ack](t, data)
	})
}

func stable[T Head | Receipt | Ack](t *testing.T, data []byte) {
	v, err := Parse[T](data)
	if err != nil {
		return
	}
	b, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	if again, err := Parse[T](b); err != nil || again != v {
		t.Fatalf("%+v, then %+v, %v", v, again, err)
	}
}
