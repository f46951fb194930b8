package node

import (
	"context"
	"errors"
	"slices"
	"time"

	"github.com/entente-hub/entente/api/alert"
	"github.com/entente-hub/entente/api/federation"
	"github.com/entente-hub/entente/api/feed"
	"github.com/entente-hub/entente/api/problem"
	"github.com/entente-hub/entente/node/store"
	"github.com/entente-hub/entente/trust"
)

// Received is an alert version in the inbox, verified again when it was read. It stands
// where its latest delivery lies and holds all that was handed over of it: what an
// earlier delivery brought is held still, for nothing takes back what was handed over.
type Received struct {
	Seq        int64
	Previous   int64 // Seq of the delivery of the same version before this one; 0: it is the first
	ReceivedAt time.Time
	// Fault says why a delivery does not verify any more: the database has been
	// tampered with, or the key has been revoked since. Then Alert names the
	// alert, Alert.Portions, Delivery, Banner and Held hold nothing. What the other
	// deliveries held is not shown in its place.
	Fault    error
	Alert    trust.VerifiedAlert
	Delivery feed.Delivery             // the latest, with the disclosures and releases of all that is held
	Banner   string                    // the join of the markings of all content that is held
	Held     map[alert.PortionID]*Held // of each of Alert.Portions

	Superseded int           // the latest version that is held, where that is a later one, else 0
	Recall     *alert.Recall // of the alert, by this version or a later one: it is not to be used any more
	Purged     []Purged      // what was erased of this version; to a user only where it is the focal point's
}

// Purged is what was erased of a version for one reason at one time.
type Purged struct {
	Cause    feed.Cause
	At       time.Time
	Portions []alert.PortionID
}

// Held is what is to be told of a portion besides what it and its release say.
type Held struct {
	Level     *ShownLevel           // nil where no content is held
	Emergency *federation.Emergency // without which it had not been released; nil: none
}

// Bounds on one page of the inbox, in memory.
const (
	inboxChunk = 16       // deliveries read at once
	inboxBytes = 16 << 20 // of deliveries, after which a page ends early
)

// Inbox returns up to limit alert versions whose latest delivery comes after a
// sequence number, oldest first: each stands once, where its latest delivery is, so
// that whoever goes through the inbox by sequence numbers meets again what was
// delivered again. A page of large ones may end early, but holds one at least if
// there is one. The error is of kind Unavailable, or Malformed where the member has
// a directory of users: see InboxOf.
func (n *Node) Inbox(ctx context.Context, after int64, limit int) ([]Received, error) {
	if err := n.unnamed(); err != nil {
		return nil, err
	}
	k := n.known.Load()
	var list []Received
	for size := 0; len(list) < limit && size < inboxBytes; {
		items, err := n.Store.Inbox(ctx, after, min(limit-len(list), inboxChunk))
		if err != nil {
			return nil, problem.Wrap(problem.Unavailable, err, "the inbox can not be read")
		}
		if len(items) == 0 {
			break
		}
		for _, item := range items {
			if item.Previous > 0 { // it may have been delivered again since the page was begun
				list = slices.DeleteFunc(list, func(r Received) bool { return r.is(item) })
			}
			r, err := n.read(ctx, k, item)
			if err != nil {
				return nil, err
			}
			list = append(list, r)
			after, size = item.Seq, size+max(len(item.Delivery), len(r.Delivery.Alert))
		}
	}
	return list, nil
}

// is reports whether r and an item are of the same alert version.
func (r *Received) is(i store.Item) bool {
	return r.Alert.Issuer == i.Originator && r.Alert.Subject == i.ID && r.Alert.Version == i.Version
}

// Show returns what is held of one version. Errors are *problem.Error: NotFound,
// BadSignature if it does not verify any more, Unavailable, or Malformed where the
// member has a directory of users: see ShowTo.
func (n *Node) Show(ctx context.Context, originator alert.MemberID, id alert.ID, version int) (*Received, error) {
	if err := n.unnamed(); err != nil {
		return nil, err
	}
	item, err := n.Store.Received(ctx, originator, id, version)
	if errors.Is(err, store.ErrNotFound) {
		return nil, problem.New(problem.NotFound, "no such alert")
	} else if err != nil {
		return nil, problem.Wrap(problem.Unavailable, err, "the inbox can not be read")
	}
	r, err := n.read(ctx, n.known.Load(), *item)
	if err != nil {
		return nil, err
	}
	if r.Fault != nil {
		return nil, problem.New(problem.BadSignature, "item %d of the inbox does not verify: %w", r.Seq, r.Fault)
	}
	return &r, nil
}

