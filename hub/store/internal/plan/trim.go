package plan

import (
	"fmt"

	"github.com/entente-hub/entente/hub/store"
)

func (s *sets) trim(w *store.Write) error {
	if len(w.Trim.Runs) == 0 || len(w.Entries) == 0 {
		return fmt.Errorf("trim of nothing, or without an audit entry")
	}
	next, count := int64(0), int64(0)
	for _, r := range w.Trim.Runs {
		if r.First < next || r.Last < r.First || r.Last-r.First >= store.MaxTrim {
			return fmt.Errorf("trim of leaves %d to %d", r.First, r.Last)
		}
		if count += r.Last - r.First + 1; count > store.MaxTrim {
			return fmt.Errorf("trim of more than %d leaves", store.MaxTrim)
		}
		next = r.Last + 2
		s.runs.add(r)
	}
	return nil
}

func (p *planner) trim(t *store.Trim) store.Outcome {
	for _, r := range t.Runs {
		if p.State.Kept[r] != r.Last-r.First+1 {
			return store.Stale
		}
		for _, gone := range p.out.Trimmed {
			if r.First <= gone.Last && gone.First <= r.Last {
				return store.Stale
			}
		}
	}
	p.out.Trimmed = append(p.out.Trimmed, t.Runs...)
	return store.Done
}
