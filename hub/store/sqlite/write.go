package sqlite

import (
	"crypto/sha256"

	"github.com/entente-hub/entente/crypto/shroud"
	"github.com/entente-hub/entente/crypto/tlog"
	"github.com/entente-hub/entente/hub/store"
	"github.com/entente-hub/entente/hub/store/internal/plan"
)

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
	for _, r := range c.Trimmed {
		if err := t.many(r.Last-r.First+1, trimEntries, r.First, r.Last); err != nil {
			return err
		}
	}
	for _, r := range c.Refused {
		if err := t.one(addRefused, string(r.Originator), r.Digest[:], r.Reason); err != nil {
			return err
		}
	}
	if err := t.writeAlerts(c); err != nil {
		return err
	}
	if err := t.writeDeliveries(c); err != nil {
		return err
	}
	if err := t.writeDocuments(c); err != nil {
		return err
	}
	for _, u := range c.Used {
		if err := t.one(changeUsed, string(u.Member), u.By.Alerts, u.By.Bytes, u.By.Statements); err != nil {
			return err
		}
	}
	return t.one(setHead, c.New.Size, c.New.Root[:], c.New.Alerts, c.New.Labels, c.New.Deliveries, c.New.Statements,
		c.New.Proposals, c.New.Bundles, c.Old.Size, c.Old.Root[:])
}

func (t *tx) writeAlerts(c *plan.Changes) error {
	for _, a := range c.Alerts {
		stored := []byte(a.Token)
		var key []byte
		if a.EraseAt != 0 {
			key, stored = shroud.Seal(stored)
		}
		err := t.one(addAlert, a.Row, string(a.Originator), string(a.ID), a.Version, a.Digest[:], a.SignedDigest,
			a.Previous, a.IssuedAt, a.Expires, a.AcceptedAt, a.LogIndex, a.EraseAt, a.Over, a.Recall, a.Refers, stored)
		if err != nil {
			return err
		}
		if key == nil {
			continue
		}
		if err := t.one(addKey, a.Row, key); err != nil {
			return err
		}
	}
	if err := t.alterAlerts(c.Altered); err != nil {
		return err
	}
	for _, l := range c.Labels {
		sum := sha256.Sum256([]byte(l.Key))
		if err := t.one(addLabel, l.Row, string(l.Originator), sum[:], []byte(l.Key), nilIfEmpty(l.Audience)); err != nil {
			return err
		}
	}
	for _, l := range c.Audiences {
		if err := t.one(setAudience, nilIfEmpty(l.Audience), l.Row); err != nil {
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

// alterAlerts writes what has become of alerts that were stored before.
func (t *tx) alterAlerts(rows []*plan.AlertRow) error {
	for _, a := range rows {
		var err error
		if token := a.Token(); token != nil {
			err = t.erase(a, []byte(*token))
		} else {
			err = t.one(endAlert, a.EraseAt, a.Over, a.Row, a.Stored())
		}
		if err != nil {
			return err
		}
	}
	return nil
}

func (t *tx) writeDeliveries(c *plan.Changes) error {
	for _, d := range c.Moved {
		if err := t.one(moveDelivery, append(place(d), d.ID, int(d.Stored()))...); err != nil {
			return err
		}
	}
	for _, d := range c.Deliveries {
		if err := t.one(addDelivery, append([]any{string(d.Recipient), d.Alert, d.Follows}, append(place(d), d.ID)...)...); err != nil {
			return err
		}
	}
	for _, d := range c.Acked {
		if err := t.one(ackDelivery, []byte(d.Receipt), d.ID); err != nil {
			return err
		}
	}
	for _, d := range c.Lost {
		if err := t.one(loseDelivery, d.ID); err != nil {
			return err
		}
	}
	for _, p := range c.Purges {
		sum := sha256.Sum256([]byte(p.Portions))
		if err := t.one(addPurge, p.Alert, string(p.Recipient), p.Cause, sum[:], []byte(p.Portions), p.At, []byte(p.Receipt)); err != nil {
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

// place returns what has become of a delivery and, if it was handed over, its
// place in the feed, else NULLs.
func place(d *plan.Delivery) []any {
	if d.State != store.Handed {
		return []any{int(d.State), d.Seen, d.Renewed, nil, nil, nil, nil}
	}
	return []any{int(d.State), d.Seen, d.Renewed, d.Seq, d.Chain, d.Digest, notNil(d.Facts)}
}

// writeDocuments writes statements, proposals, bundles and how far all is
// settled.
func (t *tx) writeDocuments(c *plan.Changes) error {
	for _, st := range c.Statements {
		err := t.one(addStatement, st.Position, st.Type, st.Subject, st.Revision, st.Digest, st.Previous, notNil(st.Raw))
		if err != nil {
			return err
		}
	}
	for _, k := range c.Outdated {
		if _, err := t.any(dropOutdated, k.Type, k.Subject, k.Revision); err != nil {
			return err
		}
	}
	for _, digest := range c.Removed {
		if _, err := t.any(dropProposal, digest); err != nil {
			return err
		}
	}
	for _, p := range c.Proposals {
		err := t.one(setProposal, p.Row, p.Digest, p.Edition, p.Type, p.Subject, p.Revision, string(p.By), p.At, p.Raw)
		if err != nil {
			return err
		}
	}
	for _, b := range c.Bundles {
		if err := t.one(setBundle, b.Row, b.Digest, b.Revision, string(b.By), b.At, notNil(b.Raw)); err != nil {
			return err
		}
	}
	if c.Settled != nil {
		return t.one(setSettled, c.Settled.Position, c.Settled.At)
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

// nilIfEmpty makes empty bytes NULL, or nil.
func nilIfEmpty(b []byte) []byte {
	if len(b) == 0 {
		return nil
	}
	return b
}
