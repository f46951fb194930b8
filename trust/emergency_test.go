package trust

import (
	"testing"
	"time"

	"github.com/entente-hub/entente/api/alert"
	"github.com/entente-hub/entente/api/federation"
	"github.com/entente-hub/entente/api/problem"
)

var (
	duty3   = named("XA.duty-three", "third duty officer of XA")
	dutyOfB = named("XB.duty-one", "first duty officer of XB")
	dutyTwo = named("XB.duty-two", "second duty officer of XB")
)

func officers(m alert.MemberID, list ...fixedKey) *federation.DutyOfficers {
	return &federation.DutyOfficers{Member: m, Officers: jwks(list...)}
}

// numbered is the emergency of that number for XA's alert.
func numbered(n int) *federation.Emergency {
	e := emergency()
	e.Number = n
	return e
}

func over(e *federation.Emergency) *federation.Emergency {
	ended := *e
	ended.Over = true
	return &ended
}

// withToday takes in a statement of today that must be good.
func withToday(t testing.TB, d *Directory, b federation.Body, by ...fixedKey) *Directory {
	t.Helper()
	return withAt(t, d, today, b, by...)
}

// bothOnDuty has duty officers of XA and XB.
func bothOnDuty(t testing.TB) *Directory {
	t.Helper()
	return withToday(t, onDuty(t), officers("XB", dutyOfB, dutyTwo), root("XB"))
}

// TestEmergencySigners: two persons whom the originator has named, no fewer and
// no others. To end it is easier.
func TestEmergencySigners(t *testing.T) {
	bad := problem.BadSignature
	by := func(list ...fixedKey) []fixedKey { return list }
	d := bothOnDuty(t)
	declared := withToday(t, d, emergency(), duty1, duty2)
	for name, tt := range map[string]struct {
		by         []fixedKey
		begin, end problem.Kind
	}{
		"two officers":                     {by(duty1, duty2), ok, ok},
		"one officer":                      {by(duty1), bad, ok},
		"the root":                         {by(root("XA")), bad, ok},
		"the node":                         {by(node("XA")), bad, ok},
		"an officer and the root":          {by(duty1, root("XA")), bad, ok},
		"an officer and the node":          {by(duty1, node("XA")), bad, ok},
		"root and node":                    {by(root("XA"), node("XA")), bad, ok},
		"two officers and the root":        {by(duty1, duty2, root("XA")), bad, ok},
		"two of another member":            {by(dutyOfB, dutyTwo), bad, bad},
		"one of each":                      {by(duty1, dutyOfB), bad, bad},
		"two and another member's":         {by(duty1, duty2, dutyOfB), bad, bad},
		"another member's root":            {by(root("XB")), bad, bad},
		"a recipient's node":               {by(node("XB")), bad, bad},
		"one not on the list":              {by(duty1, duty3), bad, bad},
		"another key under a name on it":   {by(duty1, named("XA.duty-two", "forged")), bad, bad},
		"an officer's key as the member's": {by(duty1, named("XA", "second duty officer of XA")), bad, bad},
		"policy officers":                  {by(officer1, officer2), bad, bad},
		"the authority":                    {by(authority), bad, bad},
		"the hub":                          {by(hubKey), bad, bad},
	} {
		t.Run(name, func(t *testing.T) {
			refused(t, d, tt.begin, next(t, d, emergency(), tt.by...))
			refused(t, declared, tt.end, next(t, declared, over(emergency()), tt.by...))
		})
	}
	raw := next(t, d, emergency(), duty1, duty2)
	if _, err := trial(t).With(now, raw); outcome(err) != string(bad) {
		t.Errorf("without any officers: %v", err)
	}
}

