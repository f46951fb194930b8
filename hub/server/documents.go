package server

import (
	"context"
	"encoding/json"
	"time"

	"github.com/entente-hub/entente/api/alert"
	"github.com/entente-hub/entente/api/feed"
	"github.com/entente-hub/entente/api/hubapi"
)

func (h handlers) Propose(ctx context.Context, r hubapi.ProposeRequestObject) (hubapi.ProposeResponseObject, error) {
	m, err := member(ctx)
	if err != nil {
		return nil, err
	}
	digest, missing, err := h.hub.Propose(ctx, m, json.RawMessage(*r.Body))
	if err != nil {
		return nil, err
	}
	return hubapi.Propose200JSONResponse{Digest: digest, InForce: len(missing) == 0, Missing: listed(missing)}, nil
}

func (h handlers) ListProposals(ctx context.Context, _ hubapi.ListProposalsRequestObject) (hubapi.ListProposalsResponseObject, error) {
	m, err := member(ctx)
	if err != nil {
		return nil, err
	}
	list, err := h.hub.Proposals(ctx, m)
	if err != nil {
		return nil, err
	}
	out := hubapi.ListProposals200JSONResponse{Proposals: []hubapi.OpenProposal{}}
	for _, p := range list {
		out.Proposals = append(out.Proposals, hubapi.OpenProposal{Digest: p.Digest, By: string(p.By), At: time.Unix(p.At, 0).UTC(),
			Missing: listed(p.Missing), Statement: p.Raw})
	}
	return out, nil
}

func (h handlers) DeclineProposal(ctx context.Context, r hubapi.DeclineProposalRequestObject) (hubapi.DeclineProposalResponseObject, error) {
	m, err := member(ctx)
	if err != nil {
		return nil, err
	}
	if err := h.hub.Decline(ctx, m, r.Digest); err != nil {
		return nil, err
	}
	return hubapi.DeclineProposal204Response{}, nil
}

func (h handlers) SubmitBundle(ctx context.Context, r hubapi.SubmitBundleRequestObject) (hubapi.SubmitBundleResponseObject, error) {
	m, err := member(ctx)
	if err != nil {
		return nil, err
	}
	if err := h.hub.SubmitBundle(ctx, m, r.Body.Bundle); err != nil {
		return nil, err
	}
	return hubapi.SubmitBundle204Response{}, nil
}

func (h handlers) ListBundles(ctx context.Context, _ hubapi.ListBundlesRequestObject) (hubapi.ListBundlesResponseObject, error) {
	list, inForce, err := h.hub.Bundles(ctx)
	if err != nil {
		return nil, err
	}
	out := hubapi.ListBundles200JSONResponse{Bundles: []hubapi.StoredBundle{}}
	for _, b := range list {
		out.Bundles = append(out.Bundles, hubapi.StoredBundle{Digest: b.Digest, Revision: b.Revision, By: string(b.By),
			At: time.Unix(b.At, 0).UTC(), InForce: b.Digest == inForce})
	}
	return out, nil
}

func (h handlers) ReadBundle(ctx context.Context, r hubapi.ReadBundleRequestObject) (hubapi.ReadBundleResponseObject, error) {
	raw, err := h.hub.Bundle(ctx, r.Digest)
	if err != nil {
		return nil, err
	}
	return hubapi.ReadBundle200JSONResponse{Bundle: raw}, nil
}

func (h handlers) ExplainAlert(ctx context.Context, r hubapi.ExplainAlertRequestObject) (hubapi.ExplainAlertResponseObject, error) {
	m, err := member(ctx)
	if err != nil {
		return nil, err
	}
	id, err := alert.ParseID(r.Id)
	if err != nil {
		return nil, h.malformed(ctx, m, err)
	}
	rules, forecasts, err := h.hub.Explain(ctx, m, id, int(r.Version))
	if err != nil {
		return nil, err
	}
	out := hubapi.ExplainAlert200JSONResponse{Revision: rules.Revision, Policy: rules.Policy}
	for _, f := range forecasts {
		out.Portions = append(out.Portions, portionAudience(f))
	}
	return out, nil
}

// listed writes no entries as [], never as null.
func listed(list []string) []string {
	if list == nil {
		return []string{}
	}
	return list
}

func (h handlers) ListHolders(ctx context.Context, r hubapi.ListHoldersRequestObject) (hubapi.ListHoldersResponseObject, error) {
	m, err := member(ctx)
	if err != nil {
		return nil, err
	}
	id, err := alert.ParseID(r.Id)
	if err != nil {
		return nil, h.malformed(ctx, m, err)
	}
	holders, purges, err := h.hub.Holders(ctx, m, id)
	if err != nil {
		return nil, err
	}
	out := hubapi.ListHolders200JSONResponse{Holders: []hubapi.Holder{}, Purges: []hubapi.PurgeReceipt{}}
	for _, held := range holders {
		row := hubapi.Holder{Member: held.Recipient, Version: int32(held.Version), Seq: held.Seq, Chain: held.Chain,
			ReleasedAt: held.ReleasedAt, Releases: held.Releases}
		if held.Receipt != "" {
			row.Acknowledgement = &held.Receipt
		}
		if held.Lost {
			row.Lost = &held.Lost
		}
		out.Holders = append(out.Holders, row)
	}
	for _, p := range purges {
		out.Purges = append(out.Purges, hubapi.PurgeReceipt{Member: p.Recipient, Version: int32(p.Version), Receipt: p.Receipt})
	}
	return out, nil
}

func (h handlers) Purged(ctx context.Context, r hubapi.PurgedRequestObject) (hubapi.PurgedResponseObject, error) {
	m, err := member(ctx)
	if err != nil {
		return nil, err
	}
	if err := h.hub.Purged(ctx, m, r.Body.Purges); err != nil {
		return nil, err
	}
	return hubapi.Purged204Response{}, nil
}

func (h handlers) ListPublished(ctx context.Context, r hubapi.ListPublishedRequestObject) (hubapi.ListPublishedResponseObject, error) {
	m, err := member(ctx)
	if err != nil {
		return nil, err
	}
	limit := feed.MaxPage
	if r.Params.Limit != nil {
		limit = *r.Params.Limit
	}
	tokens, receipts, err := h.hub.Published(ctx, m, r.Params.After, limit)
	if err != nil {
		return nil, err
	}
	out := hubapi.ListPublished200JSONResponse{}
	out.Alerts = make([]struct {
		Alert   string `json:"alert"`
		Receipt string `json:"receipt"`
	}, len(tokens))
	for i := range tokens {
		out.Alerts[i].Alert, out.Alerts[i].Receipt = tokens[i], receipts[i]
	}
	return out, nil
}
