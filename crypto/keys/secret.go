package keys

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"log/slog"

	"filippo.io/age"
)

// scryptLogN is the work factor of passphrases: 2^18 takes about a second and
// 256 MiB. Tests lower it.
var scryptLogN = 18

// Secret opens a key store: an age X25519 identity or a passphrase. It is not
// printed. The zero value opens nothing.
type Secret struct {
	_         [0]func() // not comparable
	identity  age.Identity
	recipient age.Recipient
}

// String tells nothing.
func (Secret) String() string { return "secret" }

// GoString tells nothing.
func (Secret) GoString() string { return "secret" }

// Format tells nothing, whatever the verb.
func (Secret) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, "secret") }

// LogValue tells nothing.
func (Secret) LogValue() slog.Value { return slog.StringValue("secret") }

// MarshalJSON tells nothing.
func (Secret) MarshalJSON() ([]byte, error) { return []byte(`"secret"`), nil }

// NewSecretFile makes a new age X25519 identity (the file format of age's own
// keygen) at path with mode 0600. It never overwrites: ErrExists.
func NewSecretFile(path string) error {
	id, err := age.GenerateX25519Identity()
	if err != nil {
		return fmt.Errorf("generating an age identity: %w", err)
	}
	text := fmt.Sprintf("# public key: %s\n%s\n", id.Recipient(), id)
	return WriteNewFile(path, []byte(text), 0o600)
}

// SecretFromFile reads a file that holds one age X25519 identity. Errors wrap
// ErrPermissions, ErrMalformed or are the file system's.
func SecretFromFile(path string) (Secret, error) {
	data, err := ReadSecretFile(path, maxKeyFile)
	if err != nil {
		return Secret{}, err
	}
	ids, err := age.ParseIdentities(bytes.NewReader(data))
	if err != nil || len(ids) != 1 {
		// The cause may quote the secret, so it is left out.
		return Secret{}, fmt.Errorf("%w: %s does not hold one age identity", ErrMalformed, path)
	}
	id, ok := ids[0].(*age.X25519Identity)
	if !ok {
		return Secret{}, fmt.Errorf("%w: %s does not hold an age X25519 identity", ErrMalformed, path)
	}
	return Secret{identity: id, recipient: id.Recipient()}, nil
}

// SecretFromPassphrase derives the secret from a passphrase with scrypt. An
// empty one is refused (ErrMalformed).
func SecretFromPassphrase(passphrase []byte) (Secret, error) {
	id, err := age.NewScryptIdentity(string(passphrase))
	if err != nil {
		return Secret{}, fmt.Errorf("%w: empty passphrase", ErrMalformed)
	}
	recipient, err := age.NewScryptRecipient(string(passphrase))
	if err != nil {
		return Secret{}, fmt.Errorf("%w: empty passphrase", ErrMalformed)
	}
	recipient.SetWorkFactor(scryptLogN)
	return Secret{identity: id, recipient: recipient}, nil
}

// encrypt makes an age file.
func encrypt(data []byte, to age.Recipient) ([]byte, error) {
	var out bytes.Buffer
	w, err := age.Encrypt(&out, to)
	if err != nil {
		return nil, fmt.Errorf("encrypting: %w", err)
	}
	if _, err := w.Write(data); err != nil {
		return nil, fmt.Errorf("encrypting: %w", err)
	}
	if err := w.Close(); err != nil {
		return nil, fmt.Errorf("encrypting: %w", err)
	}
	return out.Bytes(), nil
}

// decrypt reads an age file. Errors wrap ErrWrongSecret or ErrMalformed.
func decrypt(data []byte, with age.Identity) ([]byte, error) {
	r, err := age.Decrypt(bytes.NewReader(data), with)
	if noMatch := (*age.NoIdentityMatchError)(nil); errors.As(err, &noMatch) {
		return nil, ErrWrongSecret
	}
	if err != nil {
		return nil, fmt.Errorf("%w: encrypted file is damaged: %v", ErrMalformed, err)
	}
	plain, err := io.ReadAll(r)
	if err != nil {
		return nil, fmt.Errorf("%w: encrypted file is damaged: %v", ErrMalformed, err)
	}
	return plain, nil
}
