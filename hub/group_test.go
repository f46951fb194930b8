package hub_test

import (
	"slices"
	"sync"
	"testing"
	"testing/synctest"

	"github.com/entente-hub/entente/hub/store"
)

// TestPublishersShareACommit: while one transaction is under way, publishers
// who come share the next: sixteen wait for one flush to stable storage, not for
// sixteen. synctest tells when all of them wait.
func TestPublishersShareACommit(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const publishers = 16
		st := new(hooked)
		w := hookedWorld(t, st)
		var tokens []string
		for range publishers + 1 {
			_, token := w.issue("XA", label("XB"))
			tokens = append(tokens, token)
		}
		release := make(chan struct{})
		var commits []int // alerts in each; only the one writer appends
		hook := func(writes []store.Write) {
			alerts := 0
			for _, x := range writes {
				if x.Accept != nil {
					alerts++
				}
			}
			if commits = append(commits, alerts); len(commits) == 1 {
				<-release
			}
		}
		st.before.Store(&hook)
		var done sync.WaitGroup
		receipts := make([]string, len(tokens))
		publish := func(i int) {
			done.Go(func() {
				var err error
				if receipts[i], err = w.Publish(t.Context(), "XA", tokens[i]); err != nil {
					t.Error(err)
				}
			})
		}
		publish(0)
		synctest.Wait() // its commit hangs
		for i := range publishers {
			publish(1 + i)
		}
		synctest.Wait() // all have come as far as they can
		if !slices.Equal(commits, []int{1}) {
			t.Fatalf("commits of %v alerts while the first is under way", commits)
		}
		close(release)
		done.Wait()
		st.before.Store(nil)
		if !slices.Equal(commits, []int{1, publishers}) {
			t.Errorf("commits of %v alerts, want the %d that waited in one", commits, publishers)
		}
		slices.Sort(receipts)
		if n := len(slices.Compact(receipts)); n != publishers+1 {
			t.Errorf("%d different receipts", n)
		}
		if page := w.poll("XB", 0); len(page.Items) != publishers+1 {
			t.Errorf("XB has got %d alerts", len(page.Items))
		}
	})
}
