package hub

import (
	"context"
	"sync"

	"github.com/entente-hub/entente/api/alert"
	"github.com/entente-hub/entente/hub/store"
)

// waiters wakes long-polls. The zero value is ready.
type waiters struct {
	mu sync.Mutex
	on map[alert.MemberID]chan struct{}
}

// wait returns a channel that closes at the next wake-up of the member. Take it
// before looking for work, so that none is missed.
func (w *waiters) wait(m alert.MemberID) <-chan struct{} {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.on == nil {
		w.on = make(map[alert.MemberID]chan struct{})
	}
	c, ok := w.on[m]
	if !ok {
		c = make(chan struct{})
		w.on[m] = c
	}
	return c
}

func (w *waiters) wake(members []alert.MemberID) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, m := range members {
		if c, ok := w.on[m]; ok {
			close(c)
			delete(w.on, m)
		}
	}
}

func (w *waiters) wakeAll() {
	w.mu.Lock()
	defer w.mu.Unlock()
	for m, c := range w.on {
		close(c)
		delete(w.on, m)
	}
}

// unmoved returns errStale where the feed stands elsewhere by now: what was
// pending when it was read has been handed over to another poll of the member,
// and nothing would wake this one for it.
func (h *Hub) unmoved(ctx context.Context, member alert.MemberID, f store.Feed) error {
	now, err := h.Store.Feed(ctx, member)
	if err != nil {
		return unavailable(err)
	}
	if now.Seq != f.Seq {
		return errStale
	}
	return nil
}

// maxPolls bounds the polls of one member that are answered at once, and so the
// memory that they take together: a node needs one.
const maxPolls = 8

// polls counts those under way. The zero value is ready.
type polls struct {
	mu sync.Mutex
	of map[alert.MemberID]int
}

func (p *polls) enter(m alert.MemberID) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.of == nil {
		p.of = make(map[alert.MemberID]int)
	}
	if p.of[m] >= maxPolls {
		return false
	}
	p.of[m]++
	return true
}

func (p *polls) leave(m alert.MemberID) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.of[m]--
}
