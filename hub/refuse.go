package hub

import (
	"context"
	"crypto/sha256"
	"encoding/json"
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
// what was taken in, under whatever rules, it returns the receipt; for what was refused
// before that refusal, which stands in the log once.
func (h *Hub) refuseAlert(ctx context.Context, s *state, member alert.MemberID, token string, a *audit.Alert, refusal error) (string, error) {
	if !problem.KindOf(refusal).Final() {
		return "", h.refuse(ctx, string(member), a, refusal)
	}
	r := claimed(member, token)
	var err error
	if r.Reason, err = json.Marshal(problem.Describe(refusal, "")); err != nil {
		return "", problem.Wrap(problem.Internal, err, "")
	}
	res, err := h.record(ctx, store.Write{Seen: s.position, Refuse: r}, string(member), a, refusal)
	switch {
	case err != nil:
		return "", err
	case res.Outcome == store.Replay:
		return h.receipt(ctx, *res.Prior)
	case res.Outcome == store.Refused:
		return "", refusedBefore(res.Reason)
	case res.Outcome == store.Stale:
		return "", errStale
	}
	return "", refusal
}

// claimed names an alert of a member's by what it says of itself, which need not be true: it
// is believed only as far as to find these bytes among the member's own.
func claimed(member alert.MemberID, token string) *store.Refuse {
	r := &store.Refuse{Originator: member, Digest: sha256.Sum256([]byte(token))}
	if parsed, err := sdjwt.Parse(token); err == nil {
		if p, err := alert.ParsePayload(parsed.Payload); err == nil && p.Issuer == member {
			r.ID, r.Version = p.Subject, p.Version
		}
	}
	return r
}

// errRefusedBefore marks a refusal that is recorded.
var errRefusedBefore = errors.New("refused before, for good: to try again, publish it anew")

// refusedBefore is the refusal whose reason is stored. One of a kind that this program does
// not know was stored by a later one, and is as final.
func refusedBefore(reason []byte) error {
	var d problem.Document
	if err := json.Unmarshal(reason, &d); err != nil {
		return problem.Wrap(problem.Internal, err, "")
	}
	before := d.Err()
	if !before.Kind.Final() {
		before.Kind = problem.NotAdmitted
	}
	before.Detail += " (" + errRefusedBefore.Error() + ")"
	before.Cause = errRefusedBefore
	return before
}

// byTime judges by the hub's clock. Where the database server's clock says something else,
// by more than clocks may differ, and would have it judged otherwise, neither is fit to
// refuse anything by: another hub may be, or this one once its clock is set right.
func (h *Hub) byTime(ctx context.Context, judge func(now time.Time) error) error {
	now := h.Now()
	refusal := judge(now)
	if refusal == nil {
		return nil
	}
	at, server, err := h.Store.Clock(ctx)
	if err != nil {
		return unavailable(err)
	}
	if off := now.Round(0).Sub(at); server && off.Abs() > skew && problem.KindOf(judge(at)) != problem.KindOf(refusal) {
		return problem.New(problem.Unavailable, "the clocks of the hub and its database differ by %s", off.Round(time.Second))
	}
	return refusal
}
