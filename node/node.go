// Package node is a member's national node: it signs and sends what the member
// publishes, follows the member's feed at the hub, verifies all that it
// receives up to the originators' roots, and acknowledges it (DESIGN section
// 6). The hub enforces; a node believes it nothing that it can not verify.
package node

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"time"

	"github.com/entente-hub/entente/api/alert"
	"github.com/entente-hub/entente/api/federation"
	"github.com/entente-hub/entente/api/problem"
	"github.com/entente-hub/entente/crypto/keys"
	"github.com/entente-hub/entente/node/store"
)

// Timing of the loops.
const (
	pollWait      = 25 * time.Second // how long the hub is asked to wait for news
	statementsAge = 30 * time.Second // how old the known statements may be
	firstBackoff  = time.Second
	lastBackoff   = 2 * time.Minute
	localBackoff  = 2 * time.Second // the longest pause of what asks nothing of the hub
)

// Config is all that a node is made of. Every field without a default is needed.
type Config struct {
	Member    alert.MemberID
	HubID     federation.HubID
	Authority keys.PublicKey // the federation authority's, pinned
	Signer    keys.Signer    // the node's own key, certified by a statement of the member's
	Store     store.Store
	Hub       Hub
	Egress    Egress
	Ingress   Ingress  // nil: there is no directory of users, and the focal point reads everything
	People    People   // nil: nobody writes or releases drafts
	FourEyes  FourEyes // which alerts take two persons; needs Ingress and People unless none does
	Log       *slog.Logger

	Now     func() time.Time                // default: time.Now
	Backoff func(attempt int) time.Duration // pause after failure number attempt, from 1; default: Backoff
}

// Node is a running national node. It is safe for concurrent use. Its Config must
// not be changed.
type Node struct {
	Config
	known    atomic.Pointer[known]
	signing  sync.Mutex             // held while a statement is made, signed and sent; before syncing
	syncing  sync.Mutex             // held while statements are fetched
	ending   sync.Mutex             // held while what has ended is judged, signed for and erased
	asked    asked                  // under syncing
	revision atomic.Pointer[string] // of the last delivery that had another than the node's
	health   health
	regained atomic.Bool // what the hub knows of this member's own alerts is known here
	woken    wakes

	unscrubbed atomic.Bool  // something was erased that the database may still have somewhere
	started    time.Time    // with a reading of the monotonic clock
	headAt     atomic.Int64 // iat of the last head that was verified, seconds since 1970-01-01 UTC

	offline   bool       // there is no network to the hub
	importing sync.Mutex // held while a parcel is taken; before signing, syncing and ending
}

// wakes holds one slot for each loop that others wake.
type wakes struct{ sender, acks, statements, sweep, feed chan struct{} }

// New returns a node on what its store holds. All statements in it are verified
// again from the authority's key on: the error of a store that has been tampered
// with is that of the first that fails.
func New(ctx context.Context, c Config) (*Node, error) {
	if c.Now == nil {
		c.Now = time.Now
	}
	if c.Backoff == nil {
		c.Backoff = Backoff
	}
	switch {
	case c.Member == "" || c.HubID == "" || c.Authority.IsZero() || c.Signer == nil:
		return nil, errors.New("node: member, hub, authority's key and signer are needed")
	case c.Store == nil || c.Hub == nil || c.Egress == nil || c.Log == nil:
		return nil, errors.New("node: store, hub, egress policy and log are needed")
	case c.FourEyes.Validate() != nil:
		return nil, fmt.Errorf("node: %w", c.FourEyes.Validate())
	case c.FourEyes != "" && c.FourEyes != NoFourEyes && (c.Ingress == nil || c.People == nil):
		return nil, errors.New("node: where alerts take two persons a directory of users is needed")
	case c.Signer.Public().Owner() != string(c.Member):
		return nil, fmt.Errorf("node: key %s is not one of %s", c.Signer.Public().KeyID(), c.Member)
	}
	n := &Node{Config: c, asked: asked{refused: make(map[[sha256.Size]byte]bool)}, woken: wakes{make(chan struct{}, 1), make(chan struct{}, 1), make(chan struct{}, 1), make(chan struct{}, 1), make(chan struct{}, 1)}}
	n.unscrubbed.Store(true) // it may have been killed in between
	n.started = time.Now()
	_, n.offline = c.Hub.(Offline)
	n.Hub = exchange{c.Hub}
	position, err := c.Store.Position(ctx)
	if err != nil {
		return nil, fmt.Errorf("node: %w", err)
	}
	n.headAt.Store(position.HeadAt)
	list, err := c.Store.Statements(ctx)
	if err != nil {
		return nil, fmt.Errorf("node: %w", err)
	}
	k, err := newKnown(c.Authority).with(c.Now(), list...)
	if err != nil {
		return nil, fmt.Errorf("node: the stored statements do not verify: %w", err)
	}
	n.known.Store(k)
	return n, nil
}

