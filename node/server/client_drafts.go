package server

import (
	"context"

	"github.com/entente-hub/entente/api/alert"
	"github.com/entente-hub/entente/api/nodeapi"
)

// Drafts asks a node about drafts in the name of a user of its directory, who shows a
// token of its own. Errors are those of Client.
type Drafts struct {
	c           *Client
	user, token string
}

// Drafts returns a client for drafts, in the name of a user.
func (c *Client) Drafts(user, token string) *Drafts { return &Drafts{c, user, token} }

// Add keeps an alert until another releases it. purpose, with feedback and "" without, is
// what the alert that it is about is read for.
func (d *Drafts) Add(ctx context.Context, draft nodeapi.NewDraft, purpose alert.Purpose) (*nodeapi.KeptDraft, error) {
	return answerOf[nodeapi.KeptDraft](d.c.api.AddDraft(ctx,
		&nodeapi.AddDraftParams{User: d.user, EntenteUserToken: d.token, Purpose: optional(string(purpose))}, draft))
}

// List returns up to limit (at most 500) drafts that the user may know of, the latest
// first: those in a state, or "all", and only those before an id unless that is "".
func (d *Drafts) List(ctx context.Context, state nodeapi.ListDraftsParamsState, before string, limit int) ([]nodeapi.KeptDraft, error) {
	page, err := answerOf[nodeapi.DraftPage](d.c.api.ListDrafts(ctx, &nodeapi.ListDraftsParams{User: d.user, EntenteUserToken: d.token,
		State: &state, Before: optional(before), Limit: &limit}))
	if err != nil {
		return nil, err
	}
	return page.Drafts, nil
}

// Show returns one draft, with what it says while it is pending.
func (d *Drafts) Show(ctx context.Context, id string) (*nodeapi.KeptDraft, error) {
	return answerOf[nodeapi.KeptDraft](d.c.api.ReadDraft(ctx, id, &nodeapi.ReadDraftParams{User: d.user, EntenteUserToken: d.token}))
}

// Release lets a draft of another's go, whose digest the user has read.
func (d *Drafts) Release(ctx context.Context, id, digest string) (*nodeapi.Outgoing, error) {
	return answerOf[nodeapi.Outgoing](d.c.api.ReleaseDraft(ctx, id,
		&nodeapi.ReleaseDraftParams{User: d.user, EntenteUserToken: d.token}, nodeapi.DraftRelease{Digest: digest}))
}

// Reject ends a draft of another's, with a reason.
func (d *Drafts) Reject(ctx context.Context, id, reason string) (*nodeapi.KeptDraft, error) {
	return answerOf[nodeapi.KeptDraft](d.c.api.RejectDraft(ctx, id,
		&nodeapi.RejectDraftParams{User: d.user, EntenteUserToken: d.token}, nodeapi.DraftRejection{Reason: reason}))
}

// Withdraw ends a draft of the user's own.
func (d *Drafts) Withdraw(ctx context.Context, id string) (*nodeapi.KeptDraft, error) {
	return answerOf[nodeapi.KeptDraft](d.c.api.WithdrawDraft(ctx, id, &nodeapi.WithdrawDraftParams{User: d.user, EntenteUserToken: d.token}))
}
