package node

import (
	"cmp"
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/entente-hub/entente/api/alert"
	"github.com/entente-hub/entente/api/feed"
	"github.com/entente-hub/entente/api/strictjson"
	"github.com/entente-hub/entente/node/store"
	"github.com/entente-hub/entente/trust"
)

// kept is a delivery as it is stored since something of it was erased. Nothing is left
// of the portions of Erased but what the signature covers: the facts of their release
// tell later what a version had released.
type kept struct {
	Delivery feed.Delivery  `json:"delivery"` // with what is left
	Erased   []feed.Release `json:"erased"`
}

// errDamaged: what is stored is not what was received. Only a hand on the database, or a
// broken disk, does that.
var errDamaged = errors.New("damaged")

func damagedItem(seq int64, err error) error {
	return fmt.Errorf("item %d of the inbox is %w: %w", seq, errDamaged, err)
}

// stored reads a delivery out of the database, whole or what is left of it. What was
// stored is what is read, or it is an error.
func stored(i store.Item) (kept, error) {
	digest := i.Digest
	if i.Kept != "" {
		digest = i.Kept
	}
	if digestOf(string(i.Delivery)) != digest {
		return kept{}, errors.New("it is not what was received")
	}
	var k kept
	into := any(&k)
	if i.Kept == "" {
		into = &k.Delivery
	}
	err := strictjson.Unmarshal(i.Delivery, into)
	return k, err
}

// clearPart reads the signed payload of an alert that was verified before.
func clearPart(token string) (alert.Payload, error) {
	raw, err := jwsPayload(signedPart(token))
	if err != nil {
		return alert.Payload{}, err
	}
	return alert.ParsePayload(raw)
}

// jwsPayload returns what a compact JWS says, without verifying it.
func jwsPayload(jws string) ([]byte, error) {
	parts := strings.Split(jws, ".")
	if len(parts) != 3 {
		return nil, errors.New("no compact JWS")
	}
	return base64.RawURLEncoding.Strict().DecodeString(parts[1])
}

// endOf is when a release ends, in seconds since 1970-01-01 UTC: content with the time
// for which it may be held, which lies within its label's retention and its alert's
// validity, and existence with the alert.
func endOf(r feed.Release, expires int64) int64 {
	if r.Kind == feed.Content && r.Obligations != nil {
		return min(r.Obligations.HoldUntil, expires)
	}
	return expires
}

// earlier returns the first of two moments, where 0 stands for none.
func earlier(a, b int64) int64 {
	if a == 0 || b == 0 {
		return max(a, b)
	}
	return min(a, b)
}

// without returns what is left of an item once portions are erased, of which something
// ends at due next.
func without(i store.Item, gone map[alert.PortionID]bool, due int64) (store.Item, error) {
	if i.Due = due; len(gone) == 0 {
		return i, nil
	}
	k, err := stored(i)
	if err != nil {
		return store.Item{}, damagedItem(i.Seq, err)
	}
	left, kinds := []feed.Release{}, make(map[alert.PortionID]feed.Kind)
	for _, r := range k.Delivery.Releases {
		if gone[r.Portion] {
			k.Erased = append(k.Erased, r)
			continue
		}
		left, kinds[r.Portion] = append(left, r), r.Kind
	}
	k.Delivery.Releases = left
	if k.Delivery.Alert, err = trust.ReduceAlert(k.Delivery.Alert, kinds); err != nil {
		return store.Item{}, damagedItem(i.Seq, err)
	}
	if i.Delivery, err = json.Marshal(k); err != nil {
		return store.Item{}, err
	}
	i.Kept = digestOf(string(i.Delivery))
	return i, nil
}

// entry is one delivery without its content.
type entry struct {
	seq      int64
	version  int
	digest   string // of the alert's signed part
	previous string
	recall   alert.RecallMode
	released standing                  // as content, erased since or not: until when
	held     map[alert.PortionID]int64 // what is left: when it ends by itself, in seconds since 1970-01-01 UTC
	gone     map[alert.PortionID]bool  // what is to be erased
	due      int64                     // store.Item.Due
	next     int64                     // what that has to be: when something ends next, of itself or with a later version
	page     *store.Item               // where it is not stored yet
	damaged  error                     // why it can not be read: then only what stands beside it is known
}

// beside returns the entry of a delivery that can not be read.
func beside(i store.Item, why error) *entry {
	return &entry{seq: i.Seq, version: i.Version, digest: i.SignedDigest, recall: i.Recall, due: i.Due, damaged: damagedItem(i.Seq, why)}
}

// entryOf reads a delivery, without its content.
func entryOf(i store.Item) (*entry, error) {
	k, err := stored(i)
	if err != nil {
		return nil, err
	}
	p, err := clearPart(k.Delivery.Alert)
	if err != nil {
		return nil, err
	}
	e := &entry{seq: i.Seq, version: i.Version, digest: i.SignedDigest, previous: p.Previous, due: i.Due,
		released: make(standing), held: make(map[alert.PortionID]int64), gone: make(map[alert.PortionID]bool)}
	if p.Recall != nil {
		e.recall = p.Recall.Mode
	}
	for _, r := range k.Delivery.Releases {
		e.held[r.Portion] = endOf(r, p.Expires)
		e.next = earlier(e.next, e.held[r.Portion])
	}
	for _, r := range slices.Concat(k.Delivery.Releases, k.Erased) {
		if r.Kind == feed.Content {
			e.released[r.Portion] = max(e.released[r.Portion], endOf(r, p.Expires))
		}
	}
	return e, nil
}

