package tlog_test

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"encoding/base64"
	"errors"
	"strings"
	"testing"

	"github.com/entente-hub/entente/crypto/keys"
	"github.com/entente-hub/entente/crypto/tlog"
	"golang.org/x/mod/sumdb/note"
)

const origin = "hub.entente.example/log"

// fixedSigner signs with the private key whose seed is 0, 1, 2 … 31, so that its
// bytes can be frozen.
type fixedSigner struct{ priv ed25519.PrivateKey }

func newFixed() fixedSigner {
	seed := make([]byte, ed25519.SeedSize)
	for i := range seed {
		seed[i] = byte(i)
	}
	return fixedSigner{ed25519.NewKeyFromSeed(seed)}
}

func (s fixedSigner) Public() keys.PublicKey {
	pub, err := keys.NewPublicKey("hub1", s.priv.Public())
	if err != nil {
		panic(err)
	}
	return pub
}

func (s fixedSigner) Sign(_ context.Context, messages [][]byte) ([][]byte, error) {
	var sigs [][]byte
	for _, m := range messages {
		sigs = append(sigs, ed25519.Sign(s.priv, m))
	}
	return sigs, nil
}

func checkpoint(t testing.TB, s keys.Signer, origin string, n int) ([]byte, tlog.Hash) {
	t.Helper()
	_, root := build(t, n)
	signed, err := tlog.SignCheckpoint(context.Background(), s, origin, int64(n), root)
	if err != nil {
		t.Fatal(err)
	}
	return signed, root
}

func TestCheckpointFrozen(t *testing.T) {
	const want = `hub.entente.example/log
5
fKo0Xb2JKmZFTWxlEuo8PqPw0+whvj/C4jdXBf049nI=

— hub.entente.example/log F2JaV5eOQ2KtDGs5ZRAAtqs9Zv0y1P0wM51lXAqyg5B5KprwHapyCdwlANYAqX1X6+o3xFb7d2tzTmxQ5HYdvT+HNAY=
`
	s := newFixed()
	signed, root := checkpoint(t, s, origin, 5)
	if string(signed) != want {
		t.Errorf("checkpoint\n%s\nwant\n%s", signed, want)
	}
	got, err := tlog.OpenCheckpoint([]byte(want), s.Public(), origin)
	if err != nil || got != (tlog.Checkpoint{Origin: origin, Size: 5, Root: root}) {
		t.Errorf("%+v, %v", got, err)
	}
}

// TestCheckpointIsStandard opens a checkpoint with nothing but package note.
func TestCheckpointIsStandard(t *testing.T) {
	s := newFixed()
	signed, _ := checkpoint(t, s, origin, 3)
	vkey, err := note.NewEd25519VerifierKey(origin, s.priv.Public().(ed25519.PublicKey))
	if err != nil {
		t.Fatal(err)
	}
	if ours, err := tlog.VerifierKey(origin, s.Public()); err != nil || ours != vkey {
		t.Errorf("verifier key %q, %v, want %q", ours, err, vkey)
	}
	v, err := note.NewVerifier(vkey)
	if err != nil {
		t.Fatal(err)
	}
	n, err := note.Open(signed, note.VerifierList(v))
	if err != nil || len(n.Sigs) != 1 || n.Sigs[0].Name != origin || len(n.UnverifiedSigs) != 0 {
		t.Errorf("%+v, %v", n, err)
	}
}

// resign makes a properly signed note of any text.
func resign(t *testing.T, text string) []byte {
	t.Helper()
	s := newFixed()
	vkey, err := tlog.VerifierKey(origin, s.Public())
	if err != nil {
		t.Fatal(err)
	}
	hash := strings.Split(vkey, "+")[1]
	raw := append(unhex(t, hash), ed25519.Sign(s.priv, []byte(text))...)
	return []byte(text + "\n— " + origin + " " + base64.StdEncoding.EncodeToString(raw) + "\n")
}

func unhex(t *testing.T, s string) []byte {
	t.Helper()
	var out []byte
	for i := 0; i+1 < len(s); i += 2 {
		const digits = "0123456789abcdef"
		out = append(out, byte(strings.IndexByte(digits, s[i])<<4|strings.IndexByte(digits, s[i+1])))
	}
	return out
}

