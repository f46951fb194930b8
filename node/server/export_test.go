package server

import "net/http"

// Through puts something between the client and its connections.
func (c *Client) Through(wrap func(http.RoundTripper) http.RoundTripper) {
	c.http.Transport = wrap(c.http.Transport)
}

// HTTP returns what the client asks with.
func (c *Client) HTTP() *http.Client { return c.http }
