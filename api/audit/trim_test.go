package audit

import (
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/entente-hub/entente/api/alert"
	"github.com/entente-hub/entente/api/strictjson"
)

// TestTrimRefuses: a record of what was erased names each entry once, and counts them.
func TestTrimRefuses(t *testing.T) {
	good := string(entries()[Trimmed].Leaf())
	const first = `{"first":0,"last":6}`
	for name, in := range map[string]string{
		"no trim": `{"v":1,"salt":"` + salt + `","at":9,"kind":"trimmed","actor":"hub-1"}`, "trim of another kind": strings.Replace(good, `"trimmed"`, `"refusal"`, 1),
		"no runs": strings.Replace(good, first+`,{"first":8,"last":8},{"first":20,"last":21}`, "", 1), "runs null": strings.Replace(good, `"runs":[`+first, `"runs":null,"x":[`+first, 1),
		"a run twice": strings.Replace(good, `{"first":8,"last":8}`, first, 1), "runs that touch": strings.Replace(good, `"first":8`, `"first":7`, 1), "descending": strings.Replace(good, `{"first":20,"last":21}`, `{"first":3,"last":4}`, 1),
		"backwards": strings.Replace(good, first, `{"first":6,"last":0}`, 1), "negative": strings.Replace(good, first, `{"first":-1,"last":5}`, 1), "beyond any log": strings.Replace(good, `"last":21`, `"last":281474976710656`, 1),
		"count too low": strings.Replace(good, `"count":10`, `"count":9`, 1), "count too high": strings.Replace(good, `"count":10`, `"count":11`, 1), "no count": strings.Replace(good, `"count":10,`, "", 1),
		"no days": strings.Replace(good, `,"days":30`, "", 1), "days 0": strings.Replace(good, `"days":30`, `"days":0`, 1), "no moment": strings.Replace(good, `"before":9,`, "", 1),
		"a moment to come": strings.Replace(good, `"before":9`, `"before":10`, 1), "unknown": strings.Replace(good, `"days":30`, `"days":30,"x":1`, 1), "unknown of a run": strings.Replace(good, first, `{"first":0,"last":6,"x":1}`, 1),
	} {
		if in == good {
			t.Fatalf("%s changes nothing", name)
		}
		if _, err := Parse([]byte(in)); !errors.Is(err, ErrInvalid) && !errors.Is(err, strictjson.ErrStrict) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// TestNames: whom and which alerts an entry names, wherever in it they stand.
func TestNames(t *testing.T) {
	consent := Entry{Kind: Statement, Actor: "hub-1", Statement: &Named{Type: "consent", Subject: "XA/" + id}}
	for name, tt := range map[string]struct {
		e       Entry
		members []alert.MemberID
		alerts  []alert.ID
	}{
		"decision":  {entries()[Decided], []alert.MemberID{"XB", "XC", "XD"}, nil},
		"admission": {entries()[Admission], []alert.MemberID{"XA"}, []alert.ID{id}},
		"release":   {entries()[Release], []alert.MemberID{"XA", "XB"}, []alert.ID{id}},
		"refusal":   {entries()[Refusal], []alert.MemberID{"XD"}, nil},
		"received":  {entries()[Received], []alert.MemberID{"XB"}, nil},
		"registry":  {entries()[Statement], nil, nil},
		"consent":   {consent, []alert.MemberID{"XA"}, []alert.ID{id}},
		"trimmed":   {entries()[Trimmed], nil, nil},
	} {
		var members []alert.MemberID
		for _, m := range tt.e.Members() {
			if _, err := alert.ParseMemberID(string(m)); err == nil {
				members = append(members, m)
			}
		}
		slices.Sort(members)
		if diff := cmp.Diff(tt.members, slices.Compact(members)); diff != "" {
			t.Errorf("%s: members: %s", name, diff)
		}
		alerts := slices.DeleteFunc(tt.e.Alerts(), func(a alert.ID) bool { _, err := alert.ParseID(string(a)); return err != nil })
		if len(alerts) != len(tt.alerts) || len(alerts) > 0 && alerts[0] != tt.alerts[0] {
			t.Errorf("%s: alerts %v", name, alerts)
		}
	}
}
