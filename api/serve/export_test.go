package serve

import "net"

// Held returns how many buckets are kept.
func Held[K comparable](b *Buckets[K]) int {
	b.mu.Lock()
	defer b.mu.Unlock()
	return len(b.of)
}

// SourceOf is sourceOf, as text.
func SourceOf(a net.Addr) string { return sourceOf(a).String() }

// Owed returns how many bytes of answers a peer has not taken.
func (g *Gate) Owed(peer string) int64 {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.untaken[peer]
}
