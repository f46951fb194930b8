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
// nil where the recipient gets nothing of it. Where follows says that it was handed over
// a version before it gets at least the signed text of this one, whatever the rules say
// now: that tells that what is held is over.
func (h *Hub) permit(ctx context.Context, s *state, v *view, recipient alert.MemberID, follows bool) (*permit, error) {
	return h.permitAt(ctx, s, v, recipient, follows, 0)
}

// permitAt is permit for an alert that stands depth references away from the one that
// is asked about.
func (h *Hub) permitAt(ctx context.Context, s *state, v *view, recipient alert.MemberID, follows bool, depth int) (*permit, error) {
	// What no node could verify any more is not handed over: a key revoked back to
	// before the alert was signed takes the alert with it.
	if _, err := s.dir.NodeKey(v.row.Originator, v.row.IssuedAt)(v.kid); err != nil {
		return nil, nil
	}
	p := &permit{digest: v.row.Digest, recipient: recipient, state: s, releases: []feed.Release{}}
	if err := h.decideAll(ctx, s, v, p, depth); err != nil {
		return nil, err
	}
	if len(p.releases) == 0 && !follows {
		return nil, nil
	}
	return p, nil
}

// decideAll adds what is released of an alert that has not expired to its permit.
func (h *Hub) decideAll(ctx context.Context, s *state, v *view, p *permit, depth int) error {
	if h.expired(v.row) {
		return nil
	}
	if concerned, err := h.concerned(ctx, s, v, p.recipient, depth); err != nil || !concerned {
		return err
	}
	for _, portion := range v.portions {
		q, err := h.query(ctx, v.row.Originator, v.row.ID, *portion.Label)
		if err != nil {
			return err
		}
		aud, err := s.decide(ctx, q)
		if err != nil {
			return err
		}
		if aud.Of(p.recipient) == feed.None {
			continue
		}
		r := s.policy.Release(aud, p.recipient, portion.ID, q, v.row.IssuedAt, v.row.Expires)
		if r.Kind == feed.None || r.Obligations != nil && r.Obligations.HoldUntil <= h.Now().Unix() {
			continue // not to be stated in full, or lawful holding has ended before it began
		}
		p.releases = append(p.releases, r)
	}
	return nil
}

func (h *Hub) expired(a store.Alert) bool { return h.Now().Unix() >= a.Expires }

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
		Policy: p.state.engine.Digest(), ReleasedAt: h.Now().Unix()}, nil
}

// facts are what the store keeps of a delivery besides the alert: erasing the
// alert's disclosures erases the delivery's content too.
type facts struct {
	Releases   []feed.Release `json:"releases"`
	Revision   string         `json:"revision"`
	Policy     string         `json:"policy"`
	ReleasedAt int64          `json:"released_at"`

	// Held is what the recipient holds with this delivery and those of the same version
	// before it; left out where there were none. No part of what is delivered.
	Held []feed.Release `json:"held,omitempty"`
}

// holds returns the best that the recipient has been handed of each portion.
func (f facts) holds() []feed.Release {
	if f.Held != nil {
		return f.Held
	}
	return f.Releases
}

// factsOf keeps a delivery; before is what its recipient holds already.
func factsOf(d feed.Delivery, before []feed.Release) ([]byte, error) {
	f := facts{Releases: d.Releases, Revision: d.Revision, Policy: d.Policy, ReleasedAt: d.ReleasedAt}
	if before != nil {
		f.Held = united(before, d.Releases)
	}
	return json.Marshal(f)
}

// united returns of each portion the better release, of two alike the later.
func united(before, now []feed.Release) []feed.Release {
	out := slices.Clone(now)
	for _, b := range before {
		i := slices.IndexFunc(out, func(r feed.Release) bool { return r.Portion == b.Portion })
		switch {
		case i < 0:
			out = append(out, b)
		case level(b.Kind) > level(out[i].Kind):
			out[i] = b
		}
	}
	return out
}

// redeliver makes a handed-over delivery a second time, for a node that lost the
// answer: the same bytes, or nothing but its digest where the recipient may no
// longer have all of it.
func (h *Hub) redeliver(ctx context.Context, s *state, recipient alert.MemberID, d store.Delivery) (feed.Item, error) {
	item := feed.Item{Seq: d.Seq, Digest: d.Digest}
	if d.Superseded { // what is over is not handed over again
		return item, nil
	}
	v, err := h.views.of(d.Alert)
	if err != nil {
		return feed.Item{}, problem.Wrap(problem.Internal, err, "")
	}
	var f facts
	if err := json.Unmarshal(d.Facts, &f); err != nil {
		return feed.Item{}, problem.Wrap(problem.Internal, err, "")
	}
	now, err := h.permit(ctx, s, v, recipient, d.Follows)
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

// covers reports whether what is permitted now includes what was released, on
// terms no stricter: a delivery says what its recipient may do, and must not say
// more than is agreed when it is read.
func covers(now, then []feed.Release) bool {
	today := make(map[alert.PortionID]feed.Release, len(now))
	for _, r := range now {
		today[r.Portion] = r
	}
	for _, r := range then {
		t := today[r.Portion]
		if t.Kind != feed.Content && t.Kind != r.Kind || !asFree(t.Obligations, r.Obligations) {
			return false
		}
	}
	return true
}

// asFree reports whether the terms of now leave all the freedom of then.
func asFree(now, then *feed.Obligations) bool {
	if then == nil || now == nil {
		return then == nil
	}
	return now.HoldUntil >= then.HoldUntil && (now.Onward || !then.Onward) &&
		!slices.ContainsFunc(then.Purposes, func(p alert.Purpose) bool { return !slices.Contains(now.Purposes, p) })
}
