package node

import (
	"errors"
	"fmt"
	"slices"

	"github.com/entente-hub/entente/api/alert"
	"github.com/entente-hub/entente/api/feed"
	"github.com/entente-hub/entente/node/store"
	"github.com/entente-hub/entente/trust"
)

// stillOwn reduces an alert of the member's own, and what the hub says of it, to the
// portions that stand: each of the two ends one by its own clock.
func (n *Node) stillOwn(o *store.Outgoing, a *Audience) error {
	mine, err := trust.ReadAlert(o.Token)
	if err != nil {
		return err
	}
	soon := n.ended().Add(alert.MaxSkew).Unix()
	stands := make(map[alert.PortionID]feed.Kind)
	for _, p := range mine.Portions {
		named := slices.ContainsFunc(a.Portions, func(q PortionAudience) bool { return q.Portion == p.ID })
		if named || ownEndOf(p.Label, mine.Expires) > soon {
			stands[p.ID] = feed.Content
		}
	}
	if !isWhole(o) {
		a.Portions = slices.DeleteFunc(a.Portions, func(p PortionAudience) bool { return stands[p.Portion] == "" })
	}
	o.Token, err = trust.ReduceAlert(o.Token, stands)
	return err
}

// checkAudience holds what the hub says of an alert of the member's own to what the
// node knows: it speaks of that alert's portions and of the federation's members, each
// once, and what it rests on is verified. Whether it decides rightly is not for the node
// to tell.
func (k *known) checkAudience(self alert.MemberID, o store.Outgoing, a Audience) error {
	if !k.cited.policies[a.Policy] {
		return fmt.Errorf("it decides by a policy %.50q that no statement has put into force", a.Policy)
	}
	own, err := trust.ReadPortions(o.Token)
	if err != nil {
		return err
	}
	if len(a.Portions) != len(own) {
		return fmt.Errorf("it speaks of %d portions, the alert has %d", len(a.Portions), len(own))
	}
	seen := make(map[alert.PortionID]bool)
	for _, p := range a.Portions {
		i := slices.IndexFunc(own, func(mine alert.Portion) bool { return mine.ID == p.Portion })
		if i < 0 || seen[p.Portion] {
			return fmt.Errorf("portion %.70q is none of the alert's, or stands twice", string(p.Portion))
		}
		seen[p.Portion] = true
		if err := k.checkDecisions(self, o.ID, own[i], p.Members); err != nil {
			return fmt.Errorf("portion %s: %w", p.Portion, err)
		}
	}
	return nil
}

func (k *known) checkDecisions(self alert.MemberID, id alert.ID, p alert.Portion, members []MemberDecision) error {
	listed := make(map[alert.MemberID]bool)
	for _, m := range k.dir.Registry().Members {
		listed[m.ID] = true
	}
	seen := make(map[alert.MemberID]bool)
	for _, m := range members {
		if !listed[m.Member] || m.Member == self || seen[m.Member] {
			return fmt.Errorf("%.40q is no other member of the federation, or stands twice", string(m.Member))
		}
		seen[m.Member] = true
		if err := k.checkDecision(self, id, p, m); err != nil {
			return fmt.Errorf("%s: %w", m.Member, err)
		}
	}
	return nil
}

// checkDecision holds one member's part of an audience to what is verified.
func (k *known) checkDecision(self alert.MemberID, id alert.ID, p alert.Portion, m MemberDecision) error {
	kinds := []feed.Kind{feed.Content, feed.Existence, feed.None}
	if !slices.Contains(kinds, m.Release) || m.Held != "" && !slices.Contains(kinds, m.Held) {
		return fmt.Errorf("a release of kind %.20q, held as %.20q", string(m.Release), string(m.Held))
	}
	seen := make(map[string]bool)
	for _, c := range m.Agreements {
		switch g, ok := k.cited.agreements[c.Digest]; {
		case !ok || seen[c.Digest]:
			return fmt.Errorf("it rests on an agreement %.50q that is not known, or stands twice", c.Digest)
		case !g.Gives(self, m.Member):
			return fmt.Errorf("it rests on agreement %s, under which %s gives nothing to %s", g.ID, self, m.Member)
		}
		seen[c.Digest] = true
	}
	if m.Emergency == "" {
		return nil
	}
	e, ok := k.cited.emergencies[m.Emergency]
	switch {
	case !ok:
		return fmt.Errorf("it rests on an emergency %.50q that is not known", m.Emergency)
	case e.Originator != self || e.Alert != id || !slices.Contains(e.Members, m.Member):
		return errors.New("it rests on an emergency about something else")
	case !slices.ContainsFunc(p.Label.Compartments, func(c alert.TaskForceID) bool { return slices.Contains(e.Compartments, c) }):
		return errors.New("it rests on an emergency that widens nothing here")
	}
	return nil
}
