package hub

import (
	"testing"

	"github.com/entente-hub/entente/api/alert"
)

// TestDelegationConcernsOne: whatever rules, consents or emergencies would release, a
// delegation goes to the member that is to publish it.
func TestDelegationConcernsOne(t *testing.T) {
	h, v := new(Hub), &view{to: "XB"}
	for m, want := range map[alert.MemberID]bool{"XB": true, "XA": false, "XC": false} {
		if got, err := h.concerned(t.Context(), nil, v, m, 0); got != want || err != nil {
			t.Errorf("%s: %t %v", m, got, err)
		}
	}
}
