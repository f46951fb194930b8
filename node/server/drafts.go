package server

import (
	"context"
	"fmt"

	"github.com/entente-hub/entente/api/alert"
	"github.com/entente-hub/entente/api/nodeapi"
	"github.com/entente-hub/entente/api/problem"
	"github.com/entente-hub/entente/node"
	"github.com/entente-hub/entente/node/store"
	"github.com/entente-hub/entente/policies"
)

// people is the national directory as a node.People.
type people struct{ roster *policies.Roster }

var _ node.People = people{}

// Shows implements node.People.
func (p people) Shows(user, token string) bool { return p.roster.Shows(policies.UserID(user), token) }

// Has implements node.People.
func (p people) Has(user string, r node.Role) bool {
	switch r {
	case node.Author:
		return p.roster.Has(policies.UserID(user), policies.RoleAuthor)
	case node.Releaser:
		return p.roster.Has(policies.UserID(user), policies.RoleReleaser)
	}
	return false
}

// checkPairs refuses a rule on two persons that nobody could follow.
func checkPairs(rule node.FourEyes, p node.People) error {
	if rule == "" || rule == node.NoFourEyes {
		return nil
	}
	known, ok := p.(people)
	if !ok {
		return fmt.Errorf("four_eyes: %s needs ingress.directory", rule)
	}
	if err := known.roster.Pairs(); err != nil {
		return fmt.Errorf("four_eyes: %s: %w", rule, err)
	}
	return nil
}

// AddDraft implements POST /v1/drafts.
func (h handlers) AddDraft(ctx context.Context, r nodeapi.AddDraftRequestObject) (nodeapi.AddDraftResponseObject, error) {
	d, err := h.addDraft(ctx, person(r.Params.User, r.Params.EntenteUserToken), r.Params.Purpose, *r.Body)
	if err != nil {
		return nil, err
	}
	out, err := keptDraft(d)
	return nodeapi.AddDraft201JSONResponse(out), err
}

// addDraft adds what the body asks for: an alert, its next version, its recall, feedback, a
// delegation, or the publication of one.
func (h handlers) addDraft(ctx context.Context, p node.Person, purpose *string, b nodeapi.NewDraft) (*node.KeptDraft, error) {
	if b.Feedback != nil {
		if b.Objects != nil || b.Plan != nil || b.Supersedes != nil || b.Recall != nil || b.Delegate != nil || b.Publication != nil {
			return nil, problem.New(problem.Malformed, "feedback stands alone: its objects are part of it")
		}
		f, err := feedbackOf(*b.Feedback)
		if err != nil {
			return nil, problem.New(problem.Malformed, "%w", err)
		}
		return h.node.AddFeedbackDraft(ctx, p, purpose, f)
	}
	if b.Publication != nil {
		if b.Objects != nil || b.Plan != nil || b.Supersedes != nil || b.Recall != nil || b.Delegate != nil {
			return nil, problem.New(problem.Malformed, "a publication stands alone: its content is that of the delegation")
		}
		pub, err := publicationOf(*b.Publication)
		if err != nil {
			return nil, err
		}
		return h.node.AddPublicationDraft(ctx, p, purpose, pub)
	}
	if purpose != nil {
		return nil, problem.New(problem.Malformed, "purpose goes with feedback and publications only")
	}
	d := node.Draft{Objects: or(b.Objects, nil), Plan: or(b.Plan, alert.Plan{})}
	delegate, err := delegateTo(b.Delegate)
	if err != nil {
		return nil, err
	}
	d.Delegate = delegate
	if b.Supersedes != nil {
		id, err := alert.ParseID(*b.Supersedes)
		if err != nil {
			return nil, problem.New(problem.Malformed, "%w", err)
		}
		d.Supersedes = id
	}
	if b.Recall != nil {
		d.Recall = &alert.Recall{Mode: b.Recall.Mode, Reason: b.Recall.Reason}
	}
	return h.node.AddDraft(ctx, p, d)
}

