package bundle

import (
	"bytes"
	"context"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"maps"
	"slices"

	opa "github.com/open-policy-agent/opa/v1/bundle"
	"github.com/open-policy-agent/opa/v1/util"

	"github.com/entente-hub/entente/crypto/keys"
)

// JWSType is the "typ" of a bundle's signature: what an officer signs as anything
// else is no bundle. OPA does not look at it.
const JWSType = "entente-bundle+jwt"

// signatures is OPA's .signatures.json.
type signatures struct {
	Signatures []string `json:"signatures"` // one JWT, as a compact JWS
}

// claims are the JWT's payload. OPA knows further claims (scope, iat, iss); a
// signature here says nothing but which files there are and whose it is.
type claims struct {
	Files []fileInfo `json:"files"` // every file but .signatures.json, in the order of the names
	KeyID string     `json:"keyid"` // that of the header; OPA's older verifiers read it here
}

// fileInfo names a file's content. Of a module the hash is over its bytes, of
// .manifest over what OPA makes of its JSON.
type fileInfo struct {
	Name      string `json:"name"`
	Hash      string `json:"hash"` // hexadecimal
	Algorithm string `json:"algorithm"`
}

// claims returns, encoded, the one payload that a signature of these files by a key
// can have.
func (f files) claims(kid string) ([]byte, error) {
	hasher, err := opa.NewSignatureHasher(opa.SHA256)
	if err != nil {
		return nil, malformed("%w", err)
	}
	c := claims{KeyID: kid}
	for _, name := range slices.Sorted(maps.Keys(f)) {
		if name == signaturesName {
			continue
		}
		var content any = f[name]
		if opa.IsStructuredDoc(name) {
			if err := util.UnmarshalJSON(f[name], &content); err != nil {
				return nil, malformed("%s: %w", name, err)
			}
		}
		sum, err := hasher.HashFile(content)
		if err != nil {
			return nil, malformed("%s: %w", name, err)
		}
		c.Files = append(c.Files, fileInfo{Name: name, Hash: hex.EncodeToString(sum), Algorithm: opa.SHA256.String()})
	}
	raw, err := json.Marshal(c)
	if err != nil {
		return nil, malformed("claims: %w", err)
	}
	return raw, nil
}

// Sign adds a policy officer's signature to a bundle that has none. With an
// Ed25519 key it gives the same bytes for the same bundle. Whether the rules are
// good is for the officer to know. Errors wrap ErrSigned, ErrMalformed or
// ErrTooLarge, or are the Signer's.
func Sign(ctx context.Context, raw []byte, signer keys.Signer) ([]byte, error) {
	f, err := unpack(raw)
	if err != nil {
		return nil, err
	}
	if _, err := f.bundle(); err != nil {
		return nil, err
	}
	if _, signed := f[signaturesName]; signed {
		return nil, ErrSigned
	}
	public := signer.Public()
	payload, err := f.claims(public.KeyID())
	if err != nil {
		return nil, err
	}
	token, err := keys.Sign(ctx, signer, JWSType, payload)
	if err != nil {
		return nil, fmt.Errorf("signing the policy bundle: %w", err)
	}
	if f[signaturesName], err = json.Marshal(signatures{Signatures: []string{token}}); err != nil {
		return nil, malformed("%s: %w", signaturesName, err)
	}
	out, err := f.pack()
	if err != nil {
		return nil, err
	}
	// What nobody could open is not given out: a key store may sign wrongly.
	if _, err := Open(out, func(string) (keys.PublicKey, error) { return public, nil }); err != nil {
		return nil, err
	}
	return out, nil
}

// Open reads a bundle and verifies that a key which lookup finds has signed exactly
// its files. lookup knows the policy officers' keys and no others (keys.Lookup).
// Bounded work precedes the verification: at most MaxUnpacked bytes are unpacked.
// Errors wrap ErrUnsigned, ErrSignature, ErrMalformed or ErrTooLarge.
func Open(raw []byte, lookup keys.Lookup) (*Bundle, error) {
	f, err := unpack(raw)
	if err != nil {
		return nil, err
	}
	b, err := f.bundle()
	if err != nil {
		return nil, err
	}
	if b.SignedBy, err = f.verify(lookup); err != nil {
		return nil, err
	}
	return b, nil
}

// verify returns the key id of who signed the files.
func (f files) verify(lookup keys.Lookup) (string, error) {
	raw, ok := f[signaturesName]
	if !ok {
		return "", ErrUnsigned
	}
	token, err := readSignatures(raw)
	if err != nil {
		return "", err
	}
	payload, kid, err := keys.Verify(token, JWSType, lookup)
	if err != nil {
		return "", fmt.Errorf("%w: %w", ErrSignature, err)
	}
	want, err := f.claims(kid)
	if err != nil {
		return "", err
	}
	if !bytes.Equal(payload, want) {
		return "", fmt.Errorf("%w: %s", ErrSignature, f.difference(payload, kid))
	}
	return kid, nil
}

// readSignatures returns the one token in .signatures.json, which must be as Sign
// writes it.
func readSignatures(raw []byte) (string, error) {
	var s signatures
	if err := json.Unmarshal(raw, &s); err != nil {
		return "", malformed("%s: %w", signaturesName, err)
	}
	if len(s.Signatures) != 1 {
		return "", malformed("%s holds %d signatures, one is taken", signaturesName, len(s.Signatures))
	}
	if want, err := json.Marshal(s); err != nil || !bytes.Equal(raw, want) {
		return "", malformed(`%s is not {"signatures":["…"]} without white space`, signaturesName)
	}
	return s.Signatures[0], nil
}

// difference says in words where signed claims are not those of the files.
func (f files) difference(payload []byte, kid string) string {
	var got claims
	if err := json.Unmarshal(payload, &got); err != nil {
		return "the claims are no JSON of OPA's form"
	}
	if got.KeyID != kid {
		return fmt.Sprintf("claims in the name of %.128q are signed by %s", got.KeyID, kid)
	}
	listed := make(map[string]bool)
	for _, file := range got.Files {
		if _, ok := f[file.Name]; !ok || listed[file.Name] {
			return fmt.Sprintf("it lists %.110q, which is missing or listed twice", file.Name)
		}
		listed[file.Name] = true
	}
	for _, name := range slices.Sorted(maps.Keys(f)) {
		if name != signaturesName && !listed[name] {
			return fmt.Sprintf("%s is not signed", name)
		}
	}
	return "a file has been changed, or the claims are not written as entente policy sign writes them"
}
