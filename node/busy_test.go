package node_test

import (
	"context"
	"testing"
	"time"

	"github.com/entente-hub/entente/api/problem"
	"github.com/entente-hub/entente/node"
)

// answering is a hub that answers everybody who asks for statements alike.
type answering struct {
	node.Hub
	with error
}

func (h answering) Statements(context.Context, int64, int) ([]node.PlacedStatement, error) {
	return nil, h.with
}

// TestAsOfBefore: a hub that is away, or has no time for this member, keeps nobody from
// reading what the node knows; any other answer does.
func TestAsOfBefore(t *testing.T) {
	for kind, ok := range map[problem.Kind]bool{problem.Unavailable: true, problem.RateLimited: true, problem.Internal: false, problem.Forbidden: false} {
		h := newHouse(t)
		h.reopenAs(func(c *node.Config) {
			c.Hub = answering{h.client("XA"), &problem.Error{Kind: kind, RetryAfter: time.Minute}}
		})
		if _, err := h.n.Agreements(ctx); (err == nil) != ok {
			t.Errorf("%s: %v", kind, err)
		}
	}
}
