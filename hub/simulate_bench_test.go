package hub_test

import (
	"context"
	"flag"
	"fmt"
	"testing"
	"time"

	"github.com/entente-hub/entente/api/alert"
	"github.com/entente-hub/entente/api/federation"
	"github.com/entente-hub/entente/hub"
	"github.com/entente-hub/entente/hub/store"
	"github.com/entente-hub/entente/hub/store/pgtest"
)

var decisionsFlag = flag.Int("decisions", 100_000, "past decisions of BenchmarkSimulate")

// BenchmarkSimulate replays 100,000 decisions, those on 25,000 alerts of four portions
// under 2,000 labels, with an agreement amended and with other rules; beside it the same
// without a candidate, which is what reading and deciding once more cost.
func BenchmarkSimulate(b *testing.B) {
	for name, open := range map[string]func(b *testing.B) store.Store{
		"sqlite":   func(b *testing.B) store.Store { return openSQLite(b) },
		"postgres": func(b *testing.B) store.Store { return openPostgres(b, pgtest.New(b)) },
	} {
		b.Run(name, func(b *testing.B) {
			w := worldOn(b, open(b))
			start := time.Now().Add(-time.Minute)
			tokens := make([]string, *decisionsFlag/4)
			for i := range tokens {
				tokens[i] = w.sign(w.compose("XA", numbered(4*i), numbered(4*i+1), numbered(4*i+2), numbered(4*i+3)))
			}
			share(b, 16, tokens, func(ctx context.Context, token string) error {
				_, err := w.Publish(ctx, "XA", token)
				return err
			})
			head, _ := w.Directory().Head(federation.TypeAgreement, "xa-xb-smuggling")
			amended := *head.Body.(*federation.Agreement)
			amended.PersonalData = alert.NoPersonalData
			for b.Loop() {
				for what, c := range map[string]hub.Candidate{"nothing": {}, "agreement": {Bodies: []federation.Body{&amended}}, "rules": {Engine: stricter(b)}} {
					began := time.Now()
					if s := w.simulate(c, start); s.Decisions != int64(4*len(tokens)) {
						b.Fatalf("%d decisions", s.Decisions)
					}
					b.ReportMetric(time.Since(began).Seconds(), "s/"+what)
				}
			}
		})
	}
}

// numbered is one of 2,000 labels, a tenth of which only the XA–XB agreement covers.
func numbered(i int) alert.Label {
	l := label("XB", alert.Audience(alert.Federation))
	if i%2000%10 == 0 {
		l = bilateral()
	}
	l.Handling, l.HandlingText = []alert.Handling{"H3"}, fmt.Sprintf("file %d", i%2000)
	return l
}
