package postgres

import (
	"context"
	"slices"

	"github.com/entente-hub/entente/api/alert"
	"github.com/entente-hub/entente/hub/store"
	"github.com/jackc/pgx/v5"
)

const (
	// standing holds of an alert version a: it is the latest, and not expired.
	standing = "a.expires > $1 AND a.version = (SELECT max(n.version) FROM alerts n" +
		" WHERE n.alert = a.alert AND n.originator = a.originator)"
	standingColumns = "a.id, a.originator, a.alert, a.version, a.digest, a.issued_at, a.expires, a.refers," +
		" ARRAY (SELECT o.label FROM portions o WHERE o.alert = a.id)"
	// The newest alert under a label is the likeliest to stand.
	labelsSQL = "SELECT l.id, l.originator, l.key, l.audience FROM labels l WHERE l.id > $2 AND" +
		" (SELECT a.id FROM portions p JOIN alerts a ON a.id = p.alert WHERE p.label = l.id AND " + standing +
		" ORDER BY p.alert DESC LIMIT 1) IS NOT NULL ORDER BY l.id LIMIT $3"
	// An alert with several portions under the label counts by the first of them.
	standingSQL = "SELECT " + standingColumns + " FROM portions p JOIN alerts a ON a.id = p.alert" +
		" WHERE p.label = $2 AND p.alert > $3 AND p.position = (SELECT min(q.position) FROM portions q" +
		" WHERE q.label = p.label AND q.alert = p.alert) AND " + standing +
		" ORDER BY p.alert LIMIT $4"
	standingAlertSQL = "SELECT " + standingColumns + " FROM alerts a WHERE a.originator = $2 AND a.alert = $3 AND " + standing

	unsettledColumns = "SELECT d.id, d.recipient, d.state, d.seen, " + standingColumns +
		" FROM deliveries d JOIN alerts a ON a.id = d.alert"
	unsentSQL = unsettledColumns + " WHERE d.id > $2 AND d.seq IS NULL AND d.state <> 3 AND " + standing + " ORDER BY d.id LIMIT $4"
	// The first of each place that the rules had since: there are few places, and
	// under each what was handed over is in order.
	placesSQL = "RECURSIVE places (seen) AS" +
		" ((SELECT d.seen FROM deliveries d WHERE d.seq IS NOT NULL AND d.seen > $3 ORDER BY d.seen LIMIT 1) UNION ALL" +
		" SELECT (SELECT d.seen FROM deliveries d WHERE d.seq IS NOT NULL AND d.seen > places.seen ORDER BY d.seen LIMIT 1)" +
		" FROM places WHERE places.seen IS NOT NULL)"
	handedSinceSQL = unsettledColumns + " WHERE d.seq IS NOT NULL AND d.seen = places.seen AND d.id > $2 AND " + standing +
		" ORDER BY d.id LIMIT $4"
	unsettledSQL = "WITH " + placesSQL + " (" + unsentSQL + ") UNION ALL" +
		" SELECT h.* FROM places CROSS JOIN LATERAL (" + handedSinceSQL + ") h ORDER BY 1 LIMIT $4"
)

// standingDest returns where the standingColumns go, and what completes the
// alert.
func standingDest(a *store.Standing) (dest []any, finish func()) {
	var digest []byte
	dest = []any{&a.Row, &a.Originator, &a.ID, &a.Version, &digest, &a.IssuedAt, &a.Expires, &a.Refers, &a.Labels}
	return dest, func() {
		copy(a.Digest[:], digest)
		slices.Sort(a.Labels)
		a.Labels = slices.Compact(a.Labels)
	}
}

func scanStanding(row pgx.CollectableRow) (a store.Standing, err error) {
	dest, finish := standingDest(&a)
	err = row.Scan(dest...)
	finish()
	return a, err
}

// Labels implements store.Store.
func (s *Store) Labels(ctx context.Context, at, after int64, limit int) ([]store.Label, error) {
	return list(ctx, s, "labels", func(row pgx.CollectableRow) (l store.Label, err error) {
		var key []byte
		err = row.Scan(&l.Row, &l.Originator, &key, &l.Audience)
		l.Key, l.Audience = string(key), nilIfEmpty(l.Audience)
		return l, err
	}, labelsSQL, at, after, max(limit, 0))
}

// Standing implements store.Store.
func (s *Store) Standing(ctx context.Context, at, label, after int64, limit int) ([]store.Standing, error) {
	return list(ctx, s, "standing alerts", scanStanding, standingSQL, at, label, after, max(limit, 0))
}

// StandingAlert implements store.Store.
func (s *Store) StandingAlert(ctx context.Context, at int64, originator alert.MemberID, id alert.ID) (*store.Standing, error) {
	out, err := list(ctx, s, "standing alert", scanStanding, standingAlertSQL, at, string(originator), string(id))
	if err != nil {
		return nil, err
	}
	if len(out) == 0 {
		return nil, store.ErrNotFound
	}
	return &out[0], nil
}

// Unsettled implements store.Store.
func (s *Store) Unsettled(ctx context.Context, at, since, after int64, limit int) ([]store.Unsettled, error) {
	return list(ctx, s, "unsettled deliveries", func(row pgx.CollectableRow) (u store.Unsettled, err error) {
		dest, finish := standingDest(&u.Alert)
		err = row.Scan(append([]any{&u.ID, &u.Recipient, &u.State, &u.Seen}, dest...)...)
		finish()
		return u, err
	}, unsettledSQL, at, after, since, max(limit, 0))
}

// Settled implements store.Store.
func (s *Store) Settled(ctx context.Context) (at store.Settled, err error) {
	err = s.call("what is settled", func() error {
		return s.pool.QueryRow(ctx, "SELECT position, at FROM settled WHERE single = 1").Scan(&at.Position, &at.At)
	})
	return at, err
}
