package node

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/entente-hub/entente/api/alert"
	"github.com/entente-hub/entente/api/feed"
	"github.com/entente-hub/entente/node/store"
	"github.com/entente-hub/entente/trust"
)

const (
	secondsPerDay = 24 * 60 * 60
	noOnward      = alert.Handling("H2") // the handling code that forbids passing on
)

// version names one version of an alert.
type version struct {
	originator alert.MemberID
	id         alert.ID
	number     int
}

// checkItems verifies the deliveries of a page and makes rows of its items.
//
// A version may be delivered again, with all that is permitted by then: it becomes
// another item like any, and adds to what is held (see holding). Its signed text is the
// same: another under the same name is refused, on this page or against what is held.
//
// An item without a delivery names no alert, and nothing of what it once held is
// stored: it neither replaces what is held of a version nor brings anything back. So
// it is too where the hub serves a page again and by now withholds what it had
// delivered. What the member holds of that version stays what the deliveries before
// and after say.
func (n *Node) checkItems(ctx context.Context, k *known, now time.Time, items []feed.Item) ([]store.Item, error) {
	var rows []store.Item
	onPage := make(map[version]signedText)
	for _, item := range items {
		row := store.Item{Seq: item.Seq, Digest: item.Digest, ReceivedAt: now.UTC().Truncate(time.Microsecond)}
		if item.Delivery == nil {
			rows = append(rows, row)
			continue
		}
		a, err := k.checkDelivery(n.Member, now, *item.Delivery, false)
		if err != nil {
			return nil, refusePage("item %d: %w", item.Seq, err)
		}
		if row.Delivery, err = json.Marshal(item.Delivery); err != nil {
			return nil, refusePage("item %d: %w", item.Seq, err)
		}
		row.Originator, row.ID, row.Version, row.SignedDigest = a.Issuer, a.Subject, a.Version, a.SignedDigest
		row.Referring, row.Delegating = referringReceived(n.Member, a.Alert), delegatingOf(a.Alert, "")
		v := version{row.Originator, row.ID, row.Version}
		held, err := n.heldText(ctx, onPage, v)
		if err != nil {
			return nil, err
		}
		text := signedText{row.SignedDigest, signedPart(item.Delivery.Alert), a.Recall != nil}
		if held.digest != "" && held.digest != text.digest {
			return nil, n.equivocated(ctx, item.Seq, v, held, text)
		}
		if err := n.checkVersions(ctx, onPage, item.Seq, v, text, a.Payload); err != nil {
			return nil, err
		}
		if err := n.checkRecalled(ctx, onPage, item.Seq, v, text); err != nil {
			return nil, err
		}
		onPage[v] = text
		rows = append(rows, row)
	}
	return rows, nil
}

// signedText is what an originator has signed of a version.
type signedText struct {
	digest string // of jws, base64url
	jws    string // without disclosures; "" where what is stored is damaged
	recall bool   // it recalls the alert
}

// signedPart returns the part of an SD-JWT that is signed (RFC 9901 section 4).
func signedPart(token string) string {
	jws, _, _ := strings.Cut(token, "~")
	return jws
}

// heldText returns the signed text of a version, the zero value if none is held.
func (n *Node) heldText(ctx context.Context, onPage map[version]signedText, v version) (signedText, error) {
	if text, ok := onPage[v]; ok {
		return text, nil
	}
	i, err := n.Store.Received(ctx, v.originator, v.id, v.number)
	if errors.Is(err, store.ErrNotFound) {
		return signedText{}, nil
	} else if err != nil {
		return signedText{}, err
	}
	text := signedText{digest: i.SignedDigest, recall: i.Recall != ""}
	if k, err := stored(*i); err == nil { // else what stands beside it has to do: the feed goes on
		text.jws = signedPart(k.Delivery.Alert)
	}
	return text, nil
}

