package node

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/entente-hub/entente/api/alert"
	"github.com/entente-hub/entente/api/problem"
	"github.com/entente-hub/entente/node/store"
)

// FeedbackDraft is what somebody wants to say about an alert.
type FeedbackDraft struct {
	Originator alert.MemberID // of the alert that it is about: received, or the member's own
	Alert      alert.ID       // an answer or a refusal is about the request
	Act        alert.Act

	Text     string            // at most alert.MaxText bytes; of a request, a comment and a refusal, and of an answer without objects
	Objects  []json.RawMessage // STIX 2.1 objects that go with it
	About    []string          // ids of the objects that the text is about: held of the alert, or among Objects
	Sighting *Sighting         // with a sighting, unless Objects holds one

	Precedence alert.Precedence // of a request; "": routine
	Due        time.Time        // of a request; zero: Precedence.Deadline from now
	To         []alert.MemberID // none: the originator, or those whom a request of the member's own asks
	Label      *alert.Label     // of what is said; nil: see Feedback. Its release list is To
	Reader     *Reader          // who says it, where the member has a directory of users
}

// feedbackPortion is the one portion of feedback that is composed here.
const feedbackPortion = alert.PortionID("feedback")

// Feedback publishes feedback to an alert: itself an alert, that refers to the other
// (alert.Reference), released to nobody but those to whom it is addressed.
//
// Its label, where none is given, is the join of those of all portions of the alert that
// the reader has: highest level, all compartments, categories and handling codes, purposes
// that all have, strictest personal data and TLP, earliest retention. Of a mere hit nothing
// is known: it is restricted, of the category that the notice names. Whoever is not the
// alert's originator gets it with that originator's consent only, where the alert may not
// be passed on.
//
// Errors are those of Publish and Show: what does not exist and what the reader may not
// have is NotFound. Malformed is also an answer to what is no request to this member, a
// deadline that has passed, and a label that can not be made up, because nothing is known
// of the alert or its portions have no purpose in common.
func (n *Node) Feedback(ctx context.Context, f FeedbackDraft) (*store.Outgoing, error) {
	d, err := n.ComposeFeedback(ctx, f)
	if err != nil {
		return nil, err
	}
	return n.Publish(ctx, d)
}

// ComposeFeedback is Feedback up to the draft, for a member in which another lets it go.
func (n *Node) ComposeFeedback(ctx context.Context, f FeedbackDraft) (Draft, error) {
	k, err := n.registered()
	if err != nil {
		return Draft{}, err
	}
	now := n.Now()
	if err := f.check(); err != nil {
		return Draft{}, problem.New(problem.Malformed, "%w", err)
	}
	s, err := n.subject(ctx, f.Reader, f.Originator, f.Alert)
	if err != nil {
		return Draft{}, err
	}
	if err := s.admits(n.Member, f); err != nil {
		return Draft{}, problem.New(problem.Malformed, "%w", err)
	}
	to, err := s.addressees(n.Member, f.To)
	if err != nil {
		return Draft{}, problem.New(problem.Malformed, "%w", err)
	}
	re := &alert.Reference{Originator: f.Originator, Alert: f.Alert, Act: f.Act}
	lifetime, err := f.deadline(re, now)
	if err != nil {
		return Draft{}, problem.New(problem.Malformed, "%w", err)
	}
	objects, err := s.say(f, to, now)
	if err != nil {
		return Draft{}, problem.New(problem.Malformed, "%w", err)
	}
	label, err := n.feedbackLabel(ctx, k, s, f, to)
	if err != nil {
		return Draft{}, err
	}
	d := Draft{Objects: objects, Re: re, Plan: alert.Plan{ExpiresIn: lifetime.String(),
		Portions: []alert.Planned{{ID: feedbackPortion, Label: label, Objects: []string{alert.Rest}}}}}
	if f.Reader != nil {
		d.By = f.Reader.User
	}
	return d, nil
}

// check refuses what can be told from the draft alone.
func (f *FeedbackDraft) check() error {
	request, sighting := f.Act == alert.Request, f.Act == alert.Sighting
	switch {
	case !slices.Contains(alert.Acts(), f.Act):
		return fmt.Errorf("act %.40q: one of %v", string(f.Act), alert.Acts())
	case !request && (f.Precedence != "" || !f.Due.IsZero()):
		return fmt.Errorf("precedence and deadline are those of a request")
	case request && f.Precedence != "" && !slices.Contains(alert.Precedences(), f.Precedence):
		return fmt.Errorf("precedence %.40q: one of %v", string(f.Precedence), alert.Precedences())
	case !sighting && f.Sighting != nil:
		return fmt.Errorf("what was sighted goes with a sighting only")
	case f.Text == "" && (request || f.Act == alert.Comment || f.Act == alert.Declined):
		return fmt.Errorf("a %s needs a text", f.Act)
	case f.Text == "" && f.Act == alert.Answer && len(f.Objects) == 0:
		return fmt.Errorf("an answer needs a text, or objects")
	case len(f.About) > alert.MaxList:
		return fmt.Errorf("more than %d objects that the text is about", alert.MaxList)
	}
	return alert.CheckText("text", f.Text)
}

