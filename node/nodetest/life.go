package nodetest

import (
	"context"
	"encoding/json"
	"net/http"

	"github.com/entente-hub/entente/api/alert"
	"github.com/entente-hub/entente/api/feed"
	"github.com/entente-hub/entente/api/hubapi"
	"github.com/entente-hub/entente/api/problem"
	"github.com/entente-hub/entente/crypto/keys"
	"github.com/entente-hub/entente/trust"
)

// Next is a payload of the version that follows one, ready to be issued.
func (f *Federation) Next(token string) alert.Payload {
	f.tb.Helper()
	a, err := trust.ReadAlert(token)
	f.must(err)
	p := f.Payload(a.Issuer)
	p.Subject, p.Version, p.Previous = a.Subject, a.Version+1, a.SignedDigest
	return p
}

// Recall signs the recall that follows a version.
func (f *Federation) Recall(token string, mode alert.RecallMode, with keys.Signer) string {
	f.tb.Helper()
	a, err := trust.ReadAlert(token)
	f.must(err)
	p := f.Next(token)
	p.Expires, p.Recall = a.Expires, &alert.Recall{Mode: mode, Reason: "it was wrong"}
	out, err := trust.IssueAlert(context.Background(), with, alert.Alert{Payload: p})
	f.must(err)
	return out
}

// Notice delivers no more of a later version than that it is there, as is done with a
// recall.
func (f *Federation) Notice(token string) feed.Delivery {
	f.tb.Helper()
	d := feed.Delivery{Revision: "revision", Policy: f.Policy, ReleasedAt: f.Now().Unix()}
	var err error
	d.Alert, err = trust.ReduceAlert(token, nil)
	f.must(err)
	return d
}

// follows takes a version that follows the one before, and nothing but the recall that has
// everything erased after one that does not; the same bytes again change nothing.
func (h *Hub) follows(token string, a *trust.VerifiedAlert) error {
	var before *trust.VerifiedAlert
	for _, other := range h.Published {
		if other == token {
			return nil
		}
		o, err := trust.ReadAlert(other)
		h.F.must(err)
		if o.Issuer == a.Issuer && o.Subject == a.Subject && o.Version == a.Version {
			return problem.New(problem.Conflict, "other bytes")
		}
		if o.Issuer == a.Issuer && o.Subject == a.Subject && o.Version == a.Version-1 {
			before = o
		}
	}
	over := before != nil && before.Recall != nil && (before.Recall.Mode == alert.Purge || a.Recall == nil || a.Recall.Mode != alert.Purge)
	if a.Version > 1 && (before == nil || before.SignedDigest != a.Previous || over) {
		return problem.New(problem.Fork, "it does not follow the version before")
	}
	h.Published = append(h.Published, token)
	return nil
}

// purged takes purge receipts of what was handed over.
func (h *Hub) purged(m alert.MemberID, r *http.Request) (any, error) {
	var in hubapi.Purges
	if err := json.NewDecoder(r.Body).Decode(&in); err != nil {
		return nil, problem.New(problem.Malformed, "%w", err)
	}
	for _, jws := range in.Purges {
		if h.RefuseAck != nil {
			if err := h.RefuseAck(jws); err != nil {
				return nil, err
			}
		}
		p, err := h.ReadPurge(m, jws)
		if err != nil {
			return nil, problem.New(problem.BadSignature, "%w", err)
		}
		if p.Issuer != m || p.Hub != HubID || !h.handed(m, p) {
			return nil, problem.New(problem.NotFound, "no such delivery")
		}
		h.Purges = append(h.Purges, jws)
	}
	return nil, nil
}

// ReadPurge verifies a member's purge receipt.
func (h *Hub) ReadPurge(m alert.MemberID, jws string) (feed.Purge, error) {
	payload, _, err := keys.Verify(jws, feed.PurgeType, func(string) (keys.PublicKey, error) { return h.F.Node[m].Public(), nil })
	if err != nil {
		return feed.Purge{}, err
	}
	return feed.Parse[feed.Purge](payload)
}

// handed reports whether a member was handed over the version that a receipt is about.
func (h *Hub) handed(m alert.MemberID, p feed.Purge) bool {
	for _, i := range h.Feeds[m] {
		if i.Delivery == nil {
			continue
		}
		a, err := trust.ReadAlert(i.Delivery.Alert)
		h.F.must(err)
		if a.Issuer == p.Originator && a.Subject == p.Alert && a.Version == p.Version && a.SignedDigest == p.Digest {
			return true
		}
	}
	return false
}

// holders tells who was handed over an alert of the caller's own, and what was erased.
func (h *Hub) holders(m alert.MemberID, r *http.Request) (any, error) {
	report := hubapi.HoldersReport{Holders: []hubapi.Holder{}, Purges: []hubapi.PurgeReceipt{}}
	id := alert.ID(r.PathValue("id"))
	known := false
	for _, token := range h.Published {
		a, err := trust.ReadAlert(token)
		h.F.must(err)
		known = known || a.Issuer == m && a.Subject == id
	}
	if !known {
		return nil, problem.New(problem.NotFound, "no such alert")
	}
	for _, to := range Members {
		report.Holders = append(report.Holders, h.handOvers(to, m, id)...)
	}
	for _, jws := range h.Purges {
		for _, by := range Members {
			if p, err := h.ReadPurge(by, jws); err == nil && p.Originator == m && p.Alert == id {
				report.Purges = append(report.Purges, hubapi.PurgeReceipt{Member: by, Version: int32(p.Version), Receipt: jws})
			}
		}
	}
	if h.Held != nil {
		h.Held(&report)
	}
	return report, nil
}

func (h *Hub) handOvers(to, originator alert.MemberID, id alert.ID) []hubapi.Holder {
	var list []hubapi.Holder
	chain := feed.ChainStart(to)
	for _, i := range h.Feeds[to] {
		chain = feed.Next(chain, i.Seq, i.Digest)
		if i.Delivery == nil {
			continue
		}
		a, err := trust.ReadAlert(i.Delivery.Alert)
		h.F.must(err)
		if a.Issuer != originator || a.Subject != id {
			continue
		}
		held := hubapi.Holder{Member: to, Version: int32(a.Version), Seq: i.Seq, Chain: chain,
			ReleasedAt: i.Delivery.ReleasedAt, Releases: append([]feed.Release{}, i.Delivery.Releases...)}
		for _, jws := range h.Acks {
			payload, _, err := keys.Verify(jws, feed.AckType, func(string) (keys.PublicKey, error) { return h.F.Node[to].Public(), nil })
			if err != nil {
				continue
			}
			if a, err := feed.Parse[feed.Ack](payload); err == nil && a.Seq == i.Seq {
				held.Acknowledgement = &jws
			}
		}
		list = append(list, held)
	}
	return list
}
