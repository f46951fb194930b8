package hub_test

import (
	"crypto/sha256"
	"encoding/base64"
	"flag"
	"fmt"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/entente-hub/entente/api/alert"
	"github.com/entente-hub/entente/api/federation"
	"github.com/entente-hub/entente/hub/store"
	"github.com/entente-hub/entente/hub/store/pgtest"
)

var standingFlag = flag.Int("standing", 100_000, "standing alerts of BenchmarkResettle")

// BenchmarkResettle measures the time from a statement to the end of the pass that
// it causes, over 100,000 standing alerts under 2,000 labels, none of them handed over
// to XB. suspend and resume change one agreement, which a tenth of the labels can rest
// on: the pass withholds, and renews, their deliveries. Beside it, in the same run: a
// roster that no label names, which the pass has nothing to do for, and a member that is
// suspended, for which every label is decided again.
func BenchmarkResettle(b *testing.B) {
	for name, open := range map[string]func(b *testing.B) store.Store{
		"sqlite":   func(b *testing.B) store.Store { return openSQLite(b) },
		"postgres": func(b *testing.B) store.Store { return openPostgres(b, pgtest.New(b)) },
	} {
		b.Run(name, func(b *testing.B) {
			w := worldOn(b, open(b))
			w.fill(*standingFlag)
			for b.Loop() {
				b.ReportMetric(w.timed(w.suspension(true)), "s/suspend")
				b.ReportMetric(w.timed(w.suspension(false)), "s/resume")
				b.ReportMetric(w.timed(w.state(federation.TypeRoster,
					&federation.Roster{TaskForce: "tf-river", Members: []alert.MemberID{"XA", "XB"}}, w.root("XA"))), "s/unconcerned")
				b.ReportMetric(w.timed(w.registry(func(r *federation.Registry) { r.Members[3].Suspended = !r.Members[3].Suspended })), "s/everything")
			}
		})
	}
}

func (w *world) timed(raw []byte) float64 {
	w.Helper()
	start := time.Now()
	w.submitTo(w.Hub, raw)
	w.settle()
	return time.Since(start).Seconds()
}

// fill stores alerts as if they had been published: a pass reads labels, not content.
func (w *world) fill(n int) {
	w.Helper()
	const labels, batch = 2000, 250
	var writes []store.Write
	expires := time.Now().Add(24 * time.Hour).Unix()
	for i := range n {
		l := label("XB", "XC", "XD")
		l.Handling, l.HandlingText = []alert.Handling{"H3"}, fmt.Sprintf("file %d", i%labels)
		if i%labels%10 == 0 { // what only the XA–XB agreement covers
			l.Classification, l.PersonalData, l.Purposes = alert.Secret, alert.Personal, []alert.Purpose{"investigation"}
		}
		if err := l.Normalize(); err != nil {
			w.Fatal(err)
		}
		id := alert.ID(uuid.Must(uuid.NewV7()).String())
		digest := sha256.Sum256([]byte(id))
		recipients := []alert.MemberID{"XB", "XC", "XD"}
		audience := []byte("0\n1\nXB XC XD\n")
		if l.PersonalData == alert.Personal {
			recipients, audience = recipients[:1], []byte("0\n1\nXB\n")
		}
		writes = append(writes, store.Write{Entries: [][]byte{[]byte("{}")}, Accept: &store.Accept{
			Alert: store.Alert{Originator: "XA", ID: id, Version: 1, Token: string(id), Digest: digest,
				SignedDigest: base64.RawURLEncoding.EncodeToString(digest[:]), IssuedAt: 1, Expires: expires, AcceptedAt: 1},
			Portions:   []store.Portion{{ID: "p1", LabelKey: l.ReleaseKey(id), Audience: audience}},
			Recipients: recipients}})
		if len(writes) == batch || i == n-1 {
			if _, err := w.store.Commit(w.Context(), writes); err != nil {
				w.Fatal(err)
			}
			writes = writes[:0]
		}
	}
}
