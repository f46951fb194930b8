package node

import (
	"context"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/entente-hub/entente/api/alert"
	"github.com/entente-hub/entente/api/feed"
	"github.com/entente-hub/entente/api/problem"
	"github.com/entente-hub/entente/api/strictjson"
	"github.com/entente-hub/entente/node/store"
	"github.com/entente-hub/entente/trust"
)

// Received is one delivery in the inbox, verified again when it was read.
type Received struct {
	Seq        int64
	ReceivedAt time.Time
	// Fault says why the delivery does not verify any more: the database has been
	// tampered with, or the key has been revoked since. Then Alert names the
	// alert, Alert.Portions, Delivery and Banner hold nothing.
	Fault    error
	Alert    trust.VerifiedAlert
	Delivery feed.Delivery
	Banner   string // the join of the markings of all content that is held
}

// Bounds on one page of the inbox, in memory.
const (
	inboxChunk = 16       // deliveries read at once
	inboxBytes = 16 << 20 // of deliveries, after which a page ends early
)

// Inbox returns up to limit deliveries after a sequence number, oldest first. A
// page of large ones may end early, but holds one at least if there is one. The
// error is of kind Unavailable.
func (n *Node) Inbox(ctx context.Context, after int64, limit int) ([]Received, error) {
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
			list = append(list, k.read(n.Member, item))
			after, size = item.Seq, size+len(item.Delivery)
		}
	}
	return list, nil
}

// Show returns the latest delivery of one version. Errors are *problem.Error: NotFound,
// BadSignature if it does not verify any more, or Unavailable.
func (n *Node) Show(ctx context.Context, originator alert.MemberID, id alert.ID, version int) (*Received, error) {
	item, err := n.Store.Received(ctx, originator, id, version)
	if errors.Is(err, store.ErrNotFound) {
		return nil, problem.New(problem.NotFound, "no such alert")
	} else if err != nil {
		return nil, problem.Wrap(problem.Unavailable, err, "the inbox can not be read")
	}
	r := n.known.Load().read(n.Member, *item)
	if r.Fault != nil {
		return nil, problem.New(problem.BadSignature, "item %d of the inbox does not verify: %w", r.Seq, r.Fault)
	}
	return &r, nil
}

// read verifies a stored item up to the originator's root.
func (k *known) read(self alert.MemberID, item store.Item) Received {
	r := Received{Seq: item.Seq, ReceivedAt: item.ReceivedAt}
	d, a, err := k.open(self, item)
	if err != nil {
		r.Fault = err
		r.Alert.Issuer, r.Alert.Subject, r.Alert.Version = item.Originator, item.ID, item.Version
		return r
	}
	r.Delivery, r.Alert = d, *a
	var m alert.Marking
	for _, p := range a.Portions {
		if p.Label != nil {
			m = m.Join(p.Label.Marking())
		}
	}
	r.Banner = Banner(m)
	return r
}

func (k *known) open(self alert.MemberID, item store.Item) (feed.Delivery, *trust.VerifiedAlert, error) {
	sum := sha256.Sum256(item.Delivery)
	if base64.RawURLEncoding.EncodeToString(sum[:]) != item.Digest {
		return feed.Delivery{}, nil, errors.New("it is not what was received")
	}
	var d feed.Delivery
	if err := strictjson.Unmarshal(item.Delivery, &d); err != nil {
		return feed.Delivery{}, nil, err
	}
	a, err := k.checkDelivery(self, item.ReceivedAt, d)
	if err != nil {
		return feed.Delivery{}, nil, err
	}
	if a.Issuer != item.Originator || a.Subject != item.ID || a.Version != item.Version || a.SignedDigest != item.SignedDigest {
		return feed.Delivery{}, nil, errors.New("it is not the alert under whose name it is stored")
	}
	return d, a, nil
}

// Banner writes a marking on one line, as "SECRET // TLP:AMBER // tf-river //
// personal data // H2". The zero marking, of somebody who holds no content, is "NO
// CONTENT HELD".
func Banner(m alert.Marking) string {
	if m.Classification == 0 {
		return "NO CONTENT HELD"
	}
	parts := []string{strings.ToUpper(m.Classification.String())}
	if m.TLP != 0 {
		parts = append(parts, "TLP:"+strings.ToUpper(m.TLP.String()))
	}
	if len(m.Compartments) > 0 {
		parts = append(parts, join(m.Compartments))
	}
	if m.PersonalData > alert.NoPersonalData {
		parts = append(parts, fmt.Sprintf("%s data", m.PersonalData))
	}
	if len(m.Handling) > 0 {
		parts = append(parts, join(m.Handling))
	}
	return strings.Join(parts, " // ")
}

func join[T ~string](list []T) string {
	texts := make([]string, len(list))
	for i, s := range list {
		texts[i] = string(s)
	}
	return strings.Join(texts, " ")
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

// Outgoing returns one version of an outgoing alert. Errors are of kind NotFound
// or Unavailable.
func (n *Node) Outgoing(ctx context.Context, id alert.ID, version int) (*store.Outgoing, error) {
	o, err := n.Store.Outgoing(ctx, id, version)
	if errors.Is(err, store.ErrNotFound) {
		return nil, problem.New(problem.NotFound, "no such alert")
	} else if err != nil {
		return nil, problem.Wrap(problem.Unavailable, err, "the outbox can not be read")
	}
	return o, nil
}
