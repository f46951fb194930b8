package node_test

import (
	"database/sql"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"os"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/entente-hub/entente/api/alert"
	"github.com/entente-hub/entente/api/feed"
	"github.com/entente-hub/entente/crypto/sdjwt"
	"github.com/entente-hub/entente/node"
)

// handed is one delivery in the model: a list of what it brought and of what is left.
type handed struct {
	version int
	end     map[alert.PortionID]int64 // seconds since 1970-01-01 UTC
	kind    map[alert.PortionID]feed.Kind
	gone    map[alert.PortionID]bool
	fresh   map[alert.PortionID]bool // what has gone since the last sweep
}

// modelled is one alert in the model.
type modelled struct {
	tokens   map[int]string // versions, whether handed over or not
	recall   int            // the version that is a recall; 0: none is issued
	mode     alert.RecallMode
	arrived  []*handed
	receipts map[string]bool // that there may be, as "version cause portion"
}

func (m *modelled) last() int { return slices.Max(slices.Collect(maps.Keys(m.tokens))) }

// over is why a portion of a delivery is over, "" if it is not: said once more, slowly.
func (m *modelled) over(d *handed, p alert.PortionID, now int64) feed.Cause {
	superseded := false
	for _, later := range m.arrived {
		if later.version <= d.version {
			continue
		}
		if later.version == m.recall {
			if m.mode == alert.Purge {
				return feed.Recalled
			}
			continue
		}
		released := false
		for _, same := range m.arrived {
			released = released || same.version == later.version && same.kind[p] == feed.Content
		}
		superseded = superseded || !released
	}
	switch {
	case superseded:
		return feed.Superseded
	case m.until(d, p) <= now:
		return feed.Ended
	}
	return ""
}

// until is when a portion of a delivery ends by time: its own, or that of any later version
// that has it too, which is the longest of that version's deliveries.
func (m *modelled) until(d *handed, p alert.PortionID) int64 {
	ends := []int64{d.end[p]}
	for _, v := range m.versions() {
		var same []int64
		for _, o := range m.arrived {
			if o.version == v && o.kind[p] == feed.Content {
				same = append(same, o.end[p])
			}
		}
		if v > d.version && len(same) > 0 {
			ends = append(ends, slices.Max(same))
		}
	}
	return slices.Min(ends)
}

// settle marks what is over. What has ended by time may be found before the sweep or by
// it, so that there may be a receipt for any cause that there is until then.
func (m *modelled) settle(now int64) {
	for _, d := range m.arrived {
		for p := range d.kind {
			cause := m.over(d, p, now)
			if cause != "" && !d.gone[p] {
				d.gone[p], d.fresh[p] = true, true
			}
			if d.fresh[p] {
				m.receipts[fmt.Sprint(d.version, " ", cause, " ", p)] = true
			}
		}
	}
}

// swept checks that there is a receipt for all of which nothing is left, and none but
// those that there may be.
func (m *modelled) swept(got map[string]bool) error {
	for _, d := range m.arrived {
		clear(d.fresh)
		for p := range d.kind {
			named := slices.ContainsFunc([]feed.Cause{feed.Recalled, feed.Superseded, feed.Ended}, func(c feed.Cause) bool {
				return got[fmt.Sprint(d.version, " ", c, " ", p)]
			})
			if !named && len(m.left(d.version, p)) == 0 {
				return fmt.Errorf("no receipt of %s of version %d", p, d.version)
			}
		}
	}
	for r := range got {
		if !m.receipts[r] {
			return fmt.Errorf("receipt %s, where there are %v", r, m.receipts)
		}
	}
	return nil
}

// left returns the deliveries of a version that still have a portion.
func (m *modelled) left(v int, p alert.PortionID) []*handed {
	var list []*handed
	for _, d := range m.arrived {
		if d.version == v && d.kind[p] != "" && !d.gone[p] {
			list = append(list, d)
		}
	}
	return list
}

