package node_test

import (
	"testing"
	"time"

	"github.com/entente-hub/entente/api/feed"
)

// TestClockSetBack: what had ended by the hub's last head does not come back with a clock
// that is set back, whether it was erased yet or not, nor with a start; and it is erased.
func TestClockSetBack(t *testing.T) {
	l := newLife(t, 1)
	l.deliver(feed.Content)
	must(t, l.n.FeedStep(ctx))
	right := l.now.Add(90 * time.Minute)
	l.now = right
	l.Now = func() time.Time { return right }
	l.deliver(feed.Existence)
	must(t, l.n.FeedStep(ctx))
	l.now = right.Add(-time.Hour)
	gone := func() {
		t.Helper()
		if list := l.listed(); len(list) != 2 || len(list[0].Alert.Portions) != 0 || len(list[1].Alert.Portions) != 1 {
			t.Errorf("%+v", list)
		}
	}
	gone()
	l.restart()
	gone()
	l.n.StartedBefore(24 * time.Hour)
	l.sweepAll()
	if list := l.listed(); len(list[0].Purged) != 1 {
		t.Errorf("%+v", list[0])
	}
}