// Run sends, follows, acknowledges, erases what has ended and keeps the statements up
// to date until ctx ends. It returns nil then: whatever fails is tried again, shown by Status and
// logged.
func (n *Node) Run(ctx context.Context) error {
	var loops sync.WaitGroup
	list := []loop{
		{name: loopSweep, step: n.sweepStep, wake: n.woken.sweep, until: n.untilDue, backoff: localBackoff},
		{name: loopDrafts, step: n.draftsStep, pause: draftsPause, backoff: localBackoff},
	}
	if !n.offline { // else these steps are taken with what is imported
		list = append(list, loop{name: loopStatements, step: n.statementsStep, wake: n.woken.statements, pause: statementsAge},
			loop{name: loopFeed, step: n.following(), wake: n.woken.feed, pause: firstBackoff},
			loop{name: loopOutbox, step: n.outboxStep, wake: n.woken.sender},
			loop{name: loopAcks, step: n.acksStep, wake: n.woken.acks})
	}
	for _, l := range list {
		loops.Go(func() { n.loop(ctx, l) })
	}
	loops.Wait()
	return nil
}

// loop is one of the things that a node does for ever.
type loop struct {
	name string
	// step does one thing. It reports whether there may be more to do at once.
	step func(context.Context) (more bool, err error)
	wake <-chan struct{} // ends a pause early
	// pause between steps when there is no more to do; 0: until it is woken.
	pause time.Duration
	// until tells the pause anew each time, where it is not nil.
	until func(context.Context) time.Duration
	// backoff bounds the pause after failures; 0: it grows. Of a loop that asks nothing of
	// the hub: there are no others to give way to.
	backoff time.Duration
}

// loop runs one loop until ctx ends. This is the edge where errors are logged.
func (n *Node) loop(ctx context.Context, l loop) {
	for failures := 0; ctx.Err() == nil; {
		more, err := l.step(ctx)
		if ctx.Err() != nil {
			return
		}
		n.outcome(ctx, l, err)
		switch {
		case err != nil:
			failures++
			if wait := toldToWait(err); wait > 0 {
				pause(ctx, max(wait, n.Backoff(failures)), nil) // nothing that happens here makes the hub ready sooner
				continue
			}
			rest := n.Backoff(failures)
			if l.backoff > 0 {
				rest = min(rest, l.backoff)
			}
			if pause(ctx, rest, l.wake) { // how often it is woken says nothing of for how long it has failed
				failures--
			}
		case more:
			failures = 0
		default:
			failures = 0
			if l.until != nil {
				l.pause = l.until(ctx)
			}
			pause(ctx, l.pause, l.wake)
		}
	}
}

// toldToWait is for how long the hub wants to be left alone; 0: it has not said.
func toldToWait(err error) time.Duration {
	var p *problem.Error
	if errors.As(err, &p) {
		return p.RetryAfter
	}
	return 0
}

// outcome notes how a step went. When the hub answers again, everything that
// waits for it is woken.
func (n *Node) outcome(ctx context.Context, l loop, err error) {
	if err != nil {
		news := n.health.failed(l.name, err)
		level := slog.LevelError
		if kind := problem.KindOf(err); kind == problem.Unavailable || kind == problem.RateLimited {
			level = slog.LevelWarn
		}
		if !news && l.backoff > 0 { // it is tried so often that it would fill the log
			level = slog.LevelDebug
		}
		n.Log.Log(ctx, level, "not done, will be tried again", "what", l.name, "error", err.Error())
		return
	}
	if n.health.well(l.name) && l.name == loopFeed {
		wake(n.woken.sender)
		wake(n.woken.acks)
		wake(n.woken.statements)
	}
}

// wake fills a loop's slot.
func wake(slot chan<- struct{}) {
	select {
	case slot <- struct{}{}:
	default:
	}
}

// pause returns after d, when ctx ends, or when woken, which it reports. Without d it waits
// for one of the others.
func pause(ctx context.Context, d time.Duration, woken <-chan struct{}) bool {
	var after <-chan time.Time
	if d > 0 {
		t := time.NewTimer(d)
		defer t.Stop()
		after = t.C
	}
	select {
	case <-after:
	case <-woken:
		return true
	case <-ctx.Done():
	}
	return false
}

// Backoff returns the pause after failure number attempt, counted from 1: it
// doubles from one second up to two minutes, and up to half of it is left to
// chance so that the nodes of a federation do not all come back at once.
func Backoff(attempt int) time.Duration {
	d := lastBackoff
	if attempt < 8 { // 2^7 s lies beyond lastBackoff
		d = min(firstBackoff<<max(attempt-1, 0), lastBackoff)
	}
	return d - rand.N(d/2+1)
}
