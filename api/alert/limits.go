package alert

import "time"

// Limits on an alert. Every bound on untrusted alert input stands here; the
// nesting limit of 32 is strictjson.MaxDepth.
const (
	MaxBytes    = 1 << 20 // an alert as it travels: signature and all disclosures
	MaxPortions = 64
	MaxObjects  = 1000 // STIX objects a portion
	MaxList     = 256  // entries of one list on a label
	MaxText     = 2000 // bytes of a free-text field: notice, H3 text
	DigestPad   = 4    // portions are padded with decoys to a multiple of this

	MaxLifetime = 5 * 366 * 24 * time.Hour // from iat to exp
	MaxTime     = 253402300799             // last second of the year 9999, since 1970-01-01 UTC: RFC 3339 ends there
	MaxSkew     = 5 * time.Minute          // an iat may lie this far ahead of the reader's clock
)
