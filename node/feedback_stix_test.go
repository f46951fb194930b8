package node_test

import (
	"encoding/json"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/entente-hub/entente/api/alert"
	"github.com/entente-hub/entente/api/feed"
	"github.com/entente-hub/entente/api/problem"
	"github.com/entente-hub/entente/node"
	"github.com/entente-hub/entente/trust"
)

// stixOf returns the objects of an alert by type.
func stixOf(t *testing.T, a alert.Alert) map[string][]map[string]any {
	t.Helper()
	out := make(map[string][]map[string]any)
	for _, p := range a.Portions {
		for _, o := range p.Content.Objects {
			var v map[string]any
			must(t, json.Unmarshal(o, &v))
			typ := v["type"].(string)
			out[typ] = append(out[typ], v)
		}
	}
	return out
}

// TestSighting: what was seen, how often, when and where.
func TestSighting(t *testing.T) {
	e := exchange(t)
	xa, xb := e["XA"], e["XB"]
	about := xb.publishes(feed.Content, nil, xa)
	seen := time.Now().Add(-time.Hour)
	three := 3
	draft := node.FeedbackDraft{Originator: "XB", Alert: about.ID, Act: alert.Sighting, Text: "At the ford",
		Sighting: &node.Sighting{Count: &three, FirstSeen: seen.Add(-time.Hour), LastSeen: seen, Where: []string{"XA", "XA", "XB"}}}
	xa.says(draft)
	xa.carry(xb)
	said := stixOf(t, xb.said().Alert.Alert)
	held := stixOf(t, xa.said().Alert.Alert)
	s := said["sighting"][0]
	if s["sighting_of_ref"] != held["vehicle"][0]["id"] || s["count"] != 3.0 || s["description"] != "At the ford" ||
		s["last_seen"] != seen.UTC().Format("2006-01-02T15:04:05.000Z") || len(s["where_sighted_refs"].([]any)) != 2 {
		t.Errorf("%+v", s)
	}
	places := make(map[any]bool)
	for _, l := range said["location"] {
		places[l["id"]] = true
	}
	for _, ref := range s["where_sighted_refs"].([]any) {
		if !places[ref] {
			t.Errorf("%v refers to nothing that is there", ref)
		}
	}
	// One of the author's own stands as it is.
	own := json.RawMessage(`{"type":"sighting","spec_version":"2.1","id":"sighting--f690c992-8e7d-4b9a-9303-3312616c0220","created":"2026-01-01T00:00:00.000Z",` +
		`"modified":"2026-01-01T00:00:00.000Z","sighting_of_ref":"` + held["vehicle"][0]["id"].(string) + `"}`)
	a, err := trust.ReadAlert(xa.says(node.FeedbackDraft{Originator: "XB", Alert: about.ID, Act: alert.Sighting, Objects: []json.RawMessage{own}}).Token)
	must(t, err)
	if said := stixOf(t, a.Alert); len(said["sighting"]) != 1 || said["sighting"][0]["id"] != "sighting--f690c992-8e7d-4b9a-9303-3312616c0220" {
		t.Errorf("%+v", said)
	}
}

// TestWhatFeedbackRefersTo: a text is about the objects that are named, else about the
// alert; the same words at the same time make the same objects.
func TestWhatFeedbackRefersTo(t *testing.T) {
	e := exchange(t)
	xa, xb := e["XA"], e["XB"]
	about := xb.publishes(feed.Content, nil, xa)
	vehicle := stixOf(t, xa.said().Alert.Alert)["vehicle"][0]["id"].(string)
	draft := node.FeedbackDraft{Originator: "XB", Alert: about.ID, Act: alert.Comment, Text: "Seen before", About: []string{strings.ToUpper(vehicle[:len("vehicle--")]) + vehicle[len("vehicle--"):]}}
	compose := func(f node.FeedbackDraft) node.Draft {
		t.Helper()
		d, err := xa.n.ComposeFeedback(ctx, f)
		must(t, err)
		return d
	}
	d := compose(draft)
	var n struct {
		ID   string   `json:"id"`
		Refs []string `json:"object_refs"`
	}
	must(t, json.Unmarshal(d.Objects[len(d.Objects)-1], &n))
	if len(d.Objects) != 1 || !slices.Equal(n.Refs, []string{vehicle}) {
		t.Errorf("%s", d.Objects)
	}
	draft.About = nil
	whole := compose(draft)
	if len(whole.Objects) != 2 || !strings.Contains(string(whole.Objects[0]), `"x-entente-alert"`) || strings.Contains(string(whole.Objects[0]), "portion") {
		t.Errorf("%s", whole.Objects)
	}
	if again := compose(draft); string(again.Objects[0]) != string(whole.Objects[0]) {
		t.Error("another object stands for the same alert")
	}
	draft.Act = alert.Request
	draft.About = []string{vehicle}
	if _, err := xa.n.ComposeFeedback(ctx, draft); problem.KindOf(err) != problem.Malformed {
		t.Errorf("a request names what is held: %v", err)
	}
	if d := compose(node.FeedbackDraft{Originator: "XB", Alert: about.ID, Act: alert.Acknowledgement}); len(d.Objects) != 1 {
		t.Errorf("%s", d.Objects)
	}
}

