package hubclient_test

import (
	"errors"
	"net/http"
	"testing"
	"time"

	"github.com/entente-hub/entente/api/problem"
	"github.com/entente-hub/entente/node/nodetest"
)

// TestRetryAfter: what a hub says of waiting arrives, within reason.
func TestRetryAfter(t *testing.T) {
	f := nodetest.New(t)
	status, body := problem.Render(problem.New(problem.RateLimited, "later"), "")
	for header, want := range map[string]time.Duration{
		"": 0, "0": 0, "1": time.Second, "59": 59 * time.Second, "61": time.Minute, "4294967295": time.Minute,
		"4294967296": 0, "-1": 0, "1.5": 0, "soon": 0, "Mon, 23 Nov 2026 19:00:00 GMT": 0,
	} {
		_, err := client(t, f, serve(t, f, hub, func(w http.ResponseWriter, _ *http.Request) {
			if header != "" {
				w.Header().Set("Retry-After", header)
			}
			w.Header().Set("Content-Type", problem.MediaType)
			w.WriteHeader(status)
			_, _ = w.Write(body) // a client that has gone is the test's affair
		})).Publish(ctx, "token")
		var p *problem.Error
		if !errors.As(err, &p) || p.Kind != problem.RateLimited || p.RetryAfter != want {
			t.Errorf("Retry-After %q: %v, wait %v, want %v", header, err, p.RetryAfter, want)
		}
	}
}
