package hub

import (
	"github.com/prometheus/client_golang/prometheus"

	"github.com/entente-hub/entente/api/problem"
)

// Metrics are the hub's figures for its operator. They count and never name:
// no member, label or value is in them.
type Metrics struct {
	alerts, releases, withheld prometheus.Counter
	commits, commitErrors      prometheus.Counter
	refusals                   *prometheus.CounterVec
	group                      prometheus.Histogram
	position, resettled        prometheus.Gauge
	full                       prometheus.Counter
	doubt, unscrubbed          prometheus.Gauge
}

// NewMetrics makes the figures and registers them; reg may be nil.
func NewMetrics(reg prometheus.Registerer) *Metrics {
	counter := func(name, help string) prometheus.Counter {
		return prometheus.NewCounter(prometheus.CounterOpts{Namespace: "entente", Subsystem: "hub", Name: name, Help: help})
	}
	m := &Metrics{
		alerts:       counter("alerts_total", "Alert versions accepted."),
		releases:     counter("releases_total", "Deliveries handed over."),
		withheld:     counter("withheld_total", "Pending deliveries that fell to a later revision."),
		commits:      counter("commits_total", "Transactions committed."),
		commitErrors: counter("commit_errors_total", "Transactions that failed, or whose outcome is not known."),
		full:         counter("quota_total", "Alerts and statements that a member's quota has kept out."),
		doubt: prometheus.NewGauge(prometheus.GaugeOpts{Namespace: "entente", Subsystem: "hub",
			Name: "clock_doubted", Help: "1 while the clock is not believed and nothing is erased that only time has ended, else 0."}),
		unscrubbed: prometheus.NewGauge(prometheus.GaugeOpts{Namespace: "entente", Subsystem: "hub",
			Name: "erasure_unfinished", Help: "1 while what was erased can still be read from the database's files, else 0."}),
		refusals: prometheus.NewCounterVec(prometheus.CounterOpts{Namespace: "entente", Subsystem: "hub",
			Name: "refusals_total", Help: "Refusals by problem kind."}, []string{"problem"}),
		group: prometheus.NewHistogram(prometheus.HistogramOpts{Namespace: "entente", Subsystem: "hub",
			Name: "commit_group_writes", Help: "Writes that shared a transaction.", Buckets: prometheus.ExponentialBuckets(1, 2, 9)}),
		position: prometheus.NewGauge(prometheus.GaugeOpts{Namespace: "entente", Subsystem: "hub",
			Name: "statement_position", Help: "Position of the last statement taken in."}),
		resettled: prometheus.NewGauge(prometheus.GaugeOpts{Namespace: "entente", Subsystem: "hub",
			Name: "settled_position", Help: "Position of the last statement after which all standing alerts were decided again."}),
	}
	if reg != nil {
		reg.MustRegister(m.full, m.doubt, m.unscrubbed)
		reg.MustRegister(m.alerts, m.releases, m.withheld, m.commits, m.commitErrors, m.refusals, m.group, m.position, m.resettled)
	}
	return m
}

func (m *Metrics) settled(position int64) { m.resettled.Set(float64(position)) }

func (m *Metrics) doubts(is float64) { m.doubt.Set(is) }

func (m *Metrics) scrubbed(clean bool) {
	if clean {
		m.unscrubbed.Set(0)
	} else {
		m.unscrubbed.Set(1)
	}
}

func (m *Metrics) accepted() { m.alerts.Inc() }

func (m *Metrics) released(handed, withheld int) {
	m.releases.Add(float64(handed))
	m.withheld.Add(float64(withheld))
}

func (m *Metrics) refused(k problem.Kind) { m.refusals.WithLabelValues(string(k)).Inc() }

func (m *Metrics) revision(position int64) { m.position.Set(float64(position)) }

func (m *Metrics) commit(writes int, err error) {
	if err != nil {
		m.commitErrors.Inc()
		return
	}
	m.commits.Inc()
	m.group.Observe(float64(writes))
}
