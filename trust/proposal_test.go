package trust

import (
	"bytes"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/entente-hub/entente/api/alert"
	"github.com/entente-hub/entente/api/federation"
	"github.com/entente-hub/entente/api/problem"
	"github.com/entente-hub/entente/crypto/keys"
)

var (
	duty1 = named("XA.duty-one", "first duty officer of XA")
	duty2 = named("XA.duty-two", "second duty officer of XA")
)

// onDuty is the trial federation with duty officers of XA.
func onDuty(t testing.TB) *Directory {
	t.Helper()
	b := &federation.DutyOfficers{Member: "XA", Officers: jwks(duty1, duty2)}
	d, err := trial(t).With(now, signAs(t, federation.TypeDuty, b, 1, "", root("XA")))
	if err != nil {
		t.Fatal(err)
	}
	return d
}

func emergency() *federation.Emergency {
	return &federation.Emergency{Originator: "XA", Alert: alertID, Number: 1, Threat: "threat", Duty: "duty", Members: []alert.MemberID{"XB"},
		Compartments: []alert.TaskForceID{"blue"}, ValidFrom: today, ValidUntil: today + 3600}
}

// signAs signs a statement of any type.
func signAs(t testing.TB, typ federation.StatementType, b federation.Body, rev int64, prev string, by ...fixedKey) []byte {
	t.Helper()
	payload, err := federation.NewStatement(typ, b, rev, prev, today)
	if err != nil {
		t.Fatal(err)
	}
	raw, err := keys.SignGeneral(t.Context(), signers(by), federation.StatementJWSType, payload)
	if err != nil {
		t.Fatal(err)
	}
	return raw
}

// TestPropose: a proposal passes with the signatures that are there and tells
// whose are missing; one by anybody else spoils it, and so does a place in the
// chain that is not the next.
func TestPropose(t *testing.T) {
	d := onDuty(t)
	by := func(list ...fixedKey) []fixedKey { return list }
	head := mustHead(t, d, federation.TypeAgreement, "ab")
	three := []fixedKey{officer1, officer2}
	for name, tt := range map[string]struct {
		typ     federation.StatementType
		body    federation.Body
		rev     int64
		prev    string
		by      []fixedKey
		want    problem.Kind
		missing []string
	}{
		"one of two parties":          {federation.TypeAgreement, agree("bc", "XB", "XC"), 1, "", by(root("XB")), ok, []string{"XC"}},
		"one of three parties":        {federation.TypeAgreement, agree("bcd", "XB", "XC", "XD"), 1, "", by(root("XC")), ok, []string{"XB", "XD"}},
		"all parties":                 {federation.TypeAgreement, agree("bc", "XB", "XC"), 1, "", by(root("XB"), root("XC")), ok, nil},
		"a stranger's beside":         {federation.TypeAgreement, agree("bc", "XB", "XC"), 1, "", by(root("XB"), stranger), problem.BadSignature, nil},
		"a third's alone":             {federation.TypeAgreement, agree("bc", "XB", "XC"), 1, "", by(root("XD")), problem.BadSignature, nil},
		"a party's node":              {federation.TypeAgreement, agree("bc", "XB", "XC"), 1, "", by(node("XB")), problem.BadSignature, nil},
		"an unknown party":            {federation.TypeAgreement, agree("bz", "XB", "XZ"), 1, "", by(root("XB")), problem.Malformed, nil},
		"an amendment":                {federation.TypeAgreement, agree("ab", "XA", "XB", "XC"), 2, head.Digest, by(root("XA")), ok, []string{"XB", "XC"}},
		"who leaves signs too":        {federation.TypeAgreement, agree("ab", "XA", "XC"), 2, head.Digest, by(root("XA")), ok, []string{"XB", "XC"}},
		"an amendment of nothing":     {federation.TypeAgreement, agree("bc", "XB", "XC"), 2, head.Digest, by(root("XB")), problem.Fork, nil},
		"a version passed over":       {federation.TypeAgreement, agree("ab", "XA", "XB", "XC"), 3, head.Digest, by(root("XA")), problem.Fork, nil},
		"a version that is replaced":  {federation.TypeAgreement, agree("ab", "XA", "XC"), 1, "", by(root("XA")), problem.Conflict, nil},
		"one officer":                 {federation.TypePolicy, policy(digestOf("1")), 1, "", by(officer1), ok, []string{"1 more policy officer"}},
		"two keys of one officer":     {federation.TypePolicy, policy(digestOf("1")), 1, "", by(officer1, officer1b), ok, []string{"1 more policy officer"}},
		"two officers":                {federation.TypePolicy, policy(digestOf("1")), 1, "", three, ok, nil},
		"one duty officer":            {federation.TypeEmergency, emergency(), 1, "", by(duty1), ok, []string{"1 more duty officer of XA"}},
		"two duty officers":           {federation.TypeEmergency, emergency(), 1, "", by(duty1, duty2), ok, nil},
		"an emergency by the root":    {federation.TypeEmergency, emergency(), 1, "", by(root("XA")), problem.BadSignature, nil},
		"a roster, which is one's":    {federation.TypeRoster, roster("XB"), 2, mustHead(t, d, federation.TypeRoster, "blue").Digest, by(root("XA")), ok, nil},
		"a suspension by the partner": {federation.TypeSuspension, suspend("ab", "XA", true), 1, "", by(root("XB")), problem.BadSignature, nil},
	} {
		t.Run(name, func(t *testing.T) {
			raw := signAs(t, tt.typ, tt.body, tt.rev, tt.prev, tt.by...)
			s, missing, err := d.Propose(now, raw)
			if outcome(err) != string(tt.want) {
				t.Fatalf("%v, want %s", err, tt.want)
			}
			if err != nil {
				if s.Raw != nil || missing != nil {
					t.Errorf("a refusal with %v, %v", s, missing)
				}
				refused(t, d, tt.want, raw)
				return
			}
			if diff := cmp.Diff(tt.missing, slices.Clip(missing)); diff != "" && len(tt.missing)+len(missing) > 0 {
				t.Error(diff)
			}
			if !bytes.Equal(s.Raw, raw) || s.Digest != peekDigest(t, raw) {
				t.Error("another statement is returned")
			}
			want := ok
			if len(missing) > 0 {
				want = problem.BadSignature
			}
			refused(t, d, want, raw) // Verify passes exactly when nothing is missing
			kids, err := Signers(raw)
			if err != nil || len(kids) != len(tt.by) {
				t.Errorf("signed by %v, %v", kids, err)
			}
		})
	}
}

