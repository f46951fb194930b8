package node

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/entente-hub/entente/api/alert"
	"github.com/entente-hub/entente/api/federation"
	"github.com/entente-hub/entente/api/feed"
	"github.com/entente-hub/entente/api/problem"
	"github.com/entente-hub/entente/node/store"
)

// Explanation says why an alert went where it did, as far as this member may know:
// the originator sees its audience, a recipient what it got itself.
type Explanation struct {
	Originator alert.MemberID
	ID         alert.ID
	Version    int
	Audience   *Audience // of an alert of this member's own
	// Outgoing is set in its place where the hub does not answer of an alert that it is
	// not known to have accepted: it is queued, or was refused.
	Outgoing *store.Outgoing
	Received []GotBecause // of one received: each portion that was released
}

// GotBecause says why one portion was released to this member.
type GotBecause struct {
	Portion     alert.PortionID
	Kind        feed.Kind
	Why         []string // in plain words, a sentence each
	Agreements  []CitedAgreement
	Obligations *feed.Obligations // with content
	Emergency   string            // digest of the emergency without which it were not released, or ""
}

// Explain explains one version of an alert; originator "" is whoever's it is,
// version 0 the latest that is stored here. Of what was received a reader is told as far
// as it may read it, and of the member's own alerts if it is the focal point's; nil is
// nobody in particular (NewReader). Errors are of kind NotFound, whether there is no such
// alert or it is not this member's or the reader's to know, those of Show, the hub's, or
// Internal where the hub's answer can not be true.
func (n *Node) Explain(ctx context.Context, reader *Reader, originator alert.MemberID, id alert.ID, version int) (*Explanation, error) {
	switch {
	case reader == nil && n.Ingress != nil:
		return nil, n.unnamed()
	case reader != nil && version == 0:
		return nil, problem.New(problem.Malformed, "name the version: which is the latest is not for every user to know")
	}
	originator, version, err := n.find(ctx, originator, id, version)
	if err != nil {
		return nil, err
	}
	e := &Explanation{Originator: originator, ID: id, Version: version}
	if originator == n.Member {
		return e, n.explainOwn(ctx, reader, e)
	}
	r, err := n.show(ctx, reader, originator, id, version)
	if err != nil {
		return nil, err
	}
	cited, err := n.citedAgreements(ctx, n.known.Load())
	if err != nil {
		return nil, err
	}
	for i, p := range r.Alert.Portions {
		e.Received = append(e.Received, n.because(r, p, r.Delivery.Releases[i], cited))
	}
	return e, nil
}

// explainOwn adds what there is to say of an alert of this member's own.
func (n *Node) explainOwn(ctx context.Context, reader *Reader, e *Explanation) error {
	if focal, err := n.focal(ctx, reader); err != nil {
		return err
	} else if !focal {
		return problem.New(problem.NotFound, "no such alert")
	}
	o, err := n.Outgoing(ctx, e.ID, e.Version)
	if err != nil {
		return err
	}
	if p, err := clearPart(o.Token); err == nil && o.Token == signedPart(o.Token)+"~" && len(p.Portions) > 0 {
		return problem.New(problem.Expired, "the alert has ended: what it disclosed is erased, and nothing is left to explain")
	}
	a, err := n.Hub.Explain(ctx, e.ID, e.Version)
	if err != nil && o.State != store.Accepted {
		e.Outgoing = o
		return nil
	} else if err != nil {
		return err
	}
	k, err := n.asOfNow(ctx)
	if err != nil {
		return err
	}
	if err := n.stillOwn(o, &a); err != nil {
		return problem.Wrap(problem.Internal, err, "the alert in the outbox can not be read")
	}
	if err := k.checkAudience(n.Member, *o, a); err != nil {
		return problem.New(problem.Internal, "what the hub says of alert %s can not be true: %w", e.ID, err)
	}
	e.Audience = &a
	return n.nameAgreements(ctx, k, e.Audience)
}

// show reads a received alert, for a reader or for nobody in particular.
func (n *Node) show(ctx context.Context, reader *Reader, originator alert.MemberID, id alert.ID, version int) (*Received, error) {
	if reader == nil {
		return n.Show(ctx, originator, id, version)
	}
	return n.ShowTo(ctx, *reader, originator, id, version)
}

