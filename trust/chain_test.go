package trust

import (
	"bytes"
	"encoding/json"
	"testing"
	"time"

	"github.com/entente-hub/entente/api/alert"
	"github.com/entente-hub/entente/api/federation"
	"github.com/entente-hub/entente/api/problem"
	"github.com/entente-hub/entente/crypto/keys"
)

func unmarshal(data []byte, v any) {
	if err := json.Unmarshal(data, v); err != nil {
		panic(err)
	}
}

// TestChain: exactly the successor of the head.
func TestChain(t *testing.T) {
	d := trial(t)
	first := mustHead(t, d, federation.TypeRoster, "blue")
	d = with(t, d, roster("XA"), root("XA"))
	head := mustHead(t, d, federation.TypeRoster, "blue")
	for name, tt := range map[string]struct {
		rev  int64
		prev string
		want problem.Kind
	}{
		"successor":                {3, head.Digest, ok},
		"another first":            {1, "", problem.Conflict},
		"another head":             {2, first.Digest, problem.Conflict},
		"a gap":                    {4, head.Digest, problem.Fork},
		"a far gap":                {1 << 62, head.Digest, problem.Fork},
		"a fork":                   {3, first.Digest, problem.Fork},
		"of another chain":         {3, mustHead(t, d, federation.TypeAgreement, "ab").Digest, problem.Fork},
		"after what never existed": {3, digestOf("nothing"), problem.Fork},
	} {
		t.Run(name, func(t *testing.T) {
			refused(t, d, tt.want, sign(t, roster("XB"), tt.rev, tt.prev, today, root("XA")))
		})
	}
	refused(t, d, problem.Fork, sign(t, agree("bc", "XB", "XC"), 2, first.Digest, today, root("XB"), root("XC")))
}

// TestRollback: what was superseded passes, as it was taken in, and changes
// nothing.
func TestRollback(t *testing.T) {
	old := trial(t)
	d := with(t, old, roster("XA"), root("XA"))
	first := mustHead(t, old, federation.TypeRoster, "blue")
	if !d.Holds(first.Digest) || d.Holds(digestOf("nothing")) || (&Directory{}).Holds(first.Digest) {
		t.Error("Holds")
	}
	if _, err := d.Verify(now, first.Raw); err != nil {
		t.Error(err)
	}
	again, err := d.With(now, first.Raw, first.Raw)
	if err != nil || again.World(now).Revision != d.World(now).Revision {
		t.Errorf("rolled back: %v", err)
	}
	if old.World(now).Revision == d.World(now).Revision {
		t.Error("With changed what it was called on")
	}
}

// TestHeldUnderOtherSignatures. Vulnerability: a payload that is held passes.
// Attack: the hub relays it with signatures that nobody made, and a node stores
// those. Guarantee: other bytes are judged like any statement.
func TestHeldUnderOtherSignatures(t *testing.T) {
	d := trial(t)
	d = with(t, d, policy(digestOf("1")), officer1, officer2)
	head := mustHead(t, d, federation.TypePolicy, "release")
	resigned := func(by ...fixedKey) []byte {
		return sign(t, policy(digestOf("1")), 1, "", head.IssuedAt, by...)
	}
	refused(t, d, ok, resigned(officer1, officer2))
	refused(t, d, ok, resigned(officer1, officer1b, officer2))
	refused(t, d, problem.BadSignature, resigned(officer1))
	refused(t, d, problem.BadSignature, resigned(stranger))
	refused(t, d, problem.BadSignature, bytes.Replace(head.Raw, []byte(`"signature":"`), []byte(`"signature":"AAAA`), 1))
	refused(t, d, problem.BadSignature, bytes.Replace(head.Raw, []byte(`"signatures":[`), []byte(`"signatures": [`), 1))
	n, err := d.With(now, resigned(officer1, officer1b, officer2))
	if err != nil || !bytes.Equal(mustHead(t, n, federation.TypePolicy, "release").Raw, head.Raw) {
		t.Errorf("the head was replaced: %v", err)
	}
	next := policy(digestOf("2"))
	next.Bundle = 2
	later := with(t, d, next, officer1, officer2)
	refused(t, later, problem.Conflict, resigned(officer2, officer1b))
	if later.PolicyDigest("release") != digestOf("2") || later.PolicyDigest("other") != "" {
		t.Error("policy digest")
	}
}

