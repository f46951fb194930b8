package policies

import (
	"fmt"

	"github.com/open-policy-agent/opa/v1/ast"

	"github.com/entente-hub/entente/api/alert"
	"github.com/entente-hub/entente/api/federation"
)

// input builds what the rules of release see: the question, the world's index
// and, of the agreements and consents, those that the question can touch.
func (w *World) input(q Query) ast.Value {
	g := w.given(q.Originator)
	consent := object()
	if c, ok := w.consent(q.Originator, q.Alert); ok && q.Label.OriginatorControl {
		consent = c
	}
	return object(
		"originator", w.memberTerm(q.Originator),
		"alert", ast.StringTerm(string(q.Alert)),
		"label", w.label(&q.Label),
		"world", w.index,
		"recipients", g.others,
		"given", g.table,
		"consent", consent,
		"consents", w.sources(q),
	).Value
}

// label gives the rules a label with its lists as sets. Levels and codes go by
// name; a list of an audience is split into the two kinds of entry.
func (w *World) label(l *alert.Label) *ast.Term {
	return object(
		"policy", ast.StringTerm(l.Policy),
		"classification", ast.StringTerm(l.Classification.String()),
		"tlp", ast.StringTerm(l.TLP.String()),
		"compartments", stringSet(l.Compartments),
		"releasable_to", w.audienceList(l.ReleasableTo),
		"discoverable_to", w.audienceList(l.DiscoverableTo),
		"categories", stringSet(l.Categories),
		"purposes", stringSet(l.Purposes),
		"personal_data", ast.StringTerm(l.PersonalData.String()),
		"handling", stringSet(l.Handling),
		"originator_control", ast.InternedTerm(l.OriginatorControl),
		"derived_from", stringSet(l.DerivedFrom),
	)
}

func (w *World) audienceList(list []alert.Audience) *ast.Term {
	members, communities := ast.NewSetWithCapacity(len(list)), ast.NewSet()
	for _, a := range list {
		if m, ok := a.Member(); ok {
			members.Add(w.memberTerm(m))
		} else {
			communities.Add(ast.StringTerm(string(a)))
		}
	}
	return object("members", ast.NewTerm(members), "communities", ast.NewTerm(communities))
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
	o := ast.NewObject()
	for _, id := range q.Label.DerivedFrom {
		if c, ok := w.consent(q.Sources[id], id); ok {
			o.Insert(ast.StringTerm(string(id)), c)
		}
	}
	return ast.NewTerm(o)
}

func stringSet[T ~string](list []T) *ast.Term {
	set := ast.NewSetWithCapacity(len(list))
	for _, s := range list {
		set.Add(ast.StringTerm(string(s)))
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
