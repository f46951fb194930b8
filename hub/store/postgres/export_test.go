package postgres

import "context"

// Setting returns a setting of one of the store's connections.
func (s *Store) Setting(ctx context.Context, name string) (v string, err error) {
	return v, s.pool.QueryRow(ctx, "SELECT current_setting($1)", name).Scan(&v)
}
