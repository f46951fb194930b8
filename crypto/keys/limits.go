package keys

// Limits on what is parsed, in bytes unless said otherwise. All are checked
// before anything is decoded.
const (
	MaxJWK        = 1 << 10 // a public key's JWK
	MaxHeader     = 512     // a protected header, base64url
	MaxJWS        = 2 << 20 // a compact JWS; a 1 MiB document fits with its base64url
	MaxGeneral    = 1 << 20 // a JWS in general JSON serialization
	MaxSignatures = 256     // number of signatures in general JSON serialization
	MaxOwner      = 64      // a key's owner
	MaxType       = 128     // a typ header
	maxKeyFile    = 1 << 16 // any file of the key store
)

// SignatureSize is the size of a raw signature in bytes, for either algorithm.
const SignatureSize = 64

// thumbprintSize is the length of an RFC 7638 SHA-256 thumbprint in
// base64url without padding.
const thumbprintSize = 43
