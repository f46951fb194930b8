package keys

import (
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"regexp"
)

// SharedSize is the length in bytes of a secret that processes share.
const SharedSize = 32

const sharedSuffix = ".secret.age"

var sharedRE = regexp.MustCompile(`^[a-z][a-z0-9-]{0,62}$`)

// CreateShared makes a secret of SharedSize random bytes under a name: lower-case
// letters, digits and "-", a letter first, at most 63 bytes. When it returns nil the
// secret is stored durably, encrypted as keys are. Where there is one already the error
// wraps ErrExists.
func (s *Store) CreateShared(name string) ([]byte, error) {
	secret := make([]byte, SharedSize)
	if _, err := rand.Read(secret); err != nil {
		return nil, err
	}
	return secret, s.PutShared(name, secret)
}

// PutShared stores a secret that another process has made, as CreateShared does.
func (s *Store) PutShared(name string, secret []byte) error {
	if !sharedRE.MatchString(name) || len(secret) != SharedSize {
		return fmt.Errorf("%w: a secret has a name such as index, and %d bytes", ErrMalformed, SharedSize)
	}
	data, err := encrypt([]byte(hex.EncodeToString(secret)), s.identity.Recipient())
	if err != nil {
		return err
	}
	err = WriteNewFile(s.sharedPath(name), data, 0o600)
	if errors.Is(err, fs.ErrExist) {
		return fmt.Errorf("%w: secret %s", ErrExists, name)
	}
	return err
}

// LoadShared opens the secret of a name. Errors wrap ErrKeyUnknown, ErrPermissions or
// ErrMalformed.
func (s *Store) LoadShared(name string) ([]byte, error) {
	if !sharedRE.MatchString(name) {
		return nil, fmt.Errorf("%w: secret %.80q", ErrKeyUnknown, name)
	}
	data, err := ReadSecretFile(s.sharedPath(name), maxKeyFile)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("%w: secret %s", ErrKeyUnknown, name)
	}
	if err != nil {
		return nil, err
	}
	plain, err := decrypt(data, s.identity)
	if err != nil {
		return nil, fmt.Errorf("%w: secret %s can not be decrypted: %v", ErrMalformed, name, err)
	}
	secret, err := hex.DecodeString(string(plain))
	if err != nil || len(secret) != SharedSize {
		return nil, fmt.Errorf("%w: secret %s is not one", ErrMalformed, name)
	}
	return secret, nil
}

func (s *Store) sharedPath(name string) string { return filepath.Join(s.dir, name+sharedSuffix) }
