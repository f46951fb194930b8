package sqlite

import (
	"context"
	"database/sql"
	"fmt"

	"github.com/entente-hub/entente/api/alert"
	"github.com/entente-hub/entente/crypto/shroud"
	"github.com/entente-hub/entente/node/store"
)

// Position implements store.Store.
func (s *Store) Position(ctx context.Context) (store.Position, error) {
	var p store.Position
	err := s.read.QueryRowContext(ctx, "SELECT seq, chain, head_at, checkpoint, head FROM position WHERE one = 1").
		Scan(&p.Seq, &p.Chain, &p.HeadAt, &p.Checkpoint, &p.Head)
	if err != nil {
		return store.Position{}, fmt.Errorf("sqlite: %w", err)
	}
	if len(p.Checkpoint) == 0 {
		p.Checkpoint = nil
	}
	return p, nil
}

// Receive implements store.Store.
func (s *Store) Receive(ctx context.Context, r store.Reception) error {
	if r.After.Seq != r.Before.Seq+int64(len(r.Items)) {
		return fmt.Errorf("sqlite: %d items from %d to %d", len(r.Items), r.Before.Seq, r.After.Seq)
	}
	return s.inTx(ctx, func(tx *sql.Tx) error {
		b, a := r.Before, r.After
		if err := changeOne(ctx, tx, "UPDATE position SET seq = ?, chain = ?, head_at = ?, checkpoint = ?, head = ?"+
			" WHERE one = 1 AND seq = ? AND chain = ? AND head_at = ? AND checkpoint = ? AND head = ?",
			a.Seq, a.Chain, a.HeadAt, blob(a.Checkpoint), a.Head,
			b.Seq, b.Chain, b.HeadAt, blob(b.Checkpoint), b.Head); err != nil {
			return err
		}
		for i, item := range r.Items {
			if item.Seq != b.Seq+1+int64(i) {
				return fmt.Errorf("sqlite: item %d in the place of %d", item.Seq, b.Seq+1+int64(i))
			}
			if err := insertItem(ctx, tx, item); err != nil {
				return err
			}
		}
		for _, ack := range r.Acks {
			if err := changeOne(ctx, tx, "INSERT INTO acks (seq, token, chain) VALUES (?, ?, ?)", ack.Seq, ack.Token, ack.Chain); err != nil {
				return err
			}
		}
		return erase(ctx, tx, r.Erase)
	})
}

func insertItem(ctx context.Context, tx *sql.Tx, i store.Item) error {
	if i.Delivery == nil {
		return changeOne(ctx, tx, "INSERT INTO inbox (seq, digest, received_at) VALUES (?, ?, ?)", i.Seq, i.Digest, micros(i.ReceivedAt))
	}
	key, sealed, err := enshroud(ctx, tx, 0, i.Delivery)
	if err != nil {
		return err
	}
	if err := changeOne(ctx, tx, "INSERT INTO inbox (seq, digest, received_at, delivery, key, originator, id, version, signed_digest,"+
		" recall, kept, due) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)", i.Seq, i.Digest, micros(i.ReceivedAt), sealed, key,
		string(i.Originator), string(i.ID), i.Version, i.SignedDigest, string(i.Recall), i.Kept, i.Due); err != nil {
		return err
	}
	if err := referReceived(ctx, tx, i); err != nil {
		return err
	}
	return delegate(ctx, tx, false, i.ID, i.SignedDigest, i.Delegating)
}

// blob keeps a nil slice from becoming NULL.
func blob(b []byte) []byte {
	if b == nil {
		return []byte{}
	}
	return b
}

// sameAlert and sameVersion hold for another delivery o of what i delivers.
const (
	sameAlert   = "o.originator = i.originator AND o.id = i.id"
	sameVersion = sameAlert + " AND o.version = i.version"
)

