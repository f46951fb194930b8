package node_test

import (
	"database/sql"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/entente-hub/entente/api/feed"
	"github.com/entente-hub/entente/api/problem"
	"github.com/entente-hub/entente/crypto/keys"
	"github.com/entente-hub/entente/node"
	"github.com/entente-hub/entente/node/nodetest"
)

func execute(t *testing.T, path, query string) {
	t.Helper()
	db, err := sql.Open("sqlite", path)
	must(t, err)
	_, err = db.Exec(query)
	must(t, err)
	must(t, db.Close())
}

// TestLog: a log that shrinks, forks or is rewritten is an alarm that stays, and
// nothing of the page is stored.
func TestLog(t *testing.T) {
	for name, c := range map[string]struct {
		hostile func(h *nodetest.Hub)
		want    string
	}{
		"shrunk":    {func(h *nodetest.Hub) { h.Rewrite(2) }, "shrunk"},
		"forked":    {func(h *nodetest.Hub) { h.Rewrite(int(h.Size)) }, "two audit logs"},
		"rewritten": {func(h *nodetest.Hub) { h.Rewrite(int(h.Size) + 5) }, "does not begin with"},
	} {
		t.Run(name, func(t *testing.T) {
			h := newHouse(t)
			h.deliver(feed.Content)
			must(t, h.n.FeedStep(ctx))
			d := h.Deliver(h.Issue(h.Payload("XB"), 1, h.Node["XB"]), feed.Content)
			h.hub.Do(func() {
				h.hub.Feeds["XA"] = append(h.hub.Feeds["XA"], feed.Item{Seq: 2, Digest: d.Digest(), Delivery: &d})
				c.hostile(h.hub)
			})
			for range 2 {
				if err := h.n.FeedStep(ctx); !errors.Is(err, node.ErrPage) || !strings.Contains(err.Error(), c.want) {
					t.Fatalf("%v, want %q", err, c.want)
				}
			}
			if _, err := h.n.Witness(ctx); !errors.Is(err, node.ErrPage) {
				t.Error(err)
			}
			h.holds(1, 1, 1)
			h.reopen()
			s, err := h.n.Status(ctx)
			must(t, err)
			if len(s.Alarms) != 1 || s.Alarms[0].Kind != "log" || len(s.Alarms[0].Evidence) == 0 || !strings.Contains(s.LastError, c.want) {
				t.Errorf("%+v", s)
			}
		})
	}
}

// signedHead returns the head with which the node's position was signed.
func (h *house) signedHead() string {
	h.t.Helper()
	p, err := h.st.Position(ctx)
	must(h.t, err)
	payload, _, err := keys.Verify(p.Head, feed.HeadType, func(string) (keys.PublicKey, error) { return h.HubKey.Public(), nil })
	must(h.t, err)
	head, err := feed.Parse[feed.Head](payload)
	must(h.t, err)
	if head.Seq != p.Seq || head.Chain != p.Chain || head.Checkpoint != string(p.Checkpoint) {
		h.t.Errorf("%+v is not the head of %+v", head, p)
	}
	return p.Head
}

// TestRewrittenFeed: a hub that shows another feed than it has signed, or denies
// it, raises an alarm that is kept with what it has signed. Its log is looked at
// all the same.
func TestRewrittenFeed(t *testing.T) {
	for name, c := range map[string]struct {
		items  int
		want   string
		signed int // heads
	}{
		"rewritten":           {1, "does not fit the feed after item 1", 2},
		"rewritten and grown": {3, "does not fit the feed after item 1", 2},
		"rolled back":         {0, "knows less of this feed than it has signed", 1},
	} {
		for _, shrunk := range []bool{false, true} {
			t.Run(name, func(t *testing.T) {
				h := newHouse(t)
				h.deliver(feed.Content)
				must(t, h.n.FeedStep(ctx))
				old := h.signedHead()
				h.hub.Do(func() { h.hub.Feeds["XA"] = nil })
				for range c.items {
					h.deliver(feed.Content)
				}
				if shrunk {
					h.hub.Do(func() { h.hub.Rewrite(2) })
				}
				for range 2 {
					if err := h.n.FeedStep(ctx); err == nil {
						t.Fatal("taken")
					}
				}
				h.holds(1, 1, 1)
				h.reopen()
				s, err := h.n.Status(ctx)
				must(t, err)
				kinds := make(map[string]int)
				for _, a := range s.Alarms {
					kinds[a.Kind]++
					signed := strings.Split(strings.TrimSpace(string(a.Evidence)), "\n")
					if a.Kind == "feed" && (!strings.Contains(a.Detail, c.want) || len(signed) != c.signed || signed[0] != old || signed[c.signed-1] == "") {
						t.Errorf("%+v", a)
					}
				}
				if kinds["feed"] != 1 || (kinds["log"] == 1) != shrunk {
					t.Errorf("%v", kinds)
				}
			})
		}
	}
}

