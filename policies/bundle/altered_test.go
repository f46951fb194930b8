package bundle

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"context"
	"errors"
	"fmt"
	"maps"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/entente-hub/entente/crypto/keys"
)

func TestOpenRefusesForms(t *testing.T) {
	s := officer(t, keys.EdDSA)
	const manifest = `{"revision":"1","roots":["entente/admission","entente/release"],"rego_version":1}`
	good := []tar.Header{entry(manifestName, manifest), entry("release/a.rego", "package entente.release.a")}
	with := func(more ...tar.Header) []byte { return gz(t, tarOf(t, append(good[:2:2], more...)...)) }
	only := func(m string) []byte { return gz(t, tarOf(t, entry(manifestName, m), good[1])) }
	if _, err := Parse(with()); err != nil {
		t.Fatal(err)
	}
	odd := func(change func(*tar.Header)) []byte {
		h := good[1]
		change(&h)
		return gz(t, tarOf(t, good[0], h))
	}
	named := func(change func(*gzip.Header)) []byte {
		var buf bytes.Buffer
		w, err := gzip.NewWriterLevel(&buf, gzip.BestCompression)
		if err != nil {
			t.Fatal(err)
		}
		change(&w.Header)
		if _, err = w.Write(tarOf(t, good...)); err == nil {
			err = w.Close()
		}
		if err != nil {
			t.Fatal(err)
		}
		return buf.Bytes()
	}
	for _, c := range []struct {
		name string
		raw  []byte
		want error
		says string
	}{
		{"nothing", nil, ErrMalformed, "gzip"},
		{"text", []byte("package entente.release"), ErrMalformed, "gzip"},
		{"not compressed", tarOf(t, good...), ErrMalformed, "gzip"},
		{"an empty archive", gz(t, tarOf(t)), ErrMalformed, "no .manifest"},
		{"no archive", gz(t, []byte("release/a.rego")), ErrMalformed, ""},
		{"too large as sent", append(with(), make([]byte, MaxCompressed)...), ErrTooLarge, "compressed"},
		{"a byte more", append(with(), 0), ErrMalformed, "follow"},
		{"another member", append(with(), gz(t, nil)...), ErrMalformed, "follow"},
		{"a byte after the archive", gz(t, append(tarOf(t, good...), 1)), ErrMalformed, "not written"},
		{"an archive after the archive", gz(t, append(tarOf(t, good...), tarOf(t, good...)...)), ErrMalformed, "not written"},
		{"no end", gz(t, tarOf(t, good...)[:2048]), ErrMalformed, "not written"},
		{"gzip with a name", named(func(h *gzip.Header) { h.Name = "a" }), ErrMalformed, "plain header"},
		{"gzip with a comment", named(func(h *gzip.Header) { h.Comment = "a" }), ErrMalformed, "plain header"},
		{"gzip with a time", named(func(h *gzip.Header) { h.ModTime = time.Unix(1, 0) }), ErrMalformed, "plain header"},
		{"gzip with extras", named(func(h *gzip.Header) { h.Extra = []byte{1} }), ErrMalformed, "plain header"},

		{"upwards", with(entry("../a.rego", "")), ErrMalformed, "no module"},
		{"upwards further down", with(entry("release/../../a.rego", "")), ErrMalformed, "no module"},
		{"absolute", with(entry("/release/b.rego", "")), ErrMalformed, "no module"},
		{"dotted", with(entry("./release/b.rego", "")), ErrMalformed, "no module"},
		{"twice", with(good[1]), ErrMalformed, "twice"},
		{"manifest twice", with(good[0]), ErrMalformed, "twice"},
		{"symbolic link", with(tar.Header{Typeflag: tar.TypeSymlink, Name: "release/b.rego", Linkname: "/etc/passwd"}), ErrMalformed, "regular"},
		{"hard link", with(tar.Header{Typeflag: tar.TypeLink, Name: "release/b.rego", Linkname: "release/a.rego"}), ErrMalformed, "regular"},
		{"folder", with(tar.Header{Typeflag: tar.TypeDir, Name: "release/"}), ErrMalformed, "regular"},
		{"device", with(tar.Header{Typeflag: tar.TypeChar, Name: "release/b.rego"}), ErrMalformed, "regular"},
		{"pipe", with(tar.Header{Typeflag: tar.TypeFifo, Name: "release/b.rego"}), ErrMalformed, "regular"},
		{"sparse file", gz(t, append(sparse(t), tarOf(t, good...)...)), ErrMalformed, "larger than the archive"},
		{"too many files", with(manyEntries()...), ErrTooLarge, "files"},
		{"data", with(entry("data.json", "{}")), ErrMalformed, "no module"},
		{"patch", with(entry("patch.json", "{}")), ErrMalformed, "no module"},
		{"WebAssembly", with(entry("policy.wasm", "")), ErrMalformed, "no module"},
		{"test", with(entry("release/a_test.rego", "")), ErrMalformed, "test"},
		{"another order", gz(t, tarOf(t, good[1], good[0])), ErrMalformed, "not written"},
		{"owner", odd(func(h *tar.Header) { h.Uid = 1000 }), ErrMalformed, "not written"},
		{"owner's name", odd(func(h *tar.Header) { h.Uname = "root" }), ErrMalformed, "not written"},
		{"executable", odd(func(h *tar.Header) { h.Mode = 0o755 }), ErrMalformed, "not written"},
		{"dated", odd(func(h *tar.Header) { h.ModTime = time.Unix(1, 0) }), ErrMalformed, "not written"},
		{"PAX", odd(func(h *tar.Header) {
			h.Format, h.PAXRecords = tar.FormatPAX, map[string]string{"ENTENTE.x": "y"}
		}), ErrMalformed, "not written"},

		{"no manifest", gz(t, tarOf(t, good[1])), ErrMalformed, "no .manifest"},
		{"no module", gz(t, tarOf(t, good[0])), ErrMalformed, "no module"},
		{"manifest no JSON", only(`revision: 1`), ErrMalformed, ".manifest"},
		{"manifest empty", only(``), ErrMalformed, ".manifest"},
		{"revision 0", only(strings.Replace(manifest, `"1"`, `"0"`, 1)), ErrMalformed, "revision"},
		{"revision negative", only(strings.Replace(manifest, `"1"`, `"-1"`, 1)), ErrMalformed, "revision"},
		{"revision missing", only(strings.Replace(manifest, `"revision":"1",`, ``, 1)), ErrMalformed, "revision"},
		{"revision with a zero", only(strings.Replace(manifest, `"1"`, `"01"`, 1)), ErrMalformed, "is not"},
		{"revision with a sign", only(strings.Replace(manifest, `"1"`, `"+1"`, 1)), ErrMalformed, "is not"},
		{"revision a hash", only(strings.Replace(manifest, `"1"`, `"a94f"`, 1)), ErrMalformed, "revision"},
		{"revision too high", only(strings.Replace(manifest, `"1"`, `"9223372036854775808"`, 1)), ErrMalformed, "revision"},
		{"revision a number", only(strings.Replace(manifest, `"1"`, `1`, 1)), ErrMalformed, ".manifest"},
		{"revision twice", only(strings.Replace(manifest, `"1"`, `"2","revision":"1"`, 1)), ErrMalformed, "is not"},
		{"other roots", only(strings.Replace(manifest, `"entente/admission",`, ``, 1)), ErrMalformed, "is not"},
		{"old Rego", only(strings.Replace(manifest, `:1}`, `:0}`, 1)), ErrMalformed, "is not"},
		{"old Rego for a file", only(strings.Replace(manifest, `:1}`, `:1,"file_rego_versions":{"/release/a.rego":0}}`, 1)), ErrMalformed, "is not"},
		{"metadata", only(strings.Replace(manifest, `:1}`, `:1,"metadata":{}}`, 1)), ErrMalformed, "is not"},
		{"white space", only(manifest + "\n"), ErrMalformed, "is not"},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, err := Open(c.raw, lookupOf(s))
			if !errors.Is(err, c.want) || !strings.Contains(err.Error(), c.says) {
				t.Errorf("error %v, want %v: %q", err, c.want, c.says)
			}
			if _, again := Parse(c.raw); again == nil || again.Error() != err.Error() {
				t.Errorf("Parse says %v, Open %v", again, err)
			}
			if _, err := Sign(t.Context(), c.raw, s); !errors.Is(err, c.want) {
				t.Errorf("signed: %v", err)
			}
		})
	}
}

