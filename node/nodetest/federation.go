// Package nodetest makes a small federation for tests of the node, and a hub
// that can be made to lie: real keys, real signatures, real TLS.
package nodetest

import (
	"context"
	"crypto/rand"
	"crypto/tls"
	"encoding/base64"
	"encoding/json"
	"net"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/entente-hub/entente/api/alert"
	"github.com/entente-hub/entente/api/federation"
	"github.com/entente-hub/entente/api/feed"
	"github.com/entente-hub/entente/crypto/keys"
	"github.com/entente-hub/entente/crypto/pki"
	"github.com/entente-hub/entente/trust"
)

// Names in the federation.
const (
	HubID  = federation.HubID("hub-one")
	Scheme = "urn:entente:policy:regional:1"
)

// Members of the federation.
var Members = []alert.MemberID{"XA", "XB", "XC"}

// Federation is three members with root and node keys, a registry, node-key
// statements, one agreement of XA and XB, and a policy. Duty officers, two of each
// member, have keys and no statement yet: see DutyOfficers.
type Federation struct {
	tb         testing.TB
	Authority  keys.Signer
	HubKey     keys.Signer
	Officers   []keys.Signer
	Root, Node map[alert.MemberID]keys.Signer
	Duty       map[alert.MemberID][]keys.Signer
	CA         *pki.CA
	Statements [][]byte // registry, node keys, agreement, policy
	Agreement  string   // digest of the agreement's statement
	Policy     string   // digest of the policy bundle in force
	Start      time.Time
	Now        func() time.Time // the clock of hub and members; time.Now
}

// New makes a federation.
func New(tb testing.TB) *Federation {
	tb.Helper()
	f := &Federation{tb: tb, Now: time.Now, Start: time.Now().Add(-time.Hour).Truncate(time.Second),
		Root: make(map[alert.MemberID]keys.Signer), Node: make(map[alert.MemberID]keys.Signer),
		Duty: make(map[alert.MemberID][]keys.Signer)}
	f.Authority, f.HubKey = f.Key("authority"), f.Key(string(HubID))
	f.Officers = []keys.Signer{f.Key("officer-1"), f.Key("officer-2")}
	var err error
	f.CA, err = pki.NewCA("nodetest")
	f.must(err)
	for _, m := range Members {
		f.Root[m], f.Node[m] = f.Key(string(m)), f.Key(string(m))
		f.Duty[m] = []keys.Signer{f.Key(string(m) + ".duty-1"), f.Key(string(m) + ".duty-2")}
	}
	f.Statements = append(f.Statements, f.Registry(1, "", f.HubKey))
	for _, m := range Members {
		f.Statements = append(f.Statements, f.NodeKey(m, f.Node[m], f.Root[m]))
	}
	agreement, digest := f.Agree(1, "", "smuggling-ab", f.Root["XA"], f.Root["XB"])
	f.Policy = federation.Digest([]byte("policy"))
	policy, _ := f.State(federation.TypePolicy, &federation.Policy{Name: "release", Digest: f.Policy, Bundle: 1}, 1, "", f.Officers[0], f.Officers[1])
	f.Statements, f.Agreement = append(f.Statements, agreement, policy), digest
	return f
}

func (f *Federation) must(err error) {
	f.tb.Helper()
	if err != nil {
		f.tb.Fatal(err)
	}
}

// Key makes an Ed25519 key.
func (f *Federation) Key(owner string) keys.Signer {
	f.tb.Helper()
	k, err := keys.Generate(owner, keys.EdDSA)
	f.must(err)
	return k
}

// JWK writes a key's public part.
func (f *Federation) JWK(k keys.Signer) json.RawMessage {
	f.tb.Helper()
	raw, err := json.Marshal(k.Public())
	f.must(err)
	return raw
}

// State signs a statement and returns it with its payload's digest.
func (f *Federation) State(t federation.StatementType, body federation.Body, rev int64, prev string, signers ...keys.Signer) (raw []byte, digest string) {
	f.tb.Helper()
	payload, err := federation.NewStatement(t, body, rev, prev, f.Start.Unix())
	f.must(err)
	raw, err = keys.SignGeneral(context.Background(), signers, federation.StatementJWSType, payload)
	f.must(err)
	return raw, federation.Digest(payload)
}

// Registry signs a registry with the hub's keys.
func (f *Federation) Registry(rev int64, prev string, hub ...keys.Signer) []byte {
	f.tb.Helper()
	return f.RegistryWith(rev, prev, func(*federation.Registry) {}, hub...)
}

// RegistryWith is Registry with something changed.
func (f *Federation) RegistryWith(rev int64, prev string, change func(*federation.Registry), hub ...keys.Signer) []byte {
	f.tb.Helper()
	r := &federation.Registry{Federation: "nodetest", Schemes: []federation.Scheme{federation.PlainScheme(Scheme, "plain")},
		Hub:            federation.Hub{ID: HubID},
		PolicyOfficers: federation.PolicyOfficer{Quorum: 2, Keys: []federation.Key{f.JWK(f.Officers[0]), f.JWK(f.Officers[1])}},
		Rules:          federation.Rules{MaxRetentionDays: 365}}
	for _, k := range hub {
		r.Hub.Keys = append(r.Hub.Keys, f.JWK(k))
	}
	for _, m := range Members {
		r.Members = append(r.Members, federation.Member{ID: m, Name: "Member " + string(m),
			RootKeys: []federation.Key{f.JWK(f.Root[m])}, Ceiling: alert.Secret})
	}
	change(r)
	raw, _ := f.State(federation.TypeRegistry, r, rev, prev, f.Authority)
	return raw
}

