package e2e_test

import (
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"
	"time"
)

// process is one part of a federation, which may be killed and started again.
type process struct {
	t    testing.TB
	name string
	args []string
	ops  string // address of /healthz and /readyz
	log  string // file

	command string // as which the test binary is started

	cmd    *exec.Cmd // nil while it is not running
	exited chan struct{}
}

// newProcess returns a process that is not running yet, and is not left running
// when the test ends. Its log is shown if the test has failed.
func newProcess(t testing.TB, dir, name, ops string, args ...string) *process {
	p := &process{t: t, name: name, args: args, ops: ops, log: filepath.Join(dir, name+".log"), command: "entente"}
	t.Cleanup(func() {
		if p.cmd != nil {
			p.kill()
		}
		if t.Failed() {
			t.Logf("the end of the log of %s:\n%s", name, tail(p.log))
		}
	})
	return p
}

func tail(file string) []byte {
	const size = 3000
	raw, err := os.ReadFile(file)
	if err != nil {
		return []byte(err.Error())
	}
	return raw[max(0, len(raw)-size):]
}

// start starts the process and does not wait for it.
func (p *process) start() {
	p.t.Helper()
	log, err := os.OpenFile(p.log, os.O_WRONLY|os.O_APPEND|os.O_CREATE, 0o600)
	if err != nil {
		p.t.Fatal(err)
	}
	defer log.Close() // the child has its own
	p.cmd = exec.Command(p.command, p.args...)
	p.cmd.Stdout, p.cmd.Stderr = log, log
	if err := p.cmd.Start(); err != nil {
		p.t.Fatal(err)
	}
	cmd, exited := p.cmd, make(chan struct{})
	p.exited = exited
	go func() {
		defer close(exited)
		_ = cmd.Wait() // how it ended is asked of ProcessState
	}()
}

// kill ends the process with SIGKILL, which it can neither notice nor prepare for.
func (p *process) kill() {
	p.t.Helper()
	p.end(syscall.SIGKILL)
	if ws, ok := p.cmd.ProcessState.Sys().(syscall.WaitStatus); !ok || ws.Signal() != syscall.SIGKILL {
		p.t.Errorf("%s had ended by itself: %v", p.name, p.cmd.ProcessState)
	}
	p.cmd = nil
}

func (p *process) end(sig os.Signal) {
	p.t.Helper()
	_ = p.cmd.Process.Signal(sig) // if it has ended, its state tells
	select {
	case <-p.exited:
	case <-time.After(2 * time.Minute):
		_ = p.cmd.Process.Kill()
		p.t.Fatalf("%s does not end on %v", p.name, sig)
	}
}

// await waits until a path of the process's operations listener answers 200.
func (p *process) await(path string) {
	p.t.Helper()
	client := http.Client{Timeout: 5 * time.Second}
	defer client.CloseIdleConnections()
	eventually(p.t, 2*time.Minute, p.name+path, func() (bool, string) {
		select {
		case <-p.exited:
			p.t.Fatalf("%s has ended: %v", p.name, p.cmd.ProcessState)
		default:
		}
		resp, err := client.Get("http://" + p.ops + path)
		if err != nil {
			return false, err.Error()
		}
		resp.Body.Close()
		return resp.StatusCode == http.StatusOK, fmt.Sprint(resp.StatusCode)
	})
}
