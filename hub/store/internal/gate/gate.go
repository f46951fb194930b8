// Package gate lets calls in until it is closed, and lets closing wait for
// those that are under way.
package gate

import (
	"errors"
	"sync"
)

// ErrClosed says that the store was closed.
var ErrClosed = errors.New("store is closed")

// Gate is open at first. It must not be copied.
type Gate struct {
	calls  sync.RWMutex // held for reading by each call under way
	closed bool
}

// Enter admits a call; leave must be called when it ends. A call must not
// enter twice.
func (g *Gate) Enter() (leave func(), err error) {
	g.calls.RLock()
	if g.closed {
		g.calls.RUnlock()
		return nil, ErrClosed
	}
	return g.calls.RUnlock, nil
}

// Close closes the gate and waits for the calls under way. It reports whether
// it was open.
func (g *Gate) Close() (was bool) {
	g.calls.Lock()
	defer g.calls.Unlock()
	was = !g.closed
	g.closed = true
	return was
}
