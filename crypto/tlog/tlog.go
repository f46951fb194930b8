// Package tlog is a Merkle tree log: appending, proofs and signed checkpoints,
// as pure functions over hashes that somebody else stores.
//
// The tree is that of RFC 6962 section 2.1 (the same as RFC 9162 section 2.1)
// with SHA-256:
//
//	empty tree  SHA-256("")
//	leaf        SHA-256(0x00 || entry)
//	node        SHA-256(0x01 || left || right)
//
// where the left subtree of a tree of n > 1 entries has the largest power of
// two smaller than n. Entry numbers and sizes count from 0 and are int64.
//
// Hashes are stored as numbered rows that are only ever added: the leaf hash of
// each entry, then the hashes of the complete subtrees which that entry ends,
// smallest first. A store appends what Append returns from number
// StoredHashCount(size) on.
package tlog

import (
	"errors"
	"fmt"
	"iter"

	"golang.org/x/mod/sumdb/tlog"
)

type (
	// Hash is a SHA-256 hash.
	Hash = tlog.Hash
	// HashReader reads stored hashes by number. It must answer with exactly one
	// hash for each number, in order, or fail.
	HashReader = tlog.HashReader
	// HashReaderFunc is a function as a HashReader.
	HashReaderFunc = tlog.HashReaderFunc
	// InclusionPath is a proof that an entry is in a tree: RFC 6962 section
	// 2.1.1.
	InclusionPath = tlog.RecordProof
	// ConsistencyPath is a proof that one tree begins with another: RFC 6962
	// section 2.1.2.
	ConsistencyPath = tlog.TreeProof
)

// HashSize is the size of a hash in bytes.
const HashSize = tlog.HashSize

// MaxSize is the largest number of entries: more than any log reaches, and small
// enough that no number of a stored hash overflows.
const MaxSize = 1 << 48

var (
	// ErrSize: a size or an entry number out of range.
	ErrSize = errors.New("tlog: size out of range")
	// ErrProof: a proof that does not hold.
	ErrProof = errors.New("tlog: proof does not hold")
	// ErrCheckpoint: a checkpoint that is malformed, of another log, or not
	// signed by its key.
	ErrCheckpoint = errors.New("tlog: checkpoint not accepted")
	// ErrRead: the hash reader failed or gave a wrong number of hashes.
	ErrRead = errors.New("tlog: reading stored hashes")
)

// LeafHash is the hash of an entry.
func LeafHash(entry []byte) Hash { return tlog.RecordHash(entry) }

// StoredHashCount is how many hashes are stored for a tree of size entries, and
// so the number of the first hash that the next Append returns.
func StoredHashCount(size int64) int64 { return tlog.StoredHashCount(size) }

// LeafIndex is the number of the stored hash of entry n, counted from 0.
func LeafIndex(n int64) int64 { return tlog.StoredHashIndex(0, n) }

// Append adds leaves to a tree of size entries. It returns the hashes to store,
// in order from number StoredHashCount(size) on, and the new root. It reads at
// most 48 hashes in one call of read, and nothing if size is 0. Errors wrap
// ErrSize, or ErrRead with the reader's own.
func Append(size int64, read HashReader, leaves [][]byte) (stored []Hash, root Hash, err error) {
	hashes := make([]Hash, len(leaves))
	for i, leaf := range leaves {
		hashes[i] = LeafHash(leaf)
	}
	return AppendHashes(size, read, hashes)
}

// AppendHashes is Append for entries whose leaf hashes are known.
func AppendHashes(size int64, read HashReader, leaves []Hash) (stored []Hash, root Hash, err error) {
	if size < 0 || size > MaxSize-int64(len(leaves)) {
		return nil, Hash{}, fmt.Errorf("%w: %d + %d entries", ErrSize, size, len(leaves))
	}
	e, err := readEdge(size, read)
	if err != nil {
		return nil, Hash{}, err
	}
	stored = make([]Hash, 0, 2*len(leaves)) // at most one node for each leaf and a few
	for _, leaf := range leaves {
		stored = e.add(leaf, stored)
	}
	return stored, e.root(), nil
}