// read returns what is held of a version by its latest delivery, latest, and those
// before. The error is of kind Unavailable or Internal.
func (n *Node) read(ctx context.Context, k *known, latest store.Item) (Received, error) {
	h := &holding{now: n.ended(), ended: latest.Ended != ""}
	if err := n.gather(ctx, k, latest, h, nil); err != nil {
		return Received{}, err
	}
	r, err := h.whole(k)
	if err != nil {
		return Received{}, err
	}
	if latest.Latest > latest.Version {
		r.Superseded = latest.Latest
	}
	if err := n.tellEnd(ctx, latest, h, &r); err != nil {
		return Received{}, err
	}
	if r.Purged, err = n.purged(ctx, latest, h); err != nil {
		return Received{}, err
	}
	if r.Fault == nil {
		k.describe(n.Member, &r)
	}
	return r, nil
}

// tellEnd says of a version whether its alert was recalled.
func (n *Node) tellEnd(ctx context.Context, i store.Item, h *holding, r *Received) error {
	if !h.ended {
		return nil
	}
	last, err := n.Store.Received(ctx, i.Originator, i.ID, i.Latest)
	if err != nil {
		return unreadable(err)
	}
	r.Recall = &alert.Recall{Mode: last.Recall} // without a reason, where it is damaged
	k, err := stored(*last)
	if err != nil {
		return nil
	}
	p, err := clearPart(k.Delivery.Alert) // verified when it was received: a key revoked since brings nothing back
	if err == nil && p.Recall == nil {
		err = errDamaged
	}
	if err != nil {
		return problem.Wrap(problem.Internal, err, "the recall of the alert can not be read")
	}
	r.Recall = p.Recall
	return nil
}

// purged returns what was erased of a version.
func (n *Node) purged(ctx context.Context, i store.Item, h *holding) ([]Purged, error) {
	if !h.erased {
		return nil, nil
	}
	purges, err := n.Store.PurgesOf(ctx, i.Originator, i.ID, i.Version)
	if err != nil {
		return nil, unreadable(err)
	}
	var list []Purged
	for _, p := range purges {
		list = append(list, Purged{p.Cause, time.Unix(p.At, 0).UTC(), p.Portions})
	}
	return list, nil
}

// read verifies a stored delivery up to the originator's root. Banner and Held are
// left to be described.
func (k *known) read(self alert.MemberID, item store.Item) Received {
	r := Received{Seq: item.Seq, Previous: item.Previous, ReceivedAt: item.ReceivedAt}
	d, a, err := k.open(self, item)
	if err != nil {
		r.Fault = err
		r.Alert.Issuer, r.Alert.Subject, r.Alert.Version = item.Originator, item.ID, item.Version
		return r
	}
	r.Delivery, r.Alert = d, *a
	return r
}

// describe fills in Banner and Held, for the portions that are there.
func (k *known) describe(self alert.MemberID, r *Received) {
	own := k.scheme(self)
	var m alert.Marking
	r.Held = make(map[alert.PortionID]*Held)
	for _, p := range r.Alert.Portions {
		h := new(Held)
		if p.Label != nil {
			m = m.Join(p.Label.Marking())
			level := ShowLevel(own, k.schemeNamed(p.Label.Policy), *p.Label)
			h.Level = &level
		}
		r.Held[p.ID] = h
	}
	for _, release := range r.Delivery.Releases {
		if h := r.Held[release.Portion]; h != nil && release.Emergency != "" {
			h.Emergency = k.cited.emergencies[release.Emergency]
		}
	}
	r.Banner = Banner(own, m)
}

func (k *known) open(self alert.MemberID, item store.Item) (feed.Delivery, *trust.VerifiedAlert, error) {
	left, err := stored(item)
	if err != nil {
		return feed.Delivery{}, nil, err
	}
	d := left.Delivery
	a, err := k.checkDelivery(self, item.ReceivedAt, d, item.Kept != "")
	if err != nil {
		return feed.Delivery{}, nil, err
	}
	if a.Issuer != item.Originator || a.Subject != item.ID || a.Version != item.Version || a.SignedDigest != item.SignedDigest {
		return feed.Delivery{}, nil, errors.New("it is not the alert under whose name it is stored")
	}
	return d, a, nil
}

// Outbox returns up to limit outgoing alerts, newest first, without their tokens.
// The error is of kind Unavailable.
func (n *Node) Outbox(ctx context.Context, limit int) ([]store.Outgoing, error) {
	list, err := n.Store.Outbox(ctx, limit)
	if err != nil {
		return nil, problem.Wrap(problem.Unavailable, err, "the outbox can not be read")
	}
	return list, nil
}

// Outgoing returns one version of an outgoing alert, without what has ended of what it
// disclosed: a portion with its label's retention, all of it when it has expired or the hub
// has accepted a recall of mode alert.Purge. Errors are of kind NotFound or Unavailable.
func (n *Node) Outgoing(ctx context.Context, id alert.ID, version int) (*store.Outgoing, error) {
	o, err := n.Store.Outgoing(ctx, id, version)
	if errors.Is(err, store.ErrNotFound) {
		return nil, problem.New(problem.NotFound, "no such alert")
	} else if err != nil {
		return nil, problem.Wrap(problem.Unavailable, err, "the outbox can not be read")
	}
	return n.unended(o), nil
}
