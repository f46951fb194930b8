package trust

import (
	"testing"

	"github.com/entente-hub/entente/api/alert"
	"github.com/entente-hub/entente/api/federation"
	"github.com/entente-hub/entente/api/problem"
)

const ok = problem.Kind("ok")

// TestSigners: who may sign what, alone and together.
func TestSigners(t *testing.T) {
	bad := problem.BadSignature
	newKey := named("XB", "new node of XB")
	by := func(list ...fixedKey) []fixedKey { return list }
	for name, tt := range map[string]struct {
		body federation.Body
		by   []fixedKey
		want problem.Kind
	}{
		"registry":                             {registry(), by(authority), ok},
		"registry by a member":                 {registry(), by(root("XA")), bad},
		"registry by the hub":                  {registry(), by(hubKey), bad},
		"registry by the officers":             {registry(), by(officer1, officer2), bad},
		"registry by another authority":        {registry(), by(named(AuthorityOwner, "usurper")), bad},
		"registry, a stranger's beside":        {registry(), by(authority, stranger), bad},
		"node key":                             {certify("XB", newKey), by(root("XB")), ok},
		"node key by another's root":           {certify("XB", newKey), by(root("XA")), bad},
		"node key by a node key":               {certify("XB", newKey), by(node("XB")), bad},
		"node key by itself":                   {certify("XB", newKey), by(newKey), bad},
		"node key by the authority":            {certify("XB", newKey), by(authority), bad},
		"node key by the hub":                  {certify("XB", newKey), by(hubKey), bad},
		"node key, a member's beside":          {certify("XB", newKey), by(root("XB"), root("XA")), bad},
		"roster":                               {roster("XB"), by(root("XA")), ok},
		"roster by a member of it":             {roster("XB"), by(root("XB")), bad},
		"roster by the lead's node":            {roster("XB"), by(node("XA")), bad},
		"roster by the authority":              {roster("XB"), by(authority), bad},
		"roster, a member's beside":            {roster("XB"), by(root("XA"), root("XB")), bad},
		"agreement":                            {agree("bc", "XB", "XC"), by(root("XB"), root("XC")), ok},
		"agreement without a party":            {agree("bc", "XB", "XC"), by(root("XB")), bad},
		"agreement with a party's node":        {agree("bc", "XB", "XC"), by(root("XB"), node("XC")), bad},
		"agreement by the authority":           {agree("bc", "XB", "XC"), by(authority), bad},
		"agreement, a third's beside":          {agree("bc", "XB", "XC"), by(root("XB"), root("XC"), root("XD")), bad},
		"agreement, a stranger's beside":       {agree("bc", "XB", "XC"), by(root("XB"), root("XC"), named("XB", "stranger")), bad},
		"agreement, joining":                   {agree("ab", "XA", "XB", "XC"), by(root("XA"), root("XB"), root("XC")), ok},
		"agreement, joined unasked":            {agree("ab", "XA", "XB", "XC"), by(root("XA"), root("XC")), bad},
		"agreement, leaving":                   {agree("ab", "XA", "XC"), by(root("XA"), root("XB"), root("XC")), ok},
		"agreement, put out unasked":           {agree("ab", "XA", "XC"), by(root("XA"), root("XC")), bad},
		"suspension by root":                   {suspend("ab", "XB", true), by(root("XB")), ok},
		"suspension by node":                   {suspend("ab", "XB", true), by(node("XB")), ok},
		"suspension by both":                   {suspend("ab", "XB", true), by(root("XB"), node("XB")), ok},
		"suspension by the other party":        {suspend("ab", "XB", true), by(root("XA")), bad},
		"suspension by the other party's node": {suspend("ab", "XB", true), by(node("XA")), bad},
		"suspension by the authority":          {suspend("ab", "XB", true), by(authority), bad},
		"resumption by root":                   {suspend("ab", "XB", false), by(root("XB")), ok},
		"resumption by node":                   {suspend("ab", "XB", false), by(node("XB")), bad},
		"resumption by both":                   {suspend("ab", "XB", false), by(root("XB"), node("XB")), bad},
		"consent by root":                      {consent("XB", "XA"), by(root("XB")), ok},
		"consent by node":                      {consent("XB", "XA"), by(node("XB")), ok},
		"consent by who is to receive":         {consent("XB", "XA"), by(node("XA")), bad},
		"consent, another's beside":            {consent("XB", "XA"), by(node("XB"), node("XA")), bad},
		"consent by the hub":                   {consent("XB", "XA"), by(hubKey), bad},
		"policy":                               {policy(digestOf("1")), by(officer1, officer2), ok},
		"policy by all keys":                   {policy(digestOf("1")), by(officer1, officer1b, officer2), ok},
		"policy by one officer":                {policy(digestOf("1")), by(officer1), bad},
		"policy by two keys of one officer":    {policy(digestOf("1")), by(officer1, officer1b), bad},
		"policy, a stranger's beside":          {policy(digestOf("1")), by(officer1, officer2, stranger), bad},
		"policy by one officer and a stranger": {policy(digestOf("1")), by(officer1, named("officer-2", "stranger")), bad},
		"policy by the authority":              {policy(digestOf("1")), by(authority), bad},
	} {
		t.Run(name, func(t *testing.T) {
			d := trial(t)
			refused(t, d, tt.want, next(t, d, tt.body, tt.by...))
		})
	}
}

