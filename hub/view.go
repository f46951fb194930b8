package hub

import (
	"errors"
	"fmt"
	"strings"
	"sync"
	"time"

	"github.com/entente-hub/entente/api/alert"
	"github.com/entente-hub/entente/api/feed"
	"github.com/entente-hub/entente/hub/store"
	"github.com/entente-hub/entente/trust"
)

var (
	errSpent   = errors.New("a permit was used twice or for another alert")
	errHollow  = errors.New("a stored alert has a portion without its label")
	errChanged = errors.New("a stored delivery does not come out as it was handed over")
)

// view is a stored alert, read once for all recipients: most get one of a few
// reductions of it.
type view struct {
	row      store.Alert
	kid      string           // of the node key that signed
	re       *alert.Reference // what it is feedback to
	to       alert.MemberID   // of a delegation: who alone may have it
	portions []alert.Portion

	mu        sync.Mutex
	reduction map[string]string // kinds → reduced token
	kept      int               // bytes in reduction
}

// maxKept bounds the reductions that a view keeps, in sizes of its alert.
const maxKept = 2

// cost bounds the bytes that a view takes: the alert, what was read from it and
// the reductions.
func (v *view) cost() int { return (2 + maxKept) * len(v.row.Token) }

// reduced returns the alert with nothing but what the releases permit.
func (v *view) reduced(releases []feed.Release) (string, error) {
	kinds := make(map[alert.PortionID]feed.Kind, len(releases))
	var key strings.Builder
	for _, r := range releases {
		kinds[r.Portion] = r.Kind
		fmt.Fprintf(&key, "%s %s\n", r.Portion, r.Kind)
	}
	v.mu.Lock()
	defer v.mu.Unlock()
	if token, ok := v.reduction[key.String()]; ok {
		return token, nil
	}
	token, err := trust.ReduceAlert(v.row.Token, kinds)
	if err != nil {
		return "", err
	}
	if v.kept+len(token) <= maxKept*len(v.row.Token) {
		if v.reduction == nil {
			v.reduction = make(map[string]string)
		}
		v.reduction[key.String()] = token
		v.kept += len(token)
	}
	return token, nil
}

// maxViews bounds each of the cache's two generations, in bytes.
const maxViews = 64 << 20

// viewCache keeps the views of alerts that are being handed over. When the
// young generation is full it becomes the old one, whose last use is thereby
// found out without a list. The zero value is ready.
type viewCache struct {
	mu         sync.Mutex
	young, old map[viewKey]*view
	size       int
	since      time.Time // when it was last turned over by age
}

// viewAge is how long an alert that is not handed over any more stays in the cache, once
// or twice: on hubs that are not told that another one has erased it too.
const viewAge = time.Minute

// age turns the cache over where it has not been for viewAge.
func (c *viewCache) age(now time.Time) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if d := now.Sub(c.since); d >= viewAge || d < 0 {
		c.old, c.young, c.size, c.since = c.young, nil, 0, now
	}
}

// viewKey names what is stored of an alert: of one with less disclosed the token is
// shorter.
type viewKey struct {
	digest [32]byte
	size   int
}

func keyOf(row store.Alert) viewKey { return viewKey{row.Digest, len(row.Token)} }

// of returns the alert's view. The alert was verified when it was taken in; here
// it is only read.
func (c *viewCache) of(row store.Alert) (*view, error) {
	c.mu.Lock()
	v, ok := c.young[keyOf(row)]
	if !ok {
		if v, ok = c.old[keyOf(row)]; ok {
			c.keep(v)
		}
	}
	c.mu.Unlock()
	if ok {
		return v, nil
	}
	a, err := trust.ReadAlert(row.Token)
	if err != nil {
		return nil, err
	}
	return c.add(row, a)
}

// add makes the view of an alert that was read just now: those who wait for it
// need not read it again.
func (c *viewCache) add(row store.Alert, a *trust.VerifiedAlert) (*view, error) {
	v := &view{row: row, kid: a.KeyID, re: a.Re}
	if a.Delegate != nil {
		v.to = a.Delegate.To
	}
	for _, p := range a.Portions {
		if p.Label == nil {
			return nil, errHollow
		}
		v.portions = append(v.portions, alert.Portion{ID: p.ID, Label: p.Label})
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if other, ok := c.young[keyOf(row)]; ok { // somebody was faster
		return other, nil
	}
	c.keep(v)
	return v, nil
}

func (c *viewCache) keep(v *view) {
	if c.young == nil || c.size > maxViews {
		c.old, c.young, c.size = c.young, make(map[viewKey]*view), 0
	}
	c.young[keyOf(v.row)] = v
	c.size += v.cost()
}

// forget drops what was erased from the store.
func (c *viewCache) forget(row store.Alert) {
	c.mu.Lock()
	defer c.mu.Unlock()
	delete(c.young, keyOf(row))
	delete(c.old, keyOf(row))
}