// alertKey names an alert.
type alertKey struct {
	originator alert.MemberID
	id         alert.ID
}

// history is all deliveries of all versions of an alert, without content, by version
// and then by place.
type history map[int][]*entry

// holds reports whether any delivery of a version has something of a portion left, or
// may have, because it can not be read.
func (h history) holds(v int, p alert.PortionID) bool {
	return slices.ContainsFunc(h[v], func(e *entry) bool { _, left := e.held[p]; return left || e.damaged != nil })
}

// damaged returns those of a version that can not be read.
func (h history) damaged(v int) (list []*entry) {
	for _, e := range h[v] {
		if e.damaged != nil {
			list = append(list, e)
		}
	}
	return list
}

// historyOf reads what is stored of an alert.
func (n *Node) historyOf(ctx context.Context, key alertKey) (history, error) {
	return n.historyAfter(ctx, key, 0)
}

// historyAfter reads what is stored of an alert after a version, a few deliveries at a time.
func (n *Node) historyAfter(ctx context.Context, key alertKey, version int) (history, error) {
	versions, err := n.Store.Versions(ctx, key.originator, key.id)
	if err != nil {
		return nil, err
	}
	h := make(history)
	for _, v := range versions {
		if v <= version {
			continue
		}
		for after := int64(0); ; {
			items, err := n.Store.Handed(ctx, key.originator, key.id, v, after, inboxChunk)
			if err != nil {
				return nil, err
			}
			if len(items) == 0 {
				break
			}
			for _, i := range items {
				after = i.Seq
				e, err := entryOf(i)
				if err != nil {
					e = beside(i, err)
				}
				h[v] = append(h[v], e)
			}
		}
	}
	return h, nil
}

// touched is an alert of which a page brings something.
type touched struct {
	new    []*entry // of the page so far
	stored []int    // the versions that are stored
	all    history  // with new; nil: what is stored was not needed yet
}

// settle finds what the items of a page end, of what is stored and of one another, by
// their order: where pages begin and end makes no difference to what is held. What has
// ended by the time at which it comes is never stored.
func (n *Node) settle(ctx context.Context, r *store.Reception, at int64) error {
	x := endsAt(at)
	alerts := make(map[alertKey]*touched)
	for i := range r.Items {
		item := &r.Items[i]
		if item.Delivery == nil {
			continue
		}
		key := alertKey{item.Originator, item.ID}
		t := alerts[key]
		if t == nil {
			versions, err := n.Store.Versions(ctx, key.originator, key.id)
			if err != nil {
				return err
			}
			t = &touched{stored: versions}
			alerts[key] = t
		}
		if err := n.touch(ctx, x, key, t, item); err != nil {
			return err
		}
	}
	for _, key := range keysOf(alerts) {
		t := alerts[key]
		for _, e := range t.new {
			left, err := without(*e.page, e.gone, e.next)
			if err != nil {
				return err
			}
			*e.page = left
		}
		if err := n.sayDamaged(ctx, key, t.all); err != nil {
			return err
		}
		r.Erasures = append(r.Erasures, t.all.erasures(at)...)
	}
	x.keepTrue(func(key alertKey) history { return alerts[key].all })
	r.Purges = x.receipts()
	return nil
}

// touch adds an item of a page to what is held of its alert. What has ended by now is
// found before: it does not come back where the item lets it stand for longer.
func (n *Node) touch(ctx context.Context, x *ends, key alertKey, t *touched, item *store.Item) error {
	e, err := entryOf(*item)
	if err != nil {
		return err
	}
	item.Recall, item.Due = e.recall, e.next
	e.due, e.page = item.Due, item
	t.new = append(t.new, e)
	alone := func(v int) bool { return v == e.version }
	if t.all != nil {
		t.all[e.version] = append(t.all[e.version], e)
	} else if e.due != 0 && e.due <= x.at || slices.ContainsFunc(t.stored, func(v int) bool { return !alone(v) }) ||
		slices.ContainsFunc(t.new, func(o *entry) bool { return !alone(o.version) }) {
		if t.all, err = n.historyOf(ctx, key); err != nil {
			return err
		}
		x.judge(key, t.all)
		for _, o := range t.new {
			t.all[o.version] = append(t.all[o.version], o)
		}
	}
	if t.all != nil {
		x.judge(key, t.all)
	}
	return nil
}

func keysOf(alerts map[alertKey]*touched) []alertKey {
	return slices.SortedFunc(maps.Keys(alerts), func(a, b alertKey) int {
		return cmp.Or(cmp.Compare(a.originator, b.originator), cmp.Compare(a.id, b.id))
	})
}
