package hubclient

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"net/http"
	"time"

	"github.com/entente-hub/entente/api/alert"
	"github.com/entente-hub/entente/api/feed"
	"github.com/entente-hub/entente/api/hubapi"
	"github.com/entente-hub/entente/api/problem"
	"github.com/entente-hub/entente/crypto/tlog"
	"github.com/entente-hub/entente/node"
)

// Publish implements node.Hub.
func (c *Client) Publish(ctx context.Context, token string) (string, error) {
	var out hubapi.SignedReceipt
	err := c.call(ctx, callTimeout, maxSmall, &out, func(ctx context.Context, r *hubapi.Client) (*http.Response, error) {
		return r.PublishAlert(ctx, hubapi.SignedAlert{Alert: token})
	})
	return out.Receipt, err
}

// PublishAll implements node.Hub.
func (c *Client) PublishAll(ctx context.Context, tokens []string) ([]node.Published, error) {
	var in hubapi.PublishResults
	err := c.call(ctx, callTimeout, maxSmall+maxProblem*int64(len(tokens)), &in, func(ctx context.Context, r *hubapi.Client) (*http.Response, error) {
		return r.PublishAlerts(ctx, hubapi.SignedAlerts{Alerts: tokens})
	})
	if err != nil {
		return nil, err
	}
	if len(in.Results) == 0 || len(in.Results) > len(tokens) {
		return nil, problem.New(problem.Internal, "the hub tells of %d alerts, where %d were sent", len(in.Results), len(tokens))
	}
	out := make([]node.Published, len(in.Results))
	for i, r := range in.Results {
		switch {
		case (r.Receipt == nil) == (r.Problem == nil):
			return nil, problem.New(problem.Internal, "the hub says neither that it has taken an alert nor that it has not")
		case r.Problem != nil:
			out[i].Refusal = r.Problem.Err()
		default:
			out[i].Receipt = *r.Receipt
		}
	}
	return out, nil
}

// Audience implements node.Hub.
func (c *Client) Audience(ctx context.Context, q node.AudienceQuery) (node.Audience, error) {
	body := hubapi.AudienceQuery{Portions: []hubapi.LabelledPortion{}}
	if q.Expires != 0 {
		body.Expires = &q.Expires
	}
	for _, p := range q.Portions {
		body.Portions = append(body.Portions, hubapi.LabelledPortion{Portion: string(p.ID), Label: p.Label})
	}
	var out hubapi.AudienceAnswer
	err := c.call(ctx, callTimeout, maxAnswer, &out, func(ctx context.Context, r *hubapi.Client) (*http.Response, error) {
		return r.PreviewAudience(ctx, body)
	})
	if err != nil {
		return node.Audience{}, err
	}
	return audience(out), nil
}

func audience(in hubapi.AudienceAnswer) node.Audience {
	out := node.Audience{Revision: in.Revision, Policy: in.Policy}
	for _, p := range in.Portions {
		portion := node.PortionAudience{Portion: alert.PortionID(p.Portion)}
		for _, m := range p.Members {
			d := node.MemberDecision{Member: alert.MemberID(m.Member), Release: feed.Kind(m.Release),
				Codes: value(m.Codes), Message: value(m.Message), Emergency: value(m.Emergency), Held: feed.Kind(value(m.Held))}
			for _, a := range value(m.Agreements) {
				d.Agreements = append(d.Agreements, node.CitedAgreement{ID: a.Id, Digest: a.Digest, Title: a.Title, Version: a.Version})
			}
			portion.Members = append(portion.Members, d)
		}
		out.Portions = append(out.Portions, portion)
	}
	return out
}

func value[T any](p *T) T {
	if p == nil {
		var zero T
		return zero
	}
	return *p
}

// Poll implements node.Hub. wait is sent in whole seconds.
func (c *Client) Poll(ctx context.Context, after int64, limit int, wait time.Duration) (feed.Page, error) {
	seconds := int(wait / time.Second)
	var out feed.Page
	err := c.call(ctx, wait+callTimeout, maxPage, &out, func(ctx context.Context, r *hubapi.Client) (*http.Response, error) {
		return r.PollFeed(ctx, &hubapi.PollFeedParams{After: after, Limit: &limit, Wait: &seconds})
	})
	return out, err
}

// Acknowledge implements node.Hub.
func (c *Client) Acknowledge(ctx context.Context, acks []string) error {
	return c.call(ctx, callTimeout, maxSmall, nil, func(ctx context.Context, r *hubapi.Client) (*http.Response, error) {
		return r.Acknowledge(ctx, hubapi.Acks{Acks: acks})
	})
}

