package serve

import (
	"context"
	"crypto/tls"
	"errors"
	"net"
	"net/netip"
	"sync"
	"syscall"
	"time"
)

// Bound names what turned a connection away at a Gate.
type Bound string

// The bounds of a Gate.
const (
	BoundConnections     Bound = "connections"            // all that are open
	BoundPerSource       Bound = "connections-per-source" // those from one address
	BoundPerPeer         Bound = "connections-per-member" // those of one peer
	BoundNewPerSource    Bound = "new-connections"        // how fast one address may open them
	BoundHandshakes      Bound = "handshakes"             // those whose handshake is under way
	BoundHandshakeFailed Bound = "handshake-failed"       // not done in time, or not with an acceptable certificate
	BoundUntaken         Bound = "untaken-bytes"          // answers of one peer that it has not taken yet
)

// Bounds returns all bounds of a Gate.
func Bounds() []Bound {
	return []Bound{BoundConnections, BoundPerSource, BoundPerPeer, BoundNewPerSource, BoundHandshakes, BoundHandshakeFailed, BoundUntaken}
}

// GateLimits bounds the connections of a listener. All must be positive.
type GateLimits struct {
	Connections  int           // at once, of all
	PerSource    int           // at once, from one address (IPv6: one /64)
	PerPeer      int           // at once, of one peer, whatever addresses it comes from
	Handshakes   int           // under way at once; with one more, the one that began first is cut off
	NewPerSource Rate          // from one address (IPv6: one /64)
	Handshake    time.Duration // from the connection to the end of the handshake
	Untaken      int64         // bytes of answers that one peer lets wait
}

// Gate is a listener whose connections have completed their handshake. One that
// does not, or is over a bound, is closed without an answer and never seen by whoever
// serves. What has got through is not touched by what comes after it.
type Gate struct {
	ln     net.Listener
	conf   *tls.Config
	limits GateLimits
	peer   func(tls.ConnectionState) string
	refuse func(Bound)
	recent *Buckets[netip.Prefix]

	ready  chan net.Conn
	failed chan error
	ctx    context.Context // ends with Close, and handshakes under way with it
	cancel context.CancelFunc
	work   sync.WaitGroup

	mu       sync.Mutex
	open     int
	bySource map[netip.Prefix]int
	byPeer   map[string]int
	untaken  map[string]int64 // by peer
	shaking  []net.Conn       // oldest first
}

// NewGate puts a gate in front of ln and begins to accept. peer says whose a
// connection is; refused is told of each that is turned away.
func NewGate(ln net.Listener, conf *tls.Config, limits GateLimits, peer func(tls.ConnectionState) string, refused func(Bound)) *Gate {
	g := &Gate{ln: ln, conf: conf, limits: limits, peer: peer, refuse: refused,
		recent: NewBuckets[netip.Prefix](limits.NewPerSource, nil),
		ready:  make(chan net.Conn), failed: make(chan error, 1),
		bySource: make(map[netip.Prefix]int), byPeer: make(map[string]int),
		untaken: make(map[string]int64)}
	g.ctx, g.cancel = context.WithCancel(context.Background())
	g.work.Go(g.accept)
	return g
}

// Addr is the address of the listener below.
func (g *Gate) Addr() net.Addr { return g.ln.Addr() }

// Open returns how many connections are open, with those in their handshake.
func (g *Gate) Open() int {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.open
}

// Accept returns the next connection whose handshake is done. After Close the
// error is net.ErrClosed.
func (g *Gate) Accept() (net.Conn, error) {
	select {
	case c := <-g.ready:
		return c, nil
	case err := <-g.failed:
		g.failed <- err // for the next call too
		return nil, err
	case <-g.ctx.Done():
		return nil, net.ErrClosed
	}
}

// Close ends the listener and the handshakes under way. Connections that were
// accepted stay.
func (g *Gate) Close() error {
	g.cancel()
	err := g.ln.Close()
	g.work.Wait()
	return err
}

