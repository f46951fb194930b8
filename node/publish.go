package node

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/google/uuid"

	"github.com/entente-hub/entente/api/alert"
	"github.com/entente-hub/entente/api/problem"
	"github.com/entente-hub/entente/crypto/keys"
	"github.com/entente-hub/entente/crypto/sdjwt"
	"github.com/entente-hub/entente/node/store"
	"github.com/entente-hub/entente/trust"
)

// jtiSize is the size of an alert's jti in bytes.
const jtiSize = 16

// Egress is the member's own policy on what may leave it.
type Egress interface {
	// Check returns every reason against an alert with these labels; none: it
	// may leave. An error means that nothing may leave.
	Check(ctx context.Context, originator alert.MemberID, labels []alert.Label) ([]Refusal, error)
}

// Refusal is one reason of the member's own against an alert.
type Refusal struct {
	Code    string
	Message string
	Portion int // index of the portion's label; -1: the alert as a whole
}

// Draft is what somebody wants to publish: an alert of its own, the next version of one,
// or the recall of one, which has neither objects nor plan.
type Draft struct {
	Objects []json.RawMessage `json:"objects,omitempty"` // STIX 2.1 objects
	Plan    alert.Plan        `json:"plan"`              // how they become labelled portions

	Supersedes alert.ID         `json:"supersedes,omitempty"` // the member's own alert of which this is the next version; "": none
	Recall     *alert.Recall    `json:"recall,omitempty"`     // ends Supersedes
	Re         *alert.Reference `json:"re,omitempty"`         // what it is feedback to; a next version has that of the one before
	Delegate   *DelegateTo      `json:"delegate,omitempty"`   // another member is to publish it
	MadeOf     *MadeOf          `json:"made_of,omitempty"`    // the received delegation that it publishes
	By         string           `json:"by,omitempty"`         // who wrote it, a user of the member's directory; kept here where Re or Delegate is set, and not sent
}

// Publish composes an alert, signs it and queues it. When it returns nil the
// alert is on stable storage; that the hub has it is told by Outgoing. Errors
// are *problem.Error: Malformed, EgressDenied with the reasons' codes, also where the
// alert takes two persons (see FourEyes), TooLarge, BadSignature (the node's key is not
// certified), Unavailable or Internal; and of what a draft supersedes NotFound, Expired,
// or Conflict where it has been recalled or another version has come first. Then nothing
// is stored or, if the store failed, perhaps all.
func (n *Node) Publish(ctx context.Context, d Draft) (*store.Outgoing, error) {
	return n.issue(ctx, d, nil)
}

// issue is the one way from a draft to the outbox, whether one person publishes (by is
// nil) or another than its author has released it. Errors are those of Publish, or
// Conflict where the draft that was released has moved on.
func (n *Node) issue(ctx context.Context, d Draft, by *released) (*store.Outgoing, error) {
	now := n.Now()
	a, err := n.prepare(ctx, d, now)
	if err != nil {
		return nil, err
	}
	leave, err := n.mayGo(ctx, a, by, now)
	if err != nil {
		return nil, err
	}
	o, err := n.outgoing(ctx, a, d.By, now)
	if err != nil {
		return nil, err
	}
	if o.Publication, err = n.publication(ctx, d, a.Subject, now); err != nil {
		return nil, err
	}
	if err := n.queue(ctx, leave, o); err != nil {
		return nil, err
	}
	return o, nil
}

// outgoing signs an alert, and verifies it.
func (n *Node) outgoing(ctx context.Context, a alert.Alert, by string, now time.Time) (*store.Outgoing, error) {
	token, err := sign(ctx, n.Signer, a)
	if err != nil {
		return nil, err
	}
	if err := n.verifyOwn(ctx, token); err != nil {
		return nil, err
	}
	return &store.Outgoing{ID: a.Subject, Version: a.Version, Token: token, Digest: digestOf(token),
		State: store.Queued, QueuedAt: now.UTC().Truncate(time.Microsecond), Due: ownEnd(a), Recall: a.Recall, Urgent: n.urgent(ctx, a),
		Referring: referringOwn(a, by), Delegating: delegatingOf(a, by)}, nil
}

