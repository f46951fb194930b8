package node_test

import (
	"context"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/entente-hub/entente/api/alert"
	"github.com/entente-hub/entente/api/federation"
	"github.com/entente-hub/entente/api/problem"
	"github.com/entente-hub/entente/crypto/keys"
	"github.com/entente-hub/entente/node"
)

// denier is a hub that takes statements and does not show them, or does not say that it
// took them.
type denier struct {
	node.Hub
	hide   int64 // positions from here on are not shown; 0: none is hidden
	answer error // to a statement that was sent
	take   bool  // whether it is taken in spite of that answer
	sent   [][]byte
}

func (d *denier) Statements(ctx context.Context, after int64, limit int) ([]node.PlacedStatement, error) {
	list, err := d.Hub.Statements(ctx, after, limit)
	for i, s := range list {
		if d.hide > 0 && s.Position >= d.hide {
			return list[:i], err
		}
	}
	return list, err
}

func (d *denier) SubmitStatement(ctx context.Context, raw []byte) error {
	d.sent = append(d.sent, raw)
	if d.answer == nil || d.take {
		if err := d.Hub.SubmitStatement(ctx, raw); err != nil {
			return err
		}
	}
	return d.answer
}

// denied is a house at such a hub.
func denied(t *testing.T) (*house, *denier) {
	t.Helper()
	h := newHouse(t)
	d := new(denier)
	h.deniedBy(d)
	return h, d
}

// deniedBy starts the node anew.
func (h *house) deniedBy(d *denier) {
	h.t.Helper()
	must(h.t, h.st.Close())
	h.open(func(c *node.Config) { c.Hub, d.Hub = d, c.Hub })
}

func (h *house) consents(revision int64, want ...alert.Audience) {
	h.t.Helper()
	list, err := h.n.Consents(ctx)
	must(h.t, err)
	if len(list) != 1 || list[0].Revision != revision || cmp.Diff(want, list[0].Recipients) != "" {
		h.t.Errorf("%+v, want %v in revision %d", list, want, revision)
	}
}

// TestHiddenStatements: vulnerability: a node that knows of its own statements only what
// the hub shows. Attack: a hub that takes them and hides them, so that the node denies
// them and signs a second revision 1. Guarantee: what the hub took is known, also after a
// restart.
func TestHiddenStatements(t *testing.T) {
	h, d := denied(t)
	d.hide = int64(len(h.hub.Statements)) + 1
	id := h.publish().ID
	_, err := h.n.GiveConsent(ctx, id, []alert.Audience{"XB"})
	must(t, err)
	h.consents(1, "XB")
	h.deniedBy(d)
	h.consents(1, "XB")
	_, err = h.n.GiveConsent(ctx, id, []alert.Audience{"XC"})
	must(t, err)
	h.consents(2, "XB", "XC")
	must(t, h.n.Suspend(ctx, "smuggling-ab", ""))
	list, err := h.n.Agreements(ctx)
	must(t, err)
	if len(list[0].Suspended) != 1 || len(d.sent) != 3 {
		t.Errorf("%+v, %d sent", list, len(d.sent))
	}
	d.hide = 0
	must(t, h.n.StatementsStep(ctx))
	h.consents(2, "XB", "XC")
}

// TestUnansweredStatements: while it is not known whether the hub has taken a statement
// nothing else is signed in its place; the same bytes are sent again until it is.
func TestUnansweredStatements(t *testing.T) {
	for name, take := range map[string]bool{"taken": true, "not taken": false} {
		t.Run(name, func(t *testing.T) {
			h, d := denied(t)
			d.hide = int64(len(h.hub.Statements)) + 1
			id := h.publish().ID
			d.answer, d.take = problem.New(problem.Unavailable, "lost"), take
			_, err := h.n.GiveConsent(ctx, id, []alert.Audience{"XB"})
			kind(t, "without an answer", err, problem.Unavailable)
			h.deniedBy(d)
			_, err = h.n.GiveConsent(ctx, id, []alert.Audience{"XC"})
			kind(t, "still without an answer", err, problem.Unavailable)
			kind(t, "the loop", h.n.StatementsStep(ctx), problem.Unavailable)
			d.answer = nil
			must(t, h.n.StatementsStep(ctx))
			h.consents(1, "XB")
			for _, raw := range d.sent[1:] {
				if string(raw) != string(d.sent[0]) {
					t.Error("another statement was sent")
				}
			}
			n := len(d.sent)
			must(t, h.n.StatementsStep(ctx))
			if len(d.sent) != n {
				t.Error("sent again")
			}
			_, err = h.n.GiveConsent(ctx, id, []alert.Audience{"XC"})
			must(t, err)
			h.consents(2, "XB", "XC")
		})
	}
}

