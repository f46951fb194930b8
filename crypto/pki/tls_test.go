package pki_test

import (
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io"
	"math/big"
	"net"
	"net/url"
	"testing"
	"time"

	"github.com/entente-hub/entente/crypto/pki"
)

// connect has a client reach a real listener, and returns both ends' views after
// each has sent and read a byte: a TLS 1.3 client learns only then that it was
// refused.
func connect(t *testing.T, server, client *tls.Config) (atServer, atClient tls.ConnectionState, serverErr, clientErr error) {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = ln.Close() }()
	done := make(chan struct{})
	go func() {
		defer close(done)
		conn, err := ln.Accept()
		if err != nil {
			serverErr = err
			return
		}
		atServer, serverErr = greet(tls.Server(conn, server))
	}()
	conn, err := net.Dial("tcp", ln.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	client = client.Clone()
	if client.ServerName == "" {
		client.ServerName = "127.0.0.1"
	}
	atClient, clientErr = greet(tls.Client(conn, client))
	<-done
	return atServer, atClient, serverErr, clientErr
}

func greet(conn *tls.Conn) (tls.ConnectionState, error) {
	defer func() { _ = conn.Close() }()
	if _, err := conn.Write([]byte{1}); err != nil {
		return tls.ConnectionState{}, err
	}
	if _, err := io.ReadFull(conn, make([]byte, 1)); err != nil {
		return tls.ConnectionState{}, err
	}
	return conn.ConnectionState(), nil
}

func TestConnection(t *testing.T) {
	ca := newCA(t)
	server := pki.ServerConfig(pair(t, ca, hub1, home), ca.Pool())
	client := pki.ClientConfig(pair(t, ca, xa, nil), ca.Pool(), hub1)
	atServer, atClient, serverErr, clientErr := connect(t, server, client)
	if serverErr != nil || clientErr != nil {
		t.Fatalf("server: %v, client: %v", serverErr, clientErr)
	}
	if id, err := pki.PeerIdentity(atServer); err != nil || id != xa {
		t.Errorf("the server sees %v, %v", id, err)
	}
	if id, err := pki.PeerIdentity(atClient); err != nil || id != hub1 {
		t.Errorf("the client sees %v, %v", id, err)
	}
	if atServer.Version != tls.VersionTLS13 || atServer.NegotiatedProtocol != "http/1.1" {
		t.Errorf("version %x, protocol %q", atServer.Version, atServer.NegotiatedProtocol)
	}
}

// TestServerRefuses: the client trusts the server in all of these.
func TestServerRefuses(t *testing.T) {
	ca, other := newCA(t), newCA(t)
	server := pki.ServerConfig(pair(t, ca, hub1, home), ca.Pool())
	good := func() *tls.Config { return pki.ClientConfig(pair(t, ca, xa, nil), ca.Pool(), hub1) }
	with := func(cert tls.Certificate) *tls.Config {
		c := good()
		// Sends it whatever the server asks for.
		c.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return &cert, nil }
		return c
	}
	tls12, h2 := good(), good()
	tls12.MinVersion, tls12.MaxVersion = tls.VersionTLS12, tls.VersionTLS12
	h2.NextProtos = []string{"h2"}
	for name, client := range map[string]*tls.Config{
		"other CA":         with(pair(t, other, xa, nil)),
		"no certificate":   with(tls.Certificate{}),
		"TLS 1.2":          tls12,
		"h2 only":          h2,
		"hub as a client":  with(pair(t, ca, hub1, home)),
		"expired":          with(crafted(t, ca, func(c *x509.Certificate) { c.NotAfter = time.Now().Add(-time.Minute) })),
		"not yet valid":    with(crafted(t, ca, func(c *x509.Certificate) { c.NotBefore = time.Now().Add(time.Minute) })),
		"two identities":   with(crafted(t, ca, func(c *x509.Certificate) { c.URIs = append(c.URIs, uri(t, xb.String())) })),
		"same twice":       with(crafted(t, ca, func(c *x509.Certificate) { c.URIs = append(c.URIs, c.URIs...) })),
		"another URI":      with(crafted(t, ca, func(c *x509.Certificate) { c.URIs = append(c.URIs, uri(t, "https://xa.example/")) })),
		"no identity":      with(crafted(t, ca, func(c *x509.Certificate) { c.URIs = nil })),
		"not an identity":  with(crafted(t, ca, func(c *x509.Certificate) { c.URIs = []*url.URL{uri(t, "urn:entente:root:XA")} })),
		"server's purpose": with(crafted(t, ca, func(c *x509.Certificate) { c.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth} })),
	} {
		_, _, serverErr, _ := connect(t, server, client)
		if serverErr == nil {
			t.Errorf("%s: the server accepts", name)
		}
	}
	// The same with nothing wrong is accepted: the refusals above have their
	// reasons.
	if _, _, serverErr, clientErr := connect(t, server, with(crafted(t, ca, func(*x509.Certificate) {}))); serverErr != nil || clientErr != nil {
		t.Errorf("nothing wrong: server %v, client %v", serverErr, clientErr)
	}
	offersBoth := good()
	offersBoth.NextProtos = []string{"h2", "http/1.1"}
	if atServer, _, err, _ := connect(t, server, offersBoth); err != nil || atServer.NegotiatedProtocol != "http/1.1" {
		t.Errorf("h2 and http/1.1 offered: %q, %v", atServer.NegotiatedProtocol, err)
	}
}

