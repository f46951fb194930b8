package server

import (
	"context"
	"fmt"
	"io"
	"mime"
	"net/http"
	"time"

	"github.com/entente-hub/entente/api/alert"
	"github.com/entente-hub/entente/api/nodeapi"
	"github.com/entente-hub/entente/api/problem"
	"github.com/entente-hub/entente/api/strictjson"
	"github.com/entente-hub/entente/crypto/pki"
)

const (
	clientTimeout = 60 * time.Second
	// maxClientAnswer bounds what a client reads: 500 alerts are no problem, for
	// a page of the inbox holds no content.
	maxClientAnswer = 64 << 20
)

// Client asks a node on the same machine, with the member's certificate and the
// token from the data directory. It is safe for concurrent use. Errors are
// *problem.Error: the node's own, Unavailable where it can not be reached, or
// Internal where its answer makes no sense.
type Client struct {
	api           *nodeapi.Client
	http          *http.Client
	user, purpose *string // in whose name the inbox is read; nil: in nobody's
}

// NewClient returns a client of the node that cfg is the configuration of. The
// node must have run once, so that there is a token.
func NewClient(cfg Config) (*Client, error) {
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	cert, pool, err := loadTLS(cfg.TLS)
	if err != nil {
		return nil, err
	}
	token, err := readToken(cfg.DataDir)
	if err != nil {
		return nil, err
	}
	want := pki.Identity{Kind: pki.Member, ID: string(cfg.Member)}
	c := &Client{http: &http.Client{
		Transport:     &http.Transport{TLSClientConfig: pki.ClientConfig(cert, pool, want)},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		Timeout:       clientTimeout,
	}}
	c.api, err = nodeapi.NewClient("https://"+cfg.Listen, nodeapi.WithHTTPClient(c.http),
		nodeapi.WithRequestEditorFn(func(_ context.Context, r *http.Request) error {
			r.Header.Set("Authorization", "Bearer "+token)
			return nil
		}))
	return c, err
}

// Close gives up idle connections.
func (c *Client) Close() { c.http.CloseIdleConnections() }

// Publish composes, signs and queues an alert.
func (c *Client) Publish(ctx context.Context, d nodeapi.Draft) (*nodeapi.Outgoing, error) {
	return answerOf[nodeapi.Outgoing](c.api.Publish(ctx, d))
}

// Preview tells who would get what of a draft, and why.
func (c *Client) Preview(ctx context.Context, d nodeapi.Draft) (*nodeapi.AudienceAnswer, error) {
	return answerOf[nodeapi.AudienceAnswer](c.api.Preview(ctx, d))
}

// Inbox returns up to limit (at most 500) received alerts after a sequence
// number, oldest first.
func (c *Client) Inbox(ctx context.Context, after int64, limit int) ([]nodeapi.Received, error) {
	return c.inbox(ctx, nodeapi.ListInboxParams{After: &after, Limit: &limit})
}

// As returns a client that reads the inbox in the name of a user of the node's
// directory, for a purpose.
func (c *Client) As(user string, purpose alert.Purpose) *Client {
	as, p := *c, string(purpose)
	as.user, as.purpose = &user, &p
	return &as
}

// InboxFrom is Inbox for a user: from the beginning where cursor is "", else from
// after the alert that came with it.
func (c *Client) InboxFrom(ctx context.Context, cursor string, limit int) ([]nodeapi.Received, error) {
	return c.inbox(ctx, nodeapi.ListInboxParams{Cursor: optional(cursor), Limit: &limit})
}

func (c *Client) inbox(ctx context.Context, p nodeapi.ListInboxParams) ([]nodeapi.Received, error) {
	p.User, p.Purpose = c.user, c.purpose
	page, err := answerOf[nodeapi.InboxPage](c.api.ListInbox(ctx, &p))
	if err != nil {
		return nil, err
	}
	return page.Alerts, nil
}

// Show returns one received alert, whole.
func (c *Client) Show(ctx context.Context, originator alert.MemberID, id alert.ID, version int) (*nodeapi.ReceivedAlert, error) {
	return answerOf[nodeapi.ReceivedAlert](c.api.ReadInbox(ctx, string(originator), string(id), int32(version),
		&nodeapi.ReadInboxParams{User: c.user, Purpose: c.purpose}))
}

// Outbox returns up to limit (at most 500) published alerts, newest first.
func (c *Client) Outbox(ctx context.Context, limit int) ([]nodeapi.Outgoing, error) {
	page, err := answerOf[nodeapi.OutboxPage](c.api.ListOutbox(ctx, &nodeapi.ListOutboxParams{Limit: &limit}))
	if err != nil {
		return nil, err
	}
	return page.Alerts, nil
}

// Outgoing tells where one published version stands.
func (c *Client) Outgoing(ctx context.Context, id alert.ID, version int) (*nodeapi.Outgoing, error) {
	return answerOf[nodeapi.Outgoing](c.api.ReadOutbox(ctx, string(id), int32(version)))
}

// Status tells how the node does.
func (c *Client) Status(ctx context.Context) (*nodeapi.Status, error) {
	return answerOf[nodeapi.Status](c.api.ReadStatus(ctx))
}

// answerOf reads a response strictly.
func answerOf[T any](resp *http.Response, err error) (*T, error) {
	if err != nil {
		return nil, problem.Wrap(problem.Unavailable, err, "the node can not be reached")
	}
	defer func() { _ = resp.Body.Close() }() // nothing is left to be lost
	body, err := io.ReadAll(io.LimitReader(resp.Body, maxClientAnswer+1))
	if err == nil && len(body) > maxClientAnswer {
		err = fmt.Errorf("more than %d bytes", maxClientAnswer)
	}
	if err != nil {
		return nil, problem.Wrap(problem.Unavailable, err, "the node's answer broke off, or is too large")
	}
	media, _, err := mime.ParseMediaType(resp.Header.Get("Content-Type"))
	switch {
	case err != nil:
		return nil, problem.New(problem.Internal, "the node answered without a media type")
	case resp.StatusCode >= http.StatusBadRequest && media == problem.MediaType:
		return nil, problem.Parse(resp.StatusCode, body)
	case resp.StatusCode >= http.StatusMultipleChoices || media != "application/json":
		return nil, problem.New(problem.Internal, "the node answered with HTTP status %d and media type %s", resp.StatusCode, media)
	}
	out := new(T)
	if err := strictjson.Unmarshal(body, out); err != nil {
		return nil, problem.Wrap(problem.Internal, err, "the node's answer is not what it should be")
	}
	return out, nil
}
