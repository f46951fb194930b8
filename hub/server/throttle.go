package server

import (
	"slices"
	"strings"
	"time"

	"github.com/getkin/kin-openapi/openapi3"
	"github.com/gofiber/fiber/v2"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/entente-hub/entente/api/alert"
	"github.com/entente-hub/entente/api/problem"
	"github.com/entente-hub/entente/api/serve"
)

// class is what a member's requests are counted as; it is the value of the label
// "limit" of the figure.
type class string

const (
	classPublish class = "publish"
	classQuery   class = "query"
	classOther   class = "other"
	classRefused class = "refused"
	classBytes   class = "bytes"
)

// classes are those of actions (x-policy-action of the specification); any other
// action is of classOther.
var classes = map[string]class{"publish": classPublish, "preview": classQuery, "explain": classQuery, "trace": classQuery, "read": classQuery}

// route is an operation that is not of classOther.
type route struct {
	method string
	path   []string // by segment; one that begins with { stands for any
	class  class
}

func routesOf(spec *openapi3.T) []route {
	var list []route
	for path, item := range spec.Paths.Map() {
		for method, op := range item.Operations() {
			action, _ := op.Extensions["x-policy-action"].(string)
			if c, ok := classes[action]; ok {
				list = append(list, route{method, strings.Split(path, "/"), c})
			}
		}
	}
	return list
}

func (r route) is(method string, path []string) bool {
	return r.method == method && slices.EqualFunc(r.path, path, func(want, got string) bool {
		return strings.HasPrefix(want, "{") || want == got
	})
}

// throttle counts what each member asks for. Members have buckets of their own, so
// that one's flood costs the others nothing but the hub's time.
type throttle struct {
	routes  []route
	buckets map[class]*serve.Buckets[alert.MemberID]
	refused *prometheus.CounterVec
}

func newThrottle(spec *openapi3.T, l Limits, refused *prometheus.CounterVec) *throttle {
	t := &throttle{routes: routesOf(spec), buckets: make(map[class]*serve.Buckets[alert.MemberID]), refused: refused}
	for c, rate := range map[class]Rate{classPublish: l.Publish, classQuery: l.Query, classOther: l.Other,
		classRefused: l.Refused, classBytes: l.Bytes} {
		t.buckets[c] = serve.NewBuckets[alert.MemberID](rate.served(), nil)
		refused.WithLabelValues(string(c)) // shows as 0
	}
	return t
}

// classOf tells from method and path alone what a request is, so that one that is
// malformed counts as well.
func (t *throttle) classOf(method, path string) class {
	segments := strings.Split(path, "/")
	for _, r := range t.routes {
		if r.is(method, segments) {
			return r.class
		}
	}
	return classOther
}

// admit counts a request, or turns it away.
func (t *throttle) admit(c *fiber.Ctx, m alert.MemberID) error {
	if err := t.take(t.classOf(c.Method(), c.Path()), m, 1); err != nil {
		return err
	}
	if n := len(c.Request().Body()); n > 0 {
		return t.take(classBytes, m, n)
	}
	return nil
}

// refusalPause is what an answer of "too many requests" takes at the least, so that who
// does not heed it can not keep a processor busy with asking.
const refusalPause = 250 * time.Millisecond

func (t *throttle) take(of class, m alert.MemberID, n int) error {
	wait := t.buckets[of].Take(m, n)
	if wait == 0 {
		return nil
	}
	t.refused.WithLabelValues(string(of)).Inc()
	time.Sleep(refusalPause)
	err := problem.New(problem.RateLimited, "%s has used up its %s limit at this hub for now", m, of)
	err.RetryAfter = wait
	return err
}

// newLimited makes the figure of what is turned away by a limit, and registers it.
func newLimited(reg prometheus.Registerer) *prometheus.CounterVec {
	v := prometheus.NewCounterVec(prometheus.CounterOpts{Namespace: "entente", Subsystem: "hub", Name: "limited_total",
		Help: "Requests and connections turned away by a limit, by the limit."}, []string{"limit"})
	for _, b := range serve.Bounds() {
		v.WithLabelValues(string(b))
	}
	if reg != nil {
		reg.MustRegister(v)
	}
	return v
}

// openConnections is the figure of connections at a gate.
func openConnections(g *serve.Gate) prometheus.Collector {
	return prometheus.NewGaugeFunc(prometheus.GaugeOpts{Namespace: "entente", Subsystem: "hub", Name: "connections",
		Help: "Connections that are open, with those in their handshake."}, func() float64 { return float64(g.Open()) })
}
