package e2e_test

import (
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"testing"
	"time"
)

// buildJetStream builds tools/jetstreambench and returns what runs it: how long each
// message took to reach all subscribers, sorted.
func buildJetStream(b *testing.B) func(b *testing.B, subscribers, messages, size int, every time.Duration) []time.Duration {
	program := filepath.Join(b.TempDir(), "jetstreambench")
	build := exec.CommandContext(b.Context(), "go", "build", "-o", program, ".")
	build.Dir = filepath.Join("..", "tools", "jetstreambench")
	if out, err := build.CombinedOutput(); err != nil {
		b.Fatalf("%v\n%s", err, out)
	}
	return func(b *testing.B, subscribers, messages, size int, every time.Duration) []time.Duration {
		cmd := exec.CommandContext(b.Context(), program, "-subscribers", strconv.Itoa(subscribers),
			"-messages", strconv.Itoa(messages), "-size", strconv.Itoa(size), "-every", every.String())
		cmd.Stderr = os.Stderr
		raw, err := cmd.Output()
		if err != nil {
			b.Fatal(err)
		}
		var said struct{ Milliseconds []float64 }
		if err := json.Unmarshal(raw, &said); err != nil || len(said.Milliseconds) != messages {
			b.Fatalf("%d figures, %v", len(said.Milliseconds), err)
		}
		out := make([]time.Duration, messages)
		for i, ms := range said.Milliseconds {
			out[i] = time.Duration(ms * float64(time.Millisecond))
		}
		return out
	}
}
