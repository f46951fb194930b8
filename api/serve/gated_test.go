package serve_test

import (
	"bufio"
	"context"
	"crypto/tls"
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/gofiber/fiber/v2"

	"github.com/entente-hub/entente/api/problem"
	"github.com/entente-hub/entente/api/serve"
	"github.com/entente-hub/entente/crypto/pki"
)

// TestUntakenAnswers: vulnerability: an answer that is not taken is held in memory.
// attack: XA asks for large answers over many connections and reads none of them.
// guarantee: beyond a bound it is told to come later, others are not touched, and what is taken or given up counts
// no more.
func TestUntakenAnswers(t *testing.T) {
	const large = 16 << 20 // more than the buffers of a connection hold
	limits := wide()
	limits.Untaken = 3*large + 1000
	d, stop := newHall(t, limits, strings.Repeat("a", large))
	owed := func(n int) {
		t.Helper()
		until(t, "so much is owed", func() bool { return d.gate.Owed("XA") == int64(n) })
	}
	var mute []*tls.Conn
	for i := range 3 {
		mute = append(mute, d.ask("XA"))
		owed((i + 1) * large)
	}
	status, body := d.read(d.ask("XA"))
	if status != http.StatusTooManyRequests || problem.Parse(status, body).Kind != problem.RateLimited || d.count(serve.BoundUntaken) != 1 {
		t.Errorf("the fourth: %d %.200s", status, body)
	}
	if status, body := d.read(d.ask("XB")); status != http.StatusOK || len(body) != large {
		t.Errorf("another member: %d, %d bytes", status, len(body))
	}
	if status, body := d.read(mute[0]); status != http.StatusOK || len(body) != large {
		t.Errorf("what was promised: %d, %d bytes", status, len(body))
	}
	owed(2 * large)
	_ = mute[1].NetConn().Close()
	owed(large)
	if status, _ := d.read(d.ask("XA")); status != http.StatusOK {
		t.Errorf("with room again: %d", status)
	}
	_ = mute[2].NetConn().Close()
	owed(0)
	for _, c := range mute {
		_ = c.Close()
	}
	stop()
}

// newHall is a door behind which every question has the same answer.
func newHall(t *testing.T, limits serve.GateLimits, text string) (d *door, stop func()) {
	t.Helper()
	d = &door{T: t, refused: make(map[serve.Bound]int)}
	var err error
	if d.ca, err = pki.NewCA("test"); err != nil {
		t.Fatal(err)
	}
	d.gate = serve.NewGate(listen(t), pki.ServerConfig(d.cert(pki.Hub, "hub"), d.ca.Pool()), limits,
		func(cs tls.ConnectionState) string {
			id, _ := pki.PeerIdentity(cs) // the handshake has seen it
			return id.ID
		}, func(b serve.Bound) {
			d.mu.Lock()
			defer d.mu.Unlock()
			d.refused[b]++
		})
	a := app(t, anybody, func(c *fiber.Ctx) error { return c.SendString(text) })
	ctx, cancel := context.WithCancel(context.WithoutCancel(t.Context()))
	done := make(chan error, 1)
	go func() { done <- serve.Run(ctx, a, d.gate) }()
	return d, func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	}
}

// ask asks as a member, and does not wait for the answer.
func (d *door) ask(member string) *tls.Conn {
	d.Helper()
	c, err := d.try(member)
	if err != nil {
		d.Fatal(err)
	}
	if _, err := io.WriteString(c, "GET /things HTTP/1.1\r\nHost: h\r\n\r\n"); err != nil {
		d.Fatal(err)
	}
	return c
}

// read reads an answer.
func (d *door) read(c *tls.Conn) (status int, body []byte) {
	d.Helper()
	resp, err := http.ReadResponse(bufio.NewReader(c), nil)
	if err != nil {
		d.Fatal(err)
	}
	defer resp.Body.Close()
	if body, err = io.ReadAll(resp.Body); err != nil {
		d.Fatal(err)
	}
	return resp.StatusCode, body
}
