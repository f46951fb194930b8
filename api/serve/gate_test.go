package serve_test

import (
	"crypto/tls"
	"errors"
	"io"
	"net"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/entente-hub/entente/api/serve"
	"github.com/entente-hub/entente/crypto/pki"
)

// wide are limits that nothing in a test comes near to.
func wide() serve.GateLimits {
	return serve.GateLimits{Connections: 1000, PerSource: 1000, PerPeer: 1000, Handshakes: 1000,
		NewPerSource: serve.Rate{PerSecond: 1e6, Burst: 1e6}, Handshake: time.Minute, Untaken: 1 << 20}
}

// door is a gate whose connections are held until they are asked for.
type door struct {
	*testing.T
	ca   *pki.CA
	gate *serve.Gate
	in   chan net.Conn

	mu      sync.Mutex
	refused map[serve.Bound]int
}

func newDoor(t *testing.T, limits serve.GateLimits) *door {
	t.Helper()
	ca, err := pki.NewCA("test")
	if err != nil {
		t.Fatal(err)
	}
	d := &door{T: t, ca: ca, in: make(chan net.Conn, 1000), refused: make(map[serve.Bound]int)}
	d.gate = serve.NewGate(listen(t), pki.ServerConfig(d.cert(pki.Hub, "hub"), ca.Pool()), limits,
		func(cs tls.ConnectionState) string {
			id, err := pki.PeerIdentity(cs)
			if err != nil {
				t.Error(err)
			}
			return id.ID
		}, func(b serve.Bound) {
			d.mu.Lock()
			defer d.mu.Unlock()
			d.refused[b]++
		})
	done := make(chan struct{})
	go func() {
		defer close(done)
		for {
			c, err := d.gate.Accept()
			if err != nil {
				if !errors.Is(err, net.ErrClosed) {
					t.Error(err)
				}
				return
			}
			d.in <- c
		}
	}()
	t.Cleanup(func() {
		if err := d.gate.Close(); err != nil && !errors.Is(err, net.ErrClosed) {
			t.Error(err)
		}
		<-done
	})
	return d
}

func (d *door) cert(kind pki.Kind, id string) tls.Certificate {
	d.Helper()
	c, err := d.ca.IssuePair(pki.Request{Identity: pki.Identity{Kind: kind, ID: id}, DNSNames: []string{"localhost"}, Validity: pki.ValidFor(time.Hour)})
	if err != nil {
		d.Fatal(err)
	}
	return c
}

// raw connects and does nothing.
func (d *door) raw() net.Conn {
	d.Helper()
	c, err := net.Dial("tcp", d.gate.Addr().String())
	if err != nil {
		d.Fatal(err)
	}
	d.Cleanup(func() { _ = c.Close() })
	return c
}

// try connects as a member. The error may be that of the first read: in TLS 1.3 a
// client learns only then that it was turned away.
func (d *door) try(member string) (*tls.Conn, error) {
	d.Helper()
	conf := pki.ClientConfig(d.cert(pki.Member, member), d.ca.Pool(), pki.Identity{Kind: pki.Hub, ID: "hub"})
	conf.ServerName = "localhost"
	c := tls.Client(d.raw(), conf)
	if err := c.Handshake(); err != nil {
		return nil, err
	}
	return c, nil
}

// enter connects as a member and returns both ends.
func (d *door) enter(member string) (client *tls.Conn, server net.Conn) {
	d.Helper()
	client, err := d.try(member)
	if err != nil {
		d.Fatal(err)
	}
	select {
	case server = <-d.in:
	case <-time.After(time.Minute):
		d.Fatal("a connection does not get through")
	}
	return client, server
}

// shut waits until the other side has closed c.
func (d *door) shut(c net.Conn) {
	d.Helper()
	_ = c.SetReadDeadline(time.Now().Add(time.Minute))
	_, err := io.Copy(io.Discard, c)
	var late net.Error
	if errors.As(err, &late) && late.Timeout() {
		d.Fatal("the connection stays open")
	}
}

func (d *door) count(b serve.Bound) int {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.refused[b]
}

// until waits for a condition.
func until(t *testing.T, what string, done func() bool) {
	t.Helper()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	late := time.After(time.Minute)
	for !done() {
		select {
		case <-tick.C:
		case <-late:
			t.Fatalf("in vain: %s", what)
		}
	}
}