// TestDutyOfficers: who may name them, and whose keys they may not be.
func TestDutyOfficers(t *testing.T) {
	d := trial(t)
	bad, malformed := problem.BadSignature, problem.Malformed
	for name, tt := range map[string]struct {
		body *federation.DutyOfficers
		by   fixedKey
		want problem.Kind
	}{
		"by the root":              {officers("XA", duty1, duty2), root("XA"), ok},
		"nobody":                   {officers("XA"), root("XA"), ok},
		"by the node":              {officers("XA", duty1, duty2), node("XA"), bad},
		"by another's root":        {officers("XA", duty1, duty2), root("XB"), bad},
		"by themselves":            {officers("XA", duty1, duty2), duty1, bad},
		"by the authority":         {officers("XA", duty1, duty2), authority, bad},
		"of no member":             {officers("XE", named("XE.one", "one")), named("XE", "root of XE"), malformed},
		"two names of one key":     {officers("XA", duty1, named("XA.other", "first duty officer of XA")), root("XA"), malformed},
		"a root key":               {officers("XA", named("XA.one", "root of XA")), root("XA"), malformed},
		"another's root key":       {officers("XA", named("XA.one", "root of XB")), root("XA"), malformed},
		"its node's key":           {officers("XA", named("XA.one", "node of XA")), root("XA"), malformed},
		"another's node's key":     {officers("XA", named("XA.one", "node of XB")), root("XA"), malformed},
		"the hub's key":            {officers("XA", named("XA.one", "hub")), root("XA"), malformed},
		"a policy officer's key":   {officers("XA", named("XA.one", "officer 1")), root("XA"), malformed},
		"the authority's key":      {officers("XA", named("XA.one", "authority")), root("XA"), malformed},
		"a kid of another's key":   {&federation.DutyOfficers{Member: "XA", Officers: []federation.Key{forgedKid(duty1, duty2)}}, root("XA"), malformed},
		"a key that is not usable": {&federation.DutyOfficers{Member: "XA", Officers: []federation.Key{federation.Key(`{"kty":"RSA","kid":"` + duty1.public.KeyID() + `"}`)}}, root("XA"), malformed},
	} {
		t.Run(name, func(t *testing.T) { refused(t, d, tt.want, next(t, d, tt.body, tt.by)) })
	}
	refused(t, New(authority.public), problem.Unavailable, next(t, New(authority.public), officers("XA", duty1), root("XA")))
}

// forgedKid is one key under the id of another.
func forgedKid(of, as fixedKey) federation.Key {
	return federation.Key(`{"kty":"OKP","crv":"Ed25519","x":"` + jwkX(of) + `","kid":"` + as.public.KeyID() + `"}`)
}

// TestOfficersLeaveOffice: who is no longer on the list signs nothing more, though
// what was declared before stands.
func TestOfficersLeaveOffice(t *testing.T) {
	d := bothOnDuty(t)
	early := next(t, d, numbered(2), duty1, duty2) // signed in office, brought afterwards
	d = withToday(t, d, emergency(), duty1, duty2)
	d = withToday(t, d, officers("XA", duty1, duty3), root("XA"))
	refused(t, d, problem.BadSignature, early)
	refused(t, d, problem.BadSignature, next(t, d, numbered(2), duty1, duty2))
	refused(t, d, problem.BadSignature, next(t, d, over(emergency()), duty2))
	refused(t, d, ok, next(t, d, numbered(2), duty1, duty3))
	want(t, "declared", len(d.World(now).Emergencies), 1)
	d = withToday(t, d, over(emergency()), duty3)
	want(t, "ended", len(d.World(now).Emergencies), 0)
	none := withToday(t, d, officers("XA"), root("XA"))
	refused(t, none, problem.BadSignature, next(t, none, numbered(2), duty1, duty3))
	again, err := d.With(now, mustHead(t, onDuty(t), federation.TypeDuty, "XA").Raw) // the first list once more
	if err != nil {
		t.Fatal(err)
	}
	refused(t, again, problem.BadSignature, next(t, again, numbered(2), duty1, duty2))
}

