package audit

import (
	"bytes"
	"encoding/json"
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/entente-hub/entente/api/alert"
	"github.com/entente-hub/entente/api/feed"
	"github.com/entente-hub/entente/api/strictjson"
)

const (
	id     = "01890a5d-ac96-774b-bcce-b302099a8057"
	digest = "47DEQpj8HBSa-_TImW-5JCeuQeRkm5NMpJWZG3hSuFU"
	salt   = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
)

// entries returns one entry of each kind.
func entries() map[Kind]Entry {
	named := &Alert{Originator: "XA", ID: id, Version: 1, Digest: digest}
	all := map[Kind]Entry{
		Decided: {Version: 1, At: 1_800_000_000_000_000, Kind: Decided, Actor: "hub-1", Revision: "rev-1", Policy: "policy-1",
			Decision: &Decision{Label: digest, Content: []alert.MemberID{"XB"}, Existence: []alert.MemberID{"XC"},
				Refused: map[string][]alert.MemberID{"compartment": {"XC", "XD"}, "ceiling": {"XD"}}}},
		Admission: {Version: 1, At: 1, Kind: Admission, Actor: "XA", Alert: named, Revision: "rev-1", Policy: "policy-1",
			Portions: []Portion{{Portion: "p1", Label: digest}, {Portion: "p2", Label: digest}}},
		Refusal: {Version: 1, At: 1, Kind: Refusal, Actor: "XD", Problem: "urn:entente:problem:not-admitted", Codes: []string{"ceiling"}},
		Release: {Version: 1, At: 1, Kind: Release, Actor: "hub-1", Alert: named, Recipient: "XB", Seq: 7, Revision: "rev-1", Policy: "policy-1",
			Releases: []feed.Release{{Portion: "p1", Kind: feed.Content, Agreements: []string{digest}, Obligations: &feed.Obligations{
				Purposes: []alert.Purpose{"investigation"}, HoldUntil: 1_900_000_000, Handling: []alert.Handling{"H1"}}}, {Portion: "p2", Kind: feed.Existence}}},
		Withheld:  {Version: 1, At: 1, Kind: Withheld, Actor: "hub-1", Alert: named, Recipient: "XB", Seq: 8},
		Received:  {Version: 1, At: 1, Kind: Received, Actor: "XB", Recipient: "XB", Seq: 7, Proof: "e30.e30.c2ln"},
		Preview:   {Version: 1, At: 1, Kind: Preview, Actor: "XA", Portions: []Portion{{Portion: "p1", Label: digest}}},
		Statement: {Version: 1, At: 1, Kind: Statement, Actor: "hub-1", Statement: &Named{Type: "registry", Subject: "regional", Revision: 1, Digest: digest}},
		Trimmed: {Version: 1, At: 9, Kind: Trimmed, Actor: "hub-1", Revision: "rev-1",
			Trim: &Trim{Runs: []Run{{0, 6}, {8, 8}, {20, 21}}, Count: 10, Before: 9, Days: 30}},
	}
	for kind, e := range all {
		e.Salt = salt
		all[kind] = e
	}
	return all
}

// A leaf is hashed into the log: its bytes must not change.
func TestLeafBytes(t *testing.T) {
	for kind, want := range map[Kind]string{
		Decided: `{"v":1,"salt":"` + salt + `","at":1800000000000000,"kind":"decision","actor":"hub-1",` +
			`"decision":{"label":"` + digest + `","content":["XB"],"existence":["XC"],` +
			`"refused":{"ceiling":["XD"],"compartment":["XC","XD"]}},` + // codes sorted
			`"revision":"rev-1","policy":"policy-1"}`,
		Admission: `{"v":1,"salt":"` + salt + `","at":1,"kind":"admission","actor":"XA",` +
			`"alert":{"iss":"XA","sub":"` + id + `","ver":1,"digest":"` + digest + `"},` +
			`"portions":[{"portion":"p1","label":"` + digest + `"},{"portion":"p2","label":"` + digest + `"}],` +
			`"revision":"rev-1","policy":"policy-1"}`,
		Refusal: `{"v":1,"salt":"` + salt + `","at":1,"kind":"refusal","actor":"XD","problem":"urn:entente:problem:not-admitted","codes":["ceiling"]}`,
		Release: `{"v":1,"salt":"` + salt + `","at":1,"kind":"release","actor":"hub-1","alert":{"iss":"XA","sub":"` + id + `","ver":1,"digest":"` + digest + `"},` +
			`"recipient":"XB","seq":7,"releases":[{"portion":"p1","kind":"content","agreements":["` + digest + `"],` +
			`"obligations":{"purposes":["investigation"],"hold_until":1900000000,"onward":false,"handling":["H1"]}},` +
			`{"portion":"p2","kind":"existence"}],"revision":"rev-1","policy":"policy-1"}`,
		Trimmed: `{"v":1,"salt":"` + salt + `","at":9,"kind":"trimmed","actor":"hub-1","revision":"rev-1",` +
			`"trim":{"runs":[{"first":0,"last":6},{"first":8,"last":8},{"first":20,"last":21}],"count":10,"before":9,"days":30}}`,
		Received:  `{"v":1,"salt":"` + salt + `","at":1,"kind":"received","actor":"XB","recipient":"XB","seq":7,"proof":"e30.e30.c2ln"}`,
		Statement: `{"v":1,"salt":"` + salt + `","at":1,"kind":"statement","actor":"hub-1","statement":{"type":"registry","sub":"regional","rev":1,"digest":"` + digest + `"}}`,
	} {
		if got := string(entries()[kind].Leaf()); got != want {
			t.Errorf("%s\n got %s\nwant %s", kind, got, want)
		}
	}
}

