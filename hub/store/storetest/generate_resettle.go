package storetest

import (
	"fmt"

	"github.com/entente-hub/entente/api/alert"
	"github.com/entente-hub/entente/hub/store"
)

// resettle makes a write that renews, with an entry.
func resettle(r store.Resettle) store.Write {
	return store.Write{Resettle: &r, Entries: [][]byte{[]byte("resettled")}}
}

func renew(row int64, recipients ...alert.MemberID) store.Write {
	var r store.Resettle
	for _, m := range recipients {
		r.Renew = append(r.Renew, store.Claim{AlertRow: row, Recipient: m})
	}
	return resettle(r)
}

// proposal makes a write of an edition of a proposal; without raw one that
// removes it.
func proposal(typ, subject string, revision, edition int64, raw string) store.Write {
	return store.Write{Proposal: &store.Proposal{Digest: digest(fmt.Sprint(typ, subject, revision)), Edition: edition,
		Type: typ, Subject: subject, Revision: revision, By: "XA", At: 1_790_000_002, Raw: []byte(raw)},
		Entries: [][]byte{[]byte("proposed " + raw)}}
}

func bundle(name, raw string) store.Write {
	return store.Write{Bundle: &store.Bundle{Digest: digest(name), Revision: 2, By: "XB", At: 1_790_000_003, Raw: []byte(raw)},
		Entries: [][]byte{[]byte("bundle " + raw)}}
}

func (g *generator) resettle() store.Write {
	var r store.Resettle
	for row := range int64(len(g.m.alerts) + 2) { // the first and the last there are not
		for _, m := range members[:len(members)-1] {
			if g.IntN(1+len(g.m.alerts)) < 2 {
				r.Renew = append(r.Renew, store.Claim{AlertRow: row, Recipient: m})
			}
		}
	}
	for _, d := range g.m.deliveries {
		if g.IntN(1+len(g.m.deliveries)/2) < 2 {
			r.Lost = append(r.Lost, d.ID) // in any state, lost already too
		}
	}
	for row := range int64(len(g.m.labels) + 2) {
		if g.IntN(1+len(g.m.labels)) < 2 {
			r.Labels = append(r.Labels, store.Label{Row: row, Audience: g.bytes()})
		}
	}
	if g.IntN(3) == 0 {
		r.Settled = &store.Settled{Position: g.Int64N(int64(len(g.m.statements)) + 1), At: g.Int64N(20)}
	}
	return resettle(r)
}

func (g *generator) proposal() store.Write {
	typ, subject := pick(g.Rand, []string{"agreement", "roster"}), pick(g.Rand, []string{"one", "two"})
	revision := int64(1 + g.IntN(2))
	for _, st := range g.m.statements {
		if st.Type == typ && st.Subject == subject {
			revision++
		}
	}
	w := proposal(typ, subject, revision, 1, fmt.Sprint("raw ", g.IntN(3)))
	for _, p := range g.m.proposals {
		if p.Digest == w.Proposal.Digest {
			w.Proposal.Edition = p.Edition + 1
		}
	}
	switch g.IntN(6) {
	case 0:
		w.Proposal.Edition++
	case 1:
		w.Proposal.Raw = nil
	}
	return w
}

func (g *generator) bundle() store.Write {
	w := bundle(fmt.Sprint("bundle ", g.IntN(10)), fmt.Sprint("raw ", g.IntN(2)))
	w.Bundle.Revision += g.Int64N(3)
	return w
}
