package scenario

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	"go.yaml.in/yaml/v3"

	"github.com/entente-hub/entente/api/alert"
	"github.com/entente-hub/entente/api/federation"
	"github.com/entente-hub/entente/policies"
)

// Moment at which a scenario takes place, and the alert that it is about, where it
// says neither.
var (
	usualMoment = time.Date(2027, 1, 15, 0, 0, 0, 0, time.UTC)
	usualAlert  = alert.ID("01890000-0000-7000-8000-000000000000")
)

// draft is a scenario on the way.
type draft struct {
	title, why, base string
	at               time.Time
	originator       alert.MemberID
	world            *world
	label            map[string]*yaml.Node // by key, as written

	id              alert.ID
	issued, expires time.Time
	sources         map[alert.ID]alert.MemberID

	expect  map[alert.MemberID]expected
	refused []string // nil: not asked about
}

func newDraft() *draft {
	return &draft{at: usualMoment, world: newWorld(), label: make(map[string]*yaml.Node), id: usualAlert,
		sources: make(map[alert.ID]alert.MemberID), expect: make(map[alert.MemberID]expected)}
}

// baseKeys are those of a world's file.
func (d *draft) baseKeys() keys {
	return keys{"title": str(&d.title), "originator": word(&d.originator), "world": d.world.read, "label": d.readLabel}
}

// keys are those of a scenario.
func (d *draft) keys() keys {
	all := keys{
		"why":            str(&d.why),
		"base":           str(&d.base),
		"at":             moment(&d.at),
		"alert":          d.readAlert,
		"expect":         entries(d.expect, word, readExpected),
		"expect_refused": listOf(&d.refused, code),
	}
	maps.Copy(all, d.baseKeys())
	return all
}

// readLabel lays a label's keys over those that are there; ~ takes one away.
func (d *draft) readLabel(n *yaml.Node) error {
	return each(n, func(key string, k, v *yaml.Node) error {
		if !isNothing(v) {
			d.label[key] = v
			return nil
		}
		if d.label[key] == nil {
			return wrong(k, "%.40s: there is nothing to take away", key)
		}
		delete(d.label, key)
		return nil
	})
}

func (d *draft) readAlert(n *yaml.Node) error {
	return object(n, keys{
		"id":      word(&d.id),
		"issued":  moment(&d.issued),
		"expires": moment(&d.expires),
		"sources": entries(d.sources, word, word),
	})
}

// finish makes the scenario of what has been read.
func (d *draft) finish() (s Scenario, err error) {
	s = Scenario{Title: d.title, Why: d.why, expect: d.expect, refused: sorted(d.refused), admit: d.refused != nil}
	if d.issued.IsZero() {
		d.issued = d.at
	}
	if d.expires.IsZero() {
		d.expires = d.issued.Add(alert.DefaultLifetime)
	}
	s.issued, s.expires = d.issued, d.expires
	switch {
	case d.title == "" || d.why == "" || d.originator == "":
		return s, errors.New("title, why and originator are needed")
	case len(d.expect) == 0 && !s.admit:
		return s, errors.New("nothing is expected: expect or expect_refused is needed")
	case !d.expires.After(d.issued):
		return s, errors.New("alert: it expires before it is issued")
	}
	s.query = policies.Query{Originator: d.originator, Alert: d.id, Sources: d.sources}
	if s.query.Label, err = d.parseLabel(); err != nil {
		return s, err
	}
	if err := d.checkSources(&s.query.Label); err != nil {
		return s, err
	}
	if s.world, err = d.world.made(d.at, d.originator, d.id); err != nil {
		return s, fmt.Errorf("world: %w", err)
	}
	if len(s.world.Schemes) == 0 {
		s.world.Schemes = []federation.Scheme{federation.PlainScheme(s.query.Label.Policy, "levels by their own names")}
	}
	return s, d.checkTable()
}

// checkTable refuses a table with holes, and with rows of those who are not asked
// about.
func (d *draft) checkTable() error {
	if len(d.expect) == 0 {
		return nil
	}
	for _, m := range slices.Sorted(maps.Keys(d.world.members)) {
		if _, ok := d.expect[m]; !ok && m != d.originator {
			return fmt.Errorf("expect: %s is missing; every member but the originator must be there", m)
		}
	}
	for _, m := range slices.Sorted(maps.Keys(d.expect)) {
		if m == d.originator {
			return fmt.Errorf("expect: %s is the originator, to whom nothing is released", m)
		}
		if _, ok := d.world.members[m]; !ok {
			return fmt.Errorf("expect: %s is no member", m)
		}
	}
	for m, x := range d.expect {
		for _, id := range x.agreements {
			if _, ok := d.world.agreements[id]; !ok {
				return fmt.Errorf("expect: %s: there is no agreement %s", m, id)
			}
		}
	}
	return nil
}

// checkSources refuses owners of alerts that the label does not draw on.
func (d *draft) checkSources(l *alert.Label) error {
	for id := range d.sources {
		if !slices.Contains(l.DerivedFrom, id) {
			return fmt.Errorf("alert: sources: %s is not in the label's derived_from", id)
		}
	}
	return nil
}

// parseLabel turns the label into JSON, whose strict reader is that of every label.
func (d *draft) parseLabel() (alert.Label, error) {
	values := make(map[string]any, len(d.label))
	for key, n := range d.label {
		v, err := plainValue(n)
		if err != nil {
			return alert.Label{}, under("label: "+key, err)
		}
		values[key] = v
	}
	raw, err := json.Marshal(values)
	if err != nil {
		return alert.Label{}, fmt.Errorf("label: %w", err)
	}
	l, err := alert.ParseLabel(raw)
	if err != nil {
		return alert.Label{}, fmt.Errorf("label: %w", err)
	}
	return l, nil
}

// plainValue returns a label's value: text, true or false, or a list of texts. A
// date is text, as in label files.
func plainValue(n *yaml.Node) (any, error) {
	if n.Kind == yaml.SequenceNode {
		list := []string{}
		err := listOf(&list, labelText)(n)
		return list, err
	}
	if n.ShortTag() == "!!bool" {
		var b bool
		err := boolean(&b)(n)
		return b, err
	}
	var s string
	err := labelText(&s)(n)
	return s, err
}

func labelText(to *string) reader {
	return func(n *yaml.Node) error {
		if tag := n.ShortTag(); n.Kind == yaml.ScalarNode && tag != "!!str" && tag != "!!timestamp" {
			return wrong(n, "text is wanted; put %.40q into quotes if that is what is meant", n.Value)
		}
		return str(to)(n)
	}
}
