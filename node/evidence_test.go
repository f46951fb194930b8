package node_test

import (
	"database/sql"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/entente-hub/entente/api/federation"
	"github.com/entente-hub/entente/api/feed"
	"github.com/entente-hub/entente/api/problem"
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
		"content":  `UPDATE inbox SET delivery = CAST(replace(CAST(delivery AS TEXT), 'content', 'existence') AS BLOB)`,
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
	k := h.Node["XB"]
	raw, _ := h.State(federation.TypeNodeKey, &federation.NodeKey{Member: "XB", KeyID: k.Public().KeyID(), Key: h.JWK(k),
		NotBefore: h.Start.Add(-24 * time.Hour).Unix(), NotAfter: h.Start.AddDate(1, 0, 0).Unix(), Revoked: h.Start.Unix()},
		2, digestOfStatement(t, h.Statements[2]), h.Root["XB"])
	h.hub.Do(func() { h.hub.Statements = append(h.hub.Statements, raw) })
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
