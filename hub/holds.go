package hub

import (
	"context"

	"github.com/entente-hub/entente/api/federation"
	"github.com/entente-hub/entente/crypto/keys"
	"github.com/entente-hub/entente/hub/store"
	"github.com/entente-hub/entente/trust"
)

// LegalHolds returns the last revision of each legal hold among a store's statements, in
// force or not, sorted by id, each verified from the authority's key downwards. What does
// not verify wraps ErrLog.
func LegalHolds(ctx context.Context, st store.Store, authority keys.PublicKey) ([]trust.Statement, error) {
	dir, err := directoryOf(ctx, st, authority)
	if err != nil {
		return nil, err
	}
	return dir.Heads(federation.TypeLegalHold), nil
}
