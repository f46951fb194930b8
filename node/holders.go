package node

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/entente-hub/entente/api/alert"
	"github.com/entente-hub/entente/api/feed"
	"github.com/entente-hub/entente/api/problem"
	"github.com/entente-hub/entente/crypto/keys"
	"github.com/entente-hub/entente/node/store"
	"github.com/entente-hub/entente/trust"
)

// LateAfter is how long a member may take to erase what a recall, a later version or time
// has ended, since that was handed over or has waited to be, or since that time, before it
// is called late.
const LateAfter = 24 * time.Hour

// Holders is who holds what of an alert of the member's own. That something was handed
// over is the hub's word; that something was received or erased is the holder's, signed.
type Holders struct {
	ID      alert.ID
	Version int           // the last that the hub has accepted
	Recall  *alert.Recall // if that is one
	Members []Holder      // by member
}

// Holder is one member that was handed over something.
type Holder struct {
	Member       alert.MemberID
	Version      int       // the latest that was handed over to it
	At           time.Time // when that was, at first
	Told         bool      // that is the last version, so that it knows of its end
	Acknowledged bool      // with its signature, all of that version that was handed over
	Held         []HeldVersion
	Purged       []PurgedBy
	Late         bool     // it holds what has ended for longer than LateAfter: see there
	Faults       []string // signed messages in its name that do not verify: they count for nothing
}

// HeldVersion is what a member holds of a version for all that it has signed.
type HeldVersion struct {
	Version  int
	Portions []alert.PortionID // sorted
	Ended    bool              // to be erased: a recall, a later version or time has ended some of it
}

// PurgedBy is a verified purge receipt.
type PurgedBy struct {
	Version  int
	Cause    feed.Cause
	Portions []alert.PortionID
	At       time.Time
}

// Holders asks the hub who was handed over an alert of the member's own, verifies every
// acknowledgement and purge receipt with its member's node keys, and tells who holds
// what. Errors are of kind NotFound, the hub's, Unavailable, or Internal where the hub's
// answer can not be true.
func (n *Node) Holders(ctx context.Context, id alert.ID) (Holders, error) {
	own, err := n.acceptedVersions(ctx, id)
	if err != nil {
		return Holders{}, err
	}
	report, err := n.Hub.Holders(ctx, id)
	if err != nil {
		return Holders{}, err
	}
	k, err := n.asOfNow(ctx)
	if err != nil {
		return Holders{}, err
	}
	members, err := n.sortReport(own, report)
	if errors.Is(err, errNoReceiptYet) {
		return Holders{}, err
	} else if err != nil {
		return Holders{}, problem.New(problem.Internal, "what the hub says of who holds alert %s can not be true: %w", id, err)
	}
	h := Holders{ID: id, Version: own.last}
	if a := own.alerts[own.last]; a != nil {
		h.Recall = a.Recall
	}
	for _, m := range slices.Sorted(maps.Keys(members)) {
		h.Members = append(h.Members, members[m].tell(n, k, own, n.Now()))
	}
	return h, nil
}

// ownVersions is what the hub has accepted of an alert of the member's own.
type ownVersions struct {
	id       alert.ID
	alerts   map[int]*trust.VerifiedAlert
	portions map[int]map[alert.PortionID]bool // nil where some are erased by now
	accepted map[int]int64                    // when, seconds since 1970-01-01 UTC
	queued   map[int]bool                     // of which there is no receipt here yet
	last     int
}

// acceptedVersions reads the versions that the hub has accepted, as the outbox has them.
func (n *Node) acceptedVersions(ctx context.Context, id alert.ID) (*ownVersions, error) {
	own := &ownVersions{id: id, alerts: make(map[int]*trust.VerifiedAlert), portions: make(map[int]map[alert.PortionID]bool), accepted: make(map[int]int64),
		queued: make(map[int]bool)}
	for below := 0; ; {
		o, err := n.Store.Current(ctx, id, below)
		if errors.Is(err, store.ErrNotFound) {
			break
		} else if err != nil {
			return nil, problem.Wrap(problem.Unavailable, err, "the outbox can not be read")
		}
		own.queued[o.Version] = o.State == store.Queued
		if below = o.Version; o.State == store.Accepted {
			if err := own.add(o); err != nil {
				return nil, problem.Wrap(problem.Internal, err, "the alert in the outbox can not be read")
			}
		}
		if below == 1 {
			break
		}
	}
	if own.last == 0 {
		return nil, noneAccepted()
	}
	return own, nil
}

