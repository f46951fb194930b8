package server

import (
	"context"
	"time"

	"github.com/entente-hub/entente/api/alert"
	"github.com/entente-hub/entente/api/nodeapi"
	"github.com/entente-hub/entente/api/problem"
	"github.com/entente-hub/entente/node"
)

// ListDelegations implements GET /v1/delegations.
func (h handlers) ListDelegations(ctx context.Context, r nodeapi.ListDelegationsRequestObject) (nodeapi.ListDelegationsResponseObject, error) {
	reader, err := h.node.NewReader(r.Params.User, r.Params.Purpose)
	if err != nil {
		return nil, err
	}
	list, err := h.node.Delegations(ctx, node.DelegationFilter{State: node.DelegationState(or(r.Params.State, "")), Reader: reader,
		Limit: or(r.Params.Limit, defaultLimit)})
	if err != nil {
		return nil, err
	}
	page := nodeapi.DelegationList{Delegations: []nodeapi.Delegation{}}
	for _, d := range list {
		page.Delegations = append(page.Delegations, delegation(d))
	}
	return nodeapi.ListDelegations200JSONResponse(page), nil
}

// ReadDelegation implements GET /v1/delegations/{originator}/{id}.
func (h handlers) ReadDelegation(ctx context.Context, r nodeapi.ReadDelegationRequestObject) (nodeapi.ReadDelegationResponseObject, error) {
	originator, id, err := named(r.Originator, r.Id)
	if err != nil {
		return nil, err
	}
	reader, err := h.node.NewReader(r.Params.User, r.Params.Purpose)
	if err != nil {
		return nil, err
	}
	d, err := h.node.Delegation(ctx, reader, originator, id)
	if err != nil {
		return nil, err
	}
	return nodeapi.ReadDelegation200JSONResponse(delegation(*d)), nil
}

// PublishDelegation implements POST /v1/delegations/{originator}/{id}/publication.
func (h handlers) PublishDelegation(ctx context.Context, r nodeapi.PublishDelegationRequestObject) (nodeapi.PublishDelegationResponseObject, error) {
	p, err := publicationOf(nodeapi.PublicationDraft{Originator: r.Originator, Id: r.Id, Plan: r.Body.Plan, Checked: r.Body.Checked})
	if err != nil {
		return nil, err
	}
	if p.Reader, err = h.node.NewReader(r.Params.User, r.Params.Purpose); err != nil {
		return nil, err
	}
	o, err := h.node.PublishDelegation(ctx, p)
	if err != nil {
		return nil, err
	}
	return nodeapi.PublishDelegation202JSONResponse(outgoing(*o)), nil
}

func publicationOf(b nodeapi.PublicationDraft) (p node.PublicationDraft, err error) {
	p = node.PublicationDraft{Plan: b.Plan, Checked: or(b.Checked, false)}
	p.Originator, p.ID, err = named(b.Originator, b.Id)
	return p, err
}

// named reads the name of an alert.
func named(member, id string) (alert.MemberID, alert.ID, error) {
	m, err := alert.ParseMemberID(member)
	if err != nil {
		return "", "", problem.New(problem.Malformed, "%w", err)
	}
	i, err := alert.ParseID(id)
	if err != nil {
		return "", "", problem.New(problem.Malformed, "%w", err)
	}
	return m, i, nil
}

// delegateTo reads what makes a draft a delegation, nil if it is none.
func delegateTo(b *nodeapi.DelegateTo) (*node.DelegateTo, error) {
	if b == nil {
		return nil, nil
	}
	to, err := alert.ParseMemberID(b.To)
	if err != nil {
		return nil, problem.New(problem.Malformed, "delegate: %w", err)
	}
	return &node.DelegateTo{To: to, Precedence: or(b.Precedence, ""), Due: or(b.Due, time.Time{}), Checked: or(b.Checked, false)}, nil
}

// delegatedTo writes it.
func delegatedTo(d *node.DelegateTo) *nodeapi.DelegateTo {
	if d == nil {
		return nil
	}
	out := &nodeapi.DelegateTo{To: string(d.To)}
	if d.Precedence != "" {
		out.Precedence = &d.Precedence
	}
	if !d.Due.IsZero() {
		out.Due = &d.Due
	}
	if d.Checked {
		out.Checked = &d.Checked
	}
	return out
}

func madeOf(m *node.MadeOf) *nodeapi.MadeOf {
	if m == nil {
		return nil
	}
	out := &nodeapi.MadeOf{Originator: string(m.Originator), Id: string(m.ID)}
	if m.Checked {
		out.Checked = &m.Checked
	}
	return out
}

// delegating writes what makes a received alert a delegation, nil if it is none.
func delegating(d *alert.Delegation) *nodeapi.AlertDelegation {
	if d == nil {
		return nil
	}
	return &nodeapi.AlertDelegation{To: string(d.To), Precedence: d.Precedence, Due: seconds(d.Due)}
}

func delegation(s node.DelegationStatus) nodeapi.Delegation {
	out := nodeapi.Delegation{Originator: string(s.Originator), Id: string(s.ID), Own: s.Own, Party: string(s.Other()),
		Precedence: s.Precedence, Due: seconds(s.Due), State: nodeapi.DelegationState(s.State), Published: optional(string(s.Published)),
		Publication: optional(string(s.Delegation.State)), Recalled: s.Recalled, Rests: s.Rests, Expires: seconds(s.Expires),
		By: optional(s.By), Plan: s.Plan, Replies: []nodeapi.RequestAnswer{}}
	for _, a := range s.Replies {
		out.Replies = append(out.Replies, nodeapi.RequestAnswer{Originator: string(a.Originator), Id: string(a.ID),
			Version: int32(a.Version), Act: a.Act})
	}
	return out
}
