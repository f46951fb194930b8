package hub

import (
	"encoding/json"
	"errors"
	"fmt"
	"path/filepath"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/entente-hub/entente/api/alert"
	"github.com/entente-hub/entente/api/federation"
	"github.com/entente-hub/entente/api/feed"
	"github.com/entente-hub/entente/crypto/keys"
	"github.com/entente-hub/entente/hub/store"
	"github.com/entente-hub/entente/hub/store/sqlite"
	"github.com/entente-hub/entente/policies"
	"github.com/entente-hub/entente/trust"
)

func testView(t *testing.T) *view {
	t.Helper()
	key, err := keys.Generate("XA", keys.EdDSA)
	if err != nil {
		t.Fatal(err)
	}
	l := alert.Label{Policy: "urn:entente:policy:regional:1", Classification: alert.Restricted, ReleasableTo: []alert.Audience{"XB"},
		Categories: []alert.Category{"smuggling"}, Purposes: []alert.Purpose{"prevention"}, PersonalData: alert.NoPersonalData}
	if err := l.Normalize(); err != nil {
		t.Fatal(err)
	}
	now := time.Now()
	a := alert.Alert{Payload: alert.Payload{Issuer: "XA", Subject: "01890a5d-ac96-774b-bcce-b302099a8057", Version: 1,
		JTI: "AAAAAAAAAAAAAAAAAAAAAA", IssuedAt: now.Unix(), Expires: now.Add(time.Hour).Unix()},
		Portions: []alert.Portion{{ID: "p1", Label: &l, Content: &alert.Content{Objects: []json.RawMessage{
			json.RawMessage(`{"type":"identity","spec_version":"2.1","id":"identity--01890a5d-ac96-774b-bcce-b302099a8057"}`)}}}}}
	token, err := trust.IssueAlert(t.Context(), key, a)
	if err != nil {
		t.Fatal(err)
	}
	var c viewCache
	v, err := c.of(store.Alert{Originator: "XA", ID: a.Subject, Token: token, Digest: [32]byte{1}, Expires: a.Expires})
	if err != nil {
		t.Fatal(err)
	}
	return v
}

func testHub(t *testing.T) *Hub {
	t.Helper()
	engine, err := policies.Load()
	if err != nil {
		t.Fatal(err)
	}
	return &Hub{Deps: Deps{Engine: engine, Now: time.Now}}
}

func TestPermitIsSingleUseAndBound(t *testing.T) {
	h, v := testHub(t), testView(t)
	mint := func() *permit {
		return &permit{digest: v.row.Digest, recipient: "XB", state: &state{engine: h.Engine, world: &federation.World{Revision: "r"}},
			releases: []feed.Release{{Portion: "p1", Kind: feed.Content}}}
	}
	p := mint()
	d, err := h.release(p, v, "XB")
	if err != nil || d.Revision != "r" || d.Policy != h.Engine.Digest() {
		t.Fatalf("got %+v %v", d, err)
	}
	for name, try := range map[string]func() error{
		"twice":   func() error { _, err := h.release(p, v, "XB"); return err },
		"without": func() error { _, err := h.release(nil, v, "XB"); return err },
		"for another alert": func() error {
			_, err := h.release(mint(), &view{row: store.Alert{Digest: [32]byte{2}, Token: v.row.Token}}, "XB")
			return err
		},
		"for somebody else": func() error { _, err := h.release(mint(), v, "XC"); return err },
	} {
		if err := try(); !errors.Is(err, errSpent) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestPermitIsSpentOnceByMany(t *testing.T) {
	h, v := testHub(t), testView(t)
	p := &permit{digest: v.row.Digest, recipient: "XB", state: &state{engine: h.Engine, world: &federation.World{}},
		releases: []feed.Release{{Portion: "p1", Kind: feed.Existence}}}
	var spent atomic.Int64
	var wg sync.WaitGroup
	for range 16 {
		wg.Go(func() {
			if _, err := h.release(p, v, "XB"); err == nil {
				spent.Add(1)
			}
		})
	}
	wg.Wait()
	if n := spent.Load(); n != 1 {
		t.Errorf("one permit was redeemed %d times", n)
	}
}

// One malformed write in a group is its caller's affair alone.
func TestMalformedWriteDoesNotSpoilItsGroup(t *testing.T) {
	st, err := sqlite.Open(t.Context(), filepath.Join(t.TempDir(), "hub.db"))
	if err != nil {
		t.Fatal(err)
	}
	defer st.Close()
	l := newLedger(st, NewMetrics(nil), func([]alert.MemberID) {}, func() {})
	results := []chan outcome{make(chan outcome, 1), make(chan outcome, 1), make(chan outcome, 1)}
	l.commitGroup(t.Context(), []job{
		{[]store.Write{{Entries: [][]byte{[]byte("a")}}}, results[0]},
		{[]store.Write{{Accept: &store.Accept{}}}, results[1]},
		{[]store.Write{{Entries: [][]byte{[]byte("b")}}}, results[2]},
	})
	for i, c := range results {
		if o := <-c; errors.Is(o.err, store.ErrInvalid) != (i == 1) || (len(o.results) == 1 && o.results[0].Outcome == store.Done) != (i != 1) {
			t.Errorf("write %d: %+v", i, o)
		}
	}
}

func TestViewKeepsABoundedNumberOfReductions(t *testing.T) {
	v := testView(t)
	for i := range 100 {
		if _, err := v.reduced([]feed.Release{{Portion: alert.PortionID(fmt.Sprint("q", i)), Kind: feed.Content}}); err != nil {
			t.Fatal(err)
		}
	}
	bytes := 0
	for _, token := range v.reduction {
		bytes += len(token)
	}
	if bytes == 0 || bytes != v.kept || bytes > maxKept*len(v.row.Token) {
		t.Errorf("%d bytes are kept (%d counted) of an alert of %d", bytes, v.kept, len(v.row.Token))
	}
}

func TestRecordedDecisionsAreBounded(t *testing.T) {
	s := &state{}
	note := func(label string) {
		(&rulings{state: s, audiences: map[string]*policies.Audience{label: nil}}).recorded()
	}
	for range maxRecorded + 10 {
		note("label")
	}
	note("another")
	if _, ok := s.recorded.Load("another"); !ok {
		t.Error("publishing often under one label uses up the memory for others")
	}
}
