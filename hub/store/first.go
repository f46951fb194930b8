package store

import "github.com/entente-hub/entente/api/alert"

// Use is one stored use of an alert id; Order rises as alerts are stored.
type Use struct {
	Order int64
	ID    alert.ID
	By    alert.MemberID
}

// FirstUsers returns who used each id first: what Originators answers.
func FirstUsers(uses []Use) map[alert.ID]alert.MemberID {
	first := make(map[alert.ID]Use)
	for _, u := range uses {
		if f, ok := first[u.ID]; !ok || u.Order < f.Order {
			first[u.ID] = u
		}
	}
	owners := make(map[alert.ID]alert.MemberID, len(first))
	for id, u := range first {
		owners[id] = u.By
	}
	return owners
}
