package e2e_test

import (
	"errors"
	"io"
	"net"
	"sync"
	"time"
)

// state is how a link is.
type state string

// The states. A link that is cut by silent or half-open looks to both ends as if the
// other had nothing to say; nothing is closed, and what was on its way arrives when the
// link is whole again.
const (
	whole    state = "whole"
	refused  state = "refused"   // what there was is reset, what is new is not taken
	silent   state = "silent"    // connections are taken, nothing passes
	halfOpen state = "half-open" // questions pass, answers do not
	slow     state = "slow"      // slowBytes a second, each piece slowDelay late
)

const (
	slowBytes = 20_000
	slowDelay = 100 * time.Millisecond
	dialLimit = 5 * time.Second
)

// relay is a link between two processes: whoever dials its address reaches what dial
// dials, in the state in which the link is.
type relay struct {
	name string
	ln   net.Listener
	dial func() (net.Conn, error)

	mu      sync.Mutex
	state   state
	changed chan struct{} // closed when the state changes
	conns   map[net.Conn]bool
	closed  bool
	all     sync.WaitGroup
}

// newRelay listens on an address of a network, "tcp" or "unix".
func newRelay(name, network, address string, dial func() (net.Conn, error)) (*relay, error) {
	ln, err := net.Listen(network, address)
	if err != nil {
		return nil, err
	}
	r := &relay{name: name, ln: ln, dial: dial, state: whole, changed: make(chan struct{}), conns: make(map[net.Conn]bool)}
	r.all.Go(r.accept)
	return r, nil
}

// set brings the link into a state.
func (r *relay) set(s state) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.state = s
	close(r.changed)
	r.changed = make(chan struct{})
	if s == refused {
		r.closeAll()
	}
}

// close ends the relay and all its connections.
func (r *relay) close() error {
	r.mu.Lock()
	r.closed = true
	r.closeAll()
	close(r.changed)
	r.changed = make(chan struct{})
	r.mu.Unlock()
	err := r.ln.Close()
	r.all.Wait()
	return err
}

func (r *relay) closeAll() {
	for c := range r.conns {
		reset(c)
	}
}

// reset closes a connection as if its other end had gone, where the network knows that.
func reset(c net.Conn) {
	if t, ok := c.(*net.TCPConn); ok {
		_ = t.SetLinger(0) // then it is closed in order, which is as good
	}
	_ = c.Close() // it may be closed already
}

// now returns the state, and what closes when there is another; ok is false once the relay
// has ended.
func (r *relay) now() (s state, changed <-chan struct{}, ok bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.state, r.changed, !r.closed
}

func (r *relay) accept() {
	for {
		c, err := r.ln.Accept()
		if errors.Is(err, net.ErrClosed) {
			return
		} else if err != nil { // too many open files: whoever dials tries again
			<-time.After(10 * time.Millisecond)
			continue
		}
		if !r.keep(c) {
			continue
		}
		r.all.Go(func() { r.serve(c) })
	}
}

// keep notes a connection, unless the link refuses it.
func (r *relay) keep(c net.Conn) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.closed || r.state == refused {
		reset(c)
		return false
	}
	r.conns[c] = true
	return true
}

func (r *relay) forget(c net.Conn) {
	reset(c)
	r.mu.Lock()
	defer r.mu.Unlock()
	delete(r.conns, c)
}

func (r *relay) serve(near net.Conn) {
	defer r.forget(near)
	if !r.passes(true) {
		return
	}
	far, err := r.dial()
	if err != nil || !r.keep(far) {
		return
	}
	defer r.forget(far)
	var both sync.WaitGroup
	both.Go(func() { r.carry(far, near, true) })
	both.Go(func() { r.carry(near, far, false) })
	both.Wait()
}

// passes waits until something may pass in a direction, and reports whether the relay is
// still there.
func (r *relay) passes(question bool) bool {
	for {
		s, changed, ok := r.now()
		if !ok || s != silent && (s != halfOpen || question) {
			return ok
		}
		<-changed
	}
}

// carry copies until either end is closed. An end that closes its half has that passed on.
func (r *relay) carry(to, from net.Conn, question bool) {
	buf := make([]byte, 16<<10)
	for {
		n, err := from.Read(buf)
		if n > 0 {
			if !r.passes(question) {
				return
			}
			if s, changed, _ := r.now(); s == slow {
				select {
				case <-time.After(slowDelay + time.Duration(n)*time.Second/slowBytes):
				case <-changed:
				}
			}
			if _, err := to.Write(buf[:n]); err != nil {
				reset(from)
				return
			}
		}
		if err != nil {
			r.end(to, err, question)
			return
		}
	}
}

// end passes on how an end was closed, once anything may pass.
func (r *relay) end(to net.Conn, err error, question bool) {
	if !r.passes(question) {
		return
	}
	half, ok := to.(interface{ CloseWrite() error })
	if !ok || !errors.Is(err, io.EOF) || half.CloseWrite() != nil {
		reset(to)
	}
}

// dialer returns what a relay dials: an address of a network.
func dialer(network, address string) func() (net.Conn, error) {
	return func() (net.Conn, error) { return net.DialTimeout(network, address, dialLimit) }
}
