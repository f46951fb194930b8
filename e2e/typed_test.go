package e2e_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"strings"
	"syscall"
	"time"

	"github.com/rogpeppe/go-internal/testscript"
	"go.yaml.in/yaml/v3"
)

// unready CONFIG TEXT: waits until the part with that configuration is not ready for
// a reason that has the text in it. That it should be ready meanwhile is a failure.
func cmdUnready(ts *testscript.TestScript, args []string) {
	var cfg struct {
		Ops string `yaml:"ops_listen"`
	}
	ts.Check(yaml.Unmarshal([]byte(ts.ReadFile(args[0])), &cfg))
	client := http.Client{Timeout: 5 * time.Second}
	defer client.CloseIdleConnections()
	poll(ts, args[0]+" does not say that it lacks "+args[1], func(context.Context) error {
		resp, err := client.Get("http://" + cfg.Ops + "/readyz")
		if err != nil {
			return err
		}
		defer resp.Body.Close()
		body, err := io.ReadAll(resp.Body)
		if err != nil {
			return err
		}
		if resp.StatusCode != http.StatusServiceUnavailable {
			ts.Fatalf("%s: %s", resp.Status, body)
		}
		if !strings.Contains(string(body), args[1]) {
			return errors.New(string(body))
		}
		return nil
	})
}

// hup: sends SIGHUP to the one process in the background.
func cmdHup(ts *testscript.TestScript, _ []string) {
	running := ts.BackgroundCmds()
	if len(running) != 1 {
		ts.Fatalf("%d processes in the background, not one", len(running))
	}
	ts.Check(running[0].Process.Signal(syscall.SIGHUP))
}

// says FILE TEXT: waits until a file has a text in it.
func cmdSays(ts *testscript.TestScript, args []string) {
	poll(ts, args[0]+" does not say "+args[1], func(context.Context) error {
		raw, err := os.ReadFile(ts.MkAbs(args[0]))
		if err == nil && !strings.Contains(string(raw), args[1]) {
			err = errors.New(string(raw))
		}
		return err
	})
}

// type FILE COMMAND: runs the one line of a file that begins with entente and that
// command, as a person would who copies it from there.
func cmdType(ts *testscript.TestScript, args []string) {
	want := append([]string{"entente"}, args[1:]...)
	var found [][]string
	for line := range strings.Lines(ts.ReadFile(args[0])) {
		words := strings.Fields(line)
		if len(words) > len(want) && fmt.Sprint(words[:len(want)]) == fmt.Sprint(want) {
			found = append(found, words)
		}
	}
	if len(found) != 1 {
		ts.Fatalf("%d lines begin with %v, not one", len(found), want)
	}
	ts.Check(ts.Exec(found[0][0], found[0][1:]...))
}
