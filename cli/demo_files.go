package cli

import (
	"bytes"
	"context"
	"database/sql"
	"encoding/base64"
	"io/fs"
	"net/url"
	"os"
	"path/filepath"

	"github.com/entente-hub/entente/api/alert"
)

// traces returns the forms in which a text stands in a file that holds it in the clear
// or in base64url, as an SD-JWT has it: there its first byte may be the first, second or
// third of a group of three (RFC 4648 section 4), and the characters that it shares with
// what stands beside it are left out.
func traces(text string) [][]byte {
	out := [][]byte{[]byte(text)}
	for before := range 3 {
		encoded := base64.RawURLEncoding.EncodeToString(append(make([]byte, before), text...))
		first, end := (8*before+5)/6, 8*(before+len(text))/6
		out = append(out, []byte(encoded[first:end]))
	}
	return out
}

// holdsTrace reports in which file of a folder a trace of any of the texts stands; "" in
// none.
func holdsTrace(dir string, texts ...string) (file string, err error) {
	var all [][]byte
	for _, text := range texts {
		all = append(all, traces(text)...)
	}
	return holdsAny(dir, all)
}

// holdsAny reports in which file of a folder any of some bytes stand; "" in none. A file
// that goes while it is looked for, as the logs of databases do, holds none.
func holdsAny(dir string, wanted [][]byte) (file string, err error) {
	err = filepath.WalkDir(dir, func(path string, entry fs.DirEntry, err error) error {
		if err != nil || !entry.Type().IsRegular() {
			return ignoreGone(err)
		}
		raw, err := os.ReadFile(path)
		if err != nil {
			return ignoreGone(err)
		}
		for _, w := range wanted {
			if bytes.Contains(raw, w) {
				file = path
				return fs.SkipAll
			}
		}
		return nil
	})
	return file, err
}

func ignoreGone(err error) error {
	if os.IsNotExist(err) {
		return nil
	}
	return err
}

// keyQuery says which keys a database has for an alert: nothing of its content is stored
// in the clear, and to erase it is to overwrite its key. The hub has another key for what
// is left of an alert then: that is none of these.
type keyQuery struct{ file, query string }

var (
	hubKeys  = keyQuery{"hub.db", "SELECT k.key FROM alerts a JOIN erasable_keys k ON k.n = a.id WHERE a.alert = ? AND a.erase_at > 0"}
	nodeKeys = keyQuery{"node.db", "SELECT k.key FROM inbox i JOIN erasable_keys k ON k.n = i.key WHERE i.id = ?"}
)

// read returns the keys in the database of a folder.
func (q keyQuery) read(ctx context.Context, dataDir string, id alert.ID) (keys [][]byte, err error) {
	u := url.URL{Scheme: "file", Path: filepath.Join(dataDir, q.file), RawQuery: "mode=ro"}
	db, err := sql.Open("sqlite", u.String())
	if err != nil {
		return nil, err
	}
	defer func() { _ = db.Close() }() // it was only read
	rows, err := db.QueryContext(ctx, q.query, string(id))
	if err != nil {
		return nil, err
	}
	defer func() { _ = rows.Close() }() // likewise
	for rows.Next() {
		var key []byte
		if err := rows.Scan(&key); err != nil {
			return nil, err
		}
		keys = append(keys, key)
	}
	return keys, rows.Err()
}
