package server

import (
	"context"
	"crypto/sha256"
	"crypto/x509"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"io/fs"
	"os"
	"path/filepath"
	"sync"
	"time"

	"github.com/entente-hub/entente/api/nodeapi"
	"github.com/entente-hub/entente/api/problem"
	"github.com/entente-hub/entente/node"
	"github.com/entente-hub/entente/parcel"
)

// importFile is the name that a parcel has in the data directory until it was taken.
const importFile = "import.parcel"

const (
	importTurn = 10 * time.Second // for how long pages are taken before the caller is answered
	importIdle = 10 * time.Minute // for how long what nobody goes on with stays on disk
	maxImport  = 8 << 30          // bytes of a parcel: a courier is not to fill the node's disk, and a caller waits while all of it is read
)

// imports is the parcel that is being handed over. It is safe for concurrent use: one
// caller is served at a time. It holds one, and nothing is believed of it before all of it
// is there and was verified. One that nobody goes on with is removed: it holds content in
// the clear, which no recall would erase.
type imports struct {
	node *node.Node
	pool *x509.CertPool
	path string
	idle time.Duration

	mu     sync.Mutex
	digest string // of which it is to be; "": there is none
	file   *os.File
	size   int64
	sum    hash.Hash      // of what there is
	reader *parcel.Reader // once it was verified

	touched time.Time   // when somebody went on with it
	left    *time.Timer // until it is looked whether anybody does
}

// newImports removes what a killed process has left.
func newImports(n *node.Node, pool *x509.CertPool, dataDir string) (*imports, error) {
	i := &imports{node: n, pool: pool, path: filepath.Join(dataDir, importFile), idle: importIdle}
	if err := os.Remove(i.path); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("node configuration: data_dir: %w", err)
	}
	return i, nil
}

// discard removes the file.
func (i *imports) discard() error {
	if i.file == nil {
		return nil
	}
	i.left.Stop()
	err := errors.Join(i.file.Close(), os.Remove(i.path))
	i.file, i.reader, i.digest, i.size = nil, nil, "", 0
	return err
}

