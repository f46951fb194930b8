package hub_test

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/entente-hub/entente/api/alert"
	"github.com/entente-hub/entente/api/federation"
	"github.com/entente-hub/entente/hub/store"
	"github.com/entente-hub/entente/trust"
)

// TestConsentsAreListedToTheirOriginatorOnly: vulnerability: a consent names an alert and who gets it, and
// the list of statements goes to everybody.
// attack: XD reads from the list that XC has alerts for XA and XB, among more of them than a page holds.
// guarantee: only XC is given them. Everybody is given all else, whatever the page size, and it verifies
// without the consents between.
func TestConsentsAreListedToTheirOriginatorOnly(t *testing.T) {
	w := newWorld(t)
	const consents = 70 // more than two pages of the store
	for range consents {
		w.submitTo(w.Hub, w.state(federation.TypeConsent, &federation.Consent{Originator: "XC", Alert: w.compose("XC").Subject,
			Recipients: []alert.Audience{"XA", "XB"}}, w.nodes["XC"]))
	}
	w.submitTo(w.Hub, w.suspension(true))
	w.submitTo(w.Hub, w.state(federation.TypeConsent, &federation.Consent{Originator: "XA", Alert: w.compose("XA").Subject,
		Recipients: []alert.Audience{}}, w.nodes["XA"]))
	w.submitTo(w.Hub, w.suspension(false))
	all, err := w.store.Statements(t.Context(), 0, 1000)
	if err != nil {
		t.Fatal(err)
	}
	own := map[alert.MemberID]int{"XA": 1, "XC": consents}
	moments := 0
	for _, s := range all {
		if s.Type == "moment" {
			moments++
		}
	}
	for _, m := range members {
		for _, limit := range []int{1, 7, 100} {
			var want []store.Statement
			for _, s := range all {
				if s.Type == "moment" {
					continue // nobody's word
				}
				if s.Type != string(federation.TypeConsent) || s.Subject[:3] == string(m)+"/" {
					want = append(want, s)
				}
			}
			got := w.listed(m, limit)
			if diff := cmp.Diff(want, got); diff != "" {
				t.Fatalf("%s by %d (-want +got):\n%s", m, limit, diff)
			}
			if n := len(all) - moments - consents - 1 + own[m]; len(got) != n {
				t.Fatalf("%s is given %d statements, want %d", m, len(got), n)
			}
			dir := trust.New(w.deps(w.store).Authority)
			for _, s := range got {
				if dir, err = dir.With(w.clock.now(), s.Raw); err != nil {
					t.Fatalf("%s: %s %q: %v", m, s.Type, s.Subject, err)
				}
			}
			world, whole := dir.World(w.clock.now()), w.Directory().World(w.clock.now())
			if diff := cmp.Diff(whole.Agreements, world.Agreements); diff != "" || len(world.Consents) != own[m] {
				t.Errorf("%s sees %d consents, and agreements:\n%s", m, len(world.Consents), diff)
			}
		}
	}
}

// listed is what a member's node gets that reads the list to its end.
func (w *world) listed(m alert.MemberID, limit int) (out []store.Statement) {
	w.Helper()
	after := int64(0)
	for {
		page, err := w.Hub.Statements(w.Context(), m, after, limit)
		if err != nil {
			w.Fatal(err)
		}
		if len(page) == 0 {
			return out
		}
		if len(page) > limit || page[0].Position <= after {
			w.Fatalf("%s after %d by %d: %d statements from %d", m, after, limit, len(page), page[0].Position)
		}
		after = page[len(page)-1].Position
		out = append(out, page...)
	}
}
