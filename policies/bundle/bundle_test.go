package bundle

import (
	"bytes"
	"errors"
	"fmt"
	"maps"
	"math"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/google/go-cmp/cmp"

	"github.com/entente-hub/entente/crypto/keys"
	"github.com/entente-hub/entente/policies"
)

// officer makes a policy officer's key.
func officer(t testing.TB, alg keys.Alg) keys.Signer {
	t.Helper()
	s, err := keys.Generate("officer-1", alg)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// lookupOf knows the keys of some signers.
func lookupOf(signers ...keys.Signer) keys.Lookup {
	return func(kid string) (keys.PublicKey, error) {
		for _, s := range signers {
			if s.Public().KeyID() == kid {
				return s.Public(), nil
			}
		}
		return keys.PublicKey{}, fmt.Errorf("%w: %s is no policy officer's", keys.ErrKeyUnknown, kid)
	}
}

func pack(t testing.TB, modules map[string]string, revision int64) []byte {
	t.Helper()
	raw, err := Pack(modules, revision)
	if err != nil {
		t.Fatal(err)
	}
	return raw
}

func sign(t testing.TB, raw []byte, s keys.Signer) []byte {
	t.Helper()
	signed, err := Sign(t.Context(), raw, s)
	if err != nil {
		t.Fatal(err)
	}
	return signed
}

// small are two modules of which altered bundles are made.
func small() map[string]string {
	return map[string]string{
		"release/a/a.rego":         "package entente.release.a\n\ndefault permits := set()\n",
		"admission/admission.rego": "package entente.admission\n\nrefuse contains \"x\" if false\n",
	}
}

func TestOpenGivesWhatWasSigned(t *testing.T) {
	engine, err := policies.Load()
	if err != nil {
		t.Fatal(err)
	}
	for _, alg := range []keys.Alg{keys.EdDSA, keys.ES256} {
		for _, revision := range []int64{1, 12, math.MaxInt64} {
			s := officer(t, alg)
			got, err := Open(sign(t, pack(t, policies.Embedded(), revision), s), lookupOf(officer(t, alg), s))
			if err != nil {
				t.Fatal(err)
			}
			want := &Bundle{Revision: revision, Modules: policies.Embedded(), SignedBy: s.Public().KeyID(), Digest: engine.Digest()}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("%s, revision %d (-want +got):\n%s", alg, revision, diff)
			}
			compiled, err := policies.Compile(got.Modules)
			if err != nil || compiled.Digest() != got.Digest {
				t.Errorf("compiled: %v", err)
			}
		}
	}
}

func TestParseVouchesForNothing(t *testing.T) {
	s := officer(t, keys.EdDSA)
	unsigned := pack(t, small(), 3)
	for _, raw := range [][]byte{unsigned, sign(t, unsigned, s)} {
		b, err := Parse(raw)
		if err != nil {
			t.Fatal(err)
		}
		if b.SignedBy != "" || b.Revision != 3 || b.Digest != policies.Digest(small()) || !maps.Equal(b.Modules, small()) {
			t.Errorf("parsed %+v", b)
		}
	}
	if _, err := Open(unsigned, lookupOf(s)); !errors.Is(err, ErrUnsigned) {
		t.Errorf("an unsigned bundle: %v", err)
	}
}

// The same rules make the same bytes, whoever packs them and in whatever order
// they are found; with Ed25519 they are signed with the same bytes too.
func TestReproducible(t *testing.T) {
	s := officer(t, keys.EdDSA)
	fsys := fstest.MapFS{}
	for name, source := range policies.Embedded() {
		fsys[name] = &fstest.MapFile{Data: []byte(source), Mode: 0o600}
	}
	raw := pack(t, policies.Embedded(), 7)
	for range 3 {
		again, err := Build(fsys, 7)
		if err != nil || !bytes.Equal(raw, again) {
			t.Fatalf("built otherwise: %v", err)
		}
	}
	if !bytes.Equal(sign(t, raw, s), sign(t, raw, s)) {
		t.Error("signed otherwise")
	}
	if bytes.Equal(raw, pack(t, policies.Embedded(), 8)) {
		t.Error("the revision does not count")
	}
}

// TestFrozen holds what is hashed and signed to the bytes that other readers know.
func TestFrozen(t *testing.T) {
	f, err := unpack(pack(t, small(), 42))
	if err != nil {
		t.Fatal(err)
	}
	manifest := `{"revision":"42","roots":["entente/admission","entente/release"],"rego_version":1}`
	if got := string(f[manifestName]); got != manifest {
		t.Errorf("manifest %s", got)
	}
	got, err := f.claims("officer-1/kid")
	if err != nil {
		t.Fatal(err)
	}
	// sha256sum of each file; of .manifest over its members in the order of their names.
	want := `{"files":[` +
		`{"name":".manifest","hash":"` + sha(`{"rego_version":1,"revision":"42","roots":["entente/admission","entente/release"]}`) + `","algorithm":"SHA-256"},` +
		`{"name":"admission/admission.rego","hash":"` + sha(small()["admission/admission.rego"]) + `","algorithm":"SHA-256"},` +
		`{"name":"release/a/a.rego","hash":"` + sha(small()["release/a/a.rego"]) + `","algorithm":"SHA-256"}],` +
		`"keyid":"officer-1/kid"}`
	if diff := cmp.Diff(want, string(got)); diff != "" {
		t.Errorf("claims (-want +got):\n%s", diff)
	}
}

