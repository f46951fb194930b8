package node

import (
	"context"
	"time"

	"github.com/entente-hub/entente/api/feed"
)

// One turn of each loop, for tests that decide what happens when.
func (n *Node) FeedStep(ctx context.Context) error       { _, err := n.feedStep(ctx); return err }
func (n *Node) OutboxStep(ctx context.Context) error     { _, err := n.outboxStep(ctx); return err }
func (n *Node) AcksStep(ctx context.Context) error       { _, err := n.acksStep(ctx); return err }
func (n *Node) StatementsStep(ctx context.Context) error { _, err := n.statementsStep(ctx); return err }
func (n *Node) DraftsStep(ctx context.Context) error     { _, err := n.draftsStep(ctx); return err }

// Prefetcher asks for pages ahead.
type Prefetcher = prefetcher

// NewPrefetcher returns one that asks with f.
func NewPrefetcher(f func(ctx context.Context, after int64, limit int, wait time.Duration) (feed.Page, error)) *Prefetcher {
	return &prefetcher{poll: f}
}
