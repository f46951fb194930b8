package sdjwt

// Limits on what is issued, parsed and verified. They bound the memory and
// time that one token can cost, and are part of the format: a token beyond
// them is refused by every party alike.
const (
	// MaxTokenSize is the size of a whole token (JWS, tildes and
	// disclosures) in bytes.
	MaxTokenSize = 1 << 20

	// MaxDisclosures is the number of disclosures that a token carries.
	MaxDisclosures = 256

	// MaxDepth is the number of objects and arrays that may enclose one
	// another: in the header, in the payload and in each disclosed value as
	// they stand (where _sd and a placeholder are levels too), and in the
	// claims once the disclosures are merged.
	MaxDepth = 32

	// MaxPaddedMultiple is the largest multiple that an array may be padded to.
	MaxPaddedMultiple = 256

	// saltSize is the size of a salt in bytes: the 128 bits that RFC 9901
	// section 9.3 recommends.
	saltSize = 16

	// decoySize is the number of random bytes that a decoy digest hashes
	// (RFC 9901 section 4.2.5).
	decoySize = 32

	// digestLength is the length of a SHA-256 digest in base64url without
	// padding.
	digestLength = 43
)
