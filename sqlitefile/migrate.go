package sqlitefile

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io/fs"

	"github.com/pressly/goose/v3"
)

// migrate brings the schema up to date in one transaction, and refuses a
// database that a newer program has migrated further.
func migrate(ctx context.Context, db *sql.DB, migrations fs.FS) error {
	tx := &migration{}
	p, err := goose.NewProvider(goose.DialectSQLite3, db, migrations,
		goose.WithSessionLocker(tx), goose.WithIsolateDDL(true), goose.WithDisableGlobalRegistry(true))
	if err != nil {
		return fmt.Errorf("migrations: %w", err)
	}
	// Up looks for work before it takes the lock, and would make goose's own
	// table then. Status makes it under the lock.
	if _, err := p.Status(ctx); err != nil {
		return fmt.Errorf("migrating: %w", err)
	}
	sources := p.ListSources()
	tx.target = sources[len(sources)-1].Version
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

// migration is the transaction around all migrations, in the guise of the lock
// that goose takes first and gives back last on the connection that it uses.
// With WithIsolateDDL goose begins no transaction of its own. BEGIN IMMEDIATE
// makes a second process wait until the first is through.
type migration struct {
	target int64 // the version that must be reached to commit
}

// SessionLock begins the transaction.
func (*migration) SessionLock(ctx context.Context, conn *sql.Conn) error {
	_, err := conn.ExecContext(ctx, "BEGIN IMMEDIATE")
	return err
}

// SessionUnlock commits if the target is recorded, and so all migrations up to
// it have run, else rolls back.
func (m *migration) SessionUnlock(ctx context.Context, conn *sql.Conn) error {
	var done bool
	err := conn.QueryRowContext(ctx, "SELECT coalesce(max(version_id), 0) >= ? FROM goose_db_version", m.target).Scan(&done)
	if err == nil && done {
		_, err = conn.ExecContext(ctx, "COMMIT")
		if err == nil {
			return nil
		}
	}
	_, rollback := conn.ExecContext(ctx, "ROLLBACK")
	return errors.Join(errors.New("migrations rolled back"), err, rollback)
}
