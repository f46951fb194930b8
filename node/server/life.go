package server

import (
	"context"

	"github.com/entente-hub/entente/api/alert"
	"github.com/entente-hub/entente/api/nodeapi"
	"github.com/entente-hub/entente/api/problem"
	"github.com/entente-hub/entente/node"
)

// publishing reads a draft as it came in.
func publishing(d nodeapi.Draft) (node.Draft, error) {
	out := node.Draft{Objects: d.Objects, Plan: d.Plan}
	delegate, err := delegateTo(d.Delegate)
	if err != nil {
		return node.Draft{}, err
	}
	if out.Delegate = delegate; d.Supersedes == nil {
		return out, nil
	}
	id, err := alert.ParseID(*d.Supersedes)
	if err != nil {
		return node.Draft{}, problem.New(problem.Malformed, "supersedes: %w", err)
	}
	out.Supersedes = id
	return out, nil
}

// Recall implements POST /v1/recalls/{id}.
func (h handlers) Recall(ctx context.Context, r nodeapi.RecallRequestObject) (nodeapi.RecallResponseObject, error) {
	id, err := alert.ParseID(r.Id)
	if err != nil {
		return nil, problem.New(problem.Malformed, "%w", err)
	}
	o, err := h.node.Recall(ctx, id, *r.Body)
	if err != nil {
		return nil, err
	}
	return nodeapi.Recall202JSONResponse(outgoing(*o)), nil
}

// purgedList returns nil where nothing was erased.
func purgedList(list []node.Purged) *[]nodeapi.Purged {
	if len(list) == 0 {
		return nil
	}
	var out []nodeapi.Purged
	for _, p := range list {
		out = append(out, nodeapi.Purged{At: p.At, Cause: p.Cause, Portions: names(p.Portions)})
	}
	return &out
}

func names(portions []alert.PortionID) []string {
	out := make([]string, len(portions))
	for i, p := range portions {
		out[i] = string(p)
	}
	return out
}

// ListHolders implements GET /v1/holders/{id}.
func (h handlers) ListHolders(ctx context.Context, r nodeapi.ListHoldersRequestObject) (nodeapi.ListHoldersResponseObject, error) {
	id, err := alert.ParseID(r.Id)
	if err != nil {
		return nil, problem.New(problem.Malformed, "%w", err)
	}
	reader, err := h.node.NewReader(r.Params.User, r.Params.Purpose)
	if err != nil {
		return nil, err
	}
	list, err := h.node.HoldersTo(ctx, reader, id)
	if err != nil {
		return nil, err
	}
	out := nodeapi.HolderList{Id: string(list.ID), Version: int32(list.Version), Recall: list.Recall, Members: []nodeapi.Holder{}}
	for _, m := range list.Members {
		out.Members = append(out.Members, holder(m))
	}
	return nodeapi.ListHolders200JSONResponse(out), nil
}

func holder(h node.Holder) nodeapi.Holder {
	out := nodeapi.Holder{Member: string(h.Member), Version: int32(h.Version), Told: h.Told, Acknowledged: h.Acknowledged, Late: h.Late,
		Held: []nodeapi.HeldVersion{}, Purged: []nodeapi.PurgedVersion{}, Faults: list(h.Faults)}
	if !h.At.IsZero() {
		out.HandedOverAt = &h.At
	}
	for _, v := range h.Held {
		out.Held = append(out.Held, nodeapi.HeldVersion{Version: int32(v.Version), Portions: names(v.Portions), Ended: v.Ended})
	}
	for _, p := range h.Purged {
		out.Purged = append(out.Purged, nodeapi.PurgedVersion{Version: int32(p.Version), At: p.At, Cause: p.Cause, Portions: names(p.Portions)})
	}
	return out
}
