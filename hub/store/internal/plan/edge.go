package plan

import (
	"fmt"
	"sync"

	"github.com/entente-hub/entente/crypto/tlog"
	"github.com/entente-hub/entente/hub/store"
)

// Edge appends to the log and remembers the hashes at its right edge, so that
// the next append need not read them. What it remembers it uses only for the
// very size and root that it was computed for: a root commits to all that lies
// below it, so neither another process's append nor a commit that failed, or
// failed but persisted, can make it wrong. The zero Edge is ready to use, by
// several goroutines.
type Edge struct {
	mu     sync.Mutex
	head   store.LogHead
	hashes map[int64]tlog.Hash
}

// Append sets c.New.Root and returns the hashes to store, from number
// tlog.StoredHashCount(c.Old.Size) on. What it reads it holds to the root of
// the head, and fails if the log was damaged.
func (e *Edge) Append(c *Changes, read tlog.HashReader) ([]tlog.Hash, error) {
	old := store.LogHead{Size: c.Old.Size, Root: c.Old.Root}
	known, err := e.at(old, read)
	if err != nil {
		return nil, err
	}
	stored, root, err := tlog.Append(old.Size, lookup(known), c.Leaves)
	if err != nil {
		return nil, err
	}
	first := tlog.StoredHashCount(old.Size)
	next := make(map[int64]tlog.Hash, len(known)+1)
	check, err := tlog.Root(c.New.Size, tlog.HashReaderFunc(func(indexes []int64) ([]tlog.Hash, error) {
		for _, i := range indexes {
			if i < first {
				next[i] = known[i]
			} else {
				next[i] = stored[i-first]
			}
		}
		return lookup(next).ReadHashes(indexes)
	}))
	if err != nil {
		return nil, err
	}
	if check != root || c.New.Size != old.Size+int64(len(c.Leaves)) {
		return nil, fmt.Errorf("log of %d entries: computed root does not hold", c.New.Size)
	}
	c.New.Root = root
	e.mu.Lock()
	defer e.mu.Unlock()
	e.head, e.hashes = store.LogHead{Size: c.New.Size, Root: root}, next
	return stored, nil
}

// at returns the edge of the log with a head, remembered or read and verified.
func (e *Edge) at(head store.LogHead, read tlog.HashReader) (map[int64]tlog.Hash, error) {
	e.mu.Lock()
	known, same := e.hashes, e.head == head
	e.mu.Unlock()
	if same && known != nil {
		return known, nil
	}
	known = make(map[int64]tlog.Hash)
	root, err := tlog.Root(head.Size, tlog.HashReaderFunc(func(indexes []int64) ([]tlog.Hash, error) {
		hashes, err := read.ReadHashes(indexes)
		if err == nil && len(hashes) == len(indexes) {
			for i, index := range indexes {
				known[index] = hashes[i]
			}
		}
		return hashes, err
	}))
	if err != nil {
		return nil, err
	}
	if root != head.Root {
		return nil, fmt.Errorf("log of %d entries: stored hashes do not make the stored root", head.Size)
	}
	return known, nil
}

// lookup reads from a map; the map is never changed once it is shared.
func lookup(m map[int64]tlog.Hash) tlog.HashReader {
	return tlog.HashReaderFunc(func(indexes []int64) ([]tlog.Hash, error) {
		out := make([]tlog.Hash, len(indexes))
		for i, index := range indexes {
			h, ok := m[index]
			if !ok {
				return nil, fmt.Errorf("hash %d is not at the edge", index)
			}
			out[i] = h
		}
		return out, nil
	})
}