// Purged implements node.Hub.
func (c *Client) Purged(ctx context.Context, purges []string) error {
	return c.call(ctx, callTimeout, maxSmall, nil, func(ctx context.Context, r *hubapi.Client) (*http.Response, error) {
		return r.Purged(ctx, hubapi.Purges{Purges: purges})
	})
}

// Published implements node.Hub.
func (c *Client) Published(ctx context.Context, after int64, limit int) ([]node.PublishedAlert, error) {
	var in hubapi.Published
	err := c.call(ctx, callTimeout, maxPage, &in, func(ctx context.Context, r *hubapi.Client) (*http.Response, error) {
		return r.ListPublished(ctx, &hubapi.ListPublishedParams{After: after, Limit: &limit})
	})
	var out []node.PublishedAlert
	for _, a := range in.Alerts {
		out = append(out, node.PublishedAlert{Token: a.Alert, Receipt: a.Receipt})
	}
	return out, err
}

// Holders implements node.Hub.
func (c *Client) Holders(ctx context.Context, id alert.ID) (node.HoldersReport, error) {
	var in hubapi.HoldersReport
	err := c.call(ctx, callTimeout, maxAnswer, &in, func(ctx context.Context, r *hubapi.Client) (*http.Response, error) {
		return r.ListHolders(ctx, string(id))
	})
	var out node.HoldersReport
	for _, h := range in.Holders {
		out.HandOvers = append(out.HandOvers, node.HandOver{Member: h.Member, Version: int(h.Version), Seq: h.Seq, Chain: h.Chain,
			ReleasedAt: h.ReleasedAt, Releases: h.Releases, Ack: value(h.Acknowledgement), Lost: value(h.Lost)})
	}
	for _, p := range in.Purges {
		out.Purges = append(out.Purges, node.PurgeReceipt{Member: p.Member, Version: int(p.Version), Receipt: p.Receipt})
	}
	return out, err
}

// Statements implements node.Hub.
func (c *Client) Statements(ctx context.Context, after int64, limit int) ([]node.PlacedStatement, error) {
	var out hubapi.StatementPage
	err := c.call(ctx, callTimeout, maxPage, &out, func(ctx context.Context, r *hubapi.Client) (*http.Response, error) {
		return r.ListStatements(ctx, &hubapi.ListStatementsParams{After: &after, Limit: &limit})
	})
	if err != nil {
		return nil, err
	}
	if len(out.Statements) > limit {
		return nil, problem.New(problem.Internal, "the hub answered with %d statements, not up to %d", len(out.Statements), limit)
	}
	var list []node.PlacedStatement
	for _, s := range out.Statements {
		list = append(list, node.PlacedStatement{Position: s.Position, Raw: s.Statement})
	}
	return list, nil
}

// SubmitStatement implements node.Hub.
func (c *Client) SubmitStatement(ctx context.Context, raw []byte) error {
	return c.call(ctx, callTimeout, maxSmall, nil, func(ctx context.Context, r *hubapi.Client) (*http.Response, error) {
		return r.SubmitStatement(ctx, json.RawMessage(raw))
	})
}

// Checkpoint implements node.Hub.
func (c *Client) Checkpoint(ctx context.Context) ([]byte, error) {
	var out hubapi.Checkpoint
	err := c.call(ctx, callTimeout, maxSmall, &out, func(ctx context.Context, r *hubapi.Client) (*http.Response, error) {
		return r.ReadCheckpoint(ctx)
	})
	return []byte(out.Checkpoint), err
}

// Consistency implements node.Hub.
func (c *Client) Consistency(ctx context.Context, older, newer int64) (tlog.ConsistencyPath, error) {
	var out hubapi.Proof
	err := c.call(ctx, callTimeout, maxSmall, &out, func(ctx context.Context, r *hubapi.Client) (*http.Response, error) {
		return r.ProveConsistency(ctx, &hubapi.ProveConsistencyParams{Old: older, New: newer})
	})
	if err != nil {
		return nil, err
	}
	path := make(tlog.ConsistencyPath, len(out.Hashes))
	for i, text := range out.Hashes {
		h, err := base64.StdEncoding.Strict().DecodeString(text)
		if err != nil || len(h) != tlog.HashSize {
			return nil, problem.New(problem.Internal, "the hub's proof holds something else than hashes")
		}
		path[i] = tlog.Hash(h)
	}
	return path, nil
}
