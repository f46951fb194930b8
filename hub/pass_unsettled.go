package hub

import (
	"context"
	"errors"

	"github.com/entente-hub/entente/api/alert"
	"github.com/entente-hub/entente/api/audit"
	"github.com/entente-hub/entente/api/feed"
	"github.com/entente-hub/entente/api/problem"
	"github.com/entente-hub/entente/hub/store"
	"github.com/entente-hub/entente/policies"
)

// overUnsettled judges what is on its way: nothing may be left of it for its
// recipient, or something again. What was handed over or withheld under rules that
// no pass has seen is judged in any case: a label's own change does not tell of it.
func (p *pass) overUnsettled(ctx context.Context) error {
	for after := int64(0); ; {
		page, err := p.Store.Unsettled(ctx, p.at, p.seen, after, unsettledPage)
		if err != nil {
			return unavailable(err)
		}
		if len(page) == 0 {
			return nil
		}
		fallen := make(map[alert.MemberID][]store.Unsettled)
		for _, u := range page {
			after = u.ID
			concerned, kind, err := p.judge(ctx, u)
			switch {
			case err != nil:
				return err
			case !concerned || u.State == store.Pending && (kind != feed.None || u.Alert.Version > 1): // a later version may have to be told of
			case kind != feed.None || p.keys && u.State == store.Withheld && u.Alert.Version > 1: // or it is told of the version
				if gains, err := p.gains(ctx, u); err != nil {
					return err
				} else if !gains {
					continue
				}
				if err := p.renew(ctx, store.Claim{AlertRow: u.Alert.Row, Recipient: u.Recipient}); err != nil {
					return err
				}
			case u.State == store.Pending:
				fallen[u.Recipient] = append(fallen[u.Recipient], u)
			}
		}
		for m, list := range fallen {
			if err := p.withhold(ctx, m, list); err != nil {
				return err
			}
		}
	}
}

// gains reports whether a recipient may have more than it was handed last, or better
// terms; so does whatever was withheld. Of what is on its way only little is asked for.
func (p *pass) gains(ctx context.Context, u store.Unsettled) (bool, error) {
	if u.State == store.Withheld && !u.Alert.Refers {
		return true, nil
	}
	row, err := p.Store.Alert(ctx, u.Alert.Originator, u.Alert.ID, u.Alert.Version)
	if err != nil {
		return false, unavailable(err)
	}
	v, err := p.views.of(*row)
	if err != nil {
		return false, problem.Wrap(problem.Internal, err, "")
	}
	permit, err := p.permit(ctx, p.state, v, u.Recipient, false)
	if err != nil || permit == nil {
		return false, err
	}
	held, err := p.held(ctx, u.Recipient, u.Alert.Row)
	return err == nil && (held == nil || !covers(held, permit.releases)), err
}

// withhold marks pending deliveries as a poll of their recipient would. Polls that
// come between move the feed on, or have judged some of them: then one by one. What
// can not be marked is decided at hand-over.
func (p *pass) withhold(ctx context.Context, m alert.MemberID, list []store.Unsettled) error {
	if done, err := p.withholdAll(ctx, m, list); done || err != nil {
		return err
	}
	for i := range list {
		if _, err := p.withholdAll(ctx, m, list[i:i+1]); err != nil {
			return err
		}
	}
	return nil
}

func (p *pass) withholdAll(ctx context.Context, m alert.MemberID, list []store.Unsettled) (bool, error) {
	f, err := p.Store.Feed(ctx, m)
	if err != nil {
		return false, unavailable(err)
	}
	w := store.Write{Seen: p.state.position, HandOver: &store.HandOver{Recipient: m, After: f.Seq, Chain: f.Chain}}
	decided := p.rulings(p.state)
	var entries [][]byte
	for _, u := range list {
		asked, _, err := p.questions(ctx, u.Alert)
		if err != nil {
			return false, err
		}
		for _, q := range asked {
			if _, _, err := decided.rule(ctx, q); err != nil {
				return false, err
			}
		}
		w.HandOver.Withheld = append(w.HandOver.Withheld, u.ID)
		entries = append(entries, p.entry(audit.Entry{Kind: audit.Withheld, Actor: string(p.ID), Alert: standingAlert(u.Alert),
			Recipient: m, Revision: p.state.world.Revision, Policy: p.state.engine.Digest()}))
	}
	w.Entries = append(decided.entries, entries...)
	res, err := p.ledger.commit(ctx, w)
	if err != nil || res.Outcome != store.Done {
		return false, err
	}
	decided.recorded()
	p.count.Withheld += int64(len(list))
	p.Metrics.released(0, len(list))
	return true, nil
}

// questions are those about an alert's labels, and whether the change can touch any.
func (p *pass) questions(ctx context.Context, a store.Standing) (asked []policies.Query, affected bool, err error) {
	for _, row := range a.Labels {
		l, err := p.labelAt(ctx, row)
		if err != nil {
			return nil, false, err
		}
		if l == nil {
			continue
		}
		q := l.query
		q.Alert = a.ID // an emergency may have been declared for it
		affected = affected || l.affected || p.affects(q)
		asked = append(asked, q)
	}
	return asked, affected, nil
}

// judge returns whether the change concerns a delivery, and the most that its
// recipient may have of any portion now.
func (p *pass) judge(ctx context.Context, u store.Unsettled) (concerned bool, most feed.Kind, err error) {
	most = feed.None
	asked, concerned, err := p.questions(ctx, u.Alert)
	if err != nil {
		return false, most, err
	}
	// Under rules that no pass has seen, for its key, or for what it refers to.
	if u.Seen > p.seen || u.State == store.Withheld && (p.keys || u.Alert.Refers) {
		concerned = true
	}
	if !concerned {
		return false, most, nil
	}
	for _, q := range asked {
		aud, err := p.state.decide(ctx, q)
		if err != nil {
			return false, most, err
		}
		if k := aud.Of(u.Recipient); k == feed.Content || most == feed.None {
			most = k
		}
	}
	return true, most, nil
}

// overEmergencies gives those whom an emergency names the alert that it is about, if
// they have nothing of it that waits. Labels are settled without emergencies, which
// are about one alert: so each pass looks at all of them.
func (p *pass) overEmergencies(ctx context.Context) error {
	for _, e := range p.state.world.Emergencies {
		a, err := p.Store.StandingAlert(ctx, p.at, e.Originator, e.Alert)
		if errors.Is(err, store.ErrNotFound) {
			continue
		} else if err != nil {
			return unavailable(err)
		}
		for _, m := range e.Members {
			u := store.Unsettled{Recipient: m, Alert: *a, State: store.Handed, Seen: p.state.position}
			_, kind, err := p.judge(ctx, u)
			if err != nil {
				return err
			}
			if kind == feed.None {
				continue
			}
			if gains, err := p.gains(ctx, u); err != nil {
				return err
			} else if !gains {
				continue
			}
			if err := p.renew(ctx, store.Claim{AlertRow: a.Row, Recipient: m}); err != nil {
				return err
			}
		}
	}
	return nil
}

func standingAlert(a store.Standing) *audit.Alert {
	return named(store.Alert{Originator: a.Originator, ID: a.ID, Version: a.Version, Digest: a.Digest})
}
