package node

import (
	"context"
	"slices"
	"time"

	"github.com/entente-hub/entente/api/alert"
	"github.com/entente-hub/entente/api/feed"
	"github.com/entente-hub/entente/api/problem"
	"github.com/entente-hub/entente/parcel"
	"github.com/entente-hub/entente/trust"
)

// Courier plays a node's parcel to a hub and writes down what it answers. It holds no key
// of the node's and verifies nothing of the answers: that is the node's affair.
type Courier struct {
	Hub   Hub
	Pages int // how many pages of the feed at most, up to MaxTrip
	// Patience is how often what the hub is not ready for is asked again before it is
	// given up; Backoff the pause before each, nil: Backoff.
	Patience int
	Backoff  func(attempt int) time.Duration
	Tell     func(Trip) // called now and then with what was done so far; nil: nobody is told
}

// MaxTrip is how many pages of a feed a parcel takes.
const MaxTrip = 20_000

// proofsPart is how many proofs are written into one part.
const proofsPart = 500

// Trip counts what a courier has done.
type Trip struct {
	Accepted, Refused int64 // alerts
	Skipped           int64 // alerts that rest on one that was refused, or come after one that the hub could not take now
	Acks, Purges      int64
	Submissions       int64
	Statements        int64
	Published         int64
	Pages, Items      int64
	More              bool   // the feed goes on
	Waits             string // why something was not taken now and waits for another trip, or ""
}

// Carry plays a parcel. Where it fails nothing is lost: the hub's answers are the same
// when the parcel is played again. The error is the first answer that came from no hub or
// made no sense, the context's, or the writer's.
func (c Courier) Carry(ctx context.Context, in *parcel.Reader, out *parcel.Writer) (Trip, error) {
	if c.Backoff == nil {
		c.Backoff = Backoff
	}
	p := &player{Courier: c, in: in, out: out, refused: make(map[alert.ID]bool)}
	s := in.Manifest().Standing
	for _, step := range []func(context.Context) error{
		func(ctx context.Context) error { return p.published(ctx, s.PublishedAfter) },
		p.queues,
		func(ctx context.Context) error { return p.checkpoint(ctx, s.LogSize) },
		func(ctx context.Context) error { return p.feed(ctx, s.Cursor, s.LogSize) },
		p.statements, // last, so that what the pages rest on is among them
	} {
		if err := step(ctx); err != nil {
			return p.trip, err
		}
	}
	return p.trip, nil
}

// player is one trip.
type player struct {
	Courier
	in      *parcel.Reader
	out     *parcel.Writer
	trip    Trip
	refused map[alert.ID]bool // alerts of which the hub has refused a version
	stopped map[parcel.Kind]bool
}

func (p *player) tell() {
	if p.Tell != nil {
		p.Tell(p.trip)
	}
}

// again asks until the hub is ready, for as long as the patience lasts.
func (p *player) again(ctx context.Context, ask func() error) error {
	for attempt := 1; ; attempt++ {
		err := ask()
		kind := problem.KindOf(err)
		if err == nil || kind != problem.Unavailable && kind != problem.RateLimited || attempt > p.Patience {
			return err
		}
		pause(ctx, max(toldToWait(err), p.Backoff(attempt)), nil)
		if ctx.Err() != nil {
			return ctx.Err()
		}
	}
}

// published asks what of the member's own the hub has beyond what the node knows of: as
// the node does after a start, before anything is sent.
func (p *player) published(ctx context.Context, after int64) error {
	for {
		var list []PublishedAlert
		err := p.again(ctx, func() (err error) { list, err = p.Hub.Published(ctx, after, feed.MaxPage); return err })
		if err != nil {
			return err
		}
		out, last := []parcel.PublishedAlert{}, after
		for _, a := range list {
			index, err := indexOf(a.Receipt)
			if err != nil || index <= last {
				return problem.New(problem.Internal, "the hub lists what was published out of order, or with a receipt that is none: %v", err)
			}
			last = index
			out = append(out, parcel.PublishedAlert{Index: index, Alert: a.Token, Receipt: a.Receipt})
		}
		if err := p.out.AddRange(parcel.Published, after, last, out); err != nil || len(list) == 0 {
			return err
		}
		p.trip.Published += int64(len(list))
		after = last
		p.tell()
	}
}

