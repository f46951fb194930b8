package firecheck

import (
	"bytes"
	"crypto/ed25519"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"fmt"
	"strconv"
	"strings"
)

type hash = [sha256.Size]byte

// tree is a Merkle tree that grows (RFC 6962 section 2.1): the roots of the complete
// subtrees that it is made of, largest first.
type tree struct {
	size  int64
	roots []hash
}

func leafHash(leaf []byte) hash { return sha256.Sum256(append([]byte{0}, leaf...)) }

func nodeHash(l, r hash) hash {
	return sha256.Sum256(append(append([]byte{1}, l[:]...), r[:]...))
}

// add appends a leaf and returns the hashes that come with it, as a log stores them: the
// leaf's own, and those of the subtrees that it completes, smallest first.
func (t *tree) add(leaf []byte) []hash {
	h := leafHash(leaf)
	stored := []hash{h}
	for n := t.size; n&1 == 1; n >>= 1 {
		last := len(t.roots) - 1
		h, t.roots = nodeHash(t.roots[last], h), t.roots[:last]
		stored = append(stored, h)
	}
	t.roots = append(t.roots, h)
	t.size++
	return stored
}

func (t *tree) root() hash {
	if t.size == 0 {
		return sha256.Sum256(nil)
	}
	h := t.roots[len(t.roots)-1]
	for i := len(t.roots) - 2; i >= 0; i-- {
		h = nodeHash(t.roots[i], h)
	}
	return h
}

// checkpoint is what a signed note says of a log (C2SP tlog-checkpoint).
type checkpoint struct {
	size int64
	root hash
}

const ed25519Note = 1 // C2SP signed-note: the signature type of Ed25519

// openCheckpoint verifies a note with any of the hub's keys under the log's name.
func openCheckpoint(note []byte, origin string, keys map[string]jwk) (checkpoint, error) {
	at := bytes.LastIndex(note, []byte("\n\n"))
	if at < 0 {
		return checkpoint{}, errors.New("no signed note")
	}
	text, signatures := note[:at+1], string(note[at+2:])
	lines := strings.Split(strings.TrimSuffix(string(text), "\n"), "\n")
	if len(lines) != 3 || lines[0] != origin {
		return checkpoint{}, fmt.Errorf("a checkpoint of %q", lines[0])
	}
	var c checkpoint
	var err error
	if c.size, err = strconv.ParseInt(lines[1], 10, 64); err != nil {
		return c, err
	}
	root, err := base64.StdEncoding.DecodeString(lines[2])
	if err != nil || len(root) != len(c.root) {
		return c, errors.New("its root is no SHA-256")
	}
	c.root = hash(root)
	for line := range strings.SplitSeq(strings.TrimSuffix(signatures, "\n"), "\n") {
		name, rest, _ := strings.Cut(strings.TrimPrefix(line, "— "), " ")
		sig, err := base64.StdEncoding.DecodeString(rest)
		if err != nil || name != origin || len(sig) != 4+ed25519.SignatureSize {
			continue
		}
		for _, k := range keys {
			pub, err := b64.DecodeString(k.X)
			if err != nil || len(pub) != ed25519.PublicKeySize {
				continue
			}
			id := sha256.Sum256(append(append([]byte(name+"\n"), ed25519Note), pub...))
			if binary.BigEndian.Uint32(id[:]) == binary.BigEndian.Uint32(sig) && ed25519.Verify(pub, text, sig[4:]) {
				return c, nil
			}
		}
	}
	return c, errSignature
}
