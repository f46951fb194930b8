package server

import (
	"crypto/rand"
	"crypto/subtle"
	"encoding/base64"
	"errors"
	"fmt"
	"path/filepath"
	"strings"

	"github.com/gofiber/fiber/v2"

	"github.com/entente-hub/entente/api/alert"
	"github.com/entente-hub/entente/api/problem"
	"github.com/entente-hub/entente/api/serve"
	"github.com/entente-hub/entente/crypto/keys"
	"github.com/entente-hub/entente/crypto/pki"
)

const (
	tokenFile = "token"
	tokenSize = 32 // bytes, of chance
)

// openToken returns the local interface's token, and makes it with mode 0600
// where there is none yet.
func openToken(dataDir string) (string, error) {
	var b [tokenSize]byte
	_, _ = rand.Read(b[:]) // crypto/rand.Read never fails since Go 1.24
	fresh := base64.RawURLEncoding.EncodeToString(b[:])
	err := keys.WriteNewFile(filepath.Join(dataDir, tokenFile), []byte(fresh+"\n"), 0o600)
	if err != nil && !errors.Is(err, keys.ErrExists) {
		return "", fmt.Errorf("token of the local interface: %w", err)
	}
	return readToken(dataDir)
}

// readToken reads the token that a node has made.
func readToken(dataDir string) (string, error) {
	raw, err := keys.ReadSecretFile(filepath.Join(dataDir, tokenFile), 1<<10)
	if err != nil {
		return "", fmt.Errorf("token of the local interface: %w", err)
	}
	token := strings.TrimSpace(string(raw))
	if b, err := base64.RawURLEncoding.Strict().DecodeString(token); err != nil || len(b) != tokenSize {
		return "", fmt.Errorf("token of the local interface: %s does not hold %d bytes in base64url", tokenFile, tokenSize)
	}
	return token, nil
}

// authenticate lets in who has a certificate of the member's and the token.
func authenticate(member alert.MemberID, token string) serve.Authenticate {
	want := pki.Identity{Kind: pki.Member, ID: string(member)}
	return func(c *fiber.Ctx) error {
		cs := c.Context().TLSConnectionState()
		if cs == nil {
			return problem.New(problem.Unauthenticated, "no TLS")
		}
		if id, err := pki.PeerIdentity(*cs); err != nil || id != want {
			return problem.New(problem.Unauthenticated, "the certificate is not one of %s", member)
		}
		got, ok := strings.CutPrefix(c.Get(fiber.HeaderAuthorization), "Bearer ")
		if !ok || subtle.ConstantTimeCompare([]byte(got), []byte(token)) != 1 {
			return problem.New(problem.Unauthenticated, "the token from the node's data directory is needed")
		}
		return nil
	}
}
