package keys_test

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"filippo.io/age"
	"github.com/entente-hub/entente/crypto/keys"
)

func initStore(t *testing.T, secret keys.Secret) (*keys.Store, string) {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "keys")
	s, err := keys.InitStore(dir, secret)
	if err != nil {
		t.Fatal(err)
	}
	return s, dir
}

func TestStoreIsNotMadeByAccident(t *testing.T) {
	secret := fileSecret(t)
	dir := filepath.Join(t.TempDir(), "keys")
	for range 2 {
		if _, err := keys.OpenStore(dir, secret); !errors.Is(err, keys.ErrNoStore) {
			t.Errorf("missing directory: %v", err)
		}
		if _, err := os.Stat(dir); !errors.Is(err, fs.ErrNotExist) {
			t.Error("opening made a directory")
		}
	}
	if _, err := keys.OpenStore(t.TempDir(), secret); !errors.Is(err, keys.ErrNoStore) {
		t.Errorf("empty directory: %v", err)
	}
	if _, err := keys.InitStore(dir, secret); err != nil {
		t.Fatal(err)
	}
	if _, err := keys.InitStore(dir, fileSecret(t)); !errors.Is(err, keys.ErrExists) {
		t.Errorf("second InitStore: %v", err)
	}
	if _, err := keys.OpenStore(dir, secret); err != nil {
		t.Errorf("after a refused InitStore: %v", err)
	}
}

func TestInitStoreBesideLostKeys(t *testing.T) {
	secret := fileSecret(t)
	s, dir := initStore(t, secret)
	if _, err := s.Create("XA", keys.EdDSA); err != nil {
		t.Fatal(err)
	}
	if err := os.Remove(filepath.Join(dir, "store.age")); err != nil {
		t.Fatal(err)
	}
	if _, err := keys.InitStore(dir, secret); !errors.Is(err, keys.ErrExists) {
		t.Errorf("InitStore beside keys: %v", err)
	}
}