// TestProposeLast: what is incomplete and dated in the future is both; Verify names
// the signatures first, for only what is genuine may make its reader wait.
func TestProposeLast(t *testing.T) {
	d := trial(t)
	later := today + int64(alert.MaxSkew/time.Second) + 1
	raw := nextAt(t, d, later, agree("bc", "XB", "XC"), root("XB"))
	if _, _, err := d.Propose(now, raw); problem.KindOf(err) != problem.NotYetValid {
		t.Error(err)
	}
	refused(t, d, problem.BadSignature, raw)
	held := mustHead(t, d, federation.TypeAgreement, "ab").Raw
	if _, missing, err := d.Propose(now, held); err != nil || missing != nil {
		t.Errorf("what is held: %v, %v", missing, err)
	}
}

// TestMerge: signatures given apart make the statement that all have signed at
// once, whatever the order; nothing else is joined.
func TestMerge(t *testing.T) {
	d := trial(t)
	body := agree("bcd", "XB", "XC", "XD")
	b, c, e := next(t, d, body, root("XB")), next(t, d, body, root("XC")), next(t, d, body, root("XD"))
	all := next(t, d, body, root("XB"), root("XC"), root("XD"))
	merge := func(a, b []byte) []byte {
		t.Helper()
		raw, err := Merge(a, b)
		if err != nil {
			t.Fatal(err)
		}
		return raw
	}
	for _, got := range [][]byte{merge(merge(b, c), e), merge(e, merge(c, b)), merge(merge(b, c), merge(c, e)), merge(all, b)} {
		if !bytes.Equal(got, all) {
			t.Errorf("%s", got)
		}
	}
	for name, tt := range map[string]struct {
		a, b []byte
		want problem.Kind
	}{
		"another statement": {b, next(t, d, agree("bc", "XB", "XC"), root("XC")), problem.Conflict},
		"not a statement":   {b, []byte("{"), problem.Malformed},
		"not canonical":     {b, append([]byte(" "), b...), problem.Malformed},
		"nothing":           {nil, b, problem.Malformed},
		"too large":         {b, make([]byte, federation.MaxStatement+1), problem.TooLarge},
	} {
		for _, pair := range [][2][]byte{{tt.a, tt.b}, {tt.b, tt.a}} {
			if raw, err := Merge(pair[0], pair[1]); outcome(err) != string(tt.want) || raw != nil {
				t.Errorf("%s: %v, want %s", name, err, tt.want)
			}
		}
	}
}

