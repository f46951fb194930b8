// Package keys holds private keys and uses them: signing in batches through
// a Signer, whatever the key store behind it, and checking signatures as
// JWS (RFC 7515) with a closed set of algorithms.
package keys

import "context"

// Alg is a JWS signature algorithm (RFC 7518 section 3.1, RFC 8037). The set
// is closed: nothing else is ever produced or accepted.
type Alg string

// The accepted algorithms.
const (
	EdDSA Alg = "EdDSA" // Ed25519 (RFC 8037); 64-byte signatures, deterministic
	ES256 Alg = "ES256" // ECDSA on P-256 with SHA-256 (RFC 7518 section 3.4); R||S, 64 bytes
)

// Signer uses one private key without ever showing it. Implementations are
// safe for concurrent use.
type Signer interface {
	// Public returns the verification key. Its KeyID is "<owner>/<thumbprint>",
	// where owner is a member id, "authority" or a hub id, and thumbprint is the
	// key's RFC 7638 SHA-256 thumbprint, base64url without padding.
	Public() PublicKey

	// Sign returns one signature for each message, in order, as the raw JWS
	// signature value (64 bytes for either algorithm). It signs all or
	// none: on an error no signature is returned. A remote store needs one
	// round trip for the whole batch, so callers gather what they can.
	// Sign honours ctx; an error wraps ErrUnavailable when trying again later
	// may succeed.
	Sign(ctx context.Context, messages [][]byte) ([][]byte, error)
}
