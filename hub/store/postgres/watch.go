package postgres

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/jackc/pgx/v5"
)

// watchTime is how often the store looks which server it comes to. On top comes
// what a server that does not vouch for itself may take: see dialTime.
const watchTime = 5 * time.Second

// errMoved ends what is under way on a server that another one has replaced.
var errMoved = errors.New("another server is the primary now")

// reign is the time for which one server is the one that new connections come to.
type reign struct {
	mu    sync.Mutex
	ctx   context.Context // ends with it, by errMoved
	end   context.CancelCauseFunc
	since string // which server; "": none was seen yet
}

// now returns the context of the reign that lasts.
func (r *reign) now() context.Context {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.ctx == nil {
		r.ctx, r.end = context.WithCancelCause(context.Background())
	}
	return r.ctx
}

// change begins a new reign if it is by another server than the last, and reports
// whether there was a last one.
func (r *reign) change(server string) (moved bool) {
	r.now()
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.since == server {
		return false
	}
	moved = r.since != ""
	r.since = server
	if moved {
		r.end(errMoved)
		r.ctx, r.end = context.WithCancelCause(context.Background())
	}
	return moved
}

// within returns a context that ends with the reign too.
func (r *reign) within(ctx context.Context) (context.Context, func()) {
	reign := r.now()
	ctx, cancel := context.WithCancelCause(ctx)
	stop := context.AfterFunc(reign, func() { cancel(context.Cause(reign)) })
	return ctx, func() { stop(); cancel(nil) }
}

// watch makes a connection from time to time. Where it leads to another server than
// before, the old connections are given up. They would be broken by then if the
// old server had ended; but one that was cut off, or that nobody has told, keeps
// its sessions, shows what was true once and never finishes a commit.
func (s *Store) watch() {
	tick := time.NewTicker(watchTime)
	defer tick.Stop()
	for {
		if now, err := s.reach(s.ctx); err == nil && s.reign.change(now) {
			s.pool.Reset()
		}
		select {
		case <-tick.C:
		case <-s.ctx.Done():
			return
		}
	}
}

// reach returns which server a new connection comes to.
func (s *Store) reach(ctx context.Context) (string, error) {
	conn, err := pgx.ConnectConfig(ctx, s.config.Copy())
	if err != nil {
		return "", err
	}
	name, ok := conn.PgConn().CustomData()[server].(string)
	if !ok {
		err = errors.New("a connection that was not vouched for")
	}
	_ = hangUp(conn) // it was for looking alone
	return name, err
}
