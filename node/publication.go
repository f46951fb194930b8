package node

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/entente-hub/entente/api/alert"
	"github.com/entente-hub/entente/api/problem"
	"github.com/entente-hub/entente/node/store"
)

// PublicationDraft is what somebody wants to publish of a received delegation.
type PublicationDraft struct {
	Originator alert.MemberID
	ID         alert.ID
	Plan       *alert.Plan // of all that is held of it; nil: as the source asks
	Checked    bool        // somebody has looked at where the source is named: see discretion
	Reader     *Reader     // who publishes, where the member has a directory of users
}

// MadeOf names the received delegation that an alert is made of.
type MadeOf struct {
	Originator alert.MemberID `json:"originator"`
	ID         alert.ID       `json:"id"`
	Checked    bool           `json:"checked,omitempty"`
}

// PublishDelegation publishes what a received delegation says as an alert of the member's
// own, and has the source told, and nobody else, once the hub has accepted it. Content is
// copied, and written anew; nothing else of the delegation's is in it: id, names of portions, salts and
// times are new, and it names no source. Its labels are those that the source asks for, in
// the member's own marking scheme, or those of the plan, which must be as strict: see
// alert.Label.AtLeast. It lives no longer than the source asks, and expires before the
// delegation.
//
// One that was published is answered with that alert as it stands, however often it is
// asked for. Errors are those of Publish; NotFound where there is no such delegation, or
// the reader has nothing of it, Forbidden where the reader may not read all of it,
// Conflict where it was recalled, Expired where it has ended.
func (n *Node) PublishDelegation(ctx context.Context, p PublicationDraft) (*store.Outgoing, error) {
	d, done, err := n.composePublication(ctx, p)
	if err != nil || done != nil {
		return done, err
	}
	o, err := n.Publish(ctx, d)
	if !errors.Is(err, store.ErrDelegation) {
		return o, err
	}
	// Somebody was faster.
	_, done, againErr := n.composePublication(ctx, p)
	if againErr != nil || done != nil {
		return done, againErr
	}
	return nil, err
}

// AddPublicationDraft is PublishDelegation for a member in which another lets it go. Of two
// drafts of one delegation only one can be released. Errors are those of both and of
// AddDraft, and Conflict where it was published.
func (n *Node) AddPublicationDraft(ctx context.Context, who Person, purpose *string, p PublicationDraft) (*KeptDraft, error) {
	if _, err := n.author(who); err != nil { // before anything is read in its name
		return nil, err
	}
	reader, err := n.NewReader(&who.User, purpose)
	if err != nil {
		return nil, err
	}
	p.Reader = reader
	d, done, err := n.composePublication(ctx, p)
	switch {
	case err != nil:
		return nil, err
	case done != nil:
		return nil, publishedAs(done.ID)
	}
	return n.addDraft(ctx, who, d, &basis{Purpose: reader.Purpose})
}

// composePublication makes the draft, or returns what was published.
func (n *Node) composePublication(ctx context.Context, p PublicationDraft) (d Draft, done *store.Outgoing, err error) {
	k, err := n.registered()
	if err != nil {
		return d, nil, err
	}
	if err := n.checkReader(p.Reader); err != nil {
		return d, nil, err
	}
	shown, err := n.show(ctx, p.Reader, p.Originator, p.ID, 1)
	if err != nil {
		return d, nil, err
	}
	base, err := n.baseOf(ctx, p.Originator, p.ID)
	if err != nil {
		return d, nil, err
	}
	if id := base.status.Published; id != "" {
		done, err = n.Outgoing(ctx, id, 1)
		return d, done, err
	}
	if err := base.standing(n.Now()); err != nil {
		return d, nil, err
	}
	if err := readsAll(p.Reader, shown, base); err != nil {
		return d, nil, err
	}
	d = Draft{Plan: base.plan(k, n.Member), MadeOf: &MadeOf{p.Originator, p.ID, p.Checked}}
	if p.Plan != nil {
		d.Plan = *p.Plan
	}
	for _, q := range base.portions {
		for _, o := range q.Content.Objects {
			again, err := writtenAnew(o)
			if err != nil {
				return d, nil, problem.Wrap(problem.Internal, err, "")
			}
			d.Objects = append(d.Objects, again)
		}
	}
	return d, nil, nil
}

// writtenAnew is the same JSON object with its members in order and one spelling of its
// texts: by the way in which they are written the source's programs could be told.
// Numbers stay as they are, digit by digit.
func writtenAnew(o json.RawMessage) (json.RawMessage, error) {
	dec := json.NewDecoder(bytes.NewReader(o))
	dec.UseNumber()
	var v map[string]any
	if err := dec.Decode(&v); err != nil {
		return nil, err
	}
	var out bytes.Buffer
	enc := json.NewEncoder(&out)
	enc.SetEscapeHTML(false)
	err := enc.Encode(v) // with the names of members sorted
	return bytes.TrimSpace(out.Bytes()), err
}

