package server

import (
	"context"

	"github.com/entente-hub/entente/api/alert"
	"github.com/entente-hub/entente/api/nodeapi"
	"github.com/entente-hub/entente/api/problem"
	"github.com/entente-hub/entente/node"
)

// defaultLimit is how much a page holds where the request does not say.
const defaultLimit = 100

var _ nodeapi.StrictServerInterface = handlers{}

// handlers has one method an operation; each reads the request, asks the core
// and returns its error as it is.
type handlers struct {
	node    *node.Node
	places  places
	imports *imports
}

// Publish implements POST /v1/alerts.
func (h handlers) Publish(ctx context.Context, r nodeapi.PublishRequestObject) (nodeapi.PublishResponseObject, error) {
	d, err := publishing(*r.Body)
	if err != nil {
		return nil, err
	}
	o, err := h.node.Publish(ctx, d)
	if err != nil {
		return nil, err
	}
	return nodeapi.Publish202JSONResponse(outgoing(*o)), nil
}

// Preview implements POST /v1/preview.
func (h handlers) Preview(ctx context.Context, r nodeapi.PreviewRequestObject) (nodeapi.PreviewResponseObject, error) {
	d, err := publishing(*r.Body)
	if err != nil {
		return nil, err
	}
	a, err := h.node.Preview(ctx, d)
	if err != nil {
		return nil, err
	}
	return nodeapi.Preview200JSONResponse(audience(a)), nil
}

// ListInbox implements GET /v1/inbox.
func (h handlers) ListInbox(ctx context.Context, r nodeapi.ListInboxRequestObject) (nodeapi.ListInboxResponseObject, error) {
	page, err := h.inbox(ctx, r.Params)
	if err != nil {
		return nil, err
	}
	return nodeapi.ListInbox200JSONResponse(page), nil
}

// ReadInbox implements GET /v1/inbox/{originator}/{id}/{version}.
func (h handlers) ReadInbox(ctx context.Context, r nodeapi.ReadInboxRequestObject) (nodeapi.ReadInboxResponseObject, error) {
	originator, id, err := named(r.Originator, r.Id)
	if err != nil {
		return nil, err
	}
	out, err := h.show(ctx, r.Params, originator, id, int(r.Version))
	if err != nil {
		return nil, err
	}
	return nodeapi.ReadInbox200JSONResponse(*out), nil
}

// ListOutbox implements GET /v1/outbox.
func (h handlers) ListOutbox(ctx context.Context, r nodeapi.ListOutboxRequestObject) (nodeapi.ListOutboxResponseObject, error) {
	list, err := h.node.Outbox(ctx, or(r.Params.Limit, defaultLimit))
	if err != nil {
		return nil, err
	}
	page := nodeapi.OutboxPage{Alerts: []nodeapi.Outgoing{}}
	for _, o := range list {
		page.Alerts = append(page.Alerts, outgoing(o))
	}
	return nodeapi.ListOutbox200JSONResponse(page), nil
}

// ReadOutbox implements GET /v1/outbox/{id}/{version}.
func (h handlers) ReadOutbox(ctx context.Context, r nodeapi.ReadOutboxRequestObject) (nodeapi.ReadOutboxResponseObject, error) {
	id, err := alert.ParseID(r.Id)
	if err != nil {
		return nil, problem.New(problem.Malformed, "%w", err)
	}
	o, err := h.node.Outgoing(ctx, id, int(r.Version))
	if err != nil {
		return nil, err
	}
	return nodeapi.ReadOutbox200JSONResponse(outgoing(*o)), nil
}

// ReadStatus implements GET /v1/status.
func (h handlers) ReadStatus(ctx context.Context, _ nodeapi.ReadStatusRequestObject) (nodeapi.ReadStatusResponseObject, error) {
	s, err := h.node.Status(ctx)
	if err != nil {
		return nil, problem.Wrap(problem.Internal, err, "")
	}
	return nodeapi.ReadStatus200JSONResponse(status(h.node, s)), nil
}

func or[T any](p *T, otherwise T) T {
	if p == nil {
		return otherwise
	}
	return *p
}
