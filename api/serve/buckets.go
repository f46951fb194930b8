package serve

import (
	"sync"
	"time"
)

// Rate is how much is let through: Burst at once, PerSecond in the long run.
type Rate struct {
	PerSecond float64
	Burst     int
}

// Buckets holds a token bucket for each key, so that what one uses up is not
// missed by another. A bucket begins full. It is safe for concurrent use.
type Buckets[K comparable] struct {
	rate Rate
	now  func() time.Time

	mu      sync.Mutex
	of      map[K]bucket
	sweepAt int // size of the map at which full buckets are thrown away
}

type bucket struct {
	tokens float64 // below 0: owed
	at     time.Time
}

// sweepLeast is a number of buckets that need not be gone through.
const sweepLeast = 1024

// NewBuckets returns buckets of a rate, which must be positive. now tells the
// time; nil: time.Now.
func NewBuckets[K comparable](rate Rate, now func() time.Time) *Buckets[K] {
	if now == nil {
		now = time.Now
	}
	return &Buckets[K]{rate: rate, now: now, of: make(map[K]bucket), sweepAt: sweepLeast}
}

// Take takes n tokens from a key's bucket and returns 0, or takes none and returns
// for how long to wait until they are there. What is larger than the bucket is
// let through when that is full, and owed.
func (b *Buckets[K]) Take(key K, n int) time.Duration {
	b.mu.Lock()
	defer b.mu.Unlock()
	now := b.now()
	have := b.level(key, now)
	need := float64(min(n, b.rate.Burst))
	if have < need {
		return max(time.Duration((need-have)/b.rate.PerSecond*float64(time.Second)), time.Nanosecond)
	}
	if len(b.of) >= b.sweepAt {
		b.sweep(now)
	}
	b.of[key] = bucket{have - float64(n), now}
	return 0
}

func (b *Buckets[K]) level(key K, now time.Time) float64 {
	k, ok := b.of[key]
	if !ok {
		return float64(b.rate.Burst)
	}
	return min(k.tokens+max(now.Sub(k.at).Seconds(), 0)*b.rate.PerSecond, float64(b.rate.Burst))
}

// sweep forgets full buckets, which are as good as none, so that the map does not
// grow with all who ever came.
func (b *Buckets[K]) sweep(now time.Time) {
	for key := range b.of {
		if b.level(key, now) >= float64(b.rate.Burst) {
			delete(b.of, key)
		}
	}
	b.sweepAt = max(sweepLeast, 2*len(b.of))
}
