package server

import (
	"context"
	"log/slog"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/entente-hub/entente/node"
)

// scrapeTimeout bounds the reading of the figures.
const scrapeTimeout = 5 * time.Second

// collector reads a node's status at each scrape.
type collector struct {
	node *node.Node
	log  *slog.Logger
}

var (
	metricInbox     = figure("inbox_deliveries", "Deliveries in the inbox.")
	metricWithheld  = figure("inbox_withheld", "Items of the feed that were withheld before they were fetched.")
	metricOutbox    = figure("outbox_alerts", "Alerts in the outbox, by state.", "state")
	metricAcks      = figure("acknowledgements_waiting", "Acknowledgements that the hub has not taken yet.")
	metricRequests  = figure("requests", "Requests for information that wait for an answer, by side (asking, asked) and state (open, late).", "side", "state")
	metricAlarms    = figure("alarms", "Alarms that are kept: somebody did not keep to the rules.")
	metricCursor    = figure("feed_cursor", "Sequence number of the last item stored.")
	metricFollowing = figure("feed_following", "1 if the last exchange about the feed went well.")
	metricContact   = figure("hub_last_contact_timestamp_seconds", "When the hub last answered, in seconds since 1970-01-01 UTC; 0: not since the start.")
	metricPages     = figure("refused_pages_total", "Pages of the feed that did not verify, since the start.")
	metricRefused   = figure("refused_statements_total", "Statements that did not verify, since the start.")
)

func figure(name, help string, labels ...string) *prometheus.Desc {
	return prometheus.NewDesc("entente_node_"+name, help, labels, nil)
}

// Describe implements prometheus.Collector.
func (c *collector) Describe(ch chan<- *prometheus.Desc) { prometheus.DescribeByCollect(c, ch) }

// Collect implements prometheus.Collector. Where the status can not be read the
// node's figures are absent, which an alert rule can see.
func (c *collector) Collect(ch chan<- prometheus.Metric) {
	ctx, cancel := context.WithTimeout(context.Background(), scrapeTimeout)
	defer cancel()
	s, err := c.node.Status(ctx)
	if err != nil {
		c.log.Error("the node's figures can not be read", "error", err.Error())
		return
	}
	gauge := func(d *prometheus.Desc, v float64, labels ...string) {
		ch <- prometheus.MustNewConstMetric(d, prometheus.GaugeValue, v, labels...)
	}
	gauge(metricInbox, float64(s.Counts.Inbox))
	gauge(metricWithheld, float64(s.Counts.Withheld))
	gauge(metricOutbox, float64(s.Counts.Queued), "queued")
	gauge(metricOutbox, float64(s.Counts.Accepted), "accepted")
	gauge(metricOutbox, float64(s.Counts.Refused), "refused")
	gauge(metricAcks, float64(s.Counts.Acks))
	gauge(metricRequests, float64(s.Requests.OpenOut), "asking", "open")
	gauge(metricRequests, float64(s.Requests.LateOut), "asking", "late")
	gauge(metricRequests, float64(s.Requests.OpenIn), "asked", "open")
	gauge(metricRequests, float64(s.Requests.LateIn), "asked", "late")
	gauge(metricAlarms, float64(s.Counts.Alarms))
	gauge(metricCursor, float64(s.Cursor))
	following, contact := 0.0, 0.0
	if s.Following {
		following = 1
	}
	if !s.LastContact.IsZero() {
		contact = float64(s.LastContact.UnixMilli()) / 1000
	}
	gauge(metricFollowing, following)
	gauge(metricContact, contact)
	ch <- prometheus.MustNewConstMetric(metricPages, prometheus.CounterValue, float64(s.RefusedPages))
	ch <- prometheus.MustNewConstMetric(metricRefused, prometheus.CounterValue, float64(s.RefusedStatements))
}
