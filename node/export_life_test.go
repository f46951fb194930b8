package node

import "context"

// SweepStep is one turn of the sweep.
func (n *Node) SweepStep(ctx context.Context) (more bool, err error) { return n.sweepStep(ctx) }
