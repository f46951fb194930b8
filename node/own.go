package node

import (
	"context"
	"errors"

	"github.com/entente-hub/entente/api/federation"
	"github.com/entente-hub/entente/api/problem"
	"github.com/entente-hub/entente/node/store"
	"github.com/entente-hub/entente/trust"
)

// What the node signs itself it must never deny, nor sign otherwise a second time,
// whatever the hub says or hides. So a statement is stored before it is sent; it is
// known here as soon as the hub has said that it took it, without waiting to see it in
// the hub's list; and as long as it is not known what became of it the same bytes are
// sent again, and nothing else is signed in its chain.

// sign makes the successor of what is in force in a chain, signed with the node's own
// key, and hands it to the hub. Without an error the node itself knows that it is in
// force. Where the hub did not answer the error is of kind Unavailable, and the
// statement is sent again. The caller holds signing.
func (n *Node) sign(ctx context.Context, t federation.StatementType, body federation.Body) (trust.Statement, error) {
	k, err := n.asOfNow(ctx)
	if err != nil {
		return trust.Statement{}, err
	}
	if err := n.undecided(ctx, t, body.Subject()); err != nil {
		return trust.Statement{}, err
	}
	head, _ := k.dir.Head(t, body.Subject())
	raw, err := trust.Sign(ctx, t, body, head, n.Now(), n.Signer)
	if err != nil {
		return trust.Statement{}, err
	}
	s, err := k.dir.Verify(n.Now(), raw)
	if err != nil {
		return trust.Statement{}, err
	}
	if err := n.Store.KeepOwn(ctx, raw); err != nil {
		return trust.Statement{}, problem.Wrap(problem.Unavailable, err, "the statement can not be stored")
	}
	if err := n.sendOwn(ctx, raw); err != nil {
		return trust.Statement{}, err
	}
	if now, ok := n.known.Load().dir.Head(t, body.Subject()); !ok || now.Digest != s.Digest {
		return trust.Statement{}, problem.New(problem.Conflict, "%s %q: the hub has taken it, but something else is in force", t, body.Subject())
	}
	n.takeInNow(ctx)
	return s, nil
}

// undecided refuses to sign in a chain in which it is not known what became of the
// statement before.
func (n *Node) undecided(ctx context.Context, t federation.StatementType, subject string) error {
	waiting, err := n.Store.Own(ctx)
	if err != nil {
		return problem.Wrap(problem.Unavailable, err, "the statements can not be read")
	}
	for _, raw := range waiting {
		if s, err := trust.Parse(raw); err != nil || s.Type == t && s.Subject == subject {
			return problem.New(problem.Unavailable, "%s %q: the hub has not said what became of revision %d, which is sent again", t, subject, s.Revision)
		}
	}
	return nil
}

// sendOwn hands a stored statement of the node's own to the hub. What the hub has taken
// is known from then on; what it refuses is forgotten, and the refusal returned. With an
// error of another kind it stays stored.
func (n *Node) sendOwn(ctx context.Context, raw []byte) error {
	err := n.Hub.SubmitStatement(ctx, raw)
	if err != nil && !final(err) {
		wake(n.woken.statements)
		return err
	}
	if err == nil {
		if takeErr := n.takeOwn(ctx, raw); takeErr != nil {
			return problem.Wrap(problem.Unavailable, takeErr, "the statement is in force, and can not be stored")
		}
	}
	if forgetErr := n.Store.ForgetOwn(ctx, raw); forgetErr != nil { // it is sent again, which changes nothing
		n.Log.WarnContext(ctx, "a statement that was sent is still listed as to be sent", "error", forgetErr.Error())
	}
	return err
}

// takeOwn verifies and stores a statement that the hub has taken.
func (n *Node) takeOwn(ctx context.Context, raw []byte) error {
	n.syncing.Lock()
	defer n.syncing.Unlock()
	return n.takeStatements(ctx, []store.Statement{{Raw: raw}})
}

// resend hands over what the node has signed and does not know the fate of. A refusal
// is raised as an alarm: whoever asked for the statement was not told of it. The caller
// holds signing.
func (n *Node) resend(ctx context.Context) error {
	waiting, err := n.Store.Own(ctx)
	if err != nil {
		return problem.Wrap(problem.Unavailable, err, "the statements can not be read")
	}
	for _, raw := range waiting {
		if n.known.Load().holds(raw) { // the hub has shown it since
			if err := n.Store.ForgetOwn(ctx, raw); err != nil {
				return problem.Wrap(problem.Unavailable, err, "the statements can not be stored")
			}
			continue
		}
		err := n.sendOwn(ctx, raw)
		if err != nil && !final(err) {
			return err
		}
		if err != nil {
			if err := n.raise(ctx, store.AlarmStatement, raw, "the hub refuses a statement of this member's own: %w", err); err != nil {
				return err
			}
		}
	}
	return nil
}

// beforeSigning takes signing and sends again what waits, so that what is signed next
// goes by it. The caller calls the function that it returns when it has signed.
func (n *Node) beforeSigning(ctx context.Context) (done func(), err error) {
	n.signing.Lock()
	if err := n.resend(ctx); err != nil {
		n.signing.Unlock()
		return nil, err
	}
	return n.signing.Unlock, nil
}

// resendNow is resend for the loop that keeps statements up to date.
func (n *Node) resendNow(ctx context.Context) error {
	done, err := n.beforeSigning(ctx)
	if err != nil {
		return err
	}
	done()
	return nil
}

// checkBrought holds what the hub says of a statement that was handed over to what the
// node knows. Where the hub says that it is in force the node must know it to be: at
// once where it is whole, else from the hub's list.
func (n *Node) checkBrought(ctx context.Context, raw []byte, s trust.Statement, state ProposalState) error {
	if state.Digest != s.Digest {
		return problem.New(problem.Internal, "the hub answers of another statement than the one that was sent")
	}
	if !state.InForce {
		return nil
	}
	if _, err := n.known.Load().dir.Verify(n.Now(), raw); err == nil {
		if err := n.takeOwn(ctx, raw); err != nil {
			return problem.Wrap(problem.Unavailable, err, "the statement is in force, and can not be stored")
		}
	}
	fetchErr := n.fetchStatements(ctx)
	if n.known.Load().dir.Holds(s.Digest) {
		return nil
	}
	wake(n.woken.statements)
	return problem.Wrap(problem.Unavailable, errors.Join(errUnseen, fetchErr), "the hub says that the statement is in force, and does not show it")
}

var errUnseen = errors.New("no such statement in the hub's list")
