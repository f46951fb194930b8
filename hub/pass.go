package hub

import (
	"bytes"
	"context"
	"fmt"
	"slices"
	"strconv"

	"github.com/entente-hub/entente/api/alert"
	"github.com/entente-hub/entente/api/audit"
	"github.com/entente-hub/entente/api/problem"
	"github.com/entente-hub/entente/hub/store"
	"github.com/entente-hub/entente/policies"
)

// Pages and batches of a pass, which bound its memory.
const (
	labelPage     = 500  // labels read at once
	alertPage     = 200  // alerts under one label
	unsettledPage = 500  // deliveries on their way
	claimBatch    = 1000 // claims of one write
	labelBatch    = 200  // labels of one write
)

// pass decides standing alerts again under one state.
type pass struct {
	*Hub
	state   *state
	at      int64  // the moment at which alerts stand, seconds since 1970-01-01 UTC
	seen    int64  // position up to which what was handed over is known to be settled
	before  *state // under which all was settled last; nil: it never was
	since   policies.Change
	keys    bool             // node keys differ: what was not handed over because of one may be verified now, or no more
	labels  map[int64]*label // by row, those last looked at
	count   audit.Resettled
	next    store.Resettle       // what the next write does
	claimed map[store.Claim]bool // in it: no claim may stand twice
	decided *rulings             // that go with it
	summary [][]byte             // the last entry, of a pass that has changed something
}

// label is an interned label, read, and what it means now.
type label struct {
	store.Label
	query    policies.Query
	audience []byte // what it is settled as; nil: nothing
	affected bool   // it may mean something else than when all was settled last
}

// settledAs is what is stored of a label that is settled: the position of the last
// statement that was known, a line feed, and who gets what. The position tells what a
// pass has settled that was cut short: the next may see no change for it, where the
// rules are what they were before both.
func (s *state) settledAs(a *policies.Audience) []byte {
	return append(strconv.AppendInt(nil, s.position, 10), append([]byte{'\n'}, a.Marshal()...)...)
}

func settledOf(stored []byte) (position int64, audience []byte, err error) {
	if stored == nil {
		return 0, nil, nil
	}
	first, audience, _ := bytes.Cut(stored, []byte{'\n'})
	position, err = strconv.ParseInt(string(first), 10, 64)
	return position, audience, err
}

// change finds out what can have become different.
func (p *pass) change() {
	before := p.before
	if before == nil || before.world == nil || before.dir.PolicyDigest(PolicyName) != p.state.engine.Digest() {
		p.since = p.state.engine.Between(nil, p.state.world)
		return
	}
	p.since = p.state.engine.Between(before.world, p.state.world)
	p.keys = before.dir.Keys() != p.state.dir.Keys()
}

func (p *pass) affects(q policies.Query) bool {
	return p.since.Affects(q.Originator, &q.Label, q.Alert)
}

// run goes over the labels, then over what waits for hand-over, then over the alerts
// for which an emergency is in force.
func (p *pass) run(ctx context.Context) error {
	if err := p.overLabels(ctx); err != nil {
		return err
	}
	if err := p.overUnsettled(ctx); err != nil {
		return err
	}
	if err := p.overEmergencies(ctx); err != nil {
		return err
	}
	return p.finish(ctx)
}

// overLabels settles the labels under which something stands.
func (p *pass) overLabels(ctx context.Context) error {
	for after := int64(0); ; {
		page, err := p.Store.Labels(ctx, p.at, after, labelPage)
		if err != nil {
			return unavailable(err)
		}
		if len(page) == 0 {
			return nil
		}
		for _, stored := range page {
			after = stored.Row
			l, err := p.read(ctx, stored)
			if err != nil {
				return err
			}
			if l.affected || l.audience == nil {
				if err := p.settle(ctx, l); err != nil {
					return err
				}
			}
		}
	}
}

// maxLabels bounds the labels that a pass remembers.
const maxLabels = 1 << 14

// read makes a stored label a question.
func (p *pass) read(ctx context.Context, stored store.Label) (*label, error) {
	l, id, err := alert.ReadReleaseKey(stored.Key)
	if err != nil {
		return nil, problem.Wrap(problem.Internal, fmt.Errorf("label %d: %w", stored.Row, err), "")
	}
	q, err := p.query(ctx, stored.Originator, id, l)
	if err != nil {
		return nil, err
	}
	if len(p.labels) >= maxLabels {
		clear(p.labels)
	}
	seen, audience, err := settledOf(stored.Audience)
	if err != nil {
		return nil, problem.Wrap(problem.Internal, fmt.Errorf("label %d: %w", stored.Row, err), "")
	}
	out := &label{stored, q, audience, seen > p.seen || p.affects(q) || len(l.DerivedFrom) > 0}
	p.labels[stored.Row] = out
	return out, nil
}

