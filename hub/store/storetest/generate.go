package storetest

import (
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"math/rand/v2"
	"slices"

	"github.com/entente-hub/entente/api/alert"
	"github.com/entente-hub/entente/hub/store"
)

// id returns the n-th alert id.
func id(n int) alert.ID { return alert.ID(fmt.Sprintf("01890000-0000-7000-8000-%012d", n)) }

func digest(s string) string {
	sum := sha256.Sum256([]byte(s))
	return base64.RawURLEncoding.EncodeToString(sum[:])
}

// accept makes a write of an alert version with a token, one label a portion.
func accept(o alert.MemberID, id alert.ID, version int, token, previous string, to ...alert.MemberID) store.Write {
	return store.Write{
		Accept: &store.Accept{
			Alert: store.Alert{
				Originator: o, ID: id, Version: version, Token: token, Digest: sha256.Sum256([]byte(token)),
				SignedDigest: digest(token), Previous: previous, IssuedAt: 1_790_000_000, Expires: 1_800_000_000,
				AcceptedAt: 1_790_000_001, EraseAt: 1_800_000_000,
			},
			Portions:   []store.Portion{{ID: "p1", LabelKey: "\nlabel 1"}, {ID: "p2", LabelKey: "\nlabel " + token}},
			Recipients: to,
		},
		Entries: [][]byte{[]byte("accepted " + token)},
	}
}

// handOver makes a write that hands over deliveries after a feed's position.
func handOver(r alert.MemberID, f store.Feed, deliveries ...int64) store.Write {
	h := &store.HandOver{Recipient: r, After: f.Seq}
	for i, id := range deliveries {
		seq := f.Seq + 1 + int64(i)
		h.Chain = digest(fmt.Sprint("chain ", r, seq, id))
		h.Items = append(h.Items, store.HandedOver{ID: id, Seq: seq, Chain: h.Chain,
			Digest: digest(fmt.Sprint("delivery ", id)), Facts: fmt.Appendf(nil, `{"delivery":%d}`, id)})
	}
	return store.Write{HandOver: h, Entries: [][]byte{fmt.Appendf(nil, "handed over to %s after %d", r, f.Seq)}}
}

func ack(r alert.MemberID, seq int64, chain string) store.Write {
	return store.Write{Ack: &store.Ack{Recipient: r, Seq: seq, Chain: chain, Receipt: fmt.Sprintf("receipt %s %d", r, seq)},
		Entries: [][]byte{fmt.Appendf(nil, "%s acknowledged %d", r, seq)}}
}

func statement(typ, subject string, revision int64, raw, previous string) store.Write {
	return store.Write{Statement: &store.Statement{Type: typ, Subject: subject, Revision: revision,
		Digest: digest(raw), Previous: previous, Raw: []byte(raw)}, Entries: [][]byte{[]byte("stated " + raw)}}
}

// generator makes random writes: most of them fit what the model holds, some
// do not.
type generator struct {
	*rand.Rand
	m *model
}

func pick[T any](r *rand.Rand, list []T) T { return list[r.IntN(len(list))] }

// users are the members and ids that writes use: not the last ones.
func (g *generator) member() alert.MemberID { return pick(g.Rand, members[:len(members)-1]) }

func (g *generator) group() []store.Write {
	writes := make([]store.Write, g.IntN(9))
	for i := range writes {
		writes[i] = g.write()
		if n := len(g.m.statements); n > 0 && g.IntN(10) == 0 {
			writes[i].Seen = g.m.statements[n-1].Position - int64(g.IntN(2))
		}
	}
	if len(writes) > 1 && g.IntN(5) == 0 {
		writes = append(writes, writes[g.IntN(len(writes))]) // the same again
	}
	return writes
}

