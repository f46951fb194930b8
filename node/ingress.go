package node

import (
	"context"
	"encoding/json"
	"errors"
	"reflect"
	"slices"
	"time"

	"github.com/entente-hub/entente/api/alert"
	"github.com/entente-hub/entente/api/feed"
	"github.com/entente-hub/entente/api/problem"
	"github.com/entente-hub/entente/node/store"
	"github.com/entente-hub/entente/trust"
)

// Ingress is a member's own policy on which of its users may read what it holds,
// over its own directory of them.
type Ingress interface {
	// Permits reports whether a reader may have a portion. Nobody who is not in
	// the directory may. After an error nothing is read.
	Permits(ctx context.Context, r Reader, p Holding) (bool, error)
}

// Reader is one of the member's own users, and what it reads for.
type Reader struct {
	User    string
	Purpose alert.Purpose
}

// Holding is a portion as the member holds it when somebody wants to read it.
type Holding struct {
	Release   feed.Release         // what was released to the member, and on which terms
	Label     *alert.Label         // with content only
	Emergency []alert.TaskForceID  // the compartments that the emergency names on which the release rests; none if it rests on none
	Ceiling   alert.Classification // the member's own; zero before there is a registry
	At        time.Time            // the moment of reading
}

// focal reports whether a reader is the focal point's, in good standing: the one who
// reads where there is a directory what has no label to judge it by. Without a directory
// that is everybody.
func (n *Node) focal(ctx context.Context, r *Reader) (bool, error) {
	if n.Ingress == nil {
		return true, nil
	}
	if r == nil {
		return false, n.unnamed()
	}
	return n.desk(*r).may(ctx, feed.Release{Kind: feed.Existence}, nil)
}

// NewReader returns who reads: nil where the member has configured no directory,
// so that its focal point reads everything and no user may be named. With a
// directory both must be named. Errors are of kind Malformed; whether there is such
// a user they do not tell.
func (n *Node) NewReader(user, purpose *string) (*Reader, error) {
	switch {
	case n.Ingress == nil && user == nil && purpose == nil:
		return nil, nil
	case n.Ingress == nil:
		return nil, problem.New(problem.Malformed, "this node has no directory of users: user and purpose can not be named")
	case user == nil || purpose == nil || *user == "":
		return nil, problem.New(problem.Malformed, "this node has a directory of users: user and purpose must be named")
	case !slices.Contains(alert.Purposes, alert.Purpose(*purpose)):
		return nil, problem.New(problem.Malformed, "purpose %.40q is not known: one of %v", *purpose, alert.Purposes)
	}
	return &Reader{*user, alert.Purpose(*purpose)}, nil
}

// unnamed refuses a read in nobody's name where there is a directory.
func (n *Node) unnamed() error {
	_, err := n.NewReader(nil, nil)
	return err
}

// maxPlaces bounds how many places one request remembers, some 100 bytes each. They are
// found anew beyond.
const maxPlaces = 1 << 16

// placed is where a reader has a version, as far as its deliveries were known.
type placed struct{ seq, latest int64 } // seq 0: nowhere

// InboxOf is Inbox for one user: what the user may not have is treated as if it had
// not been disclosed. An alert version stands where the first of those deliveries
// lies since which the user has what it has now, so that a delivery which changes nothing
// for it neither moves nor repeats it. Seq is for the caller alone: gaps in it would
// tell of what the user may not have. A page ends early only for the bytes that the user gets.
func (n *Node) InboxOf(ctx context.Context, r Reader, after int64, limit int) ([]Received, error) {
	d := n.desk(r)
	var list []Received
	places := make(map[version]placed) // of those that were delivered more than once
	for size := 0; ; {
		items, err := n.Store.Deliveries(ctx, after, inboxChunk)
		if err != nil {
			return nil, unreadable(err)
		}
		if len(items) == 0 {
			return list, nil
		}
		for _, item := range items {
			if len(list) >= limit || size >= inboxBytes {
				return list, nil
			}
			after = item.Seq
			view, err := d.at(ctx, places, item)
			if err != nil {
				return nil, err
			}
			if view == nil {
				continue
			}
			// It may have been delivered again since the page was begun.
			list = slices.DeleteFunc(list, func(r Received) bool { return r.is(item) })
			list, size = append(list, *view), size+len(view.Delivery.Alert)
		}
	}
}

