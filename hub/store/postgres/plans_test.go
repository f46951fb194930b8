package postgres_test

import (
	"regexp"
	"strings"
	"testing"

	"github.com/entente-hub/entente/hub/store/pgtest"
	"github.com/entente-hub/entente/hub/store/postgres"
)

// TestPlans: what is read about alerts that stand, or end, is read in the order of an index
// that begins where the page does. The server has counted nothing yet, as in the
// first hours of a hub.
func TestPlans(t *testing.T) {
	s := open(t, pgtest.New(t), postgres.Options{})
	defer s.Close()
	for query, index := range postgres.Queries {
		plan, err := s.Plan(t.Context(), query)
		if err != nil {
			t.Fatalf("%s: %v", query, err)
		}
		uses := regexp.MustCompile(`using (\w+)`).FindAllStringSubmatch(plan, -1)
		for i, want := range strings.Fields(index) {
			if i >= len(uses) || uses[i][1] != want {
				t.Errorf("%s\nindex %d is not %s:\n%s", query, i, want, plan)
			}
		}
		for _, bad := range []string{"Seq Scan", "Hash", "Bitmap", "Materialize", "deliveries_seq ", "deliveries_pending"} {
			if strings.Contains(plan, bad) && !strings.Contains(index, strings.TrimSpace(bad)) {
				t.Errorf("%s\n%s:\n%s", query, bad, plan)
			}
		}
		if n := strings.Count(plan, "Sort Key"); n > 0 && (n > 1 || !postgres.Sorting[query]) {
			t.Errorf("%s\nsorts:\n%s", query, plan)
		}
	}
}
