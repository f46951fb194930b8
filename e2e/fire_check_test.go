package e2e_test

import "github.com/entente-hub/entente/e2e/firecheck"

// verify has package firecheck hold what the run has left against what was done.
func (r *fireRun) verify() {
	report, err := firecheck.Check(r.t.Context(), r.dir)
	if err != nil {
		r.t.Fatalf("what the run has left can not be checked: %v", err)
	}
	for _, finding := range report.Findings {
		r.t.Error(finding)
	}
	r.t.Logf("checked:\n%s", report)
}
