package tlog

import (
	"crypto/sha256"
	"fmt"
	"math/bits"

	"golang.org/x/mod/sumdb/tlog"
)

// emptyRoot is the root of the empty tree: RFC 6962 section 2.1.
var emptyRoot = Hash(sha256.Sum256(nil))

// edge is the right edge of a tree: the roots of the complete subtrees that it
// is made of, largest first, one for each bit that is set in size. That is all
// one needs to know of a tree to append to it.
type edge struct {
	size  int64
	roots []Hash
}

// readEdge reads the edge of a stored tree.
func readEdge(size int64, read HashReader) (*edge, error) {
	if size == 0 {
		return &edge{}, nil
	}
	var numbers []int64
	for level := bits.Len64(uint64(size)) - 1; level >= 0; level-- {
		if size>>level&1 == 1 {
			numbers = append(numbers, tlog.StoredHashIndex(level, size>>level-1))
		}
	}
	roots, err := checked(read).ReadHashes(numbers)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrRead, err)
	}
	return &edge{size: size, roots: append([]Hash(nil), roots...)}, nil
}

// add appends a leaf, and adds to stored the hashes to store for it.
func (e *edge) add(leaf Hash, stored []Hash) []Hash {
	stored = append(stored, leaf)
	h := leaf
	for rest := e.size; rest&1 == 1; rest >>= 1 {
		last := len(e.roots) - 1
		h = tlog.NodeHash(e.roots[last], h)
		e.roots = e.roots[:last]
		stored = append(stored, h)
	}
	e.roots = append(e.roots, h)
	e.size++
	return stored
}

// root joins the edge's subtrees, from the right.
func (e *edge) root() Hash {
	if e.size == 0 {
		return emptyRoot
	}
	last := len(e.roots) - 1
	h := e.roots[last]
	for i := last - 1; i >= 0; i-- {
		h = tlog.NodeHash(e.roots[i], h)
	}
	return h
}
