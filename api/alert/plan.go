package alert

import (
	"encoding/json"
	"slices"
	"time"

	"github.com/entente-hub/entente/api/strictjson"
)

// DefaultLifetime is an alert's lifetime where its plan names none.
const DefaultLifetime = 90 * 24 * time.Hour

// Rest, as an object selector, stands for all objects that no other portion names.
const Rest = "*"

// Plan says how a set of STIX objects becomes the portions of an alert: the
// content of a label file.
type Plan struct {
	ExpiresIn string    `json:"expires_in,omitempty"` // a Go duration, "720h"; empty: DefaultLifetime
	Portions  []Planned `json:"portions"`
}

// Planned is one portion to be. Its label may leave two things to the node that
// composes the alert: the classification, where marked_as names the level, and the
// policy, which is then the member's own marking scheme. Until both are there the
// label is none, and nothing else takes it.
type Planned struct {
	ID      PortionID `json:"id"`
	Notice  string    `json:"notice,omitempty"` // what those who only learn of its existence read
	Label   Label     `json:"label"`
	Grading *Grading  `json:"grading,omitempty"`
	Objects []string  `json:"objects"` // STIX ids, STIX types, or Rest
}

// MarshalJSON leaves out what the label leaves to the node.
func (q Planned) MarshalJSON() ([]byte, error) {
	type label struct { // a field of its own goes before one of the same name in Label
		Policy         string         `json:"policy,omitempty"`
		Classification Classification `json:"classification,omitempty"`
		Label
	}
	type plain Planned
	return json.Marshal(struct {
		plain
		Label label `json:"label"`
	}{plain(q), label{q.Label.Policy, q.Label.Classification, q.Label}})
}

// ParsePlan decodes a plan from JSON, strictly, and checks every label.
func ParsePlan(data []byte) (Plan, error) {
	var p Plan
	if err := strictjson.Unmarshal(data, &p); err != nil {
		return Plan{}, err
	}
	if err := p.Normalize(); err != nil {
		return Plan{}, err
	}
	return p, nil
}

// Normalize checks the plan and brings its labels to canonical form, but for what
// they leave to the node.
func (p *Plan) Normalize() error {
	if _, err := p.Lifetime(); err != nil {
		return err
	}
	if len(p.Portions) == 0 || len(p.Portions) > MaxPortions {
		return invalid("%d portions: 1 to %d", len(p.Portions), MaxPortions)
	}
	seen := make(map[PortionID]bool)
	for i := range p.Portions {
		q := &p.Portions[i]
		switch {
		case q.ID == "":
			return invalid("portions[%d] has no id", i)
		case seen[q.ID]:
			return invalid("portion %s given twice", q.ID)
		case len(q.Objects) == 0:
			return invalid("portion %s selects no objects", q.ID)
		}
		seen[q.ID] = true
		if err := CheckText("notice", q.Notice); err != nil {
			return err
		}
		if err := q.Label.normalizePlanned(); err != nil {
			return invalid("portion %s: %w", q.ID, err)
		}
		if q.Grading != nil {
			if err := q.Grading.Validate(); err != nil {
				return invalid("portion %s: %w", q.ID, err)
			}
		}
	}
	return nil
}

// normalizePlanned is Normalize for a label in a plan.
func (l *Label) normalizePlanned() error {
	switch {
	case l.Policy != "" && !schemeRE.MatchString(l.Policy):
		return invalid("policy %.70q is not the URN of a marking scheme", l.Policy)
	case l.Classification == 0 && l.MarkedAs == "":
		return invalid("classification is missing, and so is marked_as")
	case l.Classification != 0 && !classificationNames.has(l.Classification):
		return invalid("classification %d", int(l.Classification))
	}
	return l.normalizeRest()
}

// Lifetime returns the time from issue to expiry.
func (p *Plan) Lifetime() (time.Duration, error) {
	if p.ExpiresIn == "" {
		return DefaultLifetime, nil
	}
	d, err := time.ParseDuration(p.ExpiresIn)
	if err != nil || d < time.Second || d > MaxLifetime {
		return 0, invalid("expires_in %.40q: a duration such as 720h, from 1s to %dh", p.ExpiresIn, MaxLifetime/time.Hour)
	}
	return d, nil
}

// Split gives every object to exactly one portion: first by id, then by
// type, then to the portion that takes the rest. An object that would be
// nobody's, a selector that finds nothing and an ambiguous one are errors: a
// slip in a label file must neither drop nor double what it marks.
func (p *Plan) Split(objects []json.RawMessage) ([]Portion, error) {
	owner := make(map[string]int) // selector → portion
	for i, q := range p.Portions {
		for _, sel := range q.Objects {
			if _, dup := owner[sel]; dup {
				return nil, invalid("objects %.80q are selected twice", sel)
			}
			owner[sel] = i
		}
	}
	out := make([]Portion, len(p.Portions))
	for i, q := range p.Portions {
		label := q.Label
		out[i] = Portion{ID: q.ID, Notice: q.Notice, Label: &label, Content: &Content{Grading: q.Grading}}
	}
	used := make(map[string]bool)
	for i, o := range objects {
		ref, err := ParseObjectRef(o)
		if err != nil {
			return nil, invalid("objects[%d]: %w", i, err)
		}
		sel := ""
		for _, s := range []string{ref.ID, ref.Type, Rest} {
			if _, ok := owner[s]; ok {
				sel = s
				break
			}
		}
		if sel == "" {
			return nil, invalid("%s belongs to no portion; select it, or give one portion objects [%q]", ref.ID, Rest)
		}
		used[sel] = true
		c := out[owner[sel]].Content
		c.Objects = append(c.Objects, o)
	}
	for sel := range owner {
		if !used[sel] {
			return nil, invalid("%.80q selects no object", sel)
		}
	}
	if i := slices.IndexFunc(out, func(q Portion) bool { return q.Content.Validate() != nil }); i >= 0 {
		return nil, invalid("portion %s: %w", out[i].ID, out[i].Content.Validate())
	}
	return out, nil
}