// readsAll refuses a reader who may not read all that would be published, of which it was
// shown what it may.
func readsAll(reader *Reader, shown *Received, base *base) error {
	if reader == nil {
		return nil
	}
	for _, p := range base.portions {
		if !slices.ContainsFunc(shown.Alert.Portions, func(q alert.Portion) bool { return q.ID == p.ID && q.Content != nil }) {
			return problem.New(problem.Forbidden, "%s may not read all of the delegation, and so not publish it", reader.User)
		}
	}
	return nil
}

// base is a received delegation, by which it is judged what may be published.
type base struct {
	status   *store.Delegation
	expires  int64
	ends     int64           // when the first of portions may not be held any more, at the latest expires
	lifetime time.Duration   // of a publication, at most
	portions []alert.Portion // those of which content is held
	erased   bool            // something of it is not held any more
}

// baseOf reads a received delegation. Errors are of kind NotFound, BadSignature,
// Unavailable or Internal.
func (n *Node) baseOf(ctx context.Context, originator alert.MemberID, id alert.ID) (*base, error) {
	status, err := n.Store.Delegation(ctx, originator, id, n.Now().Unix())
	if errors.Is(err, store.ErrNotFound) || err == nil && status.Own {
		return nil, problem.New(problem.NotFound, "no such delegation")
	} else if err != nil {
		return nil, unreadable(err)
	}
	item, err := n.Store.Received(ctx, originator, id, 1)
	if err != nil {
		return nil, unreadable(err)
	}
	r, err := n.read(ctx, n.known.Load(), *item)
	if err != nil {
		return nil, err
	}
	if r.Fault != nil {
		return nil, problem.New(problem.BadSignature, "the delegation does not verify: %w", r.Fault)
	}
	b := &base{status: status, expires: r.Alert.Expires, ends: r.Alert.Expires, erased: len(r.Purged) > 0}
	if r.Alert.Delegate == nil { // it was stored as one
		return nil, problem.Wrap(problem.Internal, errDamaged, "")
	}
	b.lifetime = time.Duration(r.Alert.Delegate.Lifetime) * time.Second
	for i, p := range r.Alert.Portions {
		if p.Content != nil {
			b.portions, b.ends = append(b.portions, p), min(b.ends, endOf(r.Delivery.Releases[i], r.Alert.Expires))
		}
	}
	return b, nil
}

// standing refuses a delegation that has ended.
func (b *base) standing(now time.Time) error {
	switch {
	case b.status.Recalled:
		return problem.New(problem.Conflict, "the delegation was recalled by %s: nothing more is published of it, and what was published can be recalled", b.status.Originator)
	case now.Unix() >= b.expires || b.erased || len(b.portions) == 0:
		return problem.New(problem.Expired, "the delegation has ended: it is not held any more, or not all of it")
	}
	return nil
}

// plan is how the delegation is published as its source asks, with the labels that it
// proposes, marked in the member's own scheme. The names of portions are new, and tell
// neither of the source's nor how many there are.
func (b *base) plan(k *known, self alert.MemberID) alert.Plan {
	plan := alert.Plan{ExpiresIn: b.lifetime.String()}
	for _, p := range b.portions {
		l := *p.Content.Publish
		new(subject).mark(k.dir.Registry(), self, &l)
		q := alert.Planned{ID: newPortionID(), Notice: p.Notice, Label: l, Grading: p.Content.Grading}
		for _, o := range p.Content.Objects {
			if ref, err := alert.ParseObjectRef(o); err == nil && !slices.Contains(q.Objects, ref.ID) { // it was parsed with the alert
				q.Objects = append(q.Objects, ref.ID)
			}
		}
		plan.Portions = append(plan.Portions, q)
	}
	return plan
}

func newPortionID() alert.PortionID {
	var name [4]byte
	_, _ = rand.Read(name[:]) // crypto/rand.Read never fails since Go 1.24
	return alert.PortionID(fmt.Sprintf("p-%x", name))
}

// limit holds an alert's portions to what the source asks of each object.
func (b *base) limit(portions []alert.Portion) error {
	asked := make(map[string][]alert.Label) // by object
	for _, p := range b.portions {
		for _, o := range p.Content.Objects {
			if ref, err := alert.ParseObjectRef(o); err == nil {
				asked[strings.ToLower(ref.ID)] = append(asked[strings.ToLower(ref.ID)], *p.Content.Publish)
			}
		}
	}
	for _, p := range portions {
		if slices.Contains(p.Label.DerivedFrom, b.status.ID) {
			return problem.New(problem.Malformed, "portion %s: derived_from names the delegation, and so its source", p.ID)
		}
		for _, o := range p.Content.Objects {
			ref, err := alert.ParseObjectRef(o)
			if err != nil {
				return problem.New(problem.Malformed, "%w", err)
			}
			for _, l := range asked[strings.ToLower(ref.ID)] {
				if err := p.Label.AtLeast(l); err != nil {
					return problem.New(problem.Malformed, "portion %s: its label is not as strict as the source of %s asks: %w", p.ID, ref.ID, err)
				}
			}
		}
	}
	return nil
}

