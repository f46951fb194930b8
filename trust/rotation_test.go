package trust

import (
	"fmt"
	"testing"

	"github.com/entente-hub/entente/api/problem"
)

// TestNodeKeyRotation: while a member changes its node's key both keys are
// certified, and alerts by either verify; before that only the old one's do, and
// after it only the new one's. What was signed in time stays good.
func TestNodeKeyRotation(t *testing.T) {
	const (
		second = 1
		bad    = problem.BadSignature
		begins = today - 2*day // of the new key, with the overlap
		ends   = today - day   // of the old key, and the overlap with it
	)
	older, newer := node("XA"), named("XA", "next node of XA")
	first, then := certify("XA", older), certify("XA", newer)
	first.NotAfter, then.NotBefore = ends, begins
	d := with(t, New(authority.public), registry(), authority)
	d = with(t, d, first, root("XA"))
	before := d
	d = with(t, d, then, root("XA"))
	other := with(t, with(t, New(authority.public), registry(), authority), then, root("XA"))
	other = with(t, other, first, root("XA"))

	signed := func(k fixedKey, at int64) string {
		a := small("XA")
		a.IssuedAt, a.Expires = at, at+day
		return issue(t, k, a)
	}
	for _, c := range []struct {
		at         int64
		old, fresh problem.Kind
	}{
		{founded - second, bad, bad},
		{founded, ok, bad},
		{begins - second, ok, bad},
		{begins, ok, ok},
		{begins + day/2, ok, ok},
		{ends - second, ok, ok},
		{ends, bad, ok},
		{today, bad, ok},
		{founded + 365*day - second, bad, ok},
		{founded + 365*day, bad, bad},
	} {
		t.Run(fmt.Sprintf("day %+.2f", float64(c.at-founded)/day), func(t *testing.T) {
			for name, d := range map[string]*Directory{"old first": d, "new first": other} {
				for _, s := range []struct {
					key  fixedKey
					want problem.Kind
				}{{older, c.old}, {newer, c.fresh}} {
					v, err := d.VerifyAlert(signed(s.key, c.at))
					if outcome(err) != string(s.want) {
						t.Errorf("%s: by %s: %s (%v), want %s", name, s.key.public, outcome(err), err, s.want)
					}
					if err == nil && v.KeyID != s.key.public.KeyID() {
						t.Errorf("%s: by %s, it says %s", name, s.key.public, v.KeyID)
					}
				}
			}
			if _, err := before.VerifyAlert(signed(newer, c.at)); outcome(err) != string(bad) {
				t.Errorf("by a key that is not certified yet: %v", err)
			}
		})
	}
}
