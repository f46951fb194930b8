package server

import (
	"context"
	"encoding/json"
	"time"

	"github.com/gofiber/fiber/v2"

	"github.com/entente-hub/entente/api/alert"
	"github.com/entente-hub/entente/api/hubapi"
	"github.com/entente-hub/entente/api/problem"
	"github.com/entente-hub/entente/api/serve"
	"github.com/entente-hub/entente/crypto/pki"
	"github.com/entente-hub/entente/hub"
)

var _ hubapi.StrictServerInterface = handlers{}

// handlers has one method an operation; each reads the request, asks the core
// and returns its error as it is.
type handlers struct {
	hub      *hub.Hub
	throttle *throttle
}

// caller is the context key of the member that the connection proved.
type caller struct{}

// authenticate takes the member from the client's certificate, and lets nobody
// else in. What is over the member's limits goes no further: what would be done for
// it, down to putting its refusal on record, is what the limits are for.
func authenticate(h *hub.Hub, t *throttle) serve.Authenticate {
	return func(c *fiber.Ctx) error {
		m, err := peer(c)
		if err != nil {
			return err
		}
		if err := t.admit(c, m); err != nil {
			return err
		}
		if err := h.Known(c.UserContext(), m); err != nil {
			return err
		}
		c.SetUserContext(context.WithValue(c.UserContext(), caller{}, m))
		return nil
	}
}

// recordRefusal puts on record what is refused before a handler sees it, of
// whoever has shown a member's certificate. Who is refused too often is told so
// instead.
func recordRefusal(h *hub.Hub, t *throttle) func(*fiber.Ctx, error) error {
	return func(c *fiber.Ctx, refusal error) error {
		m, err := peer(c)
		if err != nil {
			return refusal // nobody to name
		}
		if err := t.take(classRefused, m, 1); err != nil {
			return err
		}
		return h.Refuse(c.UserContext(), m, refusal)
	}
}

// peer is the member that the connection's certificate names.
func peer(c *fiber.Ctx) (alert.MemberID, error) {
	cs := c.Context().TLSConnectionState()
	if cs == nil {
		return "", problem.New(problem.Unauthenticated, "no TLS")
	}
	id, err := pki.PeerIdentity(*cs)
	if err != nil {
		return "", problem.New(problem.Unauthenticated, "the certificate names no member")
	}
	m, err := alert.ParseMemberID(id.ID)
	if err != nil || id.Kind != pki.Member {
		return "", problem.New(problem.Unauthenticated, "the certificate is not a member's")
	}
	return m, nil
}

func member(ctx context.Context) (alert.MemberID, error) {
	m, ok := ctx.Value(caller{}).(alert.MemberID)
	if !ok {
		return "", problem.New(problem.Unauthenticated, "no member")
	}
	return m, nil
}

// malformed refuses what does not parse where the specification could not tell.
func (h handlers) malformed(ctx context.Context, m alert.MemberID, err error) error {
	return h.hub.Refuse(ctx, m, problem.New(problem.Malformed, "%w", err))
}

func (h handlers) PublishAlert(ctx context.Context, r hubapi.PublishAlertRequestObject) (hubapi.PublishAlertResponseObject, error) {
	m, err := member(ctx)
	if err != nil {
		return nil, err
	}
	receipt, err := h.hub.Publish(ctx, m, r.Body.Alert)
	if err != nil {
		return nil, err
	}
	return hubapi.PublishAlert200JSONResponse{Receipt: receipt}, nil
}

func (h handlers) PublishAlerts(ctx context.Context, r hubapi.PublishAlertsRequestObject) (hubapi.PublishAlertsResponseObject, error) {
	m, err := member(ctx)
	if err != nil {
		return nil, err
	}
	n := 1 // the first was counted as the request
	for n < len(r.Body.Alerts) && h.throttle.take(classPublish, m, 1) == nil {
		n++
	}
	list, err := h.hub.PublishAll(ctx, m, r.Body.Alerts[:n])
	if err != nil {
		return nil, err
	}
	var out hubapi.PublishAlerts200JSONResponse
	for _, p := range list {
		if p.Refusal != nil {
			why := problem.Describe(p.Refusal, "")
			out.Results = append(out.Results, hubapi.PublishResult{Problem: &why})
			continue
		}
		out.Results = append(out.Results, hubapi.PublishResult{Receipt: &p.Receipt})
	}
	return out, nil
}

func (h handlers) ReadAlert(ctx context.Context, r hubapi.ReadAlertRequestObject) (hubapi.ReadAlertResponseObject, error) {
	m, err := member(ctx)
	if err != nil {
		return nil, err
	}
	originator, err := alert.ParseMemberID(r.Originator)
	if err != nil {
		return nil, h.malformed(ctx, m, err)
	}
	id, err := alert.ParseID(r.Id)
	if err != nil {
		return nil, h.malformed(ctx, m, err)
	}
	receipt, item, err := h.hub.Read(ctx, m, originator, id, int(r.Version))
	if err != nil {
		return nil, err
	}
	out := hubapi.ReadAlert200JSONResponse{Item: item}
	if receipt != "" {
		out.Receipt = &receipt
	}
	return out, nil
}

