package node_test

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/entente-hub/entente/api/alert"
	"github.com/entente-hub/entente/api/federation"
	"github.com/entente-hub/entente/api/hubapi"
	"github.com/entente-hub/entente/api/problem"
	"github.com/entente-hub/entente/node"
	"github.com/entente-hub/entente/node/nodetest"
	"github.com/entente-hub/entente/node/store"
	"github.com/entente-hub/entente/trust"
)

const day = 24 * time.Hour

// retained is a draft with a portion p0, p1, … for each number of days after today with
// which its retention ends; -1: none is named.
func (l *life) retained(id alert.ID, life time.Duration, days ...int) node.Draft {
	d := node.Draft{Objects: objects(len(days)), Supersedes: id}
	d.Plan.ExpiresIn = life.String()
	for i, n := range days {
		label := nodetest.Label("federation")
		if n >= 0 {
			label.Retention = alert.Date(l.now.UTC().AddDate(0, 0, n).Format(time.DateOnly))
		}
		ref, err := alert.ParseObjectRef(d.Objects[i])
		must(l.t, err)
		d.Plan.Portions = append(d.Plan.Portions, alert.Planned{ID: alert.PortionID(fmt.Sprint("p", i)), Label: label, Objects: []string{ref.ID}})
	}
	return d
}

// mine is one version of the member's own in the model.
type mine struct {
	*store.Outgoing
	ends   map[alert.PortionID]int64 // seconds since 1970-01-01 UTC
	recall alert.RecallMode
	state  store.State
}

// posted is the model of an outbox: alerts, each a list of versions that were not refused,
// and those that were.
type posted struct {
	*life
	alerts  [][]*mine
	refused []*mine
	purged  map[alert.ID]bool
}

// keeps says which portions of a version are there at a moment, said from the rules alone.
func (m *posted) keeps(v *mine, now int64) []alert.PortionID {
	var list []alert.PortionID
	for p, end := range v.ends {
		if v.state == store.Queued || end > now && !m.purged[v.ID] {
			list = append(list, p)
		}
	}
	slices.Sort(list)
	return list
}

// publish queues a version, whose ends are computed from the date that was written.
func (m *posted) publish(before []*mine) {
	days := make([]int, 1+m.rand.IntN(3))
	for i := range days {
		days[i] = m.rand.IntN(12) - 1
	}
	var id alert.ID
	if before != nil {
		id = before[0].ID
	}
	lifetime := time.Duration(1+m.rand.IntN(10*24)) * time.Hour
	o, err := m.n.Publish(ctx, m.retained(id, lifetime, days...))
	if before != nil && problem.KindOf(err) == problem.Expired {
		return
	}
	must(m.t, err)
	v := &mine{Outgoing: o, state: store.Queued, ends: make(map[alert.PortionID]int64)}
	today := m.now.UTC().Truncate(day)
	for i, n := range days {
		end := m.now.Add(lifetime).Unix()
		if n >= 0 {
			end = min(end, today.Add(time.Duration(n+1)*day).Unix())
		}
		v.ends[alert.PortionID(fmt.Sprint("p", i))] = end
	}
	m.add(v)
}

func (m *posted) add(v *mine) {
	for i, versions := range m.alerts {
		if versions[0].ID == v.ID {
			m.alerts[i] = append(versions, v)
			return
		}
	}
	m.alerts = append(m.alerts, []*mine{v})
}

// takeBack recalls an alert of which nothing waits.
func (m *posted) takeBack(versions []*mine) {
	mode := []alert.RecallMode{alert.Purge, alert.CeaseUse}[m.rand.IntN(2)]
	o, err := m.n.Recall(ctx, versions[0].ID, alert.Recall{Mode: mode, Reason: "it was wrong"})
	if kind := problem.KindOf(err); err != nil && (kind == problem.Expired || kind == problem.Conflict) {
		return
	}
	must(m.t, err)
	m.add(&mine{Outgoing: o, state: store.Queued, recall: mode})
}