// at returns what the reader has of the version that an item delivers, nil unless its
// place is there. Where that is is found once, from all deliveries of the version.
func (d *desk) at(ctx context.Context, places map[version]placed, item store.Item) (*Received, error) {
	v := version{item.Originator, item.ID, item.Version}
	if p, ok := places[v]; ok && item.Seq <= p.latest && p.seq != item.Seq {
		return nil, nil
	}
	view, latest, err := d.latest(ctx, item.Originator, item.ID, item.Version)
	if err != nil {
		return nil, err
	}
	p := placed{latest: latest}
	if view != nil {
		p.seq = view.Seq
	}
	if item.Previous > 0 || latest > item.Seq {
		if len(places) >= maxPlaces {
			clear(places)
		}
		places[v] = p
	}
	if p.seq != item.Seq {
		return nil, nil
	}
	return view, nil
}

// ShowTo is Show for one user. What the user may have nothing of is NotFound, in
// the words of what does not exist.
func (n *Node) ShowTo(ctx context.Context, r Reader, originator alert.MemberID, id alert.ID, version int) (*Received, error) {
	view, _, err := n.desk(r).latest(ctx, originator, id, version)
	switch {
	case err != nil:
		return nil, err
	case view == nil:
		return nil, problem.New(problem.NotFound, "no such alert")
	case view.Fault != nil:
		return nil, problem.New(problem.BadSignature, "alert %s does not verify: %w", id, view.Fault)
	}
	return view, nil
}

// desk is where one reader reads, at one moment and on what is known then.
type desk struct {
	*Node
	reader  Reader
	known   *known
	ceiling alert.Classification
	now     time.Time
	judged  map[string]bool // what was permitted in this request
	later   bool            // later versions are looked for too
}

// maxJudged bounds how many answers of the policy one request remembers.
const maxJudged = 1 << 12

func (n *Node) desk(r Reader) *desk {
	d := &desk{Node: n, reader: r, known: n.known.Load(), now: n.ended(), judged: make(map[string]bool), later: true}
	if d.known.dir.Ready() {
		for _, m := range d.known.dir.Registry().Members {
			if m.ID == n.Member {
				d.ceiling = m.Ceiling
			}
		}
	}
	return d
}

// latest returns what the reader has of a version, placed where it got that, nil if
// there is nothing; and where the version's latest delivery lies.
func (d *desk) latest(ctx context.Context, originator alert.MemberID, id alert.ID, version int) (*Received, int64, error) {
	item, err := d.Store.Received(ctx, originator, id, version)
	if errors.Is(err, store.ErrNotFound) {
		return nil, 0, nil
	} else if err != nil {
		return nil, 0, unreadable(err)
	}
	h := &holding{now: d.now, ended: item.Ended != ""}
	var place Received                        // of the first delivery since which the reader has the same
	var have map[alert.PortionID]feed.Release // what that is
	err = d.gather(ctx, d.known, *item, h, func() error {
		now, err := d.permitted(ctx, h)
		if err == nil && (place.Seq == 0 || (place.Fault == nil) != (h.latest.Fault == nil) || !reflect.DeepEqual(have, now)) {
			place, have = h.latest, now
		}
		return err
	})
	if err != nil || len(have) == 0 {
		return nil, item.Seq, err
	}
	view, err := d.view(h, have)
	if err != nil {
		return nil, 0, err
	}
	view.Seq, view.ReceivedAt = place.Seq, place.ReceivedAt
	view.Previous = 0 // it would tell of deliveries in which the reader had something else, or nothing
	return view, item.Seq, d.tellLife(ctx, *item, h, view)
}

// tellLife says of a version what has become of its alert, as far as the reader may know:
// of a later version, if it has something of it; of a recall in any case, for it has
// something of this one; and of what was erased, whose labels are erased too, if it is
// the focal point's.
func (d *desk) tellLife(ctx context.Context, i store.Item, h *holding, view *Received) error {
	if err := d.tellEnd(ctx, i, h, view); err != nil {
		return err
	}
	if i.Latest > i.Version && d.later {
		versions, err := d.Store.Versions(ctx, i.Originator, i.ID)
		if err != nil {
			return unreadable(err)
		}
		for _, v := range slices.Backward(versions) {
			if v <= i.Version {
				break
			}
			seen, err := d.sees(ctx, i, v)
			if err != nil {
				return err
			}
			if seen {
				view.Superseded = v
				break
			}
		}
	}
	if !h.erased {
		return nil
	}
	may, err := d.may(ctx, feed.Release{Kind: feed.Existence}, nil)
	if err == nil && may {
		view.Purged, err = d.purged(ctx, i, h)
	}
	return err
}

