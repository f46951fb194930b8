package policies

import (
	"fmt"
	"syscall"
	"testing"

	"github.com/open-policy-agent/opa/v1/ast"

	"github.com/entente-hub/entente/api/federation"
	"github.com/entente-hub/entente/api/feed"
	"github.com/entente-hub/entente/policies/benchworld"
)

// measured runs f until the benchmark has enough of it. It reports, for each of
// the pairs that f answers for, the time that passed and the processor time that
// went into it, collecting garbage included: on a machine that is shared the
// second says more.
func measured(b *testing.B, pairs int, f func()) {
	b.ReportAllocs()
	before := processorTime(b)
	for b.Loop() {
		f()
	}
	n := float64(b.N) * float64(pairs)
	b.ReportMetric(float64(processorTime(b)-before)/n, "cpu-ns/pair")
	perPair(b, pairs)
}

func perPair(b *testing.B, pairs int) {
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/float64(pairs), "ns/pair")
}

// processorTime returns what the process has used so far, in nanoseconds.
func processorTime(b *testing.B) int64 {
	var r syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &r); err != nil {
		b.Fatal(err)
	}
	return r.Utime.Nano() + r.Stime.Nano()
}

func benchQueries(fw *federation.World) []Query {
	var out []Query
	for _, l := range benchworld.Labels(fw) {
		out = append(out, Query{Originator: benchworld.Originator, Label: l})
	}
	return out
}

// BenchmarkDecide measures decisions on four portions for all members of
// federations of several sizes, with 1,000 agreements and 200 task forces. What
// it compares with is asked a pair at a time, where that ends this day.
func BenchmarkDecide(b *testing.B) {
	ctx, e := b.Context(), mustLoad(b)
	for _, n := range []int{10, 50, 200, 1000} {
		fw := benchworld.New(n, 1000)
		w, queries := mustWorld(b, e, fw), benchQueries(fw)
		pairs := n * len(queries)
		agree(b, w, queries)
		b.Run(fmt.Sprintf("undecided/recipients=%d", n), func(b *testing.B) {
			measured(b, pairs, func() {
				for _, q := range queries {
					if _, err := w.evaluate(ctx, q); err != nil {
						b.Fatal(err)
					}
				}
			})
		})
		b.Run(fmt.Sprintf("known/recipients=%d", n), func(b *testing.B) {
			got := 0
			measured(b, pairs, func() {
				for _, q := range queries {
					a, err := w.Decide(ctx, q)
					if err != nil {
						b.Fatal(err)
					}
					for _, m := range w.members {
						if a.Of(m) == feed.Content {
							got++
						}
					}
				}
			})
		})
		if n <= 50 {
			b.Run(fmt.Sprintf("bare-opa-a-pair/recipients=%d", n), func(b *testing.B) { benchPairs(b, fw, w, queries) })
		}
		if n <= 200 {
			b.Run(fmt.Sprintf("oracle/recipients=%d", n), func(b *testing.B) {
				measured(b, pairs, func() {
					for _, q := range queries {
						for _, m := range w.members[1:] {
							oracle(fw, q.Originator, m, q.Label, q.Alert, q.Sources)
						}
					}
				})
			})
		}
	}
}

// agree checks that what is measured is right, and in all but the smallest worlds
// that it is worth measuring: each label has an audience of its own.
func agree(b *testing.B, w *World, queries []Query) {
	b.Helper()
	seen := make(map[string]bool)
	for _, q := range queries {
		a, err := w.evaluate(b.Context(), q)
		if err != nil {
			b.Fatal(err)
		}
		seen[string(a.Marshal())] = true
		if len(w.members) > 201 {
			continue // the oracle takes minutes
		}
		refused := a.Refused()
		for _, m := range w.members {
			if m == q.Originator {
				continue
			}
			kind, codes := oracle(w.world, q.Originator, m, q.Label, q.Alert, q.Sources)
			if got := codesOf(refused, m); a.Of(m) != kind || fmt.Sprint(got) != fmt.Sprint(codes) {
				b.Fatalf("%s: rules say %s %v, oracle %s %v", m, a.Of(m), got, kind, codes)
			}
		}
	}
	if len(w.members) > 50 && len(seen) != len(queries) {
		b.Fatalf("%d audiences for %d labels", len(seen), len(queries))
	}
}

// benchPairs asks bare OPA once a pair. The questions are parsed beforehand.
func benchPairs(b *testing.B, fw *federation.World, w *World, queries []Query) {
	p := newPairEngine(b, fw)
	var inputs []ast.Value
	for _, q := range queries {
		for _, m := range w.members[1:] {
			inputs = append(inputs, p.input(b, q, m))
		}
	}
	measured(b, len(inputs), func() {
		for _, input := range inputs {
			p.decide(b, input)
		}
	})
}

func BenchmarkWorld(b *testing.B) {
	e := mustLoad(b)
	for _, agreements := range []int{1_000, 20_000} {
		fw := benchworld.New(200, agreements)
		b.Run(fmt.Sprintf("members=201/agreements=%d", agreements), func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				mustWorld(b, e, fw)
			}
		})
		b.Run(fmt.Sprintf("first-use-of-an-originator/agreements=%d", agreements), func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				b.StopTimer()
				w := mustWorld(b, e, fw)
				b.StartTimer()
				w.given(benchworld.Originator)
			}
		})
	}
}

// BenchmarkChange compares two worlds in which one agreement differs, and sorts
// out which of 100,000 labels it can affect.
func BenchmarkChange(b *testing.B) {
	e, old, new := mustLoad(b), benchworld.New(200, 1000), benchworld.New(200, 1000)
	new.Agreements = new.Agreements[:len(new.Agreements)-1]
	b.Run("between", func(b *testing.B) {
		for b.Loop() {
			e.Between(old, new)
		}
	})
	c, queries := e.Between(old, new), benchQueries(old)
	b.Run("affects/labels=100000", func(b *testing.B) {
		for b.Loop() {
			for i := range 100_000 {
				q := &queries[i%len(queries)]
				c.Affects(q.Originator, &q.Label, q.Alert)
			}
		}
	})
}
