package hub

import (
	"context"
	"crypto/rand"
	"errors"
	"time"

	"github.com/entente-hub/entente/api/alert"
	"github.com/entente-hub/entente/api/audit"
	"github.com/entente-hub/entente/api/federation"
	"github.com/entente-hub/entente/api/problem"
	"github.com/entente-hub/entente/hub/store"
	"github.com/entente-hub/entente/trust"
)

const (
	skew          = alert.MaxSkew
	statementPage = 32      // bounds what one query brings: a statement has at most 1 MiB
	maxStatements = 4 << 20 // bytes of statements in one answer, unless the first has more
)

var errUnverified = errors.New("a stored statement does not verify")

// SubmitStatement verifies a statement, stores it and brings it into force. One
// that was taken in before changes nothing. actor is who brought it. A refusal is
// recorded.
func (h *Hub) SubmitStatement(ctx context.Context, actor string, raw []byte) error {
	if err := h.takeStatement(ctx, actor, raw); err != nil {
		return h.refuse(ctx, actor, nil, err)
	}
	return nil
}

// TakeStatements does the same for a heap of statements of the operator's.
// They refer to one another, so it goes over them as long as that brings it any
// further. It returns the refusals, by position, of those that are left.
func (h *Hub) TakeStatements(ctx context.Context, raws [][]byte) map[int]error {
	left := make(map[int]error)
	for i := range raws {
		left[i] = nil
	}
	for progress := true; progress && len(left) > 0; {
		progress = false
		for i, raw := range raws {
			if _, ok := left[i]; !ok {
				continue
			}
			if left[i] = h.takeStatement(ctx, string(h.ID), raw); left[i] == nil {
				delete(left, i)
				progress = true
			}
		}
	}
	for i, err := range left {
		left[i] = h.refuse(ctx, string(h.ID), nil, err)
	}
	return left
}

func (h *Hub) takeStatement(ctx context.Context, actor string, raw []byte) error {
	for {
		if err := h.refresh(ctx); err != nil {
			return err
		}
		s := h.state.Load()
		var st trust.Statement
		if err := h.byTime(ctx, func(now time.Time) (err error) {
			st, err = s.dir.Verify(now, raw)
			return err
		}); err != nil || s.dir.Holds(st.Digest) {
			return err
		}
		if _, err := s.dir.With(h.Now(), raw); err != nil { // what only taking it in can show
			return err
		}
		if err := h.hasRules(ctx, st.Body); err != nil {
			return err
		}
		named := audit.Named{Type: string(st.Type), Subject: st.Subject, Revision: st.Revision, Digest: st.Digest}
		writes := []store.Write{{
			Seen: s.position,
			Statement: &store.Statement{Type: string(st.Type), Subject: st.Subject, Revision: st.Revision,
				Digest: st.Digest, Previous: st.Previous, Raw: raw, Quota: h.Quotas.Consents},
			Entries: [][]byte{h.entry(audit.Entry{Kind: audit.Statement, Actor: actor, Statement: &named})},
		}}
		if st.Type == federation.TypeConsent && actor != string(h.ID) { // what a member can bring without end, by itself
			writes[0].Statement.Of = alert.MemberID(actor)
		}
		if dated(st.Type) { // in one transaction with the moment, lest the one before it end before this one begins
			now, err := s.moment.next(h.Now())
			if err != nil {
				return problem.Wrap(problem.Internal, err, "")
			}
			writes = append(writes, store.Write{Statement: now})
		}
		h.calm.RLock()
		results, err := h.ledger.commitAll(ctx, writes)
		h.calm.RUnlock()
		if err != nil {
			return err
		}
		switch results[0].Outcome {
		case store.Done, store.Replay:
			err := h.refresh(ctx)
			h.waiters.wakeAll()
			return err
		case store.Conflict:
			return problem.New(problem.Conflict, "%s %q: revision %d is in force with other content", st.Type, st.Subject, st.Revision)
		case store.Full:
			return h.full(alert.MemberID(actor), "consents for %d alerts, which can still be changed", h.Quotas.Consents)
		case store.Gap:
			return problem.New(problem.Fork, "%s %q: revision %d does not follow the one in force", st.Type, st.Subject, st.Revision)
		}
		// Stale: another statement came between; judge this one anew.
	}
}

// dated reports whether statements of a type have a validity of their own.
func dated(t federation.StatementType) bool {
	return t == federation.TypeAgreement || t == federation.TypeEmergency
}

// Statements returns signed statements after a position for a member's node, in
// order: fewer than limit where they are large, and none only where there are
// none: as far as they are the member's business, see shownTo.
func (h *Hub) Statements(ctx context.Context, member alert.MemberID, after int64, limit int) ([]store.Statement, error) {
	var out []store.Statement
	for size := 0; len(out) < limit && size < maxStatements; {
		list, err := h.Store.Statements(ctx, after, min(statementPage, limit-len(out)))
		if err != nil {
			return nil, unavailable(err)
		}
		for _, s := range list {
			after = s.Position
			if !shownTo(member, s) {
				continue
			}
			if size += len(s.Raw); size > maxStatements && len(out) > 0 {
				return out, nil
			}
			out = append(out, s)
		}
		if len(list) == 0 {
			break
		}
	}
	return out, nil
}

// refresh takes in the statements that the store has beyond the state's, and
// writes down the moment where validity dates have passed. Whoever returns from it
// sees every statement that was stored before the call.
func (h *Hub) refresh(ctx context.Context) error {
	h.loading.Lock()
	defer h.loading.Unlock()
	old := h.state.Load()
	next := &state{list: old.list}
	for {
		var err error
		if next.list, err = readOn(ctx, h.Store, next.list, h.Now(), 0); err != nil {
			return err
		}
		switch {
		case next.position == old.position:
			next.world = old.world
		case next.dir.Ready():
			next.world = next.dir.World(next.moment.time())
		}
		if next.world == nil || !next.moment.due(next.world, h.Now()) {
			break
		}
		if err := h.markMoment(ctx, next.list); err != nil {
			return err
		}
	}
	if next.position == old.position && (old.engine != nil || next.world == nil) {
		return nil
	}
	if next.world != nil {
		if err := h.index(ctx, next); err != nil {
			return err
		}
	}
	if next.position == old.position && next.engine == nil {
		return nil // as it was: there are still no rules to decide by
	}
	h.state.Store(next)
	h.resettler.changed()
	h.trimmer.changed()
	h.Metrics.revision(next.position)
	return nil
}

// markMoment writes down that it is now. Another hub may do so at the same time; one
// of the two is on the list afterwards.
func (h *Hub) markMoment(ctx context.Context, l list) error {
	row, err := l.moment.next(h.Now())
	if err != nil {
		return problem.Wrap(problem.Internal, err, "")
	}
	if _, err := h.Store.Commit(ctx, []store.Write{{Seen: l.position, Statement: row}}); err != nil {
		return unavailable(err)
	}
	return nil
}

// index readies the world for the rules in force. Without these there is nothing to
// decide by, which usable tells.
func (h *Hub) index(ctx context.Context, s *state) (err error) {
	if s.engine, err = h.engines.of(ctx, h, s.dir.PolicyDigest(PolicyName)); err != nil || s.engine == nil {
		return err
	}
	if s.policy, err = s.engine.World(s.world); err != nil {
		return problem.Wrap(problem.Unavailable, err, "the policy can not be readied")
	}
	return nil
}

// entry completes an audit entry and encodes it.
func (h *Hub) entry(e audit.Entry) []byte {
	e.Salt = rand.Text()
	e.At = h.Now().UnixMicro()
	return e.Leaf()
}