// readable is what is to be read of a version.
func (m *modelled) readable(v int, now int64) map[alert.PortionID]feed.Kind {
	out := make(map[alert.PortionID]feed.Kind)
	for _, d := range m.arrived {
		if d.version == v && m.ended() == "" {
			for p, kind := range d.kind {
				if !d.gone[p] && m.until(d, p) > now && out[p] != feed.Content {
					out[p] = kind
				}
			}
		}
	}
	return out
}

// ended is the mode of the recall that has arrived.
func (m *modelled) ended() alert.RecallMode {
	if slices.ContainsFunc(m.arrived, func(d *handed) bool { return d.version == m.recall }) {
		return m.mode
	}
	return ""
}

// versions are those of which anything has arrived.
func (m *modelled) versions() []int {
	seen := make(map[int]bool)
	for _, d := range m.arrived {
		seen[d.version] = true
	}
	return slices.Sorted(maps.Keys(seen))
}

// underway is a delivery that the node has not asked for yet.
type underway struct {
	alert *modelled
	d     *handed
}

// life runs the model beside a node.
type life struct {
	*house
	rand   *rand.Rand
	now    time.Time
	alerts []*modelled
	feed   []underway
	seen   map[string]bool // keys
}

func newLife(t *testing.T, seed uint64) *life {
	l := &life{house: newHouse(t), rand: rand.New(rand.NewPCG(seed, 7)), now: time.Now().Truncate(time.Second), seen: make(map[string]bool)}
	l.Now = func() time.Time { return l.now }
	l.restart()
	return l
}

func (l *life) restart() {
	l.t.Helper()
	must(l.t, l.st.Close())
	l.open(func(c *node.Config) { c.Now = func() time.Time { return l.now } })
}

// portions of every alert of the model.
const portions = 4

func (l *life) kinds() []feed.Kind {
	kinds := make([]feed.Kind, portions)
	for i := range kinds {
		kinds[i] = []feed.Kind{feed.Content, feed.Content, feed.Existence, feed.None}[l.rand.IntN(4)]
	}
	return kinds
}

func (l *life) issue(p alert.Payload) string {
	p.Expires = p.IssuedAt + 3600*int64(3+l.rand.IntN(8))
	return l.Issue(p, portions, l.Node["XB"])
}

func (l *life) valid(token string) bool { return l.read(token).Expires > l.now.Unix() }

func (l *life) read(token string) alert.Payload {
	parsed, err := sdjwt.Parse(token)
	must(l.t, err)
	p, err := alert.ParsePayload(parsed.Payload)
	must(l.t, err)
	return p
}

// hand puts a version into the feed.
func (l *life) hand(m *modelled, v int) {
	token := m.tokens[v]
	if !l.valid(token) {
		return
	}
	d := &handed{version: v, end: make(map[alert.PortionID]int64), kind: make(map[alert.PortionID]feed.Kind), gone: make(map[alert.PortionID]bool), fresh: make(map[alert.PortionID]bool)}
	expires := l.read(token).Expires
	delivery := l.Notice(token)
	if v != m.recall {
		delivery = l.Deliver(token, l.kinds()...)
	}
	for i, r := range delivery.Releases {
		d.kind[r.Portion], d.end[r.Portion] = r.Kind, expires
		if r.Kind == feed.Content {
			until := min(expires, l.now.Unix()+int64(1+l.rand.IntN(5*3600)))
			d.end[r.Portion], delivery.Releases[i].Obligations.HoldUntil = until, until
		}
	}
	if v == 1 && len(d.kind) == 0 {
		return // of a first version that would be refused
	}
	l.hub.Hand("XA", delivery)
	l.feed = append(l.feed, underway{m, d})
}

