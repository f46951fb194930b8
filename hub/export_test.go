package hub

// LookForEnded has the hub look at once for what has ended, as a clock that a test
// moved wakes nobody.
func (h *Hub) LookForEnded() { h.eraser.changed() }
