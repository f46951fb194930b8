package tlog_test

import (
	"bytes"
	"encoding/hex"
	"errors"
	"fmt"
	"iter"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/entente-hub/entente/crypto/tlog"
	xtlog "golang.org/x/mod/sumdb/tlog"
)

// rows is a store of hashes.
type rows []tlog.Hash

func (r rows) ReadHashes(numbers []int64) ([]tlog.Hash, error) {
	out := make([]tlog.Hash, len(numbers))
	for i, n := range numbers {
		if n < 0 || n >= int64(len(r)) {
			return nil, fmt.Errorf("no row %d", n)
		}
		out[i] = r[n]
	}
	return out, nil
}

func leaf(i int) []byte { return fmt.Appendf(nil, "entry %d", i) }

func leaves(from, to int) [][]byte {
	var out [][]byte
	for i := from; i < to; i++ {
		out = append(out, leaf(i))
	}
	return out
}

func sequence(entries [][]byte) iter.Seq2[[]byte, error] {
	return func(yield func([]byte, error) bool) {
		for _, e := range entries {
			if !yield(e, nil) {
				return
			}
		}
	}
}

// build makes a tree of n entries at once.
func build(t testing.TB, n int) (rows, tlog.Hash) {
	t.Helper()
	stored, root, err := tlog.Append(0, rows(nil), leaves(0, n))
	if err != nil {
		t.Fatal(err)
	}
	return stored, root
}

// The trees of Certificate Transparency's reference implementation's tests: the
// entries, and the root of the tree of the first 0, 1, 2 … 8 of them
// (github.com/google/certificate-transparency, Apache License 2.0).
var (
	ctEntries = []string{"", "00", "10", "2021", "3031", "40414243", "5051525354555657", "606162636465666768696a6b6c6d6e6f"}
	ctRoots   = []string{
		"e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
		"6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
		"fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
		"aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77",
		"d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
		"4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4",
		"76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef",
		"ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c",
		"5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328",
	}
)

func TestCertificateTransparencyVectors(t *testing.T) {
	var entries [][]byte
	for n := range ctRoots {
		if n > 0 {
			e, err := hex.DecodeString(ctEntries[n-1])
			if err != nil {
				t.Fatal(err)
			}
			entries = append(entries, e)
		}
		_, root, err := tlog.Append(0, nil, entries)
		if err != nil || hex.EncodeToString(root[:]) != ctRoots[n] {
			t.Errorf("root of %d: %x, %v; want %s", n, root[:], err, ctRoots[n])
		}
		size, root, err := rootOf(sequence(entries))
		if err != nil || size != int64(n) || hex.EncodeToString(root[:]) != ctRoots[n] {
			t.Errorf("RootOf %d: %d, %x, %v", n, size, root[:], err)
		}
	}
}

// TestAppendAgainstReference: one by one, in batches of any size, and as the
// reference implementation stores it, a tree is the same.
func TestAppendAgainstReference(t *testing.T) {
	const n = 300
	var want rows
	for i := range n {
		stored, err := xtlog.StoredHashes(int64(i), leaf(i), want)
		if err != nil {
			t.Fatal(err)
		}
		want = append(want, stored...)
	}
	rng := rand.New(rand.NewPCG(1, 2))
	for round := range 50 {
		var got rows
		for size := 0; size < n; {
			step := 1
			if round > 0 {
				step = min(rng.IntN(40), n-size)
			}
			stored, root, err := tlog.Append(int64(size), got, leaves(size, size+step))
			if err != nil {
				t.Fatal(err)
			}
			if int64(len(got)) != tlog.StoredHashCount(int64(size)) {
				t.Fatalf("%d rows at size %d", len(got), size)
			}
			got = append(got, stored...)
			size += step
			reference, err := xtlog.TreeHash(int64(size), want)
			if err != nil || reference != root {
				t.Fatalf("root at %d: %v, want %v, %v", size, root, reference, err)
			}
			if again, err := tlog.Root(int64(size), got); err != nil || again != root {
				t.Fatalf("Root at %d: %v, %v", size, again, err)
			}
		}
		if !slices.Equal(got, want) {
			t.Fatalf("round %d: other rows than the reference", round)
		}
	}
}

// mutations yields changed copies of a proof.
func mutations(p []tlog.Hash) iter.Seq[[]tlog.Hash] {
	return func(yield func([]tlog.Hash) bool) {
		for i := range p {
			flipped := slices.Clone(p)
			flipped[i][i%tlog.HashSize] ^= 1
			if !yield(flipped) || !yield(slices.Delete(slices.Clone(p), i, i+1)) {
				return
			}
		}
		for i := 1; i < len(p); i++ {
			swapped := slices.Clone(p)
			swapped[i-1], swapped[i] = swapped[i], swapped[i-1]
			if !yield(swapped) {
				return
			}
		}
		yield(append(slices.Clone(p), tlog.Hash{}))
	}
}

