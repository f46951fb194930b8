package node

import (
	"context"
	"time"

	"github.com/entente-hub/entente/api/feed"
)

// poll asks for a page of the feed, as Hub.Poll does.
type poll func(ctx context.Context, after int64, limit int, wait time.Duration) (feed.Page, error)

// longPage is of how many items a page is behind which more is likely to wait.
const longPage = 16

// prefetcher fetches the next page while the caller is busy with one. So a node that
// was away for long and its hub work at the same time. It holds one page at most, which
// is not older than the time that the one before it takes to be verified and stored; what
// does not follow where the caller stands by then is thrown away, and asked for again. It
// is for one goroutine.
type prefetcher struct {
	poll poll
	next *fetching // nil: nothing is under way
}

// fetching is a page that is on its way.
type fetching struct {
	after  int64
	page   feed.Page
	err    error
	done   chan struct{}
	cancel context.CancelFunc
}

// Poll is poll, but may have the answer already.
func (p *prefetcher) Poll(ctx context.Context, after int64, limit int, wait time.Duration) (page feed.Page, err error) {
	page, ok := p.fetched(ctx, after)
	if !ok {
		if page, err = p.poll(ctx, after, limit, wait); err != nil {
			return page, err
		}
	}
	if n := len(page.Items); n >= longPage {
		p.fetch(ctx, page.Items[n-1].Seq, limit)
	}
	return page, nil
}

// fetched returns the page that was fetched ahead, if it is the one that is asked for
// and there is something on it.
func (p *prefetcher) fetched(ctx context.Context, after int64) (feed.Page, bool) {
	f := p.next
	if p.next = nil; f == nil {
		return feed.Page{}, false
	}
	defer f.cancel()
	if f.after != after {
		return feed.Page{}, false
	}
	select {
	case <-f.done:
		return f.page, f.err == nil && len(f.page.Items) > 0
	case <-ctx.Done():
		return feed.Page{}, false
	}
}

func (p *prefetcher) fetch(ctx context.Context, after int64, limit int) {
	ctx, cancel := context.WithCancel(ctx)
	f := &fetching{after: after, done: make(chan struct{}), cancel: cancel}
	go func() {
		defer close(f.done)
		f.page, f.err = p.poll(ctx, after, limit, 0)
	}()
	p.next = f
}
