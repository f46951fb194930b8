// Package shroud encrypts what a database keeps so that it can be erased: each text
// with a key of its own, which is stored beside it and overwritten or dropped to erase
// it. Databases leave copies of rows behind where they no longer look, in the free space
// of pages, in dead rows and in logs; all copies of a text become unreadable with its
// one key, which is small and easily got rid of for good.
//
// This keeps nothing from whoever has the database: the keys lie in it.
package shroud

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/rand"
)

// KeySize is the size of a key in bytes: AES-256.
const KeySize = 32

// Overhead is by how many bytes a sealed text is longer.
const Overhead = 16

// Seal encrypts with AES-GCM (NIST SP 800-38D) and a new key, which is for this one text:
// so the nonce may be fixed.
func Seal(plain []byte) (key, sealed []byte) {
	key = make([]byte, KeySize)
	_, _ = rand.Read(key) // crypto/rand.Read never fails since Go 1.24
	aead, err := gcm(key)
	if err != nil {
		panic("shroud: " + err.Error()) // of a key of the wrong size alone
	}
	return key, aead.Seal(nil, make([]byte, aead.NonceSize()), plain, nil)
}

// Open returns what was sealed. What has no key is in the clear; and what its key does
// not open is returned as it is stored, for whoever holds it to a digest or a signature
// to find that it is not what was sealed.
func Open(key, stored []byte) []byte {
	if len(key) == 0 || stored == nil {
		return stored
	}
	aead, err := gcm(key)
	if err != nil {
		return stored
	}
	plain, err := aead.Open([]byte{}, make([]byte, aead.NonceSize()), stored, nil)
	if err != nil {
		return stored
	}
	return plain
}

func gcm(key []byte) (cipher.AEAD, error) {
	block, err := aes.NewCipher(key)
	if err != nil {
		return nil, err
	}
	return cipher.NewGCM(block)
}
