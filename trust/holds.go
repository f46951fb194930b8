package trust

import (
	"time"

	"github.com/entente-hub/entente/api/federation"
)

// LegalHolds returns the legal holds that stand at any moment of a span of time, its ends
// included, sorted by id. A hold outlasts the office of whoever placed it and the
// membership of whom it names: only its time ends it, or an auditor.
func (d *Directory) LegalHolds(from, to time.Time) []*federation.LegalHold {
	var out []*federation.LegalHold
	for _, s := range d.Heads(federation.TypeLegalHold) {
		if h, ok := s.Body.(*federation.LegalHold); ok && h.Stands(from, to) {
			out = append(out, h)
		}
	}
	return out
}
