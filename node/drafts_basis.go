package node

import (
	"context"

	"github.com/entente-hub/entente/api/alert"
	"github.com/entente-hub/entente/api/problem"
	"github.com/entente-hub/entente/node/store"
)

// basis is on what a draft was composed that says something about another alert: whoever
// lets it go is to learn of it where its author could not write the same any more.
type basis struct {
	Purpose alert.Purpose `json:"purpose"`          // for which its author reads the other
	Joined  bool          `json:"joined,omitempty"` // its label was made of that of the other
}

// stillWrites refuses the release of a draft that its author could not write as it stands
// any more: it is no author now, may not read all of it, or what it is about has been
// recalled, has ended, is marked more strictly or is not its to read. Errors are of kind
// Conflict, or those of AddDraft that say nothing of the draft.
func (n *Node) stillWrites(ctx context.Context, d *store.Draft, body *draftBody) error {
	if !n.People.Has(d.Author, Author) {
		return problem.New(problem.Conflict, "%s, who wrote the draft, is no author any more: it must be written again", d.Author)
	}
	v, err := n.viewerOf(d.Author)
	if err != nil {
		return err
	}
	for _, p := range d.Portions {
		if may, err := v.reads(ctx, p); err != nil {
			return err
		} else if !may {
			return problem.New(problem.Conflict, "portion %s: %s, who wrote the draft, may not read it any more: it must be written again", p.ID, d.Author)
		}
	}
	if err = n.stillStands(ctx, d.Author, body); err == nil {
		return nil
	}
	switch problem.KindOf(err) {
	case problem.NotFound, problem.Malformed, problem.BadSignature, problem.Expired:
		return problem.New(problem.Conflict, "what the draft is about is not what it was to %s, who wrote it: it must be written again: %w", d.Author, err)
	}
	return err
}

// stillStands judges what a draft is about as it was judged when that was written.
func (n *Node) stillStands(ctx context.Context, author string, body *draftBody) error {
	re, of := body.Draft.Re, body.Draft.MadeOf
	switch {
	case re == nil && of == nil:
		return nil
	case body.Basis == nil:
		return problem.New(problem.Malformed, "an earlier version of this program kept it")
	}
	reader := &Reader{User: author, Purpose: body.Basis.Purpose}
	if of != nil {
		_, err := n.show(ctx, reader, of.Originator, of.ID, 1)
		return err
	}
	s, err := n.subject(ctx, reader, re.Originator, re.Alert)
	switch {
	case err != nil:
		return err
	case re.Act == alert.Request && n.Now().Unix() >= re.Due:
		return problem.New(problem.Malformed, "its deadline has passed")
	}
	if err := s.admits(n.Member, FeedbackDraft{Act: re.Act}); err != nil {
		return problem.New(problem.Malformed, "%w", err)
	}
	for _, about := range s.portions {
		for _, p := range body.Draft.Plan.Portions {
			if body.Basis.Joined && about.Label != nil && !covers(p.Label, *about.Label) {
				return problem.New(problem.Malformed, "it is marked more strictly than the draft")
			}
		}
	}
	return nil
}
