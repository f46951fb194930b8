// Package hubclient is a node's way to a hub: node.Hub over mutually
// authenticated TLS 1.3 and the hub's OpenAPI interface.
package hubclient

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"mime"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"sync/atomic"
	"time"

	"github.com/entente-hub/entente/api/federation"
	"github.com/entente-hub/entente/api/hubapi"
	"github.com/entente-hub/entente/api/problem"
	"github.com/entente-hub/entente/api/strictjson"
	"github.com/entente-hub/entente/crypto/pki"
	"github.com/entente-hub/entente/node"
)

// Timeouts of one request, connection included. A poll has its waiting time on
// top.
const (
	callTimeout = 30 * time.Second
	dialTimeout = 5 * time.Second
)

// Limits on what is read of an answer, in bytes.
const (
	maxProblem = 64 << 10
	maxSmall   = 256 << 10 // a receipt, a checkpoint, a proof
	maxAnswer  = 16 << 20  // an audience
	maxPage    = 128 << 20 // a page of feed.MaxPage alerts, or of as many statements
)

// Config says how to reach a hub.
type Config struct {
	URLs        []string // https://host[:port] of the hub's replicas; the first that answers is used
	Hub         federation.HubID
	Certificate tls.Certificate // the member's
	Pool        *x509.CertPool  // the authorities of hubs' certificates
}

// Client is a node.Hub. It is safe for concurrent use.
type Client struct {
	replicas []*hubapi.Client
	current  atomic.Int64 // index of the replica that answered last
	http     *http.Client
}

var _ node.Hub = (*Client)(nil)

// New returns a client. It does not connect yet. The error tells of a
// malformed URL.
func New(c Config) (*Client, error) {
	if len(c.URLs) == 0 {
		return nil, errors.New("hubclient: no URL of a hub")
	}
	conf := pki.ClientConfig(c.Certificate, c.Pool, pki.Identity{Kind: pki.Hub, ID: string(c.Hub)})
	out := &Client{http: &http.Client{
		Transport: &http.Transport{
			TLSClientConfig:     conf,
			DialContext:         (&net.Dialer{Timeout: dialTimeout}).DialContext,
			TLSHandshakeTimeout: dialTimeout,
			MaxIdleConnsPerHost: 8,
			IdleConnTimeout:     90 * time.Second,
			DisableCompression:  true, // what a limit on bytes counts is what was sent
		},
		// A hub never sends its members elsewhere.
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}}
	for _, raw := range c.URLs {
		if err := CheckURL(raw); err != nil {
			return nil, fmt.Errorf("hubclient: %w", err)
		}
		replica, err := hubapi.NewClient(raw, hubapi.WithHTTPClient(out.http))
		if err != nil {
			return nil, fmt.Errorf("hubclient: %w", err)
		}
		out.replicas = append(out.replicas, replica)
	}
	return out, nil
}

// CheckURL accepts https://host[:port], with nothing behind it.
func CheckURL(raw string) error {
	u, err := url.Parse(raw)
	if err != nil {
		return err
	}
	if u.Scheme != "https" || u.Host == "" || u.User != nil || u.RawQuery != "" || u.Fragment != "" || (u.Path != "" && u.Path != "/") {
		return fmt.Errorf("%.100q is not of the form https://host:port", raw)
	}
	return nil
}

// Close gives up idle connections.
func (c *Client) Close() { c.http.CloseIdleConnections() }

// request sends one request to one replica.
type request func(ctx context.Context, replica *hubapi.Client) (*http.Response, error)

// answer is what is read of a response.
type answer struct {
	status int
	body   []byte
}

// call sends a request to the replica that answered last and, while one can not
// be reached or is not ready, to the others in turn: every operation may be
// repeated. into receives the JSON of a 200; nil expects a 204.
func (c *Client) call(ctx context.Context, timeout time.Duration, limit int64, into any, send request) error {
	first := c.current.Load()
	var err error
	for i := range c.replicas {
		at := (first + int64(i)) % int64(len(c.replicas))
		if err = c.once(ctx, timeout, limit, into, c.replicas[at], send); problem.KindOf(err) != problem.Unavailable || ctx.Err() != nil {
			c.current.Store(at)
			return err
		}
	}
	c.current.Store((first + 1) % int64(len(c.replicas)))
	return err
}

func (c *Client) once(ctx context.Context, timeout time.Duration, limit int64, into any, replica *hubapi.Client, send request) error {
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	resp, err := send(ctx, replica)
	if err != nil {
		return problem.Wrap(problem.Unavailable, err, "the hub can not be reached")
	}
	a, err := read(resp, limit)
	if err != nil {
		return problem.Wrap(problem.Unavailable, err, "the hub's answer broke off, or is too large")
	}
	switch {
	case a.status == http.StatusNoContent && into == nil:
		return nil
	case a.status == http.StatusOK && into != nil:
		if err := expect(resp, "application/json"); err != nil {
			return err
		}
		if err := strictjson.Unmarshal(a.body, into); err != nil {
			return problem.Wrap(problem.Internal, err, "the hub's answer is not what it should be")
		}
		return nil
	case a.status < http.StatusBadRequest:
		return problem.New(problem.Internal, "the hub answered with HTTP status %d", a.status)
	}
	if err := expect(resp, problem.MediaType); err != nil {
		return problem.New(problem.Unavailable, "HTTP status %d without a problem document, perhaps from something between node and hub", a.status)
	}
	p := problem.Parse(a.status, a.body)
	p.RetryAfter = retryAfter(resp.Header)
	return p
}

// maxRetryAfter is the longest pause that a hub is granted, and what keeps a node
// from being sent away for good.
const maxRetryAfter = time.Minute

// retryAfter reads whole seconds; dates are not taken (RFC 9110 section 10.2.3).
func retryAfter(h http.Header) time.Duration {
	n, err := strconv.ParseUint(h.Get("Retry-After"), 10, 32)
	if err != nil {
		return 0
	}
	return min(time.Duration(n)*time.Second, maxRetryAfter)
}

func expect(resp *http.Response, want string) error {
	got, _, err := mime.ParseMediaType(resp.Header.Get("Content-Type"))
	if err != nil || got != want {
		return problem.New(problem.Internal, "the hub's answer is of media type %.80q, not %s", resp.Header.Get("Content-Type"), want)
	}
	return nil
}

// read reads a body up to a limit; that of a problem is small.
func read(resp *http.Response, limit int64) (a answer, err error) {
	defer func() { err = errors.Join(err, resp.Body.Close()) }()
	if resp.StatusCode >= http.StatusBadRequest {
		limit = maxProblem
	}
	a.status = resp.StatusCode
	a.body, err = io.ReadAll(io.LimitReader(resp.Body, limit+1))
	if err == nil && int64(len(a.body)) > limit {
		err = fmt.Errorf("more than %d bytes", limit)
	}
	return a, err
}
