package node_test

import (
	"encoding/json"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/entente-hub/entente/api/alert"
	"github.com/entente-hub/entente/api/feed"
	"github.com/entente-hub/entente/api/problem"
	"github.com/entente-hub/entente/crypto/keys"
	"github.com/entente-hub/entente/node"
	"github.com/entente-hub/entente/node/nodetest"
	"github.com/entente-hub/entente/node/store"
)

func objects(n int) []json.RawMessage {
	var list []json.RawMessage
	for range n {
		list = append(list, nodetest.Object())
	}
	return list
}

func TestPublish(t *testing.T) {
	h := newHouse(t)
	o := h.publish()
	must(t, h.n.OutboxStep(ctx))
	got, err := h.n.Outgoing(ctx, o.ID, 1)
	must(t, err)
	if got.State != store.Accepted || got.Receipt == "" || got.Attempts != 1 || got.Token != o.Token {
		t.Errorf("%+v", got)
	}
	if !slices.Equal(h.hub.Published, []string{o.Token}) {
		t.Errorf("%d alerts at the hub", len(h.hub.Published))
	}
	must(t, h.n.OutboxStep(ctx)) // nothing more to do
	if len(h.hub.Published) != 1 {
		t.Error("sent again")
	}
	list, err := h.n.Outbox(ctx, 10)
	must(t, err)
	if len(list) != 1 || list[0].ID != o.ID {
		t.Errorf("%+v", list)
	}
	if _, err := h.n.Outgoing(ctx, o.ID, 2); problem.KindOf(err) != problem.NotFound {
		t.Errorf("another version: %v", err)
	}
}

func TestPublishRefuses(t *testing.T) {
	h := newHouse(t)
	big := json.RawMessage(`{"type":"note","id":"note--` + strings.Repeat("0", 8) + `-0000-4000-8000-000000000000","content":"` + strings.Repeat("x", alert.MaxBytes) + `"}`)
	twice := nodetest.Object()
	good := nodetest.Plan()
	uncertified := h.Key("XA")
	for name, c := range map[string]struct {
		draft  node.Draft
		rule   refusals
		signer keys.Signer
		want   problem.Kind
		codes  []string
	}{
		"no objects":   {draft: node.Draft{Plan: good}, want: problem.Malformed},
		"no plan":      {draft: node.Draft{Objects: objects(1)}, want: problem.Malformed},
		"not STIX":     {draft: node.Draft{Objects: []json.RawMessage{json.RawMessage(`{"id":"x"}`)}, Plan: good}, want: problem.Malformed},
		"object twice": {draft: node.Draft{Objects: []json.RawMessage{twice, twice}, Plan: good}, want: problem.Malformed},
		"too large":    {draft: node.Draft{Objects: []json.RawMessage{big}, Plan: good}, want: problem.TooLarge},
		"egress": {draft: node.Draft{Objects: objects(1), Plan: good}, want: problem.EgressDenied, codes: []string{"a", "b"},
			rule: refusals{list: []node.Refusal{{"b", "no", 0}, {"a", "never", -1}, {"b", "no", 0}}}},
		"egress broken": {draft: node.Draft{Objects: objects(1), Plan: good}, want: problem.Unavailable, rule: refusals{err: errInjected}},
		"key not certified": {draft: node.Draft{Objects: objects(1), Plan: good}, want: problem.BadSignature,
			signer: uncertified},
	} {
		t.Run(name, func(t *testing.T) {
			h.rule = c.rule
			n := h.n
			if c.signer != nil {
				var err error
				n, err = node.New(ctx, node.Config{Member: "XA", HubID: nodetest.HubID, Authority: h.Authority.Public(), Signer: c.signer,
					Store: h.st, Hub: h.client("XA"), Egress: &h.rule, Log: h.n.Log})
				must(t, err)
			}
			_, err := n.Publish(ctx, c.draft)
			var p *problem.Error
			if !errors.As(err, &p) || p.Kind != c.want || !slices.Equal(p.Codes, c.codes) {
				t.Errorf("%v, want %s %v", err, c.want, c.codes)
			}
			if list, err := n.Outbox(ctx, 10); err != nil || len(list) != 0 {
				t.Errorf("stored: %v, %v", list, err)
			}
		})
	}
}

func TestPreview(t *testing.T) {
	h := newHouse(t)
	a, err := h.n.Preview(ctx, node.Draft{Objects: objects(1), Plan: nodetest.Plan()})
	must(t, err)
	want := []node.PortionAudience{{Portion: "main", Members: []node.MemberDecision{{Member: "XB", Release: feed.Content}}}}
	if d := cmp.Diff(want, a.Portions); d != "" {
		t.Error(d)
	}
	h.rule.list = []node.Refusal{{"no", "no", 0}}
	if _, err := h.n.Preview(ctx, node.Draft{Objects: objects(1), Plan: nodetest.Plan()}); problem.KindOf(err) != problem.EgressDenied {
		t.Errorf("national policy is asked first: %v", err)
	}
}

