package node

import (
	"cmp"
	"context"
	"errors"
	"slices"
	"time"

	"github.com/entente-hub/entente/api/alert"
	"github.com/entente-hub/entente/api/problem"
	"github.com/entente-hub/entente/node/store"
	"github.com/entente-hub/entente/trust"
)

// RequestState says how a request for information stands.
type RequestState string

// The states. One that is late becomes answered, or refused, like one that is open; a
// refusal that an answer follows, or goes before, counts for nothing.
const (
	Open     RequestState = "open"
	Late     RequestState = "late" // open beyond its deadline
	Answered RequestState = "answered"
	Declined RequestState = "refused"
)

// RequestStatus is how a request stands with one of those whom it asks. Asker and asked
// compute it from what both of them hold: the signed deadline, and the signed answers.
type RequestStatus struct {
	store.Request
	State RequestState
	Known bool // the alert that it is about is held here, or the member's own; else nothing shows that it exists
}

// Other returns the other side: who is asked by the member, or who asks it.
func (r *RequestStatus) Other() alert.MemberID {
	if r.Own {
		return r.Asked
	}
	return r.Originator
}

// RequestFilter says which requests are wanted.
type RequestFilter struct {
	State  RequestState // "": any
	Reader *Reader      // where the member has a directory of users
	Limit  int          // 0 or less: none
}

// Requests returns the requests that this member has made, and those that ask it, which
// have not expired: the late ones first, then by their deadline. One that asks several
// members stands once for each.
//
// Where there is a directory of users, a reader finds those that ask the member as far as
// it may read them, and the member's own as far as it may read the alert that they are
// about; all of them if it is the focal point's. Of answers that it may not read it learns
// nothing, not even by the state. Errors are of kind Unavailable, Internal, or Malformed as
// with Inbox.
func (n *Node) Requests(ctx context.Context, f RequestFilter) ([]RequestStatus, error) {
	if err := n.checkReader(f.Reader); err != nil {
		return nil, err
	}
	now := n.Now()
	all, err := n.Store.Requests(ctx, now.Unix())
	if err != nil {
		return nil, unreadable(err)
	}
	focal, err := n.focal(ctx, f.Reader)
	if err != nil {
		return nil, err
	}
	v := requestView{n, f.Reader, focal, make(map[store.Name]bool)}
	var list []RequestStatus
	for _, r := range all {
		if may, err := v.limit(ctx, &r); err != nil {
			return nil, err
		} else if !may {
			continue
		}
		if s := (RequestStatus{Request: r, State: stateOf(r, now)}); f.State == "" || f.State == s.State {
			list = append(list, s)
		}
	}
	slices.SortStableFunc(list, func(a, b RequestStatus) int { // they come by their deadline
		return cmp.Compare(order(a.State), order(b.State))
	})
	list = list[:min(len(list), max(f.Limit, 0))]
	for i := range list {
		if list[i].Known, err = v.knows(ctx, list[i].Re); err != nil {
			return nil, err
		}
	}
	return list, nil
}

func order(s RequestState) int {
	if s == Late {
		return 0
	}
	return 1
}

// stateOf computes how a request stands at a moment.
func stateOf(r store.Request, now time.Time) RequestState {
	state := Open
	if now.Unix() > r.Re.Due {
		state = Late
	}
	for _, reply := range r.Replies {
		if reply.Act == alert.Answer {
			return Answered
		}
		state = Declined
	}
	return state
}

// requestView decides what one reader sees of requests.
type requestView struct {
	*Node
	reader *Reader // nil: there is no directory
	focal  bool
	read   map[store.Name]bool // what the reader may read, as far as it was asked
}

// limit reports whether the reader may know of a request, and takes off it what it may
// not: answers, and which user wrote it.
func (v requestView) limit(ctx context.Context, r *store.Request) (bool, error) {
	if v.reader == nil {
		return true, nil
	}
	if r.By != v.reader.User && !v.focal {
		r.By = ""
	}
	var may bool
	var err error
	switch {
	case !r.Own:
		may, err = v.reads(ctx, r.Name)
	case v.focal:
		may = true
	default:
		may, err = v.readsAny(ctx, r.Re.Originator, r.Re.Alert)
	}
	if err != nil || !may {
		return false, err
	}
	var replies []store.Reply
	for _, reply := range r.Replies {
		reads := v.reads
		if reply.Originator == v.Member {
			reads = v.readsOwn
		}
		if may, err := reads(ctx, reply.Name); err != nil {
			return false, err
		} else if !may {
			continue
		}
		replies = append(replies, reply)
	}
	r.Replies = replies
	return true, nil
}