// step does one thing that may happen.
func (l *life) step() {
	var m *modelled
	if len(l.alerts) > 0 {
		m = l.alerts[l.rand.IntN(len(l.alerts))]
	}
	switch what := l.rand.IntN(20); {
	case m == nil || what < 3 && len(l.alerts) < 8:
		m = &modelled{tokens: map[int]string{1: l.issue(l.Payload("XB"))}, receipts: make(map[string]bool)}
		l.alerts = append(l.alerts, m)
		l.hand(m, 1)
	case what < 7 && m.recall == 0 && l.valid(m.tokens[m.last()]):
		v := m.last() + 1
		m.tokens[v] = l.issue(l.Next(m.tokens[v-1]))
		if l.rand.IntN(4) > 0 {
			l.hand(m, v)
		}
	case what < 12: // an upgrade, or a version that comes late
		l.hand(m, 1+l.rand.IntN(m.last()))
	case what == 12 && m.recall == 0 && l.valid(m.tokens[m.last()]):
		m.recall, m.mode = m.last()+1, []alert.RecallMode{alert.Purge, alert.CeaseUse}[l.rand.IntN(2)]
		m.tokens[m.recall] = l.Recall(m.tokens[m.recall-1], m.mode, l.Node["XB"])
		l.hand(m, m.recall)
	case what < 16:
		l.now = l.now.Add(time.Duration(l.rand.IntN(3*3600)) * time.Second)
	case what == 16:
		l.restart()
	}
}

// follow has the node take what there is, now and then with an answer of the database's
// that is lost.
func (l *life) follow() {
	if l.rand.IntN(3) == 0 {
		l.st.failReceive = []when{before, after}[l.rand.IntN(2)]
		if err := l.n.FeedStep(ctx); err == nil {
			l.st.failReceive = never
		}
		if l.rand.IntN(2) == 0 {
			l.restart()
		}
	}
	l.take()
}

// take has the node take what there is.
func (l *life) take() {
	l.t.Helper()
	must(l.t, l.n.FeedStep(ctx))
	for _, u := range l.feed {
		u.alert.settle(l.now.Unix()) // what has ended by now does not come back
		u.alert.arrived = append(u.alert.arrived, u.d)
		u.alert.settle(l.now.Unix())
	}
	l.feed = nil
}

// sweep erases what has ended, until there is no more.
func (l *life) sweep() {
	l.take() // what time it is the node believes the hub
	for more := true; more; {
		var err error
		more, err = l.n.SweepStep(ctx)
		must(l.t, err)
	}
	for _, m := range l.alerts {
		m.settle(l.now.Unix())
	}
}

// check holds what is read to the model.
func (l *life) check() {
	l.t.Helper()
	for _, m := range l.alerts {
		id := l.read(m.tokens[1]).Subject
		for _, v := range m.versions() {
			r, err := l.n.Show(ctx, "XB", id, v)
			must(l.t, err)
			got := make(map[alert.PortionID]feed.Kind)
			for i, release := range r.Delivery.Releases {
				got[release.Portion] = feed.Existence
				if r.Alert.Portions[i].Content != nil {
					got[release.Portion] = feed.Content
				}
			}
			if d := cmp.Diff(m.readable(v, l.now.Unix()), got); d != "" {
				l.t.Fatalf("version %d: %s", v, d)
			}
			var mode alert.RecallMode
			if r.Recall != nil {
				mode = r.Recall.Mode
			}
			if last := slices.Max(m.versions()); mode != m.ended() || r.Superseded != last && (last > v || r.Superseded != 0) {
				l.t.Fatalf("version %d of %v: recall %q, superseded by %d", v, m.versions(), mode, r.Superseded)
			}
		}
	}
}

