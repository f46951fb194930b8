package pki_test

import (
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"io/fs"
	"net"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/entente-hub/entente/crypto/keys"
	"github.com/entente-hub/entente/crypto/pki"
)

var (
	xa   = pki.Identity{Kind: pki.Member, ID: "XA"}
	xb   = pki.Identity{Kind: pki.Member, ID: "XB"}
	hub1 = pki.Identity{Kind: pki.Hub, ID: "hub1"}
	home = []net.IP{net.IPv4(127, 0, 0, 1)}
)

func newCA(t *testing.T) *pki.CA {
	t.Helper()
	ca, err := pki.NewCA("Entente test CA")
	if err != nil {
		t.Fatal(err)
	}
	return ca
}

func pair(t *testing.T, ca *pki.CA, id pki.Identity, ips []net.IP) tls.Certificate {
	t.Helper()
	p, err := ca.IssuePair(pki.Request{Identity: id, IPs: ips, Validity: pki.ValidFor(time.Hour)})
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func TestIdentity(t *testing.T) {
	for _, id := range []pki.Identity{xa, hub1, {Kind: pki.Member, ID: "org.example-1_a"}} {
		if got, err := pki.ParseIdentity(id.String()); err != nil || got != id {
			t.Errorf("%s: %v, %v", id, got, err)
		}
	}
	if s := xa.String(); s != "urn:entente:member:XA" {
		t.Errorf("written as %s", s)
	}
	for _, bad := range []string{"", "XA", "urn:entente:", "urn:entente:member", "urn:entente:member:", "urn:entente:user:XA",
		"urn:entente:member:X A", "urn:entente:member:XA:XB", "URN:entente:member:XA", "urn:entente:member:%58A",
		"urn:entente:member:XA/", "urn:entente:member:.", "urn:entente:member:XA?x", "urn:entente:member:XA#x"} {
		if got, err := pki.ParseIdentity(bad); !errors.Is(err, pki.ErrIdentity) {
			t.Errorf("%q: %v, %v", bad, got, err)
		}
	}
}

func TestCACertificate(t *testing.T) {
	c := newCA(t).Certificate()
	if !c.IsCA || !c.BasicConstraintsValid || c.MaxPathLen != 0 || !c.MaxPathLenZero {
		t.Error("not a CA of path length 0")
	}
	if c.KeyUsage != x509.KeyUsageCertSign|x509.KeyUsageCRLSign || len(c.ExtKeyUsage) != 0 {
		t.Errorf("key usage %b %v", c.KeyUsage, c.ExtKeyUsage)
	}
	if _, err := pki.NewCA(""); !errors.Is(err, pki.ErrRequest) {
		t.Errorf("CA without a name: %v", err)
	}
}

func TestIssueUsages(t *testing.T) {
	ca := newCA(t)
	both := []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth, x509.ExtKeyUsageServerAuth}
	for name, c := range map[string]struct {
		cert tls.Certificate
		want []x509.ExtKeyUsage
	}{
		"member":           {pair(t, ca, xa, nil), both[:1]},
		"listening member": {pair(t, ca, xa, home), both},
		"hub":              {pair(t, ca, hub1, home), both[1:]},
	} {
		leaf := c.cert.Leaf
		if !slices.Equal(leaf.ExtKeyUsage, c.want) || leaf.KeyUsage != x509.KeyUsageDigitalSignature || leaf.IsCA {
			t.Errorf("%s: %v %b", name, leaf.ExtKeyUsage, leaf.KeyUsage)
		}
		if _, err := leaf.Verify(x509.VerifyOptions{Roots: ca.Pool(), KeyUsages: c.want}); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestIssueRefuses(t *testing.T) {
	ca := newCA(t)
	key, err := pki.NewKey()
	if err != nil {
		t.Fatal(err)
	}
	p384, err := ecdsa.GenerateKey(elliptic.P384(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	rsaKey, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	edKey, _, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	good := pki.Request{PublicKey: key.Public(), Identity: xa, Validity: pki.ValidFor(time.Hour)}
	if _, err := ca.Issue(good); err != nil {
		t.Fatal(err)
	}
	now := time.Now()
	for name, c := range map[string]struct {
		change func(r *pki.Request)
		want   error
	}{
		"Ed25519":     {func(r *pki.Request) { r.PublicKey = edKey }, nil},
		"no key":      {func(r *pki.Request) { r.PublicKey = nil }, pki.ErrRequest},
		"P-384":       {func(r *pki.Request) { r.PublicKey = &p384.PublicKey }, pki.ErrRequest},
		"RSA":         {func(r *pki.Request) { r.PublicKey = &rsaKey.PublicKey }, pki.ErrRequest},
		"private key": {func(r *pki.Request) { r.PublicKey = key }, pki.ErrRequest},
		"no identity": {func(r *pki.Request) { r.Identity = pki.Identity{} }, pki.ErrIdentity},
		"bad id":      {func(r *pki.Request) { r.Identity.ID = "XA:XB" }, pki.ErrIdentity},
		"silent hub":  {func(r *pki.Request) { r.Identity = hub1 }, pki.ErrRequest},
		"no validity": {func(r *pki.Request) { r.Validity = pki.Validity{} }, pki.ErrRequest},
		"backwards":   {func(r *pki.Request) { r.Validity = pki.ValidFor(-time.Hour) }, pki.ErrRequest},
		"too long":    {func(r *pki.Request) { r.Validity = pki.ValidFor(pki.MaxValidity + 2*time.Hour) }, pki.ErrRequest},
		"beyond the CA": {func(r *pki.Request) {
			r.Validity = pki.Validity{NotBefore: now.AddDate(10, 0, -2), NotAfter: now.AddDate(10, 0, 2)}
		}, pki.ErrRequest},
		"empty DNS name":  {func(r *pki.Request) { r.DNSNames = []string{""} }, pki.ErrRequest},
		"IP as DNS name":  {func(r *pki.Request) { r.DNSNames = []string{"127.0.0.1"} }, pki.ErrRequest},
		"IP of no length": {func(r *pki.Request) { r.IPs = []net.IP{{1, 2}} }, pki.ErrRequest},
	} {
		r := good
		c.change(&r)
		if der, err := ca.Issue(r); !errors.Is(err, c.want) || (der == nil) != (err != nil) {
			t.Errorf("%s: %v, want %v", name, err, c.want)
		}
	}
	if _, err := ca.IssuePair(good); !errors.Is(err, pki.ErrRequest) {
		t.Errorf("IssuePair for a given key: %v", err)
	}
}

func TestCSR(t *testing.T) {
	key, err := pki.NewKey()
	if err != nil {
		t.Fatal(err)
	}
	hubURI, err := url.Parse(hub1.String())
	if err != nil {
		t.Fatal(err)
	}
	der, err := x509.CreateCertificateRequest(rand.Reader, &x509.CertificateRequest{URIs: []*url.URL{hubURI}}, key)
	if err != nil {
		t.Fatal(err)
	}
	pub, err := pki.PublicKeyFromCSR(der)
	if err != nil || !key.Public().(*ecdsa.PublicKey).Equal(pub) {
		t.Fatalf("%v, %v", pub, err)
	}
	issued, err := newCA(t).Issue(pki.Request{PublicKey: pub, Identity: xa, Validity: pki.ValidFor(time.Hour)})
	if err != nil {
		t.Fatal(err)
	}
	cert, err := x509.ParseCertificate(issued)
	if err != nil {
		t.Fatal(err)
	}
	if id, err := pki.CertificateIdentity(cert); err != nil || id != xa {
		t.Errorf("identity %v, %v: names of the request must not count", id, err)
	}
	der[len(der)-1] ^= 1
	for name, bad := range map[string][]byte{"signature": der, "empty": nil, "short": der[:50]} {
		if _, err := pki.PublicKeyFromCSR(bad); !errors.Is(err, pki.ErrRequest) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestFiles(t *testing.T) {
	dir, ca := t.TempDir(), newCA(t)
	file := func(name string) string { return filepath.Join(dir, name) }
	if err := ca.Write(file("ca.pem"), file("ca.key")); err != nil {
		t.Fatal(err)
	}
	again, err := pki.LoadCA(file("ca.pem"), file("ca.key"))
	if err != nil {
		t.Fatal(err)
	}
	p := pair(t, again, xa, nil)
	if _, err := p.Leaf.Verify(x509.VerifyOptions{Roots: ca.Pool(), KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageAny}}); err != nil {
		t.Errorf("issued by the loaded CA: %v", err)
	}
	if err := pki.WritePair(file("xa.pem"), file("xa.key"), p); err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]fs.FileMode{"xa.pem": 0o644, "xa.key": 0o600, "ca.key": 0o600} {
		if info, err := os.Stat(file(name)); err != nil || info.Mode().Perm() != want {
			t.Errorf("%s: %v, %v", name, info.Mode(), err)
		}
	}
	loaded, err := pki.LoadPair(file("xa.pem"), file("xa.key"))
	if err != nil || !loaded.Leaf.Equal(p.Leaf) {
		t.Errorf("LoadPair: %v", err)
	}
	if err := pki.WritePair(file("xa.pem"), file("other.key"), p); !errors.Is(err, keys.ErrExists) {
		t.Errorf("over a certificate: %v", err)
	}
	if err := pki.WritePair(file("other.pem"), file("xa.key"), p); !errors.Is(err, keys.ErrExists) {
		t.Errorf("over a key: %v", err)
	}
	if _, err := pki.LoadPair(file("xa.pem"), file("ca.key")); !errors.Is(err, pki.ErrMalformed) {
		t.Errorf("other key: %v", err)
	}
	if _, err := pki.LoadCA(file("xa.pem"), file("xa.key")); !errors.Is(err, pki.ErrMalformed) {
		t.Errorf("member as CA: %v", err)
	}
	if err := os.Chmod(file("xa.key"), 0o640); err != nil {
		t.Fatal(err)
	}
	if _, err := pki.LoadPair(file("xa.pem"), file("xa.key")); !errors.Is(err, keys.ErrPermissions) {
		t.Errorf("key readable by the group: %v", err)
	}
	testPools(t, file, ca, p)
}

func testPools(t *testing.T, file func(string) string, ca *pki.CA, member tls.Certificate) {
	if pool, err := pki.LoadPool(file("ca.pem")); err != nil || !pool.Equal(ca.Pool()) {
		t.Errorf("LoadPool: %v", err)
	}
	caPEM := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: ca.Certificate().Raw})
	memberPEM := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: member.Certificate[0]})
	for name, data := range map[string][]byte{
		"empty": {}, "text": []byte("CA"), "member": memberPEM, "and text": append(slices.Clone(caPEM), "x"...),
		"other block": pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: ca.Certificate().Raw}),
		"large":       append(slices.Clone(caPEM), make([]byte, 1<<20)...),
	} {
		path := file("pool " + name)
		if err := os.WriteFile(path, data, 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := pki.LoadPool(path); !errors.Is(err, pki.ErrMalformed) {
			t.Errorf("pool, %s: %v", name, err)
		}
	}
	if _, err := pki.LoadPool(file("missing")); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("missing pool: %v", err)
	}
}
