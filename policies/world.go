package policies

import (
	"encoding/binary"
	"errors"
	"maps"
	"math/bits"
	"slices"
	"sync"

	"github.com/open-policy-agent/opa/v1/ast"

	"github.com/entente-hub/entente/api/alert"
	"github.com/entente-hub/entente/api/federation"
)

var levels = []alert.Classification{alert.Unclassified, alert.Restricted, alert.Confidential, alert.Secret, alert.TopSecret}
var kindsOfData = []alert.PersonalData{alert.NoPersonalData, alert.Personal, alert.SpecialCategory}

// World is one federation.World made ready for the rules: the same facts as
// sets of members, by what is asked of them. The index says nothing of who may
// have what. It is safe for concurrent use; what it remembers is bounded by
// MaxRemembered.
type World struct {
	engine   *Engine
	world    *federation.World
	members  []alert.MemberID // sorted; a member's place is its position
	position map[alert.MemberID]int
	terms    []*ast.Term // by position: one shared term a member
	index    *ast.Term   // "world" of the rules' input
	givers   []giver     // by position
	sets     interner
	memo     memo
}

// World indexes a world. The caller must not change w afterwards. The
// agreements of one originator are indexed when it is first asked about.
func (e *Engine) World(w *federation.World) (*World, error) {
	if w == nil || len(w.Members) == 0 {
		return nil, errors.New("policies: a world without members")
	}
	ix := &World{engine: e, world: w, members: slices.Sorted(maps.Keys(w.Members)),
		position: make(map[alert.MemberID]int, len(w.Members)), givers: make([]giver, len(w.Members))}
	for i, m := range ix.members {
		ix.position[m] = i
		ix.terms = append(ix.terms, ast.StringTerm(string(m)))
	}
	ix.memo.init()
	ix.sets.init(ix.terms)
	ix.index = ix.facts()
	ix.assignAgreements()
	return ix, nil
}

// Revision returns the indexed world's revision.
func (w *World) Revision() string { return w.world.Revision }

// facts builds what the rules see of the world.
func (w *World) facts() *ast.Term {
	all, active := w.newBits(), w.newBits()
	for i, m := range w.members {
		all.add(i)
		if !w.world.Members[m].Suspended {
			active.add(i)
		}
	}
	clearance := ast.NewObject()
	for _, level := range levels {
		cleared := w.newBits()
		for i, m := range w.members {
			if w.world.Members[m].Ceiling.Dominates(level) {
				cleared.add(i)
			}
		}
		clearance.Insert(ast.StringTerm(level.String()), w.sets.set(cleared))
	}
	compartments, communities, schemes := ast.NewObject(), ast.NewObject(), ast.NewObject()
	for id, list := range w.world.TaskForces {
		compartments.Insert(ast.StringTerm(string(id)), w.sets.set(w.bitsOf(list)))
	}
	for id, list := range w.world.Communities {
		communities.Insert(ast.StringTerm(string(id)), w.sets.set(w.bitsOf(list)))
	}
	for _, s := range w.world.Schemes {
		schemes.Insert(ast.StringTerm(s.URN), markings(s))
	}
	return object(
		"members", w.sets.set(all),
		"active", w.sets.set(active),
		"clearance", ast.NewTerm(clearance),
		"compartments", ast.NewTerm(compartments),
		"communities", ast.NewTerm(communities),
		"schemes", ast.NewTerm(schemes),
		"max_retention_days", ast.IntNumberTerm(w.world.Rules.MaxRetentionDays),
	)
}

// markings returns what a scheme's names stand for: name → level.
func markings(s federation.Scheme) *ast.Term {
	o := ast.NewObject()
	for _, l := range s.Levels {
		for _, name := range l.Names {
			o.Insert(ast.StringTerm(name), ast.StringTerm(l.Level.String()))
		}
	}
	return ast.NewTerm(o)
}

// memberTerm returns the shared term of a member, or a new one for a stranger.
func (w *World) memberTerm(m alert.MemberID) *ast.Term {
	if i, ok := w.position[m]; ok {
		return w.terms[i]
	}
	return ast.StringTerm(string(m))
}

// object builds an object from keys and terms in turn.
func object(pairs ...any) *ast.Term {
	o := ast.NewObjectWithCapacity(len(pairs) / 2)
	for i := 0; i < len(pairs); i += 2 {
		o.Insert(ast.InternedTerm(pairs[i].(string)), pairs[i+1].(*ast.Term))
	}
	return ast.NewTerm(o)
}

// bitset is a set of positions. All of a World's have the same length.
type bitset []uint64

func (b bitset) add(i int)      { b[i/64] |= 1 << (i % 64) }
func (b bitset) has(i int) bool { return b[i/64]&(1<<(i%64)) != 0 }

func (b bitset) and(other bitset) bitset {
	out := make(bitset, len(b))
	for i := range b {
		out[i] = b[i] & other[i]
	}
	return out
}

func (b bitset) without(other bitset) bitset {
	out := make(bitset, len(b))
	for i := range b {
		out[i] = b[i] &^ other[i]
	}
	return out
}

func (w *World) newBits() bitset { return make(bitset, (len(w.members)+63)/64) }

// bitsOf returns the known members of a list.
func (w *World) bitsOf(list []alert.MemberID) bitset {
	b := w.newBits()
	for _, m := range list {
		if i, ok := w.position[m]; ok {
			b.add(i)
		}
	}
	return b
}

// bitsIn returns the members in a set of the rules; what else is in it counts for
// nothing.
func (w *World) bitsIn(set ast.Set) bitset {
	if b, ok := w.sets.bits(set); ok {
		return b
	}
	b := w.newBits()
	for i, t := range w.terms {
		if set.Contains(t) {
			b.add(i)
		}
	}
	return b
}

// named returns the members at positions, sorted, nil if there are none.
func (w *World) named(b bitset) []alert.MemberID {
	var out []alert.MemberID
	for i, word := range b {
		for ; word != 0; word &= word - 1 {
			out = append(out, w.members[i*64+bits.TrailingZeros64(word)])
		}
	}
	return out
}

// interner keeps one term for each distinct set of members: in a federation
// most cells of the agreements' table hold one of a few sets. What rules pass on
// unchanged is known again by it, and need not be read.
type interner struct {
	mu    sync.RWMutex
	terms []*ast.Term
	sets  map[string]*ast.Term
	known map[ast.Set]bitset
}

func (n *interner) init(terms []*ast.Term) {
	n.terms, n.sets, n.known = terms, make(map[string]*ast.Term), make(map[ast.Set]bitset)
}

// set returns the term of a set, which must not be changed afterwards.
func (n *interner) set(b bitset) *ast.Term {
	key := make([]byte, 0, len(b)*8)
	for _, word := range b {
		key = binary.LittleEndian.AppendUint64(key, word)
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	if t, ok := n.sets[string(key)]; ok {
		return t
	}
	set := ast.NewSet()
	for i, t := range n.terms {
		if b.has(i) {
			set.Add(t)
		}
	}
	t := ast.NewTerm(set)
	n.sets[string(key)], n.known[set] = t, b
	return t
}

// bits returns the members of a set that set made.
func (n *interner) bits(set ast.Set) (bitset, bool) {
	n.mu.RLock()
	defer n.mu.RUnlock()
	b, ok := n.known[set]
	return b, ok
}
