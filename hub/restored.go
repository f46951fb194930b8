package hub

import (
	"context"
	"fmt"

	"github.com/entente-hub/entente/api/audit"
	"github.com/entente-hub/entente/api/federation"
	"github.com/entente-hub/entente/crypto/keys"
	"github.com/entente-hub/entente/crypto/tlog"
	"github.com/entente-hub/entente/hub/store"
)

// ReadLog recomputes the root over all entries of a store's log and compares it with
// the head that the store keeps. It needs no checkpoint, and so proves no more than
// that the store agrees with itself. Every entry must be one that audit.Parse reads, or have
// been erased, which a later one must record.
// Errors that mean "it does not hold" wrap ErrLog.
func ReadLog(ctx context.Context, st store.Store) (LogReport, error) {
	head, err := st.LogHead(ctx)
	if err != nil {
		return LogReport{}, err
	}
	r := LogReport{Size: head.Size, Entries: make(map[audit.Kind]int64), Problems: make(map[string]int64)}
	var g gaps
	size, root, err := tlog.RootOfHashes(g.reading(ctx, st, head.Size, r.count))
	if err != nil {
		return LogReport{}, err
	}
	if size != head.Size || root != head.Root {
		return LogReport{}, fmt.Errorf("%w: %d entries have the root %s, the store says %d and %s",
			ErrLog, size, encode(root), head.Size, encode(head.Root))
	}
	r.Root = encode(root)
	if err := r.close(ctx, st, &g); err != nil {
		return LogReport{}, err
	}
	return r, nil
}

// LogTail is what a checkpoint tells of a log that may have lost its end.
type LogTail struct {
	Entries    int64  `json:"entries"`            // that the log has
	Checkpoint int64  `json:"checkpoint_entries"` // that the checkpoint covers
	Root       string `json:"checkpoint_root"`    // base64
	// Missing is how many entries the checkpoint covers that the log does not have:
	// those from number Entries on, counted from 0.
	Missing int64 `json:"missing"`
}

// CompareLog holds a log that was restored against a checkpoint which the hub has
// signed, as VerifyLog does. A log that is shorter than the checkpoint is no error
// here: LogTail says what is missing. That what is left is how the log of the
// checkpoint began can not be told from it alone, for that takes a proof of
// consistency (RFC 6962 section 2.1.2), whose hashes have gone with the entries; the
// next node that asks the hub for one finds out. Where the log is long enough its
// beginning must have the checkpoint's root.
func CompareLog(ctx context.Context, st store.Store, id federation.HubID, authority keys.PublicKey, note []byte) (LogTail, error) {
	dir, err := directoryOf(ctx, st, authority)
	if err != nil {
		return LogTail{}, err
	}
	cp, err := openCheckpoint(dir, id, note)
	if err != nil {
		return LogTail{}, err
	}
	head, err := st.LogHead(ctx)
	if err != nil {
		return LogTail{}, err
	}
	t := LogTail{Entries: head.Size, Checkpoint: cp.Size, Root: encode(cp.Root), Missing: max(0, cp.Size-head.Size)}
	if t.Missing == 0 {
		_, err = VerifyLog(ctx, st, id, authority, note)
	}
	return t, err
}
