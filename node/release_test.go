package node_test

import (
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/entente-hub/entente/api/alert"
	"github.com/entente-hub/entente/api/federation"
	"github.com/entente-hub/entente/api/feed"
	"github.com/entente-hub/entente/node"
	"github.com/entente-hub/entente/node/nodetest"
)

// agree brings an agreement into force between parties, altered by change.
func (h *house) agree(id federation.AgreementID, parties []alert.MemberID, change func(*federation.Agreement)) (digest string) {
	h.t.Helper()
	g := &federation.Agreement{ID: id, Title: "Test", Parties: parties, Categories: []alert.Category{"smuggling"},
		MaxClassification: alert.Secret, PersonalData: alert.Personal, Purposes: []alert.Purpose{"investigation"}, RetentionDays: 365,
		Onward: true, ValidFrom: h.Start.Add(-24 * time.Hour).Unix(), ValidUntil: h.Start.AddDate(1, 0, 0).Unix()}
	change(g)
	raw, digest := h.State(federation.TypeAgreement, g, 1, "", h.Root[parties[0]], h.Root[parties[1]])
	h.hub.Do(func() { h.hub.Statements = append(h.hub.Statements, raw) })
	return digest
}

// release is a release of content under a label, and what a refusal says of it:
// "" where it is as it should be.
type release struct {
	label  func(*alert.Label)
	cited  []string
	onward bool
	until  time.Duration // from the alert's iat
	want   string
}

// releaseCases are of alerts that are valid for 60 days.
func (h *house) releaseCases() map[string]release {
	const day = 24 * time.Hour
	as := func(*alert.Label) {}
	public := func(l *alert.Label) { l.Classification = alert.Unclassified }
	ab := []alert.MemberID{"XA", "XB"}
	free := h.agree("free", ab, func(*federation.Agreement) {})
	short := h.agree("short", ab, func(g *federation.Agreement) { g.RetentionDays = 10 })
	closed := h.agree("closed", ab, func(g *federation.Agreement) { g.Onward = false })
	others := h.agree("others", []alert.MemberID{"XA", "XC"}, func(*federation.Agreement) {})
	ours := h.agree("ours", ab, func(g *federation.Agreement) { g.From, g.To = []alert.MemberID{"XA"}, []alert.MemberID{"XB"} })
	theirs := h.agree("theirs", ab, func(g *federation.Agreement) { g.From, g.To = []alert.MemberID{"XB"}, []alert.MemberID{"XA"} })
	ends := time.Now().UTC().AddDate(0, 0, 5)
	retained := func(l *alert.Label) { l.Retention = alert.Date(ends.Format(time.DateOnly)) }
	lawful := time.Until(ends.Truncate(day).Add(day)).Truncate(time.Second)
	const held, passed, nothing = "held for longer", "passed on", "gives nothing"
	return map[string]release{
		"membership suffices":           {public, nil, true, 60 * day, ""},
		"classified, on nothing":        {as, nil, true, day, "rests on no agreement"},
		"of persons, on nothing":        {func(l *alert.Label) { public(l); l.PersonalData = alert.Personal }, nil, true, day, "rests on no agreement"},
		"under an agreement":            {as, []string{free}, true, 60 * day, ""},
		"a revision that was replaced":  {as, []string{h.Agreement}, false, 31 * day, ""},
		"one way":                       {as, []string{theirs}, true, day, ""},
		"the other way":                 {as, []string{ours}, true, day, nothing},
		"an agreement of others":        {as, []string{others}, true, day, nothing},
		"held past the alert":           {public, nil, true, 60*day + time.Second, held},
		"held as long as agreed":        {as, []string{free, short}, true, 10 * day, ""},
		"held past one agreement":       {as, []string{free, short}, true, 10*day + time.Second, held},
		"held until the label ends":     {retained, []string{free}, true, lawful - 5*time.Second, ""},
		"held past the label":           {retained, []string{free}, true, lawful + 5*time.Second, held},
		"onward against an agreement":   {as, []string{closed, free}, true, day, passed},
		"not onward under an agreement": {as, []string{closed, free}, false, day, ""},
		"not onward without reason":     {as, []string{free}, false, day, ""},
		"onward under control":          {func(l *alert.Label) { l.OriginatorControl = true }, []string{free}, true, day, passed},
		"under control":                 {func(l *alert.Label) { l.OriginatorControl = true }, []string{free}, false, day, ""},
		"onward against H2":             {func(l *alert.Label) { l.Handling = []alert.Handling{"H1", "H2"} }, []string{free}, true, day, passed},
		"onward under H1":               {func(l *alert.Label) { l.Handling = []alert.Handling{"H1"} }, []string{free}, true, day, ""},
		"onward of amber+strict":        {func(l *alert.Label) { l.TLP = alert.AmberStrict }, []string{free}, true, day, passed},
		"onward of red":                 {func(l *alert.Label) { l.TLP, l.ReleasableTo = alert.Red, []alert.Audience{"XA"} }, []string{free}, true, day, passed},
	}
}

// TestReleaseTerms: a release leaves no more freedom than label, alert and
// agreements do, and rests on agreements under which its issuer gives to this
// member.
func TestReleaseTerms(t *testing.T) {
	h := newHouse(t)
	cases := h.releaseCases()
	second, _ := h.Agree(2, h.Agreement, "smuggling-ab", h.Root["XA"], h.Root["XB"])
	policy, _ := h.State(federation.TypePolicy, &federation.Policy{Name: "release", Digest: federation.Digest([]byte("next")), Bundle: 2},
		2, digestOfStatement(t, h.Statements[len(h.Statements)-1]), h.Officers...)
	h.hub.Do(func() { h.hub.Statements = append(h.hub.Statements, second, policy) }) // releases still name the one before
	must(t, h.n.StatementsStep(ctx))
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			s, err := h.n.Status(ctx)
			must(t, err)
			p, l := h.Payload("XB"), nodetest.Label("federation")
			p.Expires = p.IssuedAt + int64(60*24*time.Hour/time.Second)
			c.label(&l)
			d := h.Deliver(h.IssueLabelled(p, l, 1, h.Node["XB"]), feed.Content)
			r := content(&d)
			r.Agreements = slices.Sorted(slices.Values(c.cited))
			r.Obligations.Handling, r.Obligations.Onward = l.Handling, c.onward
			r.Obligations.HoldUntil = p.IssuedAt + int64(c.until/time.Second)
			h.hub.Do(func() { h.hub.Feeds["XA"] = h.hub.Feeds["XA"][:s.Cursor] })
			h.hub.Hand("XA", d)
			err = h.n.FeedStep(ctx)
			if c.want == "" && err != nil || c.want != "" && (!errors.Is(err, node.ErrPage) || !strings.Contains(err.Error(), c.want)) {
				t.Errorf("%v, want %q", err, c.want)
			}
		})
	}
}
