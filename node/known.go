package node

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"time"

	"github.com/entente-hub/entente/api/federation"
	"github.com/entente-hub/entente/api/problem"
	"github.com/entente-hub/entente/crypto/keys"
	"github.com/entente-hub/entente/node/store"
	"github.com/entente-hub/entente/trust"
)

// statementPage is how many statements are asked for at once.
const statementPage = 100

// known is what the node knows from verified statements, at one moment. It is
// never changed once made.
type known struct {
	dir      *trust.Directory
	position int64 // of the last statement taken in
	// agreements holds the digest of every revision of every agreement: a
	// release may rest on one that has been replaced since.
	agreements map[string]federation.AgreementID
	revision   string // of the world at the moment at which this was made
}

func newKnown(authority keys.PublicKey) *known { return &known{dir: trust.New(authority)} }

// with returns the successor of k. The first statement that does not verify ends
// it; then the error is the Directory's.
func (k *known) with(now time.Time, list ...store.Statement) (*known, error) {
	if len(list) == 0 {
		return k, nil
	}
	raws := make([][]byte, len(list))
	for i, s := range list {
		raws[i] = s.Raw
	}
	dir, err := k.dir.With(now, raws...)
	if err != nil {
		return nil, err
	}
	next := &known{dir: dir, position: list[len(list)-1].Position, agreements: k.agreements}
	if w := dir.World(now); w != nil {
		next.revision = w.Revision
	}
	added := make(map[string]federation.AgreementID)
	for _, raw := range raws {
		digest, id, ok, err := agreementOf(raw)
		if err != nil {
			return nil, err
		}
		if ok {
			added[digest] = id
		}
	}
	if len(added) > 0 {
		for digest, id := range k.agreements {
			added[digest] = id
		}
		next.agreements = added
	}
	return next, nil
}

// agreementOf returns digest and id of a verified statement that is an agreement.
func agreementOf(raw []byte) (digest string, id federation.AgreementID, ok bool, err error) {
	var g struct {
		Payload string `json:"payload"`
	}
	if err := json.Unmarshal(raw, &g); err != nil {
		return "", "", false, err
	}
	payload, err := base64.RawURLEncoding.Strict().DecodeString(g.Payload)
	if err != nil {
		return "", "", false, err
	}
	_, body, err := federation.ParseStatement(payload)
	if err != nil {
		return "", "", false, err
	}
	a, ok := body.(*federation.Agreement)
	if !ok {
		return "", "", false, nil
	}
	return federation.Digest(payload), a.ID, true, nil
}

// statementsStep is the loop that keeps the statements up to date.
func (n *Node) statementsStep(ctx context.Context) (more bool, err error) {
	return false, n.fetchStatements(ctx)
}

// learnMore fetches statements and reports whether more is known now than since,
// whoever has fetched it.
func (n *Node) learnMore(ctx context.Context, since *known) (bool, error) {
	err := n.fetchStatements(ctx)
	return n.known.Load() != since, err
}

// fetchStatements takes in what the hub has beyond what is known. A statement
// that does not verify is refused, raised as an alarm, and passed over until the
// next start: those of other chains count all the same.
func (n *Node) fetchStatements(ctx context.Context) error {
	n.syncing.Lock()
	defer n.syncing.Unlock()
	for after := max(n.passed, n.known.Load().position); ; {
		page, err := n.Hub.Statements(ctx, after, statementPage)
		if err != nil || len(page) == 0 {
			return err
		}
		list := make([]store.Statement, len(page))
		for i, s := range page {
			if s.Position <= after {
				return problem.New(problem.Internal, "the hub's statements are not in order: %d after %d", s.Position, after)
			}
			after, list[i] = s.Position, store.Statement(s)
		}
		if err := n.takeStatements(ctx, list); err != nil {
			return err
		}
		n.passed = after
	}
}

// takeStatements verifies and stores a page of statements, and then makes them
// known: at once where all of them verify, else one by one.
func (n *Node) takeStatements(ctx context.Context, list []store.Statement) error {
	now := n.Now()
	k := n.known.Load()
	next, err := k.with(now, list...)
	good := list
	if err != nil {
		next, good = k, nil
		for _, s := range list {
			one, err := next.with(now, s)
			switch kind := problem.KindOf(err); {
			case err == nil:
				next, good = one, append(good, s)
			case kind == problem.NotYetValid || kind == problem.Unavailable:
				return problem.New(problem.Unavailable, "statement %d can not be verified yet: %w", s.Position, err)
			default:
				if err := n.refuseStatement(ctx, s, err); err != nil {
					return err
				}
			}
		}
	}
	if len(good) == 0 {
		return nil
	}
	if err := n.Store.AddStatements(ctx, good); err != nil {
		return n.reload(ctx, err)
	}
	n.known.Store(next)
	return nil
}

// reload makes known what the store holds after a write whose fate is not
// known. It returns cause.
func (n *Node) reload(ctx context.Context, cause error) error {
	list, err := n.Store.Statements(ctx)
	if err != nil {
		return errors.Join(cause, err)
	}
	k, err := newKnown(n.Authority).with(n.Now(), list...)
	if err != nil {
		return errors.Join(cause, err)
	}
	n.known.Store(k)
	return cause
}

func (n *Node) refuseStatement(ctx context.Context, s store.Statement, why error) error {
	n.health.refusedStatements.Add(1)
	return n.raise(ctx, alarmStatement, s.Raw, "statement %d is refused: %w", s.Position, why)
}

// Submit verifies a statement and has the hub bring it into force.
// Errors are *problem.Error.
func (n *Node) Submit(ctx context.Context, raw []byte) error {
	if _, err := n.known.Load().dir.Verify(n.Now(), raw); err != nil {
		return err
	}
	if err := n.Hub.SubmitStatement(ctx, raw); err != nil {
		return err
	}
	wake(n.woken.statements)
	return nil
}

// registered returns what is known, or Unavailable before there is a registry.
func (n *Node) registered() (*known, error) {
	k := n.known.Load()
	if !k.dir.Ready() {
		return nil, problem.New(problem.Unavailable, "the node has no verified registry yet")
	}
	return k, nil
}

// hubKeys returns the keys with which the hub may sign.
func (k *known) hubKeys() ([]keys.PublicKey, error) {
	var list []keys.PublicKey
	for _, raw := range k.dir.Registry().Hub.Keys {
		pub, err := keys.ParsePublicKey(raw)
		if err != nil {
			return nil, err
		}
		list = append(list, pub)
	}
	return list, nil
}
