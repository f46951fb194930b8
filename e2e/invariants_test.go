package e2e_test

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/entente-hub/entente/api/alert"
	"github.com/entente-hub/entente/api/audit"
	"github.com/entente-hub/entente/api/feed"
	"github.com/entente-hub/entente/crypto/keys"
	"github.com/entente-hub/entente/hub"
	"github.com/entente-hub/entente/hub/store"
	"github.com/entente-hub/entente/node"
	nodestore "github.com/entente-hub/entente/node/store"
)

// name is one alert version's.
type name struct {
	from alert.MemberID
	id   alert.ID
}

// published is one alert of an outbox.
type published struct {
	name
	receipt feed.Receipt
	want    releases
}

// logged is one entry at its place in the log.
type logged struct {
	at int64
	audit.Entry
}

// quiesce waits until all outboxes are empty, all inboxes hold as much as they
// should and the hub has every acknowledgement.
func (f *world) quiesce(limit time.Duration) {
	f.t.Helper()
	st := f.openHubStore()
	eventually(f.t, limit, "rest", func() (bool, string) {
		for _, m := range f.members {
			s, err := f.clients[m].Status(f.t.Context())
			if err != nil {
				return false, fmt.Sprintf("%s: %v", m, err)
			}
			fd, err := st.Feed(f.t.Context(), m)
			if err != nil {
				return false, err.Error()
			}
			if s.Outbox.Queued > 0 || fd.Pending > 0 || fd.Acked < fd.Seq || s.Cursor < fd.Seq {
				return false, fmt.Sprintf("%s: outbox %+v, cursor %d, feed %+v, last error %v", m, s.Outbox, s.Cursor, fd, deref(s.LastError))
			}
		}
		return true, ""
	})
}

func deref(s *string) string {
	if s == nil {
		return ""
	}
	return *s
}

// verdict is what remains when everything has stopped: the hubs' store, each
// node's, and the log.
type verdict struct {
	t       testing.TB
	f       *world
	hub     store.Store
	nodes   map[alert.MemberID]nodestore.Store
	outbox  map[alert.MemberID][]published // in the order of publishing
	entries []logged
	key     keys.PublicKey // the hub's
}

