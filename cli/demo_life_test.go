package cli

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/entente-hub/entente/api/alert"
	"github.com/entente-hub/entente/api/feed"
	"github.com/entente-hub/entente/api/nodeapi"
)

func TestDemoChecksTheCorrection(t *testing.T) {
	content := feed.Content
	made := func() *nodeapi.Diff {
		return &nodeapi.Diff{From: 1, To: 2, Portions: []nodeapi.PortionDiff{
			{Portion: "contact", Change: "removed"},
			{Portion: "landing", Change: "changed", Before: &content, After: &content, Objects: []nodeapi.ObjectDiff{{Change: "changed"}}},
		}}
	}
	bites(t, made, checkCorrection, []flaw[*nodeapi.Diff]{
		{"versions", func(d *nodeapi.Diff) { d.To = 3 }},
		{"a portion less", func(d *nodeapi.Diff) { d.Portions = d.Portions[1:] }},
		{"one twice", func(d *nodeapi.Diff) { d.Portions = append(d.Portions, d.Portions[0]) }},
		{"still released", func(d *nodeapi.Diff) { d.Portions[0].Change = "changed" }},
		{"still held", func(d *nodeapi.Diff) { d.Portions[0].After = &content }},
		{"still shown", func(d *nodeapi.Diff) { d.Portions[0].Objects = []nodeapi.ObjectDiff{{Change: "removed"}} }},
		{"erased", func(d *nodeapi.Diff) { d.Portions[1].Change = "erased" }},
		{"no object changed", func(d *nodeapi.Diff) { d.Portions[1].Objects = nil }},
		{"object gone", func(d *nodeapi.Diff) { d.Portions[1].Objects[0].Change = "removed" }},
		{"label changed", func(d *nodeapi.Diff) { d.Portions[1].Fields = []nodeapi.FieldDiff{{}} }},
	})
	old := func() *nodeapi.ReceivedAlert {
		return &nodeapi.ReceivedAlert{Portions: []nodeapi.HeldPortion{{Portion: "landing", Objects: new([]json.RawMessage)}},
			Summary: nodeapi.Received{Version: 1, SupersededBy: new(int32(2)), Purged: &[]nodeapi.Purged{{Cause: feed.Superseded, Portions: []string{"contact"}}}}}
	}
	bites(t, old, checkCorrected, []flaw[*nodeapi.ReceivedAlert]{
		{"current", func(a *nodeapi.ReceivedAlert) { a.Summary.SupersededBy = nil }},
		{"content left", func(a *nodeapi.ReceivedAlert) {
			a.Portions = append(a.Portions, nodeapi.HeldPortion{Portion: "contact", Objects: new([]json.RawMessage)})
		}},
		{"nothing erased", func(a *nodeapi.ReceivedAlert) { a.Summary.Purged = nil }},
		{"another erased", func(a *nodeapi.ReceivedAlert) { (*a.Summary.Purged)[0].Portions[0] = "landing" }},
		{"another cause", func(a *nodeapi.ReceivedAlert) { (*a.Summary.Purged)[0].Cause = feed.Ended }},
	})
}

