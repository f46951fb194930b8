package cli

import (
	"context"
	"fmt"
	"io"
	"sync"
	"time"
)

// progressEvery is how often long work says how far it is. What is over before says
// nothing.
const progressEvery = 2 * time.Second

// progress tells a person how far long work is. The nil pointer tells nobody.
type progress struct {
	mu          sync.Mutex
	what        string
	done, total int64 // bytes; total 0: not known

	stop, stopped chan struct{}
}

// newProgress writes a line every so often, until close.
func newProgress(w io.Writer, every time.Duration) *progress {
	p := &progress{stop: make(chan struct{}), stopped: make(chan struct{})}
	go func() {
		defer close(p.stopped)
		tick := time.NewTicker(every)
		defer tick.Stop()
		for {
			select {
			case <-p.stop:
				return
			case <-tick.C:
				if s := p.line(); s != "" {
					fmt.Fprintln(w, s)
				}
			}
		}
	}()
	return p
}

// close ends the lines: none is written after it.
func (p *progress) close() {
	close(p.stop)
	<-p.stopped
}

// at says what is being done and how far it is.
func (p *progress) at(what string, done, total int64) {
	if p == nil {
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.what, p.done, p.total = what, done, total
}

func (p *progress) line() string {
	p.mu.Lock()
	defer p.mu.Unlock()
	switch {
	case p.what == "":
		return ""
	case p.total == 0:
		return p.what + " …"
	}
	return fmt.Sprintf("%s: %s of %s", p.what, megabytes(p.done), megabytes(p.total))
}

// megabytes writes a number of bytes for people (1 MB is 10⁶ bytes).
func megabytes(n int64) string { return fmt.Sprintf("%.1f MB", float64(n)/1e6) }

// reader passes on what it reads, says how far it is, and ends with ctx.
func (p *progress) reader(ctx context.Context, what string, total int64, r io.Reader) io.Reader {
	return &progressReader{ctx: ctx, p: p, what: what, total: total, r: r}
}

type progressReader struct {
	ctx         context.Context // of one call, as the reader
	p           *progress
	what        string
	done, total int64
	r           io.Reader
}

func (r *progressReader) Read(b []byte) (int, error) {
	if err := r.ctx.Err(); err != nil {
		return 0, err
	}
	n, err := r.r.Read(b)
	r.done += int64(n)
	r.p.at(r.what, r.done, r.total)
	return n, err
}
