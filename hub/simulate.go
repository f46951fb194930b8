package hub

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"sort"
	"time"

	"github.com/entente-hub/entente/api/alert"
	"github.com/entente-hub/entente/api/audit"
	"github.com/entente-hub/entente/api/federation"
	"github.com/entente-hub/entente/api/feed"
	"github.com/entente-hub/entente/api/problem"
	"github.com/entente-hub/entente/hub/store"
	"github.com/entente-hub/entente/policies"
	"github.com/entente-hub/entente/trust"
)

// Candidate is what a simulation supposes instead of what is in force. What is left
// out stays as it is.
type Candidate struct {
	Engine *policies.Engine  // other rules; nil: those in force
	Bodies []federation.Body // registry, agreements and whatever else is stated, unsigned
}

// Simulation says what would change for the portions that were decided since a
// moment, were they decided today under the candidate.
type Simulation struct {
	Since     time.Time `json:"since"`
	Revision  string    `json:"revision"`  // of the world in force
	Policy    string    `json:"policy"`    // digest of the rules in force
	Candidate string    `json:"candidate"` // digest of the rules supposed
	Alerts    int64     `json:"alerts"`    // admissions replayed
	Decisions int64     `json:"decisions"` // portions of these
	Labels    int64     `json:"labels"`    // distinct questions among them
	Erased    int64     `json:"erased"`    // entries on the way that retention has erased: what they said was not replayed
	Drifted   int64     `json:"drifted"`   // decisions that fall otherwise today than they did then, candidate or not
	Affected  int64     `json:"affected"`  // decisions that the candidate changes
	Changes   []Changed `json:"changes"`   // most portions first
}

// Changed counts the portions of one originator and category of which one member
// would get more, or less.
type Changed struct {
	Originator alert.MemberID `json:"originator"`
	Member     alert.MemberID `json:"member"`
	Category   alert.Category `json:"category"` // a portion with several counts under each
	From       feed.Kind      `json:"from"`     // today
	To         feed.Kind      `json:"to"`       // under the candidate
	Reason     string         `json:"reason"`   // the code that refuses it under the candidate, or did until now
	Portions   int64          `json:"portions"`
}

// Gain reports whether the member would get more.
func (c Changed) Gain() bool { return level(c.To) > level(c.From) }

func level(k feed.Kind) int {
	return slices.Index([]feed.Kind{feed.None, feed.Existence, feed.Content}, k)
}

// simulator replays decisions.
type simulator struct {
	st        store.Store
	now       *state
	then      *state
	authority *Hub // for whose the sources are
	labels    map[asked]*question
	recorded  map[ruling]string // as policies.Audience.Marshal has it
	awaited   map[ruling]int64  // portions whose decision comes after their admission
	out       *Simulation
	changes   map[Changed]int64
	progress  func(done, of int64)
	gaps      gaps
}

// asked names a question: a label, and the alert where an emergency is in force for it
// today or under the candidate.
type asked struct {
	label string // audit.Decision.Label
	alert federation.ConsentKey
}

// ruling names a decision in the log: it is there once for a label and a revision.
type ruling struct{ label, revision string }

// question is one label's answers, and what differs between them.
type question struct {
	today   string // as policies.Audience.Marshal has it
	changes []Changed
}

// maxQuestions bounds the questions whose answers a simulation keeps.
const maxQuestions = 1 << 17

// Simulate replays the admissions in a store's log since a moment, deciding each
// portion twice: under what is in force now, and under the candidate. It stores
// nothing but an entry that it took place. deps are those of the store's hub, of which
// ID, Store, Authority and Engine are looked at. What has been erased of an alert since
// changes nothing: labels stay. progress, if not nil, is told now and
// then how many log entries are done. Errors are *problem.Error, or wrap ErrLog.
func Simulate(ctx context.Context, deps Deps, c Candidate, since time.Time, progress func(done, of int64)) (Simulation, error) {
	s, err := newSimulator(ctx, deps, c, since)
	if err != nil {
		return Simulation{}, err
	}
	s.progress = progress
	if err := s.replay(ctx); err != nil {
		return Simulation{}, err
	}
	s.finish()
	entry := s.authority.entry(audit.Entry{Kind: audit.Simulated, Actor: string(deps.ID), Revision: s.now.world.Revision,
		Policy: s.then.engine.Digest()})
	if _, err := s.st.Commit(ctx, []store.Write{{Entries: [][]byte{entry}}}); err != nil {
		return Simulation{}, unavailable(err)
	}
	return *s.out, nil
}

