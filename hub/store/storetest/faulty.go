package storetest

import (
	"context"
	"errors"
	"sync/atomic"

	"github.com/entente-hub/entente/hub/store"
)

// ErrFault is what a Commit returns that was made to fail.
var ErrFault = errors.New("storetest: injected fault")

// Fault is how a Commit fails.
type Fault int

// The faults. A caller can't tell the last two apart.
const (
	None      Fault = iota
	Failed          // nothing was stored
	Persisted       // everything was stored, and the answer was lost
)

// FaultyStore is a store whose commits fail when told to.
type FaultyStore struct {
	store.Store
	choose  func(n int64) Fault
	commits atomic.Int64
}

// Faulty wraps a store. choose is asked before each Commit, with the number of
// the commit from 1 on, by several goroutines at once if there are several.
func Faulty(s store.Store, choose func(n int64) Fault) *FaultyStore {
	return &FaultyStore{Store: s, choose: choose}
}

// Commit fails as chosen.
func (f *FaultyStore) Commit(ctx context.Context, writes []store.Write) ([]store.Result, error) {
	fault := f.choose(f.commits.Add(1))
	if fault == Failed {
		return nil, ErrFault
	}
	results, err := f.Store.Commit(ctx, writes)
	if fault == Persisted && err == nil {
		return nil, ErrFault
	}
	return results, err
}
