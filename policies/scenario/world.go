package scenario

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"go.yaml.in/yaml/v3"

	"github.com/entente-hub/entente/api/alert"
	"github.com/entente-hub/entente/api/federation"
)

// maxDays bounds days as registries do: a century.
const maxDays = 36525

// world is a federation as scenarios write it: what has been stated, in force or
// not.
type world struct {
	members          map[alert.MemberID]federation.Member
	communities      map[alert.CommunityID][]alert.MemberID
	taskForces       map[alert.TaskForceID][]alert.MemberID
	agreements       map[federation.AgreementID]federation.Agreement
	suspensions      []federation.Suspension
	consents         []federation.Consent
	emergencies      []federation.Emergency
	schemes          map[string]federation.Scheme
	maxRetentionDays int
}

func newWorld() *world {
	return &world{
		members:          make(map[alert.MemberID]federation.Member),
		communities:      make(map[alert.CommunityID][]alert.MemberID),
		taskForces:       make(map[alert.TaskForceID][]alert.MemberID),
		agreements:       make(map[federation.AgreementID]federation.Agreement),
		schemes:          make(map[string]federation.Scheme),
		maxRetentionDays: 365,
	}
}

// read lays what a node says over what is there.
func (w *world) read(n *yaml.Node) error {
	return object(n, keys{
		"members":            entries(w.members, word, readMember),
		"communities":        entries(w.communities, word, members),
		"task_forces":        entries(w.taskForces, word, members),
		"agreements":         entries(w.agreements, word, readAgreement),
		"suspensions":        rows(&w.suspensions, readSuspension),
		"consents":           rows(&w.consents, readConsent),
		"emergencies":        rows(&w.emergencies, readEmergency),
		"schemes":            entries(w.schemes, str, readScheme),
		"max_retention_days": number(&w.maxRetentionDays),
	})
}

func members(to *[]alert.MemberID) reader { return listOf(to, word) }

// rows reads a list of objects in place of the one before.
func rows[T any](to *[]T, item func(*T) reader) reader {
	return func(n *yaml.Node) error {
		list := []T{}
		err := sequence(n, func(c *yaml.Node) error {
			var v T
			err := item(&v)(c)
			list = append(list, v)
			return err
		})
		*to = list
		return err
	}
}

func readMember(m *federation.Member) reader {
	return func(n *yaml.Node) error {
		return object(n, keys{"ceiling": orNothing(&m.Ceiling, word), "suspended": boolean(&m.Suspended)})
	}
}

// readAgreement reads terms. Dates that are left out are as early and as late as
// dates can be.
func readAgreement(a *federation.Agreement) reader {
	return func(n *yaml.Node) error {
		from, until := time.Unix(1, 0), time.Unix(alert.MaxTime, 0)
		if a.ValidUntil != 0 { // the base has said
			from, until = time.Unix(a.ValidFrom, 0), time.Unix(a.ValidUntil, 0)
		}
		err := object(n, keys{
			"title":              str(&a.Title),
			"parties":            members(&a.Parties),
			"from":               orNothing(&a.From, members), // ~: every party
			"to":                 orNothing(&a.To, members),
			"categories":         listOf(&a.Categories, str),
			"max_classification": word(&a.MaxClassification),
			"personal_data":      word(&a.PersonalData),
			"purposes":           listOf(&a.Purposes, str),
			"retention_days":     number(&a.RetentionDays),
			"onward":             boolean(&a.Onward),
			"valid_from":         moment(&from),
			"valid_until":        endOfDay(&until),
		})
		a.ValidFrom, a.ValidUntil = from.Unix(), until.Unix()
		return err
	}
}

// orNothing reads a field that ~ takes away.
func orNothing[T any](to *T, r func(*T) reader) reader {
	return func(n *yaml.Node) error {
		if isNothing(n) {
			var nothing T
			*to = nothing
			return nil
		}
		return r(to)(n)
	}
}

func readSuspension(s *federation.Suspension) reader {
	return func(n *yaml.Node) error {
		s.Suspended = true
		return object(n, keys{"agreement": word(&s.Agreement), "party": word(&s.Party), "suspended": boolean(&s.Suspended)})
	}
}

func readConsent(c *federation.Consent) reader {
	return func(n *yaml.Node) error {
		err := object(n, keys{"originator": word(&c.Originator), "alert": word(&c.Alert), "recipients": listOf(&c.Recipients, word)})
		if err == nil && c.Recipients == nil {
			err = wrong(n, "recipients are missing; []: nobody, which withdraws the consent")
		}
		return err
	}
}

