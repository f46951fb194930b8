package hub_test

import (
	"fmt"
	"os"
	"regexp"
	"runtime"
	"runtime/debug"
	"strconv"
	"testing"
	"time"
)

// BenchmarkMemory measures what a hub on SQLite holds in memory where so many alerts
// are live, under 2,000 labels: after it has done everything that goes through all of
// them, which is to decide again after a suspension, and has published 500 more and
// handed over a few hundred. heap-MB is what is reachable then, peak-MB the most that
// the Go heap had at any moment, rss-MB what the process has, the test and its
// signing keys with it. Filling the database counts in none of them.
//
//	go test -run '^$' -bench Memory -benchtime 1x -timeout 60m ./hub
func BenchmarkMemory(b *testing.B) {
	for _, live := range []int{10_000, 100_000, 1_000_000} {
		b.Run(fmt.Sprintf("live=%d", live), func(b *testing.B) {
			w := worldOn(b, openSQLite(b))
			for range 300 {
				w.publish("XA", w.fat())
			}
			w.fill(live)
			for b.Loop() {
				debug.FreeOSMemory()
				b.ReportMetric(residentMB(b), "before-rss-MB")
				stop := peakHeap()
				b.ReportMetric(w.timed(w.suspension(true)), "s/pass")
				w.timed(w.suspension(false))
				for range 500 {
					w.publish("XC", w.fatBy("XC"))
				}
				handed := int64(0)
				for handed < 200 {
					page := w.poll("XB", handed)
					handed += int64(len(page.Items))
				}
				b.ReportMetric(stop(), "peak-MB")
				debug.FreeOSMemory()
				var m runtime.MemStats
				runtime.ReadMemStats(&m)
				b.ReportMetric(float64(m.HeapAlloc)/(1<<20), "heap-MB")
				b.ReportMetric(residentMB(b), "rss-MB")
				b.ReportMetric(0, "ns/op")
			}
		})
	}
}

// peakHeap looks at the size of the heap until it is told to stop, and returns the
// largest in MiB.
func peakHeap() (stop func() float64) {
	done, most := make(chan struct{}), make(chan float64)
	go func() {
		tick := time.NewTicker(5 * time.Millisecond)
		defer tick.Stop()
		var m runtime.MemStats
		peak := uint64(0)
		for {
			runtime.ReadMemStats(&m)
			peak = max(peak, m.HeapAlloc)
			select {
			case <-tick.C:
			case <-done:
				most <- float64(peak) / (1 << 20)
				return
			}
		}
	}()
	return func() float64 { close(done); return <-most }
}

var vmRSS = regexp.MustCompile(`(?m)^VmRSS:\s+(\d+) kB$`)

// residentMB is the process's resident set in MiB, where the system tells it.
func residentMB(b *testing.B) float64 {
	raw, err := os.ReadFile("/proc/self/status")
	if err != nil {
		b.Skip("the system does not tell: ", err)
	}
	found := vmRSS.FindSubmatch(raw)
	if found == nil {
		b.Fatalf("no VmRSS in\n%s", raw)
	}
	kB, err := strconv.ParseFloat(string(found[1]), 64)
	if err != nil {
		b.Fatal(err)
	}
	return kB / 1024
}
