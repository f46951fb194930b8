package server

import (
	"context"

	"github.com/entente-hub/entente/api/alert"
	"github.com/entente-hub/entente/api/federation"
	"github.com/entente-hub/entente/api/hubapi"
	"github.com/entente-hub/entente/api/nodeapi"
	"github.com/entente-hub/entente/api/problem"
	"github.com/entente-hub/entente/node"
)

// ListAgreements implements GET /v1/agreements.
func (h handlers) ListAgreements(ctx context.Context, _ nodeapi.ListAgreementsRequestObject) (nodeapi.ListAgreementsResponseObject, error) {
	list, err := h.node.Agreements(ctx)
	if err != nil {
		return nil, err
	}
	out := nodeapi.AgreementList{Agreements: []nodeapi.Agreement{}}
	for _, a := range list {
		out.Agreements = append(out.Agreements, agreement(a))
	}
	return nodeapi.ListAgreements200JSONResponse(out), nil
}

// SuspendAgreement implements PUT /v1/agreements/{id}/suspension.
func (h handlers) SuspendAgreement(ctx context.Context, r nodeapi.SuspendAgreementRequestObject) (nodeapi.SuspendAgreementResponseObject, error) {
	var id federation.AgreementID
	if err := id.UnmarshalText([]byte(r.Id)); err != nil {
		return nil, problem.New(problem.Malformed, "%w", err)
	}
	if err := h.node.Suspend(ctx, id, or(r.Body.Reason, "")); err != nil {
		return nil, err
	}
	return nodeapi.SuspendAgreement204Response{}, nil
}

// ReadChain implements GET /v1/chain.
func (h handlers) ReadChain(ctx context.Context, r nodeapi.ReadChainRequestObject) (nodeapi.ReadChainResponseObject, error) {
	revision, digest, err := h.node.Chain(ctx, federation.StatementType(r.Params.Type), r.Params.Subject)
	if err != nil {
		return nil, err
	}
	return nodeapi.ReadChain200JSONResponse{Revision: revision, Digest: optional(digest)}, nil
}

// Propose implements POST /v1/statements.
func (h handlers) Propose(ctx context.Context, r nodeapi.ProposeRequestObject) (nodeapi.ProposeResponseObject, error) {
	s, err := h.node.Propose(ctx, *r.Body)
	if err != nil {
		return nil, err
	}
	return nodeapi.Propose200JSONResponse{Digest: s.Digest, InForce: s.InForce, Missing: list(s.Missing)}, nil
}

// ListProposals implements GET /v1/proposals.
func (h handlers) ListProposals(ctx context.Context, _ nodeapi.ListProposalsRequestObject) (nodeapi.ListProposalsResponseObject, error) {
	open, err := h.node.Proposals(ctx)
	if err != nil {
		return nil, err
	}
	out := nodeapi.ProposedList{Proposals: []nodeapi.Proposed{}}
	for _, p := range open {
		out.Proposals = append(out.Proposals, proposed(p))
	}
	return nodeapi.ListProposals200JSONResponse(out), nil
}

// DeclineProposal implements DELETE /v1/proposals/{digest}.
func (h handlers) DeclineProposal(ctx context.Context, r nodeapi.DeclineProposalRequestObject) (nodeapi.DeclineProposalResponseObject, error) {
	if err := h.node.Decline(ctx, r.Digest); err != nil {
		return nil, err
	}
	return nodeapi.DeclineProposal204Response{}, nil
}

// ListConsents implements GET /v1/consents.
func (h handlers) ListConsents(ctx context.Context, _ nodeapi.ListConsentsRequestObject) (nodeapi.ListConsentsResponseObject, error) {
	given, err := h.node.Consents(ctx)
	if err != nil {
		return nil, err
	}
	out := nodeapi.ConsentList{Consents: []nodeapi.Consent{}}
	for _, c := range given {
		out.Consents = append(out.Consents, consent(c))
	}
	return nodeapi.ListConsents200JSONResponse(out), nil
}

// ChangeConsent implements POST /v1/consents.
func (h handlers) ChangeConsent(ctx context.Context, r nodeapi.ChangeConsentRequestObject) (nodeapi.ChangeConsentResponseObject, error) {
	id, err := alert.ParseID(r.Body.Alert)
	if err != nil {
		return nil, problem.New(problem.Malformed, "%w", err)
	}
	var who []alert.Audience
	for _, name := range or(r.Body.Recipients, nil) {
		a, err := alert.ParseAudience(name)
		if err != nil {
			return nil, problem.New(problem.Malformed, "%w", err)
		}
		who = append(who, a)
	}
	change := h.node.GiveConsent
	if r.Body.Change == nodeapi.Withdraw {
		change = h.node.WithdrawConsent
	}
	c, err := change(ctx, id, who)
	if err != nil {
		return nil, err
	}
	return nodeapi.ChangeConsent200JSONResponse(consent(c)), nil
}

