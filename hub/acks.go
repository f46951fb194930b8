package hub

import (
	"context"
	"errors"

	"github.com/entente-hub/entente/api/alert"
	"github.com/entente-hub/entente/api/audit"
	"github.com/entente-hub/entente/api/federation"
	"github.com/entente-hub/entente/api/feed"
	"github.com/entente-hub/entente/api/problem"
	"github.com/entente-hub/entente/hub/store"
)

type hubID = federation.HubID

// Acknowledge stores a member's signed acknowledgements, at most feed.MaxPage. One
// that does not hold ends it; what was stored before stays.
func (h *Hub) Acknowledge(ctx context.Context, member alert.MemberID, acks []string) error {
	return h.takeAll(ctx, member, acks, h.storeAcks)
}

// takeAll stores a member's signed messages with a function that stores the first of
// them at one state, and says how many.
func (h *Hub) takeAll(ctx context.Context, member alert.MemberID, list []string, take func(context.Context, *state, alert.MemberID, []string) (int, error)) error {
	s, err := h.current(ctx)
	if err != nil {
		return err
	}
	for {
		done, err := take(ctx, s, member, list)
		if err == nil {
			return nil
		}
		list = list[done:]
		if !errors.Is(err, errStale) && !isJudgement(err) {
			return err
		}
		newer, nerr := h.newer(ctx) // as in Publish: no refusal on old statements, and no acceptance
		if nerr != nil {
			return nerr
		}
		if newer == s {
			return h.refuse(ctx, string(member), nil, err)
		}
		s = newer
	}
}

// storeAcks stores acknowledgements at one state, in one transaction as far as
// they verify. It returns how many are stored; a refusal comes unrecorded.
func (h *Hub) storeAcks(ctx context.Context, s *state, member alert.MemberID, acks []string) (int, error) {
	var writes []store.Write
	var refusal error
	for _, jws := range acks {
		var a feed.Ack
		refusal = h.verifySigned(s, member, jws, feed.AckType, func(payload []byte) (sig signed, err error) {
			a, err = feed.Parse[feed.Ack](payload)
			return signed{a.Issuer, a.Hub, a.IssuedAt}, err
		})
		if refusal != nil {
			break
		}
		writes = append(writes, store.Write{
			Seen: s.position,
			Ack:  &store.Ack{Recipient: member, Seq: a.Seq, Chain: a.Chain, Receipt: jws},
			Entries: [][]byte{h.entry(audit.Entry{Kind: audit.Received, Actor: string(member),
				Recipient: member, Seq: a.Seq, Proof: jws})},
		})
	}
	return h.commitSigned(ctx, writes, refusal)
}

// commitSigned commits what verified, and returns how many were stored.
func (h *Hub) commitSigned(ctx context.Context, writes []store.Write, refusal error) (int, error) {
	if len(writes) == 0 {
		return 0, refusal
	}
	results, err := h.ledger.commitAll(ctx, writes)
	if err != nil {
		return 0, err
	}
	for i, r := range results {
		switch r.Outcome {
		case store.Stale:
			return i, errStale
		case store.Unknown:
			return i, problem.New(problem.NotFound, "no such delivery")
		}
	}
	return len(writes), refusal
}