// TestReferences: a statement names only what there is.
func TestReferences(t *testing.T) {
	d := trial(t)
	other := named("XE", "root of XE")
	for name, raw := range map[string][]byte{
		"node key of no member":        next(t, d, certify("XE", named("XE", "node of XE")), other),
		"roster of no task force":      next(t, d, &federation.Roster{TaskForce: "red", Members: []alert.MemberID{"XA"}}, root("XA")),
		"roster with no member":        next(t, d, roster("XA", "XE"), root("XA")),
		"agreement with no member":     next(t, d, agree("ae", "XA", "XE"), root("XA"), other),
		"suspension of no agreement":   next(t, d, suspend("ac", "XA", true), root("XA")),
		"suspension by no party of it": next(t, d, suspend("ab", "XC", true), root("XC")),
	} {
		t.Run(name, func(t *testing.T) { refused(t, d, problem.Malformed, raw) })
	}
	refused(t, d, problem.BadSignature, next(t, d, consent("XE", "XA"), other)) // judged by its signature first
	refused(t, New(authority.public), problem.Unavailable, next(t, New(authority.public), roster("XA"), root("XA")))
	refused(t, &Directory{}, problem.BadSignature, next(t, &Directory{}, registry(), authority))
}

// TestRegistryKeys: every key has one owner and one role.
func TestRegistryKeys(t *testing.T) {
	for name, tt := range map[string]struct {
		change func(*federation.Registry)
		want   problem.Kind
	}{
		"as it is":          {func(*federation.Registry) {}, ok},
		"a root is rotated": {func(r *federation.Registry) { r.Members[1].RootKeys = jwks(root("XB"), named("XB", "2")) }, ok},
		"two members with one root": {func(r *federation.Registry) {
			r.Members[1].RootKeys = jwks(named("XB", "root of XA"))
		}, problem.Malformed},
		"two officers with one key": {func(r *federation.Registry) {
			r.PolicyOfficers.Keys = jwks(officer1, named("officer-2", "officer 1"))
		}, problem.Malformed},
		"a root is the hub's": {func(r *federation.Registry) { r.Members[1].RootKeys = jwks(named("XB", "hub")) }, problem.Malformed},
		"an officer's is a root": {func(r *federation.Registry) {
			r.PolicyOfficers.Keys = jwks(officer1, named("officer-2", "root of XA"))
		}, problem.Malformed},
		"an officer is a root": {func(r *federation.Registry) { r.PolicyOfficers.Keys = jwks(officer1, root("XA")) }, problem.Malformed},
		"the hub's is the authority's": {func(r *federation.Registry) {
			r.Hub.Keys = jwks(named("hub", "authority"))
		}, problem.Malformed},
		"a root is the authority's":    {func(r *federation.Registry) { r.Members[1].RootKeys = jwks(named("XB", "authority")) }, problem.Malformed},
		"the hub's under another name": {func(r *federation.Registry) { r.Hub.Keys = jwks(named("hub-2", "hub")) }, problem.Malformed},
		"a quorum beyond the officers": {func(r *federation.Registry) { r.PolicyOfficers.Quorum = 3 }, problem.Malformed},
		"a kid of another key": {func(r *federation.Registry) {
			k := named("XB", "other").public
			r.Members[1].RootKeys = []federation.Key{federation.Key(`{"kty":"OKP","crv":"Ed25519","x":"` +
				jwkX(root("XB")) + `","kid":"` + k.KeyID() + `"}`)}
		}, problem.Malformed},
		"a key of small order": {func(r *federation.Registry) {
			r.Members[1].RootKeys = []federation.Key{federation.Key(`{"kty":"OKP","crv":"Ed25519","x":"AQAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA","kid":"` +
				root("XB").public.KeyID() + `"}`)}
		}, problem.Malformed},
	} {
		t.Run(name, func(t *testing.T) {
			r := registry()
			tt.change(r)
			for _, d := range []*Directory{New(authority.public), trial(t)} {
				refused(t, d, tt.want, next(t, d, r, authority))
			}
		})
	}
}