// checkReceipts holds the receipts to the model: each names what was erased.
func (l *life) checkReceipts() {
	l.t.Helper()
	for _, m := range l.alerts {
		got := make(map[string]bool)
		id := l.read(m.tokens[1]).Subject
		for _, v := range m.versions() {
			list, err := l.st.PurgesOf(ctx, "XB", id, v)
			must(l.t, err)
			for _, p := range list {
				receipt, err := l.hub.ReadPurge("XA", p.Token)
				must(l.t, err)
				if receipt.Version != v || receipt.Alert != id || receipt.Originator != "XB" || receipt.Cause != p.Cause || !slices.Equal(receipt.Portions, p.Portions) {
					l.t.Fatalf("%+v is the receipt of %+v", receipt, p)
				}
				for _, portion := range p.Portions {
					got[fmt.Sprint(v, " ", p.Cause, " ", portion)] = true
				}
			}
		}
		must(l.t, m.swept(got))
	}
}

// keys returns the keys that open what the database holds.
func (l *life) keys() map[string]bool {
	l.t.Helper()
	db, err := sql.Open("sqlite", l.path)
	must(l.t, err)
	rows, err := db.Query("SELECT key FROM erasable_keys WHERE n IN (SELECT key FROM inbox UNION SELECT key FROM outbox)")
	must(l.t, err)
	keys := make(map[string]bool)
	for rows.Next() {
		var key []byte
		must(l.t, rows.Scan(&key))
		keys[string(key)] = true
	}
	must(l.t, errors.Join(rows.Err(), rows.Close(), db.Close()))
	return keys
}

// window is how much is looked for at once in the raw files.
const window = 24

// checkFiles looks into the raw files of the database: nothing that was ever disclosed
// is there in the clear, and of the keys that ever opened anything, which are seen after
// each step, there are those in use and no other.
func (l *life) checkFiles() {
	l.t.Helper()
	forbidden, wanted := make(map[string]string), make(map[string]bool)
	for _, m := range l.alerts {
		for _, token := range m.tokens {
			parsed, err := sdjwt.Parse(token)
			must(l.t, err)
			for _, d := range parsed.Disclosures {
				forbidden[d.Encoded[:window]], forbidden[d.Encoded[len(d.Encoded)-window:]] = "a disclosure", "a disclosure"
			}
		}
	}
	used := l.keys()
	for key := range l.seen {
		if !used[key] {
			forbidden[key[:window]] = "an erased key"
		}
	}
	for key := range used {
		wanted[key[:window]] = true
	}
	for _, name := range []string{l.path, l.path + "-wal"} {
		raw, err := os.ReadFile(name)
		must(l.t, err)
		for i := 0; i+window <= len(raw); i++ {
			if what := forbidden[string(raw[i:i+window])]; what != "" {
				l.t.Fatalf("%s holds %s at %d", name, what, i)
			}
			delete(wanted, string(raw[i:i+window]))
		}
	}
	if len(wanted) > 0 {
		l.t.Fatalf("%d keys are nowhere", len(wanted))
	}
}

// TestLife runs random lives of alerts against a model that says slowly what may be
// read: versions, releases that grow and shrink, versions that come late or not at all,
// recalls of both modes, time, upgrades, restarts and lost answers.
func TestLife(t *testing.T) {
	seeds, steps := 3, 80
	if testing.Short() {
		seeds = 1
	}
	for seed := range seeds {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			t.Parallel()
			l := newLife(t, uint64(seed))
			erased := 0
			for range steps {
				l.step()
				if l.rand.IntN(2) == 0 {
					l.follow()
					l.check()
					maps.Copy(l.seen, l.keys())
				}
				if l.rand.IntN(3) == 0 {
					l.sweep()
					l.check()
					l.checkReceipts()
					l.checkFiles()
				}
			}
			for _, m := range l.alerts {
				erased += len(m.receipts)
			}
			if erased == 0 {
				t.Error("nothing was ever erased")
			}
			for range 100 {
				must(t, l.n.AcksStep(ctx))
			}
			list, err := l.st.PurgesAfter(ctx, 0, 1)
			must(t, err)
			if len(list) > 0 || len(l.hub.Purges) == 0 {
				t.Errorf("%d receipts wait, %d are taken", len(list), len(l.hub.Purges))
			}
		})
	}
}
