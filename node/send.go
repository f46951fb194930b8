package node

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/entente-hub/entente/api/alert"
	"github.com/entente-hub/entente/api/feed"
	"github.com/entente-hub/entente/api/problem"
	"github.com/entente-hub/entente/crypto/keys"
	"github.com/entente-hub/entente/node/store"
	"github.com/entente-hub/entente/trust"
)

// MaxBatch is how many alerts are sent in one request: so many that the way to the hub
// and back and a flush to stable storage on each side cost one of them little. The hub takes
// no more.
const MaxBatch = 32

// outboxStep sends the alerts that were queued first, as many as can go at once, in one
// request in which the hub judges them one after the other. So nothing overtakes what was
// queued before it, but an urgent request or recall what it has nothing to do with (see urgent); and
// of what builds on another nothing is sent before that has its receipt.
func (n *Node) outboxStep(ctx context.Context) (more bool, err error) {
	list, err := n.Store.Sendable(ctx, MaxBatch)
	if err != nil {
		return false, err
	}
	if len(list) == 0 && !n.known.Load().dir.Ready() { // a new node: there is nothing to send, nor to ask
		return false, nil
	}
	if !n.regained.Load() {
		if err := n.regain(ctx); err != nil {
			if len(list) == 0 || ctx.Err() != nil {
				return false, err
			}
			return false, errors.Join(err, n.Store.Attempted(ctx, list[0].ID, list[0].Version, err.Error()))
		}
		if list, err = n.Store.Sendable(ctx, MaxBatch); err != nil {
			return false, err
		}
	}
	batch, err := n.batch(ctx, list)
	if err != nil || len(batch) == 0 {
		return len(list) > 0 && err == nil, err
	}
	return n.send(ctx, batch)
}

// urgent reports whether an alert may go before whatever is queued: a request of the
// highest precedence that names nothing of the member's own, which might be queued
// itself. Where the outbox does not tell it waits for its turn. So may a recall of what the
// hub has: it makes room where the member has used up its quota there, and nothing else may
// be sent. One of what is queued itself may once that is accepted: see store.Store.SettleAll.
func (n *Node) urgent(ctx context.Context, a alert.Alert) bool {
	if a.Recall != nil {
		before, err := n.Store.Current(ctx, a.Subject, a.Version)
		return err == nil && before.State == store.Accepted
	}
	if a.Version > 1 || a.Re == nil || a.Re.Precedence != alert.Flash {
		return false
	}
	return !slices.ContainsFunc(a.Names(), func(id alert.ID) bool {
		_, err := n.Store.Latest(ctx, "", id)
		return !errors.Is(err, store.ErrNotFound)
	})
}

// batch returns the first of the queued alerts up to the first that names another of
// them, as a version of it, as what it refers to or as a source. None: the first can not
// be sent, and has been settled.
func (n *Node) batch(ctx context.Context, list []store.Outgoing) (batch []store.Outgoing, err error) {
	for i := range list {
		a, err := trust.ReadAlert(list[i].Token)
		if err != nil && i > 0 {
			break // it goes alone: the hub knows what to say to it
		}
		if err == nil && slices.ContainsFunc(a.Names(), func(id alert.ID) bool {
			return slices.ContainsFunc(batch, func(o store.Outgoing) bool { return o.ID == id })
		}) {
			break
		}
		o, placeErr := n.place(ctx, &list[i])
		if errors.Is(placeErr, errRefusedBefore) {
			if i > 0 {
				break
			}
			return nil, n.settleAll(ctx, []store.Settled{{ID: o.ID, Version: o.Version, Settlement: refused(placeErr)}})
		} else if placeErr != nil {
			return nil, placeErr
		}
		if batch = append(batch, *o); err != nil {
			break
		}
	}
	return batch, nil
}

