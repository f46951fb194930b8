package node

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/entente-hub/entente/node/store"
)

// Names of the loops, in status and log.
const (
	loopStatements = "statements"
	loopFeed       = "feed"
	loopOutbox     = "outbox"
	loopAcks       = "acknowledgements"
	loopSweep      = "erasure"
	loopDrafts     = "drafts"
)

// health is how the loops do. The zero value is that of a node that has just
// started.
type health struct {
	mu          sync.Mutex
	errors      map[string]string // by loop
	lastContact time.Time
	following   bool
	hubTime     int64     // iat of the last verified head, seconds since 1970-01-01 UTC; 0: none yet
	hubTimeAt   time.Time // when it came, with a reading of the monotonic clock

	refusedPages, refusedStatements atomic.Int64
}

func (h *health) failed(name string, err error) (news bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.errors == nil {
		h.errors = make(map[string]string)
	}
	news = h.errors[name] != err.Error()
	h.errors[name] = err.Error()
	if name == loopFeed {
		h.following = false
	}
	return news
}

// well notes success, and reports whether the loop did badly before.
func (h *health) well(name string) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	_, was := h.errors[name]
	delete(h.errors, name)
	if name == loopFeed {
		h.following = true
	}
	return was
}

func (h *health) follows() bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.following
}

// contact notes that the hub has just answered. A parcel's answers are of some time ago:
// of when, the hub's signed word is taken (see contactedBy), and not the courier's.
func (n *Node) contact(ctx context.Context) {
	if carried(ctx) {
		return
	}
	n.health.mu.Lock()
	defer n.health.mu.Unlock()
	n.health.lastContact = n.Now()
}

// contactedBy notes that the hub has answered at a moment, in seconds since 1970-01-01 UTC.
func (h *health) contactedBy(unix int64) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if at := time.Unix(unix, 0).UTC(); at.After(h.lastContact) {
		h.lastContact = at
	}
}

// heard notes the hub's time from a verified head that has just come, and reports
// whether it is the first.
func (h *health) heard(iat int64) (first bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	first = h.hubTime == 0
	h.hubTime, h.hubTimeAt = iat, time.Now()
	return first
}

// knowsTime reports whether the hub was heard since the start.
func (h *health) knowsTime() bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.hubTime != 0
}

// ahead returns by how much a clock is ahead of the hub's, behind if negative;
// 0 before the hub was heard. The monotonic clock tells what time the hub's shows
// by now: it does not follow when the other is set.
func (h *health) ahead(now time.Time) time.Duration {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.hubTime == 0 {
		return 0
	}
	return now.Sub(time.Unix(h.hubTime, 0).Add(time.Since(h.hubTimeAt)))
}

// raise stores an alarm, and logs it. The error is the store's.
func (n *Node) raise(ctx context.Context, kind string, evidence []byte, format string, args ...any) error {
	detail := fmt.Errorf(format, args...).Error()
	n.Log.ErrorContext(ctx, "alarm", "kind", kind, "detail", detail)
	return n.Store.Raise(ctx, store.Alarm{Kind: kind, At: n.Now(), Detail: detail, Evidence: evidence})
}

// Status is how a node does.
type Status struct {
	Offline     bool      // the node has no network to its hub: parcels are carried
	Following   bool      // the last exchange about the feed went well
	LastError   string    // all that stands against the node now: alarms first, then each loop's
	LastContact time.Time // of the last answer of the hub's, for one that was carried by the hub's signed word; zero: none since the start
	Cursor      int64     // sequence number of the last item stored
	Counts      store.Counts
	Requests    RequestCounts
	Revision    string        // of the world that the node has verified; "" before there is a registry
	Alarms      []store.Alarm // newest first, those of statements last; at most 10

	RefusedPages, RefusedStatements int64 // since the start
}

// Status reads how the node does. The error is the store's.
func (n *Node) Status(ctx context.Context) (Status, error) {
	var s Status
	pos, err := n.Store.Position(ctx)
	if err != nil {
		return Status{}, err
	}
	s.Cursor, s.Offline = pos.Seq, n.offline
	if s.Counts, err = n.Store.Counts(ctx); err != nil {
		return Status{}, err
	}
	if s.Requests, err = n.CountRequests(ctx); err != nil {
		return Status{}, err
	}
	if s.Alarms, err = n.Store.Alarms(ctx, 10); err != nil {
		return Status{}, err
	}
	if w := n.known.Load().dir.World(n.Now()); w != nil {
		s.Revision = w.Revision
	}
	s.RefusedPages, s.RefusedStatements = n.health.refusedPages.Load(), n.health.refusedStatements.Load()
	n.health.mu.Lock()
	defer n.health.mu.Unlock()
	s.Following, s.LastContact = n.health.following, n.health.lastContact
	var all []string
	for _, a := range s.Alarms {
		all = append(all, "alarm: "+a.Detail)
	}
	var loops []string
	for name, text := range n.health.errors {
		loops = append(loops, name+": "+text)
	}
	slices.Sort(loops)
	s.LastError = strings.Join(append(all, loops...), "; ")
	return s, nil
}

// Ready returns what keeps the node from working, by name; empty: nothing. The
// hub's absence does not: what is published waits in the outbox.
func (n *Node) Ready(ctx context.Context) map[string]string {
	missing := make(map[string]string)
	if err := n.Store.Ping(ctx); err != nil {
		missing["store"] = "can not be written to"
	}
	if !n.known.Load().dir.Ready() {
		missing["registry"] = "none verified yet"
	}
	return missing
}
