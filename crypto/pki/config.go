package pki

import (
	"crypto/tls"
	"crypto/x509"
	"fmt"
)

// ServerConfig is for a listener of the federation: TLS 1.3 only, a client
// certificate under pool that names exactly one party is required, and HTTP/1.1
// only is offered. Sessions are not resumed, so that each connection is held to
// the pool of the moment. Use PeerIdentity to learn who it is.
func ServerConfig(cert tls.Certificate, pool *x509.CertPool) *tls.Config {
	return &tls.Config{
		MinVersion:             tls.VersionTLS13,
		Certificates:           []tls.Certificate{cert},
		ClientAuth:             tls.RequireAndVerifyClientCert,
		ClientCAs:              orEmpty(pool),
		NextProtos:             []string{"http/1.1"},
		SessionTicketsDisabled: true,
		VerifyConnection: func(cs tls.ConnectionState) error {
			_, err := PeerIdentity(cs)
			return err
		},
	}
}

// ClientConfig is for connections to the party want: TLS 1.3 only, and besides
// the usual check of chain and host name the server's certificate must name want.
// The host name is the caller's to set (ServerName), which net/http does.
func ClientConfig(cert tls.Certificate, pool *x509.CertPool, want Identity) *tls.Config {
	return &tls.Config{
		MinVersion:   tls.VersionTLS13,
		Certificates: []tls.Certificate{cert},
		RootCAs:      orEmpty(pool),
		NextProtos:   []string{"http/1.1"},
		VerifyConnection: func(cs tls.ConnectionState) error {
			got, err := PeerIdentity(cs)
			if err != nil {
				return err
			}
			if got != want {
				return fmt.Errorf("%w: server is %s, want %s", ErrIdentity, got, want)
			}
			return nil
		},
	}
}

// orEmpty keeps a missing pool from meaning the machine's own roots.
func orEmpty(pool *x509.CertPool) *x509.CertPool {
	if pool == nil {
		return x509.NewCertPool()
	}
	return pool
}
