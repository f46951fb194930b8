package trust

import (
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/sha256"
	"encoding/asn1"
	"encoding/json"
	"math/big"
	"testing"
	"time"

	"github.com/entente-hub/entente/api/alert"
	"github.com/entente-hub/entente/api/federation"
	"github.com/entente-hub/entente/api/problem"
	"github.com/entente-hub/entente/crypto/keys"
)

// The clock of all tests stands still.
const (
	day     = 24 * 60 * 60
	founded = 1_800_000_000 // when the federation's statements were signed
	today   = founded + 10*day
)

var now = time.Unix(today, 0)

// fixedKey is a keys.Signer whose signatures are the same every time: Ed25519 is
// deterministic, and ECDSA is used as in RFC 6979.
type fixedKey struct {
	private crypto.Signer
	public  keys.PublicKey
}

func (k fixedKey) Public() keys.PublicKey { return k.public }

func (k fixedKey) Sign(_ context.Context, messages [][]byte) ([][]byte, error) {
	out := make([][]byte, len(messages))
	for i, m := range messages {
		if _, ok := k.private.(ed25519.PrivateKey); ok {
			signature, err := k.private.Sign(nil, m, crypto.Hash(0))
			if err != nil {
				return nil, err
			}
			out[i] = signature
			continue
		}
		digest := sha256.Sum256(m)
		der, err := k.private.Sign(nil, digest[:], crypto.SHA256)
		if err != nil {
			return nil, err
		}
		var rs struct{ R, S *big.Int }
		if _, err := asn1.Unmarshal(der, &rs); err != nil {
			return nil, err
		}
		out[i] = make([]byte, keys.SignatureSize)
		rs.R.FillBytes(out[i][:32])
		rs.S.FillBytes(out[i][32:])
	}
	return out, nil
}

// seed is 32 bytes of no secrecy whatever.
func seed(name string) [32]byte { return sha256.Sum256([]byte("entente test key " + name)) }

// named returns the Ed25519 key of that name, in an owner's hands.
func named(owner, name string) fixedKey {
	s := seed(name)
	return fixed(owner, ed25519.NewKeyFromSeed(s[:]))
}

func namedP256(owner, name string) fixedKey {
	s := seed(name)
	private, err := ecdsa.ParseRawPrivateKey(elliptic.P256(), s[:])
	if err != nil {
		panic(err)
	}
	return fixed(owner, private)
}

func fixed(owner string, private crypto.Signer) fixedKey {
	public, err := keys.NewPublicKey(owner, private.Public())
	if err != nil {
		panic(err)
	}
	return fixedKey{private, public}
}

func root(m alert.MemberID) fixedKey { return named(string(m), "root of "+string(m)) }
func node(m alert.MemberID) fixedKey { return named(string(m), "node of "+string(m)) }

var (
	authority = named(AuthorityOwner, "authority")
	hubKey    = named("hub", "hub")
	officer1  = named("officer-1", "officer 1")
	officer1b = named("officer-1", "officer 1, second key")
	officer2  = named("officer-2", "officer 2")
	stranger  = named("XA", "stranger")
)

func jwk(k fixedKey) federation.Key {
	b, err := json.Marshal(k.public)
	if err != nil {
		panic(err)
	}
	return b
}

func jwks(list ...fixedKey) (out []federation.Key) {
	for _, k := range list {
		out = append(out, jwk(k))
	}
	return out
}

// registry is of four members: XA leads the task force, XD is in no agreement.
func registry() *federation.Registry {
	r := &federation.Registry{
		Federation:     "trial",
		Communities:    []federation.Community{{ID: "coast", Members: []alert.MemberID{"XA", "XB"}}},
		TaskForces:     []federation.TaskForce{{ID: "blue", Name: "Blue", Lead: "XA"}},
		Hub:            federation.Hub{ID: "hub", Keys: jwks(hubKey)},
		Schemes:        []federation.Scheme{federation.PlainScheme("urn:entente:policy:regional:1", "regional")},
		PolicyOfficers: federation.PolicyOfficer{Quorum: 2, Keys: jwks(officer1, officer1b, officer2)},
		Rules:          federation.Rules{MaxRetentionDays: 365},
	}
	for _, m := range []alert.MemberID{"XA", "XB", "XC", "XD"} {
		r.Members = append(r.Members, federation.Member{ID: m, Name: string(m), RootKeys: jwks(root(m)), Ceiling: alert.Secret})
	}
	return r
}

// without removes a member and what hangs on it.
func without(m alert.MemberID) *federation.Registry {
	r := registry()
	var members []federation.Member
	for _, have := range r.Members {
		if have.ID != m {
			members = append(members, have)
		}
	}
	r.Members = members
	return r
}

func certify(m alert.MemberID, k fixedKey) *federation.NodeKey {
	return &federation.NodeKey{Member: m, KeyID: k.public.KeyID(), Key: jwk(k), NotBefore: founded, NotAfter: founded + 365*day}
}

