package node_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/entente-hub/entente/api/alert"
	"github.com/entente-hub/entente/api/feed"
	"github.com/entente-hub/entente/node"
)

// damage makes a delivery that is stored unreadable.
func (h *house) damage(seq int) {
	h.t.Helper()
	execute(h.t, h.path, fmt.Sprintf(`UPDATE inbox SET delivery = zeroblob(length(delivery)) WHERE seq = %d`, seq))
}

// damaged checks that there is one alarm, about an item that can not be read.
func (h *house) damaged(seq int) {
	h.t.Helper()
	s, err := h.n.Status(ctx)
	must(h.t, err)
	if len(s.Alarms) != 1 || !strings.Contains(s.Alarms[0].Detail, fmt.Sprintf("item %d of the inbox is damaged", seq)) {
		h.t.Errorf("%+v", s.Alarms)
	}
}

// listed reads the inbox as one list.
func (h *house) listed() []node.Received {
	h.t.Helper()
	list, err := h.n.Inbox(ctx, 0, 10)
	must(h.t, err)
	return list
}

// TestDamageHoldsUpNothing: the recall of an alert that can not be read here any more is
// taken, and so is all that comes behind it. No receipt says that the former was erased.
func TestDamageHoldsUpNothing(t *testing.T) {
	h := newHouse(t)
	var tokens []string
	for range 2 {
		tokens = append(tokens, h.Issue(h.Payload("XB"), 1, h.Node["XB"]))
	}
	for _, token := range tokens {
		h.again(token, feed.Content)
	}
	must(t, h.n.FeedStep(ctx))
	h.damage(1)
	for _, token := range tokens {
		h.hub.Hand("XA", h.Notice(h.Recall(token, alert.Purge, h.Node["XB"])))
	}
	must(t, h.n.FeedStep(ctx))
	h.holds(4, 4, 4)
	h.send()
	if len(h.hub.Purges) != 1 || !slices.Equal(h.receipts(), []string{"1 recalled [p0]"}) {
		t.Error(h.receipts())
	}
	h.damaged(1)
	list := h.listed()
	if len(list) != 4 || list[0].Fault == nil || list[1].Fault != nil || len(list[0].Alert.Portions)+len(list[1].Alert.Portions) != 0 {
		t.Errorf("%+v", list)
	}
}

// TestDamageOfOneVersion: a delivery that can not be read keeps nothing else of its alert
// from being erased.
func TestDamageOfOneVersion(t *testing.T) {
	l := newLife(t, 1)
	first := l.Issue(l.Payload("XB"), 1, l.Node["XB"])
	l.again(first, feed.Content)
	l.again(l.Issue(l.Next(first), 1, l.Node["XB"]), feed.Content)
	must(t, l.n.FeedStep(ctx))
	l.damage(1)
	l.now = l.now.Add(2 * time.Hour)
	must(t, l.n.FeedStep(ctx))
	l.sweepAll()
	l.send()
	l.send()
	if got := l.receipts(); !slices.Equal(got, []string{"2 ended [p0]"}) {
		t.Error(got)
	}
	l.damaged(1)
}

// TestDamagedRecall: a recall that can not be read any more is one still. Nothing of its
// alert is given, nor kept where it comes late.
func TestDamagedRecall(t *testing.T) {
	h := newHouse(t)
	first := h.Issue(h.Payload("XB"), 1, h.Node["XB"])
	h.again(first, feed.Content)
	h.hub.Hand("XA", h.Notice(h.Recall(first, alert.Purge, h.Node["XB"])))
	must(t, h.n.FeedStep(ctx))
	h.damage(2)
	h.again(first, feed.Content)
	must(t, h.n.FeedStep(ctx))
	list := h.listed()
	if len(list) != 2 || list[0].Fault == nil || list[1].Recall == nil || list[1].Recall.Mode != alert.Purge || len(list[1].Alert.Portions) != 0 {
		t.Errorf("%+v", list)
	}
	h.damaged(2)
	h.send()
	if got := h.receipts(); !slices.Equal(got, []string{"1 recalled [p0]", "1 recalled [p0]"}) {
		t.Error(got)
	}
}
