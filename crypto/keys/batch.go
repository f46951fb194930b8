package keys

import (
	"bytes"
	"context"
	"fmt"
	"sync"
)

// The most that Batch gathers into one call, unless a single caller brings more.
const (
	maxGatherMessages = 1024
	maxGatherBytes    = 4 << 20
)

// Batch returns a Signer that gathers concurrent calls into one call of s: at
// most one call of s runs at a time, and whatever has come in when it returns
// goes into the next. Nothing waits for company, so a lone caller sees no delay.
//
// Each caller gets all of its signatures or an error. A failing call of s fails
// every caller that was gathered into it with the same error; callers who need to
// know whose message was at fault try again alone. A caller whose ctx ends returns
// at once; if it had not been taken up its messages are never signed. The call of
// s carries no values or deadline of any caller; it is cancelled when all its
// callers have left.
func Batch(s Signer) Signer { return &batcher{signer: s} }

type batcher struct {
	signer Signer

	mu      sync.Mutex
	queue   []*request
	running bool // whether a goroutine is emptying queue
}

// request is one caller's call.
type request struct {
	ctx      context.Context
	messages [][]byte
	bytes    int
	done     chan struct{} // closed after sigs and err are set
	sigs     [][]byte
	err      error
}

func (b *batcher) Public() PublicKey { return b.signer.Public() }

func (b *batcher) Sign(ctx context.Context, messages [][]byte) ([][]byte, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	if len(messages) == 0 {
		return [][]byte{}, nil
	}
	r := newRequest(ctx, messages)
	b.mu.Lock()
	b.queue = append(b.queue, r)
	start := !b.running
	b.running = true
	b.mu.Unlock()
	if start {
		go b.run()
	}
	select {
	case <-r.done:
		return r.sigs, r.err
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// newRequest copies the messages: a caller that leaves early may reuse its
// buffers while they are being signed.
func newRequest(ctx context.Context, messages [][]byte) *request {
	r := &request{ctx: ctx, messages: make([][]byte, len(messages)), done: make(chan struct{})}
	for i, m := range messages {
		r.messages[i] = bytes.Clone(m)
		r.bytes += len(m)
	}
	return r
}

// run empties the queue and ends. It runs apart from any caller, so that none
// works for the others after its own answer is there.
func (b *batcher) run() {
	for {
		batch := b.take()
		if batch == nil {
			return
		}
		b.call(batch)
	}
}

// take removes the next batch from the queue, without the callers that have
// left; nil means that the queue is empty and run is over.
func (b *batcher) take() []*request {
	b.mu.Lock()
	defer b.mu.Unlock()
	var batch []*request
	messages, size := 0, 0
	for len(b.queue) > 0 {
		r := b.queue[0]
		full := messages+len(r.messages) > maxGatherMessages || size+r.bytes > maxGatherBytes
		if len(batch) > 0 && full {
			return batch
		}
		b.queue[0] = nil
		b.queue = b.queue[1:]
		if r.ctx.Err() != nil {
			continue
		}
		batch = append(batch, r)
		messages += len(r.messages)
		size += r.bytes
	}
	if batch == nil {
		b.queue, b.running = nil, false
	}
	return batch
}

// call signs a batch in one call and hands out the answers.
func (b *batcher) call(batch []*request) {
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	var left sync.WaitGroup
	left.Add(len(batch))
	var messages [][]byte
	for _, r := range batch {
		messages = append(messages, r.messages...)
		stop := context.AfterFunc(r.ctx, left.Done)
		defer func() {
			if stop() {
				left.Done()
			}
		}()
	}
	go func() {
		left.Wait()
		cancel()
	}()
	sigs, err := b.signer.Sign(ctx, messages)
	if err == nil && len(sigs) != len(messages) {
		err = fmt.Errorf("%w: signer gave %d signatures for %d messages", ErrSignature, len(sigs), len(messages))
	}
	for _, r := range batch {
		if err != nil {
			r.err = err
		} else {
			n := len(r.messages)
			r.sigs, sigs = sigs[:n:n], sigs[n:]
		}
		close(r.done)
	}
}