// TestStands: an agreement stands as World counts it.
func TestStands(t *testing.T) {
	d := trial(t)
	both := with(t, with(t, d, suspend("ab", "XB", true), node("XB")), suspend("ab", "XA", true), root("XA"))
	one := with(t, both, suspend("ab", "XA", false), root("XA"))
	for name, tt := range map[string]struct {
		d    *Directory
		at   int64
		want Standing
		by   int
	}{
		"before": {d, founded - 1, NotYetValid, 0}, "first": {d, founded, InForce, 0},
		"last": {d, founded + 365*day - 1, InForce, 0}, "after": {d, founded + 365*day, Expired, 0},
		"by two": {both, today, Suspended, 2}, "by one still": {one, today, Suspended, 1},
		"suspended and expired": {one, founded + 365*day, Suspended, 1},
		"resumed by all":        {with(t, one, suspend("ab", "XB", false), root("XB")), today, InForce, 0},
	} {
		at := time.Unix(tt.at, 0)
		got, by := tt.d.Stands("ab", at)
		if got != tt.want || len(by) != tt.by {
			t.Errorf("%s: %s by %d, want %s by %d", name, got, len(by), tt.want, tt.by)
		}
		if counted := len(tt.d.World(at).Agreements) == 1; counted != (got == InForce) {
			t.Errorf("%s: %s, and the world counts it: %t", name, got, counted)
		}
	}
	if heads := d.Heads(federation.TypeNodeKey); len(heads) != 4 || heads[0].Subject >= heads[1].Subject {
		t.Errorf("%d heads, in order of %s", len(heads), heads[0].Subject)
	}
}

// FuzzMerge: whatever is joined says what both said, has the signatures of both
// and no others, and joined again does not change.
func FuzzMerge(f *testing.F) {
	d := trial(f)
	body := agree("bcd", "XB", "XC", "XD")
	b, c := next(f, d, body, root("XB")), next(f, d, body, root("XC"))
	f.Add(b, c)
	f.Add(c, next(f, d, body, root("XB"), root("XD")))
	f.Add(b, next(f, d, agree("bc", "XB", "XC"), root("XC")))
	f.Add(b, next(f, d, body, stranger))
	f.Fuzz(func(t *testing.T, a, b []byte) {
		raw, err := Merge(a, b)
		if err != nil {
			if kind := problem.KindOf(err); kind != problem.Malformed && kind != problem.TooLarge && kind != problem.Conflict {
				t.Fatal(err)
			}
			return
		}
		if peekDigest(t, raw) != peekDigest(t, a) {
			t.Fatal("it says something else")
		}
		of := func(raw []byte) []string {
			kids, err := Signers(raw)
			if err != nil {
				t.Fatal(err)
			}
			return kids
		}
		want := append(of(a), of(b)...)
		slices.Sort(want)
		if diff := cmp.Diff(slices.Compact(want), of(raw)); diff != "" {
			t.Fatal(diff)
		}
		for _, part := range [][]byte{a, b, raw} {
			if again, err := Merge(raw, part); err != nil || !bytes.Equal(again, raw) {
				t.Fatalf("joined again: %v", err)
			}
		}
	})
}

// FuzzPropose: what passes is signed by keys that may sign it, and by nobody else.
func FuzzPropose(f *testing.F) {
	d := onDuty(f)
	for _, raw := range [][]byte{next(f, d, agree("bc", "XB", "XC"), root("XB")), next(f, d, policy(digestOf("1")), officer1),
		next(f, d, agree("bc", "XB", "XC"), root("XB"), stranger), signAs(f, federation.TypeEmergency, emergency(), 1, "", duty1),
		next(f, d, roster("XB"), root("XA"))} {
		f.Add(raw)
	}
	known := []fixedKey{root("XA"), root("XB"), officer1, duty1}
	f.Fuzz(func(t *testing.T, raw []byte) {
		s, missing, err := d.Propose(now, raw)
		_, verifyErr := d.Verify(now, raw)
		if (err == nil && len(missing) == 0) != (verifyErr == nil) {
			t.Fatalf("Propose: %v %v, Verify: %v", missing, err, verifyErr)
		}
		if err != nil {
			return
		}
		kids, err := Signers(raw)
		if err != nil {
			t.Fatal(err)
		}
		for _, kid := range kids {
			if !d.Holds(s.Digest) && !slices.ContainsFunc(known, func(k fixedKey) bool { return k.public.KeyID() == kid }) {
				t.Fatalf("%s has not signed this", kid)
			}
		}
	})
}
