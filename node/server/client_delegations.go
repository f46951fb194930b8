package server

import (
	"context"

	"github.com/entente-hub/entente/api/alert"
	"github.com/entente-hub/entente/api/nodeapi"
)

// Delegations returns up to limit (at most 500) delegations, sent and received, in a state
// or all where that is "": first those on which something rests that should be recalled,
// then the late ones, then by deadline.
func (c *Client) Delegations(ctx context.Context, state nodeapi.DelegationState, limit int) ([]nodeapi.Delegation, error) {
	list, err := answerOf[nodeapi.DelegationList](c.api.ListDelegations(ctx, &nodeapi.ListDelegationsParams{
		State: optional(string(state)), Limit: &limit, User: c.user, Purpose: c.purpose}))
	if err != nil {
		return nil, err
	}
	return list.Delegations, nil
}

// Delegation returns one, with the plan by which it would be published.
func (c *Client) Delegation(ctx context.Context, originator alert.MemberID, id alert.ID) (*nodeapi.Delegation, error) {
	return answerOf[nodeapi.Delegation](c.api.ReadDelegation(ctx, string(originator), string(id),
		&nodeapi.ReadDelegationParams{User: c.user, Purpose: c.purpose}))
}

// PublishDelegation publishes what a received delegation says, in the name of As.
func (c *Client) PublishDelegation(ctx context.Context, originator alert.MemberID, id alert.ID, p nodeapi.Publication) (*nodeapi.Outgoing, error) {
	return answerOf[nodeapi.Outgoing](c.api.PublishDelegation(ctx, string(originator), string(id),
		&nodeapi.PublishDelegationParams{User: c.user, Purpose: c.purpose}, p))
}
