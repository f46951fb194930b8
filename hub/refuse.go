package hub

import (
	"context"
	"crypto/sha256"
	"errors"
	"time"

	"github.com/entente-hub/entente/api/alert"
	"github.com/entente-hub/entente/api/audit"
	"github.com/entente-hub/entente/api/problem"
	"github.com/entente-hub/entente/crypto/sdjwt"
	"github.com/entente-hub/entente/hub/store"
)

// refusalTimeout is for how long a refusal is recorded although the caller has left.
const refusalTimeout = 10 * time.Second

// isJudgement tells a refusal from a fault.
func isJudgement(err error) bool {
	kind := problem.KindOf(err)
	return kind != problem.Unavailable && kind != problem.Internal && kind != problem.RateLimited
}

// Refuse records what was refused to a member before it came here, and returns
// it: see refuse.
func (h *Hub) Refuse(ctx context.Context, member alert.MemberID, refusal error) error {
	return h.refuse(ctx, string(member), nil, refusal)
}

// refuse records a refusal and returns it. Where it can not be recorded the
// caller learns only that the hub is unavailable: nothing leaves no trace.
func (h *Hub) refuse(ctx context.Context, actor string, a *audit.Alert, refusal error) error {
	if !isJudgement(refusal) {
		return refusal
	}
	if _, err := h.record(ctx, store.Write{}, actor, a, refusal); err != nil {
		return err
	}
	return refusal
}

// record commits a write with the entry of a refusal.
func (h *Hub) record(ctx context.Context, w store.Write, actor string, a *audit.Alert, refusal error) (store.Result, error) {
	kind := problem.KindOf(refusal)
	w.Entries = [][]byte{h.entry(audit.Entry{Kind: audit.Refusal, Actor: actor, Alert: a, Problem: kind.Type(), Codes: codesOf(refusal)})}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), refusalTimeout)
	defer cancel()
	res, err := h.ledger.commit(ctx, w)
	if err == nil && res.Outcome == store.Done {
		h.Metrics.refused(kind)
	}
	return res, err
}

// refuseAlert records that an alert was refused, for good: the sender is done with it, and
// another request with the same bytes, which may be on its way still, here or at another
// hub on the store, must not come to another end. Whichever is stored first decides: for
// what was taken in, under whatever rules, it returns the receipt.
func (h *Hub) refuseAlert(ctx context.Context, s *state, member alert.MemberID, token string, a *audit.Alert, refusal error) (string, error) {
	bytes, ok := claimed(member, token)
	if !ok || !problem.KindOf(refusal).Final() {
		return "", h.refuse(ctx, string(member), a, refusal)
	}
	res, err := h.record(ctx, store.Write{Seen: s.position, Refuse: bytes}, string(member), a, refusal)
	switch {
	case err != nil:
		return "", err
	case res.Outcome == store.Replay:
		return h.receipt(ctx, *res.Prior)
	case res.Outcome == store.Stale:
		return "", errStale
	}
	return "", refusal
}

// claimed names an alert by what it says of itself, which need not be true: it is believed
// only as far as to find, or refuse, these bytes of the member's own. What does not say even
// so much no hub ever takes.
func claimed(member alert.MemberID, token string) (*store.Refuse, bool) {
	parsed, err := sdjwt.Parse(token)
	if err != nil {
		return nil, false
	}
	p, err := alert.ParsePayload(parsed.Payload)
	if err != nil || p.Issuer != member {
		return nil, false
	}
	return &store.Refuse{Originator: member, ID: p.Subject, Version: p.Version, Digest: sha256.Sum256([]byte(token))}, true
}

// refusedBefore returns the refusal that an entry of the log records.
func (h *Hub) refusedBefore(ctx context.Context, index int64) error {
	leaves, err := h.Store.Entries(ctx, index, 1)
	if err != nil {
		return unavailable(err)
	}
	if len(leaves) == 0 || leaves[0] == nil {
		return problem.New(problem.Unavailable, "the record of its refusal has been erased meanwhile")
	}
	e, err := audit.Parse(leaves[0])
	if err != nil {
		return problem.Wrap(problem.Internal, err, "")
	}
	before := problem.Document{Type: e.Problem, Codes: e.Codes}.Err()
	before.Detail = "exactly these bytes were refused before, for good; to try again, publish it anew"
	return before
}

// untimely is the refusal of an alert for what the hub's clock says. Where the database
// server's clock says something else by more than clocks may differ, this one is not fit to
// judge by: another hub may be, or this one once it is set right.
func (h *Hub) untimely(ctx context.Context, why error) error {
	at, server, err := h.Store.Clock(ctx)
	if err != nil {
		return unavailable(err)
	}
	if off := h.Now().Round(0).Sub(at); server && off.Abs() > skew {
		return problem.New(problem.Unavailable, "the hub's clock and its database's differ by %s", off.Round(time.Second))
	}
	if errors.Is(why, alert.ErrExpired) {
		return problem.New(problem.Expired, "%w", why)
	}
	return problem.New(problem.NotYetValid, "%w", why)
}
