package node

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/entente-hub/entente/api/alert"
	"github.com/entente-hub/entente/api/feed"
	"github.com/entente-hub/entente/api/problem"
	"github.com/entente-hub/entente/crypto/tlog"
	"github.com/entente-hub/entente/node/store"
	"github.com/entente-hub/entente/parcel"
)

// errUnanswered is wrapped where a parcel has no answer to what was asked.
var errUnanswered = errors.New("the parcel has no answer to that")

func unanswered(format string, args ...any) error {
	return problem.New(problem.Unavailable, "%w: %s", errUnanswered, fmt.Sprintf(format, args...))
}

// recorded is a Hub that answers what the hub has answered to who carried a parcel there.
// What is not written down it does not know, which is Unavailable: so that nothing is
// given up for it. As with every Hub, nothing that it returns is verified.
type recorded struct {
	Offline    // what is never carried
	n          *Node
	r          *parcel.Reader
	outcomes   map[string]parcel.Outcome // by Digest
	proofs     map[[2]int64]parcel.Proof
	checkpoint string
}

var _ Hub = (*recorded)(nil)

// newRecorded reads what is small; pages, statements and published alerts stay in the
// file until they are asked for.
func newRecorded(n *Node, r *parcel.Reader) (*recorded, error) {
	h := &recorded{n: n, r: r, outcomes: make(map[string]parcel.Outcome), proofs: make(map[[2]int64]parcel.Proof)}
	for i, p := range r.Manifest().Parts {
		var err error
		switch p.Kind {
		case parcel.Outcomes:
			var list []parcel.Outcome
			err = r.Into(i, &list)
			for _, o := range list {
				h.outcomes[o.Digest] = o
			}
		case parcel.Proofs:
			var list []parcel.Proof
			err = r.Into(i, &list)
			for _, q := range list {
				h.proofs[[2]int64{q.Old, q.New}] = q
			}
		case parcel.Checkpoint:
			err = r.Into(i, &h.checkpoint)
		}
		if err != nil {
			return nil, err
		}
	}
	return h, nil
}

// find returns the part of a list that answers what follows a place; -1: there is none.
// It is the one that the place lies in or, where the list ends there or before, its end.
func (h *recorded) find(kind parcel.Kind, after int64) int {
	parts := h.r.Manifest().Parts
	in := slices.IndexFunc(parts, func(p parcel.Part) bool { return p.Kind == kind && p.After <= after && after < p.Last })
	if in >= 0 {
		return in
	}
	return slices.IndexFunc(parts, func(p parcel.Part) bool { return p.Kind == kind && p.After == p.Last && p.After <= after })
}

// listed returns up to limit of what part i has after a place.
func listed[T any](h *recorded, i int, after int64, limit int, place func(T) int64) ([]T, error) {
	var list []T
	if err := h.r.Into(i, &list); err != nil {
		return nil, problem.Wrap(problem.Internal, err, "the parcel can not be read")
	}
	list = slices.DeleteFunc(list, func(v T) bool { return place(v) <= after })
	return list[:min(len(list), limit)], nil
}

// Statements implements Hub.
func (h *recorded) Statements(_ context.Context, after int64, limit int) ([]PlacedStatement, error) {
	i := h.find(parcel.Statements, after)
	if i < 0 {
		return nil, unanswered("statements after position %d", after)
	}
	list, err := listed(h, i, after, limit, func(s parcel.PlacedStatement) int64 { return s.Position })
	var out []PlacedStatement
	for _, s := range list {
		out = append(out, PlacedStatement{Position: s.Position, Raw: s.Statement})
	}
	return out, err
}

// Published implements Hub.
func (h *recorded) Published(_ context.Context, after int64, limit int) ([]PublishedAlert, error) {
	i := h.find(parcel.Published, after)
	if i < 0 {
		return nil, unanswered("what this member has published after entry %d of the log", after)
	}
	list, err := listed(h, i, after, limit, func(p parcel.PublishedAlert) int64 { return p.Index })
	var out []PublishedAlert
	for _, p := range list {
		out = append(out, PublishedAlert{Token: p.Alert, Receipt: p.Receipt})
	}
	return out, err
}