// TestGateHandshakes: vulnerability: a handshake that is never finished holds a connection, and what serves it.
// attack: strangers who say nothing, break off, close their half, send a byte now and then, or talk of something else.
// guarantee: they are cut off in time and never reach who serves; members get through meanwhile.
func TestGateHandshakes(t *testing.T) {
	limits := wide()
	limits.Handshake = 300 * time.Millisecond
	d := newDoor(t, limits)
	hello := clientHello(t)
	attacks := []func(net.Conn){
		func(net.Conn) {},
		func(c net.Conn) { _, _ = c.Write(hello[:len(hello)/2]) },
		func(c net.Conn) { _, _ = c.Write(hello[:len(hello)/2]); _ = c.(*net.TCPConn).CloseWrite() },
		func(c net.Conn) { _, _ = c.Write(hello) }, // and never the rest
		func(c net.Conn) { _, _ = c.Write(hello); _ = c.(*net.TCPConn).CloseWrite() },
		func(c net.Conn) { _, _ = io.WriteString(c, "GET / HTTP/1.1\r\n\r\n") },
		func(c net.Conn) {
			tick := time.NewTicker(20 * time.Millisecond)
			defer tick.Stop()
			for _, b := range hello {
				if _, err := c.Write([]byte{b}); err != nil {
					return // cut off
				}
				<-tick.C
			}
		},
	}
	const rounds = 3
	var all sync.WaitGroup
	for range rounds {
		for _, attack := range attacks {
			c := d.raw()
			all.Go(func() {
				attack(c)
				d.shut(c)
			})
		}
	}
	for range 5 {
		client, server := d.enter("XA")
		_ = client.Close()
		_ = server.Close()
	}
	all.Wait()
	until(t, "all are counted out", func() bool { return d.gate.Open() == 0 })
	if n := d.count(serve.BoundHandshakeFailed); n != rounds*len(attacks) {
		t.Errorf("%d handshakes failed, want %d", n, rounds*len(attacks))
	}
	if len(d.in) > 0 {
		t.Error("one of them got through")
	}
}

// clientHello is how a handshake begins.
func clientHello(t *testing.T) []byte {
	t.Helper()
	here, there := net.Pipe()
	go func() {
		_ = tls.Client(here, &tls.Config{ServerName: "localhost", MinVersion: tls.VersionTLS13}).Handshake() // never answered
	}()
	defer here.Close()
	buf := make([]byte, 16<<10)
	n, err := there.Read(buf)
	if err != nil {
		t.Fatal(err)
	}
	return buf[:n]
}

// Each bound turns away what is over it and nothing else, without an answer, and
// makes room again.
func TestGateBounds(t *testing.T) {
	for name, c := range map[string]struct {
		change func(*serve.GateLimits)
		bound  serve.Bound
		other  bool // whether another member gets in when one is over the bound
		again  bool // whether a connection that ends makes room
	}{
		"of all":     {func(l *serve.GateLimits) { l.Connections = 2 }, serve.BoundConnections, false, true},
		"per source": {func(l *serve.GateLimits) { l.PerSource = 2 }, serve.BoundPerSource, false, true},
		"per peer":   {func(l *serve.GateLimits) { l.PerPeer = 2 }, serve.BoundPerPeer, true, true},
		"new ones": {func(l *serve.GateLimits) { l.NewPerSource = serve.Rate{PerSecond: 1e-6, Burst: 2} },
			serve.BoundNewPerSource, false, false},
	} {
		t.Run(name, func(t *testing.T) {
			limits := wide()
			c.change(&limits)
			d := newDoor(t, limits)
			client, server := d.enter("XA")
			d.enter("XA")
			if third, err := d.try("XA"); err == nil {
				d.shut(third)
			}
			until(t, "one is turned away", func() bool { return d.count(c.bound) == 1 })
			if c.other {
				d.enter("XB")
			}
			_ = client.Close()
			_ = server.Close()
			_ = server.Close() // counts once
			if c.again {
				d.enter("XA")
				if fourth, err := d.try("XA"); err == nil {
					d.shut(fourth)
				}
				until(t, "one more is turned away", func() bool { return d.count(c.bound) == 2 })
			}
		})
	}
}

