package policies

import (
	"errors"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/entente-hub/entente/api/alert"
	"github.com/entente-hub/entente/api/federation"
)

func consentOf(m alert.MemberID, id alert.ID, to ...alert.Audience) federation.Consent {
	return federation.Consent{Originator: m, Alert: id, Recipients: to}
}

func TestAdmit(t *testing.T) {
	const iat = int64(1_800_000_000) // 2027-01-15 08:00 UTC
	type codes map[int][]string
	for _, c := range []struct {
		name       string
		originator alert.MemberID
		change     func(*alert.Label)
		want       codes
	}{
		{"sound", "XB", func(*alert.Label) {}, codes{}},
		{"for nobody", "XB", func(l *alert.Label) { l.ReleasableTo = nil }, codes{}},
		{"suspended", "XD", func(*alert.Label) {}, codes{WholeAlert: {"originator-suspended"}}},
		{"stranger", "ZZ", func(*alert.Label) {}, codes{WholeAlert: {"originator-suspended"}, 0: {"originator-ceiling"}, 1: {"originator-ceiling"}}},
		{"scheme", "XB", func(l *alert.Label) { l.Policy = "urn:entente:policy:other:1" }, codes{1: {"unknown-scheme"}}},
		{"ceiling", "XB", func(l *alert.Label) { l.Classification = alert.TopSecret }, codes{1: {"originator-ceiling"}}},
		{"at the ceiling", "XB", func(l *alert.Label) { l.Classification = alert.Secret }, codes{}},
		{"own compartment", "XB", func(l *alert.Label) { l.Compartments = []alert.TaskForceID{"tf-one"} }, codes{}},
		{"others' compartment", "XB", func(l *alert.Label) { l.Compartments = []alert.TaskForceID{"tf-two"} }, codes{1: {"unknown-compartment"}}},
		{"no compartment", "XB", func(l *alert.Label) { l.Compartments = []alert.TaskForceID{"tf-zero"} }, codes{1: {"unknown-compartment"}}},
		{"unknown member", "XB", func(l *alert.Label) { l.ReleasableTo = []alert.Audience{"XA", "ZZ"} }, codes{1: {"unknown-recipient"}}},
		{"unknown community", "XB", func(l *alert.Label) { l.DiscoverableTo = []alert.Audience{"nowhere"} }, codes{1: {"unknown-recipient"}}},
		{"no retention", "XB", func(l *alert.Label) { l.PersonalData = alert.Personal }, codes{1: {"retention-missing"}}},
		{"retention within bounds", "XB", func(l *alert.Label) { l.PersonalData, l.Retention = alert.Personal, "2027-02-13" }, codes{}},
		{"retention beyond bounds", "XB", func(l *alert.Label) { l.PersonalData, l.Retention = alert.Personal, "2027-02-14" }, codes{1: {"retention-too-long"}}},
		{"no bound without personal data", "XB", func(l *alert.Label) { l.Retention = "2037-02-14" }, codes{}},
		{"retention to the day of issue", "XB", func(l *alert.Label) { l.Retention = "2027-01-15" }, codes{}},
		{"retention before it", "XB", func(l *alert.Label) { l.Retention = "2027-01-14" }, codes{1: {"retention-past"}}},
		{"clear and classified", "XB", func(l *alert.Label) { l.TLP = alert.Clear }, codes{1: {"tlp-conflict"}}},
		{"several", "XB", func(l *alert.Label) {
			l.TLP, l.Classification, l.Policy = alert.Clear, alert.TopSecret, "urn:entente:policy:other:1"
		}, codes{1: {"unknown-scheme", "originator-ceiling", "tlp-conflict"}}},
	} {
		t.Run(c.name, func(t *testing.T) {
			w := mustWorld(t, mustLoad(t), fixedWorld())
			sound, l := fixedQuery().Label, fixedQuery().Label
			c.change(&l)
			refusals, err := w.Admit(t.Context(), Admission{Originator: c.originator, IssuedAt: iat, Expires: iat + 1, Labels: []alert.Label{sound, l}})
			if err != nil {
				t.Fatal(err)
			}
			got := codes{}
			for _, r := range refusals {
				if r.Message == "" {
					t.Errorf("%s has no message", r.Code)
				}
				got[r.Portion] = append(got[r.Portion], r.Code)
			}
			if diff := cmp.Diff(c.want, got); diff != "" {
				t.Error(diff)
			}
		})
	}
}

// TestCompartmentsCanNotBeProbed: one that does not exist and one that the
// originator is not in are refused with the very same words.
func TestCompartmentsCanNotBeProbed(t *testing.T) {
	w := mustWorld(t, mustLoad(t), fixedWorld())
	var answers [][]Refusal
	for _, tf := range []alert.TaskForceID{"tf-two", "tf-zero"} {
		l := fixedQuery().Label
		l.Compartments = []alert.TaskForceID{tf}
		r, err := w.Admit(t.Context(), Admission{Originator: "XB", IssuedAt: 1, Expires: 2, Labels: []alert.Label{l}})
		if err != nil || len(r) != 1 {
			t.Fatal(r, err)
		}
		answers = append(answers, r)
	}
	if diff := cmp.Diff(answers[0], answers[1]); diff != "" {
		t.Error(diff)
	}
}

func TestAdmitRefusesABadDate(t *testing.T) {
	w := mustWorld(t, mustLoad(t), fixedWorld())
	l := fixedQuery().Label
	l.Retention = "soon"
	if _, err := w.Admit(t.Context(), Admission{Originator: "XB", Labels: []alert.Label{l}}); !errors.Is(err, alert.ErrInvalid) {
		t.Errorf("error %v", err)
	}
}
