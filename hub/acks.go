package hub

import (
	"context"
	"errors"

	"github.com/entente-hub/entente/api/alert"
	"github.com/entente-hub/entente/api/audit"
	"github.com/entente-hub/entente/api/feed"
	"github.com/entente-hub/entente/api/problem"
	"github.com/entente-hub/entente/crypto/keys"
	"github.com/entente-hub/entente/hub/store"
)

// Acknowledge stores a member's signed acknowledgements, at most feed.MaxPage. One
// that does not hold ends it; what was stored before stays.
func (h *Hub) Acknowledge(ctx context.Context, member alert.MemberID, acks []string) error {
	s, err := h.current(ctx)
	if err != nil {
		return err
	}
	for {
		done, err := h.acknowledge(ctx, s, member, acks)
		if err == nil {
			return nil
		}
		acks = acks[done:]
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

// acknowledge stores acknowledgements at one state, in one transaction as far as
// they verify. It returns how many are stored; a refusal comes unrecorded.
func (h *Hub) acknowledge(ctx context.Context, s *state, member alert.MemberID, acks []string) (int, error) {
	var writes []store.Write
	var refusal error
	for _, jws := range acks {
		var a feed.Ack
		if a, refusal = h.readAck(s, member, jws); refusal != nil {
			break
		}
		writes = append(writes, store.Write{
			Seen: s.position,
			Ack:  &store.Ack{Recipient: member, Seq: a.Seq, Chain: a.Chain, Receipt: jws},
			Entries: [][]byte{h.entry(audit.Entry{Kind: audit.Received, Actor: string(member),
				Recipient: member, Seq: a.Seq, Proof: jws})},
		})
	}
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

// readAck verifies an acknowledgement with a key that was good when it was
// signed, which may be a while ago, and has not been revoked since.
func (h *Hub) readAck(s *state, member alert.MemberID, jws string) (feed.Ack, error) {
	now := h.Now()
	var a feed.Ack
	_, kid, err := keys.VerifyParsed(jws, feed.AckType, func(payload []byte) (lookup keys.Lookup, err error) {
		if a, err = feed.Parse[feed.Ack](payload); err != nil {
			return nil, problem.New(problem.Malformed, "%w", err)
		}
		return s.dir.NodeKey(member, a.IssuedAt), nil
	})
	var p *problem.Error
	switch {
	case errors.As(err, &p):
		return feed.Ack{}, p
	case err != nil:
		return feed.Ack{}, problem.New(problem.BadSignature, "acknowledgement: %w", err)
	case s.dir.Revoked(kid, now.Unix()):
		return feed.Ack{}, problem.New(problem.BadSignature, "acknowledgement: key %s has been revoked", kid)
	case a.IssuedAt > now.Add(skew).Unix():
		return feed.Ack{}, problem.New(problem.NotYetValid, "the acknowledgement is dated in the future")
	case a.Issuer != member:
		return feed.Ack{}, problem.New(problem.WrongMember, "%s can not acknowledge in another member's name", member)
	case a.Hub != h.ID || a.Seq < 1:
		return feed.Ack{}, problem.New(problem.Malformed, "the acknowledgement is not one of this hub's feed")
	}
	return a, nil
}
