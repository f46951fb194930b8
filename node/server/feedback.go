package server

import (
	"context"
	"time"

	"github.com/entente-hub/entente/api/alert"
	"github.com/entente-hub/entente/api/nodeapi"
	"github.com/entente-hub/entente/api/problem"
	"github.com/entente-hub/entente/api/strictjson"
	"github.com/entente-hub/entente/node"
)

// GiveFeedback implements POST /v1/feedback.
func (h handlers) GiveFeedback(ctx context.Context, r nodeapi.GiveFeedbackRequestObject) (nodeapi.GiveFeedbackResponseObject, error) {
	f, err := feedbackOf(*r.Body)
	if err != nil {
		return nil, problem.New(problem.Malformed, "%w", err)
	}
	if f.Reader, err = h.node.NewReader(r.Params.User, r.Params.Purpose); err != nil {
		return nil, err
	}
	o, err := h.node.Feedback(ctx, f)
	if err != nil {
		return nil, err
	}
	return nodeapi.GiveFeedback202JSONResponse(outgoing(*o)), nil
}

// feedbackOf reads what somebody wants to say.
func feedbackOf(b nodeapi.FeedbackDraft) (f node.FeedbackDraft, err error) {
	f = node.FeedbackDraft{Act: b.Act, Text: or(b.Text, ""), Objects: or(b.Objects, nil), About: or(b.About, nil),
		Precedence: or(b.Precedence, ""), Due: or(b.Due, time.Time{})}
	if f.Originator, err = alert.ParseMemberID(b.Originator); err != nil {
		return f, err
	}
	if f.Alert, err = alert.ParseID(b.Alert); err != nil {
		return f, err
	}
	for _, name := range or(b.To, nil) {
		m, err := alert.ParseMemberID(name)
		if err != nil {
			return f, err
		}
		f.To = append(f.To, m)
	}
	if b.Label != nil {
		f.Label = new(alert.Label)
		if err := strictjson.Unmarshal(*b.Label, f.Label); err != nil {
			return f, err
		}
	}
	if s := b.Sighting; s != nil {
		f.Sighting = &node.Sighting{Of: or(s.Of, ""), Count: s.Count, FirstSeen: or(s.FirstSeen, time.Time{}),
			LastSeen: or(s.LastSeen, time.Time{}), Where: or(s.Where, nil)}
	}
	return f, nil
}

// ListRequests implements GET /v1/requests.
func (h handlers) ListRequests(ctx context.Context, r nodeapi.ListRequestsRequestObject) (nodeapi.ListRequestsResponseObject, error) {
	reader, err := h.node.NewReader(r.Params.User, r.Params.Purpose)
	if err != nil {
		return nil, err
	}
	list, err := h.node.Requests(ctx, node.RequestFilter{State: node.RequestState(or(r.Params.State, "")), Reader: reader,
		Limit: or(r.Params.Limit, defaultLimit)})
	if err != nil {
		return nil, err
	}
	page := nodeapi.RequestList{Requests: []nodeapi.Request{}}
	for _, s := range list {
		page.Requests = append(page.Requests, request(s))
	}
	return nodeapi.ListRequests200JSONResponse(page), nil
}

func request(s node.RequestStatus) nodeapi.Request {
	out := nodeapi.Request{Originator: string(s.Originator), Id: string(s.ID), Version: int32(s.Version), Own: s.Own,
		Party: string(s.Other()), Re: *reference(&s.Re), Known: s.Known, State: nodeapi.RequestState(s.State),
		Expires: seconds(s.Expires), By: optional(s.By), Answers: []nodeapi.RequestAnswer{}}
	for _, a := range s.Replies {
		out.Answers = append(out.Answers, nodeapi.RequestAnswer{Originator: string(a.Originator), Id: string(a.ID),
			Version: int32(a.Version), Act: a.Act})
	}
	return out
}

// reference writes what an alert refers to, nil if it refers to none.
func reference(re *alert.Reference) *nodeapi.AlertReference {
	if re == nil {
		return nil
	}
	out := &nodeapi.AlertReference{Originator: string(re.Originator), Alert: string(re.Alert), Act: re.Act, Published: optional(string(re.Published))}
	if re.Act == alert.Request {
		due, precedence := seconds(re.Due), re.Precedence
		out.Due, out.Precedence = &due, &precedence
	}
	return out
}
