package node_test

import (
	"bytes"
	"encoding/json"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/entente-hub/entente/api/feed"
	"github.com/entente-hub/entente/crypto/pki"
	"github.com/entente-hub/entente/node"
	"github.com/entente-hub/entente/node/nodetest"
	"github.com/entente-hub/entente/node/store"
	"github.com/entente-hub/entente/parcel"
)

// resign takes a parcel apart and packs it again, as a courier could who has gone over: with
// parts left out, doubled, moved and with other bounds, signed as ever.
func (h *house) resign(raw []byte, r *rand.Rand) []byte {
	h.t.Helper()
	in := h.read(raw)
	m := in.Manifest()
	parts := m.Parts
	var out bytes.Buffer
	w, err := parcel.NewWriter(&out, parcel.Manifest{Bound: m.Bound, Member: m.Member, Hub: m.Hub, Re: m.Re, Standing: m.Standing}, time.Now())
	must(h.t, err)
	for _, i := range r.Perm(len(parts)) {
		var body json.RawMessage
		must(h.t, in.Into(i, &body))
		p := parts[i]
		switch r.IntN(8) {
		case 0:
			continue
		case 1:
			if p.Last > p.After {
				p.Last--
			}
		case 2:
			if p.Kind == parcel.Pages {
				p.Last++
			}
		case 3:
			body = another(h, in, r, parts, p.Kind) // the body of another part of its kind
		case 4:
			must(h.t, w.AddRange(p.Kind, p.After, p.Last, body))
		}
		must(h.t, w.AddRange(p.Kind, p.After, p.Last, body))
	}
	must(h.t, w.Close(h.Certificate(pki.Identity{Kind: pki.Member, ID: "XA"}), r.IntN(2) == 0))
	return out.Bytes()
}

// another returns the body of one of the parts of a kind.
func another(h *house, in *parcel.Reader, r *rand.Rand, parts []parcel.Part, kind parcel.Kind) json.RawMessage {
	h.t.Helper()
	var body json.RawMessage
	for _, i := range r.Perm(len(parts)) {
		if parts[i].Kind == kind {
			must(h.t, in.Into(i, &body))
			break
		}
	}
	return body
}

// TestCourierGoneOver: whatever a courier makes of true answers, the node takes nothing
// that is not so, loses nothing, and goes on with a true answer.
func TestCourierGoneOver(t *testing.T) {
	for seed := range uint64(3) {
		r := rand.New(rand.NewPCG(seed, 15))
		h := newOffline(t)
		h.round()
		for range feed.MaxPage + 7 {
			h.deliver(feed.Existence)
		}
		first := h.publish()
		h.publish()
		export := h.export()
		answer, _ := h.carry(export, node.MaxTrip)
		short, _ := h.carry(export, 1)
		for range 3 {
			for _, raw := range [][]byte{answer, short} {
				_, _ = h.take(h.resign(raw, r)) // an error or not: the state is what counts
			}
			s, err := h.n.Status(ctx)
			must(t, err)
			if s.Cursor != s.Counts.Inbox || s.Counts.Refused != 0 || s.Counts.Accepted+s.Counts.Queued != 2 {
				t.Fatalf("seed %d: %+v", seed, s)
			}
		}
		h.round()
		h.round()
		h.holds(feed.MaxPage+7, feed.MaxPage+7, 0)
		if out, err := h.st.Outgoing(ctx, first.ID, 1); err != nil || out.State != store.Accepted || len(h.hub.Published) != 2 {
			t.Errorf("seed %d: %+v, %v", seed, out, err)
		}
	}
}

// TestAnotherHubsParcel: the answers of a hub that the node does not belong to are refused.
func TestAnotherHubsParcel(t *testing.T) {
	h := newOffline(t)
	var out bytes.Buffer
	w, err := parcel.NewWriter(&out, parcel.Manifest{Bound: parcel.ToNode, Member: "XA", Hub: nodetest.HubID + "x", Re: h.read(h.export()).Manifest().ID}, time.Now())
	must(t, err)
	must(t, w.Close(h.Certificate(pki.Identity{Kind: pki.Member, ID: "XA"}), false))
	if _, err := h.take(out.Bytes()); err == nil {
		t.Error("it is taken")
	}
}
