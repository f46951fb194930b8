package hubclient_test

import (
	"testing"

	"github.com/entente-hub/entente/api/problem"
	"github.com/entente-hub/entente/node"
	"github.com/entente-hub/entente/node/nodetest"
)

// TestAnswersToSeveral: an answer tells of each alert, in order, whether it was taken or
// why not; one that does not is none.
func TestAnswersToSeveral(t *testing.T) {
	f := nodetest.New(t)
	const fork = `{"problem":{"type":"urn:entente:problem:fork","title":"x","status":409,"detail":"no"}}`
	for body, want := range map[string][]node.Published{
		`{"results":[{"receipt":"r"},` + fork + `]}`: {{Receipt: "r"}, {Refusal: problem.New(problem.Fork, "no")}},
		`{"results":[{"receipt":"r"}]}`:              {{Receipt: "r"}},
		`{"results":[]}`:                             nil,
		`{}`:                                         nil,
		`{"results":[{}]}`:                           nil,
		`{"results":[{"receipt":"r"},{"receipt":"r"},{"receipt":"r"}]}`:                                        nil,
		`{"results":[{"receipt":"r","problem":{"type":"urn:entente:problem:fork","title":"x","status":409}}]}`: nil,
	} {
		got, err := client(t, f, serve(t, f, hub, answer(200, "application/json", body))).PublishAll(ctx, []string{"a", "b"})
		if (err == nil) != (want != nil) || err != nil && problem.KindOf(err) != problem.Internal || len(got) != len(want) {
			t.Errorf("%s: %v, %v", body, got, err)
			continue
		}
		for i, p := range got {
			if p.Receipt != want[i].Receipt || (p.Refusal == nil) != (want[i].Refusal == nil) ||
				p.Refusal != nil && problem.KindOf(p.Refusal) != problem.KindOf(want[i].Refusal) {
				t.Errorf("%s: %d is %+v", body, i, p)
			}
		}
	}
}
