package scenario

import (
	"cmp"
	"fmt"
	"slices"

	"github.com/entente-hub/entente/api/alert"
	"github.com/entente-hub/entente/api/federation"
)

// stated refuses what no statement could say. The date is of no account.
func stated(t federation.StatementType, b federation.Body) error {
	rev, prev := int64(1), ""
	if e, ok := b.(*federation.Emergency); ok && e.Over {
		rev, prev = 2, federation.Digest(nil)
	}
	_, err := federation.NewStatement(t, b, rev, prev, 1)
	return err
}

// addAgreements adds the agreements that are in force: within their validity, and
// suspended by none of their parties.
func (w *world) addAgreements(out *federation.World) error {
	resting, err := w.resting()
	if err != nil {
		return err
	}
	for id, a := range w.agreements {
		a.ID = id
		a.Title = cmp.Or(a.Title, string(id))
		if err := stated(federation.TypeAgreement, &a); err != nil {
			return fmt.Errorf("agreements: %s: %w", id, err)
		}
		if err := w.known("agreements: "+string(id), a.Parties); err != nil {
			return err
		}
		if a.InForce(out.At) && !resting[id] {
			out.Agreements = append(out.Agreements, federation.InForce{Agreement: a, Digest: string(id), Version: 1})
		}
	}
	slices.SortFunc(out.Agreements, func(a, b federation.InForce) int { return cmp.Compare(a.ID, b.ID) })
	return nil
}

// resting returns the agreements that a party has suspended. Each party's last
// word counts, and is its own: nobody resumes for another.
func (w *world) resting() (map[federation.AgreementID]bool, error) {
	last := make(map[string]federation.Suspension)
	for _, s := range w.suspensions {
		if err := stated(federation.TypeSuspension, &s); err != nil {
			return nil, fmt.Errorf("suspensions: %w", err)
		}
		if !slices.Contains(w.agreements[s.Agreement].Parties, s.Party) {
			return nil, fmt.Errorf("suspensions: %s is no party to an agreement %s", s.Party, s.Agreement)
		}
		last[s.Subject()] = s
	}
	out := make(map[federation.AgreementID]bool)
	for _, s := range last {
		out[s.Agreement] = out[s.Agreement] || s.Suspended
	}
	return out, nil
}

// addConsents adds the consents; a later one takes the place of the one before.
func (w *world) addConsents(out *federation.World, originator alert.MemberID, id alert.ID) error {
	for _, c := range w.consents {
		c.Originator, c.Alert = cmp.Or(c.Originator, originator), cmp.Or(c.Alert, id)
		if err := stated(federation.TypeConsent, &c); err != nil {
			return fmt.Errorf("consents: %w", err)
		}
		if err := w.known("consents", []alert.MemberID{c.Originator}); err != nil {
			return err
		}
		out.Consents[federation.ConsentKey{Originator: c.Originator, Alert: c.Alert}] = c
	}
	return nil
}

// addEmergencies adds those in force: of several for one alert the last counts, in
// force or not. To end it, or to let it lapse, brings none of those before it back.
func (w *world) addEmergencies(out *federation.World, originator alert.MemberID, id alert.ID) error {
	numbers := make(map[federation.ConsentKey]int)
	for _, e := range w.emergencies {
		e.Originator, e.Alert = cmp.Or(e.Originator, originator), cmp.Or(e.Alert, id)
		if e.ValidFrom == 0 {
			e.ValidFrom = out.At.Unix()
		}
		if e.ValidUntil == 0 {
			e.ValidUntil = e.ValidFrom + int64(federation.MaxEmergency.Seconds())
		}
		key := federation.ConsentKey{Originator: e.Originator, Alert: e.Alert}
		numbers[key]++
		e.Number, e.Threat, e.Duty = numbers[key], "stated", "stated"
		if err := stated(federation.TypeEmergency, &e); err != nil {
			return fmt.Errorf("emergencies: %w", err)
		}
		if err := w.known("emergencies", append([]alert.MemberID{e.Originator}, e.Members...)); err != nil {
			return err
		}
		delete(out.Emergencies, key)
		if e.InForce(out.At) {
			out.Emergencies[key] = federation.Declared{Emergency: e, Digest: fmt.Sprintf("emergency %d", e.Number)}
		}
	}
	return nil
}
