package server

import (
	"context"

	"github.com/entente-hub/entente/api/nodeapi"
)

// Feedback composes, signs and queues what is said of an alert, in the name of As.
func (c *Client) Feedback(ctx context.Context, f nodeapi.FeedbackDraft) (*nodeapi.Outgoing, error) {
	return answerOf[nodeapi.Outgoing](c.api.GiveFeedback(ctx, &nodeapi.GiveFeedbackParams{User: c.user, Purpose: c.purpose}, f))
}

// Requests returns up to limit (at most 500) requests for information, made and
// received, in a state or all where that is "": the late ones first, then by deadline.
func (c *Client) Requests(ctx context.Context, state nodeapi.RequestState, limit int) ([]nodeapi.Request, error) {
	list, err := answerOf[nodeapi.RequestList](c.api.ListRequests(ctx, &nodeapi.ListRequestsParams{
		State: optional(string(state)), Limit: &limit, User: c.user, Purpose: c.purpose}))
	if err != nil {
		return nil, err
	}
	return list.Requests, nil
}
