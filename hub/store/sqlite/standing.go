package sqlite

import (
	"context"
	"database/sql"
	"encoding/json"
	"fmt"
	"slices"

	"github.com/entente-hub/entente/api/alert"
	"github.com/entente-hub/entente/hub/store"
)

const (
	// standing holds of an alert version a: it is the latest, and not expired.
	standing = "a.expires > ?1 AND a.version = (SELECT max(n.version) FROM alerts n" +
		" WHERE n.alert = a.alert AND n.originator = a.originator)"
	standingColumns = "a.id, a.originator, a.alert, a.version, a.digest, a.issued_at, a.expires, a.refers," +
		" (SELECT json_group_array(o.label) FROM portions o WHERE o.alert = a.id)"
	// The newest alert under a label is the likeliest to stand.
	labelsSQL = "SELECT l.id, l.originator, l.key, l.audience FROM labels l WHERE l.id > ?2 AND" +
		" (SELECT a.id FROM portions p CROSS JOIN alerts a ON a.id = p.alert WHERE p.label = l.id AND " + standing +
		" ORDER BY p.alert DESC LIMIT 1) IS NOT NULL ORDER BY l.id LIMIT ?3"
	// An alert with several portions under the label counts by the first of them.
	standingSQL = "SELECT " + standingColumns + " FROM portions p CROSS JOIN alerts a ON a.id = p.alert" +
		" WHERE p.label = ?2 AND p.alert > ?3 AND p.position = (SELECT min(q.position) FROM portions q" +
		" WHERE q.label = p.label AND q.alert = p.alert) AND " + standing +
		" ORDER BY p.alert LIMIT ?4"
	standingAlertSQL = "SELECT " + standingColumns + " FROM alerts a WHERE a.originator = ?2 AND a.alert = ?3 AND " + standing

	unsettledColumns = "d.id AS id, d.recipient, d.state, d.seen, " + standingColumns
	unsentSQL        = "SELECT " + unsettledColumns +
		" FROM deliveries d CROSS JOIN alerts a ON a.id = d.alert WHERE d.id > ?2 AND d.seq IS NULL AND d.state <> 3 AND " + standing +
		" ORDER BY d.id LIMIT ?4"
	// The first of each place that the rules had since: there are few places, and
	// under each what was handed over is in order.
	handedSinceSQL = "WITH RECURSIVE places (seen) AS" +
		" (SELECT min(seen) FROM deliveries WHERE seq IS NOT NULL AND seen > ?3 UNION ALL" +
		" SELECT (SELECT min(d.seen) FROM deliveries d WHERE d.seq IS NOT NULL AND d.seen > places.seen)" +
		" FROM places WHERE places.seen IS NOT NULL)" +
		" SELECT " + unsettledColumns + " FROM places CROSS JOIN deliveries d ON d.id IN" +
		" (SELECT e.id FROM deliveries e CROSS JOIN alerts a ON a.id = e.alert" +
		" WHERE e.seq IS NOT NULL AND e.seen = places.seen AND e.id > ?2 AND " + standing + " ORDER BY e.id LIMIT ?4)" +
		" CROSS JOIN alerts a ON a.id = d.alert"
	unsettledSQL = "SELECT * FROM (" + unsentSQL + ") UNION ALL SELECT * FROM (" + handedSinceSQL + ") ORDER BY id LIMIT ?4"
	settledSQL   = "SELECT position, at FROM settled"
)

// scanStanding reads what comes before, and the standingColumns.
func scanStanding(row scanner, a *store.Standing, before ...any) error {
	var digest []byte
	var labels string
	err := row.Scan(append(before, &a.Row, &a.Originator, &a.ID, &a.Version, &digest, &a.IssuedAt, &a.Expires, &a.Refers, &labels)...)
	if err != nil {
		return err
	}
	copy(a.Digest[:], digest)
	if err := json.Unmarshal([]byte(labels), &a.Labels); err != nil {
		return fmt.Errorf("labels of alert %d: %w", a.Row, err)
	}
	slices.Sort(a.Labels)
	a.Labels = slices.Compact(a.Labels)
	return nil
}

// Labels implements store.Store.
func (s *Store) Labels(ctx context.Context, at, after int64, limit int) ([]store.Label, error) {
	return list(ctx, s, "labels", func(r *sql.Rows) (l store.Label, err error) {
		var key []byte
		err = r.Scan(&l.Row, &l.Originator, &key, &l.Audience)
		l.Key, l.Audience = string(key), nilIfEmpty(l.Audience)
		return l, err
	}, labelsSQL, at, after, max(limit, 0))
}

// Standing implements store.Store.
func (s *Store) Standing(ctx context.Context, at, label, after int64, limit int) ([]store.Standing, error) {
	return list(ctx, s, "standing alerts", func(r *sql.Rows) (a store.Standing, err error) {
		return a, scanStanding(r, &a)
	}, standingSQL, at, label, after, max(limit, 0))
}

// StandingAlert implements store.Store.
func (s *Store) StandingAlert(ctx context.Context, at int64, originator alert.MemberID, id alert.ID) (*store.Standing, error) {
	var a store.Standing
	err := s.one(ctx, "standing alert", func(r *sql.Row) error { return scanStanding(r, &a) },
		standingAlertSQL, at, string(originator), string(id))
	if err != nil {
		return nil, err
	}
	return &a, nil
}

// Unsettled implements store.Store.
func (s *Store) Unsettled(ctx context.Context, at, since, after int64, limit int) ([]store.Unsettled, error) {
	return list(ctx, s, "unsettled deliveries", func(r *sql.Rows) (u store.Unsettled, err error) {
		return u, scanStanding(r, &u.Alert, &u.ID, &u.Recipient, &u.State, &u.Seen)
	}, unsettledSQL, at, after, since, max(limit, 0))
}

// Settled implements store.Store.
func (s *Store) Settled(ctx context.Context) (at store.Settled, err error) {
	err = s.one(ctx, "what is settled", func(r *sql.Row) error { return r.Scan(&at.Position, &at.At) }, settledSQL)
	return at, err
}
