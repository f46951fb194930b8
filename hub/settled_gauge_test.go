package hub_test

import (
	"testing"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/entente-hub/entente/hub"
)

// TestSettledPositionIsShownByEveryHub: also by one that finds everything settled, as after
// a restart or where another hub was faster.
func TestSettledPositionIsShownByEveryHub(t *testing.T) {
	w := newWorld(t)
	done, err := w.store.Settled(t.Context())
	if err != nil || done.Position == 0 {
		t.Fatalf("%+v, %v", done, err)
	}
	reg := prometheus.NewRegistry()
	d := w.deps(w.store)
	d.Metrics = hub.NewMetrics(reg)
	h, stop := w.run(d)
	defer stop()
	w.await("a look at what is settled", h.Settled)
	w.await("the gauge", func() bool { return gauge(t, reg, "entente_hub_settled_position") == float64(done.Position) })
}

func gauge(t *testing.T, reg prometheus.Gatherer, name string) float64 {
	t.Helper()
	families, err := reg.Gather()
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range families {
		if f.GetName() == name {
			return f.GetMetric()[0].GetGauge().GetValue()
		}
	}
	t.Fatalf("there is no %s", name)
	return 0
}
