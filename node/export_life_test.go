package node

import (
	"context"
	"time"
)

// SweepStep is one turn of the sweep.
func (n *Node) SweepStep(ctx context.Context) (more bool, err error) { return n.sweepStep(ctx) }

// StartedBefore has the node believe that it was started earlier.
func (n *Node) StartedBefore(by time.Duration) { n.started = n.started.Add(-by) }
