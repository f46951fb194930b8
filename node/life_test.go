package node_test

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"maps"
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
	"github.com/entente-hub/entente/node/store"
)

// receipts returns what XA has signed to have erased, as "version cause portions".
func (h *house) receipts() []string {
	h.t.Helper()
	var list []string
	for _, jws := range h.hub.Purges {
		p, err := h.hub.ReadPurge("XA", jws)
		must(h.t, err)
		list = append(list, fmt.Sprint(p.Version, " ", p.Cause, " ", p.Portions))
	}
	slices.Sort(list)
	return list
}

// send sends all that waits to be acknowledged, and all receipts.
func (h *house) send() {
	h.t.Helper()
	must(h.t, h.n.AcksStep(ctx))
	must(h.t, h.n.AcksStep(ctx))
}

// sweepAll sweeps until there is no more to do.
func (h *house) sweepAll() (turns int) {
	h.t.Helper()
	for more := true; more; turns++ {
		var err error
		more, err = h.n.SweepStep(ctx)
		must(h.t, err)
	}
	return turns
}

// TestRecall: what is recalled to be purged is gone with the page that says so, the text
// that was signed and the reason stay, and the receipt goes out.
func TestRecall(t *testing.T) {
	h := newHouse(t)
	first := h.Issue(h.Payload("XB"), 3, h.Node["XB"])
	h.again(first, feed.Content, feed.Existence, feed.None)
	must(t, h.n.FeedStep(ctx))
	h.hub.Hand("XA", h.Notice(h.Recall(first, alert.Purge, h.Node["XB"])))
	must(t, h.n.FeedStep(ctx))
	h.holds(2, 2, 2)
	list, err := h.n.Inbox(ctx, 0, 10)
	must(t, err)
	if len(list) != 2 {
		t.Fatalf("%d versions", len(list))
	}
	for i, r := range list {
		if r.Fault != nil || len(r.Alert.Portions)+len(r.Delivery.Releases) > 0 || r.Recall == nil || r.Recall.Reason != "it was wrong" ||
			strings.Count(r.Delivery.Alert, "~") != 1 || r.Banner != "NO CONTENT HELD" {
			t.Errorf("%d: %+v", i, r)
		}
	}
	old, last := list[0], list[1]
	if old.Superseded != 2 || len(old.Purged) != 1 || old.Purged[0].Cause != feed.Recalled || !slices.Equal(old.Purged[0].Portions, []alert.PortionID{"p0", "p1"}) ||
		last.Superseded != 0 || len(last.Purged) != 0 || last.Alert.Recall == nil {
		t.Errorf("%+v, %+v", old, last)
	}
	h.send()
	if d := cmp.Diff([]string{"1 recalled [p0 p1]"}, h.receipts()); d != "" {
		t.Error(d)
	}
	if s, err := h.n.Status(ctx); err != nil || s.Counts.Purges != 0 || s.Counts.Acks != 0 {
		t.Errorf("%+v, %v", s.Counts, err)
	}
}

// TestReceiptBytes: the bytes that a receipt signs, said once more.
func TestReceiptBytes(t *testing.T) {
	h := newHouse(t)
	at := time.Now().Truncate(time.Second)
	h.Now = func() time.Time { return at }
	must(t, h.st.Close())
	h.open(func(c *node.Config) { c.Now = h.Now })
	first := h.Issue(h.Payload("XB"), 2, h.Node["XB"])
	h.again(first, feed.Content, feed.Content)
	h.hub.Hand("XA", h.Notice(h.Recall(first, alert.Purge, h.Node["XB"])))
	must(t, h.n.FeedStep(ctx))
	h.send()
	r, err := h.n.Show(ctx, "XB", h.hubAlert(first), 1)
	must(t, err)
	parts := strings.Split(h.hub.Purges[0], ".")
	header, err := base64.RawURLEncoding.DecodeString(parts[0])
	must(t, err)
	payload, err := base64.RawURLEncoding.DecodeString(parts[1])
	must(t, err)
	if want := `{"alg":"EdDSA","kid":"` + h.Node["XA"].Public().KeyID() + `","typ":"entente-purge+jwt"}`; string(header) != want {
		t.Errorf("%s, want %s", header, want)
	}
	if want := `{"iss":"XA","aud":"hub-one","orig":"XB","sub":"` + string(r.Alert.Subject) + `","ver":1,"digest":"` + r.Alert.SignedDigest +
		`","cause":"recalled","portions":["p0","p1"],"iat":` + fmt.Sprint(at.Unix()) + `}`; string(payload) != want {
		t.Errorf("%s, want %s", payload, want)
	}
}

