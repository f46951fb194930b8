package hub

import (
	"context"
	"encoding/json"
	"slices"
	"sync/atomic"

	"github.com/entente-hub/entente/api/alert"
	"github.com/entente-hub/entente/api/feed"
	"github.com/entente-hub/entente/api/problem"
	"github.com/entente-hub/entente/hub/store"
)

// permit is leave to hand one alert to one recipient, once, under one
// revision. Only permit() mints one, from a decision; release redeems it for a
// new delivery and redeliver for one that was made before. Nothing else in this
// package makes a delivery, so there is no way to hand over what was not decided
// (after letsencrypt/boulder's issuance tokens).
type permit struct {
	digest    [32]byte // of the alert's bytes
	recipient alert.MemberID
	state     *state
	releases  []feed.Release // content or existence, in the portions' order
	used      atomic.Bool
}

// redeem spends the permit on the alert and the recipient that it was minted for.
func (p *permit) redeem(v *view, recipient alert.MemberID) error {
	if p == nil || p.digest != v.row.Digest || p.recipient != recipient || !p.used.CompareAndSwap(false, true) {
		return problem.Wrap(problem.Internal, errSpent, "")
	}
	return nil
}

// permit decides an alert for one recipient at the state's revision. It returns
// nil where the recipient gets nothing of it.
func (h *Hub) permit(ctx context.Context, s *state, v *view, recipient alert.MemberID) (*permit, error) {
	if h.Now().Unix() >= v.row.Expires {
		return nil, nil
	}
	p := &permit{digest: v.row.Digest, recipient: recipient, state: s}
	for _, portion := range v.portions {
		aud, err := s.decide(ctx, v.row.Originator, v.row.ID, *portion.Label)
		if err != nil {
			return nil, err
		}
		if aud.Of(recipient) == feed.None {
			continue
		}
		// Anybody can consent in its own name to what is not its own, also after
		// the alert was admitted.
		if err := h.checkSources(ctx, s, portion.Label.DerivedFrom); problem.KindOf(err) == problem.NotAdmitted {
			continue
		} else if err != nil {
			return nil, err
		}
		r := s.policy.Release(aud, recipient, portion.ID, v.query(portion), v.row.IssuedAt, v.row.Expires)
		if r.Obligations != nil && r.Obligations.HoldUntil <= h.Now().Unix() {
			continue // lawful holding has ended before it began
		}
		p.releases = append(p.releases, r)
	}
	if len(p.releases) == 0 {
		return nil, nil
	}
	return p, nil
}

// release redeems a permit for the delivery that it allows.
func (h *Hub) release(p *permit, v *view, recipient alert.MemberID) (feed.Delivery, error) {
	if err := p.redeem(v, recipient); err != nil {
		return feed.Delivery{}, err
	}
	token, err := v.reduced(p.releases)
	if err != nil {
		return feed.Delivery{}, problem.Wrap(problem.Internal, err, "")
	}
	return feed.Delivery{Alert: token, Releases: p.releases, Revision: p.state.world.Revision,
		Policy: h.Engine.Digest(), ReleasedAt: h.Now().Unix()}, nil
}

// facts are what the store keeps of a delivery besides the alert: erasing the
// alert's disclosures erases the delivery's content too.
type facts struct {
	Releases   []feed.Release `json:"releases"`
	Revision   string         `json:"revision"`
	Policy     string         `json:"policy"`
	ReleasedAt int64          `json:"released_at"`
}

func factsOf(d feed.Delivery) ([]byte, error) {
	return json.Marshal(facts{d.Releases, d.Revision, d.Policy, d.ReleasedAt})
}

// redeliver makes a handed-over delivery a second time, for a node that lost the
// answer: the same bytes, or nothing but its digest where the recipient may no
// longer have all of it.
func (h *Hub) redeliver(ctx context.Context, s *state, recipient alert.MemberID, d store.Delivery) (feed.Item, error) {
	item := feed.Item{Seq: d.Seq, Digest: d.Digest}
	v, err := h.views.of(d.Alert)
	if err != nil {
		return feed.Item{}, problem.Wrap(problem.Internal, err, "")
	}
	var f facts
	if err := json.Unmarshal(d.Facts, &f); err != nil {
		return feed.Item{}, problem.Wrap(problem.Internal, err, "")
	}
	now, err := h.permit(ctx, s, v, recipient)
	if err != nil || now == nil || !covers(now.releases, f.Releases) || h.heldOut(f.Releases) {
		return item, err
	}
	if err := now.redeem(v, recipient); err != nil {
		return feed.Item{}, err
	}
	token, err := v.reduced(f.Releases)
	if err != nil {
		return feed.Item{}, problem.Wrap(problem.Internal, err, "")
	}
	delivery := feed.Delivery{Alert: token, Releases: f.Releases, Revision: f.Revision, Policy: f.Policy, ReleasedAt: f.ReleasedAt}
	if delivery.Digest() != d.Digest {
		return feed.Item{}, problem.Wrap(problem.Internal, errChanged, "")
	}
	item.Delivery = &delivery
	return item, nil
}

// heldOut reports whether lawful holding of anything released has ended, under
// the terms that it was released on: longer ones today do not revive it.
func (h *Hub) heldOut(releases []feed.Release) bool {
	now := h.Now().Unix()
	return slices.ContainsFunc(releases, func(r feed.Release) bool { return r.Obligations != nil && r.Obligations.HoldUntil <= now })
}

// covers reports whether what is permitted now includes what was released.
func covers(now, then []feed.Release) bool {
	kind := make(map[alert.PortionID]feed.Kind, len(now))
	for _, r := range now {
		kind[r.Portion] = r.Kind
	}
	for _, r := range then {
		if k := kind[r.Portion]; k != feed.Content && k != r.Kind {
			return false
		}
	}
	return true
}
