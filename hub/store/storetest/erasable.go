package storetest

import (
	"fmt"

	"github.com/entente-hub/entente/hub/store"
)

// Erasable makes a write of the n-th alert of XA's, of which something is to be erased at a
// moment.
func Erasable(n int, token string, at int64) store.Write {
	w := accept("XA", id(n), 1, token, "")
	w.Accept.SignedDigest, w.Accept.EraseAt, w.Accept.Portions = digest(fmt.Sprint(n)), at, nil
	w.Entries = [][]byte{fmt.Appendf(nil, "accepted %d", n)} // not the token
	return w
}
