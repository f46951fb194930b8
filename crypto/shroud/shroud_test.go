package shroud_test

import (
	"bytes"
	"testing"

	"github.com/entente-hub/entente/crypto/shroud"
)

func TestShroud(t *testing.T) {
	for _, plain := range [][]byte{{}, {0}, []byte("text"), bytes.Repeat([]byte("long "), 10_000)} {
		key, sealed := shroud.Seal(plain)
		if len(key) != shroud.KeySize || len(sealed) != len(plain)+shroud.Overhead || len(plain) > 3 && bytes.Contains(sealed, plain[:4]) {
			t.Errorf("%d bytes: a key of %d bytes, %d sealed", len(plain), len(key), len(sealed))
		}
		if got := shroud.Open(key, sealed); !bytes.Equal(got, plain) || got == nil {
			t.Errorf("opened: %.20q, want %.20q", got, plain)
		}
		other, again := shroud.Seal(plain)
		if bytes.Equal(key, other) || bytes.Equal(sealed, again) {
			t.Error("a key is used twice")
		}
		for name, got := range map[string][]byte{
			"another key": shroud.Open(other, sealed), "no key": shroud.Open(nil, sealed), "a key of another size": shroud.Open(key[:31], sealed),
		} {
			if !bytes.Equal(got, sealed) {
				t.Errorf("%s opens it: %.20q", name, got)
			}
		}
		if shroud.Open(key, nil) != nil {
			t.Error("nothing became something")
		}
	}
}
