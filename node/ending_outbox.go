package node

import (
	"context"

	"github.com/entente-hub/entente/api/alert"
	"github.com/entente-hub/entente/api/feed"
	"github.com/entente-hub/entente/node/store"
	"github.com/entente-hub/entente/trust"
)

// What the member has published ends in its own outbox when it ends at the hub, but for a
// superseded version, which stays for its own time: it tells what was changed. What is
// still to be sent is whole until it is known what became of it.

// ownEndOf is when a portion of the member's own ends, in seconds since 1970-01-01 UTC: with
// its alert, or with its label's retention.
func ownEndOf(l *alert.Label, expires int64) int64 {
	if l != nil && l.Retention != "" {
		if end, err := l.Retention.Time(); err == nil { // it was parsed with the label
			return min(expires, end.Unix())
		}
	}
	return expires
}

// ownEnd is when an alert of the member's own is first erased of anything, in seconds since
// 1970-01-01 UTC; 0: there is nothing in it to erase.
func ownEnd(a alert.Alert) (first int64) {
	for _, p := range a.Portions {
		first = earlier(first, ownEndOf(p.Label, a.Expires))
	}
	return first
}

// ownLeft returns what is left by a moment of an alert that is not queued any more, and when
// something of that ends next; 0: nothing is left but what was signed.
func ownLeft(o *store.Outgoing, at int64) (token string, next int64, err error) {
	p, err := clearPart(o.Token)
	if err != nil {
		return "", 0, err
	}
	if o.Purged || p.Expires <= at {
		return signedPart(o.Token) + "~", 0, nil
	}
	a, err := trust.ReadAlert(o.Token)
	if err != nil {
		return "", 0, err
	}
	keep := make(map[alert.PortionID]feed.Kind)
	for _, p := range a.Portions {
		if end := ownEndOf(p.Label, a.Expires); end > at {
			keep[p.ID], next = feed.Content, earlier(next, end)
		}
	}
	if len(keep) == len(a.Portions) {
		return o.Token, next, nil
	}
	token, err = trust.ReduceAlert(o.Token, keep)
	return token, next, err
}

// isWhole reports whether an outgoing alert discloses all that it did when it was signed.
func isWhole(o *store.Outgoing) bool { return digestOf(o.Token) == o.Digest }

// labelled reads a version of the member's own, and returns its portions with their labels,
// also those of which no more is left; known tells whether they are all.
func labelled(o *store.Outgoing) (a *trust.VerifiedAlert, portions []alert.Portion, known bool, err error) {
	if a, err = trust.ReadAlert(o.Token); err != nil {
		return nil, nil, false, err
	}
	if isWhole(o) || len(o.Labels) == 0 {
		return a, a.Portions, isWhole(o), nil
	}
	for _, p := range o.Labels {
		l, err := alert.ParseLabel(p.Label)
		if err != nil {
			return nil, nil, false, err
		}
		portions = append(portions, alert.Portion{ID: p.ID, Label: &l})
	}
	return a, portions, true, nil
}

// labelsLeft returns the labels that are kept of an alert of which something is erased by a
// moment, and until when: while it can be recalled they tell who may do that.
func labelsLeft(o *store.Outgoing, at int64) (labels []store.DraftPortion, expires int64, err error) {
	p, err := clearPart(o.Token)
	if err != nil || o.Purged || p.Expires <= at {
		return nil, 0, err
	}
	_, portions, known, err := labelled(o)
	if err != nil || !known {
		return nil, 0, err
	}
	return keptPortions(portions), p.Expires, nil
}

// sweepOutbox erases what has ended of the member's own alerts, but for what they have
// signed.
func (n *Node) sweepOutbox(ctx context.Context, at int64) (more bool, err error) {
	due, err := n.Store.DueOutgoing(ctx, at, sweepBatch)
	if err != nil || len(due) == 0 {
		return false, err
	}
	var e store.Erase
	for _, o := range due {
		x := store.OutgoingErasure{ID: o.ID, Version: o.Version, Digest: o.Digest}
		x.Token, x.Due, err = ownLeft(&o, at)
		if err == nil && x.Token != o.Token {
			x.Labels, x.Expires, err = labelsLeft(&o, at)
		}
		if err != nil {
			x.Token, x.Due = o.Token, at+damagedNap
			if err := n.raise(ctx, store.AlarmFeed, nil, "version %d of alert %s in the outbox can not be erased: %w", o.Version, o.ID, err); err != nil {
				return false, err
			}
		}
		e.Outgoing = append(e.Outgoing, x)
	}
	n.unscrubbed.Store(true)
	return true, n.Store.Erase(ctx, e)
}

// unended returns an outgoing alert without what is to be erased by now.
func (n *Node) unended(o *store.Outgoing) *store.Outgoing {
	if o.State == store.Queued {
		return o
	}
	if token, _, err := ownLeft(o, n.ended().Unix()); err == nil {
		o.Token = token
	}
	return o
}
