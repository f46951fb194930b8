package cli

import (
	"context"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"

	"github.com/entente-hub/entente/api/alert"
	"github.com/entente-hub/entente/api/feed"
	"github.com/entente-hub/entente/api/hubapi"
	"github.com/entente-hub/entente/api/nodeapi"
	"github.com/entente-hub/entente/api/problem"
)

// superseder is what whatChanges asks.
type superseder interface {
	Explain(ctx context.Context, from alert.MemberID, id alert.ID, version int) (*nodeapi.Explanation, error)
	Preview(ctx context.Context, d nodeapi.Draft) (*nodeapi.AudienceAnswer, error)
}

// whatChanges asks, before the next version of an alert is published, who was handed what
// of the one before and who would get what of this one, and returns what prints the
// difference. That it is not known holds nobody up.
func whatChanges(ctx context.Context, node superseder, d nodeapi.Draft) func(io.Writer) error {
	now, err := node.Preview(ctx, d)
	var before *nodeapi.Explanation
	if err == nil {
		before, err = node.Explain(ctx, "", alert.ID(*d.Supersedes), 0)
	}
	if err == nil && before.Audience == nil {
		err = problem.New(problem.Unavailable, "the hub does not say who was handed version %d", before.Version)
	}
	if err != nil {
		return func(w io.Writer) error { return printf(w, "\nWho loses what is not known: %s\n", message(err)) }
	}
	changes := changesFor(before.Audience, now)
	return func(w io.Writer) error { return printChanges(w, changes) }
}

// effect is what the next version of an alert means for one member: portions by name.
type effect struct {
	member              string
	loses, keeps, gains []string
}

// changesFor compares what members were handed of the version before with what they would
// get of the next.
func changesFor(before, next *nodeapi.AudienceAnswer) []effect {
	has := byMember(before, func(m hubapi.MemberDecision) feed.Kind { return feed.Kind(given(m.Held)) })
	gets := byMember(next, func(m hubapi.MemberDecision) feed.Kind { return feed.Kind(m.Release) })
	both := maps.Clone(has)
	maps.Copy(both, gets)
	var out []effect
	for _, member := range slices.Sorted(maps.Keys(both)) {
		c := weigh(has[member], gets[member])
		c.member = member
		out = append(out, c)
	}
	return out
}

// byMember sorts an audience by member and portion, without those who have nothing.
func byMember(a *nodeapi.AudienceAnswer, kind func(hubapi.MemberDecision) feed.Kind) map[string]map[string]feed.Kind {
	out := make(map[string]map[string]feed.Kind)
	for _, p := range a.Portions {
		for _, m := range p.Members {
			k := kind(m)
			if k == "" || k == feed.None {
				continue
			}
			if out[m.Member] == nil {
				out[m.Member] = make(map[string]feed.Kind)
			}
			out[m.Member][p.Portion] = k
		}
	}
	return out
}

// weigh sorts portions into those that are lost, kept and gained. Where only the
// existence is left it says so.
func weigh(has, gets map[string]feed.Kind) (c effect) {
	both := maps.Clone(has)
	if both == nil {
		both = make(map[string]feed.Kind)
	}
	maps.Copy(both, gets)
	for _, p := range slices.Sorted(maps.Keys(both)) {
		before, after := has[p], gets[p]
		switch {
		case before == after:
			c.keeps = append(c.keeps, p)
		case before == feed.Content && after == feed.Existence:
			c.loses = append(c.loses, p+" (knows that it exists)")
		case after == "":
			c.loses = append(c.loses, p)
		default:
			c.gains = append(c.gains, p)
		}
	}
	return c
}

func printChanges(w io.Writer, changes []effect) error {
	if len(changes) == 0 {
		return printf(w, "\nNobody has had anything of it, and nobody gets anything now.\n")
	}
	names := func(portions []string) string {
		if len(portions) == 0 {
			return "-"
		}
		return strings.Join(portions, ", ")
	}
	var rows [][]string
	for _, c := range changes {
		rows = append(rows, []string{c.member, names(c.loses), names(c.keeps), names(c.gains)})
	}
	fmt.Fprintf(w, "\nWhat it changes, by the rules as they were just before:\n\n")
	return table(w, []string{"MEMBER", "LOSES", "KEEPS", "GAINS"}, rows)
}
