package policies

import (
	"fmt"

	"github.com/open-policy-agent/opa/v1/ast"

	"github.com/entente-hub/entente/api/alert"
	"github.com/entente-hub/entente/api/federation"
)

// What most questions say in the same way, shared between them.
var (
	nobody     = ast.NewTerm(ast.NewSet())
	nothing    = object()
	emptyList  = object("members", nobody, "communities", nobody)
	noRelief   = object("members", nobody, "compartments", nobody)
	vocabulary = newVocabulary()
)

// newVocabulary makes a term for each word of the closed vocabularies of labels.
func newVocabulary() map[string]*ast.Term {
	out := make(map[string]*ast.Term)
	add := func(s string) { out[s] = ast.StringTerm(s) }
	add("")
	for _, c := range alert.Categories {
		add(string(c))
	}
	for _, p := range alert.Purposes {
		add(string(p))
	}
	for _, h := range alert.HandlingCodes {
		add(string(h))
	}
	for _, level := range levels {
		add(level.String())
	}
	for _, kind := range kindsOfData {
		add(kind.String())
	}
	for tlp := alert.Clear; tlp <= alert.Red; tlp++ {
		add(tlp.String())
	}
	return out
}

// word returns the term of a string, the shared one where there is one.
func word(s string) *ast.Term {
	if t, ok := vocabulary[s]; ok {
		return t
	}
	return ast.StringTerm(s)
}

// input builds what the rules of release see: the question, the world's index
// and, of the agreements, consents and emergencies, those that the question can
// touch. It holds nothing that Key does not: what is remembered under a key would
// not hold for all who ask under it.
func (w *World) input(q Query, g *giver) ast.Value {
	consent, id := nothing, ""
	if own, ok := w.consent(q.Originator, q.Alert); ok && q.Label.OriginatorControl {
		consent = own
	}
	if q.Label.OriginatorControl || len(q.Label.DerivedFrom) > 0 {
		id = string(q.Alert)
	}
	return object(
		"originator", w.memberTerm(q.Originator),
		"alert", word(id),
		"label", w.label(&q.Label),
		"world", w.index,
		"recipients", g.recipients,
		"given", g.table,
		"consent", consent,
		"consents", w.sources(q),
		"emergency", w.emergency(q),
	).Value
}

// label gives the rules a label with its lists as sets. Levels and codes go by
// name; a list of an audience is split into the two kinds of entry.
func (w *World) label(l *alert.Label) *ast.Term {
	return object(
		"policy", word(l.Policy),
		"marked_as", word(l.MarkedAs),
		"classification", word(l.Classification.String()),
		"tlp", word(l.TLP.String()),
		"compartments", stringSet(l.Compartments),
		"releasable_to", w.audienceList(l.ReleasableTo),
		"discoverable_to", w.audienceList(l.DiscoverableTo),
		"categories", stringSet(l.Categories),
		"purposes", stringSet(l.Purposes),
		"personal_data", word(l.PersonalData.String()),
		"handling", stringSet(l.Handling),
		"originator_control", ast.InternedTerm(l.OriginatorControl),
		"derived_from", stringSet(l.DerivedFrom),
	)
}

func (w *World) audienceList(list []alert.Audience) *ast.Term {
	if len(list) == 0 {
		return emptyList
	}
	var members []alert.MemberID
	var communities []string
	for _, a := range list {
		if m, ok := a.Member(); ok {
			members = append(members, m)
		} else {
			communities = append(communities, string(a))
		}
	}
	return object("members", w.memberSet(members), "communities", stringSet(communities))
}

// consent returns a member's consent to the release of an alert, as far as it has
// given one; what others say of the alert counts for nothing.
func (w *World) consent(of alert.MemberID, id alert.ID) (*ast.Term, bool) {
	c, ok := w.world.Consents[federation.ConsentKey{Originator: of, Alert: id}]
	if !ok {
		return nil, false
	}
	return object("originator", w.memberTerm(c.Originator), "recipients", w.audienceList(c.Recipients)), true
}

// sources returns the consents to the alert's sources, each of the member whose
// alert it is.
func (w *World) sources(q Query) *ast.Term {
	if len(q.Label.DerivedFrom) == 0 {
		return nothing
	}
	o := ast.NewObject()
	for _, id := range q.Label.DerivedFrom {
		if c, ok := w.consent(q.Sources[id], id); ok {
			o.Insert(ast.StringTerm(string(id)), c)
		}
	}
	return ast.NewTerm(o)
}

// emergency returns what the originator has declared for the alert: nobody and
// nothing unless an emergency is in force and the label has compartments.
func (w *World) emergency(q Query) *ast.Term {
	e, ok := w.declared(q)
	if !ok {
		return noRelief
	}
	return object("members", w.memberSet(e.Members), "compartments", stringSet(e.Compartments))
}

// declared returns the emergency in force for the alert that a query is about, if
// it can matter: without compartments there is nothing that it could open.
func (w *World) declared(q Query) (federation.Declared, bool) {
	if len(q.Label.Compartments) == 0 {
		return federation.Declared{}, false
	}
	e, ok := w.world.Emergencies[federation.ConsentKey{Originator: q.Originator, Alert: q.Alert}]
	return e, ok
}

func (w *World) memberSet(list []alert.MemberID) *ast.Term {
	if len(list) == 0 {
		return nobody
	}
	set := ast.NewSetWithCapacity(len(list))
	for _, m := range list {
		set.Add(w.memberTerm(m))
	}
	return ast.NewTerm(set)
}

func stringSet[T ~string](list []T) *ast.Term {
	if len(list) == 0 {
		return nobody
	}
	set := ast.NewSetWithCapacity(len(list))
	for _, s := range list {
		set.Add(word(string(s)))
	}
	return ast.NewTerm(set)
}

// retentionEnd returns the moment at which lawful holding ends, in seconds
// since 1970-01-01 UTC, and false where the label names none.
func retentionEnd(l *alert.Label) (int64, bool, error) {
	if l.Retention == "" {
		return 0, false, nil
	}
	t, err := l.Retention.Time()
	if err != nil {
		return 0, false, fmt.Errorf("retention: %w", err)
	}
	return t.Unix(), true, nil
}