// TestHubForgot: what the hub says of a position that it denies reaches the status.
func TestHubForgot(t *testing.T) {
	h := newHouse(t)
	h.deliver(feed.Content)
	must(t, h.n.FeedStep(ctx))
	h.hub.Do(func() { h.hub.Feeds["XA"] = nil })
	if err := h.n.FeedStep(ctx); problem.KindOf(err) != problem.CursorUnknown {
		t.Error(err)
	}
	h.holds(1, 1, 1)
}

// TestJunkHidesNothing: however many statements are made up, the alarm of a forked
// log is kept with both checkpoints, and is shown.
func TestJunkHidesNothing(t *testing.T) {
	h := newHouse(t)
	h.deliver(feed.Content)
	must(t, h.n.FeedStep(ctx))
	before, err := h.st.Position(ctx)
	must(t, err)
	h.hub.Do(func() {
		for i := range 250 {
			h.hub.Statements = append(h.hub.Statements, fmt.Appendf(nil, `{"payload":"","signatures":[],"n":%d}`, i))
		}
		h.hub.Rewrite(int(h.hub.Size))
	})
	must(t, h.n.StatementsStep(ctx))
	if _, err := h.n.Witness(ctx); !errors.Is(err, node.ErrPage) {
		t.Error(err)
	}
	must(t, h.n.StatementsStep(ctx))
	forked, err := h.client("XA").Checkpoint(ctx)
	must(t, err)
	s, err := h.n.Status(ctx)
	must(t, err)
	if len(s.Alarms) != 10 || s.Alarms[0].Kind != "log" || string(s.Alarms[0].Evidence) != string(before.Checkpoint)+string(forked) {
		t.Errorf("%+v", s.Alarms)
	}
	if s.RefusedStatements < 250 {
		t.Errorf("%d statements refused", s.RefusedStatements)
	}
}

func TestWitness(t *testing.T) {
	h := newHouse(t)
	h.deliver(feed.Content)
	must(t, h.n.FeedStep(ctx))
	h.hub.Do(func() {})
	h.deliver(feed.Content) // makes the log grow
	c, err := h.n.Witness(ctx)
	must(t, err)
	if c.Size != h.hub.Size || c.Origin != feed.Origin(nodetest.HubID) {
		t.Errorf("%+v", c)
	}
}

// TestTamperedInbox: what was changed in the database does not verify when read.
func TestTamperedInbox(t *testing.T) {
	for name, query := range map[string]string{
		"content":  `UPDATE inbox SET delivery = zeroblob(length(delivery))`,
		"key":      `UPDATE erasable_keys SET key = zeroblob(32)`,
		"other id": `UPDATE inbox SET version = 2`,
		"digest":   `UPDATE inbox SET digest = 'x'`,
	} {
		t.Run(name, func(t *testing.T) {
			h := newHouse(t)
			h.deliver(feed.Content)
			must(t, h.n.FeedStep(ctx))
			must(t, h.st.Close())
			execute(t, h.path, query)
			h.open(nil)
			list, err := h.n.Inbox(ctx, 0, 10)
			must(t, err)
			if len(list) != 1 || list[0].Fault == nil || list[0].Alert.Issuer != "XB" || list[0].Banner != "" || len(list[0].Alert.Portions) != 0 {
				t.Errorf("%+v", list)
			}
			if _, err := h.n.Show(ctx, "XB", list[0].Alert.Subject, list[0].Alert.Version); problem.KindOf(err) != problem.BadSignature {
				t.Error(err)
			}
		})
	}
}

func TestRevokedKey(t *testing.T) {
	h := newHouse(t)
	h.deliver(feed.Content)
	must(t, h.n.FeedStep(ctx))
	h.hub.Do(func() { h.hub.Statements = append(h.hub.Statements, h.revocation()) })
	must(t, h.n.StatementsStep(ctx))
	list, err := h.n.Inbox(ctx, 0, 10)
	must(t, err)
	if list[0].Fault == nil {
		t.Error("an alert by a revoked key verifies")
	}
}

// TestInboxPages: a page is as long as was asked for, or ends early where the
// deliveries are large.
func TestInboxPages(t *testing.T) {
	h := newHouse(t)
	for range 40 {
		h.deliver(feed.Existence)
	}
	must(t, h.n.FeedStep(ctx))
	for _, limit := range []int{0, 1, 15, 16, 17, 40, 100} {
		list, err := h.n.Inbox(ctx, 3, limit)
		must(t, err)
		if len(list) != min(limit, 37) {
			t.Errorf("%d of %d", len(list), limit)
		}
		for i, r := range list {
			if r.Seq != int64(i)+4 {
				t.Errorf("%d in the place of %d", r.Seq, i+4)
			}
		}
	}
}
