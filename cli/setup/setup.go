package setup

import (
	"context"
	"encoding/json"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"time"

	"github.com/entente-hub/entente/api/alert"
	"github.com/entente-hub/entente/api/federation"
	"github.com/entente-hub/entente/crypto/keys"
	"github.com/entente-hub/entente/crypto/pki"
	"github.com/entente-hub/entente/hub"
	"github.com/entente-hub/entente/policies"
	"github.com/entente-hub/entente/trust"
)

// Layout says where the parts of a federation lie in its folder.
type Layout string

// Statements is the folder of signed statements.
func (l Layout) Statements() string { return filepath.Join(string(l), "statements") }

// Authority is the authority's folder.
func (l Layout) Authority() string { return filepath.Join(string(l), "authority") }

// Auditor is the folder of the federation's auditor.
func (l Layout) Auditor() string { return filepath.Join(string(l), "auditor") }

// Hub is the hub's folder.
func (l Layout) Hub() string { return filepath.Join(string(l), "hub") }

// Node is a member's folder.
func (l Layout) Node(m alert.MemberID) string { return filepath.Join(string(l), "nodes", string(m)) }

// HubConfig is the hub's configuration file.
func (l Layout) HubConfig() string { return filepath.Join(l.Hub(), "hub.yaml") }

// NodeConfig is a node's configuration file.
func (l Layout) NodeConfig(m alert.MemberID) string { return filepath.Join(l.Node(m), "node.yaml") }

// maker carries what is needed while a federation is made.
type maker struct {
	Layout
	spec      Spec
	now       time.Time
	ca        *pki.CA
	authority keys.Signer
	officers  []keys.Signer
	auditor   keys.Signer
	hub       keys.Signer
	roots     map[alert.MemberID]keys.Signer
	nodes     map[alert.MemberID]keys.Signer
	duty      map[alert.MemberID][]federation.Key
	directory *trust.Directory
	hubAddr   string
	stated    [][]byte // statements, in the order in which they were made
}

// Make makes the federation in dir, which must not exist or be empty: keys and
// trust are never overwritten.
func Make(ctx context.Context, dir string, spec Spec) (Layout, error) {
	dir, err := filepath.Abs(dir)
	if err != nil {
		return "", err
	}
	if entries, err := os.ReadDir(dir); err == nil && len(entries) > 0 {
		return "", fmt.Errorf("%s is not empty; a federation is made in a fresh folder", dir)
	}
	m := &maker{Layout: Layout(dir), spec: spec, now: time.Now(),
		roots: make(map[alert.MemberID]keys.Signer), nodes: make(map[alert.MemberID]keys.Signer),
		duty: make(map[alert.MemberID][]federation.Key)}
	for _, step := range []func(context.Context) error{m.makeKeys, m.makeCertificates, m.makeStatements, m.writeConfigs} {
		if err := step(ctx); err != nil {
			return "", fmt.Errorf("making the federation: %w", err)
		}
	}
	return m.Layout, nil
}

// auditorName is the name of the one auditor, who can place legal holds.
const auditorName = "auditor-1"

func (m *maker) makeKeys(ctx context.Context) error {
	if err := os.MkdirAll(m.Statements(), 0o700); err != nil {
		return err
	}
	store, err := newKeyStore(m.Authority(), "keys")
	if err != nil {
		return err
	}
	if m.authority, err = store.Create(trust.AuthorityOwner, keys.EdDSA); err != nil {
		return err
	}
	for i := range 2 {
		officer, err := store.Create(fmt.Sprintf("officer-%d", i+1), keys.EdDSA)
		if err != nil {
			return err
		}
		m.officers = append(m.officers, officer)
	}
	if store, err = newKeyStore(m.Auditor(), "keys"); err != nil {
		return err
	}
	if m.auditor, err = store.Create(auditorName, keys.EdDSA); err != nil {
		return err
	}
	if err := os.MkdirAll(filepath.Join(m.Hub(), "data"), 0o700); err != nil {
		return err
	}
	if store, err = newKeyStore(m.Hub(), "keys"); err != nil {
		return err
	}
	if m.hub, err = store.Create(string(m.spec.Hub), keys.EdDSA); err != nil {
		return err
	}
	if err := m.makeMemberKeys(ctx); err != nil {
		return err
	}
	return writeJSON(filepath.Join(m.Authority(), "authority.jwk"), m.authority.Public())
}

