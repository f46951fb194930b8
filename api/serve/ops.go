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
// others exchange. ready returns what is not ready, by name; empty means ready. notes are
// what /readyz tells besides.
func Ops(ctx context.Context, ln net.Listener, reg *prometheus.Registry, ready func(context.Context) map[string]string, log *slog.Logger, notes ...string) error {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /healthz", func(w http.ResponseWriter, _ *http.Request) { answer(w, log, http.StatusOK, map[string]string{}, nil) })
	mux.HandleFunc("GET /readyz", func(w http.ResponseWriter, r *http.Request) {
		if missing := ready(r.Context()); len(missing) > 0 {
			answer(w, log, http.StatusServiceUnavailable, missing, notes)
			return
		}
		answer(w, log, http.StatusOK, map[string]string{}, notes)
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

func answer(w http.ResponseWriter, log *slog.Logger, status int, missing map[string]string, notes []string) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	if err := json.NewEncoder(w).Encode(struct {
		Ready   bool              `json:"ready"`
		Missing map[string]string `json:"missing,omitempty"`
		Notes   []string          `json:"notes,omitempty"`
	}{status == http.StatusOK, missing, notes}); err != nil {
		log.Info("the answer did not reach its reader", "error", err.Error())
	}
}
