package alert

import (
	"encoding/json"
	"reflect"
	"strings"
	"testing"
	"time"
)

const plan = `{"expires_in":"720h","portions":[` +
	`{"id":"p1","notice":"vehicle","label":` + canonical + `,"grading":{"scheme":"4x4","source":"A","information":"1"},"objects":["` + stixID + `"]},` +
	`{"id":"p2","label":` + minimal + `,"objects":["malware"]},{"id":"p3","label":` + minimal + `,"objects":["*"]}]}`

func raws(ids ...string) []json.RawMessage {
	var out []json.RawMessage
	for _, id := range ids {
		typ, _, _ := strings.Cut(id, "--")
		out = append(out, json.RawMessage(`{"type":"`+typ+`","id":"`+id+`"}`))
	}
	return out
}

func TestPlan(t *testing.T) {
	p, err := ParsePlan([]byte(plan))
	if err != nil {
		t.Fatal(err)
	}
	if d, err := p.Lifetime(); err != nil || d != 720*time.Hour {
		t.Errorf("lifetime %v, %v", d, err)
	}
	other := strings.Replace(stixID, "8e2e", "8e2f", 1)
	malware := strings.Replace(stixID, "indicator", "malware", 1)
	all := raws(other, malware, stixID)
	portions, err := p.Split(all)
	if err != nil {
		t.Fatal(err)
	}
	for i, want := range []int{2, 1, 0} { // by id, by type, the rest
		got := portions[i].Content.Objects
		if len(got) != 1 || string(got[0]) != string(all[want]) {
			t.Errorf("portion %s holds %s", portions[i].ID, got)
		}
	}
	for name, objects := range map[string][]json.RawMessage{
		"none": nil, "a selector finds nothing": raws(other, stixID), "twice": raws(other, malware, stixID, stixID), "no object": append(raws(other, malware, stixID), json.RawMessage(`{}`)),
	} {
		if _, err := p.Split(objects); !isRefusal(err) {
			t.Errorf("%s: %v", name, err)
		}
	}
	p.Portions = p.Portions[:2]
	if _, err := p.Split(all); !isRefusal(err) {
		t.Errorf("an object that is nobody's: %v", err)
	}
	p.Portions[1].Objects = []string{stixID}
	if _, err := p.Split(raws(stixID)); !isRefusal(err) {
		t.Errorf("an object that is two portions': %v", err)
	}
}

func TestPlanRefuses(t *testing.T) {
	for name, change := range map[string][2]string{
		"unknown": {`"notice"`, `"remark"`}, "duration": {"720h", "30d"}, "duration negative": {"720h", "-1h"}, "duration long": {"720h", "99999h"}, "no id": {`"id":"p1",`, ""},
		"id twice": {`"p2"`, `"p1"`}, "no objects": {`["malware"]`, `[]`}, "notice": {`"vehicle"`, `"\u202e"`}, "label": {`"tlp":"amber+strict"`, `"tlp":"AMBER"`}, "grading": {`"source":"A"`, `"source":"D"`},
	} {
		in := strings.Replace(plan, change[0], change[1], 1)
		if p, err := ParsePlan([]byte(in)); !isRefusal(err) || in == plan || p.Portions != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// TestPlanLeavesToTheNode: the level may be left out where marked_as names it, and
// the policy; a label of an alert has both.
func TestPlanLeavesToTheNode(t *testing.T) {
	marked := strings.Replace(minimal, `"classification":"unclassified"`, `"marked_as":"XA-GEHEIM"`, 1)
	if marked == minimal {
		t.Fatal(minimal)
	}
	without := func(label string) string {
		var l map[string]any
		if err := json.Unmarshal([]byte(label), &l); err != nil {
			t.Fatal(err)
		}
		delete(l, "policy")
		b, _ := json.Marshal(l)
		return string(b)
	}
	for name, c := range map[string]struct {
		label string
		ok    bool
	}{
		"whole":                  {minimal, true},
		"marked":                 {marked, true},
		"no policy":              {without(minimal), true},
		"marked, no policy":      {without(marked), true},
		"neither":                {strings.Replace(minimal, `"classification":"unclassified",`, "", 1), false},
		"empty name":             {strings.Replace(marked, "XA-GEHEIM", "", 1), false},
		"empty policy":           {strings.Replace(without(marked), "{", `{"policy":"",`, 1), true},
		"bad policy":             {strings.Replace(marked, "urn:", "uri:", 1), false},
		"two lines":              {strings.Replace(marked, "XA-GEHEIM", `XA\nGEHEIM`, 1), false},
		"unknown classification": {strings.Replace(minimal, `"unclassified"`, `"geheim"`, 1), false},
		"no categories":          {strings.Replace(marked, `"categories":["labour"]`, `"categories":[]`, 1), false},
	} {
		in := `{"portions":[{"id":"p1","label":` + c.label + `,"objects":["*"]}]}`
		p, err := ParsePlan([]byte(in))
		if !c.ok {
			if !isRefusal(err) {
				t.Errorf("%s: %v", name, err)
			}
			continue
		}
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		l := p.Portions[0].Label
		out, err := json.Marshal(p)
		if err != nil {
			t.Fatal(err)
		}
		if again, err := ParsePlan(out); err != nil || !reflect.DeepEqual(p, again) {
			t.Errorf("%s: %s: %v", name, out, err)
		}
		whole := l.Policy != "" && l.Classification != 0
		if err := l.Normalize(); (err == nil) != whole || !whole && !isRefusal(err) {
			t.Errorf("%s: as a label: %v", name, err)
		}
		if _, err := ParseLabel([]byte(c.label)); (err == nil) != whole {
			t.Errorf("%s: as a label in JSON: %v", name, err)
		}
	}
}