func manyEntries() []tar.Header {
	var list []tar.Header
	for i := range MaxFiles {
		list = append(list, entry(fmt.Sprintf("release/b%03d.rego", i), ""))
	}
	return list
}

func TestOpenRefusesSignatures(t *testing.T) {
	s, stranger := officer(t, keys.EdDSA), officer(t, keys.EdDSA)
	signed := sign(t, pack(t, small(), 5), s)
	f, err := unpack(signed)
	if err != nil {
		t.Fatal(err)
	}
	raw, err := f.claims(s.Public().KeyID())
	if err != nil {
		t.Fatal(err)
	}
	claims := string(raw)
	change := func(old, new string) string {
		if !strings.Contains(claims, old) {
			t.Fatalf("%q does not stand in %s", old, claims)
		}
		return strings.Replace(claims, old, new, 1)
	}
	withFile := func(name, content string) []byte {
		g := maps.Clone(f)
		g[name] = []byte(content)
		return mustPack(t, g)
	}
	without := maps.Clone(f)
	delete(without, "release/a/a.rego")
	token := string(f[signaturesName])
	source := small()["release/a/a.rego"]
	aHash := sha(source)
	for _, c := range []struct {
		name string
		raw  []byte
		want error
		says string
	}{
		{"another's key", sign(t, pack(t, small(), 5), stranger), ErrSignature, "no policy officer"},
		{"a changed file", withFile("release/a/a.rego", source+"\n"), ErrSignature, "changed"},
		{"a further file", withFile("release/b/b.rego", source), ErrSignature, "release/b/b.rego is not signed"},
		{"a missing file", mustPack(t, without), ErrSignature, "missing"},
		{"another revision", withFile(manifestName, strings.Replace(string(f[manifestName]), `"5"`, `"6"`, 1)), ErrSignature, "changed"},
		{"another bundle's signature", func() []byte {
			g, err := unpack(sign(t, pack(t, map[string]string{"release/a/a.rego": source}, 5), s))
			if err != nil {
				t.Fatal(err)
			}
			return withFile(signaturesName, string(g[signaturesName]))
		}(), ErrSignature, "not signed"},
		{"another type", signAnything(t, f, s, "entente-statement+json", claims), ErrSignature, "type"},
		{"type JWT", signAnything(t, f, s, "JWT", claims), ErrSignature, "type"},
		{"no signature", withFile(signaturesName, `{"signatures":[]}`), ErrMalformed, "0 signatures"},
		{"signatures null", withFile(signaturesName, `null`), ErrMalformed, "0 signatures"},
		{"two signatures", withFile(signaturesName, strings.Replace(token, `]`, `,"x"]`, 1)), ErrMalformed, "2 signatures"},
		{"a plugin", withFile(signaturesName, strings.Replace(token, `]`, `],"plugin":"x"`, 1)), ErrMalformed, "is not"},
		{"no JSON", withFile(signaturesName, token[1:]), ErrMalformed, signaturesName},
		{"white space", withFile(signaturesName, token+"\n"), ErrMalformed, "is not"},
		{"no token", withFile(signaturesName, `{"signatures":["x"]}`), ErrSignature, "three parts"},
		{"alg none", withFile(signaturesName, `{"signatures":["eyJhbGciOiJub25lIn0.e30."]}`), ErrSignature, ""},
		{"claims no JSON", signAnything(t, f, s, JWSType, "x"), ErrSignature, "no JSON"},
		{"no claims", signAnything(t, f, s, JWSType, "{}"), ErrSignature, "in the name of"},
		{"another keyid", signAnything(t, f, s, JWSType, change(s.Public().KeyID(), stranger.Public().KeyID())), ErrSignature, "in the name of"},
		{"a scope", signAnything(t, f, s, JWSType, change(`"keyid"`, `"scope":"write","keyid"`)), ErrSignature, "not written"},
		{"weak hash", signAnything(t, f, s, JWSType, change("SHA-256", "MD5")), ErrSignature, "not written"},
		{"hash of another file", signAnything(t, f, s, JWSType, change(aHash, sha("x"))), ErrSignature, "changed"},
		{"hash in capitals", signAnything(t, f, s, JWSType, change(aHash, strings.ToUpper(aHash))), ErrSignature, "not written"},
		{"listed twice", signAnything(t, f, s, JWSType, change(`]`, `,{"name":"release/a/a.rego","hash":"`+aHash+`","algorithm":"SHA-256"}]`)), ErrSignature, "twice"},
		{"listed and missing", signAnything(t, f, s, JWSType, change(`]`, `,{"name":"release/z.rego","hash":"`+aHash+`","algorithm":"SHA-256"}]`)), ErrSignature, "release/z.rego"},
		{"not listed", signAnything(t, f, s, JWSType, change(`,{"name":"release/a/a.rego","hash":"`+aHash+`","algorithm":"SHA-256"}`, ``)), ErrSignature, "is not signed"},
	} {
		t.Run(c.name, func(t *testing.T) {
			if b, err := Open(c.raw, lookupOf(s)); !errors.Is(err, c.want) || !strings.Contains(err.Error(), c.says) || b != nil {
				t.Errorf("bundle %v, error %v, want %v: %q", b, err, c.want, c.says)
			}
		})
	}
	gone := errors.New("the store is away")
	_, err = Open(signed, func(string) (keys.PublicKey, error) { return keys.PublicKey{}, gone })
	if !errors.Is(err, ErrSignature) || !errors.Is(err, gone) {
		t.Errorf("the lookup's error: %v", err)
	}
	if _, err := Open(signed, func(string) (keys.PublicKey, error) { return stranger.Public(), nil }); !errors.Is(err, ErrSignature) {
		t.Errorf("a lookup that gives another key: %v", err)
	}
}