// send sends all that waits; the hub may refuse it.
func (m *posted) send() {
	refuse := m.rand.IntN(5) == 0
	m.hub.Do(func() {
		m.hub.Refuse = func(string) error {
			if refuse {
				return problem.New(problem.NotAdmitted, "no")
			}
			return nil
		}
	})
	if m.rand.IntN(4) == 0 {
		m.st.failSettle = []when{before, after}[m.rand.IntN(2)]
		_ = m.n.OutboxStep(ctx)
		m.restart()
	}
	for range 3 {
		must(m.t, m.n.OutboxStep(ctx))
	}
	for i, versions := range m.alerts {
		v := versions[len(versions)-1]
		if v.state != store.Queued {
			continue
		}
		if v.state = store.Accepted; refuse {
			v.state, m.refused = store.Refused, append(m.refused, v)
			m.alerts[i] = versions[:len(versions)-1]
		} else if v.recall == alert.Purge {
			m.purged[v.ID] = true
		}
	}
	m.alerts = slices.DeleteFunc(m.alerts, func(versions []*mine) bool { return len(versions) == 0 })
}

// check holds what is read, and after a sweep what is stored, to the model.
func (m *posted) check(swept bool) {
	m.t.Helper()
	now, next := m.now.Unix(), int64(0)
	for _, v := range slices.Concat(append(m.alerts, m.refused)...) {
		got, err := m.n.Outgoing(ctx, v.ID, v.Version)
		must(m.t, err)
		kept, err := m.st.Outgoing(ctx, v.ID, v.Version)
		must(m.t, err)
		if got.Digest != v.Digest { // one that was refused has given way to another of its number
			continue
		}
		for what, o := range map[string]*store.Outgoing{"read": got, "stored": kept} {
			a, err := trust.ReadAlert(o.Token)
			must(m.t, err)
			var portions []alert.PortionID
			for _, p := range a.Portions {
				portions = append(portions, p.ID)
			}
			slices.Sort(portions)
			signed, _, _ := strings.Cut(v.Token, "~")
			if want := m.keeps(v, now); !slices.Equal(portions, want) && (what == "read" || swept) || !strings.HasPrefix(o.Token, signed+"~") || o.State != v.state {
				m.t.Fatalf("version %d of %s is %s as %v, %s; want %v, %s", v.Version, v.ID, what, portions, o.State, want, v.state)
			}
		}
		for _, p := range m.keeps(v, now) {
			if v.state != store.Queued && (next == 0 || v.ends[p] < next) {
				next = v.ends[p]
			}
		}
	}
	if got, err := m.st.NextDue(ctx); err != nil || swept && (got == 0) != (next == 0) || swept && got > next {
		m.t.Fatalf("due at %d, want %d, %v", got, next, err)
	}
}

// TestOwnEnds runs random lives of the member's own alerts against a model: each portion is
// there until its label's retention ends or the alert expires, none where a recall to purge
// was accepted, all of what still waits, whatever is restarted or lost between; what was
// signed stays.
func TestOwnEnds(t *testing.T) {
	for seed := range uint64(3) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			t.Parallel()
			m := &posted{life: newLife(t, seed), purged: make(map[alert.ID]bool)}
			m.rand = rand.New(rand.NewPCG(seed, 11))
			for range 70 {
				var versions []*mine
				if len(m.alerts) > 0 {
					versions = m.alerts[m.rand.IntN(len(m.alerts))]
				}
				switch what := m.rand.IntN(13); {
				case what < 3 || versions == nil:
					m.publish(nil)
				case what < 5 && versions[len(versions)-1].recall == "" && versions[len(versions)-1].state == store.Accepted:
					m.publish(versions)
				case what < 7 && versions[len(versions)-1].state == store.Accepted:
					m.takeBack(versions)
				case what < 9:
					m.send()
				case what < 12:
					m.now = m.now.Add(time.Duration(m.rand.IntN(40)) * time.Hour)
					must(t, m.n.FeedStep(ctx)) // what time it is the node believes the hub
				default:
					m.restart()
				}
				m.check(false)
				if m.rand.IntN(3) == 0 {
					must(t, m.n.FeedStep(ctx))
					m.sweepAll()
					m.check(true)
				}
			}
			if len(m.purged) == 0 || len(m.refused) == 0 {
				t.Errorf("%d recalled, %d refused: the run says little", len(m.purged), len(m.refused))
			}
		})
	}
}