// send sends alerts, and settles those of which the hub says what has become of them. The
// others stay queued: the same bytes are sent again, and have the same receipt. Where the
// request is refused as a whole, the first alone is sent.
func (n *Node) send(ctx context.Context, batch []store.Outgoing) (more bool, err error) {
	tokens := make([]string, len(batch))
	for i, o := range batch {
		tokens[i] = o.Token
	}
	answers, err := n.Hub.PublishAll(ctx, tokens)
	if final(err) {
		if len(batch) > 1 {
			return n.send(ctx, batch[:1])
		}
		answers, err = []Published{{Refusal: err}}, nil
	}
	if err != nil {
		return false, n.attempted(ctx, batch[0], err)
	}
	n.contact(ctx)
	var settled []store.Settled
	var kept store.Outgoing // the first that stays queued; what is behind it may have been taken
	for i, o := range batch[:min(len(answers), len(batch))] {
		s, why := n.settlement(ctx, o, answers[i])
		if why == nil {
			settled = append(settled, store.Settled{ID: o.ID, Version: o.Version, Settlement: s})
			continue
		}
		if err == nil {
			kept, err = o, why
		}
		if answers[i].Refusal == nil { // a receipt that does not hold: the hub is not to be trusted with the rest
			break
		}
	}
	if len(settled) > 0 {
		if settleErr := n.settleAll(ctx, settled); settleErr != nil {
			return false, errors.Join(err, settleErr)
		}
		if slices.ContainsFunc(batch, func(o store.Outgoing) bool { return o.Recall != nil }) {
			wake(n.woken.sweep) // it may have ended what is in the outbox
		}
	}
	if err != nil {
		return false, n.attempted(ctx, kept, err)
	}
	return true, nil
}

// attempted notes that an alert could not be sent, and returns why.
func (n *Node) attempted(ctx context.Context, o store.Outgoing, why error) error {
	if ctx.Err() != nil { // nothing was learned of the alert
		return why
	}
	return errors.Join(why, n.Store.Attempted(ctx, o.ID, o.Version, why.Error()))
}

// settlement is how the sending of an alert ends by the hub's answer; an error where that
// does not hold, or where the alert is to be sent again.
func (n *Node) settlement(ctx context.Context, o store.Outgoing, p Published) (store.Settlement, error) {
	switch {
	case p.Refusal == nil:
		if err := n.verifyReceipt(ctx, o, p.Receipt); err != nil {
			return store.Settlement{}, fmt.Errorf("alert %s: the hub's receipt does not hold: %w", o.ID, err)
		}
		return store.Settlement{State: store.Accepted, Receipt: p.Receipt}, nil
	case final(p.Refusal):
		return refused(p.Refusal), nil
	}
	return store.Settlement{}, p.Refusal
}

// final reports whether an alert or statement has been refused for good. After any other
// error it is tried again for ever.
func final(err error) bool { return problem.KindOf(err).Final() }

func refused(why error) store.Settlement {
	s := store.Settlement{State: store.Refused, Problem: problem.KindOf(why), Error: why.Error()}
	var p *problem.Error
	if errors.As(why, &p) {
		s.Codes = p.Codes
	}
	return s
}

// settleAll stores settlements, and logs what is refused.
func (n *Node) settleAll(ctx context.Context, list []store.Settled) error {
	if err := n.Store.SettleAll(ctx, list); err != nil {
		return err
	}
	for _, s := range list {
		if s.State == store.Refused {
			n.Log.WarnContext(ctx, "the hub refuses an alert", "alert", string(s.ID), "version", s.Version,
				"problem", string(s.Problem), "codes", s.Codes)
		}
	}
	return nil
}

// verifyReceipt holds a receipt to the alert that was sent. If the hub's key is
// not known the statements are looked at again, once.
func (n *Node) verifyReceipt(ctx context.Context, o store.Outgoing, jws string) error {
	since := n.known.Load()
	err := since.checkReceipt(n.Config, o, jws)
	if !errors.Is(err, keys.ErrKeyUnknown) {
		return err
	}
	if more, fetchErr := n.learnMore(ctx, since); fetchErr != nil || !more {
		return errors.Join(err, fetchErr)
	}
	return n.known.Load().checkReceipt(n.Config, o, jws)
}

func (k *known) checkReceipt(c Config, o store.Outgoing, jws string) error {
	payload, _, err := keys.Verify(jws, feed.ReceiptType, k.dir.HubKey)
	if err != nil {
		return err
	}
	r, err := feed.Parse[feed.Receipt](payload)
	switch {
	case err != nil:
		return err
	case r.Issuer != c.HubID:
		return fmt.Errorf("it is by %s, not %s", r.Issuer, c.HubID)
	case r.Originator != c.Member:
		return fmt.Errorf("it is for %s", r.Originator)
	case r.Alert != o.ID || r.Version != o.Version:
		return fmt.Errorf("it is for version %d of alert %s", r.Version, r.Alert)
	case r.Digest != o.Digest || o.Digest != digestOf(o.Token):
		return errors.New("it is for other bytes than were sent")
	}
	return nil
}