// ListDrafts implements GET /v1/drafts.
func (h handlers) ListDrafts(ctx context.Context, r nodeapi.ListDraftsRequestObject) (nodeapi.ListDraftsResponseObject, error) {
	state := store.DraftState(or(r.Params.State, nodeapi.ListDraftsParamsStatePending))
	if state == store.DraftState(nodeapi.ListDraftsParamsStateAll) {
		state = ""
	}
	list, err := h.node.Drafts(ctx, person(r.Params.User, r.Params.EntenteUserToken), state,
		store.DraftID(or(r.Params.Before, "")), or(r.Params.Limit, defaultLimit))
	if err != nil {
		return nil, err
	}
	page := nodeapi.DraftPage{Drafts: []nodeapi.KeptDraft{}}
	for _, d := range list {
		out, err := keptDraft(&d)
		if err != nil {
			return nil, err
		}
		page.Drafts = append(page.Drafts, out)
	}
	return nodeapi.ListDrafts200JSONResponse(page), nil
}

// ReadDraft implements GET /v1/drafts/{id}.
func (h handlers) ReadDraft(ctx context.Context, r nodeapi.ReadDraftRequestObject) (nodeapi.ReadDraftResponseObject, error) {
	d, err := h.node.Draft(ctx, person(r.Params.User, r.Params.EntenteUserToken), store.DraftID(r.Id))
	if err != nil {
		return nil, err
	}
	out, err := keptDraft(d)
	return nodeapi.ReadDraft200JSONResponse(out), err
}

// ReleaseDraft implements POST /v1/drafts/{id}/release.
func (h handlers) ReleaseDraft(ctx context.Context, r nodeapi.ReleaseDraftRequestObject) (nodeapi.ReleaseDraftResponseObject, error) {
	o, err := h.node.Release(ctx, person(r.Params.User, r.Params.EntenteUserToken), store.DraftID(r.Id), r.Body.Digest)
	if err != nil {
		return nil, err
	}
	return nodeapi.ReleaseDraft202JSONResponse(outgoing(*o)), nil
}

// RejectDraft implements POST /v1/drafts/{id}/rejection.
func (h handlers) RejectDraft(ctx context.Context, r nodeapi.RejectDraftRequestObject) (nodeapi.RejectDraftResponseObject, error) {
	d, err := h.node.Reject(ctx, person(r.Params.User, r.Params.EntenteUserToken), store.DraftID(r.Id), r.Body.Reason)
	if err != nil {
		return nil, err
	}
	out, err := keptDraft(d)
	return nodeapi.RejectDraft200JSONResponse(out), err
}

// WithdrawDraft implements POST /v1/drafts/{id}/withdrawal.
func (h handlers) WithdrawDraft(ctx context.Context, r nodeapi.WithdrawDraftRequestObject) (nodeapi.WithdrawDraftResponseObject, error) {
	d, err := h.node.Withdraw(ctx, person(r.Params.User, r.Params.EntenteUserToken), store.DraftID(r.Id))
	if err != nil {
		return nil, err
	}
	out, err := keptDraft(d)
	return nodeapi.WithdrawDraft200JSONResponse(out), err
}

func person(user, token string) node.Person { return node.Person{User: user, Token: token} }

// draftContent is all that is released with a draft, for those who read it.
func draftContent(d node.Draft, version int) *nodeapi.DraftContent {
	out := &nodeapi.DraftContent{Version: int32(version), Supersedes: optional(string(d.Supersedes)), Re: reference(d.Re),
		Delegate: delegatedTo(d.Delegate), MadeOf: madeOf(d.MadeOf)}
	if d.Recall != nil {
		out.Recall = &nodeapi.DraftRecall{Mode: d.Recall.Mode, Reason: d.Recall.Reason}
		return out
	}
	out.Objects, out.Plan = &d.Objects, &d.Plan
	return out
}

func keptDraft(d *node.KeptDraft) (nodeapi.KeptDraft, error) {
	out := nodeapi.KeptDraft{Id: string(d.ID), Author: d.Author, Digest: d.Digest, State: nodeapi.KeptDraftState(d.State),
		CreatedAt: d.CreatedAt, Expires: d.ExpiresAt, Portions: []nodeapi.DraftPortion{}, Reason: optional(d.End.Reason),
		EndedBy: optional(d.End.By), Alert: optional(string(d.Alert))}
	for _, p := range d.Portions {
		label, err := alert.ParseLabel(p.Label)
		if err != nil {
			return out, problem.Wrap(problem.Internal, err, "")
		}
		out.Portions = append(out.Portions, nodeapi.DraftPortion{Portion: string(p.ID), Label: label})
	}
	if c := d.Content; c != nil {
		out.Content = draftContent(*c, d.Makes)
	}
	if d.State != store.Pending {
		out.EndedAt = &d.End.At
	}
	if d.State == store.Released {
		version := int32(d.Version)
		out.Version = &version
	}
	return out, nil
}