func (own *ownVersions) add(o *store.Outgoing) error {
	a, err := trust.ReadAlert(o.Token)
	if err != nil {
		return err
	}
	own.alerts[o.Version], own.last = a, max(own.last, o.Version)
	if len(a.Portions) > 0 && isWhole(o) {
		own.portions[o.Version] = make(map[alert.PortionID]bool)
		for _, p := range a.Portions {
			own.portions[o.Version][p.ID] = true
		}
	}
	// The receipt was verified when the alert was settled.
	raw, err := jwsPayload(o.Receipt)
	if err != nil {
		return err
	}
	r, err := feed.Parse[feed.Receipt](raw)
	own.accepted[o.Version] = r.AcceptedAt
	return err
}

// account is what there is about one member.
type account struct {
	member   alert.MemberID
	handed   []HandOver
	receipts []PurgeReceipt
}

// errNoReceiptYet: the hub has a version whose receipt did not come through.
var errNoReceiptYet = problem.New(problem.Unavailable, "the hub has taken a version of the alert, and its receipt has not come yet")

// sortReport holds the hub's report to what the node knows, and sorts it by member.
func (n *Node) sortReport(own *ownVersions, report HoldersReport) (map[alert.MemberID]*account, error) {
	type place struct {
		member alert.MemberID
		seq    int64
	}
	listed := make(map[place]bool)
	out := make(map[alert.MemberID]*account)
	of := func(m alert.MemberID) (*account, error) {
		if m == "" || m == n.Member {
			return nil, fmt.Errorf("%.40q is no other member", string(m))
		}
		if out[m] == nil {
			out[m] = &account{member: m}
		}
		return out[m], nil
	}
	for _, h := range report.HandOvers {
		a, err := of(h.Member)
		if err != nil {
			return nil, err
		}
		if own.queued[h.Version] {
			return nil, errNoReceiptYet
		}
		if own.alerts[h.Version] == nil {
			return nil, fmt.Errorf("version %d was handed over to %s, and the hub has given no receipt for it", h.Version, h.Member)
		}
		at := place{h.Member, h.Seq}
		if listed[at] || h.Seq < 1 || h.ReleasedAt <= 0 {
			return nil, fmt.Errorf("item %d of %s's feed stands twice, or nowhere", h.Seq, h.Member)
		}
		listed[at] = true
		for _, r := range h.Releases {
			if known := own.portions[h.Version]; known != nil && !known[r.Portion] || r.Kind != feed.Content && r.Kind != feed.Existence {
				return nil, fmt.Errorf("portion %.70q was handed over to %s as %.20q", string(r.Portion), h.Member, string(r.Kind))
			}
		}
		a.handed = append(a.handed, h)
	}
	for _, p := range report.Purges {
		a, err := of(p.Member)
		if err != nil {
			return nil, err
		}
		a.receipts = append(a.receipts, p)
	}
	for _, a := range out {
		slices.SortFunc(a.handed, func(x, y HandOver) int { return cmp.Compare(x.Seq, y.Seq) })
	}
	return out, nil
}

// tell says what a member holds.
func (a *account) tell(n *Node, k *known, own *ownVersions, now time.Time) Holder {
	h := Holder{Member: a.member, Acknowledged: true}
	for _, x := range a.handed {
		h.Version = max(h.Version, x.Version)
	}
	since := make(map[int64]int64)
	for _, x := range a.handed {
		ack, err := k.checkAck(n.Config, x)
		if err == nil {
			since[x.Seq] = ack.IssuedAt
		}
		if err != nil && x.Ack != "" {
			h.Faults = append(h.Faults, fmt.Sprintf("the acknowledgement of item %d: %v", x.Seq, err))
		}
		if x.Version == h.Version {
			h.Acknowledged = h.Acknowledged && err == nil
			if at := time.Unix(x.ReleasedAt, 0).UTC(); h.At.IsZero() || at.Before(h.At) {
				h.At = at
			}
		}
	}
	h.Told, h.Acknowledged = h.Version == own.last, h.Acknowledged && h.Version > 0
	for _, r := range a.receipts {
		p, err := k.checkPurge(n.Config, own, r)
		if err != nil {
			h.Faults = append(h.Faults, fmt.Sprintf("the purge receipt of version %d: %v", r.Version, err))
			continue
		}
		h.Purged = append(h.Purged, PurgedBy{p.Version, p.Cause, p.Portions, time.Unix(p.IssuedAt, 0).UTC()})
	}
	slices.SortStableFunc(h.Purged, func(x, y PurgedBy) int { return cmp.Or(x.Version-y.Version, x.At.Compare(y.At)) })
	a.tellHeld(&h, own, since, now)
	return h
}

