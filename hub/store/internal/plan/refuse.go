package plan

import (
	"fmt"
	"math"

	"github.com/entente-hub/entente/hub/store"
)

func (s *sets) refuse(w *store.Write) error {
	r := w.Refuse
	switch {
	case len(w.Entries) == 0 || len(r.Reason) == 0:
		return fmt.Errorf("refusal without a reason or an audit entry")
	case (r.ID == "") != (r.Version == 0) || r.Version < 0 || r.Version > math.MaxInt32:
		return fmt.Errorf("refusal of version %d of %.64q", r.Version, r.ID)
	}
	if r.ID != "" {
		s.alerts.add(AlertKey{r.Originator, r.ID, r.Version})
	}
	s.refused.add(RefusedKey{r.Originator, r.Digest})
	if err := texts(string(r.ID)); err != nil {
		return err
	}
	return names(string(r.Originator))
}

func (p *planner) refuse(i int, w *store.Write) store.Result {
	r := w.Refuse
	if row, ok := p.Alerts[AlertKey{r.Originator, r.ID, r.Version}]; ok && row.Digest == r.Digest {
		return p.replay(i, row)
	}
	key := RefusedKey{r.Originator, r.Digest}
	if reason, ok := p.State.Refused[key]; ok {
		return store.Result{Outcome: store.Refused, Index: -1, Reason: reason}
	}
	p.State.Refused[key] = r.Reason
	p.out.Refused = append(p.out.Refused, RefusedRow{key, r.Reason})
	return p.done(w)
}