func readEmergency(e *federation.Emergency) reader {
	return func(n *yaml.Node) error {
		var from, until time.Time
		err := object(n, keys{
			"originator": word(&e.Originator), "alert": word(&e.Alert), "over": boolean(&e.Over),
			"members": members(&e.Members), "compartments": listOf(&e.Compartments, word),
			"valid_from": moment(&from), "valid_until": endOfDay(&until),
		})
		if !from.IsZero() {
			e.ValidFrom = from.Unix()
		}
		if !until.IsZero() {
			e.ValidUntil = until.Unix()
		}
		return err
	}
}

func readScheme(s *federation.Scheme) reader {
	return func(n *yaml.Node) error {
		s.Levels = nil
		return each(n, func(_ string, k, v *yaml.Node) error {
			var l federation.SchemeLevel
			if err := word(&l.Level)(k); err != nil {
				return err
			}
			if err := listOf(&l.Names, str)(v); err != nil {
				return err
			}
			if len(l.Names) == 0 {
				return wrong(v, "a name of the level is wanted")
			}
			s.Levels = append(s.Levels, l)
			return nil
		})
	}
}

// made is the world in force at a moment, as the members' nodes make it of
// verified statements. consents and emergencies that name no originator and alert
// are those of the question.
func (w *world) made(at time.Time, originator alert.MemberID, id alert.ID) (*federation.World, error) {
	out := &federation.World{
		Revision:    "scenario",
		At:          at,
		Members:     make(map[alert.MemberID]federation.Member, len(w.members)),
		Communities: maps.Clone(w.communities),
		TaskForces:  w.taskForces,
		Consents:    make(map[federation.ConsentKey]federation.Consent),
		Emergencies: make(map[federation.ConsentKey]federation.Declared),
		Rules:       federation.Rules{MaxRetentionDays: w.maxRetentionDays},
	}
	if len(w.members) == 0 {
		return nil, errors.New("a world without members")
	}
	if w.maxRetentionDays < 1 || w.maxRetentionDays > maxDays {
		return nil, fmt.Errorf("max_retention_days: 1 to %d", maxDays)
	}
	for _, id := range slices.Sorted(maps.Keys(w.members)) {
		m := w.members[id]
		m.ID = id
		out.Members[id] = m
		out.Communities[alert.Federation] = append(out.Communities[alert.Federation], id)
	}
	for _, urn := range slices.Sorted(maps.Keys(w.schemes)) {
		s := w.schemes[urn]
		s.URN, s.Title = urn, urn
		out.Schemes = append(out.Schemes, s)
	}
	for _, err := range []error{w.checkNames(), checkSchemes(out.Schemes), w.addAgreements(out), w.addConsents(out, originator, id), w.addEmergencies(out, originator, id)} {
		if err != nil {
			return nil, err
		}
	}
	return out, nil
}

// checkNames refuses lists that name somebody who is no member: more likely a slip
// than a wish.
func (w *world) checkNames() error {
	if _, ok := w.communities[alert.Federation]; ok {
		return fmt.Errorf("communities: %s is built in", alert.Federation)
	}
	for id, list := range w.communities {
		if err := w.known(fmt.Sprintf("communities: %s", id), list); err != nil {
			return err
		}
	}
	for id, list := range w.taskForces {
		if err := w.known(fmt.Sprintf("task_forces: %s", id), list); err != nil {
			return err
		}
	}
	return nil
}

func (w *world) known(where string, list []alert.MemberID) error {
	for _, m := range list {
		if _, ok := w.members[m]; !ok {
			return fmt.Errorf("%s: %s is no member", where, m)
		}
	}
	return nil
}

// checkSchemes refuses schemes that no registry could list: a name stands for one
// level, also for a reader who does not mind capitals.
func checkSchemes(schemes []federation.Scheme) error {
	for _, s := range schemes {
		names := make(map[string]bool)
		for _, l := range s.Levels {
			for _, name := range l.Names {
				folded := strings.ToUpper(name)
				if err := alert.CheckMarking(name); err != nil || names[folded] {
					return fmt.Errorf("schemes: %s: name %.70q is malformed or stands twice", s.URN, name)
				}
				names[folded] = true
			}
		}
		if !strings.HasPrefix(s.URN, "urn:") || len(s.Levels) == 0 {
			return fmt.Errorf("schemes: %s: the URN of a marking scheme and its levels are wanted", s.URN)
		}
	}
	return nil
}
