package alert

import (
	"encoding/json"
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
