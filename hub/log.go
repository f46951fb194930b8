package hub

import (
	"context"
	"encoding/base64"
	"sync"

	"github.com/entente-hub/entente/api/feed"
	"github.com/entente-hub/entente/api/problem"
	"github.com/entente-hub/entente/crypto/tlog"
)

// checkpoints keeps the last signed one. The zero value is ready.
type checkpoints struct {
	mu   sync.Mutex
	size int64
	note []byte
}

// Checkpoint returns the signed checkpoint of the audit log as it stands.
func (h *Hub) Checkpoint(ctx context.Context) ([]byte, error) {
	head, err := h.Store.LogHead(ctx)
	if err != nil {
		return nil, unavailable(err)
	}
	h.notes.mu.Lock()
	defer h.notes.mu.Unlock()
	if h.notes.note != nil && h.notes.size == head.Size {
		return h.notes.note, nil
	}
	note, err := tlog.SignCheckpoint(ctx, h.Signer, feed.Origin(h.ID), head.Size, head.Root)
	if err != nil {
		return nil, problem.Wrap(problem.Unavailable, err, "the checkpoint can not be signed now")
	}
	h.notes.size, h.notes.note = head.Size, note
	return note, nil
}

// Consistency proves that the log of newSize entries begins with that of
// oldSize: hashes in base64 (RFC 6962 section 2.1.2).
func (h *Hub) Consistency(ctx context.Context, oldSize, newSize int64) ([]string, error) {
	head, err := h.Store.LogHead(ctx)
	if err != nil {
		return nil, unavailable(err)
	}
	if oldSize < 1 || oldSize > newSize || newSize > head.Size {
		return nil, problem.New(problem.Malformed, "no such sizes: 1 ≤ old ≤ new ≤ the checkpoint's")
	}
	proof, err := tlog.ConsistencyProof(newSize, oldSize, tlog.HashReaderFunc(func(indexes []int64) ([]tlog.Hash, error) {
		return h.Store.Hashes(ctx, indexes)
	}))
	if err != nil {
		return nil, unavailable(err)
	}
	out := []string{}
	for _, hash := range proof {
		out = append(out, base64.StdEncoding.EncodeToString(hash[:]))
	}
	return out, nil
}
