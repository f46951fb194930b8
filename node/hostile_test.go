package node_test

import (
	"context"
	"encoding/json"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/entente-hub/entente/api/alert"
	"github.com/entente-hub/entente/api/feed"
	"github.com/entente-hub/entente/crypto/keys"
	"github.com/entente-hub/entente/node"
	"github.com/entente-hub/entente/node/nodetest"
)

// hostile is something wrong, and what the refusal says of it.
type hostile struct {
	do   func()
	want string
}

// whole is an alert of XB's, released as it should be.
func (h *house) whole() feed.Delivery {
	return h.Deliver(h.Issue(h.Payload("XB"), 3, h.Node["XB"]), feed.Content, feed.Existence, feed.None)
}

// changed delivers an altered alert in the second place, with chain and head as
// they should be.
func (h *house) changed(f func(d *feed.Delivery)) func() {
	return func() {
		d := h.whole()
		f(&d)
		h.hub.Feeds["XA"] = append(h.hub.Feeds["XA"], feed.Item{Seq: 2, Digest: d.Digest(), Delivery: &d})
	}
}

func (h *house) hostilePages() map[string]hostile {
	second := h.changed(func(*feed.Delivery) {})
	page := func(f func(p *feed.Page)) func() { return func() { second(); h.hub.Page = f } }
	head := func(f func(p *feed.Head)) func() { return func() { second(); h.hub.Head = f } }
	return map[string]hostile{
		"reordered": {page(func(p *feed.Page) { p.Items[0], p.Items[1] = p.Items[1], p.Items[0] }), "item 2 stands in the place of item 1"},
		"renumbered": {page(func(p *feed.Page) {
			p.Items[0].Delivery, p.Items[1].Delivery = p.Items[1].Delivery, p.Items[0].Delivery
		}), "another digest"},
		"first removed":      {page(func(p *feed.Page) { p.Items = p.Items[1:] }), "item 2 stands in the place of item 1"},
		"last removed":       {page(func(p *feed.Page) { p.Items = p.Items[:1] }), "head stands at item 2"},
		"removed, counted":   {page(func(p *feed.Page) { p.Items = p.Items[1:]; p.Items[0].Seq = 1 }), "head stands at item 2"},
		"all removed":        {page(func(p *feed.Page) { p.Items = nil }), "head stands at item 2"},
		"twice":              {page(func(p *feed.Page) { p.Items[1] = p.Items[0] }), "item 1 stands in the place of item 2"},
		"other digest":       {page(func(p *feed.Page) { p.Items[1].Digest = feed.ChainStart("XA") }), "another digest"},
		"withheld, changed":  {page(func(p *feed.Page) { p.Items[1].Delivery, p.Items[1].Digest = nil, feed.ChainStart("XA") }), "do not lead to the head"},
		"too many":           {page(func(p *feed.Page) { p.Items = append(p.Items, make([]feed.Item, feed.MaxPage)...) }), "asked for"},
		"head of another":    {head(func(p *feed.Head) { p.Recipient = "XB" }), "feed of XB"},
		"head of other hub":  {head(func(p *feed.Head) { p.Issuer = "hub-two" }), "by hub-two"},
		"head further":       {head(func(p *feed.Head) { p.Seq++ }), "head stands at item 3"},
		"head of other feed": {head(func(p *feed.Head) { p.Chain = feed.ChainStart("XB") }), "do not lead to the head"},
		"head to come":       {head(func(p *feed.Head) { p.IssuedAt += 3600 }), "future"},
		"no checkpoint":      {head(func(p *feed.Head) { p.Checkpoint = "x" }), "checkpoint not accepted"},
		"head by another":    {func() { head(nil)(); h.hub.HeadKey = h.Key(string(nodetest.HubID)) }, "unknown key"},
		"head by a member":   {func() { head(nil)(); h.hub.HeadKey = h.Node["XB"] }, "unknown key"},
		"no head":            {page(func(p *feed.Page) { p.Head = "" }), "head"},
	}
}

