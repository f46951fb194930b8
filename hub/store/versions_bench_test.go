package store_test

import (
	"context"
	"crypto/sha256"
	"fmt"
	"testing"

	"github.com/entente-hub/entente/api/alert"
	"github.com/entente-hub/entente/hub/store"
)

// BenchmarkVersions measures new versions a second of one alert that 50 recipients hold
// the first version of: each drops 50 pending deliveries and makes 50. The last 100
// should take as long as the first: however many there are, a version ends the one
// before it.
func BenchmarkVersions(b *testing.B) {
	eachStore(b, func(b *testing.B, s store.Store, _ func(ctx context.Context, from, n int64) error) {
		n := 0
		next := func() store.Write {
			n++
			token := fmt.Sprintf("%04000d", n)
			a := store.Accept{Alert: store.Alert{Originator: "XA", ID: "alert", Version: n, Token: token, Digest: sha256.Sum256([]byte(token)),
				SignedDigest: fmt.Sprint(n), AcceptedAt: 1_790_000_000, EraseAt: 1_800_000_000}}
			if n > 1 {
				a.Previous = fmt.Sprint(n - 1)
			} else {
				for i := range recipients {
					a.Recipients = append(a.Recipients, alert.MemberID(fmt.Sprintf("M%02d", i)))
				}
			}
			return store.Write{Accept: &a, Entries: [][]byte{[]byte(token[:300])}}
		}
		writes := []store.Write{next()}
		for i := range int64(recipients) {
			writes = append(writes, store.Write{HandOver: &store.HandOver{Recipient: alert.MemberID(fmt.Sprintf("M%02d", i)), Chain: "c",
				Items: []store.HandedOver{{ID: 1 + i, Seq: 1, Chain: "c"}}}})
		}
		version := func(b *testing.B, writes ...store.Write) {
			results, err := s.Commit(b.Context(), writes)
			if err != nil {
				b.Fatal(err)
			}
			for _, r := range results {
				if r.Outcome != store.Done || n > 1 && len(r.Woken) != recipients {
					b.Fatalf("version %d: %+v", n, r)
				}
			}
		}
		version(b, writes...)
		for _, upTo := range []int{100, 1000} {
			for n < upTo-100 {
				version(b, next())
			}
			b.Run(fmt.Sprintf("to-%d", upTo), func(b *testing.B) {
				for b.Loop() {
					version(b, next())
				}
				b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "versions/s")
				b.ReportMetric(0, "ns/op")
			})
		}
	})
}