func TestInclusion(t *testing.T) {
	const most = 40
	for size := int64(1); size <= most; size++ {
		stored, root := build(t, int(size))
		for index := range size {
			p, err := tlog.InclusionProof(size, index, stored)
			if err != nil {
				t.Fatal(err)
			}
			h := tlog.LeafHash(leaf(int(index)))
			if err := tlog.VerifyInclusion(p, size, root, index, h); err != nil {
				t.Fatal(err)
			}
			refuse := func(what string, err error) {
				if !errors.Is(err, tlog.ErrProof) {
					t.Errorf("entry %d of %d, %s: %v", index, size, what, err)
				}
			}
			for m := range mutations(p) {
				refuse("changed proof", tlog.VerifyInclusion(m, size, root, index, h))
			}
			refuse("other entry", tlog.VerifyInclusion(p, size, root, index, tlog.LeafHash([]byte("x"))))
			bad := root
			bad[0] ^= 1
			refuse("other root", tlog.VerifyInclusion(p, size, bad, index, h))
			if size > 1 {
				refuse("other place", tlog.VerifyInclusion(p, size, root, (index+1)%size, h))
			}
			for _, i := range []int64{-1, size, tlog.MaxSize} {
				refuse("outside", tlog.VerifyInclusion(p, size, root, i, h))
			}
		}
	}
}

func TestConsistency(t *testing.T) {
	const most = 40
	stored, _ := build(t, most)
	roots := make([]tlog.Hash, most+1)
	for i := range roots {
		var err error
		if roots[i], err = tlog.Root(int64(i), stored); err != nil {
			t.Fatal(err)
		}
	}
	for size := range int64(most + 1) {
		for old := range size + 1 {
			p, err := tlog.ConsistencyProof(size, old, stored)
			if err != nil {
				t.Fatal(err)
			}
			if err := tlog.VerifyConsistency(p, size, roots[size], old, roots[old]); err != nil {
				t.Fatal(err)
			}
			refuse := func(what string, err error) {
				if !errors.Is(err, tlog.ErrProof) {
					t.Errorf("from %d to %d, %s: %v", old, size, what, err)
				}
			}
			for m := range mutations(p) {
				refuse("changed proof", tlog.VerifyConsistency(m, size, roots[size], old, roots[old]))
			}
			bad := roots[old]
			bad[0] ^= 1
			refuse("other old root", tlog.VerifyConsistency(p, size, roots[size], old, bad))
			bad = roots[size]
			bad[0] ^= 1
			if old > 0 || size == 0 { // the empty tree is consistent with anything
				refuse("other root", tlog.VerifyConsistency(p, size, bad, old, roots[old]))
			}
			refuse("shrinking", tlog.VerifyConsistency(p, old-1, roots[old], old, roots[old]))
			refuse("negative", tlog.VerifyConsistency(p, size, roots[size], -1, roots[old]))
		}
	}
}

func TestBadSizesAndReaders(t *testing.T) {
	failing := errors.New("disk on fire")
	readers := map[string]tlog.HashReader{
		"fails": tlog.HashReaderFunc(func([]int64) ([]tlog.Hash, error) { return nil, failing }),
		"short": tlog.HashReaderFunc(func([]int64) ([]tlog.Hash, error) { return nil, nil }),
		"long": tlog.HashReaderFunc(func(n []int64) ([]tlog.Hash, error) {
			return make([]tlog.Hash, len(n)+1), nil
		}),
	}
	for name, r := range readers {
		_, _, err1 := tlog.Append(5, r, leaves(5, 6))
		_, err2 := tlog.Root(5, r)
		_, err3 := tlog.InclusionProof(5, 1, r)
		_, err4 := tlog.ConsistencyProof(5, 3, r)
		for i, err := range []error{err1, err2, err3, err4} {
			if !errors.Is(err, tlog.ErrRead) || name == "fails" && !errors.Is(err, failing) {
				t.Errorf("%s, %d: %v", name, i, err)
			}
		}
	}
	stored, _ := build(t, 4)
	for _, size := range []int64{-1, tlog.MaxSize + 1, 1 << 62} {
		_, _, err1 := tlog.Append(size, stored, leaves(0, 1))
		_, err2 := tlog.Root(size, stored)
		_, err3 := tlog.InclusionProof(size, 0, stored)
		_, err4 := tlog.ConsistencyProof(size, 0, stored)
		for i, err := range []error{err1, err2, err3, err4} {
			if !errors.Is(err, tlog.ErrSize) {
				t.Errorf("size %d, %d: %v", size, i, err)
			}
		}
	}
	if _, err := tlog.InclusionProof(4, 4, stored); !errors.Is(err, tlog.ErrSize) {
		t.Errorf("entry past the end: %v", err)
	}
	if _, err := tlog.ConsistencyProof(3, 4, stored); !errors.Is(err, tlog.ErrSize) {
		t.Errorf("shrinking: %v", err)
	}
	broken := func(yield func([]byte, error) bool) { _ = yield(leaf(0), nil) && yield(nil, failing) }
	if _, _, err := rootOf(broken); !errors.Is(err, failing) {
		t.Errorf("RootOf of a broken sequence: %v", err)
	}
}

func BenchmarkRootOf(b *testing.B) {
	entry := bytes.Repeat([]byte("x"), 256)
	b.SetBytes(int64(len(entry)))
	_, _, err := rootOf(func(yield func([]byte, error) bool) {
		for b.Loop() {
			if !yield(entry, nil) {
				return
			}
		}
	})
	if err != nil {
		b.Fatal(err)
	}
}

// rootOf is tlog.RootOfHashes of the entries themselves.
func rootOf(entries iter.Seq2[[]byte, error]) (size int64, root tlog.Hash, err error) {
	return tlog.RootOfHashes(func(yield func(tlog.Hash, error) bool) {
		for entry, err := range entries {
			if !yield(tlog.LeafHash(entry), err) {
				return
			}
		}
	})
}
