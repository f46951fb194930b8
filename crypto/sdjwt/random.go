package sdjwt

import (
	"bufio"
	"crypto/rand"
	"encoding/base64"
	"encoding/binary"
	"fmt"
	"io"
	"math"
)

// random draws what has to be unpredictable: salts, decoys and positions.
type random struct{ source io.Reader }

func newRandom(source io.Reader) random {
	if source == nil {
		// Buffered, as every read of the operating system's is a call.
		source = bufio.NewReader(rand.Reader)
	}
	return random{source}
}

func (r random) bytes(b []byte) error {
	if _, err := io.ReadFull(r.source, b); err != nil {
		return fmt.Errorf("sdjwt: random source: %w", err)
	}
	return nil
}

// text returns size random bytes in base64url.
func (r random) text(size int) (string, error) {
	b := make([]byte, size)
	if err := r.bytes(b); err != nil {
		return "", err
	}
	return encode(b), nil
}

// below returns a uniformly random number from 0 to n-1, by rejection.
func (r random) below(n uint64) (uint64, error) {
	limit := math.MaxUint64 - math.MaxUint64%n
	for {
		var b [8]byte
		if err := r.bytes(b[:]); err != nil {
			return 0, err
		}
		if v := binary.BigEndian.Uint64(b[:]); v < limit {
			return v % n, nil
		}
	}
}

// shuffle puts values into a uniformly random order (Fisher and Yates).
func (r random) shuffle(values [][]byte) error {
	for i := len(values) - 1; i > 0; i-- {
		j, err := r.below(uint64(i) + 1)
		if err != nil {
			return err
		}
		values[i], values[j] = values[j], values[i]
	}
	return nil
}

func encode(b []byte) string { return base64.RawURLEncoding.EncodeToString(b) }
