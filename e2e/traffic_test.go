package e2e_test

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"maps"
	"math/rand/v2"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/entente-hub/entente/api/alert"
	"github.com/entente-hub/entente/api/feed"
	"github.com/entente-hub/entente/api/nodeapi"
	"github.com/entente-hub/entente/cli/setup"
)

// releases says what each member gets of each portion; absent: nothing.
type releases map[alert.MemberID]map[alert.PortionID]feed.Kind

// labels of the portions that are published here, by portion id, and who gets
// what of them, by originator. The second is written down apart from the policy
// that decides: it follows from the federation that setup.Trial describes.
var labels = map[alert.PortionID]struct {
	label string
	to    map[alert.MemberID]map[alert.MemberID]feed.Kind
}{
	"open": {`"classification":"unclassified","releasable_to":["federation"],"categories":["labour"],"purposes":["risk-analysis"],"personal_data":"none"`,
		map[alert.MemberID]map[alert.MemberID]feed.Kind{
			"XA": {"XB": feed.Content, "XC": feed.Content, "XD": feed.Content},
			"XB": {"XA": feed.Content, "XC": feed.Content, "XD": feed.Content},
			"XC": {"XA": feed.Content, "XB": feed.Content, "XD": feed.Content},
			"XD": {"XA": feed.Content, "XB": feed.Content, "XC": feed.Content},
		}},
	"river": {`"classification":"confidential","compartments":["tf-river"],"releasable_to":["federation"],"categories":["smuggling"],"purposes":["investigation"],"personal_data":"none"`,
		map[alert.MemberID]map[alert.MemberID]feed.Kind{
			"XA": {"XB": feed.Content, "XC": feed.Content},
			"XB": {"XA": feed.Content, "XC": feed.Content},
			"XC": {"XA": feed.Content, "XB": feed.Content},
		}},
	"person": {`"classification":"secret","releasable_to":["XA","XB"],"discoverable_to":["XC"],"categories":["smuggling"],"purposes":["investigation"],"personal_data":"personal","retention":"RETENTION"`,
		map[alert.MemberID]map[alert.MemberID]feed.Kind{
			"XA": {"XB": feed.Content, "XC": feed.Existence},
			"XB": {"XA": feed.Content, "XC": feed.Existence},
		}},
	"own": {`"classification":"secret","releasable_to":[],"categories":["smuggling"],"purposes":["investigation"],"personal_data":"none"`,
		map[alert.MemberID]map[alert.MemberID]feed.Kind{"XA": {}, "XB": {}, "XC": {}}},
}

// mixes are the alerts that each member publishes: the portions of one.
var mixes = map[alert.MemberID][][]alert.PortionID{
	"XA": {{"open"}, {"river"}, {"person"}, {"own"}, {"open", "person", "own"}},
	"XB": {{"open"}, {"river"}, {"person"}, {"river", "person"}},
	"XC": {{"open"}, {"river"}, {"own"}, {"open", "river"}},
	"XD": {{"open"}},
}

// wanted is what becomes of an alert's portions.
func wanted(from alert.MemberID, portions []alert.PortionID) releases {
	out := make(releases)
	for _, p := range portions {
		for m, kind := range labels[p].to[from] {
			if out[m] == nil {
				out[m] = make(map[alert.PortionID]feed.Kind)
			}
			out[m][p] = kind
		}
	}
	return out
}

// draftOf makes a draft of one object a portion; text tells one alert from another.
func draftOf(t testing.TB, portions []alert.PortionID, text string) nodeapi.Draft {
	var d nodeapi.Draft
	var planned []string
	for _, p := range portions {
		id := "x-remark--" + uuid.NewString()
		d.Objects = append(d.Objects, json.RawMessage(fmt.Sprintf(`{"type":"x-remark","id":%q,"text":%q}`, id, text)))
		label := strings.ReplaceAll(labels[p].label, "RETENTION", time.Now().AddDate(0, 3, 0).Format(time.DateOnly))
		planned = append(planned, fmt.Sprintf(`{"id":%q,"objects":[%q],"label":{"policy":%q,%s}}`, p, id, setup.Scheme, label))
	}
	var err error
	if d.Plan, err = alert.ParsePlan([]byte(`{"portions":[` + strings.Join(planned, ",") + `]}`)); err != nil {
		t.Fatal(err)
	}
	return d
}

// portionsOf reads from an alert's disclosures which portions it has: the first
// disclosure of a portion is [salt, {"id": …}].
func portionsOf(t testing.TB, token string) []alert.PortionID {
	t.Helper()
	var out []alert.PortionID
	for _, d := range strings.Split(token, "~")[1:] {
		raw, err := base64.RawURLEncoding.DecodeString(d)
		if err != nil {
			t.Fatal(err)
		}
		var parts []json.RawMessage
		if json.Unmarshal(raw, &parts) != nil || len(parts) != 2 {
			continue
		}
		var p struct {
			ID alert.PortionID `json:"id"`
		}
		if err := json.Unmarshal(parts[1], &p); err != nil {
			t.Fatal(err)
		}
		out = append(out, p.ID)
	}
	return out
}

// traffic is what the members publish, each through its own node and in order.
type traffic struct {
	f  *world
	mu sync.Mutex
	// taken holds, by member, the ids that its node has answered for: from then on
	// the alert is the node's to keep.
	taken map[alert.MemberID][]alert.ID
}

// publish publishes n random alerts of a member's. A node that does not answer, as
// it has been killed, is asked again with a new alert: whether it has kept the one
// before shows in its outbox.
func (tr *traffic) publish(t testing.TB, rnd *rand.Rand, m alert.MemberID, n int) {
	for i := 0; i < n && t.Context().Err() == nil; {
		mix := mixes[m][rnd.IntN(len(mixes[m]))]
		out, err := tr.f.clients[m].Publish(t.Context(), draftOf(t, mix, fmt.Sprintf("%s %d", m, i)))
		if err != nil {
			continue
		}
		tr.mu.Lock()
		if tr.taken == nil {
			tr.taken = make(map[alert.MemberID][]alert.ID)
		}
		tr.taken[m] = append(tr.taken[m], alert.ID(out.Id))
		tr.mu.Unlock()
		i++
	}
}

// publishAll publishes from all members at once, and returns a channel that is
// closed when each has published its share.
func (tr *traffic) publishAll(t testing.TB, rnd *rand.Rand, shares map[alert.MemberID]int) <-chan struct{} {
	done := make(chan struct{})
	var all sync.WaitGroup
	for _, m := range tr.f.members { // in order, so that the seed decides
		own := rand.New(rand.NewPCG(rnd.Uint64(), rnd.Uint64()))
		all.Go(func() { tr.publish(t, own, m, shares[m]) })
	}
	go func() { all.Wait(); close(done) }()
	return done
}

// progress returns how many alerts have a receipt; nodes that are down now count
// with what they had.
func (f *world) progress(last map[alert.MemberID]int64) (sum int64) {
	for _, m := range f.members {
		if s, err := f.clients[m].Status(f.t.Context()); err == nil {
			last[m] = s.Outbox.Accepted
		}
	}
	for _, n := range maps.All(last) {
		sum += n
	}
	return sum
}