// deadline completes the reference of a request, and says for how long feedback is to
// live: a request beyond its deadline, so that a late one is seen by both sides.
func (f *FeedbackDraft) deadline(re *alert.Reference, now time.Time) (time.Duration, error) {
	if f.Act != alert.Request {
		return alert.DefaultLifetime, nil
	}
	re.Precedence = f.Precedence
	if re.Precedence == "" {
		re.Precedence = alert.Routine
	}
	due := f.Due
	if due.IsZero() {
		due = now.Add(re.Precedence.Deadline())
	}
	left := due.Sub(now)
	switch {
	case left < time.Second:
		return 0, fmt.Errorf("the deadline %s has passed", due.UTC().Format(time.RFC3339))
	case left > alert.MaxLifetime-time.Hour:
		return 0, fmt.Errorf("the deadline %s lies too far ahead", due.UTC().Format(time.RFC3339))
	}
	re.Due = due.Unix()
	return min(max(alert.DefaultLifetime, (left+alert.DefaultLifetime/3).Truncate(time.Second)), alert.MaxLifetime), nil
}

// feedbackLabel returns the label that is given, or the default. What is joined is not
// given away by an answer: one about a request that knew less of the alert than it says
// needs a label of its author's own.
func (n *Node) feedbackLabel(ctx context.Context, k *known, s *subject, f FeedbackDraft, to []alert.MemberID) (alert.Label, error) {
	label := f.Label
	if label == nil {
		l, err := s.defaultLabel(k.dir.Registry(), n.Member, to, f.Reader)
		if err != nil {
			return alert.Label{}, problem.New(problem.Malformed, "%w: a label must be given", err)
		}
		if f.Act == alert.Answer {
			if err := n.suffices(ctx, s, l, f.Reader); err != nil {
				return alert.Label{}, err
			}
		}
		label = &l
	}
	l, err := addressed(*label, to)
	if err != nil {
		return alert.Label{}, problem.New(problem.Malformed, "%w", err)
	}
	if l.Policy == "" && l.MarkedAs == "" { // else the name says in which scheme it is: see ResolveMarking
		s.mark(k.dir.Registry(), n.Member, &l)
	}
	return l, nil
}

// suffices holds the label that an answer would have, the request's, against the alert
// that was asked about, as far as it is there and the reader may have it.
func (n *Node) suffices(ctx context.Context, request *subject, l alert.Label, reader *Reader) error {
	about, err := n.subject(ctx, reader, request.refers.Originator, request.refers.Alert)
	if kind := problem.KindOf(err); kind == problem.NotFound || kind == problem.BadSignature {
		return nil
	} else if err != nil {
		return err
	}
	for _, p := range about.portions {
		if p.Label != nil && !covers(l, *p.Label) {
			return problem.New(problem.Malformed, "the alert that is asked about is marked more strictly than the request: a label must be given")
		}
	}
	return nil
}

// subject is the alert that feedback is about, as its author has it.
type subject struct {
	re        alert.Reference          // originator and id
	portions  []alert.Portion          // with a label where content is held
	kept      map[alert.PortionID]bool // content that may not be passed on
	over      bool                     // it was recalled
	refers    *alert.Reference         // where it is feedback itself
	delegate  *alert.Delegation        // where it is a delegation to the member
	published alert.ID                 // what was made of that
	asked     []alert.MemberID         // by it, where it is a request
}

// subject reads an alert of the member's own, or the latest version of one received.
// Where there is a directory of users the member's own are the focal point's.
func (n *Node) subject(ctx context.Context, reader *Reader, originator alert.MemberID, id alert.ID) (*subject, error) {
	s := &subject{re: alert.Reference{Originator: originator, Alert: id}, kept: make(map[alert.PortionID]bool)}
	err := n.checkReader(reader)
	switch {
	case err != nil:
	case originator == n.Member:
		err = n.ownSubject(ctx, reader, s)
	default:
		err = n.receivedSubject(ctx, reader, s)
	}
	if err != nil {
		return nil, err
	}
	if s.asked, err = n.Store.Asked(ctx, originator, id); err != nil {
		return nil, unreadable(err)
	}
	return s, nil
}