// makeMemberKeys makes the keys of each member: root, node and duty officers.
func (m *maker) makeMemberKeys(context.Context) error {
	for _, member := range m.spec.Members {
		if err := os.MkdirAll(filepath.Join(m.Node(member.ID), "data"), 0o700); err != nil {
			return err
		}
		store, err := newKeyStore(m.Node(member.ID), "root")
		if err != nil {
			return err
		}
		if m.roots[member.ID], err = store.Create(string(member.ID), keys.EdDSA); err != nil {
			return err
		}
		if err := m.makeDuty(member.ID); err != nil {
			return err
		}
		if store, err = newKeyStore(m.Node(member.ID), "keys"); err != nil {
			return err
		}
		if m.nodes[member.ID], err = store.Create(string(member.ID), keys.EdDSA); err != nil {
			return err
		}
	}
	return nil
}

// makeDuty makes the keys of a member's duty officers, each with a store of its own:
// nobody can sign for both.
func (m *maker) makeDuty(member alert.MemberID) error {
	for i := range 2 {
		name := fmt.Sprintf("duty-%d", i+1)
		store, err := newKeyStore(m.Node(member), name)
		if err != nil {
			return err
		}
		key, err := store.Create(string(member)+"."+name, keys.EdDSA)
		if err != nil {
			return err
		}
		m.duty[member] = append(m.duty[member], jwk(key.Public()))
	}
	return nil
}

// newKeyStore makes a key store with its own secret file beside it.
func newKeyStore(dir, name string) (*keys.Store, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, err
	}
	file := filepath.Join(dir, name+".secret")
	if err := keys.NewSecretFile(file); err != nil {
		return nil, err
	}
	secret, err := keys.SecretFromFile(file)
	if err != nil {
		return nil, err
	}
	return keys.InitStore(filepath.Join(dir, name), secret)
}

// certificateTerm is how long certificates made here last; pki allows no more.
const certificateTerm = 365 * 24 * time.Hour

func (m *maker) makeCertificates(context.Context) error {
	var err error
	if m.ca, err = pki.NewCA(m.spec.Name); err != nil {
		return err
	}
	if err := m.ca.Write(filepath.Join(m.Authority(), "ca.crt"), filepath.Join(m.Authority(), "ca.key")); err != nil {
		return err
	}
	if err := m.certify(m.Hub(), pki.Identity{Kind: pki.Hub, ID: string(m.spec.Hub)}); err != nil {
		return err
	}
	for _, member := range m.spec.Members {
		if err := m.certify(m.Node(member.ID), pki.Identity{Kind: pki.Member, ID: string(member.ID)}); err != nil {
			return err
		}
	}
	return nil
}

func (m *maker) certify(dir string, id pki.Identity) error {
	pair, err := m.ca.IssuePair(pki.Request{Identity: id,
		DNSNames: []string{"localhost"}, IPs: []net.IP{net.IPv4(127, 0, 0, 1), net.IPv6loopback}, Validity: pki.ValidFor(certificateTerm)})
	if err != nil {
		return err
	}
	return pki.WritePair(filepath.Join(dir, "tls.crt"), filepath.Join(dir, "tls.key"), pair)
}

