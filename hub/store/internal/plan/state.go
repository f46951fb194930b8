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
	Proposals  int64
	Bundles    int64
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

// RefusedKey names what a member was refused, as it was sent.
type RefusedKey struct {
	Originator alert.MemberID
	Digest     [32]byte
}

// PurgeKey names a purge receipt.
type PurgeKey struct {
	AlertKey
	Recipient alert.MemberID
	Cause     string
	Portions  string
	At        int64
}

// StatementKey names one revision of a statement.
type StatementKey struct {
	Type     string
	Subject  string
	Revision int64
}

// Claim names an alert version by its row, and a recipient.
type Claim struct {
	Alert     int64
	Recipient alert.MemberID
}

// State is what a group of writes depends on: the head, and of all that Needs
// names, what is stored. Decide brings it up to date write by write, so that a
// write sees those before it.
type State struct {
	Head       Head
	Alerts     map[AlertKey]*AlertRow
	Rows       map[int64]*AlertRow // the same, by row
	Labels     map[LabelKey]int64
	Feeds      map[alert.MemberID]store.Feed
	Deliveries map[int64]*Delivery
	Items      map[ItemKey]*Delivery
	Statements map[StatementKey]StatementRow
	Unsent     map[Claim]*Delivery // pending or withheld: at most one a claim
	Proposals  map[string]ProposalRow
	Bundles    map[string]BundleRow // by digest
	Purges     map[PurgeKey]bool
	Used       map[alert.MemberID]store.Used
	Refused    map[RefusedKey][]byte // why
	Kept       map[store.Run]int64   // how many leaves of the run are not trimmed
	Settled    store.Settled

	ofAlert map[int64][]*Delivery // Deliveries by Delivery.Alert
}

// NewState returns an empty State, ready to be filled.
func NewState() *State {
	return &State{
		Alerts:     make(map[AlertKey]*AlertRow),
		Rows:       make(map[int64]*AlertRow),
		Labels:     make(map[LabelKey]int64),
		Feeds:      make(map[alert.MemberID]store.Feed),
		Deliveries: make(map[int64]*Delivery),
		Items:      make(map[ItemKey]*Delivery),
		Statements: make(map[StatementKey]StatementRow),
		Unsent:     make(map[Claim]*Delivery),
		Proposals:  make(map[string]ProposalRow),
		Bundles:    make(map[string]BundleRow),
		Purges:     make(map[PurgeKey]bool),
		Kept:       make(map[store.Run]int64),
		Used:       make(map[alert.MemberID]store.Used),
		Refused:    make(map[RefusedKey][]byte),
		ofAlert:    make(map[int64][]*Delivery),
	}
}

// AddAlert fills in an alert version. One that was read in several ways stays one.
func (s *State) AddAlert(row AlertRow) {
	if s.Rows[row.Row] == nil {
		row.stored = row.EraseAt
		s.Rows[row.Row], s.Alerts[row.AlertKey] = &row, &row
	}
}

// AddDelivery fills in a delivery. One that was read in several ways stays one.
func (s *State) AddDelivery(d *Delivery) {
	if s.Deliveries[d.ID] != nil {
		return
	}
	d.stored = d.State
	s.put(d)
	if d.State == store.Pending || d.State == store.Withheld {
		s.Unsent[d.claim()] = d
	}
}

func (s *State) put(d *Delivery) {
	s.Deliveries[d.ID] = d
	s.ofAlert[d.Alert] = append(s.ofAlert[d.Alert], d)
}

// AlertRow is what later writes depend on of a stored alert version.
type AlertRow struct {
	AlertKey
	Row          int64
	Digest       [32]byte
	SignedDigest string
	EraseAt      int64
	Over         bool // store.Due.Over
	Recall       bool
	Ended        bool  // a later version is stored
	Size         int64 // of its token, in bytes

	token  *string   // what this group puts in the token's place
	stored int64     // what EraseAt was when it was read
	added  *NewAlert // set if this group stores it
}

// Stored returns the EraseAt with which the alert was read.
func (a *AlertRow) Stored() int64 { return a.stored }

// Token returns what is to be put in the token's place, or nil.
func (a *AlertRow) Token() *string { return a.token }

// StatementRow is what later writes depend on of a stored statement.
type StatementRow struct {
	Digest string
	Raw    []byte
}

// ProposalRow is what later writes depend on of a stored proposal. Row gives its
// age.
type ProposalRow struct {
	Row      int64
	Edition  int64
	Type     string
	Subject  string
	Revision int64
}

// BundleRow is what later writes depend on of a stored policy bundle.
type BundleRow struct {
	Revision int64
	Raw      []byte
}