// prepare makes of a draft the alert that would be signed now, by the member's own policy.
func (n *Node) prepare(ctx context.Context, d Draft, now time.Time) (alert.Alert, error) {
	switch {
	case d.Recall != nil:
		return n.prepareRecall(ctx, d, now)
	case d.Delegate != nil:
		return n.prepareDelegation(ctx, d, now)
	}
	portions, lifetime, err := n.compose(ctx, d)
	if err != nil {
		return alert.Alert{}, err
	}
	if lifetime, err = n.rests(ctx, d, portions, lifetime, now); err != nil {
		return alert.Alert{}, err
	}
	a, err := n.newAlert(now, lifetime, portions)
	if err != nil {
		return alert.Alert{}, err
	}
	if a.Re = d.Re; d.Supersedes != "" {
		err = n.supersede(ctx, &a, d.Supersedes, now)
	}
	return a, err
}

// sign signs an alert. Errors are of kind Unavailable, TooLarge or Malformed.
func sign(ctx context.Context, key keys.Signer, a alert.Alert) (token string, err error) {
	token, err = trust.IssueAlert(ctx, key, a)
	switch {
	case err == nil:
		return token, nil
	case errors.Is(err, keys.ErrUnavailable) || ctx.Err() != nil:
		return "", problem.Wrap(problem.Unavailable, err, "the alert can not be signed now")
	case errors.Is(err, sdjwt.ErrTooLarge):
		return "", problem.New(problem.TooLarge, "%w", err)
	}
	return "", problem.New(problem.Malformed, "%w", err)
}

// verifyOwn verifies an alert as its recipients will: what would not verify there
// shows here, before anybody relies on it. A node that knows no registry yet, or
// not that its key is certified, looks for new statements first.
func (n *Node) verifyOwn(ctx context.Context, token string) error {
	verify := func() error {
		k, err := n.registered()
		if err == nil {
			_, err = k.dir.VerifyAlert(token)
		}
		return err
	}
	since := n.known.Load()
	err := verify()
	if kind := problem.KindOf(err); err == nil || kind != problem.Unavailable && kind != problem.BadSignature {
		return err
	}
	if more, fetchErr := n.learnMore(ctx, since); fetchErr != nil || !more {
		return err // what is missing here, not that the hub is away
	}
	return verify()
}

// Preview tells who would get what of a draft: the member's own policy first, then
// the hub. Nothing is stored here. Errors are those of Publish, or the hub's.
func (n *Node) Preview(ctx context.Context, d Draft) (Audience, error) {
	if d.Delegate != nil {
		return Audience{}, problem.New(problem.Malformed, "who gets what %s publishes depends on that member's agreements: it can preview that", d.Delegate.To)
	}
	portions, lifetime, err := n.compose(ctx, d)
	if err != nil {
		return Audience{}, err
	}
	q := AudienceQuery{Expires: n.Now().Add(lifetime).Unix()}
	for _, p := range portions {
		q.Portions = append(q.Portions, LabelledPortion{ID: p.ID, Label: *p.Label})
	}
	return n.Hub.Audience(ctx, q)
}

// checkClock refuses to date an alert by a clock that is not the hub's: it would
// be refused, or would expire too soon. It may have been the hub's that was wrong, and is
// right by now: so that is asked for at once, however long the loop would pause.
func (n *Node) checkClock() error {
	err := n.compareClock()
	if err != nil {
		wake(n.woken.feed)
	}
	return err
}

// compareClock refuses a clock that differs from the hub's.
func (n *Node) compareClock() error {
	if by := n.health.ahead(n.Now()); by.Abs() > alert.MaxSkew {
		return problem.New(problem.Unavailable, "the node's clock differs from the hub's by %s, where %s is allowed: set it right first",
			by.Round(time.Second), alert.MaxSkew)
	}
	return nil
}