func (h *house) hostileReleases() map[string]hostile {
	changed := h.changed
	token := h.Issue(h.Payload("XB"), 3, h.Node["XB"])
	disclosed := func(say, give []feed.Kind) func() {
		return changed(func(d *feed.Delivery) { *d = h.Deliver(token, say...); d.Alert = h.Deliver(token, give...).Alert })
	}
	return map[string]hostile{
		"more disclosed":     {disclosed([]feed.Kind{"content", "existence", "none"}, []feed.Kind{"content", "content", "none"}), "its content is disclosed"},
		"one more disclosed": {disclosed([]feed.Kind{"content", "existence", "none"}, []feed.Kind{"content", "existence", "existence"}), "3 portions are disclosed and 2 released"},
		"less disclosed":     {disclosed([]feed.Kind{"content", "content", "none"}, []feed.Kind{"content", "existence", "none"}), "its content is disclosed"},
		"one less disclosed": {disclosed([]feed.Kind{"content", "existence", "none"}, []feed.Kind{"content", "none", "none"}), "1 portions are disclosed and 2 released"},
		"nothing":            {disclosed([]feed.Kind{"none", "none", "none"}, []feed.Kind{"none", "none", "none"}), "releases nothing"},
		"half a portion":     {changed(func(d *feed.Delivery) { d.Alert = cutDisclosure(d.Alert) }), "item 2"},
		"other portion":      {changed(func(d *feed.Delivery) { d.Releases[0].Portion = "p9" }), "is disclosed where"},
		"kind none":          {changed(func(d *feed.Delivery) { d.Releases[0].Kind = feed.None }), "kind"},
		"unknown agreement":  {changed(func(d *feed.Delivery) { content(d).Agreements = []string{feed.ChainStart("XA")} }), "not known"},
		"agreement twice":    {changed(func(d *feed.Delivery) { content(d).Agreements = []string{h.Agreement, h.Agreement} }), "cited twice"},
		"no obligations":     {changed(func(d *feed.Delivery) { content(d).Obligations = nil }), "obligations"},
		"other purpose":      {changed(func(d *feed.Delivery) { content(d).Obligations.Purposes = []alert.Purpose{"prevention"} }), "label does not name"},
		"held for ever":      {changed(func(d *feed.Delivery) { content(d).Obligations.HoldUntil = alert.MaxTime }), "held for longer"},
		"other handling":     {changed(func(d *feed.Delivery) { content(d).Obligations.Handling = []alert.Handling{"H1"} }), "handling"},
		"no release by then": {changed(func(d *feed.Delivery) {
			p := h.Payload("XB")
			p.IssuedAt += 1800
			*d = h.Deliver(h.Issue(p, 1, h.Node["XB"]), feed.Content)
			d.ReleasedAt += 3600
		}), "not yet valid"},
		"never released": {changed(func(d *feed.Delivery) { d.ReleasedAt = 0 }), "never"},
		"other policy":   {changed(func(d *feed.Delivery) { d.Policy = feed.ChainStart("XA") }), "no statement has put into force"},
		"no revision":    {changed(func(d *feed.Delivery) { d.Revision = "" }), "statements and policy"},
	}
}

func (h *house) hostileAlerts() map[string]hostile {
	mallory := h.Key("XB")
	old := h.Payload("XB")
	old.IssuedAt, old.Expires = time.Now().Add(-3*time.Hour).Unix(), time.Now().Add(-time.Hour).Unix()
	future := h.Payload("XB")
	future.IssuedAt += 3600
	deliver := func(p alert.Payload, key keys.Signer, kind feed.Kind) func() {
		return h.changed(func(d *feed.Delivery) { *d = h.Deliver(h.Issue(p, 1, key), kind) })
	}
	return map[string]hostile{
		"forged":         {deliver(h.Payload("XB"), mallory, feed.Content), "unknown key"},
		"another's name": {deliver(h.Payload("XC"), h.Node["XB"], feed.Content), "unknown key"},
		"own":            {deliver(h.Payload("XA"), h.Node["XA"], feed.Content), "own"},
		"expired":        {deliver(old, h.Node["XB"], feed.Existence), "expired"},
		"not yet valid":  {deliver(future, h.Node["XB"], feed.Existence), "not yet valid"},
		"no alert":       {h.changed(func(d *feed.Delivery) { d.Alert = "x" }), "malformed"},
	}
}

