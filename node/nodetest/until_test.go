package nodetest

import (
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// failing is a test that panics where it fails.
type failing struct {
	testing.TB
}

func (f *failing) Helper() {}

func (f *failing) Fatalf(format string, args ...any) { panic(fmt.Sprintf(format, args...)) }

// What does not come to be fails the test after a minute, and says what it was; what
// does is not waited for longer.
func TestUntilEnds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := &Hub{F: &Federation{tb: new(failing)}, changed: make(chan struct{})}
		begun := time.Now()
		go h.Do(func() { h.Polls = 1 })
		h.Until("a poll", func() bool { return h.Polls == 1 })
		if time.Since(begun) != 0 {
			t.Error("it waited")
		}
		defer func() {
			if why, _ := recover().(string); !strings.Contains(why, "another poll") || time.Since(begun) != patience {
				t.Errorf("%q after %v", why, time.Since(begun))
			}
		}()
		h.Until("another poll", func() bool { return h.Polls == 2 })
	})
}
