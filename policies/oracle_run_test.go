package policies

import (
	"flag"
	"fmt"
	"math/rand/v2"
	"runtime/debug"
	"slices"
	"testing"

	"github.com/entente-hub/entente/api/feed"
)

var worldsFlag = flag.Int("worlds", 40_000, "random worlds in which rules and oracle are compared")

// TestRulesAgreeWithOracle asks about one label in each of many random worlds, for
// every member: go test ./policies -run Oracle -worlds=1000000 -timeout=1h.
func TestRulesAgreeWithOracle(t *testing.T) {
	const workers = 4
	defer debug.SetGCPercent(debug.SetGCPercent(800)) // each world is small and soon garbage
	r, e := newRand(t), mustLoad(t)
	tallies := make([]tally, workers)
	t.Run("worlds", func(t *testing.T) {
		for i := range workers {
			r := rand.New(rand.NewPCG(r.Uint64(), r.Uint64())) // so that one seed makes all of them again
			t.Run(fmt.Sprint(i), func(t *testing.T) {
				t.Parallel()
				tallies[i] = make(tally)
				for range (*worldsFlag + workers - 1) / workers {
					tallies[i].compare(t, r, e)
				}
			})
		}
	})
	seen := make(tally)
	for _, some := range tallies {
		for what, n := range some {
			seen[what] += n
		}
	}
	t.Logf("%v", seen)
	if seen["worlds"] < *worldsFlag {
		t.Errorf("only %d worlds compared", seen["worlds"])
	}
	cases := slices.Concat([]string{string(feed.Content), string(feed.Existence), string(feed.None), "admitted"},
		releaseCases, emergencyCases, markingCases)
	for _, rule := range slices.Concat(e.Rules(), e.AdmissionRules()) {
		cases = append(cases, rule.Code)
	}
	for _, what := range cases {
		if seen[what] < 100 {
			t.Errorf("%q came up %d times only", what, seen[what])
		}
	}
}
