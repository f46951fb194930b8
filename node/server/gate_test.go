package server_test

import (
	"errors"
	"io"
	"net"
	"testing"
	"time"

	"github.com/entente-hub/entente/node/nodetest"
	"github.com/entente-hub/entente/node/server"
)

// TestSlowStrangers: vulnerability: a connection that says nothing holds a descriptor and
// what serves it. attack: a process of the machine opens more of them than may be in their
// handshake, and keeps them. guarantee: the oldest is cut off, and the member's own people
// get through.
func TestSlowStrangers(t *testing.T) {
	f := nodetest.New(t)
	hub := f.Serve(t)
	cfg := start(t, install(t, f, hub))
	var silent []net.Conn
	for range server.Handshakes + 1 {
		c, err := net.DialTimeout("tcp", cfg.Listen, 10*time.Second)
		must(t, err)
		t.Cleanup(func() { _ = c.Close() })
		silent = append(silent, c)
	}
	must(t, silent[0].SetReadDeadline(time.Now().Add(time.Minute)))
	if _, err := silent[0].Read(make([]byte, 1)); !errors.Is(err, io.EOF) && !isReset(err) {
		t.Errorf("the first of them was not cut off: %v", err)
	}
	c, err := server.NewClient(cfg)
	must(t, err)
	defer c.Close()
	if _, err := c.Status(t.Context()); err != nil {
		t.Errorf("the member's own do not get through: %v", err)
	}
}

// isReset reports whether a connection was cut off without a word.
func isReset(err error) bool {
	var op *net.OpError
	return errors.As(err, &op) && !op.Timeout()
}
