package plan

import (
	"github.com/entente-hub/entente/api/alert"
	"github.com/entente-hub/entente/crypto/tlog"
	"github.com/entente-hub/entente/hub/store"
)

// Head is the one row that all commits pass through: the audit log's head, and
// the last numbers given to rows of each table.
type Head struct {
	Size       int64
	Root       tlog.Hash
	Alerts     int64
	Labels     int64
	Deliveries int64
	Statements int64
}

// AlertKey names an alert version.
type AlertKey struct {
	Originator alert.MemberID
	ID         alert.ID
	Version    int
}

// LabelKey names an interned label.
type LabelKey struct {
	Originator alert.MemberID
	Key        string
}

// ItemKey names a place in a feed.
type ItemKey struct {
	Recipient alert.MemberID
	Seq       int64
}

// StatementKey names one revision of a statement.
type StatementKey struct {
	Type     string
	Subject  string
	Revision int64
}

// State is what a group of writes depends on: the head, and of all that Needs
// names, what is stored. Decide brings it up to date write by write, so that a
// write sees those before it.
type State struct {
	Head       Head
	Alerts     map[AlertKey]AlertRow
	Labels     map[LabelKey]int64
	Feeds      map[alert.MemberID]store.Feed
	Deliveries map[int64]*Delivery
	Items      map[ItemKey]*Delivery
	Statements map[StatementKey]StatementRow
}

// NewState returns an empty State, ready to be filled.
func NewState() *State {
	return &State{
		Alerts:     make(map[AlertKey]AlertRow),
		Labels:     make(map[LabelKey]int64),
		Feeds:      make(map[alert.MemberID]store.Feed),
		Deliveries: make(map[int64]*Delivery),
		Items:      make(map[ItemKey]*Delivery),
		Statements: make(map[StatementKey]StatementRow),
	}
}

// AlertRow is what later writes depend on of a stored alert version.
type AlertRow struct {
	Digest       [32]byte
	SignedDigest string
	added        *store.Alert // set if this group stores it
}

// StatementRow is what later writes depend on of a stored statement.
type StatementRow struct {
	Digest string
	Raw    []byte
}

// DeliveryState is where a delivery stands.
type DeliveryState int

// The states. They are stored: never renumber.
const (
	Pending  DeliveryState = 0
	Handed   DeliveryState = 1
	Withheld DeliveryState = 2
)

// Delivery is a row of the deliveries.
type Delivery struct {
	store.HandedOver
	Recipient alert.MemberID
	Alert     int64 // NewAlert.Row; not read back
	State     DeliveryState
	Acked     bool
	Receipt   string // not read back
}

// NewAlert is an alert version to store.
type NewAlert struct {
	Row int64
	*store.Alert
}

// NewLabel is a label to intern.
type NewLabel struct {
	Row int64
	LabelKey
}

// NewPortion ties a portion of an alert to its label.
type NewPortion struct {
	Alert    int64
	Position int
	ID       alert.PortionID
	Label    int64
}

// FeedRow is what a feed's row shall say.
type FeedRow struct {
	Recipient alert.MemberID
	store.Feed
}

// Changes is what a group of writes comes to. The rows are to be written in
// the order of the fields; Handed and Acked may name rows of Deliveries.
type Changes struct {
	Results    []store.Result
	Replays    map[AlertKey][]int // the results that still lack their Prior
	Old, New   Head               // New.Root is for the writer to set: see Edge
	Leaves     [][]byte
	Alerts     []NewAlert
	Labels     []NewLabel
	Portions   []NewPortion
	Deliveries []*Delivery // pending, by rising ID
	Handed     []*Delivery // from pending to State
	Acked      []*Delivery // from handed over to acknowledged
	Feeds      []FeedRow
	Statements []*store.Statement
}

// Empty reports that there is nothing to write.
func (c *Changes) Empty() bool {
	return c.Old == c.New && len(c.Handed) == 0 && len(c.Acked) == 0
}

// Wake returns whom the changes concern, and whether they concern anybody.
func (c *Changes) Wake() (store.Wake, bool) {
	if len(c.Statements) > 0 {
		return store.Wake{}, true
	}
	seen := make(map[alert.MemberID]bool)
	var w store.Wake
	for _, d := range c.Deliveries {
		if !seen[d.Recipient] {
			seen[d.Recipient] = true
			w.Recipients = append(w.Recipients, d.Recipient)
		}
	}
	return w, len(w.Recipients) > 0
}

// SetPrior gives the results of replays of one alert version their Prior.
func (c *Changes) SetPrior(key AlertKey, a store.Alert) {
	for _, i := range c.Replays[key] {
		prior := a
		c.Results[i].Prior, c.Results[i].Index = &prior, a.LogIndex
	}
	delete(c.Replays, key)
}
