package node

import (
	"context"
	"errors"
	"fmt"
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
	Release feed.Release         // what was released to the member, and on which terms
	Label   *alert.Label         // with content only
	Ceiling alert.Classification // the member's own; zero before there is a registry
	At      time.Time            // the moment of reading
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

// InboxOf is Inbox for one user: what the user may not have is treated as if it had
// not been disclosed. An alert version stands where the first of those deliveries
// lies that gave the user what it has now, so that a delivery which changes nothing
// for it neither moves nor repeats it. Seq is for the caller alone: gaps in it would
// tell of what the user may not have. A page ends early only for the bytes that the user gets.
func (n *Node) InboxOf(ctx context.Context, r Reader, after int64, limit int) ([]Received, error) {
	d := n.desk(r)
	var list []Received
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
			view, err := d.latest(ctx, item.Originator, item.ID, item.Version)
			if err != nil {
				return nil, err
			}
			if view == nil || view.Seq != item.Seq {
				continue
			}
			// It may have been delivered again since the page was begun.
			list = slices.DeleteFunc(list, func(r Received) bool { return r.is(item) })
			list, size = append(list, *view), size+len(view.Delivery.Alert)
		}
	}
}

// ShowTo is Show for one user. What the user may have nothing of is NotFound, in
// the words of what does not exist.
func (n *Node) ShowTo(ctx context.Context, r Reader, originator alert.MemberID, id alert.ID, version int) (*Received, error) {
	view, err := n.desk(r).latest(ctx, originator, id, version)
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
}

func (n *Node) desk(r Reader) *desk {
	d := &desk{Node: n, reader: r, known: n.known.Load(), now: n.Now()}
	if d.known.dir.Ready() {
		for _, m := range d.known.dir.Registry().Members {
			if m.ID == n.Member {
				d.ceiling = m.Ceiling
			}
		}
	}
	return d
}

// latest returns what the reader has of a version, placed where it got that; nil if
// there is nothing.
func (d *desk) latest(ctx context.Context, originator alert.MemberID, id alert.ID, version int) (*Received, error) {
	item, err := d.Store.Received(ctx, originator, id, version)
	if errors.Is(err, store.ErrNotFound) {
		return nil, nil
	} else if err != nil {
		return nil, unreadable(err)
	}
	view, err := d.view(ctx, *item)
	if view == nil || err != nil {
		return nil, err
	}
	for previous := item.Previous; previous > 0; {
		items, err := d.Store.Deliveries(ctx, previous-1, 1)
		if err == nil && (len(items) == 0 || items[0].Seq != previous) {
			err = fmt.Errorf("item %d is not there any more", previous)
		}
		if err != nil {
			return nil, unreadable(err)
		}
		before, err := d.view(ctx, items[0])
		if err != nil {
			return nil, err
		}
		if before == nil || !before.holdsLike(view) {
			break
		}
		view.Seq, view.ReceivedAt, previous = before.Seq, before.ReceivedAt, items[0].Previous
	}
	view.Previous = 0 // it would tell of deliveries in which the reader had something else, or nothing
	return view, nil
}

// errAltered is all that a user is told of why a delivery does not verify: the
// reason may name what the user may not know of.
var errAltered = errors.New("what is stored is not what was received, or the key that signed it has been revoked")

// view returns what the reader has of one delivery, nil if that is nothing. What
// does not verify any more has no label that could be believed: it is judged like
// a portion of which no more than its existence is known.
func (d *desk) view(ctx context.Context, item store.Item) (*Received, error) {
	r := d.known.read(d.Member, item)
	if r.Fault != nil {
		r.Fault = errAltered
		may, err := d.may(ctx, feed.Release{Kind: feed.Existence}, nil)
		if err != nil || !may {
			return nil, err
		}
		return &r, nil
	}
	permitted := make(map[alert.PortionID]bool)
	for i, release := range r.Delivery.Releases {
		may, err := d.may(ctx, release, r.Alert.Portions[i].Label)
		if err != nil {
			return nil, err
		}
		if may {
			permitted[release.Portion] = true
		}
	}
	if len(permitted) == 0 {
		return nil, nil
	}
	limited, err := limit(r, permitted)
	if err != nil {
		return nil, problem.Wrap(problem.Internal, err, "the alert can not be reduced to what the user may have")
	}
	d.known.describe(d.Member, limited)
	return limited, nil
}

func (d *desk) may(ctx context.Context, release feed.Release, label *alert.Label) (bool, error) {
	may, err := d.Ingress.Permits(ctx, d.reader, Holding{Release: release, Label: label, Ceiling: d.ceiling, At: d.now})
	if err != nil {
		return false, problem.Wrap(problem.Internal, err, "the national ingress policy gives no answer")
	}
	return may, nil
}

// limit returns a delivery as if no portions but those permitted had been
// disclosed. Banner and Held are left to be described anew.
func limit(r Received, permitted map[alert.PortionID]bool) (*Received, error) {
	kinds := make(map[alert.PortionID]feed.Kind)
	var portions []alert.Portion
	var releases []feed.Release
	for i, release := range r.Delivery.Releases {
		if permitted[release.Portion] {
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

// holdsLike reports whether two deliveries of one version hold the same on the same terms.
func (r *Received) holdsLike(o *Received) bool {
	return (r.Fault == nil) == (o.Fault == nil) && reflect.DeepEqual(r.Delivery.Releases, o.Delivery.Releases)
}

func unreadable(err error) error {
	return problem.Wrap(problem.Unavailable, err, "the inbox can not be read")
}
