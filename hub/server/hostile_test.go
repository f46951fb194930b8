package server_test

import (
	"bufio"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/entente-hub/entente/api/alert"
	"github.com/entente-hub/entente/api/feed"
	"github.com/entente-hub/entente/api/hubapi"
)

// until waits for a condition.
func until(t *testing.T, what string, done func() bool) {
	t.Helper()
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	late := time.After(2 * time.Minute)
	for !done() {
		select {
		case <-tick.C:
		case <-late:
			t.Fatalf("in vain: %s", what)
		}
	}
}

// dial opens a connection as a member.
func (f *federation) dial(m alert.MemberID) *tls.Conn {
	f.Helper()
	c, err := tls.Dial("tcp", f.addr, f.tls(f.certificate(m)))
	if err != nil {
		f.Fatal(err)
	}
	f.Cleanup(func() { _ = c.Close() })
	return c
}

// answered reads one answer.
func (f *federation) answered(c net.Conn) answer {
	f.Helper()
	resp, err := http.ReadResponse(bufio.NewReader(c), nil)
	if err != nil {
		f.Fatal(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		f.Fatal(err)
	}
	return answer{resp.StatusCode, resp.Header, body}
}

// shut waits until the hub has closed a connection, whatever it says before.
func (f *federation) shut(c net.Conn) {
	f.Helper()
	_ = c.SetReadDeadline(time.Now().Add(2 * time.Minute))
	_, err := io.Copy(io.Discard, c)
	var late net.Error
	if errors.As(err, &late) && late.Timeout() {
		f.Error("the hub keeps the connection open")
	}
}

// drip writes a byte now and then until the hub has had enough.
func drip(c net.Conn, text string) {
	tick := time.NewTicker(25 * time.Millisecond)
	defer tick.Stop()
	for i := 0; ; i = (i + 1) % len(text) {
		if _, err := c.Write([]byte{text[i]}); err != nil {
			return
		}
		<-tick.C
	}
}

// slow are the ways in which a client keeps a connection busy with little effort. Each
// returns once the hub has cut it off.
var slow = map[string]func(f *federation){
	"no handshake": func(f *federation) {
		c := f.tcp()
		f.shut(c)
	},
	"half a handshake": func(f *federation) {
		c := f.tcp()
		_, _ = c.Write([]byte{0x16, 0x03, 0x01, 0x02, 0x00, 0x01, 0x00}) // RFC 8446 section 5.1: a record of 512 bytes begins
		f.shut(c)
	},
	"a handshake without an end": func(f *federation) { drip(f.tcp(), "\x16\x03\x01\x40\x00") },
	"closed by half": func(f *federation) {
		c := f.tcp()
		if err := c.(*net.TCPConn).CloseWrite(); err != nil {
			f.Error(err)
		}
		f.shut(c)
	},
	"a certificate, and silence": func(f *federation) { f.shut(f.dial("XC")) },
	"half a line": func(f *federation) {
		c := f.dial("XC")
		_, _ = io.WriteString(c, "GET /v1/fe")
		f.shut(c)
	},
	"a header without an end": func(f *federation) {
		c := f.dial("XC")
		_, _ = io.WriteString(c, "GET /v1/feed?after=0 HTTP/1.1\r\nHost: hub\r\n")
		drip(c, "X-A: b\r\n")
	},
	"a body without an end": func(f *federation) {
		c := f.dial("XC")
		_, _ = io.WriteString(c, "POST /v1/alerts HTTP/1.1\r\nHost: hub\r\nContent-Type: application/json\r\nContent-Length: 1000000\r\n\r\n{")
		drip(c, " ")
	},
	"chunks without an end": func(f *federation) {
		c := f.dial("XC")
		_, _ = io.WriteString(c, "POST /v1/alerts HTTP/1.1\r\nHost: hub\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n")
		drip(c, "1\r\n \r\n")
	},
	"TLS closed by half": func(f *federation) {
		c := f.dial("XC")
		_, _ = io.WriteString(c, "POST /v1/alerts HTTP/1.1\r\nHost: hub\r\nContent-Type: application/json\r\nContent-Length: 1000\r\n\r\n{")
		if err := c.CloseWrite(); err != nil {
			f.Error(err)
		}
		f.shut(c)
	},
	"idle after an answer": func(f *federation) {
		c := f.dial("XC")
		_, _ = io.WriteString(c, "GET /v1/log/checkpoint HTTP/1.1\r\nHost: hub\r\n\r\n")
		if a := f.answered(c); a.status != http.StatusOK {
			f.Errorf("%d %s", a.status, a.body)
		}
		f.shut(c)
	},
	"questions without listening": func(f *federation) {
		c := f.dial("XC")
		_ = c.NetConn().(*net.TCPConn).SetReadBuffer(4 << 10)
		question := strings.Repeat("GET /v1/statements HTTP/1.1\r\nHost: hub\r\n\r\n", 50)
		for {
			_ = c.SetWriteDeadline(time.Now().Add(2 * time.Minute))
			if _, err := io.WriteString(c, question); err != nil {
				var late net.Error
				if errors.As(err, &late) && late.Timeout() {
					f.Error("the hub keeps waiting for the answers to be taken")
				}
				return
			}
		}
	},
}

func (f *federation) tcp() net.Conn {
	f.Helper()
	c, err := net.Dial("tcp", f.addr)
	if err != nil {
		f.Fatal(err)
	}
	f.Cleanup(func() { _ = c.Close() })
	return c
}

// TestSlowClients: vulnerability: what is begun and not finished holds memory and a connection.
// attack: strangers and a member who stop in the middle of a handshake, header, body or answer, or send a byte now
// and then, all at once.
// guarantee: each is cut off in its time; others publish and poll meanwhile as ever; afterwards nothing of it is left.
func TestSlowClients(t *testing.T) {
	f := start(t, func(f *federation) {
		l := &f.cfg.Limits
		l.HandshakeTimeout, l.HeaderTimeout, l.BodyTimeout, l.WriteTimeout, l.IdleTimeout =
			2*time.Second, 2*time.Second, 2*time.Second, 2*time.Second, 2*time.Second
	})
	f.exchange(1)
	f.settled(0)
	before := runtime.NumGoroutine()
	const each = 4
	ctx, stop := context.WithCancel(t.Context())
	var attack sync.WaitGroup
	for _, way := range slow {
		for range each {
			attack.Go(func() { way(f) })
		}
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		attack.Wait()
		stop()
	}()
	rounds := 0
	for ; ctx.Err() == nil || rounds < 5; rounds++ {
		f.exchange(1)
	}
	<-done
	t.Logf("%d exchanges during %d attacks", rounds, each*len(slow))
	f.settled(before)
	if n := f.limited("handshake-failed"); n < 4*each {
		t.Errorf("%v handshakes were cut off, want %d at the least", n, 4*each)
	}
}

// exchange has XA publish and XB fetch it, n times, as nodes do: over the same two
// connections. XB may get other alerts too.
func (f *federation) exchange(n int) {
	f.Helper()
	xa, xb := f.as("XA"), f.as("XB")
	for range n {
		a, token := f.alert("XA", "XB")
		get[hubapi.SignedReceipt](xa, "POST", "/v1/alerts", hubapi.SignedAlert{Alert: token})
		until(f.T, "XB has it", func() bool {
			page := get[feed.Page](xb, "GET", fmt.Sprintf("/v1/feed?after=%d&wait=5", f.fetched), nil)
			f.fetched += len(page.Items)
			v := xb.do("GET", fmt.Sprintf("/v1/alerts/XA/%s/1", a.Subject), nil)
			return v.status == http.StatusOK
		})
	}
}

// settled waits until the hub has no connections any more and the process no more
// goroutines than there were; 0: any number.
func (f *federation) settled(goroutines int) {
	f.Helper()
	for _, t := range f.transports {
		t.CloseIdleConnections()
	}
	until(f.T, "all connections are closed", func() bool { return f.figure("entente_hub_connections") == 0 })
	http.DefaultClient.CloseIdleConnections() // to the figures
	last := 0
	defer func() {
		if f.Failed() {
			f.Logf("%d goroutines, %d before", last, goroutines)
		}
	}()
	until(f.T, "the goroutines have ended", func() bool {
		last = runtime.NumGoroutine()
		return goroutines == 0 || last <= goroutines+3 // the runtime's own come and go
	})
}