func TestDemoChecksWhoHasErased(t *testing.T) {
	made := func() *nodeapi.HolderList {
		holder := func(m string, first ...string) nodeapi.Holder {
			return nodeapi.Holder{Member: m, Version: 3, Told: true, Acknowledged: true,
				Purged: []nodeapi.PurgedVersion{{Version: 1, Portions: first}, {Version: 2, Portions: []string{"landing"}}}}
		}
		list := &nodeapi.HolderList{Version: 3, Recall: &alert.Recall{}, Members: []nodeapi.Holder{holder("XB", "contact"), holder("XC", "landing")}}
		list.Members[0].Purged = append(list.Members[0].Purged, nodeapi.PurgedVersion{Version: 1, Portions: []string{"landing"}})
		return list
	}
	bites(t, made, func(l *nodeapi.HolderList) error { return checkErased(l, 3) }, []flaw[*nodeapi.HolderList]{
		{"another version", func(l *nodeapi.HolderList) { l.Version = 2 }},
		{"no recall", func(l *nodeapi.HolderList) { l.Recall = nil }},
		{"a member less", func(l *nodeapi.HolderList) { l.Members = l.Members[1:] }},
		{"nobody", func(l *nodeapi.HolderList) { l.Members = nil }},
		{"one twice", func(l *nodeapi.HolderList) { l.Members[1] = l.Members[0] }},
		{"another member", func(l *nodeapi.HolderList) {
			l.Members = append(l.Members, nodeapi.Holder{Member: "XD", Told: true, Acknowledged: true})
		}},
		{"no receipt", func(l *nodeapi.HolderList) { l.Members[1].Purged = nil }},
		{"a receipt less", func(l *nodeapi.HolderList) { l.Members[0].Purged = l.Members[0].Purged[:2] }},
		{"a portion more", func(l *nodeapi.HolderList) { l.Members[1].Purged[1].Portions = []string{"contact", "landing"} }},
		{"still to erase", func(l *nodeapi.HolderList) { l.Members[0].Held = []nodeapi.HeldVersion{{}} }},
		{"late", func(l *nodeapi.HolderList) { l.Members[1].Late = true }},
		{"false receipt", func(l *nodeapi.HolderList) { l.Members[1].Faults = []string{"no"} }},
		{"not told", func(l *nodeapi.HolderList) { l.Members[1].Told = false }},
		{"not acknowledged", func(l *nodeapi.HolderList) { l.Members[0].Acknowledged = false }},
	})
	shown := func() *nodeapi.ReceivedAlert {
		return &nodeapi.ReceivedAlert{Summary: nodeapi.Received{Version: 1, Recall: &alert.Recall{Mode: alert.Purge, Reason: lifeReason}},
			Portions: []nodeapi.HeldPortion{{Portion: "landing"}}}
	}
	bites(t, shown, func(a *nodeapi.ReceivedAlert) error { return checkTakenBack("XB", a) }, []flaw[*nodeapi.ReceivedAlert]{
		{"not recalled", func(a *nodeapi.ReceivedAlert) { a.Summary.Recall = nil }},
		{"another mode", func(a *nodeapi.ReceivedAlert) { a.Summary.Recall.Mode = alert.CeaseUse }},
		{"another reason", func(a *nodeapi.ReceivedAlert) { a.Summary.Recall.Reason = "x" }},
		{"objects", func(a *nodeapi.ReceivedAlert) { a.Portions[0].Objects = new([]json.RawMessage) }},
		{"label", func(a *nodeapi.ReceivedAlert) { a.Portions[0].Label = new(alert.Label) }},
	})
}

// A text is found wherever it stands in what is encoded, and not where it does not.
func TestTraces(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	const text = "Kestrel 4417"
	noise := func(n int) []byte {
		out := make([]byte, n)
		for i := range out {
			out[i] = byte(random.Uint32())
		}
		return out
	}
	found := func(raw []byte, text string) bool {
		for _, trace := range traces(text) {
			if bytes.Contains(raw, trace) {
				return true
			}
		}
		return false
	}
	for n := range 300 {
		before, after := noise(n%50), noise(n/7)
		raw := []byte(base64.RawURLEncoding.EncodeToString(bytes.Join([][]byte{before, []byte(text), after}, nil)))
		if !found(raw, text) {
			t.Fatalf("not found after %d and before %d bytes", len(before), len(after))
		}
		if found(raw, "Kestrel 4418 x") {
			t.Fatal("found what is not there")
		}
	}
	dir := t.TempDir()
	file := filepath.Join(dir, "below", "node.db-wal")
	if err := os.Mkdir(filepath.Dir(file), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(file, []byte("x"+text), 0o600); err != nil {
		t.Fatal(err)
	}
	if got, err := holdsTrace(dir, "other", text); got != file || err != nil {
		t.Errorf("%q, %v", got, err)
	}
	if got, err := holdsTrace(dir, "other"); got != "" || err != nil {
		t.Errorf("%q, %v", got, err)
	}
	if got, err := holdsTrace(filepath.Join(dir, "gone"), text); got != "" || err != nil {
		t.Errorf("%q, %v", got, err)
	}
}

// Each secret of the demo stands twice in its portion of the first version, and the
// second version does not have the one that it takes back.
func TestDemoSecrets(t *testing.T) {
	first, second := string(demoFile("xa-landing.bundle.json")), string(demoFile("xa-landing-2.bundle.json"))
	for portion, text := range secrets {
		if strings.Count(first, text) != 2 || strings.Contains(second, text) != (portion == "landing") {
			t.Errorf("%s: %q", portion, text)
		}
	}
	for _, file := range []string{"xa-landing", "xa-landing-2"} {
		a := &demoAlert{file: file}
		if err := a.compose(); err != nil {
			t.Fatal(err)
		}
		if _, err := a.draft.Plan.Split(a.draft.Objects); err != nil {
			t.Error(err)
		}
	}
}