// ListEmergencies implements GET /v1/emergencies.
func (h handlers) ListEmergencies(ctx context.Context, r nodeapi.ListEmergenciesRequestObject) (nodeapi.ListEmergenciesResponseObject, error) {
	reader, err := h.node.NewReader(r.Params.User, r.Params.Purpose)
	if err != nil {
		return nil, err
	}
	declared, err := h.node.Emergencies(ctx, reader)
	if err != nil {
		return nil, err
	}
	out := nodeapi.EmergencyList{Emergencies: []nodeapi.Emergency{}}
	for _, e := range declared {
		out.Emergencies = append(out.Emergencies, emergency(e))
	}
	return nodeapi.ListEmergencies200JSONResponse(out), nil
}

// NextEmergency implements GET /v1/emergencies/{id}.
func (h handlers) NextEmergency(ctx context.Context, r nodeapi.NextEmergencyRequestObject) (nodeapi.NextEmergencyResponseObject, error) {
	id, err := alert.ParseID(r.Id)
	if err != nil {
		return nil, problem.New(problem.Malformed, "%w", err)
	}
	number, err := h.node.NextEmergency(ctx, id)
	if err != nil {
		return nil, err
	}
	return nodeapi.NextEmergency200JSONResponse{Number: number}, nil
}

// EndEmergency implements DELETE /v1/emergencies/{id}.
func (h handlers) EndEmergency(ctx context.Context, r nodeapi.EndEmergencyRequestObject) (nodeapi.EndEmergencyResponseObject, error) {
	id, err := alert.ParseID(r.Id)
	if err != nil {
		return nil, problem.New(problem.Malformed, "%w", err)
	}
	if err := h.node.EndEmergency(ctx, id); err != nil {
		return nil, err
	}
	return nodeapi.EndEmergency204Response{}, nil
}

// Explain implements GET /v1/explain/{id}.
func (h handlers) Explain(ctx context.Context, r nodeapi.ExplainRequestObject) (nodeapi.ExplainResponseObject, error) {
	id, err := alert.ParseID(r.Id)
	if err != nil {
		return nil, problem.New(problem.Malformed, "%w", err)
	}
	var from alert.MemberID
	if name := or(r.Params.From, ""); name != "" {
		if from, err = alert.ParseMemberID(name); err != nil {
			return nil, problem.New(problem.Malformed, "%w", err)
		}
	}
	reader, err := h.node.NewReader(r.Params.User, r.Params.Purpose)
	if err != nil {
		return nil, err
	}
	e, err := h.node.Explain(ctx, reader, from, id, int(or(r.Params.Version, 0)))
	if err != nil {
		return nil, err
	}
	return nodeapi.Explain200JSONResponse(explanation(e)), nil
}

// ListPolicies implements GET /v1/policies.
func (h handlers) ListPolicies(ctx context.Context, _ nodeapi.ListPoliciesRequestObject) (nodeapi.ListPoliciesResponseObject, error) {
	history, err := h.node.PolicyHistory(ctx)
	if err != nil {
		return nil, err
	}
	out := nodeapi.PolicyHistory{Policies: []nodeapi.PolicyChange{}}
	for _, p := range history {
		out.Policies = append(out.Policies, nodeapi.PolicyChange{Name: p.Policy.Name, Revision: p.Statement.Revision,
			Digest: p.Statement.Digest, Bundle: p.Policy.Bundle, BundleDigest: p.Policy.Digest,
			SignedAt: seconds(p.Statement.IssuedAt), Signers: list(p.Signers), InForce: p.InForce})
	}
	return nodeapi.ListPolicies200JSONResponse(out), nil
}

// SubmitBundle implements POST /v1/bundles.
func (h handlers) SubmitBundle(ctx context.Context, r nodeapi.SubmitBundleRequestObject) (nodeapi.SubmitBundleResponseObject, error) {
	if err := h.node.Hub.SubmitBundle(ctx, r.Body.Bundle); err != nil {
		return nil, err
	}
	return nodeapi.SubmitBundle204Response{}, nil
}

