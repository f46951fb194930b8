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
	return c.Results, nil
}

// read fills a state with what the writes depend on.
func (t *tx) read(n plan.Needs) (*plan.State, error) {
	s := plan.NewState()
	var root []byte
	err := t.row(readHead).Scan(&s.Head.Size, &root, &s.Head.Alerts, &s.Head.Labels, &s.Head.Deliveries, &s.Head.Statements)
	if err != nil {
		return nil, fmt.Errorf("reading the log's head: %w", err)
	}
	s.Head.Root = tlog.Hash(root)
	err = each(s.Alerts, n.Alerts, func(k plan.AlertKey) (row plan.AlertRow, err error) {
		var digest []byte
		err = t.row(readAlert, string(k.Originator), string(k.ID), k.Version).Scan(&digest, &row.SignedDigest)
		copy(row.Digest[:], digest)
		return row, err
	})
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
		err = each(s.Deliveries, n.Deliveries, func(id int64) (*plan.Delivery, error) {
			return scanDelivery(t.row(readDelivery, id))
		})
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
	return s, err
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

func (t *tx) write(c *plan.Changes, hashes []tlog.Hash) error {
	first := tlog.StoredHashCount(c.Old.Size)
	for i, h := range hashes {
		if err := t.one(addHash, first+int64(i), h[:]); err != nil {
			return err
		}
	}
	for i, leaf := range c.Leaves {
		if err := t.one(addEntry, c.Old.Size+int64(i), notNil(leaf)); err != nil {
			return err
		}
	}
	if err := t.writeAlerts(c); err != nil {
		return err
	}
	if err := t.writeDeliveries(c); err != nil {
		return err
	}
	for _, st := range c.Statements {
		err := t.one(addStatement, st.Position, st.Type, st.Subject, st.Revision, st.Digest, st.Previous, notNil(st.Raw))
		if err != nil {
			return err
		}
	}
	return t.one(setHead, c.New.Size, c.New.Root[:], c.New.Alerts, c.New.Labels, c.New.Deliveries, c.New.Statements,
		c.Old.Size, c.Old.Root[:])
}

func (t *tx) writeAlerts(c *plan.Changes) error {
	for _, a := range c.Alerts {
		err := t.one(addAlert, a.Row, string(a.Originator), string(a.ID), a.Version, a.Digest[:], a.SignedDigest,
			a.Previous, a.IssuedAt, a.Expires, a.AcceptedAt, a.LogIndex, []byte(a.Token))
		if err != nil {
			return err
		}
	}
	for _, l := range c.Labels {
		sum := sha256.Sum256([]byte(l.Key))
		if err := t.one(addLabel, l.Row, string(l.Originator), sum[:], []byte(l.Key)); err != nil {
			return err
		}
	}
	for _, p := range c.Portions {
		if err := t.one(addPortion, p.Alert, p.Position, string(p.ID), p.Label); err != nil {
			return err
		}
	}
	return nil
}

func (t *tx) writeDeliveries(c *plan.Changes) error {
	for _, d := range c.Deliveries {
		if err := t.one(addDelivery, d.ID, string(d.Recipient), d.Alert); err != nil {
			return err
		}
	}
	for _, d := range c.Handed {
		place := []any{d.Seq, d.Chain, d.Digest, notNil(d.Facts)}
		if d.State == plan.Withheld {
			place = make([]any, 4) // NULLs
		}
		if err := t.one(moveDelivery, append(append([]any{int(d.State)}, place...), d.ID)...); err != nil {
			return err
		}
	}
	for _, d := range c.Acked {
		if err := t.one(ackDelivery, []byte(d.Receipt), d.ID); err != nil {
			return err
		}
	}
	for _, f := range c.Feeds {
		if err := t.one(setFeed, string(f.Recipient), f.Seq, f.Chain, f.Acked, f.Pending); err != nil {
			return err
		}
	}
	return nil
}

// notNil keeps empty bytes from becoming NULL.
func notNil(b []byte) []byte {
	if b == nil {
		return []byte{}
	}
	return b
}
