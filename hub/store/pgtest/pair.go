package pgtest

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"syscall"
	"time"

	"github.com/jackc/pgx/v5"
)

// SocketName is what the unix socket of a server is called in its folder.
const SocketName = ".s.PGSQL.5432"

// Database is the name of the database that a pair comes with.
const Database = "entente"

// standbyTime is how long a standby may take to follow again.
const standbyTime = 60 * time.Second

// Pair is a server and its standby, which replicates synchronously: nothing is committed
// that the standby does not have on stable storage (PostgreSQL 15, section 27.2.8). It has
// none of what decides in earnest who is the primary: FailOver is told. It is not safe for
// concurrent use.
type Pair struct {
	servers [2]*server
	watched [2]bool
	primary int
}

// StartPair starts a pair with its data below two folders, which must exist and be empty
// and short, as Start says. The servers end with this process, in whatever way it ends. The
// error is ErrNotInstalled where there is nothing to start.
func StartPair(dirs [2]string) (*Pair, error) {
	p := &Pair{}
	for i, dir := range dirs {
		var err error
		// What a standby has missed while it was away must still be there; no more, as
		// the disk may be a small one.
		if p.servers[i], err = newServer(dir, "max_wal_size=64MB", "min_wal_size=32MB", "wal_keep_size=32MB",
			"wal_retrieve_retry_interval=500ms", "wal_receiver_timeout=10s", "wal_sender_timeout=10s"); err != nil {
			return nil, err
		}
	}
	first := p.servers[0]
	if err := first.init(); err != nil {
		return nil, err
	}
	err := p.run(0)
	for _, sql := range []string{"CREATE DATABASE " + Database, "ALTER SYSTEM SET synchronous_standby_names = '*'"} {
		if err == nil {
			err = p.exec(0, sql)
		}
	}
	if err == nil {
		err = p.follow()
	}
	if err == nil {
		err = p.exec(0, "SELECT pg_reload_conf()")
	}
	if err == nil {
		err = p.Whole()
	}
	if err != nil {
		return nil, errors.Join(err, p.Stop())
	}
	return p, nil
}

// Folder is where a server's socket lies, and its data below data.
func (p *Pair) Folder(i int) string { return p.servers[i].dir }

// Primary is the number of the server that is the primary, 0 or 1.
func (p *Pair) Primary() int { return p.primary }

// DSN connects to the primary, past everything that is between hubs and servers.
func (p *Pair) DSN() string { return p.servers[p.primary].dsn(Database) }

// run starts a server, and has it end with this process.
func (p *Pair) run(i int) error {
	if err := p.servers[i].start(); err != nil || p.watched[i] {
		return err
	}
	p.watched[i] = true
	return watch(p.servers[i].dir)
}

func (p *Pair) exec(i int, sql string) error {
	ctx, cancel := context.WithTimeout(context.Background(), standbyTime)
	defer cancel()
	conn, err := pgx.Connect(ctx, p.servers[i].dsn("postgres"))
	if err != nil {
		return fmt.Errorf("pgtest: %w", err)
	}
	_, err = conn.Exec(ctx, sql)
	return errors.Join(err, conn.Close(ctx))
}

// Kill ends a server with SIGKILL, which it can not notice. It returns when all its
// processes have ended. One that had ended already stays so.
func (p *Pair) Kill(i int) error {
	s := p.servers[i]
	if s.exited == nil {
		return nil
	}
	_ = s.cmd.Process.Signal(syscall.SIGKILL) // an error: it had ended
	select {
	case <-s.exited:
	case <-time.After(stopTime):
		return errors.New("pgtest: processes of the server do not end")
	}
	// The watchman must not take another process for it.
	if err := os.Remove(filepath.Join(s.dir, "data", "postmaster.pid")); err != nil && !errors.Is(err, os.ErrNotExist) {
		return fmt.Errorf("pgtest: %w", err)
	}
	return nil
}

// Restart starts a server that has ended, in the part that it had. One that runs is left
// alone.
func (p *Pair) Restart(i int) error {
	select {
	case <-p.servers[i].exited:
		p.servers[i].log.Reset()
		return p.servers[i].start()
	default:
		return nil
	}
}

// FailOver kills the primary for good, makes the standby the primary, and makes a new
// standby in the old primary's place. Nothing is committed until that follows.
func (p *Pair) FailOver() error {
	if err := p.Kill(p.primary); err != nil {
		return err
	}
	if err := p.exec(1-p.primary, "SELECT pg_promote(true, 60)"); err != nil {
		return err
	}
	p.primary = 1 - p.primary
	if err := p.follow(); err != nil {
		return err
	}
	return p.Whole()
}

// follow makes a new standby of the server that is not the primary.
func (p *Pair) follow() error {
	leads, s := p.servers[p.primary], p.servers[1-p.primary]
	data := filepath.Join(s.dir, "data")
	if err := os.RemoveAll(data); err != nil {
		return fmt.Errorf("pgtest: %w", err)
	}
	cmd := s.command("pg_basebackup", "--pgdata="+data, "--host="+leads.dir, "--username="+superuser,
		"--checkpoint=fast", "--wal-method=stream", "--write-recovery-conf")
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("pgtest: pg_basebackup: %w\n%s", err, out)
	}
	s.log.Reset()
	return p.run(1 - p.primary)
}

// Whole waits until the standby follows synchronously.
func (p *Pair) Whole() error {
	ctx, cancel := context.WithTimeout(context.Background(), standbyTime)
	defer cancel()
	for {
		err := p.follows(ctx)
		if err == nil {
			return nil
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("pgtest: no standby follows: %w", err)
		case <-time.After(50 * time.Millisecond):
		}
	}
}

func (p *Pair) follows(ctx context.Context) error {
	conn, err := pgx.Connect(ctx, p.servers[p.primary].dsn("postgres"))
	if err != nil {
		return err
	}
	var n int
	err = conn.QueryRow(ctx, "SELECT count(*) FROM pg_stat_replication WHERE state = 'streaming' AND sync_state = 'sync'").Scan(&n)
	if err == nil && n == 0 {
		err = errors.New("none is synchronous")
	}
	return errors.Join(err, conn.Close(ctx))
}

// Stop ends both servers, the primary first: it waits for its standby.
func (p *Pair) Stop() error {
	var errs []error
	for _, i := range []int{p.primary, 1 - p.primary} {
		if s := p.servers[i]; s != nil && s.exited != nil {
			errs = append(errs, p.Kill(i))
		}
	}
	return errors.Join(errs...)
}