// ListBundles implements GET /v1/bundles.
func (h handlers) ListBundles(ctx context.Context, _ nodeapi.ListBundlesRequestObject) (nodeapi.ListBundlesResponseObject, error) {
	stored, err := h.node.Hub.Bundles(ctx)
	if err != nil {
		return nil, err
	}
	out := hubapi.BundleList{Bundles: []hubapi.StoredBundle{}}
	for _, b := range stored {
		out.Bundles = append(out.Bundles, hubapi.StoredBundle{Digest: b.Digest, Revision: b.Revision, By: string(b.By), At: b.At, InForce: b.InForce})
	}
	return nodeapi.ListBundles200JSONResponse(out), nil
}

// ReadBundle implements GET /v1/bundles/{digest}.
func (h handlers) ReadBundle(ctx context.Context, r nodeapi.ReadBundleRequestObject) (nodeapi.ReadBundleResponseObject, error) {
	raw, err := h.node.Hub.Bundle(ctx, r.Digest)
	if err != nil {
		return nil, err
	}
	return nodeapi.ReadBundle200JSONResponse(hubapi.SignedBundle{Bundle: raw}), nil
}

func agreement(a node.Agreement) nodeapi.Agreement {
	out := nodeapi.Agreement{Id: string(a.Terms.ID), Version: a.Statement.Revision, Digest: a.Statement.Digest,
		State: nodeapi.AgreementState(a.Standing), SignedAt: seconds(a.Statement.IssuedAt), Terms: *a.Terms}
	var by []nodeapi.SuspendedBy
	for _, s := range a.Suspended {
		by = append(by, nodeapi.SuspendedBy{Party: string(s.Party), Reason: optional(s.Reason), At: s.At})
	}
	if len(by) > 0 {
		out.SuspendedBy = &by
	}
	if f := a.Follows; f != nil {
		out.Follows = &nodeapi.FollowingVersion{Version: f.Version, From: f.From}
	}
	return out
}

func proposed(p node.Proposed) nodeapi.Proposed {
	out := nodeapi.Proposed{Digest: p.Digest, By: string(p.By), At: p.At, Statement: p.Raw}
	if p.Fault != nil {
		fault := p.Fault.Error()
		out.Fault = &fault
		return out
	}
	typ, signers, missing := string(p.Statement.Type), list(p.Signers), list(p.Missing)
	out.Type, out.Subject, out.Revision = &typ, &p.Statement.Subject, &p.Statement.Revision
	out.Signers, out.Missing = &signers, &missing
	return out
}

func consent(c node.Consent) nodeapi.Consent {
	return nodeapi.Consent{Alert: string(c.Alert), Recipients: texts(c.Recipients), Revision: c.Revision, Digest: c.Digest, At: c.At}
}

func emergency(e node.Emergency) nodeapi.Emergency {
	d := e.Declared
	return nodeapi.Emergency{Originator: string(d.Originator), Alert: string(d.Alert), Number: d.Number, Threat: d.Threat, Duty: d.Duty,
		Members: texts(d.Members), Compartments: texts(d.Compartments), From: seconds(d.ValidFrom), Until: seconds(d.ValidUntil),
		InForce: e.InForce, Over: d.Over, Revision: e.Statement.Revision, Digest: e.Statement.Digest}
}

func explanation(e *node.Explanation) nodeapi.Explanation {
	out := nodeapi.Explanation{Originator: string(e.Originator), Id: string(e.ID), Version: int32(e.Version)}
	if e.Outgoing != nil {
		o := outgoing(*e.Outgoing)
		out.Outgoing = &o
		return out
	}
	if e.Audience != nil {
		a := audience(*e.Audience)
		out.Audience = &a
		return out
	}
	got := []nodeapi.GotBecause{}
	for _, r := range e.Received {
		g := nodeapi.GotBecause{Portion: string(r.Portion), Release: nodeapi.GotBecauseRelease(r.Kind), Why: list(r.Why),
			Obligations: r.Obligations, Emergency: optional(r.Emergency)}
		if len(r.Agreements) > 0 {
			cited := citations(r.Agreements)
			g.Agreements = &cited
		}
		got = append(got, g)
	}
	out.Received = &got
	return out
}

func citations(cited []node.CitedAgreement) []hubapi.CitedAgreement {
	var out []hubapi.CitedAgreement
	for _, c := range cited {
		out = append(out, hubapi.CitedAgreement{Id: c.ID, Digest: c.Digest, Title: c.Title, Version: c.Version})
	}
	return out
}

// list is never null in JSON.
func list(texts []string) []string { return append([]string{}, texts...) }

func texts[T ~string](names []T) []string {
	out := []string{}
	for _, n := range names {
		out = append(out, string(n))
	}
	return out
}