// labelAt returns the label of a row under which something stands.
func (p *pass) labelAt(ctx context.Context, row int64) (*label, error) {
	if l, ok := p.labels[row]; ok {
		return l, nil
	}
	list, err := p.Store.Labels(ctx, p.at, row-1, 1)
	if err != nil {
		return nil, unavailable(err)
	}
	if len(list) == 0 || list[0].Row != row {
		return nil, nil // nothing stands under it any more
	}
	return p.read(ctx, list[0])
}

// settle gives those to whom a label now opens more a pending delivery of each
// alert under it, and then remembers the decision.
func (p *pass) settle(ctx context.Context, l *label) error {
	aud, err := p.state.decide(ctx, l.query)
	if err != nil {
		return err
	}
	more, less, err := policies.Gained(l.audience, aud)
	if err != nil {
		return problem.Wrap(problem.Internal, err, "")
	}
	if l.audience != nil {
		gained, err := p.gained(ctx, l, aud)
		if err != nil {
			return err
		}
		more = append(more, gained...)
		slices.Sort(more)
		more = slices.Compact(more)
	}
	if len(more) == 0 && len(less) == 0 && l.audience != nil {
		return nil
	}
	p.count.Labels++
	if _, _, err := p.decided.rule(ctx, l.query); err != nil {
		return err
	}
	for after := int64(0); len(more) > 0; {
		standing, err := p.Store.Standing(ctx, p.at, l.Row, after, alertPage)
		if err != nil {
			return unavailable(err)
		}
		if len(standing) == 0 {
			break
		}
		for _, a := range standing {
			after = a.Row
			for _, m := range more {
				if err := p.renew(ctx, store.Claim{AlertRow: a.Row, Recipient: m}); err != nil {
					return err
				}
			}
		}
	}
	// Last: until then a crash leaves the label as it was, to be done over.
	p.next.Labels = append(p.next.Labels, store.Label{Row: l.Row, Audience: p.state.settledAs(aud)})
	if len(p.next.Labels) < labelBatch {
		return nil
	}
	return p.flush(ctx)
}

// gained returns who gets more than when all was settled last. What a label is settled as
// does not tell: passes go over those under which something stands, and what has been
// published since under another was decided by the rules as they were then.
func (p *pass) gained(ctx context.Context, l *label, now *policies.Audience) ([]alert.MemberID, error) {
	var then []byte // those rules this hub does not have any more: everybody may have gained
	switch {
	case p.before == nil:
		return nil, nil
	case p.before.policy != nil:
		aud, err := p.before.decide(ctx, l.query)
		if err != nil {
			return nil, err
		}
		then = aud.Marshal()
	}
	more, _, err := policies.Gained(then, now)
	if err != nil {
		return nil, problem.Wrap(problem.Internal, err, "")
	}
	return more, nil
}

// renew adds a claim to the next write.
func (p *pass) renew(ctx context.Context, c store.Claim) error {
	if p.claimed[c] {
		return nil
	}
	p.claimed[c] = true
	p.next.Renew = append(p.next.Renew, c)
	p.count.Renewed++
	if len(p.next.Renew) < claimBatch {
		return nil
	}
	return p.flush(ctx)
}

// flush writes what has gathered, with its entries, whatever has been stated since:
// claims are hints, and a label says up to which statement it is settled. So a pass
// ends, however often the rules change, and the next one takes up from there.
func (p *pass) flush(ctx context.Context) error {
	if _, err := p.ledger.commit(ctx, store.Write{Resettle: &p.next, Entries: append(p.decided.entries, p.summary...)}); err != nil {
		return err
	}
	p.decided.recorded()
	p.next, p.decided = store.Resettle{}, p.rulings(p.state)
	clear(p.claimed)
	return nil
}

// finish writes what is left, and that all is settled under the state.
func (p *pass) finish(ctx context.Context) error {
	if p.count != (audit.Resettled{}) {
		p.summary = [][]byte{p.entry(audit.Entry{Kind: audit.Settled, Actor: string(p.ID), Revision: p.state.world.Revision,
			Policy: p.state.engine.Digest(), Resettled: &p.count})}
	}
	p.next.Settled = &store.Settled{Position: p.state.position, At: p.state.moment.at}
	return p.flush(ctx)
}
