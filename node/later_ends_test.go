package node_test

import (
	"slices"
	"testing"
	"time"

	"github.com/entente-hub/entente/api/alert"
	"github.com/entente-hub/entente/api/feed"
	"github.com/entente-hub/entente/node"
)

// until hands over a version whose content may be held for a time, in hours from now.
func (l *life) until(token string, hours ...int) {
	l.t.Helper()
	kinds := make([]feed.Kind, len(hours))
	for i, h := range hours {
		if kinds[i] = feed.Content; h == 0 {
			kinds[i] = feed.None
		}
	}
	d := l.Deliver(token, kinds...)
	for i, r := range d.Releases {
		var place int
		if r.Portion == "p1" {
			place = 1
		}
		d.Releases[i].Obligations.HoldUntil = l.now.Add(time.Duration(hours[place]) * time.Hour).Unix()
	}
	l.hub.Hand("XA", d)
}

// dueOf is when something of an item is to be erased, as it is stored, in hours from a moment.
func (l *life) dueOf(seq int64, from time.Time) int {
	l.t.Helper()
	items, err := l.st.Deliveries(ctx, seq-1, 1)
	must(l.t, err)
	if items[0].Due == 0 {
		return 0
	}
	return int(time.Unix(items[0].Due, 0).Sub(from) / time.Hour)
}

// shows checks which portions are given of a version.
func (l *life) shows(token string, version int, want ...alert.PortionID) {
	l.t.Helper()
	r, err := l.n.Show(ctx, "XB", l.hubAlert(token), version)
	must(l.t, err)
	var got []alert.PortionID
	for _, p := range r.Alert.Portions {
		got = append(got, p.ID)
	}
	if slices.Sort(got); !slices.Equal(got, want) {
		l.t.Errorf("version %d: %v, want %v", version, got, want)
	}
}

func (l *life) receipted(want ...string) {
	l.t.Helper()
	l.send()
	l.send()
	if got := l.receipts(); !slices.Equal(got, want) {
		l.t.Errorf("%v, want %v", got, want)
	}
}

// TestLaterVersionEndsSooner: what is held of a version ends with what a later one has in
// its place: stored with that, found by the clock after a restart, given to nobody before the
// sweep has come, and still so once the later one is erased.
func TestLaterVersionEndsSooner(t *testing.T) {
	l := newLife(t, 1)
	start := l.now
	first := l.Issue(l.Payload("XB"), 2, l.Node["XB"])
	l.until(first, 20, 5)
	must(t, l.n.FeedStep(ctx))
	second := l.Issue(l.Next(first), 2, l.Node["XB"])
	l.until(second, 2, 10)
	must(t, l.n.FeedStep(ctx))
	if one, two := l.dueOf(1, start), l.dueOf(2, start); one != 2 || two != 2 {
		t.Errorf("due after %d and %d hours", one, two)
	}
	l.shows(first, 1, "p0", "p1")
	l.restart()
	l.now = start.Add(3 * time.Hour)
	l.shows(first, 1, "p1")
	l.shows(second, 2, "p1")
	must(t, l.n.FeedStep(ctx))
	l.sweepAll()
	l.shows(first, 1, "p1")
	l.receipted("1 ended [p0]", "2 ended [p0]")
	if one, two := l.dueOf(1, start), l.dueOf(2, start); one != 5 || two != 10 {
		t.Errorf("due after %d and %d hours", one, two)
	}
	l.until(first, 10, 10) // the hub is late with it: the version after it is erased in part
	must(t, l.n.FeedStep(ctx))
	l.shows(first, 1, "p1")
	if due := l.dueOf(3, start); due != 10 {
		t.Errorf("due after %d hours", due)
	}
	l.now = start.Add(11 * time.Hour)
	must(t, l.n.FeedStep(ctx))
	l.sweepAll()
	l.shows(first, 1)
	l.sweepAll()
	l.receipted("1 ended [p0]", "1 ended [p0]", "1 ended [p1]", "2 ended [p0]", "2 ended [p1]")
}

