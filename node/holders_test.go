package node_test

import (
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/entente-hub/entente/api/alert"
	"github.com/entente-hub/entente/api/feed"
	"github.com/entente-hub/entente/api/hubapi"
	"github.com/entente-hub/entente/api/problem"
	"github.com/entente-hub/entente/node"
)

// owner is XB's node at the same hub, which publishes what XA receives.
func (l *life) owner() *node.Node {
	l.t.Helper()
	other := &house{Federation: l.Federation, t: l.t, hub: l.hub, path: l.t.TempDir() + "/owner.db"}
	other.open(func(c *node.Config) {
		c.Member, c.Signer, c.Hub = "XB", l.Node["XB"], l.client("XB")
		c.Now = func() time.Time { return l.now }
	})
	must(l.t, other.n.StatementsStep(ctx))
	return other.n
}

// main is a delivery to XA of an alert of nodetest.Plan's.
func (l *life) main(token string) feed.Delivery {
	l.t.Helper()
	d := l.Notice(token)
	d.Alert = token
	until := min(l.now.Add(time.Hour).Unix(), l.read(token).Expires)
	d.Releases = []feed.Release{{Portion: "main", Kind: feed.Content, Agreements: []string{l.Agreement},
		Obligations: &feed.Obligations{Purposes: []alert.Purpose{"investigation"}, HoldUntil: until}}}
	return d
}

// TestHolders follows what the originator sees of one recipient: told, late, erased.
func TestHolders(t *testing.T) {
	l := newLife(t, 1)
	b := l.owner()
	first, err := b.Publish(ctx, lasting(""))
	must(t, err)
	if _, err := b.Holders(ctx, first.ID); problem.KindOf(err) != problem.NotFound {
		t.Errorf("not accepted yet: %v", err)
	}
	must(t, b.OutboxStep(ctx))
	sees := func(want node.Holder) {
		t.Helper()
		got, err := b.Holders(ctx, first.ID)
		must(t, err)
		want.Member = "XA"
		if d := cmp.Diff([]node.Holder{want}, got.Members, cmpopts.IgnoreFields(node.Holder{}, "At"), cmpopts.IgnoreFields(node.PurgedBy{}, "At")); d != "" {
			t.Error(d)
		}
	}
	l.hub.Hand("XA", l.lasting(first.Token, 60*time.Hour))
	held := []node.HeldVersion{{Version: 1, Portions: []alert.PortionID{"main"}}}
	sees(node.Holder{Version: 1, Told: true, Held: held})
	must(t, l.n.FeedStep(ctx))
	l.send()
	sees(node.Holder{Version: 1, Told: true, Acknowledged: true, Held: held})

	recall, err := b.Recall(ctx, first.ID, wrong)
	must(t, err)
	must(t, b.OutboxStep(ctx))
	sees(node.Holder{Version: 1, Acknowledged: true, Held: held})
	l.now = l.now.Add(node.LateAfter + time.Minute)
	sees(node.Holder{Version: 1, Acknowledged: true, Held: held, Late: true}) // it waits
	l.hub.Hand("XA", l.Notice(recall.Token))
	held[0].Ended = true
	sees(node.Holder{Version: 2, Told: true, Held: held})
	l.now = l.now.Add(node.LateAfter + time.Minute)
	sees(node.Holder{Version: 2, Told: true, Held: held, Late: true})
	must(t, l.n.FeedStep(ctx))
	l.send()
	purged := []node.PurgedBy{{Version: 1, Cause: feed.Recalled, Portions: []alert.PortionID{"main"}}}
	sees(node.Holder{Version: 2, Told: true, Acknowledged: true, Purged: purged})
	if h, err := b.Holders(ctx, first.ID); err != nil || h.Recall == nil || h.Version != 2 {
		t.Errorf("%+v, %v", h, err)
	}
	if _, err := l.n.Holders(ctx, first.ID); problem.KindOf(err) != problem.NotFound {
		t.Errorf("another's: %v", err)
	}
	l.lyingHub(b, first.ID)
}

// lasting is the next version of an alert, and lives for months.
func lasting(id alert.ID) node.Draft {
	d := nextVersion(id)
	d.Plan.ExpiresIn = "2000h"
	return d
}

// lasting is a delivery to XA, to be held for some time.
func (l *life) lasting(token string, d time.Duration) feed.Delivery {
	l.t.Helper()
	out := l.main(token)
	out.Releases[0].Obligations.HoldUntil = min(l.now.Add(d).Unix(), l.read(token).Expires)
	return out
}

// late says whether XA is late with an alert, and of which versions it holds what has ended.
func (l *life) late(b *node.Node, id alert.ID) (late bool, ended []int) {
	l.t.Helper()
	got, err := b.Holders(ctx, id)
	must(l.t, err)
	for _, v := range got.Members[0].Held {
		if v.Ended {
			ended = append(ended, v.Version)
		}
	}
	return got.Members[0].Late, ended
}

// TestLateSinceTheFirstUnfetched: further versions do not give a member more time that has
// fetched none of them.
func TestLateSinceTheFirstUnfetched(t *testing.T) {
	l := newLife(t, 1)
	b := l.owner()
	first, err := b.Publish(ctx, lasting(""))
	must(t, err)
	must(t, b.OutboxStep(ctx))
	l.hub.Hand("XA", l.lasting(first.Token, 60*time.Hour))
	must(t, l.n.FeedStep(ctx))
	for i := range 3 {
		_, err := b.Publish(ctx, lasting(first.ID))
		must(t, err)
		must(t, b.OutboxStep(ctx))
		l.now = l.now.Add(node.LateAfter - time.Minute)
		if late, _ := l.late(b, first.ID); late != (i > 0) {
			t.Errorf("with %d versions unfetched: late %t", i+1, late)
		}
	}
}