// compose makes a draft's portions, with labels that are whole, and asks the member's own policy.
func (n *Node) compose(ctx context.Context, d Draft) ([]alert.Portion, time.Duration, error) {
	if err := n.checkClock(); err != nil {
		return nil, 0, err
	}
	if err := d.Plan.Normalize(); err != nil {
		return nil, 0, problem.New(problem.Malformed, "plan: %w", err)
	}
	if err := n.resolveMarkings(ctx, &d.Plan); err != nil {
		return nil, 0, err
	}
	lifetime, err := d.Plan.Lifetime()
	if err != nil {
		return nil, 0, problem.New(problem.Malformed, "plan: %w", err)
	}
	portions, err := d.Plan.Split(d.Objects)
	if err != nil {
		return nil, 0, problem.New(problem.Malformed, "%w", err)
	}
	labels := make([]alert.Label, len(portions))
	for i, p := range portions {
		labels[i] = *p.Label
	}
	if err := n.permits(ctx, labels, portions); err != nil {
		return nil, 0, err
	}
	return portions, lifetime, nil
}

// permits asks the member's own policy whether portions may leave under these labels.
func (n *Node) permits(ctx context.Context, labels []alert.Label, portions []alert.Portion) error {
	refusals, err := n.Egress.Check(ctx, n.Member, labels)
	if err != nil {
		return problem.Wrap(problem.Unavailable, err, "the national egress policy does not answer")
	}
	if len(refusals) > 0 {
		return denied(refusals, portions)
	}
	return nil
}

// resolveMarkings fills in what the labels of a plan leave to the node. Where that
// needs the registry and there is none yet, it looks for new statements first.
func (n *Node) resolveMarkings(ctx context.Context, p *alert.Plan) error {
	if !slices.ContainsFunc(p.Portions, func(q alert.Planned) bool { return q.Label.MarkedAs != "" || q.Label.Policy == "" }) {
		return nil
	}
	since := n.known.Load()
	k, err := n.registered()
	if err != nil {
		if more, fetchErr := n.learnMore(ctx, since); fetchErr != nil || !more {
			return err
		}
		if k, err = n.registered(); err != nil {
			return err
		}
	}
	p.Portions = slices.Clone(p.Portions) // the draft stays as it was
	for i := range p.Portions {
		if err := ResolveMarking(k.dir.Registry(), n.Member, &p.Portions[i].Label); err != nil {
			return problem.New(problem.Malformed, "plan: portion %s: %w", p.Portions[i].ID, err)
		}
	}
	return nil
}

func denied(refusals []Refusal, portions []alert.Portion) error {
	var codes, texts []string
	for _, r := range refusals {
		codes = append(codes, r.Code)
		where := ""
		if r.Portion >= 0 && r.Portion < len(portions) {
			where = fmt.Sprintf("portion %s: ", portions[r.Portion].ID)
		}
		texts = append(texts, where+r.Message)
	}
	slices.Sort(codes)
	return &problem.Error{Kind: problem.EgressDenied, Detail: strings.Join(texts, "; "), Codes: slices.Compact(codes)}
}

func (n *Node) newAlert(now time.Time, lifetime time.Duration, portions []alert.Portion) (alert.Alert, error) {
	id, err := uuid.NewV7()
	if err != nil {
		return alert.Alert{}, problem.Wrap(problem.Internal, err, "")
	}
	var jti [jtiSize]byte
	_, _ = rand.Read(jti[:]) // crypto/rand.Read never fails since Go 1.24
	return alert.Alert{
		Payload: alert.Payload{Issuer: n.Member, Subject: alert.ID(id.String()), Version: 1,
			JTI:      base64.RawURLEncoding.EncodeToString(jti[:]),
			IssuedAt: now.Unix(), Expires: now.Add(lifetime).Unix()},
		Portions: portions,
	}, nil
}

// digestOf is the digest by which a receipt names an alert as sent.
func digestOf(token string) string {
	sum := sha256.Sum256([]byte(token))
	return base64.RawURLEncoding.EncodeToString(sum[:])
}