// hubAlert is the id of an alert.
func (h *house) hubAlert(token string) alert.ID { return h.Next(token).Subject }

// TestCeaseUse: what must not be used any more is given to nobody, and kept until its
// time; then it is erased.
func TestCeaseUse(t *testing.T) {
	l := newLife(t, 1)
	first := l.Issue(l.Payload("XB"), 2, l.Node["XB"])
	l.again(first, feed.Content, feed.Content)
	l.hub.Hand("XA", l.Notice(l.Recall(first, alert.CeaseUse, l.Node["XB"])))
	must(t, l.n.FeedStep(ctx))
	shown := func(purged int) {
		t.Helper()
		r, err := l.n.Show(ctx, "XB", l.hubAlert(first), 1)
		must(t, err)
		if len(r.Alert.Portions) != 0 || r.Recall == nil || r.Recall.Mode != alert.CeaseUse || len(r.Purged) != purged {
			t.Errorf("%+v", r)
		}
	}
	shown(0)
	l.sweepAll()
	shown(0)
	l.send()
	if len(l.hub.Purges) != 0 {
		t.Errorf("%v", l.receipts())
	}
	l.now = l.now.Add(2 * time.Hour)
	must(t, l.n.FeedStep(ctx))
	l.sweepAll()
	shown(1)
	l.send()
	if d := cmp.Diff([]string{"1 ended [p0 p1]"}, l.receipts()); d != "" {
		t.Error(d)
	}
}

// TestUsersAndEnds: a user who may read a portion reads that it is not to be used, and of
// a later version only if it has something of that; what was erased is the focal point's
// to know.
func TestUsersAndEnds(t *testing.T) {
	rules := &counter{ben: map[alert.PortionID]bool{"p0": true}}
	h := guarded(t, rules)
	sees := func(token string, v int, r node.Reader) *node.Received {
		t.Helper()
		out, err := h.n.ShowTo(ctx, r, "XB", h.hubAlert(token), v)
		if problem.KindOf(err) == problem.NotFound {
			return nil
		}
		must(t, err)
		return out
	}
	first := h.Issue(h.Payload("XB"), 2, h.Node["XB"])
	h.again(first, feed.Content, feed.Content)
	second := h.Issue(h.Next(first), 2, h.Node["XB"])
	h.again(second, feed.Content, feed.Content)
	other := h.Issue(h.Payload("XB"), 2, h.Node["XB"])
	h.again(other, feed.Content, feed.Content)
	h.again(h.Issue(h.Next(other), 2, h.Node["XB"]), feed.None, feed.Content)
	must(t, h.n.FeedStep(ctx))
	if r := sees(first, 1, ben); r == nil || r.Superseded != 2 || r.Recall != nil || len(r.Alert.Portions) != 1 {
		t.Errorf("%+v", r)
	}
	if r := sees(other, 1, ben); r != nil {
		t.Errorf("%+v", r)
	}
	if r := sees(other, 1, ann); r == nil || r.Superseded != 2 || len(r.Purged) != 1 {
		t.Errorf("%+v", r)
	}
	h.hub.Hand("XA", h.Notice(h.Recall(second, alert.CeaseUse, h.Node["XB"])))
	must(t, h.n.FeedStep(ctx))
	if r := sees(first, 2, ben); r == nil || r.Superseded != 0 || r.Recall == nil || len(r.Alert.Portions) != 0 || strings.Count(r.Delivery.Alert, "~") != 1 {
		t.Errorf("%+v", r)
	}
	if r := sees(first, 3, ben); r != nil {
		t.Errorf("a recall has no label: %+v", r)
	}
	if r := sees(first, 3, ann); r == nil || r.Recall == nil {
		t.Errorf("%+v", r)
	}
}

// forged is something that is no end of the alert that is held, or none that goes
// together with it.
type forged struct {
	hand func() (one, other string) // hands it over; the texts that are evidence
	want string                     // what the refusal, and the alarm with it, says; "": it is taken
	fork bool                       // it is an alarm
}

