package trust

import (
	"time"

	"github.com/entente-hub/entente/api/federation"
	"github.com/entente-hub/entente/api/problem"
)

// Suppose returns the world that there would be at a moment if these were stated as
// well, by whoever must: for a trial of what nobody has signed yet. Bodies follow one
// another; each must be well formed and refer only to what is known by then. Errors
// are *problem.Error. The directory itself learns nothing.
func (d *Directory) Suppose(at time.Time, bodies ...federation.Body) (*federation.World, error) {
	supposed, err := d.With(at)
	if err != nil {
		return nil, err
	}
	for _, b := range bodies {
		t := federation.TypeOf(b)
		revision, previous := int64(1), ""
		if head, ok := supposed.Head(t, b.Subject()); ok {
			revision, previous = head.Revision+1, head.Digest
		}
		payload, err := federation.NewStatement(t, b, revision, previous, max(at.Unix(), supposed.clock))
		if err != nil {
			return nil, problem.New(problem.Malformed, "%w", err)
		}
		st, body, err := federation.ParseStatement(payload)
		if err != nil {
			return nil, problem.New(problem.Malformed, "%w", err)
		}
		s := Statement{Statement: st, Body: body, Digest: federation.Digest(payload)}
		if t != federation.TypeRegistry && !supposed.Ready() {
			return nil, problem.New(problem.Unavailable, "there is no registry yet")
		}
		if err := supposed.refers(s); err != nil {
			return nil, err
		}
		if err := supposed.take(s); err != nil {
			return nil, err
		}
	}
	if !supposed.Ready() {
		return nil, problem.New(problem.Unavailable, "there is no registry yet")
	}
	return supposed.World(at), nil
}