const selectItems = "SELECT i.seq, i.digest, i.received_at, i.delivery, i.originator, i.id, i.version, i.signed_digest," +
	" i.recall, i.kept, i.due, (SELECT k.key FROM erasable_keys k WHERE k.n = i.key)," +
	" coalesce((SELECT max(o.seq) FROM inbox o WHERE " + sameVersion + " AND o.seq < i.seq), 0)," +
	" coalesce((SELECT max(o.version) FROM inbox o WHERE " + sameAlert + "), 0)," +
	" coalesce((SELECT o.recall FROM inbox o WHERE " + sameAlert + " AND o.recall <> '' LIMIT 1), '') FROM inbox i"

// selectLatest looks at no delivery but those on the page: indexes say which are
// superseded.
const selectLatest = selectItems + " WHERE i.seq IN (SELECT i.seq FROM inbox i WHERE i.originator IS NOT NULL AND i.seq > ?" +
	" AND NOT EXISTS (SELECT 1 FROM inbox o WHERE " + sameVersion + " AND o.seq > i.seq) ORDER BY i.seq LIMIT ?) ORDER BY i.seq"

// Inbox implements store.Store.
func (s *Store) Inbox(ctx context.Context, after int64, limit int) ([]store.Item, error) {
	return collect(ctx, s.read, scanItem, selectLatest, after, max(limit, 0))
}

// Deliveries implements store.Store.
func (s *Store) Deliveries(ctx context.Context, after int64, limit int) ([]store.Item, error) {
	return collect(ctx, s.read, scanItem, selectItems+" WHERE i.originator IS NOT NULL AND i.seq > ? ORDER BY i.seq LIMIT ?", after, max(limit, 0))
}

// Received implements store.Store.
func (s *Store) Received(ctx context.Context, originator alert.MemberID, id alert.ID, version int) (*store.Item, error) {
	// The cast keeps SQLite from planning the query anew whenever the number is another
	// than the time before: it guesses by small integers how many rows there are.
	i, err := scanItem(s.read.QueryRowContext(ctx, selectItems+" WHERE i.originator = ? AND i.id = ?"+
		" AND i.version = CAST(? AS INTEGER) ORDER BY i.seq DESC LIMIT 1", string(originator), string(id), version))
	if err != nil {
		return nil, notFound(err)
	}
	return &i, nil
}

// Handed implements store.Store.
func (s *Store) Handed(ctx context.Context, originator alert.MemberID, id alert.ID, version int, after int64, limit int) ([]store.Item, error) {
	return collect(ctx, s.read, scanItem, selectItems+" WHERE i.originator = ? AND i.id = ? AND i.version = ? AND i.seq > ?"+
		" ORDER BY i.seq LIMIT ?", string(originator), string(id), version, after, max(limit, 0))
}

func scanItem(row scanner) (store.Item, error) {
	var i store.Item
	var at int64
	var key, sealed []byte
	err := row.Scan(&i.Seq, &i.Digest, &at, &sealed, &i.Originator, &i.ID, &i.Version, &i.SignedDigest,
		&i.Recall, &i.Kept, &i.Due, &key, &i.Previous, &i.Latest, &i.Ended)
	i.ReceivedAt, i.Delivery = fromMicros(at), shroud.Open(key, sealed)
	return i, err
}

func scanAck(row scanner) (a store.Ack, err error) {
	err = row.Scan(&a.Seq, &a.Token, &a.Chain)
	return a, err
}

// AcksTaken implements store.Store.
func (s *Store) AcksTaken(ctx context.Context, seqs []int64) error {
	return s.inTx(ctx, func(tx *sql.Tx) error {
		for _, seq := range seqs {
			if _, err := tx.ExecContext(ctx, "DELETE FROM acks WHERE seq = ?", seq); err != nil {
				return fmt.Errorf("sqlite: %w", err)
			}
		}
		return nil
	})
}

// AckRefused implements store.Store.
func (s *Store) AckRefused(ctx context.Context, seq int64, reason string) error {
	if reason == "" {
		reason = "refused"
	}
	return s.inTx(ctx, func(tx *sql.Tx) error {
		return changeOne(ctx, tx, "UPDATE acks SET refused = ? WHERE seq = ?", reason, seq)
	})
}
