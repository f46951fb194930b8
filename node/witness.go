package node

import (
	"bytes"
	"context"
	"errors"
	"fmt"

	"github.com/transparency-dev/formats/log"

	"github.com/entente-hub/entente/api/federation"
	"github.com/entente-hub/entente/api/feed"
	"github.com/entente-hub/entente/crypto/tlog"
	"github.com/entente-hub/entente/node/store"
)

// openCheckpoint verifies a checkpoint with any one of the hub's keys.
func (k *known) openCheckpoint(hub federation.HubID, signed []byte) (tlog.Checkpoint, error) {
	list, err := k.hubKeys()
	if err != nil {
		return tlog.Checkpoint{}, err
	}
	err = errors.New("the hub has no keys")
	for _, pub := range list {
		var c tlog.Checkpoint
		if c, err = tlog.OpenCheckpoint(signed, pub, feed.Origin(hub)); err == nil {
			return c, nil
		}
	}
	return tlog.Checkpoint{}, err
}

// checkLog verifies a checkpoint of the hub's audit log, and that the log still
// begins with all that it held at the last one: before, nil if none was seen. It
// returns what to store. A log that has changed or shrunk is an alarm, kept with
// both checkpoints: they prove it.
func (n *Node) checkLog(ctx context.Context, k *known, before, signed []byte) ([]byte, error) {
	c, err := k.openCheckpoint(n.HubID, signed)
	if err != nil {
		return nil, refusePage("head: %w", err)
	}
	if before == nil {
		return signed, nil
	}
	old, err := storedCheckpoint(before)
	if err != nil {
		return nil, err
	}
	alarm := func(format string, args ...any) error {
		fault := fmt.Errorf(format, args...)
		return errors.Join(refusePage("%w", fault), n.raise(ctx, store.AlarmLog, bytes.Join([][]byte{before, signed}, nil), "%w", fault))
	}
	switch {
	case c.Size < old.Size:
		return nil, alarm("the hub's audit log has shrunk: it had %d entries", old.Size)
	case c.Size == old.Size && c.Root == old.Root:
		return before, nil
	case c.Size == old.Size:
		return nil, alarm("the hub has shown two audit logs of %d entries", old.Size)
	}
	var proof tlog.ConsistencyPath
	if old.Size > 0 {
		if proof, err = n.Hub.Consistency(ctx, old.Size, c.Size); err != nil {
			return nil, err
		}
	}
	if err := tlog.VerifyConsistency(proof, c.Size, c.Root, old.Size, old.Root); err != nil {
		return nil, alarm("the hub's audit log does not begin with the %d entries that it had", old.Size)
	}
	return signed, nil
}

// storedCheckpoint reads a checkpoint that was verified when it was stored; the
// key that signed it may be gone by now.
func storedCheckpoint(signed []byte) (tlog.Checkpoint, error) {
	var c log.Checkpoint
	if _, err := c.Unmarshal(signed); err != nil || len(c.Hash) != tlog.HashSize || c.Size > tlog.MaxSize {
		return tlog.Checkpoint{}, errors.Join(errors.New("the stored checkpoint is damaged"), err)
	}
	return tlog.Checkpoint{Origin: c.Origin, Size: int64(c.Size), Root: tlog.Hash(c.Hash)}, nil
}

// Witness fetches the hub's current checkpoint and verifies that the log has only
// grown since the one last stored, which stays as it is. Errors are
// *problem.Error, wrap ErrPage where the checkpoint is refused, or are the store's.
func (n *Node) Witness(ctx context.Context) (tlog.Checkpoint, error) {
	k, err := n.registered()
	if err != nil {
		return tlog.Checkpoint{}, err
	}
	before, err := n.Store.Position(ctx)
	if err != nil {
		return tlog.Checkpoint{}, err
	}
	signed, err := n.Hub.Checkpoint(ctx)
	if err != nil {
		return tlog.Checkpoint{}, err
	}
	if _, err := n.checkLog(ctx, k, before.Checkpoint, signed); err != nil {
		return tlog.Checkpoint{}, err
	}
	return k.openCheckpoint(n.HubID, signed)
}

// rewritten raises an alarm about a head that the hub has signed and that its
// items do not lead to from the position before: kept with the head that was
// signed there, if there was one. The log is held to its past all the same. It
// returns why with whatever else is wrong.
func (n *Node) rewritten(ctx context.Context, k *known, before store.Position, head feed.Head, jws string, why error) error {
	_, err := n.checkLog(ctx, k, before.Checkpoint, []byte(head.Checkpoint))
	return errors.Join(why, err, n.raise(ctx, store.AlarmFeed, lines(before.Head, jws),
		"the head that the hub has signed does not fit the feed after item %d: %w", before.Seq, why))
}

// forgotten raises an alarm about a hub that denies the position of which it has
// signed the head: kept with that head. The log is held to its past all the same.
// It returns why with whatever else is wrong.
func (n *Node) forgotten(ctx context.Context, before store.Position, why error) error {
	_, err := n.Witness(ctx)
	return errors.Join(why, err, n.raise(ctx, store.AlarmFeed, lines(before.Head),
		"the hub knows less of this feed than it has signed: item %d", before.Seq))
}

// lines writes what was signed, each a JWS, one a line.
func lines(jws ...string) []byte {
	var out []byte
	for _, s := range jws {
		if s != "" {
			out = append(append(out, s...), '\n')
		}
	}
	return out
}
