package server

import (
	"crypto/tls"
	"crypto/x509"
	"net"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/entente-hub/entente/api/serve"
	"github.com/entente-hub/entente/crypto/pki"
)

// localLimits bound the connections of the local interface. It serves one member's people
// and tools, who may all come from one address and all show the member's certificate; so
// one source or peer may have as much as all together, and the bounds keep a stranger, or a
// tool gone wild, from taking the node's descriptors and memory.
var localLimits = serve.GateLimits{
	Connections: 512, PerSource: 512, PerPeer: 512, Handshakes: 64,
	NewPerSource: serve.Rate{PerSecond: 100, Burst: 1_000},
	Handshake:    10 * time.Second,
	Untaken:      1 << 30, // an inbox page of 500 alerts of the largest size, twice
}

// listen opens the local interface's listener, and counts what it turns away in limited.
func listen(cfg Config, cert tls.Certificate, pool *x509.CertPool, limited *prometheus.CounterVec) (*serve.Gate, error) {
	ln, err := net.Listen("tcp", cfg.Listen)
	if err != nil {
		return nil, err
	}
	peer := func(cs tls.ConnectionState) string {
		id, _ := pki.PeerIdentity(cs) // the handshake has seen that there is one
		return string(id.Kind) + ":" + id.ID
	}
	return serve.NewGate(ln, pki.ServerConfig(cert, pool), localLimits, peer,
		func(b serve.Bound) { limited.WithLabelValues(string(b)).Inc() }), nil
}

// newLimited makes the figure of what the local interface's listener turns away.
func newLimited() *prometheus.CounterVec {
	v := prometheus.NewCounterVec(prometheus.CounterOpts{Namespace: "entente", Subsystem: "node", Name: "limited_total",
		Help: "Connections of the local interface that were turned away by a bound, by the bound."}, []string{"limit"})
	for _, b := range serve.Bounds() {
		v.WithLabelValues(string(b)) // shows as 0
	}
	return v
}
