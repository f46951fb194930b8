package keys

import "errors"

// The errors that callers tell apart, with errors.Is. Each returned error
// wraps exactly one of them, or is a file system error or a caller's own (from
// a lookup, a context).
var (
	// ErrAlgorithm: an algorithm, key type or curve outside the closed set, or
	// one that is not the key's own.
	ErrAlgorithm = errors.New("algorithm not accepted")
	// ErrType: the protected header's typ is not the expected one.
	ErrType = errors.New("unexpected type of signed document")
	// ErrHeader: a protected header with anything but alg, kid and typ, each
	// exactly once, or an unprotected header.
	ErrHeader = errors.New("signature header not accepted")
	// ErrKeyUnknown: no such key, or a lookup answered with another key.
	ErrKeyUnknown = errors.New("unknown key")
	// ErrSignature: a signature that does not verify.
	ErrSignature = errors.New("signature does not verify")
	// ErrMalformed: input that is not what it claims to be, or too large.
	ErrMalformed = errors.New("malformed")
	// ErrDuplicate: a second signature by the same key.
	ErrDuplicate = errors.New("key has signed already")
	// ErrWrongSecret: the secret does not open the key store.
	ErrWrongSecret = errors.New("wrong secret for this key store")
	// ErrNoStore: there is no key store in the directory.
	ErrNoStore = errors.New("no key store here")
	// ErrExists: what would be created exists already; nothing was changed.
	ErrExists = errors.New("exists already")
	// ErrPermissions: a file with secrets that others than its owner may
	// read, or a directory that others may write.
	ErrPermissions = errors.New("file permissions are too wide")
	// ErrUnavailable: the key store can not be reached at the moment; the same
	// call may succeed later.
	ErrUnavailable = errors.New("key store unavailable")
)
