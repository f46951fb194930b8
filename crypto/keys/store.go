package keys

import (
	"crypto"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"filippo.io/age"
	"github.com/go-jose/go-jose/v4"
)

// The files of a store. storeFile holds the store's own age identity,
// encrypted to the Secret, so that a passphrase is stretched once for each
// opening and not for each key; the keys are encrypted to that identity. '@'
// stands in no owner.
const (
	storeFile = "store.age"
	keySuffix = ".key.age"
)

// Store keeps private keys in a directory, each as a private JWK encrypted with
// age in a file of its own, mode 0600. Files are added durably and never changed.
// Several processes may use a store at the same time. It protects keys at rest:
// once loaded they lie in this process's memory.
type Store struct {
	dir      string
	identity *age.X25519Identity
}

// InitStore makes an empty store in dir, which is created with mode 0700 if it is
// missing. Where a store is already, the error wraps ErrExists.
func InitStore(dir string, secret Secret) (*Store, error) {
	if secret.recipient == nil {
		return nil, fmt.Errorf("%w: no secret given", ErrWrongSecret)
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, err
	}
	if err := checkDir(dir); err != nil {
		return nil, err
	}
	// Keys without their store.age are the remains of a store: a new identity
	// beside them would hide that they can not be opened any more.
	if rest, err := filepath.Glob(filepath.Join(dir, "*"+keySuffix)); err != nil || len(rest) > 0 {
		return nil, errors.Join(fmt.Errorf("%w: %s holds keys", ErrExists, dir), err)
	}
	id, err := age.GenerateX25519Identity()
	if err != nil {
		return nil, fmt.Errorf("generating an age identity: %w", err)
	}
	data, err := encrypt([]byte(id.String()), secret.recipient)
	if err != nil {
		return nil, err
	}
	if err := WriteNewFile(filepath.Join(dir, storeFile), data, 0o600); err != nil {
		return nil, err
	}
	if err := syncDir(filepath.Dir(filepath.Clean(dir))); err != nil {
		return nil, err
	}
	return &Store{dir: dir, identity: id}, nil
}

// OpenStore opens the store that InitStore made in dir; it makes none. Errors
// wrap ErrNoStore, ErrWrongSecret, ErrPermissions or ErrMalformed.
func OpenStore(dir string, secret Secret) (*Store, error) {
	if secret.identity == nil {
		return nil, fmt.Errorf("%w: no secret given", ErrWrongSecret)
	}
	data, err := ReadSecretFile(filepath.Join(dir, storeFile), maxKeyFile)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("%w: %s", ErrNoStore, dir)
	}
	if err != nil {
		return nil, err
	}
	if err := checkDir(dir); err != nil {
		return nil, err
	}
	plain, err := decrypt(data, secret.identity)
	if err != nil {
		return nil, fmt.Errorf("opening key store %s: %w", dir, err)
	}
	id, err := age.ParseX25519Identity(string(plain))
	if err != nil {
		return nil, fmt.Errorf("%w: %s holds no age identity", ErrMalformed, storeFile)
	}
	return &Store{dir: dir, identity: id}, nil
}

// checkDir refuses a directory in which others could exchange files.
func checkDir(dir string) error {
	info, err := os.Stat(dir)
	if err != nil {
		return err
	}
	if !info.IsDir() {
		return fmt.Errorf("%w: %s is not a directory", ErrMalformed, dir)
	}
	if mode := info.Mode().Perm(); mode&0o022 != 0 {
		return fmt.Errorf("%w: %s has mode %04o, want 0700", ErrPermissions, dir, mode)
	}
	return nil
}

// Create makes a new key for owner. When it returns nil the key is stored
// durably. Errors wrap ErrAlgorithm, ErrMalformed (owner) or are the file
// system's; then nothing is stored.
func (s *Store) Create(owner string, alg Alg) (Signer, error) {
	k, err := Generate(owner, alg)
	if err != nil {
		return nil, err
	}
	jwk := jose.JSONWebKey{Key: k.priv, KeyID: k.pub.KeyID(), Algorithm: string(alg), Use: "sig"}
	data, err := jwk.MarshalJSON()
	if err != nil {
		return nil, fmt.Errorf("writing key %s: %w", k.pub, err)
	}
	data, err = encrypt(data, s.identity.Recipient())
	if err != nil {
		return nil, err
	}
	if err := WriteNewFile(s.path(k.pub.owner, k.pub.thumbprint), data, 0o600); err != nil {
		return nil, fmt.Errorf("storing key %s: %w", k.pub, err)
	}
	return k, nil
}

// Load opens the key with a key id. Errors wrap ErrKeyUnknown, ErrPermissions or
// ErrMalformed (the file is damaged or holds another key).
func (s *Store) Load(kid string) (Signer, error) {
	owner, thumbprint, err := SplitKeyID(kid)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrKeyUnknown, err)
	}
	data, err := ReadSecretFile(s.path(owner, thumbprint), maxKeyFile)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("%w: %s", ErrKeyUnknown, kid)
	}
	if err != nil {
		return nil, err
	}
	plain, err := decrypt(data, s.identity)
	if err != nil {
		// The secret has opened the store: what does not open is foreign.
		return nil, fmt.Errorf("%w: key %s can not be decrypted: %v", ErrMalformed, kid, err)
	}
	var jwk jose.JSONWebKey
	if err := jwk.UnmarshalJSON(plain); err != nil {
		return nil, fmt.Errorf("%w: key %s is no private JWK", ErrMalformed, kid)
	}
	priv, ok := jwk.Key.(crypto.Signer)
	if !ok {
		return nil, fmt.Errorf("%w: key %s is no private JWK", ErrMalformed, kid)
	}
	k, err := newSoftwareKey(owner, priv)
	if err != nil {
		return nil, err
	}
	if k.pub.KeyID() != kid || jwk.KeyID != kid {
		return nil, fmt.Errorf("%w: file of key %s holds another key", ErrMalformed, kid)
	}
	return k, nil
}

// List returns the ids of all keys, in ascending order.
func (s *Store) List() ([]string, error) {
	entries, err := os.ReadDir(s.dir)
	if err != nil {
		return nil, err
	}
	kids := []string{}
	for _, e := range entries {
		name, ok := strings.CutSuffix(e.Name(), keySuffix)
		if !ok {
			continue
		}
		owner, thumbprint, _ := strings.Cut(name, "@")
		kid := NewKeyID(owner, thumbprint)
		if _, _, err := SplitKeyID(kid); err != nil {
			return nil, fmt.Errorf("%w: %s is not named after a key", ErrMalformed, e.Name())
		}
		kids = append(kids, kid)
	}
	slices.Sort(kids)
	return kids, nil
}

func (s *Store) path(owner, thumbprint string) string {
	return filepath.Join(s.dir, owner+"@"+thumbprint+keySuffix)
}
