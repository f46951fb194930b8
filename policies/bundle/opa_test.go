package bundle

import (
	"bytes"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"maps"
	"testing"

	"github.com/google/go-cmp/cmp"
	opa "github.com/open-policy-agent/opa/v1/bundle"
	opakeys "github.com/open-policy-agent/opa/v1/keys"

	"github.com/entente-hub/entente/crypto/keys"
	"github.com/entente-hub/entente/policies"
)

// opaKey is an officer's key as OPA takes it.
func opaKey(t *testing.T, k keys.PublicKey) *opa.KeyConfig {
	t.Helper()
	der, err := x509.MarshalPKIXPublicKey(k.Key())
	if err != nil {
		t.Fatal(err)
	}
	return &opa.KeyConfig{Key: string(pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der})), Algorithm: string(k.Alg())}
}

// opaRead reads a bundle with OPA's own code, which verifies it with the keys.
func opaRead(raw []byte, known map[string]*opa.KeyConfig) (opa.Bundle, error) {
	loader := opa.NewTarballLoaderWithBaseURL(bytes.NewReader(raw), "")
	return opa.NewCustomReader(loader).WithBundleName("entente").WithProcessAnnotations(true).
		WithBundleVerificationConfig(opa.NewVerificationConfig(known, "", "", nil)).Read()
}

// TestOPAVerifies: OPA finds the key by the kid, verifies, and reads the same.
func TestOPAVerifies(t *testing.T) {
	for _, alg := range []keys.Alg{keys.EdDSA, keys.ES256} {
		t.Run(string(alg), func(t *testing.T) {
			s := officer(t, alg)
			known := map[string]*opa.KeyConfig{s.Public().KeyID(): opaKey(t, s.Public())}
			unsigned := pack(t, policies.Embedded(), 12)
			signed := sign(t, unsigned, s)
			b, err := opaRead(signed, known)
			if err != nil {
				t.Fatal(err)
			}
			got := make(map[string]string)
			for _, m := range b.Modules {
				got[m.Path] = string(m.Raw)
			}
			if diff := cmp.Diff(policies.Embedded(), got); diff != "" {
				t.Errorf("modules (-want +got):\n%s", diff)
			}
			if b.Manifest.Revision != "12" || *b.Manifest.RegoVersion != 1 || len(b.Data) != 0 {
				t.Errorf("manifest %v, data %v", b.Manifest, b.Data)
			}

			other := map[string]*opa.KeyConfig{s.Public().KeyID(): opaKey(t, officer(t, alg).Public())}
			f, err := unpack(signed)
			if err != nil {
				t.Fatal(err)
			}
			altered := maps.Clone(f)
			altered["release/active/active.rego"] = append([]byte("# "), altered["release/active/active.rego"]...)
			added := maps.Clone(f)
			added["release/z.rego"] = []byte("package entente.release.z")
			renumbered := maps.Clone(f)
			renumbered[manifestName] = []byte(`{"revision":"13","roots":["entente/admission","entente/release"],"rego_version":1}`)
			for name, c := range map[string]struct {
				raw   []byte
				known map[string]*opa.KeyConfig
			}{"unsigned": {unsigned, known}, "another key": {signed, other}, "no such key": {signed, nil},
				"altered": {mustPack(t, altered), known}, "added": {mustPack(t, added), known}, "renumbered": {mustPack(t, renumbered), known}} {
				if _, err := opaRead(c.raw, c.known); err == nil {
					t.Errorf("%s: OPA takes it", name)
				}
			}
		})
	}
}

// TestOPAConfigurationKnowsES256Alone records where OPA itself differs: its command
// line and its library verify EdDSA, the keys in its configuration file do not.
// docs/policy-guide.md tells officers so; it must be told again when this fails.
func TestOPAConfigurationKnowsES256Alone(t *testing.T) {
	for alg, want := range map[keys.Alg]bool{keys.ES256: true, keys.EdDSA: false} {
		raw, err := json.Marshal(map[string]any{"officer": opaKey(t, officer(t, alg).Public())})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := opakeys.ParseKeysConfig(raw); (err == nil) != want {
			t.Errorf("%s: %v", alg, err)
		}
	}
}

func mustPack(t testing.TB, f files) []byte {
	t.Helper()
	raw, err := f.pack()
	if err != nil {
		t.Fatal(err)
	}
	return raw
}
