// Package pki is the federation's TLS: a certificate authority, certificates that
// name one member or one hub, and TLS 1.3 configurations that let only such
// certificates through, on both ends.
//
// It says who is at the other end of a connection. What a document says is
// proven by its own signature, never by the connection that it came over.
package pki

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net/url"
	"strings"
)

var (
	// ErrIdentity: a certificate that does not name exactly one member or
	// hub, or another one than expected.
	ErrIdentity = errors.New("pki: identity not accepted")
	// ErrRequest: a certificate that this CA does not issue.
	ErrRequest = errors.New("pki: certificate request not accepted")
	// ErrMalformed: a file that does not hold what it should.
	ErrMalformed = errors.New("pki: malformed")
)

// Kind is what sort of party an Identity names.
type Kind string

// The kinds of parties.
const (
	Member Kind = "member"
	Hub    Kind = "hub"
)

// urnPrefix begins the URI that names a party in a certificate.
const urnPrefix = "urn:entente:"

// maxID is the longest id of a party.
const maxID = 64

// Identity names one party: it is written as the URI urn:entente:<kind>:<id>, in
// one subject alternative name of a certificate.
type Identity struct {
	Kind Kind
	ID   string
}

// String is the URI.
func (id Identity) String() string { return urnPrefix + string(id.Kind) + ":" + id.ID }

// Validate holds an identity to the two kinds and to ids of 1 to 64 letters,
// digits, '-', '_' and '.', the first a letter or digit. Errors wrap ErrIdentity.
func (id Identity) Validate() error {
	if id.Kind != Member && id.Kind != Hub {
		return fmt.Errorf("%w: kind %.16q", ErrIdentity, string(id.Kind))
	}
	if id.ID == "" || len(id.ID) > maxID {
		return fmt.Errorf("%w: an id has 1 to %d characters", ErrIdentity, maxID)
	}
	for i, c := range []byte(id.ID) {
		switch {
		case 'a' <= c && c <= 'z', 'A' <= c && c <= 'Z', '0' <= c && c <= '9':
		case i > 0 && (c == '-' || c == '_' || c == '.'):
		default:
			return fmt.Errorf("%w: id %q", ErrIdentity, id.ID)
		}
	}
	return nil
}

// ParseIdentity reads the URI form; errors wrap ErrIdentity.
func ParseIdentity(urn string) (Identity, error) {
	rest, ok := strings.CutPrefix(urn, urnPrefix)
	kind, id, ok2 := strings.Cut(rest, ":")
	if !ok || !ok2 {
		return Identity{}, fmt.Errorf("%w: %.128q is not %s<kind>:<id>", ErrIdentity, urn, urnPrefix)
	}
	parsed := Identity{Kind: Kind(kind), ID: id}
	if err := parsed.Validate(); err != nil {
		return Identity{}, err
	}
	return parsed, nil
}

func (id Identity) uri() *url.URL {
	return &url.URL{Scheme: "urn", Opaque: strings.TrimPrefix(id.String(), "urn:")}
}

// CertificateIdentity reads the identity that a certificate names. A certificate
// with none or with more than one URI is refused (ErrIdentity), so that no two
// readers can take it for different parties. It says nothing about who signed
// it.
func CertificateIdentity(cert *x509.Certificate) (Identity, error) {
	if n := len(cert.URIs); n != 1 {
		return Identity{}, fmt.Errorf("%w: certificate with %d URIs, want one", ErrIdentity, n)
	}
	return ParseIdentity(cert.URIs[0].String())
}

// PeerIdentity is who is at the other end of a connection. The connection must be
// of TLS 1.3 with a certificate that the handshake has verified. Errors wrap
// ErrIdentity.
func PeerIdentity(cs tls.ConnectionState) (Identity, error) {
	switch {
	case !cs.HandshakeComplete && cs.Version == 0:
		return Identity{}, fmt.Errorf("%w: no TLS handshake", ErrIdentity)
	case cs.Version < tls.VersionTLS13:
		return Identity{}, fmt.Errorf("%w: older than TLS 1.3", ErrIdentity)
	case len(cs.VerifiedChains) == 0 || len(cs.VerifiedChains[0]) == 0:
		return Identity{}, fmt.Errorf("%w: no verified certificate", ErrIdentity)
	}
	return CertificateIdentity(cs.VerifiedChains[0][0])
}