func TestPublishWithoutRegistry(t *testing.T) {
	h := newHouse(t)
	h.path += "2"
	h.open(nil)
	h.hub.Do(func() { h.hub.Down = true })
	if _, err := h.n.Publish(ctx, node.Draft{Objects: objects(1), Plan: nodetest.Plan()}); problem.KindOf(err) != problem.Unavailable {
		t.Error(err)
	}
	if h.n.Ready(ctx)["registry"] == "" {
		t.Error("ready without a registry")
	}
	h.hub.Do(func() { h.hub.Down = false })
	h.publish() // looks for the statements itself
	if missing := h.n.Ready(ctx); len(missing) != 0 {
		t.Error(missing)
	}
}

// TestHubAway: what is published while the hub is away arrives later, in order.
func TestHubAway(t *testing.T) {
	h := newHouse(t)
	h.hub.Do(func() { h.hub.Down = true })
	var want []string
	for range 5 {
		want = append(want, h.publish().Token)
		if err := h.n.OutboxStep(ctx); problem.KindOf(err) != problem.Unavailable {
			t.Fatal(err)
		}
	}
	h.reopen()
	h.hub.Do(func() { h.hub.Down = false })
	for range want {
		must(t, h.n.OutboxStep(ctx))
	}
	if !slices.Equal(h.hub.Published, want) {
		t.Error("not in the order of publishing")
	}
	list, err := h.n.Outbox(ctx, 5)
	must(t, err)
	if list[4].Attempts != 6 || list[4].State != store.Accepted || list[4].LastError != "" {
		t.Errorf("%+v", list[4])
	}
}

func TestRefusals(t *testing.T) {
	h := newHouse(t)
	for _, kind := range problem.Kinds() {
		t.Run(string(kind), func(t *testing.T) {
			refused := h.publish()
			h.hub.Do(func() {
				h.hub.Refuse = func(token string) error {
					if token != refused.Token {
						return nil
					}
					return &problem.Error{Kind: kind, Detail: "no", Codes: []string{"why"}}
				}
			})
			err := h.n.OutboxStep(ctx)
			next := h.publish()
			o, readErr := h.n.Outgoing(ctx, refused.ID, 1)
			must(t, readErr)
			switch kind {
			case problem.Malformed, problem.TooLarge, problem.BadSignature, problem.WrongMember, problem.Forbidden,
				problem.NotAdmitted, problem.EgressDenied, problem.Expired, problem.NotYetValid, problem.Conflict, problem.Fork:
				if err != nil || o.State != store.Refused || o.Problem != kind || !slices.Equal(o.Codes, []string{"why"}) {
					t.Errorf("%v, %+v", err, o)
				}
			default:
				if err == nil || o.State != store.Queued || o.LastError == "" {
					t.Errorf("%v, %+v", err, o)
				}
				h.hub.Do(func() { h.hub.Refuse = nil })
				must(t, h.n.OutboxStep(ctx))
			}
			must(t, h.n.OutboxStep(ctx))
			if o, err := h.n.Outgoing(ctx, next.ID, 1); err != nil || o.State != store.Accepted {
				t.Errorf("the one behind: %+v, %v", o, err)
			}
		})
	}
}

// TestClock: nothing is dated by a clock that differs from the hub's, once the hub
// was heard; that the hub has been silent since is no reason.
func TestClock(t *testing.T) {
	h := newHouse(t)
	must(t, h.st.Close())
	var skew time.Duration
	h.open(func(c *node.Config) { c.Now = func() time.Time { return time.Now().Add(skew) } })
	publishes := func(by time.Duration, want bool) {
		t.Helper()
		skew = by
		_, err := h.n.Publish(ctx, node.Draft{Objects: objects(1), Plan: nodetest.Plan()})
		if want && err != nil || !want && (problem.KindOf(err) != problem.Unavailable || !strings.Contains(err.Error(), "clock")) {
			t.Errorf("%s ahead: %v", by, err)
		}
	}
	const far = alert.MaxSkew + time.Minute
	publishes(far, true) // nothing is known of the hub's
	for _, at := range []time.Duration{0, far} {
		skew = at
		must(t, h.n.FeedStep(ctx))
		h.hub.Do(func() { h.hub.Down = true })
		publishes(far, false)
		publishes(-far, false)
		publishes(alert.MaxSkew-time.Minute, true)
		publishes(0, true)
		h.hub.Do(func() { h.hub.Down = false })
	}
}