// equivocated refuses a page on which a version has another signed text than the
// one held, and raises an alarm with both. The originator, or whoever has its key,
// has signed two, and the hub has taken both: one of them it should have refused.
func (n *Node) equivocated(ctx context.Context, seq int64, v version, held, other signedText) error {
	fault := refusePage("item %d: version %d of %s's alert %s differs from the one received before", seq, v.number, v.originator, v.id)
	return errors.Join(fault, n.raise(ctx, store.AlarmFeed, lines(held.jws, other.jws),
		"version %d of %s's alert %s has two signed texts", v.number, v.originator, v.id))
}

// checkVersions holds a version to those beside it, as far as they are held: they may not
// have been released to this member. Two versions of which the later does not name the
// earlier are two successors of one version, and what follows a recall should not be
// there: the originator, or whoever has its key, has signed both, and the hub has taken
// both. The page is refused, and both texts are kept with an alarm.
func (n *Node) checkVersions(ctx context.Context, onPage map[version]signedText, seq int64, v version, text signedText, a alert.Payload) error {
	if v.number > 1 {
		before := version{v.originator, v.id, v.number - 1}
		held, err := n.heldText(ctx, onPage, before)
		if err != nil {
			return err
		}
		if held.digest != "" && held.digest != a.Previous {
			return n.forked(ctx, seq, v, held, text, "version %d of alert %s does not follow the version %d that is held", v.number, v.id, before.number)
		}
	}
	next := version{v.originator, v.id, v.number + 1}
	held, err := n.heldText(ctx, onPage, next)
	if err != nil || held.jws == "" {
		return err
	}
	p, err := clearPart(held.jws)
	if err != nil {
		return fmt.Errorf("version %d of alert %s in the inbox is damaged: %w", next.number, v.id, err)
	}
	if p.Previous != text.digest {
		return n.forked(ctx, seq, v, text, held, "version %d of alert %s is not the one that the version %d that is held follows", v.number, v.id, next.number)
	}
	return nil
}

// checkRecalled refuses a version after a recall, whichever of them comes first.
func (n *Node) checkRecalled(ctx context.Context, onPage map[version]signedText, seq int64, v version, text signedText) error {
	versions, err := n.Store.Versions(ctx, v.originator, v.id)
	if err != nil {
		return err
	}
	if len(versions) > 0 { // a recall is the last, or it were not stored
		versions = versions[len(versions)-1:]
	}
	for o := range onPage {
		if o.originator == v.originator && o.id == v.id {
			versions = append(versions, o.number)
		}
	}
	for _, number := range versions {
		if number == v.number || number > v.number && !text.recall {
			continue
		}
		other, err := n.heldText(ctx, onPage, version{v.originator, v.id, number})
		if err != nil {
			return err
		}
		recall, late, low, high := text, other, v.number, number
		if number < v.number {
			recall, late, low, high = other, text, number, v.number
		}
		if recall.recall && !late.recall {
			return n.forked(ctx, seq, v, recall, late, "version %d of alert %s comes after its recall, which is version %d", high, v.id, low)
		}
	}
	return nil
}

// forked refuses a page for two signed texts that do not go together, and raises an
// alarm with both.
func (n *Node) forked(ctx context.Context, seq int64, v version, one, other signedText, format string, args ...any) error {
	why := fmt.Errorf(format, args...)
	fault := refusePage("item %d: %w", seq, why)
	return errors.Join(fault, n.raise(ctx, store.AlarmFeed, lines(one.jws, other.jws), "%s: %w", v.originator, why))
}