// until returns for how long an alert may live that is to live for a time: no longer than
// the source asks, and to a full hour or, near the end, minute less than the delegation,
// whose end nobody is to find in it.
func (b *base) until(lifetime time.Duration, now time.Time) (time.Duration, error) {
	left := time.Unix(b.expires, 0).Sub(now) - time.Second
	lifetime = min(lifetime, b.lifetime)
	if lifetime > left {
		if lifetime = left.Truncate(time.Hour); lifetime == 0 {
			lifetime = left.Truncate(time.Minute)
		}
	}
	if lifetime <= 0 {
		return 0, problem.New(problem.Expired, "the delegation ends within a minute")
	}
	return lifetime, nil
}

// rests holds an alert that is made of a delegation, or is the next version of one that
// was, against that. It returns for how long the alert may live.
func (n *Node) rests(ctx context.Context, d Draft, portions []alert.Portion, lifetime time.Duration, now time.Time) (time.Duration, error) {
	of, checked := d.MadeOf, true
	if of == nil && d.Supersedes != "" {
		made, err := n.Store.MadeOf(ctx, d.Supersedes, now.Unix())
		if errors.Is(err, store.ErrNotFound) {
			return lifetime, nil
		} else if err != nil {
			return 0, unreadable(err)
		}
		of = &MadeOf{Originator: made.Originator, ID: made.ID}
	} else if of != nil {
		checked = of.Checked
	} else {
		return lifetime, nil
	}
	b, err := n.baseOf(ctx, of.Originator, of.ID)
	if err != nil {
		return 0, err
	}
	if err := b.standing(now); err != nil {
		return 0, err
	}
	if d.MadeOf != nil && b.status.Published != "" {
		return 0, publishedAs(b.status.Published)
	}
	hide, err := n.discretion(of.Originator)
	if err != nil {
		return 0, err
	}
	if err := hide.check(portions, checked); err != nil {
		return 0, err
	}
	if err := hide.checkSchemes(portions); err != nil {
		return 0, err
	}
	if err := b.limit(portions); err != nil {
		return 0, err
	}
	return b.until(lifetime, now)
}

func publishedAs(id alert.ID) error {
	return problem.New(problem.Conflict, "the delegation has been published already, as %s", id)
}

// publication makes what is stored with an alert that is made of a delegation: the answer
// to its source, and to nobody else. nil: it is made of none. Two persons have let it go,
// where they must, with the alert.
func (n *Node) publication(ctx context.Context, d Draft, id alert.ID, now time.Time) (*store.Publication, error) {
	if d.MadeOf == nil {
		return nil, nil
	}
	b, err := n.baseOf(ctx, d.MadeOf.Originator, d.MadeOf.ID)
	if err != nil {
		return nil, err
	}
	k, err := n.registered()
	if err != nil {
		return nil, err
	}
	s := &subject{re: alert.Reference{Originator: d.MadeOf.Originator, Alert: d.MadeOf.ID}, portions: b.portions}
	to := []alert.MemberID{d.MadeOf.Originator}
	objects, err := s.say(FeedbackDraft{Originator: d.MadeOf.Originator, Alert: d.MadeOf.ID, Act: alert.Answer,
		Text: fmt.Sprintf("Published as %s/%s.", n.Member, id)}, to, now)
	if err != nil {
		return nil, problem.Wrap(problem.Internal, err, "")
	}
	label, err := s.defaultLabel(k.dir.Registry(), n.Member, to, nil)
	if err == nil {
		label, err = addressed(label, to)
	}
	if err != nil {
		return nil, problem.New(problem.Malformed, "the answer to the delegation: %w", err)
	}
	answer, err := n.prepare(ctx, Draft{Objects: objects, Plan: alert.Plan{Portions: []alert.Planned{
		{ID: feedbackPortion, Label: label, Objects: []string{alert.Rest}}}},
		Re: &alert.Reference{Originator: d.MadeOf.Originator, Alert: d.MadeOf.ID, Act: alert.Answer, Published: id}}, now)
	if err != nil {
		return nil, err
	}
	o, err := n.outgoing(ctx, answer, "", now)
	if err != nil {
		return nil, err
	}
	return &store.Publication{Originator: d.MadeOf.Originator, ID: d.MadeOf.ID, Answer: *o}, nil
}
