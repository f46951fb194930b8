package e2e_test

import (
	"bufio"
	"errors"
	"io"
	"net"
	"os"
	"testing"
	"time"
)

// linkToEcho is a link to a server that sends back each line.
func linkToEcho(t *testing.T) *relay {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = ln.Close() })
	go func() {
		for {
			c, err := ln.Accept()
			if err != nil {
				return
			}
			go func() {
				defer c.Close()
				_, _ = io.Copy(c, c) // until its other end is gone
			}()
		}
	}()
	r, err := newRelay("echo", "tcp", "127.0.0.1:0", dialer("tcp", ln.Addr().String()))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := r.close(); err != nil {
			t.Error(err)
		}
	})
	return r
}

type caller struct {
	net.Conn
	*bufio.Reader
}

func call(t *testing.T, r *relay) caller {
	t.Helper()
	c, err := net.Dial("tcp", r.ln.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	return caller{c, bufio.NewReader(c)}
}

// says sends a line, and reports whether it comes back in time.
func (c caller) says(t *testing.T, line string, limit time.Duration) error {
	t.Helper()
	if _, err := io.WriteString(c.Conn, line+"\n"); err != nil {
		return err
	}
	return c.hears(line, limit)
}

func (c caller) hears(line string, limit time.Duration) error {
	if err := c.SetReadDeadline(time.Now().Add(limit)); err != nil {
		return err
	}
	got, err := c.ReadString('\n')
	if err == nil && got != line+"\n" {
		return errors.New("heard " + got)
	}
	return err
}

const (
	soon   = time.Minute            // what must come
	notNow = 300 * time.Millisecond // what must not
)

// TestRelayCuts: what a link does to what passes through it, and that all of it passes
// when the link is whole again.
func TestRelayCuts(t *testing.T) {
	for _, s := range []state{silent, halfOpen} {
		t.Run(string(s), func(t *testing.T) {
			r := linkToEcho(t)
			c := call(t, r)
			if err := c.says(t, "one", soon); err != nil {
				t.Fatal(err)
			}
			r.set(s)
			if err := c.says(t, "two", notNow); !errors.Is(err, os.ErrDeadlineExceeded) {
				t.Fatalf("through a link that is cut: %v", err)
			}
			d := call(t, r) // taken, and not answered
			if err := d.says(t, "three", notNow); !errors.Is(err, os.ErrDeadlineExceeded) {
				t.Fatalf("through a link that is cut: %v", err)
			}
			r.set(whole)
			if err := errors.Join(c.hears("two", soon), d.hears("three", soon)); err != nil {
				t.Fatal(err)
			}
		})
	}
	t.Run(string(refused), func(t *testing.T) {
		r := linkToEcho(t)
		c := call(t, r)
		if err := c.says(t, "one", soon); err != nil {
			t.Fatal(err)
		}
		r.set(refused)
		if err := c.hears("", soon); err == nil || errors.Is(err, os.ErrDeadlineExceeded) {
			t.Fatalf("a connection that was reset: %v", err)
		}
		if d, err := net.Dial("tcp", r.ln.Addr().String()); err == nil { // or it is reset so soon that dialling fails
			defer d.Close()
			if err := (caller{d, bufio.NewReader(d)}).says(t, "two", soon); err == nil {
				t.Fatal("taken by a link that refuses")
			}
		}
		r.set(whole)
		if err := call(t, r).says(t, "three", soon); err != nil {
			t.Fatal(err)
		}
	})
}

// TestRelaySlows: a slow link is no faster than it should be; how much slower nobody says.
func TestRelaySlows(t *testing.T) {
	r := linkToEcho(t)
	c := call(t, r)
	r.set(slow)
	began := time.Now()
	if err := c.says(t, "one", soon); err != nil {
		t.Fatal(err)
	}
	if took := time.Since(began); took < 2*slowDelay {
		t.Errorf("there and back in %s, less than twice %s", took, slowDelay)
	}
}