// TestUnansweredAndShown: a statement that the hub shows is not sent again.
func TestUnansweredAndShown(t *testing.T) {
	h, d := denied(t)
	d.answer, d.take = problem.New(problem.Internal, "no sense"), true
	kind(t, "without an answer", h.n.Suspend(ctx, "smuggling-ab", ""), problem.Internal)
	_, _ = h.n.Agreements(ctx) // sees it
	d.answer = nil
	must(t, h.n.Suspend(ctx, "smuggling-ab", ""))
	if len(d.sent) != 1 {
		t.Errorf("sent %d times", len(d.sent))
	}
}

// TestRefusedAtLast: a statement that the hub refuses when it is sent again is dropped,
// and raised as an alarm; one that is refused at once is told to the caller alone.
func TestRefusedAtLast(t *testing.T) {
	h, d := denied(t)
	d.answer = problem.New(problem.Forbidden, "no")
	kind(t, "refused", h.n.Suspend(ctx, "smuggling-ab", "first"), problem.Forbidden)
	d.answer = problem.New(problem.Unavailable, "away")
	kind(t, "away", h.n.Suspend(ctx, "smuggling-ab", "second"), problem.Unavailable)
	s, err := h.n.Status(ctx)
	must(t, err)
	if len(s.Alarms) != 0 {
		t.Errorf("%+v", s.Alarms)
	}
	d.answer = problem.New(problem.Forbidden, "no")
	must(t, h.n.StatementsStep(ctx))
	if s, err = h.n.Status(ctx); err != nil || len(s.Alarms) != 1 || !strings.Contains(s.Alarms[0].Detail, "refuses a statement of this member's own") {
		t.Errorf("%+v, %v", s.Alarms, err)
	}
	d.answer = nil
	must(t, h.n.Suspend(ctx, "smuggling-ab", "third"))
	if len(d.sent) != 4 {
		t.Errorf("sent %d times", len(d.sent))
	}
}

// TestHiddenProposals: what is whole is known as soon as the hub has taken it; that
// something else is in force the node says only if it sees it.
func TestHiddenProposals(t *testing.T) {
	h, d := denied(t)
	d.hide = int64(len(h.hub.Statements)) + 1
	whole, digest := h.Agree(1, "", "whole-ab", h.Root["XA"], h.Root["XB"])
	state, err := h.n.Propose(ctx, whole)
	if err != nil || !state.InForce {
		t.Fatalf("%+v, %v", state, err)
	}
	if revision, prev, err := h.n.Chain(ctx, federation.TypeAgreement, "whole-ab"); err != nil || revision != 1 || prev != digest {
		t.Errorf("%d %s %v", revision, prev, err)
	}
	part, _ := h.Agree(1, "", "part-ab", h.Root["XB"])
	if state, err = h.n.Propose(ctx, part); err != nil || state.InForce {
		t.Fatalf("%+v, %v", state, err)
	}
	rest, err := keys.Countersign(ctx, part, h.Root["XA"])
	must(t, err)
	alone, _ := h.Agree(1, "", "part-ab", h.Root["XA"])
	if _, err := h.n.Propose(ctx, alone); problem.KindOf(err) != problem.Unavailable || !strings.Contains(err.Error(), "does not show") {
		t.Error(err)
	}
	if state, err = h.n.Propose(ctx, rest); err != nil || !state.InForce {
		t.Errorf("%+v, %v", state, err)
	}
}
