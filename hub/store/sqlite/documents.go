package sqlite

import (
	"context"
	"database/sql"

	"github.com/entente-hub/entente/hub/store"
)

const (
	proposalsSQL = "SELECT digest, edition, type, subject, revision, by, at, raw FROM proposals ORDER BY id"
	bundleSQL    = "SELECT digest, revision, by, at, raw FROM bundles WHERE digest = ?"
	bundlesSQL   = "SELECT digest, revision, by, at FROM bundles ORDER BY id"
)

// Proposals implements store.Store.
func (s *Store) Proposals(ctx context.Context) ([]store.Proposal, error) {
	return list(ctx, s, "proposals", func(r *sql.Rows) (p store.Proposal, err error) {
		return p, r.Scan(&p.Digest, &p.Edition, &p.Type, &p.Subject, &p.Revision, &p.By, &p.At, &p.Raw)
	}, proposalsSQL)
}

// Bundle implements store.Store.
func (s *Store) Bundle(ctx context.Context, digest string) (*store.Bundle, error) {
	var b store.Bundle
	err := s.one(ctx, "bundle", func(r *sql.Row) error {
		return r.Scan(&b.Digest, &b.Revision, &b.By, &b.At, &b.Raw)
	}, bundleSQL, digest)
	if err != nil {
		return nil, err
	}
	b.Raw = nilIfEmpty(b.Raw)
	return &b, nil
}

// Bundles implements store.Store.
func (s *Store) Bundles(ctx context.Context) ([]store.Bundle, error) {
	return list(ctx, s, "bundles", func(r *sql.Rows) (b store.Bundle, err error) {
		return b, r.Scan(&b.Digest, &b.Revision, &b.By, &b.At)
	}, bundlesSQL)
}
