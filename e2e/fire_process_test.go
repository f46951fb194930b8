package e2e_test

import (
	"fmt"
	"net/http"
	"os"
	"sync"
	"syscall"
	"testing"
	"time"
)

// restartAfter is the pause of a service manager before it starts again what has ended.
const restartAfter = 300 * time.Millisecond

// guarded is a process that is started again when it ends by itself, as a service manager
// does it. It may be used by several goroutines.
type guarded struct {
	*process
	clock string // file that says by how much its clock is wrong
	ended func() // told when it has ended by itself

	mu    sync.Mutex // held while it is started or ended
	wants bool       // it should run
}

func newGuarded(t testing.TB, dir, name, ops, clock, kind, config string, ended func()) *guarded {
	g := &guarded{process: newProcess(t, dir, name, ops, clock, kind, config), clock: clock, ended: ended}
	g.command = clockCommand
	t.Cleanup(func() { g.finish(syscall.SIGKILL) })
	return g
}

// begin starts it, unless it runs.
func (g *guarded) begin() {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.wants {
		return
	}
	g.wants = true
	g.run()
}

func (g *guarded) run() {
	g.start()
	exited := g.exited
	go func() {
		<-exited
		g.mu.Lock()
		falls := g.wants && g.exited == exited
		g.mu.Unlock()
		if !falls {
			return
		}
		g.ended()
		<-time.After(restartAfter)
		g.mu.Lock()
		defer g.mu.Unlock()
		if g.wants && g.exited == exited {
			g.run()
		}
	}()
}

// finish ends it with a signal, and it stays so. One that has ended by itself just now is
// not started again.
func (g *guarded) finish(sig os.Signal) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if !g.wants {
		return
	}
	g.wants = false
	g.end(sig)
	g.cmd = nil
}

// ready reports whether a process says that it is ready.
func ready(ops string) (bool, string) {
	client := http.Client{Timeout: 5 * time.Second, Transport: &http.Transport{DisableKeepAlives: true}}
	resp, err := client.Get("http://" + ops + "/readyz")
	if err != nil {
		return false, err.Error()
	}
	resp.Body.Close()
	return resp.StatusCode == http.StatusOK, fmt.Sprint(resp.StatusCode)
}
