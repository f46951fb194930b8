package postgres

import (
	"context"
	"database/sql"
	"embed"
	"errors"
	"fmt"
	"io/fs"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/stdlib"
	"github.com/pressly/goose/v3"
)

//go:embed migrations/*.sql
var migrations embed.FS

// migrationLock is the key of the advisory lock under which one process at a
// time migrates a database: "entente" in ASCII.
const migrationLock int64 = 0x656e74656e7465

// migrate brings the schema up to date, and refuses a database that a newer
// program has migrated further.
func migrate(ctx context.Context, config *pgx.ConnConfig, schema string) (err error) {
	dir, err := fs.Sub(migrations, "migrations")
	if err != nil {
		return err
	}
	db := stdlib.OpenDB(*config)
	defer func() { err = errors.Join(err, db.Close()) }()
	p, err := goose.NewProvider(goose.DialectPostgres, db, dir,
		goose.WithSessionLocker(locker{schema}), goose.WithDisableGlobalRegistry(true))
	if err != nil {
		return fmt.Errorf("migrations: %w", err)
	}
	// Up looks for work before it takes the lock, and would make goose's own
	// table then. Status makes it under the lock.
	if _, err := p.Status(ctx); err != nil {
		return fmt.Errorf("migrating: %w", err)
	}
	if _, err := p.Up(ctx); err != nil {
		return fmt.Errorf("migrating: %w", err)
	}
	current, target, err := p.GetVersions(ctx)
	if err != nil {
		return fmt.Errorf("reading schema version: %w", err)
	}
	if current > target {
		return fmt.Errorf("database has schema version %d, this program knows versions up to %d", current, target)
	}
	return nil
}

// locker makes concurrent starts take turns, and creates the schema if one is
// named that does not exist.
type locker struct{ schema string }

// SessionLock waits for the lock.
func (l locker) SessionLock(ctx context.Context, conn *sql.Conn) error {
	if _, err := conn.ExecContext(ctx, "SELECT pg_advisory_lock($1)", migrationLock); err != nil {
		return fmt.Errorf("waiting for the migration lock: %w", err)
	}
	if l.schema == "" {
		return nil
	}
	if err := l.create(ctx, conn); err != nil {
		return errors.Join(err, l.SessionUnlock(context.WithoutCancel(ctx), conn))
	}
	return nil
}

// create asks first: IF NOT EXISTS would need the right to create even where
// there is nothing to do.
func (l locker) create(ctx context.Context, conn *sql.Conn) error {
	var exists bool
	err := conn.QueryRowContext(ctx, "SELECT EXISTS (SELECT FROM pg_namespace WHERE nspname = $1)", l.schema).Scan(&exists)
	if err == nil && !exists {
		_, err = conn.ExecContext(ctx, "CREATE SCHEMA "+pgx.Identifier{l.schema}.Sanitize())
	}
	if err != nil {
		return fmt.Errorf("schema %q: %w", l.schema, err)
	}
	return nil
}

// SessionUnlock gives the lock back.
func (l locker) SessionUnlock(ctx context.Context, conn *sql.Conn) error {
	var held bool
	err := conn.QueryRowContext(ctx, "SELECT pg_advisory_unlock($1)", migrationLock).Scan(&held)
	if err == nil && !held {
		err = errors.New("migration lock was lost")
	}
	return err
}
