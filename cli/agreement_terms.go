package cli

import (
	"errors"
	"os"
	"time"

	"github.com/entente-hub/entente/api/alert"
	"github.com/entente-hub/entente/api/federation"
	"github.com/entente-hub/entente/api/strictjson"
	"github.com/entente-hub/entente/api/strictyaml"
)

// termsExample is a file of terms, shown in the help and held to the reader by a test.
const termsExample = `id: xa-xb-smuggling
title: XA–XB agreement on combating migrant smuggling
parties: [XA, XB]
from: [XA]                     # who gives; left out: every party
to: [XB]                       # who receives; left out: every party
categories: [smuggling, trafficking]
max_classification: secret     # unclassified, restricted, confidential, secret, top-secret
personal_data: personal        # none, personal, special-category: the most that it covers
purposes: [investigation, prevention]
retention_days: 365            # a receiver holds content no longer
onward: false                  # whether receivers may pass on, subject to the label
valid_from: 2026-12-01         # a date is its first moment, UTC; or 2026-12-01T08:00:00Z
valid_until: 2027-12-01        # the agreement ends at this moment
`

// terms are an agreement's as its file has them: federation.Agreement with dates
// that people read.
type terms struct {
	ID                federation.AgreementID `json:"id"`
	Title             string                 `json:"title"`
	Parties           []alert.MemberID       `json:"parties"`
	From              []alert.MemberID       `json:"from,omitzero"`
	To                []alert.MemberID       `json:"to,omitzero"`
	Categories        []alert.Category       `json:"categories"`
	MaxClassification alert.Classification   `json:"max_classification"`
	PersonalData      alert.PersonalData     `json:"personal_data"`
	Purposes          []alert.Purpose        `json:"purposes"`
	RetentionDays     int                    `json:"retention_days"`
	Onward            bool                   `json:"onward"`
	ValidFrom         date                   `json:"valid_from"`
	ValidUntil        date                   `json:"valid_until"`
}

// date is a day, meant from its first moment in UTC, or a moment (RFC 3339).
type date time.Time

// UnmarshalText parses.
func (d *date) UnmarshalText(b []byte) error {
	t, err := time.Parse(time.DateOnly, string(b))
	if err != nil {
		if t, err = time.Parse(time.RFC3339, string(b)); err != nil || t.Nanosecond() != 0 {
			return errors.New("a date is written 2026-12-01 or 2026-12-01T08:00:00Z")
		}
	}
	*d = date(t)
	return nil
}

// loadTerms reads a file of an agreement's terms.
func loadTerms(file string) (*federation.Agreement, error) {
	raw, err := os.ReadFile(file)
	if err != nil {
		return nil, usage("%v", err)
	}
	a, err := parseTerms(raw)
	if err != nil {
		return nil, usage("%s: %v", file, err)
	}
	return a, nil
}

// parseTerms reads terms in YAML as strictly as what comes over the wire: an unknown
// or repeated field is an error, so that a typo never drops a condition.
func parseTerms(raw []byte) (*federation.Agreement, error) {
	plain, err := strictyaml.ToJSON(raw)
	if err != nil {
		return nil, err
	}
	var t terms
	if err := strictjson.Unmarshal(plain, &t); err != nil {
		return nil, err
	}
	if time.Time(t.ValidFrom).IsZero() || !time.Time(t.ValidUntil).After(time.Time(t.ValidFrom)) {
		return nil, errors.New("valid_from and a later valid_until are needed")
	}
	a := &federation.Agreement{ID: t.ID, Title: t.Title, Parties: t.Parties, From: t.From, To: t.To, Categories: t.Categories,
		MaxClassification: t.MaxClassification, PersonalData: t.PersonalData, Purposes: t.Purposes,
		RetentionDays: t.RetentionDays, Onward: t.Onward,
		ValidFrom: time.Time(t.ValidFrom).Unix(), ValidUntil: time.Time(t.ValidUntil).Unix()}
	// The statement that they will be in is where they are judged.
	if _, err := federation.NewStatement(federation.TypeAgreement, a, 1, "", time.Now().Unix()); err != nil {
		return nil, err
	}
	return a, nil
}
