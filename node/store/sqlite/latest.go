package sqlite

import (
	"context"
	"database/sql"
	"fmt"

	"github.com/entente-hub/entente/api/alert"
	"github.com/entente-hub/entente/node/store"
)

// Latest implements store.Store.
func (s *Store) Latest(ctx context.Context, originator alert.MemberID, id alert.ID) (int, error) {
	query, args := "SELECT max(version) FROM outbox WHERE id = ?", []any{string(id)}
	if originator != "" {
		query, args = "SELECT max(version) FROM inbox WHERE originator = ? AND id = ? AND delivery IS NOT NULL", []any{string(originator), string(id)}
	}
	var version sql.NullInt64
	if err := s.read.QueryRowContext(ctx, query, args...).Scan(&version); err != nil {
		return 0, fmt.Errorf("sqlite: %w", err)
	}
	if !version.Valid {
		return 0, store.ErrNotFound
	}
	return int(version.Int64), nil
}