// find says which stored version of which originator's alert is meant.
func (n *Node) find(ctx context.Context, originator alert.MemberID, id alert.ID, version int) (alert.MemberID, int, error) {
	candidates := []alert.MemberID{originator}
	if originator == "" {
		k, err := n.registered()
		if err != nil {
			return "", 0, err
		}
		candidates = []alert.MemberID{n.Member}
		for _, m := range k.dir.Registry().Members {
			if m.ID != n.Member {
				candidates = append(candidates, m.ID)
			}
		}
	}
	for _, m := range candidates {
		from := m
		if m == n.Member {
			from = "" // in the outbox
		}
		latest, err := n.Store.Latest(ctx, from, id)
		if errors.Is(err, store.ErrNotFound) {
			continue
		} else if err != nil {
			return "", 0, problem.Wrap(problem.Unavailable, err, "the alerts can not be read")
		}
		if version == 0 {
			version = latest
		}
		return m, version, nil
	}
	return "", 0, problem.New(problem.NotFound, "no such alert")
}

// nameAgreements names the agreements that the hub cites, all of which k holds, as the
// node has verified them.
func (n *Node) nameAgreements(ctx context.Context, k *known, a *Audience) error {
	cited, err := n.citedAgreements(ctx, k)
	if err != nil {
		return err
	}
	for _, p := range a.Portions {
		for _, m := range p.Members {
			for i, c := range m.Agreements {
				m.Agreements[i] = cited[c.Digest]
			}
		}
	}
	return nil
}

// citedAgreements returns every version of each agreement that the node has verified,
// by the digest by which releases cite it.
func (n *Node) citedAgreements(ctx context.Context, k *known) (map[string]CitedAgreement, error) {
	versions, err := n.history(ctx, k, federation.TypeAgreement)
	if err != nil {
		return nil, err
	}
	cited := make(map[string]CitedAgreement)
	for _, s := range versions {
		if a, ok := s.Body.(*federation.Agreement); ok {
			cited[s.Digest] = CitedAgreement{ID: string(a.ID), Digest: s.Digest, Title: a.Title, Version: s.Revision}
		}
	}
	return cited, nil
}

// because puts into words what a release says, all of which was verified when the
// alert was read.
func (n *Node) because(r *Received, p alert.Portion, release feed.Release, cited map[string]CitedAgreement) GotBecause {
	from := string(r.Alert.Issuer)
	g := GotBecause{Portion: p.ID, Kind: release.Kind, Emergency: release.Emergency, Obligations: release.Obligations}
	for _, digest := range release.Agreements {
		g.Agreements = append(g.Agreements, cited[digest])
	}
	say := func(format string, args ...any) { g.Why = append(g.Why, fmt.Sprintf(format, args...)) }
	if release.Kind == feed.Existence {
		say("%s lets %s know that there is something, and no more: ask %s for it.", from, n.Member, from)
	} else {
		say("%s gave the content to %s.", from, n.Member)
	}
	for _, a := range g.Agreements {
		say("It rests on the agreement %q (%s, version %d).", a.Title, a.ID, a.Version)
	}
	if len(g.Agreements) == 0 && release.Kind == feed.Content {
		if needsAgreement(p.Label) {
			say("The hub has cited no agreement for it.")
		} else {
			say("It rests on membership of the federation alone: no agreement was needed.")
		}
	}
	if held := r.Held[p.ID]; held != nil && held.Emergency != nil {
		say("%s declared an emergency, without which it had not been released: %s (%s).", from, held.Emergency.Threat, held.Emergency.Duty)
	}
	if o := release.Obligations; o != nil {
		sayBounds(say, o)
	}
	return g
}

// sayBounds says what binds whoever holds content.
func sayBounds(say func(string, ...any), o *feed.Obligations) {
	var purposes []string
	for _, p := range o.Purposes {
		purposes = append(purposes, string(p))
	}
	if len(purposes) == 0 {
		purposes = []string{"no purpose"}
	}
	say("Use it for %s only.", strings.Join(purposes, ", "))
	say("Hold it until %s.", time.Unix(o.HoldUntil, 0).UTC().Format(time.RFC3339))
	if o.Onward {
		say("It may be passed on, within what its label allows.")
	} else {
		say("Do not pass it on.")
	}
	for _, h := range o.Handling {
		say("Handling code %s applies.", string(h))
	}
}
