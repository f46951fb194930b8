package cli

import (
	"strings"
	"testing"
	"time"

	"github.com/entente-hub/entente/api/nodeapi"
)

// An alert of which the hub does not answer is explained by how far its sending came.
func TestExplainedSending(t *testing.T) {
	o := nodeapi.Outgoing{Id: "id", Version: 1, QueuedAt: time.Date(2027, 3, 1, 12, 0, 0, 0, time.UTC), Attempts: 2}
	for state, want := range map[nodeapi.OutgoingState][]string{
		nodeapi.Queued:   {"sending  queued since 2027-03-01T12:00:00Z, not accepted by the hub after 2 attempts", "reason   no\\way"},
		nodeapi.Accepted: {"sending  accepted by the hub"},
		nodeapi.Refused:  {"sending  refused by the hub: nobody gets it", "problem  policy", "rules    unknown-marking x", "reason   no\\way"},
		"odd":            {"sending  odd"},
	} {
		o.State, o.Problem, o.Codes, o.LastError = state, nil, nil, new("no\\way")
		if state == nodeapi.Refused {
			o.Problem, o.Codes = new("policy"), &[]string{"unknown-marking", "x"}
		}
		var b strings.Builder
		if err := printExplanation(&b, &nodeapi.Explanation{Originator: "XA", Id: "id", Version: 1, Outgoing: &o}); err != nil {
			t.Fatal(err)
		}
		for _, line := range append(want, "alert XA/id/1\n") {
			if !strings.Contains(b.String(), line) {
				t.Errorf("%s: no %q in\n%s", state, line, &b)
			}
		}
	}
}

// How an agreement stands says that it has ended, and what follows it.
func TestStandingWords(t *testing.T) {
	a := nodeapi.Agreement{State: nodeapi.InForce, Version: 1,
		Follows: &nodeapi.FollowingVersion{Version: 2, From: time.Date(2089, 1, 1, 0, 0, 0, 0, time.UTC)}}
	if got := standing(a); got != "in-force; version 2 follows on 2089-01-01" {
		t.Error(got)
	}
	by := []nodeapi.SuspendedBy{{Party: "XB"}}
	if got := standing(nodeapi.Agreement{State: nodeapi.Ended, SuspendedBy: &by}); got != "ended: a party has left; sign a new version" {
		t.Error(got)
	}
}
