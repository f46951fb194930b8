package e2e_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"regexp"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/google/uuid"

	"github.com/entente-hub/entente/api/alert"
	"github.com/entente-hub/entente/api/nodeapi"
	"github.com/entente-hub/entente/api/problem"
	"github.com/entente-hub/entente/cli/setup"
	nodeserver "github.com/entente-hub/entente/node/server"
)

// longLife is the life of one alert in two: the others end while the run lasts.
const longLife = 240 * time.Hour

// ownAlert is an alert that a member's node has taken.
type ownAlert struct {
	id      alert.ID
	mix     []alert.PortionID
	expires time.Time
}

// actor publishes, corrects, takes back, answers and reads for one member.
type actor struct {
	r      *fireRun
	m      alert.MemberID
	rnd    *rand.Rand
	client *nodeserver.Client
	own    []ownAlert // neither recalled nor expired, as far as it knows
}

// act does one thing or another.
func (a *actor) act() {
	switch n := a.rnd.IntN(100); {
	case n < 50 || len(a.own) == 0 && n < 70:
		a.publish("", a.mix(), a.life())
	case n < 62:
		a.correct(a.own[a.rnd.IntN(len(a.own))])
	case n < 70:
		a.recall()
	case n < 76:
		a.answer()
	case n < 84:
		a.feedback()
	default:
		a.read()
	}
	a.own = slices.DeleteFunc(a.own, func(o ownAlert) bool { return time.Now().After(o.expires) })
}

func (a *actor) mix() []alert.PortionID { return mixes[a.m][a.rnd.IntN(len(mixes[a.m]))] }

// life is long or short, one as often as the other.
func (a *actor) life() time.Duration {
	if a.rnd.IntN(2) == 0 {
		return a.shortLife()
	}
	return longLife
}

func (a *actor) shortLife() time.Duration {
	return time.Duration(2+a.rnd.IntN(int(a.r.short/time.Second)-1)) * time.Second
}

// correct publishes the next version of an alert: one time in two the same portions for a
// short life, which then ends what is held of the versions before.
func (a *actor) correct(o ownAlert) {
	if a.rnd.IntN(2) == 0 {
		a.publish(o.id, o.mix, a.shortLife())
		return
	}
	a.publish(o.id, a.mix(), a.life())
}

// publish publishes an alert, or the next version of one.
func (a *actor) publish(supersedes alert.ID, mix []alert.PortionID, life time.Duration) bool {
	d, portions := a.draft(mix, life)
	if supersedes != "" {
		id := string(supersedes)
		d.Supersedes = &id
	}
	op := a.r.begin(line{Kind: "publish-begin", Member: a.m, ExpiresS: int64(life / time.Second), Portions: portions, Supersedes: supersedes})
	out, err := a.client.Publish(a.r.t.Context(), d)
	if !a.settle(op, out, err) {
		return false
	}
	a.own = slices.DeleteFunc(a.own, func(o ownAlert) bool { return o.id == supersedes })
	a.own = append(a.own, ownAlert{alert.ID(out.Id), mix, time.Now().Add(life)})
	if life < longLife {
		a.r.endsBy(time.Now().Add(life))
	}
	return true
}

// draft makes a draft whose portions have a marker each.
func (a *actor) draft(mix []alert.PortionID, life time.Duration) (nodeapi.Draft, []markedPortion) {
	var d nodeapi.Draft
	var portions []markedPortion
	var planned []string
	for _, p := range mix {
		label := fmt.Sprintf(`{"policy":%q,%s}`, setup.Scheme,
			strings.ReplaceAll(labels[p].label, "RETENTION", time.Now().AddDate(0, 3, 0).Format(time.DateOnly)))
		q := markedPortion{ID: p, Label: json.RawMessage(label), Marker: a.marker(), Object: "x-remark--" + uuid.NewString()}
		d.Objects = append(d.Objects, json.RawMessage(fmt.Sprintf(`{"type":"x-remark","id":%q,"text":%q}`, q.Object, q.Marker)))
		planned = append(planned, fmt.Sprintf(`{"id":%q,"objects":[%q],"label":%s}`, p, q.Object, label))
		portions = append(portions, q)
	}
	var err error
	if d.Plan, err = alert.ParsePlan(fmt.Appendf(nil, `{"expires_in":%q,"portions":[%s]}`, life, strings.Join(planned, ","))); err != nil {
		a.r.t.Error(err)
	}
	return d, portions
}

func (a *actor) marker() string {
	return fmt.Sprintf("fire-%016x%016x", a.rnd.Uint64(), a.rnd.Uint64())
}

var markerRE = regexp.MustCompile(`fire-[0-9a-f]{32}`)

