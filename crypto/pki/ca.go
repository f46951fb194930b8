package pki

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"fmt"
	"math/big"
	"net"
	"net/url"
	"time"
)

// caValidity is how long a new CA is valid.
const caValidity = 10 * 365 * 24 * time.Hour

// MaxValidity is the longest validity of a certificate that a CA issues.
const MaxValidity = 398 * 24 * time.Hour

// CA issues certificates. Its key is Ed25519 or ECDSA on P-256.
type CA struct {
	cert *x509.Certificate
	key  crypto.Signer
}

// Validity is when a certificate is valid, both ends included, to the second.
type Validity struct{ NotBefore, NotAfter time.Time }

// ValidFor begins a minute ago, for clocks that differ, and lasts d from now.
func ValidFor(d time.Duration) Validity {
	now := time.Now()
	return Validity{NotBefore: now.Add(-time.Minute), NotAfter: now.Add(d)}
}

// Request is what a certificate is to say.
type Request struct {
	PublicKey crypto.PublicKey // Ed25519 or ECDSA on P-256
	Identity  Identity
	// DNSNames and IPs are where the party listens. A member without any gets a
	// certificate for clients only; a hub needs one at least.
	DNSNames []string
	IPs      []net.IP
	Validity Validity
}

// NewCA makes a self-signed CA with an ECDSA P-256 key: valid for ten years, and
// it can not make other CAs.
func NewCA(name string) (*CA, error) {
	if name == "" {
		return nil, fmt.Errorf("%w: a CA needs a name", ErrRequest)
	}
	key, err := NewKey()
	if err != nil {
		return nil, err
	}
	serial, err := newSerial()
	if err != nil {
		return nil, err
	}
	valid := ValidFor(caValidity)
	template := &x509.Certificate{
		SerialNumber:          serial,
		Subject:               pkix.Name{CommonName: name},
		NotBefore:             valid.NotBefore,
		NotAfter:              valid.NotAfter,
		KeyUsage:              x509.KeyUsageCertSign | x509.KeyUsageCRLSign,
		BasicConstraintsValid: true,
		IsCA:                  true,
		MaxPathLen:            0,
		MaxPathLenZero:        true,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		return nil, fmt.Errorf("making CA certificate: %w", err)
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		return nil, fmt.Errorf("making CA certificate: %w", err)
	}
	return &CA{cert: cert, key: key}, nil
}

// LoadCA reads the CA that Write has written; the key file must be readable by
// its owner only. Errors are those of LoadPair.
func LoadCA(certFile, keyFile string) (*CA, error) {
	pair, err := LoadPair(certFile, keyFile)
	if err != nil {
		return nil, err
	}
	cert := pair.Leaf
	switch {
	case len(pair.Certificate) != 1:
		return nil, fmt.Errorf("%w: %s holds more than the CA's certificate", ErrMalformed, certFile)
	case !cert.BasicConstraintsValid || !cert.IsCA || cert.KeyUsage&x509.KeyUsageCertSign == 0:
		return nil, fmt.Errorf("%w: %s is not the certificate of a CA", ErrMalformed, certFile)
	}
	return &CA{cert: cert, key: pair.PrivateKey.(crypto.Signer)}, nil // LoadPair has checked the type
}

// Write stores certificate and key, as WritePair does.
func (ca *CA) Write(certFile, keyFile string) error {
	return WritePair(certFile, keyFile, tls.Certificate{
		Certificate: [][]byte{ca.cert.Raw}, PrivateKey: ca.key, Leaf: ca.cert,
	})
}

// Certificate is the CA's own certificate.
func (ca *CA) Certificate() *x509.Certificate { return ca.cert }

// Pool holds the CA's certificate only.
func (ca *CA) Pool() *x509.CertPool {
	pool := x509.NewCertPool()
	pool.AddCert(ca.cert)
	return pool
}

// Issue returns a certificate in DER. Members get client authentication, and server
// authentication with DNSNames or IPs; hubs get server authentication only, so that
// nobody can act as a client with a hub's certificate. Errors wrap ErrRequest or
// ErrIdentity.
func (ca *CA) Issue(r Request) ([]byte, error) {
	if err := ca.check(r); err != nil {
		return nil, err
	}
	serial, err := newSerial()
	if err != nil {
		return nil, err
	}
	var usage []x509.ExtKeyUsage
	if r.Identity.Kind == Member {
		usage = append(usage, x509.ExtKeyUsageClientAuth)
	}
	if len(r.DNSNames)+len(r.IPs) > 0 {
		usage = append(usage, x509.ExtKeyUsageServerAuth)
	}
	template := &x509.Certificate{
		SerialNumber:          serial,
		Subject:               pkix.Name{CommonName: r.Identity.ID},
		NotBefore:             r.Validity.NotBefore,
		NotAfter:              r.Validity.NotAfter,
		KeyUsage:              x509.KeyUsageDigitalSignature,
		ExtKeyUsage:           usage,
		BasicConstraintsValid: true,
		URIs:                  []*url.URL{r.Identity.uri()},
		DNSNames:              r.DNSNames,
		IPAddresses:           r.IPs,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, ca.cert, r.PublicKey, ca.key)
	if err != nil {
		return nil, fmt.Errorf("%w: %v", ErrRequest, err)
	}
	return der, nil
}