// TestLateByTime: who does not say to have erased what time has ended is late a day after:
// the end of its own version, or of a later one that it was handed, whichever is first.
func TestLateByTime(t *testing.T) {
	l := newLife(t, 1)
	b := l.owner()
	first, err := b.Publish(ctx, lasting(""))
	must(t, err)
	must(t, b.OutboxStep(ctx))
	l.hub.Hand("XA", l.lasting(first.Token, 1000*time.Hour))
	second, err := b.Publish(ctx, lasting(first.ID))
	must(t, err)
	must(t, b.OutboxStep(ctx))
	l.hub.Hand("XA", l.lasting(second.Token, 100*time.Hour))
	sees := func(want bool, versions ...int) {
		t.Helper()
		if late, ended := l.late(b, first.ID); late != want || !slices.Equal(ended, versions) {
			t.Errorf("late %t, ended %v, want %t, %v", late, ended, want, versions)
		}
	}
	sees(false)
	l.now = l.now.Add(99 * time.Hour)
	sees(false)
	l.now = l.now.Add(2 * time.Hour)
	sees(false, 1, 2)
	l.now = l.now.Add(node.LateAfter)
	sees(true, 1, 2)
}

// TestHoldersWithoutTheReceipt: a hub that has handed over a version whose receipt was lost
// on its way has told no untruth; the sender asks again.
func TestHoldersWithoutTheReceipt(t *testing.T) {
	l := newLife(t, 1)
	o := l.publish()
	must(t, l.n.OutboxStep(ctx))
	next, err := l.n.Publish(ctx, nextVersion(o.ID))
	must(t, err)
	l.st.failSettle = before
	if err := l.n.OutboxStep(ctx); !errors.Is(err, errInjected) {
		t.Fatal(err)
	}
	l.hub.Hand("XB", l.main(next.Token))
	_, err = l.n.Holders(ctx, o.ID)
	wantKind(t, "before", err, problem.Unavailable)
	must(t, l.n.OutboxStep(ctx))
	if h, err := l.n.Holders(ctx, o.ID); err != nil || h.Version != 2 || len(h.Members) != 1 {
		t.Errorf("%+v, %v", h, err)
	}
}

// lyingHub: what does not verify counts for nothing and is said, and what can not be
// is no answer.
func (l *life) lyingHub(b *node.Node, id alert.ID) {
	for name, c := range map[string]struct {
		change func(r *hubapi.HoldersReport)
		fault  string // in Faults
		held   bool
		refuse string
	}{
		"receipt of another member": {change: func(r *hubapi.HoldersReport) {
			r.Purges[0].Member = "XC"
			r.Holders = append(r.Holders, r.Holders[0])
			r.Holders[2].Member, r.Holders[2].Acknowledgement = "XC", nil
		}, fault: "purge receipt of version 1", held: true},
		"receipt of another version": {change: func(r *hubapi.HoldersReport) { r.Purges[0].Version = 2 }, fault: "something else", held: true},
		"altered receipt": {change: func(r *hubapi.HoldersReport) {
			parts := strings.Split(r.Purges[0].Receipt, ".")
			r.Purges[0].Receipt = parts[0] + "." + parts[1] + "." + strings.Repeat("A", len(parts[2]))
		}, fault: "purge receipt of version 1", held: true},
		"acknowledgement of another item": {change: func(r *hubapi.HoldersReport) { r.Holders[1].Acknowledgement = r.Holders[0].Acknowledgement }, fault: "item 2"},
		"other chain":                     {change: func(r *hubapi.HoldersReport) { r.Holders[1].Chain = feed.ChainStart("XC") }, fault: "item 2"},
		"lost":                            {change: func(r *hubapi.HoldersReport) { r.Purges = r.Purges[:0]; lost := true; r.Holders[0].Lost = &lost }},
		"no receipt":                      {change: func(r *hubapi.HoldersReport) { r.Purges = r.Purges[:0] }, held: true},
		"item twice":                      {change: func(r *hubapi.HoldersReport) { r.Holders = append(r.Holders, r.Holders[0]) }, refuse: "twice"},
		"no such version":                 {change: func(r *hubapi.HoldersReport) { r.Holders[0].Version = 7 }, refuse: "version 7"},
		"no such portion":                 {change: func(r *hubapi.HoldersReport) { r.Holders[0].Releases[0].Portion = "p9" }, refuse: "p9"},
		"itself":                          {change: func(r *hubapi.HoldersReport) { r.Holders[0].Member = "XB" }, refuse: "no other member"},
	} {
		l.t.Run(name, func(t *testing.T) {
			l.hub.Do(func() { l.hub.Held = c.change })
			h, err := b.Holders(ctx, id)
			if c.refuse != "" {
				if problem.KindOf(err) != problem.Internal || !strings.Contains(err.Error(), c.refuse) {
					t.Error(err)
				}
				return
			}
			must(t, err)
			var faults []string
			held := false
			for _, m := range h.Members {
				faults, held = append(faults, m.Faults...), held || len(m.Held) > 0
			}
			if (c.fault != "") != (len(faults) == 1) || c.fault != "" && !strings.Contains(faults[0], c.fault) || held != c.held {
				t.Errorf("%+v", h)
			}
		})
	}
}