func TestRegistryOfAnother(t *testing.T) {
	d := trial(t)
	r := registry()
	r.Federation = "other"
	refused(t, d, problem.Fork, sign(t, r, 1, "", today, authority))
	head := mustHead(t, d, federation.TypeRegistry, "trial")
	refused(t, d, problem.Fork, sign(t, r, 2, head.Digest, today, authority))
}

// TestFuture: up to the skew that clocks may have.
func TestFuture(t *testing.T) {
	d := trial(t)
	skew := int64(alert.MaxSkew / time.Second)
	refused(t, d, ok, nextAt(t, d, today+skew, roster("XB"), root("XA")))
	refused(t, d, problem.NotYetValid, nextAt(t, d, today+skew+1, roster("XB"), root("XA")))
}

// TestTypesApart: what was signed as one thing is not taken for another.
func TestTypesApart(t *testing.T) {
	d := trial(t)
	payload, err := federation.NewStatement(federation.TypeRoster, roster("XB"), 2, mustHead(t, d, federation.TypeRoster, "blue").Digest, today)
	if err != nil {
		t.Fatal(err)
	}
	for typ, want := range map[string]problem.Kind{
		federation.StatementJWSType: ok, alert.Type: problem.BadSignature, "ENTENTE-statement+json": problem.BadSignature,
	} {
		raw, err := keys.SignGeneral(t.Context(), []keys.Signer{root("XA")}, typ, payload)
		if err != nil {
			t.Fatal(err)
		}
		refused(t, d, want, raw)
	}
	compact, err := keys.Sign(t.Context(), root("XA"), federation.StatementJWSType, payload)
	if err != nil {
		t.Fatal(err)
	}
	refused(t, d, problem.Malformed, []byte(compact))
	refused(t, d, problem.Malformed, bytes.Replace(payload, []byte(`"type":"roster"`), []byte(`"type":"policy"`), 1))
	refused(t, d, problem.TooLarge, make([]byte, federation.MaxStatement+1))
	for _, raw := range []string{"", "{}", "null", "[]", `{"payload":"e30"}`, `{"payload":"*"}`, `{"payload":1}`} {
		refused(t, d, problem.Malformed, []byte(raw))
	}
}

// TestAllOrNothing: the first bad statement ends it, and nothing is taken in.
func TestAllOrNothing(t *testing.T) {
	d := trial(t)
	good := next(t, d, consent("XA", "XB"), root("XA"))
	bad := next(t, d, consent("XB", "XA"), root("XA"))
	if n, err := d.With(now, good, bad); err == nil || n != nil {
		t.Error("taken in")
	}
	if d.Holds(peekDigest(t, good)) {
		t.Error("the directory has changed")
	}
}

// TestKeepsItsBytes: the caller's buffer is its own again.
func TestKeepsItsBytes(t *testing.T) {
	d := trial(t)
	raw := next(t, d, consent("XA", "XB"), root("XA"))
	kept := bytes.Clone(raw)
	n, err := d.With(now, raw)
	if err != nil {
		t.Fatal(err)
	}
	clear(raw)
	if !bytes.Equal(mustHead(t, n, federation.TypeConsent, "XA/"+alertID).Raw, kept) {
		t.Error("the head's bytes have changed")
	}
}

func peekDigest(t testing.TB, raw []byte) string {
	t.Helper()
	payload, err := peek(raw)
	if err != nil {
		t.Fatal(err)
	}
	return federation.Digest(payload)
}

// TestOrderOfHistory: each statement is judged by what stood before it.
func TestOrderOfHistory(t *testing.T) {
	d := trial(t)
	rotated := registry()
	rotated.Members[0].RootKeys = jwks(root("XA"), named("XA", "second root")) // both, so that it is known for the same
	d2 := with(t, d, rotated, authority)
	rotated.Members[0].RootKeys = jwks(named("XA", "second root"))
	d2 = with(t, d2, rotated, authority)
	if _, err := d2.VerifyAlert(issue(t, node("XA"), small("XA"))); err != nil {
		t.Errorf("a node key certified by the root before: %v", err)
	}
	refused(t, d2, problem.BadSignature, next(t, d2, roster("XB"), root("XA")))
	refused(t, d2, ok, next(t, d2, roster("XB"), named("XA", "second root")))
	refused(t, d, problem.BadSignature, next(t, d, roster("XB"), named("XA", "second root")))
}
