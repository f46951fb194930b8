package sqlite

import (
	"context"
	"crypto/aes"
	"crypto/cipher"
	"crypto/rand"
	"database/sql"
	"fmt"
)

// What discloses anything is stored encrypted, each with a key of its own, and erased by
// overwriting the key. SQLite overwrites what is deleted (secure_delete), but not the
// copies of rows that it has left in the free space of pages when it moved them before.
// A key is never moved: keys are added at the end of their table, all of one size, and
// none is deleted. They lie in the same file: this keeps nothing from whoever has the
// file, it only makes erasing one key erase every copy of what it opens.

// keySize makes it AES-256.
const keySize = 32

// seal encrypts with a new key, which is for this one text: so the nonce may be fixed.
func seal(plain []byte) (key, sealed []byte, err error) {
	key = make([]byte, keySize)
	_, _ = rand.Read(key) // crypto/rand.Read never fails since Go 1.24
	aead, err := gcm(key)
	if err != nil {
		return nil, nil, err
	}
	return key, aead.Seal(nil, make([]byte, aead.NonceSize()), plain, nil), nil
}

// unseal returns what was sealed. What has no key is in the clear, and what does not
// open is returned as it is stored: its digest tells that it is not what was received.
func unseal(key, stored []byte) []byte {
	if len(key) == 0 || stored == nil {
		return stored
	}
	aead, err := gcm(key)
	if err != nil {
		return stored
	}
	plain, err := aead.Open([]byte{}, make([]byte, aead.NonceSize()), stored, nil)
	if err != nil {
		return stored
	}
	return plain
}

func gcm(key []byte) (cipher.AEAD, error) {
	block, err := aes.NewCipher(key)
	if err != nil {
		return nil, err
	}
	return cipher.NewGCM(block)
}

// shroud seals a text and stores its key, in the row of one that it replaces unless that
// is 0. It returns the key's row.
func shroud(ctx context.Context, tx *sql.Tx, row int64, plain []byte) (int64, []byte, error) {
	key, sealed, err := seal(plain)
	if err != nil {
		return 0, nil, err
	}
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