func agree(id federation.AgreementID, parties ...alert.MemberID) *federation.Agreement {
	return &federation.Agreement{ID: id, Title: "trial", Parties: parties, Categories: []alert.Category{"smuggling"},
		MaxClassification: alert.Secret, PersonalData: alert.Personal, Purposes: []alert.Purpose{"prevention"},
		RetentionDays: 30, ValidFrom: founded, ValidUntil: founded + 365*day}
}

func roster(members ...alert.MemberID) *federation.Roster {
	return &federation.Roster{TaskForce: "blue", Members: members}
}

func suspend(id federation.AgreementID, party alert.MemberID, suspended bool) *federation.Suspension {
	return &federation.Suspension{Agreement: id, Party: party, Suspended: suspended}
}

const alertID = "01890a5d-ac96-774b-bcce-b302099a8057"

func consent(m alert.MemberID, to ...alert.Audience) *federation.Consent {
	return &federation.Consent{Originator: m, Alert: alertID, Recipients: to}
}

func policy(digest string) *federation.Policy {
	return &federation.Policy{Name: "release", Digest: digest, Bundle: 1}
}

// digestOf is the digest of some text.
func digestOf(text string) string { return federation.Digest([]byte(text)) }

func typeOf(b federation.Body) federation.StatementType {
	switch b.(type) {
	case *federation.Registry:
		return federation.TypeRegistry
	case *federation.NodeKey:
		return federation.TypeNodeKey
	case *federation.Roster:
		return federation.TypeRoster
	case *federation.Agreement:
		return federation.TypeAgreement
	case *federation.Suspension:
		return federation.TypeSuspension
	case *federation.Consent:
		return federation.TypeConsent
	case *federation.DutyOfficers:
		return federation.TypeDuty
	case *federation.Emergency:
		return federation.TypeEmergency
	case *federation.LegalHold:
		return federation.TypeLegalHold
	}
	return federation.TypePolicy
}

func signers(list []fixedKey) (out []keys.Signer) {
	for _, k := range list {
		out = append(out, k)
	}
	return out
}

// sign makes any statement that has the form of one.
func sign(t testing.TB, b federation.Body, rev int64, prev string, iat int64, by ...fixedKey) []byte {
	t.Helper()
	payload, err := federation.NewStatement(typeOf(b), b, rev, prev, iat)
	if err != nil {
		t.Fatal(err)
	}
	raw, err := keys.SignGeneral(t.Context(), signers(by), federation.StatementJWSType, payload)
	if err != nil {
		t.Fatal(err)
	}
	return raw
}

// next makes the statement that follows what the directory holds.
func next(t testing.TB, d *Directory, b federation.Body, by ...fixedKey) []byte {
	t.Helper()
	return nextAt(t, d, today, b, by...)
}

func nextAt(t testing.TB, d *Directory, iat int64, b federation.Body, by ...fixedKey) []byte {
	t.Helper()
	head, _ := d.Head(typeOf(b), b.Subject())
	return sign(t, b, head.Revision+1, head.Digest, iat, by...)
}

// with takes in a statement that must be good.
func with(t testing.TB, d *Directory, b federation.Body, by ...fixedKey) *Directory {
	t.Helper()
	return withAt(t, d, founded, b, by...)
}

func withAt(t testing.TB, d *Directory, iat int64, b federation.Body, by ...fixedKey) *Directory {
	t.Helper()
	n, err := d.With(time.Unix(max(today, iat), 0), nextAt(t, d, iat, b, by...))
	if err != nil {
		t.Helper()
		t.Fatalf("%s %s: %v", typeOf(b), b.Subject(), err)
	}
	return n
}

// trial is a federation at work: node keys of all, one agreement, one roster.
func trial(t testing.TB) *Directory {
	t.Helper()
	d := with(t, New(authority.public), registry(), authority)
	for _, m := range []alert.MemberID{"XA", "XB", "XC", "XD"} {
		d = with(t, d, certify(m, node(m)), root(m))
	}
	d = with(t, d, agree("ab", "XA", "XB"), root("XA"), root("XB"))
	return with(t, d, roster("XA", "XB"), root("XA"))
}

// refused requires that neither Verify nor With accepts a statement, and both
// for the reason given.
func refused(t testing.TB, d *Directory, want problem.Kind, raw []byte) {
	t.Helper()
	if _, err := d.Verify(now, raw); outcome(err) != string(want) {
		t.Errorf("Verify: %s (%v), want %s", outcome(err), err, want)
	}
	if n, err := d.With(now, raw); outcome(err) != string(want) || err != nil && n != nil {
		t.Errorf("With: %s (%v), want %s", outcome(err), err, want)
	}
}

// outcome names an error.
func outcome(err error) string {
	if err == nil {
		return "ok"
	}
	return string(problem.KindOf(err))
}