// TestHostilePages: nothing of a page that is wrong anywhere is stored, the
// reason is told, and an honest page is still taken afterwards.
func TestHostilePages(t *testing.T) {
	h := newHouse(t)
	for _, all := range []map[string]hostile{h.hostilePages(), h.hostileReleases(), h.hostileAlerts()} {
		for name, c := range all {
			t.Run(name, func(t *testing.T) {
				h.hub.Do(func() {
					d := h.whole()
					h.hub.Feeds["XA"] = []feed.Item{{Seq: 1, Digest: d.Digest(), Delivery: &d}}
					h.hub.Page, h.hub.Head, h.hub.HeadKey = nil, nil, nil
					c.do()
				})
				if err := h.n.FeedStep(ctx); !errors.Is(err, node.ErrPage) || !strings.Contains(err.Error(), c.want) {
					t.Errorf("%v, want %q", err, c.want)
				}
				h.holds(0, 0, 0)
			})
		}
	}
	h.hub.Do(func() {
		h.hub.Feeds["XA"], h.hub.Page, h.hub.Head, h.hub.HeadKey = nil, nil, nil, nil
	})
	h.deliver(feed.Content)
	must(t, h.n.FeedStep(ctx))
	h.holds(1, 1, 1)
}

// TestReleaseDatedWrong: a hub whose clock was wrong for a while has dated releases ahead, or
// before the alert was signed, in a feed that never changes. They are taken, and what comes
// after them, by what holds now, or held when it was signed.
func TestReleaseDatedWrong(t *testing.T) {
	for _, by := range []int64{86400, -86400} {
		h := newHouse(t)
		d := h.whole()
		d.ReleasedAt += by
		h.hub.Hand("XA", d)
		h.deliver(feed.Content)
		must(t, h.n.FeedStep(ctx))
		h.holds(2, 2, 2)
	}
}

// content returns the first release of content.
func content(d *feed.Delivery) *feed.Release {
	for i := range d.Releases {
		if d.Releases[i].Kind == feed.Content {
			return &d.Releases[i]
		}
	}
	panic("no content")
}

// cutDisclosure leaves out the last disclosure that nothing is nested in.
func cutDisclosure(token string) string {
	parts := strings.Split(strings.TrimSuffix(token, "~"), "~")
	for i := len(parts) - 1; i > 0; i-- {
		if len(parts[i]) > 300 { // the label or the content of a portion
			return strings.Join(append(parts[:i:i], parts[i+1:]...), "~") + "~"
		}
	}
	return token
}

// altered answers polls with bytes that somebody has changed, and knows no more
// statements.
type altered struct {
	node.Hub
	body []byte
}

func (a *altered) Poll(context.Context, int64, int, time.Duration) (feed.Page, error) {
	return nodetest.DecodePage(a.body)
}

func (a *altered) Statements(context.Context, int64, int) ([]node.PlacedStatement, error) {
	return nil, nil
}

// TestEveryByte changes each byte of a page: nothing of it is ever stored.
func TestEveryByte(t *testing.T) {
	h := newHouse(t)
	h.deliver(feed.Content, feed.Existence)
	p, err := h.client("XA").Poll(ctx, 0, 100, 0)
	must(t, err)
	body, err := json.Marshal(p)
	must(t, err)
	a := &altered{Hub: h.client("XA")}
	must(t, h.st.Close())
	h.open(func(c *node.Config) { c.Hub = a })
	stride := 1
	if testing.Short() {
		stride = 17
	}
	for i := 0; i < len(body); i += stride {
		for _, flip := range []byte{0x01, 0x20} { // another letter; another case
			a.body = append([]byte(nil), body...)
			a.body[i] ^= flip
			if err := h.n.FeedStep(ctx); err == nil {
				t.Fatalf("byte %d of %d: …%s… was taken", i, len(body), a.body[max(0, i-20):min(len(body), i+20)])
			}
		}
	}
	h.holds(0, 0, 0)
	a.body = body
	must(t, h.n.FeedStep(ctx))
	h.holds(1, 1, 1)
}
