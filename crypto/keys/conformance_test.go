package keys_test

import (
	"path/filepath"
	"testing"

	"github.com/entente-hub/entente/crypto/keys"
	"github.com/entente-hub/entente/crypto/keys/keystest"
)

func memory(owner string, alg keys.Alg) (keys.Signer, error) {
	k, err := keys.Generate(owner, alg)
	if err != nil {
		return nil, err
	}
	return k, nil
}

func TestMemory(t *testing.T) {
	keystest.Run(t, func(*testing.T) keystest.Fixture { return keystest.Fixture{Create: memory} })
}

func TestBatchConforms(t *testing.T) {
	keystest.Run(t, func(*testing.T) keystest.Fixture {
		return keystest.Fixture{Create: func(owner string, alg keys.Alg) (keys.Signer, error) {
			s, err := memory(owner, alg)
			if err != nil {
				return nil, err
			}
			return keys.Batch(s), nil
		}}
	})
}

func TestStoreWithKeyFile(t *testing.T) {
	keystest.Run(t, func(t *testing.T) keystest.Fixture {
		return storeFixture(t, fileSecret(t), fileSecret(t))
	})
}

func TestStoreWithPassphrase(t *testing.T) {
	keystest.Run(t, func(t *testing.T) keystest.Fixture {
		return storeFixture(t, passphrase(t, "correct"), passphrase(t, "wrong"))
	})
}

func storeFixture(t *testing.T, secret, wrong keys.Secret) keystest.Fixture {
	dir := filepath.Join(t.TempDir(), "keys")
	s, err := keys.InitStore(dir, secret)
	if err != nil {
		t.Fatal(err)
	}
	return keystest.Fixture{
		Create: s.Create,
		Reopen: func() (func(string) (keys.Signer, error), error) {
			again, err := keys.OpenStore(dir, secret)
			if err != nil {
				return nil, err
			}
			return again.Load, nil
		},
		OpenWrong: func() error {
			_, err := keys.OpenStore(dir, wrong)
			return err
		},
	}
}

func fileSecret(t *testing.T) keys.Secret {
	t.Helper()
	path := filepath.Join(t.TempDir(), "secret")
	if err := keys.NewSecretFile(path); err != nil {
		t.Fatal(err)
	}
	s, err := keys.SecretFromFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func passphrase(t *testing.T, p string) keys.Secret {
	t.Helper()
	s, err := keys.SecretFromPassphrase([]byte(p))
	if err != nil {
		t.Fatal(err)
	}
	return s
}