// TestNodeKeyRoles: a key that the registry names is no node key, whichever
// came first, and a later role takes the earlier one away.
func TestNodeKeyRoles(t *testing.T) {
	d := trial(t)
	for _, k := range []fixedKey{root("XA"), named("XA", "root of XB"), named("XA", "hub"), named("XA", "officer 1"), named("XA", "authority")} {
		refused(t, d, problem.Malformed, next(t, d, certify("XA", k), root("XA")))
	}
	token := issue(t, node("XA"), small("XA"))
	if _, err := d.VerifyAlert(token); err != nil {
		t.Fatal(err)
	}
	r := registry()
	r.Members[0].RootKeys = jwks(root("XA"), node("XA"))
	d = with(t, d, r, authority)
	if _, err := d.VerifyAlert(token); outcome(err) != "bad-signature" {
		t.Errorf("an alert by a root: %v", err)
	}
	gone := certify("XA", node("XA"))
	gone.Revoked = today
	with(t, d, gone, root("XA")) // revoking is possible nevertheless
}

// TestForeignKeyID: a signature under the id of a key that another has.
func TestForeignKeyID(t *testing.T) {
	d := trial(t)
	liar := fixedKey{private: stranger.private, public: root("XB").public}
	refused(t, d, problem.BadSignature, next(t, d, suspend("ab", "XB", true), liar))
	body := certify("XB", node("XC"))
	if _, err := federation.NewStatement(federation.TypeNodeKey, body, 1, "", today); err == nil {
		t.Error("a kid of another member")
	}
	// Nor is the same key another's under a name of its own.
	refused(t, d, problem.Malformed, next(t, d, certify("XB", named("XB", "node of XC")), root("XB")))
	if _, err := d.VerifyAlert(issue(t, named("XB", "node of XC"), small("XC"))); outcome(err) != "bad-signature" {
		t.Errorf("XB for XC: %v", err)
	}
}

// TestNodeKeyWindow: from nbf on, before exp, before revoked.
func TestNodeKeyWindow(t *testing.T) {
	k := node("XA")
	d := with(t, New(authority.public), registry(), authority)
	c := certify("XA", k)
	c.NotBefore, c.NotAfter = today-100, today-50
	d = with(t, d, c, root("XA"))
	revoked := *c
	revoked.Revoked = today - 70
	dr := with(t, d, &revoked, root("XA"))
	for _, tt := range []struct {
		d    *Directory
		at   int64
		want problem.Kind
	}{
		{d, today - 101, problem.BadSignature}, {d, today - 100, ok}, {d, today - 51, ok}, {d, today - 50, problem.BadSignature},
		{dr, today - 101, problem.BadSignature}, {dr, today - 100, ok}, {dr, today - 71, ok}, {dr, today - 70, problem.BadSignature}, {dr, today - 69, problem.BadSignature},
	} {
		refused(t, tt.d, tt.want, nextAt(t, tt.d, tt.at, consent("XA", "XB"), k))
		a := small("XA")
		a.IssuedAt, a.Expires = tt.at, tt.at+day
		if _, err := tt.d.VerifyAlert(issue(t, k, a)); outcome(err) != string(tt.want) {
			t.Errorf("alert at %d: %v, want %s", tt.at-today, err, tt.want)
		}
		if _, err := tt.d.NodeKey("XA", tt.at)(k.public.KeyID()); (err == nil) != (tt.want == ok) {
			t.Errorf("key at %d: %v", tt.at-today, err)
		}
		if _, err := tt.d.NodeKey("XB", tt.at)(k.public.KeyID()); err == nil {
			t.Error("a key of another member")
		}
	}
}