func TestStoreFiles(t *testing.T) {
	secret := fileSecret(t)
	s, dir := initStore(t, secret)
	var want []string
	for _, owner := range []string{"XB", "XA", "hub.one-1"} {
		k, err := s.Create(owner, keys.ES256)
		if err != nil {
			t.Fatal(err)
		}
		want = append(want, k.Public().KeyID())
	}
	slices.Sort(want)
	if got, err := s.List(); err != nil || !slices.Equal(got, want) {
		t.Errorf("List: %v, %v; want %v", got, err, want)
	}
	entries, err := os.ReadDir(dir)
	if err != nil || len(entries) != 4 {
		t.Fatalf("%d files, %v; want 4, no temporary ones", len(entries), err)
	}
	for _, e := range entries {
		info, err := e.Info()
		if err != nil || info.Mode().Perm() != 0o600 {
			t.Errorf("%s: mode %v, %v", e.Name(), info.Mode(), err)
		}
		data, err := os.ReadFile(filepath.Join(dir, e.Name()))
		if err != nil || !bytes.HasPrefix(data, []byte("age-encryption.org/v1\n")) || bytes.Contains(data, []byte(`"d"`)) {
			t.Errorf("%s is not encrypted", e.Name())
		}
	}
	if err := os.WriteFile(filepath.Join(dir, "stray.key.age"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := s.List(); !errors.Is(err, keys.ErrMalformed) {
		t.Errorf("List with a stray file: %v", err)
	}
}

// TestStoreRefuses has each file of a store tampered with.
func TestStoreRefuses(t *testing.T) {
	for name, c := range map[string]struct {
		tamper func(t *testing.T, store, key, other string)
		want   error
	}{
		"store readable by group": {func(t *testing.T, store, _, _ string) { chmod(t, store, 0o640) }, keys.ErrPermissions},
		"key readable by others":  {func(t *testing.T, _, key, _ string) { chmod(t, key, 0o604) }, keys.ErrPermissions},
		"directory writable":      {func(t *testing.T, store, _, _ string) { chmod(t, filepath.Dir(store), 0o770) }, keys.ErrPermissions},
		"store damaged":           {func(t *testing.T, store, _, _ string) { flip(t, store) }, keys.ErrMalformed},
		"key damaged":             {func(t *testing.T, _, key, _ string) { flip(t, key) }, keys.ErrMalformed},
		"key empty":               {func(t *testing.T, _, key, _ string) { write(t, key, nil) }, keys.ErrMalformed},
		"key too large":           {func(t *testing.T, _, key, _ string) { write(t, key, make([]byte, 1<<17)) }, keys.ErrMalformed},
		"keys exchanged": {func(t *testing.T, _, key, other string) {
			data, err := os.ReadFile(other)
			if err != nil {
				t.Fatal(err)
			}
			write(t, key, data)
		}, keys.ErrMalformed},
		"key of a stranger": {func(t *testing.T, _, key, _ string) {
			write(t, key, strangersFile(t))
		}, keys.ErrMalformed},
		"key is a directory": {func(t *testing.T, _, key, _ string) {
			if err := errors.Join(os.Remove(key), os.Mkdir(key, 0o700)); err != nil {
				t.Fatal(err)
			}
		}, keys.ErrMalformed},
	} {
		t.Run(name, func(t *testing.T) {
			secret := fileSecret(t)
			s, dir := initStore(t, secret)
			var kids []string
			for range 2 {
				k, err := s.Create("XA", keys.EdDSA)
				if err != nil {
					t.Fatal(err)
				}
				kids = append(kids, k.Public().KeyID())
			}
			file := func(kid string) string {
				owner, thumbprint, _ := keys.SplitKeyID(kid)
				return filepath.Join(dir, owner+"@"+thumbprint+".key.age")
			}
			c.tamper(t, filepath.Join(dir, "store.age"), file(kids[0]), file(kids[1]))
			s, err := keys.OpenStore(dir, secret)
			if err == nil {
				_, err = s.Load(kids[0])
			}
			if !errors.Is(err, c.want) {
				t.Errorf("%v, want %v", err, c.want)
			}
		})
	}
}

// strangersFile is an age file to nobody's identity.
func strangersFile(t *testing.T) []byte {
	t.Helper()
	id, err := age.GenerateX25519Identity()
	if err != nil {
		t.Fatal(err)
	}
	var out bytes.Buffer
	w, err := age.Encrypt(&out, id.Recipient())
	if err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}

func chmod(t *testing.T, path string, mode fs.FileMode) {
	t.Helper()
	if err := os.Chmod(path, mode); err != nil {
		t.Fatal(err)
	}
}

func write(t *testing.T, path string, data []byte) {
	t.Helper()
	if err := os.WriteFile(path, data, 0o600); err != nil {
		t.Fatal(err)
	}
}

func flip(t *testing.T, path string) {
	t.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	data[len(data)-1] ^= 1
	write(t, path, data)
}

func TestSecretFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "secret")
	if err := keys.NewSecretFile(path); err != nil {
		t.Fatal(err)
	}
	before, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if err := keys.NewSecretFile(path); !errors.Is(err, keys.ErrExists) {
		t.Errorf("second time: %v", err)
	}
	if after, err := os.ReadFile(path); err != nil || !bytes.Equal(before, after) {
		t.Error("the secret was overwritten")
	}
	s, err := keys.SecretFromFile(path)
	if err != nil {
		t.Fatal(err)
	}
	for _, shown := range []string{fmt.Sprintf("%v %+v %#v %s", s, s, s, s), fmt.Sprintf("%v", struct{ S keys.Secret }{s})} {
		if bytes.Contains(before, []byte(shown)) || len(shown) > 40 {
			t.Errorf("shown: %s", shown)
		}
	}
	chmod(t, path, 0o644)
	if _, err := keys.SecretFromFile(path); !errors.Is(err, keys.ErrPermissions) {
		t.Errorf("readable by others: %v", err)
	}
	chmod(t, path, 0o600)
	for name, text := range map[string]string{"empty": "", "two": string(before) + string(before), "other": "secret"} {
		write(t, path, []byte(text))
		if _, err := keys.SecretFromFile(path); !errors.Is(err, keys.ErrMalformed) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, err := keys.SecretFromFile(path + "x"); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("missing: %v", err)
	}
	if _, err := keys.SecretFromPassphrase(nil); !errors.Is(err, keys.ErrMalformed) {
		t.Errorf("empty passphrase: %v", err)
	}
	var zero keys.Secret
	_, dir := initStore(t, s)
	if _, err := keys.OpenStore(dir, zero); !errors.Is(err, keys.ErrWrongSecret) {
		t.Errorf("no secret: %v", err)
	}
	if _, err := keys.InitStore(t.TempDir(), zero); !errors.Is(err, keys.ErrWrongSecret) {
		t.Errorf("no secret: %v", err)
	}
	if _, err := keys.OpenStore(dir, passphrase(t, "p")); !errors.Is(err, keys.ErrWrongSecret) {
		t.Errorf("passphrase instead of file: %v", err)
	}
}
