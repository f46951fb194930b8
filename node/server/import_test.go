package server_test

import (
	"errors"
	"io"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/entente-hub/entente/api/problem"
	"github.com/entente-hub/entente/node"
	"github.com/entente-hub/entente/node/server"
)

// TestImportsThatEndEarly: what is handed over of a parcel does not stay in the data
// directory where nobody goes on with it, where it grows too large, or can not be kept.
func TestImportsThatEndEarly(t *testing.T) {
	dir := t.TempDir()
	file := filepath.Join(dir, "import.parcel")
	there := func() bool { _, err := os.Lstat(file); return err == nil }
	n := &node.Node{Config: node.Config{Log: slog.New(slog.NewTextHandler(io.Discard, nil))}}
	open := func(idle time.Duration) server.Import {
		t.Helper()
		i, err := server.NewImport(n, dir, idle)
		must(t, err)
		return i
	}

	i := open(time.Millisecond)
	_, err := i.Add("a", 0, []byte("piece"))
	must(t, err)
	for end := time.Now().Add(time.Minute); there(); time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			t.Fatal("it is still there")
		}
	}
	i = open(time.Hour)
	if size, err := i.Add("a", 0, []byte("piece")); err != nil || size != 5 || !there() {
		t.Fatalf("%d, %v", size, err)
	}
	i.Grown(4)
	if _, err := i.Add("a", 8<<30-4, []byte("piece")); problem.KindOf(err) != problem.TooLarge || there() {
		t.Errorf("too large: %v", err)
	}
	_, err = i.Add("b", 0, []byte("piece"))
	must(t, err)
	must(t, i.Broken())
	if _, err := i.Add("b", 5, []byte("piece")); problem.KindOf(err) != problem.Unavailable || there() {
		t.Errorf("can not be kept: %v", err)
	}
	_, err = i.Add("c", 0, []byte("piece"))
	must(t, err)
	must(t, os.Remove(file))
	if err := i.Take(t.Context(), "c"); problem.KindOf(err) != problem.Malformed || !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("refused, and can not be removed: %v", err)
	}
}