func newSimulator(ctx context.Context, deps Deps, c Candidate, since time.Time) (*simulator, error) {
	if deps.Now == nil {
		deps.Now = time.Now
	}
	if deps.Log == nil {
		deps.Log = slog.New(slog.DiscardHandler)
	}
	l, err := readOn(ctx, deps.Store, list{dir: trust.New(deps.Authority)}, deps.Now(), 0)
	if err != nil {
		return nil, err
	}
	h, now := &Hub{Deps: deps}, &state{list: l}
	if l.dir.Ready() {
		now.world = l.dir.World(deps.Now())
		if err := h.index(ctx, now); err != nil {
			return nil, err
		}
	}
	if now.policy == nil {
		return nil, problem.New(problem.Unavailable, "there is no registry, or the policy in force is not one that this hub has")
	}
	then := &state{list: now.list, engine: c.Engine}
	if then.engine == nil {
		then.engine = now.engine
	}
	if then.world, err = now.dir.Suppose(deps.Now(), c.Bodies...); err != nil {
		return nil, err
	}
	if then.policy, err = then.engine.World(then.world); err != nil {
		return nil, problem.New(problem.Malformed, "the candidate can not be decided by: %w", err)
	}
	return &simulator{st: deps.Store, now: now, then: then, authority: h, labels: make(map[asked]*question),
		recorded: make(map[ruling]string), awaited: make(map[ruling]int64), changes: make(map[Changed]int64),
		out: &Simulation{Since: since.UTC(), Revision: now.world.Revision, Policy: now.engine.Digest(), Candidate: then.engine.Digest(),
			Changes: []Changed{}}}, nil
}

// replay goes over the log from the first entry of the time on.
func (s *simulator) replay(ctx context.Context) error {
	head, err := s.st.LogHead(ctx)
	if err != nil {
		return unavailable(err)
	}
	first, err := s.first(ctx, head.Size)
	if err != nil {
		return err
	}
	for at := first; at < head.Size; {
		leaves, err := s.st.Entries(ctx, at, int(min(entryPage, head.Size-at)))
		if err != nil {
			return unavailable(err)
		}
		if len(leaves) == 0 {
			return fmt.Errorf("%w: entry %d is missing", ErrLog, at)
		}
		for _, leaf := range leaves {
			e, there, err := s.gaps.look(at, leaf)
			if err == nil && there {
				err = s.entry(ctx, e)
			}
			if err != nil {
				return err
			}
			at++
		}
		if s.progress != nil {
			s.progress(at-first, head.Size-first)
		}
	}
	s.out.Erased = s.gaps.count()
	return s.gaps.check(ctx, s.st, first, head.Size)
}

// first finds the first entry that is not before the time. Hubs whose clocks differ
// write entries a little out of order; the search goes back as far as they may. Where an
// entry is erased the next that is not stands for it.
func (s *simulator) first(ctx context.Context, size int64) (int64, error) {
	from := s.out.Since.Add(-skew).UnixMicro()
	var failed error
	i := sort.Search(int(size), func(i int) bool {
		next, err := s.st.Trail(ctx, int64(i)-1, 1)
		if err != nil {
			failed = errors.Join(failed, unavailable(err))
			return true
		}
		if len(next) == 0 {
			return true
		}
		e, err := audit.Parse(next[0].Leaf)
		if err != nil {
			failed = errors.Join(failed, fmt.Errorf("%w: entry %d: %w", ErrLog, next[0].Index, err))
		}
		return e.At >= from
	})
	return int64(i), failed
}

