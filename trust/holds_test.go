package trust

import (
	"slices"
	"testing"
	"time"

	"github.com/entente-hub/entente/api/alert"
	"github.com/entente-hub/entente/api/federation"
	"github.com/entente-hub/entente/api/problem"
)

var (
	auditor1  = named("auditor-1", "auditor 1")
	auditor1b = named("auditor-1", "auditor 1, second key")
	auditor2  = named("court", "auditor 2")
)

// audited is the federation with auditors.
func audited(t testing.TB) *Directory {
	t.Helper()
	return withToday(t, trial(t), auditedBy(auditor1, auditor2), authority)
}

// auditedBy is the registry with auditors, who have one key each.
func auditedBy(auditors ...fixedKey) *federation.Registry {
	r := registry()
	for _, k := range auditors {
		r.Auditors = append(r.Auditors, federation.Auditor{Name: k.public.Owner(), Keys: jwks(k)})
	}
	return r
}

func hold(id federation.HoldID) *federation.LegalHold {
	return &federation.LegalHold{ID: id, Reason: "proceedings", Scope: federation.HoldScope{Members: []alert.MemberID{"XA"}}}
}

func lifted(h *federation.LegalHold) *federation.LegalHold {
	l := *h
	l.Lifted = true
	return &l
}

// TestHoldSigners: an auditor, and nobody else; whoever of them has placed a hold,
// another can lift it.
func TestHoldSigners(t *testing.T) {
	d := audited(t)
	placed := withToday(t, d, hold("case"), auditor1)
	for name, tt := range map[string]struct {
		by   []fixedKey
		want problem.Kind
	}{
		"the auditor":            {[]fixedKey{auditor1}, ok},
		"another auditor":        {[]fixedKey{auditor2}, ok},
		"both":                   {[]fixedKey{auditor1, auditor2}, ok},
		"one not on the list":    {[]fixedKey{auditor1b}, problem.BadSignature},
		"another under the name": {[]fixedKey{named("auditor-1", "forged")}, problem.BadSignature},
		"the key as a member's":  {[]fixedKey{named("XA", "auditor 1")}, problem.BadSignature},
		"an auditor and a root":  {[]fixedKey{auditor1, root("XA")}, problem.BadSignature},
		"the root of a member":   {[]fixedKey{root("XA")}, problem.BadSignature},
		"a node":                 {[]fixedKey{node("XA")}, problem.BadSignature},
		"policy officers":        {[]fixedKey{officer1, officer2}, problem.BadSignature},
		"the authority":          {[]fixedKey{authority}, problem.BadSignature},
		"the hub":                {[]fixedKey{hubKey}, problem.BadSignature},
	} {
		t.Run(name, func(t *testing.T) {
			refused(t, d, tt.want, next(t, d, hold("case"), tt.by...))
			refused(t, placed, tt.want, next(t, placed, lifted(hold("case")), tt.by...))
		})
	}
	// Who may not sign one learns nothing of which there are: neither by a revision nor by
	// an id that is taken.
	for _, raw := range [][]byte{sign(t, hold("case"), 1, "", today, stranger), sign(t, hold("other"), 1, "", today, stranger),
		sign(t, hold("case"), 7, digestOf("x"), today, stranger)} {
		refused(t, placed, problem.BadSignature, raw)
	}
}

// TestHoldsStand: from its beginning to its end, or until it is lifted; whoever leaves.
func TestHoldsStand(t *testing.T) {
	d := audited(t)
	open, dated := hold("open"), hold("dated")
	dated.ValidFrom, dated.ValidUntil = today+10*day, today+20*day
	d = withToday(t, withToday(t, d, open, auditor1), dated, auditor2)
	at := func(d *Directory, from, to int64) (ids []federation.HoldID) {
		for _, h := range d.LegalHolds(time.Unix(from, 0), time.Unix(to, 0)) {
			ids = append(ids, h.ID)
		}
		return ids
	}
	for _, tt := range []struct {
		from, to int64
		want     []federation.HoldID
	}{
		{today, today, []federation.HoldID{"open"}},
		{today, today + 10*day - 1, []federation.HoldID{"open"}},
		{today, today + 10*day, []federation.HoldID{"dated", "open"}},
		{today + 20*day - 1, today + 20*day, []federation.HoldID{"dated", "open"}},
		{today + 20*day, today + 30*day, []federation.HoldID{"open"}},
	} {
		if got := at(d, tt.from, tt.to); !slices.Equal(got, tt.want) {
			t.Errorf("%d to %d: %v, want %v", tt.from-today, tt.to-today, got, tt.want)
		}
	}
	// Neither the member whom it names nor the auditor who has signed it takes it along.
	left := auditedBy(auditor2)
	left.Members, left.Communities = left.Members[1:], nil
	left.TaskForces = nil
	d = withToday(t, d, left, authority)
	if got := at(d, today, today); len(got) != 1 || got[0] != "open" {
		t.Errorf("after they have left: %v", got)
	}
	refused(t, d, problem.BadSignature, next(t, d, lifted(open), auditor1))
	d = withToday(t, d, lifted(open), auditor2)
	if got := at(d, today, today); len(got) != 0 {
		t.Errorf("lifted: %v", got)
	}
	d = withToday(t, d, open, auditor2)
	if got := at(d, today, today); len(got) != 1 {
		t.Errorf("placed again: %v", got)
	}
}

// TestHoldsAreNotInTheRevision: what is decided does not rest on them, and nodes, which
// read the revision, are not to learn of them.
func TestHoldsAreNotInTheRevision(t *testing.T) {
	d := audited(t)
	before := d.World(now).Revision
	if after := withToday(t, d, hold("case"), auditor1).World(now).Revision; after != before {
		t.Error("a legal hold has changed the revision")
	}
}

// TestAuditorsHaveNoOtherRole: nobody's key is an auditor's too.
func TestAuditorsHaveNoOtherRole(t *testing.T) {
	for name, k := range map[string]fixedKey{
		"the authority's": named("auditor-1", "authority"), "the hub's": named("auditor-1", "hub"),
		"a policy officer's": named("auditor-1", "officer 1"), "a root": named("auditor-1", "root of XA"),
	} {
		t.Run(name, func(t *testing.T) {
			refused(t, trial(t), problem.Malformed, next(t, trial(t), auditedBy(k), authority))
		})
	}
	two := auditedBy(auditor1, named("court", "auditor 1"))
	refused(t, trial(t), problem.Malformed, next(t, trial(t), two, authority))
	d := audited(t)
	refused(t, d, problem.Malformed, next(t, d, certify("XA", named("XA", "auditor 1")), root("XA")))
	refused(t, d, problem.Malformed, next(t, d, officers("XA", named("XA.one", "auditor 1")), root("XA")))
}
