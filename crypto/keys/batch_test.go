package keys_test

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"testing/synctest"

	"github.com/entente-hub/entente/crypto/keys"
)

// gate is a Signer that stops in each call until it is let go, and says what
// came in.
type gate struct {
	keys.Signer
	calls chan gateCall
}

type gateCall struct {
	ctx      context.Context
	messages int
	answer   chan error
}

func (g gate) Sign(ctx context.Context, messages [][]byte) ([][]byte, error) {
	c := gateCall{ctx: ctx, messages: len(messages), answer: make(chan error)}
	g.calls <- c
	select {
	case err := <-c.answer:
		if err != nil {
			return nil, err
		}
		return g.Signer.Sign(context.Background(), messages)
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

func newGate(t *testing.T) (gate, keys.Signer) {
	g := gate{generate(t, "XA", keys.EdDSA), make(chan gateCall)}
	return g, keys.Batch(g)
}

// call signs n messages and checks what comes back.
func call(ctx context.Context, s keys.Signer, name string, n int) error {
	msgs := make([]string, n)
	for i := range msgs {
		msgs[i] = fmt.Sprintf("%s %d", name, i)
	}
	payloads := make([][]byte, n)
	for i := range msgs {
		payloads[i] = []byte(msgs[i])
	}
	docs, err := keys.SignBatch(ctx, s, typ, payloads)
	if err != nil {
		return err
	}
	for i, doc := range docs {
		payload, _, err := keys.Verify(doc, typ, known(s))
		if err != nil || string(payload) != msgs[i] {
			return fmt.Errorf("%q in place of %q: %v", payload, msgs[i], err)
		}
	}
	return nil
}

func TestBatchGathers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g, s := newGate(t)
		var wg sync.WaitGroup
		start := func(name string, n int) {
			wg.Go(func() {
				if err := call(context.Background(), s, name, n); err != nil {
					t.Errorf("%s: %v", name, err)
				}
			})
			synctest.Wait()
		}
		start("first", 2)
		first := <-g.calls
		if first.messages != 2 {
			t.Errorf("a lone call of 2 became %d", first.messages)
		}
		for i := range 10 {
			start(fmt.Sprint("waiting ", i), 3)
		}
		start("large", 1020)
		first.answer <- nil
		for _, want := range []int{30, 1020} { // together they would be too many
			c := <-g.calls
			if c.messages != want {
				t.Errorf("gathered %d, want %d", c.messages, want)
			}
			c.answer <- nil
		}
		wg.Wait()
	})
}

func TestBatchFailure(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g, s := newGate(t)
		errs := make(chan error, 3)
		sign := func(name string) {
			go func() { errs <- call(context.Background(), s, name, 2) }()
			synctest.Wait()
		}
		sign("first")
		first := <-g.calls
		sign("second")
		sign("third")
		first.answer <- nil
		if err := <-errs; err != nil {
			t.Errorf("before the failure: %v", err)
		}
		(<-g.calls).answer <- keys.ErrUnavailable
		for range 2 {
			if err := <-errs; !errors.Is(err, keys.ErrUnavailable) {
				t.Errorf("in the failing call: %v", err)
			}
		}
		sign("afterwards")
		(<-g.calls).answer <- nil
		if err := <-errs; err != nil {
			t.Errorf("after the failure: %v", err)
		}
	})
}

func TestBatchCancellation(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g, s := newGate(t)
		sign := func(ctx context.Context, name string) chan error {
			errs := make(chan error, 1)
			go func() { errs <- call(ctx, s, name, 1) }()
			synctest.Wait()
			return errs
		}
		ctx, cancel := context.WithCancel(context.Background())
		alone := sign(ctx, "alone, in the call")
		c := <-g.calls
		queued := sign(ctx, "in the queue")
		stays1 := sign(context.Background(), "stays")
		cancel()
		for _, errs := range []chan error{alone, queued} {
			if err := <-errs; !errors.Is(err, context.Canceled) {
				t.Errorf("left: %v", err)
			}
		}
		synctest.Wait()
		if c.ctx.Err() == nil {
			t.Error("all callers have left, and the call goes on")
		}

		c = <-g.calls // of the one that stays
		if c.messages != 1 {
			t.Errorf("%d messages: the one that left the queue is signed", c.messages)
		}
		ctx, cancel = context.WithCancel(context.Background())
		leaves, stays2 := sign(ctx, "leaves"), sign(context.Background(), "stays too")
		c.answer <- nil
		c = <-g.calls
		cancel()
		if err := <-leaves; !errors.Is(err, context.Canceled) {
			t.Errorf("left: %v", err)
		}
		synctest.Wait()
		if c.ctx.Err() != nil {
			t.Error("one caller has left, and the other's call is cancelled")
		}
		c.answer <- nil
		for _, errs := range []chan error{stays1, stays2} {
			if err := <-errs; err != nil {
				t.Errorf("stayed: %v", err)
			}
		}
	})
}
