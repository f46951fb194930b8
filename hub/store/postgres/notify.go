package postgres

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/entente-hub/entente/api/alert"
	"github.com/entente-hub/entente/hub/store"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
)

const (
	maxPayload   = 7000            // bytes; PostgreSQL takes less than 8,000
	lastNotify   = 2 * time.Second // for what is left to send at Close
	firstBackoff = 50 * time.Millisecond
	maxBackoff   = 5 * time.Second
	connectTime  = 10 * time.Second // for a listener to begin, and to test its connection
	quietTime    = 30 * time.Second // after which a silent connection is tested
)

// notice is the payload of a notification.
type notice struct {
	Sender     string           `json:"s"`
	Recipients []alert.MemberID `json:"r,omitempty"` // none: anybody
}

// payload encodes a wake-up; one that would be too long becomes "anybody".
func payload(sender string, w store.Wake) string {
	b, err := json.Marshal(notice{sender, w.Recipients})
	if err != nil || len(b) > maxPayload {
		b, err = json.Marshal(notice{Sender: sender})
	}
	if err != nil {
		panic("postgres: a notice of strings does not encode: " + err.Error())
	}
	return string(b)
}

// notify sends what commits put in the outbox, merged while one notification
// is under way: a NOTIFY takes a lock that the whole server shares, and inside
// the commit's transaction it would serialise commits ten times over.
func (s *Store) notify() {
	for {
		select {
		case <-s.outbox.ready:
			s.sendNotices(s.ctx)
		case <-s.ctx.Done():
			last, cancel := context.WithTimeout(context.Background(), lastNotify)
			defer cancel()
			s.sendNotices(last)
			return
		}
	}
}

// sendNotices empties the outbox, and tries until it has or ctx ends. What it
// could not send goes back to the outbox.
func (s *Store) sendNotices(ctx context.Context) {
	for backoff := firstBackoff; ; backoff = min(2*backoff, maxBackoff) {
		w, ok := s.outbox.take()
		if !ok {
			return
		}
		// Only a hint, and what it hints at is on stable storage: no need to wait
		// for the disk again.
		_, err := s.pool.Exec(ctx, "SELECT set_config('synchronous_commit', 'off', true), pg_notify($1, $2)",
			s.channel, payload(s.sender, w))
		if err == nil {
			return
		}
		s.outbox.put(w)
		if pause(ctx, backoff) != nil {
			return
		}
	}
}

// Subscribe listens on a connection of its own. When that breaks, or can not be had
// yet as the primary has just gone, it connects anew, as often as it takes, and says
// "anybody", since it may have missed something. Notifications of this Store itself are left out.
func (s *Store) Subscribe(ctx context.Context) (<-chan store.Wake, error) {
	leave, err := s.gate.Enter()
	if err != nil {
		return nil, err
	}
	defer leave()
	conn, err := s.listen(ctx)
	if err != nil && ctx.Err() != nil {
		return nil, fmt.Errorf("postgres: subscribing: %w", err)
	}
	ctx, cancel := context.WithCancel(ctx)
	stop := context.AfterFunc(s.ctx, cancel)
	inbox := newMailbox()
	wakes := make(chan store.Wake)
	s.tasks.Go(func() { s.receive(ctx, conn, inbox) })
	s.tasks.Go(func() {
		defer close(wakes)
		defer cancel()
		defer stop()
		forward(ctx, inbox, wakes)
	})
	return wakes, nil
}

// forward passes wake-ups on. While the receiver is slow they merge.
func forward(ctx context.Context, inbox *mailbox, wakes chan<- store.Wake) {
	for {
		select {
		case <-inbox.ready:
		case <-ctx.Done():
			return
		}
		w, ok := inbox.take()
		if !ok {
			continue
		}
		select {
		case wakes <- w:
		case <-ctx.Done():
			return
		}
	}
}

// listen returns a connection that listens.
func (s *Store) listen(ctx context.Context) (*pgx.Conn, error) {
	conn, err := pgx.ConnectConfig(ctx, s.config.Copy()) // bounded for each host
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, connectTime)
	defer cancel()
	if _, err := conn.Exec(ctx, "LISTEN "+pgx.Identifier{s.channel}.Sanitize()); err != nil {
		return nil, errors.Join(err, hangUp(conn))
	}
	return conn, nil
}

// hangUp closes a connection that nothing is waited for on.
func hangUp(conn *pgx.Conn) error {
	ctx, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	return conn.Close(ctx)
}

// receive puts what comes into the inbox until ctx ends. Without a connection it
// begins by making one.
func (s *Store) receive(ctx context.Context, conn *pgx.Conn, inbox *mailbox) {
	backoff := firstBackoff
	for {
		for conn != nil && s.receiveOne(ctx, conn, inbox) == nil {
			backoff = firstBackoff
		}
		if conn != nil {
			_ = hangUp(conn) // it is broken or no longer wanted; nothing depends on how it ends
			conn = nil
		}
		if ctx.Err() != nil {
			return
		}
		fresh, err := s.listen(ctx)
		if err == nil {
			conn = fresh
			inbox.put(store.Wake{})
		} else if pause(ctx, backoff) != nil {
			return
		}
		backoff = min(2*backoff, maxBackoff)
	}
}

// receiveOne waits for one notification, or makes sure that the connection
// still lives.
func (s *Store) receiveOne(ctx context.Context, conn *pgx.Conn, inbox *mailbox) error {
	wait, done := s.reign.within(ctx)
	defer done()
	wait, cancel := context.WithTimeout(wait, quietTime)
	defer cancel()
	n, err := conn.WaitForNotification(wait)
	if err != nil {
		if errors.Is(context.Cause(wait), errMoved) {
			return errMoved
		}
		if ctx.Err() == nil && pgconn.Timeout(err) {
			test, cancel := context.WithTimeout(ctx, connectTime)
			defer cancel()
			return barrier(test, conn.PgConn()) // its server is still the one to listen to
		}
		return err
	}
	var got notice
	if json.Unmarshal([]byte(n.Payload), &got) != nil {
		got = notice{} // not ours, or a newer program's: anybody
	}
	if got.Sender != s.sender {
		inbox.put(store.Wake{Recipients: got.Recipients})
	}
	return nil
}
