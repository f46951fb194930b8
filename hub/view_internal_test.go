package hub

import (
	"testing"
	"time"

	"github.com/entente-hub/entente/hub/store"
	"github.com/entente-hub/entente/trust"
)

// TestViewsAge: what nobody asks for leaves the memory in twice viewAge, and what is asked
// for stays.
func TestViewsAge(t *testing.T) {
	var c viewCache
	start := time.Now()
	one, two := store.Alert{Token: "one", Digest: [32]byte{1}}, store.Alert{Token: "two", Digest: [32]byte{2}}
	for _, row := range []store.Alert{one, two} {
		if _, err := c.add(row, &trust.VerifiedAlert{}); err != nil {
			t.Fatal(err)
		}
	}
	c.age(start)
	for i := 1; i <= 3; i++ {
		if _, err := c.of(one); err != nil { // it is no alert: it must be found
			t.Fatal(err)
		}
		c.age(start.Add(time.Duration(i)*viewAge - time.Second)) // too early
		c.age(start.Add(time.Duration(i) * viewAge))
	}
	if _, ok := c.old[keyOf(one)]; !ok || len(c.old)+len(c.young) != 1 {
		t.Errorf("%d and %d views are kept", len(c.young), len(c.old))
	}
}
