package cli

import (
	"bytes"
	"encoding/json"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/entente-hub/entente/cli/setup"
	"github.com/entente-hub/entente/crypto/keys"
	"github.com/entente-hub/entente/policies"
	"github.com/entente-hub/entente/policies/bundle"
)

// entente runs the command and holds it to its exit code.
func entente(t *testing.T, code int, args ...string) (stdout, stderr string) {
	t.Helper()
	var out, errs bytes.Buffer
	if got := Main(t.Context(), args, &out, &errs); got != code {
		t.Fatalf("%v: exit code %d, want %d: %s%s", args, got, code, &out, &errs)
	}
	return out.String(), errs.String()
}

func write(t *testing.T, content any, path ...string) string {
	t.Helper()
	file := filepath.Join(path...)
	raw, ok := content.([]byte)
	if !ok {
		var err error
		if raw, err = json.Marshal(content); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.MkdirAll(filepath.Dir(file), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(file, raw, 0o600); err != nil {
		t.Fatal(err)
	}
	return file
}

// keyStore makes a store with a key for each owner, and returns its folder and the
// file that opens it.
func keyStore(t *testing.T, dir string, owners ...string) (store, secretFile string, public []keys.PublicKey) {
	t.Helper()
	secretFile, store = filepath.Join(dir, "secret"), filepath.Join(dir, "keys")
	if err := keys.NewSecretFile(secretFile); err != nil {
		t.Fatal(err)
	}
	secret, err := keys.SecretFromFile(secretFile)
	if err != nil {
		t.Fatal(err)
	}
	s, err := keys.InitStore(store, secret)
	if err != nil {
		t.Fatal(err)
	}
	for i, owner := range owners {
		k, err := s.Create(owner, []keys.Alg{keys.EdDSA, keys.ES256}[i%2])
		if err != nil {
			t.Fatal(err)
		}
		public = append(public, k.Public())
	}
	return store, secretFile, public
}

func TestPolicyOfficersAreReadFromFiles(t *testing.T) {
	dir := t.TempDir()
	store, secret, public := keyStore(t, dir, "officer-1", "officer-2", "officer-3")
	unsigned := filepath.Join(dir, "unsigned")
	entente(t, exitOK, "policy", "build", "--embedded", "--revision", "4", "--out", unsigned)
	first := write(t, public[0], dir, "first.jwk")
	set := write(t, map[string]any{"keys": public[1:]}, dir, "set.json")
	for _, k := range public {
		signed := filepath.Join(dir, k.Owner())
		entente(t, exitOK, "policy", "sign", unsigned, "--keys", store, "--secret-file", secret, "--kid", k.KeyID(), "--out", signed)
		pem := filepath.Join(dir, k.Owner()+".pem")
		out, _ := entente(t, exitOK, "policy", "verify", signed, "--officers", first, "--officers", set, "--json", "--key-out", pem)
		var r bundleReport
		if err := json.Unmarshal([]byte(out), &r); err != nil {
			t.Fatal(err)
		}
		if r.SignedBy != k.KeyID() || r.Revision != 4 || r.Digest != policies.Digest(policies.Embedded()) ||
			len(r.Modules) != len(policies.Embedded()) || len(r.Rules) < 15 {
			t.Errorf("report %+v", r)
		}
		if raw, err := os.ReadFile(pem); err != nil || !bytes.HasPrefix(raw, []byte("-----BEGIN PUBLIC KEY-----\n")) {
			t.Errorf("key: %s, %v", raw, err)
		}
	}
	signed := filepath.Join(dir, "officer-2")
	if _, errs := entente(t, exitRefused, "policy", "verify", signed, "--officers", first); !strings.Contains(errs, "not that of a policy officer") {
		t.Errorf("another's: %s", errs)
	}
	for name, content := range map[string]string{
		"empty": "", "text": "officer-1", "list": "[]", "no keys": `{"keys":[]}`, "keys null": `{"keys":null}`,
		"set with more": `{"keys":[{}],"kid":"x"}`, "no key": `{}`, "twice": `{"keys":[],"keys":[]}`, "kty": `{"kty":"RSA"}`,
	} {
		file := write(t, []byte(content), dir, "wrong.jwk")
		if _, errs := entente(t, exitUsage, "policy", "verify", signed, "--officers", file); !strings.Contains(errs, "wrong.jwk") {
			t.Errorf("%s: %s", name, errs)
		}
	}
	entente(t, exitUsage, "policy", "verify", signed, "--officers", filepath.Join(dir, "missing"))
}

func TestPolicyOfficersAreReadFromARegistry(t *testing.T) {
	dir := t.TempDir()
	fed, err := setup.Make(t.Context(), filepath.Join(dir, "fed"), setup.Trial())
	if err != nil {
		t.Fatal(err)
	}
	unsigned, signed := filepath.Join(dir, "unsigned"), filepath.Join(dir, "signed")
	entente(t, exitOK, "policy", "build", "--embedded", "--revision", "1", "--out", unsigned)
	entente(t, exitOK, "policy", "sign", unsigned, "--keys", filepath.Join(fed.Authority(), "keys"),
		"--secret-file", filepath.Join(fed.Authority(), "keys.secret"), "--kid", "officer-2", "--out", signed)
	verify := func(code int) string {
		_, errs := entente(t, code, "policy", "verify", signed, "--config", fed.HubConfig())
		return errs
	}
	verify(exitOK)
	registry := filepath.Join(fed.Statements(), "00-registry.json")
	// Names of files say nothing of their order.
	if err := os.Rename(registry, filepath.Join(fed.Statements(), "99-registry.json")); err != nil {
		t.Fatal(err)
	}
	verify(exitOK)
	registry = filepath.Join(fed.Statements(), "99-registry.json")
	raw, err := os.ReadFile(registry)
	if err != nil {
		t.Fatal(err)
	}
	write(t, bytes.Replace(raw, []byte(`"signature":"`), []byte(`"signature":"AAAA`), 1), registry)
	if errs := verify(exitRefused); !strings.Contains(errs, "99-registry.json") {
		t.Errorf("an altered registry: %s", errs)
	}
	if err := os.Remove(registry); err != nil {
		t.Fatal(err)
	}
	if errs := verify(exitUsage); !strings.Contains(errs, "no registry") {
		t.Errorf("all but the registry: %s", errs)
	}
	if err := os.RemoveAll(fed.Statements()); err != nil {
		t.Fatal(err)
	}
	if errs := verify(exitUsage); !strings.Contains(errs, "no registry") {
		t.Errorf("no registry: %s", errs)
	}
}

func TestPolicySignNamesItsKey(t *testing.T) {
	dir := t.TempDir()
	store, secret, public := keyStore(t, dir, "officer-1", "officer-2", "officer-2")
	one, oneSecret, _ := keyStore(t, t.TempDir(), "officer-9")
	unsigned := filepath.Join(dir, "unsigned")
	entente(t, exitOK, "policy", "build", "--embedded", "--revision", "1", "--out", unsigned)
	try := func(code int, out, store, secret string, kid ...string) (string, string) {
		args := []string{"policy", "sign", unsigned, "--keys", store, "--secret-file", secret, "--out", filepath.Join(dir, out)}
		return entente(t, code, append(args, kid...)...)
	}
	if out, _ := try(exitOK, "a", one, oneSecret); !strings.Contains(out, "officer-9/") {
		t.Errorf("the only key: %s", out)
	}
	if out, _ := try(exitOK, "b", store, secret, "--kid", "officer-1"); !strings.Contains(out, public[0].KeyID()) {
		t.Errorf("the owner's only key: %s", out)
	}
	for _, kid := range [][]string{nil, {"--kid", "officer-2"}, {"--kid", "officer"}} {
		if _, errs := try(exitUsage, "c", store, secret, kid...); !strings.Contains(errs, public[2].KeyID()) {
			t.Errorf("%v: %s", kid, errs)
		}
	}
	try(exitUsage, "c", store, secret, "--kid", "officer-1/"+public[1].Thumbprint())
	try(exitFailed, "c", store, oneSecret, "--kid", "officer-1")
	try(exitFailed, "c", filepath.Join(dir, "none"), secret)
	try(exitFailed, "c", store, filepath.Join(dir, "none"))
	try(exitFailed, "a", one, oneSecret) // the file is there
	raw, err := bundle.Pack(map[string]string{"release/a.rego": "package entente.release.a"}, 1)
	if err != nil {
		t.Fatal(err)
	}
	unsigned = write(t, raw, dir, "incomplete")
	if _, errs := try(exitUsage, "c", one, oneSecret); !strings.Contains(errs, "no rule defines") {
		t.Errorf("rules that do not compile: %s", errs)
	}
	if _, err := os.Stat(filepath.Join(dir, "c")); err == nil {
		t.Error("something was written")
	}
}

// rulesFolder copies the rules of this repository with their tests.
func rulesFolder(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	for _, folder := range []string{"release", "admission"} {
		err := filepath.WalkDir(filepath.Join("../policies", folder), func(path string, d fs.DirEntry, err error) error {
			if err != nil || d.IsDir() {
				return err
			}
			raw, err := os.ReadFile(path)
			write(t, raw, dir, strings.TrimPrefix(filepath.ToSlash(path), "../policies/"))
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

// far is a scenario; what XC gets is to be filled in.
const far = `title: Whoever is not named gets nothing
why: The release list does not name the recipient.
originator: XA
world:
  members:
    XA: { ceiling: secret }
    XB: { ceiling: secret }
    XC: { ceiling: secret }
label:
  policy: urn:entente:policy:regional:1
  classification: unclassified
  releasable_to: [XB]
  categories: [smuggling]
  purposes: [prevention]
  personal_data: none
expect:
  XB: content
  XC: `

func TestPolicyTest(t *testing.T) {
	rules, tables := rulesFolder(t), t.TempDir()
	write(t, []byte(far+"none (release-list)\n"), tables, "far.yaml")
	test := func(code int) (r testReport, errs string) {
		out, errs := entente(t, code, "policy", "test", rules, "--scenarios", tables, "--json")
		if code == exitUsage {
			return r, errs
		}
		if err := json.Unmarshal([]byte(out), &r); err != nil {
			t.Fatal(err)
		}
		return r, errs
	}
	r, _ := test(exitOK)
	if r.Tests.Run < 50 || len(r.Tests.Failed) != 0 || r.Scenarios.Run != 1 || len(r.Scenarios.Failed) != 0 ||
		r.Digest != policies.Digest(policies.Embedded()) {
		t.Errorf("report %+v", r)
	}
	all := r.Tests.Run

	// Something that nobody may get is let through: tests and table say so.
	file := filepath.Join(rules, "release/release_list/release_list.rego")
	good, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	_, head, ok := strings.Cut(string(good), "package entente.release.release_list\n")
	if !ok || head == "" {
		t.Fatal("the rule is not as expected")
	}
	open := strings.TrimSuffix(string(good), head) + "\npermits := input.recipients\n"
	write(t, []byte(open), file)
	r, errs := test(exitFailed)
	if len(r.Tests.Failed) == 0 || len(r.Scenarios.Failed) != 1 || !strings.Contains(r.Scenarios.Failed[0].Where, "Whoever is not named") ||
		!strings.Contains(errs, "are not as expected") {
		t.Errorf("report %+v: %s", r, errs)
	}
	out, _ := entente(t, exitFailed, "policy", "test", rules, "--scenarios", tables)
	if !strings.Contains(out, "FAILED") || !strings.Contains(out, "release_list_test.rego:") || !strings.Contains(out, "far.yaml:") {
		t.Errorf("printed %s", out)
	}
	write(t, good, file)

	extra := filepath.Join(rules, "release/release_list/more_test.rego")
	for name, c := range map[string]struct {
		source string
		code   int
	}{
		"skipped":            {"package x_test\n\ntodo_test_later if false\n", exitOK},
		"fails":              {"package x_test\n\ntest_never if false\n", exitFailed},
		"an error inside":    {"package x_test\n\ntest_bad if to_number(\"x\") == 1\n", exitFailed},
		"does not parse":     {"package x_test\n\ntest_bad if {\n", exitUsage},
		"does not compile":   {"package x_test\n\ntest_bad if unknown(1)\n", exitUsage},
		"reaches the net":    {"package x_test\n\ntest_net if http.send({\"method\": \"get\", \"url\": \"http://localhost\"})\n", exitUsage},
		"empty":              {"", exitUsage},
		"overrides the rule": {"package entente.release.release_list\n\ntest_x if true\n\npermits := {1}\n", exitUsage},
	} {
		t.Run(name, func(t *testing.T) {
			write(t, []byte(c.source), extra)
			r, _ := test(c.code)
			switch {
			case name == "skipped" && (r.Tests.Skipped != 1 || r.Tests.Run != all),
				c.code == exitFailed && (len(r.Tests.Failed) != 1 || r.Tests.Run != all+1):
				t.Errorf("report %+v", r)
			}
		})
	}
	if err := os.Remove(extra); err != nil {
		t.Fatal(err)
	}
	for name, content := range map[string]string{"no scenario": "", "wrong": "titel: x\n"} {
		write(t, []byte(content), tables, "far.yaml")
		if _, errs := test(exitUsage); !strings.Contains(errs, "--scenarios") {
			t.Errorf("%s: %s", name, errs)
		}
	}
}

// TestPolicyTestOfTheEmbeddedRules holds the binary's rules to its scenarios, as a
// policy officer does.
func TestPolicyTestOfTheEmbeddedRules(t *testing.T) {
	file := filepath.Join(t.TempDir(), "bundle")
	entente(t, exitOK, "policy", "build", "--embedded", "--revision", "1", "--out", file)
	out, _ := entente(t, exitOK, "policy", "test", file, "--json")
	var r testReport
	if err := json.Unmarshal([]byte(out), &r); err != nil {
		t.Fatal(err)
	}
	if r.Tests.Run != 0 || r.Scenarios.Run < 60 {
		t.Errorf("report %+v", r)
	}
}

func TestPolicyCommandsRefuseWhatIsNoBundle(t *testing.T) {
	dir := t.TempDir()
	jwk := func() string {
		_, _, public := keyStore(t, t.TempDir(), "officer-1")
		return write(t, public[0], dir, "officer.jwk")
	}()
	for name, file := range map[string]string{
		"missing": filepath.Join(dir, "missing"), "a folder": dir, "a device": "/dev/zero",
		"text": write(t, []byte("text"), dir, "text"), "too large": write(t, make([]byte, bundle.MaxCompressed+1), dir, "large"),
	} {
		t.Run(name, func(t *testing.T) {
			entente(t, exitUsage, "policy", "verify", file, "--officers", jwk)
			entente(t, exitUsage, "policy", "sign", file, "--keys", dir, "--secret-file", dir, "--out", filepath.Join(dir, "out"))
			entente(t, exitUsage, "policy", "test", file)
		})
	}
	entente(t, exitUsage, "policy", "verify")
	entente(t, exitUsage, "policy", "test")
	entente(t, exitUsage, "policy", "test", dir, dir)
	entente(t, exitUsage, "policy", "build", "--from", filepath.Join(dir, "missing"), "--revision", "1", "--out", filepath.Join(dir, "out"))
	if _, err := os.Stat(filepath.Join(dir, "out")); err == nil {
		t.Error("something was written")
	}
}

// Every command of policy has a text that says more than its one line.
func TestPolicyHelpIsLong(t *testing.T) {
	for _, c := range policyCommand().Commands() {
		if len(c.Long) <= len(c.Short) || c.Example == "" {
			t.Errorf("entente policy %s explains itself too briefly", c.Name())
		}
	}
}
