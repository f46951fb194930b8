package node

import (
	"context"
	"errors"
	"slices"
	"time"

	"github.com/entente-hub/entente/api/feed"
	"github.com/entente-hub/entente/api/problem"
	"github.com/entente-hub/entente/crypto/tlog"
	"github.com/entente-hub/entente/node/store"
	"github.com/entente-hub/entente/parcel"
)

// exchange is the hub as the node's steps see it: that of the configuration, or what a
// parcel has recorded, where the step is taken with that.
type exchange struct{ Hub }

type recordedKey struct{}

// with returns the context of steps that are taken with a parcel's answers.
func (h *recorded) with(ctx context.Context) context.Context {
	return context.WithValue(ctx, recordedKey{}, h)
}

// carried reports whether a step is taken with a parcel's answers: they are of some time
// ago.
func carried(ctx context.Context) bool { return ctx.Value(recordedKey{}) != nil }

// of is the hub that a call is for.
func (e exchange) of(ctx context.Context) Hub {
	if h, ok := ctx.Value(recordedKey{}).(*recorded); ok {
		return h
	}
	return e.Hub
}

// Imported is what a parcel has brought. What was brought before does not count.
type Imported struct {
	Cursor     int64 // sequence number of the last item of the feed that the node has now
	Items      int64 // of the feed
	Accepted   int64 // alerts that waited
	Refused    int64 // likewise
	Acks       int64 // acknowledgements that waited
	Purges     int64 // purge receipts that waited
	Submitted  int64 // statements of the node's own that waited
	Statements int64 // that were not known
	Again      bool  // there is more in it: Import was to be back soon
	Left       bool  // the hub has more for this node than the parcel has
}

// Import takes a verified parcel of the hub's answers by the steps that the node takes
// over the wire, until nothing in it is an answer any more; what was taken before is
// passed over. It begins no further page after until, and is to be called again then.
// Errors are of kind WrongMember or Malformed where the parcel is for somebody else,
// Conflict where its part of the feed begins beyond where the node stands, BadSignature
// where what the hub has answered is refused, or those of the steps. Whatever was taken
// before an error stays taken.
func (n *Node) Import(ctx context.Context, r *parcel.Reader, until time.Time) (Imported, error) {
	m := r.Manifest()
	switch {
	case m.Bound != parcel.ToNode:
		return Imported{}, problem.New(problem.Malformed, "the parcel is one to a hub, not what a hub has answered")
	case m.Member != n.Member:
		return Imported{}, problem.New(problem.WrongMember, "the parcel is for %s, not for %s", m.Member, n.Member)
	case m.Hub != n.HubID:
		return Imported{}, problem.New(problem.Malformed, "the parcel is from %s, not from %s", m.Hub, n.HubID)
	}
	h, err := newRecorded(n, r)
	if err != nil {
		return Imported{}, problem.New(problem.Malformed, "%w", err)
	}
	n.importing.Lock()
	defer n.importing.Unlock()
	before, err := n.tally(ctx)
	if err != nil {
		return Imported{}, err
	}
	out := Imported{Left: m.More}
	faults := n.takeAnswers(h.with(ctx), h, until, &out)
	after, err := n.tally(ctx)
	if err != nil {
		return Imported{}, errors.Join(faults, err)
	}
	out.count(before, after)
	if faults == nil && !out.Again {
		faults = unfit(m, after.cursor)
	}
	if errors.Is(faults, ErrPage) {
		faults = problem.New(problem.BadSignature, "%w", faults)
	}
	return out, faults
}

// unfit refuses a parcel that has something of the feed beyond what the node has now, and
// not in a way that the node could take.
func unfit(m parcel.Manifest, cursor int64) error {
	for _, p := range m.Parts {
		switch {
		case p.Kind != parcel.Pages || p.Last <= cursor:
		case p.After > cursor:
			return problem.New(problem.Conflict, "its part of the feed begins after item %d, and this node stands at item %d: import what comes between, or export again",
				p.After, cursor)
		default:
			return problem.New(problem.Conflict, "what it has of the feed after item %d does not join on to what this node has verified since it was asked for: export again", cursor)
		}
	}
	return nil
}

// takeAnswers takes each of the steps for as long as there are answers.
func (n *Node) takeAnswers(ctx context.Context, h *recorded, until time.Time, out *Imported) error {
	n.listAnew() // a parcel's list is the word of who carried it
	defer n.listAnew()
	_, err := n.statementsStep(ctx)
	faults := []error{err, n.witnessAnswer(ctx, h)}
	for more := true; more; {
		if more, err = n.outboxStep(ctx); errors.Is(err, store.ErrStale) { // the loop that sends over the wire was faster
			more, err = true, nil
		}
		faults = append(faults, err)
	}
	faults = append(faults, n.answersToAcks(ctx, h, out), n.answersToPurges(ctx, h, out))
	out.Again, err = n.answersToPolls(ctx, until)
	return answeredFaults(errors.Join(append(faults, err)...))
}

// witnessAnswer holds the checkpoint that the hub has given to who carried the parcel to
// the one that the node had when it asked, unless it has another by now.
func (n *Node) witnessAnswer(ctx context.Context, h *recorded) error {
	pos, err := n.Store.Position(ctx)
	if err != nil {
		return err
	}
	if size, err := logSize(pos); err != nil || size != h.r.Manifest().Standing.LogSize || !n.known.Load().dir.Ready() {
		return err
	}
	_, err = n.Witness(ctx)
	return err
}

