package sqlite

import (
	"context"
	"database/sql"
	"fmt"

	"github.com/entente-hub/entente/crypto/shroud"
)

// What discloses anything is stored encrypted, each with a key of its own, and erased by
// overwriting the key. SQLite overwrites what is deleted (secure_delete), but not the
// copies of rows that it has left in the free space of pages when it moved them before.
// A key is never moved: keys are added at the end of their table, all of one size, and
// none is deleted. They lie in the same file: this keeps nothing from whoever has the
// file, it only makes erasing one key erase every copy of what it opens.

// enshroud seals a text and stores its key, in the row of one that it replaces unless that
// is 0. It returns the key's row.
func enshroud(ctx context.Context, tx *sql.Tx, row int64, plain []byte) (int64, []byte, error) {
	key, sealed := shroud.Seal(plain)
	if row != 0 {
		return row, sealed, changeOne(ctx, tx, "UPDATE erasable_keys SET key = ? WHERE n = ?", key, row)
	}
	res, err := tx.ExecContext(ctx, "INSERT INTO erasable_keys (key) VALUES (?)", key)
	if err != nil {
		return 0, nil, fmt.Errorf("sqlite: %w", err)
	}
	row, err = res.LastInsertId()
	return row, sealed, err
}

// vacuum rewrites the file once nothing of what an earlier version of the program had
// stored in the clear is left in any table.
func (s *Store) vacuum(ctx context.Context) error {
	var needed bool
	err := s.read.QueryRowContext(ctx, "SELECT clear AND NOT EXISTS (SELECT 1 FROM inbox WHERE key = 0 AND originator IS NOT NULL)"+
		" AND NOT EXISTS (SELECT 1 FROM outbox WHERE key = 0) FROM shrouded").Scan(&needed)
	if err != nil || !needed {
		return err
	}
	if _, err := s.write.ExecContext(ctx, "VACUUM"); err != nil {
		return err
	}
	_, err = s.write.ExecContext(ctx, "UPDATE shrouded SET clear = 0")
	return err
}