// forgeries are such, beside an alert of XB's that is held with its content.
func (h *house) forgeries(first string) map[string]forged {
	xb := h.Node["XB"]
	notice := func(token string) (string, string) { h.hub.Hand("XA", h.Notice(token)); return first, token }
	elsewhere := func() string { return h.Issue(h.Payload("XB"), 1, xb) }
	return map[string]forged{
		"recall by another member": {hand: func() (string, string) {
			p := h.Next(first)
			p.Issuer, p.Recall = "XC", &alert.Recall{Mode: alert.Purge, Reason: "mine"}
			return notice(h.Issue(p, 0, h.Node["XC"]))
		}},
		"recall in another's name":  {hand: func() (string, string) { return notice(h.Recall(first, alert.Purge, h.Key("XB"))) }, want: "unknown key"},
		"recall of another alert":   {hand: func() (string, string) { return notice(h.Recall(elsewhere(), alert.Purge, xb)) }},
		"notice of a first version": {hand: func() (string, string) { return notice(elsewhere()) }, want: "releases nothing"},
		"notice that is no successor": {hand: func() (string, string) {
			p := h.Next(first)
			p.Previous = feed.ChainStart("XB")
			return notice(h.Issue(p, 1, xb))
		}, want: "does not follow", fork: true},
		"recall that is no successor": {hand: func() (string, string) {
			p := h.Payload("XB")
			p.Subject = h.hubAlert(first)
			return notice(h.Recall(h.Issue(p, 1, xb), alert.Purge, xb))
		}, want: "does not follow", fork: true},
		"notice with content": {hand: func() (string, string) {
			d := h.Deliver(h.Issue(h.Next(first), 1, xb), feed.Content)
			d.Releases = nil
			h.hub.Hand("XA", d)
			return "", ""
		}, want: "1 portions are disclosed and 0 released"},
	}
}

// forks are two texts of another alert that do not go together.
func (h *house) forks() map[string]forged {
	xb := h.Node["XB"]
	recall := func() string { return h.Recall(h.Issue(h.Payload("XB"), 1, xb), alert.CeaseUse, xb) }
	return map[string]forged{
		"first version that the second does not follow": {hand: func() (string, string) {
			p := h.Payload("XB")
			one, other := h.Issue(p, 1, xb), h.Issue(p, 1, xb)
			next := h.Issue(h.Next(other), 1, xb)
			h.again(next, feed.Content)
			h.again(one, feed.Content)
			return one, next
		}, want: "is not the one", fork: true},
		"after a recall": {hand: func() (string, string) {
			one := recall()
			h.hub.Hand("XA", h.Notice(one))
			p := h.Next(one)
			p.Version++ // the one between is not held
			other := h.Issue(p, 1, xb)
			h.again(other, feed.Content)
			return one, other
		}, want: "after its recall", fork: true},
		"a recall before": {hand: func() (string, string) {
			one := recall()
			other := h.Issue(h.Next(one), 1, xb)
			h.again(other, feed.Content)
			h.hub.Hand("XA", h.Notice(one))
			return one, other
		}, want: "after its recall", fork: true},
	}
}

// TestForgedEnds: nobody but the originator ends an alert, and nothing ends but the alert
// that is named. Two successors of one version, and what follows a recall, are refused,
// with both texts as evidence.
func TestForgedEnds(t *testing.T) {
	h := newHouse(t)
	names := slices.Concat(slices.Collect(maps.Keys(h.forgeries(""))), slices.Collect(maps.Keys(h.forks())))
	for _, name := range names {
		t.Run(name, func(t *testing.T) {
			h := newHouse(t)
			first := h.Issue(h.Payload("XB"), 1, h.Node["XB"])
			h.again(first, feed.Content)
			must(t, h.n.FeedStep(ctx))
			all := h.forgeries(first)
			maps.Copy(all, h.forks())
			h.forgedEnd(first, all[name])
		})
	}
}

func (h *house) forgedEnd(first string, c forged) {
	h.t.Helper()
	sig := func(token string) string { jws, _, _ := strings.Cut(token, "~"); return jws }
	one, other := c.hand()
	err := h.n.FeedStep(ctx)
	if (c.want == "") != (err == nil) || err != nil && (!errors.Is(err, node.ErrPage) || !strings.Contains(err.Error(), c.want)) {
		h.t.Errorf("%v, want %q", err, c.want)
	}
	r, err := h.n.Show(ctx, "XB", h.hubAlert(first), 1)
	must(h.t, err)
	if len(r.Alert.Portions) != 1 || r.Recall != nil || r.Superseded != 0 {
		h.t.Errorf("%+v", r)
	}
	s, err := h.n.Status(ctx)
	must(h.t, err)
	switch {
	case !c.fork && len(s.Alarms) > 0:
		h.t.Errorf("%+v", s.Alarms)
	case c.fork && (len(s.Alarms) != 1 || !strings.Contains(s.Alarms[0].Detail, c.want) || string(s.Alarms[0].Evidence) != sig(one)+"\n"+sig(other)+"\n"):
		h.t.Errorf("%+v", s.Alarms)
	}
}

// away is a key store that does not answer.
type away struct {
	keys.Signer
	down bool
}

