package server

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"io"

	"github.com/entente-hub/entente/api/nodeapi"
	"github.com/entente-hub/entente/api/problem"
	"github.com/entente-hub/entente/node"
	"github.com/entente-hub/entente/node/store"
	"github.com/entente-hub/entente/parcel"
)

// pieceSize is how much of a parcel goes in one request, in bytes.
const pieceSize = 2 << 20

var _ node.Source = (*Client)(nil)

// Stands tells where the node stands, and whose it is.
func (c *Client) Stands(ctx context.Context) (*nodeapi.Standing, error) {
	return answerOf[nodeapi.Standing](c.api.ReadStanding(ctx))
}

// Standing implements node.Source.
func (c *Client) Standing(ctx context.Context) (parcel.Standing, error) {
	s, err := c.Stands(ctx)
	if err != nil {
		return parcel.Standing{}, err
	}
	return parcel.Standing{Cursor: s.Cursor, LogSize: s.LogSize, PublishedAfter: s.PublishedAfter}, nil
}

// Waiting implements node.Source.
func (c *Client) Waiting(ctx context.Context, kind parcel.Kind, after int64) ([]store.Waiting, error) {
	in, err := answerOf[nodeapi.WaitingList](c.api.ListWaiting(ctx, nodeapi.ListWaitingParamsKind(kind), &nodeapi.ListWaitingParams{After: &after}))
	if err != nil {
		return nil, err
	}
	list := make([]store.Waiting, len(in.Waiting))
	for i, w := range in.Waiting {
		list[i] = store.Waiting{Place: w.Place, Token: w.Text}
	}
	return list, nil
}

// Import hands over a parcel of size bytes with the hub's answers, and has the node take
// all of it. With an error, what Imported counts was taken before it.
func (c *Client) Import(ctx context.Context, from io.ReaderAt, size int64) (sum nodeapi.Imported, err error) {
	if size > maxImport {
		return sum, parcelTooLarge()
	}
	h := sha256.New()
	if _, err := io.Copy(h, io.NewSectionReader(from, 0, size)); err != nil {
		return sum, err
	}
	digest := hex.EncodeToString(h.Sum(nil))
	buf := make([]byte, pieceSize)
	for at := int64(0); at < size; {
		piece := buf[:min(pieceSize, size-at)]
		if _, err := io.ReadFull(io.NewSectionReader(from, at, int64(len(piece))), piece); err != nil {
			return sum, err
		}
		has, err := answerOf[nodeapi.Copied](c.api.AddPiece(ctx, digest, nodeapi.Piece{Offset: at, Data: piece}))
		if err != nil {
			return sum, err
		}
		if has.Size <= at || has.Size > size {
			return sum, problem.New(problem.Conflict, "the node is being handed over another parcel: import one after the other")
		}
		at = has.Size // where another was cut off, it goes on
	}
	for again := true; again; {
		got, err := answerOf[nodeapi.Imported](c.api.TakeParcel(ctx, digest))
		if err != nil {
			return sum, err
		}
		again = got.Again
		got.Items, got.Accepted, got.Refused, got.Acks = sum.Items+got.Items, sum.Accepted+got.Accepted, sum.Refused+got.Refused, sum.Acks+got.Acks
		got.Purges, got.Submissions, got.Statements = sum.Purges+got.Purges, sum.Submissions+got.Submissions, sum.Statements+got.Statements
		sum = *got
	}
	return sum, nil
}