// TestOwnRecallErases: what the hub has accepted a recall of is gone from the outbox, at once
// for whoever reads, from the raw file with the next sweep; until then, and where it is only
// not to be used any more, it stays.
func TestOwnRecallErases(t *testing.T) {
	for mode, whole := range map[alert.RecallMode]bool{alert.Purge: false, alert.CeaseUse: true} {
		l := newLife(t, 1)
		first, err := l.n.Publish(ctx, nextVersion(""))
		must(t, err)
		must(t, l.n.OutboxStep(ctx))
		second, err := l.n.Publish(ctx, nextVersion(first.ID))
		must(t, err)
		must(t, l.n.OutboxStep(ctx))
		_, err = l.n.Recall(ctx, first.ID, alert.Recall{Mode: mode, Reason: "it was wrong"})
		must(t, err)
		is := func(what string, want bool, read func(o *store.Outgoing) (*store.Outgoing, error)) {
			t.Helper()
			for _, o := range []*store.Outgoing{first, second} {
				if got, err := read(o); err != nil || (got.Token == o.Token) != want || got.Digest != o.Digest {
					t.Errorf("%s, version %d, %s: whole %t, %v", mode, o.Version, what, !want, err)
				}
			}
		}
		read := func(o *store.Outgoing) (*store.Outgoing, error) { return l.n.Outgoing(ctx, o.ID, o.Version) }
		stored := func(o *store.Outgoing) (*store.Outgoing, error) { return l.st.Outgoing(ctx, o.ID, o.Version) }
		l.sweepAll()
		is("before the hub has it", true, read)
		must(t, l.n.OutboxStep(ctx))
		is("read", whole, read)
		is("stored", true, stored)
		before := l.keys()
		l.restart()
		must(t, l.n.FeedStep(ctx))
		l.sweepAll()
		is("stored after the sweep", whole, stored)
		if kept := len(l.keys()) == 3 && maps.Equal(before, l.keys()); kept != whole {
			t.Errorf("%s: the keys are kept: %t", mode, kept)
		}
	}
}

// TestRegainedOwnEnds: what the hub gives back ends like what was never lost.
func TestRegainedOwnEnds(t *testing.T) {
	l := newLife(t, 1)
	o, err := l.n.Publish(ctx, l.retained("", 20*day, 1, -1))
	must(t, err)
	recalled, err := l.n.Publish(ctx, l.retained("", 20*day, -1))
	must(t, err)
	_, err = l.n.Recall(ctx, recalled.ID, wrong)
	must(t, err)
	for range 2 {
		must(t, l.n.OutboxStep(ctx))
	}
	l.path = t.TempDir() + "/restored.db"
	l.restart()
	must(t, l.n.StatementsStep(ctx))
	must(t, l.n.OutboxStep(ctx))
	left := func(o *store.Outgoing) (list []alert.PortionID) {
		got, err := l.n.Outgoing(ctx, o.ID, 1)
		must(t, err)
		for _, p := range l.alert(got).Portions {
			list = append(list, p.ID)
		}
		slices.Sort(list)
		return list
	}
	if got := left(o); !slices.Equal(got, []alert.PortionID{"p0", "p1"}) {
		t.Error(got)
	}
	if got := left(recalled); len(got) > 0 {
		t.Error(got)
	}
	l.now = l.now.Add(3 * day)
	if got := left(o); !slices.Equal(got, []alert.PortionID{"p1"}) {
		t.Error(got)
	}
}