// TestEveryAlteredByte flips each bit of a signed bundle, cuts it at each place and
// changes each byte of its archive. Nothing of it opens, but for the few bits that
// deflate leaves without meaning (it fills bytes up, and says some things in more
// than one way): those open as the very same bundle.
func TestEveryAlteredByte(t *testing.T) {
	s := officer(t, keys.EdDSA)
	signed := sign(t, pack(t, small(), 5), s)
	want, err := Open(signed, lookupOf(s))
	if err != nil {
		t.Fatal(err)
	}
	idle := 0
	for i := range signed {
		for bit := range 8 {
			altered := bytes.Clone(signed)
			altered[i] ^= 1 << bit
			got, err := Open(altered, lookupOf(s))
			if err != nil {
				continue
			}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Fatalf("bit %d of byte %d opens as another bundle:\n%s", bit, i, diff)
			}
			idle++
		}
		if _, err := Open(signed[:i], lookupOf(s)); err == nil {
			t.Errorf("opens when it is cut at %d", i)
		}
	}
	if idle > 16 {
		t.Errorf("%d bits of the file mean nothing", idle)
	}
	archive, err := inflate(signed)
	if err != nil {
		t.Fatal(err)
	}
	for i := range archive {
		altered := bytes.Clone(archive)
		altered[i] ^= byte(1 + i%255)
		if _, err := Open(gz(t, altered), lookupOf(s)); err == nil {
			t.Errorf("opens with byte %d of the archive altered", i)
		}
	}
}

