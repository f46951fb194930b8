package sqlite

import (
	"context"
	"crypto/sha256"
	"database/sql"
	"errors"

	"github.com/entente-hub/entente/api/alert"
	"github.com/entente-hub/entente/hub/store"
	"github.com/entente-hub/entente/hub/store/internal/plan"
)

const (
	// tokenSize is without shroud.Overhead.
	tokenSize  = "length(a.token) - 16 * EXISTS (SELECT 1 FROM erasable_keys k WHERE k.n = a.id)"
	selectRows = "SELECT a.id, a.originator, a.alert, a.version, a.digest, a.signed_digest, a.erase_at, a.over, a.recall, " +
		ended + ", " + tokenSize + " FROM alerts a WHERE "
	dueSQL = "SELECT a.id, a.over, " + alertColumns + " FROM alerts a" +
		" WHERE a.erase_at > 0 AND a.erase_at <= ? AND (a.erase_at, a.id) > (?, ?) ORDER BY a.erase_at, a.id LIMIT ?"
	handedSQL = "SELECT 1 FROM alerts a CROSS JOIN deliveries d ON d.alert = a.id WHERE a.originator = ? AND a.alert = ?" +
		" AND d.recipient = ? AND d.seq IS NOT NULL LIMIT 1"
	publishedSQL = "SELECT " + alertColumns +
		" FROM alerts a WHERE a.originator = ? AND a.log_index > ? ORDER BY a.log_index, a.id LIMIT ?"
	holdersSQL = "SELECT d.recipient, a.version, d.seq, d.chain, d.facts, d.receipt, d.lost" +
		" FROM alerts a CROSS JOIN deliveries d ON d.alert = a.id" +
		" WHERE a.originator = ? AND a.alert = ? AND d.seq IS NOT NULL ORDER BY d.recipient, d.seq"
	purgesSQL = "SELECT p.recipient, a.originator, a.alert, a.version, p.cause, p.portions, p.at, p.receipt" +
		" FROM alerts a CROSS JOIN purges p ON p.alert = a.id" +
		" WHERE a.originator = ? AND a.alert = ? ORDER BY p.recipient, a.version, p.cause, p.portions, p.at"
)

func scanRow(row scanner) (a plan.AlertRow, err error) {
	var digest []byte
	err = row.Scan(&a.Row, &a.Originator, &a.ID, &a.Version, &digest, &a.SignedDigest, &a.EraseAt, &a.Over, &a.Recall, &a.Ended, &a.Size)
	copy(a.Digest[:], digest)
	return a, err
}

// readAlerts fills in alert versions by name and by row, and what others end.
func (t *tx) readAlerts(n plan.Needs, s *plan.State) error {
	err := add(s.AddAlert, n.Alerts, func(k plan.AlertKey) (plan.AlertRow, error) {
		return scanRow(t.row(readAlert, string(k.Originator), string(k.ID), k.Version))
	})
	if err == nil {
		err = add(s.AddAlert, n.Rows, func(row int64) (plan.AlertRow, error) { return scanRow(t.row(readRow, row)) })
	}
	for _, k := range n.Ends {
		if err == nil {
			err = t.each(readErasable, func(r *sql.Rows) error {
				a, err := scanRow(r)
				s.AddAlert(a)
				return err
			}, string(k.Originator), string(k.ID), k.Version)
		}
		if err == nil {
			err = t.each(readEnded, func(r *sql.Rows) error {
				var f store.Feed
				d := &plan.Delivery{}
				err := r.Scan(append(deliveryDest(d), &f.Seq, &f.Chain, &f.Acked, &f.Pending)...)
				s.AddDelivery(d)
				s.Feeds[d.Recipient] = f
				return err
			}, string(k.Originator), string(k.ID), k.Version)
		}
	}
	return err
}

// readPurges fills in purge receipts, and the hand-overs that they need.
func (t *tx) readPurges(keys []plan.PurgeKey, s *plan.State) error {
	err := add(s.AddDelivery, keys, func(k plan.PurgeKey) (*plan.Delivery, error) {
		return scanDelivery(t.row(readHeld, string(k.Originator), string(k.ID), k.Version, string(k.Recipient)))
	})
	if err != nil {
		return err
	}
	return each(s.Purges, keys, func(k plan.PurgeKey) (is bool, err error) {
		sum := sha256.Sum256([]byte(k.Portions))
		return is, t.row(readPurge, string(k.Originator), string(k.ID), k.Version, string(k.Recipient), k.Cause, sum[:], k.At).Scan(&is)
	})
}

// Due implements store.Store.
func (s *Store) Due(ctx context.Context, at int64, after store.Place, limit int) ([]store.Due, error) {
	return list(ctx, s, "what is due", func(r *sql.Rows) (d store.Due, err error) {
		dest, finish := alertDest(&d.Alert)
		err = r.Scan(append([]any{&d.Row, &d.Over}, dest...)...)
		finish()
		return d, err
	}, dueSQL, at, after.EraseAt, after.Row, max(limit, 0))
}

// Handed implements store.Store.
func (s *Store) Handed(ctx context.Context, recipient, originator alert.MemberID, id alert.ID) (has bool, err error) {
	err = s.one(ctx, "hand-overs", func(r *sql.Row) error { return r.Scan(&has) }, handedSQL, string(originator), string(id), string(recipient))
	if errors.Is(err, store.ErrNotFound) {
		return false, nil
	}
	return has, err
}

// Published implements store.Store.
func (s *Store) Published(ctx context.Context, originator alert.MemberID, after int64, limit int) ([]store.Alert, error) {
	return list(ctx, s, "what was published", func(r *sql.Rows) (store.Alert, error) { return scanAlert(r) },
		publishedSQL, string(originator), after, max(limit, 0))
}

// Holders implements store.Store.
func (s *Store) Holders(ctx context.Context, originator alert.MemberID, id alert.ID) ([]store.Holder, error) {
	return list(ctx, s, "holders", func(r *sql.Rows) (h store.Holder, err error) {
		var receipt []byte
		err = r.Scan(&h.Recipient, &h.Version, &h.Seq, &h.Chain, &h.Facts, &receipt, &h.Lost)
		h.Facts, h.Receipt = nilIfEmpty(h.Facts), string(receipt)
		return h, err
	}, holdersSQL, string(originator), string(id))
}

// Purges implements store.Store.
func (s *Store) Purges(ctx context.Context, originator alert.MemberID, id alert.ID) ([]store.Purge, error) {
	return list(ctx, s, "purges", func(r *sql.Rows) (p store.Purge, err error) {
		var portions, receipt []byte
		err = r.Scan(&p.Recipient, &p.Originator, &p.ID, &p.Version, &p.Cause, &portions, &p.At, &receipt)
		p.Portions, p.Receipt = string(portions), string(receipt)
		return p, err
	}, purgesSQL, string(originator), string(id))
}
