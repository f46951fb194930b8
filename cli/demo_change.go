package cli

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/entente-hub/entente/api/alert"
	"github.com/entente-hub/entente/api/federation"
	"github.com/entente-hub/entente/api/feed"
	"github.com/entente-hub/entente/api/hubapi"
	"github.com/entente-hub/entente/api/nodeapi"
	"github.com/entente-hub/entente/cli/setup"
	"github.com/entente-hub/entente/crypto/keys"
)

// changeRules changes what the states have agreed while alerts are on their way.
func (d *demo) changeRules(ctx context.Context) error {
	if err := d.suspendMidFlight(ctx); err != nil {
		return err
	}
	return d.letIn(ctx)
}

// suspendMidFlight has XB suspend the agreement on which an alert rests that waits for
// XB's node, and resume it later.
func (d *demo) suspendMidFlight(ctx context.Context) error {
	const agreement = "xa-xb-smuggling"
	d.halts["XB"]()
	a := &demoAlert{title: "XA: the boatman is back", from: "XA", file: "xa-boatman"}
	if err := a.compose(); err != nil {
		return err
	}
	sent, err := d.nodes["XA"].Publish(ctx, a.draft)
	if err != nil {
		return named("publish", err)
	}
	if sent, err = awaitReceipt(ctx, d.nodes["XA"], sent, arrivalTimeout); err != nil {
		return err
	}
	if sent.State != nodeapi.Accepted {
		return fault("%s is %s", a.title, sent.State)
	}
	if err := d.rest(ctx, agreement, true); err != nil {
		return err
	}
	if err := d.seesSuspended(ctx, "XA", agreement); err != nil {
		return err
	}
	if err := d.startNode(ctx, "XB"); err != nil {
		return err
	}
	if err := d.caughtUp(ctx, "XB"); err != nil {
		return err
	}
	if err := d.seesSuspended(ctx, "XB", agreement); err != nil {
		return err
	}
	held, err := d.holds(ctx, "XB", sent.Id)
	if err != nil {
		return err
	}
	if held {
		return fault("XB got an alert under an agreement that it had suspended")
	}
	if err := d.countLost(ctx, sent); err != nil {
		return err
	}
	if err := d.rest(ctx, agreement, false); err != nil {
		return err
	}
	began := time.Now()
	if err := d.awaitHeld(ctx, "XB", sent.Id); err != nil {
		return err
	}
	d.later, d.handed = d.later+1, d.handed+1
	d.say("The rules change while an alert is on its way. XB's node is down; XA publishes what rests on %s alone,\n"+
		"and the hub accepts it for XB. XB suspends the agreement: its node comes up and gets nothing.\n"+
		"XB resumes: the alert arrives %s later.", agreement, time.Since(began).Round(time.Millisecond))
	return nil
}

// countLost counts a release that the hub made to the connection which XB's node had
// left behind, before the agreement was suspended: it is in the log, and XB got nothing.
func (d *demo) countLost(ctx context.Context, sent *nodeapi.Outgoing) error {
	explained, err := d.nodes["XA"].Explain(ctx, "XA", alert.ID(sent.Id), int(sent.Version))
	if err != nil {
		return err
	}
	for _, p := range explained.Audience.Portions {
		for _, m := range p.Members {
			if m.Release != hubapi.MemberDecisionRelease(feed.None) {
				return fault("under the suspension %s may have %s of %s", m.Member, m.Release, p.Portion)
			}
			if m.Held != nil {
				d.handed++
			}
		}
	}
	return nil
}

// rest brings XB's word on an agreement to the hub, through XA's node: a statement
// speaks for itself, whoever brings it.
func (d *demo) rest(ctx context.Context, id federation.AgreementID, suspended bool) error {
	body := &federation.Suspension{Agreement: id, Party: "XB", Suspended: suspended}
	revision, previous, err := d.nodes["XA"].Chain(ctx, federation.TypeSuspension, body.Subject())
	if err != nil {
		return err
	}
	payload, err := federation.NewStatement(federation.TypeSuspension, body, revision+1, previous, time.Now().Unix())
	if err != nil {
		return err
	}
	root, err := setup.RootKey(d.Layout, "XB")
	if err != nil {
		return err
	}
	raw, err := keys.SignGeneral(ctx, []keys.Signer{root}, federation.StatementJWSType, payload)
	if err != nil {
		return err
	}
	state, err := d.nodes["XA"].Propose(ctx, raw)
	if err != nil {
		return named("suspension", err)
	}
	if !state.InForce {
		return fault("one party's word on the agreement does not suffice: %v", state.Missing)
	}
	return nil
}