// settle notes what became of something that a node was asked for.
func (a *actor) settle(op int64, out *nodeapi.Outgoing, err error) bool {
	if err == nil {
		a.r.note(line{Kind: "taken", Op: op, Member: a.m, Alert: alert.ID(out.Id), Version: int(out.Version)})
		return true
	}
	kind := problem.KindOf(err)
	l := line{Kind: "refused", Op: op, Member: a.m, Problem: string(kind), Detail: err.Error()}
	switch kind {
	case problem.Unavailable, problem.Internal, problem.RateLimited:
		l.Kind = "unknown"
	}
	var p *problem.Error
	if errors.As(err, &p) {
		l.Codes = p.Codes
	}
	a.r.note(l)
	a.r.tally(l.Kind + " " + l.Problem)
	return false
}

// recall takes back an alert of the member's own.
func (a *actor) recall() {
	i := a.rnd.IntN(len(a.own))
	mode := []alert.RecallMode{alert.Purge, alert.CeaseUse}[a.rnd.IntN(2)]
	op := a.r.begin(line{Kind: "recall-begin", Member: a.m, Alert: a.own[i].id, Mode: mode})
	out, err := a.client.Recall(a.r.t.Context(), a.own[i].id, alert.Recall{Mode: mode, Reason: "taken back under fire"})
	if a.settle(op, out, err) {
		a.own = slices.Delete(a.own, i, i+1)
	}
}

// inbox returns what the member has received lately.
func (a *actor) inbox() []nodeapi.Received {
	s, err := a.client.Status(a.r.t.Context())
	if err != nil {
		return nil
	}
	list, err := a.client.Inbox(a.r.t.Context(), max(0, s.Cursor-int64(a.rnd.IntN(200))), 50)
	if err != nil {
		return nil
	}
	return list
}

// read reads some of what is in the inbox.
func (a *actor) read() {
	list := a.inbox()
	for range min(3, len(list)) {
		it := list[a.rnd.IntN(len(list))]
		asked := time.Now().UnixMilli()
		whole, err := a.client.Show(a.r.t.Context(), alert.MemberID(it.Originator), alert.ID(it.Id), int(it.Version))
		if err != nil {
			a.r.tally("read " + string(problem.KindOf(err)))
			continue
		}
		raw, err := json.Marshal(whole.Portions)
		if err != nil {
			a.r.t.Error(err)
			return
		}
		markers := markerRE.FindAllString(string(raw), -1)
		slices.Sort(markers)
		a.r.note(line{Kind: "read", Member: a.m, Originator: alert.MemberID(it.Originator), Alert: alert.ID(it.Id), Version: int(it.Version),
			Seq: whole.Summary.Seq, Asked: asked, Markers: slices.Compact(markers)})
		a.r.tally("read")
	}
}

// feedback says something of an alert of one portion that the member has received.
func (a *actor) feedback() {
	list := slices.DeleteFunc(a.inbox(), func(it nodeapi.Received) bool { // of several portions it would have to name one
		return it.Recall != nil || it.Re != nil || len(it.Portions) != 1 || it.Portions[0].Release != nodeapi.ReceivedPortionReleaseContent
	})
	if len(list) == 0 {
		return
	}
	it := list[a.rnd.IntN(len(list))]
	acts := []alert.Act{alert.Acknowledgement, alert.Comment, alert.Request, alert.Sighting}
	a.say(acts[a.rnd.IntN(len(acts))], it.Originator, it.Id)
}

// answer answers a request to the member, or refuses to.
func (a *actor) answer() {
	list, err := a.client.Requests(a.r.t.Context(), "open", 50)
	if err != nil {
		return
	}
	list = slices.DeleteFunc(list, func(q nodeapi.Request) bool { return q.Own })
	if len(list) == 0 {
		return
	}
	q := list[a.rnd.IntN(len(list))]
	a.say([]alert.Act{alert.Answer, alert.Declined}[a.rnd.IntN(2)], q.Originator, q.Id)
}

func (a *actor) say(act alert.Act, originator, id string) {
	marker := a.marker()
	d := nodeapi.FeedbackDraft{Act: act, Originator: originator, Alert: id, Text: &marker}
	l := line{Kind: "feedback-begin", Member: a.m, Act: act, Originator: alert.MemberID(originator), Alert: alert.ID(id), Marker: marker}
	if act == alert.Request {
		precedence := alert.Precedences()[a.rnd.IntN(4)]
		due := time.Now().Add(time.Duration(5+a.rnd.IntN(600)) * time.Second).UTC().Truncate(time.Second)
		d.Precedence, d.Due = &precedence, &due
		l.DueS = int64(time.Until(due) / time.Second)
	}
	op := a.r.begin(l)
	out, err := a.client.Feedback(a.r.t.Context(), d)
	if a.settle(op, out, err) {
		a.r.tally(string(act))
	}
}

// traffic has all members act until the end.
func (r *fireRun) traffic(rnd *rand.Rand, end time.Time) {
	var all sync.WaitGroup
	for _, m := range r.members {
		a := &actor{r: r, m: m, rnd: rand.New(rand.NewPCG(rnd.Uint64(), rnd.Uint64())), client: r.clients[m]}
		all.Go(func() {
			for waitUntil(end, upTo(a.rnd, r.think)) {
				a.act()
			}
		})
	}
	all.Wait()
}