// queues hands over what the parcel has, in its order.
func (p *player) queues(ctx context.Context) error {
	p.stopped = make(map[parcel.Kind]bool)
	for i, part := range p.in.Manifest().Parts {
		var texts []string
		if err := p.in.Into(i, &texts); err != nil {
			return err
		}
		var list []parcel.Outcome
		var err error
		switch part.Kind {
		case parcel.Alerts:
			list, err = p.alerts(ctx, texts)
		case parcel.Acks:
			list, err = p.batch(ctx, part.Kind, texts, p.Hub.Acknowledge, &p.trip.Acks)
		case parcel.Purges:
			list, err = p.batch(ctx, part.Kind, texts, p.Hub.Purged, &p.trip.Purges)
		case parcel.Submissions:
			submit := func(ctx context.Context, one []string) error { return p.Hub.SubmitStatement(ctx, []byte(one[0])) }
			list, err = p.oneByOne(ctx, part.Kind, texts, submit, final, &p.trip.Submissions)
		}
		if err != nil {
			return err
		}
		if err := p.out.Add(parcel.Outcomes, append([]parcel.Outcome{}, list...)); err != nil {
			return err
		}
		p.tell()
	}
	return nil
}

// alerts publishes in the order of the parcel, in which what is urgent comes first. Like
// the node it sends nothing that rests on what was refused. It sends nothing either after
// what the hub can not take now.
func (p *player) alerts(ctx context.Context, tokens []string) (list []parcel.Outcome, err error) {
	for _, token := range tokens {
		a, readErr := trust.ReadAlert(token)
		rests := readErr == nil && (p.refused[a.Subject] || slices.ContainsFunc(a.Names(), func(id alert.ID) bool { return p.refused[id] }))
		if p.stopped[parcel.Alerts] || rests {
			p.trip.Skipped++
			continue
		}
		var receipt string
		err := p.again(ctx, func() (err error) { receipt, err = p.Hub.Publish(ctx, token); return err })
		if ctx.Err() != nil {
			return nil, ctx.Err()
		}
		switch {
		case err == nil:
			p.trip.Accepted++
		case final(err):
			p.trip.Refused++
			if readErr == nil {
				p.refused[a.Subject] = true
			}
		default:
			p.stop(parcel.Alerts, err)
			p.trip.Skipped++
			continue
		}
		list = append(list, parcel.Outcome{Digest: digestOf(token), Receipt: receipt, Problem: parcel.ProblemOf(err)})
	}
	return list, nil
}

// stop has nothing more of a kind handed over in this trip.
func (p *player) stop(kind parcel.Kind, why error) {
	p.stopped[kind] = true
	p.trip.Waits = string(kind) + ": " + why.Error()
}

// batch hands over acknowledgements or receipts, and finds out which the hub refuses.
func (p *player) batch(ctx context.Context, kind parcel.Kind, texts []string, send func(context.Context, []string) error, n *int64) ([]parcel.Outcome, error) {
	if p.stopped[kind] {
		return nil, nil
	}
	err := p.again(ctx, func() error { return send(ctx, texts) })
	if err != nil {
		return p.oneByOne(ctx, kind, texts, send, ackRefused, n)
	}
	*n += int64(len(texts))
	var list []parcel.Outcome
	for _, text := range texts {
		list = append(list, parcel.Outcome{Digest: digestOf(text)})
	}
	return list, ctx.Err()
}

// oneByOne hands over one after the other. A refusal for good is written down.
func (p *player) oneByOne(ctx context.Context, kind parcel.Kind, texts []string, send func(context.Context, []string) error,
	refused func(error) bool, n *int64) (list []parcel.Outcome, err error) {
	for _, text := range texts {
		if p.stopped[kind] {
			break
		}
		err := p.again(ctx, func() error { return send(ctx, []string{text}) })
		if ctx.Err() != nil {
			return nil, ctx.Err()
		}
		if err != nil && !refused(err) {
			p.stop(kind, err)
			break
		}
		*n++
		list = append(list, parcel.Outcome{Digest: digestOf(text), Problem: parcel.ProblemOf(err)})
	}
	return list, nil
}

