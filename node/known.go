package node

import (
	"context"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"maps"
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
	dir *trust.Directory
	// cited is what a delivery may rest on: every revision of each agreement, each
	// emergency, and each policy bundle that was ever in force, for a release may
	// rest on one that has been replaced, or is over, since.
	cited    cited
	revision string // of the world at the moment at which this was made
}

// cited holds agreements and emergencies by the digest of their statement, and
// policy bundles by their own.
type cited struct {
	agreements  map[string]*federation.Agreement
	emergencies map[string]*federation.Emergency
	policies    map[string]bool
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
	next := &known{dir: dir}
	if w := dir.World(now); w != nil {
		next.revision = w.Revision
	}
	if next.cited, err = k.cited.with(raws); err != nil {
		return nil, err
	}
	return next, nil
}

// with adds what verified statements bring in.
func (c cited) with(raws [][]byte) (cited, error) {
	next := cited{maps.Clone(c.agreements), maps.Clone(c.emergencies), maps.Clone(c.policies)}
	if next.agreements == nil {
		next = cited{make(map[string]*federation.Agreement), make(map[string]*federation.Emergency), make(map[string]bool)}
	}
	for _, raw := range raws {
		payload, err := payloadOf(raw)
		if err != nil {
			return cited{}, err
		}
		_, body, err := federation.ParseStatement(payload)
		if err != nil {
			return cited{}, err
		}
		switch b := body.(type) {
		case *federation.Agreement:
			next.agreements[federation.Digest(payload)] = b
		case *federation.Emergency:
			next.emergencies[federation.Digest(payload)] = b
		case *federation.Policy:
			next.policies[b.Digest] = true
		}
	}
	return next, nil
}

// holds reports whether a statement is taken in already.
func (k *known) holds(raw []byte) bool {
	payload, err := payloadOf(raw)
	return err == nil && k.dir.Holds(federation.Digest(payload))
}

// payloadOf returns a statement's payload, whoever has signed it.
func payloadOf(raw []byte) ([]byte, error) {
	var g struct {
		Payload string `json:"payload"`
	}
	if err := json.Unmarshal(raw, &g); err != nil {
		return nil, err
	}
	return base64.RawURLEncoding.Strict().DecodeString(g.Payload)
}

// asked is how the node has gone through the hub's list of statements.
type asked struct {
	passed   int64                      // position of the last one looked at; 0: none since the start
	standing bool                       // some on the way were refused
	refused  map[[sha256.Size]byte]bool // by their bytes: the alarm has been raised
}

// statementsStep is the loop that keeps the statements up to date. While a
// refusal stands the whole list is asked for each time: what was refused may have
// been damaged on its way, or be needed by what comes after it.
func (n *Node) statementsStep(ctx context.Context) (more bool, err error) {
	n.syncing.Lock()
	if n.asked.standing {
		n.asked.passed, n.asked.standing = 0, false
	}
	n.syncing.Unlock()
	return false, errors.Join(n.resendNow(ctx), n.fetchStatements(ctx))
}

// learnMore fetches statements and reports whether more is known now than since,
// whoever has fetched it.
func (n *Node) learnMore(ctx context.Context, since *known) (bool, error) {
	err := n.fetchStatements(ctx)
	return n.known.Load() != since, err
}

// fetchStatements takes in what the hub has beyond what was looked at since the
// start: at first all of it, for nothing tells where it has left something out.
// What is held already changes nothing. A statement that does not verify is
// refused, raised as an alarm, and passed over, for those of other chains count
// all the same; it is asked for again by statementsStep. Gaps between positions
// are no fault: others' consents are not shown.
func (n *Node) fetchStatements(ctx context.Context) error {
	n.syncing.Lock()
	defer n.syncing.Unlock()
	for after := n.asked.passed; ; {
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
		n.asked.passed = after
	}
}

// takeStatements verifies and stores what is new on a page of statements, and then
// makes it known: at once where all of it verifies, else one by one.
func (n *Node) takeStatements(ctx context.Context, list []store.Statement) error {
	now := n.Now()
	k := n.known.Load()
	list = k.unheld(list)
	next, err := k.with(now, list...)
	good := list
	if err != nil {
		next, good = k, nil
		for _, s := range list {
			if next.holds(s.Raw) {
				continue
			}
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

// unheld returns those of a list that are not taken in yet, each text once.
func (k *known) unheld(list []store.Statement) []store.Statement {
	var fresh []store.Statement
	onPage := make(map[string]bool)
	for _, s := range list {
		if !onPage[string(s.Raw)] && !k.holds(s.Raw) {
			onPage[string(s.Raw)] = true
			fresh = append(fresh, s)
		}
	}
	return fresh
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

// refuseStatement raises an alarm, once for the same bytes and for as many as the
// store keeps. The caller holds syncing.
func (n *Node) refuseStatement(ctx context.Context, s store.Statement, why error) error {
	n.asked.standing = true
	digest := sha256.Sum256(s.Raw)
	if n.asked.refused[digest] {
		return nil
	}
	n.health.refusedStatements.Add(1)
	if len(n.asked.refused) >= store.MaxStatementAlarms {
		return nil
	}
	if err := n.raise(ctx, store.AlarmStatement, s.Raw, "statement %d is refused: %w", s.Position, why); err != nil {
		return err
	}
	n.asked.refused[digest] = true
	return nil
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
	if err := n.takeOwn(ctx, raw); err != nil {
		return problem.Wrap(problem.Unavailable, err, "the statement is in force, and can not be stored")
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
