package hubclient

import (
	"context"
	"encoding/json"
	"net/http"

	"github.com/entente-hub/entente/api/alert"
	"github.com/entente-hub/entente/api/hubapi"
	"github.com/entente-hub/entente/node"
)

// Propose implements node.Hub.
func (c *Client) Propose(ctx context.Context, raw []byte) (node.ProposalState, error) {
	var out hubapi.ProposalState
	err := c.call(ctx, callTimeout, maxSmall, &out, func(ctx context.Context, r *hubapi.Client) (*http.Response, error) {
		return r.Propose(ctx, json.RawMessage(raw))
	})
	return node.ProposalState(out), err
}

// Proposals implements node.Hub. What the hub says of missing signatures is not
// passed on: the node finds that out itself.
func (c *Client) Proposals(ctx context.Context) ([]node.OpenProposal, error) {
	var out hubapi.ProposalList
	err := c.call(ctx, callTimeout, maxPage, &out, func(ctx context.Context, r *hubapi.Client) (*http.Response, error) {
		return r.ListProposals(ctx)
	})
	var list []node.OpenProposal
	for _, p := range out.Proposals {
		list = append(list, node.OpenProposal{Digest: p.Digest, By: alert.MemberID(p.By), At: p.At, Raw: p.Statement})
	}
	return list, err
}

// Decline implements node.Hub.
func (c *Client) Decline(ctx context.Context, digest string) error {
	return c.call(ctx, callTimeout, maxSmall, nil, func(ctx context.Context, r *hubapi.Client) (*http.Response, error) {
		return r.DeclineProposal(ctx, digest)
	})
}

// Explain implements node.Hub.
func (c *Client) Explain(ctx context.Context, id alert.ID, version int) (node.Audience, error) {
	var out hubapi.AudienceAnswer
	err := c.call(ctx, callTimeout, maxAnswer, &out, func(ctx context.Context, r *hubapi.Client) (*http.Response, error) {
		return r.ExplainAlert(ctx, string(id), int32(version))
	})
	if err != nil {
		return node.Audience{}, err
	}
	return audience(out), nil
}

// SubmitBundle implements node.Hub.
func (c *Client) SubmitBundle(ctx context.Context, bundle []byte) error {
	return c.call(ctx, callTimeout, maxSmall, nil, func(ctx context.Context, r *hubapi.Client) (*http.Response, error) {
		return r.SubmitBundle(ctx, hubapi.SignedBundle{Bundle: bundle})
	})
}

// Bundles implements node.Hub.
func (c *Client) Bundles(ctx context.Context) ([]node.StoredBundle, error) {
	var out hubapi.BundleList
	err := c.call(ctx, callTimeout, maxAnswer, &out, func(ctx context.Context, r *hubapi.Client) (*http.Response, error) {
		return r.ListBundles(ctx)
	})
	var list []node.StoredBundle
	for _, b := range out.Bundles {
		list = append(list, node.StoredBundle{Digest: b.Digest, Revision: b.Revision, By: alert.MemberID(b.By), At: b.At, InForce: b.InForce})
	}
	return list, err
}

// Bundle implements node.Hub.
func (c *Client) Bundle(ctx context.Context, digest string) ([]byte, error) {
	var out hubapi.SignedBundle
	err := c.call(ctx, callTimeout, maxAnswer, &out, func(ctx context.Context, r *hubapi.Client) (*http.Response, error) {
		return r.ReadBundle(ctx, digest)
	})
	return out.Bundle, err
}