// Root is the root of the tree of the first size entries.
func Root(size int64, read HashReader) (Hash, error) {
	if size < 0 || size > MaxSize {
		return Hash{}, fmt.Errorf("%w: %d", ErrSize, size)
	}
	e, err := readEdge(size, read)
	if err != nil {
		return Hash{}, err
	}
	return e.root(), nil
}

// RootOfHashes computes size and root from the entries' leaf hashes, in memory for
// O(log n) hashes: the check of a log against its checkpoint. Of some entries no more may be
// left. It ends with the first error that the sequence yields.
func RootOfHashes(leaves iter.Seq2[Hash, error]) (size int64, root Hash, err error) {
	var e edge
	for leaf, err := range leaves {
		if err != nil {
			return 0, Hash{}, err
		}
		if e.size == MaxSize {
			return 0, Hash{}, fmt.Errorf("%w: more than %d entries", ErrSize, int64(MaxSize))
		}
		e.add(leaf, nil)
	}
	return e.size, e.root(), nil
}

// InclusionProof proves that entry index is in the tree of size entries.
func InclusionProof(size, index int64, read HashReader) (InclusionPath, error) {
	if size < 0 || size > MaxSize || index < 0 || index >= size {
		return nil, fmt.Errorf("%w: entry %d of %d", ErrSize, index, size)
	}
	p, err := tlog.ProveRecord(size, index, checked(read))
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrRead, err)
	}
	return p, nil
}

// VerifyInclusion checks that the entry with a leaf hash is number index of the
// tree with size and root. Errors wrap ErrProof.
func VerifyInclusion(p InclusionPath, size int64, root Hash, index int64, leaf Hash) error {
	if size < 0 || size > MaxSize || index < 0 || index >= size {
		return fmt.Errorf("%w: entry %d of %d", ErrProof, index, size)
	}
	if err := tlog.CheckRecord(p, size, root, index, leaf); err != nil {
		return fmt.Errorf("%w: inclusion of entry %d in %d", ErrProof, index, size)
	}
	return nil
}

// ConsistencyProof proves that the tree of size entries begins with that of
// oldSize entries. Every tree begins with the empty one and with itself; those
// proofs are empty.
func ConsistencyProof(size, oldSize int64, read HashReader) (ConsistencyPath, error) {
	if size < 0 || size > MaxSize || oldSize < 0 || oldSize > size {
		return nil, fmt.Errorf("%w: from %d to %d", ErrSize, oldSize, size)
	}
	if oldSize == 0 || oldSize == size {
		return ConsistencyPath{}, nil
	}
	p, err := tlog.ProveTree(size, oldSize, checked(read))
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrRead, err)
	}
	return p, nil
}

// VerifyConsistency checks that the tree with size and root begins with the one
// with oldSize and oldRoot. Errors wrap ErrProof.
func VerifyConsistency(p ConsistencyPath, size int64, root Hash, oldSize int64, oldRoot Hash) error {
	fail := fmt.Errorf("%w: consistency from %d to %d", ErrProof, oldSize, size)
	switch {
	case size < 0 || size > MaxSize || oldSize < 0 || oldSize > size:
		return fail
	case oldSize == 0:
		// Only the empty tree has the empty root, and no other is of size 0.
		if len(p) > 0 || oldRoot != emptyRoot || size == 0 && root != emptyRoot {
			return fail
		}
		return nil
	case oldSize == size:
		if len(p) > 0 || oldRoot != root {
			return fail
		}
		return nil
	}
	if err := tlog.CheckTree(p, size, root, oldSize, oldRoot); err != nil {
		return fail
	}
	return nil
}

// checked holds a reader to its contract.
func checked(read HashReader) HashReader {
	return HashReaderFunc(func(indexes []int64) ([]Hash, error) {
		hashes, err := read.ReadHashes(indexes)
		if err != nil {
			return nil, err
		}
		if len(hashes) != len(indexes) {
			return nil, fmt.Errorf("%d hashes for %d numbers", len(hashes), len(indexes))
		}
		return hashes, nil
	})
}
