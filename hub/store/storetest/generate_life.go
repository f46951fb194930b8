package storetest

import (
	"fmt"

	"github.com/entente-hub/entente/api/alert"
	"github.com/entente-hub/entente/hub/store"
)

// recall makes of a write of an alert version one of a recall.
func recall(w store.Write) store.Write {
	w.Accept.Recall, w.Accept.Portions = true, nil
	return w
}

func erase(row, before int64, token string, next int64) store.Write {
	return store.Write{Erase: &store.Erase{Row: row, Before: before, Token: token, EraseAt: next},
		Entries: [][]byte{fmt.Appendf(nil, "erased %d", row)}}
}

func purge(r, o alert.MemberID, id alert.ID, version int, cause, portions string) store.Write {
	return store.Write{Purge: &store.Purge{Recipient: r, Originator: o, ID: id, Version: version, Cause: cause, Portions: portions,
		At: 1_790_000_004, Receipt: fmt.Sprint("purge receipt ", r, version, cause)},
		Entries: [][]byte{fmt.Appendf(nil, "%s purged %s %d", r, id, version)}}
}

// life fills in what becomes of an alert version, and of those before it.
func (g *generator) life(a *store.Accept) {
	a.AcceptedAt += g.Int64N(3)
	a.EraseAt = pick(g.Rand, append(moments, 0, a.AcceptedAt))
	a.Refers, a.Keep = g.IntN(3) == 0, g.IntN(3) == 0
	a.Recall = a.Version > 1 && g.IntN(5) == 0
	a.Quota = store.Quota{Alerts: pick(g.Rand, []int64{0, 0, 5, 20}), Bytes: pick(g.Rand, []int64{0, 0, 1000, 10_000})}
}

func (g *generator) erase() store.Write {
	row := g.Int64N(int64(len(g.m.alerts)) + 2) // the first and the last there are not
	before := 1 + g.Int64N(3)
	if row >= 1 && row <= int64(len(g.m.alerts)) && g.IntN(6) > 0 {
		before = max(1, g.m.alerts[row-1].EraseAt)
	}
	next := int64(0)
	if g.IntN(2) == 0 {
		next = before + 1 + g.Int64N(2)
	}
	return erase(row, before, string(g.bytes()), next)
}

func (g *generator) purge() store.Write {
	o, id, version, r := g.member(), pick(g.Rand, ids), g.IntN(6), g.member()
	if n := len(g.m.deliveries); n > 0 && g.IntN(5) > 0 {
		d := pick(g.Rand, g.m.deliveries)
		a := g.m.alerts[d.AlertRow-1]
		o, id, version, r = a.Originator, a.ID, a.Version, d.recipient
	}
	w := purge(r, o, id, version, pick(g.Rand, []string{"ended", "recalled", "superseded"}), pick(g.Rand, []string{`["p1"]`, `["p1","p2"]`}))
	w.Purge.At += g.Int64N(2)
	return w
}
