package parcel_test

import (
	"bytes"
	"crypto"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/entente-hub/entente/api/alert"
	"github.com/entente-hub/entente/api/feed"
	"github.com/entente-hub/entente/api/problem"
	"github.com/entente-hub/entente/crypto/pki"
	"github.com/entente-hub/entente/crypto/tlog"
	"github.com/entente-hub/entente/parcel"
)

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// office issues certificates.
type office struct {
	testing.TB
	ca  *pki.CA
	now time.Time
}

func newOffice(t testing.TB) office {
	t.Helper()
	ca, err := pki.NewCA("office")
	must(t, err)
	return office{t, ca, time.Now()}
}

func (o office) cert(id pki.Identity) tls.Certificate {
	o.Helper()
	r := pki.Request{Identity: id, Validity: pki.ValidFor(time.Hour)}
	if id.Kind == pki.Hub {
		r.IPs = []net.IP{net.IPv4(127, 0, 0, 1)}
	}
	c, err := o.ca.IssuePair(r)
	must(o, err)
	return c
}

func (o office) member(m string) tls.Certificate {
	return o.cert(pki.Identity{Kind: pki.Member, ID: m})
}

func (o office) trust() parcel.Trust {
	return parcel.Trust{Pool: o.ca.Pool(), Member: "XA", Now: o.now}
}

func answer() parcel.Manifest {
	return parcel.Manifest{Bound: parcel.ToNode, Member: "XA", Hub: "hub-one", Re: strings.Repeat("A", 22),
		Standing: parcel.Standing{Cursor: 7, LogSize: 9, PublishedAfter: -1}}
}

var outcomes = []parcel.Outcome{{Digest: "d", Receipt: "r"}, {Digest: "e", Problem: parcel.ProblemOf(
	&problem.Error{Kind: problem.NotAdmitted, Detail: "no", Codes: []string{"ceiling"}})}}

// pack writes an answer with three parts.
func (o office) pack(m parcel.Manifest, cert tls.Certificate) []byte {
	o.Helper()
	var out bytes.Buffer
	w, err := parcel.NewWriter(&out, m, o.now)
	must(o, err)
	must(o, w.Add(parcel.Outcomes, outcomes))
	must(o, w.AddRange(parcel.Published, -1, 4, []parcel.PublishedAlert{{Index: 4, Alert: "a", Receipt: "r"}}))
	must(o, w.AddRange(parcel.Pages, 7, 8, parcel.FeedPage{Page: &feed.Page{Items: []feed.Item{{Seq: 8, Digest: "d"}}, Head: "h"}}))
	must(o, w.Close(cert, true))
	return out.Bytes()
}

func open(raw []byte, t parcel.Trust) (*parcel.Reader, error) {
	return parcel.Open(bytes.NewReader(raw), int64(len(raw)), t)
}

// TestRoundTrip: what was packed is read.
func TestRoundTrip(t *testing.T) {
	o := newOffice(t)
	r, err := open(o.pack(answer(), o.member("XA")), o.trust())
	must(t, err)
	m := r.Manifest()
	if m.Re != answer().Re || m.Standing != answer().Standing || !m.More || len(m.Parts) != 3 || m.MadeAt != o.now.Unix() {
		t.Errorf("%+v", m)
	}
	var got []parcel.Outcome
	must(t, r.Into(0, &got))
	if diff := cmp.Diff(outcomes, got); diff != "" {
		t.Error(diff)
	}
	if err := got[1].Problem.Err(); err.Kind != problem.NotAdmitted || err.Detail != "no" || len(err.Codes) != 1 {
		t.Errorf("%+v", err)
	}
	var page parcel.FeedPage
	must(t, r.Into(2, &page))
	if page.Page == nil || len(page.Page.Items) != 1 || m.Parts[2].After != 7 || m.Parts[2].Last != 8 {
		t.Errorf("%+v", page)
	}
	if err := r.Into(2, &got); !errors.Is(err, parcel.ErrParcel) {
		t.Errorf("a page as outcomes: %v", err)
	}
	path := tlog.ConsistencyPath{{1}, {2}}
	if back, err := parcel.NewProof(1, 2, path).Path(); err != nil || cmp.Diff(path, back) != "" {
		t.Errorf("%v, %v", back, err)
	}
	if _, err := (parcel.Proof{Hashes: [][]byte{{1}}}).Path(); !errors.Is(err, parcel.ErrParcel) {
		t.Error("a hash of one byte is taken")
	}
}

// footer is the last line of a parcel whose signature has n bytes.
func footer(n int) string { return fmt.Sprintf("\n%016x\n", n) }

