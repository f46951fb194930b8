package serve_test

import (
	"math/rand/v2"
	"testing"
	"time"

	"github.com/entente-hub/entente/api/serve"
)

// clock is a time that moves when it is told to.
type clock struct{ at time.Time }

func (c *clock) now() time.Time { return c.at }

func TestBuckets(t *testing.T) {
	c := &clock{at: time.Unix(1_700_000_000, 0)}
	b := serve.NewBuckets[string](serve.Rate{PerSecond: 2, Burst: 3}, c.now)
	for i, step := range []struct {
		after time.Duration
		key   string
		n     int
		wait  time.Duration
	}{
		{0, "XA", 1, 0},
		{0, "XA", 2, 0},
		{0, "XA", 1, 500 * time.Millisecond},
		{0, "XB", 3, 0}, // another's bucket
		{0, "XA", 3, 1500 * time.Millisecond},
		{250 * time.Millisecond, "XA", 1, 250 * time.Millisecond},
		{250 * time.Millisecond, "XA", 1, 0}, // what was refused took nothing
		{time.Hour, "XA", 3, 0},              // no more than the burst comes together
		{0, "XA", 1, 500 * time.Millisecond},
		{-time.Hour, "XA", 1, 500 * time.Millisecond}, // a clock that goes back gives nothing, and takes nothing
		{2 * time.Hour, "XA", 9, 0},                   // more than the bucket holds: when it is full
		{0, "XA", 1, 3500 * time.Millisecond},         // and owed
		{3500 * time.Millisecond, "XA", 1, 0},
	} {
		c.at = c.at.Add(step.after)
		if got := b.Take(step.key, step.n); got != step.wait {
			t.Errorf("step %d: wait %v, want %v", i, got, step.wait)
		}
	}
}

// However it is asked, a bucket lets through no more than its burst and its rate,
// and what it says of waiting is true.
func TestBucketsLetThroughWhatTheySay(t *testing.T) {
	rnd := rand.New(rand.NewPCG(1, 0))
	for range 200 {
		rate := serve.Rate{PerSecond: 1 + 100*rnd.Float64(), Burst: 1 + rnd.IntN(20)}
		c := &clock{at: time.Unix(1_700_000_000, 0)}
		b := serve.NewBuckets[int](rate, c.now)
		begin, taken := c.at, 0
		for range 100 {
			n := 1 + rnd.IntN(rate.Burst)
			wait := b.Take(0, n)
			if wait > 0 {
				c.at = c.at.Add(wait + time.Microsecond) // floating point
				if again := b.Take(0, n); again != 0 {
					t.Fatalf("%+v: waited for %v, and now %v", rate, wait, again)
				}
			}
			taken += n
			if most := float64(rate.Burst) + rate.PerSecond*c.at.Sub(begin).Seconds() + 0.01; float64(taken) > most {
				t.Fatalf("%+v: %d were let through in %v", rate, taken, c.at.Sub(begin))
			}
			c.at = c.at.Add(time.Duration(rnd.IntN(int(100 * time.Millisecond))))
		}
	}
}

// Who comes once and never again is not remembered for ever.
func TestBucketsForget(t *testing.T) {
	c := &clock{at: time.Unix(1_700_000_000, 0)}
	b := serve.NewBuckets[int](serve.Rate{PerSecond: 1000, Burst: 10}, c.now)
	for i := range 100_000 {
		if b.Take(i, 1) != 0 {
			t.Fatal("a new bucket is not full")
		}
		c.at = c.at.Add(time.Millisecond)
	}
	if n := serve.Held(b); n > 2_100 {
		t.Errorf("%d buckets are kept", n)
	}
}
