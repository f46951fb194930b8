package node_test

import (
	"context"
	"errors"
	"maps"
	"sync"
	"testing"
	"time"

	"github.com/entente-hub/entente/api/feed"
	"github.com/entente-hub/entente/node"
)

// TestPrefetch: whatever is asked for, the answer is the page that follows it; a long page
// has the next fetched, nothing else has, and what went wrong ahead is asked for again.
func TestPrefetch(t *testing.T) {
	const items, size = 100, 32
	var mu sync.Mutex
	asked := make(map[int64]int)
	p := node.NewPrefetcher(func(_ context.Context, after int64, limit int, wait time.Duration) (feed.Page, error) {
		mu.Lock()
		defer mu.Unlock()
		if asked[after]++; after == 2*size && asked[after] == 1 {
			return feed.Page{}, errors.New("away")
		}
		var page feed.Page
		for seq := after + 1; seq <= min(after+int64(min(limit, size)), items); seq++ {
			page.Items = append(page.Items, feed.Item{Seq: seq})
		}
		return page, nil
	})
	expect := func(ctx context.Context, after int64, n int) {
		t.Helper()
		page, err := p.Poll(ctx, after, feed.MaxPage, time.Second)
		if err != nil || len(page.Items) != n || n > 0 && page.Items[0].Seq != after+1 {
			t.Fatalf("after %d: %d items, %v", after, len(page.Items), err)
		}
	}
	expect(ctx, 0, size)
	expect(ctx, 0, size) // the caller could not take it, and stands where it stood
	expect(ctx, size, size)
	expect(ctx, 2*size, size) // failed when it was fetched ahead
	expect(ctx, 3*size, items-3*size)
	expect(ctx, items, 0)
	mu.Lock()
	defer mu.Unlock()
	// What was thrown away may never have been asked for.
	if asked[size] > 1 {
		asked[size]--
	}
	if want := map[int64]int{0: 2, size: 1, 2 * size: 2, 3 * size: 1, items: 1}; !maps.Equal(asked, want) {
		t.Errorf("asked %v, want %v", asked, want)
	}
}