// TestOwnPartlyGone: what builds on an alert of the member's own goes by what is left of it.
func TestOwnPartlyGone(t *testing.T) {
	l := newLife(t, 1)
	first, err := l.n.Publish(ctx, l.retained("", 20*day, 1, -1, 5))
	must(t, err)
	must(t, l.n.OutboxStep(ctx))
	second, err := l.n.Publish(ctx, l.retained(first.ID, 20*day, 3, -1, 1))
	must(t, err)
	must(t, l.n.OutboxStep(ctx))
	l.now = l.now.Add(3 * day)
	must(t, l.n.FeedStep(ctx))

	d, err := l.n.Diff(ctx, "XA", first.ID, 1, 2)
	must(t, err)
	changes := make(map[alert.PortionID]node.Change)
	for _, p := range d.Portions {
		changes[p.Portion] = p.Change
	}
	if want := map[alert.PortionID]node.Change{"p0": node.Erased, "p1": node.Changed, "p2": node.Erased}; !maps.Equal(changes, want) {
		t.Errorf("%v, want %v", changes, want)
	}

	says := func(portions ...string) hubapi.AudienceAnswer {
		a := hubapi.AudienceAnswer{Revision: "r", Policy: l.Policy, Portions: []hubapi.PortionAudience{}}
		for _, p := range portions {
			a.Portions = append(a.Portions, hubapi.PortionAudience{Portion: p, Members: []hubapi.MemberDecision{{Member: "XB", Release: hubapi.MemberDecisionReleaseNone}}})
		}
		return a
	}
	for _, portions := range [][]string{{"p0", "p1"}, {"p0", "p1", "p2"}} { // the hub's sweep comes later
		l.explains(first.ID, says(portions...))
		if e, err := l.n.Explain(ctx, nil, "", first.ID, 2); err != nil || len(e.Audience.Portions) != 2 {
			t.Errorf("%v: %+v, %v", portions, e, err)
		}
	}
	for _, portions := range [][]string{{"p0"}, {"p1"}, {}} {
		l.explains(first.ID, says(portions...))
		if _, err := l.n.Explain(ctx, nil, "", first.ID, 2); problem.KindOf(err) != problem.Internal {
			t.Errorf("%v: %v", portions, err)
		}
	}

	third, err := l.n.Publish(ctx, nextVersion(first.ID))
	must(t, err)
	if a := l.alert(third); a.Version != 3 || a.Previous != l.alert(second).SignedDigest {
		t.Errorf("%+v", a.Payload)
	}
	must(t, l.n.OutboxStep(ctx))
	fourth, err := l.n.Recall(ctx, first.ID, wrong)
	must(t, err)
	must(t, l.n.OutboxStep(ctx))
	if got, err := l.n.Outgoing(ctx, first.ID, 4); err != nil || got.State != store.Accepted || got.Token != fourth.Token {
		t.Errorf("%+v, %v", got, err)
	}
	_, err = l.n.Explain(ctx, nil, "", first.ID, 2)
	wantKind(t, "of what is purged", err, problem.Expired)
	if d, err := l.n.Diff(ctx, "XA", first.ID, 1, 2); err != nil || len(d.Portions) > 0 {
		t.Errorf("%+v, %v", d, err)
	}
}

// TestTwoPersonsForWhatHasEnded: the holders of what has ended here may know of it still: one
// person does not take it back.
func TestTwoPersonsForWhatHasEnded(t *testing.T) {
	b := newBureau(t)
	b.restart(node.ClassifiedFourEyes)
	today := alert.Date(time.Now().UTC().Format(time.DateOnly))
	d := writing(alert.Secret, alert.Unclassified)
	d.Plan.Portions[0].Label.Retention = today
	o := b.released(d)
	must(t, b.n.OutboxStep(ctx))
	b.late = 2 * day
	b.restart(node.ClassifiedFourEyes)
	_, err := b.n.Recall(ctx, o.ID, wrong)
	wantKind(t, "recalled by one person", err, problem.EgressDenied)
	_, err = b.n.Publish(ctx, next(o.ID, alert.Unclassified))
	wantKind(t, "replaced by one person", err, problem.EgressDenied)
	kept, err := b.n.AddDraft(ctx, anna, recall(o.ID))
	must(t, err)
	if len(kept.Portions) != 2 {
		t.Errorf("%+v", kept.Portions)
	}
	_, err = b.n.Release(ctx, bert, kept.ID, kept.Digest)
	must(t, err)
}

// sweeps erases all that has ended in a bureau.
func (b *bureau) sweeps() {
	b.t.Helper()
	b.n.StartedBefore(day)
	for more := true; more; {
		var err error
		more, err = b.n.SweepStep(ctx)
		must(b.t, err)
	}
}

