// Package hub is the hub's core: it takes in alerts, decides who may have
// which part, and hands over exactly that (DESIGN section 6). It knows neither
// HTTP nor SQL. What it decides upon are statements that others have signed;
// what it does stands in the audit log before anybody sees its effect.
package hub

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/entente-hub/entente/api/alert"
	"github.com/entente-hub/entente/api/federation"
	"github.com/entente-hub/entente/api/problem"
	"github.com/entente-hub/entente/crypto/keys"
	"github.com/entente-hub/entente/hub/store"
	"github.com/entente-hub/entente/policies"
	"github.com/entente-hub/entente/trust"
)

// PolicyName is the name under which the policy officers' statement puts the
// bundle into force that release and admission are decided by.
const PolicyName = "release"

// Deps are the parts that a Hub works with.
type Deps struct {
	ID        federation.HubID
	Store     store.Store
	Signer    keys.Signer    // Ed25519: receipts, feed heads and checkpoints
	Authority keys.PublicKey // the federation authority's, pinned by the operator
	Engine    *policies.Engine
	Now       func() time.Time // nil: time.Now
	Log       *slog.Logger
	Metrics   *Metrics // nil: none are kept
	Quotas    Quotas
}

// Hub is the core. It is safe for concurrent use; several hubs may share a
// store.
type Hub struct {
	Deps
	ledger  *ledger
	waiters waiters
	polls   polls
	views   viewCache
	notes   checkpoints
	engines engines

	resettler resettler
	eraser    eraser
	doubt     doubt
	trimmer   trimmer

	// calm is held by a hand-over that statements have overtaken again and again, so
	// that no more come meanwhile; who brings one holds it for reading.
	calm    sync.RWMutex
	drained sync.Once
	drain   chan struct{} // closed by Drain

	state   atomic.Pointer[state] // what is decided upon; nil before there is a registry
	loading sync.Mutex            // one reload at a time
}

// state is one revision of all that decisions rest on.
type state struct {
	list
	world  *federation.World // as the list says at its last moment; nil before there is a registry
	policy *policies.World
	engine *policies.Engine // the rules in force; nil: this hub does not have them

	recorded      sync.Map     // label digests whose decision stands in the log at this revision → rulings.day
	recordedCount atomic.Int64 // bounds it
}

// New returns a hub on a store, with the statements found there. Run must be
// called for it to commit anything.
func New(ctx context.Context, d Deps) (*Hub, error) {
	if d.Now == nil {
		d.Now = time.Now
	}
	if d.Metrics == nil {
		d.Metrics = NewMetrics(nil)
	}
	if d.Signer.Public().Alg() != keys.EdDSA {
		return nil, errors.New("hub: checkpoints are signed with Ed25519 keys only")
	}
	d.Signer = keys.Batch(d.Signer)
	d.Quotas = d.Quotas.orDefault()
	h := &Hub{Deps: d, drain: make(chan struct{})}
	h.resettler.wake = make(chan struct{}, 1)
	h.eraser.wake = make(chan struct{}, 1)
	h.trimmer.wake = make(chan struct{}, 1)
	h.ledger = newLedger(d.Store, d.Metrics, h.waiters.wake, h.waiters.wakeAll)
	h.state.Store(&state{list: list{dir: trust.New(d.Authority)}})
	// Statements that do not verify, as when the clock stands far behind, are for
	// Ready to tell: until they do nothing is decided.
	if err := h.refresh(ctx); err != nil && !errors.Is(err, errUnverified) {
		return nil, err
	}
	return h, nil
}

// Run commits what the hub is asked to and listens for other hubs on the same
// store, until ctx ends. It must run once; what is asked afterwards is
// Unavailable.
func (h *Hub) Run(ctx context.Context) error {
	defer h.ledger.stop()
	wakes, err := h.Store.Subscribe(ctx)
	if err != nil {
		return err
	}
	var listening sync.WaitGroup
	listening.Go(func() { h.listen(ctx, wakes) })
	listening.Go(func() { h.resettleAlways(ctx) })
	listening.Go(func() { h.eraseAlways(ctx) })
	listening.Go(func() { h.trimAlways(ctx) })
	h.ledger.run(ctx)
	listening.Wait() // nothing touches the store once Run has returned
	return nil
}