// reads reports whether the reader has anything of an alert that was received.
func (v requestView) reads(ctx context.Context, name store.Name) (bool, error) {
	if may, ok := v.read[name]; ok {
		return may, nil
	}
	_, err := v.show(ctx, v.reader, name.Originator, name.ID, name.Version)
	switch problem.KindOf(err) {
	case problem.NotFound, problem.BadSignature:
		v.read[name] = false
		return false, nil
	}
	v.read[name] = err == nil
	return err == nil, err
}

// readsOwn reports whether the reader might have anything of an alert of the member's own
// if it had been received.
func (v requestView) readsOwn(ctx context.Context, name store.Name) (bool, error) {
	if v.focal {
		return true, nil
	}
	o, err := v.Outgoing(ctx, name.ID, name.Version)
	if err != nil {
		return false, err
	}
	a, err := trust.ReadAlert(o.Token)
	if err != nil {
		return false, problem.Wrap(problem.Internal, err, "the answer in the outbox can not be read")
	}
	d := v.desk(*v.reader)
	for _, p := range a.Portions {
		if p.Label == nil {
			continue
		}
		if may, err := d.might(ctx, p.ID, p.Label); err != nil || may {
			return may, err
		}
	}
	return false, nil
}

// readsAny reports whether the reader has anything of any version of it.
func (v requestView) readsAny(ctx context.Context, originator alert.MemberID, id alert.ID) (bool, error) {
	_, err := v.highest(ctx, v.reader, originator, id)
	switch problem.KindOf(err) {
	case problem.NotFound, problem.BadSignature:
		return false, nil
	}
	return err == nil, err
}

// knows reports whether what a reference names is there, and the reader may know of it.
func (v requestView) knows(ctx context.Context, re alert.Reference) (bool, error) {
	originator := re.Originator
	if originator == v.Member {
		if originator = ""; !v.focal {
			return false, nil
		}
	} else if v.reader != nil {
		return v.readsAny(ctx, originator, re.Alert)
	}
	_, err := v.Store.Latest(ctx, originator, re.Alert)
	if errors.Is(err, store.ErrNotFound) {
		return false, nil
	} else if err != nil {
		return false, unreadable(err)
	}
	return true, nil
}

// RequestCounts says how many requests wait for an answer: those that this member has
// made, and those that ask it. Late ones are not among the open.
type RequestCounts struct{ OpenOut, LateOut, OpenIn, LateIn int64 }

// CountRequests counts the requests that wait. The error is the store's.
func (n *Node) CountRequests(ctx context.Context) (RequestCounts, error) {
	var c RequestCounts
	now := n.Now()
	all, err := n.Store.Requests(ctx, now.Unix())
	if err != nil {
		return c, err
	}
	for _, r := range all {
		switch state := stateOf(r, now); {
		case state == Open && r.Own:
			c.OpenOut++
		case state == Open:
			c.OpenIn++
		case state == Late && r.Own:
			c.LateOut++
		case state == Late:
			c.LateIn++
		}
	}
	return c, nil
}

// referringOwn is what is kept of an alert of the member's own that refers to another,
// nil if it does not. A request asks those whom it is addressed to by name.
func referringOwn(a alert.Alert, by string) *store.Referring {
	if a.Re == nil {
		return nil
	}
	r := &store.Referring{Originator: a.Issuer, Re: *a.Re, Expires: a.Expires, By: by}
	if a.Re.Act != alert.Request {
		return r
	}
	for _, p := range a.Portions {
		if p.Label == nil { // what the hub gives back may be reduced: see readOwn
			continue
		}
		for _, entry := range p.Label.ReleasableTo {
			if m, ok := entry.Member(); ok && m != a.Issuer {
				r.Asked = merge(r.Asked, []alert.MemberID{m})
			}
		}
	}
	return r
}

// referringReceived is what is kept of a received alert that refers to another, nil if it
// does not. A request asks the member if it is about an alert of the member's, or is
// addressed to it by name; whoever else gets it just learns of it.
func referringReceived(self alert.MemberID, a alert.Alert) *store.Referring {
	if a.Re == nil {
		return nil
	}
	r := &store.Referring{Originator: a.Issuer, Re: *a.Re, Expires: a.Expires}
	named := func(p alert.Portion) bool {
		return p.Label != nil && slices.Contains(p.Label.ReleasableTo, alert.Audience(self))
	}
	if a.Re.Act == alert.Request && (a.Re.Originator == self || slices.ContainsFunc(a.Portions, named)) {
		r.Asked = []alert.MemberID{self}
	}
	return r
}
