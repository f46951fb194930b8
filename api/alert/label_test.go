package alert

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/entente-hub/entente/api/strictjson"
)

const (
	id1 ID = "01890a5d-ac96-774b-bcce-b302099a8057"
	id2 ID = "01890a5d-ac96-774b-8cce-b302099a8058"
)

// validLabel uses every field.
func validLabel() Label {
	return Label{
		Policy: "urn:entente:policy:regional:1", Classification: Secret, TLP: AmberStrict,
		Compartments: []TaskForceID{"tf-balkan", "tf-sea"}, ReleasableTo: []Audience{"XB", "federation"},
		DiscoverableTo: []Audience{"XC", "XD"}, Categories: []Category{"smuggling", "visa"},
		Purposes: []Purpose{"investigation", "prevention"}, PersonalData: Personal,
		Handling: []Handling{"H1", "H3"}, HandlingText: "by hand only\n\tsee annex", OriginatorControl: true,
		Retention: "2027-03-31", DerivedFrom: []ID{id2, id1},
	}
}

const canonical = `{"policy":"urn:entente:policy:regional:1","classification":"secret","tlp":"amber+strict",` +
	`"compartments":["tf-balkan","tf-sea"],"releasable_to":["XB","federation"],"discoverable_to":["XC","XD"],` +
	`"categories":["smuggling","visa"],"purposes":["investigation","prevention"],"personal_data":"personal",` +
	`"handling":["H1","H3"],"handling_text":"by hand only\n\tsee annex","originator_control":true,` +
	`"retention":"2027-03-31","derived_from":["` + string(id2) + `","` + string(id1) + `"]}`

const minimal = `{"policy":"urn:entente:policy:regional:1","classification":"unclassified",` +
	`"categories":["labour"],"purposes":["labour-matching"],"personal_data":"none"}`

// The canonical bytes are what labels are interned by: they must not change.
func TestCanonicalBytes(t *testing.T) {
	l, err := ParseLabel([]byte(canonical))
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(validLabel(), l); diff != "" {
		t.Error(diff)
	}
	for _, in := range []string{canonical, minimal} {
		l, err := ParseLabel([]byte(in))
		if err != nil {
			t.Fatal(err)
		}
		if got := string(l.Canonical()); got != in {
			t.Errorf("canonical\n got %s\nwant %s", got, in)
		}
	}
}