// TestBackdated. Vulnerability: iat is the signer's own word. Attack: with a
// stolen key, mallory dates a consent before the key's revocation, or expiry.
// Guarantee: what comes after a key's end is known does not count.
func TestBackdated(t *testing.T) {
	d := trial(t)
	d = with(t, d, consent("XA", "XB"), node("XA"))
	before := next(t, d, consent("XA", "XB", "XC"), node("XA"))
	withdrawn := withAt(t, d, today-day, consent("XA"), node("XA"))

	revoked := certify("XA", node("XA"))
	revoked.Revoked = today - day
	gone := withAt(t, withdrawn, today, revoked, root("XA"))
	mallory := nextAt(t, gone, today-2*day, consent("XA", "federation"), node("XA"))
	refused(t, gone, problem.BadSignature, mallory)
	refused(t, withdrawn, ok, mallory) // before it was known
	refused(t, gone, ok, nextAt(t, gone, today-2*day, consent("XA", "federation"), root("XA")))
	refused(t, gone, problem.BadSignature, before)

	short := certify("XB", named("XB", "short"))
	short.NotAfter = today - 2*day
	e := with(t, trial(t), short, root("XB"))
	late := nextAt(t, e, today-3*day, suspend("ab", "XB", true), named("XB", "short"))
	refused(t, e, ok, late)
	e = withAt(t, e, today-day, roster("XB"), root("XA"))
	refused(t, e, problem.BadSignature, late)

	// In the order in which it came in, all of it still verifies.
	if _, err := gone.With(now, mustHead(t, withdrawn, federation.TypeConsent, "XA/"+alertID).Raw); err != nil {
		t.Error(err)
	}
}

func mustHead(t testing.TB, d *Directory, typ federation.StatementType, subject string) Statement {
	t.Helper()
	s, ok := d.Head(typ, subject)
	if !ok {
		t.Fatalf("no %s %s", typ, subject)
	}
	return s
}

// jwkX is the x of a key's JWK.
func jwkX(k fixedKey) string {
	var m map[string]string
	unmarshal(jwk(k), &m)
	return m["x"]
}

// TestForgersLearnNothing. Vulnerability: a refusal that tells of the chain tells that
// there is one. Attack: a member signs consents and emergencies of others, to learn
// from the refusals which alerts they have released, and to whom. Guarantee: the
// refusal is the same to the letter, whatever there is.
func TestForgersLearnNothing(t *testing.T) {
	none := bothOnDuty(t)
	some := withToday(t, withToday(t, none, consent("XA", "XB"), root("XA")), emergency(), duty1, duty2)
	some = withToday(t, some, consent("XA"), root("XA"))
	stranger := emergency()
	stranger.Members = []alert.MemberID{"XE"}
	later := numbered(2)
	later.ValidFrom += 3600
	later.ValidUntil += 3600
	for name, body := range map[string]federation.Body{"consent": consent("XA", "XC"), "emergency": emergency(), "its end": over(emergency()),
		"the next": numbered(2), "a far number": numbered(5000), "of a stranger": stranger, "for later": later} {
		for _, by := range [][]fixedKey{{node("XC")}, {root("XC")}, {dutyOfB, dutyTwo}, {officer1, officer2}, {hubKey}} {
			for _, at := range []struct {
				rev  int64
				prev string
			}{{1, ""}, {2, digestOf("guess")}, {3, digestOf("guess")}, {1 << 40, digestOf("guess")}} {
				if e, ok := body.(*federation.Emergency); ok && (e.Over != (at.rev == 2) || at.rev > 2) {
					continue // has not the form of one
				}
				raw := sign(t, body, at.rev, at.prev, today, by...)
				for what, judge := range map[string]func(*Directory) error{
					"Verify":  func(d *Directory) error { _, err := d.Verify(now, raw); return err },
					"Propose": func(d *Directory) error { _, _, err := d.Propose(now, raw); return err },
				} {
					a, b := judge(none), judge(some)
					if outcome(a) != "bad-signature" || outcome(b) != "bad-signature" || a.Error() != b.Error() {
						t.Errorf("%s, %s of revision %d: %v where there is nothing, else %v", what, name, at.rev, a, b)
					}
				}
			}
		}
	}
}
