package plan

import (
	"fmt"
	"math"

	"github.com/entente-hub/entente/hub/store"
)

func (s *sets) refuse(w *store.Write) error {
	r := w.Refuse
	switch {
	case len(w.Entries) == 0:
		return fmt.Errorf("refusal without an audit entry")
	case r.Version < 1 || r.Version > math.MaxInt32:
		return fmt.Errorf("refusal of version %d", r.Version)
	}
	s.alerts.add(AlertKey{r.Originator, r.ID, r.Version})
	s.refused.add(RefusedKey{r.Originator, r.Digest})
	return names(string(r.Originator), string(r.ID))
}

func (p *planner) refuse(i int, w *store.Write) store.Result {
	r := w.Refuse
	if row, ok := p.Alerts[AlertKey{r.Originator, r.ID, r.Version}]; ok && row.Digest == r.Digest {
		return p.replay(i, row)
	}
	key := RefusedKey{r.Originator, r.Digest}
	done := p.done(w)
	p.State.Refused[key] = done.Index
	p.refused.add(key)
	return done
}

// forget removes the refusals that runs of the log record.
func (p *planner) forget(runs []store.Run) {
	for key, index := range p.State.Refused {
		for _, run := range runs {
			if run.First <= index && index <= run.Last {
				delete(p.State.Refused, key)
			}
		}
	}
}

// refusals returns the refusals that this group makes. None of them is forgotten by it: a
// Trim names what was there before.
func (p *planner) refusals() []RefusedRow {
	var out []RefusedRow
	for _, key := range p.refused.list {
		out = append(out, RefusedRow{key, p.State.Refused[key]})
	}
	return out
}