// TestClientRefuses: the server accepts the client in all of these.
func TestClientRefuses(t *testing.T) {
	ca, other := newCA(t), newCA(t)
	cert := pair(t, ca, xa, nil)
	serve := func(c tls.Certificate) *tls.Config { return pki.ServerConfig(c, ca.Pool()) }
	hub := serve(pair(t, ca, hub1, home))
	tls12 := serve(pair(t, ca, hub1, home))
	tls12.MinVersion, tls12.MaxVersion = tls.VersionTLS12, tls.VersionTLS12
	named := pki.ClientConfig(cert, ca.Pool(), hub1)
	named.ServerName = "hub2.example"
	for name, c := range map[string]struct {
		server, client *tls.Config
		identity       bool // whether it is the identity that is refused
	}{
		"other CA":       {serve(pair(t, other, hub1, home)), pki.ClientConfig(cert, ca.Pool(), hub1), false},
		"no pool":        {hub, pki.ClientConfig(cert, nil, hub1), false},
		"other host":     {hub, named, false},
		"TLS 1.2":        {tls12, pki.ClientConfig(cert, ca.Pool(), hub1), false},
		"other hub":      {hub, pki.ClientConfig(cert, ca.Pool(), pki.Identity{Kind: pki.Hub, ID: "hub2"}), true},
		"member as hub":  {serve(pair(t, ca, pki.Identity{Kind: pki.Member, ID: "hub1"}, home)), pki.ClientConfig(cert, ca.Pool(), hub1), true},
		"two identities": {serve(crafted(t, ca, func(c *x509.Certificate) { c.URIs = append(c.URIs, uri(t, hub1.String())) })), pki.ClientConfig(cert, ca.Pool(), xa), true},
		"no one wanted":  {hub, pki.ClientConfig(cert, ca.Pool(), pki.Identity{}), true},
	} {
		_, _, _, clientErr := connect(t, c.server, c.client)
		if clientErr == nil || c.identity != errors.Is(clientErr, pki.ErrIdentity) {
			t.Errorf("%s: %v", name, clientErr)
		}
	}
}

func TestPeerIdentityWithoutVerification(t *testing.T) {
	leaf := pair(t, newCA(t), xa, nil).Leaf
	chain := [][]*x509.Certificate{{leaf}}
	for name, cs := range map[string]tls.ConnectionState{
		"zero":         {},
		"unverified":   {Version: tls.VersionTLS13, HandshakeComplete: true, PeerCertificates: []*x509.Certificate{leaf}},
		"TLS 1.2":      {Version: tls.VersionTLS12, HandshakeComplete: true, VerifiedChains: chain},
		"empty chain":  {Version: tls.VersionTLS13, HandshakeComplete: true, VerifiedChains: [][]*x509.Certificate{{}}},
		"no handshake": {VerifiedChains: chain},
	} {
		if id, err := pki.PeerIdentity(cs); !errors.Is(err, pki.ErrIdentity) {
			t.Errorf("%s: %v, %v", name, id, err)
		}
	}
}

func uri(t *testing.T, s string) *url.URL {
	t.Helper()
	u, err := url.Parse(s)
	if err != nil {
		t.Fatal(err)
	}
	return u
}

// crafted makes a certificate that Issue would not make, with the CA's real key:
// what a careless or taken-over CA could hand out.
func crafted(t *testing.T, ca *pki.CA, change func(*x509.Certificate)) tls.Certificate {
	t.Helper()
	caPair := caKey(t, ca)
	key, err := pki.NewKey()
	if err != nil {
		t.Fatal(err)
	}
	now := time.Now()
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), NotBefore: now.Add(-time.Hour), NotAfter: now.Add(time.Hour),
		KeyUsage:    x509.KeyUsageDigitalSignature,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth, x509.ExtKeyUsageServerAuth},
		URIs:        []*url.URL{uri(t, xa.String())}, IPAddresses: home,
	}
	change(template)
	der, err := x509.CreateCertificate(rand.Reader, template, ca.Certificate(), key.Public(), caPair.PrivateKey)
	if err != nil {
		t.Fatal(err)
	}
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}
}

// caKey takes the CA's key out of its files.
func caKey(t *testing.T, ca *pki.CA) tls.Certificate {
	t.Helper()
	dir := t.TempDir()
	if err := ca.Write(dir+"/ca.pem", dir+"/ca.key"); err != nil {
		t.Fatal(err)
	}
	p, err := pki.LoadPair(dir+"/ca.pem", dir+"/ca.key")
	if err != nil {
		t.Fatal(err)
	}
	return p
}