// tellHeld says what of each version a member has been handed over and has not signed to
// have erased since, and whether it should have; since is when it has acknowledged each
// item, by the item's place.
func (a *account) tellHeld(h *Holder, own *ownVersions, since map[int64]int64, now time.Time) {
	held := make(map[int]map[alert.PortionID]bool)
	released := make(map[int]map[alert.PortionID]int64) // as content, and until when
	over := make(map[int]map[alert.PortionID]int64)     // when time ends what is held
	for _, x := range a.handed {
		if held[x.Version] == nil {
			held[x.Version] = make(map[alert.PortionID]bool)
			released[x.Version], over[x.Version] = make(map[alert.PortionID]int64), make(map[alert.PortionID]int64)
		}
		for _, r := range x.Releases {
			end := endOf(r, own.alerts[x.Version].Expires)
			if r.Kind == feed.Content {
				released[x.Version][r.Portion] = max(released[x.Version][r.Portion], end)
			}
			if !x.Lost && !h.hasPurged(x, since[x.Seq], r.Portion) {
				held[x.Version][r.Portion] = true
				over[x.Version][r.Portion] = max(over[x.Version][r.Portion], end)
			}
		}
	}
	for _, v := range slices.Sorted(maps.Keys(held)) {
		if len(held[v]) == 0 {
			continue
		}
		out := HeldVersion{Version: v, Portions: slices.Sorted(maps.Keys(held[v]))}
		since := time.Unix(own.endedSince(a, v, over[v], released), 0)
		out.Ended = !since.After(now)
		h.Late = h.Late || now.Sub(since) > LateAfter
		h.Held = append(h.Held, out)
	}
	if len(h.Held) > 0 && now.Sub(own.waitsSince(h.Version, now)) > LateAfter {
		h.Late = true // what it holds has been corrected or recalled, and it does not know
	}
}

// waitsSince is when the first version after one was accepted; now, where there is none.
func (own *ownVersions) waitsSince(version int, now time.Time) time.Time {
	first := now
	for v, at := range own.accepted {
		if at := time.Unix(at, 0); v > version && at.Before(first) {
			first = at
		}
	}
	return first
}

// hasPurged reports whether a member has signed to have erased a portion after it was
// handed over. By the member's own word it has not erased before the moment, in seconds
// since 1970-01-01 UTC, at which it acknowledged; where it has not, 0, the hub's says when
// that was, and the two clocks may differ.
func (h *Holder) hasPurged(x HandOver, acknowledged int64, p alert.PortionID) bool {
	since := time.Unix(acknowledged, 0)
	if acknowledged == 0 {
		since = time.Unix(x.ReleasedAt, 0).Add(-alert.MaxSkew)
	}
	return slices.ContainsFunc(h.Purged, func(r PurgedBy) bool {
		return r.Version == x.Version && !r.At.Before(since) && slices.Contains(r.Portions, p)
	})
}

// endedSince is when the first of what a member holds of a version has ended or will, in
// seconds since 1970-01-01 UTC: by time, which over gives for each portion, or by a later
// version that was handed over to it, at once or with the end of that.
func (own *ownVersions) endedSince(a *account, v int, over map[alert.PortionID]int64, released map[int]map[alert.PortionID]int64) int64 {
	since := slices.Min(slices.Collect(maps.Values(over)))
	for _, x := range a.handed {
		later := own.alerts[x.Version]
		if x.Version <= v || later.Recall != nil && later.Recall.Mode == alert.CeaseUse {
			continue
		}
		for p := range over {
			if until, ok := released[x.Version][p]; ok {
				since = min(since, until)
			} else {
				since = min(since, x.ReleasedAt)
			}
		}
	}
	return since
}

// checkAck verifies an acknowledgement of a hand-over.
func (k *known) checkAck(c Config, x HandOver) (a feed.Ack, err error) {
	if x.Ack == "" {
		return a, errors.New("there is none")
	}
	_, _, err = keys.VerifyParsed(x.Ack, feed.AckType, func(payload []byte) (lookup keys.Lookup, err error) {
		a, err = feed.Parse[feed.Ack](payload)
		return k.dir.NodeKey(x.Member, a.IssuedAt), err
	})
	if err == nil && (a.Issuer != x.Member || a.Hub != c.HubID || a.Seq != x.Seq || a.Chain != x.Chain) {
		err = errors.New("it is of something else")
	}
	return a, err
}

// checkPurge verifies a purge receipt.
func (k *known) checkPurge(c Config, own *ownVersions, r PurgeReceipt) (feed.Purge, error) {
	var p feed.Purge
	_, _, err := keys.VerifyParsed(r.Receipt, feed.PurgeType, func(payload []byte) (lookup keys.Lookup, err error) {
		p, err = feed.Parse[feed.Purge](payload)
		return k.dir.NodeKey(r.Member, p.IssuedAt), err
	})
	if err != nil {
		return feed.Purge{}, err
	}
	a := own.alerts[r.Version]
	switch {
	case p.Issuer != r.Member || p.Hub != c.HubID || p.Originator != c.Member || p.Alert != own.id || p.Version != r.Version:
		return feed.Purge{}, errors.New("it is of something else")
	case a == nil || p.Digest != a.SignedDigest:
		return feed.Purge{}, errors.New("it is of another signed text")
	}
	return p, nil
}
