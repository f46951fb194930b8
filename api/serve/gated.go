package serve

import (
	"crypto/tls"
	"net/netip"
	"sync"
	"sync/atomic"

	"github.com/gofiber/fiber/v2"

	"github.com/entente-hub/entente/api/problem"
)

// gated is a connection that is counted until it is closed.
type gated struct {
	*tls.Conn
	gate    *Gate
	source  netip.Prefix
	peer    string
	named   bool
	untaken atomic.Int64 // bytes of answers, as far as the gate counts them
	left    sync.Once
}

// Close closes the connection and makes room for another.
func (c *gated) Close() error {
	defer c.leave()
	return c.Conn.Close()
}

// Read reads what comes next. Who asks for that has got rid of the answer before.
func (c *gated) Read(b []byte) (int, error) {
	c.taken()
	return c.Conn.Read(b)
}

func (c *gated) leave() {
	c.left.Do(func() {
		c.taken()
		g := c.gate
		g.mu.Lock()
		defer g.mu.Unlock()
		g.open--
		less(g.bySource, c.source, 1)
		if c.named {
			less(g.byPeer, c.peer, 1)
		}
	})
}

// smallAnswer is how many bytes are not worth counting.
const smallAnswer = 16 << 10

// owe counts an answer as one that the peer has not taken, unless it has too many.
func (c *gated) owe(n int64) bool {
	if n <= smallAnswer {
		return true
	}
	g := c.gate
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.untaken[c.peer]+n > g.limits.Untaken {
		return false
	}
	g.untaken[c.peer] += n
	c.untaken.Add(n)
	return true
}

func (c *gated) taken() {
	if n := c.untaken.Swap(0); n > 0 {
		c.gate.mu.Lock()
		defer c.gate.mu.Unlock()
		less(c.gate.untaken, c.peer, n)
	}
}

// untakenAnswers keeps a peer from filling memory with answers that it asks for and does
// not take. Where the connection has not come through a Gate nothing is counted.
func untakenAnswers(c *fiber.Ctx) error {
	if err := c.Next(); err != nil {
		return err
	}
	conn, ok := c.Context().Conn().(*gated)
	if !ok || conn.owe(int64(len(c.Response().Body()))) {
		return nil
	}
	c.Response().ResetBody()
	conn.gate.refuse(BoundUntaken)
	return problem.New(problem.RateLimited, "too much of what was asked for before has not been taken yet")
}