func TestPackRefuses(t *testing.T) {
	many := make(map[string]string)
	for i := range MaxFiles {
		many[fmt.Sprintf("release/r%d.rego", i)] = "package entente.release"
	}
	random := make([]byte, MaxCompressed+1000)
	for i, x := 0, uint32(1); i < len(random); i++ {
		x = x*1664525 + 1013904223 // numbers that do not compress
		random[i] = byte(x >> 24)
	}
	one := func(name, source string) map[string]string { return map[string]string{name: source} }
	for _, c := range []struct {
		name     string
		modules  map[string]string
		revision int64
		want     error
	}{
		{"nothing", nil, 1, ErrMalformed},
		{"revision 0", small(), 0, ErrMalformed},
		{"revision -1", small(), -1, ErrMalformed},
		{"too many files", many, 1, ErrTooLarge},
		{"does not compress", one("release/a.rego", string(random)), 1, ErrTooLarge},
		{"too large unpacked", one("release/a.rego", strings.Repeat(" ", MaxUnpacked)), 1, ErrTooLarge},
		{"large before tar's own blocks", one("release/a.rego", strings.Repeat(" ", MaxUnpacked-1024)), 1, ErrTooLarge},
		{"a test", one("release/a_test.rego", ""), 1, ErrMalformed},
		{"elsewhere", one("egress/egress.rego", ""), 1, ErrMalformed},
		{"beside the folders", one("release.rego", ""), 1, ErrMalformed},
		{"a longer folder", one("releases/a.rego", ""), 1, ErrMalformed},
		{"absolute", one("/release/a.rego", ""), 1, ErrMalformed},
		{"upwards", one("release/../../a.rego", ""), 1, ErrMalformed},
		{"a detour", one("release/./a.rego", ""), 1, ErrMalformed},
		{"two slashes", one("release//a.rego", ""), 1, ErrMalformed},
		{"backslash", one(`release\a.rego`, ""), 1, ErrMalformed},
		{"no name", one("release/.rego", ""), 1, ErrMalformed},
		{"hidden", one("release/.a.rego", ""), 1, ErrMalformed},
		{"capitals", one("release/A.rego", ""), 1, ErrMalformed},
		{"data", one("release/data.json", "{}"), 1, ErrMalformed},
		{"YAML", one("release/data.yaml", "{}"), 1, ErrMalformed},
		{"manifest further down", one("release/.manifest", "{}"), 1, ErrMalformed},
		{"WebAssembly", one("release/policy.wasm", ""), 1, ErrMalformed},
		{"a long name", one("release/"+strings.Repeat("a", 88)+".rego", ""), 1, ErrMalformed},
		{"control character", one("release/a\n.rego", ""), 1, ErrMalformed},
	} {
		t.Run(c.name, func(t *testing.T) {
			if raw, err := Pack(c.modules, c.revision); !errors.Is(err, c.want) || raw != nil {
				t.Errorf("%d bytes, error %v, want %v", len(raw), err, c.want)
			}
		})
	}
	delete(many, "release/r0.rego") // with the manifest, exactly as many as may be
	raw := pack(t, many, 1)
	if _, err := Sign(t.Context(), raw, officer(t, keys.EdDSA)); !errors.Is(err, ErrTooLarge) {
		t.Errorf("signing adds a file too many: %v", err)
	}
	pack(t, map[string]string{"release/" + strings.Repeat("a", 87) + ".rego": ""}, 1)
}

func TestModulesOfAFolder(t *testing.T) {
	file := func(s string) *fstest.MapFile { return &fstest.MapFile{Data: []byte(s), Mode: 0o644} }
	good := func() fstest.MapFS {
		return fstest.MapFS{
			"release/a/a.rego": file("a"), "release/a/a_test.rego": file("at"), "admission/b.rego": file("b"),
			"README.md": file("x"), "release/a/NOTES.md": file("x"), "scenarios/one.yaml": file("x"),
			".manifest": file("x"), ".signatures.json": file("x"), ".regal/config.yaml": file("x"),
		}
	}
	got, err := Modules(good())
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(map[string]string{"release/a/a.rego": "a", "admission/b.rego": "b"}, got); diff != "" {
		t.Errorf("modules (-want +got):\n%s", diff)
	}
	if got, err = WithTests(good()); err != nil || len(got) != 3 || got["release/a/a_test.rego"] != "at" {
		t.Errorf("with tests: %v, %v", got, err)
	}
	for _, name := range []string{"data.json", "data.yaml", "release/data.json", "release/a/data.yml", "egress/e.rego", "top.rego",
		"top_test.rego", "release/scenarios/s.yaml", "release/.hidden.rego", "release/A.rego", "policy.wasm", "scenarios"} {
		for _, tests := range []bool{false, true} {
			fsys := good()
			if name == "scenarios" {
				delete(fsys, "scenarios/one.yaml")
			}
			fsys[name] = file("x")
			if _, err := read(fsys, tests); !errors.Is(err, ErrMalformed) && (tests || name != "top_test.rego") {
				t.Errorf("%s, tests %t: %v", name, tests, err)
			}
		}
	}
	fsys := good()
	fsys["release/link.rego"] = &fstest.MapFile{Data: []byte("a/a.rego"), Mode: 0o777 | 1<<27} // fs.ModeSymlink
	if _, err := Modules(fsys); !errors.Is(err, ErrMalformed) {
		t.Errorf("a link: %v", err)
	}
	fsys = good()
	fsys["release/big.rego"] = file(strings.Repeat(" ", MaxUnpacked))
	if _, err := Modules(fsys); !errors.Is(err, ErrTooLarge) {
		t.Errorf("too much: %v", err)
	}
	if _, err := Modules(fstest.MapFS{}); !errors.Is(err, ErrMalformed) {
		t.Errorf("nothing: %v", err)
	}
	if _, err := Build(fstest.MapFS{"data.json": file("{}")}, 1); !errors.Is(err, ErrMalformed) {
		t.Errorf("built data: %v", err)
	}
}
