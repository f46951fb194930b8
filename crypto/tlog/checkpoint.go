package tlog

import (
	"context"
	"crypto/ed25519"
	"fmt"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/entente-hub/entente/crypto/keys"
	"github.com/transparency-dev/formats/log"
	"golang.org/x/mod/sumdb/note"
)

// MaxCheckpoint is the largest checkpoint that is read, in bytes, cosignatures
// of witnesses included.
const MaxCheckpoint = 64 << 10

// maxOrigin is the largest origin, in bytes.
const maxOrigin = 255

// Checkpoint says what a log held at one moment (C2SP tlog-checkpoint).
type Checkpoint struct {
	Origin string // the log's unique name, a schema-less URL by convention
	Size   int64  // number of entries
	Root   Hash
}

// text is the body of the checkpoint's note.
func (c Checkpoint) text() string {
	return string(log.Checkpoint{Origin: c.Origin, Size: uint64(c.Size), Hash: c.Root[:]}.Marshal())
}

// SignCheckpoint returns a checkpoint as a signed note (C2SP signed-note) with
// one Ed25519 signature whose key name is the origin. Errors are the Signer's, or
// wrap ErrCheckpoint (origin, root, or not an Ed25519 key) or ErrSize.
func SignCheckpoint(ctx context.Context, s keys.Signer, origin string, size int64, root Hash) ([]byte, error) {
	if size < 0 || size > MaxSize {
		return nil, fmt.Errorf("%w: %d", ErrSize, size)
	}
	if size == 0 && root != emptyRoot {
		return nil, fmt.Errorf("%w: root of an empty log", ErrCheckpoint)
	}
	v, err := verifier(origin, s.Public())
	if err != nil {
		return nil, err
	}
	n := &note.Note{Text: Checkpoint{Origin: origin, Size: size, Root: root}.text()}
	out, err := note.Sign(n, noteSigner{v, s, ctx})
	if err != nil {
		return nil, fmt.Errorf("signing checkpoint: %w", err)
	}
	return out, nil
}

// OpenCheckpoint checks a checkpoint of the log named origin, signed with key.
// Signatures by others, such as witnesses, may follow and are not looked at.
// Extension lines are refused: no log of ours writes any. Errors wrap
// ErrCheckpoint.
func OpenCheckpoint(signed []byte, key keys.PublicKey, origin string) (Checkpoint, error) {
	if len(signed) > MaxCheckpoint {
		return Checkpoint{}, fmt.Errorf("%w: more than %d bytes", ErrCheckpoint, MaxCheckpoint)
	}
	v, err := verifier(origin, key)
	if err != nil {
		return Checkpoint{}, err
	}
	n, err := note.Open(signed, note.VerifierList(v))
	if err != nil {
		return Checkpoint{}, fmt.Errorf("%w: %v", ErrCheckpoint, err)
	}
	var parsed log.Checkpoint
	if _, err := parsed.Unmarshal([]byte(n.Text)); err != nil {
		return Checkpoint{}, fmt.Errorf("%w: %v", ErrCheckpoint, err)
	}
	if parsed.Origin != origin || parsed.Size > MaxSize || len(parsed.Hash) != HashSize {
		return Checkpoint{}, fmt.Errorf("%w: origin, size or root", ErrCheckpoint)
	}
	c := Checkpoint{Origin: origin, Size: int64(parsed.Size), Root: Hash(parsed.Hash)}
	// One text for each checkpoint: no leading zeros, no extension lines.
	if c.text() != n.Text {
		return Checkpoint{}, fmt.Errorf("%w: not in canonical form", ErrCheckpoint)
	}
	if c.Size == 0 && c.Root != emptyRoot {
		return Checkpoint{}, fmt.Errorf("%w: root of an empty log", ErrCheckpoint)
	}
	return c, nil
}

// VerifierKey is the log's key in the text form of C2SP signed-note,
// "<origin>+<key hash>+<key>", for other tools. Errors wrap ErrCheckpoint.
func VerifierKey(origin string, key keys.PublicKey) (string, error) {
	if err := checkOrigin(origin); err != nil {
		return "", err
	}
	pub, ok := key.Key().(ed25519.PublicKey)
	if !ok {
		return "", fmt.Errorf("%w: checkpoints need an Ed25519 key, not %q", ErrCheckpoint, key.Alg())
	}
	vkey, err := note.NewEd25519VerifierKey(origin, pub)
	if err != nil {
		return "", fmt.Errorf("%w: %v", ErrCheckpoint, err)
	}
	return vkey, nil
}

func verifier(origin string, key keys.PublicKey) (note.Verifier, error) {
	vkey, err := VerifierKey(origin, key)
	if err != nil {
		return nil, err
	}
	v, err := note.NewVerifier(vkey)
	if err != nil {
		return nil, fmt.Errorf("%w: %v", ErrCheckpoint, err)
	}
	return v, nil
}

// checkOrigin holds an origin to what a key name may be: C2SP signed-note.
func checkOrigin(origin string) error {
	bad := func(r rune) bool { return unicode.IsSpace(r) || !unicode.IsPrint(r) || r == '+' }
	if origin == "" || len(origin) > maxOrigin || !utf8.ValidString(origin) || strings.ContainsFunc(origin, bad) {
		return fmt.Errorf("%w: origin %.64q", ErrCheckpoint, origin)
	}
	return nil
}

// noteSigner lets package note sign with a keys.Signer. It lives for one call,
// so it may hold that call's ctx.
type noteSigner struct {
	note.Verifier
	signer keys.Signer
	ctx    context.Context
}

func (s noteSigner) Sign(msg []byte) ([]byte, error) {
	sigs, err := s.signer.Sign(s.ctx, [][]byte{msg})
	if err != nil {
		return nil, err
	}
	if len(sigs) != 1 || !s.Verify(msg, sigs[0]) {
		return nil, fmt.Errorf("%w: signer gave a wrong signature", keys.ErrSignature)
	}
	return sigs[0], nil
}
