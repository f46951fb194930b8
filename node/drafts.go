package node

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"slices"
	"time"

	"github.com/google/uuid"

	"github.com/entente-hub/entente/api/alert"
	"github.com/entente-hub/entente/api/problem"
	"github.com/entente-hub/entente/crypto/keys"
	"github.com/entente-hub/entente/node/store"
)

const (
	// DraftLifetime is how long a draft waits for its release, and how long what became
	// of it is told unless it was released: at most, see draftEnd.
	DraftLifetime = 30 * 24 * time.Hour

	// MaxDrafts bounds the drafts of one author that wait at a time.
	MaxDrafts = 100

	draftsPause = 10 * time.Minute // between erasures of what is over
	draftsChunk = 100              // drafts that are read, or erased, at once
)

// KeptDraft is a draft as a user who may know of it sees it.
type KeptDraft struct {
	store.Draft
	Content *Draft // what it says, with its labels whole; nil where it has ended, or in a list
	Makes   int    // with Content: the version of the alert that it makes
}

// draftBody is what the digest of a draft is over: all that is released with it.
type draftBody struct {
	ID       store.DraftID        `json:"id"`
	Author   string               `json:"author"`
	Draft    Draft                `json:"draft"`
	Version  int                  `json:"version"`            // of the alert that it makes
	Previous string               `json:"previous,omitempty"` // what that follows
	Portions []store.DraftPortion `json:"portions"`           // by which it is judged who may read it
	Basis    *basis               `json:"basis,omitempty"`    // with Draft.Re and Draft.MadeOf
}

// AddDraft composes an alert as Publish does, up to the signature, and keeps it until
// another than its author releases it, or it ends: with the first retention among its
// labels or, of a publication, with the delegation that it publishes; at the latest after
// DraftLifetime. Errors are those of Publish; Malformed where the node has no directory of
// users, or a retention has ended, Unauthenticated where the person does not show who it
// is, Forbidden where it is no author or may not read itself what it writes, RateLimited
// where MaxDrafts of its wait already.
func (n *Node) AddDraft(ctx context.Context, p Person, d Draft) (*KeptDraft, error) {
	return n.addDraft(ctx, p, d, nil)
}

func (n *Node) addDraft(ctx context.Context, p Person, d Draft, on *basis) (*KeptDraft, error) {
	v, err := n.author(p)
	if err != nil {
		return nil, err
	}
	if d.By = ""; d.Re != nil || d.Delegate != nil {
		d.By = p.User
	}
	now := n.Now()
	a, err := n.rehearse(ctx, d, now)
	if err != nil {
		return nil, err
	}
	shown, _, err := n.judged(ctx, a, now)
	if err != nil {
		return nil, err
	}
	ends, err := n.draftEnd(ctx, d, shown, now)
	if err != nil {
		return nil, err
	}
	kept, err := newDraft(p.User, now, ends, d, a, keptPortions(shown), on)
	if err != nil {
		return nil, err
	}
	for _, q := range kept.Portions {
		if may, err := v.reads(ctx, q); err != nil {
			return nil, err
		} else if !may {
			return nil, problem.New(problem.Forbidden, "portion %s: by its label %s may not read it, and so not write it", q.ID, p.User)
		}
	}
	switch err := n.Store.AddDraft(ctx, kept.Draft, MaxDrafts); {
	case errors.Is(err, store.ErrStale):
		return nil, problem.New(problem.RateLimited, "%d drafts of %s wait already: have some released or withdraw them", MaxDrafts, p.User)
	case err != nil:
		return nil, draftsAway(err)
	}
	return kept, nil
}

// AddFeedbackDraft is AddDraft for feedback: see Feedback, whose reader is the person, and
// reads for a purpose. Errors are those of both.
func (n *Node) AddFeedbackDraft(ctx context.Context, p Person, purpose *string, f FeedbackDraft) (*KeptDraft, error) {
	if _, err := n.author(p); err != nil { // before anything is read in its name
		return nil, err
	}
	reader, err := n.NewReader(&p.User, purpose)
	if err != nil {
		return nil, err
	}
	f.Reader = reader
	d, err := n.ComposeFeedback(ctx, f)
	if err != nil {
		return nil, err
	}
	return n.addDraft(ctx, p, d, &basis{reader.Purpose, f.Label == nil})
}

