package firecheck

import (
	"encoding/base64"
	"encoding/binary"
	"errors"
	"io"
	"os"
)

// scanner finds markers in bytes: plain, and as they stand in the middle of a longer text
// in base64, of either alphabet and at each of the three alignments.
type scanner struct {
	patterns map[uint64][]pattern // by the last eight bytes
	filter   []bool               // by their hash: most of what is looked at ends here
	longest  int
	searched int64 // bytes
}

type pattern struct {
	text   string
	marker string
}

const filterBits = 20

func hashOf(v uint64) uint64 { return v * 0x9E3779B97F4A7C15 >> (64 - filterBits) }

func newScanner() *scanner {
	return &scanner{patterns: make(map[uint64][]pattern), filter: make([]bool, 1<<filterBits)}
}

// minMarker is the shortest marker, in bytes: of anything shorter too little is left in
// base64.
const minMarker = 16

// add has a marker looked for.
func (s *scanner) add(marker string) {
	s.addPattern(marker, marker)
	for shift := range 3 {
		// Bytes stand before and after it that are not known: what depends on them
		// is cut off.
		padded := append(make([]byte, shift), marker...)
		whole := len(padded) / 3 * 3
		for _, alphabet := range []*base64.Encoding{base64.RawURLEncoding, base64.RawStdEncoding} {
			text := alphabet.EncodeToString(padded[:whole])
			if shift > 0 {
				text = text[4:]
			}
			s.addPattern(text, marker)
		}
	}
}

func (s *scanner) addPattern(text, marker string) {
	end := binary.LittleEndian.Uint64([]byte(text[len(text)-8:]))
	for _, p := range s.patterns[end] {
		if p.text == text {
			return
		}
	}
	s.patterns[end] = append(s.patterns[end], pattern{text, marker})
	s.filter[hashOf(end)] = true
	s.longest = max(s.longest, len(text))
}

// scan calls found for each marker in data, from an offset on: what ends before it is
// not reported.
func (s *scanner) scan(data []byte, from int, found func(marker string, at int)) {
	for i := max(from, 8); i <= len(data); i++ {
		end := binary.LittleEndian.Uint64(data[i-8:])
		if !s.filter[hashOf(end)] {
			continue
		}
		for _, p := range s.patterns[end] {
			if start := i - len(p.text); start >= 0 && string(data[start:i]) == p.text {
				found(p.marker, start)
			}
		}
	}
}

// in returns the markers in a text.
func (s *scanner) in(data []byte) map[string]bool {
	s.searched += int64(len(data))
	var list map[string]bool
	s.scan(data, 0, func(marker string, _ int) {
		if list == nil {
			list = make(map[string]bool)
		}
		list[marker] = true
	})
	return list
}

// file returns the markers in a file, each with the place where it was found first.
func (s *scanner) file(name string) (map[string]int64, error) {
	f, err := os.Open(name)
	if err != nil {
		return nil, err
	}
	defer f.Close() // only read
	list := make(map[string]int64)
	buf := make([]byte, 4<<20+s.longest)
	kept, base := 0, int64(0) // bytes of the chunk before, and where buf begins in the file
	for {
		n, err := io.ReadFull(f, buf[kept:])
		data := buf[:kept+n]
		s.searched += int64(n)
		s.scan(data, kept+1, func(marker string, at int) {
			if _, ok := list[marker]; !ok {
				list[marker] = base + int64(at)
			}
		})
		if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
			return list, nil
		} else if err != nil {
			return nil, err
		}
		keep := min(s.longest, len(data))
		base += int64(len(data) - keep)
		copy(buf, data[len(data)-keep:])
		kept = keep
	}
}
