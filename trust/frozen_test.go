package trust

import (
	"encoding/json"
	"os"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/entente-hub/entente/api/alert"
	"github.com/entente-hub/entente/api/audit"
	"github.com/entente-hub/entente/api/feed"
	"github.com/entente-hub/entente/crypto/sdjwt"
)

// frozen is a file of testdata/vectors/alerts/frozen: see the README there.
type frozen struct {
	Name   string `json:"name"`
	About  string `json:"about"`
	Text   string `json:"text"`
	SHA256 string `json:"sha256"`
}

// TestFrozenBytes: what is signed, hashed and sent has the bytes that it had.
func TestFrozenBytes(t *testing.T) {
	m := &maker{t: t}
	token := m.issue(node("XA"), small("XA"))
	parsed, err := sdjwt.Parse(token)
	if err != nil {
		t.Fatal(err)
	}
	delivery := feed.Delivery{Alert: token, Revision: digestOf("revision"), Policy: digestOf("policy"), ReleasedAt: today,
		Releases: []feed.Release{
			{Portion: "one", Kind: feed.Content, Agreements: []string{digestOf("agreement")}, Obligations: &feed.Obligations{
				Purposes: []alert.Purpose{"prevention"}, HoldUntil: today + 30*day, Onward: true, Handling: []alert.Handling{"H2"}}},
			{Portion: "two", Kind: feed.Existence}}}
	chain := feed.Next(feed.ChainStart("XB"), 1, delivery.Digest())
	receipt := feed.Receipt{Issuer: "hub", Originator: "XA", Alert: alertID, Version: 1, Digest: digestOf(token), AcceptedAt: today, LogIndex: 7}
	head := feed.Head{Issuer: "hub", Recipient: "XB", Seq: 1, Chain: chain, IssuedAt: today, Checkpoint: "entente/hub\n7\nAAAA\n\n— entente/hub AAAA\n"}
	ack := feed.Ack{Issuer: "XB", Hub: "hub", Seq: 1, Chain: chain, IssuedAt: today}
	purge := feed.Purge{Issuer: "XB", Hub: "hub", Originator: "XA", Alert: alertID, Version: 1, Digest: digestOf("signed"),
		Cause: feed.Recalled, Portions: []alert.PortionID{"one", "two"}, IssuedAt: today}
	recalled := m.issue(node("XA"), ending("XA", func(p *alert.Payload) {
		p.Version, p.Previous, p.Recall = 2, digestOf("signed"), &alert.Recall{Mode: alert.Purge, Reason: "the source was mistaken"}
	}))
	asked := m.issue(node("XA"), ending("XA", func(p *alert.Payload) {
		p.Re = &alert.Reference{Originator: "XB", Alert: otherAlertID, Act: alert.Request, Precedence: alert.Flash, Due: today + 8*60*60}
	}))
	leaf := audit.Entry{Salt: "ABCDEFGHIJKLMNOPQRSTUVWXYZ", Kind: audit.Admission, At: today * 1_000_000, Actor: "XA", Revision: digestOf("revision"), Policy: digestOf("policy"),
		Alert:    &audit.Alert{Originator: "XA", ID: alertID, Version: 1, Digest: digestOf(token)},
		Portions: []audit.Portion{{Portion: "one", Label: digestOf("label")}}}

	made := make(map[string]bool)
	for _, f := range []frozen{
		{Name: "alert_payload", About: "what the signature of an alert covers, besides the header", Text: string(parsed.Payload)},
		{Name: "alert_token", About: "an alert of two portions with all disclosures", Text: token},
		{Name: "portion_disclosure", About: "a portion's own disclosure, before base64url", Text: decoded(t, parsed, 0)},
		{Name: "content_disclosure", About: "its content's disclosure, before base64url", Text: decoded(t, parsed, 1)},
		{Name: "label_disclosure", About: "its label's disclosure, before base64url", Text: decoded(t, parsed, 2)},
		{Name: "delivery", About: "a delivery, whose SHA-256 is chained", Text: written(t, delivery)},
		{Name: "receipt_payload", About: "what the hub signs about an alert that it has accepted", Text: written(t, receipt)},
		{Name: "feed_head_payload", About: "what the hub signs about a recipient's feed", Text: written(t, head)},
		{Name: "ack_payload", About: "what a node signs about a delivery that it has stored", Text: written(t, ack)},
		{Name: "purge_payload", About: "what a node signs about what it has erased", Text: written(t, purge)},
		{Name: "recall_payload", About: "what the signature of a recall covers, besides the header", Text: signedText(t, recalled)},
		{Name: "request_payload", About: "what the signature of a request about another alert covers, besides the header", Text: signedText(t, asked)},
		{Name: "audit_leaf", About: "a leaf of the audit log: the admission of an alert", Text: string(leaf.Leaf())},
	} {
		f.SHA256 = digestOf(f.Text)
		made[f.Name+".json"] = true
		writeVector(t, "frozen/"+f.Name+".json", f, true)
	}
	files, err := filepath.Glob(vectorDir + "frozen/*")
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range files {
		if !made[filepath.Base(file)] {
			t.Errorf("%s is made by nothing", file)
		}
	}
	readBack(t, "receipt_payload", receipt, feed.Parse[feed.Receipt])
	readBack(t, "feed_head_payload", head, feed.Parse[feed.Head])
	readBack(t, "ack_payload", ack, feed.Parse[feed.Ack])
	readBack(t, "purge_payload", purge, feed.Parse[feed.Purge])
	leaf.Version = 1
	readBack(t, "audit_leaf", leaf, audit.Parse)
}

// readBack requires that a frozen text is read as the value that it is of.
func readBack[T any](t *testing.T, name string, want T, parse func([]byte) (T, error)) {
	t.Helper()
	data, err := os.ReadFile(vectorDir + "frozen/" + name + ".json")
	if err != nil {
		t.Fatal(err)
	}
	var f frozen
	unmarshal(data, &f)
	got, err := parse([]byte(f.Text))
	if err != nil {
		t.Fatalf("%s: %v", name, err)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("%s: %s", name, diff)
	}
}

func written(t testing.TB, v any) string {
	t.Helper()
	b, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

func decoded(t testing.TB, parsed *sdjwt.Token, i int) string {
	t.Helper()
	b, err := b64.DecodeString(parsed.Disclosures[i].Encoded)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// ending is an alert that says something of another version or another alert: without
// portions where it says that it ends one.
func ending(m alert.MemberID, change func(*alert.Payload)) alert.Alert {
	a := small(m)
	if change(&a.Payload); a.Recall != nil {
		a.Portions = nil
	}
	return a
}

const otherAlertID = "01890a5d-ac96-774b-bcce-b302099a8058"

func signedText(t *testing.T, token string) string {
	t.Helper()
	parsed, err := sdjwt.Parse(token)
	if err != nil {
		t.Fatal(err)
	}
	return string(parsed.Payload)
}
