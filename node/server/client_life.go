package server

import (
	"context"

	"github.com/entente-hub/entente/api/alert"
	"github.com/entente-hub/entente/api/nodeapi"
)

// Recall takes back an alert of the member's own, for good.
func (c *Client) Recall(ctx context.Context, id alert.ID, r alert.Recall) (*nodeapi.Outgoing, error) {
	return answerOf[nodeapi.Outgoing](c.api.Recall(ctx, string(id), r))
}

// Holders tells who was handed over an alert of the member's own, and who has erased
// it; where the node has a directory of users, in the name of one (As).
func (c *Client) Holders(ctx context.Context, id alert.ID) (*nodeapi.HolderList, error) {
	return answerOf[nodeapi.HolderList](c.api.ListHolders(ctx, string(id), &nodeapi.ListHoldersParams{User: c.user, Purpose: c.purpose}))
}

// Diff tells what has changed between two versions of an alert, as far as they may be
// read (As); to 0 is the latest that is here, from 0 the one before.
func (c *Client) Diff(ctx context.Context, originator alert.MemberID, id alert.ID, from, to int) (*nodeapi.Diff, error) {
	params := nodeapi.CompareVersionsParams{User: c.user, Purpose: c.purpose}
	if from != 0 {
		v := int32(from)
		params.From = &v
	}
	if to != 0 {
		v := int32(to)
		params.To = &v
	}
	return answerOf[nodeapi.Diff](c.api.CompareVersions(ctx, string(originator), string(id), &params))
}