// checkDelivery verifies an alert up to its originator's root, and that what is
// disclosed is exactly what the releases say: of a later version that may be nothing,
// which says that those before it are over. Once something of it has been erased it may
// be nothing in any case.
func (k *known) checkDelivery(self alert.MemberID, now time.Time, d feed.Delivery, erased bool) (*trust.VerifiedAlert, error) {
	a, err := k.dir.VerifyAlert(d.Alert)
	if err != nil {
		return nil, err
	}
	if a.Issuer == self {
		return nil, errors.New("it is an alert of this member's own")
	}
	if a.Delegate != nil && a.Delegate.To != self {
		return nil, errors.New("it is a delegation to another member")
	}
	// Whether the alert was valid is judged at its release: a node that was away
	// for long still gets, and can tell, what has expired since.
	released := time.Unix(d.ReleasedAt, 0)
	if d.ReleasedAt <= 0 {
		return nil, errors.New("it was never released")
	}
	// What a hub has dated while its clock was wrong stays so in the feed. One that was ahead
	// is judged by what holds now: else nothing behind it would arrive until that time has
	// come. One that was behind is judged by when the alert was signed: else nothing would,
	// ever.
	if signed := time.Unix(a.IssuedAt, 0); released.Before(signed) {
		released = signed
	}
	if latest := now.Add(alert.MaxSkew); released.After(latest) {
		released = latest
	}
	// One that tells only that the version before is over may come after its own time.
	notice := len(d.Releases) == 0 && a.Version > 1
	if err := a.CheckTimes(released); err != nil && !(notice && errors.Is(err, alert.ErrExpired)) {
		return nil, fmt.Errorf("when it was released: %w", err)
	}
	if d.Revision == "" || d.Policy == "" {
		return nil, errors.New("it does not say upon which statements and policy it was released")
	}
	if !k.cited.policies[d.Policy] {
		return nil, fmt.Errorf("it was released under a policy %.50q that no statement has put into force", d.Policy)
	}
	if len(d.Releases) == 0 && a.Version == 1 && !erased {
		return nil, errors.New("it releases nothing")
	}
	if err := k.checkReleases(recipient{self, released}, a, d.Releases); err != nil {
		return nil, err
	}
	return a, nil
}

// recipient is a member to which something was released, and when.
type recipient struct {
	member alert.MemberID
	at     time.Time
}

// checkReleases holds the releases to what is disclosed, one for each portion, in
// the same order.
func (k *known) checkReleases(to recipient, a *trust.VerifiedAlert, releases []feed.Release) error {
	if len(releases) != len(a.Portions) {
		return fmt.Errorf("%d portions are disclosed and %d released", len(a.Portions), len(releases))
	}
	for i, r := range releases {
		p := a.Portions[i]
		if r.Portion != p.ID {
			return fmt.Errorf("portion %s is disclosed where %s is released", p.ID, r.Portion)
		}
		if err := k.checkRelease(to, a, p, r); err != nil {
			return fmt.Errorf("portion %s: %w", p.ID, err)
		}
	}
	return nil
}

func (k *known) checkRelease(to recipient, a *trust.VerifiedAlert, p alert.Portion, r feed.Release) error {
	held := p.Label != nil && p.Content != nil
	switch {
	case r.Kind != feed.Content && r.Kind != feed.Existence:
		return fmt.Errorf("a release of kind %.20q", string(r.Kind))
	case held != (r.Kind == feed.Content):
		return fmt.Errorf("released as %s, but its content is disclosed: %t", r.Kind, held)
	case held != (r.Obligations != nil):
		return errors.New("obligations go with content, and only with it")
	}
	if err := k.checkAgreements(to.member, a.Issuer, r.Agreements); err != nil {
		return err
	}
	if held && len(r.Agreements) == 0 && needsAgreement(p.Label) {
		return errors.New("content that is classified, or of persons, rests on no agreement")
	}
	if r.Emergency != "" {
		if err := k.checkEmergency(to, a, p.Label, r); err != nil {
			return fmt.Errorf("it rests on an emergency %.50q %w", r.Emergency, err)
		}
	}
	if !held {
		return nil
	}
	return k.checkObligations(a, p.Label, r)
}

// needsAgreement reports whether no content under a label goes anywhere without an
// agreement: membership of the federation suffices for what is unclassified and holds no
// personal data, and for nothing else.
func needsAgreement(l *alert.Label) bool {
	return l.Classification != alert.Unclassified || l.PersonalData != alert.NoPersonalData
}