// TestHostileFiles: whatever was done to a parcel is refused before anything is read of it.
func TestHostileFiles(t *testing.T) {
	o := newOffice(t)
	good := o.pack(answer(), o.member("XA"))
	other := newOffice(t)
	jws := bytes.LastIndexByte(good[:len(good)-20], '}') + 1 // after the last body
	if jws == 0 {
		jws = bytes.LastIndex(good, []byte("]")) + 1
	}
	replace := func(old, new string) []byte { return bytes.Replace(bytes.Clone(good), []byte(old), []byte(new), 1) }
	for name, raw := range map[string][]byte{
		"empty":               nil,
		"only the first line": []byte(parcel.Format + "\n"),
		"another format":      replace(parcel.Format, "entente-parcel/2"),
		"cut by a byte":       good[:len(good)-1],
		"cut in half":         good[:len(good)/2],
		"a byte appended":     append(bytes.Clone(good), '\n'),
		"a part left out":     replace(`[{"digest":"d"`, ``),
		"a part doubled":      replace(`[{"digest":"d"`, `[{"digest":"d"[{"digest":"d"`),
		"a body changed":      replace(`"receipt":"r"`, `"receipt":"s"`),
		"no signature":        append(bytes.Clone(good[:jws]), footer(0)...),
		"a signature too long": append(bytes.Clone(good[:len(good)-18]),
			footer(parcel.MaxManifest+1)...),
		"a signature of all":   append(bytes.Clone(good[:len(good)-18]), footer(len(good))...),
		"a length with a sign": append(bytes.Clone(good[:len(good)-18]), fmt.Sprintf("\n+%015x\n", len(good)-18-jws)...),
		"another length in it": append(bytes.Clone(good[:len(good)-18]), footer(1)...),
		"signed text instead": append(append(bytes.Clone(good[:jws]), "e30.e30.e30"...),
			footer(len("e30.e30.e30"))...),
		"another's part before": append([]byte(parcel.Format+"\nx"), good[len(parcel.Format)+1:]...),
	} {
		if bytes.Equal(raw, good) {
			t.Errorf("%s: there was nothing to change", name)
		}
		if _, err := open(raw, o.trust()); !errors.Is(err, parcel.ErrParcel) {
			t.Errorf("%s: %v", name, err)
		}
	}
	// The size may be another than the file has.
	if _, err := parcel.Open(bytes.NewReader(good), int64(len(good))+100, o.trust()); !errors.Is(err, parcel.ErrParcel) {
		t.Errorf("a file that has shrunk: %v", err)
	}
	for name, c := range map[string]struct {
		raw   []byte
		trust parcel.Trust
	}{
		"another authority":   {other.pack(answer(), other.member("XA")), o.trust()},
		"no authority":        {good, parcel.Trust{Member: "XA", Now: o.now}},
		"signed by another":   {o.pack(answer(), o.member("XB")), o.trust()},
		"for another, by it":  {good, parcel.Trust{Pool: o.ca.Pool(), Member: "XB", Now: o.now}},
		"signed by a hub":     {o.pack(answer(), o.cert(pki.Identity{Kind: pki.Hub, ID: "XA"})), o.trust()},
		"certificate expired": {good, parcel.Trust{Pool: o.ca.Pool(), Member: "XA", Now: o.now.Add(2 * time.Hour)}},
	} {
		if _, err := open(c.raw, c.trust); !errors.Is(err, parcel.ErrSigner) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// disk is one of which a part can not be read.
type disk struct {
	io.ReaderAt
	from, to int64
}

var errDisk = errors.New("input/output error")

func (d disk) ReadAt(b []byte, off int64) (int, error) {
	if off < d.to && off+int64(len(b)) > d.from {
		return 0, errDisk
	}
	return d.ReaderAt.ReadAt(b, off)
}

// TestDiskFails: a parcel that can not be read is not one that is no intact parcel.
func TestDiskFails(t *testing.T) {
	o := newOffice(t)
	good := o.pack(answer(), o.member("XA"))
	at, size := int64(len(parcel.Format)+1), int64(len(good))
	for name, d := range map[string]disk{"a part": {from: at, to: at + 1}, "the first line": {to: 1}, "the last line": {from: size - 1, to: size}} {
		d.ReaderAt = bytes.NewReader(good)
		if _, err := parcel.Open(d, size, o.trust()); !errors.Is(err, errDisk) || errors.Is(err, parcel.ErrParcel) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// TestEveryByteCounts: no byte of a parcel can be changed, and none of a sample left out.
func TestEveryByteCounts(t *testing.T) {
	o := newOffice(t)
	good := o.pack(answer(), o.member("XA"))
	for i := range good {
		raw := bytes.Clone(good)
		raw[i] ^= 1 << (i % 7) // one bit, another at each place
		if _, err := open(raw, o.trust()); err == nil {
			t.Errorf("byte %d, %q, can be %q", i, good[i], raw[i])
		}
		if i%16 != 0 {
			continue
		}
		if _, err := open(append(bytes.Clone(good[:i]), good[i+1:]...), o.trust()); err == nil {
			t.Errorf("byte %d, %q, can be left out", i, good[i])
		}
	}
}

// TestChangedMeanwhile: a part is held to its digest whenever it is read.
func TestChangedMeanwhile(t *testing.T) {
	o := newOffice(t)
	raw := o.pack(answer(), o.member("XA"))
	r, err := open(raw, o.trust())
	must(t, err)
	raw[len(parcel.Format)+5] ^= 1
	var got []parcel.Outcome
	if err := r.Into(0, &got); !errors.Is(err, parcel.ErrParcel) {
		t.Error(err)
	}
}

// TestWriterRefuses what no reader would take.
func TestWriterRefuses(t *testing.T) {
	o := newOffice(t)
	for name, change := range map[string]func(*parcel.Manifest){
		"no way":          func(m *parcel.Manifest) { m.Bound = "" },
		"no member":       func(m *parcel.Manifest) { m.Member = "" },
		"odd member":      func(m *parcel.Manifest) { m.Member = alert.MemberID("?") },
		"no hub":          func(m *parcel.Manifest) { m.Hub = "" },
		"answers nothing": func(m *parcel.Manifest) { m.Re = "" },
		"odd id":          func(m *parcel.Manifest) { m.Re = strings.Repeat("A", 21) + "B" },
		"standing":        func(m *parcel.Manifest) { m.Standing.Cursor = -1 },
	} {
		m := answer()
		change(&m)
		if _, err := parcel.NewWriter(io.Discard, m, o.now); !errors.Is(err, parcel.ErrParcel) {
			t.Errorf("%s: %v", name, err)
		}
	}
	w, err := parcel.NewWriter(io.Discard, answer(), o.now)
	must(t, err)
	for name, err := range map[string]error{
		"a kind of the other way":     w.Add(parcel.Alerts, []string{"a"}),
		"a range where there is none": w.AddRange(parcel.Outcomes, 1, 2, outcomes),
		"a range backwards":           w.AddRange(parcel.Pages, 2, 1, parcel.FeedPage{}),
		"before the beginning":        w.AddRange(parcel.Pages, -1, 1, parcel.FeedPage{}),
	} {
		if !errors.Is(err, parcel.ErrParcel) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if err := w.Close(tls.Certificate{}, false); err == nil {
		t.Error("signed without a key")
	}
}

// FuzzOpen: whatever is in a file, it is refused, or it is one that was signed: to the
// byte, for nobody else has the key.
func FuzzOpen(f *testing.F) {
	o := newOffice(f)
	good := o.pack(answer(), o.member("XA"))
	f.Add(good)
	f.Add(good[:len(good)-1])
	f.Add([]byte(parcel.Format + "\n" + footer(1)))
	f.Add([]byte(parcel.Format + "\ne30.e30.e30" + footer(11)))
	f.Fuzz(func(t *testing.T, raw []byte) {
		r, err := open(raw, o.trust())
		switch {
		case err == nil && !bytes.Equal(raw, good):
			t.Fatal("a file that nobody has signed is taken")
		case err == nil:
			for i := range r.Manifest().Parts {
				var v any
				if err := r.Into(i, &v); err != nil && !errors.Is(err, parcel.ErrParcel) {
					t.Fatal(err)
				}
			}
		case !errors.Is(err, parcel.ErrParcel) && !errors.Is(err, parcel.ErrSigner):
			t.Fatalf("a refusal without a kind: %v", err)
		}
	})
}

// TestWhoseChain: the signature is by the first certificate, which must lead to the
// authority by certificates that may issue others; what else stands beside it says nothing.
func TestWhoseChain(t *testing.T) {
	o, other := newOffice(t), newOffice(t)
	xa, xb, foreign := o.member("XA"), o.member("XB"), other.member("XA")
	key, ok := xb.PrivateKey.(crypto.Signer)
	if !ok {
		t.Fatalf("a key of type %T", xb.PrivateKey)
	}
	leaf := *xa.Leaf
	leaf.RawSubject, leaf.SignatureAlgorithm = nil, x509.UnknownSignatureAlgorithm
	issued, err := x509.CreateCertificate(rand.Reader, &leaf, xb.Leaf, key.Public(), key)
	must(t, err)
	chain := func(k any, list ...[]byte) tls.Certificate {
		return tls.Certificate{Certificate: list, PrivateKey: k}
	}
	for name, cert := range map[string]tls.Certificate{
		"a member's beside the signer's":         chain(xb.PrivateKey, xa.Certificate[0], xb.Certificate[0]),
		"the signer's beside a member's":         chain(xb.PrivateKey, xb.Certificate[0], xa.Certificate[0]),
		"another authority's, and the true one":  chain(foreign.PrivateKey, foreign.Certificate[0], xa.Certificate[0]),
		"issued by another member":               chain(xb.PrivateKey, issued, xb.Certificate[0]),
		"the true one, by a key that is not its": chain(foreign.PrivateKey, xa.Certificate[0]),
	} {
		if _, err := open(o.pack(answer(), cert), o.trust()); !errors.Is(err, parcel.ErrSigner) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, err := open(o.pack(answer(), chain(xa.PrivateKey, xa.Certificate[0])), o.trust()); err != nil {
		t.Error(err)
	}
}