// TestOfficersKeyGetsARole: whichever came first, a key with another role is no
// duty officer's.
func TestOfficersKeyGetsARole(t *testing.T) {
	for name, change := range map[string]func(*federation.Registry){
		"of a root": func(r *federation.Registry) {
			r.Members[0].RootKeys = jwks(root("XA"), named("XA", "second duty officer of XA"))
		},
		"of another's root": func(r *federation.Registry) {
			r.Members[1].RootKeys = jwks(root("XB"), named("XB", "second duty officer of XA"))
		},
		"of the hub": func(r *federation.Registry) { r.Hub.Keys = jwks(hubKey, named("hub", "second duty officer of XA")) },
		"of a policy officer": func(r *federation.Registry) {
			r.PolicyOfficers.Keys = jwks(officer1, officer2, named("officer-3", "second duty officer of XA"))
		},
	} {
		t.Run(name, func(t *testing.T) {
			r := registry()
			change(r)
			d := withToday(t, onDuty(t), r, authority)
			refused(t, d, problem.BadSignature, next(t, d, emergency(), duty1, duty2))
			refused(t, d, problem.Malformed, next(t, d, officers("XA", duty1, duty2), root("XA")))
			d = withToday(t, d, officers("XA", duty1, duty3), root("XA"))
			refused(t, d, ok, next(t, d, emergency(), duty1, duty3))
		})
	}
}

// TestOfficersKeyIsNoNodes. Vulnerability: the machine that is always at work holds
// the key of one of two persons. Attack: a member, or a stranger for it, certifies
// the key for a node, revoked at a far day or not. Guarantee: it is refused, in both
// orders, and the officer stays one.
func TestOfficersKeyIsNoNodes(t *testing.T) {
	d := onDuty(t)
	for _, m := range []alert.MemberID{"XA", "XB"} {
		for _, revoked := range []int64{0, founded, alert.MaxTime} {
			k := certify(m, named(string(m), "second duty officer of XA"))
			k.Revoked = revoked
			refused(t, d, problem.Malformed, next(t, d, k, root(m)))
		}
	}
	revoked := certify("XA", node("XA"))
	revoked.Revoked = today
	d = withToday(t, d, revoked, root("XA"))
	refused(t, d, problem.Malformed, next(t, d, officers("XA", duty1, named("XA.two", "node of XA")), root("XA")))
	d = withToday(t, d, officers("XA", duty1), root("XA"))
	refused(t, d, ok, next(t, d, certify("XA", named("XA", "second duty officer of XA")), root("XA"))) // no officer any more
}

// TestEmergencyRefers: it names members and task forces that there are.
func TestEmergencyRefers(t *testing.T) {
	d := onDuty(t)
	for name, change := range map[string]func(*federation.Emergency){
		"a stranger":           func(e *federation.Emergency) { e.Members = append(e.Members, "XE") },
		"no task force":        func(e *federation.Emergency) { e.Compartments = append(e.Compartments, "red") },
		"laid in for tomorrow": func(e *federation.Emergency) { e.ValidFrom += 2 * day; e.ValidUntil = e.ValidFrom + 2*day },
		"laid in for next year": func(e *federation.Emergency) {
			e.ValidFrom += 365 * day
			e.ValidUntil += 365 * day
		},
	} {
		e := emergency()
		change(e)
		t.Run(name, func(t *testing.T) { refused(t, d, problem.Malformed, next(t, d, e, duty1, duty2)) })
	}
	longest := emergency()
	longest.ValidUntil = longest.ValidFrom + 3*day
	refused(t, d, ok, next(t, d, longest, duty1, duty2))
	refused(t, d, ok, nextAt(t, d, today+60, longest, duty1, duty2))
	refused(t, d, problem.Malformed, nextAt(t, d, today-day, longest, duty1, duty2)) // for days after the day of declaring
	refused(t, New(authority.public), problem.Unavailable, next(t, New(authority.public), emergency(), duty1, duty2))
}