// checkAgreements verifies that a release rests on agreements under which the
// issuer gives to this member, as they were or are.
func (k *known) checkAgreements(self, issuer alert.MemberID, digests []string) error {
	for i, digest := range digests {
		if i > 0 && digests[i-1] >= digest {
			return errors.New("agreements are not sorted, or one is cited twice")
		}
		switch g, ok := k.cited.agreements[digest]; {
		case !ok:
			return fmt.Errorf("it rests on an agreement %.50q that is not known", digest)
		case !g.Gives(issuer, self):
			return fmt.Errorf("it rests on agreement %s, under which %s gives nothing to %s", g.ID, issuer, self)
		}
	}
	return nil
}

// checkEmergency verifies that a release could rest on the emergency that it
// cites: a statement that two duty officers of the issuer's have signed, about this
// alert, that names this member and a compartment of the portion's, and within
// whose time the release lies. The content is held no longer than it lasts, and is
// not passed on.
//
// One that was ended before its time counts as long as it said itself: its end is
// dated by whoever signed it, and nothing tells when the hub had it. l is nil where
// no content is released. The error goes on from the emergency's name.
func (k *known) checkEmergency(to recipient, a *trust.VerifiedAlert, l *alert.Label, r feed.Release) error {
	e, ok := k.cited.emergencies[r.Emergency]
	switch {
	case !ok:
		return errors.New("that is not known")
	case e.Originator != a.Issuer || e.Alert != a.Subject:
		return fmt.Errorf("about alert %s of %s", e.Alert, e.Originator)
	case !slices.Contains(e.Members, to.member):
		return fmt.Errorf("that does not name %s", to.member)
	case !e.InForce(to.at):
		return errors.New("that was not in force when it was released")
	case l == nil || !slices.ContainsFunc(l.Compartments, func(c alert.TaskForceID) bool { return slices.Contains(e.Compartments, c) }):
		return errors.New("that widens nothing here: it is content in its compartments that it releases")
	case r.Obligations == nil || r.Obligations.HoldUntil > e.ValidUntil:
		return errors.New("and may be held for longer than that lasts")
	case r.Obligations.Onward:
		return errors.New("and may be passed on, which what an emergency releases never is")
	}
	return nil
}

// checkObligations verifies that content comes with no more freedom than its
// label, its alert and the agreements cited leave.
func (k *known) checkObligations(a *trust.VerifiedAlert, l *alert.Label, r feed.Release) error {
	o := r.Obligations
	for _, purpose := range o.Purposes {
		if !slices.Contains(l.Purposes, purpose) {
			return fmt.Errorf("it may be used for %.40q, which its label does not name", string(purpose))
		}
	}
	until, onward, err := bounds(a, l)
	if err != nil {
		return err
	}
	for _, digest := range r.Agreements {
		g := k.cited.agreements[digest]
		until = min(until, a.IssuedAt+int64(g.RetentionDays)*secondsPerDay)
		onward = onward && g.Onward
	}
	switch {
	case o.HoldUntil <= 0 || o.HoldUntil > until:
		return errors.New("it may be held for longer than its alert is valid or its label and agreements permit, or never")
	case o.Onward && !onward:
		return errors.New("it may be passed on, which its label or an agreement forbids")
	case !slices.Equal(o.Handling, l.Handling):
		return errors.New("its handling codes are not those of its label")
	}
	return nil
}

// bounds returns until when, in seconds since 1970-01-01 UTC, content may be held
// for all that alert and label say, and whether it may be passed on. TLP 2.0 lets
// amber+strict and red go no further than the recipient.
func bounds(a *trust.VerifiedAlert, l *alert.Label) (until int64, onward bool, err error) {
	until = a.Expires
	if l.Retention != "" {
		end, err := l.Retention.Time()
		if err != nil {
			return 0, false, fmt.Errorf("retention: %w", err)
		}
		until = min(until, end.Unix())
	}
	return until, !l.OriginatorControl && !slices.Contains(l.Handling, noOnward) &&
		l.TLP != alert.AmberStrict && l.TLP != alert.Red, nil
}
