package trust

import (
	"fmt"
	"strings"
	"testing"

	"github.com/entente-hub/entente/api/alert"
)

// BenchmarkVerifyAlert verifies what the hub verifies for each publication: an
// alert of four portions with one object each, and one with forty each.
func BenchmarkVerifyAlert(b *testing.B) {
	d := trial(b)
	for _, objects := range []int{1, 40} {
		a := small("XA")
		a.Portions = nil
		for i := range 4 {
			p := portion(alert.PortionID(fmt.Sprintf("p%d", i)))
			p.Content.Objects = nil
			for n := range objects {
				p.Content.Objects = append(p.Content.Objects, object(n, `,"spec_version":"2.1","created":"2026-01-01T00:00:00.000Z",`+
					`"modified":"2026-01-01T00:00:00.000Z","identity_class":"organization","labels":["a","b"],"name":"`+strings.Repeat("x", 180)+`"`))
			}
			a.Portions = append(a.Portions, p)
		}
		token := issue(b, node("XA"), a)
		b.Run(fmt.Sprintf("%dKiB", (len(token)+512)>>10), func(b *testing.B) {
			b.SetBytes(int64(len(token)))
			b.ReportAllocs()
			for b.Loop() {
				if _, err := d.VerifyAlert(token); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
