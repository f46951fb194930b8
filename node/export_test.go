package node

import "context"

// One turn of each loop, for tests that decide what happens when.
func (n *Node) FeedStep(ctx context.Context) error       { _, err := n.feedStep(ctx); return err }
func (n *Node) OutboxStep(ctx context.Context) error     { _, err := n.outboxStep(ctx); return err }
func (n *Node) AcksStep(ctx context.Context) error       { _, err := n.acksStep(ctx); return err }
func (n *Node) StatementsStep(ctx context.Context) error { _, err := n.statementsStep(ctx); return err }
func (n *Node) DraftsStep(ctx context.Context) error     { _, err := n.draftsStep(ctx); return err }