// TestEmergencyEndsAsDeclared: what ends one says the same, so that nothing is
// widened or shown to others on the word of one.
func TestEmergencyEndsAsDeclared(t *testing.T) {
	d := withToday(t, onDuty(t), emergency(), duty1, duty2)
	for name, change := range map[string]func(*federation.Emergency){
		"members":      func(e *federation.Emergency) { e.Members = []alert.MemberID{"XB", "XC"} },
		"threat":       func(e *federation.Emergency) { e.Threat = "none" },
		"duty":         func(e *federation.Emergency) { e.Duty = "none" },
		"nbf":          func(e *federation.Emergency) { e.ValidFrom-- },
		"exp":          func(e *federation.Emergency) { e.ValidUntil++ },
		"compartments": func(e *federation.Emergency) { e.Compartments = []alert.TaskForceID{"blue", "red"} },
	} {
		e := over(emergency())
		change(e)
		t.Run(name, func(t *testing.T) { refused(t, d, problem.Malformed, next(t, d, e, duty1, duty2)) })
	}
	refused(t, onDuty(t), problem.Fork, sign(t, over(numbered(2)), 2, digestOf("x"), today, duty1, duty2))
}

// TestEmergencyInTheWorld: only while it is in force, with a revision of its own.
func TestEmergencyInTheWorld(t *testing.T) {
	before := onDuty(t)
	d := withToday(t, before, emergency(), duty1, duty2)
	at := federation.ConsentKey{Originator: "XA", Alert: alertID}
	revisions := make(map[string]bool)
	agreementsEnd := time.Unix(founded+365*day, 0)
	for _, c := range []struct {
		at     time.Time
		in     bool
		lapses time.Time
	}{
		{time.Unix(today, -1), false, time.Unix(today, 0)}, {time.Unix(today, 0), true, time.Unix(today+3600, 0)},
		{time.Unix(today+3600, -1), true, time.Unix(today+3600, 0)}, {time.Unix(today+3600, 0), false, agreementsEnd},
	} {
		w := d.World(c.at)
		e, in := w.Emergencies[at]
		if in != c.in || len(w.Emergencies) > 1 || !w.Lapses.Equal(c.lapses) {
			t.Errorf("at %s: in force %v, lapses %s, want %v, %s", c.at, in, w.Lapses, c.in, c.lapses)
		}
		if in {
			want(t, "what was declared", e, federation.Declared{Emergency: *emergency(), Digest: mustHead(t, d, federation.TypeEmergency, "XA/"+alertID+"/1").Digest})
		}
		if revisions[w.Revision] != in && len(revisions) > 0 && revisions[w.Revision] {
			t.Errorf("at %s: the revision of when it is in force", c.at)
		}
		revisions[w.Revision] = in
	}
	if len(revisions) != 2 {
		t.Errorf("%d revisions, want one in force and one not", len(revisions))
	}
	ended := withToday(t, d, over(emergency()), node("XA"))
	w := ended.World(now)
	if len(w.Emergencies) != 0 || !w.Lapses.Equal(agreementsEnd) {
		t.Errorf("ended: %v until %s", w.Emergencies, w.Lapses)
	}
	if _, known := revisions[w.Revision]; known || w.Revision == before.World(now).Revision {
		t.Error("ended, and of a revision that was")
	}
}