// A bomb is put away when it has shown that it is one.
func TestBomb(t *testing.T) {
	bomb := gz(t, make([]byte, 128<<20))
	if len(bomb) > MaxCompressed {
		t.Fatalf("the bomb has %d bytes", len(bomb))
	}
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	if _, err := Open(bomb, nil); !errors.Is(err, ErrTooLarge) {
		t.Fatalf("error %v", err)
	}
	runtime.ReadMemStats(&after)
	if took := after.TotalAlloc - before.TotalAlloc; took > 64<<20 {
		t.Errorf("took %d bytes", took)
	}
}

// faulty signs wrongly, or not at all.
type faulty struct {
	keys.Signer
	err error
}

func (f faulty) Sign(ctx context.Context, messages [][]byte) ([][]byte, error) {
	if f.err != nil {
		return nil, f.err
	}
	sigs, err := f.Signer.Sign(ctx, messages)
	if err == nil {
		sigs[0][0] ^= 1
	}
	return sigs, err
}

func TestSignRefuses(t *testing.T) {
	s := officer(t, keys.EdDSA)
	raw := pack(t, small(), 1)
	if _, err := Sign(t.Context(), sign(t, raw, s), s); !errors.Is(err, ErrSigned) {
		t.Errorf("a second signature: %v", err)
	}
	if out, err := Sign(t.Context(), raw, faulty{Signer: s}); !errors.Is(err, ErrSignature) || out != nil {
		t.Errorf("a signature that does not hold: %v", err)
	}
	if _, err := Sign(t.Context(), raw, faulty{s, keys.ErrUnavailable}); !errors.Is(err, keys.ErrUnavailable) {
		t.Errorf("a key store that is away: %v", err)
	}
}
