package postgres

import (
	"context"
	"errors"
	"fmt"
	"net"
	"sync/atomic"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"
)

// dialTime is how long one server may take until a connection to it can be relied
// on, where the DSN does not say (connect_timeout); then the next one is tried.
const dialTime = 10 * time.Second

// errUnconfirmed is of a commit that the server has made and does not vouch for.
var errUnconfirmed = errors.New("the server did not wait for its synchronous standby; whether the commit will last is not known")

// What a connection keeps with it.
const (
	warned = "entente.warned" // the last warning that came on it
	server = "entente.server" // which server it goes to
)

// vouch makes config connect only to servers that take writes, and only once a
// write of the connection is as safe as any other: on stable storage, that of a
// synchronous standby too where there has to be one. So whatever a connection can
// see is. Without that a server which comes back from a crash, or was replaced and
// does not know it, would show commits that nobody was promised and that the next
// primary may not have. abandoned ends all dialling.
func vouch(config *pgx.ConnConfig, abandoned *atomic.Bool) {
	if config.ConnectTimeout == 0 {
		config.ConnectTimeout = dialTime
	}
	config.ValidateConnect = validate
	config.OnNotice = func(conn *pgconn.PgConn, n *pgconn.Notice) {
		if n.SeverityUnlocalized == "WARNING" {
			conn.CustomData()[warned] = n.Message
		}
	}
	dial := config.DialFunc
	config.DialFunc = func(ctx context.Context, network, addr string) (net.Conn, error) {
		if abandoned.Load() {
			return nil, net.ErrClosed
		}
		return dial(ctx, network, addr)
	}
}

// validate is a pgconn.ValidateConnectFunc.
func validate(ctx context.Context, conn *pgconn.PgConn) error {
	if err := pgconn.ValidateConnectTargetSessionAttrsReadWrite(ctx, conn); err != nil {
		return err
	}
	// Commits wait for stable storage, whatever server, database or role say.
	const durable = "SELECT set_config('synchronous_commit', 'on', false)" +
		" WHERE current_setting('synchronous_commit') NOT IN ('on', 'remote_apply')"
	if _, err := conn.Exec(ctx, durable).ReadAll(); err != nil {
		return err
	}
	return barrier(ctx, conn)
}

// barrier writes a record into the write-ahead log and waits until it is safe, and
// with it all that comes before. It notes when the server was started, by which
// servers differ, also behind one address.
func barrier(ctx context.Context, conn *pgconn.PgConn) error {
	return confirmed(conn, func() error {
		results, err := conn.Exec(ctx, "SELECT pg_postmaster_start_time() FROM pg_logical_emit_message(true, 'entente', '')").ReadAll()
		if err == nil && (len(results) != 1 || len(results[0].Rows) != 1 || len(results[0].Rows[0]) != 1) {
			err = errors.New("the server does not tell since when it runs")
		}
		if err == nil {
			conn.CustomData()[server] = string(results[0].Rows[0][0])
		}
		return err
	})
}

// confirmed does what commits, and fails if the server commits with a warning: that
// is how PostgreSQL says that it was told not to wait for its standby any longer.
func confirmed(conn *pgconn.PgConn, commit func() error) error {
	delete(conn.CustomData(), warned)
	if err := commit(); err != nil {
		return err
	}
	if message, ok := conn.CustomData()[warned]; ok {
		return fmt.Errorf("%w: %v", errUnconfirmed, message)
	}
	return nil
}

// finish commits, and waits for that until ctx ends. The commit itself goes on then:
// a server that is told to stop waiting for its standby lets everybody see what the
// standby does not have. For as long as it waits nobody does, and the next commit
// waits for the head's lock behind it. Close leaves it behind. The connection is given
// back when the server's warning has been looked for: the next commit on it forgets it.
func (s *Store) finish(ctx context.Context, c *pgxpool.Conn, tx pgx.Tx) error {
	done := make(chan error, 1)
	s.commits.Go(func() {
		conn := c.Conn().PgConn()
		stop := context.AfterFunc(s.abandon, func() { _ = conn.Conn().Close() }) // ends the wait below
		err := confirmed(conn, func() error { return tx.Commit(context.WithoutCancel(ctx)) })
		if errors.Is(err, errUnconfirmed) {
			s.pool.Reset() // the connections that can see it already
		}
		stop()
		c.Release()
		done <- err
	})
	select {
	case err := <-done:
		return err
	case <-ctx.Done():
		return fmt.Errorf("committing, outcome not known: %w", context.Cause(ctx))
	}
}