// TestLaterVersionExpiresSooner: the same where the later version's own time is over, and
// where a recall leaves everything to its time.
func TestLaterVersionExpiresSooner(t *testing.T) {
	for _, recalled := range []bool{false, true} {
		l := newLife(t, 1)
		first := l.Issue(l.Payload("XB"), 1, l.Node["XB"])
		l.until(first, 20)
		p := l.Next(first)
		p.Expires = l.now.Add(time.Hour).Unix()
		second := l.Issue(p, 1, l.Node["XB"])
		l.until(second, 1)
		if recalled {
			l.hub.Hand("XA", l.Notice(l.Recall(second, alert.CeaseUse, l.Node["XB"])))
		}
		must(t, l.n.FeedStep(ctx))
		l.sweepAll()
		l.receipted()
		l.now = l.now.Add(time.Hour)
		must(t, l.n.FeedStep(ctx))
		l.sweepAll()
		l.shows(first, 1)
		l.receipted("1 ended [p0]", "2 ended [p0]")
		if next, err := l.st.NextDue(ctx); err != nil || next != 0 {
			t.Errorf("%d, %v", next, err)
		}
	}
}

// TestLaterVersionHandedAgain: of several deliveries of the later version the one that ends
// last counts, but what has ended by then does not come back with it, swept or not.
func TestLaterVersionHandedAgain(t *testing.T) {
	for hours, want := range map[int][]alert.PortionID{1: {"p0"}, 3: nil} {
		l := newLife(t, 1)
		start := l.now
		first := l.Issue(l.Payload("XB"), 1, l.Node["XB"])
		l.until(first, 20)
		second := l.Issue(l.Next(first), 1, l.Node["XB"])
		l.until(second, 2)
		must(t, l.n.FeedStep(ctx))
		l.now = start.Add(time.Duration(hours) * time.Hour)
		l.until(second, 5)
		must(t, l.n.FeedStep(ctx))
		l.shows(first, 1, want...)
		l.now = start.Add(time.Duration(hours+2) * time.Hour)
		must(t, l.n.FeedStep(ctx))
		l.sweepAll()
		l.shows(first, 1, want...)
		l.shows(second, 2, "p0")
		l.now = start.Add(time.Duration(hours+5) * time.Hour)
		must(t, l.n.FeedStep(ctx))
		l.sweepAll()
		l.shows(first, 1)
		l.receipted("1 ended [p0]", "2 ended [p0]")
	}
}

// TestLaterVersionDamaged: a version that can not be read does not tell what it let stand:
// the one before stays for its own time.
func TestLaterVersionDamaged(t *testing.T) {
	l := newLife(t, 1)
	first := l.Issue(l.Payload("XB"), 1, l.Node["XB"])
	l.until(first, 20)
	l.until(l.Issue(l.Next(first), 1, l.Node["XB"]), 2)
	must(t, l.n.FeedStep(ctx))
	l.damage(2)
	l.now = l.now.Add(3 * time.Hour)
	l.shows(first, 1, "p0")
	must(t, l.n.FeedStep(ctx))
	l.sweepAll()
	l.shows(first, 1, "p0")
	l.receipted()
}

// TestLaterVersionEndsForUsers: a user is not given either what has ended with a later
// version, before the sweep has come.
func TestLaterVersionEndsForUsers(t *testing.T) {
	l := newLife(t, 1)
	must(t, l.st.Close())
	l.open(func(c *node.Config) {
		c.Now, c.Ingress = func() time.Time { return l.now }, &counter{ben: map[alert.PortionID]bool{"p0": true}}
	})
	first := l.Issue(l.Payload("XB"), 1, l.Node["XB"])
	l.until(first, 20)
	l.until(l.Issue(l.Next(first), 1, l.Node["XB"]), 2)
	must(t, l.n.FeedStep(ctx))
	for hours, want := range map[int]int{1: 1, 3: 0} {
		at := l.now
		l.now = at.Add(time.Duration(hours) * time.Hour)
		if r, err := l.n.ShowTo(ctx, ben, "XB", l.hubAlert(first), 1); want > 0 && err != nil || err == nil && len(r.Alert.Portions) != want {
			t.Errorf("after %d hours: %+v, %v", hours, r, err)
		}
		l.now = at
	}
}
