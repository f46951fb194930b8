package postgres

import (
	"context"
	"fmt"
	"strings"
)

// Setting returns a setting of one of the store's connections.
func (s *Store) Setting(ctx context.Context, name string) (v string, err error) {
	return v, s.pool.QueryRow(ctx, "SELECT current_setting($1)", name).Scan(&v)
}

// Sorting are those that sort: a page of each of few ordered lists, and all that is
// asked for of one alert.
var Sorting = map[string]bool{unsettledSQL: true, holdersSQL: true, purgesSQL: true}

// Queries are the statements about what stands and what ends, and the indexes with which each
// must begin.
var Queries = map[string]string{
	selectDeliveries + lastHeld + " AND a.id = $2":                                                       "alerts_pkey",
	selectDeliveries + lastHanded + " AND a.originator = $2 AND a.alert = $3 AND a.version = $4::bigint": "alerts_alert_originator_version_key",
	pendingSQL:       "deliveries_pending alerts_pkey alerts_alert_originator_version_key",
	deliveredSQL:     "deliveries_seq alerts_pkey alerts_alert_originator_version_key",
	labelsSQL:        "labels_pkey",
	standingSQL:      "portions_label",
	standingAlertSQL: "alerts_alert_originator_version_key",
	unsettledSQL:     "deliveries_seen deliveries_unsent",
	claimsSQL:        "deliveries_claim",
	followsSQL:       "deliveries_follows",
	erasableSQL:      "alerts_alert_originator_version_key",
	endedSQL:         "alerts_alert_originator_version_key deliveries_alert feeds_pkey",
	purgersSQL:       "alerts_alert_originator_version_key deliveries_alert",
	purgedSQL:        "alerts_alert_originator_version_key purges_pkey",
	eraseSQL:         "alerts_pkey",
	endSQL:           "alerts_pkey",
	dueSQL:           "alerts_erase",
	publishedSQL:     "alerts_published",
	handedSQL:        "alerts_alert_originator_version_key deliveries_alert",
	holdersSQL:       "alerts_alert_originator_version_key deliveries_alert",
	purgesSQL:        "alerts_alert_originator_version_key purges_pkey",
	moveSQL:          "deliveries_pkey",
	ackSQL:           "deliveries_pkey",
	usedSQL:          "used_pkey",
	refusedSQL:       "refused_pkey",
	dropKeysSQL:      "erasable_keys_pkey",
}

// Plan returns the plan of a statement as one of the store's connections makes it.
func (s *Store) Plan(ctx context.Context, query string) (string, error) {
	args := 0
	for n := 1; strings.Contains(query, fmt.Sprintf("$%d", n)); n++ {
		args = n
	}
	conn, err := s.pool.Acquire(ctx)
	if err != nil {
		return "", err
	}
	defer conn.Release()
	if _, err := conn.Exec(ctx, "PREPARE q AS "+query); err != nil {
		return "", err
	}
	rows, err := conn.Query(ctx, "EXPLAIN (COSTS OFF) EXECUTE q ("+strings.TrimSuffix(strings.Repeat("NULL, ", args), ", ")+")")
	if err != nil {
		return "", err
	}
	var b strings.Builder
	for rows.Next() {
		var line string
		if err := rows.Scan(&line); err != nil {
			return "", err
		}
		fmt.Fprintln(&b, line)
	}
	if err := rows.Err(); err != nil {
		return "", err
	}
	_, err = conn.Exec(ctx, "DEALLOCATE q")
	return b.String(), err
}
