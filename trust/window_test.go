package trust

import (
	"testing"

	"github.com/entente-hub/entente/api/federation"
	"github.com/entente-hub/entente/api/problem"
)

// A node key's window can be widened and not narrowed: what was signed in it and
// accepted would not verify any more, and a feed would stop at it.
func TestNodeKeyWindowIsNotNarrowed(t *testing.T) {
	d := trial(t)
	held := *mustHead(t, d, federation.TypeNodeKey, node("XA").Public().KeyID()).Body.(*federation.NodeKey)
	for name, c := range map[string]struct {
		nbf, exp int64
		want     problem.Kind
	}{
		"later begin": {1, 0, problem.Malformed}, "earlier end": {0, -1, problem.Malformed},
		"shifted": {1, 1, problem.Malformed}, "wider": {-1, 1, ok}, "the same": {0, 0, ok},
	} {
		b := held
		b.NotBefore, b.NotAfter = b.NotBefore+c.nbf, b.NotAfter+c.exp
		t.Run(name, func(t *testing.T) { refused(t, d, c.want, next(t, d, &b, root("XA"))) })
	}
}
