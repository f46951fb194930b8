package pki

import (
	"bytes"
	"crypto"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/entente-hub/entente/crypto/keys"
)

// maxFile is the largest PEM file that is read, in bytes.
const maxFile = 1 << 20

// WritePair writes certificates and private key (PKCS #8) as PEM files, with modes
// 0644 and 0600. Neither may exist: the error wraps keys.ErrExists. The key is
// written first, so that a certificate on disk always has its key.
func WritePair(certFile, keyFile string, pair tls.Certificate) error {
	if len(pair.Certificate) == 0 {
		return fmt.Errorf("%w: no certificate to write", ErrMalformed)
	}
	if _, err := os.Lstat(certFile); err == nil {
		return fmt.Errorf("%w: %s", keys.ErrExists, certFile)
	}
	der, err := x509.MarshalPKCS8PrivateKey(pair.PrivateKey)
	if err != nil {
		return fmt.Errorf("%w: %v", ErrMalformed, err)
	}
	keyPEM := pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der})
	if err := keys.WriteNewFile(keyFile, keyPEM, 0o600); err != nil {
		return err
	}
	return WriteCertificates(certFile, pair.Certificate...)
}

// WriteCertificates writes certificates, given in DER, as a new PEM file of mode
// 0644. Where it exists the error wraps keys.ErrExists.
func WriteCertificates(file string, ders ...[]byte) error {
	var out bytes.Buffer
	for _, der := range ders {
		if err := pem.Encode(&out, &pem.Block{Type: "CERTIFICATE", Bytes: der}); err != nil {
			return err
		}
	}
	return keys.WriteNewFile(file, out.Bytes(), 0o644)
}

// LoadPair reads what WritePair has written, and checks that key and first
// certificate belong together. Errors wrap keys.ErrPermissions if others than its
// owner may read the key file, ErrMalformed, ErrRequest (type of key), or are the
// file system's.
func LoadPair(certFile, keyFile string) (tls.Certificate, error) {
	keyPEM, err := keys.ReadSecretFile(keyFile, maxFile)
	if err != nil {
		return tls.Certificate{}, err
	}
	certPEM, err := readFile(certFile)
	if err != nil {
		return tls.Certificate{}, err
	}
	pair, err := tls.X509KeyPair(certPEM, keyPEM)
	if err != nil {
		return tls.Certificate{}, fmt.Errorf("%w: %s and %s: %v", ErrMalformed, certFile, keyFile, err)
	}
	signer, ok := pair.PrivateKey.(crypto.Signer)
	if !ok {
		return tls.Certificate{}, fmt.Errorf("%w: %s", ErrMalformed, keyFile)
	}
	return pair, checkKey(signer.Public())
}

// LoadPool reads one or more CA certificates from a PEM file that holds nothing
// else. Errors wrap ErrMalformed or are the file system's.
func LoadPool(file string) (*x509.CertPool, error) {
	rest, err := readFile(file)
	if err != nil {
		return nil, err
	}
	pool := x509.NewCertPool()
	for n := 0; ; n++ {
		var block *pem.Block
		block, rest = pem.Decode(rest)
		if block == nil {
			if n == 0 || len(bytes.TrimSpace(rest)) > 0 {
				return nil, fmt.Errorf("%w: %s does not hold certificates only", ErrMalformed, file)
			}
			return pool, nil
		}
		cert, err := x509.ParseCertificate(block.Bytes)
		if block.Type != "CERTIFICATE" || err != nil {
			return nil, errors.Join(fmt.Errorf("%w: %s does not hold certificates only", ErrMalformed, file), err)
		}
		if !cert.BasicConstraintsValid || !cert.IsCA {
			return nil, fmt.Errorf("%w: %s holds a certificate that is not a CA's", ErrMalformed, file)
		}
		pool.AddCert(cert)
	}
}

// readFile reads at most maxFile bytes.
func readFile(path string) (data []byte, err error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	data, err = io.ReadAll(io.LimitReader(f, maxFile+1))
	if err == nil && len(data) > maxFile {
		err = fmt.Errorf("%w: %s has more than %d bytes", ErrMalformed, path, maxFile)
	}
	return data, err
}
