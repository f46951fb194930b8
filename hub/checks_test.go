package hub_test

import (
	"slices"
	"strings"

	"github.com/entente-hub/entente/api/alert"
	"github.com/entente-hub/entente/api/audit"
	"github.com/entente-hub/entente/api/feed"
	"github.com/entente-hub/entente/api/problem"
	"github.com/entente-hub/entente/crypto/keys"
	"github.com/entente-hub/entente/hub"
	"github.com/entente-hub/entente/hub/store"
)

// entries reads the whole audit log.
func (w *world) entries() []audit.Entry {
	w.Helper()
	var out []audit.Entry
	for {
		leaves, err := w.store.Entries(w.Context(), int64(len(out)), 500)
		if err != nil {
			w.Fatal(err)
		}
		if len(leaves) == 0 {
			return out
		}
		for _, leaf := range leaves {
			e, err := audit.Parse(leaf)
			if err != nil {
				w.Fatal(err)
			}
			out = append(out, e)
		}
	}
}

// acted is the log without what a pass over standing alerts leaves in it, or the erasure
// of what has ended.
func (w *world) acted() []audit.Entry {
	w.Helper()
	return slices.DeleteFunc(w.entries(), func(e audit.Entry) bool {
		return e.Kind == audit.Settled || e.Kind == audit.Erased || e.Actor == "hub" && (e.Kind == audit.Decided || e.Kind == audit.Withheld)
	})
}

func count(entries []audit.Entry, kind audit.Kind) (n int) {
	for _, e := range entries {
		if e.Kind == kind {
			n++
		}
	}
	return n
}

// refused checks that do fails with a kind, leaves nothing behind but one
// refusal in the log, and returns the error.
func (w *world) refused(kind problem.Kind, actor string, do func() error) error {
	w.Helper()
	w.Ready(w.Context()) // a pass that is due writes of its own accord
	w.settle()
	before, feeds := w.acted(), w.feeds()
	statements := w.statementCount()
	err := do()
	if problem.KindOf(err) != kind || err == nil {
		w.Fatalf("got %v, want %s", err, kind)
	}
	after := w.acted()
	if len(after) != len(before)+1 {
		w.Fatalf("%d entries were written, want one refusal", len(after)-len(before))
	}
	if e := after[len(after)-1]; e.Kind != audit.Refusal || e.Problem != kind.Type() || e.Actor != actor {
		w.Errorf("the log has %+v", e)
	}
	if w.feeds() != feeds || w.statementCount() != statements {
		w.Error("something was stored")
	}
	return err
}

func (w *world) feeds() (out [4]store.Feed) {
	w.Helper()
	for i, m := range members {
		f, err := w.store.Feed(w.Context(), m)
		if err != nil {
			w.Fatal(err)
		}
		out[i] = f
	}
	return out
}

func (w *world) statementCount() int {
	w.Helper()
	list, err := w.store.Statements(w.Context(), 0, 1000)
	if err != nil {
		w.Fatal(err)
	}
	return len(list)
}

// verifyLog recomputes the log and holds it to the hub's checkpoint.
func (w *world) verifyLog() hub.LogReport {
	w.Helper()
	note, err := w.Checkpoint(w.Context())
	if err != nil {
		w.Fatal(err)
	}
	d := w.deps(w.store)
	r, err := hub.VerifyLog(w.Context(), w.store, d.ID, d.Authority, note)
	if err != nil {
		w.Fatal(err)
	}
	return r
}

// checkPage verifies a page's head and chain from what the node knows, and
// returns the chain value after it.
func (w *world) checkPage(m alert.MemberID, after int64, chain string, page feed.Page) string {
	w.Helper()
	payload, _, err := keys.Verify(page.Head, feed.HeadType, w.Directory().HubKey)
	if err != nil {
		w.Fatal(err)
	}
	head, err := feed.Parse[feed.Head](payload)
	if err != nil {
		w.Fatal(err)
	}
	for i, item := range page.Items {
		if item.Seq != after+int64(i)+1 {
			w.Fatalf("%s: item %d stands at %d, after %d", m, i, item.Seq, after)
		}
		if item.Delivery != nil && item.Delivery.Digest() != item.Digest {
			w.Fatalf("%s: item %d is not what its digest says", m, item.Seq)
		}
		chain = feed.Next(chain, item.Seq, item.Digest)
	}
	if head.Recipient != m || head.Issuer != "hub" || head.Seq != after+int64(len(page.Items)) || head.Chain != chain {
		w.Fatalf("%s: head %+v does not fit the %d items after %d", m, head, len(page.Items), after)
	}
	return chain
}

// kinds returns what of which portion a delivery of the hub really holds.
func (w *world) kinds(d *feed.Delivery) map[alert.PortionID]feed.Kind {
	w.Helper()
	v, err := w.Directory().VerifyAlert(d.Alert)
	if err != nil {
		w.Fatal(err)
	}
	got := make(map[alert.PortionID]feed.Kind)
	for _, p := range v.Portions {
		got[p.ID] = feed.Existence
		if p.Content != nil {
			got[p.ID] = feed.Content
		}
	}
	return got
}

// parts splits a token into the signed part and its disclosures.
func parts(token string) (jws string, disclosures []string) {
	all := strings.Split(strings.TrimSuffix(token, "~"), "~")
	return all[0], all[1:]
}

func join(jws string, disclosures ...string) string {
	return strings.Join(append([]string{jws}, disclosures...), "~") + "~"
}