// sees reports whether the reader has anything of another version of an alert.
func (d *desk) sees(ctx context.Context, i store.Item, version int) (bool, error) {
	d.later = false
	defer func() { d.later = true }()
	view, _, err := d.latest(ctx, i.Originator, i.ID, version)
	return view != nil, err
}

// errAltered is all that a user is told of why a delivery does not verify: the
// reason may name what the user may not know of.
var errAltered = errors.New("what is stored is not what was received, or the key that signed it has been revoked")

// permitted returns what the reader may have of what is held. What does not verify any
// more has no label that could be believed, and what says no more than that something is
// over, or was recalled and is erased, has none: it is judged like a portion of which no
// more than its existence is known. What was recalled and is held is judged as if it were
// not: who may read it may know that. What has ended by time is there for nobody.
func (d *desk) permitted(ctx context.Context, h *holding) (map[alert.PortionID]feed.Release, error) {
	pieces := map[alert.PortionID]piece{"": {release: feed.Release{Kind: feed.Existence}}}
	if held := h.pieces(); h.latest.Fault == nil && (len(held) > 0 || !h.ended && !h.notice) {
		pieces = held
	}
	have := make(map[alert.PortionID]feed.Release)
	for id, p := range pieces {
		may, err := d.may(ctx, p.release, p.label)
		if err != nil {
			return nil, err
		}
		if may {
			have[id] = p.release
		}
	}
	return have, nil
}

// view returns what is held, reduced to what the reader may have.
func (d *desk) view(h *holding, have map[alert.PortionID]feed.Release) (*Received, error) {
	r, err := h.whole(d.known)
	if err != nil {
		return nil, err
	}
	if r.Fault != nil {
		r.Fault = errAltered
		return &r, nil
	}
	limited, err := limit(r, have)
	if err != nil {
		return nil, problem.Wrap(problem.Internal, err, "the alert can not be reduced to what the user may have")
	}
	d.known.describe(d.Member, limited)
	return limited, nil
}

// may asks the policy, once for the same question.
func (d *desk) may(ctx context.Context, release feed.Release, label *alert.Label) (bool, error) {
	question, err := json.Marshal(struct {
		Release feed.Release
		Label   *alert.Label
	}{release, label})
	if err != nil {
		return false, problem.Wrap(problem.Internal, err, "")
	}
	may, ok := d.judged[string(question)]
	if ok {
		return may, nil
	}
	asked := Holding{Release: release, Label: label, Ceiling: d.ceiling, At: d.now}
	if e, ok := d.known.cited.emergencies[release.Emergency]; ok {
		asked.Emergency = e.Compartments
	}
	may, err = d.Ingress.Permits(ctx, d.reader, asked)
	if err != nil {
		return false, problem.Wrap(problem.Internal, err, "the national ingress policy gives no answer")
	}
	if len(d.judged) >= maxJudged {
		clear(d.judged)
	}
	d.judged[string(question)] = may
	return may, nil
}

// limit returns a delivery as if no portions but those permitted had been
// disclosed. Banner and Held are left to be described anew.
func limit(r Received, permitted map[alert.PortionID]feed.Release) (*Received, error) {
	kinds := make(map[alert.PortionID]feed.Kind)
	var portions []alert.Portion
	var releases []feed.Release
	for i, release := range r.Delivery.Releases {
		if _, ok := permitted[release.Portion]; ok {
			kinds[release.Portion] = release.Kind
			portions, releases = append(portions, r.Alert.Portions[i]), append(releases, release)
		}
	}
	token, err := trust.ReduceAlert(r.Delivery.Alert, kinds)
	if err != nil {
		return nil, err
	}
	r.Alert.Hidden += len(r.Alert.Portions) - len(portions)
	r.Alert.Portions, r.Delivery.Releases, r.Delivery.Alert = portions, releases, token
	r.Banner, r.Held = "", nil
	return &r, nil
}

func unreadable(err error) error {
	return problem.Wrap(problem.Unavailable, err, "the inbox can not be read")
}
