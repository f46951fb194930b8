package hub_test

import (
	"context"
	"errors"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/entente-hub/entente/api/alert"
	"github.com/entente-hub/entente/api/audit"
	"github.com/entente-hub/entente/api/federation"
	"github.com/entente-hub/entente/api/problem"
	"github.com/entente-hub/entente/hub"
	"github.com/entente-hub/entente/hub/store/pgtest"
)

// bounded is a second hub on the world's store, with quotas.
func (w *world) bounded(q hub.Quotas) *hub.Hub {
	w.Helper()
	d := w.deps(w.store)
	d.Quotas = q
	h, stop := w.run(d)
	w.Cleanup(stop)
	return h
}

// kept fails unless an error says that a quota is used up, for now.
func (w *world) kept(err error) {
	w.Helper()
	var p *problem.Error
	if !errors.As(err, &p) || p.Kind != problem.RateLimited || p.RetryAfter == 0 || !strings.Contains(p.Detail, "quota of XA") {
		w.Errorf("got %v", err)
	}
}

// TestQuota: a member that keeps as much at the hub as it may brings nothing more, by
// alerts or by bytes; it can correct and take back. Others do not notice. What ends makes
// room again.
func TestQuota(t *testing.T) {
	onBoth(t, func(w *world) {
		h := w.bounded(hub.Quotas{Alerts: 2})
		publish := func(token string) error {
			_, err := h.Publish(w.Context(), "XA", token)
			return err
		}
		first, token := w.issue("XA", label("XB"))
		second, other := w.issue("XA", label("XB"))
		if err := errors.Join(publish(token), publish(other), publish(token)); err != nil {
			w.Fatal(err)
		}
		third, more := w.issue("XA", label("XB"))
		w.kept(publish(more))
		if n := count(w.entries(), audit.Refusal); n != 0 {
			w.Errorf("%d refusals in the log", n)
		}
		_, theirs := w.issue("XB", label("XA"))
		if _, err := h.Publish(w.Context(), "XB", theirs); err != nil {
			w.Error(err)
		}
		if err := publish(w.sign(w.next(first, label("XB")))); err != nil {
			w.Error("a correction: ", err)
		}
		w.kept(publish(more))
		if err := publish(w.sign(w.recall(second, alert.Purge))); err != nil {
			w.Error("a recall: ", err)
		}
		if err := publish(more); err != nil {
			w.Error("after a recall: ", err)
		}
		_, token = w.issue("XA", label("XB"))
		w.kept(publish(token))
		w.clock.advance(2 * time.Hour)
		w.erased(third)
		_, token = w.issue("XA", label("XB"))
		if err := publish(token); err != nil {
			w.Error("when all has ended: ", err)
		}
		small := w.bounded(hub.Quotas{Bytes: int64(len(token)) * 3 / 2})
		_, token = w.issue("XA", label("XB"))
		_, err := small.Publish(w.Context(), "XA", token)
		w.kept(err)
	})
}

// TestQuotaOfTwoHubs: of what a member brings to two hubs at once exactly as much is
// taken as it may keep.
func TestQuotaOfTwoHubs(t *testing.T) {
	w := worldOn(t, openPostgres(t, pgtest.New(t)))
	const quota, each = 7, 10
	hubs := []*hub.Hub{w.bounded(hub.Quotas{Alerts: quota}), w.bounded(hub.Quotas{Alerts: quota})}
	var taken atomic.Int64
	var wg sync.WaitGroup
	for _, h := range hubs {
		for range each {
			_, token := w.issue("XA", label("XB"))
			wg.Go(func() {
				_, err := h.Publish(context.WithoutCancel(w.Context()), "XA", token)
				if err == nil {
					taken.Add(1)
				} else {
					w.kept(err)
				}
			})
		}
	}
	wg.Wait()
	if u, err := w.store.Used(t.Context(), "XA"); err != nil || taken.Load() != quota || u.Alerts != quota {
		t.Errorf("%d taken, used %+v, %v", taken.Load(), u, err)
	}
}

// TestQuotaOfConsents: they take memory at every hub for good. One that stands can always
// be changed.
func TestQuotaOfConsents(t *testing.T) {
	w := newWorld(t)
	h := w.bounded(hub.Quotas{Consents: 2})
	consent := func() *federation.Consent {
		return &federation.Consent{Originator: "XA", Alert: w.compose("XA").Subject, Recipients: []alert.Audience{"XB"}}
	}
	first := consent()
	for i, c := range []*federation.Consent{first, consent(), consent(), first} {
		err := h.SubmitStatement(t.Context(), "XA", w.state(federation.TypeConsent, c, w.nodes["XA"]))
		if i == 2 {
			w.kept(err)
		} else if err != nil {
			t.Errorf("consent %d: %v", i, err)
		}
		w.settle()
	}
}

// TestQuotaInABatch: what does not fit keeps its receipt from nothing that was taken behind
// it, without which it could not be recalled; but nothing that may build on it is judged.
func TestQuotaInABatch(t *testing.T) {
	w := newWorld(t)
	_, one := w.issue("XA", label("XB"))
	_, large := w.issue("XA", label("XB"), label("XB"), label("XB"))
	_, small := w.issue("XA", label("XB"))
	_, tooMuch := w.issue("XA", label("XB"))
	h := w.bounded(hub.Quotas{Bytes: int64(len(one) + len(small) + len(small)/2)})
	list, err := h.PublishAll(t.Context(), "XA", []string{one, large, small, tooMuch, w.next2(large)})
	if err != nil || len(list) != 3 || list[0].Refusal != nil || list[2].Refusal != nil {
		t.Fatalf("%+v, %v", list, err)
	}
	w.kept(list[1].Refusal)
	again, err := h.PublishAll(t.Context(), "XA", []string{large, small})
	if err != nil || len(again) != 2 || again[1] != list[2] {
		t.Errorf("%+v, %v", again, err)
	}
	w.kept(again[0].Refusal)
	list, err = h.PublishAll(t.Context(), "XA", []string{large, tooMuch})
	w.kept(err)
	if len(list) != 0 {
		t.Errorf("%+v", list)
	}
}
