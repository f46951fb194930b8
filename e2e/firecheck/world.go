package firecheck

import (
	"crypto/sha256"
	"fmt"
	"slices"
	"strings"
)

// world is what the rules decide upon from one row of the list of statements on.
type world struct {
	pos         int64
	revision    string
	policy      string
	ceilings    map[string]int
	suspended   map[string]bool
	communities map[string][]string
	forces      map[string][]string
	agreements  []agreement // in force, by id
	consents    map[string]consent
	nodeKeys    map[string]nodeKey
}

var levels = []string{"", "unclassified", "restricted", "confidential", "secret", "top-secret"}

func level(name string) int { return slices.Index(levels, name) }

var kindsOfData = []string{"", "none", "personal", "special-category"}

func dataKind(name string) int { return slices.Index(kindsOfData, name) }

// world sums up the book.
func (b *book) world(pos int64) *world {
	w := &world{pos: pos, policy: b.policy, ceilings: make(map[string]int), suspended: make(map[string]bool),
		communities: make(map[string][]string), forces: make(map[string][]string), consents: make(map[string]consent),
		nodeKeys: make(map[string]nodeKey)}
	for _, m := range b.registry.Members {
		w.ceilings[m.ID] = level(m.Ceiling)
		w.suspended[m.ID] = m.Suspended
		w.communities["federation"] = append(w.communities["federation"], m.ID)
	}
	for _, c := range b.registry.Communities {
		w.communities[c.ID] = c.Members
	}
	for _, t := range b.registry.TaskForces {
		for _, m := range b.rosters[t.ID].Members {
			if _, ok := w.ceilings[m]; ok {
				w.forces[t.ID] = append(w.forces[t.ID], m)
			}
		}
	}
	for k, v := range b.consents {
		w.consents[k] = v
	}
	for k, v := range b.nodeKeys {
		w.nodeKeys[k] = v
	}
	for _, versions := range b.agreements {
		for _, v := range versions {
			if b.inForce(v) {
				w.agreements = append(w.agreements, v)
			}
		}
	}
	slices.SortFunc(w.agreements, func(x, y agreement) int { return strings.Compare(x.ID, y.ID) })
	w.revision = b.revision(w)
	return w
}

// inForce reports whether a version of an agreement counts: none of its parties lets it
// rest, and it has begun and not ended.
func (b *book) inForce(v agreement) bool {
	for _, p := range v.Parties {
		if b.suspensions[v.ID+"/"+p].Suspended {
			return false
		}
	}
	return v.Nbf <= b.at && b.at < v.until
}

// revision names the world as decisions cite it: the heads of all chains, and the
// agreements in force.
func (b *book) revision(w *world) string {
	var lines []string
	for k, s := range b.heads {
		lines = append(lines, fmt.Sprintf("%s %q %d %s\n", k[0], k[1], s.rev, s.digest))
	}
	slices.Sort(lines)
	h := sha256.New()
	h.Write([]byte(strings.Join(lines, "")))
	for _, a := range w.agreements {
		fmt.Fprintf(h, "in force %s\n", a.digest)
	}
	return b64.EncodeToString(h.Sum(nil))
}

// history is how the world became what it is.
type history struct {
	rows    []*stated
	worlds  []*world // one for each row from the first registry on
	hubKeys map[string]jwk
	entered []int64 // positions of the rows that the log tells of, in order
}

// newHistory goes through the list, verifying each row.
func newHistory(rows []*stated, authority jwk, r *Report) (*history, error) {
	h := &history{rows: rows, hubKeys: make(map[string]jwk)}
	b := newBook(authority)
	for _, s := range rows {
		if err := b.take(s); err != nil {
			return nil, fmt.Errorf("statement %d, %s %q %d: %w", s.pos, s.typ, s.subject, s.rev, err)
		}
		r.count("statements", 1)
		if s.typ != momentType {
			h.entered = append(h.entered, s.pos)
		}
		h.worlds = append(h.worlds, b.world(s.pos))
		for _, k := range b.registry.Hub.Keys {
			h.hubKeys[k.Kid] = k
		}
	}
	return h, nil
}

// during returns the worlds that there were after n entries of statements in the log and
// before the next: more than one where a date has passed.
func (h *history) during(n int) []*world {
	if n == 0 || n > len(h.entered) {
		return nil
	}
	from, to := h.entered[n-1], int64(1<<62)
	if n < len(h.entered) {
		to = h.entered[n]
	}
	i, _ := slices.BinarySearchFunc(h.worlds, from, func(w *world, pos int64) int { return int(w.pos - pos) })
	j, _ := slices.BinarySearchFunc(h.worlds, to, func(w *world, pos int64) int {
		switch {
		case w.pos < pos:
			return -1
		case w.pos > pos:
			return 1
		}
		return 0
	})
	return h.worlds[i:j:j]
}

// last is the world at the end.
func (h *history) last() *world { return h.worlds[len(h.worlds)-1] }
