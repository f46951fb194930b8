package trust

import (
	"testing"
	"time"

	"github.com/entente-hub/entente/api/alert"
	"github.com/entente-hub/entente/api/federation"
	"github.com/entente-hub/entente/api/problem"
)

// TestNextEmergencyForLater. Vulnerability: the last declared counts. Attack, or slip:
// the next is declared for later, and the one in force ends at once. Guarantee: what
// follows another begins when it is declared.
func TestNextEmergencyForLater(t *testing.T) {
	d := withToday(t, onDuty(t), emergency(), duty1, duty2)
	skew := int64(alert.MaxSkew / time.Second)
	for from, want := range map[int64]problem.Kind{-60: ok, 0: ok, skew: ok, skew + 1: problem.Malformed, 1800: problem.Malformed} {
		e := numbered(2)
		e.ValidFrom += from
		e.ValidUntil += from
		refused(t, d, want, next(t, d, e, duty1, duty2))
		if want == ok {
			refused(t, withToday(t, d, e, duty1, duty2), ok, nextAt(t, withToday(t, d, e, duty1, duty2), today-day, over(e), duty1)) // by a slow clock
		}
	}
	first := emergency()
	first.ValidFrom += 1800
	refused(t, onDuty(t), ok, next(t, onDuty(t), first, duty1, duty2)) // ends none
}

// TestNumbersAreNotUsedUp: a step is bounded, so that the next is possible for as long
// as anybody may live.
func TestNumbersAreNotUsedUp(t *testing.T) {
	d := withToday(t, onDuty(t), numbered(1000), duty1, duty2)
	refused(t, onDuty(t), problem.Malformed, next(t, onDuty(t), numbered(1001), duty1, duty2))
	refused(t, d, ok, next(t, d, numbered(2000), duty1, duty2))
	refused(t, d, problem.Malformed, next(t, d, numbered(2001), duty1, duty2))
	refused(t, d, problem.Malformed, next(t, d, numbered(1<<53-1), duty1, duty2))
	other := numbered(1001)
	other.Alert = "01890a5d-ac96-774b-bcce-b302099a8058"
	refused(t, d, problem.Malformed, next(t, d, other, duty1, duty2)) // each alert's for itself

	bundle := func(n int64) *federation.Policy {
		return &federation.Policy{Name: "release", Digest: digestOf("rules"), Bundle: n}
	}
	refused(t, d, problem.Malformed, next(t, d, bundle(1_000_001), officer1, officer2))
	refused(t, d, problem.Malformed, next(t, d, bundle(1<<53-1), officer1, officer2))
	d = withToday(t, d, bundle(1_000_000), officer1, officer2)
	refused(t, d, ok, next(t, d, bundle(2_000_000), officer1, officer2))
	refused(t, d, problem.Malformed, next(t, d, bundle(2_000_001), officer1, officer2))
}
