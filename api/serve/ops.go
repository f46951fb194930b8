package serve

import (
	"context"
	"encoding/json"
	"log/slog"
	"net"
	"net/http"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"
)

// Addresses are where a part listens, as host:port.
type Addresses struct {
	API string
	Ops string // empty if nothing is served there
}

// Ops serves /healthz, /readyz and /metrics for the operator's own tools until
// ctx ends. It belongs on loopback: its figures would tell a member how much
// others exchange. ready returns what is not ready, by name; empty means ready.
func Ops(ctx context.Context, ln net.Listener, reg *prometheus.Registry, ready func(context.Context) map[string]string, log *slog.Logger) error {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /healthz", func(w http.ResponseWriter, _ *http.Request) { answer(w, log, http.StatusOK, map[string]string{}) })
	mux.HandleFunc("GET /readyz", func(w http.ResponseWriter, r *http.Request) {
		if missing := ready(r.Context()); len(missing) > 0 {
			answer(w, log, http.StatusServiceUnavailable, missing)
			return
		}
		answer(w, log, http.StatusOK, map[string]string{})
	})
	mux.Handle("GET /metrics", promhttp.HandlerFor(reg, promhttp.HandlerOpts{}))
	srv := &http.Server{Handler: mux, ReadHeaderTimeout: 5 * time.Second}
	failed := make(chan error, 1)
	go func() { failed <- srv.Serve(ln) }()
	select {
	case err := <-failed:
		return err
	case <-ctx.Done():
	}
	return srv.Close()
}

func answer(w http.ResponseWriter, log *slog.Logger, status int, missing map[string]string) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	if err := json.NewEncoder(w).Encode(struct {
		Ready   bool              `json:"ready"`
		Missing map[string]string `json:"missing,omitempty"`
	}{status == http.StatusOK, missing}); err != nil {
		log.Info("the answer did not reach its reader", "error", err.Error())
	}
}