// caughtUp waits until a node has followed its feed to the end, and its statements as
// far as XA's node: that has brought them itself, so it knows of the last at once.
func (d *demo) caughtUp(ctx context.Context, m alert.MemberID) error {
	return d.until(ctx, fmt.Sprintf("the node of %s does not catch up with XA's", m), func() (bool, error) {
		there, err := d.nodes["XA"].Status(ctx)
		if err != nil {
			return false, err
		}
		here, err := d.nodes[m].Status(ctx)
		return err == nil && here.Following && here.Revision == there.Revision, err
	})
}

// seesSuspended fails unless a member's node has itself verified that XB suspends an
// agreement: an alert that it lacks would else prove nothing.
func (d *demo) seesSuspended(ctx context.Context, m alert.MemberID, id federation.AgreementID) error {
	all, err := d.nodes[m].Agreements(ctx)
	if err != nil {
		return err
	}
	return restsByXB(all, m, id)
}

func restsByXB(all []nodeapi.Agreement, m alert.MemberID, id federation.AgreementID) error {
	if !slices.ContainsFunc(all, func(a nodeapi.Agreement) bool {
		return a.Id == string(id) && a.State == nodeapi.Suspended && suspends(a, "XB")
	}) {
		return fault("the node of %s does not know that XB suspends %s", m, id)
	}
	return nil
}

func (d *demo) until(ctx context.Context, otherwise string, done func() (bool, error)) error {
	ctx, cancel := context.WithTimeout(ctx, arrivalTimeout)
	defer cancel()
	tick := time.NewTicker(2 * time.Millisecond)
	defer tick.Stop()
	for {
		if ok, err := done(); ok || err != nil {
			return err
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return fault("%s", otherwise)
		}
	}
}

func (d *demo) holds(ctx context.Context, m alert.MemberID, id string) (bool, error) {
	list, err := d.nodes[m].Inbox(ctx, 0, 500)
	return slices.ContainsFunc(list, func(r nodeapi.Received) bool { return r.Id == id }), err
}

func (d *demo) awaitHeld(ctx context.Context, m alert.MemberID, id string) error {
	return d.until(ctx, fmt.Sprintf("%s did not get alert %s in time", m, id), func() (bool, error) { return d.holds(ctx, m, id) })
}

// letIn lets a fifth member in, which gets of the past what it may have.
func (d *demo) letIn(ctx context.Context) error {
	joining := setup.Member{ID: "XE", Name: "Member XE", Ceiling: alert.Confidential}
	statements, err := setup.Join(ctx, d.Layout, d.hubCfg.Listen, d.spec.Hub, joining, "regional-exchange")
	if err != nil {
		return err
	}
	for _, raw := range statements {
		state, err := d.nodes["XA"].Propose(ctx, raw)
		if err != nil {
			return named("joining", err)
		}
		if !state.InForce {
			return fault("a statement on joining lacks %v", state.Missing)
		}
	}
	began := time.Now()
	if err := d.startNode(ctx, joining.ID); err != nil {
		return err
	}
	// What is for the whole federation, of every alert that still stands; nothing else.
	expected := map[string]string{}
	for _, a := range d.alerts {
		for _, p := range a.draft.Plan.Portions {
			if slices.Contains(p.Label.ReleasableTo, alert.Audience(alert.Federation)) && len(p.Label.Compartments) == 0 {
				expected[a.sent.Id] += string(p.ID) + ":content "
			} else if slices.Contains(p.Label.DiscoverableTo, alert.Audience(alert.Federation)) {
				expected[a.sent.Id] += string(p.ID) + ":existence "
			}
		}
	}
	for id := range expected {
		if err := d.awaitHeld(ctx, joining.ID, id); err != nil {
			return err
		}
	}
	list, err := d.nodes[joining.ID].Inbox(ctx, 0, 500)
	if err != nil {
		return err
	}
	var rows [][]string
	for _, r := range list {
		if got := portionsOf(r); got != sortedWords(expected[r.Id]) {
			return fault("XE holds %q of alert %s, %q is right", got, r.Id, sortedWords(expected[r.Id]))
		}
		rows = append(rows, []string{string(joining.ID), "from " + r.Originator, r.Banner, portionsOf(r)})
	}
	if len(list) != len(expected) {
		return fault("XE holds %d alerts, %d are right", len(list), len(expected))
	}
	d.handed += len(list)
	d.say("XE joins: the authority lists it, and the regional agreement is signed again by all five. Of the past it gets what\n"+
		"it may have, %s after its node was started:\n", time.Since(began).Round(time.Millisecond))
	return table(d.out, []string{"INBOX", "ALERT", "BANNER", "PORTIONS HELD"}, rows)
}

func portionsOf(r nodeapi.Received) string {
	var parts []string
	for _, p := range r.Portions {
		parts = append(parts, p.Portion+":"+string(p.Release))
	}
	return sortedWords(strings.Join(parts, " "))
}

func sortedWords(s string) string {
	return strings.Join(slices.Sorted(slices.Values(strings.Fields(s))), " ")
}