// TestRecallOfWhatHasEnded: who may write, read and release the recall of what has ended is
// judged by the labels that it had: whether it is erased yet, and from one day to the next.
func TestRecallOfWhatHasEnded(t *testing.T) {
	b := newBureau(t)
	eve := node.Person{User: "eve", Token: "token-of-eve"}
	b.crew.change("eve", func(h *hand) {
		*h = hand{token: eve.Token, roles: []node.Role{node.Author}, clearance: alert.Restricted}
	})
	d := writing(alert.Secret, alert.Unclassified, alert.Restricted)
	for i, days := range []int{0, 1, 20} {
		d.Plan.Portions[i].Label.Retention = alert.Date(time.Now().UTC().AddDate(0, 0, days).Format(time.DateOnly))
	}
	o := b.released(d)
	must(t, b.n.OutboxStep(ctx))
	judged := func(what string) {
		t.Helper()
		_, err := b.n.AddDraft(ctx, eve, recall(o.ID))
		wantKind(t, what+", written by one who may not", err, problem.Forbidden)
		kept, err := b.n.AddDraft(ctx, anna, recall(o.ID))
		must(t, err)
		var by []alert.PortionID
		for _, p := range kept.Portions {
			by = append(by, p.ID)
		}
		if slices.Sort(by); !slices.Equal(by, []alert.PortionID{"p0", "p1", "p2"}) {
			t.Errorf("%s, judged by %v", what, by)
		}
		_, err = b.n.Draft(ctx, dora, kept.ID)
		wantKind(t, what+", read by one who may not", err, problem.NotFound)
		_, err = b.n.Release(ctx, dora, kept.ID, kept.Digest)
		wantKind(t, what+", released by one who may not", err, problem.NotFound)
	}
	judged("while it stands")
	before, err := b.n.AddDraft(ctx, anna, recall(o.ID))
	must(t, err)
	for days := 1; days < 4; days++ {
		b.late = time.Duration(days) * day
		b.restart(node.ClassifiedFourEyes)
		judged("ended")
		b.sweeps()
		judged("erased")
		stored, err := b.shaky.Outgoing(ctx, o.ID, 1)
		must(t, err)
		if a := b.alert(stored); len(a.Portions) != max(3-days, 1) || len(stored.Labels) != 3 {
			t.Errorf("after %d days: %+v, %+v", days, a.Portions, stored.Labels)
		}
	}
	_, err = b.n.Draft(ctx, anna, before.ID)
	wantKind(t, "written while it stood", err, problem.NotFound)
	_, err = b.n.Recall(ctx, o.ID, wrong)
	wantKind(t, "recalled by one person", err, problem.EgressDenied)
	kept, err := b.n.AddDraft(ctx, anna, recall(o.ID))
	must(t, err)
	_, err = b.n.Release(ctx, bert, kept.ID, kept.Digest)
	must(t, err)
}

// TestOnePersonForWhatWasOpen: what is known to have been unclassified takes two persons no
// more when it has ended than before.
func TestOnePersonForWhatWasOpen(t *testing.T) {
	b := newBureau(t)
	b.restart(node.ClassifiedFourEyes)
	d := writing(alert.Unclassified)
	d.Plan.Portions[0].Label.Retention = alert.Date(time.Now().UTC().Format(time.DateOnly))
	o, err := b.n.Publish(ctx, d)
	must(t, err)
	must(t, b.n.OutboxStep(ctx))
	b.late = 2 * day
	b.restart(node.ClassifiedFourEyes)
	b.sweeps()
	_, err = b.n.Recall(ctx, o.ID, wrong)
	must(t, err)
}

// TestRecallOfWhatIsNotKnown: what the hub has not given back is taken back by those who may
// read all that the member may hold, and by nobody else.
func TestRecallOfWhatIsNotKnown(t *testing.T) {
	b := newBureau(t)
	o := b.released(writing(alert.Restricted))
	must(t, b.n.OutboxStep(ctx))
	b.hub.Erase = func(token string) string {
		out, err := trust.ReduceAlert(token, nil)
		must(t, err)
		return out
	}
	b.restored()
	must(t, b.n.OutboxStep(ctx))
	b.restart(node.AllFourEyes)
	registry := b.RegistryWith(2, digestOfStatement(t, b.Statements[0]), func(r *federation.Registry) {
		r.TaskForces = []federation.TaskForce{{ID: "tf-one", Name: "One", Lead: "XA"}, {ID: "tf-two", Name: "Two", Lead: "XB"}}
	}, b.HubKey)
	roster, _ := b.State(federation.TypeRoster, &federation.Roster{TaskForce: "tf-one", Members: []alert.MemberID{"XA"}}, 1, "", b.Root["XA"])
	b.hub.Do(func() { b.hub.Statements = append(b.hub.Statements, registry, roster) })
	must(t, b.n.StatementsStep(ctx))
	kept, err := b.n.AddDraft(ctx, anna, recall(o.ID))
	must(t, err)
	_, err = b.n.Draft(ctx, dora, kept.ID)
	wantKind(t, "read by one who may not read all", err, problem.NotFound)
	b.crew.change("carl", func(h *hand) { h.clearance = alert.Confidential })
	_, err = b.n.AddDraft(ctx, carl, recall(o.ID))
	wantKind(t, "written by one who may not read all", err, problem.Forbidden)
	b.crew.change("carl", func(h *hand) { h.clearance, h.taskForces = alert.Secret, nil })
	_, err = b.n.AddDraft(ctx, carl, recall(o.ID))
	wantKind(t, "written by one who is not in all", err, problem.Forbidden)
	_, err = b.n.Release(ctx, bert, kept.ID, kept.Digest)
	must(t, err)
}