// author returns the viewer of a person who may write drafts.
func (n *Node) author(p Person) (*viewer, error) {
	v, err := n.viewer(p)
	if err == nil && !n.People.Has(p.User, Author) {
		return nil, problem.New(problem.Forbidden, "%s is not an author in the directory of users", p.User)
	}
	return v, err
}

// rehearse does all that Publish would, with a key that nothing trusts and that is
// thrown away: until two have agreed there is no alert that would verify.
func (n *Node) rehearse(ctx context.Context, d Draft, now time.Time) (alert.Alert, error) {
	a, err := n.prepare(ctx, d, now)
	if err != nil {
		return alert.Alert{}, err
	}
	key, err := keys.Generate(string(n.Member), keys.EdDSA)
	if err != nil {
		return alert.Alert{}, problem.Wrap(problem.Internal, err, "")
	}
	_, err = sign(ctx, key, a)
	return a, err
}

// draftEnd is when a draft ends that is written now and read by the labels of portions: what
// may not be held any more does not wait for its release. What it is a copy of ends it too.
// Errors are those of baseOf, or Malformed.
func (n *Node) draftEnd(ctx context.Context, d Draft, portions []alert.Portion, now time.Time) (time.Time, error) {
	first := int64(math.MaxInt64)
	for _, p := range portions {
		switch end := ownEndOf(p.Label, math.MaxInt64); {
		case end > now.Unix():
			first = min(first, end)
		case d.Recall == nil: // which brings no portion: it takes back what may have ended
			return time.Time{}, problem.New(problem.Malformed, "portion %s: its retention has ended", p.ID)
		}
	}
	if d.MadeOf != nil {
		b, err := n.baseOf(ctx, d.MadeOf.Originator, d.MadeOf.ID)
		if err != nil {
			return time.Time{}, err
		}
		first = min(first, b.ends)
	}
	if ends := now.Add(DraftLifetime); ends.Unix() < first {
		return ends, nil
	}
	return time.Unix(first, 0), nil
}

// newDraft makes what is kept of a draft. Its labels are those of the alert that was
// made of it: what the node has filled in is part of what is read and released.
func newDraft(author string, now, ends time.Time, d Draft, a alert.Alert, shown []store.DraftPortion, on *basis) (*KeptDraft, error) {
	uid, err := uuid.NewV7()
	if err != nil {
		return nil, problem.Wrap(problem.Internal, err, "")
	}
	d.Plan.Portions = slices.Clone(d.Plan.Portions)
	for i, p := range a.Portions {
		l := *p.Label
		if as := p.Content.Publish; as != nil { // of a delegation the plan is that of the publication
			l.ReleasableTo, l.DiscoverableTo, l.OriginatorControl = as.ReleasableTo, as.DiscoverableTo, as.OriginatorControl
		}
		d.Plan.Portions[i].Label = l
	}
	id := store.DraftID(uid.String())
	body, err := encodeDraft(draftBody{id, author, d, a.Version, a.Previous, shown, on})
	if err != nil {
		return nil, problem.Wrap(problem.Internal, err, "")
	}
	now = now.UTC().Truncate(time.Microsecond)
	return &KeptDraft{Content: &d, Makes: a.Version, Draft: store.Draft{ID: id, Author: author, Digest: digestOf(string(body)), Body: body,
		Portions: shown, CreatedAt: now, ExpiresAt: ends.UTC().Truncate(time.Microsecond), State: store.Pending}}, nil
}

// encodeDraft writes a body. Strings stay as they are written.
func encodeDraft(b draftBody) ([]byte, error) {
	var out bytes.Buffer
	enc := json.NewEncoder(&out)
	enc.SetEscapeHTML(false)
	err := enc.Encode(b)
	return out.Bytes(), err
}