// Poll implements Hub. A page that begins before the place is cut: its head stands at its
// end all the same.
func (h *recorded) Poll(ctx context.Context, after int64, _ int, _ time.Duration) (feed.Page, error) {
	none := unanswered("the feed after item %d", after)
	i := h.find(parcel.Pages, after)
	if i < 0 {
		return feed.Page{}, none
	}
	if p := h.r.Manifest().Parts[i]; p.After == p.Last && p.After != after {
		return feed.Page{}, none
	}
	var p parcel.FeedPage
	if err := h.r.Into(i, &p); err != nil {
		return feed.Page{}, problem.Wrap(problem.Internal, err, "the parcel can not be read")
	}
	switch {
	case p.Problem != nil:
		return feed.Page{}, p.Problem.Err()
	case p.Page == nil:
		return feed.Page{}, none
	}
	if old, err := h.overtaken(ctx, *p.Page); err != nil || old {
		return feed.Page{}, errors.Join(none, err)
	}
	p.Page.Items = slices.DeleteFunc(p.Page.Items, func(item feed.Item) bool { return item.Seq <= after })
	return *p.Page, nil
}

// overtaken reports whether the node has seen a later head or a longer log, in another
// way, since it asked for what the parcel answers: then the page is of before, where over
// the wire it would be a hub's that goes back. A log that is shorter than when the node
// asked is the hub's fault all the same.
func (h *recorded) overtaken(ctx context.Context, p feed.Page) (bool, error) {
	head, size, err := peekHead(p)
	if err != nil {
		return false, nil // the node's step says what is wrong with it
	}
	pos, err := h.n.Store.Position(ctx)
	if err != nil {
		return false, err
	}
	now, err := logSize(pos)
	if err != nil {
		return false, err
	}
	return size < now && size >= h.r.Manifest().Standing.LogSize || head.IssuedAt < pos.HeadAt-int64(alert.MaxSkew/time.Second), nil
}

// peekHead reads the head of a page, and the size of the log that it tells, without
// verifying anything.
func peekHead(p feed.Page) (feed.Head, int64, error) {
	payload, err := jwsPayload(p.Head)
	if err != nil {
		return feed.Head{}, 0, err
	}
	head, err := feed.Parse[feed.Head](payload)
	if err != nil {
		return feed.Head{}, 0, err
	}
	c, err := storedCheckpoint([]byte(head.Checkpoint))
	return head, c.Size, err
}

// logSize is how many entries of the log a position has a checkpoint of.
func logSize(p store.Position) (int64, error) {
	if p.Checkpoint == nil {
		return 0, nil
	}
	c, err := storedCheckpoint(p.Checkpoint)
	return c.Size, err
}

// answered reports whether it is known what became of a text that was handed over.
func (h *recorded) answered(text string) bool { _, ok := h.outcomes[digestOf(text)]; return ok }

// outcome returns what became of one that was handed over.
func (h *recorded) outcome(text string) (parcel.Outcome, error) {
	o, ok := h.outcomes[digestOf(text)]
	if !ok {
		return o, unanswered("what became of what was signed since")
	}
	if o.Problem != nil {
		return o, o.Problem.Err()
	}
	return o, nil
}

// Publish implements Hub.
func (h *recorded) Publish(_ context.Context, token string) (string, error) {
	o, err := h.outcome(token)
	return o.Receipt, err
}

// PublishAll implements Hub.
func (h *recorded) PublishAll(ctx context.Context, tokens []string) (list []Published, err error) {
	for _, token := range tokens {
		if !h.answered(token) {
			break
		}
		receipt, err := h.Publish(ctx, token)
		list = append(list, Published{Receipt: receipt, Refusal: err})
	}
	if len(list) == 0 {
		return nil, unanswered("what became of the alerts that wait")
	}
	return list, nil
}

// Acknowledge implements Hub.
func (h *recorded) Acknowledge(_ context.Context, acks []string) error { return h.all(acks) }

// Purged implements Hub.
func (h *recorded) Purged(_ context.Context, purges []string) error { return h.all(purges) }

// SubmitStatement implements Hub.
func (h *recorded) SubmitStatement(_ context.Context, raw []byte) error {
	return h.all([]string{string(raw)})
}

func (h *recorded) all(texts []string) error {
	for _, text := range texts {
		if _, err := h.outcome(text); err != nil {
			return err
		}
	}
	return nil
}

// Checkpoint implements Hub.
func (h *recorded) Checkpoint(context.Context) ([]byte, error) {
	if h.checkpoint == "" {
		return nil, unanswered("the log's checkpoint")
	}
	return []byte(h.checkpoint), nil
}

// Consistency implements Hub.
func (h *recorded) Consistency(_ context.Context, older, newer int64) (tlog.ConsistencyPath, error) {
	p, ok := h.proofs[[2]int64{older, newer}]
	if !ok {
		return nil, unanswered("that the log of %d entries begins with the %d that this node has seen", newer, older)
	}
	path, err := p.Path()
	if err != nil {
		return nil, problem.Wrap(problem.Internal, err, "the parcel can not be read")
	}
	return path, nil
}
