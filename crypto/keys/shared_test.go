package keys_test

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"testing"

	"github.com/entente-hub/entente/crypto/keys"
)

func TestShared(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "keys")
	secret, err := keys.SecretFromPassphrase([]byte("a passphrase for a test"))
	if err != nil {
		t.Fatal(err)
	}
	s, err := keys.InitStore(dir, secret)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := s.LoadShared("index"); !errors.Is(err, keys.ErrKeyUnknown) {
		t.Fatalf("a secret that was never made: %v", err)
	}
	made, err := s.CreateShared("index")
	if err != nil || len(made) != keys.SharedSize {
		t.Fatalf("%d bytes, %v", len(made), err)
	}
	if _, err := s.CreateShared("index"); !errors.Is(err, keys.ErrExists) {
		t.Fatalf("made twice: %v", err)
	}
	again, err := keys.OpenStore(dir, secret)
	if err != nil {
		t.Fatal(err)
	}
	if got, err := again.LoadShared("index"); err != nil || !bytes.Equal(got, made) {
		t.Fatalf("%x, %v; want %x", got, err, made)
	}
	if err := again.PutShared("other", made); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"", "../index", "Index", "index.secret.age", "1"} {
		if _, err := again.LoadShared(name); !errors.Is(err, keys.ErrKeyUnknown) {
			t.Errorf("%q: %v", name, err)
		}
		if _, err := again.CreateShared(name); !errors.Is(err, keys.ErrMalformed) {
			t.Errorf("%q: %v", name, err)
		}
	}
	if err := again.PutShared("short", made[:31]); !errors.Is(err, keys.ErrMalformed) {
		t.Fatalf("31 bytes: %v", err)
	}
	if kids, err := again.List(); err != nil || len(kids) != 0 {
		t.Fatalf("a secret is no key: %v, %v", kids, err)
	}
	file := filepath.Join(dir, "index.secret.age")
	data, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if bytes.Contains(data, made) {
		t.Fatal("the secret lies in its file in the clear")
	}
	data[len(data)-1] ^= 1
	if err := os.WriteFile(file, data, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := again.LoadShared("index"); !errors.Is(err, keys.ErrMalformed) {
		t.Fatalf("a damaged file: %v", err)
	}
	if err := os.Chmod(file, 0o644); err != nil {
		t.Fatal(err)
	}
	if _, err := again.LoadShared("index"); !errors.Is(err, keys.ErrPermissions) {
		t.Fatalf("a file that others can read: %v", err)
	}
}
