package postgres

import (
	"sync"

	"github.com/entente-hub/entente/api/alert"
	"github.com/entente-hub/entente/hub/store"
)

// maxNamed is how many recipients a mailbox keeps apart; with more it is
// cheaper to say "anybody".
const maxNamed = 1000

// mailbox merges wake-ups until somebody takes them. It never blocks who puts.
type mailbox struct {
	ready chan struct{} // holds a token while there is something to take

	mu    sync.Mutex
	any   bool // an empty Wake came
	named map[alert.MemberID]bool
	order []alert.MemberID
}

func newMailbox() *mailbox {
	return &mailbox{ready: make(chan struct{}, 1), named: make(map[alert.MemberID]bool)}
}

func (m *mailbox) put(w store.Wake) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.any = m.any || len(w.Recipients) == 0 || len(m.order)+len(w.Recipients) > maxNamed
	for _, r := range w.Recipients {
		if !m.any && !m.named[r] {
			m.named[r] = true
			m.order = append(m.order, r)
		}
	}
	select {
	case m.ready <- struct{}{}:
	default:
	}
}

// take empties the mailbox. It reports false if there was nothing in it.
func (m *mailbox) take() (w store.Wake, ok bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	ok = m.any || len(m.order) > 0
	if !m.any {
		w.Recipients = m.order
	}
	m.any, m.order = false, nil
	clear(m.named)
	return w, ok
}
