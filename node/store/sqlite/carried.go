package sqlite

import (
	"context"

	"github.com/entente-hub/entente/crypto/shroud"
	"github.com/entente-hub/entente/node/store"
)

// urgentLead is by how much what is not urgent stands behind what is: more than any number
// that an alert of the outbox has.
const urgentLead = "1099511627776"

// selectQueued walks the index of Sendable, so that places come in the order of sending.
const selectQueued = "SELECT n + (1 - urgent) * " + urgentLead + " AS place, token, (SELECT k.key FROM erasable_keys k WHERE k.n = outbox.key)" +
	" FROM outbox INDEXED BY outbox_queue WHERE state = 'queued' AND place > ? ORDER BY urgent DESC, n LIMIT ?"

// QueuedAfter implements store.Carried.
func (s *Store) QueuedAfter(ctx context.Context, after int64, limit int) ([]store.Waiting, error) {
	return collect(ctx, s.read, func(row scanner) (w store.Waiting, err error) {
		var sealed, key []byte
		err = row.Scan(&w.Place, &sealed, &key)
		w.Token = string(shroud.Open(key, sealed))
		return w, err
	}, selectQueued, after, max(limit, 0))
}

// AcksAfter implements store.Carried.
func (s *Store) AcksAfter(ctx context.Context, after int64, limit int) ([]store.Ack, error) {
	return collect(ctx, s.read, scanAck,
		"SELECT seq, token, '' FROM acks WHERE refused = '' AND token <> '' AND seq > ? ORDER BY seq LIMIT ?", after, max(limit, 0))
}

// PurgesAfter implements store.Carried.
func (s *Store) PurgesAfter(ctx context.Context, after int64, limit int) ([]store.Purge, error) {
	return collect(ctx, s.read, scanPurge,
		selectPurges+" WHERE taken = 0 AND refused = '' AND (token = '') = 0 AND n > ? ORDER BY n LIMIT ?", after, max(limit, 0))
}
