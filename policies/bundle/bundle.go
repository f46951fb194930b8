// Package bundle packs the rules of release and admission as one file that a
// policy officer signs, and opens such files. The form is OPA's own (a .tar.gz
// with .manifest and .signatures.json, package opa/v1/bundle), so that OPA and
// Regal work on it; what is taken is far narrower than what OPA takes:
//
//   - the files are .manifest, .signatures.json and modules of Rego below release/
//     and admission/: no data, no WebAssembly, no plans, no patches;
//   - tar archive, manifest and claims are byte for byte what Pack and Sign
//     write of the same content: there is one way to write a bundle, but for the
//     deflate stream (RFC 1951) inside the gzip member;
//   - one signature, EdDSA or ES256 as package keys has them, whose type is JWSType.
//
// A bundle is authentic when Open returns it; whether its rules compile is said by
// policies.Compile, and whether they are in force by a federation.Policy statement.
package bundle

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"strconv"
	"strings"

	"github.com/entente-hub/entente/policies"
)

// Limits.
const (
	MaxCompressed = 1 << 20 // bytes of a bundle as it is sent and stored
	MaxUnpacked   = 8 << 20 // bytes of its tar archive
	MaxFiles      = 200     // files, with .manifest and .signatures.json
	MaxName       = 100     // bytes of a file's name, which is what a ustar header holds
)

// The errors that callers tell apart with errors.Is. Every error of this package
// wraps one of them, but for a Signer's or a file system's own.
var (
	// ErrUnsigned: the bundle has no .signatures.json.
	ErrUnsigned = errors.New("policy bundle is not signed")
	// ErrSigned: a bundle to be signed has a signature; OPA takes one alone.
	ErrSigned = errors.New("policy bundle is signed already")
	// ErrSignature: the signature is not one by a policy officer over exactly these
	// files. The cause, from package keys or the lookup, is wrapped too.
	ErrSignature = errors.New("signature of policy bundle does not hold")
	// ErrMalformed: not a bundle in the form that this package writes.
	ErrMalformed = errors.New("malformed policy bundle")
	// ErrTooLarge: over one of the limits.
	ErrTooLarge = errors.New("policy bundle too large")
)

func malformed(format string, args ...any) error {
	return fmt.Errorf("%w: "+format, append([]any{ErrMalformed}, args...)...)
}

func tooLarge(format string, args ...any) error {
	return fmt.Errorf("%w: "+format, append([]any{ErrTooLarge}, args...)...)
}

// The names of the two files that are no rules.
const (
	manifestName   = ".manifest"
	signaturesName = ".signatures.json"
)

// Bundle is what an opened bundle says.
type Bundle struct {
	Revision int64             // the bundle's number, from 1
	Modules  map[string]string // name → source, as policies.Embedded names them
	SignedBy string            // key id of the officer who signed; "" if Parse found no signature
	Digest   string            // policies.Digest of Modules: what a federation.Policy names
}

// manifest is OPA's .manifest, with the fields that are used here in the order in
// which OPA writes them.
type manifest struct {
	Revision    string   `json:"revision"` // decimal, no leading zero
	Roots       []string `json:"roots"`
	RegoVersion int      `json:"rego_version"`
}

// roots are the packages that a bundle owns; OPA refuses modules of others.
func roots() []string { return []string{"entente/admission", "entente/release"} }

func newManifest(revision int64) ([]byte, error) {
	if revision < 1 {
		return nil, malformed("revision %d; revisions count from 1", revision)
	}
	raw, err := json.Marshal(manifest{Revision: strconv.FormatInt(revision, 10), Roots: roots(), RegoVersion: 1})
	if err != nil {
		return nil, malformed("%s: %w", manifestName, err)
	}
	return raw, nil
}

// checkName holds a module's name to those that mean the same file everywhere:
// lower-case letters, digits and '_', below release/ or admission/, no test.
func checkName(name string) error {
	folder, _, _ := strings.Cut(name, "/")
	base, isRego := strings.CutSuffix(name, ".rego")
	switch {
	case len(name) > MaxName:
		return malformed("name %.110q has more than %d bytes", name, MaxName)
	case !fs.ValidPath(name) || !isRego || folder != "release" && folder != "admission":
		return malformed("%.110q is no module below release/ or admission/", name)
	case strings.HasSuffix(name, "_test.rego"):
		return malformed("%.110q is a test; tests stay out of bundles", name)
	}
	for _, c := range []byte(base) {
		if !('a' <= c && c <= 'z' || '0' <= c && c <= '9' || c == '_' || c == '/') {
			return malformed("name %.110q: lower-case letters, digits and '_' are taken", name)
		}
	}
	if strings.HasSuffix(base, "/") {
		return malformed("%.110q has no name", name)
	}
	return nil
}

// Pack writes modules as an unsigned bundle: the same bytes for the same modules
// and revision, with one build of this program. Errors wrap ErrMalformed or
// ErrTooLarge.
func Pack(modules map[string]string, revision int64) ([]byte, error) {
	if len(modules) == 0 {
		return nil, malformed("no module")
	}
	m, err := newManifest(revision)
	if err != nil {
		return nil, err
	}
	f := files{manifestName: m}
	for name, source := range modules {
		if err := checkName(name); err != nil {
			return nil, err
		}
		f[name] = []byte(source)
	}
	return f.pack()
}

// Build packs the rules in a folder; see Modules and Pack.
func Build(fsys fs.FS, revision int64) ([]byte, error) {
	modules, err := Modules(fsys)
	if err != nil {
		return nil, err
	}
	return Pack(modules, revision)
}

// Parse reads a bundle's form and vouches for nothing: no signature is asked for,
// and one that is there is not verified. It is for those who test a bundle or
// compare it before anybody has signed it; what is to decide is opened by Open.
// Errors wrap ErrMalformed or ErrTooLarge.
func Parse(raw []byte) (*Bundle, error) {
	f, err := unpack(raw)
	if err != nil {
		return nil, err
	}
	return f.bundle()
}

// bundle reads everything but the signature.
func (f files) bundle() (*Bundle, error) {
	b := &Bundle{Modules: make(map[string]string, len(f))}
	var err error
	if b.Revision, err = readManifest(f[manifestName]); err != nil {
		return nil, err
	}
	for name, content := range f {
		if name == manifestName || name == signaturesName {
			continue
		}
		if err := checkName(name); err != nil {
			return nil, err
		}
		b.Modules[name] = string(content)
	}
	if len(b.Modules) == 0 {
		return nil, malformed("no module")
	}
	b.Digest = policies.Digest(b.Modules)
	return b, nil
}

// readManifest returns the revision. The manifest must be the one that is written
// for that revision.
func readManifest(raw []byte) (int64, error) {
	if raw == nil {
		return 0, malformed("no %s", manifestName)
	}
	var m manifest
	if err := json.Unmarshal(raw, &m); err != nil {
		return 0, malformed("%s: %w", manifestName, err)
	}
	revision, err := strconv.ParseInt(m.Revision, 10, 64)
	if err != nil || revision < 1 {
		return 0, malformed("revision %.30q is no decimal number from 1", m.Revision)
	}
	want, err := newManifest(revision)
	if err != nil {
		return 0, err
	}
	if !slices.Equal(raw, want) {
		return 0, malformed("%s is not %s", manifestName, want)
	}
	return revision, nil
}
