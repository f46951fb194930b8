package hub

import (
	"cmp"
	"context"
	"fmt"
	"iter"
	"slices"

	"github.com/entente-hub/entente/api/audit"
	"github.com/entente-hub/entente/crypto/tlog"
	"github.com/entente-hub/entente/hub/store"
)

// gaps is what a reader of the log has met of entries that are erased, and of records that
// say so. The log is no snapshot: a hub may erase while it is read.
type gaps struct {
	erased  []audit.Run // ascending and apart
	records []record
}

// record is an entry that records erasure.
type record struct {
	index int64
	runs  []audit.Run
}

// missed notes that an entry is erased. Entries come in ascending order.
func (g *gaps) missed(index int64) {
	if n := len(g.erased); n > 0 && g.erased[n-1].Last == index-1 {
		g.erased[n-1].Last = index
		return
	}
	g.erased = append(g.erased, audit.Run{First: index, Last: index})
}

// met notes an entry that is there.
func (g *gaps) met(index int64, e audit.Entry) error {
	if e.Trim == nil {
		return nil
	}
	if last := e.Trim.Runs[len(e.Trim.Runs)-1].Last; last >= index {
		return fmt.Errorf("%w: entry %d says that entry %d, which came later, was erased", ErrLog, index, last)
	}
	g.records = append(g.records, record{index, e.Trim.Runs})
	return nil
}

// count returns how many erased entries were met.
func (g *gaps) count() (n int64) {
	for _, r := range g.erased {
		n += r.Len()
	}
	return n
}

// covered returns what the records cover, ascending and apart.
func (g *gaps) covered() []audit.Run {
	var all []audit.Run
	for _, r := range g.records {
		all = append(all, r.runs...)
	}
	slices.SortFunc(all, func(a, b audit.Run) int { return cmp.Compare(a.First, b.First) })
	var out []audit.Run
	for _, r := range all {
		if n := len(out); n > 0 && r.First <= out[n-1].Last+1 {
			out[n-1].Last = max(out[n-1].Last, r.Last)
		} else {
			out = append(out, r)
		}
	}
	return out
}

// minus returns what of the runs in a is not in b; both are ascending and apart.
func minus(a, b []audit.Run) (out []audit.Run) {
	for _, r := range a {
		for len(b) > 0 && b[0].Last < r.First {
			b = b[1:]
		}
		for _, cut := range b {
			if cut.First > r.Last {
				break
			}
			if cut.First > r.First {
				out = append(out, audit.Run{First: r.First, Last: cut.First - 1})
			}
			r.First = cut.Last + 1
		}
		if r.First <= r.Last {
			out = append(out, r)
		}
	}
	return out
}

// check holds what is erased to the records: each erased entry among those from an index
// on, which all were read, up to another must be covered by a record, and whatever a record
// covers must be erased. Errors wrap ErrLog.
func (g *gaps) check(ctx context.Context, st store.Store, from, to int64) error {
	if open := minus(g.erased, g.covered()); len(open) > 0 {
		// The record may lie behind what was read, or have come since.
		rest, err := readGaps(ctx, st)
		if err != nil {
			return err
		}
		if open = minus(open, rest.covered()); len(open) > 0 {
			return fmt.Errorf("%w: entry %d was removed without a record", ErrLog, open[0].First)
		}
		g.records = rest.records
	}
	read := []audit.Run{{First: from, Last: to - 1}}
	for _, r := range minus(minus(g.covered(), minus(g.covered(), read)), g.erased) {
		if err := erasedNow(ctx, st, r); err != nil {
			return err
		}
	}
	return nil
}

// erasedNow holds entries that a record covers to be erased: one that was there when it
// was read may have been erased since.
func erasedNow(ctx context.Context, st store.Store, r audit.Run) error {
	for at := r.First; at <= r.Last; {
		leaves, err := st.Entries(ctx, at, int(min(entryPage, r.Last-at+1)))
		if err != nil {
			return unavailable(err)
		}
		if len(leaves) == 0 {
			return fmt.Errorf("%w: entry %d is missing", ErrLog, at)
		}
		for _, leaf := range leaves {
			if leaf != nil {
				return fmt.Errorf("%w: entry %d is recorded as erased, and is there", ErrLog, at)
			}
			at++
		}
	}
	return nil
}

// reading yields the leaf hashes of the entries below size; see is told of each entry that
// is there.
func (g *gaps) reading(ctx context.Context, st store.Store, size int64, see func(audit.Entry)) iter.Seq2[tlog.Hash, error] {
	return func(yield func(tlog.Hash, error) bool) {
		for at := int64(0); at < size; {
			leaves, err := st.Entries(ctx, at, int(min(entryPage, size-at)))
			if err == nil && len(leaves) == 0 {
				err = fmt.Errorf("%w: entry %d is missing", ErrLog, at)
			}
			var hashes []tlog.Hash
			if err == nil {
				hashes, err = hashesOf(ctx, st, at, leaves)
			}
			if err != nil {
				yield(tlog.Hash{}, err)
				return
			}
			for i, leaf := range leaves {
				e, there, err := g.look(at, leaf)
				if err != nil {
					yield(tlog.Hash{}, err)
					return
				}
				if there && see != nil {
					see(e)
				}
				if !yield(hashes[i], nil) {
					return
				}
				at++
			}
		}
	}
}

// look reads an entry that is there, and notes one that is erased.
func (g *gaps) look(at int64, leaf []byte) (e audit.Entry, there bool, err error) {
	if leaf == nil {
		g.missed(at)
		return e, false, nil
	}
	if e, err = audit.Parse(leaf); err != nil {
		return e, false, fmt.Errorf("%w: entry %d: %w", ErrLog, at, err)
	}
	return e, true, g.met(at, e)
}

// hashesOf returns the hashes of leaves from an index on: of those that are there, from
// themselves, and of those that are erased, the stored ones.
func hashesOf(ctx context.Context, st store.Store, from int64, leaves [][]byte) ([]tlog.Hash, error) {
	out := make([]tlog.Hash, len(leaves))
	var erased []int
	var indexes []int64
	for i, leaf := range leaves {
		if leaf != nil {
			out[i] = tlog.LeafHash(leaf)
			continue
		}
		erased, indexes = append(erased, i), append(indexes, tlog.LeafIndex(from+int64(i)))
	}
	if len(erased) == 0 {
		return out, nil
	}
	hashes, err := st.Hashes(ctx, indexes)
	if err != nil {
		return nil, err
	}
	for n, i := range erased {
		out[i] = hashes[n]
	}
	return out, nil
}

// readGaps goes through the whole log as the store keeps it now, and holds it to its head.
func readGaps(ctx context.Context, st store.Store) (*gaps, error) {
	head, err := st.LogHead(ctx)
	if err != nil {
		return nil, unavailable(err)
	}
	var g gaps
	size, root, err := tlog.RootOfHashes(g.reading(ctx, st, head.Size, nil))
	if err != nil {
		return nil, err
	}
	if size != head.Size || root != head.Root {
		return nil, fmt.Errorf("%w: %d entries have the root %s, the store says %d and %s",
			ErrLog, size, encode(root), head.Size, encode(head.Root))
	}
	return &g, nil
}

// erasedBy returns the records that cover any erased entry, by index, ascending.
func (g *gaps) erasedBy() (out []int64) {
	for _, r := range g.records {
		if len(minus(r.runs, minus(r.runs, g.erased))) > 0 {
			out = append(out, r.index)
		}
	}
	return out
}