// accept takes connections until the listener is closed. Running out of descriptors
// or memory is no reason to end: others close theirs.
func (g *Gate) accept() {
	for pause := time.Duration(0); ; {
		raw, err := g.ln.Accept()
		switch {
		case err == nil:
			pause = 0
			g.admit(raw)
		case passing(err):
			pause = min(max(2*pause, 5*time.Millisecond), time.Second)
			select {
			case <-time.After(pause):
			case <-g.ctx.Done():
				return
			}
		default:
			g.failed <- err
			return
		}
	}
}

// passing reports whether an error of accept(2) says nothing of the listener itself.
func passing(err error) bool {
	for _, e := range []error{syscall.EMFILE, syscall.ENFILE, syscall.ENOBUFS, syscall.ENOMEM, syscall.ECONNABORTED, syscall.EINTR} {
		if errors.Is(err, e) {
			return true
		}
	}
	return false
}

// admit begins the handshake of a connection that is within the bounds.
func (g *Gate) admit(raw net.Conn) {
	c := &gated{gate: g, source: sourceOf(raw.RemoteAddr())}
	if b := g.enter(c, raw); b != "" {
		g.refuse(b)
		_ = raw.Close() // it was promised nothing
		return
	}
	c.Conn = tls.Server(raw, g.conf)
	g.work.Go(func() { g.handshake(c, raw) })
}

func (g *Gate) handshake(c *gated, raw net.Conn) {
	ctx, cancel := context.WithTimeout(g.ctx, g.limits.Handshake)
	defer cancel()
	err := c.HandshakeContext(ctx)
	if !g.settled(raw) {
		_ = c.Close() // as raw is; another took its place, and that was counted
		return
	}
	if err != nil {
		_ = raw.Close()
		c.leave()
		g.refuse(BoundHandshakeFailed)
		return
	}
	if !g.name(c, g.peer(c.ConnectionState())) {
		g.refuse(BoundPerPeer)
		_ = c.Close()
		return
	}
	select {
	case g.ready <- c:
	case <-g.ctx.Done():
		_ = c.Close()
	}
}

// enter counts a connection in, or names the bound that it is over.
func (g *Gate) enter(c *gated, raw net.Conn) Bound {
	g.mu.Lock()
	defer g.mu.Unlock()
	switch {
	case g.recent.Take(c.source, 1) > 0:
		return BoundNewPerSource
	case g.open >= g.limits.Connections:
		return BoundConnections
	case g.bySource[c.source] >= g.limits.PerSource:
		return BoundPerSource
	}
	if len(g.shaking) >= g.limits.Handshakes {
		// Who means well is done long before it is the oldest.
		_ = g.shaking[0].Close()
		g.shaking = g.shaking[1:]
		g.refuse(BoundHandshakes)
	}
	g.shaking = append(g.shaking, raw)
	g.open++
	g.bySource[c.source]++
	return ""
}

// settled takes a connection off the list of handshakes; false: it was cut off.
func (g *Gate) settled(raw net.Conn) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	for i, c := range g.shaking {
		if c == raw {
			g.shaking = append(g.shaking[:i:i], g.shaking[i+1:]...)
			return true
		}
	}
	return false
}

// name counts a connection as its peer's, unless the peer has as many as it may.
func (g *Gate) name(c *gated, peer string) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.byPeer[peer] >= g.limits.PerPeer {
		return false
	}
	g.byPeer[peer]++
	c.peer, c.named = peer, true
	return true
}

// less counts down by n, and forgets what is at 0.
func less[K comparable, N int | int64](m map[K]N, key K, n N) {
	if m[key] -= n; m[key] <= 0 {
		delete(m, key)
	}
}

// sourceOf is the address that a connection counts for: of IPv6 the /64, since
// whoever has one address there has them all. What is no IP address counts as one.
func sourceOf(a net.Addr) netip.Prefix {
	tcp, ok := a.(*net.TCPAddr)
	if !ok {
		return netip.Prefix{}
	}
	ip := tcp.AddrPort().Addr().Unmap().WithZone("")
	bits := ip.BitLen()
	if ip.Is6() {
		bits = 64
	}
	p, err := ip.Prefix(bits)
	if err != nil {
		return netip.Prefix{}
	}
	return p
}