// NodeKey certifies a key as a member's node's, signed with root.
func (f *Federation) NodeKey(m alert.MemberID, key, root keys.Signer) []byte {
	f.tb.Helper()
	raw, _ := f.State(federation.TypeNodeKey, &federation.NodeKey{Member: m, KeyID: key.Public().KeyID(), Key: f.JWK(key),
		NotBefore: f.Start.Add(-24 * time.Hour).Unix(), NotAfter: f.Start.AddDate(1, 0, 0).Unix()}, 1, "", root)
	return raw
}

// Agree signs an agreement of XA and XB.
func (f *Federation) Agree(rev int64, prev string, id federation.AgreementID, signers ...keys.Signer) (raw []byte, digest string) {
	f.tb.Helper()
	return f.State(federation.TypeAgreement, &federation.Agreement{ID: id, Title: "Smuggling data",
		Parties: []alert.MemberID{"XA", "XB"}, Categories: []alert.Category{"smuggling"}, MaxClassification: alert.Secret,
		PersonalData: alert.Personal, Purposes: []alert.Purpose{"investigation"}, RetentionDays: 30 + int(rev),
		ValidFrom: f.Start.Add(-24 * time.Hour).Unix(), ValidUntil: f.Start.AddDate(1, 0, 0).Unix()}, rev, prev, signers...)
}

// DutyOfficers names a member's duty officers, signed with its root.
func (f *Federation) DutyOfficers(m alert.MemberID) []byte {
	f.tb.Helper()
	d := &federation.DutyOfficers{Member: m}
	for _, k := range f.Duty[m] {
		d.Officers = append(d.Officers, f.JWK(k))
	}
	raw, _ := f.State(federation.TypeDuty, d, 1, "", f.Root[m])
	return raw
}

// Certificate issues a TLS certificate for loopback.
func (f *Federation) Certificate(id pki.Identity) tls.Certificate {
	f.tb.Helper()
	pair, err := f.CA.IssuePair(pki.Request{Identity: id, IPs: []net.IP{net.IPv4(127, 0, 0, 1)}, Validity: pki.ValidFor(time.Hour)})
	f.must(err)
	return pair
}

// Label is a label that any member may have.
func Label(to ...alert.Audience) alert.Label {
	return alert.Label{Policy: Scheme, Classification: alert.Restricted, TLP: alert.Amber, ReleasableTo: to,
		Categories: []alert.Category{"smuggling"}, Purposes: []alert.Purpose{"investigation"}, PersonalData: alert.NoPersonalData}
}

// Object is a STIX object.
func Object() json.RawMessage {
	return json.RawMessage(`{"type":"vehicle","id":"vehicle--` + uuid.NewString() + `","plate":"XB 1234","n":12345678901234567890}`)
}

// Plan puts all objects into a portion "main".
func Plan() alert.Plan {
	return alert.Plan{Portions: []alert.Planned{{ID: "main", Notice: "smuggling", Label: Label("federation"), Objects: []string{alert.Rest}}}}
}

// Payload is a fresh payload of a member's, ready to be issued.
func (f *Federation) Payload(m alert.MemberID) alert.Payload {
	var jti [16]byte
	_, _ = rand.Read(jti[:])
	return alert.Payload{Issuer: m, Subject: alert.ID(uuid.Must(uuid.NewV7()).String()), Version: 1,
		JTI: base64.RawURLEncoding.EncodeToString(jti[:]), IssuedAt: f.Now().Unix(), Expires: f.Now().Add(24 * time.Hour).Unix()}
}

// Issue signs an alert with portions p0, p1, … and returns all of it.
func (f *Federation) Issue(p alert.Payload, portions int, with keys.Signer) string {
	f.tb.Helper()
	return f.IssueLabelled(p, Label("federation"), portions, with)
}

// IssueLabelled is Issue with the label that each portion gets.
func (f *Federation) IssueLabelled(p alert.Payload, l alert.Label, portions int, with keys.Signer) string {
	f.tb.Helper()
	a := alert.Alert{Payload: p}
	f.must(l.Normalize())
	for i := range portions {
		a.Portions = append(a.Portions, alert.Portion{ID: alert.PortionID("p" + string(rune('0'+i))), Notice: "smuggling", Label: &l,
			Content: &alert.Content{Objects: []json.RawMessage{Object()}}})
	}
	token, err := trust.IssueAlert(context.Background(), with, a)
	f.must(err)
	return token
}

// Deliver reduces an alert of Issue's to what the kinds release of p0, p1, ….
func (f *Federation) Deliver(token string, kinds ...feed.Kind) feed.Delivery {
	f.tb.Helper()
	portions, err := trust.ReadPortions(token)
	f.must(err)
	d := feed.Delivery{Revision: "revision", Policy: f.Policy, ReleasedAt: f.Now().Unix()}
	released := make(map[alert.PortionID]feed.Kind)
	for _, p := range portions {
		kind := kinds[p.ID[1]-'0']
		if kind == feed.None {
			continue
		}
		released[p.ID] = kind
		r := feed.Release{Portion: p.ID, Kind: kind}
		if kind == feed.Content {
			r.Agreements = []string{f.Agreement}
			r.Obligations = &feed.Obligations{Purposes: p.Label.Purposes, HoldUntil: f.Now().Add(time.Hour).Unix()}
		}
		d.Releases = append(d.Releases, r)
	}
	d.Alert, err = trust.ReduceAlert(token, released)
	f.must(err)
	return d
}