// checkpoint asks for the log as it is, and that it has only grown since the node saw it.
func (p *player) checkpoint(ctx context.Context, seen int64) error {
	var signed []byte
	err := p.again(ctx, func() (err error) { signed, err = p.Hub.Checkpoint(ctx); return err })
	if err != nil {
		return err
	}
	if err := p.out.Add(parcel.Checkpoint, string(signed)); err != nil {
		return err
	}
	c, err := storedCheckpoint(signed)
	if err != nil {
		return problem.New(problem.Internal, "the hub's checkpoint is none: %w", err)
	}
	proof, err := p.proof(ctx, seen, c.Size)
	if err != nil || proof == nil {
		return err
	}
	return p.out.Add(parcel.Proofs, []parcel.Proof{*proof})
}

// proof asks for one, where one is needed. A hub that can not give it is for the node to
// judge.
func (p *player) proof(ctx context.Context, older, newer int64) (*parcel.Proof, error) {
	if older == 0 || newer <= older {
		return nil, nil
	}
	var out parcel.Proof
	err := p.again(ctx, func() error {
		path, err := p.Hub.Consistency(ctx, older, newer)
		out = parcel.NewProof(older, newer, path)
		return err
	})
	if err != nil {
		return nil, err
	}
	return &out, nil
}

// feed asks for pages until there are no more, or as many as may be.
func (p *player) feed(ctx context.Context, after, seen int64) error {
	proofs := []parcel.Proof{}
	for left := min(p.Pages, MaxTrip); left > 0; left-- {
		var page feed.Page
		err := p.again(ctx, func() (err error) { page, err = p.Hub.Poll(ctx, after, feed.MaxPage, 0); return err })
		if problem.KindOf(err) == problem.CursorUnknown {
			return p.out.AddRange(parcel.Pages, after, after, parcel.FeedPage{Problem: parcel.ProblemOf(err)})
		} else if err != nil {
			return err
		}
		last := after + int64(len(page.Items))
		if err := p.out.AddRange(parcel.Pages, after, last, parcel.FeedPage{Page: &page}); err != nil {
			return err
		}
		if _, size, err := peekHead(page); err != nil {
			return problem.New(problem.Internal, "the hub's page has a head that is none: %w", err)
		} else if proof, err := p.proof(ctx, seen, size); err != nil {
			return err
		} else if seen = max(seen, size); proof != nil {
			proofs = append(proofs, *proof)
		}
		if p.trip.More = last > after; !p.trip.More {
			break
		}
		p.trip.Pages, p.trip.Items, after = p.trip.Pages+1, p.trip.Items+int64(len(page.Items)), last
		p.tell()
	}
	for list := range slices.Chunk(proofs, proofsPart) {
		if err := p.out.Add(parcel.Proofs, list); err != nil {
			return err
		}
	}
	return nil
}

// statements asks for the whole list: nothing tells where something was left out of it.
func (p *player) statements(ctx context.Context) error {
	for after := int64(0); ; {
		var page []PlacedStatement
		err := p.again(ctx, func() (err error) { page, err = p.Hub.Statements(ctx, after, statementPage); return err })
		if err != nil {
			return err
		}
		out, last := []parcel.PlacedStatement{}, after
		for _, s := range page {
			if s.Position <= last {
				return problem.New(problem.Internal, "the hub's statements are not in order: %d after %d", s.Position, last)
			}
			last = s.Position
			out = append(out, parcel.PlacedStatement{Position: s.Position, Statement: s.Raw})
		}
		if err := p.out.AddRange(parcel.Statements, after, last, out); err != nil || len(page) == 0 {
			return err
		}
		p.trip.Statements += int64(len(page))
		after = last
		p.tell()
	}
}

// indexOf reads where the log has an alert out of its receipt, without verifying it.
func indexOf(receipt string) (int64, error) {
	payload, err := jwsPayload(receipt)
	if err != nil {
		return 0, err
	}
	r, err := feed.Parse[feed.Receipt](payload)
	return r.LogIndex, err
}