// listAnew has the list of statements gone through from its beginning the next time.
func (n *Node) listAnew() {
	n.syncing.Lock()
	defer n.syncing.Unlock()
	n.asked.passed = 0
}

// answeredFaults leaves out of an error what only says that there is no answer.
func answeredFaults(err error) error {
	if many, ok := err.(interface{ Unwrap() []error }); ok {
		all := many.Unwrap()
		var left []error
		for _, one := range all {
			if one = answeredFaults(one); one != nil {
				left = append(left, one)
			}
		}
		if len(left) == len(all) {
			return err
		}
		return errors.Join(left...)
	}
	if errors.Is(err, errUnanswered) {
		return nil
	}
	return err
}

// answersToPolls takes pages for as long as they lead on.
func (n *Node) answersToPolls(ctx context.Context, until time.Time) (again bool, err error) {
	for {
		before, err := n.Store.Position(ctx)
		if err != nil {
			return false, err
		}
		if _, err = n.feedStep(ctx); errors.Is(err, store.ErrStale) { // the loop that follows the wire was faster
			continue
		} else if err != nil {
			return false, err
		}
		after, err := n.Store.Position(ctx)
		if err != nil || after.Seq == before.Seq {
			return false, err
		}
		if time.Now().After(until) {
			return true, nil
		}
	}
}

// answersToAcks takes what the hub has said to acknowledgements that wait.
func (n *Node) answersToAcks(ctx context.Context, h *recorded, out *Imported) error {
	for after := int64(0); ; {
		list, err := n.Store.AcksAfter(ctx, after, ackPage)
		if err != nil || len(list) == 0 {
			return err
		}
		after = list[len(list)-1].Seq
		acks := slices.DeleteFunc(list, func(a store.Ack) bool { return !h.answered(a.Token) })
		if len(acks) == 0 {
			continue
		}
		if err = n.sendAcks(ctx, acks); ackRefused(err) {
			err = n.ackOneByOne(ctx, acks)
		}
		if err != nil {
			return err
		}
		out.Acks += int64(len(acks))
	}
}

// answersToPurges takes what the hub has said to purge receipts that wait.
func (n *Node) answersToPurges(ctx context.Context, h *recorded, out *Imported) error {
	for after := int64(0); ; {
		list, err := n.Store.PurgesAfter(ctx, after, ackPage)
		if err != nil || len(list) == 0 {
			return err
		}
		after = list[len(list)-1].N
		purges := slices.DeleteFunc(list, func(p store.Purge) bool { return !h.answered(p.Token) })
		if len(purges) == 0 {
			continue
		}
		if err = n.sendPurges(ctx, purges); ackRefused(err) {
			err = n.purgeOneByOne(ctx, purges)
		}
		if err != nil {
			return err
		}
		out.Purges += int64(len(purges))
	}
}

// tally is what Imported is counted from.
type tally struct {
	cursor, statements, own int64
	counts                  store.Counts
}

func (n *Node) tally(ctx context.Context) (tally, error) {
	pos, err := n.Store.Position(ctx)
	if err != nil {
		return tally{}, err
	}
	t := tally{cursor: pos.Seq}
	if t.counts, err = n.Store.Counts(ctx); err != nil {
		return tally{}, err
	}
	list, err := n.Store.Statements(ctx)
	if err != nil {
		return tally{}, err
	}
	own, err := n.Store.Own(ctx)
	t.statements, t.own = int64(len(list)), int64(len(own))
	return t, err
}

// count enters what has changed. Others may have added to what waits meanwhile.
func (i *Imported) count(before, after tally) {
	i.Cursor, i.Items = after.cursor, after.cursor-before.cursor
	i.Accepted, i.Refused = after.counts.Accepted-before.counts.Accepted, after.counts.Refused-before.counts.Refused
	i.Statements, i.Submitted = after.statements-before.statements, max(before.own-after.own, 0)
}

// The operations that a parcel may have the answer to go to the hub that the call is for.

func (e exchange) PublishAll(ctx context.Context, tokens []string) ([]Published, error) {
	return e.of(ctx).PublishAll(ctx, tokens)
}

func (e exchange) Poll(ctx context.Context, after int64, limit int, wait time.Duration) (feed.Page, error) {
	return e.of(ctx).Poll(ctx, after, limit, wait)
}

func (e exchange) Acknowledge(ctx context.Context, acks []string) error {
	return e.of(ctx).Acknowledge(ctx, acks)
}

func (e exchange) Purged(ctx context.Context, purges []string) error {
	return e.of(ctx).Purged(ctx, purges)
}

func (e exchange) Statements(ctx context.Context, after int64, limit int) ([]PlacedStatement, error) {
	return e.of(ctx).Statements(ctx, after, limit)
}

func (e exchange) SubmitStatement(ctx context.Context, raw []byte) error {
	return e.of(ctx).SubmitStatement(ctx, raw)
}

func (e exchange) Published(ctx context.Context, after int64, limit int) ([]PublishedAlert, error) {
	return e.of(ctx).Published(ctx, after, limit)
}

func (e exchange) Checkpoint(ctx context.Context) ([]byte, error) { return e.of(ctx).Checkpoint(ctx) }

func (e exchange) Consistency(ctx context.Context, older, newer int64) (tlog.ConsistencyPath, error) {
	return e.of(ctx).Consistency(ctx, older, newer)
}