// TestGateFullOfHandshakes: strangers who fill all places for handshakes lose theirs to
// whoever comes, oldest first, and members come and go.
func TestGateFullOfHandshakes(t *testing.T) {
	limits := wide()
	limits.Handshakes = 3
	d := newDoor(t, limits)
	var strangers []net.Conn
	for i := range 9 {
		strangers = append(strangers, d.raw())
		until(t, "it is let in", func() bool { return d.gate.Open() == min(i+1, 3) })
		until(t, "the oldest is cut off", func() bool { return d.count(serve.BoundHandshakes) == max(i-2, 0) })
	}
	client, server := d.enter("XA")
	for _, c := range strangers[:7] { // the seventh by the member
		d.shut(c)
	}
	if d.count(serve.BoundHandshakeFailed) > 0 {
		t.Error("one that was cut off is counted twice")
	}
	_ = client.Close()
	_ = server.Close()
	until(t, "two are left", func() bool { return d.gate.Open() == 2 })
}

// A gate that is closed cuts off handshakes; what was let through goes on.
func TestGateClose(t *testing.T) {
	d := newDoor(t, wide())
	stranger := d.raw()
	client, server := d.enter("XA")
	if err := d.gate.Close(); err != nil {
		t.Fatal(err)
	}
	d.shut(stranger)
	go func() { _, _ = server.Write([]byte("x")) }()
	if _, err := io.ReadFull(client, make([]byte, 1)); err != nil {
		t.Errorf("who was inside was cut off: %v", err)
	}
	if _, err := d.gate.Accept(); !errors.Is(err, net.ErrClosed) {
		t.Errorf("Accept: %v", err)
	}
	_ = server.Close()
	until(t, "nothing is left", func() bool { return d.gate.Open() == 0 })
}

// exhausted is a listener of a process that has run out of descriptors for a while.
type exhausted struct {
	net.Listener
	times int
	then  error
}

func (e *exhausted) Accept() (net.Conn, error) {
	if e.times > 0 {
		e.times--
		return nil, &net.OpError{Op: "accept", Err: syscall.EMFILE}
	}
	if e.then != nil {
		return nil, e.then
	}
	return e.Listener.Accept()
}

func TestGateOutlivesExhaustion(t *testing.T) {
	ln := &exhausted{Listener: listen(t), times: 3}
	refused := make(chan serve.Bound, 1)
	limits := wide()
	limits.Handshake = time.Millisecond
	g := serve.NewGate(ln, &tls.Config{}, limits, nil, func(b serve.Bound) { refused <- b })
	c, err := net.Dial("tcp", g.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if b := <-refused; b != serve.BoundHandshakeFailed {
		t.Errorf("%s", b)
	}
	if err := g.Close(); err != nil {
		t.Error(err)
	}
	broken := errors.New("broken")
	g = serve.NewGate(&exhausted{Listener: listen(t), then: broken}, &tls.Config{}, limits, nil, nil)
	for range 2 {
		if _, err := g.Accept(); !errors.Is(err, broken) {
			t.Errorf("a listener that is broken for good: %v", err)
		}
	}
	if err := g.Close(); err != nil {
		t.Error(err)
	}
}

func TestSources(t *testing.T) {
	for addr, want := range map[string]string{
		"192.0.2.1:1":         "192.0.2.1/32",
		"[::ffff:192.0.2.1]:": "192.0.2.1/32",
		"[2001:db8::1]:1":     "2001:db8::/64",
		"[2001:db8::2]:9":     "2001:db8::/64",
		"[2001:db8:0:1::2]:9": "2001:db8:0:1::/64",
		"[fe80::1%eth0]:9":    "fe80::/64",
	} {
		a, err := net.ResolveTCPAddr("tcp", addr)
		if err != nil {
			t.Fatal(err)
		}
		if got := serve.SourceOf(a); got != want {
			t.Errorf("%s counts for %s, want %s", addr, got, want)
		}
	}
	if got := serve.SourceOf(&net.UnixAddr{}); got != "invalid Prefix" {
		t.Errorf("no address counts for %s", got)
	}
}