func TestOpenCheckpointRefuses(t *testing.T) {
	s := newFixed()
	signed, root := checkpoint(t, s, origin, 5)
	good := string(signed)
	rootText := base64.StdEncoding.EncodeToString(root[:])
	body := origin + "\n5\n" + rootText + "\n"
	if !bytes.Equal(resign(t, body), signed) {
		t.Fatal("resign does not make the same note")
	}
	mallory, err := keys.Generate("XM", keys.EdDSA)
	if err != nil {
		t.Fatal(err)
	}
	forged, err := tlog.SignCheckpoint(context.Background(), mallory, origin, 5, root)
	if err != nil {
		t.Fatal(err)
	}
	for name, bad := range map[string][]byte{
		"empty":          {},
		"forged":         forged,
		"other size":     []byte(strings.Replace(good, "\n5\n", "\n6\n", 1)),
		"unsigned":       []byte(body + "\n"),
		"leading zero":   resign(t, origin+"\n05\n"+rootText+"\n"),
		"signed size":    resign(t, origin+"\n+5\n"+rootText+"\n"),
		"negative":       resign(t, origin+"\n-5\n"+rootText+"\n"),
		"huge":           resign(t, origin+"\n9223372036854775808\n"+rootText+"\n"),
		"extension":      resign(t, body+"more\n"),
		"short root":     resign(t, origin+"\n5\nAAAA\n"),
		"no root":        resign(t, origin+"\n5\n"),
		"other origin":   resign(t, "xm.example/log\n5\n"+rootText+"\n"),
		"empty, rooted":  resign(t, origin+"\n0\n"+rootText+"\n"),
		"too large":      append([]byte(good), bytes.Repeat([]byte("— w AAAAAAAA\n"), 1<<13)...),
		"no end of line": []byte(strings.TrimSuffix(good, "\n")),
		"CR LF":          []byte(strings.ReplaceAll(good, "\n", "\r\n")),
	} {
		if c, err := tlog.OpenCheckpoint(bad, s.Public(), origin); !errors.Is(err, tlog.ErrCheckpoint) || c != (tlog.Checkpoint{}) {
			t.Errorf("%s: %+v, %v", name, c, err)
		}
	}
	if _, err := tlog.OpenCheckpoint(signed, s.Public(), "xm.example/log"); !errors.Is(err, tlog.ErrCheckpoint) {
		t.Errorf("of another log: %v", err)
	}
	if _, err := tlog.OpenCheckpoint(signed, keys.PublicKey{}, origin); !errors.Is(err, tlog.ErrCheckpoint) {
		t.Errorf("without a key: %v", err)
	}
	witnessed := good + "— witness.example/w " + base64.StdEncoding.EncodeToString(make([]byte, 76)) + "\n"
	if c, err := tlog.OpenCheckpoint([]byte(witnessed), s.Public(), origin); err != nil || c.Size != 5 {
		t.Errorf("with a witness: %+v, %v", c, err)
	}
}

// liar does not sign what it is given.
type liar struct{ fixedSigner }

func (l liar) Sign(ctx context.Context, _ [][]byte) ([][]byte, error) {
	return l.fixedSigner.Sign(ctx, [][]byte{[]byte("something else")})
}

func TestSignCheckpointRefuses(t *testing.T) {
	ctx := context.Background()
	ec, err := keys.Generate("hub1", keys.ES256)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := tlog.SignCheckpoint(ctx, ec, origin, 1, tlog.Hash{}); !errors.Is(err, tlog.ErrCheckpoint) {
		t.Errorf("ES256: %v", err)
	}
	if _, err := tlog.SignCheckpoint(ctx, newFixed(), origin, -1, tlog.Hash{}); !errors.Is(err, tlog.ErrSize) {
		t.Errorf("negative: %v", err)
	}
	if _, err := tlog.SignCheckpoint(ctx, liar{newFixed()}, origin, 1, tlog.Hash{}); !errors.Is(err, keys.ErrSignature) {
		t.Errorf("wrong signature: %v", err)
	}
	if _, err := tlog.SignCheckpoint(ctx, newFixed(), origin, 0, tlog.Hash{}); !errors.Is(err, tlog.ErrCheckpoint) {
		t.Errorf("root of an empty log: %v", err)
	}
	for _, bad := range []string{"", "a b", "a+b", "a\nb", "a\x00", "\xff", strings.Repeat("a", 256)} {
		if _, err := tlog.SignCheckpoint(ctx, newFixed(), bad, 1, tlog.Hash{}); !errors.Is(err, tlog.ErrCheckpoint) {
			t.Errorf("origin %q: %v", bad, err)
		}
	}
}

func FuzzOpenCheckpoint(f *testing.F) {
	s := newFixed()
	for _, n := range []int{0, 1, 5} {
		signed, _ := checkpoint(f, s, origin, n)
		f.Add(signed)
		f.Add(append(signed, "— witness.example/w AAAAAAAAAAAA\n"...))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		c, err := tlog.OpenCheckpoint(data, s.Public(), origin)
		if err != nil {
			return
		}
		again, err := tlog.SignCheckpoint(context.Background(), s, c.Origin, c.Size, c.Root)
		if err != nil {
			t.Fatal(err)
		}
		// All but signatures by others is the same again.
		text, sig, _ := strings.Cut(string(again), "\n\n")
		if !strings.HasPrefix(string(data), text+"\n\n") || !strings.Contains(string(data), "\n"+sig) {
			t.Fatalf("%q opens, but signing gives %q", data, again)
		}
	})
}
