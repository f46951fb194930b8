package policies

import (
	"slices"
	"sync"

	"github.com/open-policy-agent/opa/v1/ast"

	"github.com/entente-hub/entente/api/alert"
	"github.com/entente-hub/entente/api/federation"
)

// giver is one member's agreements as a giver: those in force, and, once asked
// for, the table that the rules look members up in.
type giver struct {
	agreements []*federation.InForce
	once       sync.Once
	others     bitset                  // all members but the giver
	recipients *ast.Term               // others, for the rules
	table      *ast.Term               // category → purpose → level → personal data → receivers
	to         [][]*federation.InForce // by receiver's position
}

// assignAgreements gives each member the agreements under which it may give.
func (w *World) assignAgreements() {
	for i := range w.world.Agreements {
		a := &w.world.Agreements[i]
		from := a.From
		if len(from) == 0 {
			from = a.Parties
		}
		for _, m := range from {
			if pos, ok := w.position[m]; ok && slices.Contains(a.Parties, m) {
				w.givers[pos].agreements = append(w.givers[pos].agreements, a)
			}
		}
	}
}

// given returns an originator's agreements, indexed. Who is no member gets
// nothing whatever the agreements say; its reasons are worked out all the same.
func (w *World) given(originator alert.MemberID) *giver {
	pos, ok := w.position[originator]
	if !ok {
		g := &giver{}
		for i := range w.world.Agreements {
			g.agreements = append(g.agreements, &w.world.Agreements[i])
		}
		w.indexGiver(g, originator)
		return g
	}
	g := &w.givers[pos]
	g.once.Do(func() { w.indexGiver(g, originator) })
	return g
}

// cell is one place of the table.
type cell struct {
	category alert.Category
	purpose  alert.Purpose
	level    alert.Classification
	personal alert.PersonalData
}

func (w *World) indexGiver(g *giver, originator alert.MemberID) {
	g.others = w.newBits()
	for i, m := range w.members {
		if m != originator {
			g.others.add(i)
		}
	}
	g.recipients = w.sets.set(g.others)
	cells := make(map[cell]bitset)
	g.to = make([][]*federation.InForce, len(w.members))
	for _, a := range g.agreements {
		receivers := w.receivers(a, originator)
		for i := range w.members {
			if receivers.has(i) {
				g.to[i] = append(g.to[i], a)
			}
		}
		eachCell(a, func(c cell) {
			b := cells[c]
			if b == nil {
				b = w.newBits()
				cells[c] = b
			}
			for i := range b {
				b[i] |= receivers[i]
			}
		})
	}
	g.table = w.nest(cells)
}

// receivers returns who receives from the originator under the agreement.
func (w *World) receivers(a *federation.InForce, originator alert.MemberID) bitset {
	b := w.newBits()
	list := a.To
	if len(list) == 0 {
		list = a.Parties
	}
	for _, m := range list {
		if i, ok := w.position[m]; ok && a.Gives(originator, m) {
			b.add(i)
		}
	}
	return b
}

// eachCell calls f for each place of the table that the terms reach.
func eachCell(a *federation.InForce, f func(cell)) {
	for _, c := range a.Categories {
		for _, p := range a.Purposes {
			for _, level := range levels {
				for _, kind := range kindsOfData {
					if a.Covers(c, p, level, kind) {
						f(cell{c, p, level, kind})
					}
				}
			}
		}
	}
}

// nest turns the table into objects in objects.
func (w *World) nest(cells map[cell]bitset) *ast.Term {
	root := ast.NewObject()
	for c, b := range cells {
		o := child(root, string(c.category))
		o = child(o, string(c.purpose))
		o = child(o, c.level.String())
		o.Insert(ast.StringTerm(c.personal.String()), w.sets.set(b))
	}
	return seal(root)
}

func child(o ast.Object, key string) ast.Object {
	k := ast.StringTerm(key)
	if t := o.Get(k); t != nil {
		return t.Value.(ast.Object)
	}
	c := ast.NewObject()
	o.Insert(k, ast.NewTerm(c))
	return c
}

// seal rebuilds nested objects from the leaves up: an object's hash is taken
// when it is put into another, so that filling it afterwards would leave a
// wrong one.
func seal(o ast.Object) *ast.Term {
	out := ast.NewObjectWithCapacity(o.Len())
	o.Foreach(func(k, v *ast.Term) {
		if c, ok := v.Value.(ast.Object); ok {
			v = seal(c)
		}
		out.Insert(k, v)
	})
	return ast.NewTerm(out)
}
