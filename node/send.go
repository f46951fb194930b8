package node

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/entente-hub/entente/api/feed"
	"github.com/entente-hub/entente/api/problem"
	"github.com/entente-hub/entente/crypto/keys"
	"github.com/entente-hub/entente/node/store"
)

// definite are the kinds of problem that lie in the alert itself, so that
// sending it again would not help. All others are tried again for ever. NotYetValid
// is one: the clock was wrong that dated it, and by as much as it was, everything
// behind it would have to wait.
var definite = []problem.Kind{
	problem.Malformed, problem.TooLarge, problem.BadSignature, problem.WrongMember, problem.Forbidden,
	problem.NotAdmitted, problem.EgressDenied, problem.Expired, problem.NotYetValid, problem.Conflict, problem.Fork,
}

// outboxStep sends the alert that was queued first. Nothing overtakes it: what
// builds on an alert arrives after it.
func (n *Node) outboxStep(ctx context.Context) (more bool, err error) {
	o, err := n.Store.Next(ctx)
	idle := errors.Is(err, store.ErrNotFound)
	if idle && !n.known.Load().dir.Ready() { // a new node: there is nothing to send, nor to ask
		return false, nil
	}
	if err == nil || idle {
		if regainErr := n.regain(ctx); regainErr != nil && (idle || ctx.Err() != nil) {
			return false, regainErr
		} else if regainErr != nil {
			return false, errors.Join(regainErr, n.Store.Attempted(ctx, o.ID, o.Version, regainErr.Error()))
		}
		o, err = n.Store.Next(ctx)
	}
	if errors.Is(err, store.ErrNotFound) {
		return false, nil
	} else if err != nil {
		return false, err
	}
	o, err = n.place(ctx, o)
	if errors.Is(err, errRefusedBefore) {
		return true, n.refusedAlert(ctx, *o, err)
	} else if err != nil {
		return false, err
	}
	receipt, err := n.Hub.Publish(ctx, o.Token)
	if err == nil {
		n.health.contact(n.Now())
		err = n.verifyReceipt(ctx, *o, receipt)
		if err == nil {
			return true, n.Store.Settle(ctx, o.ID, o.Version, store.Settlement{State: store.Accepted, Receipt: receipt})
		}
		err = fmt.Errorf("alert %s: the hub's receipt does not hold: %w", o.ID, err)
	} else if slices.Contains(definite, problem.KindOf(err)) {
		n.health.contact(n.Now())
		return true, n.refusedAlert(ctx, *o, err)
	}
	if ctx.Err() != nil { // nothing was learned of the alert
		return false, err
	}
	return false, errors.Join(err, n.Store.Attempted(ctx, o.ID, o.Version, err.Error()))
}

func (n *Node) refusedAlert(ctx context.Context, o store.Outgoing, why error) error {
	s := store.Settlement{State: store.Refused, Problem: problem.KindOf(why), Error: why.Error()}
	var p *problem.Error
	if errors.As(why, &p) {
		s.Codes = p.Codes
	}
	if err := n.Store.Settle(ctx, o.ID, o.Version, s); err != nil {
		return err
	}
	n.Log.WarnContext(ctx, "the hub refuses an alert", "alert", string(o.ID), "version", o.Version,
		"problem", string(s.Problem), "codes", s.Codes)
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
