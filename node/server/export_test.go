package server

import (
	"context"
	"net/http"
	"time"

	"github.com/entente-hub/entente/node"
)

// Through puts something between the client and its connections.
func (c *Client) Through(wrap func(http.RoundTripper) http.RoundTripper) {
	c.http.Transport = wrap(c.http.Transport)
}

// HTTP returns what the client asks with.
func (c *Client) HTTP() *http.Client { return c.http }

// Handshakes is how many may be under way at once at the local interface.
var Handshakes = localLimits.Handshakes

// DraftContent is what a draft says, as those who read it see it.
var DraftContent = draftContent

// An Import is the parcel that is being handed over to a node.
type Import struct{ *imports }

// NewImport is one that is given up when nobody has gone on with it for a time.
func NewImport(n *node.Node, dataDir string, idle time.Duration) (Import, error) {
	i, err := newImports(n, nil, dataDir)
	if err == nil {
		i.idle = idle
	}
	return Import{i}, err
}

// Add hands over a piece.
func (i Import) Add(digest string, offset int64, data []byte) (int64, error) {
	return i.add(digest, offset, data)
}

// Take verifies the parcel and takes what is in it.
func (i Import) Take(ctx context.Context, digest string) error {
	_, err := i.take(ctx, digest)
	return err
}

// Grown makes the parcel as large as it may be, but for some bytes.
func (i Import) Grown(but int64) { i.size = maxImport - but }

// Broken closes its file.
func (i Import) Broken() error { return i.file.Close() }
