package sdjwt

import "errors"

// What can be wrong with a token, apart from its signature. Every error of
// this package wraps exactly one of these, an error of package keys (and so
// of a signer or a lookup), or an error of the random source.
var (
	// ErrMalformed: not of the form JWS "~" disclosures "~", not canonical
	// base64url, not JSON, or something other than digests where those belong.
	ErrMalformed = errors.New("sdjwt: malformed")

	// ErrKeyBinding: the token ends in a key binding JWT, which this profile
	// does not use (RFC 9901 section 4.3).
	ErrKeyBinding = errors.New("sdjwt: key binding JWT not accepted")

	// ErrTooLarge: beyond MaxTokenSize or MaxDisclosures.
	ErrTooLarge = errors.New("sdjwt: too large")

	// ErrTooDeep: beyond MaxDepth.
	ErrTooDeep = errors.New("sdjwt: nested too deep")

	// ErrDuplicateName: an object has two members of one name.
	ErrDuplicateName = errors.New("sdjwt: duplicate member name")

	// ErrEncoding: text that is not valid UTF-8, or an escape that is half a
	// surrogate pair.
	ErrEncoding = errors.New("sdjwt: invalid Unicode")

	// ErrHashAlg: _sd_alg names a hash other than sha-256.
	ErrHashAlg = errors.New("sdjwt: hash algorithm not accepted")

	// ErrReservedName: a claim is called "_sd", "..." or "_sd_alg", or one of
	// these stands where it has no meaning (RFC 9901 section 4.1).
	ErrReservedName = errors.New("sdjwt: reserved claim name")

	// ErrUnreferenced: no digest refers to a disclosure, be it that it was
	// never part of the token, was altered, or that its parent is missing.
	ErrUnreferenced = errors.New("sdjwt: unreferenced disclosure")

	// ErrDuplicateDigest: a digest, or a disclosure, occurs more than once.
	ErrDuplicateDigest = errors.New("sdjwt: duplicate digest")

	// ErrClaimConflict: a disclosed claim has the name of one that is
	// already there.
	ErrClaimConflict = errors.New("sdjwt: conflicting claim name")

	// ErrMisplaced: a disclosure for an array element is referred to by an
	// object, or the reverse.
	ErrMisplaced = errors.New("sdjwt: misplaced disclosure")
)