// TestFeedbackIsSTIX: whatever is said, each object has what STIX 2.1 demands of its type,
// and refers to nothing but objects that go with it or are held.
func TestFeedbackIsSTIX(t *testing.T) {
	e := exchange(t)
	xa, xb := e["XA"], e["XB"]
	held := xb.publishes(feed.Content, nil, xa)
	vehicle := stixOf(t, xa.said().Alert.Alert)["vehicle"][0]["id"].(string)
	hit := xb.publishes(feed.Existence, nil, xa)
	extra := json.RawMessage(`{"type":"identity","spec_version":"2.1","id":"identity--f690c992-8e7d-4b9a-9303-3312616c0220",` +
		`"created":"2026-01-01T00:00:00.000Z","modified":"2026-01-01T00:00:00.000Z","name":"Ford watch"}`)
	twice := 2
	demanded := map[string][]string{"note": {"content", "object_refs"}, "sighting": {"sighting_of_ref"}, "location": {"country"},
		"x-entente-alert": {"originator", "alert"}, "identity": {"name"}}
	for _, id := range []alert.ID{held.ID, hit.ID} {
		for _, act := range []alert.Act{alert.Acknowledgement, alert.Sighting, alert.Request, alert.Comment} {
			for _, words := range []string{"", "Seen \"twice\" <at> the ford\nby night"} {
				f := node.FeedbackDraft{Originator: "XB", Alert: id, Act: act, Text: words, Objects: []json.RawMessage{extra}}
				if act == alert.Sighting {
					f.Sighting = &node.Sighting{Count: &twice, LastSeen: time.Now().Add(-time.Minute), Where: []string{"XB", "identity--f690c992-8e7d-4b9a-9303-3312616c0220"}}
				}
				d, err := xa.n.ComposeFeedback(ctx, f)
				wordless := words == "" && (act == alert.Request || act == alert.Comment)
				if unseen := act == alert.Sighting && id == hit.ID; wordless || unseen {
					if problem.KindOf(err) != problem.Malformed {
						t.Errorf("%s without words, or of nothing: %v", act, err)
					}
					continue
				}
				must(t, err)
				known := map[string]bool{}
				if id == held.ID && act != alert.Request {
					known[vehicle] = true
				}
				var all []map[string]any
				for _, o := range d.Objects {
					ref, err := alert.ParseObjectRef(o)
					must(t, err)
					var v map[string]any
					must(t, json.Unmarshal(o, &v))
					known[ref.ID], all = true, append(all, v)
					for _, name := range append([]string{"spec_version", "created", "modified"}, demanded[ref.Type]...) {
						if v[name] == nil {
							t.Errorf("%s: a %s without %s", act, ref.Type, name)
						}
					}
					if demanded[ref.Type] == nil {
						t.Errorf("%s: a %s", act, ref.Type)
					}
				}
				for _, v := range all {
					refs := []any{}
					for _, name := range []string{"object_refs", "where_sighted_refs"} {
						list, _ := v[name].([]any)
						refs = append(refs, list...)
					}
					if of := v["sighting_of_ref"]; of != nil {
						refs = append(refs, of)
					}
					for _, ref := range refs {
						if !known[ref.(string)] {
							t.Errorf("%s: %v refers to %v, which is not there", act, v["type"], ref)
						}
					}
				}
			}
		}
	}
}
