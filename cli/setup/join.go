package setup

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/entente-hub/entente/api/alert"
	"github.com/entente-hub/entente/api/federation"
	"github.com/entente-hub/entente/crypto/keys"
	"github.com/entente-hub/entente/crypto/pki"
	"github.com/entente-hub/entente/trust"
)

// Join makes a further member of a federation that was made here and is as it was
// made: its keys, certificate and configuration, and the statements that let it in.
// These are the registry's next revision, its node key and duty officers, and a
// version of one agreement to which it is a party too, signed by all of them. They are
// written beside the others and returned, in the order in which they must come.
func Join(ctx context.Context, l Layout, hubAddr string, hub federation.HubID, member Member, into federation.AgreementID) ([][]byte, error) {
	m := &maker{Layout: l, now: time.Now(), hubAddr: hubAddr, spec: Spec{Hub: hub, Members: []Member{member}},
		roots: make(map[alert.MemberID]keys.Signer), nodes: make(map[alert.MemberID]keys.Signer), duty: make(map[alert.MemberID][]federation.Key)}
	for _, step := range []func(context.Context) error{m.reopen, m.makeMemberKeys, m.admitMember} {
		if err := step(ctx); err != nil {
			return nil, fmt.Errorf("joining: %w", err)
		}
	}
	registry := m.directory.Registry()
	next := *registry
	next.Members = append(slices.Clone(registry.Members), m.entry(member))
	if err := m.state(ctx, "50-registry", federation.TypeRegistry, &next, m.authority); err != nil {
		return nil, err
	}
	if err := m.stateKeys(ctx, "51", member.ID); err != nil {
		return nil, err
	}
	head, ok := m.directory.Head(federation.TypeAgreement, string(into))
	if !ok {
		return nil, fmt.Errorf("joining: there is no agreement %s", into)
	}
	agreement := *head.Body.(*federation.Agreement)
	agreement.Parties = append(slices.Clone(agreement.Parties), member.ID)
	var signers []keys.Signer
	for _, party := range agreement.Parties {
		signers = append(signers, m.roots[party])
	}
	if err := m.state(ctx, "52-agreement-"+string(into), federation.TypeAgreement, &agreement, signers...); err != nil {
		return nil, err
	}
	return m.stated, nil
}

// reopen takes up the keys and statements of the federation as it stands.
func (m *maker) reopen(ctx context.Context) error {
	raw, err := os.ReadFile(filepath.Join(m.Authority(), "authority.jwk"))
	if err != nil {
		return err
	}
	authority, err := keys.ParsePublicKey(bytes.TrimSpace(raw))
	if err != nil {
		return err
	}
	files, err := filepath.Glob(filepath.Join(m.Statements(), "*.json"))
	if err != nil {
		return err
	}
	m.directory = trust.New(authority)
	for _, file := range files { // in the order of their names, as they were made
		raw, err := os.ReadFile(file)
		if err != nil {
			return err
		}
		if m.directory, err = m.directory.With(m.now, raw); err != nil {
			return fmt.Errorf("%s: %w", filepath.Base(file), err)
		}
	}
	if m.authority, err = openKey(m.Authority(), "keys", authority.KeyID()); err != nil {
		return err
	}
	for _, other := range m.directory.Registry().Members {
		if m.roots[other.ID], err = RootKey(m.Layout, other.ID); err != nil {
			return err
		}
	}
	m.ca, err = pki.LoadCA(filepath.Join(m.Authority(), "ca.crt"), filepath.Join(m.Authority(), "ca.key"))
	return err
}

// RootKey opens a member's root key.
func RootKey(l Layout, m alert.MemberID) (keys.Signer, error) { return openKey(l.Node(m), "root", "") }

// openKey opens a key, the only one where no id is given.
func openKey(dir, name, kid string) (keys.Signer, error) {
	secret, err := keys.SecretFromFile(filepath.Join(dir, name+".secret"))
	if err != nil {
		return nil, err
	}
	store, err := keys.OpenStore(filepath.Join(dir, name), secret)
	if err != nil {
		return nil, err
	}
	if kid != "" {
		return store.Load(kid)
	}
	kids, err := store.List()
	if err != nil {
		return nil, err
	}
	if len(kids) != 1 {
		return nil, fmt.Errorf("%s holds %d keys where one is expected", filepath.Join(dir, name), len(kids))
	}
	return store.Load(kids[0])
}

// admitMember gives the member its certificate and configuration.
func (m *maker) admitMember(context.Context) error {
	member := m.spec.Members[0].ID
	if err := m.certify(m.Node(member), pki.Identity{Kind: pki.Member, ID: string(member)}); err != nil {
		return err
	}
	addrs, err := FreeAddresses(2)
	if err != nil {
		return err
	}
	return m.writeNodeConfig(member, addrs[0], addrs[1])
}