// check ends every part with SIGKILL, opens what they leave behind, and holds it all
// against what was published and what must become of it. It returns what it opened.
func (f *world) check(tr *traffic, notes [][]byte) *verdict {
	t := f.t
	t.Helper()
	f.checkReadable()
	note, err := f.asMember("XB").Checkpoint(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for _, m := range f.members {
		f.nodes[m].kill()
	}
	for _, h := range f.hubs {
		h.kill()
	}
	v := &verdict{t: t, f: f, key: f.hubKey(), hub: f.openHubStore(), nodes: make(map[alert.MemberID]nodestore.Store),
		outbox: make(map[alert.MemberID][]published)}
	for _, m := range f.members {
		v.nodes[m] = f.openNodeStore(m)
	}
	v.checkLog(append(notes, note))
	v.checkOutboxes(tr)
	v.checkAdmissions()
	for _, m := range f.members {
		v.checkInbox(m)
	}
	return v
}

// checkReadable reads every inbox through the nodes' interfaces: what they show
// they have verified again, up to the originator's root.
func (f *world) checkReadable() {
	f.t.Helper()
	for _, m := range f.members {
		for after := int64(0); ; {
			page, err := f.clients[m].Inbox(f.t.Context(), after, 500)
			if err != nil {
				f.t.Fatal(err)
			}
			if len(page) == 0 {
				break
			}
			for _, a := range page {
				if after = a.Seq; len(a.Portions) == 0 {
					f.t.Errorf("inbox of %s, item %d: %s", m, a.Seq, a.Banner)
				}
			}
		}
	}
}

// checkLog verifies the log against every checkpoint that a member was ever given:
// no history was rewritten across a crash. Nothing was refused.
func (v *verdict) checkLog(notes [][]byte) {
	ctx := v.t.Context()
	for i, note := range notes {
		report, err := hub.VerifyLog(ctx, v.hub, v.f.hubCfg.ID, v.f.authority(), note)
		if err != nil {
			v.t.Fatalf("checkpoint %d of %d: %v", i+1, len(notes), err)
		}
		if n := report.Entries[audit.Refusal]; n > 0 {
			v.t.Errorf("%d refusals in the log: %v", n, report.Problems)
		}
	}
	for at := int64(0); ; {
		leaves, err := v.hub.Entries(ctx, at, 1000)
		if err != nil {
			v.t.Fatal(err)
		}
		if len(leaves) == 0 {
			return
		}
		for _, leaf := range leaves {
			e, err := audit.Parse(leaf)
			if err != nil {
				v.t.Fatalf("entry %d: %v", at, err)
			}
			v.entries = append(v.entries, logged{at, e})
			at++
		}
	}
}

// checkOutboxes: whatever a node has answered for is in its outbox, in order, with
// a receipt that the hub's key signed and that leads to the admission in the log.
func (v *verdict) checkOutboxes(tr *traffic) {
	for _, m := range v.f.members {
		list, err := v.nodes[m].Outbox(v.t.Context(), 1<<30)
		if err != nil {
			v.t.Fatal(err)
		}
		slices.Reverse(list)
		var kept []alert.ID
		for _, o := range list {
			if o.State != nodestore.Accepted {
				v.t.Errorf("outbox of %s: %s is %s: %s", m, o.ID, o.State, o.LastError)
				continue
			}
			v.outbox[m] = append(v.outbox[m], v.read(m, o))
			if slices.Contains(tr.taken[m], o.ID) {
				kept = append(kept, o.ID)
			}
		}
		if diff := cmp.Diff(tr.taken[m], kept); diff != "" {
			v.t.Errorf("outbox of %s: published (-), kept in order (+):\n%s", m, diff)
		}
	}
}

// read reads one alert of an outbox, and holds its receipt against hub and log.
func (v *verdict) read(m alert.MemberID, o nodestore.Outgoing) published {
	ctx := v.t.Context()
	full, err := v.nodes[m].Outgoing(ctx, o.ID, o.Version)
	if err != nil {
		v.t.Fatal(err)
	}
	p := published{name: name{m, o.ID}, want: wanted(m, portionsOf(v.t, full.Token))}
	payload, _, err := keys.Verify(full.Receipt, feed.ReceiptType, func(kid string) (keys.PublicKey, error) {
		if kid != v.key.KeyID() {
			return keys.PublicKey{}, fmt.Errorf("%s is not the hub's key", kid)
		}
		return v.key, nil
	})
	if err != nil {
		v.t.Fatal(err)
	}
	if p.receipt, err = feed.Parse[feed.Receipt](payload); err != nil {
		v.t.Fatal(err)
	}
	row, err := v.hub.Alert(ctx, m, o.ID, o.Version)
	if err != nil || row.Token != full.Token {
		v.t.Errorf("%s/%s has a receipt, the hub does not have it: %v", m, o.ID, err)
	}
	return p
}

// hubKey is the key by which the hub signs, out of its own key store.
func (f *world) hubKey() keys.PublicKey {
	f.t.Helper()
	secret, err := keys.SecretFromFile(f.hubCfg.Keys.SecretFile)
	if err != nil {
		f.t.Fatal(err)
	}
	ks, err := keys.OpenStore(f.hubCfg.Keys.Dir, secret)
	if err != nil {
		f.t.Fatal(err)
	}
	signer, err := ks.Load(f.hubCfg.Keys.SigningKID)
	if err != nil {
		f.t.Fatal(err)
	}
	return signer.Public()
}

// checkAdmissions: the log has each alert once, in the order of its originator's
// outbox, at the place that the receipt tells.
func (v *verdict) checkAdmissions() {
	admitted := make(map[alert.MemberID][]name)
	for _, e := range v.entries {
		if e.Kind == audit.Admission {
			admitted[e.Alert.Originator] = append(admitted[e.Alert.Originator], name{e.Alert.Originator, e.Alert.ID})
		}
	}
	for _, m := range v.f.members {
		var sent []name
		for _, p := range v.outbox[m] {
			sent = append(sent, p.name)
			// Decisions on labels that were new come just before.
			rest := v.entries[p.receipt.LogIndex:]
			i := slices.IndexFunc(rest, func(e logged) bool { return e.Kind == audit.Admission })
			if i < 0 || rest[i].Alert.ID != p.id || rest[i].Alert.Digest != p.receipt.Digest {
				v.t.Errorf("the receipt of %v leads to another entry", p.name)
			}
		}
		if diff := cmp.Diff(sent, admitted[m], cmp.AllowUnexported(name{})); diff != "" {
			v.t.Errorf("sent by %s (-), admitted by the log (+):\n%s", m, diff)
		}
	}
}

// checkInbox: a member has exactly what it should have, each once and in the order
// in which its originator published; each item stands in the log as released, and
// the log has no release that did not arrive, and one acknowledgement of each.
func (v *verdict) checkInbox(m alert.MemberID) {
	released, acked := v.recorded(m)
	items, err := v.nodes[m].Inbox(v.t.Context(), 0, 1<<30)
	if err != nil {
		v.t.Fatal(err)
	}
	got := make(map[alert.MemberID][]alert.ID)
	have := make(map[name]map[alert.PortionID]feed.Kind)
	for _, item := range items {
		n := name{item.Originator, item.ID}
		if have[n] != nil {
			v.t.Errorf("inbox of %s: %v twice", m, n)
		}
		have[n] = v.checkItem(m, item, released[item.Seq])
		got[n.from] = append(got[n.from], n.id)
		if acked[item.Seq] != 1 {
			v.t.Errorf("inbox of %s, item %d: %d acknowledgements in the log", m, item.Seq, acked[item.Seq])
		}
		delete(released, item.Seq)
	}
	for seq, e := range released {
		v.t.Errorf("inbox of %s: item %d, released by entry %d, is not there", m, seq, e.at)
	}
	for from, list := range v.outbox {
		var order []alert.ID
		for _, p := range list {
			if diff := cmp.Diff(p.want[m], have[p.name]); diff != "" {
				v.t.Errorf("inbox of %s, %v: right (-), held (+):\n%s", m, p.name, diff)
			}
			if have[p.name] != nil {
				order = append(order, p.id)
			}
		}
		if diff := cmp.Diff(order, got[from]); diff != "" {
			v.t.Errorf("inbox of %s: in %s's order (-), as it came (+):\n%s", m, from, diff)
		}
	}
}

// recorded returns what the log says that a member got, by sequence number.
func (v *verdict) recorded(m alert.MemberID) (released map[int64]logged, acked map[int64]int) {
	released, acked = make(map[int64]logged), make(map[int64]int)
	admitted := make(map[name]bool)
	for _, e := range v.entries {
		switch {
		case e.Kind == audit.Admission:
			admitted[name{e.Alert.Originator, e.Alert.ID}] = true
		case e.Recipient != m:
		case e.Kind == audit.Received:
			acked[e.Seq]++
		case e.Kind == audit.Release:
			if before, twice := released[e.Seq]; twice {
				v.t.Errorf("item %d of %s is released by entries %d and %d", e.Seq, m, before.at, e.at)
			}
			if !admitted[name{e.Alert.Originator, e.Alert.ID}] {
				v.t.Errorf("entry %d releases what was not admitted", e.at)
			}
			released[e.Seq] = e
		}
	}
	return released, acked
}

// checkItem holds one item against the entry that released it.
func (v *verdict) checkItem(m alert.MemberID, item nodestore.Item, e logged) map[alert.PortionID]feed.Kind {
	var d feed.Delivery
	if err := json.Unmarshal(item.Delivery, &d); err != nil {
		v.t.Fatal(err)
	}
	kinds := make(map[alert.PortionID]feed.Kind)
	for _, r := range d.Releases {
		kinds[r.Portion] = r.Kind
	}
	if e.Alert == nil || e.Alert.ID != item.ID || e.Alert.Originator != item.Originator {
		v.t.Errorf("inbox of %s, item %d: the log has no such release", m, item.Seq)
	} else if diff := cmp.Diff(e.Releases, d.Releases); diff != "" {
		v.t.Errorf("inbox of %s, item %d: log (-), held (+):\n%s", m, item.Seq, diff)
	}
	return kinds
}

// checkpoint keeps one, if the hub can be reached.
func checkpoint(ctx context.Context, h node.Hub) [][]byte {
	note, err := h.Checkpoint(ctx)
	if err != nil {
		return nil
	}
	return [][]byte{note}
}