// entry replays an admission, and remembers what was decided for a label. A decision
// stands in the log before the admissions that rest on it, or right behind the first.
// Of one that was recorded before the time it is not known whether it fell otherwise.
func (s *simulator) entry(ctx context.Context, e audit.Entry) error {
	if e.Kind == audit.Decided && e.Decision != nil {
		if len(s.recorded) >= maxQuestions {
			clear(s.recorded)
		}
		r := ruling{e.Decision.Label, e.Revision}
		s.recorded[r] = string(policies.MarshalAudience(e.Decision.Content, e.Decision.Existence))
		if q, ok := s.labels[asked{label: r.label}]; ok && q.today != s.recorded[r] {
			s.out.Drifted += s.awaited[r]
		}
		delete(s.awaited, r)
		return nil
	}
	if e.Kind != audit.Admission || e.Alert == nil || e.At < s.out.Since.UnixMicro() {
		return nil
	}
	s.out.Alerts++
	for _, p := range e.Portions {
		q, err := s.question(ctx, e.Alert, p)
		if err != nil {
			return err
		}
		s.out.Decisions++
		switch was, ok := s.recorded[ruling{p.Label, e.Revision}]; {
		case ok && was != q.today:
			s.out.Drifted++
		case !ok && len(s.awaited) < maxQuestions:
			s.awaited[ruling{p.Label, e.Revision}]++
		}
		if len(q.changes) > 0 {
			s.out.Affected++
		}
		for _, c := range q.changes {
			s.changes[c]++
		}
	}
	return nil
}

// question decides a label that was not met before, or not for a long time.
func (s *simulator) question(ctx context.Context, about *audit.Alert, p audit.Portion) (*question, error) {
	key := s.asked(about, p)
	if q, ok := s.labels[key]; ok {
		return q, nil
	}
	l, err := s.label(ctx, about, p.Portion)
	if err != nil {
		return nil, err
	}
	query, err := s.authority.query(ctx, about.Originator, about.ID, l)
	if err != nil {
		return nil, err
	}
	q, err := s.ask(ctx, query)
	if err != nil {
		return nil, err
	}
	if len(s.labels) >= maxQuestions {
		clear(s.labels)
	}
	s.labels[key] = q
	s.out.Labels++
	return q, nil
}

// label reads what a portion was admitted under from where that is interned: in the token
// of an alert that has ended it is erased. It is all that a decision rests on.
func (s *simulator) label(ctx context.Context, about *audit.Alert, id alert.PortionID) (alert.Label, error) {
	portions, err := s.st.Portions(ctx, about.Originator, about.ID, about.Version)
	if err != nil {
		return alert.Label{}, unavailable(err)
	}
	i := slices.IndexFunc(portions, func(p store.Portion) bool { return p.ID == id })
	if i < 0 {
		return alert.Label{}, fmt.Errorf("%w: portion %s of alert %s of %s was admitted and is not there", ErrLog, id, about.ID, about.Originator)
	}
	l, _, err := alert.ReadReleaseKey(portions[i].LabelKey)
	if err != nil {
		return alert.Label{}, problem.Wrap(problem.Internal, fmt.Errorf("label of portion %s of alert %s: %w", id, about.ID, err), "")
	}
	return l, nil
}

func (s *simulator) asked(about *audit.Alert, p audit.Portion) asked {
	key := federation.ConsentKey{Originator: about.Originator, Alert: about.ID}
	_, today := s.now.world.Emergencies[key]
	_, then := s.then.world.Emergencies[key]
	if !today && !then {
		key = federation.ConsentKey{}
	}
	return asked{p.Label, key}
}

// ask decides a question under both and notes what differs.
func (s *simulator) ask(ctx context.Context, query policies.Query) (*question, error) {
	today, err := s.now.decide(ctx, query)
	if err != nil {
		return nil, err
	}
	then, err := s.then.decide(ctx, query)
	if err != nil {
		return nil, err
	}
	q := &question{today: string(today.Marshal())}
	everybody := maps.Clone(s.now.world.Members)
	maps.Copy(everybody, s.then.world.Members)
	for m := range everybody {
		from, to := today.Of(m), then.Of(m)
		if from == to {
			continue
		}
		reason := then.Reason(m)
		if level(to) > level(from) {
			reason = today.Reason(m)
		}
		for _, c := range query.Label.Categories {
			q.changes = append(q.changes, Changed{Originator: query.Originator, Member: m, Category: c, From: from, To: to, Reason: reason})
		}
	}
	return q, nil
}

// finish sorts what has been counted.
func (s *simulator) finish() {
	for c, n := range s.changes {
		c.Portions = n
		s.out.Changes = append(s.out.Changes, c)
	}
	slices.SortFunc(s.out.Changes, func(a, b Changed) int {
		return cmp.Or(cmp.Compare(b.Portions, a.Portions), cmp.Compare(a.Originator, b.Originator), cmp.Compare(a.Member, b.Member),
			cmp.Compare(a.Category, b.Category), cmp.Compare(a.From, b.From), cmp.Compare(a.To, b.To), cmp.Compare(a.Reason, b.Reason))
	})
}