// checkReader refuses a reader where there is no directory of users, and none where there
// is one.
func (n *Node) checkReader(r *Reader) error {
	if r == nil {
		return n.unnamed()
	}
	purpose := string(r.Purpose)
	_, err := n.NewReader(&r.User, &purpose)
	return err
}

func (n *Node) receivedSubject(ctx context.Context, reader *Reader, s *subject) error {
	r, err := n.highest(ctx, reader, s.re.Originator, s.re.Alert)
	if err != nil {
		return err
	}
	for _, release := range r.Delivery.Releases {
		s.kept[release.Portion] = release.Obligations != nil && !release.Obligations.Onward
	}
	s.portions, s.refers, s.over = r.Alert.Portions, r.Alert.Re, r.Recall != nil
	if r.Alert.Delegate == nil {
		return nil
	}
	s.delegate = r.Alert.Delegate
	d, err := n.Store.Delegation(ctx, s.re.Originator, s.re.Alert, n.Now().Unix())
	if err != nil {
		return unreadable(err)
	}
	s.published = d.Published
	return nil
}

// highest reads the highest version of a received alert of which the reader has anything.
// Errors are those of Show.
func (n *Node) highest(ctx context.Context, reader *Reader, originator alert.MemberID, id alert.ID) (*Received, error) {
	versions, err := n.Store.Versions(ctx, originator, id)
	if err != nil {
		return nil, unreadable(err)
	}
	for _, version := range slices.Backward(versions) {
		r, err := n.show(ctx, reader, originator, id, version)
		if err == nil || problem.KindOf(err) != problem.NotFound {
			return r, err
		}
	}
	return nil, problem.New(problem.NotFound, "no such alert")
}

func (n *Node) ownSubject(ctx context.Context, reader *Reader, s *subject) error {
	focal, err := n.focal(ctx, reader)
	if err != nil {
		return err
	}
	o, err := n.Store.Current(ctx, s.re.Alert, 0)
	if !focal || errors.Is(err, store.ErrNotFound) {
		return problem.New(problem.NotFound, "no such alert")
	} else if err != nil {
		return problem.Wrap(problem.Unavailable, err, "the outbox can not be read")
	}
	a, err := n.known.Load().dir.VerifyAlert(n.unended(o).Token)
	if err != nil {
		return err
	}
	s.portions, s.refers, s.over = a.Portions, a.Re, a.Recall != nil
	return nil
}

// admits refuses acts for which the alert gives no ground. What has been recalled can
// still be asked about and commented on.
func (s *subject) admits(self alert.MemberID, f FeedbackDraft) error {
	reply := f.Act == alert.Answer || f.Act == alert.Declined
	switch {
	case reply && s.delegate != nil && !s.over:
		return s.admitsReply(f.Act)
	case reply && (s.refers == nil || s.refers.Act != alert.Request || s.over):
		return fmt.Errorf("it is no request, or was recalled: there is nothing to answer")
	case reply && (s.re.Originator == self || !slices.Contains(s.asked, self)):
		return fmt.Errorf("the request does not ask %s", self)
	case f.Act == alert.Sighting && s.over:
		return fmt.Errorf("the alert was recalled: ask about it, or comment on it")
	}
	return nil
}

// admitsReply refuses a reply to a delegation but a refusal of one that was not published.
func (s *subject) admitsReply(act alert.Act) error {
	switch {
	case act == alert.Answer:
		return fmt.Errorf("a delegation is answered by publishing it (entente delegation publish), or refused")
	case s.published != "":
		return fmt.Errorf("the delegation was published, as %s: that can be recalled, and is not refused any more", s.published)
	}
	return nil
}

// addressees returns those to whom feedback goes, sorted.
func (s *subject) addressees(self alert.MemberID, to []alert.MemberID) ([]alert.MemberID, error) {
	list := slices.Clone(to)
	if len(list) == 0 && s.re.Originator != self {
		list = []alert.MemberID{s.re.Originator}
	}
	if len(list) == 0 {
		list = slices.Clone(s.asked)
	}
	slices.Sort(list)
	switch {
	case len(list) == 0:
		return nil, fmt.Errorf("the alert is this member's own: to whom it goes must be named")
	case len(list) > alert.MaxList:
		return nil, fmt.Errorf("it goes to %d members: at most %d", len(list), alert.MaxList)
	case slices.Contains(list, self):
		return nil, fmt.Errorf("%s can not address itself", self)
	case len(slices.Compact(slices.Clone(list))) != len(list):
		return nil, fmt.Errorf("a member is addressed twice")
	}
	for _, m := range list {
		if _, err := alert.ParseMemberID(string(m)); err != nil {
			return nil, err
		}
	}
	return list, nil
}
