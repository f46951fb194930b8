package trust

import (
	"cmp"
	"encoding/base64"
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/entente-hub/entente/api/alert"
	"github.com/entente-hub/entente/api/feed"
	"github.com/entente-hub/entente/api/problem"
	"github.com/entente-hub/entente/crypto/keys"
	"github.com/entente-hub/entente/crypto/sdjwt"
)

// portionsOf reads the disclosed portions, in the payload's order. A portion comes
// whole, or with neither label nor content.
func portionsOf(disclosures []sdjwt.Disclosure) ([]alert.Portion, error) {
	portions := make(map[int]*placed) // by the index of their disclosure
	seen := make(map[alert.PortionID]bool)
	for i, d := range disclosures {
		if d.Parent >= 0 {
			continue
		}
		place, p, err := head(d)
		if err != nil {
			return nil, err
		}
		if seen[p.ID] {
			return nil, problem.New(problem.Malformed, "portion %s given twice", p.ID)
		}
		seen[p.ID] = true
		portions[i] = &placed{p, place}
	}
	for _, d := range disclosures {
		if d.Parent < 0 {
			continue
		}
		p, ok := portions[d.Parent]
		if !ok {
			return nil, problem.New(problem.Malformed, "a disclosure that is no portion's label or content")
		}
		if err := readNested(&p.Portion, d); err != nil {
			return nil, err
		}
	}
	inOrder := slices.SortedFunc(maps.Values(portions), func(a, b *placed) int { return cmp.Compare(a.place, b.place) })
	var out []alert.Portion
	for _, p := range inOrder {
		if (p.Label == nil) != (p.Content == nil) {
			return nil, problem.New(problem.Malformed, "portion %s has one of label and content", p.ID)
		}
		out = append(out, p.Portion)
	}
	return out, nil
}

// placed is a portion and its place among the payload's.
type placed struct {
	alert.Portion
	place int
}

// head reads a portion's own disclosure and its place in the payload.
func head(d sdjwt.Disclosure) (place int, p alert.Portion, err error) {
	index, ok := strings.CutPrefix(d.Pointer, "/portions/")
	if place, err = strconv.Atoi(index); err != nil || !ok || !d.Element {
		return 0, p, problem.New(problem.Malformed, "a disclosure that is no portion")
	}
	p, err = alert.ParsePortion(d.Value)
	return place, p, err
}

func readNested(p *alert.Portion, c sdjwt.Disclosure) error {
	switch {
	case c.Name == alert.LabelName && !c.Element && p.Label == nil:
		l, err := alert.ParseLabel(c.Value)
		if err != nil {
			return err
		}
		p.Label = &l
	case c.Name == alert.ContentName && !c.Element && p.Content == nil:
		content, err := alert.ParseContent(c.Value)
		if err != nil {
			return err
		}
		p.Content = content
	default:
		return problem.New(problem.Malformed, "portion %s conceals %.40q", p.ID, c.Name)
	}
	return nil
}

// ReduceAlert leaves of an alert only what the releases permit: all of a
// portion released as content, its existence alone where only that is
// released, nothing of any other. The signature stays. The token must be a
// verified alert: labels and contents are not read again.
func ReduceAlert(token string, releases map[alert.PortionID]feed.Kind) (string, error) {
	parsed, err := sdjwt.Parse(token)
	if err != nil {
		return "", malformed(err)
	}
	kind := make(map[string]feed.Kind, len(parsed.Disclosures)) // by digest, of portion disclosures
	seen := make(map[alert.PortionID]bool)
	for _, d := range parsed.Disclosures {
		if d.Parent >= 0 {
			continue
		}
		_, p, err := head(d)
		if err != nil {
			return "", malformed(err)
		}
		if seen[p.ID] { // the release of which of them?
			return "", problem.New(problem.Malformed, "portion %s given twice", p.ID)
		}
		seen[p.ID] = true
		kind[d.Digest] = releases[p.ID]
	}
	return sdjwt.Reduce(token, func(d sdjwt.Disclosure) bool {
		if d.Parent < 0 {
			return kind[d.Digest] == feed.Content || kind[d.Digest] == feed.Existence
		}
		return kind[parsed.Disclosures[d.Parent].Digest] == feed.Content
	})
}

// UniteAlerts returns an alert with all that is disclosed in any of several tokens of
// it, which must have the same signed part: what the first discloses in its order, then
// what the others add. Each token must be a verified alert, and the result is to be
// verified again. Errors are of kind TooLarge or Malformed.
func UniteAlerts(tokens ...string) (string, error) {
	var jws string
	var encoded []string
	seen := make(map[string]bool)
	for i, token := range tokens {
		parsed, err := sdjwt.Parse(token)
		if err != nil {
			return "", malformed(err)
		}
		if i == 0 {
			jws = parsed.JWS
		} else if parsed.JWS != jws {
			return "", problem.New(problem.Malformed, "two tokens that are not of one signed alert")
		}
		for _, d := range parsed.Disclosures {
			if !seen[d.Encoded] {
				seen[d.Encoded] = true
				encoded = append(encoded, d.Encoded)
			}
		}
	}
	return sdjwt.Assemble(jws, encoded), nil
}

// ReadAlert reads an alert that was verified before it was stored, without checking
// its signature again.
func ReadAlert(token string) (*VerifiedAlert, error) {
	parsed, err := sdjwt.Parse(token)
	if err != nil {
		return nil, malformed(err)
	}
	payload, err := alert.ParsePayload(parsed.Payload)
	if err != nil {
		return nil, malformed(err)
	}
	kid, err := keys.UnverifiedKeyID(parsed.JWS)
	if err != nil {
		return nil, malformed(err)
	}
	portions, err := portionsOf(parsed.Disclosures)
	if err != nil {
		return nil, malformed(err)
	}
	digest := sdjwt.SignedDigest(token)
	return &VerifiedAlert{Alert: alert.Alert{Payload: payload, Portions: portions}, KeyID: kid,
		SignedDigest: base64.RawURLEncoding.EncodeToString(digest[:]), Hidden: len(payload.Portions) - len(portions)}, nil
}

// ReadPortions reads the portions of an alert that was verified before it was
// stored, without checking its signature again.
func ReadPortions(token string) ([]alert.Portion, error) {
	parsed, err := sdjwt.Parse(token)
	if err != nil {
		return nil, malformed(err)
	}
	portions, err := portionsOf(parsed.Disclosures)
	if err != nil {
		return nil, malformed(err)
	}
	return portions, nil
}
