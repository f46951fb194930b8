package node

import (
	"github.com/entente-hub/entente/api/alert"
	"github.com/entente-hub/entente/api/federation"
)

// DefaultLabel is the label of feedback by self to members about an alert of which it has
// the portions, content that may not be passed on if kept says so; with its release list.
func DefaultLabel(r *federation.Registry, self alert.MemberID, re alert.Reference, portions []alert.Portion, kept bool, to ...alert.MemberID) (alert.Label, error) {
	s := &subject{re: re, portions: portions, kept: make(map[alert.PortionID]bool)}
	for _, p := range portions {
		s.kept[p.ID] = kept && p.Label != nil
	}
	l, err := s.defaultLabel(r, self, to, nil)
	if err != nil {
		return l, err
	}
	return addressed(l, to)
}