func (h *Hub) listen(ctx context.Context, wakes <-chan store.Wake) {
	for w := range wakes {
		if len(w.Recipients) == 0 {
			if err := h.refresh(ctx); err != nil && ctx.Err() == nil {
				h.Log.Error("statements could not be read again", "error", err.Error())
			}
			h.waiters.wakeAll()
			continue
		}
		h.waiters.wake(w.Recipients)
	}
}

// Drain makes polls answer at once with what there is, those under way and those
// to come: to be called before a server waits for its last requests.
func (h *Hub) Drain() { h.drained.Do(func() { close(h.drain) }) }

// current returns the state to decide upon now. It fails closed: without a
// registry, without the policy officers' word on exactly this policy bundle, or
// with a clock that stands before the newest statement, nothing is decided.
func (h *Hub) current(ctx context.Context) (*state, error) {
	s := h.state.Load()
	now := h.Now()
	if s.world == nil || s.lapsed(now) {
		if err := h.refresh(ctx); err != nil {
			return nil, err
		}
		s = h.state.Load()
	}
	if err := h.usable(s, now); err != nil {
		return nil, err
	}
	return s, nil
}

// lapsed reports whether validity dates have made the world another one.
func (s *state) lapsed(now time.Time) bool {
	return s.world != nil && s.moment.due(s.world, now)
}

// newer is current for when what is known may be out of date: it first takes in
// what other hubs have stored.
func (h *Hub) newer(ctx context.Context) (*state, error) {
	if err := h.refresh(ctx); err != nil {
		return nil, err
	}
	return h.current(ctx)
}

// Known lets a member pass that the registry lists: a certificate outlives
// membership. Before there is a registry everybody passes, for somebody must
// bring it. The refusal is recorded.
func (h *Hub) Known(ctx context.Context, member alert.MemberID) error {
	if h.state.Load().knows(member) {
		return nil
	}
	if err := h.refresh(ctx); err != nil { // another hub may have let it in
		return err
	}
	if h.state.Load().knows(member) {
		return nil
	}
	return h.Refuse(ctx, member, problem.New(problem.Unauthenticated, "the registry lists no such member"))
}

func (s *state) knows(m alert.MemberID) bool {
	if s.world == nil {
		return true
	}
	_, ok := s.world.Members[m]
	return ok
}

func (h *Hub) usable(s *state, now time.Time) error {
	switch {
	case !s.dir.Ready():
		return problem.New(problem.Unavailable, "there is no registry yet")
	case now.Unix() < s.newest-int64(skew/time.Second):
		return problem.New(problem.Unavailable, "the clock stands before the newest statement")
	case s.dir.PolicyDigest(PolicyName) == "":
		return problem.New(problem.Unavailable, "no policy is in force")
	case s.policy == nil:
		return problem.New(problem.Unavailable, "the policy in force is not one that this hub has")
	}
	if _, err := s.dir.HubKey(h.Signer.Public().KeyID()); err != nil {
		return problem.New(problem.Unavailable, "the registry does not list this hub's key")
	}
	return nil
}

// Ready reports what keeps the hub from working, by part; empty means ready.
func (h *Hub) Ready(ctx context.Context) map[string]string {
	missing := make(map[string]string)
	if _, err := h.newer(ctx); err != nil {
		missing["federation"] = err.Error()
	}
	if err := h.Store.Ping(ctx); err != nil {
		missing["store"] = "the database does not answer"
	}
	return missing
}

// Directory returns the verified statements as they stand.
func (h *Hub) Directory() *trust.Directory { return h.state.Load().dir }

// unavailable hides a fault of the store behind a problem that asks the
// caller to try again.
func unavailable(err error) error {
	var p *problem.Error
	if errors.As(err, &p) {
		return err
	}
	return problem.Wrap(problem.Unavailable, err, "the hub can not record it now; nothing was done, or it will show on a second try")
}