func (m *maker) makeStatements(ctx context.Context) error {
	m.directory = trust.New(m.authority.Public())
	if err := m.state(ctx, "00-registry", federation.TypeRegistry, m.registry(), m.authority); err != nil {
		return err
	}
	for _, member := range m.spec.Members {
		if err := m.stateKeys(ctx, "10", member.ID); err != nil {
			return err
		}
	}
	for _, tf := range m.spec.TaskForces {
		body := &federation.Roster{TaskForce: tf.ID, Members: tf.Members}
		if err := m.state(ctx, "20-roster-"+string(tf.ID), federation.TypeRoster, body, m.roots[tf.Lead]); err != nil {
			return err
		}
	}
	for _, a := range m.spec.Agreements {
		if a.ValidFrom == 0 {
			a.ValidFrom, a.ValidUntil = m.now.Add(-time.Hour).Unix(), m.now.Add(agreementTerm).Unix()
		}
		var signers []keys.Signer
		for _, party := range a.Parties {
			signers = append(signers, m.roots[party])
		}
		if err := m.state(ctx, "30-agreement-"+string(a.ID), federation.TypeAgreement, &a, signers...); err != nil {
			return err
		}
	}
	engine, err := policies.Load()
	if err != nil {
		return err
	}
	body := &federation.Policy{Name: hub.PolicyName, Digest: engine.Digest(), Bundle: 1}
	return m.state(ctx, "40-policy", federation.TypePolicy, body, m.officers...)
}

// stateKeys certifies a member's node key and names its duty officers.
func (m *maker) stateKeys(ctx context.Context, number string, member alert.MemberID) error {
	key := m.nodes[member].Public()
	body := &federation.NodeKey{Member: member, KeyID: key.KeyID(), Key: jwk(key),
		NotBefore: m.now.Add(-time.Hour).Unix(), NotAfter: m.now.Add(certificateTerm).Unix()}
	if err := m.state(ctx, number+"-node-key-"+string(member), federation.TypeNodeKey, body, m.roots[member]); err != nil {
		return err
	}
	return m.state(ctx, number+"-duty-officers-"+string(member), federation.TypeDuty,
		&federation.DutyOfficers{Member: member, Officers: m.duty[member]}, m.roots[member])
}

// entry is a member's in the registry.
func (m *maker) entry(member Member) federation.Member {
	return federation.Member{ID: member.ID, Name: member.Name, Ceiling: member.Ceiling, Scheme: member.Scheme,
		RootKeys: []federation.Key{jwk(m.roots[member.ID].Public())}}
}

func (m *maker) registry() *federation.Registry {
	r := &federation.Registry{
		Federation: m.spec.Name, Communities: m.spec.Communities,
		Hub:     federation.Hub{ID: m.spec.Hub, Keys: []federation.Key{jwk(m.hub.Public())}},
		Schemes: m.spec.Schemes,
		Rules:   federation.Rules{MaxRetentionDays: 1095},
	}
	for _, member := range m.spec.Members {
		r.Members = append(r.Members, m.entry(member))
	}
	for _, tf := range m.spec.TaskForces {
		r.TaskForces = append(r.TaskForces, tf.TaskForce)
	}
	for _, o := range m.officers {
		r.PolicyOfficers.Keys = append(r.PolicyOfficers.Keys, jwk(o.Public()))
	}
	r.PolicyOfficers.Quorum = len(m.officers)
	r.Auditors = []federation.Auditor{{Name: auditorName, Keys: []federation.Key{jwk(m.auditor.Public())}}}
	return r
}

// state signs a statement, verifies it as every reader will, and writes it.
func (m *maker) state(ctx context.Context, file string, t federation.StatementType, body federation.Body, signers ...keys.Signer) error {
	revision, previous := int64(1), ""
	if head, ok := m.directory.Head(t, body.Subject()); ok {
		revision, previous = head.Revision+1, head.Digest
	}
	payload, err := federation.NewStatement(t, body, revision, previous, m.now.Unix())
	if err != nil {
		return err
	}
	raw, err := keys.SignGeneral(ctx, signers, federation.StatementJWSType, payload)
	if err != nil {
		return err
	}
	if m.directory, err = m.directory.With(m.now, raw); err != nil {
		return err
	}
	m.stated = append(m.stated, raw)
	return keys.WriteNewFile(filepath.Join(m.Statements(), file+".json"), raw, 0o600)
}

func jwk(k keys.PublicKey) federation.Key {
	raw, err := json.Marshal(k)
	if err != nil {
		panic("setup: a public key does not encode: " + err.Error()) // it was parsed or generated
	}
	return raw
}

func writeJSON(file string, v any) error {
	raw, err := json.Marshal(v)
	if err != nil {
		return err
	}
	return keys.WriteNewFile(file, append(raw, '\n'), 0o600)
}
