package hub

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/entente-hub/entente/api/audit"
	"github.com/entente-hub/entente/api/federation"
	"github.com/entente-hub/entente/api/feed"
	"github.com/entente-hub/entente/crypto/keys"
	"github.com/entente-hub/entente/crypto/tlog"
	"github.com/entente-hub/entente/hub/store"
	"github.com/entente-hub/entente/trust"
)

// ErrLog says that a log does not hold.
var ErrLog = errors.New("the audit log does not hold")

// LogReport is what a verified log contains.
type LogReport struct {
	Size     int64                `json:"size"`              // entries that the checkpoint covers
	Root     string               `json:"root"`              // base64
	Beyond   int64                `json:"beyond_checkpoint"` // entries written since
	Entries  map[audit.Kind]int64 `json:"entries"`           // those that are there
	Problems map[string]int64     `json:"refusals_by_problem"`
	// Emergencies counts the portions that were handed over only because of an
	// emergency: feed.Release.Emergency says which.
	Emergencies int64 `json:"emergency_releases"`
	// Erased counts the entries that retention has erased: their hashes are there, and each
	// is covered by one of the entries whose numbers, from 0, are in ErasedBy.
	Erased   int64     `json:"erased"`
	ErasedBy []int64   `json:"erased_by,omitempty"`
	From     time.Time `json:"from"` // of the first entry that is there
	To       time.Time `json:"to"`   // of the last
}

// String lists the kinds of entry, one a line, and says how many portions were
// released by an emergency, if any.
func (r LogReport) String() string {
	var b strings.Builder
	for _, k := range slices.Sorted(maps.Keys(r.Entries)) {
		fmt.Fprintf(&b, "  %-10s %d\n", k, r.Entries[k])
	}
	if n := len(r.ErasedBy); n == 1 {
		fmt.Fprintf(&b, "Entries erased by retention: %d (trimmed by entry #%d)\n", r.Erased, r.ErasedBy[0])
	} else if n > 1 {
		fmt.Fprintf(&b, "Entries erased by retention: %d (trimmed by %d entries, #%d to #%d)\n", r.Erased, n, r.ErasedBy[0], r.ErasedBy[n-1])
	}
	if r.Emergencies > 0 {
		fmt.Fprintf(&b, "Portions released by an emergency alone: %d\n", r.Emergencies)
	}
	return b.String()
}

const entryPage = 1000

// VerifyLog recomputes the root over the first entries of a store's log, as many
// as the checkpoint covers, and compares. The checkpoint must be signed by a
// hub key of the registry, which in turn the authority must have signed. Every
// entry must be one that audit.Parse reads, or have been erased, which a later one must
// record, maybe one beyond the checkpoint. Errors that mean "it does not hold"
// wrap ErrLog.
func VerifyLog(ctx context.Context, st store.Store, id federation.HubID, authority keys.PublicKey, note []byte) (LogReport, error) {
	dir, err := directoryOf(ctx, st, authority)
	if err != nil {
		return LogReport{}, err
	}
	cp, err := openCheckpoint(dir, id, note)
	if err != nil {
		return LogReport{}, err
	}
	head, err := st.LogHead(ctx)
	if err != nil {
		return LogReport{}, err
	}
	if head.Size < cp.Size {
		return LogReport{}, fmt.Errorf("%w: the checkpoint covers %d entries, %d are there", ErrLog, cp.Size, head.Size)
	}
	r := LogReport{Size: cp.Size, Beyond: head.Size - cp.Size, Entries: make(map[audit.Kind]int64), Problems: make(map[string]int64)}
	var g gaps
	size, root, err := tlog.RootOfHashes(g.reading(ctx, st, cp.Size, r.count))
	if err != nil {
		return LogReport{}, err
	}
	if size != cp.Size || root != cp.Root {
		return LogReport{}, fmt.Errorf("%w: %d entries have the root %s, the checkpoint says %d and %s",
			ErrLog, size, encode(root), cp.Size, encode(cp.Root))
	}
	r.Root = encode(root)
	if err := r.close(ctx, st, &g); err != nil {
		return LogReport{}, err
	}
	return r, nil
}

// close checks what is erased of the entries read, and says how much that is.
func (r *LogReport) close(ctx context.Context, st store.Store, g *gaps) error {
	if err := g.check(ctx, st, 0, r.Size); err != nil {
		return err
	}
	r.Erased, r.ErasedBy = g.count(), g.erasedBy()
	return nil
}

func encode(h tlog.Hash) string { return base64.StdEncoding.EncodeToString(h[:]) }

// count counts what an entry says.
func (r *LogReport) count(e audit.Entry) {
	r.Entries[e.Kind]++
	if e.Kind == audit.Refusal {
		r.Problems[e.Problem]++
	}
	for _, release := range e.Releases {
		if release.Emergency != "" {
			r.Emergencies++
		}
	}
	r.To = time.UnixMicro(e.At).UTC()
	if r.From.IsZero() {
		r.From = r.To
	}
}

// directoryOf verifies a store's statements from the authority's key downwards.
func directoryOf(ctx context.Context, st store.Store, authority keys.PublicKey) (*trust.Directory, error) {
	l, err := readOn(ctx, st, list{dir: trust.New(authority)}, time.Now(), 0)
	if errors.Is(err, errUnverified) {
		return nil, fmt.Errorf("%w: %w", ErrLog, err)
	}
	return l.dir, err
}

// openCheckpoint finds the hub key that signed a checkpoint.
func openCheckpoint(dir *trust.Directory, id federation.HubID, note []byte) (tlog.Checkpoint, error) {
	if !dir.Ready() {
		return tlog.Checkpoint{}, fmt.Errorf("%w: there is no registry to take the hub's key from", ErrLog)
	}
	var errs []error
	for _, raw := range dir.Registry().Hub.Keys {
		k, err := keys.ParsePublicKey(raw)
		if err != nil {
			return tlog.Checkpoint{}, err
		}
		cp, err := tlog.OpenCheckpoint(note, k, feed.Origin(id))
		if err == nil {
			return cp, nil
		}
		errs = append(errs, err)
	}
	return tlog.Checkpoint{}, fmt.Errorf("%w: %w", ErrLog, errors.Join(errs...))
}
