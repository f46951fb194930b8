package postgres

import (
	"context"

	"github.com/entente-hub/entente/hub/store"
	"github.com/entente-hub/entente/hub/store/internal/plan"
	"github.com/jackc/pgx/v5"
)

func (w *writer) statements(rows []*store.Statement) {
	for _, ss := range chunks(rows, func(s *store.Statement) int { return len(s.Raw) }) {
		w.queue("INSERT INTO statements (position, type, subject, revision, digest, previous, raw)"+
			" SELECT * FROM unnest($1::bigint[], $2::text[], $3::text[], $4::bigint[], $5::text[], $6::text[], $7::bytea[])",
			len(ss),
			column(ss, func(s *store.Statement) int64 { return s.Position }),
			column(ss, func(s *store.Statement) string { return s.Type }),
			column(ss, func(s *store.Statement) string { return s.Subject }),
			column(ss, func(s *store.Statement) int64 { return s.Revision }),
			column(ss, func(s *store.Statement) string { return s.Digest }),
			column(ss, func(s *store.Statement) string { return s.Previous }),
			column(ss, func(s *store.Statement) []byte { return notNil(s.Raw) }))
	}
}

// documents writes proposals, bundles and how far all is settled.
func (w *writer) documents(c *plan.Changes) {
	if n := len(c.Outdated); n > 0 {
		w.batch.Queue("DELETE FROM proposals p USING unnest($1::text[], $2::text[], $3::bigint[]) u (type, subject, revision)"+
			" WHERE p.type = u.type COLLATE \"C\" AND p.subject = u.subject COLLATE \"C\" AND p.revision <= u.revision",
			column(c.Outdated, func(k plan.StatementKey) string { return k.Type }),
			column(c.Outdated, func(k plan.StatementKey) string { return k.Subject }),
			column(c.Outdated, func(k plan.StatementKey) int64 { return k.Revision }))
	}
	if len(c.Removed) > 0 {
		w.batch.Queue("DELETE FROM proposals WHERE digest = ANY ($1::text[])", c.Removed)
	}
	for _, ps := range chunks(c.Proposals, func(p plan.NewProposal) int { return len(p.Raw) }) {
		w.queue("INSERT INTO proposals (id, digest, edition, type, subject, revision, by, at, raw)"+
			" SELECT * FROM unnest($1::bigint[], $2::text[], $3::bigint[], $4::text[], $5::text[], $6::bigint[], $7::text[],"+
			" $8::bigint[], $9::bytea[]) ON CONFLICT (digest) DO UPDATE SET id = excluded.id, edition = excluded.edition,"+
			" type = excluded.type, subject = excluded.subject, revision = excluded.revision, by = excluded.by,"+
			" at = excluded.at, raw = excluded.raw", len(ps),
			column(ps, func(p plan.NewProposal) int64 { return p.Row }),
			column(ps, func(p plan.NewProposal) string { return p.Digest }),
			column(ps, func(p plan.NewProposal) int64 { return p.Edition }),
			column(ps, func(p plan.NewProposal) string { return p.Type }),
			column(ps, func(p plan.NewProposal) string { return p.Subject }),
			column(ps, func(p plan.NewProposal) int64 { return p.Revision }),
			column(ps, func(p plan.NewProposal) string { return string(p.By) }),
			column(ps, func(p plan.NewProposal) int64 { return p.At }),
			column(ps, func(p plan.NewProposal) []byte { return p.Raw }))
	}
	for _, bs := range chunks(c.Bundles, func(b plan.NewBundle) int { return len(b.Raw) }) {
		w.queue("INSERT INTO bundles (id, digest, revision, by, at, raw)"+
			" SELECT * FROM unnest($1::bigint[], $2::text[], $3::bigint[], $4::text[], $5::bigint[], $6::bytea[])"+
			" ON CONFLICT (digest) DO UPDATE SET id = excluded.id, revision = excluded.revision, by = excluded.by,"+
			" at = excluded.at, raw = excluded.raw", len(bs),
			column(bs, func(b plan.NewBundle) int64 { return b.Row }),
			column(bs, func(b plan.NewBundle) string { return b.Digest }),
			column(bs, func(b plan.NewBundle) int64 { return b.Revision }),
			column(bs, func(b plan.NewBundle) string { return string(b.By) }),
			column(bs, func(b plan.NewBundle) int64 { return b.At }),
			column(bs, func(b plan.NewBundle) []byte { return notNil(b.Raw) }))
	}
	if c.Settled != nil {
		w.queue("UPDATE settled SET position = $1, at = $2 WHERE single = 1", 1, c.Settled.Position, c.Settled.At)
	}
}

// Proposals implements store.Store.
func (s *Store) Proposals(ctx context.Context) ([]store.Proposal, error) {
	return list(ctx, s, "proposals", func(row pgx.CollectableRow) (p store.Proposal, err error) {
		return p, row.Scan(&p.Digest, &p.Edition, &p.Type, &p.Subject, &p.Revision, &p.By, &p.At, &p.Raw)
	}, "SELECT digest, edition, type, subject, revision, by, at, raw FROM proposals ORDER BY id")
}

// Bundle implements store.Store.
func (s *Store) Bundle(ctx context.Context, digest string) (*store.Bundle, error) {
	var b store.Bundle
	err := s.call("bundle", func() error {
		return s.pool.QueryRow(ctx, "SELECT digest, revision, by, at, raw FROM bundles WHERE digest = $1", digest).
			Scan(&b.Digest, &b.Revision, &b.By, &b.At, &b.Raw)
	})
	if err != nil {
		return nil, err
	}
	b.Raw = nilIfEmpty(b.Raw)
	return &b, nil
}

// Bundles implements store.Store.
func (s *Store) Bundles(ctx context.Context) ([]store.Bundle, error) {
	return list(ctx, s, "bundles", func(row pgx.CollectableRow) (b store.Bundle, err error) {
		return b, row.Scan(&b.Digest, &b.Revision, &b.By, &b.At)
	}, "SELECT digest, revision, by, at FROM bundles ORDER BY id")
}