// open reads the body of a pending draft and holds it against what stands beside it.
func open(d *store.Draft) (*draftBody, error) {
	altered := func(why error) error {
		return problem.Wrap(problem.Internal, fmt.Errorf("draft %s is not what was stored: %w", d.ID, why), "")
	}
	if digestOf(string(d.Body)) != d.Digest {
		return nil, altered(errors.New("it has another digest"))
	}
	b := new(draftBody)
	if err := json.Unmarshal(d.Body, b); err != nil {
		return nil, altered(err)
	}
	if b.ID != d.ID || b.Author != d.Author || !samePortions(b.Portions, d.Portions) {
		return nil, altered(errors.New("it says something else than what stands beside it"))
	}
	return b, nil
}

// samePortions reports whether two lists say the same.
func samePortions(a, b []store.DraftPortion) bool {
	return slices.EqualFunc(a, b, func(p, q store.DraftPortion) bool { return p.ID == q.ID && bytes.Equal(p.Label, q.Label) })
}

// Draft returns a draft that a person may know of: its own, or any for a releaser, if
// the person may read every portion. Any other is NotFound, as is one that does not
// exist. Further errors are those of AddDraft about the person, Unavailable or Internal.
func (n *Node) Draft(ctx context.Context, p Person, id store.DraftID) (*KeptDraft, error) {
	v, err := n.viewer(p)
	if err != nil {
		return nil, err
	}
	d, err := v.find(ctx, id)
	if err != nil {
		return nil, err
	}
	kept := &KeptDraft{Draft: *d}
	if d.State == store.Pending {
		body, err := open(d)
		if err != nil {
			return nil, err
		}
		kept.Content, kept.Makes = &body.Draft, body.Version
	}
	return kept, nil
}

// find returns a draft that the user may know of, as it is stored.
func (v *viewer) find(ctx context.Context, id store.DraftID) (*store.Draft, error) {
	d, err := v.node.Store.Draft(ctx, id, v.node.Now())
	if errors.Is(err, store.ErrNotFound) {
		return nil, problem.New(problem.NotFound, "no such draft")
	} else if err != nil {
		return nil, draftsAway(err)
	}
	switch may, err := v.sees(ctx, d); {
	case err != nil:
		return nil, err
	case !may:
		return nil, problem.New(problem.NotFound, "no such draft")
	}
	return d, nil
}

// Drafts returns up to limit drafts that a person may know of, the latest first, without
// what they say: those of a state, or all where it is "", and only those before an id
// unless that is "". Errors are those of Draft but NotFound.
func (n *Node) Drafts(ctx context.Context, p Person, state store.DraftState, before store.DraftID, limit int) ([]KeptDraft, error) {
	v, err := n.viewer(p)
	if err != nil {
		return nil, err
	}
	now := n.Now()
	list := []KeptDraft{}
	for len(list) < limit {
		some, err := n.Store.Drafts(ctx, state, before, now, draftsChunk)
		if err != nil {
			return nil, draftsAway(err)
		}
		for _, d := range some {
			before = d.ID
			may, err := v.sees(ctx, &d)
			if err != nil {
				return nil, err
			}
			if may && len(list) < limit {
				list = append(list, KeptDraft{Draft: d})
			}
		}
		if len(some) < draftsChunk {
			break
		}
	}
	return list, nil
}

// draftsStep erases what is over. It does nothing by a clock that is not the hub's, or is
// still to be compared with it.
func (n *Node) draftsStep(ctx context.Context) (more bool, err error) {
	if err := n.compareClock(); err != nil || !n.comparedClock() {
		return false, err
	}
	n.ending.Lock() // no scrub before it is noted that something was erased
	defer n.ending.Unlock()
	erased, err := n.Store.EraseDrafts(ctx, n.Now(), draftsChunk)
	if err != nil {
		n.unscrubbed.Store(true)
		return false, draftsAway(err)
	}
	if erased > 0 {
		n.erased()
	}
	return erased >= draftsChunk, nil
}

// erasing does a write that erases what a draft says: the database gives it up in all of
// its files with the next sweep.
func (n *Node) erasing(write func() error) error {
	n.ending.Lock()
	defer n.ending.Unlock()
	n.erased()
	return write()
}

func draftsAway(err error) error {
	return problem.Wrap(problem.Unavailable, err, "the drafts can not be read or written")
}