// check holds a request to what this CA issues.
func (ca *CA) check(r Request) error {
	if err := r.Identity.Validate(); err != nil {
		return err
	}
	if err := checkKey(r.PublicKey); err != nil {
		return err
	}
	v := r.Validity
	switch {
	case r.Identity.Kind == Hub && len(r.DNSNames)+len(r.IPs) == 0:
		return fmt.Errorf("%w: a hub needs a DNS name or an IP address", ErrRequest)
	case !v.NotBefore.Before(v.NotAfter):
		return fmt.Errorf("%w: validity ends before it begins", ErrRequest)
	case v.NotAfter.Sub(v.NotBefore) > MaxValidity+time.Hour:
		return fmt.Errorf("%w: validity longer than %v", ErrRequest, MaxValidity)
	case v.NotAfter.After(ca.cert.NotAfter):
		return fmt.Errorf("%w: validity ends after the CA's own", ErrRequest)
	}
	for _, name := range r.DNSNames {
		if name == "" || net.ParseIP(name) != nil {
			return fmt.Errorf("%w: DNS name %q", ErrRequest, name)
		}
	}
	for _, ip := range r.IPs {
		if len(ip) != net.IPv4len && len(ip) != net.IPv6len {
			return fmt.Errorf("%w: IP address of %d bytes", ErrRequest, len(ip))
		}
	}
	return nil
}

// IssuePair makes a key and a certificate for it; r.PublicKey must be nil.
func (ca *CA) IssuePair(r Request) (tls.Certificate, error) {
	if r.PublicKey != nil {
		return tls.Certificate{}, fmt.Errorf("%w: a new pair gets a new key", ErrRequest)
	}
	key, err := NewKey()
	if err != nil {
		return tls.Certificate{}, err
	}
	r.PublicKey = key.Public()
	der, err := ca.Issue(r)
	if err != nil {
		return tls.Certificate{}, err
	}
	leaf, err := x509.ParseCertificate(der)
	if err != nil {
		return tls.Certificate{}, fmt.Errorf("%w: %v", ErrRequest, err)
	}
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key, Leaf: leaf}, nil
}

// NewKey makes an ECDSA P-256 key: Ed25519 certificates are accepted as well, but
// not by every browser and proxy.
func NewKey() (crypto.Signer, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, fmt.Errorf("generating a key: %w", err)
	}
	return key, nil
}

// PublicKeyFromCSR checks a certification request (PKCS #10, DER) and returns
// its key: the requester has shown that it holds the private one. Names in the
// request are not taken over, for it is the CA that says who the requester is.
// Errors wrap ErrRequest.
func PublicKeyFromCSR(der []byte) (crypto.PublicKey, error) {
	csr, err := x509.ParseCertificateRequest(der)
	if err != nil {
		return nil, fmt.Errorf("%w: %v", ErrRequest, err)
	}
	if err := checkKey(csr.PublicKey); err != nil {
		return nil, err
	}
	if err := csr.CheckSignature(); err != nil {
		return nil, fmt.Errorf("%w: %v", ErrRequest, err)
	}
	return csr.PublicKey, nil
}

// checkKey holds keys to the two accepted types.
func checkKey(key crypto.PublicKey) error {
	switch k := key.(type) {
	case ed25519.PublicKey:
		if len(k) == ed25519.PublicKeySize {
			return nil
		}
	case *ecdsa.PublicKey:
		if k != nil && k.Curve == elliptic.P256() {
			return nil
		}
	}
	return fmt.Errorf("%w: keys are Ed25519 or ECDSA on P-256, not %T", ErrRequest, key)
}

// newSerial is a random, positive number of 127 bits: RFC 5280 section 4.1.2.2.
func newSerial() (*big.Int, error) {
	n, err := rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 127))
	if err != nil {
		return nil, fmt.Errorf("serial number: %w", err)
	}
	return n.Add(n, big.NewInt(1)), nil
}