// begin makes the file for a parcel, in the place of any other.
func (i *imports) begin(digest string) error {
	if err := i.discard(); err != nil {
		return err
	}
	f, err := os.OpenFile(i.path, os.O_RDWR|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	i.file, i.digest, i.sum, i.touched = f, digest, sha256.New(), time.Now()
	i.left = time.AfterFunc(i.idle, func() { i.drop(f) })
	return nil
}

// drop removes what nobody goes on with.
func (i *imports) drop(f *os.File) {
	i.mu.Lock()
	defer i.mu.Unlock()
	if i.file != f {
		return
	}
	if rest := i.idle - time.Since(i.touched); rest > 0 {
		i.left.Reset(rest)
	} else if err := i.discard(); err != nil {
		i.node.Log.Warn("a parcel that was not imported can not be removed", "error", err.Error())
	} else {
		i.node.Log.Info("a parcel was removed that nobody went on importing")
	}
}

// add appends a piece, and returns how much there is now.
func (i *imports) add(digest string, offset int64, data []byte) (int64, error) {
	i.mu.Lock()
	defer i.mu.Unlock()
	if digest != i.digest {
		if err := i.begin(digest); err != nil {
			return 0, cannotKeep(err)
		}
	}
	i.touched = time.Now()
	if offset != i.size || i.reader != nil {
		return i.size, nil
	}
	if int64(len(data)) > maxImport-i.size {
		return 0, errors.Join(parcelTooLarge(), i.discard())
	}
	if _, err := i.file.WriteAt(data, offset); err != nil { // the disk may be full
		return 0, cannotKeep(errors.Join(err, i.discard()))
	}
	i.size += int64(len(data))
	i.sum.Write(data) // a hash takes all
	return i.size, nil
}

func parcelTooLarge() error {
	return problem.New(problem.TooLarge, "a parcel has at most %d GiB: entente courier --limit makes smaller ones", maxImport>>30)
}

func cannotKeep(err error) error {
	return problem.Wrap(problem.Unavailable, err, "the parcel can not be kept in the node's data directory")
}

// take verifies the parcel, if that is still to be done, and takes what is in it for a
// while.
func (i *imports) take(ctx context.Context, digest string) (out node.Imported, err error) {
	i.mu.Lock()
	defer i.mu.Unlock()
	if digest != i.digest || i.file == nil {
		return out, problem.New(problem.NotFound, "no such parcel")
	}
	defer func() {
		i.touched = time.Now()
		if err != nil || !out.Again {
			if left := i.discard(); left != nil {
				err = errors.Join(err, cannotKeep(left))
			}
		}
	}()
	if i.reader == nil {
		if i.reader, err = i.open(); err != nil {
			i.node.Log.WarnContext(ctx, "a parcel is refused", "sha256", digest, "problem", string(problem.KindOf(err)))
			return out, err
		}
	}
	out, err = i.node.Import(ctx, i.reader, time.Now().Add(importTurn))
	m := i.reader.Manifest()
	i.node.Log.InfoContext(ctx, "a parcel is imported", "sha256", digest, "parcel", m.ID, "re", m.Re, "made_at", m.MadeAt,
		"cursor", out.Cursor, "accepted", out.Accepted, "refused", out.Refused, "complete", err == nil && !out.Again)
	return out, err
}

func (i *imports) open() (*parcel.Reader, error) {
	if hex.EncodeToString(i.sum.Sum(nil)) != i.digest {
		return nil, problem.New(problem.Malformed, "what was handed over has another digest than it was to have")
	}
	r, err := parcel.Open(i.file, i.size, parcel.Trust{Pool: i.pool, Member: i.node.Member, Now: i.node.Now()})
	switch {
	case errors.Is(err, parcel.ErrSigner):
		return nil, problem.New(problem.BadSignature, "%w", err)
	case errors.Is(err, parcel.ErrParcel):
		return nil, problem.New(problem.Malformed, "%w", err)
	case err != nil:
		return nil, cannotKeep(err)
	}
	return r, nil
}

// close removes what was not taken.
func (i *imports) close() error {
	i.mu.Lock()
	defer i.mu.Unlock()
	return i.discard()
}

// ReadStanding implements GET /v1/exports.
func (h handlers) ReadStanding(ctx context.Context, _ nodeapi.ReadStandingRequestObject) (nodeapi.ReadStandingResponseObject, error) {
	s, err := h.node.Standing(ctx)
	if err != nil {
		return nil, err
	}
	return nodeapi.ReadStanding200JSONResponse{Member: string(h.node.Member), Hub: string(h.node.HubID),
		Cursor: s.Cursor, LogSize: s.LogSize, PublishedAfter: s.PublishedAfter}, nil
}

// ListWaiting implements GET /v1/exports/{kind}.
func (h handlers) ListWaiting(ctx context.Context, r nodeapi.ListWaitingRequestObject) (nodeapi.ListWaitingResponseObject, error) {
	list, err := h.node.Waiting(ctx, parcel.Kind(r.Kind), or(r.Params.After, 0))
	if err != nil {
		return nil, err
	}
	var out nodeapi.ListWaiting200JSONResponse
	out.Waiting = make([]struct {
		Place int64  `json:"place"`
		Text  string `json:"text"`
	}, len(list))
	for i, w := range list {
		out.Waiting[i].Place, out.Waiting[i].Text = w.Place, w.Token
	}
	return out, nil
}

// AddPiece implements PUT /v1/imports/{digest}.
func (h handlers) AddPiece(_ context.Context, r nodeapi.AddPieceRequestObject) (nodeapi.AddPieceResponseObject, error) {
	size, err := h.imports.add(r.Digest, r.Body.Offset, r.Body.Data)
	if err != nil {
		return nil, err
	}
	return nodeapi.AddPiece200JSONResponse{Size: size}, nil
}

// TakeParcel implements POST /v1/imports/{digest}.
func (h handlers) TakeParcel(ctx context.Context, r nodeapi.TakeParcelRequestObject) (nodeapi.TakeParcelResponseObject, error) {
	i, err := h.imports.take(ctx, r.Digest)
	if err != nil {
		return nil, err
	}
	return nodeapi.TakeParcel200JSONResponse{Cursor: i.Cursor, Items: i.Items, Accepted: i.Accepted, Refused: i.Refused, Acks: i.Acks,
		Purges: i.Purges, Submissions: i.Submitted, Statements: i.Statements, Again: i.Again, Left: i.Left}, nil
}
