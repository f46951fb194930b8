package parcel

import (
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"fmt"
	"strings"
	"time"

	"github.com/go-jose/go-jose/v4"

	"github.com/entente-hub/entente/api/alert"
	"github.com/entente-hub/entente/crypto/pki"
)

// Trust says whose parcels are taken.
type Trust struct {
	Pool   *x509.CertPool // the authorities of the federation's certificates
	Member alert.MemberID // whose parcels alone; "": those of any member
	Now    time.Time      // when the certificate must be valid
}

// sign makes the JWS over a manifest.
func sign(manifest []byte, cert tls.Certificate) (string, error) {
	var alg jose.SignatureAlgorithm
	switch cert.PrivateKey.(type) {
	case ed25519.PrivateKey:
		alg = jose.EdDSA
	case *ecdsa.PrivateKey:
		alg = jose.ES256
	default:
		return "", fmt.Errorf("parcel: a key of type %T signs nothing", cert.PrivateKey)
	}
	if n := len(cert.Certificate); n == 0 || n > maxChain {
		return "", fmt.Errorf("parcel: %d certificates, where there must be 1 to %d", n, maxChain)
	}
	chain := make([]string, len(cert.Certificate))
	for i, der := range cert.Certificate {
		chain[i] = base64.StdEncoding.EncodeToString(der)
	}
	opts := (&jose.SignerOptions{}).WithType(Type).WithHeader("x5c", chain)
	s, err := jose.NewSigner(jose.SigningKey{Algorithm: alg, Key: cert.PrivateKey}, opts)
	if err != nil {
		return "", fmt.Errorf("parcel: %w", err)
	}
	jws, err := s.Sign(manifest)
	if err != nil {
		return "", fmt.Errorf("parcel: %w", err)
	}
	return jws.CompactSerialize()
}

// verify returns the manifest's bytes from a JWS and the member that has signed it.
// Errors wrap ErrParcel or ErrSigner.
func verify(compact string, t Trust) ([]byte, alert.MemberID, error) {
	if t.Pool == nil { // and not the machine's own authorities
		return nil, "", fmt.Errorf("%w: there is no authority to verify it by", ErrSigner)
	}
	for segment := range strings.SplitSeq(compact, ".") { // so that there is one text for what is signed
		if _, err := base64.RawURLEncoding.Strict().DecodeString(segment); err != nil || strings.ContainsAny(segment, "\r\n") {
			return nil, "", bad("the signature is not base64url without padding")
		}
	}
	jws, err := jose.ParseSignedCompact(compact, []jose.SignatureAlgorithm{jose.EdDSA, jose.ES256})
	if err != nil {
		return nil, "", bad("signature: %v", err)
	}
	h := jws.Signatures[0].Protected
	if typ, ok := h.ExtraHeaders[jose.HeaderType].(string); !ok || typ != Type || len(h.ExtraHeaders) != 1 || h.KeyID != "" || h.JSONWebKey != nil || h.Nonce != "" {
		return nil, "", bad("the header of the signature is not alg, typ and x5c")
	}
	chains, err := h.Certificates(x509.VerifyOptions{Roots: t.Pool, CurrentTime: t.Now, KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}})
	if err != nil {
		return nil, "", fmt.Errorf("%w: certificate: %w", ErrSigner, err)
	}
	leaf := chains[0][0]
	id, err := pki.CertificateIdentity(leaf)
	switch {
	case err != nil:
		return nil, "", fmt.Errorf("%w: %w", ErrSigner, err)
	case id.Kind != pki.Member:
		return nil, "", fmt.Errorf("%w: it is by %s, which is no member", ErrSigner, id)
	case t.Member != "" && id.ID != string(t.Member):
		return nil, "", fmt.Errorf("%w: it is by %s, not by %s", ErrSigner, id.ID, t.Member)
	}
	payload, err := jws.Verify(leaf.PublicKey)
	if err != nil {
		return nil, "", fmt.Errorf("%w: by the certificate of %s", ErrSigner, id.ID)
	}
	return payload, alert.MemberID(id.ID), nil
}
