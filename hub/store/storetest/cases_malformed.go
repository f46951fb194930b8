package storetest

import (
	"errors"
	"math"
	"testing"

	"github.com/entente-hub/entente/hub/store"
)

// testMalformedResettle: what no caller means is refused, and nothing done.
func testMalformedResettle(t *testing.T, open opener) {
	s, m := open(), &model{}
	good := accept("XA", id(1), 1, "token", "", "XB")
	claim := store.Claim{AlertRow: 1, Recipient: "XB"}
	pr := func(f func(*store.Proposal)) store.Write {
		w := proposal("roster", "r", 1, 1, "raw")
		f(w.Proposal)
		return w
	}
	bu := func(f func(*store.Bundle)) store.Write {
		w := bundle("b", "raw")
		f(w.Bundle)
		return w
	}
	twice := handOver("XB", store.Feed{}, 1)
	twice.HandOver.Dropped = []int64{1}
	for name, bad := range map[string]store.Write{
		"two changes":               {Resettle: &store.Resettle{}, Bundle: bundle("b", "raw").Bundle},
		"proposal and bundle":       {Proposal: proposal("t", "s", 1, 1, "r").Proposal, Bundle: bundle("b", "raw").Bundle},
		"delivery twice":            twice,
		"claim twice":               resettle(store.Resettle{Renew: []store.Claim{claim, {AlertRow: 2, Recipient: "XB"}, claim}}),
		"claim of nobody":           renew(1, ""),
		"claim of NUL":              renew(1, "X\x00"),
		"claim to a negative alert": renew(-1, "XB"),
		"lost twice":                resettle(store.Resettle{Lost: []int64{1, 2, 1}}),
		"negative delivery":         resettle(store.Resettle{Lost: []int64{-1}}),
		"negative and not":          resettle(store.Resettle{Lost: []int64{1, math.MinInt64}}),
		"label twice":               resettle(store.Resettle{Labels: []store.Label{{Row: 1}, {Row: 1}}}),
		"negative label":            resettle(store.Resettle{Labels: []store.Label{{Row: -1}}}),
		"negative position":         resettle(store.Resettle{Settled: &store.Settled{Position: -1}}),
		"negative moment":           resettle(store.Resettle{Settled: &store.Settled{Position: 1, At: -1}}),
		"proposal without digest":   pr(func(p *store.Proposal) { p.Digest = "" }),
		"removal without digest":    pr(func(p *store.Proposal) { p.Digest, p.Raw = "", nil }),
		"edition 0":                 pr(func(p *store.Proposal) { p.Edition = 0 }),
		"proposal of no type":       pr(func(p *store.Proposal) { p.Type = "" }),
		"proposal of no subject":    pr(func(p *store.Proposal) { p.Subject = "" }),
		"proposal by nobody":        pr(func(p *store.Proposal) { p.By = "" }),
		"proposal of revision 0":    pr(func(p *store.Proposal) { p.Revision = 0 }),
		"proposal not UTF-8":        pr(func(p *store.Proposal) { p.Subject = "\xff" }),
		"bundle without digest":     bu(func(b *store.Bundle) { b.Digest = "" }),
		"bundle by nobody":          bu(func(b *store.Bundle) { b.By = "" }),
		"bundle of NUL":             bu(func(b *store.Bundle) { b.Digest = "a\x00" }),
		"bundle of revision 0":      bu(func(b *store.Bundle) { b.Revision = 0 }),
	} {
		results, err := s.Commit(t.Context(), []store.Write{good, bad})
		if !errors.Is(err, store.ErrInvalid) || results != nil {
			t.Errorf("%s: %v, %v", name, results, err)
		}
	}
	compare(t, s, m)
}