// TestTheLastEmergencyCounts: to end the last is to end them all; its
// expiry brings none back.
func TestTheLastEmergencyCounts(t *testing.T) {
	first, second := numbered(1), numbered(2)
	first.ValidUntil, second.Members = today+day, []alert.MemberID{"XC"}
	at := federation.ConsentKey{Originator: "XA", Alert: alertID}
	for name, order := range map[string][2]*federation.Emergency{"in order": {first, second}, "the other way round": {second, first}} {
		t.Run(name, func(t *testing.T) {
			d := onDuty(t)
			for _, e := range order {
				d = withToday(t, d, e, duty1, duty2)
			}
			want(t, "the second", d.World(now).Emergencies[at].Members, second.Members)
			expired := d.World(time.Unix(second.ValidUntil, 0))
			want(t, "its expiry", len(expired.Emergencies), 0)
			ended := withToday(t, d, over(second), duty1)
			want(t, "its end", len(ended.World(now).Emergencies), 0)
			still := withToday(t, d, over(first), duty1)
			want(t, "the end of the first", still.World(now).Emergencies[at].Number, 2)
		})
	}
	other := emergency()
	other.Alert = "01890a5d-ac96-774b-bcce-b302099a8058"
	d := withToday(t, withToday(t, onDuty(t), first, duty1, duty2), other, duty1, duty2)
	want(t, "of two alerts", len(d.World(now).Emergencies), 2)
}

// TestEmergencyOfWhoLeaves: it ends with its originator's membership, with that of
// whom it names and with the task force, and does not come back with the name.
func TestEmergencyOfWhoLeaves(t *testing.T) {
	declared := withToday(t, bothOnDuty(t), emergency(), duty1, duty2)
	dissolved := registry()
	dissolved.TaskForces = nil
	withoutXB := without("XB")
	withoutXB.Communities = nil
	for name, r := range map[string]*federation.Registry{"originator": moved(), "recipient": withoutXB, "task force": dissolved} {
		t.Run(name, func(t *testing.T) {
			d := withToday(t, declared, r, authority)
			want(t, "gone", len(d.World(now).Emergencies), 0)
			gone := d.World(now).Revision
			d = withToday(t, d, registry(), authority)
			want(t, "back", len(d.World(now).Emergencies), 0)
			if d.World(now).Revision == gone {
				t.Error("one revision")
			}
		})
	}
	left := withToday(t, declared, moved(), authority)
	refused(t, left, problem.BadSignature, next(t, left, numbered(2), duty1, duty2))
	refused(t, left, problem.Malformed, next(t, left, officers("XA", duty1, duty2), root("XA")))
	back := withToday(t, left, registry(), authority)
	refused(t, back, problem.BadSignature, next(t, back, numbered(2), duty1, duty2)) // its officers are named anew
	back = withToday(t, back, officers("XA", duty1, duty3), root("XA"))
	refused(t, back, ok, next(t, back, numbered(2), duty1, duty3))
	unmoved := withToday(t, declared, without("XD"), authority)
	want(t, "whom it does not concern", len(unmoved.World(now).Emergencies), 1)
}

// TestBundlesRise: no policy comes back, under whatever digest.
func TestBundlesRise(t *testing.T) {
	bundle := func(digest string, n int64) *federation.Policy {
		return &federation.Policy{Name: "release", Digest: digestOf(digest), Bundle: n}
	}
	d := withToday(t, trial(t), bundle("five", 5), officer1, officer2)
	for name, tt := range map[string]struct {
		body *federation.Policy
		want problem.Kind
	}{
		"older":                     {bundle("four", 4), problem.Conflict},
		"of the same number":        {bundle("other five", 5), problem.Conflict},
		"the same rules, older":     {bundle("five", 4), problem.Conflict},
		"the same said again":       {bundle("five", 5), ok},
		"newer":                     {bundle("six", 6), ok},
		"newer with a gap":          {bundle("nine", 9), ok},
		"the same rules, newer":     {bundle("five", 6), ok},
		"of another name, from one": {&federation.Policy{Name: "other", Digest: digestOf("one"), Bundle: 1}, ok},
	} {
		t.Run(name, func(t *testing.T) { refused(t, d, tt.want, next(t, d, tt.body, officer1, officer2)) })
	}
	again := withToday(t, withToday(t, d, bundle("five", 5), officer1, officer2), bundle("seven", 7), officer1, officer2)
	refused(t, again, problem.Conflict, next(t, again, bundle("six", 6), officer1, officer2))
	if digest := again.PolicyDigest("release"); digest != digestOf("seven") {
		t.Error(digest)
	}
}
