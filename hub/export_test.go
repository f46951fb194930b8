package hub

import "context"

// LookForEnded has the hub look at once for what has ended, as a clock that a test
// moved wakes nobody.
func (h *Hub) LookForEnded() { h.eraser.changed() }

// TrimNow erases what is due of the audit trail now.
func (h *Hub) TrimNow(ctx context.Context) error { return h.trimDue(ctx) }
