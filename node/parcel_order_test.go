package node_test

import (
	"strings"
	"testing"
	"time"

	"github.com/entente-hub/entente/api/alert"
	"github.com/entente-hub/entente/api/feed"
	"github.com/entente-hub/entente/api/problem"
	"github.com/entente-hub/entente/node"
	"github.com/entente-hub/entente/node/nodetest"
	"github.com/entente-hub/entente/trust"
)

// TestNothingRestsOnTheRefused: a courier does not hand over the next version of what the
// hub has refused, and goes on with the others.
func TestNothingRestsOnTheRefused(t *testing.T) {
	h := newOffline(t)
	h.round()
	first := h.publish()
	_, err := h.n.Publish(ctx, node.Draft{Objects: objects(1), Plan: nodetest.Plan(), Supersedes: first.ID})
	must(t, err)
	h.publish()
	calls := 0
	h.hub.Refuse = func(string) error {
		if calls++; calls == 1 {
			return problem.New(problem.NotAdmitted, "no")
		}
		return nil
	}
	answer, trip := h.carry(h.export(), 1)
	if trip.Refused != 1 || trip.Skipped != 1 || trip.Accepted != 1 || calls != 2 {
		t.Errorf("%+v, %d calls", trip, calls)
	}
	if got, err := h.take(answer); err != nil || got.Refused != 2 || got.Accepted != 1 {
		t.Errorf("%+v, %v", got, err)
	}
}

// TestCarriedRecallMakesRoom: as over the wire a recall goes before what the quota keeps out,
// and makes room for it.
func TestCarriedRecallMakesRoom(t *testing.T) {
	h := newOffline(t)
	h.round()
	first := h.publish()
	h.round()
	full := true
	h.hub.Refuse = func(token string) error {
		a, err := trust.ReadAlert(token)
		if err != nil {
			return err
		}
		if full = full && a.Recall == nil; full {
			return problem.New(problem.RateLimited, "the quota of XA at this hub is used up")
		}
		return nil
	}
	h.publish()
	_, err := h.n.Recall(ctx, first.ID, alert.Recall{Mode: alert.Purge, Reason: "it takes up room"})
	must(t, err)
	answer, trip := h.carry(h.export(), 1)
	if trip.Accepted != 2 || trip.Skipped != 0 {
		t.Errorf("%+v", trip)
	}
	if got, err := h.take(answer); err != nil || got.Accepted != 2 {
		t.Errorf("%+v, %v", got, err)
	}
}

// TestOvertakenAnswers: an answer with an older head, or a shorter log, than the node has
// seen in another one since it asked is passed over: no hub has gone back.
func TestOvertakenAnswers(t *testing.T) {
	h := newOffline(t)
	h.round()
	export, now := h.export(), h.Now
	h.Now = func() time.Time { return now().Add(-time.Hour) }
	early, _ := h.carry(export, 1)
	h.Now = now
	first, _ := h.carry(export, 1)
	h.hub.Hand("XB", h.Deliver(h.Issue(h.Payload("XC"), 1, h.Node["XC"]), feed.Existence))
	second, _ := h.carry(export, 1)
	for i, raw := range [][]byte{first, early, second, first, early} {
		if got, err := h.take(raw); err != nil || got != (node.Imported{}) {
			t.Errorf("answer %d: %+v, %v", i, got, err)
		}
	}
	h.noAlarms()
}

// TestParcelsAgainAndAgain: carried twice, taken twice, out of order, an old one: nothing
// is lost, nothing doubled, and no alarm is raised.
func TestParcelsAgainAndAgain(t *testing.T) {
	h := newOffline(t)
	h.round()
	h.publish()
	for range 5 {
		h.deliver(feed.Content)
	}
	out := h.export()
	first, _ := h.carry(out, node.MaxTrip)
	h.deliver(feed.Content)
	second, _ := h.carry(out, node.MaxTrip)
	if got, err := h.take(second); err != nil || got.Items != 6 || got.Accepted != 1 {
		t.Fatalf("%+v, %v", got, err)
	}
	for name, raw := range map[string][]byte{"the one before": first, "the same": second} {
		if got, err := h.take(raw); err != nil || got != (node.Imported{}) {
			t.Errorf("%s: %+v, %v", name, got, err)
		}
	}
	h.holds(6, 6, 6)
	h.deliver(feed.Content)
	third, _ := h.carry(h.export(), node.MaxTrip)
	h.reopenOffline()
	if got, err := h.take(third); err != nil || got.Items != 1 || got.Acks != 6 {
		t.Errorf("%+v, %v", got, err)
	}
	if got, err := h.take(first); err != nil || got != (node.Imported{}) {
		t.Errorf("an old one after a start: %+v, %v", got, err)
	}
	if len(h.hub.Published) != 1 {
		t.Errorf("the hub has %d alerts", len(h.hub.Published))
	}
	h.noAlarms()
}

// TestParcelForOtherPositions: what begins beyond the node is a conflict, what it has
// taken in part already is cut.
func TestParcelForOtherPositions(t *testing.T) {
	h := newOffline(t)
	h.round()
	before := h.export()
	for range feed.MaxPage + 20 {
		h.deliver(feed.Existence)
	}
	short, trip := h.carry(before, 1)
	if !trip.More || trip.Items != feed.MaxPage {
		t.Fatalf("%+v", trip)
	}
	old := h.path
	got, err := h.take(short)
	if must(t, err); !got.Left || got.Items != feed.MaxPage {
		t.Errorf("%+v", got)
	}
	beyond, _ := h.carry(h.export(), 5)

	must(t, h.st.Close()) // another node of the member's, which has less
	h.path = t.TempDir() + "/other.db"
	h.open(noNetwork)
	h.round0(before)
	if _, err := h.take(beyond); problem.KindOf(err) != problem.Conflict || !strings.Contains(err.Error(), "after item 100") {
		t.Errorf("a parcel for a later position: %v", err)
	}
	h.holds(0, 0, 0)

	must(t, h.st.Close())
	h.path = old
	h.open(noNetwork)
	if got, err := h.take(beyond); err != nil || got.Items != 20 {
		t.Errorf("%+v, %v", got, err)
	}
	h.holds(feed.MaxPage+20, feed.MaxPage+20, 20)
	h.noAlarms()
}

// round0 takes the statements of an answer without any page.
func (h *house) round0(export []byte) {
	h.t.Helper()
	answer, _ := h.carry(export, 0)
	_, err := h.take(answer)
	must(h.t, err)
}
