package sqlite

import (
	"context"
	"crypto/sha256"
	"database/sql"
	"errors"
	"fmt"

	"github.com/entente-hub/entente/crypto/tlog"
	"github.com/entente-hub/entente/hub/store"
	"github.com/entente-hub/entente/hub/store/internal/plan"
)

// Commit implements store.Store.
func (s *Store) Commit(ctx context.Context, writes []store.Write) ([]store.Result, error) {
	needs, err := plan.NeedsOf(writes)
	if err != nil {
		return nil, err
	}
	leave, err := s.gate.Enter()
	if err != nil {
		return nil, err
	}
	defer leave()
	if len(writes) == 0 {
		return []store.Result{}, nil
	}
	results, err := s.commit(ctx, writes, needs)
	if err != nil {
		return nil, fmt.Errorf("sqlite: commit: %w", err)
	}
	return results, nil
}

func (s *Store) commit(ctx context.Context, writes []store.Write, needs plan.Needs) (_ []store.Result, err error) {
	sqlTx, err := s.write.BeginTx(ctx, nil) // immediate: see Open
	if err != nil {
		return nil, err
	}
	defer func() {
		if rollback := sqlTx.Rollback(); rollback != nil && !errors.Is(rollback, sql.ErrTxDone) {
			err = errors.Join(err, rollback)
		}
	}()
	t := &tx{ctx: ctx, sql: sqlTx, from: &s.stmts}
	state, err := t.read(needs)
	if err != nil {
		return nil, err
	}
	c := plan.Decide(writes, state)
	for key := range c.Replays {
		a, err := scanAlert(t.row(readPrior, string(key.Originator), string(key.ID), key.Version))
		if err != nil {
			return nil, err
		}
		c.SetPrior(key, a)
	}
	if c.Empty() {
		return c.Results, nil
	}
	hashes, err := s.edge.Append(c, tlog.HashReaderFunc(t.hashes))
	if err != nil {
		return nil, err
	}
	if err := t.write(c, hashes); err != nil {
		return nil, err
	}
	if err := sqlTx.Commit(); err != nil {
		return nil, err
	}
	s.scrubAfter(ctx, c)
	return c.Results, nil
}

// read fills a state with what the writes depend on.
func (t *tx) read(n plan.Needs) (*plan.State, error) {
	s := plan.NewState()
	var root []byte
	err := t.row(readHead).Scan(&s.Head.Size, &root, &s.Head.Alerts, &s.Head.Labels, &s.Head.Deliveries, &s.Head.Statements,
		&s.Head.Proposals, &s.Head.Bundles)
	if err != nil {
		return nil, fmt.Errorf("reading the log's head: %w", err)
	}
	s.Head.Root = tlog.Hash(root)
	err = t.readAlerts(n, s)
	if err == nil {
		err = each(s.Labels, n.Labels, func(k plan.LabelKey) (id int64, err error) {
			sum := sha256.Sum256([]byte(k.Key))
			return id, t.row(readLabel, string(k.Originator), sum[:]).Scan(&id)
		})
	}
	if err == nil {
		err = each(s.Feeds, n.Feeds, func(r memberID) (f store.Feed, err error) {
			return f, t.row(readFeed, string(r)).Scan(&f.Seq, &f.Chain, &f.Acked, &f.Pending)
		})
	}
	if err == nil {
		err = t.readDeliveries(n, s)
	}
	if err == nil {
		err = each(s.Items, n.Items, func(k plan.ItemKey) (*plan.Delivery, error) {
			return scanDelivery(t.row(readItem, string(k.Recipient), k.Seq))
		})
	}
	if err == nil {
		err = each(s.Statements, n.Statements, func(k plan.StatementKey) (row plan.StatementRow, err error) {
			return row, t.row(readStatement, k.Type, k.Subject, k.Revision).Scan(&row.Digest, &row.Raw)
		})
	}
	if err == nil {
		err = t.readPurges(n.Purges, s)
	}
	if err == nil {
		err = each(s.Kept, n.Runs, func(r store.Run) (n int64, err error) { return n, t.row(readKept, r.First, r.Last).Scan(&n) })
	}
	if err == nil {
		err = each(s.Refused, n.Refused, func(k plan.RefusedKey) (reason []byte, err error) {
			return reason, t.row(readRefused, string(k.Originator), k.Digest[:]).Scan(&reason)
		})
	}
	if err == nil {
		err = each(s.Used, n.Used, func(m memberID) (u store.Used, err error) {
			return u, t.row(readUsed, string(m)).Scan(&u.Alerts, &u.Bytes, &u.Statements)
		})
	}
	if err == nil {
		err = t.readDocuments(n, s)
	}
	return s, err
}

// readDeliveries fills in deliveries by number and by claim.
func (t *tx) readDeliveries(n plan.Needs, s *plan.State) error {
	err := add(s.AddDelivery, n.Deliveries, func(id int64) (*plan.Delivery, error) { return scanDelivery(t.row(readDelivery, id)) })
	if err != nil {
		return err
	}
	byClaim := func(o op) func(plan.Claim) (*plan.Delivery, error) {
		return func(c plan.Claim) (*plan.Delivery, error) {
			return scanDelivery(t.row(o, c.Alert, string(c.Recipient)))
		}
	}
	if err := add(s.AddDelivery, n.Claims, byClaim(readUnsent)); err != nil {
		return err
	}
	var later []plan.Claim // to versions that have one before
	for _, c := range n.Claims {
		if a := s.Rows[c.Alert]; a != nil && a.Version > 1 {
			later = append(later, c)
		}
	}
	return add(s.AddDelivery, later, byClaim(readFollows))
}

// readDocuments fills in proposals and bundles, and how far all is settled.
func (t *tx) readDocuments(n plan.Needs, s *plan.State) error {
	err := each(s.Proposals, n.Proposals, func(digest string) (p plan.ProposalRow, err error) {
		return p, t.row(readProposal, digest).Scan(&p.Row, &p.Edition, &p.Type, &p.Subject, &p.Revision)
	})
	if err == nil {
		err = each(s.Bundles, n.Bundles, func(digest string) (b plan.BundleRow, err error) {
			return b, t.row(readBundle, digest).Scan(&b.Revision, &b.Raw)
		})
	}
	if err == nil && n.Settled {
		err = t.row(readSettled).Scan(&s.Settled.Position, &s.Settled.At)
	}
	if err != nil {
		return fmt.Errorf("reading documents: %w", err)
	}
	return nil
}

// each reads what is stored under the keys into m.
func each[K comparable, V any](m map[K]V, keys []K, read func(K) (V, error)) error {
	for _, k := range keys {
		v, err := read(k)
		switch {
		case err == nil:
			m[k] = v
		case !errors.Is(err, sql.ErrNoRows):
			return fmt.Errorf("reading %v: %w", k, err)
		}
	}
	return nil
}

// add is each for what puts itself in its place.
func add[K comparable, V any](put func(V), keys []K, read func(K) (V, error)) error {
	m := make(map[K]V, len(keys))
	if err := each(m, keys, read); err != nil {
		return err
	}
	for _, v := range m {
		put(v)
	}
	return nil
}

func (t *tx) hashes(indexes []int64) ([]tlog.Hash, error) {
	out := make([]tlog.Hash, len(indexes))
	for i, index := range indexes {
		var h []byte
		if err := t.row(readHash, index).Scan(&h); err != nil {
			return nil, fmt.Errorf("reading log hash %d: %w", index, err)
		}
		out[i] = tlog.Hash(h)
	}
	return out, nil
}