func (a *away) Sign(ctx context.Context, messages [][]byte) ([][]byte, error) {
	if a.down {
		return nil, keys.ErrUnavailable
	}
	return a.Signer.Sign(ctx, messages)
}

// TestKeyStoreAway: what is recalled is erased though nothing can be signed, and the
// receipt and the acknowledgements follow. A page that erases nothing waits.
func TestKeyStoreAway(t *testing.T) {
	h := newHouse(t)
	store := &away{Signer: h.Node["XA"]}
	must(t, h.st.Close())
	h.open(func(c *node.Config) { c.Signer = store })
	first := h.Issue(h.Payload("XB"), 1, h.Node["XB"])
	h.again(first, feed.Content)
	must(t, h.n.FeedStep(ctx))
	h.send()
	store.down = true
	h.deliver(feed.Content)
	if err := h.n.FeedStep(ctx); problem.KindOf(err) != problem.Unavailable {
		t.Fatal(err)
	}
	h.holds(1, 1, 0)
	h.hub.Hand("XA", h.Notice(h.Recall(first, alert.Purge, h.Node["XB"])))
	must(t, h.n.FeedStep(ctx))
	h.holds(3, 3, 2)
	if r, err := h.n.Show(ctx, "XB", h.hubAlert(first), 1); err != nil || len(r.Alert.Portions) != 0 || len(r.Purged) != 1 {
		t.Errorf("%+v, %v", r, err)
	}
	h.send()
	if len(h.hub.Acks) != 1 || len(h.hub.Purges) != 0 {
		t.Errorf("%d acknowledgements, %d receipts", len(h.hub.Acks), len(h.hub.Purges))
	}
	if _, err := h.n.SweepStep(ctx); problem.KindOf(err) != problem.Unavailable {
		t.Error(err)
	}
	store.down = false
	h.sweepAll()
	h.send()
	if len(h.hub.Acks) != 3 || !slices.Equal(h.receipts(), []string{"1 recalled [p0]"}) {
		t.Errorf("%d acknowledgements, %v", len(h.hub.Acks), h.receipts())
	}
}

// TestRecallOnce: a crash before or after a recall is stored leaves all of it or nothing.
func TestRecallOnce(t *testing.T) {
	for _, w := range []when{before, after} {
		h := newHouse(t)
		first := h.Issue(h.Payload("XB"), 1, h.Node["XB"])
		h.again(first, feed.Content)
		must(t, h.n.FeedStep(ctx))
		h.hub.Hand("XA", h.Notice(h.Recall(first, alert.Purge, h.Node["XB"])))
		h.st.failReceive = w
		if err := h.n.FeedStep(ctx); !errors.Is(err, errInjected) {
			t.Error(err)
		}
		h.reopen()
		r, err := h.n.Show(ctx, "XB", h.hubAlert(first), 1)
		must(t, err)
		s, err := h.n.Status(ctx)
		must(t, err)
		if done := w == after; done != (len(r.Alert.Portions) == 0) || done != (s.Cursor == 2) || done != (s.Counts.Purges == 1) || done != (r.Recall != nil) {
			t.Errorf("%+v, %+v", r, s)
		}
		must(t, h.n.FeedStep(ctx))
		h.send()
		if !slices.Equal(h.receipts(), []string{"1 recalled [p0]"}) {
			t.Error(h.receipts())
		}
	}
}

// TestRefusedReceipt: a receipt that the hub refuses is kept back with an alarm; the
// others are taken.
func TestRefusedReceipt(t *testing.T) {
	h := newHouse(t)
	for range 3 {
		first := h.Issue(h.Payload("XB"), 1, h.Node["XB"])
		h.again(first, feed.Content)
		h.hub.Hand("XA", h.Notice(h.Recall(first, alert.Purge, h.Node["XB"])))
	}
	must(t, h.n.FeedStep(ctx))
	must(t, h.n.AcksStep(ctx))
	list, err := h.st.PurgesAfter(ctx, 0, 10)
	must(t, err)
	h.hub.Do(func() {
		h.hub.RefuseAck = func(jws string) error {
			if jws == list[1].Token {
				return problem.New(problem.NotFound, "no such delivery")
			}
			return nil
		}
	})
	must(t, h.n.AcksStep(ctx))
	must(t, h.n.AcksStep(ctx))
	s, err := h.n.Status(ctx)
	must(t, err)
	taken := slices.Compact(slices.Sorted(slices.Values(h.hub.Purges)))
	if len(taken) != 2 || s.Counts.Purges != 0 || len(s.Alarms) != 1 || s.Alarms[0].Kind != store.AlarmAck || string(s.Alarms[0].Evidence) != list[1].Token {
		t.Errorf("%d taken, %+v", len(taken), s)
	}
}
