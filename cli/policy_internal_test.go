package cli

import (
	"fmt"
	"testing"

	"github.com/entente-hub/entente/api/problem"
	"github.com/entente-hub/entente/policies"
)

// TestRulesThatGaveNoAnswerAreNoUsageError: another try may do.
func TestRulesThatGaveNoAnswerAreNoUsageError(t *testing.T) {
	err := bundleError("release-2.tar.gz", fmt.Errorf("%w: evaluate: %w", policies.ErrPolicy, policies.ErrTooLong))
	if kind := problem.KindOf(err); kind != problem.Unavailable {
		t.Errorf("%s: %v", kind, err)
	}
}
