package firecheck

import (
	"context"
	"crypto/aes"
	"crypto/cipher"
	"database/sql"
	"errors"
	"fmt"
	"io"
	"net/url"
	"os"
	"path/filepath"

	_ "github.com/jackc/pgx/v5/stdlib" // the driver "pgx"
	_ "modernc.org/sqlite"             // the driver "sqlite"
)

// openCopy opens a copy of an SQLite database, with what lies in its write-ahead log:
// opening one may change it, and the raw files are still to be searched.
func openCopy(ctx context.Context, file string) (*sql.DB, func(), error) {
	dir, err := os.MkdirTemp("", "firecheck-")
	if err != nil {
		return nil, nil, err
	}
	remove := func() { _ = os.RemoveAll(dir) } // a copy left behind harms nobody
	copied := filepath.Join(dir, filepath.Base(file))
	for _, suffix := range []string{"", "-wal"} {
		err := copyFile(file+suffix, copied+suffix)
		if suffix != "" && errors.Is(err, os.ErrNotExist) {
			continue
		}
		if err != nil {
			remove()
			return nil, nil, err
		}
	}
	u := url.URL{Scheme: "file", Path: copied, RawQuery: "_pragma=synchronous(0)"} // a copy need not last
	db, err := sql.Open("sqlite", u.String())
	if err == nil {
		err = db.PingContext(ctx)
	}
	if err != nil {
		remove()
		return nil, nil, fmt.Errorf("%s: %w", file, err)
	}
	return db, func() {
		_ = db.Close() // only read
		remove()
	}, nil
}

func copyFile(from, to string) error {
	in, err := os.Open(from)
	if err != nil {
		return err
	}
	defer in.Close() // only read
	out, err := os.OpenFile(to, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	_, err = io.Copy(out, in)
	return errors.Join(err, out.Close())
}

// query calls scan for each row of an answer.
func query(ctx context.Context, db *sql.DB, text string, scan func(*sql.Rows) error) error {
	rows, err := db.QueryContext(ctx, text)
	if err != nil {
		return fmt.Errorf("%.60s…: %w", text, err)
	}
	defer rows.Close() // its error is rows.Err's
	for rows.Next() {
		if err := scan(rows); err != nil {
			return fmt.Errorf("%.60s…: %w", text, err)
		}
	}
	if err := rows.Err(); err != nil {
		return fmt.Errorf("%.60s…: %w", text, err)
	}
	return nil
}

// erasableKeys reads the keys under which content is stored, by their numbers.
func erasableKeys(ctx context.Context, db *sql.DB) (map[int64][]byte, error) {
	keys := make(map[int64][]byte)
	err := query(ctx, db, "SELECT n, key FROM erasable_keys", func(rows *sql.Rows) error {
		var n int64
		var key []byte
		if err := rows.Scan(&n, &key); err != nil {
			return err
		}
		keys[n] = key
		return nil
	})
	return keys, err
}

// unseal opens what is stored sealed: AES-256-GCM, each text with a key of its own and so
// with a nonce of zeros. Under no key, 0, it is in the clear.
func unseal(keys map[int64][]byte, n int64, stored []byte) ([]byte, error) {
	if n == 0 {
		return stored, nil
	}
	block, err := aes.NewCipher(keys[n])
	if err != nil {
		return nil, fmt.Errorf("key %d: %w", n, err)
	}
	aead, err := cipher.NewGCM(block)
	if err != nil {
		return nil, err
	}
	return aead.Open(nil, make([]byte, aead.NonceSize()), stored, nil)
}
