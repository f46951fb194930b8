package node

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/entente-hub/entente/api/alert"
	"github.com/entente-hub/entente/api/feed"
	"github.com/entente-hub/entente/api/problem"
	"github.com/entente-hub/entente/node/store"
	"github.com/entente-hub/entente/trust"
)

// piece is what one delivery brought of a portion.
type piece struct {
	release feed.Release
	label   *alert.Label // with content only
	token   string       // of that delivery, which discloses it
}

// holding is what is held of one alert version by its deliveries so far. What was
// handed over is held, whatever a later delivery leaves out: the hub could hide
// anything otherwise. Of each portion the best counts that ever came: content until the
// end of the time for which it may be held, before existence, until the alert expires; of
// equals the latest. Neither stands for longer than what a later version has in its place.
// What has ended is not there, whether it is erased yet or not.
type holding struct {
	now     time.Time
	later   standing // what later versions let stand, once something may have ended
	looked  bool     // later is known
	ended   bool     // the alert was recalled: nobody gets anything of it
	erased  bool     // something of a delivery is erased
	notice  bool     // the latest delivery brought nothing but word that an earlier version is over
	latest  Received // with a Fault where any delivery has one
	content map[alert.PortionID]piece
	exists  map[alert.PortionID]piece
	last    map[alert.PortionID]piece // of the latest delivery
}

// add takes in the delivery that comes next.
func (h *holding) add(r Received) {
	if h.latest.Fault != nil {
		r.Fault = h.latest.Fault
		r.Alert, r.Delivery = h.latest.Alert, feed.Delivery{}
	} else if h.last != nil && r.Fault == nil && r.Alert.SignedDigest != h.latest.Alert.SignedDigest {
		r = Received{Seq: r.Seq, Previous: r.Previous, ReceivedAt: r.ReceivedAt, Alert: h.latest.Alert, Fault: errors.New("its deliveries are not of one signed text")}
		r.Alert.Portions = nil
	}
	h.latest = r
	if r.Fault != nil {
		return
	}
	if h.content == nil {
		h.content, h.exists = make(map[alert.PortionID]piece), make(map[alert.PortionID]piece)
	}
	h.last = make(map[alert.PortionID]piece)
	for i, release := range r.Delivery.Releases {
		if h.later.bound(release.Portion, endOf(release, r.Alert.Expires)) <= h.now.Unix() {
			continue
		}
		p := piece{release, r.Alert.Portions[i].Label, r.Delivery.Alert}
		h.last[release.Portion] = p
		if release.Kind == feed.Content {
			h.content[release.Portion] = p
		} else {
			h.exists[release.Portion] = p
		}
	}
}

// pieces returns what counts of each portion.
func (h *holding) pieces() map[alert.PortionID]piece {
	best := maps.Clone(h.exists)
	maps.Copy(best, h.last)
	maps.Copy(best, h.content)
	return best
}

// whole returns all that is held as one delivery, placed where the latest is: its
// disclosures are united and verified as one. Banner and Held are left to be described.
// The error is of kind Internal.
func (h *holding) whole(k *known) (Received, error) {
	r := h.latest
	if r.Fault != nil {
		return r, nil
	}
	best := h.pieces()
	if h.ended {
		clear(best)
	}
	kinds := make(map[alert.PortionID]feed.Kind)
	tokens := []string{r.Delivery.Alert}
	for _, id := range slices.Sorted(maps.Keys(best)) {
		kinds[id] = best[id].release.Kind
		if !slices.Contains(tokens, best[id].token) {
			tokens = append(tokens, best[id].token)
		}
	}
	if len(tokens) == 1 && len(best) == len(r.Delivery.Releases) {
		return r, nil // all of it is as the latest delivery has it
	}
	if err := r.unite(k, tokens, kinds, best); err != nil {
		return Received{}, problem.Wrap(problem.Internal, err, "what was delivered of the alert does not make one whole")
	}
	return r, nil
}

// unite gives r the best pieces of all tokens.
func (r *Received) unite(k *known, tokens []string, kinds map[alert.PortionID]feed.Kind, best map[alert.PortionID]piece) error {
	token, err := trust.UniteAlerts(tokens...)
	if err != nil {
		return err
	}
	if token, err = trust.ReduceAlert(token, kinds); err != nil {
		return err
	}
	a, err := k.dir.VerifyAlert(token)
	if err != nil {
		return err
	}
	if a.SignedDigest != r.Alert.SignedDigest || len(a.Portions) != len(best) {
		return fmt.Errorf("%d portions make %d", len(best), len(a.Portions))
	}
	releases := make([]feed.Release, len(a.Portions))
	for i, p := range a.Portions {
		b, ok := best[p.ID]
		if !ok || (p.Content != nil) != (b.release.Kind == feed.Content) {
			return fmt.Errorf("portion %s is not as it was released", p.ID)
		}
		releases[i] = b.release
	}
	r.Alert, r.Delivery.Alert, r.Delivery.Releases = *a, token, releases
	return nil
}

// lookLater finds out what the versions after an item's let stand, where something of the
// item may have ended by them: before the item is due nothing has.
func (n *Node) lookLater(ctx context.Context, i store.Item, h *holding) (err error) {
	if h.looked || i.Latest <= i.Version || i.Due == 0 || i.Due > h.now.Unix() {
		return nil
	}
	if h.later, err = n.laterThan(ctx, i); err != nil {
		return unreadable(err)
	}
	h.looked = true
	return nil
}

// gather takes in, and verifies, all deliveries of a version up to its latest, oldest
// first. After each of them it calls each, unless that is nil. Errors are those of each,
// or of kind Unavailable.
func (n *Node) gather(ctx context.Context, k *known, latest store.Item, h *holding, each func() error) error {
	take := func(item store.Item) error {
		if err := n.lookLater(ctx, item, h); err != nil {
			return err
		}
		h.erased = h.erased || item.Kept != ""
		h.add(k.read(n.Member, item))
		h.notice = item.Kept == "" && len(h.latest.Delivery.Releases) == 0
		if each == nil {
			return nil
		}
		return each()
	}
	for after := int64(0); latest.Previous > after; {
		items, err := n.Store.Handed(ctx, latest.Originator, latest.ID, latest.Version, after, inboxChunk)
		if err == nil && len(items) == 0 {
			err = fmt.Errorf("item %d is not there any more", latest.Previous)
		}
		if err != nil {
			return unreadable(err)
		}
		for _, item := range items {
			if after = item.Seq; after >= latest.Seq {
				break
			}
			if err := take(item); err != nil {
				return err
			}
		}
	}
	return take(latest)
}