func (g *generator) write() store.Write {
	switch g.IntN(23) {
	case 21, 22:
		return g.refuse()
	case 19, 20:
		return g.trim()
	case 15, 16:
		return g.erase()
	case 17, 18:
		return g.purge()
	case 10, 11, 12:
		return g.resettle()
	case 13:
		return g.proposal()
	case 14:
		return g.bundle()
	case 0, 1, 2:
		return g.accept()
	case 3, 4, 5:
		return g.handOver()
	case 6, 7:
		r := g.member()
		seq := g.Int64N(g.m.feed(r).Seq + 2)
		chain := "another"
		if d := g.m.item(r, seq); d != nil && g.IntN(5) > 0 {
			chain = d.Chain
		}
		return ack(r, seq, chain)
	case 8:
		return g.statement()
	}
	var w store.Write
	for range g.IntN(4) {
		w.Entries = append(w.Entries, append(g.bytes(), 1))
	}
	return w
}

// bytes returns a few random bytes, or none.
func (g *generator) bytes() []byte {
	b := make([]byte, g.IntN(4))
	for i := range b {
		b[i] = byte(g.Int())
	}
	return b
}

func (g *generator) accept() store.Write {
	o, id, version := g.member(), pick(g.Rand, ids[:len(ids)-1]), 1+g.IntN(4)
	previous := ""
	if before := g.m.alert(o, id, version-1); before != nil && g.IntN(8) > 0 {
		previous = before.SignedDigest
	}
	token := fmt.Sprintf("token %s %s %d", o, id, version)
	if g.IntN(6) == 0 {
		token += " otherwise"
	}
	to := append([]alert.MemberID(nil), members[:len(members)-1]...)
	g.Shuffle(len(to), func(i, j int) { to[i], to[j] = to[j], to[i] })
	w := accept(o, id, version, token, previous, to[:g.IntN(len(to)+1)]...)
	w.Accept.Expires = pick(g.Rand, moments)
	g.life(w.Accept)
	for range g.IntN(3) { // a third portion, and a fourth, may have the label of another
		w.Accept.Portions = append(w.Accept.Portions,
			store.Portion{ID: "p", LabelKey: fmt.Sprint("\nlabel ", 1+g.IntN(3)), Audience: g.bytes()})
	}
	if w.Accept.Recall {
		w.Accept.Portions = nil
	}
	return w
}

func (g *generator) handOver() store.Write {
	r := g.member()
	f := g.m.feed(r)
	var give, hold, drop []int64
	for _, d := range g.m.pending(r) {
		switch g.IntN(7) {
		case 0:
			drop = append(drop, d.ID)
		case 1, 2:
			hold = append(hold, d.ID)
		case 3, 4, 5:
			give = append(give, d.ID)
		}
	}
	if n := len(g.m.deliveries); n > 0 && g.IntN(8) == 0 { // any delivery, not of r's pending ones most often
		other := pick(g.Rand, g.m.deliveries).ID
		for _, id := range slices.Concat([]int64{0}, give, hold, drop) {
			if id == other {
				other = 1 << 40
			}
		}
		give = append(give, other)
	}
	if g.IntN(8) == 0 {
		f.Seq = max(0, f.Seq-1+2*g.Int64N(2))
	}
	w := handOver(r, f, give...)
	w.HandOver.Withheld, w.HandOver.Dropped = hold, drop
	return w
}

func (g *generator) statement() store.Write {
	typ, subject := pick(g.Rand, []string{"agreement", "roster"}), pick(g.Rand, []string{"one", "two"})
	last := store.Statement{}
	for _, st := range g.m.statements {
		if st.Type == typ && st.Subject == subject {
			last = st
		}
	}
	revision, previous := last.Revision+1, last.Digest
	switch g.IntN(6) {
	case 0:
		previous = "another"
	case 1:
		revision = 1 + g.Int64N(revision)
	case 2:
		revision++
	}
	raw := fmt.Sprintf("%s %s %d", typ, subject, revision)
	if g.IntN(6) == 0 {
		raw += " otherwise"
	}
	return statement(typ, subject, revision, raw, previous)
}