func (h handlers) PreviewAudience(ctx context.Context, r hubapi.PreviewAudienceRequestObject) (hubapi.PreviewAudienceResponseObject, error) {
	m, err := member(ctx)
	if err != nil {
		return nil, err
	}
	id, expires, portions, err := previewOf(r.Body)
	if err != nil {
		return nil, h.malformed(ctx, m, err)
	}
	rules, forecasts, err := h.hub.Preview(ctx, m, id, expires, portions)
	if err != nil {
		return nil, err
	}
	out := hubapi.PreviewAudience200JSONResponse{Revision: rules.Revision, Policy: rules.Policy}
	for _, f := range forecasts {
		out.Portions = append(out.Portions, portionAudience(f))
	}
	return out, nil
}

func previewOf(q *hubapi.AudienceQuery) (id alert.ID, expires int64, portions []hub.Labelled, err error) {
	if q.Alert != nil {
		if id, err = alert.ParseID(*q.Alert); err != nil {
			return "", 0, nil, err
		}
	}
	if q.Expires != nil {
		expires = *q.Expires
	}
	for _, p := range q.Portions {
		pid, err := alert.ParsePortionID(p.Portion)
		if err != nil {
			return "", 0, nil, err
		}
		if err := p.Label.Normalize(); err != nil {
			return "", 0, nil, err
		}
		portions = append(portions, hub.Labelled{ID: pid, Label: p.Label})
	}
	return id, expires, portions, nil
}

func portionAudience(f hub.Forecast) hubapi.PortionAudience {
	out := hubapi.PortionAudience{Portion: string(f.Portion), Members: []hubapi.MemberDecision{}}
	for _, m := range f.Members {
		d := hubapi.MemberDecision{Member: string(m.Member), Release: hubapi.MemberDecisionRelease(m.Release)}
		if len(m.Codes) > 0 {
			d.Codes = &m.Codes
		}
		if m.Message != "" {
			d.Message = &m.Message
		}
		var cited []hubapi.CitedAgreement
		for _, a := range m.Agreements {
			cited = append(cited, hubapi.CitedAgreement{Id: string(a.ID), Digest: a.Digest, Title: a.Title, Version: a.Version})
		}
		if cited != nil {
			d.Agreements = &cited
		}
		if m.Emergency != "" {
			d.Emergency = &m.Emergency
		}
		if m.Held != "" {
			held := hubapi.MemberDecisionHeld(m.Held)
			d.Held = &held
		}
		out.Members = append(out.Members, d)
	}
	return out
}

func (h handlers) PollFeed(ctx context.Context, r hubapi.PollFeedRequestObject) (hubapi.PollFeedResponseObject, error) {
	m, err := member(ctx)
	if err != nil {
		return nil, err
	}
	limit, wait := 100, 0
	if r.Params.Limit != nil {
		limit = *r.Params.Limit
	}
	if r.Params.Wait != nil {
		wait = *r.Params.Wait
	}
	page, err := h.hub.Poll(ctx, m, r.Params.After, limit, time.Duration(wait)*time.Second)
	if err != nil {
		return nil, err
	}
	return hubapi.PollFeed200JSONResponse(page), nil
}

func (h handlers) Acknowledge(ctx context.Context, r hubapi.AcknowledgeRequestObject) (hubapi.AcknowledgeResponseObject, error) {
	m, err := member(ctx)
	if err != nil {
		return nil, err
	}
	if err := h.hub.Acknowledge(ctx, m, r.Body.Acks); err != nil {
		return nil, err
	}
	return hubapi.Acknowledge204Response{}, nil
}

func (h handlers) SubmitStatement(ctx context.Context, r hubapi.SubmitStatementRequestObject) (hubapi.SubmitStatementResponseObject, error) {
	m, err := member(ctx)
	if err != nil {
		return nil, err
	}
	if err := h.hub.SubmitStatement(ctx, string(m), json.RawMessage(*r.Body)); err != nil {
		return nil, err
	}
	return hubapi.SubmitStatement204Response{}, nil
}

func (h handlers) ListStatements(ctx context.Context, r hubapi.ListStatementsRequestObject) (hubapi.ListStatementsResponseObject, error) {
	m, err := member(ctx)
	if err != nil {
		return nil, err
	}
	after, limit := int64(0), 100
	if r.Params.After != nil {
		after = *r.Params.After
	}
	if r.Params.Limit != nil {
		limit = *r.Params.Limit
	}
	list, err := h.hub.Statements(ctx, m, after, limit)
	if err != nil {
		return nil, err
	}
	out := hubapi.ListStatements200JSONResponse{Statements: []hubapi.PlacedStatement{}}
	for _, s := range list {
		out.Statements = append(out.Statements, hubapi.PlacedStatement{Position: s.Position, Statement: s.Raw})
	}
	return out, nil
}

func (h handlers) ReadCheckpoint(ctx context.Context, _ hubapi.ReadCheckpointRequestObject) (hubapi.ReadCheckpointResponseObject, error) {
	note, err := h.hub.Checkpoint(ctx)
	if err != nil {
		return nil, err
	}
	return hubapi.ReadCheckpoint200JSONResponse{Checkpoint: string(note)}, nil
}

func (h handlers) ProveConsistency(ctx context.Context, r hubapi.ProveConsistencyRequestObject) (hubapi.ProveConsistencyResponseObject, error) {
	hashes, err := h.hub.Consistency(ctx, r.Params.Old, r.Params.New)
	if err != nil {
		return nil, err
	}
	return hubapi.ProveConsistency200JSONResponse{Hashes: hashes}, nil
}