func TestRoundTrip(t *testing.T) {
	for kind, e := range entries() {
		got, err := Parse(e.Leaf())
		if err != nil {
			t.Errorf("%s: %v", kind, err)
			continue
		}
		if diff := cmp.Diff(e, got); diff != "" {
			t.Errorf("%s: %s", kind, diff)
		}
	}
}

// Whatever is left empty in Go, a leaf of the log can be read again.
func TestEmptyValuesCanBeReadAgain(t *testing.T) {
	for name, e := range map[string]Entry{
		"no version":     {Kind: Refusal},
		"version set":    {Kind: Refusal, Version: 7},
		"empty lists":    {Kind: Admission, Portions: []Portion{}, Codes: []string{}, Releases: []feed.Release{}},
		"nobody refused": {Kind: Decided, Decision: &Decision{Refused: map[string][]alert.MemberID{"ceiling": nil, "tlp": {}, "x": {"XA"}}}},
		"no reasons":     {Kind: Decided, Decision: &Decision{Content: []alert.MemberID{}, Refused: map[string][]alert.MemberID{"ceiling": nil}}},
		"no purposes":    {Kind: Release, Releases: []feed.Release{{Portion: "p", Kind: feed.Content, Obligations: &feed.Obligations{}}}},
		"odd text":       {Kind: Refusal, Actor: "a<b>&\u2028\x00", Problem: "\ufffd"},
		"not UTF-8":      {Kind: Refusal, Actor: "a\xffb"},
	} {
		e.Salt = salt
		leaf := e.Leaf()
		got, err := Parse(leaf)
		if err != nil {
			t.Errorf("%s: %v: %s", name, err, leaf)
		} else if !bytes.Equal(got.Leaf(), leaf) || got.Version != 1 {
			t.Errorf("%s: %s, then %s", name, leaf, got.Leaf())
		}
	}
}

func TestLeafLeavesTheEntryAlone(t *testing.T) {
	refused := map[string][]alert.MemberID{"ceiling": nil}
	Entry{Kind: Decided, Decision: &Decision{Refused: refused}}.Leaf()
	if _, kept := refused["ceiling"]; !kept {
		t.Error("the caller's map was changed")
	}
}

// An entry has one encoding: no two leaves, and so no two hashes, say the same.
func TestParseRefuses(t *testing.T) {
	good := string(entries()[Decided].Leaf())
	for name, in := range map[string]string{
		"empty": "", "null": "null", "list": "[]", "no version": strings.Replace(good, `"v":1,`, "", 1), "version 2": strings.Replace(good, `"v":1`, `"v":2`, 1),
		"version 1.0": strings.Replace(good, `"v":1`, `"v":1.0`, 1), "kind unknown": strings.Replace(good, `"decision","actor"`, `"deletion","actor"`, 1), "kind in capitals": strings.Replace(good, `"decision","actor"`, `"Decision","actor"`, 1),
		"kind missing": strings.Replace(good, `"kind":"decision",`, "", 1), "kind empty": strings.Replace(good, `"kind":"decision"`, `"kind":""`, 1),
		"actor missing": strings.Replace(good, `"actor":"hub-1",`, "", 1), "unknown": strings.Replace(good, `{"v"`, `{"x":1,"v"`, 1), "case": strings.Replace(good, `"actor"`, `"Actor"`, 1),
		"twice": strings.Replace(good, `{"v":1`, `{"v":1,"v":1`, 1), "space": strings.Replace(good, `{"v"`, `{ "v"`, 1), "line at the end": good + "\n", "trailing": good + "{}",
		"null member": strings.Replace(good, `{"v":1`, `{"v":1,"proof":null`, 1), "empty member": strings.Replace(good, `"policy":"policy-1"`, `"policy":"policy-1","proof":""`, 1),
		"order": strings.Replace(good, `"v":1,"salt":"`+salt+`"`, `"salt":"`+salt+`","v":1`, 1), "no salt": strings.Replace(good, `"salt":"`+salt+`",`, "", 1), "short salt": strings.Replace(good, salt, "A", 1), "codes unsorted": strings.Replace(good, `"ceiling":["XD"],"compartment":["XC","XD"]`, `"compartment":["XC","XD"],"ceiling":["XD"]`, 1),
		"escape": strings.Replace(good, `"actor":"hub-1"`, `"actor":"\u0068ub-1"`, 1), "member id": strings.Replace(good, `"content":["XB"]`, `"content":["xb"]`, 1),
		"alert UUIDv4": strings.Replace(string(entries()[Admission].Leaf()), id, "f47ac10b-58cc-4372-a567-0e02b2c3d479", 1), "not UTF-8": strings.Replace(good, "rev-1", "rev-\xff", 1),
	} {
		if in == good {
			t.Fatalf("%s changes nothing", name)
		}
		got, err := Parse([]byte(in))
		if !errors.Is(err, ErrInvalid) && !errors.Is(err, strictjson.ErrStrict) {
			t.Errorf("%s: %v", name, err)
		}
		if diff := cmp.Diff(Entry{}, got); diff != "" {
			t.Errorf("%s: a refusal with a value: %s", name, diff)
		}
	}
}

func FuzzParse(f *testing.F) {
	for _, e := range entries() {
		f.Add(e.Leaf())
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		e, err := Parse(data)
		if err != nil {
			return
		}
		if !bytes.Equal(e.Leaf(), data) || !json.Valid(data) {
			t.Fatalf("malleable: %s", data)
		}
	})
}