// edit returns the canonical label with members replaced; nil removes one.
func edit(t *testing.T, base string, changes map[string]any) []byte {
	t.Helper()
	var m map[string]any
	if err := json.Unmarshal([]byte(base), &m); err != nil {
		t.Fatal(err)
	}
	for k, v := range changes {
		if v == nil {
			delete(m, k)
		} else {
			m[k] = v
		}
	}
	b, err := json.Marshal(m)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func TestPermutedLabelsAreOneLabel(t *testing.T) {
	r := rand.New(rand.NewPCG(3, 4))
	var base map[string]any
	if err := json.Unmarshal([]byte(canonical), &base); err != nil {
		t.Fatal(err)
	}
	for range 500 {
		var members []string
		for _, name := range slices.Sorted(maps.Keys(base)) {
			v := base[name]
			if list, ok := v.([]any); ok {
				r.Shuffle(len(list), func(i, j int) { list[i], list[j] = list[j], list[i] })
			}
			b, _ := json.Marshal(v)
			members = append(members, fmt.Sprintf("%q : %s", name, b))
		}
		r.Shuffle(len(members), func(i, j int) { members[i], members[j] = members[j], members[i] })
		l, err := ParseLabel([]byte("{" + strings.Join(members, " ,\n") + "}"))
		if err != nil {
			t.Fatal(err)
		}
		if got := string(l.Canonical()); got != canonical {
			t.Fatalf("got %s", got)
		}
	}
	l, err := ParseLabel(edit(t, minimal, map[string]any{"compartments": []string{}, "handling": []string{}, "originator_control": false}))
	if err != nil || string(l.Canonical()) != minimal {
		t.Errorf("empty lists: %v, %s", err, l.Canonical())
	}
}

func TestNormalizeLeavesTheCallersListsAlone(t *testing.T) {
	list := []TaskForceID{"tf-b", "tf-a"}
	l := validLabel()
	l.Compartments = list
	if err := l.Normalize(); err != nil {
		t.Fatal(err)
	}
	if list[0] != "tf-b" || l.Compartments[0] != "tf-a" {
		t.Error("sorted in place")
	}
}

func TestReleaseKey(t *testing.T) {
	plain := validLabel()
	plain.OriginatorControl, plain.DerivedFrom = false, nil
	orcon, derived := plain, plain
	orcon.OriginatorControl = true
	derived.DerivedFrom = []ID{id1}
	for _, tt := range []struct {
		name  string
		label Label
		named bool // the key names the alert
	}{{"plain", plain, false}, {"originator control", orcon, true}, {"derived", derived, true}, {"both", validLabel(), true}} {
		later := tt.label
		later.Retention = "2028-01-01"
		none := tt.label
		none.Retention = ""
		if k := tt.label.ReleaseKey(id1); k != later.ReleaseKey(id1) || k != none.ReleaseKey(id1) {
			t.Errorf("%s: the key depends on retention", tt.name)
		}
		if named := tt.label.ReleaseKey(id1) != tt.label.ReleaseKey(id2); named != tt.named {
			t.Errorf("%s: the key names the alert: %v", tt.name, named)
		}
		if tt.label.Retention != "2027-03-31" {
			t.Errorf("%s: the key changed its label", tt.name)
		}
	}
	// Every field but retention is in the key.
	base := validLabel()
	seen := map[string]string{base.ReleaseKey(id1): "base"}
	for name, change := range map[string]func(*Label){
		"policy":             func(l *Label) { l.Policy = "urn:entente:policy:regional:2" },
		"classification":     func(l *Label) { l.Classification = Restricted },
		"tlp":                func(l *Label) { l.TLP = 0 },
		"compartments":       func(l *Label) { l.Compartments = l.Compartments[:1] },
		"releasable_to":      func(l *Label) { l.ReleasableTo = l.ReleasableTo[:1] },
		"discoverable_to":    func(l *Label) { l.DiscoverableTo = l.DiscoverableTo[:1] },
		"categories":         func(l *Label) { l.Categories = l.Categories[:1] },
		"purposes":           func(l *Label) { l.Purposes = l.Purposes[:1] },
		"personal_data":      func(l *Label) { l.PersonalData = NoPersonalData },
		"handling":           func(l *Label) { l.Handling = l.Handling[1:] },
		"handling_text":      func(l *Label) { l.HandlingText = "other" },
		"originator_control": func(l *Label) { l.OriginatorControl = false },
		"derived_from":       func(l *Label) { l.DerivedFrom = l.DerivedFrom[:1] },
	} {
		l := validLabel()
		change(&l)
		k := l.ReleaseKey(id1)
		if other, dup := seen[k]; dup {
			t.Errorf("%s and %s have one key", name, other)
		}
		seen[k] = name
	}
}

func TestLabelRefuses(t *testing.T) {
	many := make([]string, MaxList+1)
	for i := range many {
		many[i] = fmt.Sprintf("tf-%03d", i)
	}
	type m = map[string]any
	for name, change := range map[string]m{
		"unknown field": {"caveats": "x"}, "field in capitals": {"Classification": "secret"}, "field TLP": {"TLP": "red"},
		"policy missing": {"policy": nil}, "policy no URN": {"policy": "regional"}, "policy in capitals": {"policy": "URN:entente:x"},
		"policy with line": {"policy": "urn:entente:policy\n"}, "policy NID only": {"policy": "urn:entente"},
		"level missing": {"classification": nil}, "level Secret": {"classification": "Secret"}, "level SECRET": {"classification": "SECRET"},
		"level top secret": {"classification": "top secret"}, "level topsecret": {"classification": "topsecret"},
		"level empty": {"classification": ""}, "level none": {"classification": "none"}, "level number": {"classification": 4},
		"level with space": {"classification": "secret "}, "level national": {"classification": "cosmic"},
		"tlp TLP:RED": {"tlp": "TLP:RED"}, "tlp RED": {"tlp": "RED"}, "tlp white": {"tlp": "white"}, "tlp WHITE": {"tlp": "WHITE"},
		"tlp amber strict": {"tlp": "amber strict"}, "tlp AMBER+STRICT": {"tlp": "AMBER+STRICT"}, "tlp empty": {"tlp": ""}, "tlp list": {"tlp": []string{"red"}},
		"personal missing": {"personal_data": nil}, "personal bool": {"personal_data": true}, "personal Personal": {"personal_data": "Personal"},
		"personal unset": {"personal_data": "unset"}, "personal sensitive": {"personal_data": "sensitive"},
		"compartment twice": {"compartments": []string{"tf-a", "tf-a"}}, "compartment in capitals": {"compartments": []string{"TF-A"}},
		"compartment empty": {"compartments": []string{""}}, "compartment string": {"compartments": "tf-a"}, "compartments many": {"compartments": many},
		"release twice": {"releasable_to": []string{"XB", "XA", "XB"}}, "release lower": {"releasable_to": []string{"x"}},
		"release star": {"releasable_to": []string{"*"}}, "release mixed": {"releasable_to": []string{"Xb"}}, "release spaced": {"releasable_to": []string{"XB "}},
		"discover twice": {"discoverable_to": []string{"XB", "XB"}}, "discover mixed": {"discoverable_to": []string{"Federation"}},
		"categories missing": {"categories": nil}, "categories empty": {"categories": []string{}}, "category unknown": {"categories": []string{"terrorism"}},
		"category Smuggling": {"categories": []string{"Smuggling"}}, "category twice": {"categories": []string{"visa", "visa"}},
		"purposes missing": {"purposes": nil}, "purposes empty": {"purposes": []string{}}, "purpose unknown": {"purposes": []string{"any"}},
		"purpose twice": {"purposes": []string{"prevention", "prevention"}},
		"handling h1":   {"handling": []string{"h1", "H3"}}, "handling H4": {"handling": []string{"H3", "H4"}}, "handling twice": {"handling": []string{"H3", "H3"}},
		"H3 without text": {"handling_text": nil}, "H3 with empty text": {"handling_text": ""}, "text without H3": {"handling": []string{"H1"}},
		"text long": {"handling_text": strings.Repeat("x", MaxText+1)}, "ORCON string": {"originator_control": "true"}, "ORCON number": {"originator_control": 1},
		"derived UUIDv4": {"derived_from": []string{"f47ac10b-58cc-4372-a567-0e02b2c3d479"}}, "derived twice": {"derived_from": []ID{id1, id1}},
		"derived in capitals": {"derived_from": []string{strings.ToUpper(string(id1))}},
	} {
		_, err := ParseLabel(edit(t, canonical, change))
		if !errors.Is(err, ErrInvalid) && !errors.Is(err, strictjson.ErrStrict) {
			t.Errorf("%s: %v", name, err)
		}
	}
	var fields m
	if err := json.Unmarshal([]byte(canonical), &fields); err != nil {
		t.Fatal(err)
	}
	for name := range fields { // null, another case, and twice: for every field
		b, _ := json.Marshal(fields[name])
		rest := string(edit(t, canonical, m{name: nil}))
		for _, members := range []string{
			fmt.Sprintf("%q:null", name), fmt.Sprintf("%q:%s", strings.ToUpper(name), b), fmt.Sprintf("%q:%s,%q:%s", name, b, name, b)} {
			if _, err := ParseLabel([]byte("{" + members + "," + rest[1:])); !errors.Is(err, strictjson.ErrStrict) {
				t.Errorf("%s: %v", members, err)
			}
		}
	}
	if _, err := ParseLabel(edit(t, canonical, m{"handling_text": strings.Repeat("x", MaxText), "compartments": many[:MaxList]})); err != nil {
		t.Errorf("at the limits: %v", err)
	}
}

// A label put together in Go meets the same checks as one read.
func TestNormalizeRefusesWhatWasNeverParsed(t *testing.T) {
	for name, change := range map[string]func(*Label){
		"level":    func(l *Label) { l.Classification = 9 },
		"tlp":      func(l *Label) { l.TLP = 6 },
		"personal": func(l *Label) { l.PersonalData = -1 },
		"UTF-8":    func(l *Label) { l.HandlingText = "a\xff" },
		"zero":     func(l *Label) { *l = Label{} },
		"audience": func(l *Label) { l.ReleasableTo = []Audience{"all members"} },
	} {
		l := validLabel()
		change(&l)
		if err := l.Normalize(); !errors.Is(err, ErrInvalid) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestTextRefusesWhatMakesAScreenLie(t *testing.T) {
	for _, r := range []rune{0, 1, '\b', '\r', 0x1b, 0x7f, 0x80, 0x85, 0x9b, 0x9f, 0x061c, 0x200e, 0x200f, 0x2028, 0x2029,
		0x202a, 0x202b, 0x202c, 0x202d, 0x202e, 0x2066, 0x2067, 0x2068, 0x2069} {
		if err := CheckText("notice", "a"+string(r)+"b"); !errors.Is(err, ErrInvalid) {
			t.Errorf("%U: %v", r, err)
		}
		if _, err := ParseLabel(edit(t, canonical, map[string]any{"handling_text": "a" + string(r)})); !errors.Is(err, ErrInvalid) {
			t.Errorf("label with %U: %v", r, err)
		}
	}
	for _, s := range []string{"", "a\n\tb", "مرحبا", "שלום", "naïve – “x”", "می\u200cخواهم", strings.Repeat("é", MaxText/2)} {
		if err := CheckText("notice", s); err != nil {
			t.Errorf("%.20q: %v", s, err)
		}
	}
}

func TestDates(t *testing.T) {
	for in, want := range map[Date]string{
		"2027-03-31": "2027-04-01T00:00:00Z", "2027-12-31": "2028-01-01T00:00:00Z",
		"2028-02-28": "2028-02-29T00:00:00Z", "2028-02-29": "2028-03-01T00:00:00Z", "2000-02-29": "2000-03-01T00:00:00Z",
	} {
		got, err := in.Time()
		if err != nil || got.Format(time.RFC3339) != want {
			t.Errorf("%s ends %v, %v; want %s", in, got, err, want)
		}
	}
	for _, in := range []Date{"", "2027-02-29", "2100-02-29", "2027-13-01", "2027-00-10", "2027-01-00", "2027-04-31", "2027-1-1", "27-01-01",
		"2027-03-31T00:00:00Z", " 2027-03-31", "2027-03-31\n", "20270331", "2027/03/31", "+2027-03-31", "-001-01-01", "10000-01-01", "２027-03-31"} {
		if _, err := in.Time(); !errors.Is(err, ErrInvalid) {
			t.Errorf("%q: %v", in, err)
		}
	}
}