func TestBadReceipts(t *testing.T) {
	h := newHouse(t)
	mallory := h.Key(string(nodetest.HubID))
	sign := func(key keys.Signer, typ string) func([]byte) (string, bool) {
		return func(payload []byte) (string, bool) {
			jws, err := keys.Sign(ctx, key, typ, payload)
			must(t, err)
			return jws, true
		}
	}
	o := h.publish()
	for name, change := range map[string]func(){
		"another key":       func() { h.hub.ReceiptAs = sign(mallory, feed.ReceiptType) },
		"a member's key":    func() { h.hub.ReceiptAs = sign(h.Node["XB"], feed.ReceiptType) },
		"another type":      func() { h.hub.ReceiptAs = sign(h.HubKey, feed.HeadType) },
		"no JWS":            func() { h.hub.ReceiptAs = func([]byte) (string, bool) { return "x", true } },
		"another hub":       func() { h.hub.Receipt = func(r *feed.Receipt) { r.Issuer = "hub-two" } },
		"for another":       func() { h.hub.Receipt = func(r *feed.Receipt) { r.Originator = "XB" } },
		"another alert":     func() { h.hub.Receipt = func(r *feed.Receipt) { r.Alert = h.Payload("XA").Subject } },
		"another version":   func() { h.hub.Receipt = func(r *feed.Receipt) { r.Version = 2 } },
		"for other bytes":   func() { h.hub.Receipt = func(r *feed.Receipt) { r.Digest = feed.ChainStart("XA") } },
		"without a digest":  func() { h.hub.Receipt = func(r *feed.Receipt) { r.Digest = "" } },
		"for nobody at all": func() { h.hub.Receipt = func(r *feed.Receipt) { r.Originator = "" } },
	} {
		h.hub.Do(func() {
			h.hub.Receipt, h.hub.ReceiptAs = nil, nil
			change()
		})
		if err := h.n.OutboxStep(ctx); err == nil {
			t.Errorf("%s: accepted", name)
		}
		got, err := h.n.Outgoing(ctx, o.ID, 1)
		must(t, err)
		if got.State != store.Queued || !strings.Contains(got.LastError, "receipt") {
			t.Errorf("%s: %+v", name, got)
		}
	}
	h.hub.Do(func() { h.hub.Receipt, h.hub.ReceiptAs = nil, nil })
	must(t, h.n.OutboxStep(ctx))
}

// TestRotatedHubKey: a receipt by a key that a newer registry brings in.
func TestRotatedHubKey(t *testing.T) {
	h := newHouse(t)
	second := h.Key(string(nodetest.HubID))
	registry := h.Registry(2, digestOfStatement(t, h.Statements[0]), h.HubKey, second)
	h.publish()
	h.hub.Do(func() {
		h.hub.Statements = append(h.hub.Statements, registry)
		h.hub.ReceiptAs = func(p []byte) (string, bool) {
			jws, err := keys.Sign(ctx, second, feed.ReceiptType, p)
			must(t, err)
			return jws, true
		}
	})
	must(t, h.n.OutboxStep(ctx))
}

// TestCrashWhileSettling: the hub has the alert, the outbox does not know it. The
// same bytes are sent again, whose receipt is the same.
func TestCrashWhileSettling(t *testing.T) {
	for _, w := range []when{before, after} {
		h := newHouse(t)
		o := h.publish()
		h.st.failSettle = w
		if err := h.n.OutboxStep(ctx); !errors.Is(err, errInjected) {
			t.Fatal(err)
		}
		h.reopen()
		must(t, h.n.OutboxStep(ctx))
		got, err := h.n.Outgoing(ctx, o.ID, 1)
		must(t, err)
		if got.State != store.Accepted {
			t.Errorf("%+v", got)
		}
		for _, token := range h.hub.Published {
			if token != o.Token {
				t.Error("other bytes were sent")
			}
		}
	}
}

func TestBackoff(t *testing.T) {
	for attempt := range 200 {
		want := min(time.Second<<min(max(attempt-1, 0), 20), 2*time.Minute)
		if got := node.Backoff(attempt); got > want || got < want/2 {
			t.Errorf("attempt %d: %v, want %v to %v", attempt, got, want/2, want)
		}
	}
}

// A clock that is behind from the start makes every head look dated in the
// future; what the hub's signature says of the time is learned all the same.
func TestClockBehindFromTheStart(t *testing.T) {
	h := newHouse(t)
	must(t, h.st.Close())
	h.open(func(c *node.Config) {
		c.Now = func() time.Time { return time.Now().Add(-alert.MaxSkew - time.Minute) }
	})
	if err := h.n.FeedStep(ctx); !errors.Is(err, node.ErrPage) {
		t.Fatal(err)
	}
	_, err := h.n.Publish(ctx, node.Draft{Objects: objects(1), Plan: nodetest.Plan()})
	if problem.KindOf(err) != problem.Unavailable || !strings.Contains(err.Error(), "clock") {
		t.Error(err)
	}
}
