package server

import (
	"context"
	"encoding/json"
	"io"
	"net/http"

	"github.com/entente-hub/entente/api/alert"
	"github.com/entente-hub/entente/api/federation"
	"github.com/entente-hub/entente/api/hubapi"
	"github.com/entente-hub/entente/api/nodeapi"
	"github.com/entente-hub/entente/api/problem"
)

// Agreements returns the agreements that the node has verified, sorted by id.
func (c *Client) Agreements(ctx context.Context) ([]nodeapi.Agreement, error) {
	out, err := answerOf[nodeapi.AgreementList](c.api.ListAgreements(ctx))
	if err != nil {
		return nil, err
	}
	return out.Agreements, nil
}

// Suspend suspends an agreement, signed with the node's key.
func (c *Client) Suspend(ctx context.Context, id federation.AgreementID, reason string) error {
	body := nodeapi.SuspensionReason{Reason: optional(reason)}
	return done(c.api.SuspendAgreement(ctx, string(id), body))
}

// Chain returns the revision and digest of what is in force in a chain of statements;
// 0 and "" where the first is still to come.
func (c *Client) Chain(ctx context.Context, t federation.StatementType, subject string) (revision int64, digest string, err error) {
	out, err := answerOf[nodeapi.ChainHead](c.api.ReadChain(ctx, &nodeapi.ReadChainParams{Type: nodeapi.ReadChainParamsType(t), Subject: subject}))
	if err != nil {
		return 0, "", err
	}
	return out.Revision, or(out.Digest, ""), nil
}

// Propose brings a statement with the signatures that it has.
func (c *Client) Propose(ctx context.Context, raw []byte) (*hubapi.ProposalState, error) {
	return answerOf[hubapi.ProposalState](c.api.Propose(ctx, json.RawMessage(raw)))
}

// Proposals returns the statements that wait for signatures, oldest first.
func (c *Client) Proposals(ctx context.Context) ([]nodeapi.Proposed, error) {
	out, err := answerOf[nodeapi.ProposedList](c.api.ListProposals(ctx))
	if err != nil {
		return nil, err
	}
	return out.Proposals, nil
}

// Decline ends a proposal.
func (c *Client) Decline(ctx context.Context, digest string) error {
	return done(c.api.DeclineProposal(ctx, digest))
}

// Consents returns what the member consents to, sorted by alert.
func (c *Client) Consents(ctx context.Context) ([]nodeapi.Consent, error) {
	out, err := answerOf[nodeapi.ConsentList](c.api.ListConsents(ctx))
	if err != nil {
		return nil, err
	}
	return out.Consents, nil
}

// ChangeConsent gives or withdraws consent.
func (c *Client) ChangeConsent(ctx context.Context, change nodeapi.ConsentChange) (*nodeapi.Consent, error) {
	return answerOf[nodeapi.Consent](c.api.ChangeConsent(ctx, change))
}

// Emergencies returns those that the member declared or is named in; where the node has a
// directory of users, in the name of one (As).
func (c *Client) Emergencies(ctx context.Context) ([]nodeapi.Emergency, error) {
	out, err := answerOf[nodeapi.EmergencyList](c.api.ListEmergencies(ctx, &nodeapi.ListEmergenciesParams{User: c.user, Purpose: c.purpose}))
	if err != nil {
		return nil, err
	}
	return out.Emergencies, nil
}

// NextEmergency returns the number of the next emergency of an own alert.
func (c *Client) NextEmergency(ctx context.Context, id alert.ID) (int, error) {
	out, err := answerOf[nodeapi.EmergencyNumber](c.api.NextEmergency(ctx, string(id)))
	if err != nil {
		return 0, err
	}
	return out.Number, nil
}

// EndEmergency ends the emergency of an own alert, signed with the node's key.
func (c *Client) EndEmergency(ctx context.Context, id alert.ID) error {
	return done(c.api.EndEmergency(ctx, string(id)))
}

// Explain says why an alert goes, or has come, as it does; from "" is whoever's it
// is, version 0 the latest.
func (c *Client) Explain(ctx context.Context, from alert.MemberID, id alert.ID, version int) (*nodeapi.Explanation, error) {
	params := nodeapi.ExplainParams{From: optional(string(from)), User: c.user, Purpose: c.purpose}
	if version != 0 {
		v := int32(version)
		params.Version = &v
	}
	return answerOf[nodeapi.Explanation](c.api.Explain(ctx, string(id), &params))
}

// Policies returns every statement that brought a policy bundle into force, oldest
// first.
func (c *Client) Policies(ctx context.Context) ([]nodeapi.PolicyChange, error) {
	out, err := answerOf[nodeapi.PolicyHistory](c.api.ListPolicies(ctx))
	if err != nil {
		return nil, err
	}
	return out.Policies, nil
}

// SubmitBundle brings a signed policy bundle to the hub.
func (c *Client) SubmitBundle(ctx context.Context, bundle []byte) error {
	return done(c.api.SubmitBundle(ctx, hubapi.SignedBundle{Bundle: bundle}))
}

// Bundles returns which policy bundles the hub has, oldest first.
func (c *Client) Bundles(ctx context.Context) ([]hubapi.StoredBundle, error) {
	out, err := answerOf[hubapi.BundleList](c.api.ListBundles(ctx))
	if err != nil {
		return nil, err
	}
	return out.Bundles, nil
}

// Bundle returns a policy bundle of the hub's. It is not verified.
func (c *Client) Bundle(ctx context.Context, digest string) ([]byte, error) {
	out, err := answerOf[hubapi.SignedBundle](c.api.ReadBundle(ctx, digest))
	if err != nil {
		return nil, err
	}
	return out.Bundle, nil
}

// done expects an answer without content.
func done(resp *http.Response, err error) error {
	if err != nil {
		return problem.Wrap(problem.Unavailable, err, "the node can not be reached")
	}
	if resp.StatusCode != http.StatusNoContent {
		_, err := answerOf[struct{}](resp, nil)
		if err == nil {
			err = problem.New(problem.Internal, "the node answered with HTTP status %d where nothing was to be said", resp.StatusCode)
		}
		return err
	}
	defer func() { _ = resp.Body.Close() }() // nothing is left to be lost
	if _, err := io.Copy(io.Discard, io.LimitReader(resp.Body, 1)); err != nil {
		return problem.Wrap(problem.Unavailable, err, "the node's answer broke off")
	}
	return nil
}