// Delivery is a row of the deliveries.
type Delivery struct {
	store.HandedOver
	Recipient alert.MemberID
	Alert     int64 // NewAlert.Row; of Items not read back
	State     store.State
	Seen      int64 // store.Unsettled.Seen; not read back
	Renewed   bool
	Follows   bool // store.Delivery.Follows
	Lost      bool
	Acked     bool
	Receipt   string // not read back

	stored store.State // what State was when it was read
	fresh  bool        // this group makes it
}

// Stored returns the state in which the delivery was read.
func (d *Delivery) Stored() store.State { return d.stored }

func (d *Delivery) claim() Claim { return Claim{d.Alert, d.Recipient} }

// NewAlert is an alert version to store.
type NewAlert struct {
	Row  int64
	Over bool // store.Due.Over
	store.Alert
}

// NewPurge is a purge receipt to store.
type NewPurge struct {
	Alert int64 // its row
	*store.Purge
}

// NewLabel is a label to intern.
type NewLabel struct {
	Row int64
	LabelKey
	Audience []byte
}

// NewProposal is what a proposal's row shall say.
type NewProposal struct {
	Row int64
	*store.Proposal
}

// NewBundle is what a bundle's row shall say. Row gives its age.
type NewBundle struct {
	Row int64
	*store.Bundle
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

// RefusedRow is a refusal to remember.
type RefusedRow struct {
	RefusedKey
	Reason []byte
}

// UsedRow is by how much what a member takes up changes.
type UsedRow struct {
	Member alert.MemberID
	By     store.Used
}

// Changes is what a group of writes comes to. The rows are to be written in the
// order of the fields: a delivery that moves on makes room for a fresh one of its
// alert to its recipient, and Acked and Lost may name rows of both.
type Changes struct {
	Results    []store.Result
	Replays    map[AlertKey][]Replay // the results that still lack their Prior
	Old, New   Head                  // New.Root is for the writer to set: see Edge
	Leaves     [][]byte
	Alerts     []*NewAlert
	Altered    []*AlertRow // whose EraseAt and Over changed since they were read, and of some the token
	Labels     []NewLabel
	Audiences  []store.Label // Row and Audience; each row once
	Portions   []NewPortion
	Moved      []*Delivery // from Stored to State
	Deliveries []*Delivery // fresh, with whatever State they came to, by rising ID
	Acked      []*Delivery // from handed over to acknowledged
	Lost       []*Delivery // handed over; each once, and none that was Lost when it was read
	Feeds      []FeedRow
	Statements []*store.Statement
	Outdated   []StatementKey // proposals of a type and subject up to a revision, to delete
	Removed    []string       // digests of proposals to delete, if they are there
	Proposals  []NewProposal  // new, or in place of what is stored
	Bundles    []NewBundle    // new, or in place of what is stored; each digest once
	Purges     []NewPurge
	Used       []UsedRow
	Trimmed    []store.Run // whose leaves are all there
	Refused    []RefusedRow
	Settled    *store.Settled
}

// Empty reports that there is nothing to write.
func (c *Changes) Empty() bool {
	return c.Old == c.New && len(c.Audiences) == 0 && len(c.Moved) == 0 && len(c.Acked) == 0 &&
		len(c.Lost) == 0 && len(c.Removed) == 0 && len(c.Proposals) == 0 && len(c.Altered) == 0 && len(c.Purges) == 0 && c.Settled == nil
}

// Wake returns whom the changes concern, and whether they concern anybody.
func (c *Changes) Wake() (store.Wake, bool) {
	if len(c.Statements) > 0 {
		return store.Wake{}, true
	}
	var recipients set[alert.MemberID]
	for _, d := range c.Deliveries {
		recipients.add(d.Recipient)
	}
	for _, d := range c.Moved {
		if d.State == store.Pending {
			recipients.add(d.Recipient)
		}
	}
	return store.Wake{Recipients: recipients.list}, len(recipients.list) > 0
}

// Replay is a result that lacks its Prior: what is stored, but for what writes before
// it in the group have changed.
type Replay struct {
	result  int
	eraseAt int64
	token   *string // nil: the stored one
}

// SetPrior gives the results of replays of one alert version their Prior.
func (c *Changes) SetPrior(key AlertKey, a store.Alert) {
	for _, r := range c.Replays[key] {
		prior := a
		prior.EraseAt = r.eraseAt
		if r.token != nil {
			prior.Token = *r.token
		}
		c.Results[r.result].Prior, c.Results[r.result].Index = &prior, a.LogIndex
	}
	delete(c.Replays, key)
}