// TestRecallOfWhatWaitsTooLong: what was never sent and may not be held any more can be taken
// back by two persons; a next version can not bring it again.
func TestRecallOfWhatWaitsTooLong(t *testing.T) {
	b := newBureau(t)
	d := writing(alert.Secret)
	d.Plan.Portions[0].Label.Retention = alert.Date(time.Now().UTC().Format(time.DateOnly))
	o := b.released(d)
	b.late = 2 * day
	b.restart(node.ClassifiedFourEyes)
	again := next(o.ID, alert.Secret)
	again.Plan.Portions[0].Label.Retention = d.Plan.Portions[0].Label.Retention
	_, err := b.n.AddDraft(ctx, anna, again)
	wantKind(t, "again", err, problem.Malformed)
	kept, err := b.n.AddDraft(ctx, anna, recall(o.ID))
	must(t, err)
	if !kept.ExpiresAt.Equal(kept.CreatedAt.Add(node.DraftLifetime)) {
		t.Errorf("ends at %s", kept.ExpiresAt)
	}
	_, err = b.n.Draft(ctx, dora, kept.ID)
	wantKind(t, "read by one who may not", err, problem.NotFound)
	_, err = b.n.Release(ctx, bert, kept.ID, kept.Digest)
	must(t, err)
}

// TestExplainedAtTheEnd: that the hub's clock is a little ahead of the node's is no lie.
func TestExplainedAtTheEnd(t *testing.T) {
	l := newLife(t, 1)
	o, err := l.n.Publish(ctx, l.retained("", 20*day, 0, -1))
	must(t, err)
	must(t, l.n.OutboxStep(ctx))
	answer := hubapi.AudienceAnswer{Revision: "r", Policy: l.Policy, Portions: []hubapi.PortionAudience{{Portion: "p1",
		Members: []hubapi.MemberDecision{{Member: "XB", Release: hubapi.MemberDecisionReleaseNone}}}}}
	l.explains(o.ID, answer)
	l.now = l.now.UTC().Truncate(day).Add(day - time.Minute)
	e, err := l.n.Explain(ctx, nil, "", o.ID, 1)
	must(t, err)
	if len(e.Audience.Portions) != 1 {
		t.Errorf("%+v", e.Audience)
	}
}

// TestFeedbackOnOwnPartlyGone: feedback on an own alert is labelled by what is left of that.
func TestFeedbackOnOwnPartlyGone(t *testing.T) {
	l := newLife(t, 1)
	d := l.retained("", 20*day, 1, -1)
	d.Plan.Portions[0].Label.Classification = alert.Confidential
	o, err := l.n.Publish(ctx, d)
	must(t, err)
	must(t, l.n.OutboxStep(ctx))
	level := func() alert.Classification {
		t.Helper()
		f, err := l.n.ComposeFeedback(ctx, node.FeedbackDraft{Originator: "XA", Alert: o.ID, Act: alert.Comment, Text: "seen", To: []alert.MemberID{"XB"}})
		must(t, err)
		return f.Plan.Portions[0].Label.Classification
	}
	if got := level(); got != alert.Confidential {
		t.Error(got)
	}
	l.now = l.now.Add(3 * day)
	must(t, l.n.FeedStep(ctx))
	if got := level(); got != alert.Restricted {
		t.Error(got)
	}
}
